// SPDX-License-Identifier: MPL-2.0

//! How far the pads of a muxer run ahead where nothing is live.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
    time::Duration,
};

use gst::prelude::*;

use crate::support::{pipeline::init, process::wait_until};

const MS: u64 = 1_000_000;

/// A muxer of pictures and sound that has had the first frame of both.
struct Begun {
    mux: gst::Element,
    video: gst::Pad,
    live: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
    _audio: gst::Pad,
    _out: gst::Pad,
}

impl Begun {
    fn new(properties: &[(&str, &str)]) -> Self {
        init();
        let mux = gst::ElementFactory::make("flvmuxbridge").build().unwrap();
        mux.set_property("streamable", true);
        for (name, value) in properties {
            mux.set_property_from_str(name, value);
        }
        let written = Arc::new(AtomicUsize::new(0));
        let counter = written.clone();
        let out = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function(move |_, _, _| {
                counter.fetch_add(1, Ordering::SeqCst);
                Ok(gst::FlowSuccess::Ok)
            })
            .build();
        out.set_active(true).unwrap();
        mux.static_pad("src").unwrap().link(&out).unwrap();
        mux.set_state(gst::State::Playing).unwrap();
        let live = Arc::new(AtomicBool::new(false));
        let picture = gst::Caps::builder("video/x-h264")
            .field("stream-format", "avc")
            .field("codec_data", gst::Buffer::from_slice([1u8, 66, 0, 30, 255]))
            .build();
        let sound = gst::Caps::builder("audio/mpeg")
            .field("mpegversion", 4i32)
            .field("stream-format", "raw")
            .field("rate", 44_100i32)
            .field("channels", 2i32)
            .field("codec_data", gst::Buffer::from_slice([0x12u8, 0x10]))
            .build();
        let begun = Self {
            video: feed(&mux, "video", &picture, &live),
            _audio: feed(&mux, "audio", &sound, &live),
            mux,
            live,
            written,
            _out: out,
        };
        begun.video.push(frame(Some(0), 10)).unwrap();
        begun._audio.push(frame(Some(0), 10)).unwrap();
        // File header, metadata, two configurations, a frame.
        wait_until("the first frame", || {
            begun.written.load(Ordering::SeqCst) >= 5
        });
        begun
    }

    fn ahead(&self) -> u64 {
        self.mux.property("min-upstream-latency")
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let _ = self.mux.set_state(gst::State::Null);
    }
}

fn feed(mux: &gst::Element, name: &str, caps: &gst::Caps, live: &Arc<AtomicBool>) -> gst::Pad {
    let live = live.clone();
    let pad = gst::Pad::builder(gst::PadDirection::Src)
        .name(format!("feed_{name}"))
        .query_function(move |pad, parent, query| match query.view_mut() {
            gst::QueryViewMut::Latency(latency) => {
                latency.set(live.load(Ordering::SeqCst), gst::ClockTime::ZERO, None);
                true
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .build();
    pad.set_active(true).unwrap();
    pad.link(&mux.request_pad_simple(name).unwrap()).unwrap();
    pad.push_event(gst::event::StreamStart::new(name));
    pad.push_event(gst::event::Caps::new(caps));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    pad.push_event(gst::event::Segment::new(&segment));
    pad
}

fn frame(ns: Option<u64>, size: usize) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(vec![0; size]);
    let pts = ns.map(gst::ClockTime::from_nseconds);
    buffer.make_mut().set_pts(pts);
    buffer
}

#[test]
fn pictures_run_ahead_of_sound() {
    let begun = Begun::new(&[]);
    assert_eq!(begun.ahead(), 200 * MS);
    let (pad, (tx, rx)) = (begun.video.clone(), channel());
    let feeder = thread::spawn(move || {
        for at in 1..=4 {
            pad.push(frame(Some(at * 40 * MS), 10)).unwrap();
        }
        tx.send(()).unwrap();
    });
    // No sound comes, and nothing is taken out.
    rx.recv_timeout(Duration::from_secs(30)).unwrap();
    feeder.join().unwrap();
}

#[test]
fn frames_without_times_do_not_pile_up() {
    let begun = Begun::new(&[]);
    // Behind the sound that is there, so that nothing is taken out.
    begun.video.push(frame(Some(100 * MS), 10)).unwrap();
    let (pad, pushed) = (begun.video.clone(), Arc::new(AtomicUsize::new(0)));
    let counter = pushed.clone();
    let feeder = thread::spawn(move || {
        while pad.push(frame(None, 1 << 20)).is_ok() {
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    wait_until("the end of running ahead", || begun.ahead() == 0);
    drop(begun);
    feeder.join().unwrap();
    let pushed = pushed.load(Ordering::SeqCst);
    assert!((1..=8).contains(&pushed), "{pushed} MiB");
}

#[test]
fn once_something_is_live_running_ahead_ends() {
    let begun = Begun::new(&[]);
    begun.live.store(true, Ordering::SeqCst);
    let mut query = gst::query::Latency::new();
    assert!(
        begun
            .mux
            .static_pad("src")
            .unwrap()
            .query(query.query_mut())
    );
    assert_eq!(query.result(), (true, gst::ClockTime::ZERO, None));
    assert_eq!(begun.ahead(), 0);
}

#[test]
fn latency_that_was_asked_for_stays() {
    let asked = [("min-upstream-latency", "1000000"), ("latency", "1000000")];
    for property in asked {
        let begun = Begun::new(&[property]);
        let expected = if property.0 == "latency" { 0 } else { MS };
        assert_eq!(begun.ahead(), expected);
        begun.mux.set_state(gst::State::Null).unwrap();
        assert_eq!(begun.ahead(), expected);
    }
    let begun = Begun::new(&[]);
    begun.mux.set_state(gst::State::Null).unwrap();
    assert_eq!(begun.ahead(), 0);
}
