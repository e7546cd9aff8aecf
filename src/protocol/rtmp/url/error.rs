// SPDX-License-Identifier: MPL-2.0

//! What can be wrong with a location, each as a sentence that says what to write instead.

use super::ConnError;

/// Why a location was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// There is no `://`.
    #[error("the location has no scheme, write it as rtmp://host/application/stream")]
    NoScheme,
    /// A scheme that is not one of the family.
    #[error("the scheme \"{0}\" is not supported, use rtmp, rtmps, rtmpe, rtmpt, rtmpts or rtmpte")]
    UnknownScheme(String),
    /// Nothing between `://` and the path.
    #[error("the location names no host, write it as rtmp://host/application/stream")]
    NoHost,
    /// A character that host names do not have.
    #[error(
        "the host name holds a character that host names cannot have, check it for typing errors"
    )]
    BadHost,
    /// Unbalanced brackets, or something in them that is no IPv6 address.
    #[error("the host in brackets is not an IPv6 address, write it as [::1] or [::1]:1935")]
    BadBrackets,
    /// Several colons without brackets.
    #[error(
        "the host holds several colons, write an IPv6 address in brackets as in rtmp://[::1]/live, and a \":\" or \"/\" in a user name or password as %3A or %2F"
    )]
    BareIpv6,
    /// Not a number from 1 to 65535. The text is not repeated: an unescaped `/` in a password puts
    /// the password's first half here.
    #[error(
        "the port is not a number from 1 to 65535, correct it, and write a \"/\" or \"?\" in a user name or password as %2F or %3F"
    )]
    BadPort,
    /// `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error(
        "the user name or password holds a \"%\" that is no escape, write a percent sign as %25"
    )]
    BadUserinfo,
    /// More than `limits::URL_LENGTH` bytes.
    #[error(
        "the location is longer than an RTMP command can carry, shorten it to less than 65536 bytes"
    )]
    TooLong,
    /// A line break or other control character.
    #[error("the location holds a control character, remove line breaks and tabs from it")]
    ControlCharacter,
    /// A space where no tail can follow.
    #[error("the URL of the application holds a space, write it as %20")]
    Space,
    /// A word of the tail without `=`; its number, from 1. The word is not repeated: it may be the
    /// rest of a secret that holds a space.
    #[error(
        "word {0} behind the URL is not of the form key=value, write a space inside a value as \\20 and set a stream name that holds spaces with playpath="
    )]
    NotAnOption(usize),
    /// A key that librtmp does not have.
    #[error(
        "the option \"{0}\" behind the URL is unknown, remove it, or write a space inside the value before it as \\20"
    )]
    UnknownOption(String),
    /// A backslash without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("the value of \"{0}\" holds a \"\\\" that is no escape, write a backslash as \\5c")]
    BadEscape(&'static str),
    /// Not a whole number of 32 bits.
    #[error("the value of \"{0}\" is not a whole number from 0 to 4294967295, correct it")]
    BadNumber(&'static str),
    /// Not a word for true or false.
    #[error("the value of \"{0}\" is neither true nor false, write 1 or 0")]
    BadBoolean(&'static str),
    /// `socks=` names no host and port.
    #[error("the value of \"socks\" is not a proxy, write it as host or host:port")]
    BadSocks,
    /// A `conn=` that is no AMF value.
    #[error("the value of \"conn\" is not understood: {0}")]
    Conn(#[from] ConnError),
}
