// SPDX-License-Identifier: MPL-2.0

//! An encoder that asks of the network what the network can do.
//!
//! When more is sent than goes through, rtmpsink says so upstream, once a second until all is well again:
//! the event `rtmp-bitrate` says how many bits a second sound and pictures together should have (see the
//! property `estimated-bitrate` of rtmpsink). It passes the muxer and comes to the source pad of x264enc,
//! where a probe turns it into the property `bitrate`.

use std::process::ExitCode;

use gst::prelude::*;

mod common;

const USAGE: &str = "\
Publishes a test picture with a tone, and lets the network say in which quality.

Usage: adaptive URL [KBPS [PACE]]

  URL   rtmp:// or rtmps://, for example rtmp://127.0.0.1/live/bars
        (try it: cargo run --example server)
  KBPS  the most that the pictures may have, in kbit/s (default 2500)
  PACE  what the network is to carry after ten seconds and until the thirtieth, in kbit/s, to see what
        happens (default: what it does)

Ctrl-C ends the stream.";

/// Of the sound.
const SOUND_KBPS: u32 = 128;
/// With less there is nothing to be seen.
const LEAST_KBPS: u32 = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).map(|text| text.parse::<u32>());
    match (arguments.first(), number(1), number(2)) {
        (Some(help), ..) if help == "--help" => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        (Some(url), None | Some(Ok(_)), None | Some(Ok(_))) if arguments.len() <= 3 => {
            let most = number(1).and_then(Result::ok).unwrap_or(2500);
            match publish(url, most, number(2).and_then(Result::ok)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(sentence) => {
                    eprintln!("{sentence}");
                    ExitCode::FAILURE
                }
            }
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn publish(url: &str, most: u32, pace: Option<u32>) -> Result<(), String> {
    common::init()?;
    let pipeline = common::pipeline(
        "videotestsrc is-live=true pattern=snow ! video/x-raw,width=640,height=360,framerate=25/1 \
         ! x264enc name=encoder tune=zerolatency speed-preset=veryfast key-int-max=50 ! queue ! mux. \
         audiotestsrc is-live=true volume=0.1 ! audio/x-raw,rate=48000,channels=2 ! audioconvert \
         ! avenc_aac bitrate=128000 ! queue ! mux. \
         flvmux name=mux streamable=true ! rtmpsink name=air",
    )?;
    let by_name = |name| pipeline.by_name(name).expect("it is in the line above");
    let (encoder, air) = (by_name("encoder"), by_name("air"));
    air.set_property("location", url);
    encoder.set_property("bitrate", most);
    follow(&encoder, most);
    if let Some(pace) = pace {
        for (after, kbps) in [(10, pace), (30, 0)] {
            let air = air.clone();
            gst::glib::timeout_add_seconds_local_once(after, move || {
                println!("The network carries {kbps} kbit/s now (0: what it can).");
                air.set_property("peak-kbps", kbps);
            });
        }
    }
    println!("Publishing to {url}; Ctrl-C ends it.");
    let outcome = common::run(&pipeline, |_| false);
    println!("Ended.");
    outcome
}

/// Has the encoder follow what comes from downstream, up to `most` kbit/s.
fn follow(encoder: &gst::Element, most: u32) {
    let pad = encoder.static_pad("src").expect("an encoder has one");
    let encoder = encoder.downgrade();
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let advice = info.event().and_then(|event| event.structure());
        let Some(advice) = advice.filter(|advice| advice.name() == "rtmp-bitrate") else {
            return gst::PadProbeReturn::Ok;
        };
        if let (Ok(bitrate), Some(encoder)) = (advice.get::<u64>("bitrate"), encoder.upgrade()) {
            let kbps = u32::try_from(bitrate / 1000).unwrap_or(u32::MAX);
            let kbps = kbps
                .saturating_sub(SOUND_KBPS)
                .clamp(LEAST_KBPS.min(most), most);
            println!("{advice} -> {kbps} kbit/s for the pictures");
            encoder.set_property("bitrate", kbps);
        }
        gst::PadProbeReturn::Ok
    });
}
