// SPDX-License-Identifier: MPL-2.0

//! AMF0 (Adobe, "Action Message Format -- AMF 0", 2006), section numbers below are of that document.
//!
//! References (2.9) count the objects and arrays of a whole message, so whoever reads a message value
//! by value keeps one [`Decoder`] for all of them.

use bytes::{BufMut, BytesMut};

use super::{
    AmfError, Object, Value, amf3,
    reader::{Reader, References},
};

const NUMBER: u8 = 0x00;
const BOOLEAN: u8 = 0x01;
const STRING: u8 = 0x02;
const OBJECT: u8 = 0x03;
const MOVIECLIP: u8 = 0x04;
const NULL: u8 = 0x05;
const UNDEFINED: u8 = 0x06;
const REFERENCE: u8 = 0x07;
const ECMA_ARRAY: u8 = 0x08;
const OBJECT_END: u8 = 0x09;
const STRICT_ARRAY: u8 = 0x0a;
const DATE: u8 = 0x0b;
const LONG_STRING: u8 = 0x0c;
const UNSUPPORTED: u8 = 0x0d;
const RECORDSET: u8 = 0x0e;
const XML_DOCUMENT: u8 = 0x0f;
const TYPED_OBJECT: u8 = 0x10;
const AVMPLUS_OBJECT: u8 = 0x11;

/// The empty name and the marker that end the pairs of an object.
const END: [u8; 3] = [0, 0, OBJECT_END];

/// Reads one value and moves `input` behind it.
///
/// The value is a message of its own: references reach no further back than its start. On an error
/// the position of `input` is unspecified.
pub fn decode(input: &mut &[u8]) -> Result<Value, AmfError> {
    let mut decoder = Decoder::new(input);
    let value = decoder.top_level();
    *input = decoder.rest();
    value
}

/// Reads all values of a message, which share its references and budgets.
pub fn decode_all(input: &[u8]) -> Result<Vec<Value>, AmfError> {
    Decoder::new(input).collect()
}

/// The values of one message, one after the other. After an error there are no more.
#[derive(Debug)]
pub struct Decoder<'a> {
    reader: Reader<'a>,
    started: bool,
    objects: References<'a>,
    /// AMF3 section 4.1 resets the AMF3 tables for a message, not for each switch to AMF3.
    amf3: amf3::Tables<'a>,
}

