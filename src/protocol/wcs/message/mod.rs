// SPDX-License-Identifier: MPL-2.0

//! The messages. A text frame is `{"message": NAME, "data": [ARGUMENT, ...]}`, nearly always with one
//! argument.
//!
//! Reading is lenient where servers and SDKs are: an absent or odd field has its default, further fields
//! are kept in `rest`, a message that is not known is [`ClientMessage::Other`] or
//! [`ServerMessage::Other`]. Only text that is no such envelope is an error.

mod client;
mod lenient;
mod server;
#[cfg(test)]
mod tests;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

pub use client::{
    AvailableStream, ClientMessage, Connection, EndStream, OutgoingEvent, PlayStream,
    PublishStream, SendData, Snapshot,
};
pub use server::{
    Availability, DataStatus, Fail, ServerMessage, StreamEvent, StreamState, UserData, VideoFormat,
    VideoRate,
};

use super::limits;

/// Text that is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Longer than a message may be.
    #[error("a message of {0} bytes is too long")]
    TooLong(usize),
    /// No JSON, or none that ends.
    #[error("a message is no JSON: {0}")]
    Json(String),
    /// JSON, but nothing that names a message.
    #[error("a message has no name")]
    NoName,
}

/// A message of a kind that is not known here.
#[derive(Clone, Debug, PartialEq)]
pub struct Other {
    /// Its name.
    pub message: String,
    /// Its arguments.
    pub data: Vec<Value>,
}

/// Name and arguments of a text frame.
fn open(text: &str) -> Result<Other, MessageError> {
    if text.len() > limits::MESSAGE {
        return Err(MessageError::TooLong(text.len()));
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| MessageError::Json(error.to_string()))?;
    let Value::Object(mut envelope) = value else {
        return match value {
            // The vendor's page shows this one answer without its envelope.
            Value::Array(data) if data.first().is_some_and(is_availability) => Ok(Other {
                message: server::AVAILABLE_STREAM.to_owned(),
                data,
            }),
            _ => Err(MessageError::NoName),
        };
    };
    let Some(Value::String(message)) = envelope.remove("message") else {
        return Err(MessageError::NoName);
    };
    let data = match envelope.remove("data") {
        Some(Value::Array(data)) => data,
        None | Some(Value::Null) => Vec::new(),
        Some(single) => vec![single],
    };
    Ok(Other { message, data })
}

fn is_availability(value: &Value) -> bool {
    ["id", "status"]
        .iter()
        .all(|field| value.get(field).is_some())
}

fn seal(message: &str, data: Value) -> String {
    json!({ "message": message, "data": data }).to_string()
}

/// The same with one argument.
fn seal_one(message: &str, argument: &impl Serialize) -> String {
    // What has only texts as keys can be written.
    let argument = serde_json::to_value(argument).unwrap_or_default();
    seal(message, Value::Array(vec![argument]))
}

/// The first argument as a `T`; an absent or odd one is a `T` without anything in it.
fn first<T: DeserializeOwned + Default>(data: Vec<Value>) -> T {
    data.into_iter()
        .next()
        .and_then(|value| serde_json::from_value(value).ok())
        .unwrap_or_default()
}

/// Fields beside those that have a name here.
pub type Rest = Map<String, Value>;
