// SPDX-License-Identifier: MPL-2.0

//! The server's end of a tunnel: which request asks for what, and one session's bytes, numbers and
//! polling byte.
//!
//! Requests of a session may come over any connection and overtake each other. Whoever reads them calls
//! [`Exchange::take`] once for each, and then [`Exchange::answer`] until there is an answer: when bytes
//! were sent, when the deadline has come, and when another request was taken.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{POLLING_BYTES, gathered, is_id, limits};
use crate::protocol::rtmp::transmit::Transmit;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Takes bytes and brings bytes.
    Send,
    /// Brings bytes.
    Idle,
    /// Ends the session.
    Close,
}

/// What the path of a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/fcs/ident2`, and whatever else is asked below `/fcs`.
    Ident,
    /// `/open/1`.
    Open,
    /// A request of a session.
    Session {
        /// What for.
        verb: Verb,
        /// The session's id.
        id: String,
        /// The request's number.
        sequence: u64,
    },
}

impl Target {
    /// Reads a path; `None` where it is none of a tunnel.
    pub fn parse(path: &str) -> Option<Self> {
        let mut parts = path.strip_prefix('/')?.split('/');
        let verb = match parts.next()? {
            "fcs" => return Some(Self::Ident),
            "open" => return Some(Self::Open),
            "send" => Verb::Send,
            "idle" => Verb::Idle,
            "close" => Verb::Close,
            _ => return None,
        };
        let (id, sequence) = (parts.next()?, parts.next()?);
        let digits = sequence.bytes().all(|b| b.is_ascii_digit());
        let sequence = sequence.parse().ok().filter(|_| digits)?;
        if parts.next().is_some() || !is_id(id) {
            return None;
        }
        let id = id.to_owned();
        Some(Self::Session { verb, id, sequence })
    }
}

/// Whether `bytes` begin with the head of the `/send` that follows on this one; `None` where they are too few
/// to tell.
///
/// librtmp (2.4, GnuTLS) announces a body as long as its message, writes one record of TLS, is told that so
/// much went, and makes another request of the rest. The id within cannot be guessed, so no media look
/// like it.
pub fn next_send(id: &str, sequence: u64, bytes: &[u8]) -> Option<bool> {
    if bytes.first().is_some_and(|first| *first != b'P') {
        return Some(false);
    }
    let head = format!("POST /send/{id}/{} HTTP/1.", sequence.saturating_add(1));
    let known = bytes.len().min(head.len());
    match bytes.get(..known) == head.as_bytes().get(..known) {
        true if known < head.len() => None,
        same => Some(same),
    }
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its number was used long ago.
    #[error("this request was answered before")]
    Old,
    /// Its number is too far ahead, or those before it never came.
    #[error("requests are missing before this one")]
    Gap,
    /// The session is over.
    #[error("this session is over")]
    Over,
}

/// What there is to say to a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// This body, the polling byte and what there is.
    Body(Vec<Bytes>),
    /// Nothing yet; look again at this time at the latest.
    Wait(Instant),
}

/// One session.
#[derive(Debug)]
pub struct Exchange {
    /// The number of the next request whose bytes are to be taken; `None` before the first.
    next: Option<u64>,
    /// The number of the next request to be answered.
    answering: u64,
    /// The last answer, in case it was lost.
    last: Option<(u64, Vec<Bytes>)>,
    /// When the request that is to be answered came, and whether it brought bytes.
    asked: Option<(Instant, bool)>,
    /// Bytes of early requests, by number.
    early: VecDeque<(u64, Verb, Bytes)>,
    /// Since when something is missing before them.
    gap: Option<Instant>,
    incoming: VecDeque<Bytes>,
    /// Bytes in it.
    unread: usize,
    outgoing: Transmit,
    /// Since when the first of the outgoing bytes waits.
    since: Option<Instant>,
    last_data: Option<Instant>,
    /// When the client last sent bytes.
    heard: Option<Instant>,
    /// When the client last sent what may be media.
    published: Option<Instant>,
    answers: u64,
    empty: u32,
    step: usize,
    /// The session within has nothing more to say.
    ended: bool,
    /// The client has nothing more to say.
    closed: bool,
    seen: Instant,
}

/// The polling byte of who has nothing more to say.
const CLOSED: &[u8] = &[0];

