// SPDX-License-Identifier: MPL-2.0

//! The end of a publication that nobody waits for: the commands that free the stream's name go out
//! behind what is unsent, on the caller's thread as far as the socket takes them, then on the
//! reactor.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

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

/// Ends the stream, if one began, and closes the connection. Waits for nothing.
pub(super) fn leave(mut connection: Connection) {
    let stage = connection.stage();
    if stage < Stage::Start {
        return connection.stack().shutdown();
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
        shut: false,
        until: None,
    };
    if leave.say().is_ok()
        && let Ok(reactor) = Reactor::global()
    {
        reactor.spawn(Arc::new(Leaving(Mutex::new(leave))));
    }
}

struct Leave {
    connection: Connection,
    /// All is said.
    shut: bool,
    /// Set in the first turn.
    until: Option<Instant>,
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
                *self.until.insert(io.now + LINGER)
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
        self.say()?;
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
