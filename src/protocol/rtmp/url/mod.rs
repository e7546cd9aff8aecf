// SPDX-License-Identifier: MPL-2.0

//! Where a stream is: `rtmp://user:password@host:port/application/stream key=value …`.
//!
//! RTMP has no URL specification. A client sends an application in `connect` and a stream name in
//! `publish` or `play`, and every program cuts one path into those two differently; [`Split`] names
//! the ways. The `key=value` tail is librtmp's, see [`LibrtmpOptions`].
//!
//! This module reads and writes text. It does not resolve names, and it does not know properties:
//! an element assigns to the public fields what its explicit properties say.

mod conn;
mod error;
mod escape;
mod options;
mod proxy;
mod scheme;
mod secret;
mod split;
mod tc_url;
#[cfg(test)]
mod tests;

use std::fmt;

pub use conn::{ConnBuilder, ConnError, format_conn, parse_conn};
pub use error::UrlError;
pub use options::{LibrtmpOptions, SocksProxy};
pub use proxy::HttpProxy;
pub use scheme::Scheme;
pub use secret::Secret;
pub use split::Split;
pub use tc_url::TcUrl;

use super::limits;

/// The parts of an RTMP location.
///
/// Application and stream hold exactly what goes into the commands, queries included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RtmpUrl {
    /// The transport.
    pub scheme: Scheme,
    /// A name or an address; an IPv6 address stands here without brackets.
    pub host: String,
    /// 1 to 65535 where the location names a port.
    pub port: Option<u16>,
    /// `app` of the connect command; empty where the location has no path.
    pub application: String,
    /// The argument of `publish` and `play`; empty where the location has no playpath.
    pub stream: String,
    /// User of Adobe or Limelight authentication: userinfo, or `pubUser`, which wins.
    pub username: Option<String>,
    /// Password to it: userinfo, or `pubPasswd`, which wins.
    pub password: Option<Secret>,
    /// What the librtmp tail asks for besides `app`, `playpath`, `pubUser` and `pubPasswd`.
    pub options: LibrtmpOptions,
}

impl RtmpUrl {
    /// Reads a location.
    ///
    /// A path, or the stream in it, may be missing: properties or the tail can supply them.
    ///
    /// # Errors
    ///
    /// Each [`UrlError`] is one sentence for the person who typed the location. None repeats a part
    /// that may hold a password.
    pub fn parse(location: &str, split: Split) -> Result<Self, UrlError> {
        let location = location.trim_matches(' ');
        check_letters(location)?;
        let (url, tail) = location.split_once(' ').unwrap_or((location, ""));
        let (scheme, userinfo, host_port, path) = take_apart(url)?;
        let (username, password) = userinfo.map_or(Ok((None, None)), parse_userinfo)?;
        let (host, port) = parse_host_port(host_port)?;

        let tail = options::Tail::parse(tail)?;
        let (application, stream) = split.resolve(!tail.is_empty()).apply(path);
        Ok(Self {
            scheme,
            host,
            port,
            application: tail.app.unwrap_or(application),
            stream: tail.playpath.unwrap_or(stream),
            username: tail.pub_user.or(username),
            password: tail.pub_passwd.or(password),
            options: tail.options,
        })
    }

    /// The port to connect to: the one named, or the scheme's.
    pub fn effective_port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.default_port())
    }

    /// `tcUrl` of the connect command: the tail's, or `scheme://host[:port]/application`.
    ///
    /// The port is there if the location (or the port property) named one, as in Flash Player and
    /// OBS, which send the server address as it was typed and which ingest servers are tested
    /// against. FFmpeg always writes it, rtmp2sink never the default one; servers that match virtual
    /// hosts parse either. An IPv6 zone stays here: it means nothing to the server.
    pub fn tc_url(&self) -> String {
        if let Some(tc_url) = &self.options.tc_url {
            return tc_url.clone();
        }
        let host = self.host.split('%').next().unwrap_or_default();
        format!("{}/{}", self.origin(host), self.application)
    }

    /// Writes a location that [`parse`](Self::parse) with the same `split` reads back as the same
    /// parts, without user name, password and the tail's secrets (`token`, `jtv`, `pubPasswd`).
    ///
    /// Where `split` would cut the path elsewhere, because properties set what no path can say, the
    /// parts come as `app=` and `playpath=`.
    pub fn to_location(&self, split: Split) -> String {
        let origin = self.origin(&self.host);
        let tail = self.options.to_tail();
        let reader = split.resolve(!tail.is_empty());
        let paths = [
            match (self.application.as_str(), self.stream.as_str()) {
                ("", "") => String::new(),
                (application, "") => format!("/{application}"),
                (application, stream) => format!("/{application}/{stream}"),
            },
            format!("/{}/", self.application),
            format!("/{}", self.application),
        ];
        for path in paths {
            let plain = !path.contains(|c: char| c == ' ' || c.is_control());
            let (application, stream) = reader.apply(path.strip_prefix('/').unwrap_or(&path));
            if plain && application == self.application && stream == self.stream {
                return format!("{origin}{path}{tail}");
            }
        }
        format!(
            "{origin} app={} playpath={}{tail}",
            escape::tail(&self.application),
            escape::tail(&self.stream)
        )
    }

    fn origin(&self, host: &str) -> String {
        let mut origin = format!("{}://", self.scheme);
        if host.contains(':') {
            // RFC 6874: the `%` before a zone is itself escaped.
            origin += &format!("[{}]", host.replacen('%', "%25", 1));
        } else {
            origin += host;
        }
        if let Some(port) = self.port {
            origin += &format!(":{port}");
        }
        origin
    }
}

