// SPDX-License-Identifier: MPL-2.0

//! Requests as they go out.

use std::time::Instant;

use bytes::Bytes;

use super::{TunnelClient, TunnelConfig, Waiting};
use crate::protocol::rtmpt::CONTENT_TYPE;

/// What a request without data has for a body; without one, some proxies wait for it.
pub(super) const NOTHING: Bytes = Bytes::from_static(&[0]);

impl TunnelClient {
    /// A request on the way to a session.
    pub(super) fn ask(&mut self, now: Instant, path: &str) {
        let polite =
            "User-Agent: Shockwave Flash\r\nConnection: Keep-Alive\r\nCache-Control: no-cache\r\n";
        self.make(now, path.to_owned(), polite, vec![NOTHING]);
    }

    /// A request of the session. Only what has to be said, for it is said 40 times a second.
    pub(super) fn request(&mut self, now: Instant, verb: &str, body: Vec<Bytes>) {
        self.make(
            now,
            format!("/{verb}/{}/{}", self.id, self.sequence),
            "",
            body,
        );
    }

    fn make(&mut self, now: Instant, path: String, fields: &str, body: Vec<Bytes>) {
        let length: usize = body.iter().map(Bytes::len).sum();
        let TunnelConfig {
            prefix, authority, ..
        } = &self.config;
        let mut head = format!(
            "POST {prefix}{path} HTTP/1.1\r\nHost: {authority}\r\n{fields}Content-Type: {CONTENT_TYPE}\r\n\
             Content-Length: {length}\r\n"
        );
        if let Some(authorization) = &self.config.proxy_authorization {
            head += &format!("Proxy-Authorization: {authorization}\r\n");
        }
        head += "\r\n";
        let mut request = vec![Bytes::from(head)];
        request.extend(body);
        for part in &request {
            self.push(part.clone());
        }
        self.stats.requests += 1;
        self.last_request = Some(now);
        self.waiting = Some(Waiting {
            request,
            since: now,
            sent: length as u64,
            delivered: 0,
            repeats: 0,
            eager: self.eager,
            received: 0,
        });
    }

    pub(super) fn push(&mut self, part: Bytes) {
        self.stats.outer_bytes += part.len() as u64;
        self.out.push(part);
    }
}
