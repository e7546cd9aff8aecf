// SPDX-License-Identifier: MPL-2.0

//! RTMPT on a listening port: the sessions that clients opened, and the connections that their requests
//! come over.
//!
//! What a session carries is a peer like any other: it is greeted as if it had come over a socket of its
//! own, so that RTMPE, publishing and playing are nothing that has to be known here.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::{Buf, Bytes, BytesMut};

use super::{
    READ,
    greeting::{Gone, Outcome},
    port::Port,
};
use crate::{
    net::{
        connection::seed,
        meeting::Meeting,
        reactor::{Io, Next, Reactor, Task},
        stack::{Read, Stack, Write},
    },
    protocol::{
        http::{Method, Request, Sentence, Version},
        rtmp::transmit::Transmit,
        rtmpt::{
            CONTENT_TYPE, Refused, Target, Verb, limits,
            server::{Answer, next_send},
        },
    },
};

/// The sessions of a port.
#[derive(Debug, Default)]
pub(super) struct Tunnels(Mutex<HashMap<String, Arc<Meeting>>>);

/// How often sessions whose client is gone are looked for.
const SWEEP: Duration = Duration::from_secs(1);

impl Tunnels {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Meeting>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &str, secure: bool) -> Option<Arc<Meeting>> {
        let found = self.lock().get(id).cloned();
        found.filter(|session| session.secure == secure)
    }

    /// So many sessions more, of which nobody has heard since.
    #[cfg(test)]
    pub(super) fn crowd(&self, count: usize) {
        let (session, _) = Meeting::open(false, None, Instant::now()).unwrap();
        let entries = (0..count).map(|n| (n.to_string(), session.clone()));
        self.lock().extend(entries);
    }

    /// Opens a session and says under which id.
    fn open(
        port: &Arc<Port>,
        secure: bool,
        peer: Option<SocketAddr>,
        now: Instant,
    ) -> Option<String> {
        // 96 bits of it: nobody guesses an id, and it is said with every request.
        let seed = seed().ok()?;
        let id = URL_SAFE_NO_PAD.encode(seed.first_chunk::<12>()?);
        let mut sessions = port.tunnels.lock();
        if sessions.len() >= limits::SESSIONS {
            return None;
        }
        let (session, bell) = Meeting::open(secure, peer, now).ok()?;
        let first = sessions.is_empty();
        sessions.insert(id.clone(), session.clone());
        drop(sessions);
        if first {
            Reactor::global().ok()?.spawn(Arc::new(Sweep(port.clone())));
        }
        port.greet(Stack::hosted(session, bell), secure, now);
        Some(id)
    }
}

/// Forgets sessions that are over; it lives as long as there are any.
struct Sweep(Arc<Port>);

impl Task for Sweep {
    fn turn(&self, io: &Io<'_>) -> Next {
        let mut sessions = self.0.tunnels.lock();
        sessions.retain(|_, session| !session.is_over(io.now));
        Next {
            deadline: Some(io.now + SWEEP),
            done: sessions.is_empty(),
            ..Next::default()
        }
    }
}

/// Whether a request is one of a tunnel.
pub(super) fn is_tunnel(request: &Request) -> bool {
    request.method == Method::Post && Target::parse(&request.path).is_some()
}

/// One connection that brings requests.
pub(super) struct Carrier {
    port: Arc<Port>,
    pub(super) stack: Stack,
    secure: bool,
    input: BytesMut,
    /// The request whose head was read.
    arriving: Option<Arriving>,
    /// Requests that wait for their answers, in order.
    asked: VecDeque<Asked>,
    out: Transmit,
    /// Since when nothing was asked, or something is arriving.
    since: Instant,
    /// It has brought a request of a session: it is no stranger.
    known: bool,
    /// No further request is taken.
    last: bool,
    /// Nobody reads the answers any more.
    deaf: bool,
}

struct Arriving {
    target: Target,
    manner: Manner,
    length: usize,
    session: Option<Arc<Meeting>>,
}

