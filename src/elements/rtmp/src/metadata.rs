// SPDX-License-Identifier: MPL-2.0

//! What `onMetaData` says about the whole stream (Adobe FLV 10.1, Annex E.5).

use gst::ClockTime;

use crate::protocol::{
    flv::{Tag, TagKind},
    rtmp::amf::{Value, amf0},
};

/// Longer ones are taken for a mistake. FLV itself counts to 2^32 ms.
const LONGEST: f64 = 4_294_967.0;

/// The duration that a data tag announces, if it is `onMetaData` and announces one.
pub(super) fn duration(tag: &Tag) -> Option<ClockTime> {
    const NAME: &[u8] = b"\x02\x00\x0aonMetaData";
    if tag.kind() != TagKind::Data || !tag.body().starts_with(NAME) {
        return None;
    }
    let values = amf0::decode_all(tag.body()).ok()?;
    let object = values.iter().find_map(Value::as_object)?;
    let seconds = object.number("duration")?;
    (seconds > 0.0 && seconds <= LONGEST).then(|| ClockTime::from_seconds_f64(seconds))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::protocol::rtmp::amf::Object;

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
        let said = |seconds| duration(&metadata("onMetaData", seconds));
        assert_eq!(said(1.5), Some(ClockTime::from_mseconds(1500)));
        for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(said(seconds), None, "{seconds}");
        }
        assert_eq!(duration(&metadata("onCuePoint", 1.5)), None);
    }

    #[test]
    fn cut_anywhere_it_says_nothing() {
        let whole = metadata("onMetaData", 1.5);
        for len in 0..whole.body().len() {
            let tag = Tag::new(TagKind::Data, 0, &whole.body()[..len]).unwrap();
            // The end marker of the object may be missing, nothing else.
            let _ = duration(&tag);
        }
    }
}
