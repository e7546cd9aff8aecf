// SPDX-License-Identifier: MPL-2.0

//! What a hostile peer sends, and that nothing is lost on a round trip.

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::{AmfError, Object, Value, amf0, amf3};
use crate::protocol::rtmp::limits::{AMF_DEPTH, AMF_ELEMENTS, AMF_TEXT};

fn amf0(mut bytes: &[u8]) -> Result<Value, AmfError> {
    amf0::decode(&mut bytes)
}

fn amf3(mut bytes: &[u8]) -> Result<Value, AmfError> {
    amf3::decode(&mut bytes)
}

fn nested(head: &[u8], inner: &[u8], tail: &[u8], depth: usize) -> Vec<u8> {
    [head.repeat(depth), inner.to_vec(), tail.repeat(depth)].concat()
}

#[test]
fn item_26_depth() {
    for (head, tail) in [
        (&b"\x03\x00\x01a"[..], &b"\x00\x00\x09"[..]),
        (b"\x08\x00\x00\x00\x01\x00\x01a", b"\x00\x00\x09"),
        (b"\x10\x00\x01C\x00\x01a", b"\x00\x00\x09"),
        (b"\x0a\x00\x00\x00\x01", b""),
    ] {
        let nested = |depth| amf0(&nested(head, b"\x05", tail, depth));
        assert!(nested(AMF_DEPTH).is_ok());
        assert_eq!(nested(AMF_DEPTH + 1), Err(AmfError::TooDeep));
        assert_eq!(nested(100_000), Err(AmfError::TooDeep));
    }
    let wrapper = b"\x0a\x07\x43flex.messaging.io.ArrayCollection";
    for (head, tail) in [
        (&b"\x09\x03\x01"[..], &b""[..]),
        (b"\x09\x01\x03a", b"\x01"),
        (b"\x0a\x0b\x01\x03a", b"\x01"),
        (b"\x0a\x13\x01\x03a", b""),
        (b"\x10\x03\x00\x01", b""),
        (b"\x11\x03\x00\x01", b""),
        (b"\x11\x03\x00", b"\x01"),
        (wrapper, b""),
    ] {
        let nested = |depth| amf3(&nested(head, b"\x01", tail, depth));
        assert!(nested(AMF_DEPTH).is_ok());
        assert_eq!(nested(AMF_DEPTH + 1), Err(AmfError::TooDeep));
        assert_eq!(nested(100_000), Err(AmfError::TooDeep));
    }
}

#[test]
fn item_26_depth_is_one_for_both_versions() {
    let inner = nested(b"\x09\x03\x01", b"\x01", b"", AMF_DEPTH / 2);
    let half = [&b"\x11"[..], &inner].concat();
    let whole = nested(b"\x0a\x00\x00\x00\x01", &half, b"", AMF_DEPTH / 2);
    assert!(amf0(&whole).is_ok());
    let more = [&b"\x0a\x00\x00\x00\x01"[..], &whole].concat();
    assert_eq!(amf0(&more), Err(AmfError::TooDeep));
}

#[test]
fn item_27_counts_without_data() {
    assert_eq!(
        amf0(b"\x0a\xff\xff\xff\xff"),
        Err(AmfError::TooManyElements)
    );
    assert_eq!(amf0(b"\x0a\x00\x01\x00\x00"), Err(AmfError::Truncated));
    // The count of an ECMA array is not believed, so it does not lie either.
    assert_eq!(
        amf0(b"\x08\xff\xff\xff\xff"),
        Ok(Value::EcmaArray(Object::default()))
    );
    assert_eq!(amf0(b"\x08\xff\xff\xff\xff\x00"), Err(AmfError::Truncated));
}

#[test]
fn item_27_elements() {
    let count = AMF_ELEMENTS - 1;
    let array = |count: usize| {
        let mut bytes = vec![0x0a];
        bytes.extend((count as u32).to_be_bytes());
        bytes.extend(vec![0x05; count]);
        bytes
    };
    assert!(amf0(&array(count)).is_ok());
    assert_eq!(amf0(&array(count + 1)), Err(AmfError::TooManyElements));
    assert_eq!(
        amf0::decode_all(&vec![0x05; AMF_ELEMENTS + 1]),
        Err(AmfError::TooManyElements)
    );
    let pairs = |count| {
        let pairs = b"\x00\x00\x05".repeat(count);
        amf0(&[&b"\x03"[..], &pairs, &[0, 0, 9]].concat())
    };
    assert!(pairs(count).is_ok());
    assert_eq!(pairs(count + 1), Err(AmfError::TooManyElements));
}

