// SPDX-License-Identifier: MPL-2.0

//! What a server says.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{MessageError, Other, Rest, first, lenient, open, seal, seal_one};
use crate::protocol::wcs::{SessionStatus, StreamEventType, StreamStatus};

pub(super) const AVAILABLE_STREAM: &str = "availableStream";

/// A message from server to client.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerMessage {
    /// The session is established, or not.
    GetUserData(UserData),
    /// Which version the server has.
    GetVersion(String),
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// The answer to an offer.
    SetRemoteSdp {
        /// The call.
        media_session_id: String,
        /// The answer.
        sdp: String,
    },
    /// How a stream is doing.
    NotifyStreamStatusEvent(StreamState),
    /// Which codec the sound has.
    NotifyAudioCodec {
        /// The call.
        media_session_id: String,
        /// The codec.
        name: String,
    },
    /// Which size the picture has.
    NotifyVideoFormat(VideoFormat),
    /// What arrives of a stream that we publish.
    InboundVideoRate(VideoRate),
    /// What is sent of a stream that we play.
    OutboundVideoRate(VideoRate),
    /// Whether there is such a stream.
    AvailableStream(Availability),
    /// Something happened in a stream.
    NotifyStreamEvent(StreamEvent),
    /// Something that was asked for failed.
    Fail(Fail),
    /// What became of `sendData`.
    DataStatusEvent(DataStatus),
    /// Something from the application behind the server.
    OnDataEvent(Value),
    /// Any other.
    Other(Other),
}

/// The data of `getUserData`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UserData {
    /// For a later session to go on with this one.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_text"
    )]
    pub auth_token: Option<String>,
    /// `ESTABLISHED`, or why not.
    pub status: SessionStatus,
    /// Ways to exchange media.
    pub media_providers: Value,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The data of `notifyStreamStatusEvent`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamState {
    /// The call.
    #[serde(deserialize_with = "lenient::text")]
    pub media_session_id: String,
    /// Name of the stream.
    #[serde(deserialize_with = "lenient::text")]
    pub name: String,
    /// Whether it is published or played.
    #[serde(deserialize_with = "lenient::flag")]
    pub published: bool,
    /// How it is doing.
    pub status: StreamStatus,
    /// Why, for a person to read.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_text"
    )]
    pub info: Option<String>,
    /// Of the sound.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_text"
    )]
    pub audio_codec: Option<String>,
    /// Of the picture.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_text"
    )]
    pub video_codec: Option<String>,
    /// Name of the recording, if there is one.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_text"
    )]
    pub record_name: Option<String>,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The data of `notifyVideoFormat`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoFormat {
    /// The call.
    #[serde(deserialize_with = "lenient::text")]
    pub media_session_id: String,
    /// `RESIZE`.
    pub status: StreamStatus,
    /// In pixels.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub streamer_video_width: u64,
    /// In pixels.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub streamer_video_height: u64,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The data of `inboundVideoRate` and `outboundVideoRate`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoRate {
    /// The call.
    #[serde(deserialize_with = "lenient::text")]
    pub media_session_id: String,
    /// In bits per second.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub video_rate: u64,
    /// Frames per second.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub fps: u64,
    /// NACKs until now.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub nack: u64,
    /// PLIs until now.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub pli: u64,
    /// Packets lost until now; late copies can make it negative.
    #[serde(deserialize_with = "lenient::signed")]
    pub lost_packets: i64,
    /// In pixels.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub width: u64,
    /// In pixels.
    #[serde(deserialize_with = "lenient::unsigned")]
    pub height: u64,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The data of `availableStream`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Availability {
    /// Which question this answers.
    #[serde(deserialize_with = "lenient::text")]
    pub id: String,
    /// Whether there is the stream. Servers write a text, `"true"` or `"false"`.
    #[serde(deserialize_with = "lenient::flag", serialize_with = "as_text")]
    pub status: bool,
    /// Why not.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_text"
    )]
    pub info: Option<String>,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

fn as_text<S: serde::Serializer>(flag: &bool, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(if *flag { "true" } else { "false" })
}

/// The data of `notifyStreamEvent`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamEvent {
    /// The call.
    #[serde(deserialize_with = "lenient::text")]
    pub media_session_id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: StreamEventType,
    /// More about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The data of `fail`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fail {
    /// What failed; `StreamStatusEvent` concerns the call `id`.
    #[serde(deserialize_with = "lenient::text")]
    pub api_method: String,
    /// The call, if it concerns one.
    #[serde(deserialize_with = "lenient::text")]
    pub id: String,
    /// How the stream is doing.
    pub status: StreamStatus,
    /// Why, for a person to read.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_text"
    )]
    pub info: Option<String>,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

