// SPDX-License-Identifier: MPL-2.0

//! AMF3 (Adobe, "Action Message Format -- AMF 3", 2013), section numbers below are of that document.
//!
//! RTMP never carries AMF3 alone: messages 15, 16 and 17 are AMF0 in which `avmplus-object-marker`
//! announces one AMF3 value (Enhanced RTMP v2, "Important AMF3-encoded Historical Specification
//! Clarification"), so most callers want [`amf0`](super::amf0).

use std::rc::Rc;

use bytes::{BufMut, BytesMut};

use super::{
    AmfError, Object, Value,
    amf0::cut,
    reader::{Reader, References},
};

const UNDEFINED: u8 = 0x00;
const NULL: u8 = 0x01;
const FALSE: u8 = 0x02;
const TRUE: u8 = 0x03;
const INTEGER: u8 = 0x04;
const DOUBLE: u8 = 0x05;
const STRING: u8 = 0x06;
const XML_DOC: u8 = 0x07;
const DATE: u8 = 0x08;
const ARRAY: u8 = 0x09;
const OBJECT: u8 = 0x0a;
const XML: u8 = 0x0b;
const BYTE_ARRAY: u8 = 0x0c;
const VECTOR_INT: u8 = 0x0d;
const VECTOR_UINT: u8 = 0x0e;
const VECTOR_DOUBLE: u8 = 0x0f;
const VECTOR_OBJECT: u8 = 0x10;
const DICTIONARY: u8 = 0x11;

/// Externalizable classes of Flex that write the one value they wrap and nothing else.
const WRAPPERS: [&[u8]; 2] = [
    b"flex.messaging.io.ArrayCollection",
    b"flex.messaging.io.ObjectProxy",
];

/// Set in the first U29 of anything that is written out rather than referred to.
const INLINE: u32 = 0b1;
const INLINE_TRAITS: u32 = 0b10;
const EXTERNALIZABLE: u32 = 0b100;
const DYNAMIC: u32 = 0b1000;

/// Reads one value and moves `input` behind it.
///
/// The value is a message of its own: references reach no further back than its start. On an error
/// the position of `input` is unspecified.
pub fn decode(input: &mut &[u8]) -> Result<Value, AmfError> {
    let mut reader = Reader::new(input);
    reader.spend_elements(1)?;
    let value = Tables::default().value(&mut reader);
    *input = reader.rest();
    value
}

/// What references of a message can name (2.2).
#[derive(Debug, Default)]
pub(super) struct Tables<'a> {
    strings: Vec<&'a [u8]>,
    objects: References<'a>,
    traits: Vec<Rc<Traits<'a>>>,
}

#[derive(Debug)]
struct Traits<'a> {
    class: &'a [u8],
    members: Members<'a>,
}

#[derive(Debug)]
enum Members<'a> {
    External,
    Named {
        sealed: Vec<&'a [u8]>,
        dynamic: bool,
    },
}

impl<'a> Tables<'a> {
    /// Reads one value, which the caller has paid for.
    pub(super) fn value(&mut self, reader: &mut Reader<'a>) -> Result<Value, AmfError> {
        let start = reader.rest();
        Ok(match reader.u8()? {
            UNDEFINED => Value::Undefined,
            NULL => Value::Null,
            FALSE => Value::Boolean(false),
            TRUE => Value::Boolean(true),
            // Shifting the sign of 29 bits into that of 32 and back extends it.
            INTEGER => Value::Number(f64::from(((read_u29(reader)? << 3) as i32) >> 3)),
            DOUBLE => Value::Number(reader.f64()?),
            STRING => {
                let raw = self.string(reader)?;
                Value::String(reader.text(raw)?)
            }
            marker @ XML_DOC..=DICTIONARY => {
                let header = read_u29(reader)?;
                if header & INLINE == 0 {
                    return self.reference(reader, marker, header >> 1);
                }
                reader.enter()?;
                let slot = self.objects.begin(reader, start);
                let value = self.complex(reader, marker, header)?;
                self.objects.complete(slot);
                reader.leave();
                value
            }
            marker => return Err(AmfError::UnknownMarker(marker)),
        })
    }

