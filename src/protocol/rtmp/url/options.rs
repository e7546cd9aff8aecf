// SPDX-License-Identifier: MPL-2.0

//! The tail of a librtmp location: `rtmp://host/app/stream live=1 swfUrl=http://… conn=S:a`.
//!
//! Keys in any letter case, values with `\20` for a space, as `librtmp(3)` describes them and
//! `RTMP_SetupURL` reads them. Unlike there, a word that is no option is an error and not the silent
//! end of the tail.

use std::{fmt, str::FromStr, time::Duration};

use super::{
    Secret, UrlError,
    conn::{self, ConnBuilder},
    escape, parse_host_port,
};
use crate::protocol::rtmp::amf::Value;

/// What a librtmp tail can ask for. `None`: not said, the default of whoever reads it applies.
///
/// `app`, `playpath`, `pubUser` and `pubPasswd` are not here: they end up in the parts of
/// [`RtmpUrl`](super::RtmpUrl) that they override.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LibrtmpOptions {
    /// `socks`: SOCKS4 proxy to connect through.
    pub socks: Option<SocksProxy>,
    /// `tcUrl` of the connect command.
    pub tc_url: Option<String>,
    /// `pageUrl` of the connect command.
    pub page_url: Option<String>,
    /// `swfUrl` of the connect command.
    pub swf_url: Option<String>,
    /// `flashver`: `flashVer` of the connect command.
    pub flash_ver: Option<String>,
    /// `conn`, repeated: values behind the object of the connect command.
    pub conn: Vec<Value>,
    /// `playlist`: send `set_playlist` before `play`.
    pub playlist: Option<bool>,
    /// `live`: play a live stream only, no seeking.
    pub live: Option<bool>,
    /// `subscribe`: name for `FCSubscribe`; librtmp takes the playpath where the stream is live.
    pub subscribe: Option<String>,
    /// `jtv`: argument of `NetStream.Authenticate.UsherToken`.
    pub jtv: Option<Secret>,
    /// `token`: key of the SecureToken response.
    pub token: Option<Secret>,
    /// `swfVfy`: answer SWF verification requests with the hash of `swf_url`.
    pub swf_vfy: Option<bool>,
    /// `swfAge`: days for which a cached SWF hash is taken unchecked.
    pub swf_age: Option<u32>,
    /// `start`: position to play from. Milliseconds in the code, which counts; the manual says seconds.
    pub start: Option<Duration>,
    /// `stop`: position to play to, in milliseconds likewise.
    pub stop: Option<Duration>,
    /// `buffer`: length for `SetBufferLength`, in milliseconds.
    pub buffer: Option<Duration>,
    /// `timeout`: longest silence of the server, in seconds.
    pub timeout: Option<Duration>,
}

/// A SOCKS4 proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocksProxy {
    /// A name or an address; an IPv6 address stands here without brackets.
    pub host: String,
    /// 1 to 65535; 1080 where the option names none.
    pub port: u16,
}

impl FromStr for SocksProxy {
    type Err = UrlError;

    /// Reads `host`, `host:port`, `[address]` or `[address]:port`.
    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (host, port) = parse_host_port(text).map_err(|_| UrlError::BadSocks)?;
        Ok(Self {
            host,
            port: port.unwrap_or(SOCKS_PORT),
        })
    }
}

impl fmt::Display for SocksProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            // RFC 6874: the `%` before a zone is itself escaped.
            true => write!(f, "[{}]:{}", self.host.replacen('%', "%25", 1), self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A whole tail.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) app: Option<String>,
    pub(super) playpath: Option<String>,
    pub(super) pub_user: Option<String>,
    pub(super) pub_passwd: Option<Secret>,
    pub(super) options: LibrtmpOptions,
    words: usize,
}

