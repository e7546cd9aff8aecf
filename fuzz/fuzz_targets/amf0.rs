// SPDX-License-Identifier: MPL-2.0

//! A whole AMF0 message: no panic, and what decodes survives encoding.
#![no_main]

use bytes::BytesMut;
use gstrtmp::protocol::rtmp::amf::amf0;
use libfuzzer_sys::fuzz_target;

/// Replacing its bad bytes makes a name three times as long at most; beyond 65 535 bytes it is cut.
const MAX_LEN: usize = 0xffff / 3;

fuzz_target!(|message: &[u8]| {
    if message.len() > MAX_LEN {
        return;
    }
    let Ok(values) = amf0::decode_all(message) else {
        return;
    };
    let mut encoded = BytesMut::new();
    for value in &values {
        amf0::encode(value, &mut encoded);
    }
    let again = amf0::decode_all(&encoded).expect("our own bytes are sound");
    // NaN differs from itself, its debug text does not.
    assert!(values == again || format!("{values:?}") == format!("{again:?}"));
});
