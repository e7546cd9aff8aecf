// SPDX-License-Identifier: MPL-2.0

//! One listening socket per address for the whole process, shared by every element that listens
//! there.
//!
//! An element claims what it wants to hear: publishers of an application and a stream ([`claim`]),
//! players of them ([`claim_play`]), or paths of HTTP ([`claim_http`]). The porter shakes hands with
//! whoever comes, on the reactor: the first byte tells TLS from the rest, the first one inside tells HTTP,
//! RTMP and RTMPE apart, and the path of an HTTP request tells RTMPT, in which the same begins anew. It
//! hands a peer over, socket and all, to
//! the element that it is for. All others are told why not.

mod entry;
mod greeting;
mod http;
mod lobby;
mod mail;
mod player;
mod port;
mod rtmp;
#[cfg(test)]
mod tests;
mod tunnel;
mod vigil;
mod visit;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

pub(super) use entry::Pulse;
use entry::{Entry, Kind, Names};
pub use http::{Answer, HttpPeer, HttpWanted, List, Listing, Serve};
pub use mail::{Mail, ReconnectRequest};
pub use player::{Begin, PlayArrival, Player, kinds};
use port::Port;
pub use vigil::{Sign, Vigil};
#[cfg(test)]
pub(super) use visit::OpenHouse;
pub use visit::{Caller, Host};

use super::stack::Stack;
use crate::protocol::rtmp::{
    auth::Door,
    session::{Capabilities, ServerConfig, ServerSession},
};

/// Why a claim was not granted.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another element has the same on that address.
    #[error("another element has {what} on {address} already")]
    Taken {
        /// The address.
        address: SocketAddr,
        /// Application and stream, or path.
        what: String,
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
pub struct Wanted {
    /// Where. Port 0 takes a free one.
    pub address: SocketAddr,
    /// Application name, or a pattern of [names](crate::protocol::rtmp::names).
    pub app: String,
    /// Stream name, or a pattern.
    pub stream: String,
    /// Settings of the sessions; of several claims on a port, the first decides.
    pub session: ServerConfig,
    /// Speaks TLS on this port, and takes nobody without.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Who may come in.
    pub door: Door,
    /// What callers are told of Enhanced RTMP. Those that an application is shared with add theirs.
    pub capabilities: Capabilities,
    /// Who has the last word on that.
    pub host: Box<dyn Host>,
    /// Nobody comes after the first publisher, but who takes over from it.
    pub once: bool,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted")
            .field("address", &self.address)
            .field("app", &self.app)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

/// What becomes of a publisher when another one comes for the same stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takeover {
    /// It stays, and the other one is refused.
    #[default]
    Reject,
    /// The other one takes its place.
    Replace,
    /// The other one takes its place if nothing was heard of it for so long.
    ReplaceSilent(Duration),
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
    /// Who it is.
    pub caller: Caller,
    pub(super) pulse: Option<Pulse>,
}

/// A claim that was granted; dropping it gives it back.
pub struct Claim {
    port: Arc<Port>,
    entry: Arc<Entry>,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({:?} on {})", self.entry.kind, self.port.address)
    }
}

impl Claim {
    /// Where the porter listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.port.address
    }

    /// The publisher that came, if one did. Others are refused until [`release`](Self::release), unless
    /// they may [take over](Takeover).
    pub fn take(&self) -> Option<Arrival> {
        self.entry.take()
    }

    /// Whether a publisher has come.
    pub fn is_waiting(&self) -> bool {
        self.entry.is_waiting()
    }

    /// The publisher is gone: the next may come.
    pub fn release(&self) {
        self.entry.release();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.port.give_back(&self.entry);
    }
}

/// Claims the publishers of an application and a stream on an address. `notify` is called, on any thread,
/// when one has come; it must not wait.
///
/// # Errors
/// [`ClaimError`].
pub fn claim(
    wanted: Wanted,
    takeover: Takeover,
    notify: impl Fn() + Send + Sync + 'static,
) -> Result<Claim, ClaimError> {
    let (notify, once) = (Box::new(notify), wanted.once);
    wanted.claim(|names| Kind::Publish {
        names,
        once,
        takeover,
        notify,
    })
}

/// Claims the players of an application and a stream on an address. `serve` is given each, on any thread;
/// it must not wait. They are sent the stream in chunks of `chunk_size` bytes.
///
/// # Errors
/// [`ClaimError`].
pub fn claim_play(
    wanted: Wanted,
    chunk_size: u32,
    serve: impl Fn(PlayArrival) + Send + Sync + 'static,
) -> Result<Claim, ClaimError> {
    let serve = Box::new(serve);
    wanted.claim(|names| Kind::Play {
        names,
        chunk_size,
        serve,
    })
}

impl Wanted {
    fn claim(self, kind: impl FnOnce(Names) -> Kind) -> Result<Claim, ClaimError> {
        let (session, patience) = (self.session, self.session.timeout);
        let names = Names {
            app: self.app,
            stream: self.stream,
            door: self.door,
            capabilities: self.capabilities,
            host: self.host,
        };
        let entry = Entry::new(kind(names), self.tls.is_some());
        Port::claim(self.address, entry, self.tls, Some(session), patience)
    }
}

/// Claims paths of HTTP on an address.
///
/// # Errors
/// [`ClaimError`].
pub fn claim_http(wanted: HttpWanted) -> Result<Claim, ClaimError> {
    let entry = Entry::new(
        Kind::Http {
            paths: wanted.paths,
            serve: wanted.serve,
            listing: wanted.listing,
        },
        wanted.tls.is_some(),
    );
    Port::claim(wanted.address, entry, wanted.tls, None, wanted.patience)
}

/// How long a peer that was refused may take to read why.
const LINGER: Duration = Duration::from_secs(2);

/// Read at a time while shaking hands.
const READ: usize = 16 * 1024;
