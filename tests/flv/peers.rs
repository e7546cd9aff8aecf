// SPDX-License-Identifier: MPL-2.0

//! Where a pipeline has flvmux or flvdemux, the name is all that changes.

use std::{fs, path::Path};

use gst::prelude::*;

use crate::{
    streams::{QUEUE, demuxed, run, source},
    support::{flvdump, media},
};

/// Fields that flvdemux has in its caps are the same in ours, which have more.
fn assert_covers(ours: &gst::Caps, theirs: &gst::Caps) {
    let (ours, theirs) = (ours.structure(0).unwrap(), theirs.structure(0).unwrap());
    assert_eq!(ours.name(), theirs.name());
    for (name, value) in theirs.iter() {
        let own = ours
            .value(name)
            .unwrap_or_else(|_| panic!("no {name} in {ours}"));
        assert_eq!(
            format!("{:?}", own.serialize()),
            format!("{:?}", value.serialize()),
            "{name}"
        );
    }
}

#[test]
fn a_file_comes_out_as_flvdemux_has_it() {
    for between in ["", "! queue", "! identity ! queue"] {
        let file = media::h264_aac();
        let [their_video, their_audio] = demuxed(&file, between, "flvdemux");
        let [video, audio] = demuxed(&file, between, "flvdemuxbridge");
        assert!(video.packets.len() > 100 && audio.packets.len() > 100);
        assert_eq!(video.packets, their_video.packets, "{between}");
        assert_eq!(audio.packets, their_audio.packets, "{between}");
        assert_covers(video.one_caps(), their_video.caps.last().unwrap());
        assert_covers(audio.one_caps(), their_audio.caps.last().unwrap());
    }
}

#[test]
fn classic_codecs_come_out_as_flvdemux_has_them() {
    let file = media::flv1_mp3();
    let [their_video, their_audio] = demuxed(&file, "", "flvdemux");
    let [video, audio] = demuxed(&file, "", "flvdemuxbridge");
    assert!(video.packets.len() > 100 && audio.packets.len() > 100);
    assert_eq!(video.packets, their_video.packets);
    assert_eq!(audio.packets, their_audio.packets);
}

/// A film whose pictures are larger than a block of a file, some of many blocks, in which each byte has a
/// value of its own.
fn large_pictures() -> Vec<u8> {
    let tag = |kind: u8, ms: u32, body: &[u8]| {
        let [_, s2, s1, s0] = (body.len() as u32).to_be_bytes();
        let [t3, t2, t1, t0] = ms.to_be_bytes();
        let mut tag = vec![kind, s2, s1, s0, t2, t1, t0, t3, 0, 0, 0];
        tag.extend_from_slice(body);
        tag.extend_from_slice(&(body.len() as u32 + 11).to_be_bytes());
        tag
    };
    let mut film = b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec();
    film.extend(tag(9, 0, &[0x17, 0, 0, 0, 0, 1, 66, 0, 30, 255, 0xe0, 0]));
    film.extend(tag(8, 0, &[0xaf, 0, 0x12, 0x10]));
    for (at, size) in [70_000, 200_000, 15_000, 65_520, 900_000, 33_000, 131_072]
        .into_iter()
        .enumerate()
    {
        let ms = at as u32 * 40;
        let first = if at == 0 { 0x17 } else { 0x27 };
        let mut picture = vec![first, 1, 0, 0, [0, 80][at % 2]];
        picture.extend((0..size).map(|byte: u32| (byte * 31 / 7 + ms) as u8));
        film.extend(tag(9, ms, &picture));
        film.extend(tag(8, ms, &[0xaf, 1, at as u8, 2, 3]));
    }
    film
}

#[test]
fn large_pictures_come_out_as_flvdemux_has_them_in_any_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large.flv");
    fs::write(&file, large_pictures()).unwrap();
    let [their_video, their_audio] = demuxed(&file, "", "flvdemux");
    assert_eq!(their_video.packets.len(), 7);
    for between in [
        "",
        "blocksize=4096 ! queue",
        "blocksize=30000 ! queue",
        "blocksize=65536 ! queue",
        "blocksize=1000000 ! queue",
    ] {
        let [video, audio] = demuxed(&file, between, "flvdemuxbridge");
        assert_eq!(video.packets, their_video.packets, "{between}");
        assert_eq!(audio.packets, their_audio.packets, "{between}");
    }
}

