// SPDX-License-Identifier: MPL-2.0

//! Being the server: of one publisher, or of any number of players.

use gst::prelude::*;

use super::{
    Property, from_millis, from_secs, given, hidden, millis, property, secret, secs, span, switch,
};
use crate::elements::{
    RecoverPolicy,
    rtmp::{
        kinds::{Burst, Mode, Takeover},
        settings::{Role, Settings},
    },
};

pub(super) fn properties(role: Role, defaults: &Settings) -> Vec<Property> {
    let mut all = both(defaults);
    all.extend(match role {
        Role::Source => publisher(defaults),
        Role::Sink => players(defaults),
    });
    all
}

fn both(defaults: &Settings) -> Vec<Property> {
    vec![
        /**
         * mode:
         *
         * A listening rtmpsrc is a small ingest server: OBS, ffmpeg or a phone publishes to it. A
         * listening rtmpsink serves players. `host` is then the address to listen on, `application` and
         * `stream` are what callers have to name; an empty one takes any, and `*` stands for any letters.
         * Any number of elements can share a port, each with another stream or for the other direction.
         *
         * With `username` and `password` callers have to show these (Adobe's authentication, which
         * encoders know); with `url-secret` they need a signed link. The signal `caller-connecting` has the
         * last word.
         */
        property(
            glib::ParamSpecEnum::builder_with_default("mode", defaults.mode)
                .nick("Mode")
                .blurb("Connect to a server, or be the server that peers connect to: host, port, \
                        tls-certificate, username and password are then our own")
                .mutable_ready()
                .build(),
            |s| s.mode.to_value(),
            |s, v| s.mode = given::<Mode>(v),
        ),
        /**
         * url-secret:
         *
         * A signed link ends in `?expires=SECONDS&token=TOKEN`: seconds since 1970, and the HMAC-SHA256 of
         * `/application/stream:SECONDS` with this secret, in hexadecimal:
         * ```text
         * printf %s /live/test:1790000000 | openssl dgst -sha256 -hmac SECRET
         * ```
         */
        secret(
            "url-secret",
            "URL secret",
            "As listener, let in only whose link is signed with this: \
             rtmp://host/app/stream?expires=SECONDS&token=HMAC-SHA256 of /app/stream:SECONDS",
            |s, v| s.url_secret = hidden(v).flatten(),
        ),
        span(
            "ping-interval",
            "Ping interval",
            "As listener, silence of a caller, in seconds, after which it is asked for a sign of life; when none comes \
             for half as long again, it is dropped (0 = never)",
            secs(defaults.ping_interval),
            |s| secs(s.ping_interval).to_value(),
            |s, v| s.ping_interval = from_secs(v),
        ),
        property(
            glib::ParamSpecString::builder("reject-reason")
                .nick("Reject reason")
                .blurb("What a caller is told that a handler of caller-connecting refuses; the handler can set it \
                        before it returns")
                .default_value(defaults.reject_reason.as_str())
                .mutable_playing()
                .build(),
            |s| s.reject_reason.to_value(),
            |s, v| s.reject_reason = given::<Option<String>>(v).unwrap_or_default(),
        ),
    ]
}

fn publisher(defaults: &Settings) -> Vec<Property> {
    vec![
        switch(
            "keep-listening",
            "Keep listening",
            "As listener, wait for the next publisher when one leaves, instead of ending the stream",
            defaults.keep_listening,
            |s| s.keep_listening.to_value(),
            |s, v| s.keep_listening = given(v),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("takeover", defaults.takeover)
                .nick("Takeover")
                .blurb("As listener, what becomes of the publisher when another one comes for the same stream")
                .mutable_ready()
                .build(),
            |s| s.takeover.to_value(),
            |s, v| s.takeover = given::<Takeover>(v),
        ),
        span(
            "takeover-silence",
            "Takeover silence",
            "How long nothing must have come from a publisher that takeover=replace-silent gives up, in \
             milliseconds",
            millis(defaults.takeover_silence),
            |s| millis(s.takeover_silence).to_value(),
            |s, v| s.takeover_silence = from_millis(v),
        ),
    ]
}

fn players(defaults: &Settings) -> Vec<Property> {
    vec![
        switch(
            "wait-for-connection",
            "Wait for connection",
            "As listener, hold up the pipeline until the first player has come",
            defaults.wait_for_connection,
            |s| s.wait_for_connection.to_value(),
            |s, v| s.wait_for_connection = given(v),
        ),
        span(
            "max-callers",
            "Most callers",
            "As listener, how many may play at a time (0 = no limit)",
            defaults.max_callers,
            |s| s.max_callers.to_value(),
            |s, v| s.max_callers = given(v),
        ),
        span(
            "max-callers-per-address",
            "Most callers per address",
            "As listener, how many may play from one IP address at a time (0 = no limit)",
            defaults.max_callers_per_address,
            |s| s.max_callers_per_address.to_value(),
            |s, v| s.max_callers_per_address = given(v),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("burst", defaults.burst)
                .nick("Burst")
                .blurb("As listener, what a player gets of the past: more starts sooner, less plays closer to live")
                .mutable_ready()
                .build(),
            |s| s.burst.to_value(),
            |s, v| s.burst = given::<Burst>(v),
        ),
        span(
            "batch-time",
            "Batch time",
            "As listener, send what has gathered in this many milliseconds together, which costs less the more \
             players there are (0 = each frame at once)",
            millis(defaults.batch_time),
            |s| millis(s.batch_time).to_value(),
            |s, v| s.batch_time = from_millis(v),
        ),
        property(
            glib::ParamSpecEnum::builder_with_default("recover-policy", defaults.recover_policy)
                .nick("Recover policy")
                .blurb("As listener, what becomes of a player that is further behind than max-lag-time or \
                        max-lag-bytes")
                .mutable_ready()
                .build(),
            |s| s.recover_policy.to_value(),
            |s, v| s.recover_policy = given::<RecoverPolicy>(v),
        ),
        span(
            "max-lag-time",
            "Largest lag in time",
            "As listener, how far behind the stream a player may fall, in milliseconds of the stream",
            millis(defaults.max_lag_time),
            |s| millis(s.max_lag_time).to_value(),
            |s, v| s.max_lag_time = from_millis(v),
        ),
        span(
            "max-lag-bytes",
            "Largest lag in bytes",
            "As listener, how far behind the stream a player may fall, in bytes",
            defaults.max_lag_bytes,
            |s| s.max_lag_bytes.to_value(),
            |s, v| s.max_lag_bytes = given(v),
        ),
        span(
            "send-buffer",
            "Send buffer",
            "As listener, bytes that the kernel may hold unsent for a player (TCP_NOTSENT_LOWAT); 0 leaves it to \
             the kernel, which holds megabytes and thereby slow players half a minute behind",
            defaults.send_buffer,
            |s| s.send_buffer.to_value(),
            |s, v| s.send_buffer = given(v),
        ),
        /**
         * source-timeout:
         *
         * Players are told NetStream.Play.UnpublishNotify when the pipeline gives nothing for this long, and
         * NetStream.Play.PublishNotify when it goes on. They stay connected.
         */
        span(
            "source-timeout",
            "Source timeout",
            "As listener, tell players that the stream has stopped when nothing comes from upstream for so \
             many milliseconds, and that it goes on when it does (0 = never)",
            millis(defaults.source_timeout),
            |s| millis(s.source_timeout).to_value(),
            |s, v| s.source_timeout = from_millis(v),
        ),
    ]
}
