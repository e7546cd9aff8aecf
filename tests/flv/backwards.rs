// SPDX-License-Identifier: MPL-2.0

//! Files played backwards: from key frame to key frame before it, each stretch forwards.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use gst::{BufferFlags, ClockTime, SeekFlags, SeekType, prelude::*};

use crate::{
    streams::{QUEUE, source},
    support::{flv_builder::FlvBuilder, media, pipeline::Pipeline},
};

#[derive(Clone, Debug, PartialEq)]
struct Frame {
    pts: u64,
    key: bool,
    discont: bool,
    data: Vec<u8>,
}

type Frames = Arc<Mutex<Vec<Frame>>>;

/// What flows into an element.
fn frames(element: &gst::Element) -> Frames {
    let frames = Frames::default();
    let seen = frames.clone();
    let pad = element.static_pad("sink").unwrap();
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH;
    pad.add_probe(kinds, move |_, info| {
        let mut seen = seen.lock().unwrap();
        match info.buffer() {
            Some(buffer) => seen.push(Frame {
                pts: buffer.pts().unwrap().mseconds(),
                key: !buffer.flags().contains(BufferFlags::DELTA_UNIT),
                discont: buffer.flags().contains(BufferFlags::DISCONT),
                data: buffer.map_readable().unwrap().to_vec(),
            }),
            None => seen.clear(),
        }
        gst::PadProbeReturn::Ok
    });
    frames
}

type Part = (f64, u64, Option<u64>);

fn seek((rate, start, stop): Part) -> gst::Event {
    let stop = stop.map(ClockTime::from_mseconds);
    let flags = SeekFlags::FLUSH | SeekFlags::ACCURATE;
    let start = ClockTime::from_mseconds(start);
    gst::event::Seek::new(rate, flags, SeekType::Set, start, SeekType::Set, stop)
}

/// Pictures and sounds of a part, at this rate.
fn played(file: &Path, part: Part) -> [Vec<Frame>; 2] {
    let pipeline = Pipeline::launch(&format!(
        "{} ! flvdemuxbridge name=d d.video ! {QUEUE} name=pictures ! fakesink sync=false \
         d.audio ! {QUEUE} name=sounds ! fakesink sync=false",
        source(file)
    ));
    let got = ["pictures", "sounds"].map(|name| frames(&pipeline.element(name)));
    pipeline.reach(gst::State::Paused);
    assert!(pipeline.pipeline.send_event(seek(part)));
    pipeline.play();
    pipeline.eos();
    drop(pipeline);
    got.map(|frames| std::mem::take(&mut *frames.lock().unwrap()))
}

/// The same pictures as they come backwards.
fn turned(forwards: &[Frame]) -> Vec<Frame> {
    let mut stretches: Vec<Vec<Frame>> = Vec::new();
    for frame in forwards.iter().cloned() {
        if frame.key {
            stretches.push(Vec::new());
        }
        let discont = frame.key;
        stretches
            .last_mut()
            .unwrap()
            .push(Frame { discont, ..frame });
    }
    stretches.into_iter().rev().flatten().collect()
}

fn sorted(mut frames: Vec<Frame>) -> Vec<(u64, Vec<u8>)> {
    frames.sort_by_key(|frame| frame.pts);
    frames
        .into_iter()
        .map(|frame| (frame.pts, frame.data))
        .collect()
}

#[test]
fn a_film_from_its_end_to_its_beginning() {
    for file in [media::h264_aac_of(20), media::h264_aac_indexed()] {
        let [pictures, sounds] = played(&file, (1.0, 0, None));
        let [back, sounds_back] = played(&file, (-1.0, 0, None));
        assert!(pictures.len() >= 50 && back == turned(&pictures));
        // What steps back says so.
        for two in sounds_back.windows(2) {
            assert_eq!(two[1].discont, two[1].pts < two[0].pts, "{}", two[1].pts);
        }
        assert!(sounds_back[0].pts > sounds_back.last().unwrap().pts);
        assert_eq!(sorted(sounds_back), sorted(sounds));
    }
}