/// Writes a film with a muxer.
fn muxed(film: &Path, muxer: &str, path: &Path) {
    let source = source(film);
    let path = path.to_str().unwrap();
    run(
        &format!(
            "{source} ! flvdemux name=d {muxer} name=m ! tee name=t ! queue ! filesink location={path} \
             t. ! queue ! appsink name=out \
             d.video ! {QUEUE} ! h264parse ! m. d.audio ! {QUEUE} ! aacparse ! m."
        ),
        ["out"],
    );
}

#[test]
fn a_stream_is_what_flvmux_makes_of_it() {
    let dir = tempfile::tempdir().unwrap();
    for streamable in ["true", "false"] {
        let (theirs, ours) = (dir.path().join("t.flv"), dir.path().join("o.flv"));
        // Without B-frames: of those flvmux 1.22 spoils the first DTSs.
        let film = media::h264_50m();
        muxed(&film, &format!("flvmux streamable={streamable}"), &theirs);
        muxed(
            &film,
            &format!("flvmuxbridge streamable={streamable}"),
            &ours,
        );
        // Each tag, byte by byte; metadata says who made it, and differs.
        let tags = |path| {
            let packets = flvdump::read(path);
            packets
                .into_iter()
                .filter(|p| p.is_media())
                .collect::<Vec<_>>()
        };
        let (theirs, ours) = (tags(&theirs), tags(&ours));
        let path = dir.path().join("b.flv");
        assert!(ours.len() > 150);
        assert_eq!(ours, theirs, "streamable={streamable}");
        // With B-frames: what ffmpeg wrote.
        let film = media::h264_aac();
        muxed(
            &film,
            &format!("flvmuxbridge streamable={streamable}"),
            &path,
        );
        assert_eq!(tags(&path), tags(&film), "streamable={streamable}");
    }
}

#[test]
fn flvdemux_reads_what_we_write_and_we_what_flvmux_writes() {
    let dir = tempfile::tempdir().unwrap();
    let film = media::h264_50m();
    let [video, audio] = demuxed(&film, "", "flvdemux");
    for (muxer, demuxer) in [
        ("flvmuxbridge", "flvdemux"),
        ("flvmux", "flvdemuxbridge"),
        ("flvmuxbridge", "flvdemuxbridge"),
        ("flvmuxbridge prefer-enhanced=true", "flvdemuxbridge"),
        (
            "flvmuxbridge prefer-enhanced=true streamable=true",
            "queue ! flvdemuxbridge",
        ),
    ] {
        let path = dir.path().join("x.flv");
        muxed(&film, muxer, &path);
        let [got_video, got_audio] = demuxed(&path, "", demuxer);
        assert_eq!(
            got_video.in_millis(),
            video.in_millis(),
            "{muxer} {demuxer}"
        );
        assert_eq!(
            got_audio.in_millis(),
            audio.in_millis(),
            "{muxer} {demuxer}"
        );
    }
    // What is at the end of a file is in its beginning.
    let path = dir.path().join("x.flv");
    muxed(&media::h264_aac(), "flvmuxbridge streamable=false", &path);
    let probed = std::process::Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_entries",
            "format=duration",
            "-of",
            "csv=p=0",
        ])
        .arg(&path)
        .output()
        .unwrap();
    let seconds: f64 = String::from_utf8_lossy(&probed.stdout)
        .trim()
        .parse()
        .unwrap();
    assert!((4.9..5.2).contains(&seconds), "{seconds}");
    let file = fs::read(&path).unwrap();
    let size = file
        .windows(11)
        .position(|w| w == b"\x00\x08filesize\x00")
        .unwrap();
    let size = f64::from_be_bytes(file[size + 11..size + 19].try_into().unwrap());
    assert_eq!(size, file.len() as f64);
}
