// SPDX-License-Identifier: MPL-2.0

//! The end of a publication that nobody waits for: the commands that free the stream's name go out
//! behind what is unsent, on the caller's thread as far as the socket takes them, then on the
//! reactor.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mio::Token;

use super::{
    connection::Connection,
    reactor::{Io, Next, Reactor, Task},
    stack::Write,
    stream::Ready,
};
use crate::protocol::rtmp::session::Stage;

/// How long a server may take to close after it was told that the stream is over. Closing first
/// could cut off what it has not read: a reset overtakes data.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// Ends the stream, if one began, and closes the connection. Waits for nothing. What is unsent may take
/// `patience` to go out. The task of `wake` is given a turn when the connection is gone.
pub(super) fn leave(mut connection: Connection, patience: Duration, wake: Option<Token>) -> Left {
    let left = Left::default();
    let mark = Mark(left.clone(), wake);
    let stage = connection.stage();
    if stage < Stage::Start {
        connection.stack().shutdown();
        return left;
    }
    if stage != Stage::Stopped
        && let Some(session) = connection.session()
    {
        session.stop();
    }
    // The reactor may not have had the time yet to say that there is room.
    connection.stack().on_ready(Ready::UNKNOWN);
    let mut leave = Leave {
        connection,
        patience,
        shut: false,
        until: None,
        _mark: mark,
    };
    if leave.say().is_ok()
        && let Ok(reactor) = Reactor::global()
    {
        reactor.spawn(Arc::new(Leaving(Mutex::new(leave))));
    }
    left
}

/// Tells whether a connection that was left is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Left(Arc<AtomicBool>);

impl Left {
    pub(super) fn is_gone(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Says so at the end, whichever that is.
struct Mark(Left, Option<Token>);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Release);
        if let (Some(token), Ok(reactor)) = (self.1, Reactor::global()) {
            reactor.wake(&[token]);
        }
    }
}

struct Leave {
    connection: Connection,
    patience: Duration,
    /// All is said.
    shut: bool,
    /// Set in the first turn.
    until: Option<Instant>,
    /// Behind the connection: what is closed is gone.
    _mark: Mark,
}

struct Leaving(Mutex<Leave>);

/// There is nothing left to do.
struct Gone;

impl Leave {
    fn say(&mut self) -> Result<(), Gone> {
        if !self.shut && self.connection.flush().map_err(|_| Gone)? == Write::Drained {
            self.connection.stack().shutdown();
            self.shut = true;
        }
        Ok(())
    }

    fn turn(&mut self, io: &Io<'_>) -> Result<Instant, Gone> {
        let stack = self.connection.stack();
        let until = match self.until {
            Some(until) => until,
            None => {
                // Until now the socket's events came to the publisher.
                let moved = stack.reregister(io.registry, io.token);
                moved.map_err(|_| Gone)?;
                *self.until.insert(io.now + self.patience)
            }
        };
        stack.on_ready(io.ready);
        // A socket that is closed with unread bytes is reset.
        loop {
            let event = self.connection.turn(io.registry, io.token, io.now);
            if event.map_err(|_| Gone)?.is_none() {
                break;
            }
        }
        let said = self.shut;
        self.say()?;
        let until = match self.shut && !said {
            true => *self.until.insert(until.min(io.now + LINGER)),
            false => until,
        };
        if io.now >= until {
            return Err(Gone);
        }
        let next = self.connection.deadline();
        Ok(next.map_or(until, |next| next.min(until)))
    }
}

impl Task for Leaving {
    fn turn(&self, io: &Io<'_>) -> Next {
        let mut leave = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = leave.turn(io);
        Next {
            deadline: next.as_ref().ok().copied(),
            done: next.is_err(),
            ..Next::default()
        }
    }
}