#[test]
fn item_28_text_past_the_end() {
    for bytes in [
        &b"\x02\x00\x01"[..],
        b"\x02\xff\xffabc",
        b"\x0c\xff\xff\xff\xffabc",
        b"\x0c\x7f\xff\xff\xffabc",
        b"\x0f\xff\xff\xff\xffabc",
        b"\x10\xff\xffabc",
        b"\x03\xff\xffabc",
    ] {
        assert_eq!(amf0(bytes), Err(AmfError::Truncated), "{bytes:02x?}");
    }
    for bytes in [
        &b"\x06\xff\xff\xff\xffabc"[..],
        b"\x07\xff\xff\xff\xffabc",
        b"\x0b\xff\xff\xff\xffabc",
        b"\x0c\xff\xff\xff\xffabc",
        b"\x0a\x0b\xff\xff\xff\xffabc",
    ] {
        assert_eq!(amf3(bytes), Err(AmfError::Truncated), "{bytes:02x?}");
    }
}

#[test]
fn item_29_object_ends() {
    for bytes in [
        &b"\x03"[..],
        b"\x03\x00\x01a\x05",
        b"\x03\x00\x01a\x05\x00\x00",
        b"\x10\x00\x01C",
    ] {
        assert_eq!(amf0(bytes), Err(AmfError::Truncated), "{bytes:02x?}");
    }
    assert_eq!(amf0(b"\x09"), Err(AmfError::UnexpectedObjectEnd));
    assert_eq!(
        amf0(b"\x0a\x00\x00\x00\x01\x09"),
        Err(AmfError::UnexpectedObjectEnd)
    );
    assert_eq!(
        amf0(b"\x03\x00\x01a\x09"),
        Err(AmfError::UnexpectedObjectEnd)
    );
    assert_eq!(amf3(b"\x0a\x0b\x01"), Err(AmfError::Truncated));
    assert_eq!(amf3(b"\x09\x01\x03a\x01"), Err(AmfError::Truncated));
}

#[test]
fn item_30_references_to_nothing() {
    assert_eq!(amf0(b"\x07\x00\x00"), Err(AmfError::DanglingReference(0)));
    assert_eq!(
        amf0::decode_all(b"\x03\x00\x00\x09\x07\xff\xff"),
        Err(AmfError::DanglingReference(0xffff))
    );
    for bytes in [
        &b"\x07\x0e"[..],
        b"\x08\x0e",
        b"\x09\x0e",
        b"\x0a\x0e",
        b"\x0b\x0e",
        b"\x0c\x0e",
        b"\x0d\x0e",
        b"\x0e\x0e",
        b"\x0f\x0e",
        b"\x10\x0e",
        b"\x11\x0e",
        b"\x06\x0e",
        b"\x0a\x1d",
        b"\x09\x01\x0e",
        b"\x0a\x0b\x0e",
    ] {
        assert_eq!(
            amf3(bytes),
            Err(AmfError::DanglingReference(7)),
            "{bytes:02x?}"
        );
    }
    // A date by reference to a byte array.
    assert_eq!(
        amf3(b"\x09\x05\x01\x0c\x01\x08\x02"),
        Err(AmfError::DanglingReference(1))
    );
}

#[test]
fn item_30_circular_references() {
    for bytes in [
        &b"\x03\x00\x01a\x07\x00\x00\x00\x00\x09"[..],
        b"\x08\x00\x00\x00\x01\x00\x01a\x07\x00\x00\x00\x00\x09",
        b"\x10\x00\x01C\x00\x01a\x07\x00\x00\x00\x00\x09",
        b"\x0a\x00\x00\x00\x01\x07\x00\x00",
        b"\x0a\x00\x00\x00\x01\x0a\x00\x00\x00\x01\x07\x00\x00",
    ] {
        let expected = Err(AmfError::CircularReference(0));
        assert_eq!(amf0(bytes), expected, "{bytes:02x?}");
    }
    for bytes in [
        &b"\x09\x03\x01\x09\x00"[..],
        b"\x09\x01\x03a\x09\x00\x01",
        b"\x0a\x0b\x01\x03a\x0a\x00\x01",
        b"\x0a\x13\x01\x03a\x0a\x00",
        b"\x10\x03\x00\x01\x10\x00",
        b"\x11\x03\x00\x11\x00\x01",
        b"\x11\x03\x00\x01\x11\x00",
        b"\x0a\x07\x43flex.messaging.io.ArrayCollection\x0a\x00",
    ] {
        let expected = Err(AmfError::CircularReference(0));
        assert_eq!(amf3(bytes), expected, "{bytes:02x?}");
    }
}

