// SPDX-License-Identifier: MPL-2.0

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{
    server::{Answer, next_send},
    *,
};
use crate::{
    protocol::{http::Request, rtmp::transmit::Transmit},
    testing::origin,
};

fn config() -> TunnelConfig {
    TunnelConfig {
        authority: "host".to_owned(),
        prefix: String::new(),
        proxy_authorization: None,
        repeats: true,
        polling: (Duration::ZERO, Duration::from_millis(600)),
        timeout: Duration::from_secs(5),
    }
}

fn drain(out: &mut Transmit) -> Vec<u8> {
    std::iter::from_fn(|| out.pop()).flatten().collect()
}

fn bytes(data: &[u8]) -> Transmit {
    let mut transmit = Transmit::default();
    transmit.push(Bytes::copy_from_slice(data));
    transmit
}

/// The next request of a client: its path and body.
fn request(client: &mut TunnelClient) -> Option<(String, Vec<u8>)> {
    let wire = drain(client.poll_transmit());
    let (request, length) = Request::parse(&wire).unwrap()?;
    let body = wire[length..].to_vec();
    let claimed: usize = request.field("content-length").unwrap().parse().unwrap();
    assert_eq!(claimed, body.len(), "{}", request.line);
    assert_eq!(request.field("content-type"), Some(CONTENT_TYPE));
    assert_eq!(request.method, crate::protocol::http::Method::Post);
    Some((request.path, body))
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A client whose session is open under the id `42`.
/// A client whose session was opened just long enough ago that it has polled.
fn opened(config: TunnelConfig, now: Instant) -> TunnelClient {
    let mut client = silent(config, now - interval(1));
    client.handle_timeout(now).unwrap();
    client
}

/// A client whose session was opened just now.
fn silent(config: TunnelConfig, now: Instant) -> TunnelClient {
    let mut client = TunnelClient::new(config, now);
    assert!(client.wants_connection(now));
    client.connected(now);
    assert_eq!(
        request(&mut client),
        Some(("/fcs/ident2".to_owned(), vec![0]))
    );
    client
        .handle_input(
            now,
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone",
        )
        .unwrap();
    assert_eq!(request(&mut client), Some(("/open/1".to_owned(), vec![0])));
    assert!(!client.is_open());
    client.handle_input(now, &ok(b"42\n")).unwrap();
    assert!(client.is_open());
    client
}

fn received(client: &mut TunnelClient) -> Vec<u8> {
    std::iter::from_fn(|| client.poll_received())
        .flatten()
        .collect()
}

#[test]
fn a_session_from_open_to_close() {
    let mut now = origin();
    let mut client = opened(config(), now);
    // The first poll follows at once; the server may speak first.
    assert_eq!(
        request(&mut client),
        Some(("/idle/42/0".to_owned(), vec![0]))
    );
    client.handle_input(now, &ok(b"\x01S0S1")).unwrap();
    assert_eq!(received(&mut client), b"S0S1");
    client.send(now, &mut bytes(b"C2"));
    assert_eq!(
        request(&mut client),
        Some(("/send/42/1".to_owned(), b"C2".to_vec()))
    );
    client.handle_input(now, &ok(b"\x03")).unwrap();
    // The interval is the server's.
    for polling in [3, 5, 9, 0x11, 0x21, 0x21, 0xff, 1] {
        let before = client.stats().interval;
        now += before - Duration::from_millis(1);
        client.handle_timeout(now).unwrap();
        assert!(client.poll_transmit().is_empty(), "not before its time");
        assert_eq!(client.poll_timeout(), Some(now + Duration::from_millis(1)));
        now += Duration::from_millis(1);
        client.handle_timeout(now).unwrap();
        assert!(request(&mut client).unwrap().0.starts_with("/idle/42/"));
        client.handle_input(now, &ok(&[polling])).unwrap();
        assert_eq!(client.stats().interval, interval(polling));
    }
    assert_eq!(client.stats().empty_replies, 9);
    client.close(now);
    assert_eq!(request(&mut client).unwrap().0, "/close/42/10");
    assert!(!client.is_closed());
    client.handle_input(now, &ok(&[0])).unwrap();
    assert!(client.is_closed() && !client.wants_connection(now));
    client.disconnected(now).unwrap();
}

#[test]
fn the_interval_has_limits() {
    let mut now = origin();
    let polling = (Duration::from_millis(40), Duration::from_millis(100));
    let mut client = opened(
        TunnelConfig {
            polling,
            ..config()
        },
        now,
    );
    for (byte, wait) in [(1, 40), (5, 78), (0x21, 100)] {
        request(&mut client).unwrap();
        client.handle_input(now, &ok(&[byte])).unwrap();
        let before = now + Duration::from_millis(wait - 1);
        client.handle_timeout(before).unwrap();
        assert!(client.poll_transmit().is_empty(), "not before its time");
        now = before + Duration::from_millis(2);
        client.handle_timeout(now).unwrap();
        assert!(!client.poll_transmit().is_empty());
    }
}

/// Half of an id is none: where its reply is lost, the next one says it anew.
#[test]
fn an_id_that_came_in_two_halves() {
    let now = origin();
    let mut client = TunnelClient::new(config(), now);
    client.connected(now);
    client.handle_input(now, &ok(b"ident")).unwrap();
    let reply = ok(b"4242\n");
    client.handle_input(now, &reply[..reply.len() - 3]).unwrap();
    client.disconnected(now).unwrap();
    client.connected(now);
    drain(client.poll_transmit());
    for byte in ok(b"1717\n") {
        client.handle_input(now, &[byte]).unwrap();
    }
    // Who opened it speaks first.
    assert_eq!(request(&mut client), None);
    client.send(now, &mut bytes(b"first"));
    assert_eq!(request(&mut client).unwrap().0, "/send/1717/0");
}

/// What is left goes out first, and a server that holds a poll does not hold up the end.
#[test]
fn a_client_that_closes() {
    let now = origin();
    let mut client = opened(config(), now);
    assert!(client.owes_farewell());
    assert_eq!(request(&mut client).unwrap().0, "/idle/42/0");
    client.send(now, &mut bytes(b"last"));
    client.close(now);
    assert_eq!(request(&mut client), None, "a reply is under way");
    client.handle_input(now, &ok(&[1])).unwrap();
    let sent = request(&mut client).unwrap();
    assert_eq!(sent, ("/send/42/1".to_owned(), b"last".to_vec()));
    client.handle_input(now, &ok(&[1])).unwrap();
    assert_eq!(request(&mut client).unwrap().0, "/close/42/2");
    // The connection is cut before the answer: the server may not know.
    client.disconnected(now).unwrap();
    assert!(client.owes_farewell() && client.wants_connection(now));
    client.connected(now);
    assert_eq!(request(&mut client).unwrap().0, "/close/42/2");
    client
        .handle_input(now, b"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n")
        .unwrap();
    assert!(client.is_closed() && !client.owes_farewell());

    let mut client = opened(config(), now);
    assert_eq!(request(&mut client).unwrap().0, "/idle/42/0");
    client.send(now, &mut bytes(b"last"));
    client.close(now);
    let later = client.poll_timeout().unwrap();
    assert!(later > now);
    client.handle_timeout(later).unwrap();
    let wire = String::from_utf8(drain(client.poll_transmit())).unwrap();
    let send = wire.find("/send/42/1").unwrap();
    assert!(wire.find("/close/42/2").unwrap() > send);
    for _ in 0..2 {
        client.handle_input(later, &ok(&[1])).unwrap();
        assert!(!client.is_closed());
    }
    client.handle_input(later, &ok(&[0])).unwrap();
    assert!(client.is_closed());

    let mut client = TunnelClient::new(config(), now);
    client.connected(now);
    client.close(now);
    assert!(client.is_closed() && !client.owes_farewell());
}

/// Polling byte 0, with or without last bytes, and then nothing any more.
#[test]
fn a_server_that_closes() {
    let now = origin();
    let mut client = opened(config(), now);
    request(&mut client).unwrap();
    client.handle_input(now, &ok(b"\0bye")).unwrap();
    assert_eq!(received(&mut client), b"bye");
    // pyrtmp says so in the middle of a session.
    let poll = |client: &mut TunnelClient, reply: &[u8]| {
        let now = client.poll_timeout().unwrap();
        client.handle_timeout(now).unwrap();
        assert!(request(client).unwrap().0.starts_with("/idle/42/"));
        client.handle_input(now, reply).unwrap();
    };
    for reply in [&b"\0"[..], b"\x0a", b"\0more", b"\0"] {
        poll(&mut client, &ok(reply));
        assert!(!client.is_closed());
    }
    assert_eq!(received(&mut client), b"more");
    // Twice in a row, or followed by a session that nobody knows, it is the end.
    let gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone";
    poll(&mut client, gone);
    assert!(client.is_closed() && !client.wants_connection(now + Duration::from_secs(9)));
    assert_eq!(client.poll_timeout(), None);
    assert!(!client.owes_farewell());

    let mut client = opened(config(), now);
    request(&mut client).unwrap();
    client.handle_input(now, &ok(&[0])).unwrap();
    assert!(!client.is_closed());
    poll(&mut client, &ok(&[0]));
    assert!(client.is_closed());
}

#[test]
fn replies_in_every_form_cut_anywhere() {
    let forms: [&[u8]; 5] = [
        b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n\x01media",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\x01\r\n5\r\nmedia\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n\x01media",
        b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\n\x01media",
        b"HTTP/1.0 200 OK\r\n\r\n\x01media",
    ];
    for form in forms {
        for size in 1..=form.len() {
            let now = origin();
            let mut client = opened(config(), now);
            request(&mut client).unwrap();
            for piece in form.chunks(size) {
                client.handle_input(now, piece).unwrap();
            }
            if form.starts_with(b"HTTP/1.0") {
                client.disconnected(now).unwrap();
                assert!(client.wants_connection(now + Duration::from_millis(20)));
                client.connected(now + Duration::from_millis(20));
            }
            assert_eq!(received(&mut client), b"media");
            client
                .handle_timeout(now + Duration::from_millis(20))
                .unwrap();
            assert_eq!(request(&mut client).unwrap().0, "/idle/42/1");
        }
    }
}

/// No polling byte, or nothing at all.
#[test]
fn an_empty_reply_is_only_empty() {
    let now = origin();
    let mut client = opened(config(), now);
    request(&mut client).unwrap();
    client.handle_input(now, &ok(b"")).unwrap();
    assert_eq!(client.stats().empty_replies, 1);
    assert!(!client.is_closed());
    client
        .handle_timeout(now + Duration::from_millis(20))
        .unwrap();
    assert_eq!(request(&mut client).unwrap().0, "/idle/42/1");
}

#[test]
fn a_lost_reply_is_asked_for_again() {
    let now = origin();
    let mut client = opened(config(), now);
    request(&mut client).unwrap();
    client.handle_input(now, &ok(&[1])).unwrap();
    client.send(now, &mut bytes(b"chunk"));
    let first = request(&mut client).unwrap();
    // Half a reply, and the connection is gone.
    client
        .handle_input(
            now,
            b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n\x01hello",
        )
        .unwrap();
    assert_eq!(received(&mut client), b"hello");
    client.disconnected(now).unwrap();
    assert!(client.wants_connection(now));
    client.connected(now);
    assert_eq!(
        request(&mut client).unwrap(),
        first,
        "the same number, the same bytes"
    );
    client.handle_input(now, &ok(b"\x01helloworld")).unwrap();
    assert_eq!(
        received(&mut client),
        b"world",
        "what was handed on is not again"
    );
    // And not for ever.
    client.handle_timeout(now + Duration::from_secs(1)).unwrap();
    for _ in 0..limits::REPEATS {
        client.disconnected(now).unwrap();
        client.connected(now);
    }
    let error = client.disconnected(now).unwrap_err();
    assert_eq!(error, TunnelError::Unstable(limits::REPEATS + 1));
}

#[test]
fn a_lost_reply_ends_what_is_encrypted() {
    let now = origin();
    let repeats = false;
    let mut client = opened(
        TunnelConfig {
            repeats,
            ..config()
        },
        now,
    );
    request(&mut client).unwrap();
    assert_eq!(client.disconnected(now), Err(TunnelError::LostReply));
    // A connection that ends between two requests does no harm.
    let mut client = opened(
        TunnelConfig {
            repeats,
            ..config()
        },
        now,
    );
    request(&mut client).unwrap();
    client.handle_input(now, &ok(&[1])).unwrap();
    client.disconnected(now).unwrap();
}

#[test]
fn what_is_no_tunnel() {
    let answer = |to_open: bool, reply: &[u8]| {
        let now = origin();
        let mut client = TunnelClient::new(config(), now);
        client.connected(now);
        client.handle_input(now, &ok(b"10.0.0.1")).unwrap();
        if !to_open {
            client.handle_input(now, &ok(b"42")).unwrap();
            client.handle_timeout(now + interval(1)).unwrap();
        }
        let result = client.handle_input(now, reply);
        assert!(received(&mut client).is_empty());
        result.unwrap_err()
    };
    let html =
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>";
    for to_open in [true, false] {
        assert_eq!(answer(to_open, html), TunnelError::NotRtmpt);
        let proxy = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(answer(to_open, proxy), TunnelError::ProxyAuthentication);
        let moved = b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n";
        let error = answer(to_open, moved);
        assert!(error.to_string().contains("/login"), "{error}");
        let huge = b"HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\n";
        assert_eq!(answer(to_open, huge), TunnelError::TooLong(1 << 32));
        let zipped = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n\0";
        assert!(matches!(answer(to_open, zipped), TunnelError::Reply(_)));
        assert!(matches!(
            answer(to_open, b"\x03\0\0\0"),
            TunnelError::Reply(_)
        ));
    }
    let gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answer(true, gone), TunnelError::NotServed(404));
    assert_eq!(answer(false, gone), TunnelError::Forgotten(404));
    let long = [&b"HTTP/1.0 200 OK\r\n\r\n"[..], &[b'7'; 200]].concat();
    assert_eq!(answer(true, &long), TunnelError::NotRtmpt);
}

