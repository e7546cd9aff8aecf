// SPDX-License-Identifier: MPL-2.0

//! `conn=`: AMF values typed by hand, which go behind the connect command's object.
//!
//! One argument is `type:value`, or inside an object `Ntype:name:value`:
//!
//! | type | value |
//! |---|---|
//! | `B` | `1`, `on`, `yes`, `true` or `0`, `off`, `no`, `false` |
//! | `N` | a number |
//! | `S` | a string, all the rest |
//! | `Z` | nothing: null |
//! | `O` | `1` begins an object, `0` ends it |
//!
//! The grammar is librtmp's (`librtmp(3)`, conn). librtmp's `conn=` holds one argument; rtmp2src's
//! and rtmp2sink's `extra-connect-args` and FFmpeg's `rtmp_conn` hold several with spaces between.

use super::escape;
use crate::protocol::rtmp::{
    amf::{Object, Value},
    limits,
};

/// Why an argument was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnError {
    /// Neither `type:value` nor `Ntype:name:value`.
    #[error(
        "write a connect argument as B:, N:, S:, Z: or O: and a value, inside an object as NB:name:value"
    )]
    BadForm,
    /// `B` with something else.
    #[error("a boolean connect argument is neither 0 nor 1, write it as B:1 or NB:name:1")]
    BadBoolean,
    /// `N` with something else.
    #[error(
        "a number among the connect arguments is not a number, write it as N:1.5 or NN:name:1.5"
    )]
    BadNumber,
    /// `O` with something else, or `NO:name:0`.
    #[error("an object among the connect arguments begins with O:1 or NO:name:1 and ends with O:0")]
    BadObject,
    /// A value without a name inside an object.
    #[error(
        "a value inside an object needs a name, write it as NS:name:value and end the object with O:0"
    )]
    Unnamed,
    /// A value with a name outside every object.
    #[error("a connect argument with a name stands outside an object, begin one with O:1")]
    Named,
    /// `O:0` too many.
    #[error("the connect arguments end an object that they did not begin, remove one O:0")]
    NotOpen,
    /// Objects nested deeper than `limits::AMF_DEPTH`.
    #[error("the connect arguments nest objects too deep, remove some levels")]
    TooDeep,
    /// `\` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("a connect argument holds a \"\\\" that is no escape, write a backslash as \\5c")]
    BadEscape,
}

/// Reads arguments separated by spaces; `\20` is a space inside one, a `conn=` before one is ignored.
///
/// # Errors
///
/// [`ConnError`], one sentence each.
pub fn parse_conn(text: &str) -> Result<Vec<Value>, ConnError> {
    let mut builder = ConnBuilder::default();
    for word in text.split_ascii_whitespace() {
        let word = word.strip_prefix("conn=").unwrap_or(word);
        builder.push(&escape::decode(word, '\\').ok_or(ConnError::BadEscape)?)?;
    }
    Ok(builder.finish())
}

/// Writes values as [`parse_conn`] reads them. What the grammar cannot say, such as an array or a
/// name with a `:`, is left out.
pub fn format_conn(values: &[Value]) -> String {
    let words: Vec<_> = arguments(values)
        .iter()
        .map(|word| escape::tail(word))
        .collect();
    words.join(" ")
}

/// Takes arguments one by one, as a location with several `conn=` has them.
#[derive(Clone, Debug, Default)]
pub struct ConnBuilder {
    values: Vec<Value>,
    /// Objects begun and not ended, the outermost first; the outermost has no name.
    open: Vec<(String, Object)>,
}

impl ConnBuilder {
    /// Takes one argument, already unescaped.
    ///
    /// # Errors
    ///
    /// [`ConnError`]; the argument is then not taken.
    pub fn push(&mut self, argument: &str) -> Result<(), ConnError> {
        let (kind, rest) = argument.split_once(':').ok_or(ConnError::BadForm)?;
        let (kind, name, value) = match kind.strip_prefix('N').filter(|kind| !kind.is_empty()) {
            Some(kind) => {
                let (name, value) = rest.split_once(':').ok_or(ConnError::BadForm)?;
                (kind, Some(name), value)
            }
            None => (kind, None, rest),
        };
        if kind == "O" {
            return self.object(name, value);
        }
        let value = match kind {
            "B" => boolean(value).ok_or(ConnError::BadBoolean)?.into(),
            "N" => Value::Number(value.parse().map_err(|_| ConnError::BadNumber)?),
            "S" => value.into(),
            "Z" => Value::Null,
            _ => return Err(ConnError::BadForm),
        };
        match (name, self.open.last_mut()) {
            (None, None) => self.values.push(value),
            (Some(name), Some((_, object))) => object.push(name, value),
            (None, Some(_)) => return Err(ConnError::Unnamed),
            (Some(_), None) => return Err(ConnError::Named),
        }
        Ok(())
    }

    /// All values. Objects still open end here, as in librtmp.
    pub fn finish(mut self) -> Vec<Value> {
        while self.close().is_ok() {}
        self.values
    }

    fn object(&mut self, name: Option<&str>, value: &str) -> Result<(), ConnError> {
        match (name, boolean(value)) {
            (None, Some(false)) => self.close(),
            (_, Some(true)) => {
                match (name, self.open.is_empty()) {
                    (Some(_), true) => return Err(ConnError::Named),
                    (None, false) => return Err(ConnError::Unnamed),
                    _ => {}
                }
                if self.open.len() >= limits::AMF_DEPTH {
                    return Err(ConnError::TooDeep);
                }
                let name = name.unwrap_or_default().to_owned();
                self.open.push((name, Object::default()));
                Ok(())
            }
            _ => Err(ConnError::BadObject),
        }
    }

    fn close(&mut self) -> Result<(), ConnError> {
        let (name, object) = self.open.pop().ok_or(ConnError::NotOpen)?;
        match self.open.last_mut() {
            Some((_, parent)) => parent.push(name, object),
            None => self.values.push(object.into()),
        }
        Ok(())
    }
}

/// The words for true that librtmp knows, and their opposites.
pub(super) fn boolean(text: &str) -> Option<bool> {
    let is = |words: [&str; 4]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match () {
        () if is(["1", "on", "yes", "true"]) => Some(true),
        () if is(["0", "off", "no", "false"]) => Some(false),
        () => None,
    }
}

/// Writes values as arguments, the inverse of [`ConnBuilder`]. What the grammar cannot say, such as
/// an array or a name with a `:`, is left out.
pub(super) fn arguments(values: &[Value]) -> Vec<String> {
    let mut arguments = Vec::new();
    for value in values {
        write(&mut arguments, None, value);
    }
    arguments
}

fn write(arguments: &mut Vec<String>, name: Option<&str>, value: &Value) {
    let prefix = |kind: char| match name {
        Some(name) => format!("N{kind}:{name}:"),
        None => format!("{kind}:"),
    };
    if name.is_some_and(|name| name.contains(':')) {
        return;
    }
    match value {
        Value::Boolean(boolean) => arguments.push(prefix('B') + &u8::from(*boolean).to_string()),
        Value::Number(number) => arguments.push(prefix('N') + &number.to_string()),
        Value::String(text) => arguments.push(prefix('S') + text),
        Value::Null => arguments.push(prefix('Z')),
        Value::Object(object) => {
            arguments.push(prefix('O') + "1");
            for (name, value) in &object.0 {
                write(arguments, Some(name), value);
            }
            arguments.push("O:0".to_owned());
        }
        _ => {}
    }
}
