// SPDX-License-Identifier: MPL-2.0

//! The URL of an application, as `tcUrl` carries it, and references to others from there (RFC 3986,
//! section 5): a server that asks to be left names the next one so (Enhanced RTMP v2, "Reconnect
//! Request").

use std::fmt;

use super::{RtmpUrl, Scheme, UrlError, check_letters, parse_host_port, take_apart};

/// See the module's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcUrl {
    /// The transport.
    pub scheme: Scheme,
    /// A name or an address; an IPv6 address stands here without brackets.
    pub host: String,
    /// 1 to 65535 where the URL names a port.
    pub port: Option<u16>,
    /// All of the path without its first `/`, query included; may be empty.
    pub application: String,
}

impl TcUrl {
    /// Reads an absolute URL. User name and password in it are left out: nobody logs in with what a
    /// server says.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        check_letters(text)?;
        if text.contains(' ') {
            // What is behind it would be options of librtmp in a location.
            return Err(UrlError::Space);
        }
        let (scheme, _, host_port, path) = take_apart(text)?;
        let (host, port) = parse_host_port(host_port)?;
        Ok(Self {
            scheme,
            host,
            port,
            application: path.to_owned(),
        })
    }

    /// What `reference` means here: an absolute URL, `//host/app`, `/app`, or a path relative to this
    /// one's. An application that an absolute URL leaves out is this one's.
    ///
    /// # Errors
    /// [`UrlError`].
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        check_letters(reference)?;
        // A fragment is the reader's own affair.
        let reference = reference.split('#').next().unwrap_or_default();
        if has_scheme(reference) {
            let absolute = Self::parse(reference)?;
            return Ok(self.or_application(absolute));
        }
        if let Some(authority) = reference.strip_prefix("//") {
            let absolute = Self::parse(&format!("{}://{authority}", self.scheme))?;
            return Ok(self.or_application(absolute));
        }
        if reference.contains(' ') {
            return Err(UrlError::Space);
        }
        let (path, _) = cut_query(&self.application);
        let application = match cut_query(reference) {
            ("", None) => self.application.clone(),
            ("", other) => with_query(path, other),
            (other, other_query) => {
                let merged = match other.strip_prefix('/') {
                    Some(rooted) => rooted.to_owned(),
                    None => {
                        let folder = path.rfind('/').map_or("", |at| &path[..=at]);
                        format!("{folder}{other}")
                    }
                };
                with_query(&without_dots(&merged), other_query)
            }
        };
        Ok(Self {
            application,
            ..self.clone()
        })
    }

    /// The port to connect to: the one named, or the scheme's.
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    fn or_application(&self, mut other: Self) -> Self {
        if other.application.is_empty() {
            other.application.clone_from(&self.application);
        }
        other
    }
}

impl fmt::Display for TcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = RtmpUrl {
            scheme: self.scheme,
            host: self.host.clone(),
            port: self.port,
            application: self.application.clone(),
            ..RtmpUrl::default()
        };
        f.write_str(&url.tc_url())
    }
}

/// A scheme is letters, digits and `+-.` in front of the first colon (RFC 3986, section 3.1).
fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
    })
}

fn cut_query(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

fn with_query(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// RFC 3986, section 5.2.4, of a path without its first `/`.
fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    parts.pop();
                }
                if last {
                    parts.push("");
                }
            }
            segment => parts.push(segment),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_mean_what_the_specification_says() {
        let base = TcUrl::parse("rtmps://old.example:444/live/a?k=1").unwrap();
        for (reference, means) in [
            // The four examples of Enhanced RTMP v2.
            (
                "rtmp://foo.mydomain.com:1935/realtimeapp",
                "rtmp://foo.mydomain.com:1935/realtimeapp",
            ),
            (
                "rtmp://127.0.0.1/realtimeapp",
                "rtmp://127.0.0.1/realtimeapp",
            ),
            ("//192.0.2.0/realtimeapp", "rtmps://192.0.2.0/realtimeapp"),
            ("/realtimeapp", "rtmps://old.example:444/realtimeapp"),
            // RFC 3986, section 5.4.
            ("", "rtmps://old.example:444/live/a?k=1"),
            ("#part", "rtmps://old.example:444/live/a?k=1"),
            ("?k=2", "rtmps://old.example:444/live/a?k=2"),
            ("b", "rtmps://old.example:444/live/b"),
            ("b?q", "rtmps://old.example:444/live/b?q"),
            ("./b", "rtmps://old.example:444/live/b"),
            ("../b", "rtmps://old.example:444/b"),
            ("../../../b", "rtmps://old.example:444/b"),
            ("/x/../y/./z", "rtmps://old.example:444/y/z"),
            ("//[::1]:2/x", "rtmps://[::1]:2/x"),
            ("RTMP://new.example/b", "rtmp://new.example/b"),
            ("rtmp://user:secret@new.example/b", "rtmp://new.example/b"),
            // No application is the same application.
            ("rtmp://new.example", "rtmp://new.example/live/a?k=1"),
            ("//new.example/", "rtmps://new.example/live/a?k=1"),
        ] {
            let url = base.join(reference).unwrap();
            assert_eq!(url.to_string(), means, "{reference}");
            assert_eq!(TcUrl::parse(means).unwrap(), url, "{reference}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let base = TcUrl::parse("rtmp://old.example/live").unwrap();
        let long = "x".repeat(crate::protocol::rtmp::limits::URL_LENGTH + 1);
        for (reference, error) in [
            (
                "http://new.example/live",
                UrlError::UnknownScheme("http".into()),
            ),
            ("rtmp:live", UrlError::NoScheme),
            ("rtmp://", UrlError::NoHost),
            ("//", UrlError::NoHost),
            ("//a b/live", UrlError::Space),
            ("//a/live swfUrl=http://evil/", UrlError::Space),
            ("/live x=y", UrlError::Space),
            ("//a:0/live", UrlError::BadPort),
            ("//a:65536/live", UrlError::BadPort),
            ("/li\r\nve", UrlError::ControlCharacter),
            (&long, UrlError::TooLong),
        ] {
            assert_eq!(base.join(reference), Err(error), "{reference:.40}");
        }
    }
}
