// SPDX-License-Identifier: MPL-2.0

//! Bench "on the air": what a byte costs when it is published or played by our elements, beside
//! what it costs with the tools people use today, in one run on one machine, as ratios.
//!
//! ```text
//! cargo bench --bench onair -- [publish play first-buffer many tls states webm players flv wrappings wcs]
//!     [--quick] [--rounds N] [--only TEXTS] [--clients COUNTS] [--out FILE]
//! ```
//!
//! Every client is a process of its own and is charged by `wait4` (user and system time). The peer
//! at the other end is this same program started again as a server (`--role`), so its time is
//! nobody's. The peer is written against the specification alone and shares no code with the
//! crate: a bench that used our chunk layer at both ends would hide its mistakes.
//!
//! Rounds are interleaved (A B C, A B C, ...), so a busy minute hits all rows alike. Nothing here
//! asserts a time; targets are printed as a table with a mark.

mod allocations;
mod args;
mod child;
mod houses;
mod machine;
mod measure;
mod media;
mod peer;
mod roles;
mod sections;
mod table;

use std::process::ExitCode;
use std::time::Instant;

use args::Args;
use sections::Bench;
use table::Report;

fn main() -> ExitCode {
    let raw: Vec<String> = std::env::args().skip(1).collect();
    if raw.first().map(String::as_str) == Some("--role") {
        return exit(roles::run(&raw[1..]));
    }
    let args = match Args::parse(raw) {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{}", args::USAGE);
            return ExitCode::SUCCESS;
        }
        Err(complaint) => {
            eprintln!("{complaint}\n{}", args::USAGE);
            return ExitCode::FAILURE;
        }
    };
    exit(bench(&args))
}

fn bench(args: &Args) -> Result<(), String> {
    let started = Instant::now();
    let mut report = Report::new(&args.out)?;
    report.line(&machine::describe());
    let bench = Bench::prepare(args)?;
    for note in bench.notes() {
        report.line(note);
    }
    for section in &args.sections {
        eprintln!("== {section}");
        sections::run(section, &bench, &mut report)?;
    }
    report.targets();
    report.line(&format!(
        "CPU s/GB: user and system time of the client process over 10^9 bytes of FLV; medians of \
         {} interleaved rounds, smallest..largest in brackets. Whole run {:.0} s.",
        args.rounds,
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

fn exit(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("onair: {complaint}");
            ExitCode::FAILURE
        }
    }
}
