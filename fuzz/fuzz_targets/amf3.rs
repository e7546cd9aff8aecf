// SPDX-License-Identifier: MPL-2.0

//! One AMF3 value: no panic, and what decodes survives encoding.
#![no_main]

use bytes::BytesMut;
use gstrtmp::protocol::rtmp::amf::amf3;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(value) = amf3::decode(&mut &*input) else {
        return;
    };
    let mut encoded = BytesMut::new();
    amf3::encode(&value, &mut encoded);
    let mut rest: &[u8] = &encoded;
    let again = amf3::decode(&mut rest).expect("our own bytes are sound");
    assert!(rest.is_empty());
    // NaN differs from itself, its debug text does not.
    assert!(value == again || format!("{value:?}") == format!("{again:?}"));
});
