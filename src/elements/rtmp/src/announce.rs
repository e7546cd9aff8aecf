// SPDX-License-Identifier: MPL-2.0

//! What the source says on the bus besides errors.

use gst::{ProgressType, prelude::*};

use crate::net::guest::Introduction;

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
    post(element, message);
}

/// `rtmp-listening`: `address` (string) and `port` (uint) that publishers can come to.
pub(super) fn listening(element: &gst::Element, address: std::net::SocketAddr) {
    let structure = gst::Structure::builder("rtmp-listening")
        .field("address", address.ip().to_string())
        .field("port", u32::from(address.port()))
        .build();
    tell(element, structure);
}

/// `rtmp-caller-added`: who publishes from now on. Strings `address` (host and port), `application`,
/// `stream` (as the publisher named them, queries included) and `encoder` (its `flashVer`).
pub(super) fn caller_added(element: &gst::Element, guest: &Introduction) {
    tell(element, introduction("rtmp-caller-added", guest));
}

/// `rtmp-caller-removed`: the same of who no longer publishes.
pub(super) fn caller_removed(element: &gst::Element, guest: &Introduction) {
    tell(element, introduction("rtmp-caller-removed", guest));
}

fn introduction(name: &str, guest: &Introduction) -> gst::Structure {
    let address = guest.peer.map(|peer| peer.to_string());
    gst::Structure::builder(name)
        .field_if_some("address", address)
        .field("application", &guest.app)
        .field("stream", &guest.stream)
        .field("encoder", &guest.encoder)
        .build()
}

fn tell(element: &gst::Element, structure: gst::Structure) {
    post(
        element,
        gst::message::Element::builder(structure)
            .src(element)
            .build(),
    );
}

fn post(element: &gst::Element, message: gst::Message) {
    // A bus that takes no message belongs to an element that nobody listens to.
    let _ = element.post_message(message);
}
