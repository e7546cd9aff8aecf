// SPDX-License-Identifier: MPL-2.0

//! Seeking in files, with an index, without one, and with one that lies.

use std::{fs, path::Path};

use gst::prelude::*;

use crate::{
    streams::{QUEUE, source, watch},
    support::{media, pipeline::Pipeline},
};

/// PTS, in ms, of the first picture after a seek, and whether it is a key frame.
fn seek(file: &Path, between: &str, to: u64, flags: gst::SeekFlags) -> Option<(u64, bool, u64)> {
    let pipeline = Pipeline::launch(&format!(
        "{} {between} ! flvdemuxbridge name=d d.video ! {QUEUE} ! appsink name=v max-buffers=1 \
         d.audio ! {QUEUE} ! fakesink sync=false",
        source(file)
    ));
    pipeline.reach(gst::State::Paused);
    let sink = pipeline.element("v");
    let done = sink.seek_simple(
        flags | gst::SeekFlags::FLUSH,
        gst::ClockTime::from_mseconds(to),
    );
    if done.is_err() {
        return None;
    }
    let sink: gst_app::AppSink = sink.downcast().unwrap();
    sink.set_sync(false);
    let sample = sink.pull_preroll().unwrap();
    let buffer = sample.buffer().unwrap();
    let segment = sample
        .segment()
        .unwrap()
        .downcast_ref::<gst::ClockTime>()
        .unwrap();
    Some((
        buffer.pts().unwrap().mseconds(),
        !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        segment.start().unwrap().mseconds(),
    ))
}

#[test]
fn a_seek_lands_on_the_key_frame_before() {
    let dir = tempfile::tempdir().unwrap();
    let plain = media::h264_aac_of(20);
    let indexed = dir.path().join("indexed.flv");
    let pipeline = Pipeline::launch(&format!(
        "{} ! flvdemux name=d flvmuxbridge name=m ! filesink location={} \
         d.video ! {QUEUE} ! h264parse ! m. d.audio ! {QUEUE} ! aacparse ! m.",
        source(&plain),
        indexed.display()
    ));
    pipeline.play();
    pipeline.eos();
    drop(pipeline);
    // Positions that are off by a few bytes.
    let lying = dir.path().join("lying.flv");
    let mut bytes = fs::read(&indexed).unwrap();
    let at = bytes
        .windows(13)
        .position(|w| w == b"filepositions")
        .unwrap()
        + 13
        + 5;
    for entry in bytes[at..at + 20 * 9].chunks_mut(9) {
        let position = f64::from_be_bytes(entry[1..].try_into().unwrap());
        entry[1..].copy_from_slice(&(position + 7.0).to_be_bytes());
    }
    fs::write(&lying, bytes).unwrap();
    for file in [&plain, &indexed, &lying] {
        for to in [0, 500, 3_900, 10_040, 19_500] {
            for flags in [gst::SeekFlags::empty(), gst::SeekFlags::KEY_UNIT] {
                let (pts, key, start) = seek(file, "", to, flags).expect("a seek");
                // A key frame a second, shown two frames late.
                assert!(key, "{file:?} {to}");
                assert!(
                    pts <= to + 80 && to < pts + 1000,
                    "{file:?}: {to} gave {pts}"
                );
                if flags.is_empty() {
                    assert_eq!(start, to);
                } else {
                    assert!(start <= pts && pts - start <= 80, "{start} {pts}");
                }
            }
        }
    }
}

#[test]
fn positions_and_durations_are_known() {
    let file = media::h264_aac_of(20);
    let pipeline = Pipeline::launch(&format!(
        "{} ! flvdemuxbridge name=d d.video ! {QUEUE} ! appsink name=v \
         d.audio ! {QUEUE} ! fakesink sync=false",
        source(&file)
    ));
    let got = watch(&pipeline.element("v"));
    pipeline.reach(gst::State::Paused);
    let duration = pipeline
        .pipeline
        .query_duration::<gst::ClockTime>()
        .unwrap();
    assert!(duration.mseconds().abs_diff(20_000) < 200, "{duration}");
    pipeline.play();
    pipeline.eos();
    let position = pipeline
        .element("v")
        .query_position::<gst::ClockTime>()
        .unwrap();
    assert!(position.mseconds().abs_diff(20_000) < 300, "{position}");
    assert_eq!(got.lock().unwrap().packets.len(), 500);
}

#[test]
fn a_part_of_a_file_ends_where_it_was_asked_to() {
    let file = media::h264_aac_of(20);
    let pipeline = Pipeline::launch(&format!(
        "{} ! flvdemuxbridge name=d d.video ! {QUEUE} ! appsink name=v \
         d.audio ! {QUEUE} ! fakesink sync=false",
        source(&file)
    ));
    pipeline.reach(gst::State::Paused);
    let got = watch(&pipeline.element("v"));
    let seek = gst::event::Seek::new(
        1.0,
        gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE,
        gst::SeekType::Set,
        gst::ClockTime::from_seconds(5),
        gst::SeekType::Set,
        gst::ClockTime::from_seconds(7),
    );
    assert!(pipeline.pipeline.send_event(seek));
    pipeline.play();
    pipeline.eos();
    let last = got.lock().unwrap().packets.last().unwrap().dts.unwrap();
    assert!(last.seconds() < 10, "{last}");
}
