// SPDX-License-Identifier: MPL-2.0

//! The HTTP that a GET needs (RFC 9110, RFC 9112), without I/O.

use std::fmt;

use crate::{net::NetError, protocol::rtmp::limits};

/// An absolute `http` or `https` URL, split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HttpUrl {
    pub(super) secure: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query, beginning with a slash.
    path: String,
}

/// Without the query, which may hold a token.
impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{}://{}{path}", self.scheme(), self.authority())
    }
}

impl HttpUrl {
    pub(super) fn parse(url: &str) -> Result<Self, NetError> {
        let invalid = |what: &str| {
            let shown = url.split(['?', '#']).next().unwrap_or_default();
            NetError::settings(format!("{shown:?} is not the URL of a SWF file: {what}"))
        };
        // Also keeps a line break out of the request.
        if url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(invalid("there is a space or control character in it"));
        }
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| invalid("it has to begin with http:// or https://"))?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(invalid("only http and https are known")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(NetError::settings(
                "a user name and password in the URL of a SWF file are not supported",
            ));
        }
        // A colon within brackets belongs to an IPv6 address.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (
                host,
                port.parse()
                    .map_err(|_| invalid("the port is not a number"))?,
            ),
            _ => (authority, if secure { 443 } else { 80 }),
        };
        if host.is_empty() || port == 0 {
            return Err(invalid("the host or the port is missing"));
        }
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Self {
            secure,
            host: host.to_owned(),
            port,
            path,
        })
    }

    /// Follows a `Location` (RFC 3986 section 5.2, without dot segments, which servers resolve).
    pub(super) fn join(&self, location: &str) -> Result<Self, NetError> {
        let base = format!("{}://{}", self.scheme(), self.authority());
        let next = if location.contains("://") {
            Self::parse(location)?
        } else if location.starts_with("//") {
            Self::parse(&format!("{}:{location}", self.scheme()))?
        } else if location.starts_with('/') {
            Self::parse(&format!("{base}{location}"))?
        } else {
            let path = self.path.split('?').next().unwrap_or_default();
            let folder = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
            Self::parse(&format!("{base}{folder}{location}"))?
        };
        if self.secure && !next.secure {
            return Err(NetError::http(format!(
                "{self} redirects from https to plain http"
            )));
        }
        Ok(next)
    }

    /// HTTP/1.0, so that the answer has a length or ends with the connection. Some servers send
    /// chunks all the same.
    pub(super) fn request(&self) -> String {
        format!(
            "GET {} HTTP/1.0\r\nHost: {}\r\nUser-Agent: gst-plugin-rtmp/{}\r\nAccept: */*\r\n\
             Connection: close\r\n\r\n",
            self.path,
            self.authority(),
            env!("CARGO_PKG_VERSION"),
        )
    }

    fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    fn authority(&self) -> String {
        match (self.secure, self.port) {
            (false, 80) | (true, 443) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
}

/// What matters of a response head.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Set for a redirect only.
    pub(super) location: Option<String>,
    pub(super) framing: Framing,
}

/// How the end of the body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    Close,
}

impl Head {
    /// Takes a complete head off the front of `raw`; `None` while it is incomplete.
    pub(super) fn take(raw: &mut Vec<u8>) -> Result<Option<Self>, NetError> {
        let mut headers = [httparse::EMPTY_HEADER; limits::HTTP_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let len = match response.parse(raw) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) if raw.len() <= limits::HTTP_HEAD => return Ok(None),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Err(NetError::http(
                    "the HTTP server's response head is too long",
                ));
            }
            Err(error) => {
                return Err(NetError::http(format!(
                    "the server does not speak HTTP: {error}"
                )));
            }
        };
        let status = response.code.unwrap_or_default();
        let mut location = None;
        let mut framing = Framing::Close;
        for header in response.headers.iter() {
            let value = String::from_utf8_lossy(header.value);
            let value = value.trim();
            if header.name.eq_ignore_ascii_case("location") {
                location = Some(value.to_owned());
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                if !value.eq_ignore_ascii_case("chunked") {
                    return Err(NetError::http(format!(
                        "transfer coding {value:?} is not known"
                    )));
                }
                framing = Framing::Chunked;
            } else if header.name.eq_ignore_ascii_case("content-encoding")
                && !value.eq_ignore_ascii_case("identity")
            {
                return Err(NetError::http(format!(
                    "the HTTP server encodes the file as {value:?} without being asked"
                )));
            } else if header.name.eq_ignore_ascii_case("content-length")
                && framing != Framing::Chunked
            {
                let length = value.parse().map_err(|_| {
                    NetError::http(format!("the HTTP server sent the length {value:?}"))
                })?;
                framing = Framing::Length(length);
            }
        }
        let redirects = matches!(status, 301 | 302 | 303 | 307 | 308);
        raw.drain(..len);
        Ok(Some(Self {
            status,
            location: location.filter(|_| redirects),
            framing,
        }))
    }
}

