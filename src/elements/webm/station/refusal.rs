// SPDX-License-Identifier: MPL-2.0

//! Why somebody does not get the stream, as HTTP says it.

use std::time::SystemTime;

use bytes::Bytes;

use crate::protocol::http::{Head, Method, Request, access::Denied};

/// How long players are asked to wait before they try again, in seconds.
const RETRY: u32 = 2;

/// Why somebody does not get the stream.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) text: String,
    field: Option<(&'static str, String)>,
}

impl Refusal {
    pub(super) fn new(status: u16, text: &str) -> Self {
        Self {
            status,
            text: text.to_owned(),
            field: None,
        }
    }

    /// For now.
    pub(super) fn later(text: &str) -> Self {
        Self::new(503, text).with("Retry-After", &RETRY.to_string())
    }

    pub(super) fn denied(denied: Denied) -> Self {
        match denied {
            Denied::Password => Self::new(401, "A user name and a password are needed.").with(
                "WWW-Authenticate",
                "Basic realm=\"stream\", charset=\"UTF-8\"",
            ),
            Denied::Unsigned => Self::new(403, "This link is not signed."),
            Denied::Expired => Self::new(410, "This link has expired."),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.field = Some((name, value.to_owned()));
        self
    }

    /// The answer, which says why unless only its head was asked for.
    pub(super) fn response(&self, request: &Request) -> Bytes {
        let mut head = Head::new(request.version, self.status, SystemTime::now());
        if let Some((name, value)) = &self.field {
            head = head.field(name, value);
        }
        head.field("Cache-Control", "no-store")
            .field("Access-Control-Allow-Origin", "*")
            .body(
                "text/plain; charset=utf-8",
                &format!("{}\n", self.text),
                request.method == Method::Head,
            )
    }
}
