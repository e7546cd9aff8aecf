// SPDX-License-Identifier: MPL-2.0

//! Strangers, and streams that are none. Who watches does not notice.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use crate::{
    client::{Client, End, connect},
    film::{FILM, assert_same, key_frames, packets},
    station::Station,
};

/// Does harm in the middle of a stream, and sees that a client misses nothing.
#[track_caller]
fn unnoticed(properties: &str, harm: impl FnOnce(&Station)) {
    let station = Station::new(&format!("timecodes=source {properties}"));
    let client = station.watch();
    let client = std::thread::spawn(move || client.body());
    let half = FILM.len() / 2;
    station.push(&FILM[..half]);
    harm(&station);
    station.push(&FILM[half..]);
    station.end();
    let (body, end) = client.join().expect("a client");
    assert_eq!(end, End::Proper);
    let sent = packets(&FILM);
    assert_same(&packets(&body), &sent[key_frames(&sent)[0]..]);
}

fn status(mut socket: TcpStream) -> Option<u16> {
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1)?.parse().ok()
}

fn say(station: &Station, bytes: &[u8]) -> TcpStream {
    let mut socket = connect(station.port);
    // The answer may come before all is taken.
    let _ = socket.write_all(bytes);
    socket
}

#[test]
fn odd_requests() {
    unnoticed("", |station| {
        let field = format!("X: {}\r\n", "y".repeat(1 << 20));
        let many = "a: b\r\n".repeat(1000);
        for (request, answer) in [
            (format!("GET /live HTTP/1.1\r\n{field}\r\n"), Some(431)),
            (format!("GET /live HTTP/1.1\r\n{many}\r\n"), Some(431)),
            (
                format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20)),
                Some(431),
            ),
            ("NONSENSE\r\n\r\n".to_owned(), Some(400)),
            ("GET /live HTTP/9.9\r\n\r\n".to_owned(), Some(400)),
            ("FROB /live HTTP/1.1\r\n\r\n".to_owned(), Some(405)),
            (
                "GET /%2e%2e/%2e%2e/etc/shadow HTTP/1.1\r\n\r\n".to_owned(),
                Some(404),
            ),
            ("GET /live%00 HTTP/1.1\r\n\r\n".to_owned(), Some(400)),
        ] {
            let shown = &request[..request.len().min(40)];
            assert_eq!(status(say(station, request.as_bytes())), answer, "{shown}");
        }
        let garbage: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        drop(say(station, &garbage));
        drop(say(station, b"\x16\x03\x01\x02\x00\x01\x00"));
    });
}

#[test]
fn requests_that_do_not_end() {
    unnoticed("header-timeout=1", |station| {
        let slow: Vec<_> = (0..50).map(|_| say(station, b"GET /live HT")).collect();
        let silent: Vec<_> = (0..50).map(|_| say(station, b"")).collect();
        assert_eq!(station.get("/live", "").status, 200);
        for mut socket in slow.into_iter().chain(silent) {
            // They are closed when their time is over.
            assert!(!matches!(socket.read(&mut [0]), Ok(1..)));
        }
    });
}

#[test]
fn a_thousand_silent_connections() {
    unnoticed("", |station| {
        let silent: Vec<_> = (0..1000).map(|_| connect(station.port)).collect();
        assert_eq!(station.get("/live", "").status, 200);
        drop(silent);
    });
}

#[test]
fn clients_that_send_and_half_close() {
    unnoticed("", |station| {
        let two = b"GET /live HTTP/1.1\r\n\r\nGET /live HTTP/1.1\r\n\r\n";
        let pipelined = Client::read(say(station, two));
        assert_eq!(pipelined.status, 200);
        let mut chatty = say(station, b"GET /live HTTP/1.1\r\n\r\n");
        chatty.set_nonblocking(true).expect("an option");
        // As much as fits into the sockets: nobody reads it.
        while let Ok(1..) = chatty.write(&[b'x'; 65536]) {}
        let half = say(station, b"GET /live HTTP/1.1\r\n\r\n");
        half.shutdown(Shutdown::Write).expect("half a close");
        drop((pipelined, chatty, half));
        station.wait_for_clients(1);
    });
}

/// The client that closes and asks again at once, as the first browsers did.
#[test]
fn clients_that_come_and_go() {
    unnoticed("", |station| {
        for _ in 0..100 {
            drop(station.get("/live", "Range: bytes=0-\r\n"));
        }
        assert_eq!(station.get("/live", "Range: bytes=0-\r\n").status, 200);
        station.wait_for_clients(1);
    });
}

#[test]
fn what_is_no_webm_is_one_error() {
    for bytes in [
        &b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"[..],
        b"\x1aE\xdf\xa3\x84\x42\x86\x81\x01\xff\xff\xff",
        b"\x1aE\xdf\xa3\x01\x7f\xff\xff\xff\xff\xff\xff",
        &[0; 64],
    ] {
        let station = Station::new("");
        let client = station.watch();
        station.push_anything(bytes);
        let failure = station.pipeline.error_of("sink");
        failure.assert_sentence();
        assert!(
            failure.error.matches(gst::StreamError::WrongType),
            "{failure:?}"
        );
        assert!(failure.error.message().contains("webmmux streamable=true"));
        station.pipeline.stop_at_once("after an error");
        assert_eq!(station.pipeline.errors_left("sink").len(), 0);
        assert_eq!(client.body().1, End::Broken);
    }
}

/// An hour without a key frame: memory stays bounded, and nobody falls out of the stream.
#[test]
fn a_group_of_pictures_without_end() {
    let station = Station::new("timecodes=source max-lag-time=9999999 max-lag-bytes=999999999");
    let header_end = FILM.windows(4).position(|w| w == [0x1F, 0x43, 0xB6, 0x75]);
    let header = &FILM[..header_end.expect("a cluster")];
    let client = station.watch();
    let reader = std::thread::spawn(move || client.body());
    let mut stream = header.to_vec();
    let put = |stream: &mut Vec<u8>, time: u64, key: bool| {
        stream.extend([
            0x1F, 0x43, 0xB6, 0x75, 1, 255, 255, 255, 255, 255, 255, 255, 0xE7, 0x88,
        ]);
        stream.extend(time.to_be_bytes());
        let frame = [7; 50_000];
        stream.extend([0xA3, 0x20 | ((frame.len() + 4) >> 16) as u8]);
        stream.extend(((frame.len() + 4) as u16).to_be_bytes());
        stream.extend([0x81, 0, 0, if key { 0x80 } else { 0 }]);
        stream.extend(frame);
    };
    put(&mut stream, 0, true);
    let mut sent = 0;
    for frame in 1..3000_u64 {
        put(&mut stream, frame * 1200, false);
        if stream.len() > 1 << 20 {
            station.push(&stream);
            sent += stream.len();
            stream.clear();
        }
    }
    station.push(&stream);
    let late = station.watch();
    station.end();
    let (body, end) = reader.join().expect("a client");
    assert_eq!(end, End::Proper);
    assert!(body.len() > sent * 9 / 10, "{} of {sent}", body.len());
    // The only key frame is long forgotten.
    assert!(late.body().0.len() < 10_000);
}
