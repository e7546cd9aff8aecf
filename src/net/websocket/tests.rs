// SPDX-License-Identifier: MPL-2.0

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use mio::{Events, Poll};
use tungstenite::protocol::{CloseFrame, Role, frame::coding::CloseCode};

use super::*;
use crate::net::testing::{PATIENCE, Pki};

type Served = tungstenite::WebSocket<TcpStream>;

/// Accepts one connection and lets `serve` have it.
fn server(serve: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        drop(listener);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        serve(socket);
    });
    (address, thread)
}

fn websocket(serve: impl FnOnce(Served) + Send + 'static) -> (SocketAddr, thread::JoinHandle<()>) {
    server(|socket| serve(tungstenite::accept(socket).unwrap()))
}

/// Reads until the other side hangs up.
fn drain(mut socket: Served) {
    while socket.read().is_ok() {}
}

struct Client {
    poll: Poll,
    waker: Arc<Waker>,
    socket: WebSocket,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        Self::with(address, "ws", |_, _| {})
    }

    fn with(
        address: SocketAddr,
        scheme: &str,
        change: impl FnOnce(&mut Target, &mut Opening),
    ) -> Self {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(1)).unwrap());
        let mut target = Target {
            connect_timeout: PATIENCE,
            ..Target::new(address.ip().to_string(), address.port())
        };
        let mut opening = Opening {
            address: Address::parse(&format!("{scheme}://{address}/path?q=1")).unwrap(),
            origin: Some("https://page.example".into()),
            user_agent: "test/1".into(),
            timeout: PATIENCE,
            max_message: 1 << 16,
        };
        change(&mut target, &mut opening);
        Self {
            socket: WebSocket::connect(target, opening, waker.clone()),
            poll,
            waker,
        }
    }

    fn next(&mut self) -> Result<Event, WebSocketError> {
        let mut events = Events::with_capacity(4);
        let _ = &self.waker;
        loop {
            let now = Instant::now();
            if let Some(event) = self.socket.turn(self.poll.registry(), Token(0), now)? {
                return Ok(event);
            }
            self.socket.is_blocked()?;
            let wait = self.socket.deadline().map_or(PATIENCE, |at| at - now);
            self.poll.poll(&mut events, Some(wait)).unwrap();
            assert!(self.socket.deadline().is_some() || !events.is_empty());
            for event in &events {
                if event.token() == Token(0) {
                    self.socket.on_ready(event.into());
                }
            }
        }
    }

    fn opened(mut self) -> Self {
        assert_eq!(self.next().unwrap(), Event::Open);
        self
    }
}

#[test]
fn addresses_are_read_and_checked() {
    for (text, host, port, tls) in [
        ("ws://h", "h", 80, false),
        ("wss://h", "h", 443, true),
        ("ws://h:8080/a?b=c", "h", 8080, false),
        ("wss://[::1]:8443", "[::1]", 8443, true),
    ] {
        let address = Address::parse(text).unwrap();
        assert_eq!(
            (address.host(), address.port(), address.is_tls()),
            (host, port, tls)
        );
    }
    for text in [
        "",
        "h",
        "http://h",
        "ws://",
        "ws://h:0",
        "ws://u:p@h",
        "ws://h:99999",
        "ws://h h",
    ] {
        let sentence = Address::parse(text).unwrap_err();
        assert!(sentence.starts_with("the URI "), "{text}: {sentence}");
    }
}

#[test]
fn texts_go_both_ways() {
    let (address, thread) = server(|socket| {
        let mut asked = None;
        #[allow(clippy::result_large_err)]
        let look = |request: &tungstenite::handshake::server::Request, response| {
            let header = |name| request.headers()[name].to_str().unwrap().to_owned();
            asked = Some((
                request.uri().to_string(),
                header("origin"),
                header("user-agent"),
            ));
            Ok(response)
        };
        let mut socket = tungstenite::accept_hdr(socket, look).unwrap();
        let wanted = ["/path?q=1", "https://page.example", "test/1"].map(str::to_owned);
        assert_eq!(asked, Some(wanted.into()));
        socket.send(Message::Ping("x".into())).unwrap();
        socket.send(Message::binary(vec![1, 2])).unwrap();
        for _ in 0..3 {
            let text = loop {
                match socket.read().unwrap() {
                    Message::Text(text) => break text,
                    Message::Pong(_) => {}
                    message => panic!("{message:?}"),
                }
            };
            socket.send(Message::Text(text)).unwrap();
        }
        drain(socket);
    });
    let mut client = Client::new(address).opened();
    assert_eq!(client.next().unwrap(), Event::Other);
    assert_eq!(client.next().unwrap(), Event::Other);
    let long = "ä".repeat(20_000);
    for text in ["hello", "", &long] {
        client.socket.send(text.to_owned()).unwrap();
        assert_eq!(client.next().unwrap(), Event::Text(text.to_owned()));
    }
    client.socket.close();
    assert_eq!(client.next().unwrap(), Event::Closed);
    assert!(client.socket.is_gone());
    drop(client);
    thread.join().unwrap();
}