#[test]
fn slow_replies_have_their_time() {
    let now = origin();
    let mut client = opened(config(), now);
    request(&mut client).unwrap();
    // A byte a second does not buy more time.
    let reply = ok(&[b'x'; 60]);
    let mut late = None;
    for (second, byte) in (1..).zip(&reply) {
        let at = now + Duration::from_secs(second);
        if let Err(error) = client.handle_timeout(at) {
            late = Some((second, error));
            break;
        }
        client.handle_input(at, &[*byte]).unwrap();
    }
    assert_eq!(
        late,
        Some((5, TunnelError::Timeout(Duration::from_secs(5))))
    );
    // A reply that comes with what a modem brings does.
    let mut client = opened(config(), now);
    request(&mut client).unwrap();
    let reply = ok(&[1; 60_000]);
    for (second, piece) in (1..).zip(reply.chunks(5000)) {
        let at = now + Duration::from_secs(second);
        client.handle_timeout(at).unwrap();
        client.handle_input(at, piece).unwrap();
    }
    assert_eq!(received(&mut client).len(), 59_999);
}

#[test]
fn a_proxy_sees_whole_urls() {
    let now = origin();
    let config = TunnelConfig {
        prefix: "http://host:8080".to_owned(),
        proxy_authorization: Some("Basic eDp5".to_owned()),
        ..config()
    };
    let mut client = TunnelClient::new(config, now);
    client.connected(now);
    let wire = String::from_utf8(drain(client.poll_transmit())).unwrap();
    assert!(
        wire.starts_with("POST http://host:8080/fcs/ident2 HTTP/1.1\r\n"),
        "{wire}"
    );
    assert!(
        wire.contains("\r\nProxy-Authorization: Basic eDp5\r\n"),
        "{wire}"
    );
}

