// SPDX-License-Identifier: MPL-2.0

//! `onMetaData` and GStreamer's tags, and script calls as structures.

use glib::SendValue;
use gst::{prelude::*, tags};

use super::caps::video::Picture;
use crate::protocol::{
    flv::Script,
    rtmp::amf::{Object, Value},
};

/// Name of the element message, and of the event, that carry a script call: `name` (string),
/// `timestamp` (uint64, ns) and `arguments` (structure `list`, whose fields `0`, `1` ... are they).
pub(super) const SCRIPT: &str = "flv-script-data";

/// Members of `onMetaData` that are text in tags too.
const TEXTS: [(&str, &str); 9] = [
    ("title", "title"),
    ("creator", "artist"),
    ("description", "description"),
    ("comment", "comment"),
    ("copyright", "copyright"),
    ("genre", "genre"),
    ("album", "album"),
    ("keywords", "keywords"),
    ("metadatacreator", "encoder"),
];

/// Durations above are taken for mistakes: FLV counts to 2^32 ms.
const LONGEST: f64 = 4_294_968.0;

/// Tags of the whole stream.
pub(super) fn tags(metadata: &Object) -> gst::TagList {
    let mut list = gst::TagList::new();
    let tags = list.make_mut();
    tags.set_scope(gst::TagScope::Global);
    tags.add::<tags::ContainerFormat>(&"Flash Video", gst::TagMergeMode::Replace);
    for (member, tag) in TEXTS {
        let text = metadata.string(member).map(plain);
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            // The taglist refuses what is not of the tag's type.
            let _ = tags.add_generic(tag, text, gst::TagMergeMode::Append);
        }
    }
    list
}

/// The duration that metadata announces, if it announces one that can be.
pub(super) fn duration(metadata: &Object) -> Option<gst::ClockTime> {
    let seconds = metadata.number("duration")?;
    (seconds > 0.0 && seconds <= LONGEST).then(|| gst::ClockTime::from_seconds_f64(seconds))
}

/// What metadata says about the pictures of a track. `object` is all of it, or the entry of a track;
/// there what an entry leaves out is as in `all`.
pub(super) fn picture(object: &Object, all: &Object) -> Picture {
    let number = |name| {
        let found = object.number(name).or_else(|| all.number(name));
        found.filter(|number| number.is_finite() && *number > 0.0)
    };
    let pixels = |name| number(name).filter(|n| *n < 65_536.0).map(|n| n as u32);
    let fraction = |a: f64, b: f64| {
        (a < 1e6 && b < 1e6 && a >= 1.0 && b >= 1.0 && a.fract() == 0.0 && b.fract() == 0.0)
            .then(|| gst::Fraction::new(a as i32, b as i32))
    };
    Picture {
        size: pixels("width")
            .zip(pixels("height"))
            .filter(|(w, h)| *w > 0 && *h > 0),
        framerate: number("framerate")
            .filter(|rate| *rate < 1000.0)
            .and_then(framerate),
        aspect: number("AspectRatioX")
            .zip(number("AspectRatioY"))
            .and_then(|(x, y)| fraction(x, y)),
    }
}

/// The fraction that a writer meant: one of small numbers if it is that to the last bit, of 1001ths, or
/// the nearest of thousandths.
fn framerate(rate: f64) -> Option<gst::Fraction> {
    const SMALL: i32 = 16;
    let exact = (1..=SMALL).find_map(|denominator| {
        let numerator = (rate * f64::from(denominator)).round();
        let same = numerator >= 1.0 && numerator / f64::from(denominator) == rate;
        same.then(|| gst::Fraction::new(numerator as i32, denominator))
    });
    if exact.is_some() {
        return exact;
    }
    for denominator in [1001, 1000] {
        let scale = if denominator == 1001 { 1000.0 } else { 1.0 };
        let numerator = rate * f64::from(denominator) / scale;
        let whole = numerator.round();
        let exact = (numerator - whole).abs() < 1e-3 || denominator == 1000;
        if exact && whole >= 1.0 {
            return Some(gst::Fraction::new((whole * scale) as i32, denominator));
        }
    }
    None
}

