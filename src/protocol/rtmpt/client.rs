// SPDX-License-Identifier: MPL-2.0

//! The client's end of a tunnel: bytes in, requests out; replies in, bytes out.
//!
//! It makes one request at a time. Connections come and go below it: whoever drives it makes one while
//! [`TunnelClient::wants_connection`], and says when it stands and when it ended.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{CONTENT_TYPE, gathered, interval, is_id, limits};
use crate::protocol::{
    http::reply::{Body, Framing, Part, Reply, ReplyError},
    rtmp::transmit::Transmit,
};

/// Limits of the time between two polls: as long as the server says, and it cannot say more.
pub const POLLING: (Duration, Duration) = (Duration::ZERO, Duration::from_millis(600));

/// What a tunnel needs to know.
#[derive(Clone, Debug)]
pub struct TunnelConfig {
    /// What the `Host` field says.
    pub authority: String,
    /// Scheme and authority in front of every path, for a proxy; empty without one.
    pub prefix: String,
    /// The value of `Proxy-Authorization`, for such a proxy.
    pub proxy_authorization: Option<String>,
    /// Whether a request may be made again when its reply was lost. Not where the bytes within are
    /// encrypted: what was lost of them would be missing for ever.
    pub repeats: bool,
    /// Limits of the time between two polls, whatever the server says.
    pub polling: (Duration, Duration),
    /// How long a reply may take; zero for ever.
    pub timeout: Duration,
}

/// Why a tunnel cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TunnelError {
    /// The reply is not what HTTP allows.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The proxy wants to know who asks.
    #[error(
        "the HTTP proxy asks for a user name and a password (407); put them into http-proxy, as in \
         user:password@host:port"
    )]
    ProxyAuthentication,
    /// Something leads elsewhere.
    #[error(
        "an HTTP server or a proxy leads elsewhere (status {status}{}); RTMPT is not served there",
        .location.as_ref().map(|to| format!(", to {to}")).unwrap_or_default()
    )]
    Redirect {
        /// The status code.
        status: u16,
        /// Where to.
        location: Option<String>,
    },
    /// The server refused to open a session.
    #[error("the HTTP server does not open an RTMPT session (status {0}); is RTMPT served there?")]
    NotServed(u16),
    /// The server does not know the session any more.
    #[error("the server has forgotten the RTMPT session (status {0}); it may have been restarted")]
    Forgotten(u16),
    /// Something else answers.
    #[error(
        "the answer is a web page and not RTMPT; a proxy, a portal or another server is in the way"
    )]
    NotRtmpt,
    /// The reply is longer than any server sends.
    #[error("the reply has {0} bytes, more than any RTMPT server sends")]
    TooLong(u64),
    /// A reply was lost, and what was in it cannot be had again.
    #[error("the connection was lost with a reply on it, which RTMPE does not survive")]
    LostReply,
    /// A reply was lost again and again.
    #[error("the connection was lost {0} times over the same request")]
    Unstable(u32),
    /// A reply did not come in time.
    #[error("no reply to an RTMPT request within {0:?}")]
    Timeout(Duration),
}

/// Figures of a tunnel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TunnelStats {
    /// Requests made, repeated ones too.
    pub requests: u64,
    /// Replies without data.
    pub empty_replies: u64,
    /// The time that the server asks to wait between two polls.
    pub interval: Duration,
    /// Bytes of the stream within, both directions together.
    pub inner_bytes: u64,
    /// Bytes of the requests and replies that carry them, both directions together.
    pub outer_bytes: u64,
}

