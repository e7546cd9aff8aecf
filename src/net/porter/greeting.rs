// SPDX-License-Identifier: MPL-2.0

//! A peer that has come and not yet been handed to anybody.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError},
    time::{Duration, Instant},
};

use mio::{Token, net::TcpStream};

use super::{
    LINGER, READ,
    http::HttpGreeting,
    port::Port,
    rtmp::RtmpGreeting,
    tunnel::{Carrier, is_tunnel},
};
use crate::{
    net::{
        NetError,
        reactor::{Io, Next, Reactor, Task},
        stack::{Establish, Read, Stack, Write},
    },
    protocol::{
        http::Request,
        rtmp::{handshake::crypt, session::SessionError, transmit::Transmit},
    },
};

/// What a TLS connection begins with: the type of a handshake record (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 0x16;

pub(super) struct GreetingTask {
    greeting: Mutex<Option<Greeting>>,
    token: OnceLock<Token>,
}

impl GreetingTask {
    pub(super) fn new(greeting: Greeting) -> Self {
        Self {
            greeting: Mutex::new(Some(greeting)),
            token: OnceLock::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Greeting>> {
        self.greeting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has still to say what it wants. One that has its turn right now has.
    pub(super) fn is_here(&self) -> bool {
        match self.greeting.try_lock() {
            Ok(slot) => slot.as_ref().is_some_and(|greeting| !greeting.is_known()),
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Poisoned(_)) => false,
        }
    }

    /// Whether it has not said a word, heard or waiting to be heard. One that has its turn right now has.
    pub(super) fn is_silent(&self) -> bool {
        let Ok(greeting) = self.greeting.try_lock() else {
            return false;
        };
        match greeting.as_ref().map(|greeting| &greeting.stage) {
            Some(Stage::Silent(socket, _)) => socket.peek(&mut [0]).is_err(),
            Some(_) => false,
            None => true,
        }
    }

    /// Closes the connection, unless it has its turn right now.
    pub(super) fn dismiss(&self) {
        let slot = self.greeting.try_lock();
        drop(slot.ok().and_then(|mut slot| slot.take()));
        // Its next turn is its last.
        if let (Ok(reactor), Some(token)) = (Reactor::global(), self.token.get()) {
            reactor.wake(&[*token]);
        }
    }
}

impl Task for GreetingTask {
    fn turn(&self, io: &Io<'_>) -> Next {
        let _ = self.token.set(io.token);
        let mut slot = self.lock();
        let Some(greeting) = &mut *slot else {
            return DONE;
        };
        match greeting.turn(io) {
            Ok(Some(deadline)) => Next {
                deadline,
                ..Next::default()
            },
            // Handed over, or not worth another word.
            Ok(None) | Err(Gone) => {
                drop(slot.take());
                DONE
            }
        }
    }
}

const DONE: Next = Next {
    deadline: None,
    on_wake: false,
    done: true,
};

/// The peer is gone, or has to go.
pub(super) struct Gone;

impl From<NetError> for Gone {
    fn from(_: NetError) -> Self {
        Self
    }
}

impl From<SessionError> for Gone {
    fn from(_: SessionError) -> Self {
        Self
    }
}

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// See the module's text.
pub(super) struct Greeting {
    port: Arc<Port>,
    stage: Stage,
    since: Instant,
    /// When it is not waited for any longer.
    deadline: Option<Instant>,
}

enum Stage {
    /// Its first byte has not come.
    Silent(TcpStream, bool),
    /// It speaks, maybe of TLS first.
    Speaking(Stack, Place),
    Rtmp(Box<RtmpGreeting>),
    Http(Box<HttpGreeting>),
    /// It brings requests of tunnels.
    Carrier(Box<Carrier>),
    /// It was told something and may read it.
    Leaving(Box<Stack>, Transmit),
    HandedOver,
}

/// Where a peer came in.
#[derive(Clone, Copy)]
struct Place {
    /// Over TLS.
    secure: bool,
    /// Through a tunnel.
    within: bool,
}

/// What became of a peer in a turn.
pub(super) enum Outcome {
    /// It has more to say, by this time if there is one.
    Waits(Option<Instant>),
    /// This is all it gets.
    Leaves(Box<Stack>, Transmit),
    HandedOver,
}

impl Greeting {
    pub(super) fn new(port: Arc<Port>, socket: TcpStream, now: Instant) -> Self {
        let patience = port.patience();
        Self {
            port,
            stage: Stage::Silent(socket, false),
            since: now,
            deadline: deadline(patience, now),
        }
    }

    /// A peer that came through a tunnel: what carries it has been told apart.
    pub(super) fn within(port: Arc<Port>, stack: Stack, secure: bool, now: Instant) -> Self {
        let patience = port.patience();
        Self {
            port,
            stage: Stage::Speaking(
                stack,
                Place {
                    secure,
                    within: true,
                },
            ),
            since: now,
            deadline: deadline(patience, now),
        }
    }

    /// Whether it is no stranger any more, and need not make room for those that are.
    fn is_known(&self) -> bool {
        matches!(&self.stage, Stage::Carrier(carrier) if carrier.is_known())
    }

    /// The next deadline, or `None` when the peer was handed over.
    fn turn(&mut self, io: &Io<'_>) -> Result<Option<Option<Instant>>, Gone> {
        if self.deadline.is_some_and(|deadline| io.now >= deadline) {
            return Err(Gone);
        }
        match &mut self.stage {
            Stage::Speaking(stack, _) => stack.on_ready(io.ready),
            Stage::Leaving(stack, _) => stack.on_ready(io.ready),
            Stage::Rtmp(peer) => peer.stack.on_ready(io.ready),
            Stage::Http(peer) => peer.stack.on_ready(io.ready),
            Stage::Carrier(peer) => peer.stack.on_ready(io.ready),
            Stage::Silent(..) | Stage::HandedOver => {}
        }
        loop {
            let outcome = match std::mem::replace(&mut self.stage, Stage::HandedOver) {
                Stage::Silent(socket, registered) => {
                    if !self.listen(socket, registered, io)? {
                        return Ok(Some(self.deadline));
                    }
                    continue;
                }
                Stage::Speaking(stack, place) => {
                    if !self.hear(stack, place, io)? {
                        return Ok(Some(self.deadline));
                    }
                    continue;
                }
                Stage::Rtmp(peer) => match peer.turn(io)? {
                    (Some(peer), outcome) => {
                        self.stage = Stage::Rtmp(peer);
                        outcome
                    }
                    (None, outcome) => outcome,
                },
                Stage::Http(mut peer) => match peer.turn(io)? {
                    None => {
                        self.stage = Stage::Http(peer);
                        Outcome::Waits(None)
                    }
                    Some(Ok((request, _))) if self.carries(&request) => {
                        self.stage = Stage::Carrier(Box::new(peer.carrier(io.now)));
                        // It watches the time itself.
                        self.deadline = None;
                        continue;
                    }
                    Some(answer) => peer.answer(answer, io),
                },
                Stage::Carrier(peer) => match peer.turn(io)? {
                    (Some(peer), outcome) => {
                        self.stage = Stage::Carrier(peer);
                        outcome
                    }
                    (None, outcome) => outcome,
                },
                Stage::Leaving(mut stack, mut transmit) => {
                    let left = leave(&mut stack, &mut transmit)?;
                    if left {
                        return Err(Gone);
                    }
                    self.stage = Stage::Leaving(stack, transmit);
                    Outcome::Waits(None)
                }
                Stage::HandedOver => return Ok(None),
            };
            match outcome {
                Outcome::Waits(until) => {
                    return Ok(Some([until, self.deadline].into_iter().flatten().min()));
                }
                Outcome::Leaves(stack, transmit) => {
                    self.stage = Stage::Leaving(stack, transmit);
                    self.deadline = Some(io.now + LINGER);
                }
                Outcome::HandedOver => return Ok(None),
            }
        }
    }

    /// Waits for the first byte, which tells TLS from the rest; `true` once it is there.
    fn listen(
        &mut self,
        mut socket: TcpStream,
        registered: bool,
        io: &Io<'_>,
    ) -> Result<bool, Gone> {
        let mut first = [0];
        match socket.peek(&mut first) {
            Ok(1..) => {}
            Ok(_) => return Err(Gone),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !registered {
                    let readable = mio::Interest::READABLE;
                    io.registry.register(&mut socket, io.token, readable)?;
                }
                self.stage = Stage::Silent(socket, true);
                return Ok(false);
            }
            Err(_) => return Err(Gone),
        }
        if registered {
            // The stack registers it for itself.
            io.registry.deregister(&mut socket)?;
        }
        let secure = first == [TLS_HANDSHAKE];
        let tls = if secure {
            Some(self.port.tls().ok_or(Gone)?)
        } else {
            None
        };
        let place = Place {
            secure,
            within: false,
        };
        self.stage = Stage::Speaking(Stack::accepted(socket, tls), place);
        Ok(true)
    }

    /// Whether a request is one of a tunnel that leads somewhere.
    fn carries(&self, request: &Request) -> bool {
        is_tunnel(request) && self.port.speaks_rtmp()
    }

    /// Waits for the first byte within TLS, if there is TLS, which tells HTTP, RTMP and RTMPE apart.
    fn hear(&mut self, mut stack: Stack, place: Place, io: &Io<'_>) -> Result<bool, Gone> {
        let mut buffer = [0; READ];
        let read = match stack.establish(io.registry, io.token, io.now)? {
            Establish::Pending(_) => Read::WouldBlock,
            Establish::Ready => stack.read(&mut buffer)?,
        };
        let first = match read {
            Read::WouldBlock => {
                self.stage = Stage::Speaking(stack, place);
                return Ok(false);
            }
            Read::Closed => return Err(Gone),
            Read::Data(length) => buffer.get(..length).unwrap_or_default(),
        };
        let port = self.port.clone();
        // Methods are letters; versions of RTMP are small numbers.
        let (secure, version) = (place.secure, first.first().copied().unwrap_or_default());
        self.stage = if version.is_ascii_alphabetic() && !place.within {
            Stage::Http(Box::new(HttpGreeting::new(port, stack, secure, first)))
        } else {
            let (stack, first) = match crypt::Version::from_byte(version) {
                Some(_) => (Stack::sealed(stack, first)?, Default::default()),
                None => (stack, first),
            };
            let peer = RtmpGreeting::new(port, stack, secure, first, self.since)?;
            // The session watches the time itself, and says so when it runs out.
            self.deadline = None;
            Stage::Rtmp(Box::new(peer))
        };
        Ok(true)
    }
}

fn deadline(patience: Duration, now: Instant) -> Option<Instant> {
    match patience.is_zero() {
        true => None,
        false => now.checked_add(patience),
    }
}

/// Writes the last words, and waits until the peer has gone: closing with bytes of its own unread would
/// reset the connection, and it might never read ours.
fn leave(stack: &mut Stack, transmit: &mut Transmit) -> Result<bool, Gone> {
    if !transmit.is_empty() || stack.wants_write() {
        if stack.write(transmit)? == Write::Blocked {
            return Ok(false);
        }
        stack.shutdown();
    }
    let mut buffer = [0; READ];
    loop {
        match stack.read(&mut buffer)? {
            Read::Data(_) => {}
            Read::WouldBlock => return Ok(false),
            Read::Closed => return Ok(true),
        }
    }
}
