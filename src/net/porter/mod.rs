// SPDX-License-Identifier: MPL-2.0

//! One listening socket per address for the whole process, shared by every element that listens
//! there.
//!
//! An element claims what it wants to hear: an application and a stream ([`claim`]), or paths of HTTP
//! ([`claim_http`]). The porter shakes hands with whoever comes, on the reactor: the first byte tells TLS
//! from the rest, the first one inside tells HTTP from RTMP. It hands a peer over, socket and all, to
//! the element that it is for. All others are told why not.

mod entry;
mod greeting;
mod http;
mod port;
mod rtmp;
#[cfg(test)]
mod tests;

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use entry::{Entry, Kind};
pub use http::{Answer, HttpPeer, HttpWanted, List, Listing, Serve};
use port::Port;

use super::stack::Stack;
use crate::protocol::rtmp::{
    amf::Object,
    session::{ServerConfig, ServerSession},
};

/// Why a claim was not granted.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another element has the same on that address.
    #[error("{what} on {address} is already taken by another element")]
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
    /// Speaks TLS on this port, and takes nobody without.
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
        self.port.give_back(&self.entry);
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
    let entry = Entry::new(
        Kind::Publish {
            app: wanted.app,
            stream: wanted.stream,
            notify: Box::new(notify),
        },
        wanted.tls.is_some(),
    );
    let (session, patience) = (wanted.session, wanted.session.timeout);
    Port::claim(wanted.address, entry, wanted.tls, Some(session), patience)
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
