// SPDX-License-Identifier: MPL-2.0

//! A peer that speaks HTTP, until it is known who serves it.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::{Bytes, BytesMut};

use super::{
    READ,
    entry::Kind,
    greeting::{Gone, Outcome},
    port::Port,
    tunnel::Carrier,
};
use crate::{
    net::{
        reactor::Io,
        stack::{Read, Stack},
    },
    protocol::{
        http::{Head, Method, Request, RequestError, Sentence, Version},
        rtmp::transmit::Transmit,
    },
};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct HttpPeer {
    /// Where from.
    pub address: Option<SocketAddr>,
    /// Whether over TLS.
    pub secure: bool,
    /// The time of the request.
    pub now: Instant,
}

/// How a request is answered.
pub enum Answer {
    /// With these bytes, a whole response, and then the connection ends.
    Reply(Bytes),
    /// By whoever this is given to: the connection, registered with no poll, and what came behind the
    /// head.
    Take(Box<dyn FnOnce(Stack, Bytes) + Send>),
}

impl Answer {
    /// For who asks at the moment at which the stream goes.
    pub fn gone(request: &Request) -> Self {
        let sentence = Sentence::new(503, "The stream is over; it may come back.");
        Self::Reply(sentence.answer(request, SystemTime::now()))
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Reply(bytes) => write!(f, "Reply({} bytes)", bytes.len()),
            Self::Take(_) => f.write_str("Take"),
        }
    }
}

/// Answers requests, on the reactor's thread; it must not wait.
pub type Serve = Box<dyn Fn(&Request, HttpPeer) -> Answer + Send + Sync>;

/// Says what the page that lists all streams of a port says of one.
pub type List = Box<dyn Fn() -> Option<Listing> + Send + Sync>;

/// A stream on the page that lists them.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Where it is.
    pub path: String,
    /// Where it can be looked at in a browser, if there is a page.
    pub page: Option<String>,
    /// In a few words, whether it is on the air and how.
    pub text: String,
}

/// What an element serves.
pub struct HttpWanted {
    /// Where. Port 0 takes a free one.
    pub address: SocketAddr,
    /// Paths, decoded and without dot segments.
    pub paths: Vec<String>,
    /// Speaks TLS on this port, and takes nobody without.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Answers.
    pub serve: Serve,
    /// For the page that lists all.
    pub listing: Option<List>,
    /// How long a request may take to arrive; of several claims on a port, the first decides.
    pub patience: Duration,
}

impl std::fmt::Debug for HttpWanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpWanted")
            .field("address", &self.address)
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

/// See the module's text.
pub(super) struct HttpGreeting {
    port: Arc<Port>,
    pub(super) stack: Stack,
    secure: bool,
    input: BytesMut,
}

/// What is to be answered.
pub(super) type Asked = Result<(Request, usize), RequestError>;

impl HttpGreeting {
    pub(super) fn new(port: Arc<Port>, stack: Stack, secure: bool, first: &[u8]) -> Self {
        Self {
            port,
            stack,
            secure,
            input: first.into(),
        }
    }

    /// The same connection, for a tunnel.
    pub(super) fn carrier(self, now: Instant) -> Carrier {
        Carrier::new(self.port, self.stack, self.secure, self.input, now)
    }

    /// Reads until the head is whole, or cannot become one.
    pub(super) fn turn(&mut self, _io: &Io<'_>) -> Result<Option<Asked>, Gone> {
        let mut buffer = [0; READ];
        loop {
            match Request::parse(&self.input) {
                Ok(None) => {}
                Ok(Some(asked)) => return Ok(Some(Ok(asked))),
                Err(error) => return Ok(Some(Err(error))),
            }
            match self.stack.read(&mut buffer)? {
                Read::Data(n) => self
                    .input
                    .extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Read::WouldBlock => return Ok(None),
                Read::Closed => return Err(Gone),
            }
        }
    }

    /// Answers, or hands the peer to whoever does.
    pub(super) fn answer(mut self, asked: Asked, io: &Io<'_>) -> Outcome {
        let answer = match asked {
            Ok((request, length)) => {
                let rest = self.input.split_off(length.min(self.input.len()));
                match self.serve(&request, io.now) {
                    Answer::Take(take) => {
                        let _ = self.stack.deregister(io.registry);
                        take(self.stack, rest.freeze());
                        return Outcome::HandedOver;
                    }
                    Answer::Reply(bytes) => bytes,
                }
            }
            Err(error) => {
                let text = format!("Bad request: {error}.");
                Sentence::new(error.status(), text).response(Version::Http11, SystemTime::now())
            }
        };
        let mut transmit = Transmit::default();
        transmit.push(answer);
        Outcome::Leaves(Box::new(self.stack), transmit)
    }

    fn serve(&self, request: &Request, now: Instant) -> Answer {
        let serves = |secure| self.port.find(secure, |e| e.serves(&request.path));
        if let Some(entry) = serves(self.secure)
            && let Kind::Http { serve, .. } = &entry.kind
        {
            let peer = HttpPeer {
                address: self.stack.peer_addr(),
                secure: self.secure,
                now,
            };
            return serve(request, peer);
        }
        let reply = |status, text: &str| {
            Answer::Reply(Sentence::new(status, text).answer(request, SystemTime::now()))
        };
        if serves(true).is_some() {
            return reply(403, "This is served over https only.");
        }
        match (request.method, request.path.as_str()) {
            (Method::Get | Method::Head, "/") => self.index(request),
            (Method::Options, "*") => Answer::Reply(
                Head::new(request.version, 204, SystemTime::now())
                    .field("Allow", "GET, HEAD, OPTIONS")
                    .field("Connection", "close")
                    .finish(),
            ),
            (Method::Get | Method::Head | Method::Options, _) => reply(
                404,
                "There is no stream of this name here; / lists those there are.",
            ),
            _ => reply(405, "Only GET, HEAD and OPTIONS are served here."),
        }
    }

    /// The page that lists what is on the air.
    fn index(&self, request: &Request) -> Answer {
        let mut rows = String::new();
        for entry in self.port.entries() {
            if entry.tls && !self.secure {
                continue;
            }
            if let Kind::Http {
                listing: Some(listing),
                ..
            } = &entry.kind
            {
                let Some(Listing { path, page, text }) = listing() else {
                    continue;
                };
                let (path, text) = (escaped(&path), escaped(&text));
                let watch = page.map_or_else(String::new, |page| {
                    format!("<a class=watch href=\"{}\">watch</a>", escaped(&page))
                });
                // Writing to a string cannot fail.
                let _ = writeln!(
                    rows,
                    "<li><a href=\"{path}\">{path}</a> <span>{text}</span> {watch}</li>"
                );
            }
        }
        if rows.is_empty() {
            rows.push_str("<li>Nothing is on the air here.</li>\n");
        }
        let page = INDEX.replace("{{ROWS}}", &rows);
        let head_only = request.method == Method::Head;
        let head =
            Head::new(request.version, 200, SystemTime::now()).field("Cache-Control", "no-store");
        Answer::Reply(head.body("text/html; charset=utf-8", &page, head_only))
    }
}

const INDEX: &str = include_str!("index.html");

/// Text as HTML shows it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
