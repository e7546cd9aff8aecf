// SPDX-License-Identifier: MPL-2.0

//! Publishing: the properties that only sinks have.

use gst::prelude::*;

use super::{Property, from_millis, from_secs, given, millis, property, secs, span};
use crate::elements::rtmp::{
    kinds::{QueuePolicy, StopCommands},
    settings::Settings,
};

pub(super) fn properties(defaults: &Settings) -> Vec<Property> {
    vec![
        /**
         * chunk-size:
         *
         * Every message goes out in chunks with a head each. The protocol begins at 128 bytes, which
         * costs a head for every tenth of a network packet and ten times the work; 65536 is the
         * largest that every server we know accepts (SRS refuses more), and still lets audio pass
         * between the chunks of a large key frame.
         */
        property(
            glib::ParamSpecUInt::builder("chunk-size")
                .nick("Chunk size")
                .blurb("Largest chunk to send, in bytes; smaller ones cost work, few servers take larger; a change \
                        in PLAYING counts for the next connection")
                .minimum(1)
                .maximum(i32::MAX as u32)
                .default_value(defaults.chunk_size)
                .mutable_playing()
                .build(),
            |s| s.chunk_size.to_value(),
            |s, v| s.chunk_size = given(v),
        ),
        property(
            glib::ParamSpecUInt::builder("peak-kbps")
                .nick("Peak rate")
                .blurb("Let the kernel pace what is sent to this rate, in kbit/s (0 = as fast as it goes); a \
                        change counts at once")
                // What SO_MAX_PACING_RATE can hold in bytes per second.
                .maximum(u32::MAX / 250)
                .default_value(defaults.peak_kbps)
                .mutable_playing()
                .build(),
            |s| s.peak_kbps.to_value(),
            |s, v| s.peak_kbps = given(v),
        ),
        property(
            glib::ParamSpecFlags::builder::<StopCommands>("stop-commands")
                .nick("Stop commands")
                .blurb("Commands to send after the last buffer, before the connection closes")
                .default_value(defaults.stop_commands)
                .mutable_ready()
                .build(),
            |s| s.stop_commands.to_value(),
            |s, v| s.stop_commands = given(v),
        ),
        /**
         * queue-policy:
         *
         * A live pipeline cannot wait, so what the network does not take is left out, whole frames at a time: when
         * the queue (`queue-time`, `queue-bytes`) is half full, pictures that no other picture needs (B pictures
         * that H.264 or the FLV head marks so); when it is three quarters full, the rest of groups of pictures that
         * newer ones follow; when it is full, everything up to the next key frame, which upstream is asked for. Sound
         * goes last, and only what is older than the queue may be. `rtmp-dropped` messages and `stats` tell of it. While
         * there is no connection only a full queue drops. See `estimated-bitrate` for what an encoder can do.
         */
        property(
            glib::ParamSpecEnum::builder_with_default("queue-policy", defaults.queue_policy)
                .nick("Queue policy")
                .blurb("What to do when the network is slower than the encoder and the queue is full")
                .mutable_ready()
                .build(),
            |s| s.queue_policy.to_value(),
            |s, v| s.queue_policy = given::<QueuePolicy>(v),
        ),
        span(
            "queue-time",
            "Queue time",
            "How much media may wait for the network, in milliseconds (0 = no limit)",
            millis(defaults.queue_time),
            |s| millis(s.queue_time).to_value(),
            |s, v| s.queue_time = from_millis(v),
        ),
        property(
            glib::ParamSpecUInt::builder("queue-bytes")
                .nick("Queue bytes")
                .blurb("How much media may wait for the network, in bytes (0 = no limit)")
                .default_value(defaults.queue_bytes)
                .mutable_ready()
                .build(),
            |s| s.queue_bytes.to_value(),
            |s, v| s.queue_bytes = given(v),
        ),
        span(
            "stall-timeout",
            "Stall timeout",
            "How long the server may take nothing while something waits to be sent, in seconds \
             (0 = for ever)",
            secs(defaults.stall_timeout),
            |s| secs(s.stall_timeout).to_value(),
            |s, v| s.stall_timeout = from_secs(v),
        ),
    ]
}
