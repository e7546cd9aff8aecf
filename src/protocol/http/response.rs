// SPDX-License-Identifier: MPL-2.0

//! Heads of responses.

use std::{
    fmt::{Display, Write as _},
    time::SystemTime,
};

use bytes::Bytes;

use super::{Method, Request, Version};

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

/// A whole response that says in a sentence why it is not what was asked for.
#[derive(Debug)]
pub struct Sentence {
    /// The status code.
    pub status: u16,
    /// The sentence.
    pub text: String,
    /// A field that goes with it.
    pub field: Option<(&'static str, String)>,
}

impl Sentence {
    /// Without a field.
    pub fn new(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
            field: None,
        }
    }

    /// The same with a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.field = Some((name, value.into()));
        self
    }

    /// The response to a request. Who asked for the head alone gets no more.
    pub fn answer(&self, request: &Request, now: SystemTime) -> Bytes {
        self.written(request.version, request.method == Method::Head, now)
    }

    /// The response to something that is no request, or one whose method is known not to be HEAD.
    pub fn response(&self, version: Version, now: SystemTime) -> Bytes {
        self.written(version, false, now)
    }

    fn written(&self, version: Version, head_only: bool, now: SystemTime) -> Bytes {
        let mut head = Head::new(version, self.status, now);
        if let Some((name, value)) = &self.field {
            head = head.field(name, value);
        }
        head.field("Cache-Control", "no-store")
            .field("Access-Control-Allow-Origin", "*")
            .body(
                "text/plain; charset=utf-8",
                &format!("{}\n", self.text),
                head_only,
            )
    }
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
        let sentence = Sentence::new(404, "Nothing is here.").with("X", "y");
        let answer = |request: &str| {
            let (request, _) = Request::parse(request.as_bytes()).unwrap().unwrap();
            let response = sentence.answer(&request, then());
            String::from_utf8(response.to_vec()).unwrap()
        };
        let text = answer("GET / HTTP/1.0\r\n\r\n");
        assert!(text.starts_with("HTTP/1.0 404 Not Found\r\n"), "{text}");
        assert!(text.contains("\r\nX: y\r\n"), "{text}");
        assert!(text.contains("\r\nContent-Length: 17\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\nNothing is here.\n"), "{text}");
        let text = answer("HEAD / HTTP/1.1\r\n\r\n");
        assert!(text.contains("\r\nContent-Length: 17\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n"), "{text}");
    }
}