#[test]
fn paths() {
    let session = |verb, id: &str, sequence| {
        let id = id.to_owned();
        Some(Target::Session { verb, id, sequence })
    };
    for (path, target) in [
        ("/fcs/ident2", Some(Target::Ident)),
        ("/open/1", Some(Target::Open)),
        ("/open", Some(Target::Open)),
        ("/send/aB-_9/7", session(Verb::Send, "aB-_9", 7)),
        ("/idle/1/0", session(Verb::Idle, "1", 0)),
        (
            "/close/1/18446744073709551615",
            session(Verb::Close, "1", u64::MAX),
        ),
        ("/close/1/18446744073709551616", None),
        ("/idle/1/-1", None),
        ("/idle/1/+1", None),
        ("/idle/1/", None),
        ("/idle/1/x", None),
        ("/idle/1", None),
        ("/idle//1", None),
        ("/idle/1/2/3", None),
        ("/idle/<b>/3", None),
        ("/", None),
        ("open/1", None),
        ("/live", None),
    ] {
        assert_eq!(Target::parse(path), target, "{path}");
    }
    let long = format!("/idle/{}/1", "x".repeat(limits::ID + 1));
    assert_eq!(Target::parse(&long), None);
}

#[test]
fn the_head_of_the_next_send_is_known_from_its_first_byte() {
    let head = "POST /send/aBc-9/8 HTTP/1.";
    for at in 0..head.len() {
        assert_eq!(next_send("aBc-9", 7, &head.as_bytes()[..at]), None, "{at}");
        let mut other = head.as_bytes()[..=at].to_vec();
        other[at] ^= 1;
        assert_eq!(next_send("aBc-9", 7, &other), Some(false), "{at}");
    }
    let whole = format!("{head}1\r\nHost: x\r\n");
    assert_eq!(next_send("aBc-9", 7, whole.as_bytes()), Some(true));
    assert_eq!(next_send("aBc-9", 8, whole.as_bytes()), Some(false));
    assert_eq!(next_send("aBc-8", 7, whole.as_bytes()), Some(false));
}

