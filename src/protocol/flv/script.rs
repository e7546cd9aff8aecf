// SPDX-License-Identifier: MPL-2.0

//! Script tags (Adobe FLV 10.1, Annex E.4.4): a name such as `onMetaData`, and its arguments.

use bytes::{BufMut, BytesMut};

use super::tag::{Tag, TagKind};
use crate::protocol::rtmp::amf::{AmfError, Object, Value, amf0};

/// Metadata of the whole stream.
pub const ON_METADATA: &str = "onMetaData";

/// What an RTMP publisher puts before the name, for the server to keep and to take off.
const SET_DATA_FRAME: &str = "@setDataFrame";

/// A call of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Whom it calls.
    pub name: String,
    /// With what.
    pub arguments: Vec<Value>,
}

impl Script {
    /// A call with one argument.
    pub fn new(name: impl Into<String>, argument: Value) -> Self {
        Self {
            name: name.into(),
            arguments: vec![argument],
        }
    }

    /// Reads a data tag; `None` where it does not begin with a name, or is no data tag.
    ///
    /// # Errors
    ///
    /// It is no AMF.
    pub fn parse(tag: &Tag) -> Result<Option<Self>, AmfError> {
        let body = match (tag.kind(), tag.body()) {
            (TagKind::Data, body) => body,
            // A format byte, of which 0 is the only value defined: AMF0, which may switch to AMF3.
            (TagKind::DataAmf3, [0, body @ ..]) => body,
            _ => return Ok(None),
        };
        let mut arguments = amf0::decode_all(body)?.into_iter();
        let mut name = arguments.next();
        if name.as_ref().and_then(Value::as_str) == Some(SET_DATA_FRAME) {
            name = arguments.next();
        }
        Ok(match name {
            Some(Value::String(name)) => Some(Self {
                name,
                arguments: arguments.collect(),
            }),
            _ => None,
        })
    }

    /// Appends the body of a [`TagKind::Data`] tag.
    pub fn write(&self, out: &mut BytesMut) {
        amf0::encode(&Value::String(self.name.clone()), out);
        for argument in &self.arguments {
            amf0::encode(argument, out);
        }
    }

    /// A tag of this call at `timestamp` ms, or `None` where it is longer than a tag can be. Of
    /// another kind than data there is none either.
    pub fn to_tag(&self, kind: TagKind, timestamp: u32) -> Option<Tag> {
        let mut body = BytesMut::new();
        match kind {
            TagKind::Data => {}
            TagKind::DataAmf3 => body.put_u8(0),
            TagKind::Audio | TagKind::Video => return None,
        }
        self.write(&mut body);
        Tag::new(kind, timestamp, &body)
    }

    /// The first argument that has members.
    pub fn object(&self) -> Option<&Object> {
        self.arguments.iter().find_map(Value::as_object)
    }
}

/// Where in a file its key frames are, by time: `keyframes` of `onMetaData`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeyframeIndex {
    /// Seconds and bytes from the start of the file, in order of time.
    pub entries: Vec<(f64, u64)>,
}

impl KeyframeIndex {
    /// Reads the index that is part of `onMetaData`. Entries that are no numbers, or below 0, or not
    /// in order are left out.
    pub fn from_metadata(metadata: &Object) -> Option<Self> {
        let index = metadata.get("keyframes")?.as_object()?;
        let list = |name| match index.get(name) {
            Some(Value::StrictArray(values)) => Some(values),
            _ => None,
        };
        let mut entries: Vec<(f64, u64)> = Vec::new();
        for (time, position) in list("times")?.iter().zip(list("filepositions")?) {
            let (Some(time), Some(position)) = (time.as_number(), position.as_number()) else {
                continue;
            };
            let after = entries
                .last()
                .is_none_or(|&(last, at)| time >= last && position > at as f64);
            // 2^53: beyond, a number does not say which byte.
            if after && (0.0..1e9).contains(&time) && (1.0..9e15).contains(&position) {
                entries.push((time, position as u64));
            }
        }
        Some(Self { entries })
    }

