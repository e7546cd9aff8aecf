// SPDX-License-Identifier: MPL-2.0

//! The head of a request, as far as it decides on the answer.

use std::{fmt, mem::MaybeUninit};

use super::{FIELDS, HEAD, Range};

/// What is asked to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The stream.
    Get,
    /// What GET would be answered, without a body.
    Head,
    /// What may be asked; browsers do before some cross-origin requests.
    Options,
    /// Data for us.
    Post,
    /// Any other.
    Other,
}

/// The version a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// No chunks, no connection that stays.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        })
    }
}

/// Why a request cannot be served; the status says it to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is longer than [`HEAD`] or has more than [`FIELDS`] fields.
    #[error("the head of the request has more than {HEAD} bytes or {FIELDS} fields")]
    TooLarge,
    /// It is no HTTP, or its target is none.
    #[error("this is not a request of HTTP/1")]
    Malformed,
}

impl RequestError {
    /// The status to answer with.
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge => 431,
            Self::Malformed => 400,
        }
    }
}

/// The head of a request.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is to be done.
    pub method: Method,
    /// The path, decoded, beginning with a slash and without dot segments; `*` where the request is
    /// about the server itself.
    pub path: String,
    /// The query as it came, without the question mark.
    pub query: String,
    /// The version it was made in.
    pub version: Version,
    /// Its first line as it came, for a log.
    pub line: String,
    fields: Vec<(String, String)>,
}

impl Request {
    /// Reads a head from the front of `input`; `None` while it is not all there. Also returns how many
    /// bytes it has.
    ///
    /// # Errors
    /// [`RequestError`], as soon as it can be known.
    pub fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, RequestError> {
        if input.is_empty() {
            return Ok(None);
        }
        let head = input.get(..HEAD).unwrap_or(input);
        let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
        let mut request = httparse::Request::new(&mut []);
        let length = match request.parse_with_uninit_headers(head, &mut fields) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if head.len() < HEAD => return Ok(None),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err(RequestError::TooLarge);
            }
            Err(_) => return Err(RequestError::Malformed),
        };
        let target = request.path.ok_or(RequestError::Malformed)?;
        let (path, query) = split_target(target).ok_or(RequestError::Malformed)?;
        let version = match request.version {
            Some(0) => Version::Http10,
            _ => Version::Http11,
        };
        let method = request.method.unwrap_or_default();
        let line = format!("{method} {target} {version}");
        let text = |field: &httparse::Header<'_>| {
            let value = String::from_utf8_lossy(field.value).trim().to_owned();
            (field.name.to_ascii_lowercase(), value)
        };
        let parsed = Self {
            method: match method {
                "GET" => Method::Get,
                "HEAD" => Method::Head,
                "OPTIONS" => Method::Options,
                "POST" => Method::Post,
                _ => Method::Other,
            },
            path,
            query,
            version,
            line,
            fields: request.headers.iter().map(text).collect(),
        };
        Ok(Some((parsed, length)))
    }

    /// The value of the first field of this name, which is compared without regard to case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All fields, names in lower case, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Which part of the stream is asked for.
    pub fn range(&self) -> Range {
        self.field("range").map_or(Range::Whole, Range::parse)
    }

    /// The first value of this name in the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&');
        let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let (_, value) = pairs.find(|(known, _)| *known == name)?;
        percent_decoded(&value.replace('+', " "))
    }
}

/// Path and query of an origin-form, absolute-form or asterisk-form target (RFC 9112 section 3.2).
fn split_target(target: &str) -> Option<(String, String)> {
    if target == "*" {
        return Some((target.to_owned(), String::new()));
    }
    let origin = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) {
                return None;
            }
            rest.find(['/', '?']).map_or("", |at| rest.split_at(at).1)
        }
        _ if target.starts_with('/') => target,
        _ => return None,
    };
    let origin = origin.split('#').next().unwrap_or_default();
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    let path = percent_decoded(path)?;
    if path.chars().any(char::is_control) {
        return None;
    }
    if path.starts_with('/') && !path.contains("/.") {
        return Some((path, query.to_owned()));
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    Some((format!("/{}", segments.join("/")), query.to_owned()))
}

