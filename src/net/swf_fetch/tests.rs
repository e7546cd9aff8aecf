// SPDX-License-Identifier: MPL-2.0

use std::{
    io::{BufRead, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread::{self, JoinHandle},
};

use rustls::{ServerConnection, StreamOwned};

use super::*;
use crate::net::testing::{PATIENCE, Pki};

/// Answers each of `answers` on a connection of its own and returns the request lines.
fn server(answers: Vec<Vec<u8>>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let serve = |answer: Vec<u8>| {
            let (socket, _) = listener.accept().unwrap();
            answer_one(socket, &answer)
        };
        answers.into_iter().map(serve).collect()
    });
    (address, thread)
}

fn answer_one(socket: TcpStream, answer: &[u8]) -> String {
    let mut lines = BufReader::new(&socket).lines();
    let request = lines.next().unwrap().unwrap();
    for line in lines.map(Result::unwrap) {
        if line.is_empty() {
            break;
        }
    }
    // A client that has seen enough may be gone.
    let _ = (&socket).write_all(answer);
    request
}

fn fetch(url: &str) -> Result<Vec<u8>, NetError> {
    fetch_swf(
        url,
        &ClientTls::default(),
        &Interrupt::new(),
        PATIENCE,
        1000,
    )
}

#[test]
fn files_arrive_however_they_are_framed() {
    for answer in [
        "HTTP/1.0 200 OK\r\n\r\nFWS123",
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nFWS123 and more",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nFWS1\r\n2\r\n23\r\n0\r\n\r\n",
    ] {
        let (address, thread) = server(vec![answer.into()]);
        assert_eq!(
            fetch(&format!("http://{address}/a/p.swf?v=1")).unwrap(),
            b"FWS123"
        );
        assert_eq!(thread.join().unwrap(), ["GET /a/p.swf?v=1 HTTP/1.0"]);
    }
}

#[test]
fn redirects_are_followed_three_times() {
    let redirect = |n| format!("HTTP/1.1 302 Found\r\nLocation: /{n}\r\n\r\n").into_bytes();
    let file = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nFWS".to_vec();
    let (address, thread) = server(vec![redirect(1), redirect(2), redirect(3), file]);
    assert_eq!(fetch(&format!("http://{address}/p.swf")).unwrap(), b"FWS");
    assert_eq!(thread.join().unwrap()[3], "GET /3 HTTP/1.0");

    let (address, thread) = server((1..=4).map(redirect).collect());
    let error = fetch(&format!("http://{address}/p.swf")).unwrap_err();
    assert!(
        error.to_string().contains("redirected too often"),
        "{error}"
    );
    thread.join().unwrap();
}

#[test]
fn failures_are_told_apart() {
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(2000));
    for (answer, words) in [
        ("HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nFWS",
            "before the file was complete",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
            "larger than the 1000 bytes",
        ),
        (endless.as_str(), "larger than the 1000 bytes"),
        ("", "did not answer in HTTP"),
        ("\x03RTMP", "does not speak HTTP"),
    ] {
        let (address, thread) = server(vec![answer.into()]);
        let error = fetch(&format!("http://{address}/p.swf?token=s3cret")).unwrap_err();
        assert!(matches!(error, NetError::Http { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
        thread.join().unwrap();
    }
}

#[test]
fn https() {
    let pki = Pki::new();
    let config = pki.issue(&["127.0.0.1"]).server().server_config().unwrap();
    for goodbye in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let config = config.clone();
        let thread = thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let connection = ServerConnection::new(config).unwrap();
            let mut stream = StreamOwned::new(connection, socket);
            let mut request = [0; 4];
            while !request.ends_with(b"\r\n\r\n") {
                request.rotate_left(1);
                stream.read_exact(&mut request[3..]).unwrap();
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nFWS").unwrap();
            if goodbye {
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
        });
        let url = format!("https://{address}/p.swf");
        let file = fetch_swf(&url, &pki.client(), &Interrupt::new(), PATIENCE, 1000);
        assert_eq!(
            file.is_ok(),
            goodbye,
            "a file cut off by somebody must not pass: {file:?}"
        );
        thread.join().unwrap();
    }
}

#[test]
fn a_silent_server_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/p.swf", listener.local_addr().unwrap());
    let timeout = Duration::from_millis(50);
    let tls = ClientTls::default();
    let error = fetch_swf(&url, &tls, &Interrupt::new(), timeout, 1000).unwrap_err();
    assert!(
        matches!(
            error,
            NetError::Timeout {
                stage: Stage::Stream,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn an_interrupt_ends_the_wait_and_reaches_the_poll_outside() {
    let (address, asked) = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asked) = mpsc::channel();
        thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            answer_one(socket.try_clone().unwrap(), b"");
            tell.send(socket).unwrap();
        });
        (address, asked)
    };
    let interrupt = Arc::new(Interrupt::new());
    let mut outside = Poll::new().unwrap();
    interrupt.attach(outside.registry(), Token(9)).unwrap();
    let thread = thread::spawn({
        let interrupt = interrupt.clone();
        move || {
            let url = format!("http://{address}/p.swf");
            let result = fetch_swf(&url, &ClientTls::default(), &interrupt, PATIENCE, 1000);
            (result, Instant::now())
        }
    });
    let _socket = asked.recv_timeout(PATIENCE).unwrap();
    let set = Instant::now();
    interrupt.set();
    let (result, end) = thread.join().unwrap();
    assert!(matches!(result, Err(NetError::Interrupted)), "{result:?}");
    assert!(end - set < Duration::from_millis(100));
    let mut events = Events::with_capacity(1);
    outside.poll(&mut events, Some(PATIENCE)).unwrap();
    assert!(events.iter().any(|event| event.token() == Token(9)));
}
