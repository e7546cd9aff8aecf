// SPDX-License-Identifier: MPL-2.0

//! A listening socket and what was claimed on it.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use mio::net::TcpListener;

use super::{
    Claim, ClaimError,
    entry::{Entry, Kind},
    greeting::{Greeting, GreetingTask},
    lobby::Lobby,
    tunnel::Tunnels,
};
use crate::{
    net::{
        reactor::{Handle, Io, Next, Reactor, Task},
        stack::Stack,
    },
    protocol::rtmp::session::ServerConfig,
};

type Ports = BTreeMap<SocketAddr, Weak<Port>>;

fn lock_ports() -> MutexGuard<'static, Ports> {
    static PORTS: Mutex<Ports> = Mutex::new(BTreeMap::new());
    lock(&PORTS)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Peers taken from the kernel's queue at a time.
const ACCEPTS: usize = 64;
/// How long to wait for room in the lobby.
const FULL: Duration = Duration::from_millis(20);

/// See the module's text.
pub(super) struct Port {
    this: Weak<Self>,
    pub(super) address: SocketAddr,
    claims: Mutex<Claims>,
    /// The socket, and whether it is registered.
    listener: Mutex<Option<(TcpListener, bool)>>,
    handle: Mutex<Option<Handle>>,
    lobby: Mutex<Lobby>,
    pub(super) tunnels: Tunnels,
}

/// What the claims on a port ask for together.
#[derive(Default)]
struct Claims {
    entries: Vec<Arc<Entry>>,
    /// The first that was brought.
    session: Option<ServerConfig>,
    /// The last that was brought.
    tls: Option<Arc<rustls::ServerConfig>>,
    /// The first that was brought.
    patience: Option<Duration>,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port({})", self.address)
    }
}

impl Port {
    /// The one of this address.
    #[cfg(test)]
    pub(super) fn at(address: SocketAddr) -> Option<Arc<Self>> {
        lock_ports().get(&address)?.upgrade()
    }

    /// Adds a claim to the port of this address, which is opened with its first.
    pub(super) fn claim(
        address: SocketAddr,
        entry: Arc<Entry>,
        tls: Option<Arc<rustls::ServerConfig>>,
        session: Option<ServerConfig>,
        patience: Duration,
    ) -> Result<Claim, ClaimError> {
        let listen = |source| ClaimError::Listen { address, source };
        let mut ports = lock_ports();
        let known = ports.get(&address).and_then(Weak::upgrade);
        let port = match known {
            Some(port) => port,
            None => {
                let listener = TcpListener::bind(address).map_err(listen)?;
                let address = listener.local_addr().map_err(listen)?;
                let port = Arc::new_cyclic(|this| Self {
                    this: this.clone(),
                    address,
                    claims: Mutex::default(),
                    listener: Mutex::new(Some((listener, false))),
                    handle: Mutex::new(None),
                    lobby: Mutex::default(),
                    tunnels: Tunnels::default(),
                });
                ports.insert(address, Arc::downgrade(&port));
                port
            }
        };
        let mut claims = lock(&port.claims);
        if let Some(what) = claims.entries.iter().find_map(|e| e.overlap(&entry)) {
            return Err(ClaimError::Taken { address, what });
        }
        claims.entries.push(entry.clone());
        claims.session = claims.session.or(session);
        claims.tls = tls.or(claims.tls.take());
        claims.patience.get_or_insert(patience);
        drop(claims);
        let mut handle = lock(&port.handle);
        if handle.is_none() {
            *handle = Some(Reactor::global().map_err(listen)?.add(port.clone()));
        }
        drop(handle);
        Ok(Claim { port, entry })
    }

    /// Takes a claim off. The listening socket closes with the last, not some time after it.
    pub(super) fn give_back(&self, entry: &Arc<Entry>) {
        let mut ports = lock_ports();
        let mut claims = lock(&self.claims);
        claims.entries.retain(|known| !Arc::ptr_eq(known, entry));
        if claims.entries.is_empty() {
            drop(claims);
            ports.retain(|_, port| !std::ptr::eq(port.as_ptr(), self));
            drop(lock(&self.handle).take());
            drop(lock(&self.listener).take());
        }
    }

    /// The claims there are.
    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        lock(&self.claims).entries.clone()
    }

    /// The first claim that answers to this, among those that take a peer with or without TLS.
    pub(super) fn find(&self, secure: bool, wanted: impl Fn(&Entry) -> bool) -> Option<Arc<Entry>> {
        let claims = lock(&self.claims);
        let mut entries = claims.entries.iter().filter(|e| secure || !e.tls);
        entries.find(|entry| wanted(entry)).cloned()
    }

    /// All of them.
    pub(super) fn find_all(
        &self,
        secure: bool,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Vec<Arc<Entry>> {
        let claims = lock(&self.claims);
        let entries = claims.entries.iter().filter(|e| secure || !e.tls);
        entries.filter(|entry| wanted(entry)).cloned().collect()
    }

    /// Whether anybody listens for RTMP.
    pub(super) fn speaks_rtmp(&self) -> bool {
        let claims = lock(&self.claims);
        claims
            .entries
            .iter()
            .any(|e| !matches!(e.kind, Kind::Http { .. }))
    }

    pub(super) fn session(&self) -> ServerConfig {
        lock(&self.claims).session.unwrap_or_default()
    }

    pub(super) fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        lock(&self.claims).tls.clone()
    }

    /// How long a peer may take until it has said what it wants; zero for ever.
    pub(super) fn patience(&self) -> Duration {
        lock(&self.claims).patience.unwrap_or_default()
    }

    /// Greets what came through a tunnel. Tunnels have a limit of their own.
    pub(super) fn greet(self: &Arc<Self>, stack: Stack, secure: bool, now: Instant) {
        let from = stack.peer_addr().map(|from| from.ip().to_canonical());
        let greeting = Greeting::within(self.clone(), stack, secure, now);
        self.begin(greeting, from, now);
    }

    fn begin(&self, greeting: Greeting, from: Option<IpAddr>, now: Instant) {
        let Ok(reactor) = Reactor::global() else {
            return;
        };
        let task = Arc::new(GreetingTask::new(greeting));
        lock(&self.lobby).enter(&task, from, now);
        reactor.spawn(task);
    }
}

impl Task for Port {
    fn turn(&self, io: &Io<'_>) -> Next {
        let mut slot = lock(&self.listener);
        let Some((listener, registered)) = &mut *slot else {
            return Next::default();
        };
        if !*registered {
            *registered = io
                .registry
                .register(listener, io.token, mio::Interest::READABLE)
                .is_ok();
        }
        let later = |after: Duration| Next {
            deadline: Some(io.now + after),
            ..Next::default()
        };
        for _ in 0..ACCEPTS {
            // Whoever there is no room for waits in the kernel's queue.
            if !lock(&self.lobby).has_room(io.now) {
                return later(FULL);
            }
            match listener.accept() {
                Ok((socket, from)) => {
                    if let Some(port) = self.this.upgrade() {
                        let greeting = Greeting::new(port.clone(), socket, io.now);
                        port.begin(greeting, Some(from.ip().to_canonical()), io.now);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Next::default();
                }
                // The peer is gone already, or this process is out of descriptors.
                Err(_) => return later(Duration::from_millis(100)),
            }
        }
        // Those who came have a turn before more do.
        later(Duration::ZERO)
    }
}
