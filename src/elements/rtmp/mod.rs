// SPDX-License-Identifier: MPL-2.0

//! `rtmpsrc`, `rtmpsink`, `rtmptsrc` and `rtmptsink`: one set of settings, four faces.
//!
//! They take the place of librtmp's elements of the same names and accept what these and rtmp2src,
//! rtmp2sink accept, so that a pipeline that ran with any of them runs with ours.

mod attempts;
mod callers;
mod connect;
mod error;
mod kinds;
mod location;
mod properties;
mod settings;
mod signals;
mod sink;
mod src;
mod stats;
mod tunnelled;

use glib::prelude::*;

pub(in crate::elements) use self::{
    connect::{accepts, sentence},
    error::bearable,
    signals::accept_certificate,
};
pub use kinds::*;
pub use sink::RtmpSink;
pub use src::RtmpSrc;
pub use tunnelled::{RtmptSink, RtmptSrc};

/// Schemes of the URLs that every one of them takes.
const PROTOCOLS: &[&str] = &["rtmp", "rtmps", "rtmpe", "rtmpt", "rtmpts", "rtmpte"];

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    // Before rtmp2src and rtmp2sink (+ 1) and librtmp's elements when a URL is autoplugged. A lookup
    // by name does not consult ranks.
    let rank = gst::Rank::PRIMARY + 2;
    // Newer GStreamer means to give the short names to its rtmp2 plugin. The long ones stay ours.
    for (name, type_) in [
        ("rtmpsrc", RtmpSrc::static_type()),
        ("rsrtmpsrc", RtmpSrc::static_type()),
        ("rtmpsink", RtmpSink::static_type()),
        ("rsrtmpsink", RtmpSink::static_type()),
        ("rtmptsrc", RtmptSrc::static_type()),
        ("rsrtmptsrc", RtmptSrc::static_type()),
        ("rtmptsink", RtmptSink::static_type()),
        ("rsrtmptsink", RtmptSink::static_type()),
    ] {
        gst::Element::register(Some(plugin), name, rank, type_)?;
    }
    Ok(())
}
