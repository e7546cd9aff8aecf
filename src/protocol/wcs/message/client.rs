// SPDX-License-Identifier: MPL-2.0

//! What a client says.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{MessageError, Other, Rest, first, lenient, open, seal, seal_one};
use crate::protocol::wcs::{StreamEventType, StreamStatus};

/// A message from client to server.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientMessage {
    /// The first: who I am.
    Connection(Connection),
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// Take this stream.
    PublishStream(PublishStream),
    /// Send that stream.
    PlayStream(PlayStream),
    /// A stream that I publish ends.
    UnPublishStream(EndStream),
    /// I play no more.
    StopStream(EndStream),
    /// Is there such a stream?
    AvailableStream(AvailableStream),
    /// Something happened in a stream that I publish.
    SendStreamEvent(OutgoingEvent),
    /// Take a picture.
    Snapshot(Snapshot),
    /// Something for the application behind the server.
    SendData(SendData),
    /// Any other.
    Other(Other),
}

/// The data of `connection`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// Which application of the server.
    #[serde(deserialize_with = "lenient::text")]
    pub app_key: String,
    /// Ways to exchange media; ours is `WebRTC`.
    pub media_providers: Vec<String>,
    /// The session outlives its WebSocket for a while.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<bool>,
    /// From an earlier session or from the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<String>,
    /// Version of the SDK.
    #[serde(deserialize_with = "lenient::text")]
    pub client_version: String,
    /// Of the system.
    #[serde(rename = "clientOSVersion", deserialize_with = "lenient::text")]
    pub client_os_version: String,
    /// Of the browser.
    #[serde(deserialize_with = "lenient::text")]
    pub client_browser_version: String,
    /// Whatever the application behind the server wants to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The data of `publishStream`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PublishStream {
    /// Names the call; ours to choose.
    #[serde(deserialize_with = "lenient::text")]
    pub media_session_id: String,
    /// Name of the stream.
    #[serde(deserialize_with = "lenient::text")]
    pub name: String,
    /// True.
    #[serde(deserialize_with = "lenient::flag")]
    pub published: bool,
    /// There is a picture.
    #[serde(deserialize_with = "lenient::flag")]
    pub has_video: bool,
    /// There is sound.
    #[serde(deserialize_with = "lenient::flag")]
    pub has_audio: bool,
    /// `PENDING`.
    pub status: StreamStatus,
    /// The server is to record it.
    #[serde(deserialize_with = "lenient::flag")]
    pub record: bool,
    /// `WebRTC`.
    #[serde(deserialize_with = "lenient::text")]
    pub media_provider: String,
    /// The offer.
    #[serde(deserialize_with = "lenient::text")]
    pub sdp: String,
    /// In kb/s; 0 leaves it to the server.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub bitrate: u64,
    /// In kb/s; 0 for no limit.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub min_bitrate: u64,
    /// In kb/s; 0 for no limit.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub max_bitrate: u64,
    /// Where the server is to send the stream on to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtmp_url: Option<String>,
    /// `UDP` or `TCP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// Whatever the application behind the server wants to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The data of `playStream`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PlayStream {
    /// Names the call; ours to choose.
    #[serde(deserialize_with = "lenient::text")]
    pub media_session_id: String,
    /// Name of the stream.
    #[serde(deserialize_with = "lenient::text")]
    pub name: String,
    /// False.
    #[serde(deserialize_with = "lenient::flag")]
    pub published: bool,
    /// The SDK always says true; what counts stands in the offer.
    #[serde(deserialize_with = "lenient::flag")]
    pub has_video: bool,
    /// The same for sound.
    #[serde(deserialize_with = "lenient::flag")]
    pub has_audio: bool,
    /// `PENDING`.
    pub status: StreamStatus,
    /// False.
    #[serde(deserialize_with = "lenient::flag")]
    pub record: bool,
    /// In pixels; 0 as published.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub width: u64,
    /// In pixels; 0 as published.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub height: u64,
    /// `WebRTC`.
    #[serde(deserialize_with = "lenient::text")]
    pub media_provider: String,
    /// The offer.
    #[serde(deserialize_with = "lenient::text")]
    pub sdp: String,
    /// In kb/s; 0 as published.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub bitrate: u64,
    /// In kb/s; 0 for no limit.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub min_bitrate: u64,
    /// In kb/s; 0 for no limit.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub max_bitrate: u64,
    /// 0 as published, or how much may be lost, in percent.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub quality: u64,
    /// `UDP` or `TCP`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<String>,
    /// Whatever the application behind the server wants to know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The data of `unPublishStream` and `stopStream`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EndStream {
    /// The call.
    #[serde(deserialize_with = "lenient::text")]
    pub media_session_id: String,
    /// Name of the stream.
    #[serde(deserialize_with = "lenient::text")]
    pub name: String,
    /// Whether it was published or played.
    #[serde(deserialize_with = "lenient::flag")]
    pub published: bool,
    /// The SDK always says true.
    #[serde(deserialize_with = "lenient::flag")]
    pub has_video: bool,
    /// The same for sound.
    #[serde(deserialize_with = "lenient::flag")]
    pub has_audio: bool,
    /// Of the call until now.
    pub status: StreamStatus,
    /// False.
    #[serde(deserialize_with = "lenient::flag")]
    pub record: bool,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The data of `availableStream`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AvailableStream {
    /// Names the question; comes back as `id`.
    #[serde(deserialize_with = "lenient::text")]
    pub media_session_id: String,
    /// Name of the stream.
    #[serde(deserialize_with = "lenient::text")]
    pub name: String,
}

