// SPDX-License-Identifier: MPL-2.0

//! What a source reads, on its own thread: a [`Connection`] it made, or a [`Guest`] that publishes to
//! a port it listens on. Waiting ends with an event, a deadline or an [`Interrupt`]; nothing is lost
//! by an interrupt.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Registry, Token, Waker};

use super::{
    NetError, Stage as NetStage,
    connection::{Connection, ConnectionError},
    guest::{Guest, GuestEvent},
    interrupt::Interrupt,
    porter::{self, Caller, Claim, ClaimError, Mail, Takeover, Wanted},
    redirect::Place,
    stream::Ready,
};
use crate::protocol::{
    flv::{
        Tag,
        splice::{Joined, Seen, Splice},
    },
    rtmp::session::{ClientEvent, EndReason, LinkStats, Stage, Status},
    rtmpt::TunnelStats,
};

const SOCKET: Token = Token(0);
const WAKE: Token = Token(1);
const OTHER_SOCKET: Token = Token(2);

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
    /// The server is left for another: what follows comes from there. Its timestamps go on with those of
    /// the former if this is added to them; `None` where they are another stream's.
    Moved(Option<u32>),
    /// The other server could not be had; the stream goes on from where it came.
    Stayed(ConnectionError),
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
    waker: Arc<Waker>,
    side: Side,
}

#[derive(Debug)]
enum Side {
    Caller(Box<Calls>),
    Listener {
        claim: Claim,
        guest: Option<Box<Guest>>,
        mail: Arc<Mail>,
        ping_interval: Duration,
    },
}

/// A caller's connections.
#[derive(Debug)]
struct Calls {
    connection: Connection,
    token: Token,
    /// On the way to another server.
    successor: Option<Move>,
    /// What is to be handed on before anything is read.
    pending: VecDeque<Tag>,
    /// What the server before has brought already.
    seen: Seen,
    /// What the server asked for before it was the one.
    asked: Option<Received>,
}

/// A connection that is to take over, and the streams of both.
#[derive(Debug)]
struct Move {
    connection: Connection,
    splice: Splice,
    /// That server asks to be left in its turn.
    asked: Option<Received>,
}

impl Receiver {
    /// Makes a connection with the first [`next`](Self::next).
    ///
    /// # Errors
    /// The system's, when it is out of descriptors.
    pub fn call(place: Place, interrupt: Arc<Interrupt>) -> Result<Self, ReceiveError> {
        let Place { target, config } = place;
        let (poll, waker) = poll(&interrupt)?;
        let connection = Connection::open(target, config, waker.clone(), Instant::now());
        let calls = Calls {
            connection,
            token: SOCKET,
            successor: None,
            pending: VecDeque::new(),
            seen: Seen::default(),
            asked: None,
        };
        let side = Side::Caller(Box::new(calls));
        Ok(Self::new(poll, interrupt, waker, side))
    }

    /// Goes on at another server as soon as that brings the same stream; the present one is listened to
    /// until then. A listener stays where it is.
    pub fn move_to(&mut self, place: Place) {
        if let Side::Caller(calls) = &mut self.side {
            let Place { target, config } = place;
            let connection = Connection::open(target, config, self.waker.clone(), Instant::now());
            let splice = Splice::default();
            if let Some(before) = calls.successor.replace(Move {
                connection,
                splice,
                asked: None,
            }) {
                part(before.connection);
            }
        }
    }

    /// Listens for a publisher. It is handed what is put into `mail`, when the interrupt is nudged, and
    /// asked for a sign of life when it was silent for `ping_interval` (zero for never).
    ///
    /// # Errors
    /// [`ReceiveError::Claim`] when the place is taken or the address cannot be listened on.
    pub fn listen(
        wanted: Wanted,
        takeover: Takeover,
        interrupt: Arc<Interrupt>,
        mail: Arc<Mail>,
        ping_interval: Duration,
    ) -> Result<Self, ReceiveError> {
        // To a publisher of another time.
        mail.take();
        let (poll, waker) = poll(&interrupt)?;
        let wakes = waker.clone();
        let claim = porter::claim(wanted, takeover, move || {
            // A poll that cannot be woken has been dropped, and the claim with it.
            let _ = wakes.wake();
        })?;
        let side = Side::Listener {
            claim,
            guest: None,
            mail,
            ping_interval,
        };
        Ok(Self::new(poll, interrupt, waker, side))
    }

