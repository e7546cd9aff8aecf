// SPDX-License-Identifier: MPL-2.0

//! What the reactor's thread does with a publication, and the caller's in passing: connect, again if need
//! be, hear the server, send, and end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{AHEAD, AHEAD_LIVE, Handover, Inner, Notice, Phase, Stall, State};
use crate::{
    net::{
        connection::{Connection, ConnectionError},
        leave::LINGER,
        reactor::{Io, Next, Task},
        reconnect::Cause,
        redirect::Place,
        stack::Write,
        successor::Progress,
        throughput::Advice,
    },
    protocol::{
        flv::{Needs, Tag},
        rtmp::session::{ClientEvent, Demand, SessionError, Stage},
    },
};

/// What is sent in this time may have gone out before the close that was the answer arrived: a
/// refusal then, as far as trying again is concerned.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// What stopped [`State::pump`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// There is nothing left, or the socket is full.
    Done,
    /// The next tag goes to another connection.
    AtSwitch,
}

impl Task for Inner {
    fn turn(&self, io: &Io<'_>) -> Next {
        let mut notices = Vec::new();
        let mut state = self.lock();
        let next = state.connect(io, self, &mut notices).unwrap_or_else(|| {
            match state.turn(io, self, &mut notices) {
                Ok(next) => next,
                // Some servers close on FCUnpublish; nothing is left that they could miss.
                Err(_) if state.is_stopped() => {
                    state.close();
                    Next::default()
                }
                Err(error) => state.lost(io, Arc::new(error), &mut notices),
            }
        });
        drop(state);
        self.changed.notify_all();
        notices.into_iter().for_each(|notice| (self.notify)(notice));
        next
    }
}

impl State {
    /// Begins a connection where there is none. Returns what to wait for before that.
    fn connect(&mut self, io: &Io<'_>, inner: &Inner, notices: &mut Vec<Notice>) -> Option<Next> {
        // A short stream may have ended before the first turn.
        if !matches!(self.phase, Phase::Open | Phase::Draining) || self.connection.is_some() {
            return None;
        }
        if let Some(Handover::Making(successor)) = &self.handover {
            // The old connection broke before the next was there.
            return match successor.progress() {
                Progress::Going => Some(Next::default()),
                Progress::Ready => match self.switch(io, inner, notices) {
                    Ok(()) => None,
                    Err(error) => Some(self.lost(io, Arc::new(error), notices)),
                },
                Progress::Failed(error) => {
                    (self.redirect, self.tried) = (Some(successor.place().clone()), 0);
                    self.handover = None;
                    Some(self.lost(io, error, notices))
                }
            };
        }
        if self.left.as_ref().is_some_and(|left| !left.is_gone()) {
            return Some(Next::default());
        }
        if let Some(at) = self.retry_at.filter(|at| io.now < *at) {
            return Some(Next {
                deadline: Some(at),
                ..Next::default()
            });
        }
        (self.left, self.retry_at) = (None, None);
        let mut places = self.redirect.iter().chain(&inner.places);
        let turn = self.tried % places.clone().count().max(1);
        let place = places.nth(turn).cloned()?;
        self.tried += 1;
        let Place { target, config } = place.clone();
        self.present = Some(place);
        self.connection = Some(Connection::open(target, config, io.waker.clone(), io.now));
        None
    }

    /// The connection is lost: when to make another, if that is not the end.
    fn lost(
        &mut self,
        io: &Io<'_>,
        error: Arc<ConnectionError>,
        notices: &mut Vec<Notice>,
    ) -> Next {
        self.let_go();
        (self.cut, self.stall) = (self.sent > 0, Stall::default());
        if let Some(Handover::Making(_)) = self.handover {
            // It may have worked already.
            return Next {
                deadline: Some(io.now),
                ..Next::default()
            };
        }
        if let Some(Handover::Breaking(place)) = self.handover.take() {
            (self.redirect, self.tried) = (Some(*place), 0);
        }
        let cause = self.cause(&error, io.now);
        match self.reconnect.failed(cause, io.now, chance()) {
            Some(retry) => {
                notices.push(Notice::Retry(retry, error));
                let at = io.now + retry.after;
                self.retry_at = Some(at);
                Next {
                    deadline: Some(at),
                    ..Next::default()
                }
            }
            None => {
                notices.push(Notice::Failed(error.clone()));
                self.phase = Phase::Failed(error);
                Next::default()
            }
        }
    }

