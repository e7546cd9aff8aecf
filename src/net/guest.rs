// SPDX-License-Identifier: MPL-2.0

//! A publisher that came to a listening port, from the moment the porter handed it over.

use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::{
    connection::{ConnectionError, READ},
    porter::{Arrival, Caller, Pulse, ReconnectRequest, Sign, Vigil},
    stack::{Read, Stack, Write},
};
use crate::protocol::{
    flv::Tag,
    rtmp::session::{LinkStats, ServerEvent, ServerSession, SessionError, Stage},
};

/// See the module's text.
#[derive(Debug)]
pub struct Guest {
    stack: Stack,
    session: ServerSession,
    stream_id: u32,
    /// Who it is.
    pub caller: Caller,
    pulse: Option<Pulse>,
    buffer: Box<[u8]>,
    closed: bool,
    vigil: Vigil,
    since: Instant,
}

/// What a publisher did.
#[derive(Debug)]
pub enum GuestEvent {
    /// It sent a tag.
    Media(Tag),
    /// It ended the stream, or just closed.
    Left,
}

impl Guest {
    /// Takes over from the porter and watches the socket with this poll.
    ///
    /// # Errors
    /// The system's.
    pub fn welcome(
        arrival: Arrival,
        registry: &Registry,
        token: Token,
        ping_interval: Duration,
        now: Instant,
    ) -> Result<Self, ConnectionError> {
        let mut stack = arrival.stack;
        stack.register(registry, token)?;
        Ok(Self {
            stack,
            session: arrival.session,
            stream_id: arrival.stream_id,
            caller: arrival.caller,
            pulse: arrival.pulse,
            buffer: vec![0; READ].into_boxed_slice(),
            closed: false,
            vigil: Vigil::new(ping_interval, now),
            since: now,
        })
    }

    /// The socket.
    pub fn stack(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// When [`turn`](Self::turn) wants to be called although nothing happened.
    pub fn deadline(&self) -> Option<Instant> {
        self.vigil.deadline()
    }

    /// Counters of the session.
    pub fn stats(&self) -> LinkStats {
        self.session.stats()
    }

    /// Says why, as far as that takes no waiting, and closes.
    pub fn dismiss(mut self, description: &str) {
        self.session.dismiss(description);
        let _ = self.flush();
        self.stack.shutdown();
    }

    /// Asks it to go on over another connection.
    pub fn request_reconnect(&mut self, request: &ReconnectRequest) {
        let (url, text) = (request.tc_url.as_deref(), request.description.as_deref());
        self.session.request_reconnect(url, text);
    }

    /// Does what can be done without waiting, until there is an event; `None` means that the socket
    /// has to be waited for.
    ///
    /// # Errors
    /// The connection is of no further use then.
    pub fn turn(&mut self, now: Instant) -> Result<Option<GuestEvent>, ConnectionError> {
        loop {
            match self.session.poll_event() {
                Some(ServerEvent::Media { stream_id, tag }) if stream_id == self.stream_id => {
                    return Ok(Some(GuestEvent::Media(tag)));
                }
                Some(ServerEvent::Stopped { stream_id }) if stream_id == self.stream_id => {
                    // Who has gone already does not need the answer.
                    let _ = self.flush();
                    return Ok(Some(GuestEvent::Left));
                }
                // One connection publishes one stream here.
                Some(ServerEvent::Publish { stream_id, .. }) => {
                    let text = "This connection publishes already.";
                    self.session
                        .reject(stream_id, "NetStream.Publish.Denied", text);
                    continue;
                }
                Some(ServerEvent::Play { stream_id, .. }) => {
                    let text = "Nothing is played from here.";
                    self.session
                        .reject(stream_id, "NetStream.Play.StreamNotFound", text);
                    continue;
                }
                Some(_) => continue,
                None => {}
            }
            if self.closed {
                if self.stack.truncated() {
                    return Err(ConnectionError::Closed {
                        stage: Stage::Running,
                        truncated: true,
                    });
                }
                return Ok(Some(GuestEvent::Left));
            }
            self.session.handle_timeout(now).map_err(in_session)?;
            match self.vigil.look(now) {
                Sign::Alive => {}
                Sign::Ask => {
                    let time = now.saturating_duration_since(self.since).as_millis();
                    self.session.ping(time as u32);
                }
                Sign::Gone => return Err(in_session(SessionError::Silent)),
            }
            let flushed = self.flush();
            let (session, mut taken) = (&mut self.session, Ok(()));
            let read = self.stack.read_to(&mut self.buffer, &mut |bytes| {
                if taken.is_ok() {
                    taken = session.handle_input(bytes);
                }
            });
            taken.map_err(in_session)?;
            match read? {
                Read::Data(_) => {
                    self.vigil.heard(now);
                    if let Some(pulse) = &self.pulse {
                        pulse.beat(now);
                    }
                }
                // A publisher that closes with answers of ours unread resets the connection, and what
                // it sent before is still to be read.
                Read::WouldBlock => return flushed.map(|()| None),
                Read::Closed => self.closed = true,
            }
        }
    }

    fn flush(&mut self) -> Result<(), ConnectionError> {
        loop {
            let transmit = self.session.poll_transmit();
            if transmit.is_empty() && !self.stack.wants_write() {
                return Ok(());
            }
            if self.stack.write(transmit)? == Write::Blocked {
                return Ok(());
            }
        }
    }
}

fn in_session(error: SessionError) -> ConnectionError {
    let stage = Stage::Running;
    ConnectionError::Session { stage, error }
}