    fn new(poll: Poll, interrupt: Arc<Interrupt>, waker: Arc<Waker>, side: Side) -> Self {
        Self {
            poll,
            events: Events::with_capacity(8),
            interrupt,
            waker,
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
            Side::Caller(calls) => Some(&mut calls.connection),
            Side::Listener { .. } => None,
        }
    }

    /// Counters of the connection there is.
    pub fn stats(&self) -> LinkStats {
        match &self.side {
            Side::Caller(calls) => calls.connection.stats(),
            Side::Listener { guest, .. } => guest
                .as_ref()
                .map(|guest| guest.stats())
                .unwrap_or_default(),
        }
    }

    /// Figures of the tunnel there is.
    pub fn tunnel_stats(&self) -> Option<TunnelStats> {
        match &self.side {
            Side::Caller(calls) => calls.connection.tunnel_stats(),
            Side::Listener { .. } => None,
        }
    }

    /// The kernel's estimate of the round trip on the connection there is.
    pub fn round_trip(&mut self) -> Option<Duration> {
        let stack = match &mut self.side {
            Side::Caller(calls) => calls.connection.stack(),
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
        if let Side::Listener { claim, guest, .. } = &mut self.side
            && let Some(guest) = guest.take()
        {
            guest.dismiss(why);
            claim.release();
        }
    }

    /// Says goodbye as far as that takes no waiting.
    pub fn close(self) {
        if let Side::Caller(calls) = self.side {
            let calls = *calls;
            part(calls.connection);
            if let Some(other) = calls.successor {
                part(other.connection);
            }
        }
    }

    fn turn(&mut self, now: Instant) -> Result<Option<Received>, ReceiveError> {
        let registry = self.poll.registry();
        match &mut self.side {
            Side::Caller(calls) => calls.turn(registry, now),
            Side::Listener {
                claim,
                guest: slot,
                mail,
                ping_interval,
            } => {
                let Some(guest) = slot else {
                    let Some(arrival) = claim.take() else {
                        return Ok(None);
                    };
                    let guest = match Guest::welcome(arrival, registry, SOCKET, *ping_interval, now)
                    {
                        Ok(guest) => slot.insert(Box::new(guest)),
                        Err(error) => {
                            claim.release();
                            return Err(error.into());
                        }
                    };
                    // What was for the publisher before is not for this one.
                    mail.take();
                    return Ok(Some(Received::Arrived(guest.caller.clone())));
                };
                if claim.is_waiting() {
                    if let Some(guest) = slot.take() {
                        guest.dismiss("Another publisher has taken this place.");
                    }
                    return Ok(Some(Received::Replaced));
                }
                if let Some(letter) = mail.take() {
                    guest.request_reconnect(&letter);
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
            Side::Caller(calls) => calls.deadline(),
            Side::Listener { guest, .. } => guest.as_ref().and_then(|guest| guest.deadline()),
        };
        let wait = [deadline, until].into_iter().flatten().min();
        // epoll counts in ms and rounds down: without one more, the last one would be spun away.
        let wait = wait.map(|at| at.saturating_duration_since(now) + Duration::from_millis(1));
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(failed(error)),
            _ => {}
        }
        for event in self.events.iter().filter(|event| event.token() != WAKE) {
            let ready = Ready::from(event);
            match &mut self.side {
                Side::Caller(calls) => calls.on_ready(event.token(), ready),
                Side::Listener {
                    guest: Some(guest), ..
                } => guest.stack().on_ready(ready),
                Side::Listener { guest: None, .. } => {}
            }
        }
        Ok(())
    }
}

impl Calls {
    fn on_ready(&mut self, token: Token, ready: Ready) {
        if token == self.token {
            self.connection.stack().on_ready(ready);
        } else if let Some(other) = &mut self.successor {
            other.connection.stack().on_ready(ready);
        }
    }

    fn other_token(&self) -> Token {
        match self.token {
            SOCKET => OTHER_SOCKET,
            _ => SOCKET,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let other = self.successor.as_ref().map(|other| &other.connection);
        let all = [Some(&self.connection), other];
        all.into_iter()
            .flatten()
            .filter_map(Connection::deadline)
            .min()
    }

    fn turn(
        &mut self,
        registry: &Registry,
        now: Instant,
    ) -> Result<Option<Received>, ReceiveError> {
        if let Some(asked) = self.asked.take() {
            return Ok(Some(asked));
        }
        if let Some(tag) = self.pending.pop_front() {
            if let Some(other) = &mut self.successor {
                other.splice.delivered(&tag);
            }
            return Ok(Some(Received::Media(tag)));
        }
        if self.successor.is_some()
            && let Some(received) = self.move_on(registry, now)
        {
            return Ok(Some(received));
        }
        loop {
            let event = match self.connection.turn(registry, self.token, now) {
                Ok(Some(event)) => event,
                Ok(None) => return Ok(None),
                // The next server is all there is now, wherever that has come to.
                Err(_) if self.successor.is_some() => return Ok(self.take_over_at_end()),
                Err(error) => return Err(error.into()),
            };
            return Ok(Some(match event {
                ClientEvent::Media(tag) if self.seen.has(&tag) => continue,
                ClientEvent::Media(tag) => {
                    if let Some(other) = &mut self.successor {
                        other.splice.delivered(&tag);
                    }
                    Received::Media(tag)
                }
                ClientEvent::Stage(stage) => Received::Stage(stage),
                ClientEvent::StreamIsRecorded => Received::StreamIsRecorded,
                ClientEvent::Status(status) => Received::Status(status),
                ClientEvent::SeekDone => Received::SeekDone,
                ClientEvent::SeekFailed(status) => Received::SeekFailed(status),
                ClientEvent::End(_) if self.successor.is_some() => {
                    return Ok(self.take_over_at_end());
                }
                ClientEvent::End(reason) => Received::End(reason),
                ClientEvent::ReconnectRequest {
                    tc_url,
                    description,
                } => Received::ReconnectRequest {
                    tc_url,
                    description,
                },
                // The connection deals with these.
                ClientEvent::Retry(_) | ClientEvent::Closed(_) => continue,
            }));
        }
    }

    /// Listens to the next server.
    fn move_on(&mut self, registry: &Registry, now: Instant) -> Option<Received> {
        let token = self.other_token();
        let other = self.successor.as_mut()?;
        loop {
            if let Some(joined) = other.splice.join() {
                return self.take_over(joined);
            }
            match other.connection.turn(registry, token, now) {
                Ok(None) => return None,
                Ok(Some(ClientEvent::Media(tag))) => other.splice.push(tag),
                // It was asked for a live stream, and has none any more.
                Ok(Some(ClientEvent::End(_))) => {
                    let error = ConnectionError::Closed {
                        stage: Stage::Running,
                        truncated: false,
                    };
                    return self.stay(error);
                }
                Ok(Some(ClientEvent::ReconnectRequest {
                    tc_url,
                    description,
                })) => {
                    other.asked = Some(Received::ReconnectRequest {
                        tc_url,
                        description,
                    });
                }
                Ok(Some(_)) => {}
                Err(error) => return self.stay(error),
            }
        }
    }

    fn stay(&mut self, error: ConnectionError) -> Option<Received> {
        part(self.successor.take()?.connection);
        Some(Received::Stayed(error))
    }

    fn take_over_at_end(&mut self) -> Option<Received> {
        let joined = self.successor.as_mut()?.splice.end();
        self.take_over(joined)
    }

    fn take_over(&mut self, joined: Joined) -> Option<Received> {
        let other = self.successor.take()?;
        part(std::mem::replace(&mut self.connection, other.connection));
        self.token = self.other_token();
        self.asked = other.asked;
        self.pending.extend(joined.tags);
        self.seen = joined.seen;
        Some(Received::Moved(joined.shift))
    }
}

/// Says goodbye as far as that takes no waiting.
fn part(mut connection: Connection) {
    if let Some(session) = connection.session() {
        session.stop();
    }
    let _ = connection.flush();
    connection.stack().shutdown();
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
