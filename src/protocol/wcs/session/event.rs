// SPDX-License-Identifier: MPL-2.0

//! What comes out of a session.

use serde_json::Value;

use super::error::{CallError, SessionError};
use crate::protocol::wcs::message::{
    Availability, DataStatus, Fail, Other, StreamEvent, StreamState, UserData, VideoFormat,
    VideoRate,
};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Streams can be asked for.
    Established(UserData),
    /// The server's version.
    Version(String),
    /// The answer to a call's offer, its first one.
    Answer {
        /// The call.
        id: String,
        /// As it came.
        sdp: String,
    },
    /// How a call is doing, other than before or with more to say.
    Status(StreamState),
    /// A call is over: as asked for or by the server (`Ok`), or for a reason. It is forgotten.
    Ended {
        /// The call.
        id: String,
        /// Why.
        result: Result<Option<String>, CallError>,
    },
    /// Codec of the sound of a call.
    AudioCodec {
        /// The call.
        id: String,
        /// The server's name for it.
        name: String,
    },
    /// Size of the picture of a call.
    VideoFormat(VideoFormat),
    /// What arrives at the server.
    InboundVideoRate(VideoRate),
    /// What the server sends.
    OutboundVideoRate(VideoRate),
    /// Something happened in a stream.
    StreamEvent(StreamEvent),
    /// The answer to [`ask_available()`](super::ClientSession::ask_available).
    Available(Availability),
    /// The answer to [`send_data()`](super::ClientSession::send_data).
    DataStatus(DataStatus),
    /// From the application behind the server.
    Data(Value),
    /// The server reports a failure that ends no call.
    Warning(Fail),
    /// A message that is not known.
    Unknown(Other),
    /// Text that is no message, and why.
    Malformed(String),
    /// The session is over, and all its calls with it.
    Failed(SessionError),
}

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// A text frame.
    Text(String),
    /// A ping of WebSocket's own, which every server answers.
    Ping,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that came.
    pub received: u64,
    /// Messages that were sent.
    pub sent: u64,
    /// Of those that came, about calls that are not known.
    pub stray: u64,
    /// Of those that came, not told because there were too many.
    pub untold: u64,
    /// Of those that came, no messages at all.
    pub malformed: u64,
}
