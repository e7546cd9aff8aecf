// SPDX-License-Identifier: MPL-2.0

//! A tunnel's session at the server's end, where two sides meet: requests, which come over any number of
//! connections on the reactor, and the stack of whoever the session is for, on any thread.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use mio::Token;

use super::{
    bell::{Bell, Rope, bell},
    reactor::Reactor,
};
use crate::protocol::{
    rtmp::transmit::Transmit,
    rtmpt::{Exchange, Refused, Verb, limits, server::Answer},
};

/// See the module's text.
#[derive(Debug)]
pub(super) struct Meeting {
    /// Whether it was opened over TLS, and is to go on over TLS.
    pub(super) secure: bool,
    /// Where it was opened from.
    pub(super) peer: Option<SocketAddr>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    exchange: Exchange,
    rope: Rope,
    /// Tasks on the reactor that have requests to be answered, or taken.
    waiting: Vec<Token>,
    /// More was to be written than there was room for.
    full: bool,
    /// Whoever writes has not been told that all has gone.
    untold: bool,
    /// It ended because its client fell silent.
    lost: bool,
}

impl Meeting {
    /// A session that was opened just now, and what its stack listens to.
    pub(super) fn open(
        secure: bool,
        peer: Option<SocketAddr>,
        now: Instant,
    ) -> io::Result<(Arc<Self>, Bell)> {
        let (rope, bell) = bell()?;
        let session = Arc::new(Self {
            secure,
            peer,
            inner: Mutex::new(Inner {
                exchange: Exchange::new(now),
                rope,
                waiting: Vec::new(),
                full: false,
                untold: false,
                lost: false,
            }),
        });
        Ok((session, bell))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The side of the requests.

    /// Whether more may be taken; if not, `waiter` is woken when there is room.
    pub(super) fn has_room(&self, waiter: Token) -> bool {
        let mut inner = self.lock();
        let room = inner.exchange.unread() < limits::UNREAD || inner.exchange.is_closed();
        if !room {
            inner.wait(waiter);
        }
        room
    }

    /// Takes a request.
    pub(super) fn take(
        &self,
        now: Instant,
        verb: Verb,
        sequence: u64,
        body: Bytes,
    ) -> Result<(), Refused> {
        let mut inner = self.lock();
        let before = inner.exchange.unread();
        let taken = inner.exchange.take(now, verb, sequence, body);
        if inner.exchange.unread() != before || inner.exchange.is_closed() {
            inner.rope.ring();
        }
        // One that came before its turn may have its turn now.
        inner.wake();
        taken
    }

    /// Answers a request, or wakes `waiter` when it may be answered.
    pub(super) fn answer(
        &self,
        now: Instant,
        sequence: u64,
        waiter: Token,
    ) -> Result<Answer, Refused> {
        let mut inner = self.lock();
        let answer = inner.exchange.answer(now, sequence);
        match &answer {
            Ok(Answer::Wait(_)) => inner.wait(waiter),
            Ok(Answer::Body(_)) => {
                // There is room for more. In the middle of a stream, who could write all that there was
                // is not told each time that it has gone: he comes back by himself.
                if std::mem::take(&mut inner.full) || !inner.exchange.is_warm() {
                    inner.rope.ring();
                } else {
                    inner.untold = true;
                }
                // The next request is the next to be answered.
                inner.wake();
            }
            Err(_) => inner.rope.ring(),
        }
        answer
    }

    /// Whether it can be forgotten; to be asked now and then. Tells whoever has waited since the last time
    /// that all he wrote has gone.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.untold) {
            inner.rope.ring();
        }
        let over = inner.exchange.is_over(now);
        if over {
            inner.lost |= !inner.exchange.is_closed();
            inner.exchange.give_up();
            inner.rope.ring();
            inner.wake();
        }
        over
    }

    // The side of the stack.

    /// Hands on what came, at most `room` bytes; `None` when nothing will come any more.
    pub(super) fn read(
        &self,
        bell: &mut Bell,
        room: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Option<usize> {
        let mut inner = self.lock();
        inner.rope.heard(bell);
        let was_full = inner.exchange.unread() >= limits::UNREAD;
        let mut taken = 0;
        // Outside of the lock: taking may be work.
        let mut pieces = Vec::new();
        while taken < room
            && let Some(piece) = inner.exchange.poll_received(room - taken)
        {
            taken += piece.len();
            pieces.push(piece);
        }
        if was_full && inner.exchange.unread() < limits::UNREAD {
            inner.wake();
        }
        let ended = taken == 0 && inner.exchange.is_closed();
        drop(inner);
        pieces.iter().for_each(|piece| take(piece));
        (!ended).then_some(taken)
    }

    /// Takes bytes for the next answer, as many as it holds; `false` once nobody asks any more.
    pub(super) fn write(&self, now: Instant, transmit: &mut Transmit) -> bool {
        let mut inner = self.lock();
        if inner.exchange.is_closed() {
            return false;
        }
        let before = transmit.len();
        inner.full |= !inner.exchange.send(now, transmit);
        if transmit.len() < before {
            inner.wake();
        }
        true
    }

    /// Whether all that was written is in an answer, or nobody asks for it any more.
    pub(super) fn is_drained(&self) -> bool {
        let inner = self.lock();
        inner.exchange.is_drained() || inner.exchange.is_closed()
    }

    /// The stack has nothing more to say.
    pub(super) fn end(&self) {
        let mut inner = self.lock();
        inner.exchange.end();
        inner.wake();
    }

    /// Whether the client fell silent.
    pub(super) fn is_lost(&self) -> bool {
        self.lock().lost
    }
}

impl Inner {
    fn wait(&mut self, waiter: Token) {
        if !self.waiting.contains(&waiter) {
            self.waiting.push(waiter);
        }
    }

    fn wake(&mut self) {
        if let (false, Ok(reactor)) = (self.waiting.is_empty(), Reactor::global()) {
            reactor.wake(&self.waiting);
            self.waiting.clear();
        }
    }
}
