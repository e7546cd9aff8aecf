// SPDX-License-Identifier: MPL-2.0

use std::time::Duration;

use super::Capabilities;
use crate::protocol::rtmp::{
    amf::Value, auth::Authenticator, chunk::DecoderLimits, handshake::Style, swf::SwfHash,
};

/// What a client wants of a server.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Application name, query included, as the connect command carries it.
    pub app: String,
    /// URL of the application.
    pub tc_url: String,
    /// Stream name (playpath), query included.
    pub stream: String,
    /// Publish or play.
    pub role: Role,
    /// `flashVer` of the connect command; left away where `None`.
    pub flash_version: Option<String>,
    /// `pageUrl` of the connect command.
    pub page_url: Option<String>,
    /// `swfUrl` of the connect command.
    pub swf_url: Option<String>,
    /// The SWF to name when the server asks for verification.
    pub swf: Option<SwfHash>,
    /// Further values behind the command object of the connect command (librtmp's `conn=`).
    pub connect_arguments: Vec<Value>,
    /// What is said of Enhanced RTMP. Some servers cannot read that and answer nothing (pyrtmp 0.3).
    pub capabilities: Capabilities,
    /// The form of the handshake.
    pub handshake: Style,
    /// Key of the SecureToken challenge.
    pub secure_token: Option<String>,
    /// Token of `NetStream.Authenticate.UsherToken` (librtmp's `jtv=`).
    pub usher_token: Option<String>,
    /// Answers Adobe's and Limelight's challenges.
    pub authenticator: Authenticator,
    /// What the authentication so far adds to `app` and `tc_url`.
    pub auth_query: Option<String>,
    /// Bytes of payload per chunk that we send, 1 to 0xffffff. Announced when connected.
    pub chunk_size: u32,
    /// Budgets for what the server sends.
    pub limits: DecoderLimits,
    /// How long each step up to the start of the stream may take; zero for ever.
    pub timeout: Duration,
}

/// Publish or play.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// Send a live stream.
    Publish {
        /// The commands that end it.
        stop: StopCommands,
    },
    /// Receive a stream.
    Play {
        /// Which part of what.
        range: PlayRange,
        /// Length to stop after, ms.
        duration: Option<u32>,
        /// Buffer length the server is told, ms.
        buffer: u32,
        /// Name to subscribe to before playing (`FCSubscribe`, Akamai and Limelight live).
        subscribe: Option<String>,
        /// Sends `set_playlist` before `play`.
        playlist: bool,
    },
}

/// The start argument of the play command (RTMP 1.0, section 7.2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayRange {
    /// -2: a live stream of that name, else a recording.
    Auto,
    /// -1: a live stream only.
    Live,
    /// A recording only, from this position, ms.
    Recorded(u32),
}

/// The commands that end a publication; the same set as rtmp2sink's `stop-commands`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopCommands {
    /// `FCUnpublish` with the stream name.
    pub fc_unpublish: bool,
    /// `closeStream` on the message stream.
    pub close_stream: bool,
    /// `deleteStream` with the message stream id.
    pub delete_stream: bool,
}

impl Default for StopCommands {
    fn default() -> Self {
        Self {
            fc_unpublish: true,
            close_stream: false,
            delete_stream: true,
        }
    }
}