impl TunnelStats {
    /// Bytes on the wire for each byte within; 1 while there was none.
    pub fn overhead_ratio(&self) -> f64 {
        match self.inner_bytes {
            0 => 1.0,
            inner => self.outer_bytes as f64 / inner as f64,
        }
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct TunnelClient {
    config: TunnelConfig,
    stage: Stage,
    id: String,
    /// The reply to `/open`, as far as it has come.
    opening: Vec<u8>,
    sequence: u64,
    connected: bool,
    /// The request that has no reply yet.
    waiting: Option<Waiting>,
    reader: Reader,
    /// Bytes of the stream for the next request, and since when the first of them waits.
    pending: Transmit,
    since: Option<Instant>,
    received: VecDeque<Bytes>,
    out: Transmit,
    next_poll: Instant,
    last_request: Option<Instant>,
    /// Since when the session is to end.
    closing: Option<Instant>,
    /// Empty replies in a row with the polling byte 0. Red5 and Adobe's servers end a session so and know
    /// nothing of it at the next request; pyrtmp says 0 now and then and goes on.
    zeros: u32,
    /// Replies on the way to requests that nobody waits for any more.
    unread: u32,
    /// The next poll follows at once on a reply that brought something.
    eager: bool,
    /// How many such polls in a row brought nothing.
    vain: u32,
    stats: TunnelStats,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Ident,
    Open,
    Running,
    /// The last request was made.
    Closing,
    /// The session is over.
    Closed,
}

#[derive(Debug)]
struct Waiting {
    /// First line and fields, and the body, to be sent again.
    request: Vec<Bytes>,
    since: Instant,
    /// Bytes of the reply's body that have been handed on, over all connections.
    delivered: u64,
    repeats: u32,
    /// It followed at once on a reply that brought something.
    eager: bool,
    /// Of the reply that is coming in.
    received: u64,
}

#[derive(Debug)]
enum Reader {
    Head(Vec<u8>),
    Body {
        reply: Reply,
        body: Body,
        /// Bytes of it that have come.
        at: u64,
        /// Its polling byte. 0 may be how a server closes.
        polling: u8,
    },
}

impl TunnelClient {
    /// A tunnel to be opened.
    pub fn new(config: TunnelConfig, now: Instant) -> Self {
        Self {
            config,
            stage: Stage::Ident,
            id: String::new(),
            opening: Vec::new(),
            sequence: 0,
            connected: false,
            waiting: None,
            reader: Reader::Head(Vec::new()),
            pending: Transmit::default(),
            since: None,
            received: VecDeque::new(),
            out: Transmit::default(),
            next_poll: now,
            last_request: None,
            closing: None,
            zeros: 0,
            unread: 0,
            eager: false,
            vain: 0,
            stats: TunnelStats {
                interval: interval(1),
                ..TunnelStats::default()
            },
        }
    }

    /// Whether a session is open.
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Running
    }

    /// Whether the session is over: the server closed it, or knows that it is closed.
    pub fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }

    /// Whether the connection it was told of may take another request.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Figures as of now.
    pub fn stats(&self) -> TunnelStats {
        self.stats
    }

    /// Whether everything that was to be sent has been handed out.
    pub fn is_drained(&self) -> bool {
        self.pending.is_empty() && self.out.is_empty()
    }

    /// Whether a connection is needed now.
    pub fn wants_connection(&self, now: Instant) -> bool {
        !self.connected
            && self.stage != Stage::Closed
            && (self.stage != Stage::Running
                || self.waiting.is_some()
                || self.closing.is_some()
                || self.due().is_some_and(|due| due <= now)
                || self.next_poll <= now)
    }

    /// A connection stands.
    pub fn connected(&mut self, now: Instant) {
        self.connected = true;
        self.opening.clear();
        self.reader = Reader::Head(Vec::new());
        self.out = Transmit::default();
        if let Some(waiting) = &mut self.waiting {
            // The same number again: a server that took it knows what to repeat.
            waiting.received = 0;
            waiting.since = now;
            let request = waiting.request.clone();
            self.stats.requests += 1;
            for part in request {
                self.push(part);
            }
        }
        self.pump(now);
    }

    /// The connection ended.
    ///
    /// # Errors
    /// Where a reply was lost that cannot be asked for again.
    pub fn disconnected(&mut self, now: Instant) -> Result<(), TunnelError> {
        if let Reader::Body { body, .. } = &self.reader
            && body.ends_with_connection()
        {
            self.finish(now)?;
        }
        self.connected = false;
        self.unread = 0;
        self.out = Transmit::default();
        self.reader = Reader::Head(Vec::new());
        let Some(waiting) = &mut self.waiting else {
            return Ok(());
        };
        match self.stage {
            // Who does not know it may hang up on it.
            Stage::Ident => {
                self.stage = Stage::Open;
                self.waiting = None;
            }
            Stage::Closed => self.waiting = None,
            // The server is told of the end all the same.
            Stage::Running if !self.config.repeats => {
                self.waiting = None;
                self.pending = Transmit::default();
                self.since = None;
                if self.closing.is_none() {
                    return Err(TunnelError::LostReply);
                }
            }
            Stage::Open | Stage::Running | Stage::Closing => {
                waiting.repeats += 1;
                if waiting.repeats > limits::REPEATS {
                    return Err(TunnelError::Unstable(waiting.repeats));
                }
            }
        }
        Ok(())
    }

