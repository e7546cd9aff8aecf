// SPDX-License-Identifier: MPL-2.0

//! A peer that speaks RTMP, until it publishes what somebody waits for.

use std::{sync::Arc, time::Instant};

use super::{
    Arrival, LINGER, READ,
    entry::Kind,
    greeting::{Gone, Outcome},
    port::Port,
};
use crate::{
    net::{
        connection::seed,
        reactor::Io,
        stack::{Read, Stack, Write},
    },
    protocol::rtmp::{
        amf::Object,
        session::{ServerEvent, ServerSession},
    },
};

/// See the module's text.
pub(super) struct RtmpGreeting {
    port: Arc<Port>,
    secure: bool,
    app: String,
    object: Object,
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
        let seed = seed().map_err(|_| Gone)?;
        let mut session = ServerSession::new(port.session(), since, seed);
        session.handle_input(first)?;
        Ok(Self {
            port,
            secure,
            app: String::new(),
            object: Object::default(),
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
                match event {
                    ServerEvent::Connect { app, object } => self.connect(io, app, object),
                    ServerEvent::Publish { stream_id, name } => {
                        match self.publish(io, stream_id, name) {
                            Some(peer) => self = peer,
                            None => return Ok((None, Outcome::HandedOver)),
                        }
                    }
                    ServerEvent::Play { stream_id, .. } => {
                        let text = "Nothing is played from here.";
                        self.refuse(io, stream_id, "NetStream.Play.StreamNotFound", text);
                    }
                    ServerEvent::Media { .. } | ServerEvent::Stopped { .. } => {}
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

    fn connect(&mut self, io: &Io<'_>, app: String, object: Object) {
        if self.port.find(self.secure, |e| e.knows(&app)).is_some() {
            (self.app, self.object) = (app, object);
            self.session.accept_connect();
        } else {
            let (code, text) = if self.port.find(true, |e| e.knows(&app)).is_some() {
                let text = format!("{app} is to be reached by rtmps only.");
                ("NetConnection.Connect.Rejected", text)
            } else {
                let text = format!("There is no application {app} here.");
                ("NetConnection.Connect.InvalidApp", text)
            };
            self.session.reject_connect(code, &text);
            self.linger = Some(io.now + LINGER);
        }
    }

    /// Hands the peer over, or keeps it to tell it why not.
    fn publish(
        mut self: Box<Self>,
        io: &Io<'_>,
        stream_id: u32,
        name: String,
    ) -> Option<Box<Self>> {
        let takes = self.port.find(self.secure, |e| e.takes(&self.app, &name));
        let Some(entry) = takes else {
            let text = format!("Nobody here waits for {name}.");
            self.refuse(io, stream_id, "NetStream.Publish.Denied", &text);
            return Some(self);
        };
        let mut place = entry.lock();
        if std::mem::replace(&mut place.occupied, true) {
            drop(place);
            let text = format!("{name} is already being published.");
            self.refuse(io, stream_id, "NetStream.Publish.BadName", &text);
            return Some(self);
        }
        self.session.accept(stream_id);
        let _ = self.flush();
        let mut stack = self.stack;
        // The element registers it with a poll of its own.
        let _ = stack.deregister(io.registry);
        place.arrival = Some(Arrival {
            peer: stack.peer_addr(),
            stack,
            session: self.session,
            stream_id,
            app: self.app,
            stream: name,
            object: self.object,
        });
        drop(place);
        if let Kind::Publish { notify, .. } = &entry.kind {
            notify();
        }
        None
    }

    fn refuse(&mut self, io: &Io<'_>, stream_id: u32, code: &str, description: &str) {
        self.session.reject(stream_id, code, description);
        self.linger = Some(io.now + LINGER);
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
