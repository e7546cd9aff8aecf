// SPDX-License-Identifier: MPL-2.0

//! What stands between: nginx in front of our listener, proxies in front of our client.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    process::Command,
    thread,
};

use gst::ResourceError;
use tempfile::TempDir;

use crate::{
    house::{Answer, Ingest, Trust, Wire, publishing, server},
    support::{
        media,
        peers::{Pace, ffmpeg_publish},
        process::{PATIENCE, start_server},
    },
};

/// An nginx that hands requests on, `upstream_keepalive` or with a new connection for each.
fn reverse_proxy(
    upstream: u16,
    keepalive: bool,
) -> (u16, crate::support::process::Process, TempDir) {
    let dir = TempDir::new().expect("a folder");
    let manner = match keepalive {
        true => "proxy_http_version 1.1; proxy_set_header Connection \"\";",
        false => "",
    };
    let (port, process) = start_server(|port| {
        let path = dir.path().display();
        let text = format!(
            "daemon off; master_process off; pid {path}/pid; error_log stderr;
             events {{}}
             http {{
                 access_log off; client_body_temp_path {path}; proxy_temp_path {path};
                 fastcgi_temp_path {path}; uwsgi_temp_path {path}; scgi_temp_path {path};
                 upstream us {{ server 127.0.0.1:{upstream}; keepalive 4; }}
                 server {{ listen 127.0.0.1:{port}; keepalive_requests 100000; client_max_body_size 16M;
                     location / {{ proxy_pass http://us; {manner} }} }}
             }}"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, text).expect("a file");
        let mut command = Command::new("nginx");
        command
            .arg("-e")
            .arg("stderr")
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(file);
        command
    });
    (port, process, dir)
}

#[test]
fn nginx_stands_before_the_listener() {
    let film = media::h264_aac();
    for keepalive in [true, false] {
        let ingest = Ingest::new();
        let (port, _nginx, _dir) = reverse_proxy(ingest.port, keepalive);
        let url = format!("rtmpt://127.0.0.1:{port}/live/one");
        let publisher = publishing(&film, "rtmptsink", &url, "");
        publisher.play();
        publisher.eos();
        assert_eq!(publisher.errors_left("sink").len(), 0);
        ingest.assert_received(&film);
    }
    let ingest = Ingest::new();
    let (port, _nginx, _dir) = reverse_proxy(ingest.port, true);
    let url = format!("rtmpt://127.0.0.1:{port}/live/one");
    ffmpeg_publish(&film, &url, Pace::Fast).succeed(PATIENCE);
    ingest.assert_received_from_ffmpeg(&film);
}

/// Asks for a name and a password, and passes requests in absolute form on.
fn forward_proxy(credentials: &'static str) -> u16 {
    let mut upstream: Option<Wire> = None;
    let (port, _) = server(move |_, said| {
        if !said
            .head
            .contains(&format!("Proxy-Authorization: Basic {credentials}\r\n"))
        {
            return Answer::Say(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n".to_vec(),
            );
        }
        let rest = said
            .line
            .strip_prefix("POST http://127.0.0.1:")
            .expect("an absolute form");
        let (port, path) = rest.split_once('/').expect("a path");
        let port = port.parse().expect("a port");
        let upstream = upstream.get_or_insert_with(|| Wire::call(port));
        let path = path.split(' ').next().expect("a path");
        upstream.post(&format!("/{path}"), &said.body);
        let (status, body) = upstream.status();
        let head = format!(
            "HTTP/1.1 {status} \r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Answer::Say([head.as_bytes(), &body].concat())
    });
    port
}

#[test]
fn a_proxy_passes_requests_on() {
    let (film, ingest) = (media::h264_aac(), Ingest::new());
    // joe:secret
    let proxy = forward_proxy("am9lOnNlY3JldA==");
    let url = ingest.url("rtmpt");
    let stranger = publishing(
        &film,
        "rtmptsink",
        &url,
        &format!("http-proxy=127.0.0.1:{proxy}"),
    );
    stranger.play();
    let failure = stranger.error_of("sink");
    failure.assert_sentence();
    assert_eq!(failure.error.kind(), Some(ResourceError::NotAuthorized));
    assert!(
        failure.error.message().contains("http-proxy"),
        "{}",
        failure.error
    );
    stranger.stop();
    let known = format!("http-proxy=joe:secret@127.0.0.1:{proxy}");
    let publisher = publishing(&film, "rtmptsink", &url, &known);
    publisher.play();
    publisher.eos();
    assert_eq!(publisher.errors_left("sink").len(), 0);
    ingest.assert_received(&film);
}

/// Opens ways for CONNECT.
fn connect_proxy(credentials: &'static str) -> u16 {
    let (port, _) = server(move |wire, said| {
        if !said.head.contains(credentials) {
            return Answer::Last(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n".to_vec(),
            );
        }
        let target = said
            .line
            .strip_prefix("CONNECT 127.0.0.1:")
            .expect("CONNECT");
        let port: u16 = target
            .split(' ')
            .next()
            .expect("a port")
            .parse()
            .expect("a port");
        let mut upstream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server");
        wire.send(b"HTTP/1.1 200 Connection established\r\n\r\n");
        let mut client = wire.socket();
        let (mut from, mut to) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || copy(&mut from, &mut to));
        copy(&mut client, &mut upstream);
        Answer::Last(Vec::new())
    });
    port
}

fn copy(from: &mut TcpStream, to: &mut TcpStream) {
    let mut buffer = [0; 16384];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

#[test]
fn a_proxy_opens_a_way() {
    let (film, trust) = (media::h264_aac(), Trust::new());
    let options = format!("location=rtmpts://127.0.0.1/live/one {}", trust.server);
    for (scheme, ingest) in [
        ("rtmpts", Ingest::with(&options)),
        ("rtmp", Ingest::new()),
        ("rtmpe", Ingest::new()),
    ] {
        let proxy = connect_proxy("Proxy-Authorization: Basic am9lOnNlY3JldA==\r\n");
        let options = format!("http-proxy=joe:secret@127.0.0.1:{proxy} {}", trust.client);
        let publisher = publishing(&film, "rtmpsink", &ingest.url(scheme), &options);
        publisher.play();
        publisher.eos();
        assert_eq!(publisher.errors_left("sink").len(), 0);
        ingest.assert_received(&film);
    }
}

#[test]
fn a_proxy_that_does_not() {
    for (answer, code, word) in [
        (
            &b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"[..],
            ResourceError::OpenWrite,
            "407",
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            ResourceError::OpenWrite,
            "port",
        ),
        (
            b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>",
            ResourceError::OpenWrite,
            "502",
        ),
        (
            b"SSH-2.0-OpenSSH_9.2\r\n",
            ResourceError::OpenWrite,
            "proxy",
        ),
        (b"", ResourceError::OpenWrite, "closed"),
    ] {
        let (proxy, _) = server(move |_, _| Answer::Last(answer.to_vec()));
        let options = format!("timeout=5 http-proxy=127.0.0.1:{proxy}");
        let film = media::h264_aac();
        let publisher = publishing(&film, "rtmpsink", "rtmp://127.0.0.1:9/live/one", &options);
        publisher.play();
        let failure = publisher.error_of("sink");
        failure.assert_sentence();
        assert_eq!(failure.error.kind(), Some(code), "{}", failure.error);
        assert!(failure.error.message().contains(word), "{}", failure.error);
        assert_eq!(publisher.errors_left("sink").len(), 0);
    }
    let film = media::h264_aac();
    let both = publishing(
        &film,
        "rtmpsink",
        "rtmp://127.0.0.1:9/live/one",
        "http-proxy=127.0.0.1:9 socks-proxy=127.0.0.1:9",
    );
    both.play();
    let failure = both.error_of("sink");
    failure.assert_sentence();
    assert_eq!(failure.error.kind(), Some(ResourceError::Settings));
}