/// Without percent-encoding (RFC 3986 section 2.1); `None` where that leaves no UTF-8.
pub fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        let digits = more.get(..2).and_then(|d| std::str::from_utf8(d).ok());
        let escaped = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match escaped.and_then(|d| u8::from_str_radix(d, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = more.get(2..).unwrap_or_default();
            }
            _ if *first == b'%' => return None,
            _ => bytes.push(*first),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(head: &str) -> Result<Option<(Request, usize)>, RequestError> {
        Request::parse(head.as_bytes())
    }

    #[track_caller]
    fn whole(head: &str) -> Request {
        let (request, length) = parse(head).unwrap().unwrap();
        assert_eq!(length, head.len());
        request
    }

    /// What Chromium 156 sends for `<video src>`.
    const CHROMIUM: &str = "GET /live?start=latest HTTP/1.1\r\nHost: 127.0.0.1:7001\r\n\
        Connection: keep-alive\r\nsec-ch-ua-platform: \"Linux\"\r\nAccept: */*\r\n\
        Sec-Fetch-Dest: video\r\nAccept-Encoding: identity\r\nRange: bytes=0-\r\n\r\n";

    #[test]
    fn a_browsers_request_is_read() {
        let request = whole(CHROMIUM);
        assert_eq!(request.method, Method::Get);
        assert_eq!(request.path, "/live");
        assert_eq!(request.query, "start=latest");
        assert_eq!(request.version, Version::Http11);
        assert_eq!(request.field("SEC-fetch-dest"), Some("video"));
        assert_eq!(request.range(), Range::Whole);
        assert_eq!(request.parameter("start").as_deref(), Some("latest"));
        assert_eq!(request.line, "GET /live?start=latest HTTP/1.1");
    }

    #[test]
    fn a_head_that_is_cut_is_waited_for() {
        for cut in 0..CHROMIUM.len() {
            assert!(matches!(parse(&CHROMIUM[..cut]), Ok(None)), "{cut}");
        }
    }

    #[test]
    fn targets_are_made_comparable() {
        for (target, path, query) in [
            ("/", "/", ""),
            ("/live", "/live", ""),
            ("/live/", "/live/", ""),
            ("/a/../live", "/live", ""),
            ("/../../etc/passwd", "/etc/passwd", ""),
            ("/%2e%2e/%2E./live", "/live", ""),
            ("/./live?x=../y", "/live", "x=../y"),
            ("/l%C3%ADve", "/líve", ""),
            ("http://host:80/live?x", "/live", "x"),
            ("HTTPS://host", "/", ""),
            ("http://host?x", "/", "x"),
            ("*", "*", ""),
        ] {
            let request = whole(&format!("GET {target} HTTP/1.0\r\n\r\n"));
            assert_eq!(
                (request.path.as_str(), request.query.as_str()),
                (path, query),
                "{target}"
            );
            assert_eq!(request.version, Version::Http10);
        }
    }

    #[test]
    fn what_is_no_request_is_said_to_be_none() {
        for head in [
            "GET live HTTP/1.1\r\n\r\n",
            "GET ftp://host/live HTTP/1.1\r\n\r\n",
            "GET /%zz HTTP/1.1\r\n\r\n",
            "GET /%ff HTTP/1.1\r\n\r\n",
            "GET /%00 HTTP/1.1\r\n\r\n",
            "GET /a%0d%0ab HTTP/1.1\r\n\r\n",
            "G\0T /live HTTP/1.1\r\n\r\n",
            "GET /live HTTP/2.0\r\n\r\n",
            "GET /live HTTP/1.1\r\nno colon\r\n\r\n",
            "\u{16}\u{3}\u{1}",
        ] {
            assert_eq!(
                parse(head).unwrap_err(),
                RequestError::Malformed,
                "{head:?}"
            );
        }
    }

    #[test]
    fn a_head_has_bounds() {
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD));
        assert_eq!(parse(&long).unwrap_err(), RequestError::TooLarge);
        let fields = "a: b\r\n".repeat(FIELDS + 1);
        let many = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        assert_eq!(parse(&many).unwrap_err(), RequestError::TooLarge);
        let megabyte = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
        assert_eq!(parse(&megabyte).unwrap_err(), RequestError::TooLarge);
    }

    #[test]
    fn parameters_are_decoded() {
        let request = whole("GET /?a=1&token=x%2By+z&flag&a=2 HTTP/1.1\r\n\r\n");
        assert_eq!(request.parameter("a").as_deref(), Some("1"));
        assert_eq!(request.parameter("token").as_deref(), Some("x+y z"));
        assert_eq!(request.parameter("flag").as_deref(), Some(""));
        assert_eq!(request.parameter("none"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(input in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(Some((request, length))) = Request::parse(&input) {
                prop_assert!(length <= input.len());
                prop_assert!(request.path.starts_with('/') || request.path == "*");
                prop_assert!(!request.path.split('/').any(|s| s == ".."));
                let _ = (request.range(), request.parameter("x"));
            }
        }

        #[test]
        fn no_target_leads_out(target in "[/.%2eEfF?#:a]{0,30}") {
            if let Ok(Some((request, _))) = parse(&format!("GET {target} HTTP/1.1\r\n\r\n")) {
                prop_assert!(!request.path.split('/').any(|s| s == ".." || s == "."));
            }
        }
    }
}
