// SPDX-License-Identifier: MPL-2.0

//! Action Message Format: the values that commands, metadata and data messages are made of.

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

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}
