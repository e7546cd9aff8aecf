// SPDX-License-Identifier: MPL-2.0

//! Servers in front of ours and behind it, and both of our elements as one server.

use std::{process::Command, time::Duration};

use tempfile::TempDir;

use crate::{
    station::Station,
    support::{
        current_ffmpeg::current,
        flvdump::{self, Expect, assert_same},
        media,
        nginx::{Nginx, NginxConfig},
        peers::{Pace, ffmpeg_play, ffmpeg_publish, output, rtmpdump_live, wait_for_bytes},
        pipeline::Pipeline,
        process::{PATIENCE, Process, free_port},
    },
};

/// A publisher's and players' server, and where it is.
fn relay() -> (Pipeline, String) {
    let url = format!("rtmp://127.0.0.1:{}/live/one", free_port());
    let relay = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener location={url} ! \
         rtmpsink name=out mode=listener location={url} sync=false"
    ));
    relay.play();
    relay.notice("rtmp-listening");
    relay.notice("rtmp-listening");
    (relay, url)
}

/// A current ffmpeg publishes HEVC, and plays it from us; bit by bit it is what was sent.
#[test]
fn todays_codecs_pass() {
    let Some(ffmpeg) = current() else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let file = output(&dir, "hevc.flv");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&ffmpeg);
        let quiet = ["-nostdin", "-loglevel", "error", "-y"];
        Process::start(command.args(quiet).args(arguments))
    };
    let name = file.to_str().unwrap();
    run(&[
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=25",
        "-f",
        "lavfi",
        "-i",
        "sine",
        "-t",
        "6",
        "-c:v",
        "libx265",
        "-x265-params",
        "log-level=error:keyint=25",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-f",
        "flv",
        name,
    ])
    .succeed(PATIENCE);
    // What ffmpeg makes of it when it copies: that is what it publishes.
    let copied = output(&dir, "copied.flv");
    run(&[
        "-i",
        name,
        "-c",
        "copy",
        "-f",
        "flv",
        copied.to_str().unwrap(),
    ])
    .succeed(PATIENCE);
    let (relay, url) = relay();
    let dump = output(&dir, "dump.flv");
    let early = rtmpdump_live(&url, &dump);
    relay.notice("rtmp-caller-added");
    let publisher = run(&["-re", "-i", name, "-c", "copy", "-f", "flv", &url]);
    wait_for_bytes(&dump, 20_000);
    let late = output(&dir, "late.flv");
    let player = run(&[
        "-i",
        &url,
        "-c",
        "copy",
        "-f",
        "flv",
        late.to_str().unwrap(),
    ]);
    relay.eos();
    publisher.succeed(PATIENCE);
    early.wait(PATIENCE).expect("an end");
    player.succeed(PATIENCE);
    let bodies = |file: &std::path::Path, kind| -> Vec<[u8; 32]> {
        let packets = flvdump::read(file);
        let lane = packets.iter().filter(|packet| packet.kind == kind);
        lane.map(|packet| packet.hash).collect()
    };
    for kind in [flvdump::Kind::Video, flvdump::Kind::Audio] {
        // Sound may wait for its picture, so each is compared for itself.
        let (sent, dumped) = (bodies(&copied, kind), bodies(&dump, kind));
        assert!(
            dumped == sent,
            "{kind:?}: {} of {}",
            dumped.len(),
            sent.len()
        );
        // Who came later writes heads of its own, and then the last of ours.
        let played = bodies(&late, kind);
        assert!(played.len() > 20 && sent.ends_with(&played[played.len() - 20..]));
    }
    relay.stop();
}

/// Publisher and players on one port, the line that README has.
#[test]
fn two_elements_are_a_server() {
    let file = media::h264_aac();
    let sent = flvdump::read(&file);
    let dir = TempDir::new().unwrap();
    let (relay, url) = relay();
    // The player may come before the publisher.
    let early = output(&dir, "early.flv");
    let first = rtmpdump_live(&url, &early);
    relay.notice("rtmp-caller-added");
    let publisher = ffmpeg_publish(&file, &url, Pace::RealTime);
    wait_for_bytes(&early, 100_000);
    let late = output(&dir, "late.flv");
    let second = ffmpeg_play(&url, &late);
    relay.eos();
    publisher.succeed(PATIENCE);
    for player in [first, second] {
        player.wait(PATIENCE).expect("an end");
    }
    assert_same(&sent, &flvdump::read(&early), Expect::MEDIA);
    let expect = Expect {
        to_end: true,
        timestamps: Some(1),
        ..Expect::LIVE
    };
    assert_same(&sent, &flvdump::read(&late), expect);
    relay.stop();
}

/// nginx pulls from us when its first player comes.
#[test]
fn nginx_pulls() {
    let file = media::h264_aac();
    let dir = TempDir::new().unwrap();
    let out = output(&dir, "out.flv");
    let station = Station::of_file(&file, "");
    let nginx = Nginx::start(NginxConfig {
        live: format!("pull rtmp://127.0.0.1:{} name=one;", station.port),
        ..NginxConfig::default()
    });
    let player = rtmpdump_live(&nginx.url("live", "one"), &out);
    station.pipeline.eos();
    // nginx keeps its players when the source ends; what it sent is there.
    let sent = flvdump::read(&file);
    // rtmpdump writes a block late.
    let last: Vec<_> = sent
        .iter()
        .rev()
        .filter(|p| p.is_media())
        .take(30)
        .collect();
    crate::support::process::wait_until("the end has arrived", || {
        std::fs::read(&out).is_ok_and(|bytes| {
            flvdump::parse(&bytes).is_ok_and(|packets| {
                packets
                    .iter()
                    .any(|p| last.iter().any(|l| l.hash == p.hash))
            })
        })
    });
    player.interrupt();
    let _ = player.wait(Duration::from_secs(10));
    // nginx lets a player in when the stream has begun.
    let expect = Expect {
        from_start: false,
        to_end: false,
        ..Expect::LIVE
    };
    let run = assert_same(&sent, &flvdump::read(&out), expect);
    assert!(run.matched > 100, "{run:?}");
    station.pipeline.stop();
}

/// nginx pushes to us what somebody publishes to it.
#[test]
fn nginx_pushes() {
    let file = media::h264_aac();
    let dir = TempDir::new().unwrap();
    let out = output(&dir, "out.flv");
    // nginx has to be told the port before it starts.
    let port = free_port();
    let ingest = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1:{port}/live/one ! \
         filesink location={}",
        out.display()
    ));
    ingest.play();
    ingest.notice("rtmp-listening");
    let nginx = Nginx::start(NginxConfig {
        live: format!("push rtmp://127.0.0.1:{port};"),
        ..NginxConfig::default()
    });
    let publisher = ffmpeg_publish(&file, &nginx.url("live", "one"), Pace::RealTime);
    ingest.eos();
    publisher.succeed(PATIENCE);
    let expect = Expect {
        // nginx connects when the stream is on already, and leaves its group of pictures behind.
        from_start: false,
        ..Expect::LIVE
    };
    let run = assert_same(&flvdump::read(&file), &flvdump::read(&out), expect);
    assert!(run.matched > 200, "{run:?}");
    ingest.stop();
}
