// SPDX-License-Identifier: MPL-2.0

use bytes::{Bytes, BytesMut};

use super::type_id;
use crate::protocol::rtmp::amf::{AmfError, Object, Value, amf0};

/// A command that cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CommandError {
    /// Its values are malformed or over a budget.
    #[error(transparent)]
    Amf(#[from] AmfError),
    /// It does not start with a name.
    #[error("a command message does not start with a name")]
    NoName,
}

/// A command message (RTMP 1.0, section 7.1.1 and 7.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// The procedure, `_result` and `_error` among them.
    pub name: String,
    /// What an answer refers to; 0 where none is wanted. Peers send every double there is.
    pub transaction: f64,
    /// The command object, or null.
    pub object: Value,
    /// What follows.
    pub arguments: Vec<Value>,
}

impl Command {
    /// A command whose command object is null.
    pub fn new(name: &str, transaction: f64, arguments: Vec<Value>) -> Self {
        Self {
            name: name.to_owned(),
            transaction,
            object: Value::Null,
            arguments,
        }
    }

    /// Parses the body of a message of type 20 or 17.
    ///
    /// Only the name must be there: Flash-era encoders leave the transaction id away
    /// (`onFCPublish`), others the command object.
    pub fn parse(type_id: u8, body: &[u8]) -> Result<Self, CommandError> {
        // Type 17 opens with a format byte, 0 for AMF0 (E-RTMP v2, "Enhancing NetConnection"); an
        // AMF0 string cannot start with a zero byte, so senders that omit it are understood too.
        let body = match body {
            [0, rest @ ..] if type_id == type_id::COMMAND_AMF3 => rest,
            _ => body,
        };
        let mut values = amf0::decode_all(body)?.into_iter();
        let name = match values.next() {
            Some(Value::String(name)) => name,
            _ => return Err(CommandError::NoName),
        };
        let mut values = values.peekable();
        let transaction = match values.peek() {
            Some(Value::Number(number)) => {
                let number = *number;
                values.next();
                number
            }
            _ => 0.0,
        };
        let object = values.next().unwrap_or(Value::Null);
        Ok(Self {
            name,
            transaction,
            object,
            arguments: values.collect(),
        })
    }

    /// The body of a message of type 20.
    pub fn to_body(&self) -> Bytes {
        let mut body = BytesMut::new();
        amf0::encode(&Value::String(self.name.clone()), &mut body);
        amf0::encode(&Value::Number(self.transaction), &mut body);
        amf0::encode(&self.object, &mut body);
        for argument in &self.arguments {
            amf0::encode(argument, &mut body);
        }
        body.freeze()
    }

    /// The information object of `onStatus`, `_result` and `_error`: the last argument that is an
    /// object, or the command object itself where a peer put it there.
    pub fn information(&self) -> Option<&Object> {
        self.arguments
            .iter()
            .rev()
            .find_map(Value::as_object)
            .or_else(|| {
                self.object
                    .as_object()
                    .filter(|object| object.get("code").is_some())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_agree() {
        let mut info = Object::default();
        info.push("code", "NetStream.Play.Start");
        let command = Command::new("onStatus", 0.0, vec![info.into()]);
        let body = command.to_body();
        assert_eq!(Command::parse(20, &body), Ok(command.clone()));
        let amf3 = [&[0], body.as_ref()].concat();
        assert_eq!(Command::parse(17, &amf3), Ok(command.clone()));
        assert_eq!(Command::parse(17, &body), Ok(command.clone()));
        assert_eq!(
            command.information().unwrap().string("code"),
            Some("NetStream.Play.Start")
        );
        for len in 0..body.len() {
            // Cut between two values it is a shorter command; anywhere else it is an error.
            if let Ok(short) = Command::parse(20, &body[..len]) {
                assert!(short.arguments.is_empty());
            }
        }
    }

    #[test]
    fn sloppy_commands_are_read() {
        let mut body = BytesMut::new();
        amf0::encode(&"onFCPublish".into(), &mut body);
        amf0::encode(&Value::Null, &mut body);
        let command = Command::parse(20, &body).unwrap();
        assert_eq!((command.transaction, command.object), (0.0, Value::Null));
        let mut body = BytesMut::new();
        amf0::encode(&Value::Number(1.0), &mut body);
        assert_eq!(Command::parse(20, &body), Err(CommandError::NoName));
    }
}