#[test]
fn over_tls_the_certificate_counts() {
    let pki = Pki::new();
    for (name, good) in [("127.0.0.1", true), ("else.example", false)] {
        let config = pki.issue(&[name]).server().server_config().unwrap();
        let (address, thread) = server(move |mut socket| {
            let mut tls = rustls::ServerConnection::new(config).unwrap();
            let stream = rustls::Stream::new(&mut tls, &mut socket);
            if let Ok(mut socket) = tungstenite::accept(stream) {
                socket.send(Message::text("hello")).unwrap();
                while socket.read().is_ok() {}
            }
        });
        let mut client = Client::with(address, "wss", |target, _| target.tls = Some(pki.client()));
        match good {
            true => {
                assert_eq!(client.next().unwrap(), Event::Open);
                assert_eq!(client.next().unwrap(), Event::Text("hello".into()));
            }
            false => {
                let error = client.next().unwrap_err();
                assert!(
                    matches!(&error, WebSocketError::Net(NetError::Tls { flags, .. }) if !flags.is_empty()),
                    "{error:?}"
                );
            }
        }
        drop(client);
        thread.join().unwrap();
    }
}

#[test]
fn whoever_opens_no_websocket_is_told_apart() {
    type Is = fn(&WebSocketError) -> bool;
    let not_opened: Is = |e| matches!(e, WebSocketError::NotOpened(_));
    for (answer, is) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
            (|e| matches!(e, WebSocketError::Http(403))) as Is,
        ),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", not_opened),
        (
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
            not_opened,
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", not_opened),
        ("", |e| {
            matches!(
                e,
                WebSocketError::NotOpened(_)
                    | WebSocketError::Net(_)
                    | WebSocketError::Closed { .. }
            )
        }),
    ] {
        let (address, thread) = server(|mut socket| {
            let mut request = [0; 4096];
            let _ = socket.read(&mut request);
            socket.write_all(answer.as_bytes()).unwrap();
        });
        let error = Client::new(address).next().unwrap_err();
        assert!(is(&error), "{answer}: {error:?}");
        thread.join().unwrap();
    }
}

#[test]
fn silence_at_the_opening_has_its_time() {
    let (address, thread) = server(|mut socket| {
        let _ = socket.read_to_end(&mut Vec::new());
    });
    let mut client = Client::with(address, "ws", |_, opening| {
        opening.timeout = Duration::from_millis(100);
    });
    let error = client.next().unwrap_err();
    assert!(matches!(error, WebSocketError::Timeout(_)), "{error:?}");
    drop(client);
    thread.join().unwrap();
}

#[test]
fn the_end_is_told_in_the_servers_words() {
    let (address, thread) = websocket(|mut socket| {
        let frame = CloseFrame {
            code: CloseCode::Policy,
            reason: "no".into(),
        };
        socket.close(Some(frame)).unwrap();
        drain(socket);
    });
    let error = Client::new(address).opened().next().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server closed the connection (no, code 1008)"
    );
    thread.join().unwrap();
    let (address, thread) = websocket(drop);
    let error = Client::new(address).opened().next().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server closed the connection without a farewell"
    );
    thread.join().unwrap();
}

#[test]
fn what_breaks_the_rules_ends_it() {
    let masked: &[u8] = &[0x81, 0x81, 0, 0, 0, 0, b'x'];
    let reserved: &[u8] = &[0xf1, 0x00];
    let no_text: &[u8] = &[0x81, 0x02, 0xff, 0xfe];
    // Claims of 2^62 bytes, and one byte more than is allowed.
    let huge: &[u8] = &[0x81, 0x7f, 0x40, 0, 0, 0, 0, 0, 0, 0];
    let long: &[u8] = &[0x81, 0x7f, 0, 0, 0, 0, 0, 1, 0, 1];
    for (bytes, too_long) in [
        (masked, false),
        (reserved, false),
        (no_text, false),
        (huge, true),
        (long, true),
    ] {
        let (address, thread) = websocket(move |mut socket| {
            socket.get_mut().write_all(bytes).unwrap();
            drain(Served::from_raw_socket(
                socket.into_inner(),
                Role::Server,
                None,
            ));
        });
        let mut client = Client::new(address).opened();
        let error = client.next().unwrap_err();
        let right = match &error {
            WebSocketError::TooLong(most) => too_long && *most == 1 << 16,
            WebSocketError::Protocol(_) => !too_long,
            _ => false,
        };
        assert!(right, "{bytes:?}: {error:?}");
        drop(client);
        thread.join().unwrap();
    }
}
