// SPDX-License-Identifier: MPL-2.0

//! The enumerations and flags that properties of the RTMP elements take. Nicks and numbers are those
//! of rtmp2src and rtmp2sink wherever these have the same property, so that a pipeline line or a
//! settings file keeps its meaning.

use crate::{
    net::reconnect,
    protocol::rtmp::{handshake::crypt, session::Demand, url},
};

/// What is spoken below RTMP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpScheme")]
pub enum Scheme {
    /// RTMP over TCP.
    #[default]
    #[enum_value(name = "RTMP over TCP, port 1935", nick = "rtmp")]
    Rtmp = 0,
    /// RTMP over TLS.
    #[enum_value(name = "RTMP over TLS, port 443", nick = "rtmps")]
    Rtmps = 1,
    /// RTMPE over TCP.
    #[enum_value(
        name = "RTMPE (RC4, no protection from forgery), port 1935",
        nick = "rtmpe"
    )]
    Rtmpe = 2,
    /// RTMP in HTTP requests.
    #[enum_value(name = "RTMP in HTTP requests, port 80", nick = "rtmpt")]
    Rtmpt = 3,
    /// RTMP in HTTPS requests.
    #[enum_value(name = "RTMP in HTTPS requests, port 443", nick = "rtmpts")]
    Rtmpts = 4,
    /// RTMPE in HTTP requests.
    #[enum_value(name = "RTMPE in HTTP requests, port 80", nick = "rtmpte")]
    Rtmpte = 5,
}

/// Where the path of a location is cut into application and stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpUrlSplit")]
pub enum UrlSplit {
    /// What the path itself betrays, else the last slash.
    #[default]
    #[enum_value(
        name = "As Akamai, Limelight, Wowza or librtmp have it, else last-slash",
        nick = "auto"
    )]
    Auto = 0,
    /// `live` and `a/b`.
    #[enum_value(name = "At the first slash: live, a/b", nick = "first-slash")]
    FirstSlash = 1,
    /// `live/a` and `b`.
    #[enum_value(
        name = "At the last slash, as rtmp2src does: live/a, b",
        nick = "last-slash"
    )]
    LastSlash = 2,
    /// librtmp's rules.
    #[enum_value(name = "As librtmp does it", nick = "librtmp")]
    Librtmp = 3,
}

/// Which side opens the connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpMode")]
pub enum Mode {
    /// The element connects to a server.
    #[default]
    #[enum_value(name = "Connect to a server", nick = "caller")]
    Caller = 1,
    /// The element is the server.
    #[enum_value(name = "Be the server that peers connect to", nick = "listener")]
    Listener = 2,
}

/// Whether, and how, a user name and password are shown to the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpAuthmod")]
pub enum Authmod {
    /// Never.
    #[enum_value(name = "Give up when the server asks for a password", nick = "none")]
    None = 0,
    /// As the server asks.
    #[default]
    #[enum_value(name = "Whatever the server asks for", nick = "auto")]
    Auto = 1,
    /// Adobe Media Server, Wowza, nginx with an add-on.
    #[enum_value(name = "Only Adobe authentication", nick = "adobe")]
    Adobe = 2,
    /// Limelight.
    #[enum_value(name = "Only Limelight authentication", nick = "llnw")]
    Llnw = 3,
}

/// What a player asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpLive")]
pub enum Live {
    /// Start -2.
    #[default]
    #[enum_value(
        name = "The live stream, or the recorded one where none is live",
        nick = "auto"
    )]
    Auto = 0,
    /// Start -1.
    #[enum_value(name = "Only the live stream", nick = "live")]
    Live = 1,
    /// Start 0 or later.
    #[enum_value(name = "Only the recorded stream", nick = "recorded")]
    Recorded = 2,
}

/// The first 3073 bytes of each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpHandshake")]
pub enum Handshake {
    /// With HMAC-SHA256 digests, as Flash had it since version 9.
    #[default]
    #[enum_value(
        name = "With digests; falls back where the server knows none",
        nick = "digest"
    )]
    Digest = 0,
    /// As in the specification.
    #[enum_value(name = "Random bytes, as in the specification", nick = "plain")]
    Plain = 1,
}

/// What happens when the network is slower than the encoder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpQueuePolicy")]
pub enum QueuePolicy {
    /// By what the pipeline says of itself.
    #[default]
    #[enum_value(name = "Drop if upstream is live, block otherwise", nick = "auto")]
    Auto = 0,
    /// Lose nothing, hold up the pipeline.
    #[enum_value(name = "Hold up the pipeline", nick = "block")]
    Block = 1,
    /// Stay in time.
    #[enum_value(name = "Drop video up to the next key frame", nick = "drop")]
    Drop = 2,
}

/// Which failures are answered by connecting again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpReconnect")]
pub enum Reconnect {
    /// Every failure is an error.
    #[enum_value(name = "Never: every failure is an error", nick = "never")]
    Never = 0,
    /// What never worked is an error at once.
    #[default]
    #[enum_value(
        name = "When a stream that ran is lost; a first connection that fails is an error",
        nick = "lost"
    )]
    Lost = 1,
    /// For what may be started before its server.
    #[enum_value(name = "Also when the first connection fails", nick = "always")]
    Always = 2,
}

impl From<Reconnect> for reconnect::When {
    fn from(when: Reconnect) -> Self {
        match when {
            Reconnect::Never => Self::Never,
            Reconnect::Lost => Self::Lost,
            Reconnect::Always => Self::Always,
        }
    }
}