/// The data of `DataStatusEvent`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataStatus {
    /// Which `sendData` this answers.
    #[serde(deserialize_with = "lenient::text")]
    pub operation_id: String,
    /// `ACCEPTED` or `FAILED`.
    #[serde(deserialize_with = "lenient::text")]
    pub status: String,
    /// Why not.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::optional_text"
    )]
    pub info: Option<String>,
    /// Further fields.
    #[serde(flatten)]
    pub rest: Rest,
}

impl ServerMessage {
    /// Reads a text frame.
    ///
    /// # Errors
    /// It is no message at all.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let Other { message, data } = open(text)?;
        Ok(match message.as_str() {
            "getUserData" => Self::GetUserData(first(data)),
            "getVersion" => Self::GetVersion(words(data).next().unwrap_or_default()),
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            "setRemoteSDP" => {
                let mut words = words(data);
                Self::SetRemoteSdp {
                    media_session_id: words.next().unwrap_or_default(),
                    sdp: words.next().unwrap_or_default(),
                }
            }
            "notifyStreamStatusEvent" => Self::NotifyStreamStatusEvent(first(data)),
            "notifyAudioCodec" => {
                let name = data.get(1).and_then(|codec| codec.get("name")?.as_str());
                Self::NotifyAudioCodec {
                    name: name.unwrap_or_default().to_owned(),
                    media_session_id: words(data).next().unwrap_or_default(),
                }
            }
            "notifyVideoFormat" => Self::NotifyVideoFormat(first(data)),
            "inboundVideoRate" => Self::InboundVideoRate(first(data)),
            "outboundVideoRate" => Self::OutboundVideoRate(first(data)),
            AVAILABLE_STREAM => Self::AvailableStream(first(data)),
            "notifyStreamEvent" => Self::NotifyStreamEvent(first(data)),
            "fail" => Self::Fail(first(data)),
            "DataStatusEvent" => Self::DataStatusEvent(first(data)),
            "OnDataEvent" => Self::OnDataEvent(data.into_iter().next().unwrap_or_default()),
            _ => Self::Other(Other { message, data }),
        })
    }

    /// Writes a text frame.
    pub fn to_json(&self) -> String {
        match self {
            Self::GetUserData(data) => seal_one(self.name(), data),
            Self::GetVersion(version) => seal_one(self.name(), version),
            // The SDK looks for an array and does not answer without.
            Self::Ping | Self::Pong => seal(self.name(), json!([])),
            Self::SetRemoteSdp {
                media_session_id,
                sdp,
            } => seal(self.name(), json!([media_session_id, sdp, true])),
            Self::NotifyStreamStatusEvent(data) => seal_one(self.name(), data),
            Self::NotifyAudioCodec {
                media_session_id,
                name,
            } => seal(self.name(), json!([media_session_id, { "name": name }])),
            Self::NotifyVideoFormat(data) => seal_one(self.name(), data),
            Self::InboundVideoRate(data) | Self::OutboundVideoRate(data) => {
                seal_one(self.name(), data)
            }
            Self::AvailableStream(data) => seal_one(self.name(), data),
            Self::NotifyStreamEvent(data) => seal_one(self.name(), data),
            Self::Fail(data) => seal_one(self.name(), data),
            Self::DataStatusEvent(data) => seal_one(self.name(), data),
            Self::OnDataEvent(data) => seal_one(self.name(), data),
            Self::Other(other) => seal(self.name(), Value::Array(other.data.clone())),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::GetUserData(_) => "getUserData",
            Self::GetVersion(_) => "getVersion",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::SetRemoteSdp { .. } => "setRemoteSDP",
            Self::NotifyStreamStatusEvent(_) => "notifyStreamStatusEvent",
            Self::NotifyAudioCodec { .. } => "notifyAudioCodec",
            Self::NotifyVideoFormat(_) => "notifyVideoFormat",
            Self::InboundVideoRate(_) => "inboundVideoRate",
            Self::OutboundVideoRate(_) => "outboundVideoRate",
            Self::AvailableStream(_) => AVAILABLE_STREAM,
            Self::NotifyStreamEvent(_) => "notifyStreamEvent",
            Self::Fail(_) => "fail",
            Self::DataStatusEvent(_) => "DataStatusEvent",
            Self::OnDataEvent(_) => "OnDataEvent",
            Self::Other(other) => &other.message,
        }
    }
}

/// The arguments as texts; what is none is empty.
fn words(data: Vec<Value>) -> impl Iterator<Item = String> {
    data.into_iter().map(|value| match value {
        Value::String(text) => text,
        _ => String::new(),
    })
}
