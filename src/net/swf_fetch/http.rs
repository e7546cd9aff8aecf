// SPDX-License-Identifier: MPL-2.0

//! The URL of a file, where redirects lead, and the file in the answer, without I/O.

use std::fmt;

use crate::{
    net::NetError,
    protocol::http::reply::{Body, Framing, Part, ReplyError},
};

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

/// The file that a response brings.
#[derive(Debug)]
pub(super) struct File {
    framing: Framing,
    body: Body,
    bytes: Vec<u8>,
    cap: usize,
}

impl File {
    pub(super) fn new(framing: Framing, cap: usize) -> Result<Self, NetError> {
        if let Framing::Length(length) = framing
            && length > cap as u64
        {
            return Err(too_large(cap));
        }
        Ok(Self {
            framing,
            body: Body::new(framing),
            bytes: Vec::new(),
            cap,
        })
    }

    /// Takes what has come; `true` once the file is complete.
    pub(super) fn take(&mut self, mut input: &[u8]) -> Result<bool, NetError> {
        loop {
            match self.body.take(&mut input).map_err(broken)? {
                Part::Data(data) if data.len() <= self.cap - self.bytes.len() => {
                    self.bytes.extend_from_slice(data);
                }
                Part::Data(_) => return Err(too_large(self.cap)),
                Part::More => return Ok(false),
                Part::End => return Ok(true),
            }
        }
    }

    /// What the end of the connection means.
    pub(super) fn ended(self, truncated: bool) -> Result<Vec<u8>, NetError> {
        if self.framing == Framing::Close && !truncated {
            return Ok(self.bytes);
        }
        Err(NetError::http(
            "the HTTP server closed the connection before the file was complete",
        ))
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

pub(super) fn broken(error: ReplyError) -> NetError {
    NetError::http(error.to_string())
}

fn too_large(cap: usize) -> NetError {
    NetError::http(format!(
        "the SWF file is larger than the {cap} bytes that are allowed"
    ))
}

#[cfg(test)]
mod tests {
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
    fn the_cap_holds_whatever_is_claimed() {
        assert!(File::new(Framing::Length(u64::MAX), 10).is_err());
        let mut file = File::new(Framing::Close, 10).unwrap();
        assert!(file.take(&[0; 11]).is_err());
        for chunks in [
            "ffffffffffffffff\r\naaaaaaaaaaa",
            "6\r\naaaaaa\r\n5\r\nbbbbb\r\n",
            "zz\r\n",
            "1\r\nab\r\n",
        ] {
            let mut file = File::new(Framing::Chunked, 10).unwrap();
            assert!(file.take(chunks.as_bytes()).is_err(), "{chunks}");
        }
        let mut file = File::new(Framing::Chunked, 10).unwrap();
        assert!(file.take(&[b'0'; 5000]).is_err());
    }

    #[test]
    fn the_end_is_told_from_a_break() {
        let ended = |framing, wire: &[u8], truncated| {
            let mut file = File::new(framing, 10).unwrap();
            assert!(!file.take(wire).unwrap());
            file.ended(truncated)
        };
        assert_eq!(ended(Framing::Close, b"abc", false).unwrap(), b"abc");
        assert!(ended(Framing::Close, b"abc", true).is_err());
        assert!(ended(Framing::Length(4), b"abc", false).is_err());
        assert!(ended(Framing::Chunked, b"3\r\nabc\r\n", false).is_err());
        let mut file = File::new(Framing::Chunked, 10).unwrap();
        assert!(file.take(b"3\r\nabc\r\n0\r\n\r\n").unwrap());
        assert_eq!(file.into_bytes(), b"abc");
    }
}
