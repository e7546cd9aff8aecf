// SPDX-License-Identifier: MPL-2.0

//! Any text as a location and as connect arguments; what was understood must read back from the
//! location that is written for it. The corpus is plain locations.

#![no_main]

use gstrtmp::protocol::rtmp::url::{RtmpUrl, Split, parse_conn};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = parse_conn(text);
    for split in [
        Split::Auto,
        Split::FirstSlash,
        Split::LastSlash,
        Split::Librtmp,
    ] {
        let Ok(mut url) = RtmpUrl::parse(text, split) else {
            continue;
        };
        let _ = (url.tc_url(), url.to_string(), format!("{url:?}"));
        // Secrets are not written, and NaN is not equal to itself.
        (url.username, url.password) = (None, None);
        (url.options.jtv, url.options.token) = (None, None);
        let location = url.to_location(split);
        if location.len() > 0xffff {
            continue;
        }
        let again = RtmpUrl::parse(&location, split).expect("a written location is valid");
        assert_eq!(format!("{again:?}"), format!("{url:?}"), "{location}");
    }
});
