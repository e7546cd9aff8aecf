// SPDX-License-Identifier: MPL-2.0

//! Test media as webmmux puts it out live, and what ffmpeg finds in such bytes.

use std::{fs, process::Command, sync::LazyLock};

use gst::prelude::*;
use tempfile::TempDir;

use crate::support::{
    pipeline::{Pipeline, init},
    process::{PATIENCE, Process},
};

/// A packet of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub track: u32,
    /// In milliseconds.
    pub pts: i64,
    pub key: bool,
    pub hash: String,
}

/// Six seconds of VP8 with a key frame a second, and Opus, which webmmux stamps back by some ms.
pub static FILM: LazyLock<Vec<u8>> = LazyLock::new(|| {
    make(
        "videotestsrc num-buffers=150 pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1 \
         ! vp8enc deadline=1 keyframe-max-dist=25 ! queue ! mux. \
         audiotestsrc num-buffers=282 ! audio/x-raw,rate=48000 ! opusenc ! queue ! mux.",
    )
});

/// VP9 alone.
pub static OTHER: LazyLock<Vec<u8>> = LazyLock::new(|| {
    make(
        "videotestsrc num-buffers=50 ! video/x-raw,width=160,height=120,framerate=25/1 \
         ! vp9enc deadline=1 keyframe-max-dist=25 ! queue ! mux.",
    )
});

/// Vorbis alone.
pub static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    make("audiotestsrc num-buffers=100 ! audio/x-raw,rate=44100 ! vorbisenc ! queue ! mux.")
});

/// What a muxer makes of these sources.
pub fn make(sources: &str) -> Vec<u8> {
    init();
    let line = format!("webmmux name=mux streamable=true ! appsink name=out sync=false {sources}");
    let pipeline = Pipeline::launch(&line);
    let sink = pipeline.element("out").downcast::<gst_app::AppSink>();
    let sink = sink.expect("an appsink");
    pipeline.play();
    let mut bytes = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer().expect("a buffer");
        bytes.extend_from_slice(&buffer.map_readable().expect("bytes"));
    }
    pipeline.eos();
    assert!(bytes.len() > 5_000, "{} bytes", bytes.len());
    bytes
}

/// The packets in some WebM, in their order, with the times it says. Complaints of ffmpeg fail the test.
#[track_caller]
pub fn packets(webm: &[u8]) -> Vec<Packet> {
    let (packets, said) = read_packets(webm);
    assert_eq!(said, "", "ffprobe complains");
    packets
}

/// The same for bytes that end anywhere, with what ffprobe has to say of them.
pub fn read_packets(webm: &[u8]) -> (Vec<Packet>, String) {
    let dir = TempDir::with_prefix("webm").expect("a folder");
    let (file, out) = (dir.path().join("film.webm"), dir.path().join("packets"));
    fs::write(&file, webm).expect("a file");
    let mut command = Command::new("ffprobe");
    command.args([
        "-v",
        "error",
        "-show_packets",
        "-show_data_hash",
        "md5",
        "-of",
        "default=noprint_wrappers=1",
    ]);
    command.args(["-show_entries", "packet=stream_index,pts,flags,data_hash"]);
    command.arg("-o").arg(&out).arg(&file);
    let said = Process::start(&mut command).succeed(PATIENCE);
    let text = fs::read_to_string(&out).expect("packets");
    let mut packets: Vec<Packet> = Vec::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
        if name == "stream_index" {
            packets.push(Packet {
                track: value.parse().expect("a track"),
                pts: 0,
                key: false,
                hash: String::new(),
            });
        }
        let Some(packet) = packets.last_mut() else {
            continue;
        };
        match name {
            "pts" => packet.pts = value.parse().expect("a time"),
            "flags" => packet.key = value.starts_with('K'),
            "data_hash" => value.clone_into(&mut packet.hash),
            _ => {}
        }
    }
    assert!(packets.iter().all(|packet| !packet.hash.is_empty()));
    (packets, said)
}

/// Time codes may move by what Opus goes back, and everything else is the same.
#[track_caller]
pub fn assert_same(got: &[Packet], sent: &[Packet]) {
    for (at, (got, sent)) in got.iter().zip(sent).enumerate() {
        let same = got.track == sent.track && got.hash == sent.hash;
        assert!(same, "packet {at}: {got:?} was {sent:?}");
    }
    assert_eq!(got.len(), sent.len(), "packets");
    for (got, sent) in got.iter().zip(sent) {
        assert!(
            (0..=8).contains(&(got.pts - sent.pts)),
            "{got:?} was {sent:?}"
        );
    }
    for track in 0..2 {
        let times: Vec<_> = got
            .iter()
            .filter(|p| p.track == track)
            .map(|p| p.pts)
            .collect();
        assert!(times.is_sorted(), "time goes back");
    }
}

/// Where the key frames of the first track are.
pub fn key_frames(packets: &[Packet]) -> Vec<usize> {
    let key = |(at, packet): (usize, &Packet)| (packet.track == 0 && packet.key).then_some(at);
    packets.iter().enumerate().filter_map(key).collect()
}
