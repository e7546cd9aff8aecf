// SPDX-License-Identifier: MPL-2.0

//! An HTTP client that can be slow, and reads chunks by itself.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
};

use crate::support::process::PATIENCE;

/// A response whose head has been read.
#[derive(Debug)]
pub struct Client {
    pub status: u16,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    pub version: String,
    input: BufReader<TcpStream>,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As HTTP has it: the last chunk, the announced length, or a plain close where neither is used.
    Proper,
    /// The connection was reset, or closed before the body's end.
    Broken,
}

pub fn connect(port: u16) -> TcpStream {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection");
    socket.set_read_timeout(Some(PATIENCE)).expect("an option");
    socket
}

impl Client {
    /// Sends a request and reads the head of the response.
    #[track_caller]
    pub fn ask(port: u16, request: &str) -> Self {
        let mut socket = connect(port);
        socket.write_all(request.as_bytes()).expect("a request");
        Self::read(socket)
    }

    #[track_caller]
    pub fn read(socket: TcpStream) -> Self {
        let mut input = BufReader::new(socket);
        let mut line = || {
            let mut line = String::new();
            input.read_line(&mut line).expect("a head");
            assert!(line.ends_with("\r\n"), "{line:?}");
            line.trim_end().to_owned()
        };
        let first = line();
        let mut words = first.split(' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().and_then(|s| s.parse().ok()).expect("a status");
        let mut fields = Vec::new();
        loop {
            let line = line();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a field");
            fields.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        Self {
            status,
            fields,
            version,
            input,
        }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    fn chunked(&self) -> bool {
        self.field("transfer-encoding") == Some("chunked")
    }

    /// Reads the body to its end.
    pub fn body(mut self) -> (Vec<u8>, End) {
        let mut body = Vec::new();
        let end = loop {
            match self.some(&mut body) {
                Ok(true) => {}
                Ok(false) => break End::Proper,
                Err(()) => break End::Broken,
            }
        };
        let length = self.field("content-length").and_then(|l| l.parse().ok());
        let short = length.is_some_and(|length: usize| body.len() < length);
        (body, if short { End::Broken } else { end })
    }

    /// Appends some of the body, or tells how it ended.
    pub fn more(&mut self, body: &mut Vec<u8>) -> Option<End> {
        match self.some(body) {
            Ok(true) => None,
            Ok(false) => Some(End::Proper),
            Err(()) => Some(End::Broken),
        }
    }

    pub fn text(self) -> String {
        let (body, end) = self.body();
        assert_eq!(end, End::Proper);
        String::from_utf8(body).expect("text")
    }

    /// Reads until the body has so many bytes or more.
    #[track_caller]
    pub fn at_least(&mut self, body: &mut Vec<u8>, length: usize) {
        while body.len() < length {
            assert_eq!(
                self.some(body),
                Ok(true),
                "after {} of {length} bytes",
                body.len()
            );
        }
    }

    /// Appends some of the body; `false` at its proper end.
    fn some(&mut self, body: &mut Vec<u8>) -> Result<bool, ()> {
        let broken = |error: std::io::Error| {
            assert!(
                !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                "nothing comes any more"
            );
        };
        if !self.chunked() {
            let mut piece = [0; 16384];
            let n = self.input.read(&mut piece).map_err(broken)?;
            body.extend(&piece[..n]);
            return Ok(n > 0);
        }
        let mut line = String::new();
        self.input.read_line(&mut line).map_err(broken)?;
        let length = line.strip_suffix("\r\n").ok_or(())?;
        let length = usize::from_str_radix(length, 16).expect("the length of a chunk");
        let mut chunk = vec![0; length + 2];
        self.input.read_exact(&mut chunk).map_err(broken)?;
        assert_eq!(chunk.split_off(length), b"\r\n");
        body.extend(chunk);
        Ok(length > 0)
    }
}