/// A body on its way in.
#[derive(Debug)]
pub(super) struct Body {
    framing: Framing,
    /// Bytes of the current chunk still to come, with its line break.
    chunk: u64,
    file: Vec<u8>,
    cap: usize,
}

const LINE_BREAK: u64 = 2;

impl Body {
    pub(super) fn new(framing: Framing, cap: usize) -> Result<Self, NetError> {
        if let Framing::Length(length) = framing
            && length > cap as u64
        {
            return Err(too_large(cap));
        }
        Ok(Self {
            framing,
            chunk: 0,
            file: Vec::new(),
            cap,
        })
    }

    /// Takes bytes from the front of `raw`; `true` once the body is complete.
    pub(super) fn take(&mut self, raw: &mut Vec<u8>) -> Result<bool, NetError> {
        match self.framing {
            Framing::Close => {
                self.append(raw)?;
                raw.clear();
                Ok(false)
            }
            Framing::Length(length) => {
                let missing = length.saturating_sub(self.file.len() as u64);
                let n = raw
                    .len()
                    .min(usize::try_from(missing).unwrap_or(usize::MAX));
                self.append(&raw[..n])?;
                raw.drain(..n);
                Ok(self.file.len() as u64 == length)
            }
            Framing::Chunked => self.take_chunks(raw),
        }
    }

    fn take_chunks(&mut self, raw: &mut Vec<u8>) -> Result<bool, NetError> {
        let mut at = 0;
        let complete = loop {
            let rest = &raw[at..];
            if self.chunk > LINE_BREAK {
                let n = rest
                    .len()
                    .min(usize::try_from(self.chunk - LINE_BREAK).unwrap_or(usize::MAX));
                if n == 0 {
                    break false;
                }
                self.append(&rest[..n])?;
                self.chunk -= n as u64;
                at += n;
            } else if self.chunk > 0 {
                // One byte a time, because the line break may come in halves.
                match (self.chunk, rest.first()) {
                    (_, None) => break false,
                    (LINE_BREAK, Some(b'\r')) | (1, Some(b'\n')) => {}
                    _ => return Err(bad_chunk()),
                }
                self.chunk -= 1;
                at += 1;
            } else {
                match httparse::parse_chunk_size(rest) {
                    Ok(httparse::Status::Complete((_, 0))) => break true,
                    Ok(httparse::Status::Complete((n, size))) if size <= self.cap as u64 => {
                        self.chunk = size + LINE_BREAK;
                        at += n;
                    }
                    Ok(httparse::Status::Complete(_)) => return Err(too_large(self.cap)),
                    // Nothing useful follows a chunk's size that long.
                    Ok(httparse::Status::Partial) if rest.len() < 1024 => break false,
                    Ok(httparse::Status::Partial) | Err(_) => return Err(bad_chunk()),
                }
            }
        };
        raw.drain(..at);
        Ok(complete)
    }

    /// What the end of the connection means.
    pub(super) fn ended(self, truncated: bool) -> Result<Vec<u8>, NetError> {
        if self.framing == Framing::Close && !truncated {
            return Ok(self.file);
        }
        Err(NetError::http(
            "the HTTP server closed the connection before the file was complete",
        ))
    }

    pub(super) fn into_file(self) -> Vec<u8> {
        self.file
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), NetError> {
        if bytes.len() > self.cap - self.file.len() {
            return Err(too_large(self.cap));
        }
        self.file.extend_from_slice(bytes);
        Ok(())
    }
}

fn too_large(cap: usize) -> NetError {
    NetError::http(format!(
        "the SWF file is larger than the {cap} bytes that are allowed"
    ))
}

