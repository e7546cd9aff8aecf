// SPDX-License-Identifier: MPL-2.0

//! Structures as JSON, and back, for what applications tell each other through a server.

use gst::prelude::*;
use serde_json::{Map, Number, Value};

/// A structure as an object. What JSON cannot hold becomes text as GStreamer writes it.
pub(super) fn from_structure(structure: &gst::StructureRef) -> Value {
    let fields = structure
        .iter()
        .map(|(name, value)| (name.to_string(), from_value(value)));
    Value::Object(fields.collect::<Map<_, _>>())
}

fn from_value(value: &glib::Value) -> Value {
    if let Ok(text) = value.get::<Option<String>>() {
        return text.map_or(Value::Null, Value::String);
    }
    if let Ok(flag) = value.get::<bool>() {
        return Value::Bool(flag);
    }
    let number = value
        .get::<i32>()
        .map(Number::from)
        .or_else(|_| value.get::<u32>().map(Number::from))
        .or_else(|_| value.get::<i64>().map(Number::from))
        .or_else(|_| value.get::<u64>().map(Number::from));
    if let Ok(number) = number {
        return Value::Number(number);
    }
    if let Ok(number) = value.get::<f64>() {
        return Number::from_f64(number).map_or(Value::Null, Value::Number);
    }
    if let Ok(structure) = value.get::<gst::Structure>() {
        return from_structure(&structure);
    }
    if let Ok(list) = value.get::<gst::Array>() {
        return list.iter().map(|value| from_value(value)).collect();
    }
    if let Ok(list) = value.get::<gst::List>() {
        return list.iter().map(|value| from_value(value)).collect();
    }
    value
        .serialize()
        .map_or(Value::Null, |text| Value::String(text.to_string()))
}

/// Text that an application gave: JSON if it is some, else the text itself.
pub(super) fn payload(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_become_objects() {
        gst::init().unwrap();
        let inner = gst::Structure::builder("inner").field("x", 1.5).build();
        let structure = gst::Structure::builder("custom")
            .field("text", "a\"b")
            .field("number", -3)
            .field("big", u64::MAX)
            .field("flag", true)
            .field("list", gst::Array::new([1, 2]))
            .field("inner", inner)
            .field("odd", gst::Fraction::new(1, 2))
            .build();
        assert_eq!(
            from_structure(&structure),
            serde_json::json!({"text": "a\"b", "number": -3, "big": u64::MAX, "flag": true,
                "list": [1, 2], "inner": {"x": 1.5}, "odd": "1/2"})
        );
    }

    #[test]
    fn payloads_are_json_or_text() {
        assert_eq!(payload("{\"a\":[1]}"), serde_json::json!({"a": [1]}));
        assert_eq!(payload("hello"), serde_json::json!("hello"));
    }
}