impl<'a> Decoder<'a> {
    /// Starts on a message.
    pub fn new(message: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(message),
            started: false,
            objects: References::default(),
            amf3: amf3::Tables::default(),
        }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }

    fn top_level(&mut self) -> Result<Value, AmfError> {
        self.reader.spend_elements(1)?;
        self.value()
    }

    fn value(&mut self) -> Result<Value, AmfError> {
        let start = self.reader.rest();
        Ok(match self.reader.u8()? {
            NUMBER => Value::Number(self.reader.f64()?),
            BOOLEAN => Value::Boolean(self.reader.u8()? != 0),
            STRING => Value::String(self.short_text()?),
            NULL => Value::Null,
            UNDEFINED => Value::Undefined,
            REFERENCE => self.reference()?,
            DATE => {
                let date = self.reader.f64()?;
                self.reader.u16()?;
                Value::Date(date)
            }
            LONG_STRING => Value::String(self.long_text()?),
            UNSUPPORTED => Value::Unsupported,
            XML_DOCUMENT => Value::Xml(self.long_text()?),
            marker @ (OBJECT | ECMA_ARRAY | STRICT_ARRAY | TYPED_OBJECT) => {
                self.reader.enter()?;
                let slot = self.objects.begin(&self.reader, start);
                let value = self.complex(marker)?;
                self.objects.complete(slot);
                self.reader.leave();
                value
            }
            AVMPLUS_OBJECT => self.amf3.value(&mut self.reader)?,
            OBJECT_END => return Err(AmfError::UnexpectedObjectEnd),
            marker @ (MOVIECLIP | RECORDSET) => return Err(AmfError::ReservedMarker(marker)),
            marker => return Err(AmfError::UnknownMarker(marker)),
        })
    }

    fn complex(&mut self, marker: u8) -> Result<Value, AmfError> {
        Ok(match marker {
            ECMA_ARRAY => {
                // Writers of files that grow put 0 or a stale count here, so only the end counts.
                self.reader.u32()?;
                Value::EcmaArray(self.pairs(true)?)
            }
            STRICT_ARRAY => {
                let count = self.reader.u32()? as usize;
                self.reader.spend_elements(count)?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value()?);
                }
                Value::StrictArray(values)
            }
            TYPED_OBJECT => Value::Typed(self.short_text()?, self.pairs(false)?),
            _ => Value::Object(self.pairs(false)?),
        })
    }

    /// Pairs up to the end marker. `may_lack_end` is for ECMA arrays: encoders that go by the count
    /// leave the marker out when the array is the last of a message, as `onMetaData` mostly is.
    fn pairs(&mut self, may_lack_end: bool) -> Result<Object, AmfError> {
        let mut pairs = Object::default();
        while !self.reader.skip_if(&END) {
            if may_lack_end && self.reader.is_empty() {
                break;
            }
            self.reader.spend_elements(1)?;
            let key = self.short_text()?;
            pairs.0.push((key, self.value()?));
        }
        Ok(pairs)
    }

    fn reference(&mut self) -> Result<Value, AmfError> {
        let index = self.reader.u16()?;
        let start = self.objects.resolve(u32::from(index))?;
        let bookmark = self.reader.replay(start);
        let value = self.value()?;
        self.reader.resume(bookmark);
        Ok(value)
    }

    fn short_text(&mut self) -> Result<String, AmfError> {
        let len = self.reader.u16()?;
        let raw = self.reader.take(usize::from(len))?;
        self.reader.text(raw)
    }

    fn long_text(&mut self) -> Result<String, AmfError> {
        let len = self.reader.u32()?;
        let raw = self.reader.take(len as usize)?;
        self.reader.text(raw)
    }
}

impl Iterator for Decoder<'_> {
    type Item = Result<Value, AmfError>;

    fn next(&mut self) -> Option<Self::Item> {
        // FLV up to version 9 ends every script tag like an object; its tags are still on the air.
        if self.reader.is_empty() || (self.started && self.rest() == END) {
            return None;
        }
        self.started = true;
        let value = self.top_level();
        if value.is_err() {
            self.reader = Reader::new(&[]);
        }
        Some(value)
    }
}

/// Appends `value`.
///
/// Names longer than 65 535 bytes, which AMF0 cannot express, are cut. [`Value::ByteArray`] and
/// [`Value::Dictionary`] are written as AMF3 behind `avmplus-object-marker`. References are never
/// written.
pub fn encode(value: &Value, out: &mut BytesMut) {
    match value {
        Value::Number(number) => {
            out.put_u8(NUMBER);
            out.put_f64(*number);
        }
        Value::Boolean(boolean) => out.put_slice(&[BOOLEAN, u8::from(*boolean)]),
        Value::String(text) if text.len() <= usize::from(u16::MAX) => {
            out.put_u8(STRING);
            put_short_text(text, out);
        }
        Value::String(text) => {
            out.put_u8(LONG_STRING);
            put_long_text(text, out);
        }
        Value::Object(object) => {
            out.put_u8(OBJECT);
            put_pairs(object, out);
        }
        Value::Null => out.put_u8(NULL),
        Value::Undefined => out.put_u8(UNDEFINED),
        Value::EcmaArray(object) => {
            out.put_u8(ECMA_ARRAY);
            out.put_u32(object.0.len() as u32);
            put_pairs(object, out);
        }
        Value::StrictArray(values) => {
            out.put_u8(STRICT_ARRAY);
            out.put_u32(values.len() as u32);
            for value in values {
                encode(value, out);
            }
        }
        Value::Date(date) => {
            out.put_u8(DATE);
            out.put_f64(*date);
            out.put_i16(0);
        }
        Value::Xml(text) => {
            out.put_u8(XML_DOCUMENT);
            put_long_text(text, out);
        }
        Value::Typed(class, object) => {
            out.put_u8(TYPED_OBJECT);
            put_short_text(class, out);
            put_pairs(object, out);
        }
        Value::Unsupported => out.put_u8(UNSUPPORTED),
        Value::ByteArray(_) | Value::Dictionary(_) => {
            out.put_u8(AVMPLUS_OBJECT);
            amf3::encode(value, out);
        }
    }
}

