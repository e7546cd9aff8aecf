// SPDX-License-Identifier: MPL-2.0

//! The connection that is to take the place of another which still runs: made on the reactor, kept alive
//! there until its owner takes it, and left politely if nobody does.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use mio::Token;

use super::{
    connection::{Connection, ConnectionError},
    leave::{LINGER, leave},
    reactor::{Handle, Io, Next, Reactor, Task},
    redirect::Place,
};
use crate::protocol::rtmp::session::{ClientEvent, Stage};

/// See the module's text.
#[derive(Debug)]
pub(super) struct Successor {
    inner: Arc<Inner>,
    /// Takes the task off the reactor.
    _handle: Handle,
}

/// How far it is.
#[derive(Clone, Debug)]
pub(super) enum Progress {
    /// On the way.
    Going,
    /// The server takes the stream.
    Ready,
    /// It will not.
    Failed(Arc<ConnectionError>),
}

#[derive(Debug)]
struct Inner {
    /// Given a turn when there is progress.
    owner: Token,
    place: Place,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    /// Made in the first turn, where the reactor's waker is.
    connection: Option<Connection>,
    /// This server asks to be left in its turn.
    asked: Option<Asked>,
}

/// A server's request to be left: where to, and what it says to that.
pub(super) type Asked = (Option<String>, String);

impl Successor {
    /// Begins to connect. The task of `owner` is given a turn when that has worked or failed.
    ///
    /// # Errors
    /// The system's, when there are no descriptors or threads left for the reactor.
    pub(super) fn begin(place: Place, owner: Token) -> io::Result<Self> {
        let inner = Arc::new(Inner {
            owner,
            place,
            state: Mutex::new(State {
                progress: Progress::Going,
                connection: None,
                asked: None,
            }),
        });
        let handle = Reactor::global()?.add(inner.clone());
        Ok(Self {
            inner,
            _handle: handle,
        })
    }

    /// Where it leads.
    pub(super) fn place(&self) -> &Place {
        &self.inner.place
    }

    pub(super) fn progress(&self) -> Progress {
        self.inner.lock().progress.clone()
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.inner.lock().progress, Progress::Ready)
    }

    /// The connection, still registered under the token it was made with, and what its server asked for
    /// meanwhile.
    pub(super) fn take(self) -> Option<(Connection, Option<Asked>)> {
        let mut state = self.inner.lock();
        Some((state.connection.take()?, state.asked.take()))
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let unused = self.inner.lock().connection.take();
        if let Some(connection) = unused {
            leave(connection, LINGER, None);
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task for Inner {
    fn turn(&self, io: &Io<'_>) -> Next {
        let mut state = self.lock();
        let state = &mut *state;
        if let Progress::Failed(_) = state.progress {
            return Next::default();
        }
        let connection = match (&mut state.connection, &state.progress) {
            (Some(connection), _) => connection,
            (slot @ None, Progress::Going) => {
                let Place { target, config } = self.place.clone();
                slot.insert(Connection::open(target, config, io.waker.clone(), io.now))
            }
            // It was taken.
            (None, _) => return Next::default(),
        };
        connection.stack().on_ready(io.ready);
        loop {
            match connection.turn(io.registry, io.token, io.now) {
                Ok(Some(ClientEvent::Stage(Stage::Running))) => {
                    state.progress = Progress::Ready;
                    wake(self.owner);
                }
                Ok(Some(ClientEvent::ReconnectRequest {
                    tc_url,
                    description,
                })) => state.asked = Some((tc_url, description)),
                Ok(Some(_)) => {}
                Ok(None) => {
                    return Next {
                        deadline: connection.deadline(),
                        on_wake: connection.is_establishing(),
                        done: false,
                    };
                }
                Err(error) => {
                    state.progress = Progress::Failed(Arc::new(error));
                    state.connection = None;
                    wake(self.owner);
                    return Next::default();
                }
            }
        }
    }
}

fn wake(token: Token) {
    if let Ok(reactor) = Reactor::global() {
        reactor.wake(&[token]);
    }
}
