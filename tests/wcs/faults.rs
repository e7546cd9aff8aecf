// SPDX-License-Identifier: MPL-2.0

//! What a server can do wrong below the messages and between them: sockets, HTTP, TLS, WebSocket frames, and
//! messages out of place. Each case has its server and the words of the one warning that comes of it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use socket2::SockRef;
use tungstenite::handshake::derive_accept_key;

use crate::{
    bad_input::warning,
    support::{
        certificates::{Authority, For},
        pipeline::Pipeline,
        process::PATIENCE,
    },
};

/// What a case may take with all timeouts at four seconds.
const SOON: Duration = Duration::from_secs(20);

const GREETING: &str = r#"{"message":"getUserData","data":[{"status":"ESTABLISHED"}]}"#;

/// What the server does, its name, and what is in the warning.
type Case = (&'static str, &'static str, fn(TcpStream));

/// The request, up to its empty line.
fn request(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8(head).expect("text")
}

fn say(socket: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    // It may have hung up, which is its right.
    let _ = socket.write_all(bytes.as_ref());
}

/// Reads until the other side is gone.
fn listen(mut socket: TcpStream) {
    while socket.read(&mut [0; 4096]).is_ok_and(|count| count > 0) {}
}

fn answer(mut socket: TcpStream, bytes: &str) {
    request(&mut socket);
    say(&mut socket, bytes);
    listen(socket);
}

/// A WebSocket from here on.
fn upgraded(mut socket: TcpStream) -> TcpStream {
    let request = request(&mut socket);
    let key = request
        .lines()
        .find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))
        .expect("a key");
    let accept = derive_accept_key(key.as_bytes());
    say(
        &mut socket,
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        ),
    );
    socket
}

/// One unmasked frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(length as u8),
        length => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// Says these bytes once it is a WebSocket, and listens.
fn says(socket: TcpStream, bytes: impl AsRef<[u8]>) {
    let mut socket = upgraded(socket);
    say(&mut socket, bytes);
    listen(socket);
}

/// Says these messages once the session stands, and listens.
fn greets_and_says(socket: TcpStream, messages: &[&str]) {
    let mut socket = upgraded(socket);
    say(&mut socket, text(GREETING));
    // The call comes behind the greeting; its number is in it.
    let mut heard = Vec::new();
    let mut space = [0; 4096];
    let id = loop {
        match socket.read(&mut space) {
            Ok(count @ 1..) => heard.extend_from_slice(&space[..count]),
            _ => return,
        }
        if let Some(id) = call_in(&heard) {
            break id;
        }
    };
    for message in messages {
        say(&mut socket, text(&message.replace("ID", &id)));
    }
    listen(socket);
}

/// The call in what a client has sent, whose frames are masked.
fn call_in(mut bytes: &[u8]) -> Option<String> {
    loop {
        let (length, head) = match bytes.get(1)? & 127 {
            126 => (
                u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize,
                4,
            ),
            length => (length as usize, 2),
        };
        let mask = bytes.get(head..head + 4)?;
        let payload = bytes.get(head + 4..head + 4 + length)?;
        let plain: Vec<u8> = payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(a, b)| a ^ b)
            .collect();
        let message: serde_json::Value = serde_json::from_slice(&plain).unwrap_or_default();
        if let Some(id) = message["data"][0]["mediaSessionId"].as_str() {
            return Some(id.to_owned());
        }
        bytes = &bytes[head + 4 + length..];
    }
}

