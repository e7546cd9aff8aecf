// SPDX-License-Identifier: MPL-2.0

//! The client's end of a tunnel: bytes in, requests out; replies in, bytes out.
//!
//! It makes one request at a time. Connections come and go below it: whoever drives it makes one while
//! [`TunnelClient::wants_connection`], and says when it stands and when it ended.

mod error;
mod reply;
mod request;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

pub use self::error::TunnelError;
use self::{reply::Reader, request::NOTHING};
use super::{gathered, interval, limits};
use crate::protocol::rtmp::transmit::Transmit;

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
    /// Others came after those.
    joined: bool,
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
    /// Bytes of its body.
    sent: u64,
    /// Bytes of the reply's body that have been handed on, over all connections.
    delivered: u64,
    repeats: u32,
    /// It followed at once on a reply that brought something.
    eager: bool,
    /// Of the reply that is coming in.
    received: u64,
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
            joined: false,
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
        self.joined = !self.pending.is_empty() && (self.joined || !meant.is_empty());
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
            Some(last) if self.is_warm() => Some(gathered(&self.pending, since, self.joined, last)),
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
}
