// SPDX-License-Identifier: MPL-2.0

//! A publication: tags in, a [`Connection`] on the reactor out.
//!
//! [`Publisher::push`] writes on the caller's thread as long as the socket takes it; what it does
//! not take waits in a bounded queue and goes out on the reactor's thread, which also connects,
//! reads and answers while no tag comes. Nothing holds the lock while it waits.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    connection::{Connection, ConnectionError},
    leave::{LINGER, leave},
    queue::{Loss, Queue, QueueLimits},
    reactor::{Handle, Io, Next, Reactor, Task},
    reconnect::{Cause, Policy, Reconnect, Retry},
    stack::{Target, Write},
};
use crate::protocol::{
    flv::{Headers, Needs, Tag, TagKind},
    rtmp::session::{ClientConfig, ClientEvent, Demand, LinkStats, SessionError, Stage, Status},
    rtmpt::TunnelStats,
};

/// Bytes handed to the session ahead of the kernel. What is behind them can still be dropped.
const AHEAD: usize = 256 * 1024;

/// Bytes in the queue at which a caller that can wait does, and at which it goes on: what lies there
/// is cold in the processor's caches when its turn comes, and delays what a seek would bring.
const WAIT_AT: usize = 512 * 1024;
const GO_ON_AT: usize = 128 * 1024;

/// What is sent in this time may have gone out before the close that was the answer arrived: a
/// refusal then, as far as trying again is concerned.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// What the application may want to know, told on whatever thread noticed it.
#[derive(Clone, Debug)]
pub enum Notice {
    /// The connection entered this stage.
    Stage(Stage),
    /// The server said something that calls for no action.
    Status(Status),
    /// The server asks to be left.
    ReconnectRequest {
        /// Where to; the same server where absent.
        tc_url: Option<String>,
        /// For people.
        description: String,
    },
    /// The connection failed, and is made again.
    Retry(Retry, Arc<ConnectionError>),
    /// The publication failed.
    Failed(Arc<ConnectionError>),
}

/// What to do with a tag that the network does not take in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// Wait: the caller is as fast as the network.
    Wait,
    /// Drop whole groups of pictures: the caller is live.
    Drop,
}

/// Why [`Publisher::push`] did not take a tag.
#[derive(Clone, Debug)]
pub enum PushError {
    /// [`Publisher::interrupt`] was called.
    Interrupted,
    /// The publication failed, now or earlier.
    Failed(Arc<ConnectionError>),
}

/// Figures of a publication.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublisherStats {
    /// Counters of the connection.
    pub link: LinkStats,
    /// How far the connection has come.
    pub stage: Option<Stage>,
    /// Time it took until the server took the stream.
    pub connect_time: Option<Duration>,
    /// Round trip time as TCP measures it.
    pub round_trip: Option<Duration>,
    /// Figures of the tunnel, where there is one.
    pub tunnel: Option<TunnelStats>,
    /// Tags sent.
    pub sent: u64,
    /// Tags dropped.
    pub dropped: u64,
    /// Bytes waiting.
    pub queued_bytes: usize,
    /// Stream time waiting.
    pub queued_time: Duration,
    /// Connections that took the place of another.
    pub reconnects: u32,
    /// It waits for the next attempt.
    pub waits: bool,
}

/// What a publication needs besides the connection's own settings.
#[derive(Clone, Debug)]
pub struct PublisherConfig {
    /// How much may wait for the network.
    pub queue: QueueLimits,
    /// Bytes a second the kernel may send at most; 0 for no limit.
    pub pacing: u64,
    /// How long a server may take nothing while something waits; zero for ever.
    pub stall_timeout: Duration,
    /// What to do when the connection fails.
    pub reconnect: Policy,
    /// What a server must have said to be sent what the stream needs.
    pub demand: Demand,
    /// That, as far as it is known before the first tag.
    pub needs: Needs,
}

/// See the module's text. Dropping it closes the connection without further ado.
#[derive(Debug)]
pub struct Publisher {
    inner: Arc<Inner>,
    handle: Handle,
}