#[test]
fn a_part_begins_with_the_group_that_ends_it() {
    let file = media::h264_aac_of(20);
    let [pictures, _] = played(&file, (1.0, 0, None));
    let [back, _] = played(&file, (-2.0, 5_500, Some(7_500)));
    let part: Vec<_> = pictures
        .iter()
        .skip_while(|frame| !frame.key || frame.pts < 5_000)
        .take(75)
        .cloned()
        .collect();
    assert!(part[0].key && back == turned(&part), "{}", back.len());
}

/// Sound has no key frames: it comes by the second.
#[test]
fn sound_alone() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.flv");
    let sounds = FlvBuilder::new().metadata(0.0).headers();
    let sounds = (1..240u32).fold(sounds, |file, n| file.sound(n * 25, 180 + n as usize));
    // Nothing but sound and its header.
    let tags = sounds.tags().filter(|tag| tag[0] == 8);
    let bytes = tags.fold(sounds.bytes()[..13].to_vec(), |file, tag| {
        [&file[..], tag].concat()
    });
    fs::write(&file, bytes).unwrap();
    let play = |rate| {
        let pipeline = Pipeline::launch(&format!(
            "{} ! flvdemuxbridge name=d d.audio ! {QUEUE} name=sounds ! fakesink sync=false",
            source(&file)
        ));
        let got = frames(&pipeline.element("sounds"));
        pipeline.reach(gst::State::Paused);
        assert!(pipeline.pipeline.send_event(seek((rate, 0, None))));
        pipeline.play();
        pipeline.eos();
        drop(pipeline);
        std::mem::take(&mut *got.lock().unwrap())
    };
    let back = play(-1.0);
    let jumps = back.iter().filter(|frame| frame.discont).count();
    assert!((6..=8).contains(&jumps), "{jumps}");
    let forwards = sorted(play(1.0));
    assert_eq!(forwards.len(), 239);
    assert_eq!(sorted(back), forwards);
}

/// A decoder makes of it what it makes of the film forwards. Behind flvdemux 1.22 it misses half of the pictures,
/// with an index and without.
#[test]
fn decoders_play_it_backwards() {
    let file = media::h264_aac_of(5);
    let decoded = |rate| {
        let pipeline = Pipeline::launch(&format!(
            "{} ! flvdemuxbridge name=d d.video ! {QUEUE} ! h264parse ! avdec_h264 max-threads=1 ! \
             {QUEUE} name=pictures ! fakesink sync=false d.audio ! {QUEUE} ! fakesink sync=false",
            source(&file)
        ));
        pipeline.reach(gst::State::Paused);
        let got = frames(&pipeline.element("pictures"));
        assert!(pipeline.pipeline.send_event(seek((rate, 0, None))));
        pipeline.play();
        pipeline.eos();
        drop(pipeline);
        let got = std::mem::take(&mut *got.lock().unwrap());
        let pictures = got.into_iter().map(|frame| (frame.pts, frame.data));
        pictures.collect::<Vec<_>>()
    };
    let mut back = decoded(-1.0);
    assert_eq!(back.len(), 125);
    back.reverse();
    assert!(back == decoded(1.0));
}

#[test]
fn loops_end_at_their_beginning() {
    let file = media::h264_aac_of(5);
    let pipeline = Pipeline::launch(&format!(
        "{} ! flvdemuxbridge name=d d.video ! {QUEUE} ! fakesink name=v sync=false \
         d.audio ! {QUEUE} ! fakesink sync=false",
        source(&file)
    ));
    pipeline.reach(gst::State::Paused);
    let part = |flags| {
        let (start, stop) = (ClockTime::from_seconds(1), ClockTime::from_seconds(3));
        gst::event::Seek::new(-1.0, flags, SeekType::Set, start, SeekType::Set, stop)
    };
    let sink = pipeline.element("v");
    assert!(sink.send_event(part(SeekFlags::FLUSH | SeekFlags::SEGMENT)));
    pipeline.play();
    for _ in 0..2 {
        let message = pipeline.message(&[gst::MessageType::SegmentDone]);
        let gst::MessageView::SegmentDone(done) = message.view() else {
            unreachable!()
        };
        assert_eq!(done.get(), ClockTime::from_seconds(1).into());
        assert!(sink.send_event(part(SeekFlags::SEGMENT)));
    }
    // And forwards again.
    assert!(sink.send_event(seek((1.0, 4_000, None))));
    pipeline.eos();
}
