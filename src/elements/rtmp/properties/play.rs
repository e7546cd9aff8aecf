// SPDX-License-Identifier: MPL-2.0

//! Playing: properties that only sources have.

use gst::prelude::*;

use super::{
    Property, choice, from_millis, from_secs, given, millis, property, secs, span, switch, text,
};
use crate::elements::rtmp::{kinds::Live, settings::Settings};

pub(super) fn properties(defaults: &Settings) -> Vec<Property> {
    vec![
        property(
            glib::ParamSpecEnum::builder_with_default("live", *defaults.live)
                .nick("Live")
                .blurb("Whether to ask for the live stream or for the recorded one of that name; \
                        only a recorded one has a duration and can be sought in")
                .mutable_ready()
                .build(),
            |s| s.live.to_value(),
            |s, v| s.live.choose(Some(given::<Live>(v))),
        ),
        text(
            "subscribe",
            "Subscribe",
            "Name to subscribe to (FCSubscribe) before playing, for Limelight and Akamai; unset, live \
             streams subscribe to their own name where the server knows the command",
            |s| s.subscribe.to_value(),
            |s, v| s.subscribe.choose(choice(v)),
        ),
        switch(
            "playlist",
            "Playlist",
            "Send set_playlist before playing, for servers that want it",
            *defaults.playlist,
            |s| s.playlist.to_value(),
            |s, v| s.playlist.choose(Some(given(v))),
        ),
        span(
            "start-time",
            "Start time",
            "Where in a recorded stream to begin, in milliseconds",
            millis(*defaults.start_time),
            |s| millis(*s.start_time).to_value(),
            |s, v| s.start_time.choose(Some(from_millis(v))),
        ),
        span(
            "stop-time",
            "Stop time",
            "Where in a recorded stream to end, in milliseconds (0 = at its end)",
            millis(*defaults.stop_time),
            |s| millis(*s.stop_time).to_value(),
            |s, v| s.stop_time.choose(Some(from_millis(v))),
        ),
        span(
            "buffer-time",
            "Buffer time",
            "How much of a recorded stream the server may send ahead, in milliseconds (SetBufferLength)",
            millis(*defaults.buffer_time),
            |s| millis(*s.buffer_time).to_value(),
            |s, v| s.buffer_time.choose(Some(from_millis(v))),
        ),
        span(
            "latency",
            "Latency",
            "Jitter of the network to make up for in a live stream, in milliseconds; what the element \
             answers to a LATENCY query",
            millis(defaults.latency),
            |s| millis(s.latency).to_value(),
            |s, v| s.latency = from_millis(v),
        ),
        span(
            "idle-timeout",
            "Idle timeout",
            "Longest silence of the peer while the stream runs, in seconds; after it the connection of a \
             live stream is made again (see reconnect) or the stream ends, and a listener that keeps \
             listening waits for the next publisher (0 = for ever)",
            secs(defaults.idle_timeout),
            |s| secs(s.idle_timeout).to_value(),
            |s, v| s.idle_timeout = from_secs(v),
        ),
        /**
         * no-eof-is-error:
         *
         * This is about a server that just closes. A reset, and TLS that ends without a
         * close_notify, is always an error, for something may be missing. A listener ends with its
         * publisher either way, for publishers come and go; with this it posts an error then,
         * unless it keeps listening.
         */
        switch(
            "no-eof-is-error",
            "No EOF is error",
            "Post an error when the connection is lost before the server has ended the stream, \
             instead of ending the stream",
            defaults.no_eof_is_error,
            |s| s.no_eof_is_error.to_value(),
            |s, v| s.no_eof_is_error = given(v),
        ),
    ]
}
