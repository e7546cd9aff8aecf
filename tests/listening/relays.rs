// SPDX-License-Identifier: MPL-2.0

//! Servers in front of ours and behind it, and both of our elements as one server.

use std::time::Duration;

use tempfile::TempDir;

use crate::{
    station::Station,
    support::{
        flvdump::{self, Expect, assert_same},
        media,
        nginx::{Nginx, NginxConfig},
        peers::{Pace, ffmpeg_play, ffmpeg_publish, output, rtmpdump_live, wait_for_bytes},
        pipeline::Pipeline,
        process::{PATIENCE, free_port},
    },
};

/// Publisher and players on one port, the line that README has.
#[test]
fn two_elements_are_a_server() {
    let file = media::h264_aac();
    let sent = flvdump::read(&file);
    let dir = TempDir::new().unwrap();
    let relay = Pipeline::launch(
        "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1/live/one port=0 ! \
         queue ! identity name=middle ! fakesink",
    );
    relay.play();
    let port = relay.notice("rtmp-listening").get::<u32>("port").unwrap();
    relay.stop();
    let relay = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1:{port}/live/one ! \
         rtmpsink name=out mode=listener location=rtmp://127.0.0.1:{port}/live/one sync=false"
    ));
    relay.play();
    relay.notice("rtmp-listening");
    relay.notice("rtmp-listening");
    let url = format!("rtmp://127.0.0.1:{port}/live/one");
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
    crate::support::process::wait_until("all has arrived", || {
        std::fs::read(&out).is_ok_and(|bytes| {
            flvdump::parse(&bytes).is_ok_and(|packets| {
                let media = |p: &[flvdump::Packet]| p.iter().filter(|p| p.is_media()).count();
                media(&packets) + 2 >= media(&sent)
            })
        })
    });
    player.interrupt();
    let _ = player.wait(Duration::from_secs(10));
    let expect = Expect {
        to_end: false,
        ..Expect::MEDIA
    };
    assert_same(&sent, &flvdump::read(&out), expect);
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
