// SPDX-License-Identifier: MPL-2.0

//! The signals of a webmhttpsink. They are emitted from threads that serve others too, so a handler
//! must answer without waiting.

#![allow(unused_doc_comments)]

use glib::{prelude::*, subclass::Signal};

pub(super) fn all() -> Vec<Signal> {
    vec![
        /**
         * client-connecting:
         * @address: where from, `192.0.2.7:51234`
         * @path: the path of the request
         * @query: its query, without the question mark
         * @headers: its header fields, names in lower case
         *
         * Somebody wants to watch, whom the limits, the password and the signature let pass.
         *
         * Returns: 0 to let in, or the HTTP status to refuse with, such as 403. The first handler that
         * refuses decides.
         */
        Signal::builder("client-connecting")
            .param_types([
                String::static_type(),
                String::static_type(),
                String::static_type(),
                gst::Structure::static_type(),
            ])
            .return_type::<u32>()
            .run_last()
            .accumulator(|_hint, _before, answer| {
                if answer.get().unwrap_or(0_u32) != 0 {
                    std::ops::ControlFlow::Break(answer.clone())
                } else {
                    std::ops::ControlFlow::Continue(answer.clone())
                }
            })
            .build(),
        /**
         * client-added:
         * @id: a number of its own
         * @address: where from
         * @user-agent: what it says it is, or %NULL
         *
         * Somebody watches.
         */
        Signal::builder("client-added")
            .param_types([u64::static_type(), String::static_type(), String::static_type()])
            .build(),
        /**
         * client-removed:
         * @id: the number that client-added gave
         * @address: where from
         * @reason: `left`, `failed`, `slow`, `stalled`, `kicked`, `ended` with the stream, or `complete` with the
         *   part that was asked for
         * @bytes: sent, heads included
         * @seconds: watched
         *
         * Somebody does not watch any more.
         */
        Signal::builder("client-removed")
            .param_types([
                u64::static_type(),
                String::static_type(),
                String::static_type(),
                u64::static_type(),
                f64::static_type(),
            ])
            .build(),
    ]
}
