// SPDX-License-Identifier: MPL-2.0

//! Those who come to a listener: signals with the names that srtsrc and srtsink have, and messages on the
//! bus.

#![allow(unused_doc_comments)]

use glib::{prelude::*, subclass::Signal};
use gst::prelude::*;

use crate::net::porter::{Caller, Host};

/// Lets callers in whom the application lets in.
#[derive(Debug)]
pub(super) struct Reception(pub(super) glib::WeakRef<gst::Element>);

impl Host for Reception {
    fn admit(&self, caller: &Caller) -> Result<(), String> {
        let element = self.0.upgrade();
        let element = element.ok_or_else(|| "The stream is over.".to_owned())?;
        ask(&element, caller)
    }

    fn rejected(&self, caller: &Caller, reason: &str) {
        if let Some(element) = self.0.upgrade() {
            rejected(&element, caller, reason);
        }
    }
}

pub(super) fn signals() -> Vec<Signal> {
    let string = String::static_type();
    vec![
        /**
         * caller-connecting:
         * @address: where from, `192.0.2.7:51234`
         * @application: the application it names, without its query
         * @stream: the stream it names, without its query
         * @query: what follows the question marks of both
         * @user: who it has proved to be, or %NULL
         *
         * As listener: somebody wants to come in, whom password, signature and limits let pass. Emitted on
         * the thread that serves every port of the process, so a handler must answer without waiting. What
         * the caller is told is in `reject-reason`, which the handler may set.
         *
         * Returns: %FALSE to refuse. Without a handler everybody is let in.
         */
        Signal::builder("caller-connecting")
            .param_types([string, string, string, string, string])
            .return_type::<bool>()
            .run_last()
            .class_handler(|_args| Some(true.to_value()))
            .accumulator(|_hint, _before, answer| {
                if answer.get().unwrap_or(true) {
                    std::ops::ControlFlow::Continue(answer.clone())
                } else {
                    std::ops::ControlFlow::Break(answer.clone())
                }
            })
            .build(),
        /**
         * caller-added:
         * @id: a number of its own
         * @address: where from
         * @application: the application it named
         * @stream: the stream it named
         *
         * As listener: somebody publishes or plays from now on. rtmpsrc emits this and `caller-removed` on its
         * streaming thread, rtmpsink on threads that serve all players; no handler may change the element's
         * state or wait.
         */
        Signal::builder("caller-added")
            .param_types([u64::static_type(), string, string, string])
            .build(),
        /**
         * caller-removed:
         * @id: the number that caller-added gave
         * @address: where from
         * @reason: `left`, `failed`, `replaced` by another publisher, `idle`, `ended` with the stream or the
         *   element; of a player also `slow`, `stalled` and `kicked`
         *
         * As listener: somebody does not publish or play any more.
         */
        Signal::builder("caller-removed")
            .param_types([u64::static_type(), string, string])
            .build(),
        /**
         * caller-rejected:
         * @address: where from
         * @application: the application it named
         * @stream: the stream it named
         * @reason: what it was told
         *
         * As listener: somebody was not let in.
         */
        Signal::builder("caller-rejected")
            .param_types([string, string, string, string])
            .build(),
    ]
}

/// Emits `caller-connecting`.
pub(super) fn ask(element: &gst::Element, caller: &Caller) -> Result<(), String> {
    let arguments: [&dyn ToValue; 5] = [
        &address(caller),
        &caller.app,
        &caller.stream,
        &caller.query,
        &caller.user,
    ];
    if element.emit_by_name::<bool>("caller-connecting", &arguments) {
        Ok(())
    } else {
        Err(element.property("reject-reason"))
    }
}

/// `caller-added`, and the message `rtmp-caller-added`: the uint64 `id`, the strings `address`,
/// `application`, `stream`, `query`, `encoder` (`flashVer` of the caller) and `user` if it proved to be one.
pub(super) fn added(element: &gst::Element, id: u64, caller: &Caller) {
    let address = address(caller);
    element.emit_by_name::<()>(
        "caller-added",
        &[&id, &address, &caller.app, &caller.stream],
    );
    tell(element, structure("rtmp-caller-added", id, caller).build());
}

/// `caller-removed`, and the message `rtmp-caller-removed`: the same, and the string `reason`.
pub(super) fn removed(element: &gst::Element, id: u64, caller: &Caller, reason: &str) {
    element.emit_by_name::<()>("caller-removed", &[&id, &address(caller), &reason]);
    let structure = structure("rtmp-caller-removed", id, caller);
    tell(element, structure.field("reason", reason).build());
}

/// `caller-rejected`, and the message `rtmp-caller-rejected`: as `rtmp-caller-removed`, `id` being 0.
pub(super) fn rejected(element: &gst::Element, caller: &Caller, reason: &str) {
    let address = address(caller);
    element.emit_by_name::<()>(
        "caller-rejected",
        &[&address, &caller.app, &caller.stream, &reason],
    );
    let structure = structure("rtmp-caller-rejected", 0, caller);
    tell(element, structure.field("reason", reason).build());
}

/// `rtmp-listening`: `address` (string) and `port` (uint) that callers can come to.
pub(super) fn listening(element: &gst::Element, address: std::net::SocketAddr) {
    let structure = gst::Structure::builder("rtmp-listening")
        .field("address", address.ip().to_string())
        .field("port", u32::from(address.port()))
        .build();
    tell(element, structure);
}

/// Posts an element message.
pub(super) fn tell(element: &gst::Element, structure: gst::Structure) {
    // A bus that takes no message belongs to an element that nobody listens to.
    let _ = element.post_message(
        gst::message::Element::builder(structure)
            .src(element)
            .build(),
    );
}

/// Where a caller comes from, as text.
pub(super) fn address(caller: &Caller) -> String {
    caller
        .address
        .map_or_else(String::new, |address| address.to_string())
}

fn structure(name: &str, id: u64, caller: &Caller) -> gst::structure::Builder {
    gst::Structure::builder(name)
        .field("id", id)
        .field("address", address(caller))
        .field("application", &caller.app)
        .field("stream", &caller.stream)
        .field("query", &caller.query)
        .field("encoder", &caller.encoder)
        .field_if_some("user", caller.user.as_ref())
}