struct Inner {
    state: Mutex<State>,
    changed: Condvar,
    notify: Box<dyn Fn(Notice) + Send + Sync>,
    /// The server, and those to try in its stead.
    places: Vec<(Target, ClientConfig)>,
    pacing: u64,
    stall_timeout: Duration,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("target", &self.places.first().map(|(target, _)| target))
            .finish_non_exhaustive()
    }
}

struct State {
    /// Made in the first turn, where the reactor's waker is.
    connection: Option<Connection>,
    phase: Phase,
    queue: Queue,
    interrupted: bool,
    sent: u64,
    stall: Stall,
    reconnect: Reconnect,
    running_since: Option<Instant>,
    /// When to connect again.
    retry_at: Option<Instant>,
    /// Connections tried so far, which says whose turn it is.
    tried: usize,
    /// To be sent again to another server.
    headers: Headers,
    has_pictures: bool,
    /// The timestamp of the last tag that was sent.
    last: u32,
    demand: Demand,
    needs: Needs,
    /// The server takes all of that.
    fits: bool,
    /// The stream was cut: the next connection begins with headers and a key frame.
    cut: bool,
    /// Figures of the connection that was.
    ended: Option<(LinkStats, Option<Duration>, Option<TunnelStats>)>,
}

/// Watches a server that has been sent more than it takes.
#[derive(Debug, Default)]
struct Stall {
    /// Bytes the kernel had taken when progress was last seen, and when that was.
    progress: Option<(u64, Instant)>,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Connecting or running.
    Open,
    /// No more tags come; what waits goes out, then the stop commands.
    Draining,
    /// All is written; the server has until then to close.
    Lingering(Instant),
    Closed,
    Failed(Arc<ConnectionError>),
}

impl Publisher {
    /// Begins to connect to the first of these places; the others are tried in turn when that fails.
    /// `notify` must not wait.
    ///
    /// # Errors
    /// The system's, when there are no descriptors or threads left for the reactor.
    pub fn start(
        places: Vec<(Target, ClientConfig)>,
        publisher: PublisherConfig,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let inner = Arc::new(Inner {
            state: Mutex::new(State {
                connection: None,
                phase: Phase::Open,
                queue: Queue::new(publisher.queue),
                interrupted: false,
                sent: 0,
                stall: Stall::default(),
                reconnect: Reconnect::new(publisher.reconnect),
                running_since: None,
                retry_at: None,
                tried: 0,
                headers: Headers::default(),
                has_pictures: false,
                last: 0,
                demand: publisher.demand,
                needs: publisher.needs,
                fits: false,
                cut: false,
                ended: None,
            }),
            changed: Condvar::new(),
            notify: Box::new(notify),
            places,
            pacing: publisher.pacing,
            stall_timeout: publisher.stall_timeout,
        });
        let handle = Reactor::global()?.add(inner.clone());
        Ok(Self { inner, handle })
    }

    /// Takes in what the stream needs of the server before any of these tags is sent. What is found
    /// wanting fails the next [`push`](Self::push).
    pub fn expect(&self, tags: &[Tag]) {
        let mut state = self.inner.lock();
        tags.iter().for_each(|tag| state.learn(tag));
        if state.fit().is_err() {
            drop(state);
            self.handle.wake();
        }
    }

    /// Sends a tag, or queues it. Returns the loss if tags had to be dropped and that is to be told.
    ///
    /// # Errors
    /// [`PushError`]; the tag is lost then.
    pub fn push(&self, tag: Tag, overflow: Overflow) -> Result<Option<Loss>, PushError> {
        let mut state = self.inner.lock();
        if overflow == Overflow::Wait && (state.queue.is_full() || state.queue.bytes() >= WAIT_AT) {
            state = self
                .inner
                .changed
                .wait_while(state, |state| {
                    !state.interrupted
                        && matches!(state.phase, Phase::Open)
                        && (!state.queue.has_room() || state.queue.bytes() > GO_ON_AT)
                })
                .unwrap_or_else(PoisonError::into_inner);
        }
        if let Phase::Failed(error) = &state.phase {
            return Err(PushError::Failed(error.clone()));
        }
        if state.interrupted {
            return Err(PushError::Interrupted);
        }
        state.learn(&tag);
        if !state.headers.keep(&tag) {
            state.has_pictures |= tag.kind() == TagKind::Video;
        }
        let loss = match overflow {
            Overflow::Wait => {
                state.queue.push(tag);
                None
            }
            Overflow::Drop => state.queue.push_or_drop(tag),
        };
        let waited = state.stall.progress.is_some();
        let held = state.holds();
        // A write that fails will fail again, or be noticed by reading, on the reactor, which also
        // looks after a server that takes nothing.
        // Nor does this thread keep the time after which a tunnel makes a request.
        let pumped = state.pump();
        if pumped.is_err() || (!waited && !state.queue.is_empty()) || (!held && state.holds()) {
            drop(state);
            self.handle.wake();
        }
        Ok(loss)
    }

