// SPDX-License-Identifier: MPL-2.0

//! `flvdemuxbridge`: `flow` makes pads and buffers of tags, `lane` tells when they are, `pull` reads
//! files and seeks in them, `find` knows where what is sought lies, `ask` answers what downstream asks for,
//! `imp` is the class.

mod ask;
mod find;
mod flow;
mod imp;
mod lane;
mod pull;
mod track;

use glib::prelude::*;

glib::wrapper! {
    /// `flvdemuxbridge` takes FLV apart, from a file or from RTMP, classic and Enhanced RTMP v2.
    ///
    /// Its pads have the names that flvdemux's have, `audio` and `video`; further tracks of a
    /// multitrack stream are `audio_%u` and `video_%u`, by track id. Caps are complete: nothing else
    /// is needed in front of a decoder or a muxer.
    ///
    /// Play a stream:
    /// ```text
    /// gst-launch-1.0 rtmpsrc location=rtmp://localhost/live/test ! flvdemuxbridge name=demux \
    ///     demux.video ! queue ! decodebin ! autovideosink \
    ///     demux.audio ! queue ! decodebin ! autoaudiosink
    /// ```
    ///
    /// An FLV file becomes an MP4 file, pictures and sound as they are:
    /// ```text
    /// gst-launch-1.0 filesrc location=in.flv ! flvdemuxbridge name=demux mp4mux name=mux ! filesink location=out.mp4 \
    ///     demux.video ! queue ! h264parse ! mux. demux.audio ! queue ! aacparse ! mux.
    /// ```
    ///
    /// What scripts are called with (`onMetaData`, `onCuePoint`, `onTextData` ...) comes as element
    /// messages `flv-script-data`: `name` (string), `timestamp` (guint64, ns) and `arguments`
    /// (GstStructure with fields `0`, `1` ...: numbers, booleans, strings, arrays, and structures for objects). H.266 has
    /// caps `video/x-h266, stream-format=vvc1`, as GStreamer from 1.26 on has them.
    pub struct FlvDemuxBridge(ObjectSubclass<imp::FlvDemuxBridge>)
        @extends gst::Element, gst::Object;
}

pub(super) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "flvdemuxbridge",
        // Above flvdemux: decodebin should find the one that knows all codecs.
        gst::Rank::PRIMARY + 1,
        FlvDemuxBridge::static_type(),
    )
}
