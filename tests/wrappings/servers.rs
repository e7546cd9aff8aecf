// SPDX-License-Identifier: MPL-2.0

//! Servers that are none, or bad ones, and what our client makes of them.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    time::Duration,
};

use gst::ResourceError;

use crate::{
    house::{Answer, Said, Wire, ok, server},
    support::{pipeline::Pipeline, process::PATIENCE},
};

/// Plays from a hand-made server; it answers `/open` well.
fn playing(
    scheme: &str,
    mut serve: impl FnMut(&mut Wire, &Said) -> Answer + Send + 'static,
) -> (Pipeline, std::sync::mpsc::Receiver<Said>) {
    let (port, asked) = server(move |wire, said| {
        if said.line.starts_with("POST /fcs/ident2 ") {
            return Answer::Say(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec());
        }
        serve(wire, said)
    });
    let pipeline = Pipeline::launch(&format!(
        "rtmptsrc name=source timeout=3 location={scheme}://127.0.0.1:{port}/live/one ! fakesink"
    ));
    pipeline.play();
    (pipeline, asked)
}

fn open(said: &Said) -> bool {
    said.line.starts_with("POST /open/1 ")
}

#[track_caller]
fn fails(pipeline: &Pipeline, code: ResourceError, word: &str) {
    let failure = pipeline.error_of("source");
    failure.assert_sentence();
    let text = failure.error.message();
    assert_eq!(failure.error.kind(), Some(code), "{text}");
    assert!(text.contains(word), "{text}");
    assert_eq!(pipeline.errors_left("source").len(), 0);
}

/// Answers to `/open`.
#[test]
fn what_is_no_server_is_told_apart() {
    let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 46\r\n\r\n\
                 <html><body>Sign in to use this network.</body";
    for (answer, word) in [
        (&page[..], "web page"),
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            "404",
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: http://portal/\r\nContent-Length: 0\r\n\r\n",
            "portal",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\nx",
            "4294967296",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "-1"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nxyz",
            "length",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxy",
            "gzip",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "RTMPT"),
        (b"RTMP is not HTTP\r\n\r\n", "HTTP"),
    ] {
        let (pipeline, _) = playing("rtmpt", move |_, _| Answer::Say(answer.to_vec()));
        fails(&pipeline, ResourceError::OpenRead, word);
    }
}

/// Answers to requests of a session.
#[test]
fn bad_answers_end_a_session() {
    let late = |answer: Vec<u8>| {
        move |_: &mut Wire, said: &Said| match open(said) {
            true => Answer::Say(ok(b"1\n")),
            false => Answer::Say(answer.clone()),
        }
    };
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n";
    for (answer, code, word) in [
        (
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
            ResourceError::Read,
            "forgotten",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
                .to_vec(),
            ResourceError::OpenRead,
            "web page",
        ),
        (chunked.to_vec(), ResourceError::OpenRead, "chunks"),
        // The server closes before it has said a word of RTMP.
        (ok(&[0]), ResourceError::OpenRead, "closed"),
        (ok(b"\x01GET / HTTP"), ResourceError::OpenRead, "RTMP"),
    ] {
        let (pipeline, _) = playing("rtmpt", late(answer));
        fails(&pipeline, code, word);
    }
}

/// Replies without a polling byte, and with every other, are an empty reply; the session's own time runs
/// out in the end.
#[test]
fn empty_replies_are_waited_out() {
    for body in [&b""[..], b"\xff"] {
        let (pipeline, asked) = playing("rtmpt", move |_, said| match open(said) {
            true => Answer::Say(ok(b"1\n")),
            false => Answer::Say(ok(body)),
        });
        fails(&pipeline, ResourceError::OpenRead, "handshake");
        let last = asked
            .try_iter()
            .filter(|said| said.line.contains("/1/"))
            .count();
        assert!(last > 3, "{last}");
    }
}

