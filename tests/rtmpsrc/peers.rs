// SPDX-License-Identifier: MPL-2.0

//! Real servers.

use std::time::Duration;

use gst::prelude::*;
use gstrtmp::elements::rtmp::{Live, Reconnect};

use crate::{
    player::{Player, init, time},
    support::{
        flvdump::{self, Expect, assert_same},
        media,
        nginx::{Nginx, NginxConfig},
        peers::{Pace, ffmpeg_publish, ffmpeg_serve},
        process::PATIENCE,
    },
};

#[test]
fn nginx_plays_live() {
    for chunk_size in [128, 4096] {
        let nginx = Nginx::start(NginxConfig {
            chunk_size,
            ..NginxConfig::default()
        });
        for (number, file) in [
            media::h264_aac(),
            media::flv1_mp3(),
            media::audio_only(),
            media::video_only(),
            media::h264_aac_from(100_000),
            media::large_keyframes(),
        ]
        .into_iter()
        .enumerate()
        {
            let url = nginx.url("live", &format!("s{number}"));
            let player = Player::new(&url).play();
            nginx.wait("play", &format!("s{number}"));
            ffmpeg_publish(&file, &url, Pace::Fast).succeed(PATIENCE);
            player.end();
            let received = flvdump::parse(&player.bytes()).unwrap();
            assert_same(&flvdump::read(&file), &received, Expect::MEDIA);
            player.stop();
        }
    }
}

#[test]
fn who_joins_in_the_middle_is_in_time() {
    let nginx = Nginx::start(NginxConfig::default());
    let url = nginx.url("live", "one");
    let file = media::h264_aac_from(100_000);
    let publisher = ffmpeg_publish(&file, &url, Pace::RealTime);
    nginx.wait("publish", "one");
    crate::support::peers::wait_for_bytes(&nginx.recording("one"), 200_000);
    let player = Player::new(&url).play();
    player.wait_for_buffers(20);
    {
        let seen = player.seen.lock().unwrap();
        // Configuration and metadata included, nothing is outside of the segment.
        for buffer in &seen.buffers {
            let running = seen.segments[0].to_running_time(buffer.dts());
            let running = running.expect("within the segment");
            assert!(running < gst::ClockTime::from_seconds(3), "{running}");
        }
    }
    publisher.succeed(PATIENCE);
    player.end();
    let received = flvdump::parse(&player.bytes()).unwrap();
    let run = assert_same(
        &flvdump::read(&file),
        &received,
        Expect {
            to_end: true,
            ..Expect::LIVE
        },
    );
    assert!(run.skipped > 10 && run.matched > 10, "{run:?}");
}

#[test]
fn ffmpeg_serves_us() {
    let file = media::h264_aac();
    let server = ffmpeg_serve(&file);
    let player = Player::new(&server.url)
        .set("reconnect", Reconnect::Never)
        .play();
    // ffmpeg closes without a word, by a reset if it left something unread.
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    player.message(&types);
    let received = flvdump::parse(&player.bytes()).unwrap();
    assert_same(&flvdump::read(&file), &received, Expect::MEDIA);
}

/// Seeks and waits for what comes then.
fn seek(player: &Player, to: Duration) -> gst::Buffer {
    let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    player.pipeline.seek_simple(flags, time(to)).unwrap();
    player.wait("a picture", |seen| {
        !seen.segments.is_empty() && seen.buffers.iter().any(is_picture)
    });
    let seen = player.seen.lock().unwrap();
    assert_eq!(seen.segments.last().unwrap().start(), Some(time(to)));
    seen.buffers.iter().find(|b| is_picture(b)).unwrap().clone()
}

fn is_picture(buffer: &gst::Buffer) -> bool {
    let map = buffer.map_readable().unwrap();
    map.first() == Some(&9) && map.get(12) != Some(&0)
}

#[test]
fn a_recording_has_a_length_and_seeks() {
    for live in [Live::Auto, Live::Recorded] {
        let nginx = Nginx::start(NginxConfig::default());
        let file = media::h264_aac_indexed();
        nginx.offer(&file, "film.flv");
        let player = Player::new(&nginx.url("vod", "film.flv"))
            .set("live", live)
            .play();
        player.wait_for_buffers(10);
        let pad = player.source.static_pad("src").unwrap();
        let duration = pad.query_duration::<gst::ClockTime>().expect("a duration");
        assert!(
            duration.seconds() == 5 || duration.mseconds() > 4900,
            "{duration}"
        );
        let mut seeking = gst::query::Seeking::new(gst::Format::Time);
        assert!(pad.query(&mut seeking) && seeking.result().0);
        // There is a keyframe each second, and nginx takes one before or behind.
        for to in [3500, 1200, 0, 4000] {
            let first = seek(&player, Duration::from_millis(to));
            let at = first.dts().unwrap().mseconds();
            assert!(at.abs_diff(to) <= 1000, "{to}: {at}");
            assert!(
                !first.flags().contains(gst::BufferFlags::DELTA_UNIT),
                "{to}"
            );
        }
        // To the end, and back.
        player.end();
        let first = seek(&player, Duration::from_millis(2000));
        assert!(first.dts().unwrap().mseconds().abs_diff(2000) <= 1000);
        player.end();
        player.stop();
    }
}

