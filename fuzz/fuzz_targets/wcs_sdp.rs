// SPDX-License-Identifier: MPL-2.0

//! Any text as a server's answer to the page's offer, and as our own offer: an answer that is taken has what
//! WebRTC demands in each section, and is taken again as it was made.

#![no_main]

use gstrtmp::protocol::wcs::sdp::{Answer, Offer, certificate_der};
use libfuzzer_sys::fuzz_target;

const OFFER: &str = include_str!("../../tests/data/wcs/page-publish-offer.sdp");

fuzz_target!(|text: &str| {
    let _ = certificate_der(text);
    for offer in [Offer::new(OFFER), Offer::new(text)].into_iter().flatten() {
        assert!(!offer.as_str().contains("\r\na=candidate:"));
        let Ok(answer) = Answer::new(text, &offer) else {
            continue;
        };
        let sections = offer.sections().len();
        assert_eq!(answer.fingerprints().len(), sections);
        for name in ["a=setup:", "a=mid:", "a=ice-ufrag:", "a=ice-pwd:"] {
            let many = answer
                .as_str()
                .lines()
                .filter(|line| line.starts_with(name));
            assert!(many.count() >= sections, "{name}");
        }
        let again = Answer::new(answer.as_str(), &offer).expect("it was completed");
        assert_eq!(again.fingerprints(), answer.fingerprints());
    }
});
