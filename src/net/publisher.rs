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
    leave::{LINGER, Left, leave},
    queue::{Dropped, Loss, Queue, QueueLimits},
    reactor::{Handle, Io, Next, Reactor, Task},
    reconnect::{Cause, Policy, Reconnect, Retry},
    redirect::{Place, Redirects, Refused, Rules},
    stack::Write,
    stream::Ready,
    successor::{Progress, Successor},
    throughput::{Advice, Throughput},
};
use crate::protocol::{
    flv::{Headers, Needs, Tag, TagKind},
    rtmp::session::{ClientEvent, Demand, LinkStats, SessionError, Stage, Status},
    rtmpt::TunnelStats,
};

/// Bytes handed to the session ahead of the kernel. What is behind them can still be dropped.
const AHEAD: usize = 256 * 1024;

/// The same of a live stream, in the session and in the kernel each (TCP_NOTSENT_LOWAT): the rest of the
/// kernel's megabytes would be seconds of delay that nobody sees and nothing can be dropped from. What is on
/// its way does not count.
const AHEAD_LIVE: usize = 64 * 1024;

/// Bytes in the queue at which a caller that can wait does, and at which it goes on: what lies there
/// is cold in the processor's caches when its turn comes, and delays what a seek would bring.
const WAIT_AT: usize = 512 * 1024;
const GO_ON_AT: usize = 128 * 1024;

/// What is sent in this time may have gone out before the close that was the answer arrived: a
/// refusal then, as far as trying again is concerned.
const ON_ITS_WAY: Duration = Duration::from_millis(100);

/// How long what was sent may take to go out on a connection that another takes the place of, where
/// nothing else says how long a server may take.
const FAREWELL: Duration = Duration::from_secs(30);

/// What the application may want to know, told on whatever thread noticed it.
#[derive(Clone, Debug)]
pub enum Notice {
    /// The connection entered this stage.
    Stage(Stage),
    /// The server said something that calls for no action.
    Status(Status),
    /// The server asks to be left.
    Asked {
        /// Where to, as the server said it; the same server where absent.
        tc_url: Option<String>,
        /// For people.
        description: String,
        /// The `tcUrl` it is left for, or why not.
        answer: Result<String, Refused>,
    },
    /// The next connection waits for a key frame.
    NeedsKeyFrame,
    /// The publication goes on at the server with this `tcUrl`.
    Moved(String),
    /// It could not be had; the publication goes on where it was.
    Stayed(String, Arc<ConnectionError>),
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

/// What [`Publisher::push`] has to say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pushed {
    /// Tags had to be dropped, and that is to be told.
    pub loss: Option<Loss>,
    /// What the stream should ask of the network.
    pub advice: Option<Advice>,
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
    pub dropped: Dropped,
    /// Bits a second that the server's kernel acknowledged lately; of a live stream only.
    pub throughput: u64,
    /// Bits a second that the network is believed to carry; the same.
    pub estimate: Option<u64>,
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
    /// Bytes a second the kernel may send at most; 0 for no limit. See [`Publisher::pace`].
    pub pacing: u64,
    /// How long a server may take nothing while something waits; zero for ever.
    pub stall_timeout: Duration,
    /// What to do when the connection fails.
    pub reconnect: Policy,
    /// What a server must have said to be sent what the stream needs.
    pub demand: Demand,
    /// That, as far as it is known before the first tag.
    pub needs: Needs,
    /// What to do when the server asks to be left.
    pub redirects: Rules,
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
    places: Vec<Place>,
    stall_timeout: Duration,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("target", &self.places.first().map(|place| &place.target))
            .finish_non_exhaustive()
    }
}