    fn reference(
        &mut self,
        reader: &mut Reader<'a>,
        marker: u8,
        index: u32,
    ) -> Result<Value, AmfError> {
        let start = self.objects.resolve(index)?;
        if start.first() != Some(&marker) {
            return Err(AmfError::DanglingReference(index));
        }
        let bookmark = reader.replay(start);
        let value = self.value(reader)?;
        reader.resume(bookmark);
        Ok(value)
    }

    fn complex(
        &mut self,
        reader: &mut Reader<'a>,
        marker: u8,
        header: u32,
    ) -> Result<Value, AmfError> {
        let len = (header >> 1) as usize;
        Ok(match marker {
            XML_DOC | XML => {
                let raw = reader.take(len)?;
                Value::Xml(reader.text(raw)?)
            }
            DATE => Value::Date(reader.f64()?),
            ARRAY => self.array(reader, len)?,
            BYTE_ARRAY => {
                let raw = reader.take(len)?;
                Value::ByteArray(reader.bytes(raw)?)
            }
            VECTOR_INT => vector(reader, len, |item| i32::from_be_bytes(item).into())?,
            VECTOR_UINT => vector(reader, len, |item| u32::from_be_bytes(item).into())?,
            VECTOR_DOUBLE => vector(reader, len, f64::from_be_bytes)?,
            VECTOR_OBJECT => {
                // Whether its length is fixed, and the class of its items, which they name themselves.
                reader.u8()?;
                self.string(reader)?;
                reader.spend_elements(len)?;
                let mut values = Vec::new();
                for _ in 0..len {
                    values.push(self.value(reader)?);
                }
                Value::StrictArray(values)
            }
            DICTIONARY => self.dictionary(reader, len)?,
            _ => self.object(reader, header)?,
        })
    }

    fn array(&mut self, reader: &mut Reader<'a>, dense: usize) -> Result<Value, AmfError> {
        reader.spend_elements(dense)?;
        let mut pairs = Object::default();
        self.named_pairs(reader, &mut pairs)?;
        if pairs.0.is_empty() {
            let mut values = Vec::new();
            for _ in 0..dense {
                values.push(self.value(reader)?);
            }
            return Ok(Value::StrictArray(values));
        }
        for ordinal in 0..dense {
            let key = reader.text(ordinal.to_string().as_bytes())?;
            pairs.0.push((key, self.value(reader)?));
        }
        Ok(Value::EcmaArray(pairs))
    }

    fn object(&mut self, reader: &mut Reader<'a>, header: u32) -> Result<Value, AmfError> {
        let traits = self.traits(reader, header)?;
        let Members::Named { sealed, dynamic } = &traits.members else {
            if WRAPPERS.contains(&traits.class) {
                return self.value(reader);
            }
            let class = reader.text(traits.class)?;
            return Err(AmfError::UnknownExternalizable(cut(&class, 128).to_owned()));
        };
        let mut pairs = Object::default();
        let class = reader.text(traits.class)?;
        for name in sealed {
            let key = reader.text(name)?;
            pairs.0.push((key, self.value(reader)?));
        }
        if *dynamic {
            self.named_pairs(reader, &mut pairs)?;
        }
        Ok(match class.is_empty() {
            true => Value::Object(pairs),
            false => Value::Typed(class, pairs),
        })
    }

