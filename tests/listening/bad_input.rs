// SPDX-License-Identifier: MPL-2.0

//! Strangers at the door, while somebody watches and must not notice.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::{
    client::Client,
    station::Live,
    support::{
        amf0::{self, Amf},
        flvdump::{self, Expect},
        pipeline::{AT_ONCE, Pipeline},
        process::{PATIENCE, wait_until},
        rtmp_peer::{COMMAND, Message},
    },
    witness::Witness,
};

fn socket(live: &Live) -> TcpStream {
    let socket = TcpStream::connect(("127.0.0.1", live.station.port)).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Reads until the other side closes, however it does.
#[track_caller]
fn assert_closed(mut socket: TcpStream, what: &str) {
    let mut buffer = [0; 4096];
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match socket.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return,
            Err(error) => panic!("{what}: {error}"),
        }
    }
    panic!("{what}: still open");
}

#[test]
fn five_thousand_who_say_nothing_keep_nobody_out() {
    let live = Live::start("");
    let witness = Witness::of(&live);
    let mut silent = std::collections::VecDeque::new();
    for _ in 0..5000 {
        silent.push_back(socket(&live));
        if silent.len() > 400 {
            // As the server has closed the oldest for long, so do we: descriptors are few.
            silent.pop_front();
        }
    }
    // In the midst of it somebody who speaks is served.
    let mut client = Client::connected(live.station.port, "live");
    let stream = client.create_stream();
    client.play(stream, "one");
    drop(silent);
    witness.has_missed_nothing(&live);
}

