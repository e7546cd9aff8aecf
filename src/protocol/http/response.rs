// SPDX-License-Identifier: MPL-2.0

//! Heads of responses.

use std::{
    fmt::{Display, Write as _},
    time::SystemTime,
};

use bytes::Bytes;

use super::Version;

/// What we call ourselves.
pub const SERVER: &str = concat!("gst-plugin-rtmp/", env!("CARGO_PKG_VERSION"));

/// The phrase of a status code that we use.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        503 => "Service Unavailable",
        _ if status >= 500 => "Server Error",
        _ => "Error",
    }
}

/// A head that is being written.
#[derive(Debug)]
pub struct Head(String);

impl Head {
    /// Begins one, with `Server` and `Date`.
    pub fn new(version: Version, status: u16, now: SystemTime) -> Self {
        let date = httpdate::fmt_http_date(now);
        let reason = reason(status);
        Self(format!(
            "{version} {status} {reason}\r\nServer: {SERVER}\r\nDate: {date}\r\n"
        ))
    }

    /// Adds a field. Line breaks in the value would begin another; they become spaces.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Display) -> Self {
        let value = value.to_string().replace(['\r', '\n', '\0'], " ");
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{name}: {value}\r\n");
        self
    }

    /// Ends it.
    pub fn finish(mut self) -> Bytes {
        self.0.push_str("\r\n");
        self.0.into()
    }

    /// Ends it with a body behind it, or without where only the head was asked for. The connection ends
    /// with it.
    pub fn body(self, content_type: &str, body: &str, head_only: bool) -> Bytes {
        let head = self
            .field("Content-Type", content_type)
            .field("Content-Length", body.len())
            .field("Connection", "close");
        let mut all = head.0;
        all.push_str("\r\n");
        if !head_only {
            all.push_str(body);
        }
        all.into()
    }
}

/// A whole response that says in a sentence why it is not the stream.
pub fn simple(version: Version, status: u16, text: &str, now: SystemTime) -> Bytes {
    Head::new(version, status, now)
        .field("Cache-Control", "no-store")
        .field("Access-Control-Allow-Origin", "*")
        .body("text/plain; charset=utf-8", &format!("{text}\n"), false)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// RFC 9110's own example of a date.
    fn then() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
    }

    #[test]
    fn a_head_reads_as_one() {
        let head = Head::new(Version::Http11, 206, then())
            .field("X", "a\r\nSet-Cookie: b")
            .finish();
        let expected = format!(
            "HTTP/1.1 206 Partial Content\r\nServer: {SERVER}\r\n\
             Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nX: a  Set-Cookie: b\r\n\r\n"
        );
        assert_eq!(head, expected.as_bytes());
    }

    #[test]
    fn a_refusal_says_why() {
        let response = simple(Version::Http10, 404, "Nothing is here.", then());
        let text = String::from_utf8(response.to_vec()).unwrap();
        assert!(text.starts_with("HTTP/1.0 404 Not Found\r\n"), "{text}");
        assert!(text.contains("\r\nContent-Length: 17\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nNothing is here.\n"), "{text}");
    }
}