/// A body that comes a byte a second is not waited for until the end of days.
#[test]
fn a_trickling_body_has_an_end() {
    let (pipeline, _) = playing("rtmpt", |wire, said| {
        if open(said) {
            return Answer::Say(ok(b"1\n"));
        }
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n\x01\x03");
        for _ in 0..PATIENCE.as_secs() {
            std::thread::sleep(Duration::from_secs(1));
            wire.send(b"x");
        }
        Answer::Last(Vec::new())
    });
    fails(&pipeline, ResourceError::OpenRead, "handshake");
}

/// The connection ends with a reply on it: the request is made again where that can do no harm.
#[test]
fn a_lost_reply_is_asked_for_again_unless_it_is_encrypted() {
    for (scheme, repeated) in [("rtmpt", true), ("rtmpte", false)] {
        let (pipeline, asked) = playing(scheme, |_, said| match open(said) {
            true => Answer::Say(ok(b"1\n")),
            false => Answer::Last(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()),
        });
        fails(&pipeline, ResourceError::Read, "connection was lost");
        let sent: Vec<_> = asked
            .try_iter()
            .filter(|said| said.line.contains("/1/0 ") && !said.line.contains("/close/"))
            .collect();
        let times = sent.len();
        assert_eq!(times > 1, repeated, "{scheme}: {times}");
        assert!(sent.windows(2).all(|pair| pair[0].body == pair[1].body));
    }
}

/// The server has forgotten the session when it comes back.
#[test]
fn a_server_that_restarts_between_two_polls() {
    let mut polls = 0;
    let (pipeline, _) = playing("rtmpt", move |_, said| {
        if open(said) {
            return Answer::Say(ok(b"1\n"));
        }
        polls += 1;
        match polls {
            ..3 => Answer::Say(ok(&[1])),
            3 => Answer::Last(ok(&[1])),
            _ => Answer::Say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()),
        }
    });
    fails(&pipeline, ResourceError::Read, "restarted");
}

/// Whatever is under way when the element stops, the server is told that the session is over.
#[test]
fn the_server_is_told_of_the_end() {
    // With nothing under way, and while the answer to a poll is awaited.
    for holds in [false, true] {
        let (pipeline, asked) = playing("rtmpt", move |_, said| {
            if open(said) {
                return Answer::Say(ok(b"1\n"));
            }
            match holds && !said.line.starts_with("POST /close/") {
                true => Answer::Say(Vec::new()),
                false => Answer::Say(ok(&[1])),
            }
        });
        let wait = |word: &str| {
            let mut said = String::new();
            while !said.contains(word) {
                said = asked.recv_timeout(PATIENCE).expect("a request").line;
            }
        };
        wait("/1/0 ");
        if !holds {
            wait("/1/2 ");
        }
        pipeline.stop_at_once("in a tunnel");
        wait("POST /close/1/");
    }
}

/// A tunnel that cannot be opened does not hold up the end.
#[test]
fn stopping_takes_no_time() {
    let (pipeline, asked) = playing("rtmpt", |_, said| match open(said) {
        true => Answer::Say(Vec::new()),
        false => Answer::Say(ok(&[1])),
    });
    loop {
        if open(&asked.recv_timeout(PATIENCE).expect("a request")) {
            break;
        }
    }
    pipeline.stop_at_once("while a session is opened");
}

/// A server of plain RTMP that is asked for RTMPE says so.
#[test]
fn plain_servers_do_not_encrypt() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = socket.accept().unwrap();
        socket.read_exact(&mut [0; 1537]).unwrap();
        socket.write_all(&[3; 1 + 2 * 1536]).unwrap();
        let _ = socket.read(&mut [0; 1]);
    });
    let player = Pipeline::launch(&format!(
        "rtmpsrc name=source location=rtmpe://127.0.0.1:{port}/live/one ! fakesink"
    ));
    player.play();
    fails(&player, ResourceError::OpenRead, "rtmps");
    thread.join().unwrap();
}