    /// The value of `keyframes`.
    pub fn to_value(&self) -> Value {
        let mut object = Object::default();
        let times = self.entries.iter().map(|&(time, _)| time.into());
        let positions = self.entries.iter().map(|&(_, at)| (at as f64).into());
        object.push("times", Value::StrictArray(times.collect()));
        object.push("filepositions", Value::StrictArray(positions.collect()));
        object.into()
    }

    /// Where the last key frame at or before `seconds` is, and when.
    pub fn before(&self, seconds: f64) -> Option<(f64, u64)> {
        self.entries
            .get(self.later(seconds).checked_sub(1)?)
            .copied()
    }

    /// Where the next one is that is listed, and when.
    pub fn after(&self, seconds: f64) -> Option<(f64, u64)> {
        self.entries.get(self.later(seconds)).copied()
    }

    fn later(&self, seconds: f64) -> usize {
        self.entries.partition_point(|&(time, _)| time <= seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call() -> Script {
        let mut object = Object::default();
        object.push("width", 640.0);
        Script::new(ON_METADATA, Value::EcmaArray(object))
    }

    #[test]
    fn calls_survive_both_kinds_of_tag() {
        for kind in [TagKind::Data, TagKind::DataAmf3] {
            let tag = call().to_tag(kind, 7).unwrap();
            assert_eq!(Script::parse(&tag), Ok(Some(call())));
            assert_eq!(tag.timestamp(), 7);
        }
        assert_eq!(call().to_tag(TagKind::Video, 0), None);
    }

    #[test]
    fn amf3_values_behind_the_format_byte() {
        let body = b"\x00\x02\x00\x01a\x11\x04\x05";
        let tag = Tag::new(TagKind::DataAmf3, 0, body).unwrap();
        let script = Script::parse(&tag).unwrap().unwrap();
        assert_eq!(script.arguments, [Value::Number(5.0)]);
        let tag = Tag::new(TagKind::DataAmf3, 0, b"\x03\x02\x00\x01a").unwrap();
        assert_eq!(Script::parse(&tag), Ok(None));
    }

    #[test]
    fn what_publishers_put_before_the_name_is_gone() {
        let body = b"\x02\x00\x0d@setDataFrame\x02\x00\x0aonMetaData\x05";
        let tag = Tag::new(TagKind::Data, 0, body).unwrap();
        assert_eq!(
            Script::parse(&tag),
            Ok(Some(Script::new(ON_METADATA, Value::Null)))
        );
    }

    #[test]
    fn cut_anywhere_it_is_no_call_or_an_error() {
        let tag = call().to_tag(TagKind::Data, 0).unwrap();
        for len in 0..tag.body().len() {
            let tag = Tag::new(TagKind::Data, 0, &tag.body()[..len]).unwrap();
            let _ = Script::parse(&tag);
        }
    }

    #[test]
    fn an_index_finds_the_key_frame_before() {
        let index = KeyframeIndex {
            entries: vec![(0.0, 400), (2.0, 9000), (4.0, 20_000)],
        };
        let mut metadata = Object::default();
        metadata.push("keyframes", index.to_value());
        assert_eq!(KeyframeIndex::from_metadata(&metadata), Some(index.clone()));
        assert_eq!(index.before(1.9), Some((0.0, 400)));
        assert_eq!(index.before(2.0), Some((2.0, 9000)));
        assert_eq!(index.before(9.0), Some((4.0, 20_000)));
        assert_eq!(index.before(-1.0), None);
        assert_eq!(index.after(1.0), Some((2.0, 9000)));
        assert_eq!(index.after(2.0), Some((4.0, 20_000)));
        assert_eq!(index.after(4.5), None);
    }

    #[test]
    fn entries_that_lie_are_left_out() {
        let mut keyframes = Object::default();
        let numbers = |list: &[f64]| Value::StrictArray(list.iter().map(|&n| n.into()).collect());
        keyframes.push("times", numbers(&[0.0, f64::NAN, 1.0, 0.5, 2.0, 3.0]));
        keyframes.push(
            "filepositions",
            numbers(&[100.0, 200.0, -5.0, 300.0, 1e300, 900.0]),
        );
        let mut metadata = Object::default();
        metadata.push("keyframes", keyframes);
        let index = KeyframeIndex::from_metadata(&metadata).unwrap();
        assert_eq!(index.entries, [(0.0, 100), (0.5, 300), (3.0, 900)]);
    }
}