#[test]
fn item_30_references_that_multiply() {
    // Each array holds the one before it ten times: 10^20 values in 640 bytes.
    let mut amf0_message = b"\x0a\x00\x00\x00\x14\x0a\x00\x00\x00\x00".to_vec();
    let mut amf3_message = b"\x09\x29\x01\x09\x01\x01".to_vec();
    for index in 1..20u8 {
        amf0_message.extend(b"\x0a\x00\x00\x00\x0a");
        amf0_message.extend([0x07, 0x00, index].repeat(10));
        amf3_message.extend(b"\x09\x15\x01");
        amf3_message.extend([0x09, index << 1].repeat(10));
    }
    assert_eq!(amf0(&amf0_message), Err(AmfError::TooManyElements));
    assert_eq!(amf3(&amf3_message), Err(AmfError::TooManyElements));
}

#[test]
fn item_30_text_that_multiplies() {
    const LEN: usize = 0xffff;
    let copies = AMF_TEXT / LEN + 1;
    let mut amf0_message = b"\x03\x00\x00\x02\xff\xff".to_vec();
    amf0_message.extend([b'x'; LEN]);
    amf0_message.extend(b"\x00\x00\x09");
    amf0_message.extend(b"\x07\x00\x00".repeat(copies));
    assert_eq!(amf0::decode_all(&amf0_message), Err(AmfError::TooMuchText));

    for repeated in [
        &b"\x06\x00"[..],
        b"\x0a\x0b\x00\x01",
        b"\x09\x01\x00\x01\x01",
    ] {
        let mut message = b"\x11\x06\x87\xff\x7f".to_vec();
        message.extend([b'x'; LEN]);
        message.extend([b"\x11", repeated].concat().repeat(copies));
        assert_eq!(amf0::decode_all(&message), Err(AmfError::TooMuchText));
    }
}

#[test]
fn item_30_byte_arrays_that_multiply() {
    const LEN: usize = 0xffff;
    let mut message = b"\x11\x0c\x87\xff\x7f".to_vec();
    message.extend([0; LEN]);
    message.extend(b"\x11\x0c\x00".repeat(AMF_TEXT / LEN + 1));
    assert_eq!(amf0::decode_all(&message), Err(AmfError::TooMuchText));
}

#[test]
fn item_31_rare_types() {
    assert_eq!(amf0(b"\x04"), Err(AmfError::ReservedMarker(0x04)));
    assert_eq!(amf0(b"\x0e"), Err(AmfError::ReservedMarker(0x0e)));
    assert_eq!(amf0(b"\x0d"), Ok(Value::Unsupported));
    for marker in 0x12..=0xff {
        assert_eq!(amf0(&[marker]), Err(AmfError::UnknownMarker(marker)));
        assert_eq!(amf3(&[marker]), Err(AmfError::UnknownMarker(marker)));
    }
    let bomb = r#"<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>"#;
    let mut bytes = BytesMut::new();
    amf0::encode(&Value::Xml(bomb.to_owned()), &mut bytes);
    assert_eq!(amf0(&bytes), Ok(Value::Xml(bomb.to_owned())));
}

#[test]
fn item_32_strange_numbers_arrive_as_sent() {
    for number in [
        f64::NAN,
        -f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -1.0,
        -0.0,
        f64::MIN_POSITIVE,
        9_007_199_254_740_993.0,
        f64::MAX,
    ] {
        let mut bytes = BytesMut::new();
        amf0::encode(&number.into(), &mut bytes);
        let back = amf0(&bytes).unwrap().as_number().unwrap();
        assert_eq!(back.to_bits(), number.to_bits());
        bytes.clear();
        amf3::encode(&number.into(), &mut bytes);
        let back = amf3(&bytes).unwrap().as_number().unwrap();
        assert_eq!(back.to_bits(), number.to_bits());
    }
}

#[test]
fn item_33_overlong_u29() {
    for bytes in [&b"\x04\x01"[..], b"\x04\x80\x01", b"\x04\x80\x80\x80\x01"] {
        assert_eq!(amf3(bytes), Ok(1.0.into()), "{bytes:02x?}");
    }
    // The fourth byte has no bit to go on with.
    let mut bytes: &[u8] = b"\x04\x80\x80\x80\x80\x80";
    assert_eq!(amf3::decode(&mut bytes), Ok(128.0.into()));
    assert_eq!(bytes, b"\x80");
}