fn bad_chunk() -> NetError {
    NetError::http("the HTTP server's chunks are malformed")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(url: &str) -> HttpUrl {
        HttpUrl::parse(url).unwrap()
    }

    #[test]
    fn urls() {
        for (text, secure, host, port, path) in [
            ("http://h/p.swf", false, "h", 80, "/p.swf"),
            ("HTTPS://h:8443/a/b?c=d#e", true, "h", 8443, "/a/b?c=d"),
            ("http://[::1]:81/x", false, "[::1]", 81, "/x"),
            ("http://[::1]", false, "[::1]", 80, "/"),
            ("http://h?q", false, "h", 80, "/?q"),
        ] {
            let expected = HttpUrl {
                secure,
                host: host.into(),
                port,
                path: path.into(),
            };
            assert_eq!(url(text), expected, "{text}");
        }
        for text in [
            "",
            "h/p",
            "ftp://h/p",
            "http://",
            "http:///p",
            "http://h:0/",
            "http://h:x/",
            "http://h:99999/",
            "http://u:p@h/",
            "http://h/a b",
            "http://h/\r\nX: y",
        ] {
            let error = HttpUrl::parse(text).unwrap_err();
            assert!(matches!(error, NetError::Settings { .. }), "{text}");
        }
    }

    #[test]
    fn secrets_stay_out_of_errors() {
        assert_eq!(url("http://h/p.swf?token=s").to_string(), "http://h/p.swf");
        for bad in ["http://u:s3cret@h/", "http://h:x/?s3cret"] {
            assert!(
                !HttpUrl::parse(bad)
                    .unwrap_err()
                    .to_string()
                    .contains("s3cret"),
                "{bad}"
            );
        }
    }

    #[test]
    fn redirects() {
        let base = url("http://h:81/a/b?q");
        for (location, expected) in [
            ("http://o/x", "http://o/x"),
            ("//o/x", "http://o/x"),
            ("/x", "http://h:81/x"),
            ("x", "http://h:81/a/x"),
            ("https://h/x", "https://h/x"),
        ] {
            assert_eq!(base.join(location).unwrap(), url(expected), "{location}");
        }
        assert!(url("https://h/x").join("http://h/x").is_err());
        assert!(base.join("gopher://h/x").is_err());
    }

    #[test]
    fn heads() {
        let take = |text: &str| Head::take(&mut text.as_bytes().to_vec());
        let head = take("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc")
            .unwrap()
            .unwrap();
        assert_eq!(
            head,
            Head {
                status: 200,
                location: None,
                framing: Framing::Length(3)
            }
        );
        let head = take("HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n")
            .unwrap()
            .unwrap();
        assert_eq!(head.location.as_deref(), Some("/x"));
        assert!(take("HTTP/1.1 200").unwrap().is_none());
        for bad in [
            "\x03RTMP, perhaps",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n",
        ] {
            assert!(matches!(take(bad), Err(NetError::Http { .. })), "{bad}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(limits::HTTP_HEAD));
        assert!(take(&endless).is_err());
        let many = format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "a: b\r\n".repeat(limits::HTTP_HEADERS + 1)
        );
        assert!(take(&many).is_err());
    }

    #[test]
    fn the_cap_holds_whatever_is_claimed() {
        assert!(Body::new(Framing::Length(u64::MAX), 10).is_err());
        let mut body = Body::new(Framing::Close, 10).unwrap();
        assert!(body.take(&mut vec![0; 11]).is_err());
        for chunks in [
            "ffffffffffffffff\r\n",
            "6\r\naaaaaa\r\n5\r\nbbbbb\r\n",
            "zz\r\n",
            "1\r\nab\r\n",
        ] {
            let mut body = Body::new(Framing::Chunked, 10).unwrap();
            assert!(
                body.take(&mut chunks.as_bytes().to_vec()).is_err(),
                "{chunks}"
            );
        }
        let mut body = Body::new(Framing::Chunked, 10).unwrap();
        assert!(body.take(&mut vec![b'0'; 5000]).is_err());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_file(
            file in proptest::collection::vec(any::<u8>(), 1..200),
            size in 1..50usize,
            split in 1..40usize,
        ) {
            let mut wire = Vec::new();
            for chunk in file.chunks(size) {
                wire.extend(format!("{:x}\r\n", chunk.len()).bytes());
                wire.extend(chunk);
                wire.extend(b"\r\n");
            }
            wire.extend(b"0\r\n\r\n");
            let mut body = Body::new(Framing::Chunked, 1000).unwrap();
            let mut raw = Vec::new();
            let mut complete = false;
            for part in wire.chunks(split) {
                prop_assert!(!complete || part.len() <= 4);
                raw.extend(part);
                complete = complete || body.take(&mut raw).unwrap();
            }
            prop_assert!(complete);
            prop_assert_eq!(body.into_file(), file);
        }
    }
}