impl Tail {
    pub(super) fn parse(text: &str) -> Result<Self, UrlError> {
        let mut tail = Self::default();
        let mut conn = ConnBuilder::default();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            tail.words += 1;
            let (key, value) = word
                .split_once('=')
                .filter(|(key, _)| !key.is_empty())
                .ok_or(UrlError::NotAnOption(tail.words))?;
            tail.set(key, value, &mut conn)?;
        }
        tail.options.conn = conn.finish();
        Ok(tail)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words == 0
    }

    fn set(&mut self, key: &str, value: &str, conn: &mut ConnBuilder) -> Result<(), UrlError> {
        let key = KEYS
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(key))
            .ok_or_else(|| UrlError::UnknownOption(key.chars().take(32).collect()))?;
        let value = escape::decode(value, '\\').ok_or(UrlError::BadEscape(key))?;
        let options = &mut self.options;
        // An empty value unsets, as a zero length does in librtmp.
        let text = |value: String| (!value.is_empty()).then_some(value);
        match key {
            "app" => self.app = Some(value),
            "playpath" => self.playpath = Some(value),
            "pubUser" => self.pub_user = text(value),
            "pubPasswd" => self.pub_passwd = text(value).map(Secret::new),
            "socks" => options.socks = text(value).map(|value| value.parse()).transpose()?,
            "tcUrl" => options.tc_url = text(value),
            "pageUrl" => options.page_url = text(value),
            "swfUrl" => options.swf_url = text(value),
            "flashver" => options.flash_ver = text(value),
            "conn" => conn.push(&value)?,
            "playlist" => options.playlist = Some(boolean(key, &value)?),
            "live" => options.live = Some(boolean(key, &value)?),
            "subscribe" => options.subscribe = text(value),
            "jtv" => options.jtv = text(value).map(Secret::new),
            "token" => options.token = text(value).map(Secret::new),
            "swfVfy" => options.swf_vfy = Some(boolean(key, &value)?),
            "swfAge" => options.swf_age = Some(number(key, &value)?),
            "start" => options.start = Some(milliseconds(key, &value)?),
            "stop" => options.stop = Some(milliseconds(key, &value)?),
            "buffer" => options.buffer = Some(milliseconds(key, &value)?),
            "timeout" => {
                options.timeout = Some(Duration::from_secs(number(key, &value)?.into()));
            }
            _ => return Err(UrlError::UnknownOption(key.to_owned())),
        }
        Ok(())
    }
}

impl LibrtmpOptions {
    /// Writes what [`Tail::parse`] reads, with a space before each word and without secrets.
    pub(super) fn to_tail(&self) -> String {
        let mut tail = String::new();
        let mut word = |key: &str, value: &str| {
            tail += &format!(" {key}={}", escape::tail(value));
        };
        let texts = [
            ("tcUrl", &self.tc_url),
            ("pageUrl", &self.page_url),
            ("swfUrl", &self.swf_url),
            ("flashver", &self.flash_ver),
            ("subscribe", &self.subscribe),
        ];
        let booleans = [
            ("playlist", self.playlist),
            ("live", self.live),
            ("swfVfy", self.swf_vfy),
        ];
        let milliseconds = |duration: Duration| duration.as_millis().to_string();
        let numbers = [
            ("swfAge", self.swf_age.map(|days| days.to_string())),
            ("start", self.start.map(milliseconds)),
            ("stop", self.stop.map(milliseconds)),
            ("buffer", self.buffer.map(milliseconds)),
            ("timeout", self.timeout.map(|d| d.as_secs().to_string())),
        ];
        if let Some(proxy) = &self.socks {
            word("socks", &proxy.to_string());
        }
        for (key, text) in texts {
            if let Some(text) = text {
                word(key, text);
            }
        }
        for argument in conn::arguments(&self.conn) {
            word("conn", &argument);
        }
        for (key, boolean) in booleans {
            if let Some(boolean) = boolean {
                word(key, if boolean { "1" } else { "0" });
            }
        }
        for (key, number) in numbers {
            if let Some(number) = number {
                word(key, &number);
            }
        }
        tail
    }
}

/// In librtmp's spelling, which our errors and locations use.
const KEYS: [&str; 21] = [
    "socks",
    "app",
    "tcUrl",
    "pageUrl",
    "swfUrl",
    "flashver",
    "conn",
    "playpath",
    "playlist",
    "live",
    "subscribe",
    "jtv",
    "token",
    "swfVfy",
    "swfAge",
    "start",
    "stop",
    "buffer",
    "timeout",
    "pubUser",
    "pubPasswd",
];

/// The port that librtmp takes, as RFC 1928 assigns it.
const SOCKS_PORT: u16 = 1080;

fn boolean(key: &'static str, value: &str) -> Result<bool, UrlError> {
    conn::boolean(value).ok_or(UrlError::BadBoolean(key))
}

/// Decimal, or hexadecimal behind `0x`, which librtmp's `strtol` takes too.
fn number(key: &'static str, value: &str) -> Result<u32, UrlError> {
    let parsed = match value.strip_prefix("0x").or(value.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => value.parse(),
    };
    parsed.map_err(|_| UrlError::BadNumber(key))
}

fn milliseconds(key: &'static str, value: &str) -> Result<Duration, UrlError> {
    number(key, value).map(|ms| Duration::from_millis(ms.into()))
}
