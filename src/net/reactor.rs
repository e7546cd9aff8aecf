// SPDX-License-Identifier: MPL-2.0

//! One thread that waits for the sockets of everything without a thread of its own: publishing
//! sinks and listening ports.
//!
//! A [`Task`] never waits: its turn does what can be done and says when it wants the next one. So a
//! slow peer costs the others nothing, and hundreds of sinks cost one thread. What a pipeline sends
//! goes out on the pipeline's own thread as long as the socket takes it; this thread sees to what is
//! left: connecting, reading, and writing after a full socket buffer.

use std::{
    cell::RefCell,
    collections::{BTreeSet, HashMap},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::stream::Ready;
use mio::{Events, Poll, Registry, Token, Waker};
use once_cell::sync::OnceCell;

const WAKE: Token = Token(usize::MAX);
/// Events taken from the kernel at a time.
const EVENTS: usize = 256;

/// Something that lives on the reactor.
pub trait Task: Send + Sync {
    /// Does whatever can be done without waiting.
    fn turn(&self, io: &Io<'_>) -> Next;
}

/// What a turn has to work with.
#[derive(Debug)]
pub struct Io<'a> {
    /// Where sockets register.
    pub registry: &'a Registry,
    /// For the task's one socket.
    pub token: Token,
    /// Wakes the reactor from other threads; tasks in [`Next::on_wake`] state get a turn then.
    pub waker: &'a Arc<Waker>,
    /// The time of this turn.
    pub now: Instant,
    /// What the poll reported for the socket.
    pub ready: Ready,
}

/// When a task wants its next turn, besides for its socket and for [`Handle::wake`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Next {
    /// At this time.
    pub deadline: Option<Instant>,
    /// Whenever the waker is used by anybody: while a host name is being looked up.
    pub on_wake: bool,
    /// Never again: the task is taken off.
    pub done: bool,
}

/// The reactor of the process.
pub struct Reactor {
    registry: Registry,
    waker: Arc<Waker>,
    next_token: AtomicUsize,
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    tasks: HashMap<Token, Arc<dyn Task>>,
    woken: Vec<Token>,
}

thread_local! {
    /// Whom this thread is to wake, while it holds that back.
    static HELD: RefCell<Option<Vec<Token>>> = const { RefCell::new(None) };
}

/// So many are woken by one call at most: the first of them waits for the last.
const MOST_HELD: usize = 64;

/// While it lives, this thread wakes tasks a few at a time: each call is a system call and, on another
/// processor, a thread that falls asleep again before the next.
pub(super) struct Together(());

impl Together {
    pub(super) fn new() -> Self {
        HELD.set(Some(Vec::new()));
        Self(())
    }
}

impl Drop for Together {
    fn drop(&mut self) {
        let held = HELD.take().unwrap_or_default();
        if let (false, Ok(reactor)) = (held.is_empty(), Reactor::global()) {
            reactor.wake_now(&held);
        }
    }
}

/// Keeps a task on the reactor; dropping it takes the task off.
pub struct Handle {
    reactor: &'static Reactor,
    token: Token,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Handle").field(&self.token).finish()
    }
}

impl Handle {
    /// Gives the task a turn soon.
    pub fn wake(&self) {
        self.reactor.wake(&[self.token]);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let task = self.reactor.lock().tasks.remove(&self.token);
        // Outside of the lock: the task may close sockets.
        drop(task);
    }
}

impl Reactor {
    /// The reactor of the process, started at first use.
    ///
    /// # Errors
    /// The system's, when it is out of descriptors or threads; the next call tries again.
    pub fn global() -> io::Result<&'static Self> {
        // `OnceLock` has no stable fallible initialisation.
        static REACTOR: OnceCell<&'static Reactor> = OnceCell::new();
        REACTOR.get_or_try_init(Self::start).copied()
    }

    /// Puts a task on the reactor and gives it its first turn soon.
    pub fn add(&'static self, task: Arc<dyn Task>) -> Handle {
        let handle = Handle {
            reactor: self,
            token: self.insert(task),
        };
        handle.wake();
        handle
    }

    /// Puts a task on the reactor that stays until it says that it is done.
    pub fn spawn(&'static self, task: Arc<dyn Task>) {
        self.wake(&[self.insert(task)]);
    }

    /// Gives tasks a turn soon.
    pub fn wake(&self, tokens: &[Token]) {
        let held = HELD.with_borrow_mut(|held| {
            let held = held.as_mut()?;
            held.extend(tokens);
            Some((held.len() >= MOST_HELD).then(|| std::mem::take(held)))
        });
        match held {
            None => self.wake_now(tokens),
            Some(Some(many)) => self.wake_now(&many),
            Some(None) => {}
        }
    }

    fn wake_now(&self, tokens: &[Token]) {
        let mut shared = self.lock();
        let asleep = shared.woken.is_empty();
        shared.woken.extend(tokens);
        drop(shared);
        // Whoever put the first in has woken it, and it takes all.
        if asleep {
            // A full pipe of wake-ups is a wake-up too.
            let _ = self.waker.wake();
        }
    }

    fn insert(&self, task: Arc<dyn Task>) -> Token {
        let token = Token(self.next_token.fetch_add(1, Ordering::Relaxed));
        self.lock().tasks.insert(token, task);
        token
    }

    fn start() -> io::Result<&'static Self> {
        let poll = Poll::new()?;
        let reactor: &'static Self = Box::leak(Box::new(Self {
            registry: poll.registry().try_clone()?,
            waker: Arc::new(Waker::new(poll.registry(), WAKE)?),
            next_token: AtomicUsize::new(0),
            shared: Mutex::default(),
        }));
        thread::Builder::new()
            .name("rtmp-io".to_owned())
            .spawn(move || reactor.run(poll))?;
        Ok(reactor)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut poll: Poll) {
        let mut events = Events::with_capacity(EVENTS);
        let mut timers = Timers::default();
        let mut ready: HashMap<Token, Ready> = HashMap::new();
        loop {
            let wait = timers
                .first()
                .map(|at| at.saturating_duration_since(Instant::now()));
            // epoll counts in ms and rounds down: a timer must not spin through its last one.
            let wait = wait.map(|wait| if wait.is_zero() { wait } else { wait + MS });
            if poll.poll(&mut events, wait).is_err() {
                // Interrupted by a signal, the only error of a poll that exists.
                continue;
            }
            let now = Instant::now();
            for event in &events {
                if event.token() == WAKE {
                    let woken = std::mem::take(&mut self.lock().woken);
                    // Into what the poll reported of the same socket, and never over it: edges come
                    // once.
                    for token in woken.iter().chain(&timers.on_wake) {
                        ready.entry(*token).or_default();
                    }
                } else {
                    *ready.entry(event.token()).or_default() |= Ready::from(event);
                }
            }
            for token in timers.expired(now) {
                ready.entry(token).or_default();
            }
            for (token, ready) in ready.drain() {
                let Some(task) = self.lock().tasks.get(&token).cloned() else {
                    timers.forget(token);
                    continue;
                };
                let io = Io {
                    registry: &self.registry,
                    token,
                    waker: &self.waker,
                    now,
                    ready,
                };
                // A fault in one task must not end the streams of all the others.
                match catch_unwind(AssertUnwindSafe(|| task.turn(&io))) {
                    Ok(next) if !next.done => timers.set(token, next),
                    _ => {
                        timers.forget(token);
                        let task = self.lock().tasks.remove(&token);
                        // Outside of the lock: the task may put another one on the reactor.
                        drop(task);
                    }
                }
            }
        }
    }
}

