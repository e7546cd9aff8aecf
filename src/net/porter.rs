// SPDX-License-Identifier: MPL-2.0

//! One listening socket per address for the whole process, shared by every element that listens
//! there.
//!
//! An element [`claim`]s an application and a stream. The porter shakes hands with whoever comes, on
//! the reactor, and hands a peer over, socket and session, when it publishes what was claimed. All
//! others are told why not.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use mio::net::{TcpListener, TcpStream};

use super::{
    connection::seed,
    reactor::{Handle, Io, Next, Reactor, Task},
    stack::{Establish, Read, Stack, Write},
};
use crate::protocol::rtmp::{
    amf::Object,
    limits,
    session::{ServerConfig, ServerEvent, ServerSession, SessionError},
};

/// How long a peer that was refused may take to read why.
const LINGER: Duration = Duration::from_secs(2);
/// Read at a time while shaking hands.
const READ: usize = 16 * 1024;

/// Why a claim was not granted.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another element has the same application and stream on that address.
    #[error("{app}/{stream} on {address} is already taken by another element")]
    Taken {
        /// The address.
        address: SocketAddr,
        /// The application.
        app: String,
        /// The stream.
        stream: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
}

/// What an element listens for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where. Port 0 takes a free one.
    pub address: SocketAddr,
    /// Application name; empty for any.
    pub app: String,
    /// Stream name; empty for any. Without a query it takes the name with every query.
    pub stream: String,
    /// Settings of the sessions.
    pub session: ServerConfig,
    /// Speaks TLS on this port.
    pub tls: Option<Arc<rustls::ServerConfig>>,
}

/// A publisher that was let in.
#[derive(Debug)]
pub struct Arrival {
    /// Its socket, not registered with any poll.
    pub stack: Stack,
    /// Its session, publishing.
    pub session: ServerSession,
    /// The message stream it publishes on.
    pub stream_id: u32,
    /// The application it named, query included.
    pub app: String,
    /// The stream it named, query included.
    pub stream: String,
    /// Where it comes from.
    pub peer: Option<SocketAddr>,
    /// What it said of itself when it connected.
    pub object: Object,
}

/// A claim that was granted; dropping it gives it back.
#[derive(Debug)]
pub struct Claim {
    port: Arc<Port>,
    entry: Arc<Entry>,
}

impl Claim {
    /// Where the porter listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.port.address
    }

    /// The publisher that came, if one did. Others are refused until [`release`](Self::release).
    pub fn take(&self) -> Option<Arrival> {
        self.entry.lock().arrival.take()
    }

    /// The publisher is gone: the next may come.
    pub fn release(&self) {
        self.entry.lock().occupied = false;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let entry = &self.entry;
        let mut ports = lock_ports();
        let mut entries = self.port.lock();
        entries.retain(|known| !Arc::ptr_eq(known, entry));
        if entries.is_empty() {
            drop(entries);
            ports.retain(|_, port| !std::ptr::eq(port.as_ptr(), Arc::as_ptr(&self.port)));
            // The listening socket closes with the last claim, not some time after it.
            drop(
                self.port
                    .handle
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(),
            );
            drop(
                self.port
                    .listener
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(),
            );
        }
    }
}

/// Claims an application and a stream on an address. `notify` is called, on any thread, when a
/// publisher has come; it must not wait.
///
/// # Errors
/// [`ClaimError`].
pub fn claim(
    wanted: Wanted,
    notify: impl Fn() + Send + Sync + 'static,
) -> Result<Claim, ClaimError> {
    let listen = |source| ClaimError::Listen {
        address: wanted.address,
        source,
    };
    let entry = Arc::new(Entry {
        app: wanted.app,
        stream: wanted.stream,
        notify: Box::new(notify),
        state: Mutex::default(),
    });
    let mut ports = lock_ports();
    let known = ports.get(&wanted.address).and_then(Weak::upgrade);
    let port = match known {
        Some(port) => {
            let mut entries = port.lock();
            if entries.iter().any(|other| other.overlaps(&entry)) {
                return Err(ClaimError::Taken {
                    address: wanted.address,
                    app: entry.app.clone(),
                    stream: entry.stream.clone(),
                });
            }
            entries.push(entry.clone());
            drop(entries);
            port
        }
        None => {
            let listener = TcpListener::bind(wanted.address).map_err(listen)?;
            let address = listener.local_addr().map_err(listen)?;
            let port = Arc::new_cyclic(|this| Port {
                this: this.clone(),
                address,
                session: wanted.session,
                tls: wanted.tls,
                entries: Mutex::new(vec![entry.clone()]),
                listener: Mutex::new(Some((listener, false))),
                handle: Mutex::new(None),
                peers: Arc::new(()),
            });
            let handle = Reactor::global().map_err(listen)?.add(port.clone());
            *port.handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
            ports.insert(address, Arc::downgrade(&port));
            port
        }
    };
    Ok(Claim { port, entry })
}

