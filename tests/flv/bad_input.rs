// SPDX-License-Identifier: MPL-2.0

//! Files that lie, end early or hold junk.

use std::{
    fs,
    sync::{Arc, LazyLock, Mutex},
};

use gst::prelude::*;

use crate::{
    streams::{demuxed, watch},
    support::{
        flv_builder::FlvBuilder,
        media,
        pipeline::{Pipeline, init},
    },
};

static FILM: LazyLock<Vec<u8>> = LazyLock::new(|| fs::read(media::h264_aac()).expect("media"));

/// A demuxer that is pushed to by hand, and counts what it pushes.
struct Bench {
    pad: gst::Pad,
    element: gst::Element,
    frames: Arc<Mutex<Vec<usize>>>,
    /// A link does not keep them.
    sinks: Arc<Mutex<Vec<gst::Pad>>>,
}

impl Bench {
    fn new() -> Self {
        init();
        let element = gst::ElementFactory::make("flvdemuxbridge").build().unwrap();
        let frames = Arc::new(Mutex::new(Vec::new()));
        let sinks = Arc::new(Mutex::new(Vec::new()));
        let (seen, kept) = (frames.clone(), sinks.clone());
        element.connect_pad_added(move |_, pad| {
            let seen = seen.clone();
            let sink = gst::Pad::builder(gst::PadDirection::Sink)
                .chain_function(move |_, _, buffer| {
                    seen.lock().unwrap().push(buffer.size());
                    Ok(gst::FlowSuccess::Ok)
                })
                .event_function(|_, _, _| true)
                .build();
            sink.set_active(true).unwrap();
            pad.link(&sink).unwrap();
            kept.lock().unwrap().push(sink);
        });
        let pad = gst::Pad::builder(gst::PadDirection::Src).build();
        pad.set_active(true).unwrap();
        pad.link(&element.static_pad("sink").unwrap()).unwrap();
        element.set_state(gst::State::Playing).unwrap();
        pad.push_event(gst::event::StreamStart::new("test"));
        let bench = Self {
            pad,
            element,
            frames,
            sinks,
        };
        bench.begin();
        bench
    }

    fn begin(&self) {
        let segment = gst::FormattedSegment::<gst::format::Bytes>::new();
        self.pad.push_event(gst::event::Segment::new(&segment));
    }

    /// Frames that came of these bytes, in pieces of `size`.
    fn feed(&self, bytes: &[u8], size: usize) -> usize {
        for piece in bytes.chunks(size) {
            let _ = self.pad.push(gst::Buffer::from_slice(piece.to_vec()));
        }
        self.pad.push_event(gst::event::Eos::new());
        self.frames.lock().unwrap().len()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.element.set_state(gst::State::Null);
        self.sinks.lock().unwrap().clear();
    }
}

fn frames(bytes: &[u8], size: usize) -> usize {
    Bench::new().feed(bytes, size)
}

#[test]
fn a_file_cut_anywhere_gives_the_frames_before_the_cut() {
    let film = FlvBuilder::new()
        .metadata(640.0)
        .headers()
        .second(0)
        .second(1000)
        .second(2000);
    let film = film.bytes();
    // Where tags end, and how many frames there are by then.
    let mut ends = vec![(13, 0)];
    let mut at = 13;
    let mut count = 0;
    while at < film.len() {
        let size = u32::from_be_bytes([0, film[at + 1], film[at + 2], film[at + 3]]) as usize;
        let body = &film[at + 11..at + 11 + size];
        let frame = match film[at] {
            8 => body.get(1) == Some(&1),
            9 => body.get(1) == Some(&1),
            _ => false,
        };
        count += usize::from(frame);
        at += size + 15;
        ends.push((at, count));
    }
    assert!(count == 195 && film.len() > 64 << 10);
    let expected = |cut: usize| {
        let end = ends.iter().rfind(|(end, _)| *end <= cut);
        end.map_or(0, |(_, count)| *count)
    };
    // A demuxer that has seen nothing before, around each end of a tag.
    let around = ends
        .iter()
        .flat_map(|&(end, _)| end.saturating_sub(2)..end + 12);
    for cut in around.filter(|cut| *cut <= 64 << 10) {
        let cut = cut.min(film.len());
        assert_eq!(frames(&film[..cut], 4096), expected(cut), "cut at {cut}");
    }
    // At every byte one that was flushed, which is quicker than to make a new one.
    let bench = Bench::new();
    assert_eq!(bench.feed(film, film.len()), 195);
    let whole = gst::Buffer::from_slice(film.to_vec());
    for cut in 0..=64 << 10 {
        bench.frames.lock().unwrap().clear();
        bench.pad.push_event(gst::event::FlushStart::new());
        bench.pad.push_event(gst::event::FlushStop::new(true));
        bench.begin();
        let piece = whole.copy_region(gst::BufferCopyFlags::MEMORY, 0..cut);
        let _ = bench.pad.push(piece.unwrap());
        bench.pad.push_event(gst::event::Eos::new());
        let frames = bench.frames.lock().unwrap().len();
        assert_eq!(frames, expected(cut), "cut at {cut}");
    }
}

