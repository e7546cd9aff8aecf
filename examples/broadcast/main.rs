// SPDX-License-Identifier: MPL-2.0

//! A whole broadcast on one machine: `rtmpsink` in one pipeline, a listening `rtmpsrc` in another,
//! and figures of what arrives. `--help` says what else it does.
//!
//! - `pipelines`: what is built; begin here
//! - `show`: what happens to them, from the start to the summary
//! - `stamp`: the time that is drawn into each picture
//! - `figures`: what is measured
//! - `page`: a page in the browser

use std::process::ExitCode;

#[path = "../common/mod.rs"]
mod common;
mod figures;
mod options;
mod page;
mod pipelines;
mod show;
mod stamp;

use options::{Instead, Options};

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(Instead::Usage(text)) => {
            println!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(Instead::Mistake(sentence)) => {
            eprintln!("{sentence}");
            return ExitCode::from(2);
        }
    };
    match common::init().and_then(|()| show::run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}