/// The data of `sendStreamEvent`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutgoingEvent {
    /// The call.
    #[serde(deserialize_with = "lenient::text")]
    pub media_session_id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: StreamEventType,
    /// Of `data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

/// The data of `snapshot`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Snapshot {
    /// Name of the stream.
    #[serde(deserialize_with = "lenient::text")]
    pub name: String,
    /// The call.
    #[serde(deserialize_with = "lenient::text")]
    pub media_session_id: String,
}

/// The data of `sendData`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SendData {
    /// Comes back in `DataStatusEvent`.
    #[serde(deserialize_with = "lenient::text")]
    pub operation_id: String,
    /// Anything.
    pub payload: Value,
}

impl ClientMessage {
    /// Reads a text frame.
    ///
    /// # Errors
    /// It is no message at all.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let Other { message, data } = open(text)?;
        Ok(match message.as_str() {
            "connection" => Self::Connection(first(data)),
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            "publishStream" => Self::PublishStream(first(data)),
            "playStream" => Self::PlayStream(first(data)),
            "unPublishStream" => Self::UnPublishStream(first(data)),
            "stopStream" => Self::StopStream(first(data)),
            "availableStream" => Self::AvailableStream(first(data)),
            "sendStreamEvent" => Self::SendStreamEvent(first(data)),
            "snapshot" => Self::Snapshot(first(data)),
            "sendData" => Self::SendData(first(data)),
            _ => Self::Other(Other { message, data }),
        })
    }

    /// Writes a text frame.
    pub fn to_json(&self) -> String {
        match self {
            Self::Connection(data) => seal_one(self.name(), data),
            // The SDK sends and expects an argument.
            Self::Ping | Self::Pong => seal(self.name(), json!([null])),
            Self::PublishStream(data) => seal_one(self.name(), data),
            Self::PlayStream(data) => seal_one(self.name(), data),
            Self::UnPublishStream(data) | Self::StopStream(data) => seal_one(self.name(), data),
            Self::AvailableStream(data) => seal_one(self.name(), data),
            Self::SendStreamEvent(data) => seal_one(self.name(), data),
            Self::Snapshot(data) => seal_one(self.name(), data),
            Self::SendData(data) => seal_one(self.name(), data),
            Self::Other(other) => seal(self.name(), Value::Array(other.data.clone())),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Connection(_) => "connection",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::PublishStream(_) => "publishStream",
            Self::PlayStream(_) => "playStream",
            Self::UnPublishStream(_) => "unPublishStream",
            Self::StopStream(_) => "stopStream",
            Self::AvailableStream(_) => "availableStream",
            Self::SendStreamEvent(_) => "sendStreamEvent",
            Self::Snapshot(_) => "snapshot",
            Self::SendData(_) => "sendData",
            Self::Other(other) => &other.message,
        }
    }
}
