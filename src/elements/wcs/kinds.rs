// SPDX-License-Identifier: MPL-2.0

//! The enumerations that properties of wcswebrtcbin take.

use crate::protocol::wcs;

/// What is to be done without being asked again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstWcsWebrtcBinAction")]
pub enum Action {
    /// Wait for the signals.
    #[default]
    #[enum_value(name = "Nothing, until a signal asks for it", nick = "none")]
    None = 0,
    /// Send.
    #[enum_value(name = "Publish what the sink pads bring", nick = "publish")]
    Publish = 1,
    /// Receive.
    #[enum_value(name = "Play, on source pads", nick = "play")]
    Play = 2,
}

/// How media travel to and from the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstWcsWebrtcBinTransport")]
pub enum Transport {
    /// Nothing is asked for.
    #[default]
    #[enum_value(name = "As the server likes", nick = "auto")]
    Auto = 0,
    /// `UDP`.
    #[enum_value(name = "UDP", nick = "udp")]
    Udp = 1,
    /// `TCP`.
    #[enum_value(name = "TCP", nick = "tcp")]
    Tcp = 2,
}

/// What source pads carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstWcsWebrtcBinOutput")]
pub enum Output {
    /// `audio_src_%u` and `video_src_%u`.
    #[default]
    #[enum_value(
        name = "Encoded streams, on audio_src_%u and video_src_%u",
        nick = "encoded"
    )]
    Encoded = 0,
    /// `src_%u`.
    #[enum_value(name = "RTP packets, on src_%u", nick = "rtp")]
    Rtp = 1,
    /// A pad of each kind for each stream.
    #[enum_value(name = "Both, a pad of each for every stream", nick = "both")]
    Both = 2,
}

/// What a server's end or loss is to the pipeline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstWcsWebrtcBinOnFailure")]
pub enum OnFailure {
    /// The pipeline goes on.
    #[default]
    #[enum_value(name = "A warning; the pipeline goes on without", nick = "warn")]
    Warn = 0,
    /// The pipeline is told to stop.
    #[enum_value(name = "An error", nick = "error")]
    Error = 1,
}

/// How the session is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstWcsWebrtcBinSessionStatus")]
pub enum SessionStatus {
    /// Not connected.
    #[default]
    #[enum_value(name = "Not connected yet, or about to be again", nick = "pending")]
    Pending = 0,
    /// The WebSocket is open.
    #[enum_value(name = "The WebSocket is open", nick = "connected")]
    Connected = 1,
    /// Streams can be asked for.
    #[enum_value(name = "The server took us in", nick = "established")]
    Established = 2,
    /// It ended.
    #[enum_value(name = "Left", nick = "disconnected")]
    Disconnected = 3,
    /// It was given up.
    #[enum_value(name = "Given up", nick = "failed")]
    Failed = 4,
}

/// How the stream is doing, in the server's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstWcsWebrtcBinStreamStatus")]
pub enum StreamStatus {
    /// Nothing was asked for.
    #[default]
    #[enum_value(name = "Nothing was asked for yet", nick = "new")]
    New = 0,
    /// It was asked for.
    #[enum_value(name = "Asked for", nick = "pending")]
    Pending = 1,
    /// The server receives it.
    #[enum_value(name = "The server receives it", nick = "publishing")]
    Publishing = 2,
    /// The server sends it.
    #[enum_value(name = "The server sends it", nick = "playing")]
    Playing = 3,
    /// The server has paused it.
    #[enum_value(name = "The server has paused it", nick = "paused")]
    Paused = 4,
    /// It ended after publishing.
    #[enum_value(name = "Ended, after publishing", nick = "unpublished")]
    Unpublished = 5,
    /// It ended.
    #[enum_value(name = "Ended", nick = "stopped")]
    Stopped = 6,
    /// It failed.
    #[enum_value(name = "Failed", nick = "failed")]
    Failed = 7,
    /// Packets are lost on the way.
    #[enum_value(name = "The server sees packets lost", nick = "playback-problem")]
    PlaybackProblem = 8,
}

impl StreamStatus {
    /// The server's word, if it is about how the stream is doing.
    pub(super) fn of(status: &wcs::StreamStatus) -> Option<Self> {
        Some(match status {
            wcs::StreamStatus::New => Self::New,
            wcs::StreamStatus::Pending => Self::Pending,
            wcs::StreamStatus::Publishing => Self::Publishing,
            wcs::StreamStatus::Playing => Self::Playing,
            wcs::StreamStatus::Paused => Self::Paused,
            wcs::StreamStatus::Unpublished => Self::Unpublished,
            wcs::StreamStatus::Stopped => Self::Stopped,
            wcs::StreamStatus::Failed => Self::Failed,
            wcs::StreamStatus::PlaybackProblem => Self::PlaybackProblem,
            _ => return None,
        })
    }
}