    /// Reads or looks up traits, and pays for the sealed members that they promise.
    fn traits(&mut self, reader: &mut Reader<'a>, header: u32) -> Result<Rc<Traits<'a>>, AmfError> {
        if header & INLINE_TRAITS == 0 {
            let index = header >> 2;
            let traits = self.traits.get(index as usize).map(Rc::clone);
            let traits = traits.ok_or(AmfError::DanglingReference(index))?;
            if let Members::Named { sealed, .. } = &traits.members {
                reader.spend_elements(sealed.len())?;
            }
            return Ok(traits);
        }
        let class = self.string(reader)?;
        let members = if header & EXTERNALIZABLE != 0 {
            Members::External
        } else {
            let count = (header >> 4) as usize;
            reader.spend_elements(count)?;
            let mut sealed = Vec::new();
            for _ in 0..count {
                sealed.push(self.string(reader)?);
            }
            Members::Named {
                sealed,
                dynamic: header & DYNAMIC != 0,
            }
        };
        let traits = Rc::new(Traits { class, members });
        if !reader.is_replaying() {
            self.traits.push(Rc::clone(&traits));
        }
        Ok(traits)
    }

    /// Pairs up to the empty name.
    fn named_pairs(&mut self, reader: &mut Reader<'a>, pairs: &mut Object) -> Result<(), AmfError> {
        loop {
            let key = self.string(reader)?;
            if key.is_empty() {
                return Ok(());
            }
            reader.spend_elements(1)?;
            let key = reader.text(key)?;
            pairs.0.push((key, self.value(reader)?));
        }
    }

    fn dictionary(&mut self, reader: &mut Reader<'a>, count: usize) -> Result<Value, AmfError> {
        // Whether the sender holds the keys weakly, which is its own business.
        reader.u8()?;
        reader.spend_elements(count.saturating_mul(2))?;
        let mut pairs = Vec::new();
        for _ in 0..count {
            let key = self.value(reader)?;
            pairs.push((key, self.value(reader)?));
        }
        Ok(Value::Dictionary(pairs))
    }

    /// A string or a reference to one. The empty string is always inline (1.3.2).
    fn string(&mut self, reader: &mut Reader<'a>) -> Result<&'a [u8], AmfError> {
        let header = read_u29(reader)?;
        let rest = header >> 1;
        if header & INLINE == 0 {
            let raw = self.strings.get(rest as usize).copied();
            return raw.ok_or(AmfError::DanglingReference(rest));
        }
        let raw = reader.take(rest as usize)?;
        if !raw.is_empty() && !reader.is_replaying() {
            self.strings.push(raw);
        }
        Ok(raw)
    }
}

fn vector<const N: usize>(
    reader: &mut Reader<'_>,
    count: usize,
    item: impl Fn([u8; N]) -> f64,
) -> Result<Value, AmfError> {
    // Whether its length is fixed.
    reader.u8()?;
    reader.spend_elements(count)?;
    let raw = reader.take(count.saturating_mul(N))?;
    let (items, _) = raw.as_chunks();
    let numbers = items.iter().map(|&bytes| Value::Number(item(bytes)));
    Ok(Value::StrictArray(numbers.collect()))
}

/// An integer of up to 29 bits (1.3.1). Longer forms than a number needs are accepted.
fn read_u29(reader: &mut Reader<'_>) -> Result<u32, AmfError> {
    let mut value = 0;
    for _ in 0..3 {
        let byte = reader.u8()?;
        value = value << 7 | u32::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Ok(value << 8 | u32::from(reader.u8()?))
}

/// The largest length that fits beside the `INLINE` bit.
const MAX_LEN: usize = (1 << 28) - 1;
/// The most sealed members that fit beside the other bits of the traits.
const MAX_SEALED: usize = (1 << 25) - 1;

/// Appends `value`.
///
/// An [`EcmaArray`](Value::EcmaArray) without pairs is read back as a dense array, and one with a pair
/// under the empty name is written as an object, because such a name would end the array. A
/// [`Typed`](Value::Typed) of an empty class name is an object, and
/// [`Unsupported`](Value::Unsupported) becomes `undefined`. What exceeds the 28 bits of a length is
/// cut.
///
/// References are never written: peers disagree on whether the tables live for a value or for the
/// message, and a value without references is the same to both.
pub fn encode(value: &Value, out: &mut BytesMut) {
    match value {
        Value::Number(number) => put_number(*number, out),
        Value::Boolean(false) => out.put_u8(FALSE),
        Value::Boolean(true) => out.put_u8(TRUE),
        Value::String(text) => {
            out.put_u8(STRING);
            put_text(text, out);
        }
        Value::Object(object) => put_object("", object, out),
        Value::Null => out.put_u8(NULL),
        Value::Undefined | Value::Unsupported => out.put_u8(UNDEFINED),
        Value::EcmaArray(object) if has_empty_key(object) => put_object("", object, out),
        Value::EcmaArray(object) => {
            out.put_u8(ARRAY);
            put_len(0, out);
            put_named_pairs(object, out);
        }
        Value::StrictArray(values) => {
            out.put_u8(ARRAY);
            put_len(values.len(), out);
            put_text("", out);
            for value in values.iter().take(MAX_LEN) {
                encode(value, out);
            }
        }
        Value::Date(date) => {
            out.put_u8(DATE);
            put_len(0, out);
            out.put_f64(*date);
        }
        Value::Xml(text) => {
            out.put_u8(XML_DOC);
            put_text(text, out);
        }
        Value::Typed(class, object) => put_object(class, object, out),
        Value::ByteArray(bytes) => {
            out.put_u8(BYTE_ARRAY);
            put_len(bytes.len(), out);
            out.put_slice(bytes.get(..MAX_LEN).unwrap_or(bytes));
        }
        Value::Dictionary(pairs) => {
            out.put_u8(DICTIONARY);
            put_len(pairs.len(), out);
            out.put_u8(0);
            for (key, value) in pairs.iter().take(MAX_LEN) {
                encode(key, out);
                encode(value, out);
            }
        }
    }
}

fn put_number(number: f64, out: &mut BytesMut) {
    let integer = number as i32;
    let is_integer = f64::from(integer).to_bits() == number.to_bits();
    if is_integer && (-(1 << 28)..1 << 28).contains(&integer) {
        out.put_u8(INTEGER);
        put_u29(integer as u32 & 0x1fff_ffff, out);
    } else {
        out.put_u8(DOUBLE);
        out.put_f64(number);
    }
}

fn put_object(class: &str, object: &Object, out: &mut BytesMut) {
    out.put_u8(OBJECT);
    if !has_empty_key(object) {
        put_u29(DYNAMIC | INLINE_TRAITS | INLINE, out);
        put_text(class, out);
        put_named_pairs(object, out);
        return;
    }
    // An empty name ends dynamic members, but is as good as any other for sealed ones.
    let count = object.0.len().min(MAX_SEALED);
    put_u29((count as u32) << 4 | INLINE_TRAITS | INLINE, out);
    put_text(class, out);
    for (key, _) in object.0.iter().take(count) {
        put_text(key, out);
    }
    for (_, value) in object.0.iter().take(count) {
        encode(value, out);
    }
}

fn has_empty_key(object: &Object) -> bool {
    object.0.iter().any(|(key, _)| key.is_empty())
}

fn put_named_pairs(object: &Object, out: &mut BytesMut) {
    for (key, value) in &object.0 {
        put_text(key, out);
        encode(value, out);
    }
    put_text("", out);
}

fn put_text(text: &str, out: &mut BytesMut) {
    let text = cut(text, MAX_LEN);
    put_len(text.len(), out);
    out.put_slice(text.as_bytes());
}

fn put_len(len: usize, out: &mut BytesMut) {
    put_u29((len.min(MAX_LEN) as u32) << 1 | INLINE, out);
}

fn put_u29(value: u32, out: &mut BytesMut) {
    let seven = |shift: u32| (value >> shift) as u8 & 0x7f;
    match value {
        0..0x80 => out.put_u8(seven(0)),
        0x80..0x4000 => out.put_slice(&[seven(7) | 0x80, seven(0)]),
        0x4000..0x20_0000 => out.put_slice(&[seven(14) | 0x80, seven(7) | 0x80, seven(0)]),
        _ => out.put_slice(&[
            seven(22) | 0x80,
            seven(15) | 0x80,
            seven(8) | 0x80,
            value as u8,
        ]),
    }
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
        both_ways(b"\x00", Value::Undefined);
        both_ways(b"\x01", Value::Null);
        both_ways(b"\x02", false.into());
        both_ways(b"\x03", true.into());
        both_ways(b"\x05\x3f\xf8\x00\x00\x00\x00\x00\x00", 1.5.into());
        both_ways(b"\x06\x01", "".into());
        both_ways(b"\x06\x07_r\x7f", "_r\u{7f}".into());
        both_ways(b"\x07\x09<a/>", Value::Xml("<a/>".to_owned()));
        both_ways(
            b"\x08\x01\x42\x6d\x1a\x94\xa2\x00\x00\x00",
            Value::Date(1e12),
        );
        both_ways(
            b"\x09\x05\x01\x01\x03",
            vec![Value::Null, true.into()].into(),
        );
        both_ways(
            b"\x09\x01\x03k\x03\x01",
            Value::EcmaArray(object(&[("k", true.into())])),
        );
        both_ways(
            b"\x0a\x0b\x01\x03a\x01\x01",
            object(&[("a", Value::Null)]).into(),
        );
        both_ways(
            b"\x0a\x0b\x03C\x03a\x01\x01",
            Value::Typed("C".to_owned(), object(&[("a", Value::Null)])),
        );
        both_ways(
            b"\x0c\x07\x00\xff\x80",
            Value::ByteArray(Bytes::from_static(b"\x00\xff\x80")),
        );
        both_ways(
            b"\x11\x03\x00\x06\x03k\x02",
            Value::Dictionary(vec![("k".into(), false.into())]),
        );
    }

    #[test]
    fn integers_of_29_bits_both_ways() {
        for (bytes, number) in [
            (&b"\x04\x00"[..], 0.0),
            (b"\x04\x7f", 127.0),
            (b"\x04\x81\x00", 128.0),
            (b"\x04\xff\x7f", 16_383.0),
            (b"\x04\x81\x80\x00", 16_384.0),
            (b"\x04\xff\xff\x7f", 2_097_151.0),
            (b"\x04\x80\xc0\x80\x00", 2_097_152.0),
            (b"\x04\xbf\xff\xff\xff", 268_435_455.0),
            (b"\x04\xc0\x80\x80\x00", -268_435_456.0),
            (b"\x04\xff\xff\xff\xff", -1.0),
        ] {
            both_ways(bytes, number.into());
        }
    }

    #[test]
    fn numbers_beyond_29_bits_are_doubles() {
        for number in [268_435_456.0, -268_435_457.0, 0.5, -0.0, f64::INFINITY] {
            let bytes = encoded(&number.into());
            assert_eq!(bytes.first(), Some(&DOUBLE), "{number}");
            let back = decoded(&bytes).unwrap().as_number().unwrap();
            assert_eq!(back.to_bits(), number.to_bits());
        }
    }

    #[test]
    fn xml_of_e4x_is_xml() {
        assert_eq!(decoded(b"\x0b\x09<a/>"), Ok(Value::Xml("<a/>".to_owned())));
    }

    #[test]
    fn vectors_are_strict_arrays() {
        let two = |a: f64, b: f64| Ok(Value::from(vec![a.into(), b.into()]));
        assert_eq!(
            decoded(b"\x0d\x05\x00\xff\xff\xff\xff\x7f\xff\xff\xff"),
            two(-1.0, 2_147_483_647.0)
        );
        assert_eq!(
            decoded(b"\x0e\x05\x01\xff\xff\xff\xff\x00\x00\x00\x07"),
            two(4_294_967_295.0, 7.0)
        );
        assert_eq!(
            decoded(
                b"\x0f\x05\x00\x3f\xf8\x00\x00\x00\x00\x00\x00\
                \xbf\xf0\x00\x00\x00\x00\x00\x00"
            ),
            two(1.5, -1.0)
        );
        assert_eq!(decoded(b"\x10\x05\x00\x03*\x04\x01\x04\x02"), two(1.0, 2.0));
    }

    #[test]
    fn the_dense_part_of_a_mixed_array_is_named_by_ordinals() {
        let bytes = b"\x09\x05\x03k\x01\x01\x02\x03";
        let pairs = [("k", Value::Null), ("0", false.into()), ("1", true.into())];
        assert_eq!(decoded(bytes), Ok(Value::EcmaArray(object(&pairs))));
    }

    #[test]
    fn strings_are_referred_to_but_for_the_empty_one() {
        // ["", "ab", "c", "ab" by reference, "c" by reference]
        let bytes = b"\x09\x0b\x01\x06\x01\x06\x05ab\x06\x03c\x06\x00\x06\x02";
        let texts = ["", "ab", "c", "ab", "c"].map(Value::from);
        assert_eq!(decoded(bytes), Ok(texts.to_vec().into()));
    }

    #[test]
    fn traits_are_referred_to() {
        // Sealed "a", dynamic, class "C"; then the same traits; then the first object itself.
        let bytes = b"\x09\x07\x01\x0a\x1b\x03C\x03a\x03\x03b\x02\x01\
            \x0a\x01\x02\x01\x0a\x02";
        let first = object(&[("a", true.into()), ("b", false.into())]);
        let first = Value::Typed("C".to_owned(), first);
        let second = Value::Typed("C".to_owned(), object(&[("a", false.into())]));
        assert_eq!(
            decoded(bytes),
            Ok(vec![first.clone(), second, first].into())
        );
    }

    #[test]
    fn replays_give_out_no_numbers() {
        // Object 1 of class "C" with "a": "b"; object 1 once more; object 2 of a class "D" without
        // members; then string 3, traits 1 and object 2 by reference.
        let bytes = b"\x09\x0d\x01\x0a\x13\x03C\x03a\x06\x03b\x0a\x02\x0a\x03\x03D\
            \x06\x06\x0a\x05\x0a\x04";
        let first = Value::Typed("C".to_owned(), object(&[("a", "b".into())]));
        let second = Value::Typed("D".to_owned(), Object::default());
        let values = [
            first.clone(),
            first,
            second.clone(),
            "D".into(),
            second.clone(),
            second,
        ];
        assert_eq!(decoded(bytes), Ok(values.to_vec().into()));
    }

    #[test]
    fn every_kind_of_object_is_referred_to() {
        // An array of each kind of object, and then of references to each of them.
        let objects: [&[u8]; 11] = [
            b"\x07\x03a",
            b"\x08\x01\x3f\xf0\x00\x00\x00\x00\x00\x00",
            b"\x09\x03\x01\x03",
            b"\x0a\x0b\x01\x01",
            b"\x0b\x03b",
            b"\x0c\x03c",
            b"\x0d\x03\x00\x00\x00\x00\x01",
            b"\x0e\x03\x00\x00\x00\x00\x02",
            b"\x0f\x03\x00\x3f\xf0\x00\x00\x00\x00\x00\x00",
            b"\x10\x03\x00\x01\x01",
            b"\x11\x03\x00\x01\x02",
        ];
        let mut bytes = vec![0x09, (22 << 1) | 1, 0x01];
        bytes.extend(objects.concat());
        for (index, object) in objects.iter().enumerate() {
            // The array around them is 0.
            bytes.extend([object[0], (index as u8 + 1) << 1]);
        }
        let Value::StrictArray(values) = decoded(&bytes).unwrap() else {
            panic!("not an array");
        };
        let (originals, copies) = values.split_at(11);
        assert_eq!(originals, copies);
    }

    #[test]
    fn wrappers_are_what_they_wrap() {
        let mut bytes = b"\x09\x05\x01\x0a\x07\x43flex.messaging.io.ArrayCollection".to_vec();
        bytes.extend(b"\x09\x03\x01\x03");
        // Object 1 is the collection, 2 the array in it.
        let mut twice = bytes.clone();
        twice.extend(b"\x0a\x02");
        let array = Value::from(vec![true.into()]);
        assert_eq!(
            decoded(&twice),
            Ok(vec![array.clone(), array.clone()].into())
        );
        bytes.extend(b"\x09\x04");
        assert_eq!(decoded(&bytes), Ok(vec![array.clone(), array].into()));

        let mut bytes = b"\x0a\x07\x3bflex.messaging.io.ObjectProxy".to_vec();
        bytes.extend(b"\x0a\x0b\x01\x01");
        assert_eq!(decoded(&bytes), Ok(Object::default().into()));
    }

    #[test]
    fn empty_names_are_sealed_members() {
        let pairs = object(&[("", 1.0.into()), ("a", 2.0.into())]);
        let bytes = b"\x0a\x23\x01\x01\x03a\x04\x01\x04\x02";
        both_ways(bytes, pairs.clone().into());
        assert_eq!(encoded(&Value::EcmaArray(pairs)), &bytes[..]);
    }

    #[test]
    fn unsupported_becomes_undefined() {
        assert_eq!(encoded(&Value::Unsupported), &[UNDEFINED][..]);
    }
}
