// SPDX-License-Identifier: MPL-2.0

//! Properties of the stream and of how its media travel.

use gst::prelude::*;

use super::{
    super::kinds::{Action, Output, Transport},
    Property, Settings,
};
use crate::{
    elements::property::{given, property, secret, span, switch, text},
    protocol::rtmp::url::Secret,
};

pub(super) fn stream(defaults: &Settings) -> Vec<Property> {
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

pub(super) fn media(defaults: &Settings) -> Vec<Property> {
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
