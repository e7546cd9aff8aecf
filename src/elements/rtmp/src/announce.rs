// SPDX-License-Identifier: MPL-2.0

//! How far a source has come, on the bus.

use gst::{ProgressType, prelude::*};

/// Progress of one connection, told as `connect`.
#[derive(Debug, Default)]
pub(super) struct Progress {
    open: bool,
}

impl Progress {
    /// The first word.
    pub(super) fn begin(&mut self, element: &gst::Element, text: &str) {
        self.open = true;
        progress(element, ProgressType::Start, text);
    }

    /// A step on the way.
    pub(super) fn go_on(&self, element: &gst::Element, text: &str) {
        if self.open {
            progress(element, ProgressType::Continue, text);
        }
    }

    /// The last word, if there was a first one.
    pub(super) fn end(&mut self, element: &gst::Element, how: ProgressType, text: &str) {
        if std::mem::take(&mut self.open) {
            progress(element, how, text);
        }
    }
}

fn progress(element: &gst::Element, type_: ProgressType, text: &str) {
    let message = gst::message::Progress::builder(type_, "connect", text)
        .src(element)
        .build();
    // A bus that takes no message belongs to an element that nobody listens to.
    let _ = element.post_message(message);
}