const MS: Duration = Duration::from_millis(1);

/// Who wants a turn when.
#[derive(Default)]
struct Timers {
    order: BTreeSet<(Instant, Token)>,
    deadlines: HashMap<Token, Instant>,
    on_wake: BTreeSet<Token>,
}

impl Timers {
    fn first(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    fn set(&mut self, token: Token, next: Next) {
        let known = self.deadlines.get(&token).copied();
        if known != next.deadline {
            self.forget(token);
            if let Some(at) = next.deadline {
                self.deadlines.insert(token, at);
                self.order.insert((at, token));
            }
        }
        if next.on_wake {
            self.on_wake.insert(token);
        } else {
            self.on_wake.remove(&token);
        }
    }

    fn forget(&mut self, token: Token) {
        if let Some(at) = self.deadlines.remove(&token) {
            self.order.remove(&(at, token));
        }
        self.on_wake.remove(&token);
    }

    fn expired(&mut self, now: Instant) -> Vec<Token> {
        let mut tokens = Vec::new();
        while let Some((at, token)) = self.order.first().copied() {
            if at > now {
                break;
            }
            self.order.pop_first();
            self.deadlines.remove(&token);
            tokens.push(token);
        }
        tokens
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    struct Told {
        turns: Mutex<Sender<Instant>>,
        next: Mutex<Vec<Next>>,
    }

    impl Task for Told {
        fn turn(&self, io: &Io<'_>) -> Next {
            let _ = self.turns.lock().unwrap().send(io.now);
            self.next.lock().unwrap().pop().unwrap_or_default()
        }
    }

    #[test]
    fn turns_come_at_once_when_woken_and_on_time() {
        let (turns, seen) = channel();
        let at = Instant::now() + Duration::from_millis(20);
        let next = vec![Next {
            deadline: Some(at),
            ..Next::default()
        }];
        let task = Arc::new(Told {
            turns: Mutex::new(turns),
            next: Mutex::new(next),
        });
        let handle = Reactor::global().unwrap().add(task);
        let limit = Duration::from_secs(5);
        seen.recv_timeout(limit).unwrap();
        assert!(seen.recv_timeout(limit).unwrap() >= at);
        handle.wake();
        seen.recv_timeout(limit).unwrap();
        drop(handle);
        // The task, and with it the sender, is gone.
        assert!(seen.recv_timeout(limit).is_err());
    }

    #[test]
    fn who_is_woken_together_is_woken_at_the_end() {
        let reactor = Reactor::global().unwrap();
        let (turns, seen) = channel();
        let task = Arc::new(Told {
            turns: Mutex::new(turns),
            next: Mutex::default(),
        });
        let handle = reactor.add(task);
        let limit = Duration::from_secs(5);
        seen.recv_timeout(limit).unwrap();
        let together = Together::new();
        handle.wake();
        assert!(reactor.lock().woken.iter().all(|t| *t != handle.token));
        assert!(seen.try_recv().is_err());
        drop(together);
        seen.recv_timeout(limit).unwrap();
        // As many as there may be are not kept waiting for more.
        let _together = Together::new();
        for _ in 0..MOST_HELD {
            handle.wake();
        }
        seen.recv_timeout(limit).unwrap();
    }

    #[test]
    fn a_fault_stays_with_its_task() {
        struct Faulty;
        impl Task for Faulty {
            fn turn(&self, _: &Io<'_>) -> Next {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
        }
        let reactor = Reactor::global().unwrap();
        let _faulty = reactor.add(Arc::new(Faulty));
        let (turns, seen) = channel();
        let task = Arc::new(Told {
            turns: Mutex::new(turns),
            next: Mutex::default(),
        });
        let _handle = reactor.add(task);
        seen.recv_timeout(Duration::from_secs(5)).unwrap();
    }
}
