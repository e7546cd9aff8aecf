// SPDX-License-Identifier: MPL-2.0

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{Secret, UrlError, parse_host_port, parse_userinfo};

/// An HTTP proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProxy {
    /// A name or an address; an IPv6 address stands here without brackets.
    pub host: String,
    /// 1 to 65535; 80 where none is named.
    pub port: u16,
    /// Who asks, for proxies that want to know.
    pub username: Option<String>,
    /// The password to it.
    pub password: Option<Secret>,
}

impl HttpProxy {
    /// The value of `Proxy-Authorization` (RFC 7617), if there is a name.
    pub fn authorization(&self) -> Option<String> {
        let password = self.password.as_ref().map(Secret::reveal);
        let credentials = format!(
            "{}:{}",
            self.username.as_ref()?,
            password.unwrap_or_default()
        );
        Some(format!("Basic {}", STANDARD.encode(credentials)))
    }

    /// What asks the proxy for a way through to `authority` (RFC 9110 section 9.3.6).
    pub fn connect_request(&self, authority: &str) -> String {
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(authorization) = self.authorization() {
            request += &format!("Proxy-Authorization: {authorization}\r\n");
        }
        request + "\r\n"
    }
}

impl FromStr for HttpProxy {
    type Err = UrlError;

    /// Reads `[http://][user:password@]host[:port]`, as the variable `http_proxy` has it.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let text = text.trim().trim_end_matches('/');
        let text = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some((scheme, _)) => return Err(UrlError::UnknownScheme(scheme.to_owned())),
            None => text,
        };
        if text.chars().any(char::is_control) {
            return Err(UrlError::ControlCharacter);
        }
        let (userinfo, host_port) = match text.rsplit_once('@') {
            Some((userinfo, host_port)) => (Some(userinfo), host_port),
            None => (None, text),
        };
        let (username, password) = userinfo.map_or(Ok((None, None)), parse_userinfo)?;
        let (host, port) = parse_host_port(host_port)?;
        Ok(Self {
            host,
            port: port.unwrap_or(80),
            username,
            password,
        })
    }
}

/// Without name and password.
impl fmt::Display for HttpProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_reads_as_people_write_it() {
        for (text, host, port, authorization) in [
            ("cache.example", "cache.example", 80, None),
            ("http://cache.example:3128/", "cache.example", 3128, None),
            ("[::1]:8080", "::1", 8080, None),
            // RFC 7617's own example.
            (
                "HTTP://Aladdin:open%20sesame@10.0.0.1:8080",
                "10.0.0.1",
                8080,
                Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
            ),
        ] {
            let proxy: HttpProxy = text.parse().unwrap();
            assert_eq!((proxy.host.as_str(), proxy.port), (host, port));
            assert_eq!(proxy.authorization().as_deref(), authorization);
            assert!(!format!("{proxy} {proxy:?}").contains("sesame"));
        }
        for text in [
            "",
            "socks://x",
            "host:0",
            "a b",
            "user@",
            "host:99999",
            "x\r\ny",
        ] {
            assert!(text.parse::<HttpProxy>().is_err(), "{text:?}");
        }
        let proxy: HttpProxy = "joe:pw@p:1".parse().unwrap();
        assert_eq!(
            proxy.connect_request("host:443"),
            "CONNECT host:443 HTTP/1.1\r\nHost: host:443\r\n\
             Proxy-Authorization: Basic am9lOnB3\r\n\r\n"
        );
    }
}
