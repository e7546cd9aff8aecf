// SPDX-License-Identifier: MPL-2.0

//! `flvmuxbridge` and `flvdemuxbridge`: FLV as RTMP carries it, classic and Enhanced RTMP v2.
//!
//! Tags are read and written by [`protocol::flv`](crate::protocol::flv), as those of rtmpsrc and
//! rtmpsink are; here caps, pads, time and GStreamer's tags are added.

mod caps;
mod demux;
mod metadata;
mod mux;

pub use demux::FlvDemuxBridge;
pub use mux::{FlvMuxBridge, FlvMuxBridgePad, MultitrackKind, TrackMode};

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    demux::register(plugin)?;
    mux::register(plugin)
}
