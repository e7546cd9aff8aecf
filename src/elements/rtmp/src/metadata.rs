// SPDX-License-Identifier: MPL-2.0

//! What `onMetaData` says about the whole stream (Adobe FLV 10.1, Annex E.5).

use gst::ClockTime;

use crate::protocol::{
    flv::{Tag, TagKind},
    rtmp::amf::{Object, Value, amf0},
};

/// Longer ones are taken for a mistake. FLV itself counts to 2^32 ms.
const LONGEST: f64 = 4_294_967.0;

/// Fields of a message that says them again. Encoders send some twenty.
const FIELDS: usize = 64;

/// What `onMetaData` says, if a data tag is that.
pub(super) fn parse(tag: &Tag) -> Option<Object> {
    const NAME: &[u8] = b"\x02\x00\x0aonMetaData";
    if tag.kind() != TagKind::Data || !tag.body().starts_with(NAME) {
        return None;
    }
    let values = amf0::decode_all(tag.body()).ok()?;
    values.iter().find_map(Value::as_object).cloned()
}

/// The duration that it announces, if it announces one.
pub(super) fn duration(metadata: &Object) -> Option<ClockTime> {
    let seconds = metadata.number("duration")?;
    (seconds > 0.0 && seconds <= LONGEST).then(|| ClockTime::from_seconds_f64(seconds))
}

/// The message `rtmp-metadata`: its numbers (double), texts and booleans by their names.
pub(super) fn message(metadata: &Object) -> gst::Structure {
    let mut structure = gst::Structure::new_empty("rtmp-metadata");
    for (name, value) in metadata.0.iter().take(FIELDS) {
        // GStreamer's names begin with a letter and have no spaces.
        let fine = |c: char| c.is_ascii_alphanumeric() || ['-', '_'].contains(&c);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(fine) {
            continue;
        }
        match value {
            Value::Number(number) => structure.set(name, *number),
            Value::Boolean(flag) => structure.set(name, *flag),
            Value::String(text) if !text.contains('\0') => structure.set(name, text),
            _ => {}
        }
    }
    structure
}

/// What of it GStreamer has tags for.
pub(super) fn tags(metadata: &Object) -> Option<gst::TagList> {
    let mut tags = gst::TagList::new();
    let list = tags.make_mut();
    let text = |name| {
        let text = metadata.string(name)?;
        (!text.is_empty() && !text.contains('\0')).then_some(text)
    };
    if let Some(encoder) = text("encoder") {
        list.add::<gst::tags::Encoder>(&encoder, gst::TagMergeMode::Replace);
    }
    if let Some(title) = text("title") {
        list.add::<gst::tags::Title>(&title, gst::TagMergeMode::Replace);
    }
    list.set_scope(gst::TagScope::Global);
    (list.n_tags() > 0).then_some(tags)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn metadata(name: &str, seconds: f64) -> Tag {
        let mut body = BytesMut::new();
        let mut object = Object::default();
        object.push("duration", seconds);
        amf0::encode(&name.into(), &mut body);
        amf0::encode(&Value::EcmaArray(object), &mut body);
        Tag::new(TagKind::Data, 0, &body).unwrap()
    }

    #[test]
    fn only_a_duration_that_can_be_counts() {
        let said = |seconds| duration(&parse(&metadata("onMetaData", seconds)).unwrap());
        assert_eq!(said(1.5), Some(ClockTime::from_mseconds(1500)));
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(said(seconds), None, "{seconds}");
        }
        assert!(parse(&metadata("onCuePoint", 1.5)).is_none());
    }

    #[test]
    fn cut_anywhere_it_says_nothing() {
        let whole = metadata("onMetaData", 1.5);
        for len in 0..whole.body().len() {
            let tag = Tag::new(TagKind::Data, 0, &whole.body()[..len]).unwrap();
            // The end marker of the object may be missing, nothing else.
            let _ = parse(&tag);
        }
    }
}