fn body(exchange: &mut Exchange, now: Instant, sequence: u64) -> Vec<u8> {
    match exchange.answer(now, sequence).unwrap() {
        Answer::Body(body) => body.concat(),
        Answer::Wait(until) => panic!("waits for {:?}", until - now),
    }
}

fn idle(exchange: &mut Exchange, now: &mut Instant, sequence: u64) -> Vec<u8> {
    exchange
        .take(*now, Verb::Idle, sequence, Bytes::new())
        .unwrap();
    *now += limits::HOLD_STREAM;
    body(exchange, *now, sequence)
}

#[test]
fn the_polling_byte_goes_up_and_back() {
    let mut now = origin();
    let mut exchange = Exchange::new(now);
    let mut bytes_seen = Vec::new();
    for sequence in 0..75 {
        bytes_seen.extend(idle(&mut exchange, &mut now, sequence));
    }
    let expected: Vec<u8> = POLLING_BYTES.iter().flat_map(|byte| [*byte; 10]).collect();
    assert_eq!(bytes_seen[..60], expected);
    assert_eq!(bytes_seen[60..], [0x21; 15]);
    exchange.send(now, &mut bytes(b"media"));
    assert_eq!(idle(&mut exchange, &mut now, 75), b"\x01media");
    assert_eq!(idle(&mut exchange, &mut now, 76), [1]);
}

