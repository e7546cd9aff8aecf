// SPDX-License-Identifier: MPL-2.0

//! One client connection, from looking up the host to the last message: a [`Stack`] and the
//! [`ClientSession`] on it, never waiting.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Registry, Token, Waker};

use super::{
    NetError,
    stack::{Establish, Read, Stack, Target, Write},
};
use crate::protocol::{
    flv::{Tag, TagKind},
    rtmp::session::{
        ClientConfig, ClientEvent, ClientSession, LinkStats, SessionError, Stage, Status,
    },
    rtmpt::TunnelStats,
};

/// Read at a time: as much as a socket usually holds when a reader was woken for it.
pub(super) const READ: usize = 64 * 1024;

/// Connections made one after another because a server answered with a challenge. Adobe's takes
/// three (no credentials, user name, response); whatever wants more wants it for ever.
const MAX_RETRIES: u32 = 4;

/// A server that says that the stream runs, and closes within this time before anything flowed, has
/// thought better of it: nginx-rtmp 1.2 announces a stream before it looks at its access rules.
pub(super) const SECOND_THOUGHT: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Below the session.
    #[error(transparent)]
    Net(#[from] NetError),
    /// In the session.
    #[error("{error}")]
    Session {
        /// How far the session had come.
        stage: Stage,
        /// What was wrong.
        error: SessionError,
    },
    /// The server said that it closes the connection, and why.
    #[error("the server closed the connection; {status}")]
    Dismissed {
        /// How far the session had come.
        stage: Stage,
        /// The server's words.
        status: Status,
    },
    /// The server closed the connection at this stage; `truncated` where it was cut: by a reset, or
    /// TLS ended without saying so.
    #[error("{}", closed_sentence(*.stage))]
    Closed {
        /// How far the session had come.
        stage: Stage,
        /// Something may be missing at the end.
        truncated: bool,
    },
    /// The server took nothing of what was sent.
    #[error("the server has taken no data for {after:?}; it is stuck or the network is down")]
    Stalled {
        /// For how long.
        after: Duration,
    },
    /// The server sent nothing of what it plays.
    #[error("the server has sent nothing for {after:?}; it is stuck or the network is down")]
    Silent {
        /// For how long.
        after: Duration,
    },
    /// The server asked for credentials again and again.
    #[error("the server asks for credentials again and again; user name or password are wrong")]
    TooManyRetries,
}

