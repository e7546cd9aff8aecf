// SPDX-License-Identifier: MPL-2.0

//! A suite of bad input for any RTMP server and any RTMP client, over the network.
//!
//! A [`Case`] is a connection that goes wrong: how far it is well ([`Stage`]), and what is sent then. The peer
//! may answer, go on or hang up, each is proper ([`Verdict`]); it may not fall silent, nor fall over. After each
//! case somebody who behaves has to be served. What exactly our own sessions make of the same input, cut at
//! every place, is told by their own tests; here is a whole process to be brought down.

// The test program and the example use parts of their own.
#![allow(dead_code, unreachable_pub)]

pub mod cases;
pub mod client;
pub mod report;
pub mod server;
pub mod wire;

// The one place that makes bytes which are wrong.
#[path = "../../../src/protocol/rtmp/session/tests/torture/wire.rs"]
mod bytes;

use std::{
    fmt, io,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use wire::Wire;

/// Who is tortured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Server,
    Client,
}

/// How far a connection gets before it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not a byte was sent.
    Socket,
    /// The handshake is over. A client has asked to connect.
    Greeted,
    /// `connect` was granted.
    Connected,
    /// The server takes a stream of ours.
    Publishing,
    /// The server plays one to us.
    Playing,
    /// The client publishes or plays, whichever it came for.
    Streaming,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Socket => "socket",
            Self::Greeted => "greeted",
            Self::Connected => "connected",
            Self::Publishing => "publishing",
            Self::Playing => "playing",
            Self::Streaming => "streaming",
        })
    }
}

/// What is sent, and what it takes to tell how it was taken.
pub type Script = Box<dyn Fn(&mut Wire) -> io::Result<Then> + Send + Sync>;

/// How to judge a script that ran to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The peer has to answer, or to hang up.
    Judge,
    /// What the script saw was a proper answer.
    Answered,
}

pub struct Case {
    /// In the list of bad inputs (see docs/reliability.md).
    pub item: u8,
    pub name: String,
    pub target: Target,
    pub stage: Stage,
    /// What a client is to be called with.
    pub scheme: &'static str,
    pub script: Script,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered, and the connection lives.
    Answered,
    /// The peer hung up.
    Closed,
    /// Neither, or nobody else was served any more.
    Hung(String),
    /// The process is gone, or it said that it panicked.
    Crashed(String),
    /// It took memory as it was told to.
    Swelled(String),
    /// The peer does not come as far as the case wants to go.
    Unreached(String),
}

impl Verdict {
    pub fn is_proper(&self) -> bool {
        matches!(self, Self::Answered | Self::Closed | Self::Unreached(_))
    }

    pub fn word(&self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Closed => "closed",
            Self::Hung(_) => "HUNG",
            Self::Crashed(_) => "CRASHED",
            Self::Swelled(_) => "SWELLED",
            Self::Unreached(_) => "not reached",
        }
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Answered | Self::Closed => "",
            Self::Hung(why) | Self::Crashed(why) | Self::Swelled(why) | Self::Unreached(why) => why,
        }
    }
}

/// What all runs have in common.
#[derive(Clone, Debug)]
pub struct Options {
    /// Longest wait for an answer or a close.
    pub patience: Duration,
    /// Send in pieces of so many bytes; 0 for in one.
    pub cut: usize,
    /// Cases at a time.
    pub jobs: usize,
    /// KiB that a peer whose process is known may grow by in a case.
    pub memory: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            cut: 0,
            jobs: 1,
            memory: 64 << 10,
        }
    }
}

/// A case and what became of it.
#[derive(Clone, Debug)]
pub struct Row {
    pub item: u8,
    pub name: String,
    pub stage: Stage,
    pub verdict: Verdict,
    pub took: Duration,
}

/// Runs the cases, `jobs` of them at a time, each by `run` with the number of its job; `seen` gets each row as
/// it comes.
pub fn run_all(
    cases: &[Case],
    options: &Options,
    run: impl Fn(&Case, usize) -> Verdict + Sync,
    seen: impl Fn(&Row) + Sync,
) -> Vec<Row> {
    let next = AtomicUsize::new(0);
    let rows = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for job in 0..options.jobs {
            let (next, rows, run, seen) = (&next, &rows, &run, &seen);
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let begun = std::time::Instant::now();
                    let row = Row {
                        item: case.item,
                        name: case.name.clone(),
                        stage: case.stage,
                        verdict: run(case, job),
                        took: begun.elapsed(),
                    };
                    seen(&row);
                    rows.lock().unwrap().push(row);
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort_by(|a, b| (a.item, &a.name).cmp(&(b.item, &b.name)));
    rows
}
