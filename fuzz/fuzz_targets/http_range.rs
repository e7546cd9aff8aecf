// SPDX-License-Identifier: MPL-2.0

//! Any text as the value of a `Range` field: what it asks for, asked for again in plain words, is the same.

#![no_main]

use gstrtmp::protocol::http::Range;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|value: &str| {
    let range = Range::parse(value);
    let plain = match range {
        Range::Whole => "bytes=0-".to_owned(),
        Range::From(first) => {
            assert!(first > 0);
            format!("bytes={first}-")
        }
        Range::Part { first, length } => {
            assert!(length > 0);
            format!("bytes={first}-{}", first.saturating_add(length - 1))
        }
        Range::Unsatisfiable => "bytes=-1".to_owned(),
    };
    assert_eq!(Range::parse(&plain), range, "{value:?}");
    // Whoever asks for several parts, or in other units, gets all.
    if value.contains(',') || !value.trim_start().to_ascii_lowercase().starts_with("bytes") {
        assert_eq!(range, Range::Whole, "{value:?}");
    }
});
