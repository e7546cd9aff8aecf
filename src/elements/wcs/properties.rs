// SPDX-License-Identifier: MPL-2.0

//! The properties of a wcswebrtcbin. Those that are read only follow the table.

// The blocks above the properties are for the documentation tools of GStreamer.
#![allow(unused_doc_comments)]

use std::{path::PathBuf, sync::LazyLock};

use gio::TlsCertificateFlags;
use gst::prelude::*;

use super::{
    kinds::{Action, OnFailure, Output, SessionStatus, StreamStatus, Transport},
    settings::Settings,
};
use crate::{
    elements::property::{
        self, from_millis, from_secs, given, millis, property, secret, secs, span, switch, text,
    },
    protocol::rtmp::url::Secret,
};

type Property = property::Property<Settings>;

/// Properties behind which there is a setting.
pub(super) static TABLE: LazyLock<Vec<Property>> = LazyLock::new(|| {
    let defaults = Settings::default();
    let mut table = server(&defaults);
    table.extend(stream(&defaults));
    table.extend(media(&defaults));
    table.extend(patience(&defaults));
    table.extend(tls(&defaults));
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

fn stream(defaults: &Settings) -> Vec<Property> {
    vec![
        text(
            "stream-name",
            "Stream name",
            "Name of the stream to publish or to play",
            |s| s.stream_name.to_value(),
            |s, v| s.stream_name = given(v),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("action", defaults.action)
                .nick("Action")
                .blurb("What to do with the stream without being asked by a signal")
                .mutable_ready()
                .build(),
            |s| s.action.to_value(),
            |s, v| s.action = given::<Action>(v),
        ),
        switch(
            "record",
            "Record",
            "Have the server record what is published",
            defaults.record,
            |s| s.record.to_value(),
            |s, v| s.record = given(v),
        ),
        secret(
            "rtmp-url",
            "RTMP URL",
            "Where the server is to send on what is published, by RTMP; unset for nowhere",
            |s, v| s.rtmp_url = Secret::new(given::<Option<String>>(v).unwrap_or_default()),
        ),
        span(
            "bitrate",
            "Bit rate",
            "What to tell the server of the bit rate, in kb/s (0 = nothing)",
            defaults.bitrate,
            |s| s.bitrate.to_value(),
            |s, v| s.bitrate = given(v),
        ),
        span(
            "min-bitrate",
            "Least bit rate",
            "What to tell the server of the least bit rate, in kb/s (0 = nothing)",
            defaults.min_bitrate,
            |s| s.min_bitrate.to_value(),
            |s, v| s.min_bitrate = given(v),
        ),
        span(
            "max-bitrate",
            "Greatest bit rate",
            "What to tell the server of the greatest bit rate, in kb/s (0 = nothing)",
            defaults.max_bitrate,
            |s| s.max_bitrate.to_value(),
            |s, v| s.max_bitrate = given(v),
        ),
        span(
            "width",
            "Width",
            "Width to play at, in pixels (0 = as published)",
            defaults.width,
            |s| s.width.to_value(),
            |s, v| s.width = given(v),
        ),
        span(
            "height",
            "Height",
            "Height to play at, in pixels (0 = as published)",
            defaults.height,
            |s| s.height.to_value(),
            |s, v| s.height = given(v),
        ),
        span(
            "quality",
            "Quality",
            "Quality to play at, in percent (0 = as published)",
            defaults.quality,
            |s| s.quality.to_value(),
            |s, v| s.quality = given(v),
        ),
        switch(
            "audio",
            "Play sound",
            "Ask for the sound of what is played",
            defaults.audio,
            |s| s.audio.to_value(),
            |s, v| s.audio = given(v),
        ),
        switch(
            "video",
            "Play picture",
            "Ask for the picture of what is played",
            defaults.video,
            |s| s.video.to_value(),
            |s, v| s.video = given(v),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("output", defaults.output)
                .nick("Output")
                .blurb("What the source pads carry")
                .mutable_ready()
                .build(),
            |s| s.output.to_value(),
            |s, v| s.output = given::<Output>(v),
        ),
    ]
}

fn media(defaults: &Settings) -> Vec<Property> {
    vec![
        property(
            glib::ParamSpecEnum::builder_with_default("transport", defaults.transport)
                .nick("Transport")
                .blurb("How media are to travel; the server decides")
                .mutable_ready()
                .build(),
            |s| s.transport.to_value(),
            |s, v| s.transport = given::<Transport>(v),
        ),
        text(
            "stun-server",
            "STUN server",
            "To find out our public address by, stun://host:port; seldom needed, servers see where packets come from",
            |s| s.stun_server.to_value(),
            |s, v| s.stun_server = given(v),
        ),
        secret(
            "turn-server",
            "TURN server",
            "To relay media through, turn(s)://username:password@host:port",
            |s, v| s.turn_server = Secret::new(given::<Option<String>>(v).unwrap_or_default()),
        ),
        text(
            "local-address",
            "Local address",
            "The one address of this machine to send and receive media at; unset for all but loopback",
            |s| s.local_address.to_value(),
            |s, v| s.local_address = given(v),
        ),
        span(
            "latency",
            "Latency",
            "How long received packets wait for those that are late, in milliseconds",
            defaults.latency,
            |s| s.latency.to_value(),
            |s, v| s.latency = given(v),
        ),
    ]
}

fn patience(defaults: &Settings) -> Vec<Property> {
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

fn tls(defaults: &Settings) -> Vec<Property> {
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
