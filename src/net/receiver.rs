// SPDX-License-Identifier: MPL-2.0

//! What a source reads, on its own thread: a [`Connection`] it made, or a [`Guest`] that publishes to
//! a port it listens on. Waiting ends with an event, a deadline or an [`Interrupt`]; nothing is lost
//! by an interrupt.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, Waker};

use super::{
    NetError, Stage as NetStage,
    connection::{Connection, ConnectionError},
    guest::{Guest, GuestEvent},
    interrupt::Interrupt,
    porter::{self, Caller, Claim, ClaimError, Takeover, Wanted},
    stack::Target,
    stream::Ready,
};
use crate::protocol::{
    flv::Tag,
    rtmp::session::{ClientConfig, ClientEvent, EndReason, LinkStats, Stage, Status},
    rtmpt::TunnelStats,
};

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);

/// What happened.
#[derive(Debug)]
pub enum Received {
    /// A tag.
    Media(Tag),
    /// A client connection entered this stage.
    Stage(Stage),
    /// The server says that the stream is a recording.
    StreamIsRecorded,
    /// The server said something that calls for no action.
    Status(Status),
    /// What follows is from the position that was asked for.
    SeekDone,
    /// A seek was refused; the stream goes on.
    SeekFailed(Status),
    /// A publisher came to the listening port.
    Arrived(Caller),
    /// Another publisher takes the place of the one that was there.
    Replaced,
    /// The stream is over.
    End(EndReason),
    /// The server asks to be left.
    ReconnectRequest {
        /// Where to; the same server where absent.
        tc_url: Option<String>,
        /// For people.
        description: String,
    },
    /// Nothing came for as long as the caller wanted to wait.
    Idle,
}

/// Why there is nothing more to receive.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The [`Interrupt`] is set; receiving can go on when it is cleared.
    #[error("interrupted")]
    Interrupted,
    /// The connection failed or ended.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The port cannot be listened on.
    #[error(transparent)]
    Claim(#[from] ClaimError),
}

/// See the module's text.
#[derive(Debug)]
pub struct Receiver {
    poll: Poll,
    events: Events,
    interrupt: Arc<Interrupt>,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Caller(Box<Connection>),
    Listener {
        claim: Claim,
        guest: Option<Box<Guest>>,
    },
}

impl Receiver {
    /// Makes a connection with the first [`next`](Self::next).
    ///
    /// # Errors
    /// The system's, when it is out of descriptors.
    pub fn call(
        target: Target,
        config: ClientConfig,
        interrupt: Arc<Interrupt>,
    ) -> Result<Self, ReceiveError> {
        let (poll, waker) = poll(&interrupt)?;
        let connection = Connection::open(target, config, waker, Instant::now());
        Ok(Self::new(
            poll,
            interrupt,
            Side::Caller(Box::new(connection)),
        ))
    }

    /// Listens for a publisher.
    ///
    /// # Errors
    /// [`ReceiveError::Claim`] when the place is taken or the address cannot be listened on.
    pub fn listen(
        wanted: Wanted,
        takeover: Takeover,
        interrupt: Arc<Interrupt>,
    ) -> Result<Self, ReceiveError> {
        let (poll, waker) = poll(&interrupt)?;
        let claim = porter::claim(wanted, takeover, move || {
            // A poll that cannot be woken has been dropped, and the claim with it.
            let _ = waker.wake();
        })?;
        Ok(Self::new(
            poll,
            interrupt,
            Side::Listener { claim, guest: None },
        ))
    }

    fn new(poll: Poll, interrupt: Arc<Interrupt>, side: Side) -> Self {
        Self {
            poll,
            events: Events::with_capacity(8),
            interrupt,
            side,
        }
    }

