// SPDX-License-Identifier: MPL-2.0

//! What is known of clients, those that are there and those that are gone.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Why a client is no longer served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It closed the connection.
    Left,
    /// The connection broke, or its [`Protocol`](super::Protocol) did.
    Failed,
    /// It fell too far behind.
    Slow,
    /// It took nothing for too long.
    Stalled,
    /// The user had it removed.
    Kicked,
    /// The stream ended.
    Ended,
    /// It has all that it asked for.
    Complete,
    /// It was [handed over](super::Desk::hand_over).
    Moved,
}

/// A client that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The user's name for it.
    pub id: u64,
    /// Why.
    pub reason: Reason,
    /// Bytes that its connection took, heads and framing included.
    pub bytes: u64,
    /// Blocks that it missed because it was too slow.
    pub dropped: u64,
    /// How long it was served.
    pub connected: Duration,
}

/// What is known of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientFigures {
    /// The user's name for it.
    pub id: u64,
    /// Bytes that its connection took.
    pub bytes: u64,
    /// Blocks that it missed because it was too slow.
    pub dropped: u64,
    /// Bytes between what it was sent last and the newest block.
    pub lag_bytes: u64,
    /// Time between them, in milliseconds.
    pub lag_time: u64,
    /// Since when it is served.
    pub since: Instant,
    /// The kernel's estimate of the round trip, not older than a second when asked for again and
    /// again; unknown at first.
    pub rtt: Option<Duration>,
}

/// A place in the stream.
#[derive(Debug, Default)]
pub(super) struct Position {
    bytes: AtomicU64,
    time: AtomicU64,
}

impl Position {
    pub(super) fn set(&self, bytes: u64, time: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.time.store(time, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> (u64, u64) {
        (
            self.bytes.load(Ordering::Relaxed),
            self.time.load(Ordering::Relaxed),
        )
    }
}

/// A client's counters, written by the thread and read by anybody.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) id: u64,
    since: Instant,
    bytes: AtomicU64,
    dropped: AtomicU64,
    /// Behind the last block it was sent; `u64::MAX` before the first.
    pub(super) at: Position,
    /// Microseconds; zero is unknown.
    pub(super) rtt: AtomicU64,
}

impl Figures {
    pub(super) fn new(id: u64) -> Self {
        Self {
            id,
            since: Instant::now(),
            bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            at: Position {
                bytes: AtomicU64::new(u64::MAX),
                time: AtomicU64::new(u64::MAX),
            },
            rtt: AtomicU64::new(0),
        }
    }

    pub(super) fn add_bytes(&self, bytes: usize) {
        add(&self.bytes, bytes as u64);
    }

    pub(super) fn add_dropped(&self, blocks: u64) {
        add(&self.dropped, blocks);
    }

    pub(super) fn read(&self, bytes: u64, time: u64) -> ClientFigures {
        let at = self.at.get();
        let rtt = self.rtt.load(Ordering::Relaxed);
        ClientFigures {
            id: self.id,
            bytes: self.bytes.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            lag_bytes: bytes.saturating_sub(at.0),
            lag_time: time.saturating_sub(at.1),
            since: self.since,
            rtt: (rtt > 0).then(|| Duration::from_micros(rtt)),
        }
    }

    pub(super) fn report(&self, reason: Reason, now: Instant) -> Report {
        Report {
            id: self.id,
            reason,
            bytes: self.bytes.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            connected: now.saturating_duration_since(self.since),
        }
    }
}

/// Only one thread writes; a locked instruction for each client and batch would be for nothing.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}
