// SPDX-License-Identifier: MPL-2.0

//! Fields whose type servers do not agree on: `"true"` is true, 30.0 frames are 30, a missing text is
//! empty.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

pub(super) fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    })
}

pub(super) fn optional_text<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<String>, D::Error> {
    text(from).map(|text| Some(text).filter(|text| !text.is_empty()))
}

pub(super) fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Bool(flag) => flag,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Number(number) => number.as_f64().is_some_and(|n| n != 0.0),
        _ => false,
    })
}

pub(super) fn unsigned<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    signed(from).map(|number| number.max(0) as u64)
}

/// Counts of lost packets can be negative (RFC 3550, A.3).
pub(super) fn signed<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    Ok(match Value::deserialize(from)? {
        // Out of range it saturates, and what is no number is 0.
        Value::Number(number) => number
            .as_i64()
            .unwrap_or_else(|| number.as_f64().unwrap_or_default() as i64),
        Value::String(text) => text
            .parse()
            .unwrap_or_else(|_| text.parse::<f64>().unwrap_or_default() as i64),
        Value::Bool(flag) => i64::from(flag),
        _ => 0,
    })
}