/// How a request wants to be answered.
#[derive(Clone, Copy)]
struct Manner {
    version: Version,
    keep_alive: bool,
}

enum Asked {
    /// This whole response.
    Ready(Bytes),
    /// When its session has an answer; whether it brought bytes.
    Session(Arc<Meeting>, u64, Manner, bool),
}

impl Carrier {
    /// Takes over a connection on which a request of a tunnel came; `input` is all that was read.
    pub(super) fn new(
        port: Arc<Port>,
        stack: Stack,
        secure: bool,
        input: BytesMut,
        now: Instant,
    ) -> Self {
        Self {
            port,
            stack,
            secure,
            input,
            arriving: None,
            asked: VecDeque::new(),
            out: Transmit::default(),
            since: now,
            known: false,
            last: false,
            deaf: false,
        }
    }

    /// Whether it has shown that it knows a session.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// Goes on as far as it goes; the connection comes back unless it has to be ended.
    pub(super) fn turn(
        mut self: Box<Self>,
        io: &Io<'_>,
    ) -> Result<(Option<Box<Self>>, Outcome), Gone> {
        loop {
            let waits = self.answer(io);
            if self.write() == Write::Drained && self.is_finished() {
                let outcome = Outcome::Leaves(Box::new(self.stack), self.out);
                return Ok((None, outcome));
            }
            let reads = !self.last && self.out.is_empty() && self.asked.len() < limits::PIPELINED;
            if reads && self.next(io)? {
                continue;
            }
            // A request is read when there is room for what it brings.
            if reads && self.may_read(io) && self.read(io)? {
                continue;
            }
            let until = [waits, self.deadline()].into_iter().flatten().min();
            if self.deadline().is_some_and(|deadline| io.now >= deadline) {
                return Err(Gone);
            }
            return Ok((Some(self), Outcome::Waits(until)));
        }
    }

    /// Writes the answers. librtmp, when it publishes, reads none and leaves with a reset; what it has
    /// said before is to be heard all the same.
    fn write(&mut self) -> Write {
        if !self.deaf {
            match self.stack.write(&mut self.out) {
                Ok(written) => return written,
                Err(_) => self.deaf = true,
            }
        }
        self.out.advance(self.out.len());
        Write::Drained
    }

    fn is_finished(&self) -> bool {
        self.last && self.asked.is_empty()
    }

    /// When it has been waited for long enough; never while it waits for us.
    fn deadline(&self) -> Option<Instant> {
        if !self.asked.is_empty() {
            return None;
        }
        let patience = match self.arriving.is_some() || !self.input.is_empty() {
            true => {
                let more = self.input.len() as u64 / limits::SLOWEST;
                limits::ARRIVAL + Duration::from_secs(more)
            }
            false => limits::IDLE_CONNECTION,
        };
        Some(self.since + patience)
    }

    fn may_read(&self, io: &Io<'_>) -> bool {
        let session = self.arriving.as_ref().and_then(|a| a.session.as_ref());
        session.is_none_or(|session| session.has_room(io.token))
    }

    /// Reads once; `false` when there is nothing to read now.
    fn read(&mut self, io: &Io<'_>) -> Result<bool, Gone> {
        let mut buffer = [0; READ];
        let was_empty = self.input.is_empty();
        let input = &mut self.input;
        let read = self.stack.read_to(&mut buffer, &mut |bytes| {
            input.extend_from_slice(bytes);
        })?;
        match read {
            Read::Data(_) => {
                if was_empty && self.arriving.is_none() {
                    self.since = io.now;
                }
                Ok(true)
            }
            Read::WouldBlock => Ok(false),
            // What was asked is still taken in; answers have nobody to read them.
            Read::Closed => Err(Gone),
        }
    }

