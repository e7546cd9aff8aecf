// SPDX-License-Identifier: MPL-2.0

//! A publication: tags in, a [`Connection`] on the reactor out.
//!
//! [`Publisher::push`] writes on the caller's thread as long as the socket takes it; what it does
//! not take waits in a bounded queue and goes out on the reactor's thread, which also connects,
//! reads and answers while no tag comes. Nothing holds the lock while it waits.

mod handover;
mod turn;

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use handover::Handover;
use turn::Pumped;

use super::{
    connection::{Connection, ConnectionError},
    leave::{LINGER, Left, leave},
    queue::{Dropped, Loss, Queue, QueueLimits},
    reactor::{Handle, Reactor},
    reconnect::{Policy, Reconnect, Retry},
    redirect::{Place, Redirects, Refused, Rules},
    throughput::{Advice, Throughput},
};
use crate::protocol::{
    flv::{Headers, Needs, Tag, TagKind},
    rtmp::session::{Demand, LinkStats, Stage, Status},
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