    fn turn(
        &mut self,
        io: &Io<'_>,
        inner: &Inner,
        notices: &mut Vec<Notice>,
    ) -> Result<Next, ConnectionError> {
        let stall_timeout = inner.stall_timeout;
        if let Some(connection) = &mut self.connection {
            connection.stack().on_ready(io.ready);
        }
        self.listen(io, notices)?;
        self.mind_handover(notices);
        loop {
            match self.pump() {
                Ok(Pumped::Done) => break,
                Ok(Pumped::AtSwitch) => self.switch(io, inner, notices)?,
                Err(error) => {
                    // The server may have said why before it closed.
                    self.listen(io, notices)?;
                    return Err(error);
                }
            }
        }
        if let Phase::Lingering(until) = self.phase
            && io.now >= until
        {
            self.close();
        }
        self.drain(io.now)?;
        let stalled = self.stalled(io.now, stall_timeout)?;
        let Some(connection) = &self.connection else {
            return Ok(Next::default());
        };
        let linger = match self.phase {
            Phase::Lingering(until) => Some(until),
            _ => None,
        };
        Ok(Next {
            deadline: [connection.deadline(), linger, stalled]
                .into_iter()
                .flatten()
                .min(),
            on_wake: connection.is_establishing(),
            done: false,
        })
    }

    /// Takes in what the server has to say.
    fn listen(&mut self, io: &Io<'_>, notices: &mut Vec<Notice>) -> Result<(), ConnectionError> {
        loop {
            let Some(connection) = &mut self.connection else {
                return Ok(());
            };
            let Some(event) = connection.turn(io.registry, io.token, io.now)? else {
                return Ok(());
            };
            match event {
                ClientEvent::Stage(stage) => {
                    if stage == Stage::CreateStream {
                        self.fits = false;
                        fit(connection, &self.needs, self.demand)?;
                    }
                    notices.push(Notice::Stage(stage));
                    if stage == Stage::Running {
                        self.begin(io.now, notices);
                    }
                }
                ClientEvent::Status(status) => notices.push(Notice::Status(status)),
                ClientEvent::ReconnectRequest {
                    tc_url,
                    description,
                } => {
                    self.asked(io, tc_url, description, notices);
                }
                _ => {}
            }
        }
    }

    /// The server takes the stream from here on.
    pub(super) fn begin(&mut self, now: Instant, notices: &mut Vec<Notice>) {
        self.reconnect.running(now);
        self.running_since = Some(now);
        self.throughput.restart();
        self.set_up_socket(false);
        let Some(connection) = &mut self.connection else {
            return;
        };
        if std::mem::take(&mut self.cut) {
            self.queue.resume_at_keyframe(self.has_pictures);
            if self.queue.awaits_keyframe() {
                notices.push(Notice::NeedsKeyFrame);
            }
            let timestamp = self.queue.timestamp().unwrap_or(self.last);
            for header in self.headers.at(timestamp) {
                connection.send_media(&header);
            }
        }
    }

    /// Has the kernel do what is wanted of it; `lift` says that a limit may have to go.
    pub(super) fn set_up_socket(&mut self, lift: bool) {
        let Some(connection) = &mut self.connection else {
            return;
        };
        // Where the system cannot pace, it sends as fast as it can; where it cannot hold back, more waits
        // there and less here.
        match self.pacing {
            0 if !lift => {}
            0 => drop(connection.stack().set_pacing_rate(u64::MAX)),
            pacing => drop(connection.stack().set_pacing_rate(pacing)),
        }
        if let Some(stream) = connection.stack().stream() {
            // A server that vanishes while little is sent would not be missed for long otherwise. Where
            // something waits, our own watch is the first to say so.
            drop(stream.set_patience(self.patience * 2));
            if self.live {
                drop(stream.set_unsent(AHEAD_LIVE as u32));
            }
        }
    }

