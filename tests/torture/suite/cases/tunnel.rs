// SPDX-License-Identifier: MPL-2.0

//! Items 43 to 49: RTMP through HTTP requests. A server that knows nothing of it hangs up, or answers as web
//! servers do.

use std::io;

use super::{List, Then, script, send, send_and_end};
use crate::suite::{Stage::*, wire::Wire};

fn post(path: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-fcs\r\n{more}\r\n");
    [head.as_bytes(), body].concat()
}

fn sized(path: &str, body: &[u8]) -> Vec<u8> {
    post(path, &format!("Content-Length: {}\r\n", body.len()), body)
}

pub(super) fn list(list: &mut List) {
    requests(list);
    sessions(list);
    replies(list);
}

fn requests(list: &mut List) {
    for (what, length) in [
        ("no length", ""),
        ("a length of -1", "Content-Length: -1\r\n"),
        ("a length of 2^31", "Content-Length: 2147483648\r\n"),
        ("a length of 2^32", "Content-Length: 4294967296\r\n"),
        (
            "a length of 10^20",
            "Content-Length: 100000000000000000000\r\n",
        ),
        ("a length that is a word", "Content-Length: one\r\n"),
        ("a length of nothing", "Content-Length:\r\n"),
        ("two lengths", "Content-Length: 1\r\nContent-Length: 2\r\n"),
        ("two lengths in one", "Content-Length: 1, 2\r\n"),
        ("chunks", "Transfer-Encoding: chunked\r\n"),
        (
            "chunks and a length",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        ),
        ("gzip", "Content-Encoding: gzip\r\nContent-Length: 1\r\n"),
        (
            "100-continue",
            "Expect: 100-continue\r\nContent-Length: 1\r\n",
        ),
    ] {
        list.server(
            43,
            Socket,
            format!("a request with {what}"),
            send_and_end(post("/open/1", length, b"\0")),
        );
    }
    for (what, bytes) in [
        (
            "a line that does not end",
            [b"POST /".to_vec(), vec![b'a'; 100_000]].concat(),
        ),
        (
            "a header of 100 KB",
            post("/open/1", &format!("X: {}\r\n", "a".repeat(100_000)), b""),
        ),
        (
            "10,000 headers",
            post("/open/1", &"X: y\r\n".repeat(10_000), b""),
        ),
        (
            "a header without a name",
            post("/open/1", ": x\r\nContent-Length: 1\r\n", b"\0"),
        ),
        (
            "a header folded",
            post("/open/1", "X: a\r\n b\r\nContent-Length: 1\r\n", b"\0"),
        ),
        (
            "a zero in a header",
            post("/open/1", "X: a\0b\r\nContent-Length: 1\r\n", b"\0"),
        ),
        (
            "HTTP/1.0",
            b"POST /open/1 HTTP/1.0\r\nContent-Length: 1\r\n\r\n\0".to_vec(),
        ),
        (
            "HTTP/9.9",
            b"POST /open/1 HTTP/9.9\r\nContent-Length: 1\r\n\r\n\0".to_vec(),
        ),
        ("no version", b"POST /open/1\r\n\r\n".to_vec()),
        ("../", sized("/open/../../../etc/passwd", b"\0")),
        ("a path with zeros", sized("/open/%00%00", b"\0")),
        ("a path with a backslash", sized("/\\open\\1", b"\0")),
        ("an absolute URI", sized("http://127.0.0.1/open/1", b"\0")),
        (
            "GET of a session",
            b"GET /open/1 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
        (
            "CONNECT",
            b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        ),
    ] {
        list.server(
            48,
            Socket,
            format!("a request with {what}"),
            send_and_end(bytes),
        );
    }
    for path in [
        "/idle/NOPE/1",
        "/send/NOPE/1",
        "/close/NOPE/1",
        "/idle//",
        "/send",
        "/fcs/ident2",
        "/",
    ] {
        list.server(
            45,
            Socket,
            format!("nobody's {path}"),
            send_and_end(sized(path, b"\0")),
        );
    }
    list.server(46, Socket, "300 sessions opened, and no more", {
        script(|wire| {
            for _ in 0..300 {
                wire.send(&sized("/open/1", b"\0"))?;
                if answer(wire).is_err() {
                    return Ok(Then::Answered);
                }
            }
            Ok(Then::Answered)
        })
    });
}

/// Reads a whole answer and returns its body.
fn answer(wire: &mut Wire) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        bytes.extend(wire.read_some()?);
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let Some(head) = head else { continue };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
        if bytes.len() >= head + 4 + length {
            return Ok(bytes.split_off(head + 4));
        }
    }
}