struct State {
    /// Made in the first turn, where the reactor's waker is.
    connection: Option<Connection>,
    phase: Phase,
    queue: Queue,
    pacing: u64,
    /// How long a server may take nothing.
    patience: Duration,
    /// The pipeline does not wait.
    live: bool,
    throughput: Throughput,
    interrupted: bool,
    sent: u64,
    stall: Stall,
    reconnect: Reconnect,
    running_since: Option<Instant>,
    /// When to connect again.
    retry_at: Option<Instant>,
    /// Where a server sent us, to be tried before all others.
    redirect: Option<Place>,
    /// Connections tried since then, which says whose turn it is.
    tried: usize,
    /// Where the connection leads.
    present: Option<Place>,
    redirects: Redirects,
    /// The server asked to be left.
    handover: Option<Handover>,
    /// Upstream knows that the handover waits for a key frame.
    asked_for_key: bool,
    /// The next connection waits until this one is gone.
    left: Option<Left>,
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

/// On the way from one connection to the next.
#[derive(Debug)]
enum Handover {
    /// The next connection is made while the present one runs.
    Making(Successor),
    /// The next server takes the stream only when the present one has let it go.
    Breaking(Box<Place>),
}

/// What stopped [`State::pump`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pumped {
    /// There is nothing left, or the socket is full.
    Done,
    /// The next tag goes to another connection.
    AtSwitch,
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
        places: Vec<Place>,
        publisher: PublisherConfig,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let inner = Arc::new(Inner {
            state: Mutex::new(State {
                connection: None,
                phase: Phase::Open,
                queue: Queue::new(publisher.queue),
                pacing: publisher.pacing,
                patience: publisher.stall_timeout,
                live: false,
                throughput: Throughput::default(),
                interrupted: false,
                sent: 0,
                stall: Stall::default(),
                reconnect: Reconnect::new(publisher.reconnect),
                running_since: None,
                retry_at: None,
                redirect: None,
                tried: 0,
                present: None,
                redirects: Redirects::new(publisher.redirects),
                handover: None,
                asked_for_key: false,
                left: None,
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

    /// Lets the kernel send so many bytes a second at most; 0 lifts the limit.
    pub fn pace(&self, pacing: u64) {
        let mut state = self.inner.lock();
        state.pacing = pacing;
        state.set_up_socket(true);
    }

    /// Sends a tag, or queues it.
    ///
    /// # Errors
    /// [`PushError`]; the tag is lost then.
    pub fn push(&self, tag: Tag, overflow: Overflow) -> Result<Pushed, PushError> {
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
        state.has_pictures |= tag.kind() == TagKind::Video && tag.is_droppable();
        let loss = match overflow {
            Overflow::Wait => {
                state.queue.push(tag);
                None
            }
            Overflow::Drop => {
                if !std::mem::replace(&mut state.live, true) {
                    state.set_up_socket(false);
                }
                let runs = state.is_running();
                state.queue.push_or_drop(tag, runs)
            }
        };
        let waited = state.stall.progress.is_some();
        let held = state.holds();
        // A write that fails will fail again, or be noticed by reading, on the reactor, which also
        // looks after a server that takes nothing.
        // Nor does this thread keep the time after which a tunnel makes a request.
        // Nor does it have what a switch to another connection needs.
        let idle = matches!(state.pump(), Ok(Pumped::Done));
        if !idle || (!waited && !state.queue.is_empty()) || (!held && state.holds()) {
            drop(state);
            self.handle.wake();
            return Ok(Pushed { loss, advice: None });
        }
        let advice = state.look();
        Ok(Pushed { loss, advice })
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
        let handover = state.handover.take();
        state.phase = Phase::Closed;
        drop(state);
        drop(handover);
        if let Some(connection) = connection {
            leave(connection, LINGER, None);
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
            throughput: state.throughput.throughput(),
            estimate: state.throughput.estimate(),
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
    fn begin(&mut self, now: Instant, notices: &mut Vec<Notice>) {
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
    fn set_up_socket(&mut self, lift: bool) {
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

    fn is_running(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.stage() == Stage::Running)
    }

    /// Looks what the network carries.
    fn look(&mut self) -> Option<Advice> {
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

    /// The server asks to be left.
    fn asked(
        &mut self,
        io: &Io<'_>,
        tc_url: Option<String>,
        description: String,
        notices: &mut Vec<Notice>,
    ) {
        let answer = self.asked_to_go(io, tc_url.as_deref());
        if !matches!(answer, Err(Refused::Again)) {
            notices.push(Notice::Asked {
                tc_url,
                description,
                answer,
            });
        }
    }

    /// Begins to connect to where the server wants us, and returns the `tcUrl` of that.
    fn asked_to_go(&mut self, io: &Io<'_>, tc_url: Option<&str>) -> Result<String, Refused> {
        let Some(present) = &self.present else {
            return Err(Refused::Off);
        };
        let place = self.redirects.follow(present, tc_url, io.now)?;
        let url = place.config.tc_url.clone();
        let under_way = matches!(&self.handover, Some(Handover::Making(successor))
            if successor.place().config.tc_url == url);
        if !under_way && let Phase::Open = self.phase {
            // One that was under way is left for it. Without descriptors it stays where it is.
            let successor = Successor::begin(place, io.token).ok();
            self.handover = successor.map(Handover::Making);
            self.asked_for_key = false;
        }
        Ok(url)
    }

    /// Looks how the next connection fares.
    fn mind_handover(&mut self, notices: &mut Vec<Notice>) {
        if !matches!(self.phase, Phase::Open) {
            // What is left to send is not worth it.
            self.handover = None;
        }
        let Some(Handover::Making(successor)) = &self.handover else {
            return;
        };
        let progress = successor.progress();
        if let Progress::Ready = progress
            && !std::mem::replace(&mut self.asked_for_key, true)
        {
            notices.push(Notice::NeedsKeyFrame);
        }
        if let Progress::Failed(error) = progress {
            let place = successor.place().clone();
            self.handover = match Cause::of(&error) {
                // The name is taken by ourselves, most likely: it is the same server, or one of a cluster.
                Cause::Busy => Some(Handover::Breaking(Box::new(place))),
                _ => {
                    notices.push(Notice::Stayed(place.config.tc_url, error));
                    None
                }
            };
        }
    }

    /// Whether the next tag is one that another connection can begin with, and there is one.
    fn is_at_switch(&self) -> bool {
        let may = match &self.handover {
            None => return false,
            Some(Handover::Making(successor)) => successor.is_ready(),
            Some(Handover::Breaking(_)) => true,
        };
        may && self
            .queue
            .front()
            .is_some_and(|tag| match self.has_pictures {
                true => tag.is_keyframe(),
                false => tag.is_droppable(),
            })
    }

    /// Goes on at another connection; what was sent before goes out on the old one.
    fn switch(
        &mut self,
        io: &Io<'_>,
        inner: &Inner,
        notices: &mut Vec<Notice>,
    ) -> Result<(), ConnectionError> {
        let patience = match inner.stall_timeout {
            Duration::ZERO => FAREWELL,
            patience => patience,
        };
        let (place, next) = match self.handover.take() {
            None => return Ok(()),
            Some(Handover::Breaking(place)) => (*place, None),
            Some(Handover::Making(successor)) => {
                let place = successor.place().clone();
                match successor.take() {
                    Some(next) => (place, Some(next)),
                    None => return Ok(()),
                }
            }
        };
        let (old, wake) = (self.let_go(), next.is_none().then_some(io.token));
        let left = old.map(|old| leave(old, patience, wake));
        (self.cut, self.stall) = (self.sent > 0, Stall::default());
        match next {
            None => self.left = left,
            Some((mut next, asked)) => {
                next.stack().reregister(io.registry, io.token)?;
                next.stack().on_ready(Ready::UNKNOWN);
                self.connection = Some(next);
                self.fits = false;
                self.present = Some(place.clone());
                notices.push(Notice::Moved(place.config.tc_url.clone()));
                self.begin(io.now, notices);
                (self.redirect, self.tried) = (Some(place), 0);
                if let Some((tc_url, description)) = asked {
                    self.asked(io, tc_url, description, notices);
                }
                return Ok(());
            }
        }
        (self.redirect, self.tried) = (Some(place), 0);
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
    fn pump(&mut self) -> Result<Pumped, ConnectionError> {
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
