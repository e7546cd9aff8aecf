// SPDX-License-Identifier: MPL-2.0

//! What the client says of itself in handshake and `connect`.

use gst::prelude::*;

use super::{Property, choice, given, property, span, switch, text};
use crate::elements::rtmp::{
    kinds::{Enhanced, Handshake, RtmpeVersion},
    settings::Settings,
};

pub(super) fn properties(defaults: &Settings) -> Vec<Property> {
    vec![
        property(
            glib::ParamSpecEnum::builder_with_default("handshake", defaults.handshake)
                .nick("Handshake")
                .blurb("How to begin; plain only for servers that stumble over digests (no effect with rtmpe)")
                .mutable_ready()
                .build(),
            |s| s.handshake.to_value(),
            |s, v| s.handshake = given::<Handshake>(v),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("rtmpe-version", defaults.rtmpe_version)
                .nick("RTMPE version")
                .blurb("Which RTMPE to offer with rtmpe and rtmpte; the server may choose another")
                .mutable_ready()
                .build(),
            |s| s.rtmpe_version.to_value(),
            |s, v| s.rtmpe_version = given::<RtmpeVersion>(v),
        ),
        property(
            glib::ParamSpecString::builder("flash-version")
                .nick("Flash version")
                .blurb("Version of Flash to claim (flashVer); empty to claim none")
                .default_value(defaults.flash_version.as_deref())
                .mutable_ready()
                .build(),
            |s| s.flash_version.to_value(),
            // As in rtmp2src, no text is a choice too.
            |s, v| s.flash_version.choose(Some(given(v))),
        ),
        text(
            "tc-url",
            "Target URL",
            "URL of the application to tell the server (tcUrl); unset, it is made from scheme, host, \
             port and application",
            |s| s.tc_url.to_value(),
            |s, v| s.tc_url.choose(choice(v)),
        ),
        text(
            "page-url",
            "Page URL",
            "Web page that a browser would show around the player (pageUrl); unset to send none",
            |s| s.page_url.to_value(),
            |s, v| s.page_url.choose(choice(v)),
        ),
        text(
            "swf-url",
            "SWF URL",
            "URL of the Flash player to claim to be (swfUrl); unset to send none",
            |s| s.swf_url.to_value(),
            |s, v| s.swf_url.choose(choice(v)),
        ),
        /**
         * swf-verify:
         *
         * Some servers play only to the Flash player they know, and ask for its size and hash. With
         * this set the element fetches the file at `swf-url`, plain or compressed, and answers.
         */
        switch(
            "swf-verify",
            "SWF verification",
            "Fetch the player at swf-url and prove to the server that we have it",
            *defaults.swf_verify,
            |s| s.swf_verify.to_value(),
            |s, v| s.swf_verify.choose(Some(given(v))),
        ),
        span(
            "swf-age",
            "SWF age",
            "How long the hash of a fetched player stays good within this process, in days \
             (0 = fetch it for every connection)",
            *defaults.swf_age,
            |s| s.swf_age.to_value(),
            |s, v| s.swf_age.choose(Some(given(v))),
        ),
        /**
         * enhanced-rtmp:
         *
         * What connect, or a listener's answer to it, says of codecs, tracks and nanoseconds
         * (`fourCcList`, `videoFourCcInfoMap`, `audioFourCcInfoMap`, `capsEx`) follows from what is
         * linked: flvmuxbridge says what it is about to write, and nothing is said of classic FLV, which
         * needs nothing; flvdemuxbridge says what it can read; with other elements everything is
         * possible.
         *
         * A server that names codecs, and not one that rtmpsink is about to send, is an error before
         * anything is sent. Most servers that take Enhanced RTMP name none: SRS, nginx-rtmp, ffmpeg.
         */
        property(
            glib::ParamSpecEnum::builder_with_default("enhanced-rtmp", defaults.enhanced)
                .nick("Enhanced RTMP")
                .blurb("What to tell the other side of codecs and tracks of Enhanced RTMP, and what a server must \
                        have said to be sent them")
                .mutable_ready()
                .build(),
            |s| s.enhanced.to_value(),
            |s, v| s.enhanced = given::<Enhanced>(v),
        ),
        /**
         * extra-connect-args:
         *
         * Arguments behind the object of `connect`, in librtmp's notation, one space between two:
         * `B:0` or `B:1` a boolean, `N:1.5` a number, `S:text` a string, `Z:` null, `O:1` and `O:0`
         * begin and end an object, whose members have an N before the letter and a name:
         * `O:1 NB:flag:1 NS:name:text O:0`. `\20` is a space in a value.
         */
        text(
            "extra-connect-args",
            "Extra connect arguments",
            "Arguments to append to connect, in librtmp's notation: B:1 N:1.5 S:text Z: O:1 NS:name:text O:0",
            |s| s.extra_connect_args.to_value(),
            |s, v| s.extra_connect_args.choose(choice(v)),
        ),
    ]
}