fn lock_ports() -> MutexGuard<'static, BTreeMap<SocketAddr, Weak<Port>>> {
    static PORTS: Mutex<BTreeMap<SocketAddr, Weak<Port>>> = Mutex::new(BTreeMap::new());
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Entry {
    app: String,
    stream: String,
    notify: Box<dyn Fn() + Send + Sync>,
    state: Mutex<Place>,
}

/// Room for one publisher.
#[derive(Default)]
struct Place {
    occupied: bool,
    arrival: Option<Arrival>,
}

impl Entry {
    fn lock(&self) -> MutexGuard<'_, Place> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let same = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
        same(&self.app, &other.app) && same(&self.stream, &other.stream)
    }

    fn takes(&self, app: &str, stream: &str) -> bool {
        matches_name(&self.app, app) && matches_name(&self.stream, stream)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({}/{})", self.app, self.stream)
    }
}

/// Whether a claimed name covers an actual one.
fn matches_name(claimed: &str, actual: &str) -> bool {
    claimed.is_empty()
        || claimed == actual
        || (!claimed.contains('?') && actual.split('?').next() == Some(claimed))
}

struct Port {
    this: Weak<Self>,
    address: SocketAddr,
    session: ServerConfig,
    tls: Option<Arc<rustls::ServerConfig>>,
    entries: Mutex<Vec<Arc<Entry>>>,
    /// The socket, and whether it is registered.
    listener: Mutex<Option<(TcpListener, bool)>>,
    handle: Mutex<Option<Handle>>,
    /// Shared by every peer that shakes hands: its count is theirs.
    peers: Arc<()>,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.address)
    }
}

impl Port {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Entry>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn greet(self: &Arc<Self>, socket: TcpStream, now: Instant) {
        let Ok(seed) = seed() else { return };
        let Ok(reactor) = Reactor::global() else {
            return;
        };
        let peer = Peer {
            port: self.clone(),
            app: String::new(),
            object: Object::default(),
            stack: Some(Stack::accepted(socket, self.tls.clone())),
            session: ServerSession::new(self.session, now, seed),
            linger: None,
            _count: self.peers.clone(),
        };
        reactor.spawn(Arc::new(PeerTask(Mutex::new(peer))));
    }
}

