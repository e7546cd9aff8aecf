// SPDX-License-Identifier: MPL-2.0

//! One connection of a session: the WebSocket and what is said on it.

use std::{sync::Arc, time::Instant};

use mio::{Registry, Token, Waker};

use super::{Failure, Notice, Settings};
use crate::{
    net::{
        stream::Ready,
        websocket::{self, WebSocket},
    },
    protocol::wcs::session::{ClientSession, Event, SessionConfig, Stats, Transmit},
};

pub(super) const SOCKET: Token = Token(0);

/// Messages that are read before commands are looked at again.
const AT_A_TIME: usize = 64;

/// What a turn came to.
pub(super) enum Turn {
    /// There is more to do at once.
    More,
    /// It waits.
    Wait(Option<Instant>),
    /// Nobody wants anything any more.
    End,
}

/// See the module's text.
pub(super) struct Live {
    socket: WebSocket,
    session: Option<ClientSession>,
    config: SessionConfig,
}

impl Live {
    pub(super) fn connect(settings: &Settings, waker: Arc<Waker>) -> Self {
        let (target, opening) = (settings.target.clone(), settings.opening.clone());
        Self {
            socket: WebSocket::connect(target, opening, waker),
            session: None,
            config: settings.session.clone(),
        }
    }

    pub(super) fn on_ready(&mut self, ready: Ready) {
        self.socket.on_ready(ready);
    }

    /// Once the WebSocket is open.
    pub(super) fn session(&mut self) -> Option<&mut ClientSession> {
        self.session.as_mut()
    }

    pub(super) fn stats(&self) -> Option<Stats> {
        self.session.as_ref().map(ClientSession::stats)
    }

    /// The goodbye, once all calls have ended.
    pub(super) fn close(&mut self) {
        if self
            .session
            .as_ref()
            .is_none_or(|session| session.calls() == 0)
        {
            self.socket.close();
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.socket.is_gone()
    }

    /// Goes on as far as it goes without waiting, for a while.
    pub(super) fn turn(
        &mut self,
        registry: &Registry,
        now: Instant,
        notices: &mut Vec<Notice>,
    ) -> Result<Turn, Failure> {
        if let Some(session) = &mut self.session {
            session.handle_timeout(now);
        }
        for _ in 0..AT_A_TIME {
            self.tell(notices)?;
            self.send()?;
            let Some(event) = self.socket.turn(registry, SOCKET, now)? else {
                return Ok(Turn::Wait(self.deadline()));
            };
            match (event, &mut self.session) {
                (websocket::Event::Open, _) => {
                    notices.push(Notice::Connected);
                    self.session = Some(ClientSession::new(self.config.clone(), now));
                }
                (websocket::Event::Text(text), Some(session)) => session.handle_text(now, &text),
                (_, Some(session)) => session.handle_sign_of_life(now),
                (_, None) => {}
            }
        }
        self.tell(notices)?;
        Ok(Turn::More)
    }

    fn tell(&mut self, notices: &mut Vec<Notice>) -> Result<(), Failure> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        while let Some(event) = session.poll_event() {
            match event {
                Event::Failed(error) => return Err(error.into()),
                event => notices.push(Notice::Session(event)),
            }
        }
        Ok(())
    }

    /// Sends what the socket takes.
    fn send(&mut self) -> Result<(), Failure> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        while !self.socket.is_blocked()? {
            match session.poll_transmit() {
                Some(Transmit::Text(text)) => self.socket.send(text)?,
                Some(Transmit::Ping) => self.socket.ping()?,
                None => break,
            }
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let session = self.session.as_ref();
        let session = session.and_then(ClientSession::poll_timeout);
        [session, self.socket.deadline()]
            .into_iter()
            .flatten()
            .min()
    }
}
