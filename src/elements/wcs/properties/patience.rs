// SPDX-License-Identifier: MPL-2.0

//! Properties of how long to wait, what to do when that was in vain, and whom to trust.

use std::path::PathBuf;

use gio::TlsCertificateFlags;
use gst::prelude::*;

use super::{super::kinds::OnFailure, Property, Settings};
use crate::elements::property::{
    from_millis, from_secs, given, millis, property, secs, span, switch, text,
};

pub(super) fn patience(defaults: &Settings) -> Vec<Property> {
    vec![
        span(
            "connect-timeout",
            "Connect timeout",
            "Longest wait for TCP and TLS, and once more for the WebSocket, in milliseconds (0 = for ever)",
            millis(defaults.connect_timeout),
            |s| millis(s.connect_timeout).to_value(),
            |s, v| s.connect_timeout = from_millis(v),
        ),
        span(
            "session-timeout",
            "Session timeout",
            "Longest wait for the server to take us in, in milliseconds (0 = for ever)",
            millis(defaults.session_timeout),
            |s| millis(s.session_timeout).to_value(),
            |s, v| s.session_timeout = from_millis(v),
        ),
        span(
            "answer-timeout",
            "Answer timeout",
            "Longest wait for the answer to our offer, in milliseconds (0 = for ever)",
            millis(defaults.answer_timeout),
            |s| millis(s.answer_timeout).to_value(),
            |s, v| s.answer_timeout = from_millis(v),
        ),
        span(
            "start-timeout",
            "Start timeout",
            "Longest wait from the answer until the server says that the stream flows, and from then until it does, in milliseconds (0 = for ever)",
            millis(defaults.start_timeout),
            |s| millis(s.start_timeout).to_value(),
            |s, v| s.start_timeout = from_millis(v),
        ),
        span(
            "end-timeout",
            "End timeout",
            "Longest wait for the server to confirm the end of a stream, in milliseconds (0 = for ever)",
            millis(defaults.end_timeout),
            |s| millis(s.end_timeout).to_value(),
            |s, v| s.end_timeout = from_millis(v),
        ),
        span(
            "ping-interval",
            "Ping interval",
            "Silence of the server after which it is asked whether it is there, in seconds (0 = never)",
            secs(defaults.ping_interval),
            |s| secs(s.ping_interval).to_value(),
            |s, v| s.ping_interval = from_secs(v),
        ),
        span(
            "ping-probes",
            "Ping probes",
            "Questions without an answer after which the server counts as gone (0 = never)",
            defaults.ping_probes,
            |s| s.ping_probes.to_value(),
            |s, v| s.ping_probes = given(v),
        ),
        switch(
            "reconnect",
            "Reconnect",
            "Try again when session or stream are lost or refused; what would fail again is given up at once",
            defaults.reconnect,
            |s| s.reconnect.to_value(),
            |s, v| s.reconnect = given(v),
        ),
        span(
            "reconnect-attempts",
            "Reconnect attempts",
            "How often in a row to try again before giving up (0 = for ever)",
            defaults.reconnect_attempts,
            |s| s.reconnect_attempts.to_value(),
            |s, v| s.reconnect_attempts = given(v),
        ),
        span(
            "reconnect-delay",
            "Reconnect delay",
            "Pause before the first attempt, in milliseconds; each further pause is twice as long",
            millis(defaults.reconnect_delay),
            |s| millis(s.reconnect_delay).to_value(),
            |s, v| s.reconnect_delay = from_millis(v),
        ),
        span(
            "reconnect-max-delay",
            "Longest reconnect delay",
            "Longest pause between attempts, in milliseconds",
            millis(defaults.reconnect_max_delay),
            |s| millis(s.reconnect_max_delay).to_value(),
            |s, v| s.reconnect_max_delay = from_millis(v),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("on-failure", defaults.on_failure)
                .nick("On failure")
                .blurb("What the pipeline is told when session or stream are given up")
                .mutable_ready()
                .build(),
            |s| s.on_failure.to_value(),
            |s, v| s.on_failure = given::<OnFailure>(v),
        ),
    ]
}

pub(super) fn tls(defaults: &Settings) -> Vec<Property> {
    vec![
        property(
            glib::ParamSpecFlags::builder::<TlsCertificateFlags>("tls-validation-flags")
                .nick("TLS validation flags")
                .blurb(
                    "What to check of the server's certificate; 0 accepts any and protects nothing",
                )
                .default_value(defaults.tls_validation_flags)
                .mutable_ready()
                .build(),
            |s| s.tls_validation_flags.to_value(),
            |s, v| s.tls_validation_flags = given(v),
        ),
        text(
            "tls-ca-file",
            "TLS authorities",
            "PEM file of the authorities to trust instead of the system's; unset for the system's",
            |s| path(&s.tls_ca_file),
            |s, v| s.tls_ca_file = given(v),
        ),
        text(
            "tls-certificate",
            "TLS certificate",
            "PEM file of our own certificate and its chain, for servers that ask for one",
            |s| path(&s.tls_certificate),
            |s, v| s.tls_certificate = given(v),
        ),
        text(
            "tls-private-key",
            "TLS private key",
            "PEM file of the key of tls-certificate; unset, it is looked for in the same file",
            |s| path(&s.tls_private_key),
            |s, v| s.tls_private_key = given(v),
        ),
        text(
            "tls-server-name",
            "TLS server name",
            "Name to ask for (SNI) and to expect in the certificate; unset, it is the host's",
            |s| s.tls_server_name.to_value(),
            |s, v| s.tls_server_name = given(v),
        ),
    ]
}

fn path(file: &Option<PathBuf>) -> glib::Value {
    file.as_ref()
        .map(|f| f.to_string_lossy().into_owned())
        .to_value()
}