#[test]
fn pieces_of_any_size_give_the_same() {
    let whole = frames(&FILM[..200_000], 200_000);
    assert!(whole > 10, "{whole}");
    for size in [1, 2, 3, 11, 15, 100, 1023, 65_536] {
        assert_eq!(frames(&FILM[..200_000], size), whole, "{size}");
    }
}

#[test]
fn junk_is_skipped_and_marked() {
    let file = FlvBuilder::new().headers().second(0).second(1000);
    let whole = frames(file.bytes(), 4096);
    assert_eq!(whole, 130);
    let tags: Vec<_> = file.tags().collect();
    for junk in [&[0xff; 500][..], &[9; 40], b"FLW", &[0x08, 0, 0, 1, 0, 0]] {
        let mut bytes = file.bytes()[..13].to_vec();
        for (at, tag) in tags.iter().enumerate() {
            bytes.extend_from_slice(tag);
            if at == 40 {
                bytes.extend_from_slice(junk);
            }
        }
        for size in [1, 4096] {
            assert_eq!(frames(&bytes, size), whole, "{junk:x?} {size}");
        }
    }
}

#[test]
fn wrong_back_pointers_do_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = FILM.clone();
    let mut at = 13;
    while at < file.len() {
        let size = u32::from_be_bytes([0, file[at + 1], file[at + 2], file[at + 3]]) as usize;
        at += size + 15;
        file[at - 4..at].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    }
    let path = dir.path().join("x.flv");
    fs::write(&path, &file).unwrap();
    let [video, audio] = demuxed(&media::h264_aac(), "", "flvdemuxbridge");
    assert_eq!(demuxed(&path, "", "flvdemuxbridge"), [video, audio]);
}

#[test]
fn bodies_that_lie_take_nobody_with_them() {
    let whole = frames(FlvBuilder::new().headers().second(0).bytes(), 4096);
    assert_eq!(whole, 65);
    let mut nested = vec![0xa7];
    for _ in 0..10_000 {
        nested.extend([2, 0, 0, 1, 0x07]);
    }
    for (kind, body) in [
        (9, &b""[..]),
        (9, b"\x17"),
        (9, b"\x17\x01"),
        (9, b"\x17\x00\x00\x00\x00"),
        (9, b"\x96\x11avc1\x01\xff\xff\xff"),
        (9, b"\x96\x06avc1\x01"),
        (9, b"\x96\xf1avc1\x01"),
        (9, b"\xa7\xff\xff\xff\x00"),
        (9, b"\xd1\x00\x00\x00"),
        (9, b"\x94hvc1\x03\x00"),
        (9, b"\x91????\x00\x00\x00"),
        (9, b"\x18\x00\x00"),
        (8, b""),
        (8, b"\xaf"),
        (8, b"\xaf\x07"),
        (8, b"\x94Opus\x02\xff"),
        (8, b"\x95\x11Opus\x01\xff\xff\xff"),
        (8, b"\xd0"),
        (18, b""),
        (18, b"\x02\xff\xff"),
        (18, b"\x02\x00\x0aonMetaData\x08\xff\xff\xff\xff"),
        (15, b"\x00\x11\x09\xff"),
        (7, b"whatever"),
        (9, &nested),
    ] {
        let file = FlvBuilder::new().headers().tag(kind, 0, body).second(0);
        assert_eq!(
            frames(file.bytes(), 4096),
            whole,
            "{kind} {:x?}",
            &body[..body.len().min(12)]
        );
    }
}

/// What decoders are told with every pipeline that is linked is bounded: a MiB.
#[test]
fn a_configuration_has_bounds() {
    let most = 1 << 20;
    for (length, taken) in [(most, true), (most + 1, false)] {
        let body = [&b"\x17\x00\x00\x00\x00"[..], &vec![1; length]].concat();
        let file = FlvBuilder::new().headers().second(0).tag(9, 1000, &body);
        let bench = Bench::new();
        bench.feed(file.second(1000).bytes(), 4096);
        let caps = bench.element.static_pad("video").unwrap().current_caps();
        let caps = caps.expect("caps");
        let data = caps.structure(0).unwrap().get::<gst::Buffer>("codec_data");
        assert_eq!(data.unwrap().size() == length, taken, "{length}");
    }
}

