// SPDX-License-Identifier: MPL-2.0

//! What seeks leave behind: segments that add up, pads that flow again, and little that was read for
//! nothing.

use std::{
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use gst::{ClockTime, SeekFlags, SeekType, prelude::*};

use crate::{
    streams::{QUEUE, source, watch},
    support::{flv_builder::FlvBuilder, pipeline::Pipeline},
};

type Segment = gst::FormattedSegment<ClockTime>;

/// `seconds` of pictures and sound.
fn film(seconds: u32) -> FlvBuilder {
    let film = FlvBuilder::new().metadata(640.0).headers();
    (0..seconds).fold(film, |film, second| film.second(second * 1000))
}

fn play(file: &Path, between: &str) -> Pipeline {
    Pipeline::launch(&format!(
        "{} {between} ! flvdemuxbridge name=d d.video ! {QUEUE} ! appsink name=v \
         d.audio ! {QUEUE} ! fakesink sync=false",
        source(file)
    ))
}

/// The segments that a sink gets.
fn segments(sink: &gst::Element) -> Arc<Mutex<Vec<Segment>>> {
    let segments = Arc::new(Mutex::new(Vec::new()));
    let seen = segments.clone();
    let pad = sink.static_pad("sink").unwrap();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::EventView::Segment(segment)) = info.event().map(|event| event.view()) {
            let segment = segment.segment().downcast_ref::<ClockTime>().unwrap();
            seen.lock().unwrap().push(segment.clone());
        }
        gst::PadProbeReturn::Ok
    });
    segments
}

fn part(flags: SeekFlags, start: u64, stop: u64) -> gst::Event {
    gst::event::Seek::new(
        1.0,
        flags,
        SeekType::Set,
        ClockTime::from_mseconds(start),
        SeekType::Set,
        ClockTime::from_mseconds(stop),
    )
}

#[test]
fn loops_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.flv");
    fs::write(&file, film(4).bytes()).unwrap();
    let pipeline = play(&file, "");
    let sink = pipeline.element("v");
    let got = watch(&sink);
    pipeline.reach(gst::State::Paused);
    let segments = segments(&sink);
    assert!(sink.send_event(part(SeekFlags::FLUSH | SeekFlags::SEGMENT, 1000, 2000)));
    pipeline.play();
    for _ in 0..2 {
        pipeline.message(&[gst::MessageType::SegmentDone]);
        assert!(sink.send_event(part(SeekFlags::SEGMENT, 1000, 2000)));
    }
    pipeline.message(&[gst::MessageType::SegmentDone]);
    assert!(sink.send_event(part(SeekFlags::empty(), 1000, 2000)));
    pipeline.eos();
    let bases: Vec<_> = segments
        .lock()
        .unwrap()
        .iter()
        .map(|segment| segment.base().unwrap().mseconds())
        .collect();
    assert_eq!(bases, [0, 1000, 2000, 3000]);
    drop(pipeline);
    assert!(got.lock().unwrap().packets.len() >= 100);
}

#[test]
fn another_rate_goes_on_from_here() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.flv");
    fs::write(&file, film(20).bytes()).unwrap();
    let pipeline = Pipeline::launch(&format!(
        "{} ! flvdemuxbridge name=d d.video ! queue ! appsink name=v sync=false max-buffers=1 \
         d.audio ! queue ! fakesink sync=false",
        source(&file)
    ));
    pipeline.play();
    let sink = pipeline.element("v");
    let segments = segments(&sink);
    let flags = SeekFlags::FLUSH | SeekFlags::ACCURATE;
    let pictures: &gst_app::AppSink = sink.downcast_ref().unwrap();
    let mut start = ClockTime::ZERO;
    while start < ClockTime::from_seconds(10) {
        start = pictures
            .pull_sample()
            .unwrap()
            .buffer()
            .unwrap()
            .pts()
            .unwrap();
    }
    pipeline.reach(gst::State::Paused);
    let faster = gst::event::Seek::new(
        2.0,
        flags,
        SeekType::None,
        ClockTime::NONE,
        SeekType::None,
        ClockTime::NONE,
    );
    assert!(sink.send_event(faster));
    pipeline.reach(gst::State::Paused);
    let sink: gst_app::AppSink = sink.downcast().unwrap();
    let sample = sink.pull_preroll().unwrap();
    let pts = sample.buffer().unwrap().pts().unwrap();
    let segment = segments.lock().unwrap().last().unwrap().clone();
    assert!(pts >= start, "{pts}");
    // What is shown first is shown at once.
    let running = segment.to_running_time(segment.position()).unwrap();
    assert_eq!(running, ClockTime::ZERO, "{segment:?}");
}