const CASES: &[Case] = &[
    ("hangs up", "it closes the connection", drop),
    ("resets", "", |socket| {
        SockRef::from(&socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }),
    (
        "never answers",
        "did not open the WebSocket within 4s",
        listen,
    ),
    (
        "404",
        "answers 404 where a WebSocket was asked for; check the path",
        |s| answer(s, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    ),
    ("401", "it wants other credentials", |s| {
        answer(
            s,
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\n\r\n",
        )
    }),
    ("503", "its service does not", |s| {
        answer(s, "HTTP/1.1 503 Service Unavailable\r\n\r\n")
    }),
    ("redirects", "the address that it points to", |s| {
        answer(
            s,
            "HTTP/1.1 302 Found\r\nLocation: wss://elsewhere.example.org/\r\n\r\n",
        );
    }),
    ("a page", "it is another server", |s| {
        answer(
            s,
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html></html>",
        );
    }),
    (
        "another protocol",
        "What listens there does not open a WebSocket",
        |s| answer(s, "SSH-2.0-OpenSSH_9.2\r\n"),
    ),
    ("a wrong key", "Sec-WebSocket-Accept", |s| {
        answer(
            s,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n",
        );
    }),
    ("no upgrade", "No \"Upgrade: websocket\"", |s| {
        answer(
            s,
            "HTTP/1.1 101 Switching Protocols\r\nConnection: close\r\n\r\n",
        );
    }),
    ("a head without end", "Too many headers", |mut s| {
        request(&mut s);
        say(&mut s, "HTTP/1.1 101 Switching Protocols\r\n");
        while s
            .write_all(b"X-More: and more and more and more\r\n")
            .is_ok()
        {}
    }),
    (
        "a head that trickles",
        "did not open the WebSocket within 4s",
        |mut s| {
            request(&mut s);
            // In time for a minute of it, four bytes a second.
            let head = b"HTTP/1.1 101 Switching Protocols\r\nX-Waits: ".iter();
            for byte in head.chain(std::iter::repeat(&b'x')) {
                if s.write_all(&[*byte]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(250));
            }
        },
    ),
    (
        "closes with a reason",
        "Blocked by policy, code 1008",
        |s| {
            let mut close = 1008_u16.to_be_bytes().to_vec();
            close.extend(b"Blocked by policy");
            says(s, frame(0x88, &close));
        },
    ),
    ("closes with a forbidden code", "code 1002", |s| {
        says(s, frame(0x88, &[0, 7]))
    }),
    ("closes with half a code", "Invalid close sequence", |s| {
        says(s, frame(0x88, &[3]))
    }),
    ("masks its frames", "masked frame", |s| {
        says(s, [0x81, 0x82, 1, 2, 3, 4, b'{' ^ 1, b'}' ^ 2]);
    }),
    ("reserved bits", "Reserved bits", |s| {
        says(s, frame(0xf1, b"{}"))
    }),
    ("an unknown opcode", "invalid opcode: 3", |s| {
        says(s, frame(0x83, b"{}"))
    }),
    ("no UTF-8", "invalid utf-8", |s| {
        says(s, frame(0x81, &[0xff, 0xfe]))
    }),
    ("a long ping", "Control frame too big", |s| {
        says(s, frame(0x89, &[0; 126]))
    }),
    ("a ping in two parts", "Fragmented control frame", |s| {
        says(s, frame(0x09, b"a"))
    }),
    ("goes on with nothing", "nothing to continue", |s| {
        says(s, frame(0x80, b"a"))
    }),
    ("begins twice", "more fragments", |s| {
        says(s, [frame(0x01, b"a"), frame(0x01, b"b")].concat())
    }),
    ("claims 8 EiB", "more than 1048576 bytes", |s| {
        says(s, [0x81, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255]);
    }),
    ("parts without end", "more than 1048576 bytes", |s| {
        let mut socket = upgraded(s);
        say(&mut socket, frame(0x01, b"x"));
        while socket.write_all(&frame(0x00, &[b'x'; 4096])).is_ok() {}
    }),
    (
        "pings without end",
        "did not establish the session within 4s",
        |s| {
            let mut socket = upgraded(s);
            while socket.write_all(&frame(0x89, b"are you there?")).is_ok() {}
        },
    ),
    (
        "a deep message",
        "did not establish the session within 4s",
        |s| says(s, text(&"[".repeat(30_000))),
    ),
    (
        "a binary greeting",
        "did not establish the session within 4s",
        |s| says(s, frame(0x82, GREETING.as_bytes())),
    ),
    (
        "a greeting in half",
        "did not establish the session within 4s",
        |s| says(s, &text(GREETING)[..20]),
    ),
    ("a greeting without a status", "refuses the session", |s| {
        says(s, text(r#"{"message":"getUserData","data":[{}]}"#));
    }),
    ("a session that ends", "did not answer within 4s", |s| {
        greets_and_says(
            s,
            &[r#"{"message":"getUserData","data":[{"status":"DISCONNECTED"}]}"#],
        );
    }),
    ("flows before the answer", "within 4s", |s| {
        greets_and_says(
            s,
            &[
                r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"ID","status":"PLAYING"}]}"#,
            ],
        );
    }),
    ("fails without a word", "the server does not say why", |s| {
        greets_and_says(
            s,
            &[
                r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"ID","status":"FAILED"}]}"#,
            ],
        );
    }),
    (
        "stops before it began",
        "ended before it began: Stopped by publisher stop",
        |s| {
            greets_and_says(
                s,
                &[
                    r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"ID","status":"STOPPED","info":"Stopped by publisher stop"}]}"#,
                ],
            );
        },
    ),
    (
        "an offer instead of an answer",
        "answer cannot be used",
        |s| {
            greets_and_says(
                s,
                &[
                    r#"{"message":"setRemoteSDP","data":["ID","v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:sha-256 00:11\r\n",true]}"#,
                ],
            );
        },
    ),
    ("a fingerprint of MD5", "cannot be used: md5", |s| {
        greets_and_says(
            s,
            &[
                r#"{"message":"setRemoteSDP","data":["ID","v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=rtpmap:96 VP8/90000\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\na=fingerprint:md5 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF\r\na=sendonly\r\n"]}"#,
            ],
        );
    }),
];

