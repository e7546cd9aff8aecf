// SPDX-License-Identifier: MPL-2.0

//! The properties of a wcswebrtcbin. Those that are read only follow the table.

// The blocks above the properties are for the documentation tools of GStreamer.
#![allow(unused_doc_comments)]

mod patience;
mod stream;

use std::sync::LazyLock;

use gst::prelude::*;

use super::{
    kinds::{SessionStatus, StreamStatus},
    settings::Settings,
};
use crate::{
    elements::property::{self, given, property, secret, text},
    protocol::rtmp::url::Secret,
};

type Property = property::Property<Settings>;

/// Properties behind which there is a setting.
pub(super) static TABLE: LazyLock<Vec<Property>> = LazyLock::new(|| {
    let defaults = Settings::default();
    let mut table = server(&defaults);
    table.extend(stream::stream(&defaults));
    table.extend(stream::media(&defaults));
    table.extend(patience::patience(&defaults));
    table.extend(patience::tls(&defaults));
    table
});

/// As GObject wants them: those of the table in the same order, then what can only be read.
pub(super) static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let mut specs: Vec<_> = TABLE.iter().map(|p| p.spec.clone()).collect();
    specs.extend([
        glib::ParamSpecEnum::builder_with_default("session-status", SessionStatus::default())
            .nick("Session status")
            .blurb("How the session with the server is doing; changes are notified")
            .read_only()
            .build(),
        glib::ParamSpecEnum::builder_with_default("stream-status", StreamStatus::default())
            .nick("Stream status")
            .blurb("How the stream is doing, in the server's words; changes are notified")
            .read_only()
            .build(),
        glib::ParamSpecString::builder("info")
            .nick("Info")
            .blurb("Why session or stream changed last, in the server's words where it gave any")
            .read_only()
            .build(),
        /**
         * stats:
         *
         * | field | type | what |
         * |---|---|---|
         * | `session-status`, `stream-status` | string | as the properties |
         * | `messages-received`, `messages-sent` | uint64 | text frames |
         * | `messages-stray` | uint64 | of those received, about calls that are not known |
         * | `messages-untold` | uint64 | of those received, not passed on because there were too many |
         * | `messages-malformed` | uint64 | of those received, not understood |
         * | `starts` | uint | times that the server said that the stream flows |
         * | `start-time` | uint64 | ns from asking to flowing, of the last |
         * | `server` | structure | the server's last metrics: `video-rate` in bit/s, `fps`, `nack`, `pli`, `lost-packets`, `width`, `height` |
         * | `webrtc` | structure | webrtcbin's own, see its `get-stats`; absent where it does not answer within 0.1 s |
         */
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Counters, the server's last metrics and webrtcbin's figures")
            .read_only()
            .build(),
    ]);
    specs
});

fn server(defaults: &Settings) -> Vec<Property> {
    vec![
        text(
            "uri",
            "URI",
            "Address of the server, wss://host:8443 or ws://host:8080",
            |s| s.uri.to_value(),
            |s, v| s.uri = given(v),
        ),
        property(
            glib::ParamSpecString::builder("app-key")
                .nick("Application key")
                .blurb("Which application of the server the session belongs to")
                .default_value(defaults.app_key.as_str())
                .mutable_ready()
                .build(),
            |s| s.app_key.to_value(),
            |s, v| s.app_key = given::<Option<String>>(v).unwrap_or_default(),
        ),
        secret(
            "auth-token",
            "Authentication token",
            "What the application behind the server knows us by; unset for none",
            |s, v| s.auth_token = Secret::new(given::<Option<String>>(v).unwrap_or_default()),
        ),
        property(
            glib::ParamSpecBoxed::builder::<gst::Structure>("custom")
                .nick("Custom data")
                .blurb("What the application behind the server wants to know, with session and stream; its name is of no account")
                .mutable_ready()
                .build(),
            |s| s.custom.to_value(),
            |s, v| s.custom = given(v),
        ),
        text(
            "session",
            "Shared session",
            "Elements of this process with the same uri and the same name here share one session \
             with the server, as the first of them has set it; unset for one of its own",
            |s| s.session.to_value(),
            |s, v| s.session = given(v),
        ),
        text(
            "origin",
            "Origin",
            "Page that the request claims to come from (Origin), for servers that check it; unset for none",
            |s| s.origin.to_value(),
            |s, v| s.origin = given(v),
        ),
    ]
}
