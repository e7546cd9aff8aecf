// SPDX-License-Identifier: MPL-2.0

//! Servers that misbehave, and people: one clear error, and no waiting.

use std::time::Duration;

use gst::prelude::*;
use gstrtmp::elements::rtmp::{Mode, Reconnect};

use crate::{
    player::Player,
    support::{
        bad_server::{self, Cut, Farewell},
        nginx::{Nginx, NginxConfig},
        process::free_port,
    },
};

#[test]
fn what_a_person_did_wrong_is_said() {
    use gst::ResourceError::*;
    let closed = format!("rtmp://127.0.0.1:{}/live/x", free_port());
    Player::new(&closed).play().fails(NotFound);
    Player::new("rtmp://host.invalid/live/x")
        .play()
        .fails(NotFound);
    let swf = format!("http://127.0.0.1:{}/a.swf", free_port());
    let player = Player::new(&closed)
        .set("swf-url", swf)
        .set("swf-verify", true);
    let (error, _) = player.play().error();
    assert!(error.message().contains("swf-url"), "{error}");
    let server = bad_server::refuse_connect("NetConnection.Connect.InvalidApp", "no");
    Player::new(&server.url("x", "y")).play().fails(NotFound);
    let server = bad_server::refuse_connect(
        "NetConnection.Connect.Rejected",
        "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
    );
    Player::new(&server.url("x", "y"))
        .play()
        .fails(NotAuthorized);
    for location in ["x/y", "x/y live=1"] {
        let server = bad_server::refuse_stream("NetStream.Play.StreamNotFound");
        let url = format!("rtmp://127.0.0.1:{}/{location}", server.port());
        let player = Player::new(&url).set("timeout", 1u32);
        player.play().fails(NotFound);
    }
    let server = bad_server::refuse_stream("NetStream.Play.Failed");
    Player::new(&server.url("x", "y")).play().fails(OpenRead);
    let server = bad_server::refuse_create_stream();
    Player::new(&server.url("x", "y")).play().fails(OpenRead);
}

/// And no reason to try again and again.
#[test]
fn a_server_that_thinks_better_of_it_refuses() {
    let server = bad_server::second_thought();
    let player = Player::new(&server.url("x", "y")).play();
    player.fails(gst::ResourceError::OpenRead);
    // nginx announces a stream before it asks its rules.
    let nginx = Nginx::start(NginxConfig::default());
    let player = Player::new(&nginx.url("closed", "one")).play();
    player.fails(gst::ResourceError::OpenRead);
}

#[test]
fn a_server_that_is_none_is_an_error() {
    use gst::ResourceError::*;
    let server = bad_server::http();
    Player::new(&server.url("x", "y")).play().fails(OpenRead);
    let server = bad_server::tls();
    Player::new(&server.url("x", "y")).play().fails(OpenRead);
    for bytes in [0, 1, 2, 1536, 1537, 1538, 3072] {
        let server = bad_server::cut_in_handshake(bytes);
        Player::new(&server.url("x", "y")).play().fails(OpenRead);
    }
    let server = bad_server::silent();
    let player = Player::new(&server.url("x", "y")).set("timeout", 1u32);
    player.play().fails(OpenRead);
    for body in [&b"\x02\x00"[..], b"\x02\xff\xff", b"\x11\x11", b""] {
        let server = bad_server::garbage_after_connect(body);
        let player = Player::new(&server.url("x", "y")).set("timeout", 1u32);
        let (error, _) = player.play().error();
        assert!(error.is::<gst::ResourceError>(), "{error}");
    }
}

#[test]
fn what_cannot_start_is_one_error() {
    for player in [
        Player::new("rtmp://127.0.0.1:0/live/x"),
        Player::new("rtmfp://127.0.0.1/live/x"),
        Player::new("rtmp://127.0.0.1/live/x").set("extra-connect-args", "Q:1"),
        Player::new("rtmps://127.0.0.1/live/x").set("mode", Mode::Listener),
        Player::new("rtmps://127.0.0.1/live/x").set("tls-ca-file", "/nowhere/ca.pem"),
        Player::new("rtmps://127.0.0.1/live/x").set("tls-certificate", "/nowhere/mine.pem"),
    ] {
        let begun = player.pipeline.set_state(gst::State::Playing);
        assert!(begun.is_err());
        player.fails(gst::ResourceError::Settings);
    }
}

#[test]
fn a_cut_is_an_end_or_an_error() {
    use gst::ResourceError::*;
    for strict in [false, true] {
        let server = bad_server::cut_in_play(Cut::BeforeConnect, false);
        let player = Player::new(&server.url("x", "y")).set("no-eof-is-error", strict);
        player.play().fails(OpenRead);
        for cut in [Cut::InHeader, Cut::InTag, Cut::BetweenTags] {
            for reset in [false, true] {
                let server = bad_server::cut_in_play(cut, reset);
                let player = Player::new(&server.url("x", "y"))
                    .set("no-eof-is-error", strict)
                    .set("reconnect", Reconnect::Never);
                let player = player.play();
                if strict || reset {
                    player.fails(Read);
                } else {
                    player.end();
                }
            }
        }
    }
}

#[test]
fn a_farewell_is_an_end_or_an_error() {
    use gst::ResourceError::*;
    let closed = "NetConnection.Connect.Closed";
    for strict in [false, true] {
        let player = |farewell| {
            let server = bad_server::dismiss_player(farewell);
            let player = Player::new(&server.url("x", "y"))
                .set("no-eof-is-error", strict)
                .set("reconnect", Reconnect::Never);
            (player.play(), server)
        };
        let shutdown = Farewell::Status("error", "NetConnection.Connect.AppShutdown");
        player(shutdown).0.fails(Busy);
        for farewell in [
            Farewell::Status("status", closed),
            Farewell::Close(Some(closed)),
            Farewell::Close(None),
        ] {
            let (player, _server) = player(farewell);
            if strict {
                player.fails(Read);
            } else {
                player.end();
            }
        }
    }
}

#[test]
fn null_comes_at_once_from_everywhere() {
    let hole = bad_server::BlackHole::new().unwrap();
    let silent = bad_server::silent();
    let slow = bad_server::slow_handshake(Duration::from_millis(5));
    let secret = silent.url("x", "y").replace("rtmp:", "rtmps:");
    for url in [
        hole.url(),
        silent.url("x", "y"),
        slow.url("x", "y"),
        secret,
        "rtmp://host.invalid/x/y".to_owned(),
    ] {
        for wait in [0, 1, 50] {
            let player = Player::new(&url).play();
            let types = [gst::MessageType::Progress];
            player.message(&types);
            // Nothing is waited for: it spreads the stop over the stages of connecting.
            std::thread::sleep(Duration::from_millis(wait));
            player.stop();
        }
    }
    let player = Player::new(&silent.url("x", "y"))
        .set(
            "swf-url",
            format!("http://127.0.0.1:{}/a.swf", silent.port()),
        )
        .set("swf-verify", true)
        .play();
    player.message(&[gst::MessageType::Progress]);
    player.stop();
    let player = Player::new("rtmp://127.0.0.1/x/y")
        .set("mode", Mode::Listener)
        .set("port", 0i32)
        .play();
    player.told("rtmp-listening");
    player.stop();
}