fn put_pairs(object: &Object, out: &mut BytesMut) {
    for (key, value) in &object.0 {
        put_short_text(key, out);
        encode(value, out);
    }
    out.put_slice(&END);
}

fn put_short_text(text: &str, out: &mut BytesMut) {
    let text = cut(text, usize::from(u16::MAX));
    out.put_u16(text.len() as u16);
    out.put_slice(text.as_bytes());
}

fn put_long_text(text: &str, out: &mut BytesMut) {
    let text = cut(text, u32::MAX as usize);
    out.put_u32(text.len() as u32);
    out.put_slice(text.as_bytes());
}

/// The longest start of `text` that fits into `len` bytes.
pub(super) fn cut(text: &str, len: usize) -> &str {
    text.get(..text.floor_char_boundary(len))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn object(pairs: &[(&str, Value)]) -> Object {
        Object(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
        )
    }

    fn encoded(value: &Value) -> BytesMut {
        let mut out = BytesMut::new();
        encode(value, &mut out);
        out
    }

    fn decoded(mut bytes: &[u8]) -> Result<Value, AmfError> {
        let value = decode(&mut bytes)?;
        assert_eq!(bytes, b"", "bytes left over behind {value:?}");
        Ok(value)
    }

    #[track_caller]
    fn both_ways(bytes: &[u8], value: Value) {
        assert_eq!(decoded(bytes), Ok(value.clone()));
        assert_eq!(encoded(&value), bytes);
    }

    #[test]
    fn every_marker_both_ways() {
        both_ways(
            b"\x00\x40\x09\x21\xfb\x54\x44\x2d\x18",
            std::f64::consts::PI.into(),
        );
        both_ways(b"\x01\x00", false.into());
        both_ways(b"\x01\x01", true.into());
        both_ways(b"\x02\x00\x00", "".into());
        both_ways(b"\x02\x00\x04_r\xc3\xa9", "_r\u{e9}".into());
        both_ways(b"\x05", Value::Null);
        both_ways(b"\x06", Value::Undefined);
        both_ways(
            b"\x03\x00\x03app\x02\x00\x04live\x00\x01a\x05\x00\x00\x09",
            object(&[("app", "live".into()), ("a", Value::Null)]).into(),
        );
        both_ways(
            b"\x08\x00\x00\x00\x01\x00\x01k\x01\x01\x00\x00\x09",
            Value::EcmaArray(object(&[("k", true.into())])),
        );
        both_ways(
            b"\x0a\x00\x00\x00\x02\x05\x0a\x00\x00\x00\x00",
            vec![Value::Null, vec![].into()].into(),
        );
        both_ways(
            b"\x0b\x42\x6d\x1a\x94\xa2\x00\x00\x00\x00\x00",
            Value::Date(1e12),
        );
        both_ways(b"\x0d", Value::Unsupported);
        both_ways(b"\x0f\x00\x00\x00\x04<a/>", Value::Xml("<a/>".to_owned()));
        both_ways(
            b"\x10\x00\x01C\x00\x01x\x06\x00\x00\x09",
            Value::Typed("C".to_owned(), object(&[("x", Value::Undefined)])),
        );
        both_ways(
            b"\x11\x0c\x05\xde\xad",
            Value::ByteArray(Bytes::from_static(b"\xde\xad")),
        );
        both_ways(
            b"\x11\x11\x03\x00\x04\x01\x06\x03v",
            Value::Dictionary(vec![(1.0.into(), "v".into())]),
        );
    }

    #[test]
    fn text_beyond_16_bits_takes_the_long_form() {
        for (len, marker) in [(0xffff, STRING), (0x1_0000, LONG_STRING)] {
            let value = Value::String("x".repeat(len));
            let bytes = encoded(&value);
            assert_eq!(bytes.first(), Some(&marker));
            assert_eq!(decoded(&bytes), Ok(value));
        }
        assert_eq!(decoded(b"\x0c\x00\x00\x00\x02ab"), Ok("ab".into()));
    }

    #[test]
    fn names_that_do_not_fit_are_cut_between_characters() {
        let long = "x".repeat(0xfffe);
        let value = Value::from(object(&[(&format!("{long}\u{e9}"), Value::Null)]));
        let cut = Value::from(object(&[(&long, Value::Null)]));
        assert_eq!(decoded(&encoded(&value)), Ok(cut));
    }

    #[test]
    fn the_time_zone_of_a_date_is_ignored() {
        let bytes = b"\x0b\x3f\xf0\x00\x00\x00\x00\x00\x00\xff\xc4";
        assert_eq!(decoded(bytes), Ok(Value::Date(1.0)));
    }

    #[test]
    fn values_follow_each_other() {
        let message = b"\x02\x00\x07connect\x00\x3f\xf0\x00\x00\x00\x00\x00\x00\x05";
        let expected = vec!["connect".into(), 1.0.into(), Value::Null];
        assert_eq!(decode_all(message), Ok(expected));
        let mut rest: &[u8] = message;
        assert_eq!(decode(&mut rest), Ok("connect".into()));
        assert_eq!(rest.len(), message.len() - 10);
        assert_eq!(decode_all(b""), Ok(vec![]));
    }

    #[test]
    fn references_name_complex_values_of_the_message() {
        // 0: the array, 1: the object in it, 2: the second value.
        let message = b"\x0a\x00\x00\x00\x02\x03\x00\x01a\x05\x00\x00\x09\x07\x00\x01\
            \x08\x00\x00\x00\x00\x00\x01b\x07\x00\x00\x00\x00\x09\
            \x07\x00\x02";
        let inner = Value::from(object(&[("a", Value::Null)]));
        let array = Value::from(vec![inner.clone(), inner]);
        let second = Value::EcmaArray(object(&[("b", array.clone())]));
        assert_eq!(decode_all(message), Ok(vec![array, second.clone(), second]));
    }

    #[test]
    fn replays_give_out_no_numbers() {
        // 0 {a: 1 {}}, a copy of 0, 2 [], and 2 again.
        let message = b"\x03\x00\x01a\x03\x00\x00\x09\x00\x00\x09\x07\x00\x00\
            \x0a\x00\x00\x00\x00\x07\x00\x02";
        let values = decode_all(message).unwrap();
        assert_eq!(values.get(1), values.first());
        assert_eq!(values.get(3), Some(&vec![].into()));
    }

    #[test]
    fn ecma_arrays_of_real_encoders() {
        let expected = Ok(Value::EcmaArray(object(&[("k", true.into())])));
        let count_zero = b"\x08\x00\x00\x00\x00\x00\x01k\x01\x01\x00\x00\x09";
        let count_wrong = b"\x08\xff\xff\xff\xff\x00\x01k\x01\x01\x00\x00\x09";
        let no_end = b"\x08\x00\x00\x00\x01\x00\x01k\x01\x01";
        assert_eq!(decoded(count_zero), expected);
        assert_eq!(decoded(count_wrong), expected);
        assert_eq!(decoded(no_end), expected);
    }

    #[test]
    fn the_end_of_old_script_tags_is_no_value() {
        let message = b"\x02\x00\x01a\x08\x00\x00\x00\x00\x00\x00\x09\x00\x00\x09";
        let expected = vec!["a".into(), Value::EcmaArray(Object::default())];
        assert_eq!(decode_all(message), Ok(expected));
        assert_eq!(decode_all(&END), Err(AmfError::Truncated));
    }

    #[test]
    fn amf3_ends_with_its_value_and_keeps_its_tables() {
        // "ab" in AMF3, null in AMF0, the same string by reference in AMF3.
        let message = b"\x11\x06\x05ab\x05\x11\x06\x00";
        let expected = vec!["ab".into(), Value::Null, "ab".into()];
        assert_eq!(decode_all(message), Ok(expected));
    }
}