fn closed_sentence(stage: Stage) -> &'static str {
    match stage {
        Stage::Handshake => {
            "the server closed the connection during the handshake; is it an RTMP server?"
        }
        Stage::Connect => {
            "the server closed the connection when asked for the application; check its name and \
             what the server allows"
        }
        Stage::CreateStream | Stage::Start => {
            "the server closed the connection when asked for the stream; check its name, whether it \
             is in use, and what the server allows"
        }
        Stage::Running | Stage::Stopped => "the server closed the connection",
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct Connection {
    target: Target,
    stack: Stack,
    /// Exists once bytes can flow: its deadlines count from there.
    session: Option<ClientSession>,
    config: Option<ClientConfig>,
    waker: Arc<Waker>,
    buffer: Box<[u8]>,
    retries: u32,
    closed: bool,
    /// Why the server, which may know nothing of Enhanced RTMP, is being asked again without it.
    stumbled: Option<ConnectionError>,
    opened: Instant,
    /// How long it took until the stream ran.
    connect_time: Option<Duration>,
    /// Since when the stream runs, until something flows.
    bare_since: Option<Instant>,
}

impl Connection {
    /// A connection to be made by [`turn`](Self::turn)s on the poll that `waker` wakes.
    pub fn open(target: Target, config: ClientConfig, waker: Arc<Waker>, now: Instant) -> Self {
        Self {
            stack: Stack::connect(target.clone(), waker.clone()),
            target,
            session: None,
            config: Some(config),
            waker,
            buffer: vec![0; READ].into_boxed_slice(),
            retries: 0,
            closed: false,
            stumbled: None,
            opened: now,
            connect_time: None,
            bare_since: None,
        }
    }

    /// The socket and what is under way below the session.
    pub fn stack(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// The session, once bytes can flow.
    pub fn session(&mut self) -> Option<&mut ClientSession> {
        self.session.as_mut()
    }

    /// How far the session has come.
    pub fn stage(&self) -> Stage {
        self.session
            .as_ref()
            .map_or(Stage::Handshake, ClientSession::stage)
    }

    /// Whether a host name may be being looked up, which ends with a use of the waker.
    pub fn is_establishing(&self) -> bool {
        self.session.is_none()
    }

    /// Whether something waits below the session, for the network or for its time.
    pub fn holds(&self) -> bool {
        self.stack.wants_write()
    }

    /// Figures of the tunnel, where there is one.
    pub fn tunnel_stats(&self) -> Option<TunnelStats> {
        self.stack.tunnel_stats()
    }

    /// How long it took from the beginning until the stream ran.
    pub fn connect_time(&self) -> Option<Duration> {
        self.connect_time
    }

    /// Counters of the session.
    pub fn stats(&self) -> LinkStats {
        self.session
            .as_ref()
            .map(ClientSession::stats)
            .unwrap_or_default()
    }

    /// When [`turn`](Self::turn) wants to be called although nothing happened.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.session {
            None => self.stack.deadline(),
            Some(session) => [session.poll_timeout(), self.stack.deadline()]
                .into_iter()
                .flatten()
                .min(),
        }
    }

    /// Does what can be done without waiting, until there is an event. `None` means that the socket,
    /// the waker or the deadline has to be waited for.
    ///
    /// # Errors
    /// The connection is of no further use then.
    pub fn turn(
        &mut self,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> Result<Option<ClientEvent>, ConnectionError> {
        loop {
            let error = match self.step(registry, token, now) {
                Ok(event) => return Ok(event),
                Err(error) => error,
            };
            match self.plainer(&error) {
                Some(config) => {
                    self.stumbled = Some(error);
                    self.retry(config, registry)?;
                }
                // What was wrong at first is what was wrong.
                None if !self.is_connected() => return Err(self.stumbled.take().unwrap_or(error)),
                None => return Err(error),
            }
        }
    }

    /// What to ask a server for that gave no answer to the connect command.
    fn plainer(&self, error: &ConnectionError) -> Option<ClientConfig> {
        match error {
            ConnectionError::Closed { .. }
            | ConnectionError::Session {
                error: SessionError::Timeout(_),
                ..
            } => self.session.as_ref()?.without_enhanced(),
            _ => None,
        }
    }

    fn is_connected(&self) -> bool {
        !matches!(self.stage(), Stage::Handshake | Stage::Connect)
    }

    fn step(
        &mut self,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> Result<Option<ClientEvent>, ConnectionError> {
        loop {
            let Some(session) = &mut self.session else {
                if self.stack.establish(registry, token, now)? != Establish::Ready {
                    return Ok(None);
                }
                let config = self.config.take().ok_or(ConnectionError::TooManyRetries)?;
                let seed = seed()?;
                self.session = Some(match self.stack.swf_key() {
                    Some(swf_key) => ClientSession::past_handshake(config, now, seed, swf_key),
                    None => ClientSession::new(config, now, seed),
                });
                continue;
            };
            if let Some(event) = session.poll_event() {
                match event {
                    ClientEvent::Retry(config) => self.retry(*config, registry)?,
                    // Flash Player's NetConnection is closed then, whenever the socket is.
                    ClientEvent::Closed(status) => return Err(dismissed(session.stage(), status)),
                    event => {
                        match event {
                            ClientEvent::Stage(Stage::Running) => {
                                self.connect_time.get_or_insert(now - self.opened);
                                self.bare_since = Some(now);
                            }
                            // nginx-rtmp's |RtmpSampleAccess precedes its second thought.
                            ClientEvent::Media(ref tag) if tag.kind() != TagKind::Data => {
                                self.bare_since = None;
                            }
                            _ => {}
                        }
                        return Ok(Some(event));
                    }
                }
                continue;
            }
            if self.closed {
                let (stage, truncated) = (session.stage(), self.stack.truncated());
                return Err(self.refusal(ConnectionError::Closed { stage, truncated }, now));
            }
            let timeout = session.handle_timeout(now);
            timeout.map_err(|error| in_session(session, error))?;
            self.stack.drive(registry, token, now)?;
            let flushed = self.flush();
            // Where writing failed, the server may have said why before it closed.
            match (self.read(now), flushed) {
                (Ok(true), _) => {}
                (Err(error), _) | (Ok(false), Err(error)) => {
                    return Err(self.refusal(error, now));
                }
                (Ok(false), Ok(_)) => return Ok(None),
            }
        }
    }

    /// Queues a tag of a publication; [`flush`](Self::flush) sends it.
    pub fn send_media(&mut self, tag: &Tag) {
        if let Some(session) = &mut self.session {
            session.send_media(tag);
            self.bare_since = None;
        }
    }

    /// Bytes that were queued and not yet taken by the kernel.
    pub fn unsent(&mut self) -> usize {
        self.session
            .as_mut()
            .map_or(0, |session| session.poll_transmit().len())
    }

    /// Writes until all is written or the kernel takes no more.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn flush(&mut self) -> Result<Write, ConnectionError> {
        let Some(session) = &mut self.session else {
            return Ok(Write::Blocked);
        };
        loop {
            let transmit = session.poll_transmit();
            if transmit.is_empty() && !self.stack.wants_write() {
                return Ok(Write::Drained);
            }
            match self.stack.write(transmit) {
                Ok(Write::Blocked) => return Ok(Write::Blocked),
                Ok(Write::Drained) => {}
                Err(error) => return Err(cut(error, session.stage())),
            }
        }
    }

    /// Reads once; false when there is nothing to read now.
    fn read(&mut self, now: Instant) -> Result<bool, ConnectionError> {
        let Some(session) = &mut self.session else {
            return Ok(false);
        };
        let mut taken = Ok(());
        let read = self.stack.read_to(&mut self.buffer, &mut |bytes| {
            if taken.is_ok() {
                taken = session.handle_input(now, bytes);
            }
        });
        taken.map_err(|error| in_session(session, error))?;
        match read.map_err(|error| cut(error, session.stage()))? {
            Read::Data(_) => Ok(true),
            Read::WouldBlock => Ok(false),
            Read::Closed => {
                self.closed = true;
                Ok(true)
            }
        }
    }

    /// A close that was the server's answer to the command that starts the stream.
    fn refusal(&self, error: ConnectionError, now: Instant) -> ConnectionError {
        let at_once = |since| now.saturating_duration_since(since) < SECOND_THOUGHT;
        match error {
            ConnectionError::Closed {
                stage: Stage::Running,
                truncated,
            } if self.bare_since.is_some_and(at_once) => ConnectionError::Closed {
                stage: Stage::Start,
                truncated,
            },
            error => error,
        }
    }

    /// Connects anew as the server asked for.
    fn retry(&mut self, config: ClientConfig, registry: &Registry) -> Result<(), ConnectionError> {
        self.retries += 1;
        if self.retries > MAX_RETRIES {
            return Err(ConnectionError::TooManyRetries);
        }
        // Closing a socket takes it off the poll; failing to do so first is no loss.
        let _ = self.stack.deregister(registry);
        self.stack = Stack::connect(self.target.clone(), self.waker.clone());
        self.session = None;
        self.config = Some(config);
        self.closed = false;
        Ok(())
    }
}

fn in_session(session: &ClientSession, error: SessionError) -> ConnectionError {
    let stage = session.stage();
    ConnectionError::Session { stage, error }
}

fn dismissed(stage: Stage, status: Status) -> ConnectionError {
    if status.code.is_empty() && status.description.is_empty() {
        let truncated = false;
        return ConnectionError::Closed { stage, truncated };
    }
    ConnectionError::Dismissed { stage, status }
}

/// A reset is a close without manners: what the user has to look at is how far the session had come.
fn cut(error: NetError, stage: Stage) -> ConnectionError {
    match error {
        NetError::Closed {
            stage: super::Stage::Stream,
        } => ConnectionError::Closed {
            stage,
            truncated: true,
        },
        error => error.into(),
    }
}

/// Fresh randomness for a session.
pub(crate) fn seed() -> Result<[u8; 32], NetError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| NetError::Settings {
        reason: format!("the system has no random numbers to give: {error}"),
    })?;
    Ok(seed)
}