    /// Takes bytes of the stream, as many as it holds.
    pub fn send(&mut self, now: Instant, meant: &mut Transmit) {
        while self.pending.len() < limits::PENDING
            && let Some(bytes) = meant.pop()
        {
            self.since.get_or_insert(now);
            self.stats.inner_bytes += bytes.len() as u64;
            self.pending.push(bytes);
        }
        self.pump(now);
    }

    /// Whether [`send`](Self::send) would take nothing.
    pub fn is_full(&self) -> bool {
        self.pending.len() >= limits::PENDING
    }

    /// Bytes for the connection.
    pub fn poll_transmit(&mut self) -> &mut Transmit {
        &mut self.out
    }

    /// Bytes of the stream that came.
    pub fn poll_received(&mut self) -> Option<Bytes> {
        self.received.pop_front()
    }

    /// Takes bytes from the connection, cut anywhere.
    ///
    /// # Errors
    /// [`TunnelError`]; the tunnel is of no further use.
    pub fn handle_input(&mut self, now: Instant, mut input: &[u8]) -> Result<(), TunnelError> {
        self.stats.outer_bytes += input.len() as u64;
        if let Some(waiting) = &mut self.waiting {
            waiting.received += input.len() as u64;
        }
        while !input.is_empty() {
            if self.waiting.is_none() {
                // A server that went on after its goodbye, or bytes that nobody asked for.
                if self.stage == Stage::Closed {
                    return Ok(());
                }
                return Err(ReplyError::Malformed.into());
            }
            match &mut self.reader {
                Reader::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(input);
                    let Some((reply, length)) = Reply::parse(head)? else {
                        return Ok(());
                    };
                    input = input
                        .get(length.saturating_sub(before)..)
                        .unwrap_or_default();
                    // 100 Continue and its like; the answer follows.
                    if (100..200).contains(&reply.status) {
                        *head = Vec::new();
                        continue;
                    }
                    self.check(&reply)?;
                    let body = Body::new(reply.framing);
                    self.reader = Reader::Body {
                        reply,
                        body,
                        at: 0,
                        polling: 1,
                    };
                    self.body(now, &mut input)?;
                }
                Reader::Body { .. } => self.body(now, &mut input)?,
            }
        }
        self.pump(now);
        Ok(())
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called although nothing came.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if let (Some(since), Stage::Running, Some(_)) = (self.closing, self.stage, &self.waiting) {
            return Some(since + limits::FAREWELL);
        }
        if let Some(waiting) = &self.waiting {
            return self.patience(waiting);
        }
        if self.stage != Stage::Running {
            return None;
        }
        self.due().or(Some(self.next_poll))
    }

    /// Makes the request whose time has come, or fails where a reply did not.
    ///
    /// # Errors
    /// [`TunnelError::Timeout`].
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), TunnelError> {
        if let Some(waiting) = &self.waiting
            && let Some(until) = self.patience(waiting)
            && until <= now
        {
            return Err(TunnelError::Timeout(self.config.timeout));
        }
        if let (Some(since), Stage::Running) = (self.closing, self.stage)
            && self.waiting.is_some()
            && since + limits::FAREWELL <= now
            && self.connected
        {
            // A server that holds a poll for long: the last requests go out behind it.
            self.waiting = None;
            self.sequence += 1;
            self.unread += 1;
            if !self.pending.is_empty() {
                let body = self.take_pending();
                self.request(now, "send", body);
                self.sequence += 1;
                self.waiting = None;
                self.unread += 1;
            }
        }
        self.pump(now);
        Ok(())
    }

    /// Ends the session: what is left to be sent goes out first, and the server is told.
    /// [`is_closed`](Self::is_closed) says when it knows.
    pub fn close(&mut self, now: Instant) {
        self.closing.get_or_insert(now);
        if self.stage == Stage::Ident || (self.stage == Stage::Open && self.waiting.is_none()) {
            self.stage = Stage::Closed;
        }
        self.pump(now);
    }

    /// Whether the server has a session of ours that it has not been told the end of.
    pub fn owes_farewell(&self) -> bool {
        match self.stage {
            Stage::Open => self.waiting.is_some(),
            Stage::Running | Stage::Closing => true,
            Stage::Ident | Stage::Closed => false,
        }
    }

    fn patience(&self, waiting: &Waiting) -> Option<Instant> {
        let extra = Duration::from_secs(waiting.received / limits::SLOWEST);
        let patience = Some(self.config.timeout).filter(|timeout| !timeout.is_zero())?;
        waiting.since.checked_add(patience)?.checked_add(extra)
    }

    /// When what is pending goes out.
    fn due(&self) -> Option<Instant> {
        let since = self.since?;
        match self.last_request {
            Some(last) if self.is_warm() => Some(gathered(&self.pending, since, last)),
            _ => Some(since),
        }
    }

    fn is_warm(&self) -> bool {
        self.stats.requests >= limits::WARM_UP
    }

    /// Makes a request if one is due and none is under way.
    fn pump(&mut self, now: Instant) {
        if !self.connected {
            return;
        }
        if self.waiting.is_some() {
            return;
        }
        match self.stage {
            Stage::Ident => self.ask(now, "/fcs/ident2"),
            Stage::Open => self.ask(now, "/open/1"),
            Stage::Running if self.closing.is_some() && self.pending.is_empty() => {
                self.request(now, "close", vec![NOTHING]);
                self.stage = Stage::Closing;
            }
            Stage::Running
                if self.closing.is_some() || self.due().is_some_and(|due| due <= now) =>
            {
                let body = self.take_pending();
                self.request(now, "send", body);
            }
            // What waits for others to go with it brings an answer as well.
            Stage::Running if self.next_poll <= now && self.since.is_none() => {
                self.request(now, "idle", vec![NOTHING]);
            }
            Stage::Running | Stage::Closing | Stage::Closed => {}
        }
    }

    fn take_pending(&mut self) -> Vec<Bytes> {
        self.since = None;
        std::iter::from_fn(|| self.pending.pop()).collect()
    }

    /// A request on the way to a session.
    fn ask(&mut self, now: Instant, path: &str) {
        let polite =
            "User-Agent: Shockwave Flash\r\nConnection: Keep-Alive\r\nCache-Control: no-cache\r\n";
        self.make(now, path.to_owned(), polite, vec![NOTHING]);
    }

    /// A request of the session. Only what has to be said, for it is said 40 times a second.
    fn request(&mut self, now: Instant, verb: &str, body: Vec<Bytes>) {
        self.make(
            now,
            format!("/{verb}/{}/{}", self.id, self.sequence),
            "",
            body,
        );
    }

    fn make(&mut self, now: Instant, path: String, fields: &str, body: Vec<Bytes>) {
        let length: usize = body.iter().map(Bytes::len).sum();
        let TunnelConfig {
            prefix, authority, ..
        } = &self.config;
        let mut head = format!(
            "POST {prefix}{path} HTTP/1.1\r\nHost: {authority}\r\n{fields}Content-Type: {CONTENT_TYPE}\r\n\
             Content-Length: {length}\r\n"
        );
        if let Some(authorization) = &self.config.proxy_authorization {
            head += &format!("Proxy-Authorization: {authorization}\r\n");
        }
        head += "\r\n";
        let mut request = vec![Bytes::from(head)];
        request.extend(body);
        for part in &request {
            self.push(part.clone());
        }
        self.stats.requests += 1;
        self.last_request = Some(now);
        self.waiting = Some(Waiting {
            request,
            since: now,
            delivered: 0,
            repeats: 0,
            eager: self.eager,
            received: 0,
        });
    }

    fn push(&mut self, part: Bytes) {
        self.stats.outer_bytes += part.len() as u64;
        self.out.push(part);
    }

    /// Whether this is the head of a reply to what was asked.
    fn check(&mut self, reply: &Reply) -> Result<(), TunnelError> {
        if self.stage == Stage::Running && self.zeros > 0 && reply.status != 200 {
            self.stage = Stage::Closed;
            return Ok(());
        }
        match reply.status {
            407 => return Err(TunnelError::ProxyAuthentication),
            // Any answer is one to ident2, and to a goodbye.
            _ if self.stage == Stage::Ident || self.stage == Stage::Closing => {}
            200 => {}
            status @ (301 | 302 | 303 | 307 | 308) => {
                let location = reply.location.clone();
                return Err(TunnelError::Redirect { status, location });
            }
            status if self.stage == Stage::Open => return Err(TunnelError::NotServed(status)),
            status => return Err(TunnelError::Forgotten(status)),
        }
        let page = |kind: &String| kind.to_ascii_lowercase().starts_with("text/html");
        if self.stage == Stage::Running && reply.content_type.as_ref().is_some_and(page) {
            return Err(TunnelError::NotRtmpt);
        }
        match reply.framing {
            Framing::Length(length) if length > limits::REPLY => Err(TunnelError::TooLong(length)),
            _ => Ok(()),
        }
    }

    fn body(&mut self, now: Instant, input: &mut &[u8]) -> Result<(), TunnelError> {
        loop {
            let Reader::Body { body, at, .. } = &mut self.reader else {
                return Ok(());
            };
            let data = match body.take(input)? {
                Part::More => return Ok(()),
                Part::End => return self.finish(now),
                Part::Data(data) => data,
            };
            let start = *at;
            *at += data.len() as u64;
            if *at > limits::REPLY {
                return Err(TunnelError::TooLong(*at));
            }
            self.data(start, data)?;
        }
    }

    /// Bytes of a reply's body, of which the first is number `start`.
    fn data(&mut self, start: u64, data: &[u8]) -> Result<(), TunnelError> {
        match self.stage {
            Stage::Ident | Stage::Closing | Stage::Closed => {}
            Stage::Open => {
                self.opening.extend_from_slice(data);
                // White space may surround it, a page is longer.
                if self.opening.len() > 2 * limits::ID {
                    return Err(TunnelError::NotRtmpt);
                }
            }
            Stage::Running => {
                let Some(waiting) = &mut self.waiting else {
                    return Ok(());
                };
                // What the first copy of a repeated reply brought is not taken again.
                let known = waiting.delivered.saturating_sub(start);
                let known = usize::try_from(known).unwrap_or(usize::MAX).min(data.len());
                let fresh = data.get(known..).unwrap_or_default();
                let first = start + known as u64 == 0;
                waiting.delivered = waiting.delivered.max(start + data.len() as u64);
                let (polling, fresh) = match fresh.split_first() {
                    Some((polling, rest)) if first => (Some(*polling), rest),
                    _ => (None, fresh),
                };
                if let Some(polling) = polling {
                    self.stats.interval = interval(polling.max(1));
                    if let Reader::Body { polling: said, .. } = &mut self.reader {
                        *said = polling;
                    }
                }
                if !fresh.is_empty() {
                    self.stats.inner_bytes += fresh.len() as u64;
                    self.received.push_back(Bytes::copy_from_slice(fresh));
                }
            }
        }
        Ok(())
    }

    /// A reply is whole.
    fn finish(&mut self, now: Instant) -> Result<(), TunnelError> {
        let reader = std::mem::replace(&mut self.reader, Reader::Head(Vec::new()));
        if self.unread > 0 {
            self.unread -= 1;
            return Ok(());
        }
        let waiting = self.waiting.take();
        let Reader::Body { reply, polling, .. } = reader else {
            return Ok(());
        };
        if !reply.keep_alive {
            self.connected = false;
        }
        match self.stage {
            Stage::Ident => self.stage = Stage::Open,
            Stage::Open => {
                let id = String::from_utf8_lossy(&self.opening).trim().to_owned();
                if !is_id(&id) {
                    return Err(TunnelError::NotRtmpt);
                }
                self.id = id;
                self.stage = Stage::Running;
                self.next_poll = now;
            }
            Stage::Running => {
                self.sequence += 1;
                let empty = (waiting.as_ref()).is_none_or(|waiting| waiting.delivered <= 1);
                let eager = waiting.is_some_and(|waiting| waiting.eager);
                self.stats.empty_replies += u64::from(empty);
                self.zeros = match polling == 0 && empty {
                    true => self.zeros + 1,
                    false => 0,
                };
                let (least, most) = self.config.polling;
                if eager {
                    self.vain = if empty { self.vain + 1 } else { 0 };
                }
                // The least polling byte is no delay at all to Red5, which adds one to its delays. Whoever
                // holds a poll until there is something to say is asked at once, whoever does not would
                // be asked in vain.
                self.eager = !empty && polling == 1 && self.vain < limits::VAIN && self.is_warm();
                let wait = match self.eager {
                    true => Duration::ZERO,
                    false => self.stats.interval,
                };
                self.next_poll = now + wait.max(least).min(most);
                if self.zeros > 1 {
                    self.stage = Stage::Closed;
                }
            }
            Stage::Closing => self.stage = Stage::Closed,
            Stage::Closed => {}
        }
        self.pump(now);
        Ok(())
    }
}

/// What a request without data has for a body; without one, some proxies wait for it.
const NOTHING: Bytes = Bytes::from_static(&[0]);