/// Empty replies in a row after which the polling byte goes up one step.
const PATIENCE: u32 = 10;

/// Answers between two numbers that clients begin with: 0 (librtmp, FFmpeg), 1, 2.
const FIRST: u64 = 2;

impl Exchange {
    /// A session that was opened just now.
    pub fn new(now: Instant) -> Self {
        Self {
            next: None,
            answering: 0,
            last: None,
            asked: None,
            early: VecDeque::new(),
            gap: None,
            incoming: VecDeque::new(),
            unread: 0,
            outgoing: Transmit::default(),
            since: None,
            last_data: None,
            heard: None,
            published: None,
            answers: 0,
            empty: 0,
            step: 0,
            ended: false,
            closed: false,
            seen: now,
        }
    }

    /// Takes a request and the bytes in it.
    ///
    /// # Errors
    /// [`Refused`]; the session goes on, unless it is over.
    pub fn take(
        &mut self,
        now: Instant,
        verb: Verb,
        sequence: u64,
        body: Bytes,
    ) -> Result<(), Refused> {
        self.seen = now;
        let next = match self.next {
            Some(next) => next,
            None if sequence <= FIRST => {
                self.answering = sequence;
                *self.next.insert(sequence)
            }
            None => return Err(Refused::Gap),
        };
        if sequence < next {
            // The last one again: its reply was lost, or is still to be made.
            let known = self.last.as_ref().is_some_and(|(n, _)| *n == sequence);
            return if known || sequence >= self.answering {
                Ok(())
            } else {
                Err(Refused::Old)
            };
        }
        if self.closed {
            return Err(Refused::Over);
        }
        if sequence >= next + limits::EARLY {
            return Err(Refused::Gap);
        }
        if sequence == next {
            self.apply(now, verb, body);
        } else if self.early.iter().all(|(n, ..)| *n != sequence) {
            let held: usize = self.early.iter().map(|(.., body)| body.len()).sum();
            if held + body.len() > limits::REQUEST {
                return Err(Refused::Gap);
            }
            self.early.push_back((sequence, verb, body));
            self.gap.get_or_insert(now);
        }
        while let Some(at) = self.early.iter().position(|(n, ..)| Some(*n) == self.next)
            && let Some((_, verb, body)) = self.early.remove(at)
        {
            self.apply(now, verb, body);
        }
        if self.early.is_empty() {
            self.gap = None;
        }
        Ok(())
    }

    fn apply(&mut self, now: Instant, verb: Verb, body: Bytes) {
        self.next = self.next.map(|next| next + 1);
        match verb {
            Verb::Send if !body.is_empty() => {
                self.heard = Some(now);
                // Neither the dialogue before a stream nor what players say now and then.
                if self.is_warm() && body.len() >= limits::FEW {
                    self.published = Some(now);
                }
                self.unread += body.len();
                self.incoming.push_back(body);
            }
            Verb::Send | Verb::Idle => {}
            Verb::Close => self.closed = true,
        }
        self.asked = Some((now, verb != Verb::Idle));
    }

