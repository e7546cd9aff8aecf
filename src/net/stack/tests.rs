// SPDX-License-Identifier: MPL-2.0

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use socket2::{Domain, SockAddr, Socket, Type};

use super::*;
use crate::net::testing::{Driver, PATIENCE, Pki};

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

fn target(address: SocketAddr) -> Target {
    Target {
        connect_timeout: PATIENCE,
        ..Target::new(address.ip().to_string(), address.port())
    }
}

fn named(addresses: Vec<SocketAddr>) -> Target {
    let port = addresses[0].port();
    Target {
        resolver: Resolver::new(move |_, _| Ok(addresses.clone())),
        connect_timeout: PATIENCE,
        ..Target::new("named.example", port)
    }
}

fn open(driver: &mut Driver, target: Target) -> Result<Stack, NetError> {
    let mut stack = driver.connect(target);
    driver.establish(&mut stack)?;
    Ok(stack)
}

/// A port on which nothing listens, kept from others while the socket lives.
fn closed_port() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket
        .bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))
        .unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// A listener whose queue is full, so that Linux drops further SYNs.
fn black_hole() -> (Socket, Vec<Socket>, SocketAddr) {
    let (listener, address) = closed_port();
    listener.listen(0).unwrap();
    let mut queued = Vec::new();
    for _ in 0..16 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        match socket.connect_timeout(&address.into(), Duration::from_millis(100)) {
            Ok(()) => queued.push(socket),
            Err(_) => return (listener, queued, address),
        }
    }
    panic!("the queue of the listener does not fill");
}

#[test]
fn plain_bytes_go_both_ways_and_half_close() {
    let (address, thread) = server(|mut socket| {
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 3_000_000);
        socket.write_all(&bytes).unwrap();
    });
    let mut driver = Driver::new();
    let mut stack = open(&mut driver, target(address)).unwrap();
    assert_eq!(stack.peer_addr(), Some(address));
    let bytes = (0..3_000_000u32)
        .map(|n| (n % 251) as u8)
        .collect::<Vec<_>>();
    driver.write_all(&mut stack, &bytes).unwrap();
    stack.shutdown();
    assert!(driver.read_to_end(&mut stack).unwrap() == bytes);
    assert!(!stack.truncated());
    thread.join().unwrap();
}

#[test]
fn refused_names_the_address() {
    let (_socket, address) = closed_port();
    let error = open(&mut Driver::new(), target(address)).unwrap_err();
    assert!(matches!(error, NetError::Refused { .. }), "{error}");
    let expected = format!("connection to {address} was refused: nothing listens on that port");
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.stage(), Some(Stage::Connect));
}

#[test]
fn all_addresses_refused_names_them_all() {
    let (_one, first) = closed_port();
    let (_two, second) = closed_port();
    let error = open(&mut Driver::new(), named(vec![first, second])).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("named.example"), "{text}");
    assert!(
        text.contains(&first.to_string()) && text.contains(&second.to_string()),
        "{text}"
    );
}

#[test]
fn unresolvable_host() {
    let host = format!("{}.invalid", "a".repeat(64));
    let error = open(&mut Driver::new(), Target::new(host.clone(), 1)).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("host name {host} cannot be resolved"))
    );
    assert_eq!(error.stage(), Some(Stage::Resolve));
}

#[test]
fn the_second_address_is_used_when_the_first_refuses() {
    let (address, thread) = server(|mut socket| socket.write_all(b"hello").unwrap());
    let unreachable = SocketAddr::new("::1".parse().unwrap(), address.port());
    let mut driver = Driver::new();
    let mut stack = open(&mut driver, named(vec![unreachable, address])).unwrap();
    assert_eq!(stack.peer_addr(), Some(address));
    assert_eq!(driver.read_to_end(&mut stack).unwrap(), b"hello");
    thread.join().unwrap();
}

#[test]
fn the_second_address_is_used_when_the_first_is_silent() {
    let (_listener, _queued, silent) = black_hole();
    let (address, thread) = server(|mut socket| socket.write_all(b"hello").unwrap());
    let mut driver = Driver::new();
    let mut stack = open(&mut driver, named(vec![silent, address])).unwrap();
    assert_eq!(stack.peer_addr(), Some(address));
    assert_eq!(driver.read_to_end(&mut stack).unwrap(), b"hello");
    thread.join().unwrap();
}

#[test]
fn a_silent_address_times_out() {
    let (_listener, _queued, silent) = black_hole();
    let timeout = Duration::from_millis(50);
    let mut driver = Driver::new();
    let mut stack = driver.connect(Target {
        connect_timeout: timeout,
        ..target(silent)
    });
    let error = driver.establish(&mut stack).unwrap_err();
    assert!(
        matches!(error, NetError::Timeout { stage: Stage::Connect, after } if after == timeout),
        "{error}"
    );
    assert!(matches!(
        stack.read(&mut [0; 1]),
        Err(NetError::Closed { .. })
    ));
}

#[test]
fn a_reset_is_closed_and_not_an_end() {
    let (address, thread) = server(|mut socket| {
        socket.read_exact(&mut [0; 1]).unwrap();
        socket2::SockRef::from(&socket)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    });
    let mut driver = Driver::new();
    let mut stack = open(&mut driver, target(address)).unwrap();
    driver.write_all(&mut stack, b"x").unwrap();
    let error = driver.read_to_end(&mut stack).unwrap_err();
    assert!(
        matches!(
            error,
            NetError::Closed {
                stage: Stage::Stream
            }
        ),
        "{error}"
    );
    thread.join().unwrap();
}