    pub(super) fn is_running(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.stage() == Stage::Running)
    }

    /// Looks what the network carries.
    pub(super) fn look(&mut self) -> Option<Advice> {
        if !self.live || !self.is_running() {
            return None;
        }
        let connection = self.connection.as_mut()?;
        let (now, unsent) = (Instant::now(), connection.unsent() as u64);
        let waits = unsent > 0 || !self.queue.is_empty();
        if !self.throughput.is_due(now, waits) {
            return None;
        }
        let kernel = connection.stack().stream()?.unacknowledged()?;
        let sent = connection.stats().out_bytes_total - unsent;
        let acknowledged = sent.saturating_sub(kernel.into());
        self.throughput.look(now, acknowledged, waits)
    }
    /// Takes in what a tag needs of the server.
    pub(super) fn learn(&mut self, tag: &Tag) {
        self.fits &= !self.needs.learn(tag);
    }

    /// Whether the server takes what the stream needs, as far as both are known.
    pub(super) fn fit(&mut self) -> Result<(), ConnectionError> {
        match &mut self.connection {
            Some(connection) => fit(connection, &self.needs, self.demand),
            None => Ok(()),
        }
    }

    /// Hands the session what the kernel takes now.
    pub(super) fn pump(&mut self) -> Result<Pumped, ConnectionError> {
        loop {
            let at_switch = self.is_at_switch();
            let Some(connection) = &mut self.connection else {
                return Ok(Pumped::Done);
            };
            if connection.stage() != Stage::Running {
                return Ok(Pumped::Done);
            }
            if at_switch {
                return Ok(Pumped::AtSwitch);
            }
            if !self.fits {
                fit(connection, &self.needs, self.demand)?;
                self.fits = true;
            }
            let ahead = if self.live { AHEAD_LIVE } else { AHEAD };
            if connection.unsent() < ahead
                && let Some(tag) = self.queue.pop()
            {
                connection.send_media(&tag);
                self.headers.keep(&tag);
                self.last = tag.timestamp();
                self.sent += 1;
                if connection.unsent() < ahead && !self.queue.is_empty() {
                    continue;
                }
            }
            if connection.flush()? == Write::Blocked || self.queue.is_empty() {
                return Ok(Pumped::Done);
            }
        }
    }

    /// Goes on to the end of the stream, where that was asked for and nothing waits any more.
    fn drain(&mut self, now: Instant) -> Result<(), ConnectionError> {
        let (Phase::Draining, Some(connection)) = (&self.phase, &mut self.connection) else {
            return Ok(());
        };
        if !self.queue.is_empty() || connection.stage() < Stage::Running {
            return Ok(());
        }
        if connection.stage() == Stage::Running
            && let Some(session) = connection.session()
        {
            session.stop()
        }
        if connection.flush()? == Write::Drained {
            connection.stack().shutdown();
            self.phase = Phase::Lingering(now + LINGER);
        }
        Ok(())
    }

    /// When a server that takes nothing will have taken nothing for too long.
    fn stalled(
        &mut self,
        now: Instant,
        patience: Duration,
    ) -> Result<Option<Instant>, ConnectionError> {
        let Some(connection) = &mut self.connection else {
            return Ok(None);
        };
        let unsent = connection.unsent() as u64;
        if unsent == 0 || patience.is_zero() || connection.stage() < Stage::Running {
            self.stall.progress = None;
            return Ok(None);
        }
        let taken = connection.stats().out_bytes_total - unsent;
        match self.stall.progress {
            Some((before, since)) if before == taken => {
                if now.saturating_duration_since(since) >= patience {
                    return Err(ConnectionError::Stalled { after: patience });
                }
                Ok(Some(since + patience))
            }
            _ => {
                self.stall.progress = Some((taken, now));
                Ok(Some(now + patience))
            }
        }
    }

    fn cause(&mut self, error: &ConnectionError, now: Instant) -> Cause {
        let at_once = |since| now.saturating_duration_since(since) < ON_ITS_WAY;
        match Cause::of(error) {
            Cause::Lost if self.running_since.take().is_some_and(at_once) => Cause::Refusal,
            cause => cause,
        }
    }

    pub(super) fn holds(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::holds)
    }

    fn is_stopped(&self) -> bool {
        self.connection
            .as_ref()
            .is_some_and(|connection| connection.stage() == Stage::Stopped)
    }

    fn close(&mut self) {
        self.let_go();
        self.phase = Phase::Closed;
    }

    pub(super) fn let_go(&mut self) -> Option<Connection> {
        let connection = self.connection.take()?;
        self.ended = Some((
            connection.stats(),
            connection.connect_time(),
            connection.tunnel_stats(),
        ));
        Some(connection)
    }
}

/// Whether a server that has let us in takes what a stream needs.
fn fit(connection: &mut Connection, needs: &Needs, demand: Demand) -> Result<(), ConnectionError> {
    let stage = connection.stage();
    match connection.session() {
        Some(session) if (Stage::CreateStream..=Stage::Running).contains(&stage) => {
            let checked = session.server().check(needs, demand);
            checked.map_err(|lack| ConnectionError::Session {
                // What it answered to connect.
                stage: Stage::Connect,
                error: SessionError::Lacks(lack),
            })
        }
        _ => Ok(()),
    }
}

/// A number that chance gives. Without randomness delays are whole, and that is all.
fn chance() -> u32 {
    getrandom::u32().unwrap_or(0)
}
