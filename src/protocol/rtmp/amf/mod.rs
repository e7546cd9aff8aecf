// SPDX-License-Identifier: MPL-2.0

//! Action Message Format: the values that commands, metadata and data messages are made of.
//!
//! One [`Value`] serves both versions. What it does not tell apart, or AMF0 cannot express:
//!
//! | on the wire | here |
//! |---|---|
//! | AMF3 integer | [`Value::Number`]; written as an integer where it is one of 29 bits |
//! | AMF3 array, dense part only | [`Value::StrictArray`] |
//! | AMF3 array with named pairs | [`Value::EcmaArray`], the dense part behind them, keys "0", "1" ... |
//! | AMF3 vectors | [`Value::StrictArray`] |
//! | AMF3 byte array, dictionary | in AMF0 written as AMF3 behind `avmplus-object-marker` |
//! | AMF3 `ArrayCollection`, `ObjectProxy` | the value that they wrap |
//! | AMF3 sealed and dynamic members | the pairs of one object, sealed ones first |
//! | AMF3 `xml` and `xml-doc` | [`Value::Xml`]; written as `xml-doc`, which is AMF0's |
//! | AMF0 unsupported | [`Value::Unsupported`]; in AMF3 written as `undefined` |
//! | a reference | a copy of the value that it refers to |
//!
//! Text that is not UTF-8 has its bad bytes replaced by U+FFFD. Keys may be empty, may repeat and are
//! never interpreted. A decoded value, encoded in the same version, decodes to the same value; only
//! names that outgrow 65 535 bytes by replacement are cut.
//!
//! Decoding is bounded by [`AMF_DEPTH`], [`AMF_ELEMENTS`] and [`AMF_TEXT`], whatever counts and
//! references a peer sends.
//!
//! [`AMF_DEPTH`]: super::limits::AMF_DEPTH
//! [`AMF_ELEMENTS`]: super::limits::AMF_ELEMENTS
//! [`AMF_TEXT`]: super::limits::AMF_TEXT

use bytes::Bytes;

pub mod amf0;
pub mod amf3;
mod reader;
#[cfg(test)]
mod tests;

/// A value of AMF0, and of AMF3 where AMF0 switches to it (`avmplus-object-marker`).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A double.
    Number(f64),
    /// A boolean.
    Boolean(bool),
    /// A string; the encoder chooses the long form where it must.
    String(String),
    /// An anonymous object; order and duplicate keys are kept.
    Object(Object),
    /// `null`.
    Null,
    /// `undefined`.
    Undefined,
    /// An associative array. Encoders count the pairs.
    EcmaArray(Object),
    /// A dense array.
    StrictArray(Vec<Value>),
    /// Milliseconds since 1970-01-01 UTC. The time zone field is ignored, as the specification asks.
    Date(f64),
    /// An XML document, kept as text and never parsed.
    Xml(String),
    /// An object of a named class.
    Typed(String, Object),
    /// A type that the sender could not express.
    Unsupported,
    /// Bytes without a meaning of their own; AMF3 only.
    ByteArray(Bytes),
    /// Pairs whose keys are values of any type, in the order they were written; AMF3 only.
    Dictionary(Vec<(Value, Value)>),
}

/// Why bytes are not AMF. None of them can be recovered from within the message: what follows has no
/// known start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AmfError {
    /// The message ends inside a value.
    #[error("message ends inside an AMF value")]
    Truncated,
    /// A marker that no specification defines.
    #[error("unknown AMF marker {0:#04x}")]
    UnknownMarker(u8),
    /// `movieclip-marker` or `recordset-marker`. AMF0 sections 2.6 and 2.16 reserve both without
    /// giving them a body, so there is no telling where the next value starts.
    #[error("reserved AMF0 marker {0:#04x}")]
    ReservedMarker(u8),
    /// `object-end-marker` where a value should start.
    #[error("AMF0 object end without an object")]
    UnexpectedObjectEnd,
    /// Nesting beyond [`AMF_DEPTH`](super::limits::AMF_DEPTH).
    #[error("AMF values nest too deep")]
    TooDeep,
    /// More values than [`AMF_ELEMENTS`](super::limits::AMF_ELEMENTS), promised or present.
    #[error("too many AMF values in one message")]
    TooManyElements,
    /// More text than [`AMF_TEXT`](super::limits::AMF_TEXT).
    #[error("AMF values hold too much text")]
    TooMuchText,
    /// A reference to something that the message does not hold, or holds with another type.
    #[error("AMF reference {0} refers to nothing")]
    DanglingReference(u32),
    /// A reference to a value that it is itself a part of. Flash can build such values, a tree cannot
    /// hold them, and no command or metadata has a use for them.
    #[error("AMF reference {0} refers to a value around it")]
    CircularReference(u32),
    /// An instance of an AMF3 class that writes itself in a form only the class knows.
    #[error("unknown externalizable AMF3 class {0:?}")]
    UnknownExternalizable(String),
}

/// The pairs of an object in the order they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object(pub Vec<(String, Value)>);

impl Object {
    /// The first value under `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Appends a pair.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.0.push((key.into(), value.into()));
    }

    /// The first string under `key`.
    pub fn string(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }

    /// The first number under `key`.
    pub fn number(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(Value::as_number)
    }
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a number.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The pairs of anything that has pairs.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) | Self::EcmaArray(object) | Self::Typed(_, object) => Some(object),
            _ => None,
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(boolean: bool) -> Self {
        Self::Boolean(boolean)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Self::StrictArray(values)
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}
