// SPDX-License-Identifier: MPL-2.0

//! rtmpsrc takes a stream off the air, and an application looks at its pictures.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gst::{ClockTime, prelude::*};

mod common;

const USAGE: &str = "\
Plays a stream and says once a second what its pictures look like.

Usage: play URL

  URL   rtmp:// or rtmps://, for example rtmp://127.0.0.1/live/bars

Ctrl-C ends it.";

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
    match play(&url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn play(url: &str) -> Result<(), String> {
    common::init()?;
    // The sound has to go somewhere: a demuxer without a link where its first tag goes gives up.
    // FLV holds whole access units; the demuxer does not say so, and the decoder asks for it where
    // no h264parse is installed.
    let pipeline = common::pipeline(
        "rtmpsrc name=air ! flvdemux name=demux \
         demux.video ! queue ! capssetter caps=\"video/x-h264,alignment=(string)au\" ! decodebin \
         ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=pictures \
         demux.audio ! fakesink async=false",
    )?;
    let by_name = |name| pipeline.by_name(name).expect("it is in the line above");
    by_name("air").set_property("location", url);

    let report = Arc::new(Mutex::new(Report {
        since: Instant::now(),
        pictures: 0,
        total: 0,
    }));
    let pictures: gst_app::AppSink = by_name("pictures").downcast().expect("it is an appsink");
    let of_thread = report.clone();
    pictures.set_callbacks(
        gst_app::AppSinkCallbacks::builder()
            .new_sample(move |sink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let picture = Picture::of(&sample).ok_or(gst::FlowError::Error)?;
                of_thread.lock().expect("it never panics").add(picture);
                Ok(gst::FlowSuccess::Ok)
            })
            .build(),
    );

    println!("Playing {url}; Ctrl-C ends it.");
    let outcome = common::run(&pipeline, |_| false);
    let total = report.lock().expect("it never panics").total;
    println!("Ended after {total} pictures.");
    outcome
}

/// What we say about one picture.
struct Picture {
    pts: Option<ClockTime>,
    width: usize,
    height: usize,
    /// Mean of all pixels: 0 is black, 255 is white.
    brightness: f64,
}

impl Picture {
    fn of(sample: &gst::Sample) -> Option<Self> {
        let format = sample.caps()?.structure(0)?;
        let width = usize::try_from(format.get::<i32>("width").ok()?).ok()?;
        let height = usize::try_from(format.get::<i32>("height").ok()?).ok()?;
        let buffer = sample.buffer()?;
        let map = buffer.map_readable().ok()?;
        // Rows begin at multiples of four bytes.
        let rows = map.chunks(width.next_multiple_of(4)).take(height);
        let sum: u64 = rows
            .flat_map(|row| row.iter().take(width))
            .map(|pixel| u64::from(*pixel))
            .sum();
        Some(Self {
            pts: buffer.pts(),
            width,
            height,
            brightness: sum as f64 / (width * height).max(1) as f64,
        })
    }
}

/// The pictures of the running second.
struct Report {
    since: Instant,
    pictures: u32,
    total: u64,
}

impl Report {
    fn add(&mut self, picture: Picture) {
        self.pictures += 1;
        self.total += 1;
        let span = self.since.elapsed();
        if span < Duration::from_secs(1) {
            return;
        }
        println!(
            "{}  {}x{}  {:.1} pictures/s  brightness {:.0}",
            picture.pts.display(),
            picture.width,
            picture.height,
            f64::from(self.pictures) / span.as_secs_f64(),
            picture.brightness,
        );
        (self.since, self.pictures) = (Instant::now(), 0);
    }
}