/// Bits a second of a track, from kilobits.
pub(super) fn bitrate(metadata: &Object, name: &str) -> Option<u32> {
    let kilobits = metadata.number(name)?;
    (1.0..4e6)
        .contains(&kilobits)
        .then_some((kilobits * 1000.0) as u32)
}

/// Members of `onMetaData` for tags.
pub(super) fn add_tags(tags: &gst::TagListRef, metadata: &mut Object) {
    for (member, tag) in TEXTS {
        if tag == "encoder" {
            continue;
        }
        if let Some(text) = tags
            .index_generic(tag, 0)
            .and_then(|v| v.get::<String>().ok())
        {
            metadata.push(member, text);
        }
    }
}

/// Text up to its first NUL, which GLib cannot hold: nginx-rtmp 1.2 pads texts of `onMetaData` with them.
fn plain(text: &str) -> &str {
    text.split('\0').next().unwrap_or_default()
}

/// A script call as a structure.
pub(super) fn to_structure(script: &Script, timestamp: gst::ClockTime) -> gst::Structure {
    gst::Structure::builder(SCRIPT)
        .field("name", plain(&script.name))
        .field("timestamp", timestamp.nseconds())
        .field("arguments", list(&script.arguments))
        .build()
}

/// The reverse of [`to_structure`]; `None` without a name. Arguments may be a `GstValueArray` too.
pub(super) fn from_structure(structure: &gst::StructureRef) -> Option<Script> {
    let arguments = structure
        .value("arguments")
        .ok()
        .map(|value| from_value(value));
    Some(Script {
        name: structure.get::<String>("name").ok()?,
        arguments: match arguments {
            Some(Value::StrictArray(values)) => values,
            Some(value) => vec![value],
            None => Vec::new(),
        },
    })
}

/// Values of any types; GStreamer's arrays hold one.
fn list(values: &[Value]) -> gst::Structure {
    let mut structure = gst::Structure::new_empty("list");
    for (at, value) in values.iter().enumerate() {
        structure.set_value(at.to_string(), to_send_value(value));
    }
    structure
}

/// Objects become structures `object` (arrays with names `array`), whose fields have the members'
/// names; of members that have one name the last stays. Arrays become `GstValueArray`s, or structures
/// `list` where their values differ in type. What is neither number, boolean, text nor made of those is
/// text or nothing.
fn to_send_value(value: &Value) -> SendValue {
    match value {
        Value::Number(number) => number.to_send_value(),
        Value::Boolean(boolean) => boolean.to_send_value(),
        Value::String(text) | Value::Xml(text) => plain(text).to_send_value(),
        Value::Date(date) => date.to_send_value(),
        Value::Object(object) | Value::Typed(_, object) => members("object", object),
        Value::EcmaArray(object) => members("array", object),
        Value::StrictArray(values) => {
            let same = |pair: &[SendValue]| match pair {
                [a, b] => a.type_() == b.type_(),
                _ => true,
            };
            let items: Vec<_> = values.iter().map(to_send_value).collect();
            match items.windows(2).all(same) {
                true => gst::Array::from_values(items).to_send_value(),
                false => list(values).to_send_value(),
            }
        }
        Value::ByteArray(bytes) => glib::Bytes::from_owned(bytes.clone()).to_send_value(),
        Value::Dictionary(_) | Value::Null | Value::Undefined | Value::Unsupported => {
            None::<String>.to_send_value()
        }
    }
}

fn members(name: &str, object: &Object) -> SendValue {
    let mut structure = gst::Structure::new_empty(name);
    for (key, value) in &object.0 {
        // GStreamer knows no fields without a name.
        if !key.is_empty() && !key.contains('\0') {
            structure.set_value(key.as_str(), to_send_value(value));
        }
    }
    structure.to_send_value()
}

