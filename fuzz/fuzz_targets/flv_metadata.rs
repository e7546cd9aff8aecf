// SPDX-License-Identifier: MPL-2.0

//! Any bytes as the body of a script tag, AMF0 or AMF3: what can be read, can be written so that it reads
//! the same, and an index of key frames is in order.
#![no_main]

use gstrtmp::protocol::flv::{Script, Tag, TagKind, script::KeyframeIndex};
use libfuzzer_sys::fuzz_target;

/// Replacing its bad bytes makes a name three times as long at most; beyond 65 535 bytes it is cut.
const MAX_LEN: usize = 0xffff / 3;

fuzz_target!(|body: &[u8]| {
    if body.len() > MAX_LEN {
        return;
    }
    for kind in [TagKind::Data, TagKind::DataAmf3] {
        let tag = Tag::new(kind, 0, body).expect("a short body");
        let Ok(Some(script)) = Script::parse(&tag) else {
            continue;
        };
        if let Some(index) = script.object().and_then(KeyframeIndex::from_metadata) {
            assert!(index.entries.is_sorted());
            let last = index.entries.last().copied();
            assert_eq!(index.before(f64::MAX), last);
        }
        // What a publisher puts before the name is taken off once.
        if script.name == "@setDataFrame" {
            continue;
        }
        let again = script.to_tag(kind, 0).expect("no longer than three times");
        let again = Script::parse(&again).expect("our own bytes are sound");
        assert_eq!(format!("{again:?}"), format!("{:?}", Some(&script)));
    }
});