#[test]
fn item_33_amf3_counts_without_data() {
    for bytes in [
        &b"\x09\xff\xff\xff\xff\x01"[..],
        b"\x0a\xff\xff\xff\xf3\x01",
        b"\x0d\xff\xff\xff\xff\x00",
        b"\x0e\xff\xff\xff\xff\x00",
        b"\x0f\xff\xff\xff\xff\x00",
        b"\x10\xff\xff\xff\xff\x00\x01",
        b"\x11\xff\xff\xff\xff\x00",
    ] {
        let expected = Err(AmfError::TooManyElements);
        assert_eq!(amf3(bytes), expected, "{bytes:02x?}");
    }
    for bytes in [
        &b"\x09\x87\x7f\x01"[..],
        b"\x0a\x87\x73\x01",
        b"\x0d\x87\x7f\x00",
        b"\x0e\x87\x7f\x00",
        b"\x0f\x87\x7f\x00",
        b"\x10\x87\x7f\x00\x01",
        b"\x11\x87\x7f\x00",
    ] {
        assert_eq!(amf3(bytes), Err(AmfError::Truncated), "{bytes:02x?}");
    }
}

#[test]
fn item_33_sealed_members_by_reference_are_paid_for() {
    // 1000 sealed names once, and then object after object of the same traits.
    let count = AMF_ELEMENTS / 1000 + 1;
    let mut message = b"\x11\x0a\x80\xfd\x03\x01".to_vec();
    message.extend([0x01; 1000]);
    message.extend([0x01; 1000]);
    for _ in 1..count {
        message.extend(b"\x11\x0a\x01");
        message.extend([0x01; 1000]);
    }
    assert_eq!(amf0::decode_all(&message), Err(AmfError::TooManyElements));
}

#[test]
fn item_33_externalizable_of_unknown_form() {
    let expected = AmfError::UnknownExternalizable("C\n".to_owned());
    assert_eq!(amf3(b"\x0a\x07\x05C\n"), Err(expected.clone()));
    assert!(!expected.to_string().contains('\n'));
    let mut bytes = b"\x0a\x07\x8f\x51".to_vec();
    bytes.extend([b'x'; 1000]);
    let error = AmfError::UnknownExternalizable("x".repeat(128));
    assert_eq!(amf3(&bytes), Err(error));
}

#[test]
fn item_33_avmplus_is_not_sticky() {
    assert_eq!(
        amf0::decode_all(b"\x11\x03\x01\x00"),
        Ok(vec![true.into(), false.into()])
    );
    // The marker of AMF0 is that of a dictionary in AMF3.
    assert_eq!(amf0(b"\x11\x11"), Err(AmfError::Truncated));
}

#[test]
fn item_34_strange_names() {
    let long = "x".repeat(0xffff);
    let object = ["", "\0", "__proto__", "a", "a", "\u{feff}", &long]
        .into_iter()
        .map(|key| (key.to_owned(), Value::Null))
        .collect();
    let value = Value::Object(Object(object));
    let mut bytes = BytesMut::new();
    amf0::encode(&value, &mut bytes);
    assert_eq!(amf0(&bytes).as_ref(), Ok(&value));
    bytes.clear();
    amf3::encode(&value, &mut bytes);
    assert_eq!(amf3(&bytes).as_ref(), Ok(&value));
}

#[test]
fn item_34_text_that_is_not_utf8() {
    let replaced = Ok("a\u{fffd}b\0".into());
    assert_eq!(amf0(b"\x02\x00\x04a\xffb\x00"), replaced);
    assert_eq!(amf0(b"\x0c\x00\x00\x00\x04a\xffb\x00"), replaced);
    assert_eq!(amf3(b"\x06\x09a\xffb\x00"), replaced);
    let value = amf0(b"\x03\x00\x01\xff\x05\x00\x00\x09").unwrap();
    assert!(value.as_object().unwrap().get("\u{fffd}").is_some());
}

/// One of everything, none of it at the end, where an ECMA array may lack its own.
fn rich() -> Value {
    let mut inner = Object::default();
    inner.push("", Value::Undefined);
    inner.push("number", 25.0);
    inner.push("text", "t\u{e9}xt");
    let list = vec![
        Value::EcmaArray(Object(vec![("0".to_owned(), 0.5.into())])),
        Value::StrictArray(vec![Value::Null, false.into(), (-1.0).into()]),
        Value::Date(1e12),
        Value::Xml("<a/>".to_owned()),
        Value::Typed("C".to_owned(), inner.clone()),
        Value::String("x".repeat(200)),
        Value::ByteArray(Bytes::from_static(b"\x00\x01\x02")),
        Value::Dictionary(vec![(inner.clone().into(), inner.into())]),
    ];
    let mut outer = Object::default();
    outer.push("list", list);
    outer.into()
}

