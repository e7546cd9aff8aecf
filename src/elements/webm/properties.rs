// SPDX-License-Identifier: MPL-2.0

//! The properties of a webmhttpsink.

// The blocks above the properties are for the documentation tools of GStreamer.
#![allow(unused_doc_comments)]

use std::{path::PathBuf, sync::LazyLock};

use gst::prelude::*;

use super::settings::Settings;
use crate::{
    elements::property::{
        Property, choice, from_millis, from_secs, given, millis, property, secret, secs, span,
        switch, text,
    },
    protocol::rtmp::url::Secret,
};

/// The table, and what to install in the class: the table's in the same order, then `stats` and `url`.
pub(super) static TABLE: LazyLock<Vec<Property<Settings>>> = LazyLock::new(table);

pub(super) static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let mut specs: Vec<_> = TABLE.iter().map(|p| p.spec.clone()).collect();
    specs.push(
        /**
         * stats:
         *
         * | field | type | |
         * |---|---|---|
         * | on-air | boolean | whether a stream has begun and not ended |
         * | bitrate | uint64 | of the stream, in bits a second, over the last seconds |
         * | bytes-received | uint64 | from the pipeline |
         * | bytes-sent | uint64 | to all clients, heads included |
         * | clients | uint | now |
         * | clients-peak | uint | at most at a time |
         * | clients-total | uint64 | so far |
         * | refused | uint64 | requests that were not let in |
         * | dropped | uint64 | blocks that clients missed because they were too slow |
         * | per-client | array of structures | id, address, user-agent, bytes-sent, dropped, lag-bytes, lag-time (ms), seconds |
         */
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Figures of the stream and of each client")
            .read_only()
            .build(),
    );
    specs.push(
        glib::ParamSpecString::builder("url")
            .nick("URL")
            .blurb("Where the stream is served, once it is: tells the port that port=0 has found")
            .read_only()
            .build(),
    );
    specs
});

fn table() -> Vec<Property<Settings>> {
    let mut all = place();
    all.extend(sending());
    all.extend(access());
    all
}

fn place() -> Vec<Property<Settings>> {
    let defaults = Settings::default();
    vec![
        property(
            glib::ParamSpecString::builder("address")
                .nick("Address")
                .blurb("IP address to listen on; 0.0.0.0 and :: are all of this machine's")
                .default_value(defaults.address.as_str())
                .mutable_ready()
                .build(),
            |s: &Settings| s.address.to_value(),
            |s, v| s.address = given::<Option<String>>(v).unwrap_or_default(),
        ),
        property(
            glib::ParamSpecInt::builder("port")
                .nick("Port")
                .blurb("TCP port to listen on, shared with other elements of this process; 0 takes a free one, \
                        which the message webm-listening and the property url tell")
                .minimum(0)
                .maximum(i32::from(u16::MAX))
                .default_value(i32::from(defaults.port))
                .mutable_ready()
                .build(),
            |s| i32::from(s.port).to_value(),
            |s, v| s.port = given::<i32>(v).try_into().unwrap_or_default(),
        ),
        property(
            glib::ParamSpecString::builder("path")
                .nick("Path")
                .blurb("Path of the stream's URL")
                .default_value(defaults.path.as_str())
                .mutable_ready()
                .build(),
            |s| s.path.to_value(),
            |s, v| s.path = given::<Option<String>>(v).unwrap_or_default(),
        ),
        text(
            "title",
            "Title",
            "What the page with the player is headed with; unset, it is the path",
            |s: &Settings| s.title.to_value(),
            |s, v| s.title = given(v),
        ),
        switch(
            "player",
            "Player",
            "Serve a page with a player, at the path with /player behind it",
            defaults.player,
            |s: &Settings| s.player.to_value(),
            |s, v| s.player = given(v),
        ),
        text(
            "tls-certificate",
            "TLS certificate",
            "PEM file of the certificate and its chain: the stream is served over https only; read again when it \
             changes",
            |s: &Settings| file(&s.tls_certificate),
            |s, v| s.tls_certificate = given(v),
        ),
        text(
            "tls-private-key",
            "TLS private key",
            "PEM file of the key of tls-certificate; unset, it is looked for in the same file",
            |s: &Settings| file(&s.tls_private_key),
            |s, v| s.tls_private_key = given(v),
        ),
        text(
            "tls-client-ca",
            "TLS client authorities",
            "PEM file of the authorities that sign clients' certificates; set, clients need one",
            |s: &Settings| file(&s.tls_client_ca),
            |s, v| s.tls_client_ca = given(v),
        ),
        text(
            "metrics-path",
            "Metrics path",
            "Serve figures as Prometheus reads them at this path, such as /metrics; unset, they are not served",
            |s: &Settings| s.metrics_path.to_value(),
            |s, v| s.metrics_path = given(v),
        ),
        text(
            "status-path",
            "Status path",
            "Serve figures as JSON at this path, such as /status.json; unset, they are not served",
            |s: &Settings| s.status_path.to_value(),
            |s, v| s.status_path = given(v),
        ),
        text(
            "access-log",
            "Access log",
            "File to write a line to for every request, in Apache's combined format with the seconds it took \
             behind it, when it has ended; opened anew each time, so it can be moved away",
            |s: &Settings| file(&s.access_log),
            |s, v| s.access_log = given(v),
        ),
    ]
}