    /// Where it listens, if it does.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.side {
            Side::Caller(_) => None,
            Side::Listener { claim, .. } => Some(claim.local_addr()),
        }
    }

    /// The connection, if it is a caller's.
    pub fn connection(&mut self) -> Option<&mut Connection> {
        match &mut self.side {
            Side::Caller(connection) => Some(connection),
            Side::Listener { .. } => None,
        }
    }

    /// Counters of the connection there is.
    pub fn stats(&self) -> LinkStats {
        match &self.side {
            Side::Caller(connection) => connection.stats(),
            Side::Listener { guest, .. } => guest
                .as_ref()
                .map(|guest| guest.stats())
                .unwrap_or_default(),
        }
    }

    /// Figures of the tunnel there is.
    pub fn tunnel_stats(&self) -> Option<TunnelStats> {
        match &self.side {
            Side::Caller(connection) => connection.tunnel_stats(),
            Side::Listener { .. } => None,
        }
    }

    /// The kernel's estimate of the round trip on the connection there is.
    pub fn round_trip(&mut self) -> Option<Duration> {
        let stack = match &mut self.side {
            Side::Caller(connection) => connection.stack(),
            Side::Listener { guest, .. } => guest.as_mut()?.stack(),
        };
        stack.stream()?.rtt()
    }

    /// Waits for what happens next, `patience` long if that is given.
    ///
    /// # Errors
    /// [`ReceiveError`]. After [`ReceiveError::Connection`] a listener can go on to its next
    /// publisher; a caller cannot go on.
    pub fn next(&mut self, patience: Option<Duration>) -> Result<Received, ReceiveError> {
        let mut until = None;
        loop {
            if self.interrupt.is_set() {
                return Err(ReceiveError::Interrupted);
            }
            let now = Instant::now();
            if let Some(received) = self.turn(now)? {
                return Ok(received);
            }
            if let Some(patience) = patience {
                // The clock is read for whoever has to wait only.
                let until = *until.get_or_insert(now + patience);
                if now >= until {
                    return Ok(Received::Idle);
                }
            }
            self.wait(now, until)?;
        }
    }

    /// Closes the connection of a listener's publisher and says why, so that the next one may come.
    pub fn dismiss(&mut self, why: &str) {
        if let Side::Listener { claim, guest } = &mut self.side
            && let Some(guest) = guest.take()
        {
            guest.dismiss(why);
            claim.release();
        }
    }

    /// Says goodbye as far as that takes no waiting.
    pub fn close(mut self) {
        if let Side::Caller(connection) = &mut self.side {
            if let Some(session) = connection.session() {
                session.stop();
            }
            let _ = connection.flush();
            connection.stack().shutdown();
        }
    }

    fn turn(&mut self, now: Instant) -> Result<Option<Received>, ReceiveError> {
        let registry = self.poll.registry();
        match &mut self.side {
            Side::Caller(connection) => loop {
                return Ok(Some(match connection.turn(registry, SOCKET, now)? {
                    None => return Ok(None),
                    Some(ClientEvent::Media(tag)) => Received::Media(tag),
                    Some(ClientEvent::Stage(stage)) => Received::Stage(stage),
                    Some(ClientEvent::StreamIsRecorded) => Received::StreamIsRecorded,
                    Some(ClientEvent::Status(status)) => Received::Status(status),
                    Some(ClientEvent::SeekDone) => Received::SeekDone,
                    Some(ClientEvent::SeekFailed(status)) => Received::SeekFailed(status),
                    Some(ClientEvent::End(reason)) => Received::End(reason),
                    Some(ClientEvent::ReconnectRequest {
                        tc_url,
                        description,
                    }) => Received::ReconnectRequest {
                        tc_url,
                        description,
                    },
                    // The connection deals with these.
                    Some(ClientEvent::Retry(_) | ClientEvent::Closed(_)) => continue,
                }));
            },
            Side::Listener { claim, guest: slot } => {
                let Some(guest) = slot else {
                    let Some(arrival) = claim.take() else {
                        return Ok(None);
                    };
                    let guest = match Guest::welcome(arrival, registry, SOCKET) {
                        Ok(guest) => slot.insert(Box::new(guest)),
                        Err(error) => {
                            claim.release();
                            return Err(error.into());
                        }
                    };
                    return Ok(Some(Received::Arrived(guest.caller.clone())));
                };
                if claim.is_waiting() {
                    if let Some(guest) = slot.take() {
                        guest.dismiss("Another publisher has taken this place.");
                    }
                    return Ok(Some(Received::Replaced));
                }
                let event = guest.turn(now);
                match event {
                    Ok(Some(GuestEvent::Media(tag))) => Ok(Some(Received::Media(tag))),
                    Ok(None) => Ok(None),
                    Ok(Some(GuestEvent::Left)) => {
                        *slot = None;
                        claim.release();
                        Ok(Some(Received::End(EndReason::Unpublished)))
                    }
                    Err(error) => {
                        *slot = None;
                        claim.release();
                        Err(error.into())
                    }
                }
            }
        }
    }

    fn wait(&mut self, now: Instant, until: Option<Instant>) -> Result<(), ReceiveError> {
        let deadline = match &self.side {
            Side::Caller(connection) => connection.deadline(),
            Side::Listener { .. } => None,
        };
        let wait = [deadline, until].into_iter().flatten().min();
        // epoll counts in ms and rounds down: without one more, the last one would be spun away.
        let wait = wait.map(|at| at.saturating_duration_since(now) + Duration::from_millis(1));
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(failed(error)),
            _ => {}
        }
        for event in self.events.iter().filter(|event| event.token() == SOCKET) {
            let ready = Ready::from(event);
            match &mut self.side {
                Side::Caller(connection) => connection.stack().on_ready(ready),
                Side::Listener {
                    guest: Some(guest), ..
                } => guest.stack().on_ready(ready),
                Side::Listener { guest: None, .. } => {}
            }
        }
        Ok(())
    }
}

fn poll(interrupt: &Interrupt) -> Result<(Poll, Arc<Waker>), ReceiveError> {
    let poll = Poll::new().map_err(failed)?;
    let waker = interrupt.attach(poll.registry(), WAKE).map_err(failed)?;
    Ok((poll, waker))
}

fn failed(source: io::Error) -> ReceiveError {
    ConnectionError::Net(NetError::Io {
        stage: NetStage::Stream,
        source,
    })
    .into()
}
