// SPDX-License-Identifier: MPL-2.0

//! Why a tunnel ends, in words for the one who set it up.

use std::time::Duration;

use crate::protocol::http::reply::ReplyError;

/// Why a tunnel cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TunnelError {
    /// The reply is not what HTTP allows.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The proxy wants to know who asks.
    #[error(
        "the HTTP proxy asks for a user name and a password (407); put them into http-proxy, as in \
         user:password@host:port"
    )]
    ProxyAuthentication,
    /// Something leads elsewhere.
    #[error(
        "an HTTP server or a proxy leads elsewhere (status {status}{}); RTMPT is not served there",
        .location.as_ref().map(|to| format!(", to {to}")).unwrap_or_default()
    )]
    Redirect {
        /// The status code.
        status: u16,
        /// Where to.
        location: Option<String>,
    },
    /// The server refused to open a session.
    #[error("the HTTP server does not open an RTMPT session (status {0}); is RTMPT served there?")]
    NotServed(u16),
    /// The server does not know the session any more.
    #[error("the server has forgotten the RTMPT session (status {0}); it may have been restarted")]
    Forgotten(u16),
    /// Something else answers.
    #[error(
        "the answer is a web page and not RTMPT; a proxy, a portal or another server is in the way"
    )]
    NotRtmpt,
    /// The reply is longer than any server sends.
    #[error("the reply has {0} bytes, more than any RTMPT server sends")]
    TooLong(u64),
    /// A reply was lost, and what was in it cannot be had again.
    #[error("the connection was lost with a reply on it, which RTMPE does not survive")]
    LostReply,
    /// A reply was lost again and again.
    #[error("the connection was lost {0} times over the same request")]
    Unstable(u32),
    /// A reply did not come in time.
    #[error("no reply to an RTMPT request within {0:?}")]
    Timeout(Duration),
}
