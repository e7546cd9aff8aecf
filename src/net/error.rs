// SPDX-License-Identifier: MPL-2.0

//! What can go wrong below a session, in the words an operator reads.

use std::{fmt, io, time::Duration};

use super::tls::ValidationFlags;
use crate::protocol::{rtmp::handshake::HandshakeError, rtmpt::TunnelError};

/// How far a connection had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// The host name is being looked up.
    Resolve,
    /// TCP connects.
    Connect,
    /// The proxy was asked.
    Proxy,
    /// TLS shakes hands.
    Tls,
    /// The HTTP server was asked for an RTMPT session.
    Tunnel,
    /// RTMPE agrees on keys.
    Rtmpe,
    /// Bytes of the application flow.
    Stream,
}

impl Stage {
    /// One lower-case word, for the details of an error message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Tunnel => "tunnel",
            Self::Rtmpe => "handshake",
            Self::Stream => "stream",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "while looking up the host name",
            Self::Connect => "while connecting",
            Self::Proxy => "while waiting for the proxy",
            Self::Tls => "during the TLS handshake",
            Self::Tunnel => "while opening an RTMPT session",
            Self::Rtmpe => "during the RTMPE handshake",
            Self::Stream => "while data was flowing",
        })
    }
}

/// Why there is no connection, or no longer one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetError {
    /// A setting makes the connection impossible: a file that cannot be read, a name that is none.
    #[error("{reason}")]
    Settings {
        /// What to change.
        reason: String,
    },
    /// The host name has no address.
    #[error("host name {host} cannot be resolved: {reason}")]
    Resolve {
        /// The name as it was given.
        host: String,
        /// The resolver's reason.
        reason: String,
    },
    /// Nobody listens there.
    #[error("connection to {address} was refused: nothing listens on that port")]
    Refused {
        /// Every address that was tried.
        address: String,
    },
    /// There is no way to the address.
    #[error("{address} cannot be reached: {source}")]
    Unreachable {
        /// Every address that was tried.
        address: String,
        /// What the last of them said.
        source: io::Error,
    },
    /// The time allowed for connecting went by.
    #[error("no answer within {after:?} {stage}")]
    Timeout {
        /// What was being waited for.
        stage: Stage,
        /// The time that was allowed.
        after: Duration,
    },
    /// TLS failed, or the peer is not who it should be.
    #[error("{reason}")]
    Tls {
        /// One sentence that names the reason.
        reason: String,
        /// What is wrong with the peer's certificate, of what is checked, or `GENERIC_ERROR` if ours is missing or was
        /// refused; empty if something else failed.
        flags: ValidationFlags,
    },
    /// The proxy said no, or is none.
    #[error("{reason}")]
    Proxy {
        /// One sentence that names the reason.
        reason: String,
    },
    /// The proxy could not, which may pass: the server behind it restarts.
    #[error("{reason}")]
    ProxyFailed {
        /// One sentence that names the reason.
        reason: String,
    },
    /// The tunnel through HTTP cannot be opened, or broke.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// The handshake of RTMPE failed.
    #[error(transparent)]
    Rtmpe(#[from] HandshakeError),
    /// An HTTP server did not hand out what was asked for.
    #[error("{reason}")]
    Http {
        /// One sentence that names the reason.
        reason: String,
    },
    /// The peer cut the connection.
    #[error("the peer closed the connection {stage}")]
    Closed {
        /// When it did.
        stage: Stage,
    },
    /// The system reported something else.
    #[error("{source} {stage}")]
    Io {
        /// When it did.
        stage: Stage,
        /// The report.
        source: io::Error,
    },
    /// [`Interrupt::set()`](super::interrupt::Interrupt::set) was called; not a failure.
    #[error("interrupted")]
    Interrupted,
}

impl NetError {
    /// How far the connection had come; `None` where no connection was under way.
    pub fn stage(&self) -> Option<Stage> {
        match self {
            Self::Settings { .. } | Self::Interrupted => None,
            Self::Resolve { .. } => Some(Stage::Resolve),
            Self::Refused { .. } | Self::Unreachable { .. } => Some(Stage::Connect),
            Self::Proxy { .. }
            | Self::ProxyFailed { .. }
            | Self::Tunnel(TunnelError::ProxyAuthentication) => Some(Stage::Proxy),
            Self::Tunnel(_) => Some(Stage::Tunnel),
            Self::Rtmpe(_) => Some(Stage::Rtmpe),
            Self::Http { .. } => Some(Stage::Stream),
            Self::Tls { .. } => Some(Stage::Tls),
            Self::Timeout { stage, .. } | Self::Closed { stage } | Self::Io { stage, .. } => {
                Some(*stage)
            }
        }
    }

    /// Sorts a system error that an established or half-established connection reported.
    pub(super) fn from_io(stage: Stage, source: io::Error) -> Self {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
        match source.kind() {
            BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected => {
                Self::Closed { stage }
            }
            _ => Self::Io { stage, source },
        }
    }

    pub(super) fn tls(reason: impl Into<String>) -> Self {
        Self::Tls {
            reason: reason.into(),
            flags: ValidationFlags::empty(),
        }
    }

    pub(super) fn settings(reason: impl Into<String>) -> Self {
        Self::Settings {
            reason: reason.into(),
        }
    }

    pub(super) fn proxy(reason: impl Into<String>) -> Self {
        Self::Proxy {
            reason: reason.into(),
        }
    }

    pub(super) fn proxy_failed(reason: impl Into<String>) -> Self {
        Self::ProxyFailed {
            reason: reason.into(),
        }
    }

    pub(super) fn http(reason: impl Into<String>) -> Self {
        Self::Http {
            reason: reason.into(),
        }
    }
}
