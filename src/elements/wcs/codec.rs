// SPDX-License-Identifier: MPL-2.0

//! Codecs that such servers know: how each looks encoded and in RTP, and who turns one into the other.

use std::sync::LazyLock;

use gst::prelude::*;

/// A codec.
#[derive(Debug)]
pub(super) struct Codec {
    /// Media type of the encoded stream.
    media_type: &'static str,
    /// Its rate, where there is one only; of one channel then.
    rate: Option<i32>,
    pub(super) kind: Kind,
    /// `encoding-name` in caps of RTP.
    encoding: &'static str,
    clock_rate: i32,
    /// The payload type we offer: the fixed one, or one that leaves the first dynamic ones to webrtcbin, which
    /// gives them to retransmission.
    payload: u32,
    pub(super) payloader: &'static str,
    pub(super) depayloader: &'static str,
    /// Further fields of what we offer to receive, one list for each payload type.
    offers: &'static [&'static [(&'static str, &'static str)]],
}

/// Sound or picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    Audio,
    Video,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }

    /// What RTP caps are of.
    pub(super) fn of_rtp(caps: &gst::CapsRef) -> Option<Self> {
        match caps.structure(0)?.get::<&str>("media").ok()? {
            "audio" => Some(Self::Audio),
            "video" => Some(Self::Video),
            _ => None,
        }
    }
}

const H264: &[&[(&str, &str)]] = &[
    &[
        ("packetization-mode", "1"),
        ("profile-level-id", "42e01f"),
        ("level-asymmetry-allowed", "1"),
    ],
    &[
        ("packetization-mode", "1"),
        ("profile-level-id", "42001f"),
        ("level-asymmetry-allowed", "1"),
    ],
    &[
        ("packetization-mode", "1"),
        ("profile-level-id", "4d001f"),
        ("level-asymmetry-allowed", "1"),
    ],
];

/// In the order in which we offer them.
static CODECS: [Codec; 7] = [
    Codec {
        media_type: "video/x-h264",
        rate: None,
        kind: Kind::Video,
        encoding: "H264",
        clock_rate: 90_000,
        payload: 102,
        payloader: "rtph264pay",
        depayloader: "rtph264depay",
        offers: H264,
    },
    Codec {
        media_type: "video/x-vp8",
        rate: None,
        kind: Kind::Video,
        encoding: "VP8",
        clock_rate: 90_000,
        payload: 106,
        payloader: "rtpvp8pay",
        depayloader: "rtpvp8depay",
        offers: &[&[]],
    },
    Codec {
        media_type: "video/x-vp9",
        rate: None,
        kind: Kind::Video,
        encoding: "VP9",
        clock_rate: 90_000,
        payload: 108,
        payloader: "rtpvp9pay",
        depayloader: "rtpvp9depay",
        offers: &[&[]],
    },
    Codec {
        media_type: "audio/x-opus",
        rate: None,
        kind: Kind::Audio,
        encoding: "OPUS",
        clock_rate: 48_000,
        payload: 111,
        payloader: "rtpopuspay",
        depayloader: "rtpopusdepay",
        // Without, `OPUS/48000` is offered, which browsers' libraries refuse (RFC 7587 wants /2).
        offers: &[&[("encoding-params", "2")]],
    },
    Codec {
        media_type: "audio/x-alaw",
        rate: Some(8000),
        kind: Kind::Audio,
        encoding: "PCMA",
        clock_rate: 8000,
        payload: 8,
        payloader: "rtppcmapay",
        depayloader: "rtppcmadepay",
        offers: &[&[]],
    },
    Codec {
        media_type: "audio/x-mulaw",
        rate: Some(8000),
        kind: Kind::Audio,
        encoding: "PCMU",
        clock_rate: 8000,
        payload: 0,
        payloader: "rtppcmupay",
        depayloader: "rtppcmudepay",
        offers: &[&[]],
    },
    Codec {
        media_type: "audio/G722",
        rate: Some(16_000),
        kind: Kind::Audio,
        encoding: "G722",
        // RFC 3551: an error of long standing.
        clock_rate: 8000,
        payload: 9,
        payloader: "rtpg722pay",
        depayloader: "rtpg722depay",
        offers: &[&[]],
    },
];

