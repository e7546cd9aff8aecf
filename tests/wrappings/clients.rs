// SPDX-License-Identifier: MPL-2.0

//! Clients that are none, or bad ones, and what our listener makes of them. After each, a good one is
//! served.

use std::{io::Write as _, time::Duration};

use crate::{
    house::{Ingest, Wire, publishing},
    support::{gst_peer::gst_launch, media},
};

/// Opens a session and returns its id.
#[track_caller]
fn open(wire: &mut Wire) -> String {
    wire.post("/open/1", &[0]);
    let (status, body) = wire.status();
    assert_eq!(status, 200);
    let text = String::from_utf8(body).expect("text");
    text.strip_suffix('\n').expect("a line").to_owned()
}

/// A good publisher is served.
#[track_caller]
fn assert_serves(ingest: &Ingest, scheme: &str) {
    let film = media::audio_only();
    let publisher = publishing(&film, "rtmpsink", &ingest.url(scheme), "");
    publisher.play();
    publisher.eos();
    assert_eq!(publisher.errors_left("sink").len(), 0);
    ingest.assert_received(&film);
}

#[test]
fn what_is_asked_is_answered() {
    let ingest = Ingest::new();
    let mut wire = Wire::call(ingest.port);
    wire.post("/fcs/ident2", &[0]);
    assert_eq!(wire.status().0, 404);
    // The connection serves on, and ids are no counter.
    let (one, other) = (open(&mut wire), open(&mut wire));
    assert!(one.len() >= 16 && one[..8] != other[..8], "{one} {other}");
    wire.post(&format!("/idle/{one}/0"), &[0]);
    assert_eq!(wire.status(), (200, vec![1]));
    // A request again is answered with the same, one long past is not.
    wire.post(&format!("/idle/{one}/0"), &[0]);
    assert_eq!(wire.status(), (200, vec![1]));
    // What kind of nothing there is to be told is said to those who ask, not to those who send.
    for (path, body, typed) in [("idle", 0, true), ("send", 3, false)] {
        let n = u8::from(!typed) + 1;
        wire.post(&format!("/{path}/{one}/{n}"), &[body]);
        let said = wire.read().expect("a response");
        assert_eq!(said.body, [1]);
        assert_eq!(said.head.contains("application/x-fcs"), typed, "{path}");
    }
    wire.post(&format!("/close/{one}/3"), &[0]);
    assert_eq!(wire.status(), (200, vec![0]));
    wire.post(&format!("/idle/{one}/4"), &[0]);
    assert_eq!(wire.status().0, 400);
    assert!(wire.is_closed());

    let mut wire = Wire::call(ingest.port);
    wire.send(b"POST /open/1 HTTP/1.0\r\nContent-Length: 1\r\n\r\n\0");
    assert_eq!(wire.status().0, 200);
    assert!(wire.is_closed(), "HTTP/1.0 asks once");
    let mut wire = Wire::call(ingest.port);
    for _ in 0..3 {
        wire.send(
            b"POST /open/1 HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n\0",
        );
        let said = wire.read().expect("a response");
        assert!(
            said.head.to_lowercase().contains("connection: keep-alive"),
            "{}",
            said.head
        );
    }
    wire.send(b"POST /open/1 HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    assert_eq!(wire.status().0, 100);
    wire.send(&[0]);
    assert_eq!(wire.status().0, 200);
    assert_serves(&ingest, "rtmpt");
}

/// The polling byte goes up after ten empty replies, as Red5 describes it.
#[test]
fn the_polling_byte_steps_up() {
    let ingest = Ingest::new();
    let mut wire = Wire::call(ingest.port);
    let id = open(&mut wire);
    let mut steps = Vec::new();
    for n in 0..62 {
        wire.post(&format!("/idle/{id}/{n}"), &[0]);
        let (status, body) = wire.status();
        assert_eq!((status, body.len()), (200, 1));
        if steps.last() != Some(&body[0]) {
            steps.push(body[0]);
        }
    }
    assert_eq!(steps, [1, 3, 5, 9, 0x11, 0x21]);
    assert_serves(&ingest, "rtmpt");
}

#[test]
fn bad_requests_are_refused() {
    let ingest = Ingest::new();
    let long = format!("POST /open/1 HTTP/1.1\r\nX: {}\r\n", "x".repeat(20_000));
    let far = format!("POST /idle/{}/0 HTTP/1.1\r\n", "x".repeat(20_000));
    for (request, status) in [
        ("POST /open/1 HTTP/1.1\r\n\r\n", 411),
        (
            "POST /open/1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            411,
        ),
        ("POST /open/1 HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (
            "POST /open/1 HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
        ),
        (
            "POST /open/1 HTTP/1.1\r\nContent-Length: 4294967296\r\n\r\n",
            413,
        ),
        (
            "POST /open/1 HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            400,
        ),
        (
            "POST /send/guess/0 HTTP/1.1\r\nContent-Length: 100000\r\n\r\n",
            413,
        ),
        (
            "POST /send/guess/0 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
            404,
        ),
        (
            "POST /idle/AAAAAAAAAAAAAAAA/0 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
            404,
        ),
        (
            "POST /send/x/-1 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
            405,
        ),
        (
            "POST /send/../0 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
            405,
        ),
        (
            "POST /elsewhere HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
            405,
        ),
        ("GET /open/1 HTTP/1.1\r\n\r\n", 404),
        (&long, 431),
        (&far, 431),
    ] {
        let mut wire = Wire::call(ingest.port);
        wire.send(request.as_bytes());
        assert_eq!(wire.status().0, status, "{request:.60}");
    }
    assert_serves(&ingest, "rtmpt");
}

#[test]
fn numbers_are_kept() {
    let ingest = Ingest::new();
    let (mut one, mut other) = (Wire::call(ingest.port), Wire::call(ingest.port));
    let id = open(&mut one);
    one.post(&format!("/idle/{id}/0"), &[0]);
    assert_eq!(one.status(), (200, vec![1]));
    // Overtaken: the third request arrives before the second, and both are answered.
    other.post(&format!("/idle/{id}/2"), &[0]);
    one.post(&format!("/idle/{id}/1"), &[0]);
    assert_eq!(one.status(), (200, vec![1]));
    assert_eq!(other.status(), (200, vec![1]));
    // The same twice at once.
    other.post(&format!("/idle/{id}/3"), &[0]);
    one.post(&format!("/idle/{id}/3"), &[0]);
    assert_eq!(one.status(), other.status());
    // A replay, and one from far ahead.
    one.post(&format!("/idle/{id}/0"), &[0]);
    assert_eq!(one.status().0, 400);
    other.post(&format!("/idle/{id}/99"), &[0]);
    assert_eq!(other.status().0, 400);
    assert_serves(&ingest, "rtmpt");
}

/// A gap that is never filled ends the session.
#[test]
fn a_gap_has_an_end() {
    let ingest = Ingest::new();
    let mut wire = Wire::call(ingest.port);
    let id = open(&mut wire);
    wire.post(&format!("/idle/{id}/0"), &[0]);
    assert_eq!(wire.status().0, 200);
    wire.post(&format!("/idle/{id}/2"), &[0]);
    assert_eq!(wire.status().0, 400);
    assert_serves(&ingest, "rtmpt");
}

/// Sessions without a word in them, and connections without a request.
#[test]
fn a_flood_keeps_nobody_out() {
    let ingest = Ingest::new();
    let mut wire = Wire::call(ingest.port);
    let mut opened = 0;
    for _ in 0..600 {
        wire.post("/open/1", &[0]);
        opened += u32::from(wire.status().0 == 200);
    }
    assert_eq!(opened, 600);
    let idle: Vec<_> = (0..300).map(|_| Wire::call(ingest.port)).collect();
    assert_serves(&ingest, "rtmpt");
    drop(idle);
}

/// Whoever asks and does not read the answers is not read from any further, and loses nothing by it.
#[test]
fn who_does_not_read_is_not_listened_to() {
    let ingest = Ingest::new();
    let mut wire = Wire::call(ingest.port);
    let id = open(&mut wire);
    let socket = wire.socket();
    let patience = Some(Duration::from_secs(2));
    socket.set_write_timeout(patience).expect("an option");
    let request = |n: u32| {
        format!("POST /idle/{id}/{n} HTTP/1.1\r\nContent-Length: 1\r\n\r\n\0").into_bytes()
    };
    // A few MiB that both kernels hold, and what one reads at a time.
    let most = 64 << 20;
    let (mut whole, mut rest, mut written) = (0, 0, 0);
    loop {
        let bytes = request(whole);
        match (&socket).write(&bytes) {
            Ok(n) if n == bytes.len() => (whole, written) = (whole + 1, written + n),
            Ok(n) => rest = bytes.len() - n,
            Err(_) => {}
        }
        if rest > 0 || whole == 0 || written > most {
            break;
        }
    }
    assert!(rest > 0 && written < most, "{written} bytes were taken");
    for n in 0..whole {
        assert_eq!(wire.status().0, 200, "{n} of {whole}");
    }
    // The one that was cut in the middle.
    let bytes = request(whole);
    wire.send(&bytes[bytes.len() - rest..]);
    assert_eq!(wire.status().0, 200);
    assert_serves(&ingest, "rtmpt");
}

/// A publisher that says nothing for 30 s is gone, and so is a connection without a request for 60.
#[test]
fn the_silent_are_let_go() {
    let ingest = Ingest::new();
    let mut idle = Wire::call(ingest.port);
    idle.post("/fcs/ident2", &[0]);
    assert_eq!(idle.status().0, 404);
    let publisher = gst_launch(&format!(
        "videotestsrc is-live=true ! x264enc tune=zerolatency ! flvmux streamable=true ! \
         rtmpsink location={}",
        ingest.url("rtmpt")
    ));
    ingest.pipeline.notice("rtmp-caller-added");
    publisher.freeze();
    let patience = Some(Duration::from_secs(75));
    idle.socket().set_read_timeout(patience).expect("an option");
    assert!(idle.ends_well(), "it is open still");
    // That came before. Without `keep-listening` it is the end.
    ingest.pipeline.eos();
}

/// A handshake of RTMPE that is none, plain and in a tunnel; a request that trickles.
#[test]
fn strangers_are_no_harm() {
    let ingest = Ingest::new();
    for version in [6u8, 8, 9] {
        for fill in [0u8, 0xff] {
            let mut wire = Wire::call(ingest.port);
            let mut hello = vec![fill; 1537];
            hello[0] = version;
            wire.send(&hello);
            assert!(wire.is_closed(), "no digest, no key");
        }
    }
    let mut wire = Wire::call(ingest.port);
    let id = open(&mut wire);
    let mut hello = vec![0xff; 1537];
    hello[0] = 9;
    wire.post(&format!("/send/{id}/0"), &hello);
    // Over at once or with the next poll.
    let mut n = 0;
    loop {
        let (status, body) = wire.status();
        if status != 200 || body == [0] {
            break;
        }
        n += 1;
        assert!(n < 100, "the session goes on");
        wire.post(&format!("/idle/{id}/{n}"), &[0]);
    }
    // HTTP within a tunnel is nothing.
    let mut wire = Wire::call(ingest.port);
    let id = open(&mut wire);
    wire.post(&format!("/send/{id}/0"), b"POST /open/1 HTTP/1.1\r\n\r\n");
    assert_eq!(wire.status().0, 200);
    let mut slow = Wire::call(ingest.port);
    for byte in b"POST /open" {
        slow.send(&[*byte]);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_serves(&ingest, "rtmpe");
}