#[test]
fn numbers_are_checked() {
    let now = origin();
    let mut exchange = Exchange::new(now);
    let send = |exchange: &mut Exchange, sequence, data: &'static [u8]| {
        exchange.take(now, Verb::Send, sequence, Bytes::from_static(data))
    };
    let heard = |exchange: &mut Exchange| -> Vec<u8> {
        std::iter::from_fn(|| exchange.poll_received(usize::MAX))
            .flatten()
            .collect()
    };
    assert_eq!(
        send(&mut exchange, 3, b"x"),
        Err(Refused::Gap),
        "nobody begins there"
    );
    send(&mut exchange, 1, b"one").unwrap();
    exchange.send(now, &mut bytes(b"ONE"));
    assert_eq!(body(&mut exchange, now, 1), b"\x01ONE");
    // Again, because the reply was lost: the same reply, and the bytes are not taken twice.
    send(&mut exchange, 1, b"one").unwrap();
    assert_eq!(body(&mut exchange, now, 1), b"\x01ONE");
    assert_eq!(heard(&mut exchange), b"one");
    // One that overtook another waits for it.
    send(&mut exchange, 3, b"three").unwrap();
    assert!(matches!(exchange.answer(now, 3), Ok(Answer::Wait(_))));
    assert_eq!(heard(&mut exchange), b"");
    send(&mut exchange, 2, b"two").unwrap();
    assert_eq!(heard(&mut exchange), b"twothree");
    assert!(
        matches!(exchange.answer(now, 3), Ok(Answer::Wait(_))),
        "not before 2"
    );
    assert_eq!(body(&mut exchange, now, 2), [1]);
    assert_eq!(body(&mut exchange, now + limits::HOLD_DIALOGUE, 3), [1]);
    assert_eq!(exchange.answer(now, 2), Err(Refused::Old));
    assert_eq!(send(&mut exchange, 2, b"two"), Err(Refused::Old));
    assert_eq!(
        send(&mut exchange, 4 + limits::EARLY, b"x"),
        Err(Refused::Gap)
    );
    assert!(!exchange.is_closed());
    // One that never comes ends the session.
    send(&mut exchange, 5, b"five").unwrap();
    let later = now + limits::GAP;
    assert_eq!(exchange.answer(later, 5), Err(Refused::Gap));
    assert!(exchange.is_closed());
}

