// SPDX-License-Identifier: MPL-2.0

//! Why somebody does not get the stream, as HTTP says it.

use crate::protocol::http::{Sentence, access::Denied};

/// How long players are asked to wait before they try again, in seconds.
const RETRY: u32 = 2;

/// Not for now.
pub(super) fn later(text: &str) -> Sentence {
    Sentence::new(503, text).with("Retry-After", RETRY.to_string())
}

pub(super) fn denied(denied: Denied) -> Sentence {
    match denied {
        Denied::Password => Sentence::new(401, "A user name and a password are needed.").with(
            "WWW-Authenticate",
            "Basic realm=\"stream\", charset=\"UTF-8\"",
        ),
        Denied::Unsigned => Sentence::new(403, "This link is not signed."),
        Denied::Expired => Sentence::new(410, "This link has expired."),
    }
}