    /// Answers what can be answered, in order, and says when to look again.
    fn answer(&mut self, io: &Io<'_>) -> Option<Instant> {
        while let Some(asked) = self.asked.front() {
            match asked {
                Asked::Ready(response) => self.out.push(response.clone()),
                Asked::Session(session, sequence, manner, sends) => {
                    match session.answer(io.now, *sequence, io.token) {
                        Ok(Answer::Wait(until)) => return Some(until),
                        Ok(Answer::Body(body)) => {
                            let length = body.iter().map(Bytes::len).sum();
                            self.out.push(manner.head_of_answer(length, *sends));
                            body.into_iter().for_each(|piece| self.out.push(piece));
                        }
                        Err(refused) => {
                            self.out.push(manner.refusal(400, &sentence(refused)));
                            self.asked.clear();
                            self.last = true;
                            return None;
                        }
                    }
                }
            }
            self.asked.pop_front();
            self.since = io.now;
        }
        None
    }

    /// Takes the next request in, if it is whole; `true` if something was done.
    fn next(&mut self, io: &Io<'_>) -> Result<bool, Gone> {
        let Some(mut arriving) = self.arriving.take() else {
            return self.head(io);
        };
        match self.breaks_off(&arriving) {
            Some(true) => arriving.length = limits::RECORD,
            // A record is read whole: what is missing of that head can be read now, or it is none.
            None if self.input.len() >= arriving.length && self.read(io).is_ok_and(|read| read) => {
                self.arriving = Some(arriving);
                return Ok(true);
            }
            _ => {}
        }
        if self.input.len() < arriving.length {
            self.arriving = Some(arriving);
            return Ok(false);
        }
        if let Some(session) = &arriving.session
            && !session.has_room(io.token)
        {
            self.arriving = Some(arriving);
            return Ok(false);
        }
        let body = self.input.split_to(arriving.length).freeze();
        self.since = io.now;
        let manner = arriving.manner;
        self.last |= !manner.keep_alive;
        match (arriving.target, arriving.session) {
            (Target::Session { verb, sequence, .. }, Some(session)) => {
                match session.take(io.now, verb, sequence, body) {
                    Ok(()) => {
                        self.known = true;
                        let sends = verb == Verb::Send;
                        let asked = Asked::Session(session, sequence, manner, sends);
                        self.asked.push_back(asked);
                    }
                    Err(refused) => self.refuse(manner, 400, &sentence(refused)),
                }
            }
            (Target::Open, _) => {
                let peer = self.stack.peer_addr();
                match Tunnels::open(&self.port, self.secure, peer, io.now) {
                    Some(id) => {
                        let id = format!("{id}\n");
                        self.say(manner, "200 OK", CONTENT_TYPE, &id);
                    }
                    None => self.refuse(manner, 503, "There are too many sessions."),
                }
            }
            // Whoever asks wants the address of the server that it was led to; there is one.
            (Target::Ident, _) => {
                let text = "There is one server here, this one.";
                self.say(manner, "404 Not Found", "text/plain", text);
            }
            (Target::Session { .. }, None) => {
                let text = "There is no such session, or no more.";
                self.say(manner, "404 Not Found", "text/plain", text);
            }
        }
        Ok(true)
    }

    /// Whether the body ends with a record of TLS, short of its length; `None` where too little has come to
    /// tell.
    fn breaks_off(&self, arriving: &Arriving) -> Option<bool> {
        match (&arriving.target, self.input.get(limits::RECORD..)) {
            (Target::Session { id, sequence, .. }, Some(rest))
                if self.secure && arriving.length > limits::RECORD && !rest.is_empty() =>
            {
                next_send(id, *sequence, rest)
            }
            _ => Some(false),
        }
    }

