// SPDX-License-Identifier: MPL-2.0

//! A server's side of a connection: what it is told and asked, in `commands`, and what it answers, in
//! `answers`.

mod answers;
mod commands;
mod streams;

pub(super) use answers::information;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};

use self::streams::Streams;
use super::{LinkStats, SessionError, Stage, link::Link};
use crate::protocol::{
    flv::Tag,
    rtmp::{
        amf::Object, chunk::DecoderLimits, handshake::ServerHandshake, limits, transmit::Transmit,
    },
};

/// What a server offers its clients.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// Bytes of payload per chunk that we send.
    pub chunk_size: u32,
    /// Bytes between acknowledgements, announced in both directions.
    pub window_ack_size: u32,
    /// Budgets for what the client sends; until it publishes it has less in flight.
    pub limits: DecoderLimits,
    /// How long a client may take from the first byte until it publishes or plays; zero for ever.
    pub timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            chunk_size: 65536,
            window_ack_size: 2_500_000,
            limits: DecoderLimits::default(),
            timeout: Duration::from_secs(10),
        }
    }
}

/// One connection from a client, from the first byte of the handshake.
#[derive(Debug)]
pub struct ServerSession {
    config: ServerConfig,
    /// In a box of its own, which thousands of players need not keep.
    handshake: Option<Box<ServerHandshake>>,
    handshake_out: Transmit,
    link: Link,
    deadline: Option<Instant>,
    connect: Connect,
    streams: Streams,
    events: VecDeque<ServerEvent>,
    /// Publish and Play events so far.
    asked: u64,
    /// Those of them that were polled.
    polled: u64,
    /// Whether the application has to decide something. What the client sent behind its question waits
    /// for the answer, so that it does not matter whether it came with the question or later.
    undecided: bool,
    waiting: BytesMut,
    /// What was wrong with bytes that waited.
    failure: Option<SessionError>,
}

#[derive(Debug)]
enum Connect {
    /// No connect command yet.
    Awaited,
    /// The application has to decide.
    Asked {
        transaction: f64,
        object_encoding: f64,
        /// It speaks Enhanced RTMP.
        enhanced: bool,
    },
    Accepted,
    Rejected,
}

/// What a client does on a message stream.
#[derive(Clone, Debug, PartialEq)]
enum Activity {
    Idle,
    AskedToPublish { name: String, number: u64 },
    Publishing { name: String },
    AskedToPlay { name: String, number: u64 },
    Playing { name: String },
}

/// What a client did or wants.
#[derive(Clone, Debug)]
pub enum ServerEvent {
    /// It wants to connect; answer with [`ServerSession::accept_connect`] or
    /// [`reject_connect`](ServerSession::reject_connect).
    Connect {
        /// Application name, query included.
        app: String,
        /// Everything the client said of itself.
        object: Object,
    },
    /// It wants to publish; answer with [`ServerSession::accept`] or
    /// [`reject`](ServerSession::reject).
    Publish {
        /// The message stream.
        stream_id: u32,
        /// Stream name, query included.
        name: String,
    },
    /// It wants to play; answer as above.
    Play {
        /// The message stream.
        stream_id: u32,
        /// Stream name, query included.
        name: String,
    },
    /// Sound, picture or data from a publisher.
    Media {
        /// The message stream.
        stream_id: u32,
        /// The tag.
        tag: Tag,
    },
    /// A player wants no media for a while, or again; it has been told that it is so.
    Pause {
        /// The message stream.
        stream_id: u32,
        /// Pause, or go on.
        paused: bool,
    },
    /// A player wants sound or picture, or does without.
    Receive {
        /// The message stream.
        stream_id: u32,
        /// Picture, or sound.
        video: bool,
        /// Wanted, or not.
        wanted: bool,
    },
    /// Publishing or playing on this message stream is over.
    Stopped {
        /// The message stream.
        stream_id: u32,
    },
}