    /// Sends what waits and the commands that end a stream, and waits until the server has it all.
    ///
    /// # Errors
    /// [`PushError`]; after an interruption it can be called again, and waits on.
    pub fn finish(&self) -> Result<(), PushError> {
        let mut state = self.inner.lock();
        if let Phase::Open = state.phase {
            state.phase = Phase::Draining;
        }
        self.handle.wake();
        let state = self
            .inner
            .changed
            .wait_while(state, |state| {
                !state.interrupted && !matches!(state.phase, Phase::Closed | Phase::Failed(_))
            })
            .unwrap_or_else(PoisonError::into_inner);
        match &state.phase {
            Phase::Closed => Ok(()),
            Phase::Failed(error) => Err(PushError::Failed(error.clone())),
            _ => Err(PushError::Interrupted),
        }
    }

    /// Says goodbye without waiting, whatever is under way: frees the stream's name on the server at
    /// once rather than when it notices the closed socket. Tags that wait are dropped.
    pub fn abandon(&self) {
        let mut state = self.inner.lock();
        let connection = state.let_go();
        state.phase = Phase::Closed;
        drop(state);
        if let Some(connection) = connection {
            leave(connection);
        }
        self.inner.changed.notify_all();
    }

    /// Ends every wait in [`push`](Self::push) and [`finish`](Self::finish), until
    /// [`resume`](Self::resume).
    pub fn interrupt(&self) {
        self.inner.lock().interrupted = true;
        self.inner.changed.notify_all();
    }

    /// Allows waits again.
    pub fn resume(&self) {
        self.inner.lock().interrupted = false;
    }