/// Opens a session and returns its id; a server without them has answered with that.
fn open(wire: &mut Wire) -> io::Result<Option<String>> {
    wire.send(&sized("/open/1", b"\0"))?;
    let body = answer(wire)?;
    let id = String::from_utf8_lossy(&body).trim().to_owned();
    let plain = !id.is_empty()
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    Ok(plain.then_some(id))
}

fn sessions(list: &mut List) {
    type Say = fn(&str) -> Vec<Vec<u8>>;
    let dialogues: [(u8, &'static str, Say); 9] = [
        (45, "a number again", |id| {
            vec![
                sized(&format!("/idle/{id}/1"), b"\0"),
                sized(&format!("/idle/{id}/1"), b"\0"),
            ]
        }),
        (45, "a number left out", |id| {
            vec![
                sized(&format!("/idle/{id}/0"), b"\0"),
                sized(&format!("/idle/{id}/9"), b"\0"),
            ]
        }),
        (45, "numbers going back", |id| {
            [5, 4, 3]
                .map(|n| sized(&format!("/idle/{id}/{n}"), b"\0"))
                .to_vec()
        }),
        (45, "a number that is none", |id| {
            vec![sized(&format!("/idle/{id}/x"), b"\0")]
        }),
        (45, "the number 2^64", |id| {
            vec![sized(&format!("/idle/{id}/18446744073709551616"), b"\0")]
        }),
        (44, "noise instead of a handshake", |id| {
            vec![
                sized(&format!("/send/{id}/0"), &[0xff; 5000]),
                sized(&format!("/idle/{id}/1"), b"\0"),
            ]
        }),
        (47, "after its close", |id| {
            vec![
                sized(&format!("/close/{id}/0"), b"\0"),
                sized(&format!("/send/{id}/1"), b"\x03"),
            ]
        }),
        (47, "closed twice", |id| {
            vec![
                sized(&format!("/close/{id}/0"), b"\0"),
                sized(&format!("/close/{id}/1"), b"\0"),
            ]
        }),
        (47, "two requests at once", |id| {
            let two = [0, 1].map(|n| sized(&format!("/idle/{id}/{n}"), b"\0"));
            vec![two.concat()]
        }),
    ];
    for (item, name, say) in dialogues {
        let dialogue = script(move |wire| {
            let Some(id) = open(wire)? else {
                return Ok(Then::Answered);
            };
            for request in say(&id) {
                wire.send(&request)?;
                answer(wire)?;
            }
            Ok(Then::Answered)
        });
        list.server(item, Socket, format!("a session: {name}"), dialogue);
    }
    let cut = script(|wire| {
        let Some(id) = open(wire)? else {
            return Ok(Then::Answered);
        };
        // The request is there, and nobody is left to hear the answer.
        wire.send(&sized(&format!("/send/{id}/0"), &[3; 1537]))?;
        wire.end();
        Ok(Then::Judge)
    });
    list.server(48, Socket, "a session: cut between request and reply", cut);
}

/// What a server answers to `/open`.
fn replies(list: &mut List) {
    let reply = |status: &str, more: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Type: application/x-fcs\r\n{more}\r\n{body}")
            .into_bytes()
    };
    let sized = |status: &str, body: &str| {
        reply(status, &format!("Content-Length: {}\r\n", body.len()), body)
    };
    let huge = "a".repeat(100_000);
    for (item, what, bytes) in [
        (43, "no length", reply("200 OK", "", "id\n")),
        (
            43,
            "a length of -1",
            reply("200 OK", "Content-Length: -1\r\n", "id\n"),
        ),
        (
            43,
            "a length of 10^20",
            reply(
                "200 OK",
                "Content-Length: 100000000000000000000\r\n",
                "id\n",
            ),
        ),
        (
            43,
            "a length of 2^31",
            reply("200 OK", "Content-Length: 2147483648\r\n", "id\n"),
        ),
        (
            43,
            "two lengths",
            reply(
                "200 OK",
                "Content-Length: 3\r\nContent-Length: 9\r\n",
                "id\n",
            ),
        ),
        (
            43,
            "chunks",
            reply(
                "200 OK",
                "Transfer-Encoding: chunked\r\n",
                "3\r\nid\n\r\n0\r\n\r\n",
            ),
        ),
        (
            43,
            "chunks of 2^64",
            reply(
                "200 OK",
                "Transfer-Encoding: chunked\r\n",
                "ffffffffffffffff\r\nid",
            ),
        ),
        (
            43,
            "gzip",
            reply(
                "200 OK",
                "Content-Encoding: gzip\r\nContent-Length: 3\r\n",
                "\u{1f}x\n",
            ),
        ),
        (
            43,
            "100 and no more",
            b"HTTP/1.1 100 Continue\r\n\r\n".to_vec(),
        ),
        (
            43,
            "100 a thousand times",
            b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000),
        ),
        (
            43,
            "a redirection",
            reply(
                "302 Found",
                "Location: http://127.0.0.1:1/\r\nContent-Length: 0\r\n",
                "",
            ),
        ),
        (43, "a page", sized("404 Not Found", "<html>no</html>")),
        (
            43,
            "a page that says 200",
            sized("200 OK", "<html>no</html>"),
        ),
        (43, "no status", b"HTTP/1.1 \r\n\r\n".to_vec()),
        (43, "a status of 99999", sized("99999 OK", "id\n")),
        (
            43,
            "a header of 100 KB",
            reply(
                "200 OK",
                &format!("X: {huge}\r\nContent-Length: 3\r\n"),
                "id\n",
            ),
        ),
        (43, "no HTTP", b"hello\r\n\r\n".to_vec()),
        (44, "nothing", sized("200 OK", "")),
        (44, "a line break for an id", sized("200 OK", "\n")),
        (44, "an id of 100 KB", sized("200 OK", &huge)),
        (44, "an id with a slash", sized("200 OK", "../../x\n")),
        (
            44,
            "an id with a line break",
            sized("200 OK", "a\r\nX: y\r\n"),
        ),
    ] {
        let answer = script(move |wire| {
            wire.read_some()?;
            wire.send(&bytes)?;
            wire.end();
            // One more request, or a close.
            Ok(Then::Judge)
        });
        list.client(item, Socket, format!("a reply with {what}"), answer);
        list.scheme("rtmpt");
    }
    for polling in [0u8, 1, 0x7f, 0xff] {
        let dialogue = script(move |wire| {
            answer(wire)?;
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nid\n")?;
            for _ in 0..3 {
                answer(wire)?;
                let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
                wire.send(&[head, &[polling][..]].concat())?;
            }
            Ok(Then::Answered)
        });
        list.client(
            44,
            Socket,
            format!("a polling interval of {polling}"),
            dialogue,
        );
        list.scheme("rtmpt");
    }
    list.client(44, Socket, "a reply without the polling byte", {
        script(|wire| {
            answer(wire)?;
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nid\n")?;
            answer(wire)?;
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
            Ok(Then::Judge)
        })
    });
    list.scheme("rtmpt");
    list.client(48, Socket, "cut between request and reply", {
        script(|wire| {
            answer(wire)?;
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nid\n")?;
            answer(wire)?;
            wire.end();
            Ok(Then::Judge)
        })
    });
    list.scheme("rtmpt");
    list.client(49, Socket, "RTMPE inside, answered by noise", {
        script(|wire| {
            answer(wire)?;
            wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nid\n")?;
            answer(wire)?;
            let body = [&[1, 6][..], &[0x5a; 3072]].concat();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            wire.send(&[head.as_bytes(), &body].concat())?;
            wire.end();
            Ok(Then::Judge)
        })
    });
    list.scheme("rtmpte");
    // Past the handshake a lost reply of an encrypted session cannot be asked for again.
    list.server(
        49,
        Socket,
        "noise to a session that is none",
        send(super::super::bytes::message(3, 20, 0, b"x")),
    );
}
