// SPDX-License-Identifier: MPL-2.0

//! What a pipeline sees: properties, pads, caps, signals and bus messages, and nothing else.

mod property;
pub mod rtmp;
pub mod webm;

/// Who gst-inspect says to turn to.
const AUTHOR: &str = "The gst-plugin-rtmp authors";

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    rtmp::register(plugin)?;
    webm::register(plugin)
}
