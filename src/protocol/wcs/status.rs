// SPDX-License-Identifier: MPL-2.0

//! The words for how sessions and streams are doing. A server may know words that we do not: they are
//! kept.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares an enum of words, one more for any other word, and how they are written.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$word_doc])* $word,)*
            /// A word that is not listed here, as it came.
            Other(String),
        }

        impl $name {
            /// The word as it is written.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$word => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$word,)*
                    text => Self::Other(text.to_owned()),
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::Other(String::new())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                // Whatever is no text is no word.
                let value = serde_json::Value::deserialize(from)?;
                Ok(value.as_str().unwrap_or_default().into())
            }
        }
    };
}

words! {
    /// How a session is doing (WebSDK, `SESSION_STATUS`; what concerns SIP is left out).
    SessionStatus {
        /// Not connected yet.
        Pending = "PENDING",
        /// The WebSocket is open.
        Connected = "CONNECTED",
        /// The server took the connection; streams can be asked for.
        Established = "ESTABLISHED",
        /// The session ended.
        Disconnected = "DISCONNECTED",
        /// The server reports something that went wrong beside.
        Warn = "WARN",
        /// The session failed.
        Failed = "FAILED",
    }
}

words! {
    /// How a stream is doing (WebSDK, `STREAM_STATUS`).
    StreamStatus {
        /// Nothing was sent yet.
        New = "NEW",
        /// It was asked for.
        Pending = "PENDING",
        /// The server receives it.
        Publishing = "PUBLISHING",
        /// The server sends it.
        Playing = "PLAYING",
        /// The server has paused it.
        Paused = "PAUSED",
        /// It ended as asked for, after publishing.
        Unpublished = "UNPUBLISHED",
        /// It ended: as asked for, or the publisher left.
        Stopped = "STOPPED",
        /// It ended, or never began, for a reason.
        Failed = "FAILED",
        /// Packets are lost on the way to the player.
        PlaybackProblem = "PLAYBACK_PROBLEM",
        /// The picture has another size (old servers; newer send `notifyStreamEvent`).
        Resize = "RESIZE",
        /// A snapshot was taken (old servers).
        SnapshotComplete = "SNAPSHOT_COMPLETE",
        /// The network cannot carry the stream (old servers).
        NotEnoughBandwidth = "NOT_ENOUGH_BANDWIDTH",
    }
}

words! {
    /// What happened in a stream (WebSDK, `STREAM_EVENT_TYPE`).
    StreamEventType {
        /// The publisher's sound was switched off.
        AudioMuted = "audioMuted",
        /// ... and on again.
        AudioUnmuted = "audioUnmuted",
        /// The publisher's picture was switched off.
        VideoMuted = "videoMuted",
        /// ... and on again.
        VideoUnmuted = "videoUnmuted",
        /// A payload of the application.
        Data = "data",
        /// A snapshot was taken.
        SnapshotCompleted = "snapshotCompleted",
        /// A snapshot could not be taken.
        SnapshotFailed = "snapshotFailed",
        /// The picture has another size.
        Resize = "resize",
        /// The network cannot carry the stream.
        NotEnoughBandwidth = "notEnoughBandwidth",
    }
}

impl StreamStatus {
    /// Whether a stream with this status is over.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Unpublished | Self::Stopped | Self::Failed)
    }
}