impl Codec {
    /// Of an encoded stream.
    pub(super) fn of_caps(caps: &gst::CapsRef) -> Option<&'static Self> {
        let name = caps.structure(0)?.name();
        CODECS.iter().find(|codec| codec.media_type == name)
    }

    /// Of RTP packets.
    pub(super) fn of_rtp(caps: &gst::CapsRef) -> Option<&'static Self> {
        let encoding = caps.structure(0)?.get::<&str>("encoding-name").ok()?;
        CODECS
            .iter()
            .find(|codec| codec.encoding.eq_ignore_ascii_case(encoding))
    }

    pub(super) fn payloader(&self) -> Result<gst::Element, glib::BoolError> {
        let payloader = gst::ElementFactory::make(self.payloader)
            .property("pt", self.payload)
            .build()?;
        if self.payloader == "rtph264pay" {
            // Whoever joins late has to find them; a decoder of a browser is told nothing beside.
            payloader.set_property("config-interval", -1);
            payloader.set_property_from_str("aggregate-mode", "zero-latency");
        }
        if self.payloader == "rtpvp8pay" || self.payloader == "rtpvp9pay" {
            // Browsers find out by it what is missing.
            payloader.set_property_from_str("picture-id-mode", "15-bit");
        }
        Ok(payloader)
    }

    pub(super) fn depayloader(&self) -> Result<gst::Element, glib::BoolError> {
        let depayloader = gst::ElementFactory::make(self.depayloader).build()?;
        // Not every depayloader of video has it.
        if depayloader.find_property("request-keyframe").is_some() {
            depayloader.set_property("request-keyframe", true);
        }
        Ok(depayloader)
    }
}

/// What we offer to receive of a kind.
pub(super) fn receivable(kind: Kind) -> gst::Caps {
    let mut caps = gst::Caps::new_empty();
    for codec in CODECS.iter().filter(|codec| codec.kind == kind) {
        for (payload, fields) in (codec.payload..).zip(codec.offers) {
            let mut rtp = gst::Structure::builder("application/x-rtp")
                .field("media", kind.name())
                .field("encoding-name", codec.encoding)
                .field("clock-rate", codec.clock_rate)
                .field("payload", i32::try_from(payload).unwrap_or_default());
            if kind == Kind::Video {
                rtp = rtp
                    .field("rtcp-fb-nack", true)
                    .field("rtcp-fb-nack-pli", true)
                    .field("rtcp-fb-ccm-fir", true);
            }
            for (name, value) in *fields {
                rtp = rtp.field(*name, *value);
            }
            caps.merge_structure(rtp.build());
        }
    }
    caps
}

/// Encoded streams of a kind that a sink pad takes.
pub(super) fn encoded(kind: Kind) -> gst::Caps {
    let mut caps = gst::Caps::new_empty();
    for codec in CODECS.iter().filter(|codec| codec.kind == kind) {
        if codec.encoding == "H264" {
            // The first is what x264enc and its like make where they can choose: what every browser decodes.
            for profile in ["constrained-baseline", ""] {
                let formats = gst::List::new(["byte-stream", "avc"]);
                let h264 = gst::Structure::builder(codec.media_type)
                    .field("stream-format", formats)
                    .field("alignment", "au")
                    .field_if("profile", profile, !profile.is_empty());
                caps.merge_structure(h264.build());
            }
        } else {
            // An encoder that can choose has to know what is packed.
            let encoded = gst::Structure::builder(codec.media_type)
                .field_if_some("rate", codec.rate)
                .field_if_some("channels", codec.rate.map(|_| 1));
            caps.merge_structure(encoded.build());
        }
    }
    caps
}

pub(super) fn rtp() -> gst::Caps {
    gst::Caps::new_empty_simple("application/x-rtp")
}

/// The pads there may be.
pub(super) static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
    let template = |name: &str, direction, presence, caps: &gst::Caps| {
        gst::PadTemplate::new(name, direction, presence, caps).expect("a template")
    };
    use gst::{
        PadDirection::{Sink, Src},
        PadPresence::{Request, Sometimes},
    };
    let depayloaded = |kind| {
        let codecs = CODECS.iter().filter(|codec| codec.kind == kind);
        let types = codecs.map(|codec| gst::Structure::new_empty(codec.media_type));
        types.collect::<gst::Caps>()
    };
    vec![
        template("video_%u", Sink, Request, &encoded(Kind::Video)),
        template("audio_%u", Sink, Request, &encoded(Kind::Audio)),
        template("sink_%u", Sink, Request, &rtp()),
        template("video_src_%u", Src, Sometimes, &depayloaded(Kind::Video)),
        template("audio_src_%u", Src, Sometimes, &depayloaded(Kind::Audio)),
        template("src_%u", Src, Sometimes, &rtp()),
    ]
});