/// Plays from `uri`, once, and hands over what went wrong.
#[track_caller]
fn warning_from(uri: &str, more: &str) -> String {
    let pipeline = Pipeline::launch(&format!(
        "wcswebrtcbin name=wcs uri={uri} stream-name=demo action=play audio=false reconnect=false \
         connect-timeout=4000 session-timeout=4000 answer-timeout=4000 start-timeout=4000 {more} \
         ! fakesink async=false"
    ));
    let begun = Instant::now();
    pipeline.play();
    let text = warning(&pipeline);
    let took = begun.elapsed();
    assert!(took < SOON, "{text} after {took:?}");
    pipeline.stop_at_once(&text);
    text
}

/// A server of one connection, and its port.
fn serve(serve: impl FnOnce(TcpStream) + Send + 'static) -> (u16, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        serve(socket);
    });
    (port, server)
}

#[test]
fn a_fault_is_told_in_a_sentence() {
    let cases = CASES.iter().map(|(name, words, fault)| {
        let case = thread::Builder::new().name((*name).to_owned());
        case.spawn(move || {
            let (port, server) = serve(fault);
            let text = warning_from(&format!("ws://127.0.0.1:{port}"), "");
            println!("| {name} | {text} |");
            server.join().expect("a server without a panic");
            assert!(text.contains(words), "{name}: {text}");
        })
        .unwrap()
    });
    let cases: Vec<_> = cases.collect();
    let failed = cases.into_iter().filter_map(|case| {
        let name = case.thread().name().map(str::to_owned);
        case.join().err().and(name)
    });
    let failed: Vec<_> = failed.collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn a_port_where_nothing_listens_is_told() {
    let port = crate::support::process::free_port();
    let text = warning_from(&format!("ws://127.0.0.1:{port}"), "");
    assert!(text.contains("refused"), "{text}");
}

/// A certificate for another host, one that is over, and none at all: a server without TLS.
#[test]
fn a_server_that_cannot_prove_who_it_is_is_told() {
    let authority = Authority::new("Somebody");
    let file = authority.file();
    let trusted = format!("tls-ca-file={}", file.display());
    let other = authority.issue(For::Server, &["elsewhere.example.org"]);
    let tls = gstrtmp::net::tls::ServerTls {
        cert: other.certificate.clone(),
        key: other.key.clone(),
        client_ca: None,
    };
    let config = tls.server_config().unwrap();
    let (port, server) = serve(move |mut socket| {
        let mut tls = rustls::ServerConnection::new(config).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        assert!(stream.read(&mut [0; 64]).is_err());
    });
    let text = warning_from(&format!("wss://127.0.0.1:{port}"), &trusted);
    println!("| another host | {text} |");
    assert!(
        text.contains("another name") || text.contains("elsewhere"),
        "{text}"
    );
    server.join().unwrap();
    let (port, server) = serve(|mut socket| {
        say(&mut socket, "HTTP/1.1 400 Bad Request\r\n\r\n");
        listen(socket);
    });
    let text = warning_from(&format!("wss://127.0.0.1:{port}"), &trusted);
    println!("| no TLS | {text} |");
    assert!(text.contains("TLS"), "{text}");
    server.join().unwrap();
}