impl ServerSession {
    /// Awaits a client's first byte. `seed` must be unpredictable and never the same twice.
    pub fn new(config: ServerConfig, now: Instant, seed: [u8; 32]) -> Self {
        Self {
            handshake: Some(Box::new(ServerHandshake::new(0, seed))),
            handshake_out: Transmit::default(),
            link: Link::new(DecoderLimits {
                in_flight: config.limits.in_flight.min(limits::STRANGER_IN_FLIGHT),
                ..config.limits
            }),
            deadline: Some(config.timeout)
                .filter(|limit| !limit.is_zero())
                .and_then(|limit| now.checked_add(limit)),
            connect: Connect::Awaited,
            streams: Streams::default(),
            events: VecDeque::new(),
            asked: 0,
            polled: 0,
            undecided: false,
            waiting: BytesMut::new(),
            failure: None,
            config,
        }
    }

    /// The same where the handshake is somebody else's: RTMPE shakes hands below the session.
    pub fn past_handshake(config: ServerConfig, now: Instant) -> Self {
        Self {
            handshake: None,
            ..Self::new(config, now, [0; 32])
        }
    }

    /// Bytes of memory that what was received and not handed on holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.link.held() + self.waiting.capacity()
    }

    /// Gives back memory that only much traffic needs.
    pub fn settle(&mut self) {
        self.handshake_out = Transmit::default();
        self.events.shrink_to_fit();
        self.link.settle();
    }

    /// Counters of the connection.
    pub fn stats(&self) -> LinkStats {
        self.link.stats()
    }

    /// Takes bytes from the client, all of them, cut anywhere.
    ///
    /// Behind a question to the application ([`ServerEvent::Connect`], [`Publish`](ServerEvent::Publish),
    /// [`Play`](ServerEvent::Play)) they wait for the answer; [`poll_event`](Self::poll_event) goes on
    /// with them. Too many are an error.
    pub fn handle_input(&mut self, mut input: &[u8]) -> Result<(), SessionError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if let Some(handshake) = &mut self.handshake {
            let progress = handshake.input(input, &mut self.handshake_out)?;
            input = input.get(progress.consumed..).unwrap_or_default();
            if !progress.done {
                return Ok(());
            }
            self.handshake = None;
        }
        self.link.listen();
        if !self.waiting.is_empty() {
            self.wait_with(input)?;
            return self.go_on();
        }
        self.receive(&mut input)?;
        self.wait_with(input)
    }

    /// Reads messages until all input is taken or the application has to decide.
    fn receive(&mut self, input: &mut &[u8]) -> Result<(), SessionError> {
        while !self.undecided {
            let Some(message) = self.link.receive(input)? else {
                break;
            };
            self.message(message)?;
        }
        Ok(())
    }

    fn wait_with(&mut self, input: &[u8]) -> Result<(), SessionError> {
        if self.waiting.len() + input.len() > limits::UNDECIDED {
            return Err(SessionError::TooMuch("data before it may send any"));
        }
        self.waiting.extend_from_slice(input);
        Ok(())
    }

    /// Reads what waited.
    fn go_on(&mut self) -> Result<(), SessionError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut input = waiting.as_ref();
        let result = self.receive(&mut input);
        let left = input.len();
        waiting.advance(waiting.len() - left);
        if left > 0 {
            self.waiting = waiting;
        }
        result
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        if self.events.is_empty() && !self.undecided && !self.waiting.is_empty() {
            self.link.listen();
            if let Err(failure) = self.go_on() {
                // The next call that can fail says so.
                self.failure = Some(failure);
                self.waiting.clear();
            }
        }
        let event = self.events.pop_front()?;
        if let ServerEvent::Publish { .. } | ServerEvent::Play { .. } = event {
            self.polled += 1;
        }
        Some(event)
    }

    /// What is to be sent next. Bytes that were written must be taken out with
    /// [`Transmit::advance`].
    pub fn poll_transmit(&mut self) -> &mut Transmit {
        if self.handshake_out.is_empty() {
            &mut self.link.out
        } else {
            &mut self.handshake_out
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Fails where the client has neither published nor played in time.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        match self.deadline {
            Some(deadline) if now >= deadline => Err(SessionError::Timeout(match self.connect {
                _ if self.handshake.is_some() => Stage::Handshake,
                Connect::Accepted => Stage::Start,
                _ => Stage::Connect,
            })),
            _ => Ok(()),
        }
    }
}