#[test]
fn both_ends_of_a_session_say_so() {
    let now = origin();
    let mut exchange = Exchange::new(now);
    exchange.take(now, Verb::Close, 0, Bytes::new()).unwrap();
    assert_eq!(body(&mut exchange, now, 0), [0]);
    assert!(exchange.is_closed());
    assert_eq!(
        exchange.take(now, Verb::Idle, 1, Bytes::new()),
        Err(Refused::Over)
    );

    let mut exchange = Exchange::new(now);
    exchange.send(now, &mut bytes(b"last"));
    exchange.end();
    exchange.take(now, Verb::Idle, 0, Bytes::new()).unwrap();
    assert_eq!(
        body(&mut exchange, now, 0),
        b"\x01last",
        "first what is left"
    );
    exchange.take(now, Verb::Idle, 1, Bytes::new()).unwrap();
    assert_eq!(body(&mut exchange, now, 1), [0]);
    assert!(!exchange.is_over(now) && exchange.is_over(now + Duration::from_secs(5)));

    let exchange = Exchange::new(now);
    assert!(!exchange.is_over(now + Duration::from_secs(29)));
    assert!(exchange.is_over(exchange.poll_timeout()));
}

/// A live stream of 2 Mb/s, 25 pictures and 43 pieces of sound a second, in whichever direction, on a
/// network without delay. Nobody moves a timer while bytes wait, as nobody does who only brings bytes.
#[test]
fn a_live_stream_costs_little_and_lags_little() {
    for publishes in [true, false] {
        let start = origin();
        let mut client = opened(config(), start);
        let mut exchange = Exchange::new(start);
        let mut media: Vec<(u64, usize)> = (0..250)
            .map(|n| {
                (
                    n * 40,
                    if n % 25 == 0 {
                        60_000
                    } else {
                        7_000 + n as usize * 7 % 1900
                    },
                )
            })
            .collect();
        // A sink that listens has each sound go with the picture behind it.
        let together = |at: u64| {
            if publishes {
                at
            } else {
                at.next_multiple_of(40)
            }
        };
        media.extend((0..430).map(|n| (together(n * 1000 / 43 + 5), 372)));
        media.sort();
        let mut media = media.into_iter().peekable();
        let (mut sent, mut got) = (Vec::new(), 0usize);
        let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
        let mut asked: Option<(u64, Verb)> = None;
        let mut timer = client.poll_timeout();
        for ms in 0..10_100 {
            let now = start + Duration::from_millis(ms);
            while let Some((_, size)) = media.next_if(|(at, _)| *at <= ms) {
                sent.push((now, size));
                let mut piece = bytes(&vec![7; size]);
                if !publishes {
                    exchange.send(now, &mut piece);
                    continue;
                }
                let held = !client.is_drained();
                client.send(now, &mut piece);
                if !held {
                    timer = client.poll_timeout();
                }
            }
            if timer.is_some_and(|timer| timer <= now) {
                client.handle_timeout(now).unwrap();
                timer = client.poll_timeout();
            }
            loop {
                if let Some((path, body)) = request(&mut client) {
                    let Some(Target::Session { verb, sequence, .. }) = Target::parse(&path) else {
                        panic!("{path}");
                    };
                    exchange
                        .take(now, verb, sequence, Bytes::from(body))
                        .unwrap();
                    asked = Some((sequence, verb));
                }
                let Some((sequence, verb)) = asked else {
                    break;
                };
                let Ok(Answer::Body(body)) = exchange.answer(now, sequence) else {
                    break;
                };
                asked = None;
                let body = body.concat();
                let kind = match (verb, body.len()) {
                    (Verb::Send, 1) => String::new(),
                    _ => format!("Content-Type: {CONTENT_TYPE}\r\n"),
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\n{kind}Content-Length: {}\r\n\r\n",
                    body.len()
                );
                client
                    .handle_input(now, &[head.as_bytes(), &body].concat())
                    .unwrap();
                timer = client.poll_timeout();
            }
            got += if publishes {
                std::iter::from_fn(|| exchange.poll_received(usize::MAX))
                    .map(|b| b.len())
                    .sum::<usize>()
            } else {
                received(&mut client).len()
            };
            while let Some((at, size)) = sent.first().copied()
                && got >= size
            {
                got -= size;
                sent.remove(0);
                let lags = match size < limits::FEW {
                    true => &mut sounds,
                    false => &mut pictures,
                };
                lags.push(now - at);
            }
        }
        assert!(sent.is_empty());
        let stats = client.stats();
        let overhead = stats.outer_bytes as f64 / stats.inner_bytes as f64;
        // Its id has two letters instead of eleven, its host four instead of fourteen.
        let longer = (stats.requests * 19) as f64 / stats.inner_bytes as f64;
        assert!(overhead + longer < 1.03, "{overhead} + {longer}");
        // That waited for a poll which the server held.
        assert!(pictures.remove(0) <= limits::HOLD);
        let longer = if publishes {
            limits::GATHER_MORE
        } else {
            Duration::ZERO
        };
        for (lags, limit) in [(&mut pictures, longer), (&mut sounds, limits::GATHER)] {
            lags.sort();
            let (median, most) = (lags[lags.len() / 2], lags[lags.len() - 1]);
            assert!(median <= limit, "{median:?}");
            assert!(most <= limit + Duration::from_millis(1), "{most:?}");
        }
        // A poll of a player brings something, a publisher hardly polls.
        let polls = stats.requests.saturating_sub(limits::WARM_UP) as usize;
        assert!(polls < 430, "{polls}");
        assert!(publishes || stats.empty_replies < 30, "{stats:?}");
    }
}