fn from_value(value: &glib::Value) -> Value {
    if let Ok(number) = value.get::<f64>() {
        number.into()
    } else if let Ok(number) = value.get::<i32>() {
        f64::from(number).into()
    } else if let Ok(number) = value.get::<u32>() {
        f64::from(number).into()
    } else if let Ok(number) = value.get::<i64>() {
        (number as f64).into()
    } else if let Ok(number) = value.get::<u64>() {
        (number as f64).into()
    } else if let Ok(boolean) = value.get::<bool>() {
        boolean.into()
    } else if let Ok(text) = value.get::<Option<String>>() {
        text.map_or(Value::Null, Value::String)
    } else if let Ok(list) = value.get::<gst::ArrayRef>() {
        Value::StrictArray(
            list.as_slice()
                .iter()
                .map(|value| from_value(value))
                .collect(),
        )
    } else if let Ok(structure) = value.get::<gst::Structure>() {
        let pairs = structure.iter();
        let pairs = pairs.map(|(name, value)| (name.to_string(), from_value(value)));
        let object = Object(pairs.collect());
        match structure.name().as_str() {
            "list" => Value::StrictArray(object.0.into_iter().map(|(_, value)| value).collect()),
            "array" => Value::EcmaArray(object),
            _ => Value::Object(object),
        }
    } else {
        Value::Undefined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framerates_are_the_fractions_they_were() {
        for (rate, fraction) in [
            (25.0, (25, 1)),
            (30_000.0 / 1001.0, (30_000, 1001)),
            (29.97, (30_000, 1001)),
            (23.976, (24_000, 1001)),
            (59.94005994005994, (60_000, 1001)),
            (12.5, (25, 2)),
            (0.5, (1, 2)),
            (240.0 / 7.0, (240, 7)),
            (7.123, (7123, 1000)),
        ] {
            let found = framerate(rate).unwrap();
            assert_eq!((found.numer(), found.denom()), fraction, "{rate}");
        }
    }

    #[test]
    fn calls_are_the_same_as_structures() {
        let _ = gst::init();
        let mut inner = Object::default();
        inner.push("name", "chapter");
        inner.push("time", 1.5);
        inner.push("mixed", vec![Value::Boolean(true), 2.0.into()]);
        inner.push("same", vec![Value::Number(1.0), 2.0.into()]);
        let script = Script {
            name: "onCuePoint".to_owned(),
            arguments: vec![Value::EcmaArray(inner.clone()), inner.into(), Value::Null],
        };
        let structure = to_structure(&script, gst::ClockTime::SECOND);
        assert_eq!(from_structure(&structure), Some(script));
    }

    /// nginx-rtmp 1.2 sends `profile` and `level` so.
    #[test]
    fn text_ends_at_its_first_nul() {
        let _ = gst::init();
        let mut object = Object::default();
        object.push("title", "ours\0\0\0");
        object.push("creator", "\0");
        object.push("a\0b", "c\0d");
        assert_eq!(
            tags(&object)
                .get::<tags::Title>()
                .map(|tag| tag.get().to_owned()),
            Some("ours".to_owned())
        );
        let script = Script {
            name: "on\0MetaData".to_owned(),
            arguments: vec![object.into(), "x\0y".into(), Value::Xml("\0".into())],
        };
        let structure = to_structure(&script, gst::ClockTime::ZERO);
        assert_eq!(structure.get::<&str>("name"), Ok("on"));
        let list = structure.get::<gst::Structure>("arguments").unwrap();
        assert_eq!(list.get::<&str>("1"), Ok("x"));
        let members = list.get::<gst::Structure>("0").unwrap();
        assert_eq!(members.get::<&str>("title"), Ok("ours"));
        assert_eq!(members.get::<&str>("creator"), Ok(""));
    }

    #[test]
    fn metadata_that_lies_says_nothing() {
        let _ = gst::init();
        let mut object = Object::default();
        for name in [
            "width",
            "height",
            "framerate",
            "duration",
            "videodatarate",
            "AspectRatioX",
        ] {
            object.push(name, f64::NAN);
        }
        assert_eq!(picture(&object, &object), Picture::default());
        assert_eq!(duration(&object), None);
        assert_eq!(bitrate(&object, "videodatarate"), None);
    }
}
