// SPDX-License-Identifier: MPL-2.0

//! What a pipeline sees: properties, pads, caps, signals and bus messages, and nothing else.

mod codecs;
pub mod flv;
mod kinds;
mod property;
pub mod rtmp;
pub mod wcs;
pub mod webm;

pub use kinds::RecoverPolicy;

/// Who gst-inspect says to turn to.
const AUTHOR: &str = "The gst-plugin-rtmp authors";

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    flv::register(plugin)?;
    rtmp::register(plugin)?;
    webm::register(plugin)?;
    wcs::register(plugin)
}