/// A server that holds polls is asked at once for more; one that answers at once is not, once it has been
/// asked in vain for some times.
#[test]
fn who_holds_polls_is_asked_at_once() {
    // All bring something, and every other one does: the rest is answered at once, or held in vain.
    for (all, tired, expected) in [
        (true, Duration::ZERO, 70..100),
        (false, Duration::ZERO, 4..5),
        (false, limits::HOLD_STREAM, 35..50),
    ] {
        let mut now = origin();
        let mut client = opened(config(), now);
        let mut at_once = 0;
        for n in 0..100u64 {
            assert!(request(&mut client).unwrap().0.starts_with("/idle/42/"));
            let body: &[u8] = match all || n % 2 == 0 {
                true => b"\x01x",
                false => b"\x01",
            };
            if body.len() == 1 {
                now += tired;
            }
            client.handle_input(now, &ok(body)).unwrap();
            if client.poll_transmit().is_empty() {
                now = client.poll_timeout().unwrap();
                client.handle_timeout(now).unwrap();
            } else {
                at_once += 1;
            }
        }
        assert!(expected.contains(&at_once), "{all} {tired:?} {at_once}");
    }
}

/// A player's poll is held from one picture to the next, a publisher's not at all, for what he sends next
/// would have to wait for it.
#[test]
fn polls_are_held_for_players() {
    let now = origin();
    let held = |exchange: &mut Exchange, now: Instant, sequence| {
        exchange
            .take(now, Verb::Idle, sequence, Bytes::new())
            .unwrap();
        match exchange.answer(now, sequence) {
            Ok(Answer::Wait(until)) => until - now,
            Ok(Answer::Body(_)) => Duration::ZERO,
            Err(refused) => panic!("{refused}"),
        }
    };
    let mut player = Exchange::new(now);
    assert_eq!(held(&mut player, now, 0), limits::HOLD);
    player.send(now, &mut bytes(b"media"));
    assert_eq!(body(&mut player, now, 0), b"\x01media");
    assert_eq!(held(&mut player, now, 1), limits::HOLD_STREAM);
    assert_eq!(body(&mut player, now + limits::HOLD_STREAM, 1), [1]);
    let later = now + limits::STREAM;
    assert_eq!(held(&mut player, later, 2), limits::HOLD);

    let mut publisher = Exchange::new(now);
    let media = Bytes::from(vec![7; limits::FEW]);
    publisher.take(now, Verb::Send, 0, media.clone()).unwrap();
    // There may be something to say to it.
    let soon = now + limits::HOLD_DIALOGUE;
    assert_eq!(publisher.answer(now, 0), Ok(Answer::Wait(soon)));
    assert_eq!(body(&mut publisher, soon, 0), [1]);
    assert_eq!(held(&mut publisher, now, 1), Duration::ZERO);
    for n in 2..=limits::WARM_UP {
        publisher.take(now, Verb::Send, n, media.clone()).unwrap();
        assert_eq!(body(&mut publisher, soon, n).len(), 1);
    }
    // An acknowledgement does not make a player of it.
    let n = limits::WARM_UP + 1;
    publisher.take(now, Verb::Send, n, media).unwrap();
    publisher.send(now, &mut bytes(b"acknowledged"));
    assert_eq!(body(&mut publisher, now, n), b"\x01acknowledged");
    assert_eq!(held(&mut publisher, now, n + 1), Duration::ZERO);
    assert_eq!(held(&mut publisher, later, n + 2), limits::HOLD);

    // A player has said much before it is one.
    let mut player = Exchange::new(now);
    let command = Bytes::from(vec![7; limits::FEW]);
    player.take(now, Verb::Send, 0, command).unwrap();
    player.send(now, &mut bytes(b"media"));
    assert_eq!(body(&mut player, now, 0), b"\x01media");
    assert_eq!(held(&mut player, now, 1), limits::HOLD_STREAM);
}