/// What is said, and asked, of Enhanced RTMP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpEnhanced")]
pub enum Enhanced {
    /// As clients did before there was Enhanced RTMP.
    #[enum_value(name = "Say nothing of it, and send whatever comes", nick = "off")]
    Off = 0,
    /// Most servers that take Enhanced RTMP do not say so.
    #[default]
    #[enum_value(
        name = "Say what is linked; a server that names codecs must name those that are to be sent",
        nick = "auto"
    )]
    Auto = 1,
    /// Only for servers that say what they take.
    #[enum_value(
        name = "Say what is linked; a server must name the codecs that are to be sent",
        nick = "require"
    )]
    Require = 2,
}

impl From<Enhanced> for Demand {
    fn from(enhanced: Enhanced) -> Self {
        match enhanced {
            Enhanced::Off => Self::Nothing,
            Enhanced::Auto => Self::NoRefusal,
            Enhanced::Require => Self::Consent,
        }
    }
}

/// What becomes of a publisher when another one comes for the same stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpTakeover")]
pub enum Takeover {
    /// First come, first served.
    #[default]
    #[enum_value(
        name = "The one that is there stays, the other is refused",
        nick = "reject"
    )]
    Reject = 0,
    /// Last come, first served.
    #[enum_value(name = "The other takes its place", nick = "replace")]
    Replace = 1,
    /// For encoders that lost their network and come back before the old connection is known to be dead.
    #[enum_value(
        name = "The other takes its place if nothing came for takeover-silence",
        nick = "replace-silent"
    )]
    ReplaceSilent = 2,
}

/// What a player gets of the past.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpBurst")]
pub enum Burst {
    /// A picture at once, and as late as the last key frame.
    #[default]
    #[enum_value(
        name = "All since the last key frame: a picture at once, and it moves",
        nick = "gop"
    )]
    Gop = 0,
    /// A picture at once that stands still for a while.
    #[enum_value(
        name = "The last key frame, then sound, and pictures from the next key frame on",
        nick = "key-frame"
    )]
    KeyFrame = 1,
    /// No delay at all.
    #[enum_value(
        name = "Nothing: sound at once, pictures from the next key frame on",
        nick = "none"
    )]
    None = 2,
}

pub use flags::{Redirects, StopCommands};

// glib::flags keeps no documentation.
#[allow(missing_docs)]
mod flags {
    /// What is said to the server before the connection closes.
    #[glib::flags(name = "GstRsRtmpStopCommands")]
    pub enum StopCommands {
        #[flags_value(name = "No command", nick = "none")]
        NONE = 0,
        #[flags_value(name = "FCUnpublish", nick = "fcunpublish")]
        FCUNPUBLISH = 0b001,
        #[flags_value(name = "closeStream", nick = "closestream")]
        CLOSESTREAM = 0b010,
        #[flags_value(name = "deleteStream", nick = "deletestream")]
        DELETESTREAM = 0b100,
    }

    /// Which requests of a server to be left are followed.
    #[glib::flags(name = "GstRsRtmpRedirects")]
    pub enum Redirects {
        #[flags_value(name = "Stay", nick = "none")]
        NONE = 0,
        #[flags_value(
            name = "Go on at the same host, or at one that backup-locations names",
            nick = "follow"
        )]
        FOLLOW = 0b001,
        #[flags_value(name = "... or at any other host", nick = "other-host")]
        OTHER_HOST = 0b010,
        #[flags_value(name = "... or without TLS where there was TLS", nick = "downgrade")]
        DOWNGRADE = 0b100,
    }
}

impl From<Scheme> for url::Scheme {
    fn from(scheme: Scheme) -> Self {
        match scheme {
            Scheme::Rtmp => Self::Rtmp,
            Scheme::Rtmps => Self::Rtmps,
            Scheme::Rtmpe => Self::Rtmpe,
            Scheme::Rtmpt => Self::Rtmpt,
            Scheme::Rtmpts => Self::Rtmpts,
            Scheme::Rtmpte => Self::Rtmpte,
        }
    }
}

impl From<url::Scheme> for Scheme {
    fn from(scheme: url::Scheme) -> Self {
        match scheme {
            url::Scheme::Rtmp => Self::Rtmp,
            url::Scheme::Rtmps => Self::Rtmps,
            url::Scheme::Rtmpe => Self::Rtmpe,
            url::Scheme::Rtmpt => Self::Rtmpt,
            url::Scheme::Rtmpts => Self::Rtmpts,
            url::Scheme::Rtmpte => Self::Rtmpte,
        }
    }
}

/// The version of RTMPE to offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstRsRtmpeVersion")]
pub enum RtmpeVersion {
    /// Type 6.
    #[default]
    #[enum_value(
        name = "Type 6: signatures as they are, which every server takes",
        nick = "plain"
    )]
    Plain = 6,
    /// Type 8.
    #[enum_value(name = "Type 8: signatures under XTEA", nick = "xtea")]
    Xtea = 8,
    /// Type 9.
    #[enum_value(name = "Type 9: signatures under Blowfish", nick = "blowfish")]
    Blowfish = 9,
}

impl From<RtmpeVersion> for crypt::Version {
    fn from(version: RtmpeVersion) -> Self {
        match version {
            RtmpeVersion::Plain => Self::Plain,
            RtmpeVersion::Xtea => Self::Xtea,
            RtmpeVersion::Blowfish => Self::Blowfish,
        }
    }
}

impl From<UrlSplit> for url::Split {
    fn from(split: UrlSplit) -> Self {
        match split {
            UrlSplit::Auto => Self::Auto,
            UrlSplit::FirstSlash => Self::FirstSlash,
            UrlSplit::LastSlash => Self::LastSlash,
            UrlSplit::Librtmp => Self::Librtmp,
        }
    }
}