#[test]
fn a_stack_moves_to_another_poll() {
    let (address, thread) = server(|mut socket| {
        socket.write_all(b"before").unwrap();
        socket.read_exact(&mut [0; 1]).unwrap();
        socket.write_all(b"after").unwrap();
    });
    let mut driver = Driver::new();
    let mut stack = open(&mut driver, target(address)).unwrap();
    let mut bytes = Vec::new();
    while bytes.len() < 6 {
        assert!(driver.read_some(&mut stack, &mut bytes).unwrap());
    }
    stack.deregister(driver.poll.registry()).unwrap();
    let mut other = Driver::new();
    stack
        .register(other.poll.registry(), crate::net::testing::SOCKET)
        .unwrap();
    other.write_all(&mut stack, b"x").unwrap();
    assert_eq!(other.read_to_end(&mut stack).unwrap(), b"after");
    thread.join().unwrap();
}

/// Reads a SOCKS4 request up to its last zero byte.
fn socks_request(socket: &mut TcpStream) -> Vec<u8> {
    let mut request = vec![0; 9];
    socket.read_exact(&mut request).unwrap();
    if request[4..7] == [0, 0, 0] {
        let mut byte = [1];
        while byte[0] != 0 {
            socket.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
    }
    request
}

fn through_proxy(address: SocketAddr) -> Target {
    let proxy = SocksProxy {
        host: address.ip().to_string(),
        port: address.port(),
    };
    Target {
        socks: Some(proxy),
        connect_timeout: PATIENCE,
        ..Target::new("behind.example", 1935)
    }
}

#[test]
fn socks_hands_the_name_on_and_takes_no_byte_of_the_server() {
    let (address, thread) = server(|mut socket| {
        assert!(socks_request(&mut socket).ends_with(b"behind.example\0"));
        socket.set_nodelay(true).unwrap();
        for byte in *b"\0\x5a\0\0\0\0\0\0hello" {
            socket.write_all(&[byte]).unwrap();
        }
    });
    let mut driver = Driver::new();
    let mut stack = open(&mut driver, through_proxy(address)).unwrap();
    assert_eq!(driver.read_to_end(&mut stack).unwrap(), b"hello");
    thread.join().unwrap();
}

#[test]
fn socks_refusals() {
    for (reply, expected) in [
        (&b"\0\x5b\0\0\0\0\0\0"[..], "refused"),
        (b"HTTP/1.0 400", "does not speak SOCKS4"),
        (b"\0\x5a\0", "closed the connection"),
    ] {
        let (address, thread) = server(move |mut socket| {
            socks_request(&mut socket);
            socket.write_all(reply).unwrap();
        });
        let error = open(&mut Driver::new(), through_proxy(address)).unwrap_err();
        let is_proxys = matches!(error, NetError::Proxy { .. } | NetError::ProxyFailed { .. });
        assert!(is_proxys);
        assert!(error.to_string().contains(expected), "{error}");
        thread.join().unwrap();
    }
}

#[test]
fn an_interrupt_ends_every_stage() {
    let pki = Pki::new();
    let (_listener, _queued, silent) = black_hole();
    let quiet = TcpListener::bind("127.0.0.1:0").unwrap();
    let quiet = quiet.local_addr().map(|address| (quiet, address)).unwrap();
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let never = Resolver::new(move |_, _| {
        let _ = held.lock().unwrap().recv();
        Ok(Vec::new())
    });
    let tls = Target {
        tls: Some(pki.client()),
        ..target(quiet.1)
    };
    for (stage, target) in [
        (
            Stage::Resolve,
            Target {
                resolver: never,
                ..Target::new("never.example", 1)
            },
        ),
        (Stage::Connect, target(silent)),
        (Stage::Proxy, through_proxy(quiet.1)),
        (Stage::Tls, tls),
        (Stage::Stream, self::target(quiet.1)),
    ] {
        let mut driver = Driver::new();
        let interrupt = driver.interrupt.clone();
        let (reached, at) = mpsc::channel();
        let (done, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut stack = driver.connect(target);
            let result = driver.establish_and(&mut stack, |stage| reached.send(stage).unwrap());
            let result = result.and_then(|()| {
                reached.send(Stage::Stream).unwrap();
                driver.read_to_end(&mut stack).map(drop)
            });
            done.send((result, Instant::now())).unwrap();
        });
        while at.recv_timeout(PATIENCE).unwrap() != stage {}
        let set = Instant::now();
        interrupt.set();
        let (result, end) = ended.recv_timeout(PATIENCE).unwrap();
        assert!(
            matches!(result, Err(NetError::Interrupted)),
            "{stage:?}: {result:?}"
        );
        assert!(
            end - set < Duration::from_millis(100),
            "{stage:?}: {:?}",
            end - set
        );
        thread.join().unwrap();
    }
    drop(release);
}

#[test]
fn an_accepted_socket_is_ready_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut driver = Driver::new();
    let mut stack = Stack::accepted(mio::net::TcpStream::from_std(socket), None);
    let now = Instant::now();
    let establish = stack.establish(driver.poll.registry(), crate::net::testing::SOCKET, now);
    assert_eq!(establish.unwrap(), Establish::Ready);
    assert_eq!(stack.deadline(), None);
    peer.write_all(b"hello").unwrap();
    peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(driver.read_to_end(&mut stack).unwrap(), b"hello");
}
