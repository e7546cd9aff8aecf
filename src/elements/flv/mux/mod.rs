// SPDX-License-Identifier: MPL-2.0

//! `flvmuxbridge`: `pad` knows what a pad carries, `writer` makes tags, `header` those that a stream
//! begins with, `ahead` lets sources run ahead where nothing is live, `turn` decides whose turn it is,
//! `children` lets properties of pads be set by name, `imp` is the class.

mod ahead;
mod children;
mod header;
mod imp;
mod kinds;
mod pad;
mod properties;
mod track;
mod turn;
mod writer;

use glib::prelude::*;

pub use kinds::{MultitrackKind, TrackMode};

glib::wrapper! {
    /// `flvmuxbridge` makes FLV for RTMP and for files, classic and Enhanced RTMP v2.
    ///
    /// Where a pipeline has `flvmux` or `eflvmux`, the name is all that changes. What has a form in
    /// classic FLV (H.264, AAC, MP3 ...) is written so that everybody can read it, what has none
    /// (H.265, AV1, VP9, Opus ...) in the form of Enhanced RTMP.
    ///
    /// Publish a test picture with sound:
    /// ```text
    /// gst-launch-1.0 flvmuxbridge name=mux streamable=true ! rtmpsink location=rtmp://localhost/live/test \
    ///     videotestsrc is-live=true ! x264enc tune=zerolatency key-int-max=60 ! mux.video \
    ///     audiotestsrc is-live=true ! avenc_aac ! mux.audio
    /// ```
    ///
    /// The same in VP9 and Opus, for a server that knows Enhanced RTMP:
    /// ```text
    /// … ! vp9enc deadline=1 ! mux.video … ! opusenc ! mux.audio
    /// ```
    ///
    /// Two more tracks, one of pictures and one of sound, with the ids 1 and 2:
    /// ```text
    /// … ! mux.video_1 … ! mux.audio_2
    /// ```
    ///
    /// Properties of pads go with the muxer's own, `video::flv-track-mode=multitrack`.
    ///
    /// Where nothing is live, pads may run 200 ms ahead of each other, and `min-upstream-latency` then
    /// reads 200 ms; a value of the application's, or of `latency`, stays.
    ///
    /// Calls of scripts go in by the action signal `send-script-data`, or as a downstream event
    /// `flv-script-data` on a sink pad; both take what the messages of flvdemuxbridge hold.
    pub struct FlvMuxBridge(ObjectSubclass<imp::FlvMuxBridge>)
        @extends gst_base::Aggregator, gst::Element, gst::Object,
        @implements gst::TagSetter, gst::ChildProxy;
}

glib::wrapper! {
    /// A sink pad of [`FlvMuxBridge`].
    pub struct FlvMuxBridgePad(ObjectSubclass<pad::FlvMuxBridgePad>)
        @extends gst_base::AggregatorPad, gst::Pad, gst::Object;
}

pub(super) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "flvmuxbridge",
        // Above flvmux, for encodebin.
        gst::Rank::PRIMARY + 1,
        FlvMuxBridge::static_type(),
    )
}