/// Who publishes and is told something does not poll at once, or what comes next would wait for the answer.
#[test]
fn who_publishes_asks_for_nothing() {
    let mut now = origin();
    let mut client = opened(config(), now);
    assert!(request(&mut client).unwrap().0.starts_with("/idle/42/"));
    client.handle_input(now, &ok(b"\x01")).unwrap();
    for _ in 0..limits::WARM_UP {
        now += interval(1);
        client.send(now, &mut bytes(&[7; limits::FEW]));
        now += limits::GATHER_MORE;
        client.handle_timeout(now).unwrap();
        assert!(request(&mut client).unwrap().0.starts_with("/send/42/"));
        client.handle_input(now, &ok(b"\x01acknowledged")).unwrap();
        assert_eq!(request(&mut client), None);
        assert_eq!(client.poll_timeout(), Some(now + interval(1)));
    }
}

/// Only what waits to be read counts against the room for more, not what polls bring along.
#[test]
fn polls_fill_no_room() {
    let mut now = origin();
    let mut exchange = Exchange::new(now);
    for n in 0..100 {
        let (verb, body) = match n % 2 {
            0 => (Verb::Idle, Bytes::from_static(&[0])),
            _ => (Verb::Send, Bytes::from_static(b"four")),
        };
        exchange.take(now, verb, n, body).unwrap();
        // The same again is not taken twice.
        let again = Bytes::from_static(b"four");
        exchange.take(now, Verb::Send, n, again).unwrap();
        assert_eq!(exchange.unread(), if n % 2 == 0 { 0 } else { 4 });
        now += Duration::from_secs(1);
        assert!(matches!(exchange.answer(now, n), Ok(Answer::Body(_))));
        assert_eq!(
            exchange.poll_received(3).map_or(0, |b| b.len()),
            exchange_len(n)
        );
        while exchange.poll_received(3).is_some() {}
        assert_eq!(exchange.unread(), 0);
    }
    // Requests that came too early are held, but not without end.
    let large = Bytes::from(vec![0; limits::REQUEST / 2]);
    exchange.take(now, Verb::Send, 102, large.clone()).unwrap();
    exchange.take(now, Verb::Send, 103, large.clone()).unwrap();
    assert_eq!(
        exchange.take(now, Verb::Send, 104, large),
        Err(Refused::Gap)
    );
}

fn exchange_len(n: u64) -> usize {
    if n.is_multiple_of(2) { 0 } else { 3 }
}
