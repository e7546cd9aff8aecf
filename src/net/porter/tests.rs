// SPDX-License-Identifier: MPL-2.0

//! HTTP beside RTMP on one port, with and without TLS, over real sockets.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::{Mutex, mpsc},
};

use super::*;
use crate::{
    net::{
        stack::Target,
        testing::{Driver, PATIENCE, Pki},
    },
    protocol::{
        http::{Request, Sentence, Version},
        rtmp::transmit::Transmit,
        rtmpt::limits,
    },
};

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn reply(request: &Request, text: &str) -> Answer {
    let sentence = Sentence::new(200, text);
    Answer::Reply(sentence.answer(request, std::time::SystemTime::now()))
}

fn wanted(address: SocketAddr, path: &'static str) -> HttpWanted {
    HttpWanted {
        address,
        paths: vec![path.to_owned()],
        tls: None,
        serve: Box::new(move |request, _| reply(request, path)),
        listing: Some(Box::new(move || {
            Some(Listing {
                path: path.to_owned(),
                page: Some(format!("{path}/player")),
                text: "waits for <its> source".to_owned(),
            })
        })),
        patience: PATIENCE,
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The answer to a request, to its end.
fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut socket = connect(address);
    socket.write_all(request).unwrap();
    to_end(socket)
}

fn to_end(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

fn get(address: SocketAddr, path: &str) -> String {
    ask(address, format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes())
}

#[track_caller]
fn assert_status(answer: &str, status: u16) {
    assert_eq!(
        answer.split(' ').nth(1),
        Some(&*status.to_string()),
        "{answer}"
    );
}

#[test]
fn paths_share_a_port_and_come_and_go() {
    let one = claim_http(wanted(anywhere(), "/one")).unwrap();
    let address = one.local_addr();
    assert!(get(address, "/one").ends_with("/one\n"));
    assert_status(&get(address, "/two"), 404);
    let two = claim_http(wanted(address, "/two")).unwrap();
    assert!(get(address, "/two").ends_with("/two\n"));
    let taken = claim_http(wanted(address, "/two")).unwrap_err();
    assert!(matches!(taken, ClaimError::Taken { what, .. } if what == "/two"));
    let index = get(address, "/");
    assert!(
        index.contains("href=\"/one\"") && index.contains("&lt;its>"),
        "{index}"
    );
    assert!(index.contains("/two/player"), "{index}");
    drop(two);
    assert_status(&get(address, "/two"), 404);
    drop(one);
    assert!(TcpStream::connect(address).is_err());
}

fn rtmp() -> Wanted {
    Wanted {
        address: anywhere(),
        app: "live".into(),
        stream: "x".into(),
        session: ServerConfig::default(),
        capabilities: Capabilities::all(),
        tls: None,
        door: Door::default(),
        host: Box::new(OpenHouse),
        once: false,
    }
}

#[test]
fn tunnel_sessions_are_counted() {
    let publisher = claim(rtmp(), Takeover::Reject, || ()).unwrap();
    let address = publisher.local_addr();
    let port = port::Port::at(address).unwrap();
    let open = b"POST /open/1 HTTP/1.0\r\nContent-Length: 1\r\n\r\n\0";
    port.tunnels.crowd(limits::SESSIONS - 1);
    assert_status(&ask(address, open), 200);
    let refused = ask(address, open);
    assert_status(&refused, 503);
    assert!(refused.contains("too many sessions"), "{refused}");
    // RTMP needs none.
    let mut socket = connect(address);
    socket.write_all(&[&[3][..], &[0; 1536]].concat()).unwrap();
    socket.read_exact(&mut [0]).unwrap();
}

#[test]
fn rtmp_and_http_share_a_port() {
    let publisher = claim(rtmp(), Takeover::Reject, || ()).unwrap();
    let address = publisher.local_addr();
    assert_status(&get(address, "/live/x"), 404);
    let _http = claim_http(wanted(address, "/live/x")).unwrap();
    assert_status(&get(address, "/live/x"), 200);
    // C0 and C1 of a plain handshake are answered by S0, S1 and S2.
    let mut socket = connect(address);
    socket.write_all(&[&[3][..], &[0; 1536]].concat()).unwrap();
    let mut answer = vec![0; 1 + 2 * 1536];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer[0], 3);
}

#[test]
fn odd_requests_are_told_what_is_wrong() {
    let claim = claim_http(wanted(anywhere(), "/one")).unwrap();
    let address = claim.local_addr();
    let head = |line: &str| ask(address, format!("{line}\r\n\r\n").as_bytes());
    assert_status(&head("GET /one HTTP/1.0"), 200);
    assert_status(&head("GET http://elsewhere/one HTTP/1.1"), 200);
    assert_status(&head("GET /../x/../one HTTP/1.1"), 200);
    assert_status(&head("GET /%2e%2e/etc/passwd HTTP/1.1"), 404);
    assert_status(&head("OPTIONS * HTTP/1.1"), 204);
    assert_status(&head("DELETE / HTTP/1.1"), 405);
    assert_status(&head("BREW /pot HTTP/1.1"), 405);
    assert_status(&head("GET nowhere HTTP/1.1"), 400);
    assert_status(&head("GET / HTTP/7.1"), 400);
    assert_status(&head("hello there"), 400);
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(1 << 20));
    let mut socket = connect(address);
    // The answer may come before all of it was taken.
    let _ = socket.write_all(long.as_bytes());
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    assert_status(&String::from_utf8_lossy(&answer), 431);
}