    /// Reads the head of the next request.
    fn head(&mut self, io: &Io<'_>) -> Result<bool, Gone> {
        let (request, length) = match Request::parse(&self.input) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(false),
            Err(error) => {
                let manner = Manner {
                    version: Version::Http11,
                    keep_alive: false,
                };
                let text = format!("Bad request: {error}.");
                self.refuse(manner, error.status(), &text);
                return Ok(true);
            }
        };
        self.input.advance(length);
        let manner = Manner {
            version: request.version,
            keep_alive: keeps_alive(&request),
        };
        let target = Target::parse(&request.path).filter(|_| request.method == Method::Post);
        let Some(target) = target else {
            self.refuse(manner, 404, "This connection carries RTMPT.");
            return Ok(true);
        };
        let session = match &target {
            Target::Session { id, .. } => self.port.tunnels.find(id, self.secure),
            Target::Ident | Target::Open => None,
        };
        let most = match session {
            Some(_) => limits::REQUEST,
            None => limits::FOREIGN_REQUEST,
        };
        match body_length(&request) {
            Ok(length) if length <= most as u64 => {
                if request.field("expect").is_some() && self.input.is_empty() {
                    let go_on = Bytes::from_static(b"HTTP/1.1 100 Continue\r\n\r\n");
                    self.out.push(go_on);
                }
                self.arriving = Some(Arriving {
                    target,
                    manner,
                    length: usize::try_from(length).unwrap_or_default(),
                    session,
                });
                self.since = io.now;
            }
            Ok(_) => self.refuse(manner, 413, "That is more than a request may bring."),
            Err(status) => self.refuse(manner, status, "The length of the body is missing."),
        }
        Ok(true)
    }

    /// An answer that is known at once.
    fn say(&mut self, manner: Manner, status: &str, kind: &str, text: &str) {
        let mut response = BytesMut::from(&manner.head(status, kind, text.len())[..]);
        response.extend_from_slice(text.as_bytes());
        self.asked.push_back(Asked::Ready(response.freeze()));
    }

    /// The last answer on this connection.
    fn refuse(&mut self, manner: Manner, status: u16, text: &str) {
        self.asked
            .push_back(Asked::Ready(manner.refusal(status, text)));
        self.last = true;
    }
}

impl Manner {
    /// Only what has to be said, for it is said 40 times a second.
    fn head(self, status: &str, kind: &str, length: usize) -> Bytes {
        let connection = match (self.version, self.keep_alive) {
            (Version::Http10, true) => "Connection: keep-alive\r\n",
            (_, false) => "Connection: close\r\n",
            (_, true) => "",
        };
        Bytes::from(format!(
            "{} {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{connection}\r\n",
            self.version,
        ))
    }

    /// Of the polling byte and what comes with it. An encoder is told 40 times a second that there is nothing; a
    /// third of that would be what kind of nothing it is, and no client asks.
    fn head_of_answer(self, length: usize, sends: bool) -> Bytes {
        match self {
            Self {
                version: Version::Http11,
                keep_alive: true,
            } if sends && length == 1 => {
                Bytes::from_static(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
            }
            _ => self.head("200 OK", CONTENT_TYPE, length),
        }
    }

    fn refusal(self, status: u16, text: &str) -> Bytes {
        Sentence::new(status, text).response(self.version, SystemTime::now())
    }
}

fn keeps_alive(request: &Request) -> bool {
    let mut keep_alive = request.version == Version::Http11;
    let fields = request.fields().filter(|(name, _)| *name == "connection");
    for word in fields.flat_map(|(_, value)| value.split(',')) {
        match word.trim() {
            word if word.eq_ignore_ascii_case("close") => return false,
            word if word.eq_ignore_ascii_case("keep-alive") => keep_alive = true,
            _ => {}
        }
    }
    keep_alive
}

/// The length of a request's body, or the status that says why it has none. A request that says it
/// twice differently means to be read in two ways.
fn body_length(request: &Request) -> Result<u64, u16> {
    if request.field("transfer-encoding").is_some() {
        return Err(411);
    }
    let mut lengths = request
        .fields()
        .filter(|(name, _)| *name == "content-length");
    let (_, length) = lengths.next().ok_or(411u16)?;
    if lengths.any(|(_, other)| other != length) || !length.bytes().all(|b| b.is_ascii_digit()) {
        return Err(400);
    }
    length.parse().map_err(|_| 400)
}

fn sentence(refused: Refused) -> String {
    format!("This cannot be done: {refused}.")
}
