// SPDX-License-Identifier: MPL-2.0

//! One RTMP connection, as [client](ClientSession) and as [server](ServerSession), without I/O.
//!
//! Feed what the peer sent to `handle_input`, take events with `poll_event` and bytes to send with
//! `poll_transmit` until there are none, call `handle_timeout` when `poll_timeout` has passed, then
//! wait for whichever comes next. Time and the random seed come from outside, so a client can be
//! tested against a server in memory, in no time.

pub mod broadcast;
mod client;
mod config;
mod enhanced;
mod link;
mod server;
mod status;

pub use client::{ClientEvent, ClientSession, Stage};
pub use config::{ClientConfig, PlayRange, Role, StopCommands};
pub use enhanced::{Capabilities, Demand, Lack, can_reconnect};
pub use link::LinkStats;
pub use server::{ServerConfig, ServerEvent, ServerSession};
pub use status::{EndReason, Quoted, Refusal, Status};

#[cfg(test)]
mod tests;

use super::{
    auth::AuthDenied,
    chunk::ChunkError,
    handshake::HandshakeError,
    message::{AggregateError, CommandError, TooShort},
};

/// Why a session cannot go on. The connection is of no further use.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SessionError {
    /// The peer does not shake hands as RTMP asks.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The chunk stream is broken.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// A control message is broken.
    #[error(transparent)]
    Message(#[from] TooShort),
    /// A command is broken.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// An aggregate is broken.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    /// The peer said no.
    #[error("{0}")]
    Refused(Status),
    /// Authentication came to an end without success.
    #[error(transparent)]
    NotAuthorized(AuthDenied),
    /// The peer did not answer in time.
    #[error("the other side did not answer in time ({0})")]
    Timeout(Stage),
    /// The peer asks for more than a budget allows.
    #[error("the other side asks for more than is allowed: {0}")]
    TooMuch(&'static str),
    /// The peer goes on asking and does not read what it is answered.
    #[error("the other side does not read the answers to what it asks")]
    NotReading,
    /// The peer does not take what is to be sent.
    #[error(transparent)]
    Lacks(#[from] Lack),
    /// The peer said nothing, and did not answer when it was asked for a sign of life.
    #[error("the other side has been silent for too long and does not answer a ping")]
    Silent,
    /// Commands came in an order that makes no sense.
    #[error("the command {0} is out of order")]
    OutOfOrder(&'static str),
}