#[test]
fn a_request_may_come_byte_by_byte_and_be_followed_by_more() {
    let claim = claim_http(wanted(anywhere(), "/one")).unwrap();
    let mut socket = connect(claim.local_addr());
    for byte in b"GET /one HTTP/1.1\r\n\r\n" {
        socket.write_all(&[*byte]).unwrap();
    }
    assert_status(&to_end(socket), 200);
    let two = b"GET /one HTTP/1.1\r\n\r\nGET /one HTTP/1.1\r\n\r\n";
    let answer = ask(claim.local_addr(), two);
    assert_eq!(
        answer.matches("HTTP/1.1").count(),
        1,
        "one answer, and the end"
    );
}

#[test]
fn connections_are_handed_over_with_what_came_behind() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let mut wanted = wanted(anywhere(), "/take");
    wanted.serve = Box::new(move |request, peer| {
        assert!(peer.address.is_some() && !peer.secure);
        assert_eq!(request.version, Version::Http10);
        let tell = tell.lock().unwrap().clone();
        Answer::Take(Box::new(move |stack, rest| {
            tell.send((stack, rest)).unwrap()
        }))
    });
    let claim = claim_http(wanted).unwrap();
    let mut socket = connect(claim.local_addr());
    socket.write_all(b"GET /take HTTP/1.0\r\n\r\nmore").unwrap();
    let (stack, rest) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(rest, "more");
    assert_eq!(stack.peer_addr(), socket.local_addr().ok());
}

/// Whoever is silent makes room for those who speak, whatever their number.
#[test]
fn the_silent_keep_nobody_out() {
    let claim = claim_http(wanted(anywhere(), "/one")).unwrap();
    let address = claim.local_addr();
    let silent: Vec<_> = (0..600).map(|_| connect(address)).collect();
    for _ in 0..20 {
        assert_status(&get(address, "/one"), 200);
    }
    // The first of them was closed for the last.
    assert_eq!(to_end(silent.into_iter().next().unwrap()), "");
}

/// TLS and plain on one port, each claim taking what it asks for.
#[test]
fn the_first_byte_tells_tls() {
    let pki = Pki::new();
    let config = pki.issue(&["localhost"]).server().server_config().unwrap();
    let plain = claim_http(wanted(anywhere(), "/plain")).unwrap();
    let address = plain.local_addr();
    // Nobody here speaks TLS yet.
    let mut socket = connect(address);
    socket
        .write_all(&[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0])
        .unwrap();
    assert!(!matches!(socket.read(&mut [0; 9]), Ok(1..)));
    let mut secure = wanted(address, "/secure");
    secure.tls = Some(config);
    let _secure = claim_http(secure).unwrap();
    assert_status(&get(address, "/plain"), 200);
    assert_status(&get(address, "/secure"), 403);
    for path in ["/plain", "/secure"] {
        let mut target = Target::new("localhost", address.port());
        target.tls = Some(pki.client());
        let mut driver = Driver::new();
        let mut stack = driver.connect(target);
        driver.establish(&mut stack).unwrap();
        let mut request = Transmit::default();
        request.push(format!("GET {path} HTTP/1.1\r\n\r\n").into());
        stack.write(&mut request).unwrap();
        let answer = driver.read_to_end(&mut stack).unwrap();
        assert_status(&String::from_utf8(answer).unwrap(), 200);
    }
}