    /// Figures as of now.
    pub fn stats(&self) -> PublisherStats {
        let mut state = self.inner.lock();
        let mut stats = PublisherStats {
            sent: state.sent,
            dropped: state.queue.dropped(),
            queued_bytes: state.queue.bytes(),
            queued_time: state.queue.time(),
            reconnects: state.reconnect.replaced(),
            waits: state.retry_at.is_some(),
            ..PublisherStats::default()
        };
        if let Some(ended) = state.ended {
            (stats.link, stats.connect_time, stats.tunnel) = ended;
        }
        if let Some(connection) = &mut state.connection {
            stats.link = connection.stats();
            stats.stage = Some(connection.stage());
            stats.connect_time = connection.connect_time();
            stats.tunnel = connection.tunnel_stats();
            stats.round_trip = connection.stack().stream().and_then(|stream| stream.rtt());
        }
        stats
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task for Inner {
    fn turn(&self, io: &Io<'_>) -> Next {
        let mut notices = Vec::new();
        let mut state = self.lock();
        // A short stream may have ended before this first turn.
        if let Phase::Open | Phase::Draining = state.phase
            && state.connection.is_none()
        {
            if let Some(at) = state.retry_at.filter(|at| io.now < *at) {
                return Next {
                    deadline: Some(at),
                    ..Next::default()
                };
            }
            state.retry_at = None;
            let turn = state.tried % self.places.len().max(1);
            if let Some((target, config)) = self.places.get(turn).cloned() {
                state.tried += 1;
                let connection = Connection::open(target, config, io.waker.clone(), io.now);
                state.connection = Some(connection);
            }
        }
        let next = match state.turn(io, self.pacing, self.stall_timeout, &mut notices) {
            Ok(next) => next,
            // Some servers close on FCUnpublish; nothing is left that they could miss.
            Err(_) if state.is_stopped() => {
                state.close();
                Next::default()
            }
            Err(error) => {
                let error = Arc::new(error);
                let chance = chance();
                let cause = state.cause(&error, io.now);
                let retry = state.reconnect.failed(cause, io.now, chance);
                state.let_go();
                match retry {
                    Some(retry) => {
                        notices.push(Notice::Retry(retry, error));
                        (state.cut, state.stall) = (state.sent > 0, Stall::default());
                        let at = io.now + retry.after;
                        state.retry_at = Some(at);
                        Next {
                            deadline: Some(at),
                            ..Next::default()
                        }
                    }
                    None => {
                        notices.push(Notice::Failed(error.clone()));
                        state.phase = Phase::Failed(error);
                        Next::default()
                    }
                }
            }
        };
        drop(state);
        self.changed.notify_all();
        notices.into_iter().for_each(|notice| (self.notify)(notice));
        next
    }
}

impl State {
    fn turn(
        &mut self,
        io: &Io<'_>,
        pacing: u64,
        stall_timeout: Duration,
        notices: &mut Vec<Notice>,
    ) -> Result<Next, ConnectionError> {
        if let Some(connection) = &mut self.connection {
            connection.stack().on_ready(io.ready);
        }
        self.listen(io, pacing, stall_timeout, notices)?;
        if let Err(error) = self.pump() {
            // The server may have said why before it closed.
            self.listen(io, pacing, stall_timeout, notices)?;
            return Err(error);
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
    fn listen(
        &mut self,
        io: &Io<'_>,
        pacing: u64,
        stall_timeout: Duration,
        notices: &mut Vec<Notice>,
    ) -> Result<(), ConnectionError> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        while let Some(event) = connection.turn(io.registry, io.token, io.now)? {
            match event {
                ClientEvent::Stage(stage) => {
                    if stage == Stage::CreateStream {
                        self.fits = false;
                        fit(connection, &self.needs, self.demand)?;
                    }
                    if stage == Stage::Running && pacing > 0 {
                        // Where the system cannot pace, it sends as fast as it can.
                        let _ = connection.stack().set_pacing_rate(pacing);
                    }
                    if stage == Stage::Running && !stall_timeout.is_zero() {
                        // The kernel takes a megabyte and more that nobody reads before it is full.
                        let _ = connection.stack().give_up_after(stall_timeout);
                    }
                    if stage == Stage::Running {
                        self.reconnect.running(io.now);
                        self.running_since = Some(io.now);
                        if std::mem::take(&mut self.cut) {
                            self.queue.resume_at_keyframe(self.has_pictures);
                            let timestamp = self.queue.timestamp().unwrap_or(self.last);
                            for header in self.headers.at(timestamp) {
                                connection.send_media(&header);
                            }
                        }
                    }
                    notices.push(Notice::Stage(stage));
                }
                ClientEvent::Status(status) => notices.push(Notice::Status(status)),
                ClientEvent::ReconnectRequest {
                    tc_url,
                    description,
                } => {
                    notices.push(Notice::ReconnectRequest {
                        tc_url,
                        description,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Takes in what a tag needs of the server.
    fn learn(&mut self, tag: &Tag) {
        self.fits &= !self.needs.learn(tag);
    }

    /// Whether the server takes what the stream needs, as far as both are known.
    fn fit(&mut self) -> Result<(), ConnectionError> {
        match &mut self.connection {
            Some(connection) => fit(connection, &self.needs, self.demand),
            None => Ok(()),
        }
    }

    /// Hands the session what the kernel takes now.
    fn pump(&mut self) -> Result<(), ConnectionError> {
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        if connection.stage() != Stage::Running {
            return Ok(());
        }
        if !self.fits {
            fit(connection, &self.needs, self.demand)?;
            self.fits = true;
        }
        loop {
            while connection.unsent() < AHEAD {
                let Some(tag) = self.queue.pop() else { break };
                connection.send_media(&tag);
                self.last = tag.timestamp();
                self.sent += 1;
            }
            if connection.flush()? == Write::Blocked || self.queue.is_empty() {
                return Ok(());
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

    fn holds(&self) -> bool {
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

    fn let_go(&mut self) -> Option<Connection> {
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
