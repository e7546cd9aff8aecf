// SPDX-License-Identifier: MPL-2.0

//! The six ways to carry RTMP that a URL can ask for.

use std::fmt;

use super::UrlError;

/// What lies under the RTMP session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP.
    #[default]
    Rtmp,
    /// TLS.
    Rtmps,
    /// RC4 with a Diffie-Hellman exchange in the handshake.
    Rtmpe,
    /// Tunnelled in HTTP.
    Rtmpt,
    /// Tunnelled in HTTPS.
    Rtmpts,
    /// [`Rtmpe`](Self::Rtmpe) tunnelled in HTTP.
    Rtmpte,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Rtmp,
        Self::Rtmps,
        Self::Rtmpe,
        Self::Rtmpt,
        Self::Rtmpts,
        Self::Rtmpte,
    ];

    /// The name as URLs have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rtmp => "rtmp",
            Self::Rtmps => "rtmps",
            Self::Rtmpe => "rtmpe",
            Self::Rtmpt => "rtmpt",
            Self::Rtmpts => "rtmpts",
            Self::Rtmpte => "rtmpte",
        }
    }

    /// The scheme of this name; letter case does not matter (RFC 3986, 3.1).
    ///
    /// # Errors
    ///
    /// [`UrlError::UnknownScheme`], or [`UrlError::NoScheme`] where it does not even look like one.
    pub fn parse(name: &str) -> Result<Self, UrlError> {
        if let Some(scheme) = Self::ALL
            .into_iter()
            .find(|scheme| name.eq_ignore_ascii_case(scheme.as_str()))
        {
            return Ok(scheme);
        }
        let is_scheme = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.len() <= 32
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        Err(if is_scheme {
            UrlError::UnknownScheme(name.to_owned())
        } else {
            UrlError::NoScheme
        })
    }

    /// The port where a URL names none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Rtmp | Self::Rtmpe => 1935,
            Self::Rtmps | Self::Rtmpts => 443,
            Self::Rtmpt | Self::Rtmpte => 80,
        }
    }

    /// Whether TLS is under it.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Rtmps | Self::Rtmpts)
    }

    /// Whether HTTP is under it.
    pub fn is_tunnelled(self) -> bool {
        matches!(self, Self::Rtmpt | Self::Rtmpts | Self::Rtmpte)
    }

    /// Whether the handshake agrees on RC4 keys.
    pub fn is_rtmpe(self) -> bool {
        matches!(self, Self::Rtmpe | Self::Rtmpte)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
