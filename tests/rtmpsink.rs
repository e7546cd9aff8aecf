// SPDX-License-Identifier: MPL-2.0

//! `rtmpsink` publishes to real servers, and what they get is what was sent.

use std::{
    fs,
    path::{Path, PathBuf},
};

use gst::prelude::*;
use support::{
    flv_builder::{FlvBuilder, VIDEO},
    flvdump::{self, Expect, Packet, assert_same, assert_same_streams},
    media,
    nginx::{Nginx, NginxConfig},
    peers::ffmpeg_listen,
    pipeline::{Pipeline, quoted},
    process::PATIENCE,
    taker::{Taken, taker},
};
use tempfile::{TempDir, tempdir};

mod support;

fn folder() -> TempDir {
    tempdir().expect("a folder")
}

fn write(dir: &TempDir, file: &FlvBuilder) -> PathBuf {
    let path = dir.path().join("film.flv");
    fs::write(&path, file.bytes()).expect("a writable folder");
    path
}

/// A file read in blocks of this size goes out as fast as it can; returns when all has arrived.
fn publish(file: &Path, blocksize: u32, url: &str) {
    let file = file.display().to_string();
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} blocksize={blocksize} ! rtmpsink name=sink sync=false location={}",
        quoted(&file),
        quoted(url)
    ));
    pipeline.play();
    pipeline.eos();
}

/// Published, and recorded by nginx, it is the same.
fn arrives(file: &Path, blocksize: u32) {
    let nginx = Nginx::start(NginxConfig::default());
    publish(file, blocksize, &nginx.url("live", "one"));
    let (sent, recorded) = (flvdump::read(file), nginx.recorded("one"));
    assert!(sent.iter().filter(|packet| packet.is_media()).count() > 15);
    assert_same(&sent, &flvdump::read(&recorded), Expect::MEDIA);
    assert_same_streams(file, &recorded);
}

#[test]
fn h264_with_b_frames_and_aac_arrive() {
    let file = media::h264_aac();
    let pts = |packet: Packet| Some(i64::from(packet.dts) + i64::from(packet.cts?));
    let shown: Vec<i64> = flvdump::read(&file).into_iter().filter_map(pts).collect();
    assert!(!shown.is_sorted(), "the file has no B-frames");
    arrives(&file, 4096);
}

#[test]
fn flv1_and_mp3_arrive() {
    arrives(&media::flv1_mp3(), 1000);
}

#[test]
fn audio_alone_arrives() {
    arrives(&media::audio_only(), 4096);
}

#[test]
fn video_alone_arrives() {
    arrives(&media::video_only(), 4096);
}

#[test]
fn large_keyframes_arrive() {
    let file = media::large_keyframes();
    let largest = flvdump::read(&file).iter().map(|packet| packet.size).max();
    assert!(largest > Some(1 << 20), "{largest:?}");
    arrives(&file, 65536);
}

#[test]
fn a_first_timestamp_that_is_not_0_arrives() {
    arrives(&media::h264_aac_from(100_000), 4096);
}

#[test]
fn timestamps_of_more_than_24_bits_arrive() {
    let file = media::h264_aac_from(0xff_ffff - 2500);
    let times = || flvdump::read(&file).into_iter().map(|packet| packet.dts);
    assert!(times().any(|t| t < 0xff_ffff) && times().any(|t| t > 0xff_ffff));
    arrives(&file, 4096);
}

/// Nothing is changed on the way, wherever the buffers are cut: timestamps, metadata, empty audio,
/// ends of sequences and all.
#[test]
fn cuts_at_any_byte_change_nothing() {
    let film = FlvBuilder::new().metadata(640.0).headers();
    let film = film.second(0).second(1000).empty_sound(2000);
    let film = film.picture(2040, false, -80, 10).sequence_end(2080);
    let dir = folder();
    let file = write(&dir, &film);
    for blocksize in [1, 7, 1000, 4096] {
        let server = taker();
        publish(&file, blocksize, &server.url("live", "one"));
        let taken = server.outcome().expect("a stream");
        assert_eq!(taken.packets(), flvdump::read(&file), "{blocksize}");
    }
}

/// The same for timestamps beyond what chunk and tag headers hold without an extension.
#[test]
fn time_goes_on_over_every_border() {
    let dir = folder();
    for from in [
        0,
        100_000,
        0xff_ffff - 1000,
        0x7fff_ffff - 1000,
        u32::MAX - 1000,
    ] {
        let film = FlvBuilder::new().headers();
        let film = film.second(from).second(from.wrapping_add(1000));
        let file = write(&dir, &film);
        let server = taker();
        publish(&file, 4096, &server.url("live", "one"));
        let taken = server.outcome().expect("a stream");
        assert_eq!(taken.packets(), flvdump::read(&file), "{from}");
    }
}

#[test]
fn ffmpeg_takes_a_stream() {
    let dir = folder();
    let (file, received) = (media::h264_aac(), dir.path().join("received.flv"));
    let server = ffmpeg_listen(&received);
    publish(&file, 4096, &server.url);
    server.process.succeed(PATIENCE);
    let run = assert_same(
        &flvdump::read(&file),
        &flvdump::read(&received),
        Expect::MEDIA,
    );
    assert_eq!(run.missing, 0);
}

/// flvmux writes what rtmpsink publishes and, beside it, a file.
fn mux(url: &str, written: &Path, lose_headers: bool) {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! flvdemux name=d flvmux name=m streamable=true ! tee name=t \
         d.video ! h264parse ! queue ! m.video d.audio ! queue ! m.audio \
         t. ! queue ! filesink location={} \
         t. ! queue ! identity name=late ! rtmpsink name=sink sync=false location={}",
        quoted(&media::h264_aac().display().to_string()),
        quoted(&written.display().to_string()),
        quoted(url),
    ));
    if lose_headers {
        let pad = pipeline.element("late").static_pad("src").expect("a pad");
        pad.add_probe(gst::PadProbeType::BUFFER, |_, info| match info.buffer() {
            Some(buffer) if buffer.flags().contains(gst::BufferFlags::HEADER) => {
                gst::PadProbeReturn::Drop
            }
            _ => gst::PadProbeReturn::Ok,
        });
    }
    pipeline.play();
    pipeline.eos();
}

#[test]
fn what_flvmux_writes_arrives() {
    let (nginx, dir) = (Nginx::start(NginxConfig::default()), folder());
    let written = dir.path().join("written.flv");
    mux(&nginx.url("live", "one"), &written, false);
    let recorded = nginx.recorded("one");
    let sent = flvdump::read(&written);
    assert!(sent.iter().filter(|packet| packet.is_media()).count() > 300);
    assert_same(&sent, &flvdump::read(&recorded), Expect::MEDIA);
}

/// Who links late misses the header buffers; the caps carry them too.
#[test]
fn headers_come_from_the_caps() {
    let dir = folder();
    for lose_headers in [false, true] {
        let (server, written) = (taker(), dir.path().join("written.flv"));
        mux(&server.url("live", "one"), &written, lose_headers);
        let taken: Taken = server.outcome().expect("a stream");
        let (sent, received) = (flvdump::read(&written), taken.packets());
        let expect = Expect {
            absolute: true,
            metadata: true,
            ..Expect::MEDIA
        };
        assert_same(&sent, &received, expect);
        let count = |config: bool| {
            let video = taken.messages.iter().filter(|m| m.kind == VIDEO);
            video.filter(|m| (m.body[1] == 0) == config).count()
        };
        assert_eq!(count(true), 1, "a header is sent once");
        assert!(count(false) > 100);
    }
}
