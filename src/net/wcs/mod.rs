// SPDX-License-Identifier: MPL-2.0

//! Sessions with Web Call Servers: a [`ClientSession`] on a WebSocket, in a thread of its own, opened
//! again when it was lost.
//!
//! Whoever wants one [`joins`](Member::join), tells what it asks for by [`Member::tell`], and hears of what
//! happens by its callback. Several members may share a session. With the last one the thread says
//! goodbye and ends, and nobody waits for it.

mod driver;
mod live;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mio::Waker;
use serde_json::Value;

use super::{
    NetError,
    reconnect::Policy,
    stack::Target,
    websocket::{Opening, WebSocketError},
};
use crate::protocol::wcs::{
    StreamEventType,
    message::{PlayStream, PublishStream},
    session::{AskError, ClientSession, Event, SessionConfig, SessionError, Stats},
};

/// What a session is to be.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to connect to.
    pub target: Target,
    /// How to open the WebSocket.
    pub opening: Opening,
    /// What to say on it.
    pub session: SessionConfig,
    /// What to do when it is lost.
    pub reconnect: Policy,
}

/// Why a session was lost.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Below the session.
    #[error(transparent)]
    WebSocket(#[from] WebSocketError),
    /// In the session.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl Failure {
    /// Whether it would be the same the next time.
    pub fn is_final(&self) -> bool {
        match self {
            Self::WebSocket(WebSocketError::Net(NetError::Settings { .. }))
            | Self::Session(SessionError::Refused(_)) => true,
            Self::WebSocket(WebSocketError::Net(NetError::Tls { flags, .. })) => !flags.is_empty(),
            // It has to change its mind or its configuration; 5xx pass by themselves.
            Self::WebSocket(WebSocketError::Http(status)) => (400..500).contains(status),
            _ => false,
        }
    }
}

/// What a member hears.
#[derive(Clone, Debug)]
pub enum Notice {
    /// It is being connected, for the `n`th time since the last success.
    Connecting(u32),
    /// The WebSocket is open.
    Connected,
    /// Something in the session. [`Event::Failed`] does not come: see `Lost`.
    Session(Event),
    /// A call cannot be asked for.
    Refused {
        /// The call.
        id: String,
        /// Why.
        error: AskError,
    },
    /// The session is lost, and its calls with it.
    Lost {
        /// Why.
        failure: Arc<Failure>,
        /// When it will be tried again; `None` for never.
        again: Option<Duration>,
    },
}

/// What a member asks for.
#[derive(Clone, Debug)]
pub enum Command {
    /// See [`ClientSession::publish`].
    Publish(PublishStream),
    /// See [`ClientSession::play`].
    Play(PlayStream),
    /// See [`ClientSession::end`].
    End(String),
    /// See [`ClientSession::abandon`].
    Abandon(String),
    /// See [`ClientSession::ask_available`].
    AskAvailable {
        /// Of the question.
        id: String,
        /// Of the stream.
        name: String,
    },
    /// See [`ClientSession::send_data`].
    SendData {
        /// Of the operation.
        id: String,
        /// For the application.
        payload: Value,
    },
    /// See [`ClientSession::send_stream_event`].
    SendStreamEvent {
        /// The call.
        id: String,
        /// What happened.
        kind: StreamEventType,
        /// More about it.
        payload: Option<Value>,
    },
    /// See [`ClientSession::snapshot`].
    Snapshot(String),
}

type Notify = Arc<dyn Fn(Notice) + Send + Sync>;

/// Sessions that can be shared, by name and URI.
static SHARED: LazyLock<Mutex<Sessions>> = LazyLock::new(Mutex::default);

type Sessions = HashMap<(String, String), Weak<Session>>;

/// What members and thread share.
struct Session {
    inbox: Mutex<Inbox>,
    waker: Arc<Waker>,
    stats: Mutex<Stats>,
}

#[derive(Default)]
struct Inbox {
    commands: VecDeque<(u64, Request)>,
    members: usize,
}

enum Request {
    Join(Notify),
    Tell(Box<Command>),
    Leave,
}

/// A place in a session. Dropping it ends the member's calls.
pub struct Member {
    session: Arc<Session>,
    id: u64,
}

impl std::fmt::Debug for Member {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Member").field(&self.id).finish()
    }
}

impl Member {
    /// Joins the session of this name and URI, or begins it; without a name, one of its own. `notify` is
    /// called on the session's thread and must not wait. The settings are those of who came first.
    ///
    /// # Errors
    /// The system's, when it is out of descriptors or threads.
    pub fn join(
        name: Option<&str>,
        settings: Settings,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let mut shared = lock(&SHARED);
        let key = name.map(|name| {
            let address = &settings.opening.address;
            (name.to_owned(), format!("{address:?}"))
        });
        let known = key
            .as_ref()
            .and_then(|key| shared.get(key)?.upgrade())
            .filter(|session| lock(&session.inbox).members > 0);
        let session = match known {
            Some(session) => session,
            None => {
                let session = driver::start(settings)?;
                shared.retain(|_, session| session.strong_count() > 0);
                if let Some(key) = key {
                    shared.insert(key, Arc::downgrade(&session));
                }
                session
            }
        };
        lock(&session.inbox).members += 1;
        session.ask(id, Request::Join(Arc::new(notify)));
        Ok(Self { session, id })
    }

    /// Asks for something. What becomes of it is told.
    pub fn tell(&self, command: Command) {
        self.session.ask(self.id, Request::Tell(Box::new(command)));
    }

    /// Counters of the session.
    pub fn stats(&self) -> Stats {
        *lock(&self.session.stats)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // So that nobody joins a session in between that is about to end.
        let shared = lock(&SHARED);
        lock(&self.session.inbox).members -= 1;
        self.session.ask(self.id, Request::Leave);
        drop(shared);
    }
}

impl Session {
    fn ask(&self, member: u64, request: Request) {
        lock(&self.inbox).commands.push_back((member, request));
        // A full pipe of wake-ups is a wake-up too.
        let _ = self.waker.wake();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Applies a command to a session.
fn apply(
    session: &mut ClientSession,
    now: std::time::Instant,
    command: Command,
) -> Result<(), (String, AskError)> {
    let (id, result) = match command {
        Command::Publish(request) => {
            let id = request.media_session_id.clone();
            (id, session.publish(now, request))
        }
        Command::Play(request) => {
            let id = request.media_session_id.clone();
            (id, session.play(now, request))
        }
        // A call that is over already has ended as was asked for.
        Command::End(id) => return session.end(now, &id).or(Ok(())),
        Command::Abandon(id) => return session.abandon(now, &id).or(Ok(())),
        Command::AskAvailable { id, name } => {
            let result = session.ask_available(&id, &name);
            (id, result)
        }
        Command::SendData { id, payload } => {
            let result = session.send_data(&id, payload);
            (id, result)
        }
        Command::SendStreamEvent { id, kind, payload } => {
            let result = session.send_stream_event(&id, kind, payload);
            (id, result)
        }
        Command::Snapshot(id) => {
            let result = session.snapshot(&id);
            (id, result)
        }
    };
    result.map_err(|error| (id, error))
}
