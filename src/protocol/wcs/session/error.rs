// SPDX-License-Identifier: MPL-2.0

//! What can go wrong with a session, a call, and what is asked for.

use std::time::Duration;

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// `getUserData` did not come.
    #[error("the server did not establish the session within {0:?}")]
    NotEstablished(Duration),
    /// `getUserData` says no.
    #[error("the server refuses the session: {0}")]
    Refused(String),
    /// Nothing was heard, ping or not.
    #[error("the server has been silent for {0:?}, also when asked whether it is there")]
    Silent(Duration),
    /// It reads nothing of what is sent.
    #[error("the server reads nothing; {0} messages wait for it")]
    Stuck(usize),
}

/// Why a call is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The server says that it failed, and perhaps why.
    #[error("the stream failed: {}", .0.as_deref().unwrap_or("the server does not say why"))]
    Failed(Option<String>),
    /// No answer to the offer.
    #[error("the server did not answer within {0:?}")]
    NoAnswer(Duration),
    /// The server says that it is over, before it flowed.
    #[error("the stream ended before it began: {}", .0.as_deref().unwrap_or("the server does not say why"))]
    NeverBegan(Option<String>),
    /// An answer, and then no media.
    #[error("the stream did not start within {0:?} after the server's answer")]
    NotStarted(Duration),
}

/// Why something cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The session is not established, or no longer.
    #[error("the session is not established")]
    NotEstablished,
    /// There is such a call already.
    #[error("the media session id is in use")]
    InUse,
    /// There is no such call.
    #[error("there is no such call")]
    NoSuchCall,
    /// More calls than a session may have.
    #[error("the session has too many calls")]
    TooMany,
}