#[test]
fn truncation_at_every_byte_is_an_error() {
    let mut bytes = BytesMut::new();
    amf0::encode(&rich(), &mut bytes);
    bytes.put_slice(b"\x0a\x00\x00\x00\x02\x07\x00\x01\x0d");
    assert_eq!(amf0::decode_all(&bytes).map(|v| v.len()), Ok(2));
    let first = bytes.len() - 9;
    for len in (0..bytes.len()).filter(|&len| len != 0 && len != first) {
        let result = amf0::decode_all(bytes.get(..len).unwrap());
        assert_eq!(result, Err(AmfError::Truncated), "cut to {len}");
    }

    bytes.clear();
    bytes.put_slice(b"\x10\x0f\x00\x01");
    amf3::encode(&rich(), &mut bytes);
    bytes.put_slice(
        b"\x0d\x03\x00\x00\x00\x00\x01\
        \x0f\x03\x00\x00\x00\x00\x00\x00\x00\x00\x01\
        \x0a\x02\
        \x0a\x13\x03C\x03a\x06\x00\
        \x0a\x07\x43flex.messaging.io.ArrayCollection\x09\x01\x01\
        \x06\x00",
    );
    assert!(amf3(&bytes).is_ok());
    for len in 0..bytes.len() {
        let result = amf3(bytes.get(..len).unwrap());
        assert_eq!(result, Err(AmfError::Truncated), "cut to {len}");
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<f64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| f64::from(number).into()),
        any::<bool>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(Value::Null),
        Just(Value::Undefined),
        any::<f64>().prop_map(Value::Date),
        any::<String>().prop_map(Value::Xml),
        any::<Vec<u8>>().prop_map(|bytes| Value::ByteArray(bytes.into())),
    ]
}

fn pairs(
    key: &'static str,
    value: impl Strategy<Value = Value>,
    min: usize,
) -> impl Strategy<Value = Object> {
    prop::collection::vec((key, value), min..5).prop_map(Object)
}

fn amf3_value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            pairs("\\PC{0,4}", inner.clone(), 0).prop_map(Value::Object),
            pairs("\\PC{1,4}", inner.clone(), 1).prop_map(Value::EcmaArray),
            ("\\PC{1,4}", pairs("\\PC{0,4}", inner.clone(), 0))
                .prop_map(|(class, object)| Value::Typed(class, object)),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::StrictArray),
            prop::collection::vec((inner.clone(), inner), 0..3).prop_map(Value::Dictionary),
        ]
    })
}

fn amf0_value() -> impl Strategy<Value = Value> {
    let dictionary = prop::collection::vec((amf3_value(), amf3_value()), 0..2);
    let leaf = prop_oneof![
        8 => leaf(),
        1 => Just(Value::Unsupported),
        1 => dictionary.prop_map(Value::Dictionary),
    ];
    leaf.prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            pairs("\\PC{0,4}", inner.clone(), 0).prop_map(Value::Object),
            pairs("\\PC{0,4}", inner.clone(), 0).prop_map(Value::EcmaArray),
            ("\\PC{0,4}", pairs("\\PC{0,4}", inner.clone(), 0))
                .prop_map(|(class, object)| Value::Typed(class, object)),
            prop::collection::vec(inner, 0..5).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn amf0_round_trip(values in prop::collection::vec(amf0_value(), 0..4)) {
        let mut bytes = BytesMut::new();
        for value in &values {
            amf0::encode(value, &mut bytes);
        }
        prop_assert_eq!(amf0::decode_all(&bytes), Ok(values));
    }

    #[test]
    fn amf3_round_trip(value in amf3_value()) {
        let mut bytes = BytesMut::new();
        amf3::encode(&value, &mut bytes);
        let mut rest: &[u8] = &bytes;
        prop_assert_eq!(amf3::decode(&mut rest), Ok(value));
        prop_assert_eq!(rest, b"");
    }

    #[test]
    fn amf0_bytes_survive_what_is_done_to_them(
        value in amf0_value(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = BytesMut::new();
        amf0::encode(&value, &mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(value) = amf0(&bytes) {
            bytes.clear();
            amf0::encode(&value, &mut bytes);
            // Debug texts compare NaN as equal.
            prop_assert_eq!(format!("{:?}", amf0(&bytes)), format!("{:?}", Ok::<_, AmfError>(value)));
        }
    }

    #[test]
    fn amf3_bytes_survive_what_is_done_to_them(
        value in amf3_value(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = BytesMut::new();
        amf3::encode(&value, &mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(value) = amf3(&bytes) {
            bytes.clear();
            amf3::encode(&value, &mut bytes);
            prop_assert_eq!(format!("{:?}", amf3(&bytes)), format!("{:?}", Ok::<_, AmfError>(value)));
        }
    }
}