/// The location as logs may have it: as [`RtmpUrl::to_location`] with [`Split::Auto`].
impl fmt::Display for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_location(Split::Auto))
    }
}

fn check_letters(text: &str) -> Result<(), UrlError> {
    if text.len() > limits::URL_LENGTH {
        return Err(UrlError::TooLong);
    }
    // They would forge log lines, and no server has them in a name.
    if text.chars().any(char::is_control) {
        return Err(UrlError::ControlCharacter);
    }
    Ok(())
}

/// Scheme, userinfo, host with port, and the path without its first `/`.
fn take_apart(url: &str) -> Result<(Scheme, Option<&str>, &str, &str), UrlError> {
    let (scheme, rest) = url.split_once("://").ok_or(UrlError::NoScheme)?;
    let scheme = Scheme::parse(scheme)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = path.strip_prefix('/').unwrap_or(path);
    // The last `@`: passwords were pasted unescaped before.
    let (userinfo, host_port) = match authority.rsplit_once('@') {
        Some((userinfo, host_port)) => (Some(userinfo), host_port),
        None => (None, authority),
    };
    Ok((scheme, userinfo, host_port, path))
}

fn parse_userinfo(userinfo: &str) -> Result<(Option<String>, Option<Secret>), UrlError> {
    let decode = |part: &str| escape::decode(part, '%').ok_or(UrlError::BadUserinfo);
    let (user, password) = match userinfo.split_once(':') {
        Some((user, password)) => (user, Some(Secret::new(decode(password)?))),
        None => (userinfo, None),
    };
    let user = decode(user)?;
    Ok((
        (!user.is_empty() || password.is_some()).then_some(user),
        password,
    ))
}

/// `host`, `host:port`, `[address]`, `[address]:port`; an empty port counts as none (RFC 3986, 3.2.3).
fn parse_host_port(text: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']').ok_or(UrlError::BadBrackets)?;
        if !port.is_empty() && !port.starts_with(':') {
            return Err(UrlError::BadBrackets);
        }
        (parse_ipv6(address)?, port.strip_prefix(':'))
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        if port.is_some_and(|port| port.contains(':')) {
            return Err(UrlError::BareIpv6);
        }
        if host.is_empty() {
            return Err(UrlError::NoHost);
        }
        // What neither DNS nor `/etc/hosts` can hold, and what would read back as another part.
        if host.contains(|c: char| c.is_whitespace() || "[]<>\"\\^`{|}%#@".contains(c)) {
            return Err(UrlError::BadHost);
        }
        (host.to_owned(), port)
    };
    let port = match port {
        None | Some("") => None,
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => match port.parse() {
            Ok(0) | Err(_) => return Err(UrlError::BadPort),
            Ok(port) => Some(port),
        },
        Some(_) => return Err(UrlError::BadPort),
    };
    Ok((host, port))
}

/// Checks the letters only; the resolver says whether it is an address.
fn parse_ipv6(text: &str) -> Result<String, UrlError> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone.strip_prefix("25").unwrap_or(zone))),
        None => (text, None),
    };
    let plausible = address.bytes().filter(|&b| b == b':').count() >= 2
        && address
            .bytes()
            .all(|b| b.is_ascii_hexdigit() || b == b':' || b == b'.');
    // A zone is an interface name; `25eth0` would come back as `eth0`, so no zone starts so.
    let plausible_zone = zone.is_none_or(|zone| {
        !zone.is_empty()
            && !zone.starts_with("25")
            && zone
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
    });
    if !plausible || !plausible_zone {
        return Err(UrlError::BadBrackets);
    }
    Ok(match zone {
        Some(zone) => format!("{address}%{zone}"),
        None => address.to_owned(),
    })
}
