// SPDX-License-Identifier: MPL-2.0

//! Pipelines that publish, and what is waited for.

use std::time::Instant;

use gst::prelude::*;

use crate::{
    media::Frames,
    server::Server,
    support::{pipeline::Pipeline, process::PATIENCE},
};

/// Waits until an element message of this name has come that is right.
#[track_caller]
pub fn wait_for(
    pipeline: &Pipeline,
    name: &str,
    right: impl Fn(&gst::StructureRef) -> bool,
) -> gst::Structure {
    let until = Instant::now() + PATIENCE;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let bus = pipeline.pipeline.bus().unwrap();
        let timeout = gst::ClockTime::from_nseconds(left.as_nanos() as u64);
        let message = bus.timed_pop(timeout);
        let message = message.unwrap_or_else(|| panic!("no {name}"));
        match message.view() {
            gst::MessageView::Error(error) => panic!("{error:?}"),
            // Shown where the test fails.
            gst::MessageView::Warning(warning) => println!("{}", warning.error()),
            gst::MessageView::Element(element) => {
                if let Some(structure) = element.structure()
                    && structure.name() == name
                    && right(structure)
                {
                    return structure.to_owned();
                }
            }
            _ => {}
        }
    }
}

#[track_caller]
pub fn wait_for_status(pipeline: &Pipeline, status: &str) -> gst::Structure {
    wait_for(pipeline, "wcs-stream-status", |structure| {
        structure.get::<&str>("status") == Ok(status)
    })
}

/// Waits until so many frames are there.
#[track_caller]
pub fn wait_for_frames(frames: &Frames, many: usize) {
    wait_until("frames", || frames.lock().unwrap().len() >= many);
}

/// For what has no event of its own.
#[track_caller]
pub fn wait_until(what: &str, is: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < until, "no {what}");
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

pub const PICTURE: &str = "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1 ! \
    vp8enc name=encoder deadline=1 keyframe-max-dist=3000";
pub const TONE: &str = "audiotestsrc is-live=true wave=white-noise ! opusenc name=tone";

pub fn publisher(server: &Server, more: &str, chains: &str) -> Pipeline {
    Pipeline::launch(&format!(
        "wcswebrtcbin name=wcs uri={} stream-name=demo action=publish local-address=127.0.0.1 {more} {chains}",
        server.uri()
    ))
}
