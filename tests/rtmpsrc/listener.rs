// SPDX-License-Identifier: MPL-2.0

//! The source as the server that others publish to.

use gstrtmp::elements::rtmp::Mode;

use crate::{
    player::Player,
    support::{
        flvdump::{self, Expect, assert_same},
        media,
        peers::{Pace, ffmpeg_publish},
        process::PATIENCE,
    },
};

fn listener() -> Player {
    Player::new("rtmp://127.0.0.1/live/one")
        .set("mode", Mode::Listener)
        .set("port", 0i32)
}

/// Where to publish to.
fn url(player: &Player) -> String {
    let told = player.told("rtmp-listening");
    assert_eq!(told.get::<&str>("address"), Ok("127.0.0.1"));
    let port = told.get::<u32>("port").unwrap();
    format!("rtmp://127.0.0.1:{port}/live/one")
}

#[test]
fn ffmpeg_publishes_once() {
    let films = [
        media::h264_aac_unacknowledged(),
        media::flv1_mp3(),
        media::audio_only(),
    ];
    for file in films {
        let player = listener().play();
        let url = url(&player);
        let publisher = ffmpeg_publish(&file, &url, Pace::Fast);
        let who = player.told("rtmp-caller-added");
        assert_eq!(who.get::<&str>("application"), Ok("live"));
        assert_eq!(who.get::<&str>("stream"), Ok("one"));
        assert!(who.get::<&str>("encoder").unwrap().contains("FMLE"));
        assert!(who.get::<&str>("address").unwrap().starts_with("127."));
        player.end();
        publisher.succeed(PATIENCE);
        let received = flvdump::parse(&player.bytes()).unwrap();
        assert_same(&flvdump::read(&file), &received, Expect::MEDIA);
        player.stop();
    }
}

#[test]
fn one_publisher_follows_another() {
    let player = listener().set("keep-listening", true).play();
    let url = url(&player);
    let file = media::h264_aac_unacknowledged();
    let sent = flvdump::read(&file);
    let mut seen = 0;
    for turn in 0..3u32 {
        ffmpeg_publish(&file, &url, Pace::Fast).succeed(PATIENCE);
        player.told("rtmp-caller-added");
        player.told("rtmp-caller-removed");
        assert_eq!(player.stats::<u32>("reconnects"), turn);
        assert_eq!(player.stats::<String>("state"), "listening");
        let bytes = player.bytes();
        // The file header comes once.
        let (header, new) = bytes.split_at(if turn == 0 { 13 } else { seen });
        let file = [&header[..13], new].concat();
        assert_same(&sent, &flvdump::parse(&file).unwrap(), Expect::MEDIA);
        seen = bytes.len();
    }
    // One time line for all three: neither lane steps back, and they keep together.
    let packets = flvdump::parse(&player.bytes()).unwrap();
    for kind in [flvdump::Kind::Audio, flvdump::Kind::Video] {
        let lane = packets
            .iter()
            .filter(|packet| packet.kind == kind && !packet.config);
        let times = lane.map(|packet| packet.dts).collect::<Vec<_>>();
        assert!(times.is_sorted(), "{kind:?}: {times:?}");
    }
    let seen = player.seen.lock().unwrap();
    assert_eq!(seen.segments.len(), 1);
    let disconts = seen.buffers.iter().filter(|buffer| {
        let flags = buffer.flags();
        flags.contains(gst::BufferFlags::DISCONT)
    });
    assert_eq!(disconts.count(), 3);
}

#[test]
fn a_silent_publisher_makes_room_for_the_next() {
    let player = listener()
        .set("keep-listening", true)
        .set("idle-timeout", 1u32)
        .play();
    let url = url(&player);
    let publisher = ffmpeg_publish(&media::h264_aac(), &url, Pace::RealTime);
    player.told("rtmp-caller-added");
    publisher.freeze();
    player.told("rtmp-caller-removed");
    ffmpeg_publish(&media::audio_only(), &url, Pace::Fast).succeed(PATIENCE);
    player.told("rtmp-caller-added");
    player.told("rtmp-caller-removed");
}

#[test]
fn two_cannot_have_one_place() {
    let first = listener().play();
    let url = url(&first);
    let second = Player::new(&url).set("mode", Mode::Listener).play();
    second.fails(gst::ResourceError::Busy);
}

#[test]
fn a_publisher_that_is_cut_off_ends_the_stream() {
    for keep in [false, true] {
        let player = listener().set("keep-listening", keep).play();
        let url = url(&player);
        let publisher = ffmpeg_publish(&media::h264_aac_of(30), &url, Pace::RealTime);
        player.told("rtmp-caller-added");
        player.wait_for_buffers(20);
        // Dropped, it is killed, and the kernel closes its socket.
        drop(publisher);
        player.told("rtmp-caller-removed");
        if !keep {
            player.end();
        }
        player.stop();
    }
}

#[test]
fn a_listener_stops_at_once_with_a_publisher_on_it() {
    let player = listener().play();
    let url = url(&player);
    let _publisher = ffmpeg_publish(&media::h264_aac_of(30), &url, Pace::RealTime);
    player.wait_for_buffers(20);
    player.state(gst::State::Paused);
    player.state(gst::State::Playing);
    let before = player.seen.lock().unwrap().buffers.len();
    player.wait_for_buffers(before + 20);
    assert!(player.stats::<u64>("tags") >= 40);
    assert!(player.stats::<gst::ClockTime>("round-trip-time") > gst::ClockTime::ZERO);
    player.stop();
}
