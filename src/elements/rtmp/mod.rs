// SPDX-License-Identifier: MPL-2.0

//! `rtmpsrc` and `rtmpsink`.

pub(crate) fn register(_plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    Ok(())
}