fn sending() -> Vec<Property<Settings>> {
    let defaults = Settings::default();
    vec![
        property(
            glib::ParamSpecEnum::builder_with_default("timecodes", defaults.timecodes)
                .nick("Time codes")
                .blurb("What the time codes of the stream are; a player gets stuck where they go back, so they should \
                        go on over a restart")
                .mutable_ready()
                .build(),
            |s: &Settings| s.timecodes.to_value(),
            |s, v| s.timecodes = given(v),
        ),
        span(
            "batch-time",
            "Batch time",
            "Send what has gathered in this many ms together, which costs less the more clients there are; 0 sends \
             each frame at once",
            millis(defaults.batch_time),
            |s: &Settings| millis(s.batch_time).to_value(),
            |s, v| s.batch_time = from_millis(v),
        ),
        span(
            "burst-time",
            "Burst time",
            "How far back in ms a client begins, at the key frame before; it stays that much behind. 0 is the latest \
             key frame. A request may ask for its own with ?burst=SECONDS",
            millis(defaults.burst_time),
            |s: &Settings| millis(s.burst_time).to_value(),
            |s, v| s.burst_time = from_millis(v),
        ),
        span(
            "burst-bytes",
            "Burst bytes",
            "As burst-time, in bytes; if both are set, burst-time counts",
            defaults.burst_bytes,
            |s: &Settings| s.burst_bytes.to_value(),
            |s, v| s.burst_bytes = given(v),
        ),
        span(
            "max-burst-time",
            "Largest burst time",
            "How far back in ms a request may ask to begin, and how much is kept for it; 0 ignores such requests",
            millis(defaults.burst_limit),
            |s: &Settings| millis(s.burst_limit).to_value(),
            |s, v| s.burst_limit = from_millis(v),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("recover-policy", defaults.recover_policy)
                .nick("Recover policy")
                .blurb("What becomes of a client that is further behind than max-lag-time or max-lag-bytes")
                .mutable_ready()
                .build(),
            |s| s.recover_policy.to_value(),
            |s, v| s.recover_policy = given(v),
        ),
        span(
            "max-lag-time",
            "Largest lag in time",
            "How far behind the stream a client may fall, in ms of the stream",
            millis(defaults.max_lag_time),
            |s: &Settings| millis(s.max_lag_time).to_value(),
            |s, v| s.max_lag_time = from_millis(v),
        ),
        span(
            "max-lag-bytes",
            "Largest lag in bytes",
            "How far behind the stream a client may fall, in bytes",
            defaults.max_lag_bytes,
            |s: &Settings| s.max_lag_bytes.to_value(),
            |s, v| s.max_lag_bytes = given(v),
        ),
        span(
            "send-buffer",
            "Send buffer",
            "Bytes that the kernel may hold unsent for a client (TCP_NOTSENT_LOWAT); 0 leaves it to the kernel, \
             which holds megabytes and thereby slow clients half a minute behind",
            defaults.send_buffer,
            |s: &Settings| s.send_buffer.to_value(),
            |s, v| s.send_buffer = given(v),
        ),
        span(
            "timeout",
            "Timeout",
            "Seconds that a client may take nothing while something waits for it",
            secs(defaults.timeout),
            |s: &Settings| secs(s.timeout).to_value(),
            |s, v| s.timeout = from_secs(v),
        ),
        span(
            "header-timeout",
            "Header timeout",
            "Seconds that a request may take to arrive; of several elements on a port, the first to come decides",
            secs(defaults.header_timeout),
            |s: &Settings| secs(s.header_timeout).to_value(),
            |s, v| s.header_timeout = from_secs(v),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("on-source-loss", defaults.on_source_loss)
                .nick("On source loss")
                .blurb("What becomes of the clients at the end of the stream (EOS)")
                .mutable_ready()
                .build(),
            |s: &Settings| s.on_source_loss.to_value(),
            |s, v| s.on_source_loss = given(v),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("on-new-header", defaults.on_new_header)
                .nick("On new header")
                .blurb("What becomes of the clients when a stream with other tracks or codecs begins in mid-stream; \
                        one with the same goes on as if nothing had been")
                .mutable_ready()
                .build(),
            |s| s.on_new_header.to_value(),
            |s, v| s.on_new_header = given(v),
        ),
    ]
}