/// Of a file whose pictures are larger than what is read at once.
#[test]
fn a_part_before_the_place_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.flv");
    let mut film = FlvBuilder::new().metadata(640.0).headers();
    for second in 0..20 {
        film = film.sound(second * 1000, 100);
        film = film.picture(second * 1000, true, 0, 400_000);
    }
    fs::write(&file, film.bytes()).unwrap();
    let pipeline = play(&file, "");
    let got = watch(&pipeline.element("v"));
    pipeline.play();
    pipeline.eos();
    assert_eq!(got.lock().unwrap().packets.len(), 20);
    got.lock().unwrap().packets.clear();
    let sink = pipeline.element("v");
    assert!(sink.send_event(part(SeekFlags::FLUSH, 5000, 8500)));
    pipeline.eos();
    let seen: Vec<_> = got.lock().unwrap().pts();
    assert_eq!(seen[..4], [5, 6, 7, 8].map(|s| s * 1_000_000_000));
}

#[test]
fn a_seek_reads_little() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.flv");
    let mut film = FlvBuilder::new().metadata(640.0).headers();
    for second in 0..400 {
        film = film.sound(second * 1000, 100);
        film = film.picture(second * 1000, true, 0, 90_000);
        film = film.picture(second * 1000 + 500, false, 0, 30_000);
    }
    fs::write(&file, film.bytes()).unwrap();
    drop(film);
    let pipeline = Pipeline::launch(&format!(
        "{} ! identity name=i ! flvdemuxbridge name=d d.video ! queue ! appsink name=v \
         d.audio ! queue ! fakesink sync=false",
        source(&file)
    ));
    let read = Arc::new(AtomicU64::new(0));
    let count = read.clone();
    let pad = pipeline.element("d").static_pad("sink").unwrap();
    pad.add_probe(
        gst::PadProbeType::PULL | gst::PadProbeType::BUFFER,
        move |_, info| {
            if let Some(buffer) = info.buffer() {
                count.fetch_add(buffer.size() as u64, Ordering::Relaxed);
            }
            gst::PadProbeReturn::Ok
        },
    );
    pipeline.reach(gst::State::Paused);
    let sink: gst_app::AppSink = pipeline.element("v").downcast().unwrap();
    for to in [390, 3, 200, 399, 100] {
        read.store(0, Ordering::Relaxed);
        sink.seek_simple(SeekFlags::FLUSH, ClockTime::from_seconds(to))
            .unwrap();
        let sample = sink.pull_preroll().unwrap();
        assert_eq!(sample.buffer().unwrap().pts().unwrap().seconds(), to);
        let read = read.load(Ordering::Relaxed);
        assert!(read < 8 << 20, "{to}: {read}");
    }
}

#[test]
fn what_is_pushed_can_be_sought_in_while_it_waits() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.flv");
    fs::write(&file, film(20).bytes()).unwrap();
    let pipeline = Pipeline::launch(&format!(
        "{} ! queue ! flvdemuxbridge name=d d.video ! appsink name=v \
         d.audio ! queue ! fakesink sync=false",
        source(&file)
    ));
    pipeline.reach(gst::State::Paused);
    let mut query = gst::query::Seeking::new(gst::Format::Time);
    assert!(pipeline.element("v").query(query.query_mut()));
    assert!(query.result().0);
}

#[test]
fn a_seek_that_fails_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.flv");
    fs::write(&file, film(5).bytes()).unwrap();
    for between in ["", "! queue"] {
        let pipeline = play(&file, between);
        let got = watch(&pipeline.element("v"));
        pipeline.reach(gst::State::Paused);
        // There is no way to say where the first thousand pictures end.
        let frames = gst::event::Seek::new(
            1.0,
            SeekFlags::FLUSH,
            SeekType::Set,
            gst::format::Default::from_u64(1000),
            SeekType::None,
            gst::format::Default::NONE,
        );
        assert!(!pipeline.element("v").send_event(frames));
        if !between.is_empty() {
            // Nor does anybody push a file backwards.
            let backwards = gst::event::Seek::new(
                -1.0,
                SeekFlags::FLUSH,
                SeekType::Set,
                ClockTime::ZERO,
                SeekType::Set,
                ClockTime::from_seconds(2),
            );
            assert!(!pipeline.element("v").send_event(backwards));
        }
        pipeline.play();
        pipeline.eos();
        assert_eq!(got.lock().unwrap().packets.len(), 125, "{between}");
    }
}

/// Sound ends early, and yet there has to be a preroll behind its end.
#[test]
fn sound_that_has_ended_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.flv");
    let mut film = film(2);
    for ms in (2000..60_000).step_by(40) {
        film = film.picture(ms, ms % 1000 == 0, 0, 700);
    }
    fs::write(&file, film.bytes()).unwrap();
    let short = "queue max-size-time=4000000000 max-size-buffers=0";
    let pipeline = Pipeline::launch(&format!(
        "{} ! flvdemuxbridge name=d d.video ! {short} ! appsink name=v max-buffers=1 \
         d.audio ! {short} ! appsink name=a",
        source(&file)
    ));
    let gaps = watch(&pipeline.element("a"));
    pipeline.reach(gst::State::Paused);
    let flags = SeekFlags::FLUSH | SeekFlags::KEY_UNIT;
    pipeline
        .pipeline
        .seek_simple(flags, ClockTime::from_seconds(20))
        .unwrap();
    pipeline.reach(gst::State::Paused);
    assert!(gaps.lock().unwrap().gaps > 0);
}
