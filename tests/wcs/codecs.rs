// SPDX-License-Identifier: MPL-2.0

//! The codecs that such servers know, as GStreamer makes and packs them.

/// How to make a stream of a codec: [`chain`](Codec::chain) ends in an element or a pad named `encoder`.
#[derive(Debug)]
pub struct Codec {
    /// `encoding-name` in RTP, without regard to case.
    pub rtp: &'static str,
    /// Media type of the encoded stream.
    pub caps: &'static str,
    pub chain: &'static str,
    pub payloader: &'static str,
    pub depayloader: &'static str,
}

impl Codec {
    pub fn is_video(&self) -> bool {
        self.caps.starts_with("video/")
    }
}

// A key frame comes first, and then only those that are asked for.
pub static CODECS: [Codec; 7] = [
    Codec {
        rtp: "VP8",
        caps: "video/x-vp8",
        chain: "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1 ! \
                vp8enc name=encoder deadline=1 keyframe-max-dist=3000",
        payloader: "rtpvp8pay",
        depayloader: "rtpvp8depay",
    },
    Codec {
        rtp: "VP9",
        caps: "video/x-vp9",
        chain: "videotestsrc is-live=true ! \
                video/x-raw,format=I420,width=160,height=120,framerate=30/1 ! \
                vp9enc name=encoder deadline=1 cpu-used=8 lag-in-frames=0 keyframe-max-dist=3000",
        payloader: "rtpvp9pay",
        depayloader: "rtpvp9depay",
    },
    Codec {
        rtp: "H264",
        caps: "video/x-h264",
        chain: "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1 ! \
                x264enc name=encoder tune=zerolatency speed-preset=ultrafast key-int-max=3000",
        payloader: "video/x-h264,profile=constrained-baseline ! \
                    rtph264pay config-interval=-1 aggregate-mode=zero-latency",
        depayloader: "rtph264depay",
    },
    Codec {
        rtp: "opus",
        caps: "audio/x-opus",
        chain: "audiotestsrc is-live=true wave=white-noise ! opusenc name=encoder",
        payloader: "rtpopuspay",
        depayloader: "rtpopusdepay",
    },
    Codec {
        rtp: "PCMA",
        caps: "audio/x-alaw",
        chain: "audiotestsrc is-live=true wave=white-noise samplesperbuffer=160 ! alawenc name=encoder",
        payloader: "rtppcmapay",
        depayloader: "rtppcmadepay",
    },
    Codec {
        rtp: "PCMU",
        caps: "audio/x-mulaw",
        chain: "audiotestsrc is-live=true wave=white-noise samplesperbuffer=160 ! mulawenc name=encoder",
        payloader: "rtppcmupay",
        depayloader: "rtppcmudepay",
    },
    Codec {
        rtp: "G722",
        caps: "audio/G722",
        chain: "audiotestsrc is-live=true wave=white-noise samplesperbuffer=320 ! avenc_g722 name=encoder",
        payloader: "rtpg722pay",
        depayloader: "rtpg722depay",
    },
];
