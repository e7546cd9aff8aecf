// SPDX-License-Identifier: MPL-2.0

//! An application draws the pictures itself, and rtmpsink puts them on the air.
//!
//! The application draws ahead as far as the appsrc takes it, which is two pictures. The pictures
//! carry their time, and `identity sync=true` lets each through when the clock has come that far,
//! as a camera would. What leaves the muxer is due, so the sink need not wait again (`sync=false`).

use std::process::ExitCode;

use gst::{ClockTime, prelude::*};

mod common;

const USAGE: &str = "\
Draws moving bars and publishes them with a tone.

Usage: publish URL

  URL   rtmp:// or rtmps://, for example rtmp://127.0.0.1/live/bars
        (try it: cargo run --example broadcast -- --listen)

Ctrl-C ends the stream.";

const WIDTH: usize = 640;
const HEIGHT: usize = 360;
const RATE: u64 = 25;
/// Red, green and blue, a byte each.
const BARS: [[u8; 3]; 8] = [
    [235, 235, 235],
    [235, 235, 16],
    [16, 235, 235],
    [16, 235, 16],
    [235, 16, 235],
    [235, 16, 16],
    [16, 16, 235],
    [16, 16, 16],
];

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), None) = (arguments.next(), arguments.next()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if url == "--help" {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match publish(&url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn publish(url: &str) -> Result<(), String> {
    common::init()?;
    let pipeline = common::pipeline(
        "appsrc name=pictures ! identity sync=true ! videoconvert \
         ! x264enc tune=zerolatency speed-preset=veryfast bitrate=1500 key-int-max=50 ! queue ! mux. \
         audiotestsrc is-live=true volume=0.1 ! audio/x-raw,rate=48000,channels=2 ! audioconvert \
         ! avenc_aac ! queue ! mux. \
         flvmux name=mux streamable=true ! rtmpsink name=air sync=false",
    )?;
    let by_name = |name| pipeline.by_name(name).expect("it is in the line above");
    by_name("air").set_property("location", url);

    let pictures: gst_app::AppSrc = by_name("pictures").downcast().expect("it is an appsrc");
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "RGB")
        .field("width", WIDTH as i32)
        .field("height", HEIGHT as i32)
        .field("framerate", gst::Fraction::new(RATE as i32, 1))
        .build();
    pictures.set_caps(Some(&caps));
    pictures.set_format(gst::Format::Time);
    pictures.set_is_live(true);
    // Enough to never be late, little enough to not be behind.
    pictures.set_max_buffers(2);
    pictures.set_max_bytes(0);
    pictures.set_block(true);
    // Ends with the program: a pipeline that does not even start would not wake it.
    std::thread::spawn(move || feed(&pictures));

    println!("Publishing to {url}; Ctrl-C ends it.");
    let outcome = common::run(&pipeline, |_| false);
    println!("Ended.");
    outcome
}

/// Draws until the pipeline takes no more.
fn feed(pictures: &gst_app::AppSrc) {
    let duration = ClockTime::SECOND / RATE;
    for number in 0.. {
        let mut buffer = gst::Buffer::from_mut_slice(draw(number));
        let edit = buffer.get_mut().expect("nobody else has it yet");
        edit.set_pts(duration * number as u64);
        edit.set_duration(duration);
        // Blocks while the queue is full; fails when the pipeline ends.
        if pictures.push_buffer(buffer).is_err() {
            return;
        }
    }
}

/// Bars that move four pixels to the left with each picture.
fn draw(number: usize) -> Vec<u8> {
    let row: Vec<u8> = (0..WIDTH)
        .flat_map(|x| BARS[(x + 4 * number) * BARS.len() / WIDTH % BARS.len()])
        .collect();
    row.repeat(HEIGHT)
}