fn access() -> Vec<Property<Settings>> {
    let defaults = Settings::default();
    vec![
        span(
            "max-clients",
            "Most clients",
            "How many may watch at a time; who is too many gets a 503; 0 is no limit",
            defaults.max_clients,
            |s: &Settings| s.max_clients.to_value(),
            |s, v| s.max_clients = given(v),
        ),
        span(
            "max-clients-per-address",
            "Most clients per address",
            "How many may watch from one IP address at a time; 0 is no limit",
            defaults.max_clients_per_address,
            |s: &Settings| s.max_clients_per_address.to_value(),
            |s, v| s.max_clients_per_address = given(v),
        ),
        span(
            "max-bitrate",
            "Largest bitrate",
            "Of all clients together, in kbit/s: nobody is let in who would exceed it at the stream's bitrate; 0 is \
             no limit",
            defaults.max_bitrate,
            |s: &Settings| s.max_bitrate.to_value(),
            |s, v| s.max_bitrate = given(v),
        ),
        property(
            glib::ParamSpecString::builder("allow-origin")
                .nick("Allow origin")
                .blurb("Which pages of other origins may use the stream in scripts (Access-Control-Allow-Origin); \
                        unset, none may")
                .default_value(defaults.allow_origin.as_deref())
                .mutable_ready()
                .build(),
            |s: &Settings| s.allow_origin.to_value(),
            |s, v| s.allow_origin = given(v),
        ),
        text(
            "user",
            "User",
            "Name that has to be given to watch, with password (HTTP basic authentication); without TLS both can be \
             overheard",
            |s: &Settings| s.user.to_value(),
            |s, v| s.user = given(v),
        ),
        secret("password", "Password", "The password of user", |s: &mut Settings, v| {
            s.password = hidden(v);
        }),
        secret(
            "url-secret",
            "URL secret",
            "Set, links have to be signed with it: ?expires=SECONDS_SINCE_1970&token=HEX, where the token is the \
             HMAC-SHA256 of the path, a colon and the seconds",
            |s: &mut Settings, v| s.url_secret = hidden(v),
        ),
    ]
}

fn hidden(value: &glib::Value) -> Secret {
    Secret::new(choice(value).flatten().unwrap_or_default())
}

fn file(file: &Option<PathBuf>) -> glib::Value {
    file.as_ref().and_then(|file| file.to_str()).to_value()
}