    /// Answers the request of this number, if its turn and its time have come.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn answer(&mut self, now: Instant, sequence: u64) -> Result<Answer, Refused> {
        if let Some((number, body)) = &self.last
            && *number == sequence
        {
            return Ok(Answer::Body(body.clone()));
        }
        if sequence < self.answering {
            return Err(Refused::Old);
        }
        if self.next.is_none_or(|next| sequence >= next) {
            // Those before it have not come.
            let until = self.gap.unwrap_or(now) + limits::GAP;
            if now >= until {
                self.closed = true;
                return Err(Refused::Gap);
            }
            return Ok(Answer::Wait(until));
        }
        if sequence > self.answering {
            return Ok(Answer::Wait(now + limits::HOLD));
        }
        let due = self.due();
        if now < due {
            return Ok(Answer::Wait(due));
        }
        let body = self.body(now);
        self.last = Some((sequence, body.clone()));
        self.answering = sequence + 1;
        Ok(Answer::Body(body))
    }

    /// When the request whose turn it is gets its answer.
    fn due(&self) -> Instant {
        let (asked, spoke) = self.asked.unwrap_or((self.seen, true));
        // Who asks again without waiting for the answer gets it at once.
        if self.next.is_some_and(|next| next > self.answering + 1) {
            return asked;
        }
        if self.closed || self.ended || !self.is_warm() {
            return match self.since {
                Some(_) => asked,
                None if self.closed || self.ended => asked,
                None if spoke => asked + limits::HOLD_DIALOGUE,
                None => asked + self.hold(asked),
            };
        }
        match (self.since, self.last_data) {
            // Who has something to say is not kept waiting for what nobody says.
            (None, _) if spoke => asked,
            (None, _) => asked + self.hold(asked),
            // Who plays to many has put together what goes together.
            (Some(since), Some(last)) => gathered(&self.outgoing, since, true, last).max(asked),
            (Some(_), None) => asked,
        }
    }

    /// How long a poll is held that there is nothing to say to.
    fn hold(&self, asked: Instant) -> Duration {
        let lately = |at: Instant| asked.saturating_duration_since(at) < limits::STREAM;
        match (self.heard, self.last_data) {
            // Its next bytes would have to wait for the answer.
            _ if self.published.is_some_and(lately) => Duration::ZERO,
            (_, Some(said)) if lately(said) && Some(said) >= self.heard => limits::HOLD_STREAM,
            (Some(heard), _) if lately(heard) => Duration::ZERO,
            _ => limits::HOLD,
        }
    }

    /// Not in one piece: many sessions may carry the same bytes.
    fn body(&mut self, now: Instant) -> Vec<Bytes> {
        let polling = self.polling(now);
        if self.closed {
            return vec![Bytes::from_static(CLOSED)];
        }
        self.since = None;
        let data = std::iter::from_fn(|| self.outgoing.pop());
        std::iter::once(Bytes::from_static(polling))
            .chain(data)
            .collect()
    }

    fn polling(&mut self, now: Instant) -> &'static [u8] {
        self.answers += 1;
        if self.outgoing.is_empty() {
            self.empty += 1;
            if self.empty > PATIENCE {
                self.empty = 1;
                self.step = (self.step + 1).min(POLLING_BYTES.len() - 1);
            }
            // Everything has been said.
            if self.ended {
                return CLOSED;
            }
        } else {
            (self.empty, self.step) = (0, 0);
            self.last_data = Some(now);
        }
        POLLING_BYTES.get(self.step..=self.step).unwrap_or(&[1])
    }

    /// Bytes of the session that came, at most `room`.
    pub fn poll_received(&mut self, room: usize) -> Option<Bytes> {
        let front = self.incoming.front_mut().filter(|_| room > 0)?;
        let piece = match front.len() > room {
            true => front.split_to(room),
            false => self.incoming.pop_front()?,
        };
        self.unread -= piece.len();
        Some(piece)
    }

    /// Bytes of the session that came and wait to be polled.
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// Takes bytes of the session, as many as it holds; `false` if that are not all.
    pub fn send(&mut self, now: Instant, meant: &mut Transmit) -> bool {
        while self.outgoing.len() < limits::PENDING {
            let Some(bytes) = meant.pop() else {
                return true;
            };
            self.since.get_or_insert(now);
            self.outgoing.push(bytes);
        }
        meant.is_empty()
    }

    /// Whether the dialogue before a stream is over, as far as the number of answers tells.
    pub fn is_warm(&self) -> bool {
        self.answers >= limits::WARM_UP
    }

    /// Whether all that was sent is in an answer.
    pub fn is_drained(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// The session within has nothing more to say: the client is told when it has all.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Nobody is left at one end.
    pub fn give_up(&mut self) {
        self.closed = true;
    }

    /// Whether the client has closed it, or was given up.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether it can be forgotten: it is over and a lost reply had its time.
    pub fn is_over(&self, now: Instant) -> bool {
        let silence = now.saturating_duration_since(self.seen);
        let told = self.ended && self.outgoing.is_empty();
        silence
            >= if self.closed || told {
                LINGER
            } else {
                limits::SILENCE
            }
    }

    /// When it could be forgotten at the earliest.
    pub fn poll_timeout(&self) -> Instant {
        let told = self.ended && self.outgoing.is_empty();
        self.seen
            + if self.closed || told {
                LINGER
            } else {
                limits::SILENCE
            }
    }
}

/// How long a session that is over is remembered.
const LINGER: Duration = Duration::from_secs(5);