#[test]
fn strangers_and_empty_files_are_told_so() {
    let dir = tempfile::tempdir().unwrap();
    for (bytes, says) in [
        (&b"GIF89a, and whatever comes behind that"[..], "no FLV"),
        (
            b"FLV\x01\x05\0\0\0\x09\0\0\0\0",
            "neither pictures nor sound",
        ),
        (
            b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x29\0\0\x01\0\0\0\0\0\0\0x\0\0\0\x0c",
            "encrypted",
        ),
    ] {
        let path = dir.path().join("x.flv");
        fs::write(&path, bytes).unwrap();
        for between in ["", "! queue"] {
            let pipeline = Pipeline::launch(&format!(
                "filesrc location={} {between} ! flvdemuxbridge name=d",
                path.display()
            ));
            pipeline.play();
            let failure = pipeline.error_of("d");
            failure.assert_sentence();
            assert!(failure.error.message().contains(says), "{failure:?}");
        }
    }
}

#[test]
fn sixty_days_of_timestamps_do_not_wrap() {
    let mut file = FlvBuilder::new().headers();
    let hour = 3_600_000u64;
    for at in (0..60 * 24 * hour).step_by(hour as usize * 6) {
        file = file.picture(at as u32, true, 0, 10).sound(at as u32, 10);
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.flv");
    fs::write(&path, file.bytes()).unwrap();
    let [video, audio] = demuxed(&path, "! queue", "flvdemuxbridge");
    for stream in [video, audio] {
        let times: Vec<_> = stream
            .packets
            .iter()
            .map(|p| p.pts.unwrap().mseconds())
            .collect();
        let expected: Vec<_> = (0..60 * 24 * hour).step_by(hour as usize * 6).collect();
        assert_eq!(times, expected);
    }
}

/// A muxer that runs for sixty days, and a demuxer behind it: the clock of the wire wraps after 49.7.
#[test]
fn sixty_days_through_muxer_and_demuxer_are_sixty_days() {
    const STEP: gst::ClockTime = gst::ClockTime::from_seconds(300);
    const DAYS: u64 = 60;
    let caps = "video/x-vp8";
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=in format=time max-buffers=0 max-bytes=0 max-time=0 caps={caps} ! \
         flvmuxbridge streamable=true ! flvdemuxbridge ! queue ! appsink name=out"
    ));
    let got = watch(&pipeline.element("out"));
    let source: gst_app::AppSrc = pipeline.element("in").downcast().unwrap();
    pipeline.play();
    let count = DAYS * 86_400 / STEP.seconds();
    for number in 0..count {
        let mut buffer = gst::Buffer::from_slice([0x10, 0, 0, 0x9d, 1, 0x2a, 64, 0, 48, 0]);
        buffer.make_mut().set_pts(STEP * number);
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    pipeline.eos();
    let times: Vec<_> = got.lock().unwrap().pts();
    let expected: Vec<_> = (0..count)
        .map(|number| (STEP * number).nseconds())
        .collect();
    assert_eq!(times, expected);
}

/// A day of pictures at 25 and sound at 43 frames a second, each where it belongs to the millisecond.
#[test]
fn a_day_of_frames_keeps_its_time() {
    const DAY: u64 = 86_400_000;
    let picture = |n: u64| n * 40;
    let sound = |n: u64| n * 1_024_000 / 44_100;
    let mut reader_times = [Vec::new(), Vec::new()];
    // Of each hour a second, so that a day has 3600 frames and not two million.
    let mut file = FlvBuilder::new().headers();
    for hour in 0..=24 {
        let from = hour * DAY / 24;
        let pictures = (from / 40..).take(25).map(|n| (picture(n), 9));
        let sounds = (from * 44_100 / 1_024_000..)
            .take(43)
            .map(|n| (sound(n), 8));
        let mut frames: Vec<_> = pictures.chain(sounds).collect();
        frames.sort_unstable();
        for (at, kind) in frames {
            reader_times[usize::from(kind == 8)].push(at);
            file = match kind {
                9 => file.picture(at as u32, true, 0, 10),
                _ => file.sound(at as u32, 10),
            };
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.flv");
    fs::write(&path, file.bytes()).unwrap();
    for between in ["", "! queue"] {
        for (stream, expected) in demuxed(&path, between, "flvdemuxbridge")
            .iter()
            .zip(&reader_times)
        {
            let times: Vec<_> = stream.pts().iter().map(|ns| ns / 1_000_000).collect();
            assert_eq!(&times, expected);
        }
    }
}

#[test]
fn a_stream_that_begins_anew_goes_on() {
    let file = FlvBuilder::new().headers().second(5000).headers().second(0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.flv");
    fs::write(&path, file.bytes()).unwrap();
    let [video, _] = demuxed(&path, "", "flvdemuxbridge");
    let times: Vec<_> = video
        .packets
        .iter()
        .map(|p| p.dts.unwrap().mseconds())
        .collect();
    assert_eq!(times.len(), 50);
    assert!(times.windows(2).all(|pair| pair[1] >= pair[0]), "{times:?}");
    let disconts: Vec<_> = video.packets.iter().map(|packet| packet.discont).collect();
    assert_eq!(disconts.iter().filter(|discont| **discont).count(), 2);
    assert!(disconts[0] && disconts[25]);
}