#[test]
fn a_recording_plays_whole_and_from_the_middle() {
    let nginx = Nginx::start(NginxConfig::default());
    let file = media::h264_aac_indexed();
    nginx.offer(&file, "film.flv");
    let sent = flvdump::read(&file);
    for live in [Live::Auto, Live::Recorded] {
        let player = Player::new(&nginx.url("vod", "film.flv"))
            .set("live", live)
            .play();
        player.end();
        let received = flvdump::parse(&player.bytes()).unwrap();
        assert_same(
            &sent,
            &received,
            Expect {
                absolute: true,
                ..Expect::MEDIA
            },
        );
        player.stop();
    }
    let url = format!("{} start=3000", nginx.url("vod", "film.flv"));
    let player = Player::new(&url).play();
    player.end();
    let received = flvdump::parse(&player.bytes()).unwrap();
    let expect = Expect {
        from_start: false,
        headers: false,
        absolute: true,
        ..Expect::MEDIA
    };
    let run = assert_same(&sent, &received, expect);
    assert!(run.skipped > 100, "{run:?}");
    // nginx does not know where to stop.
    let url = format!("{} start=1000 stop=3000", nginx.url("vod", "film.flv"));
    let player = Player::new(&url).play();
    player.end();
    let received = flvdump::parse(&player.bytes()).unwrap();
    let last = received.iter().map(|packet| packet.dts).max();
    assert!(
        last.is_some_and(|last| (2900..=3000).contains(&last)),
        "{last:?}"
    );
}

#[test]
fn a_recording_waits_while_paused() {
    let nginx = Nginx::start(NginxConfig::default());
    let file = media::h264_aac_indexed();
    nginx.offer(&file, "film.flv");
    let player = Player::new(&nginx.url("vod", "film.flv")).set("live", Live::Recorded);
    // A recording prerolls.
    player.state(gst::State::Paused);
    let (result, ..) = player.pipeline.state(time(PATIENCE));
    assert_eq!(result, Ok(gst::StateChangeSuccess::Success));
    player.state(gst::State::Playing);
    player.wait_for_buffers(10);
    player.state(gst::State::Paused);
    player.state(gst::State::Playing);
    player.end();
    let received = flvdump::parse(&player.bytes()).unwrap();
    assert_same(&flvdump::read(&file), &received, Expect::MEDIA);
}

#[test]
fn uridecodebin3_decodes_it() {
    init();
    decodes(|url| {
        let pipeline = gst::parse::launch(&format!(
            "uridecodebin3 name=d uri={url} d. ! video/x-raw ! fakesink name=v sync=true \
             d. ! audio/x-raw ! fakesink name=a sync=true"
        ));
        pipeline.unwrap()
    });
}

#[test]
fn playbin3_plays_it() {
    init();
    decodes(|url| {
        let sink = |name| {
            let sink = gst::ElementFactory::make("fakesink").name(name);
            sink.property("sync", true).build().unwrap()
        };
        gst::ElementFactory::make("playbin3")
            .property("uri", url)
            .property("video-sink", sink("v"))
            .property("audio-sink", sink("a"))
            .build()
            .unwrap()
    });
}

/// Nearly all of a film arrives decoded, and in time, at the sinks `v` and `a` of what plays this URL.
#[track_caller]
fn decodes(pipeline: impl FnOnce(&str) -> gst::Element) {
    let nginx = Nginx::start(NginxConfig::default());
    nginx.offer(&media::h264_aac(), "film.flv");
    let pipeline = pipeline(&nginx.url("vod", "film.flv"));
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(time(PATIENCE), &types);
    let message = message.expect("an end");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    let bin = pipeline.downcast_ref::<gst::Bin>().unwrap();
    for sink in ["v", "a"] {
        let stats = bin.by_name(sink).unwrap();
        let stats = stats.property::<gst::Structure>("stats");
        let rendered = stats.get::<u64>("rendered").unwrap();
        let dropped = stats.get::<u64>("dropped").unwrap();
        assert!(rendered >= 120 && dropped < 5, "{sink}: {stats}");
    }
    pipeline.set_state(gst::State::Null).unwrap();
}