impl Task for Port {
    fn turn(&self, io: &Io<'_>) -> Next {
        let mut slot = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((listener, registered)) = &mut *slot else {
            return Next::default();
        };
        if !*registered {
            *registered = io
                .registry
                .register(listener, io.token, mio::Interest::READABLE)
                .is_ok();
        }
        loop {
            match listener.accept() {
                Ok((socket, _)) => {
                    // Over the limit the socket is closed again at once.
                    if Arc::strong_count(&self.peers) <= limits::GREETING_PEERS
                        && let Some(port) = self.this.upgrade()
                    {
                        port.greet(socket, io.now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Next::default();
                }
                // The peer is gone already, or this process is out of descriptors.
                Err(_) => {
                    let deadline = Some(io.now + Duration::from_millis(100));
                    return Next {
                        deadline,
                        ..Next::default()
                    };
                }
            }
        }
    }
}

/// A peer that has not yet said what it wants, or was refused.
struct Peer {
    port: Arc<Port>,
    app: String,
    object: Object,
    /// Until it is handed over.
    stack: Option<Stack>,
    session: ServerSession,
    /// It was refused and may read why until then.
    linger: Option<Instant>,
    _count: Arc<()>,
}

struct PeerTask(Mutex<Peer>);

impl Task for PeerTask {
    fn turn(&self, io: &Io<'_>) -> Next {
        let mut peer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match peer.turn(io) {
            Ok(Some(deadline)) => Next {
                deadline,
                ..Next::default()
            },
            // Handed over, or not worth another word.
            Ok(None) | Err(Gone) => Next {
                done: true,
                ..Next::default()
            },
        }
    }
}

/// The peer is gone, or has to go.
struct Gone;

impl From<super::NetError> for Gone {
    fn from(_: super::NetError) -> Self {
        Self
    }
}

impl From<SessionError> for Gone {
    fn from(_: SessionError) -> Self {
        Self
    }
}

impl Peer {
    /// The next deadline, or `None` when the peer was handed over.
    fn turn(&mut self, io: &Io<'_>) -> Result<Option<Option<Instant>>, Gone> {
        let Some(stack) = &mut self.stack else {
            return Ok(None);
        };
        stack.on_ready(io.ready);
        self.session.handle_timeout(io.now)?;
        if self.linger.is_some_and(|until| io.now >= until) {
            return Err(Gone);
        }
        if stack.establish(io.registry, io.token, io.now)? != Establish::Ready {
            return Ok(Some(self.session.poll_timeout()));
        }
        let mut buffer = [0; READ];
        loop {
            self.events(io);
            self.flush()?;
            let Some(stack) = &mut self.stack else {
                return Ok(None);
            };
            match stack.read(&mut buffer)? {
                Read::Data(n) => {
                    self.session
                        .handle_input(buffer.get(..n).unwrap_or_default())?;
                }
                Read::WouldBlock => {
                    return Ok(Some(self.linger.or(self.session.poll_timeout())));
                }
                Read::Closed => return Err(Gone),
            }
        }
    }

    fn events(&mut self, io: &Io<'_>) {
        while let Some(event) = self.session.poll_event() {
            match event {
                ServerEvent::Connect { app, object } => {
                    let known = self.port.lock().iter().any(|e| matches_name(&e.app, &app));
                    if known {
                        (self.app, self.object) = (app, object);
                        self.session.accept_connect();
                    } else {
                        let text = format!("There is no application {app} here.");
                        self.session
                            .reject_connect("NetConnection.Connect.InvalidApp", &text);
                        self.linger = Some(io.now + LINGER);
                    }
                }
                ServerEvent::Publish { stream_id, name } => self.publish(io, stream_id, name),
                ServerEvent::Play { stream_id, .. } => {
                    let text = "Nothing is played from here.";
                    self.refuse(io, stream_id, "NetStream.Play.StreamNotFound", text);
                }
                ServerEvent::Media { .. } | ServerEvent::Stopped { .. } => {}
            }
            if self.stack.is_none() {
                return;
            }
        }
    }

    fn publish(&mut self, io: &Io<'_>, stream_id: u32, name: String) {
        let entry = self
            .port
            .lock()
            .iter()
            .find(|e| e.takes(&self.app, &name))
            .cloned();
        let Some(entry) = entry else {
            let text = format!("Nobody here waits for {name}.");
            return self.refuse(io, stream_id, "NetStream.Publish.Denied", &text);
        };
        let mut place = entry.lock();
        if std::mem::replace(&mut place.occupied, true) {
            drop(place);
            let text = format!("{name} is already being published.");
            return self.refuse(io, stream_id, "NetStream.Publish.BadName", &text);
        }
        self.session.accept(stream_id);
        let _ = self.flush();
        let Some(mut stack) = self.stack.take() else {
            return;
        };
        // The element registers it with a poll of its own.
        let _ = stack.deregister(io.registry);
        let session = std::mem::replace(
            &mut self.session,
            ServerSession::new(self.port.session, io.now, [0; 32]),
        );
        place.arrival = Some(Arrival {
            peer: stack.peer_addr(),
            stack,
            session,
            stream_id,
            app: std::mem::take(&mut self.app),
            stream: name,
            object: std::mem::take(&mut self.object),
        });
        drop(place);
        (entry.notify)();
    }

    fn refuse(&mut self, io: &Io<'_>, stream_id: u32, code: &str, description: &str) {
        self.session.reject(stream_id, code, description);
        self.linger = Some(io.now + LINGER);
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let Some(stack) = &mut self.stack else {
            return Ok(());
        };
        loop {
            let transmit = self.session.poll_transmit();
            if transmit.is_empty() && !stack.wants_write() {
                return Ok(());
            }
            if stack.write(transmit)? == Write::Blocked {
                return Ok(());
            }
        }
    }
}
