// SPDX-License-Identifier: MPL-2.0

//! A peer that speaks RTMP, until it publishes what somebody waits for, or plays what somebody serves.

use std::{sync::Arc, time::Instant};

use super::{
    Arrival, LINGER, READ,
    greeting::{Gone, Outcome},
    player::Player,
    port::Port,
    visit::{Refusal, Visit},
};
use crate::{
    net::{
        connection::seed,
        reactor::Io,
        stack::{Read, Stack, Write},
    },
    protocol::rtmp::{
        amf::Object,
        session::{ServerConfig, ServerEvent, ServerSession},
    },
};

/// See the module's text.
pub(super) struct RtmpGreeting {
    port: Arc<Port>,
    secure: bool,
    visit: Option<Visit>,
    pub(super) stack: Stack,
    session: ServerSession,
    /// It was refused and may read why until then.
    linger: Option<Instant>,
}

impl RtmpGreeting {
    pub(super) fn new(
        port: Arc<Port>,
        stack: Stack,
        secure: bool,
        first: &[u8],
        since: Instant,
    ) -> Result<Self, Gone> {
        let mut session = match stack.swf_key() {
            // RTMPE has shaken hands, or does. Chunks stay as small as they begin until somebody plays:
            // FFmpeg repeats the size to whom it publishes to, encrypts the message where it lies and
            // then reads the size from there (rtmpproto.c, `handle_chunk_size`).
            Some(_) => {
                let config = ServerConfig {
                    chunk_size: 128,
                    ..port.session()
                };
                ServerSession::past_handshake(config, since)
            }
            None => ServerSession::new(port.session(), since, seed()?),
        };
        session.handle_input(first)?;
        Ok(Self {
            port,
            secure,
            visit: None,
            stack,
            session,
            linger: None,
        })
    }

    /// Goes on as far as it goes; the peer comes back unless it was handed over.
    pub(super) fn turn(
        mut self: Box<Self>,
        io: &Io<'_>,
    ) -> Result<(Option<Box<Self>>, Outcome), Gone> {
        self.session.handle_timeout(io.now)?;
        if self.linger.is_some_and(|until| io.now >= until) {
            return Err(Gone);
        }
        let mut buffer = [0; READ];
        loop {
            while let Some(event) = self.session.poll_event() {
                let left = match event {
                    ServerEvent::Connect { app, object } => {
                        self.connect(io, &app, &object);
                        Some(self)
                    }
                    ServerEvent::Publish { stream_id, name } => self.publish(io, stream_id, &name),
                    ServerEvent::Play { stream_id, name } => self.play(io, stream_id, &name),
                    _ => Some(self),
                };
                match left {
                    Some(peer) => self = peer,
                    None => return Ok((None, Outcome::HandedOver)),
                }
            }
            self.flush()?;
            match self.stack.read(&mut buffer)? {
                Read::Data(n) => {
                    self.session
                        .handle_input(buffer.get(..n).unwrap_or_default())?;
                }
                Read::WouldBlock => {
                    let until = self.linger.or(self.session.poll_timeout());
                    return Ok((Some(self), Outcome::Waits(until)));
                }
                Read::Closed => return Err(Gone),
            }
        }
    }

    fn connect(&mut self, io: &Io<'_>, app: &str, object: &Object) {
        let peer = self.stack.peer_addr();
        match Visit::connect(&self.port, self.secure, peer, app, object) {
            Ok(visit) => {
                self.session.accept_connect(&visit.capabilities());
                self.visit = Some(visit);
            }
            Err(Refusal { code, text }) => {
                self.session.reject_connect(code, &text);
                self.linger = Some(io.now + LINGER);
            }
        }
    }

    /// Hands the peer over, or keeps it to tell it why not.
    fn publish(mut self: Box<Self>, io: &Io<'_>, stream_id: u32, name: &str) -> Option<Box<Self>> {
        let Some(visit) = &self.visit else {
            return Some(self);
        };
        let (entry, caller) = match visit.publish(name, io.now) {
            Ok(found) => found,
            Err(refusal) => return Some(self.refuse(io, stream_id, &refusal)),
        };
        self.session.accept(stream_id);
        let _ = self.flush();
        let mut stack = self.stack;
        // The element registers it with a poll of its own.
        let _ = stack.deregister(io.registry);
        let arrival = Arrival {
            stack,
            session: self.session,
            stream_id,
            caller,
            pulse: None,
        };
        entry.occupy(arrival, io.now);
        None
    }

    /// The same for a player.
    fn play(mut self: Box<Self>, io: &Io<'_>, stream_id: u32, name: &str) -> Option<Box<Self>> {
        let Some(visit) = self.visit.take() else {
            return Some(self);
        };
        let (entry, caller) = match visit.play(name, None) {
            Ok(found) => found,
            Err(refusal) => {
                self.visit = Some(visit);
                return Some(self.refuse(io, stream_id, &refusal));
            }
        };
        let _ = self.flush();
        let mut stack = self.stack;
        let _ = stack.deregister(io.registry);
        Player::seat(self.session, visit, stack, stream_id, entry, caller);
        None
    }

    fn refuse(mut self: Box<Self>, io: &Io<'_>, stream_id: u32, refusal: &Refusal) -> Box<Self> {
        self.session.reject(stream_id, refusal.code, &refusal.text);
        self.linger = Some(io.now + LINGER);
        self
    }

    fn flush(&mut self) -> Result<(), Gone> {
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