#[test]
fn those_who_dawdle_are_sent_away() {
    // Twice the timeout is what a caller may take to publish or play.
    let live = Live::start("timeout=1");
    let witness = Witness::of(&live);
    let port = live.station.port;
    let hello = [&[3][..], &[0; 1536]].concat();
    let mut dawdlers = Vec::new();
    for stage in 0..4 {
        let mut socket = socket(&live);
        match stage {
            // Nothing, half a handshake, a whole one.
            0 => {}
            1 => socket.write_all(&hello[..700]).unwrap(),
            2 => socket.write_all(&hello).unwrap(),
            _ => {
                // Connected, and with a stream that is not used.
                let mut client = Client::connected(port, "live");
                client.create_stream();
                socket = client.peer.socket().try_clone().unwrap();
                socket.set_read_timeout(Some(PATIENCE)).unwrap();
                std::mem::forget(client);
            }
        }
        dawdlers.push((stage, socket));
    }
    // One byte at a time, for as long as it is let.
    let mut slow = socket(&live);
    let dripping = thread::spawn(move || {
        for byte in [&[3][..], &[0; 3072]].concat() {
            if slow.write_all(&[byte]).is_err() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    });
    for (stage, socket) in dawdlers {
        assert_closed(socket, &format!("stage {stage}"));
    }
    assert!(dripping.join().unwrap(), "one byte at a time");
    witness.has_missed_nothing(&live);
}

#[test]
fn nonsense_is_answered_or_hung_up_on() {
    let live = Live::start("timeout=2");
    let witness = Witness::of(&live);
    for (what, bytes) in [
        (
            "TLS on a plain port",
            &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0][..],
        ),
        ("a version that does not exist", &[7; 4000]),
        ("RTMPE without a key", &[9; 4000]),
        ("noise", &[0xff; 4000]),
        ("SSH", b"\0SSH-2.0-x\r\n"),
    ] {
        let mut socket = socket(&live);
        let _ = socket.write_all(bytes);
        let _ = socket.shutdown(Shutdown::Write);
        assert_closed(socket, what);
    }
    let mut http = socket(&live);
    http.write_all(b"GET /live/one HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    http.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    witness.has_missed_nothing(&live);
}

#[test]
fn commands_without_sense_end_their_own_connection() {
    let live = Live::start("");
    let witness = Witness::of(&live);
    let port = live.station.port;
    let deep = |depth: usize| {
        let mut body = b"\x02\x00\x04play\x00\0\0\0\0\0\0\0\0\x05".to_vec();
        for _ in 0..depth {
            body.extend_from_slice(b"\x03\x00\x01a");
        }
        body
    };
    let command = |body: Vec<u8>| Message {
        csid: 3,
        kind: COMMAND,
        stream: 0,
        timestamp: 0,
        body,
    };
    let values = |values: &[Amf]| command(amf0::encode(values));
    let create = [Amf::string("createStream"), Amf::Number(2.0), Amf::Null];
    for (what, messages) in [
        ("an AMF bomb", vec![command(deep(100_000))]),
        ("streams without end", vec![values(&create); 100]),
        (
            "a name that is too long",
            vec![
                values(&create),
                Message {
                    stream: 1,
                    ..values(&[
                        Amf::string("play"),
                        Amf::Number(0.0),
                        Amf::Null,
                        Amf::string(&"x".repeat(60_000)),
                    ])
                },
            ],
        ),
        (
            "publish on no stream",
            vec![values(&[
                Amf::string("publish"),
                Amf::Number(0.0),
                Amf::Null,
                Amf::string("one"),
            ])],
        ),
    ] {
        let mut client = Client::connected(port, "live");
        for message in &messages {
            // It may hang up on the way.
            let _ = client.peer.send(message);
        }
        let socket = client.peer.socket().try_clone().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_closed(socket, what);
    }
    // A player may send megabytes of nothing in particular; it goes on playing.
    let mut chatty = Client::connected(port, "live");
    let stream = chatty.create_stream();
    chatty.play(stream, "one");
    for _ in 0..50 {
        let noise = Message {
            csid: 6,
            kind: 9,
            stream: 1,
            timestamp: 0,
            body: vec![0x27; 60_000],
        };
        chatty.peer.send(&noise).unwrap();
        chatty.next_of(8);
    }
    witness.has_missed_nothing(&live);
}

/// They are dropped or skip, each for itself.
#[test]
fn players_that_never_read_disturb_nobody() {
    for policy in ["next-key-frame", "drop"] {
        let live = Live::start(&format!(
            "recover-policy={policy} max-lag-time=1000 send-buffer=8192 stall-timeout=3"
        ));
        let stuck: Vec<_> = (0..20)
            .map(|_| {
                let mut client = Client::connected(live.station.port, "live");
                let stream = client.create_stream();
                client.play(stream, "one");
                client
            })
            .collect();
        let witness = Witness::of(&live);
        let gone = live.station.pipeline.notice("rtmp-caller-removed");
        let reason = gone.get::<String>("reason").unwrap();
        match policy {
            "drop" => assert_eq!(reason, "slow"),
            _ => assert_eq!(reason, "stalled"),
        }
        wait_until("they are gone", || live.station.callers().len() == 1);
        drop(stuck);
        witness.over.store(true, Ordering::SeqCst);
        let client = witness.thread.join().unwrap();
        let expect = Expect {
            headers: false,
            ..Expect::LIVE
        };
        flvdump::assert_same(&live.sent, &client.packets(), expect);
    }
}

/// A publisher's own mistakes are its own; the next one is welcome.
#[test]
fn publishers_that_send_garbage_leave_the_place_to_others() {
    let ingest = Pipeline::launch(
        "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1/live/one port=0 \
         keep-listening=true ! fakesink sync=false",
    );
    ingest.play();
    let port = ingest.notice("rtmp-listening").get::<u32>("port").unwrap() as u16;
    for garbage in [
        &[0xff; 3000][..],
        &[0x03; 3000],
        &[0x42, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        let mut client = Client::connected(port, "live");
        let stream = client.create_stream();
        client.say(
            stream,
            "publish",
            &[Amf::string("one"), Amf::string("live")],
        );
        client.status("NetStream.Publish.Start");
        ingest.notice("rtmp-caller-added");
        let _ = client.peer.send_bytes(garbage);
        let _ = client.peer.socket().shutdown(Shutdown::Write);
        ingest.notice("rtmp-caller-removed");
    }
    ingest.stop();
}

#[test]
fn a_server_stops_at_once_whoever_is_there() {
    let live = Live::start("");
    let mut people = Vec::new();
    for stage in 0..3 {
        match stage {
            0 => people.push(Some(socket(&live))),
            _ => {
                let mut client = Client::connected(live.station.port, "live");
                if stage == 2 {
                    let stream = client.create_stream();
                    client.play(stream, "one");
                }
                people.push(client.peer.socket().try_clone().ok());
                std::mem::forget(client);
            }
        }
    }
    let begun = Instant::now();
    live.station
        .pipeline
        .pipeline
        .set_state(gst::State::Null)
        .unwrap();
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    // The port is free again.
    assert!(TcpStream::connect(("127.0.0.1", live.station.port)).is_err());
}
