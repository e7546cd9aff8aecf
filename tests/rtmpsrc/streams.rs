// SPDX-License-Identifier: MPL-2.0

//! Servers that do as they should.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gstrtmp::elements::rtmp::Reconnect;

use crate::{
    player::{Player, time},
    support::{
        bad_server::{self, End, good_play},
        flv_builder::FlvBuilder,
        process::PATIENCE,
        rtmp_peer::Server,
    },
};

/// Every kind of tag that others lose.
fn film() -> FlvBuilder {
    FlvBuilder::new()
        .metadata(640.0)
        .headers()
        .second(0)
        .picture(1000, false, 80, 500)
        .picture(1040, false, -40, 500)
        .empty_sound(1050)
        .sequence_end(1080)
}

#[test]
fn a_stream_comes_out_as_it_was_sent() {
    for end in [
        End::PlayStop,
        End::StreamEof,
        End::UnpublishNotify,
        End::Close,
    ] {
        for chunk_size in [128, 4096, 65536] {
            let server = good_play(film(), chunk_size, end);
            let player = Player::new(&server.url("live", "one"))
                .set("reconnect", Reconnect::Never)
                .play();
            player.end();
            assert_eq!(player.bytes(), film().bytes(), "{end:?} {chunk_size}");
            player.stop();
        }
    }
}

#[test]
fn each_tag_is_a_buffer_with_its_times_and_flags() {
    let server = good_play(film(), 4096, End::PlayStop);
    let player = Player::new(&server.url("live", "one")).play();
    player.end();
    let seen = player.seen.lock().unwrap();
    let [header, tags @ ..] = &*seen.buffers else {
        panic!("nothing");
    };
    let discont = gst::BufferFlags::DISCONT;
    assert_eq!(header.flags(), gst::BufferFlags::HEADER | discont);
    let film = film();
    let sent = Vec::from_iter(film.tags());
    assert_eq!(tags.len(), sent.len());
    for (buffer, tag) in tags.iter().zip(&sent) {
        assert_eq!(buffer.map_readable().unwrap().as_slice(), *tag);
        let timestamp = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]);
        let dts = gst::ClockTime::from_mseconds(timestamp.into());
        assert_eq!(buffer.dts(), Some(dts));
        let delta = tag[0] == 9 && tag[11] == 0x27;
        let flags = buffer.flags();
        assert_eq!(flags.contains(gst::BufferFlags::DELTA_UNIT), delta);
        assert!(!flags.contains(discont));
        let pts = match timestamp {
            1000 => dts + gst::ClockTime::from_mseconds(80),
            1040 => dts - gst::ClockTime::from_mseconds(40),
            _ => dts,
        };
        assert_eq!(buffer.pts(), Some(pts));
    }
    let [segment] = &*seen.segments else {
        panic!("{:?}", seen.segments);
    };
    assert_eq!(segment.start(), Some(gst::ClockTime::ZERO));
}

#[test]
fn a_live_stream_is_live() {
    let server = good_play(
        FlvBuilder::new().headers().second(100_000),
        4096,
        End::PlayStop,
    );
    let player = Player::new(&server.url("live", "one"))
        .set("latency", 250u32)
        .play();
    player.end();
    let pad = player.source.static_pad("src").unwrap();
    let mut latency = gst::query::Latency::new();
    assert!(pad.query(&mut latency));
    let expected = gst::ClockTime::from_mseconds(250);
    assert_eq!(latency.result(), (true, expected, None));
    let mut seeking = gst::query::Seeking::new(gst::Format::Time);
    assert!(pad.query(&mut seeking));
    assert!(!seeking.result().0);
    let mut duration = gst::query::Duration::new(gst::Format::Time);
    assert!(!pad.query(&mut duration));
    let mut scheduling = gst::query::Scheduling::new();
    assert!(pad.query(&mut scheduling));
    let flags = gst::SchedulingFlags::SEQUENTIAL | gst::SchedulingFlags::BANDWIDTH_LIMITED;
    assert_eq!(scheduling.result().0, flags);

    // The first picture is presented when it came.
    let seen = player.seen.lock().unwrap();
    let running = seen.segments[0].to_running_time(gst::ClockTime::from_mseconds(100_000));
    let running = running.expect("within the segment");
    assert!(running < gst::ClockTime::from_seconds(5), "{running}");
    let early = seen.segments[0].to_running_time(seen.segments[0].start());
    assert!(early.is_some_and(|early| early <= running));
}

#[test]
fn the_first_buffer_comes_at_once() {
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let server = good_play(film(), 4096, End::PlayStop);
        let player = Player::new(&server.url("live", "one"));
        player.state(gst::State::Paused);
        let begin = Instant::now();
        player.state(gst::State::Playing);
        player.wait_for_buffers(1);
        let first = player.seen.lock().unwrap().first.unwrap();
        fastest = fastest.min(first - begin);
        player.stop();
    }
    println!("first buffer after {fastest:?}");
    assert!(fastest < Duration::from_millis(20), "{fastest:?}");
}

#[test]
fn nothing_is_connected_before_playing() {
    let server = bad_server::silent();
    let player = Player::new(&server.url("live", "one"));
    player.state(gst::State::Paused);
    let (result, state, _) = player.pipeline.state(time(PATIENCE));
    assert_eq!(result, Ok(gst::StateChangeSuccess::NoPreroll));
    assert_eq!(state, gst::State::Paused);
    assert_eq!(player.stats::<String>("state"), "idle");
    player.stop();
}

#[test]
fn a_pause_keeps_the_connection() {
    let server = good_play(FlvBuilder::new().headers().second(0), 4096, End::PlayStop);
    let player = Player::new(&server.url("live", "one")).play();
    player.end();
    player.state(gst::State::Paused);
    player.state(gst::State::Playing);
    player.stop();
    assert!(server.outcome().is_ok());
    let commands = Vec::from_iter(player.seen.lock().unwrap().buffers.clone());
    assert_eq!(commands.len(), 1 + 2 + 65);
}

#[test]
fn silence_ends_the_stream_when_it_lasts_too_long() {
    let server = Server::start(|peer, _| {
        peer.accept_play()?;
        for tag in FlvBuilder::new().headers().second(0).tags() {
            peer.send_tag(tag)?;
        }
        peer.stall()
    });
    let player = Player::new(&server.url("x", "y")).set("idle-timeout", 1u32);
    player.source.set_property_from_str("reconnect", "never");
    player.play().end();
}
