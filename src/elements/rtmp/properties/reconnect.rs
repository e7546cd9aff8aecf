// SPDX-License-Identifier: MPL-2.0

//! What happens when a connection fails.

use gst::prelude::*;

use super::{Property, from_millis, given, hidden, millis, property, secret, span};
use crate::elements::rtmp::{kinds::Reconnect, settings::Settings};

pub(super) fn properties(defaults: &Settings) -> Vec<Property> {
    vec![
        /**
         * reconnect:
         *
         * A connection that was lost is made again, after a delay that doubles from one attempt to the next.
         * Meanwhile the pipeline goes on: a sink keeps what its queue takes (`queue-time`, `queue-bytes`,
         * `queue-policy`) and begins again with metadata, headers and a key frame; a live source goes on with
         * DISCONT on its time line. A recording is not made again. The element message `rtmp-connection` tells
         * of each attempt: the strings `state` (waiting, connected, failed), `cause` (resolve, refused,
         * unreachable, tls, handshake, busy, not-found, refusal, lost, stalled) and `error`, the uint `attempt`,
         * and `next-try`, the GstClockTime until then. An error is posted when the attempts are used up, or at
         * once when another could not do better: wrong password or certificate, no such application.
         */
        property(
            glib::ParamSpecEnum::builder_with_default("reconnect", defaults.reconnect)
                .nick("Reconnect")
                .blurb("As caller of a live stream, which failures to answer by connecting again; the message \
                        rtmp-connection tells of it")
                .mutable_ready()
                .build(),
            |s| s.reconnect.to_value(),
            |s, v| s.reconnect = given::<Reconnect>(v),
        ),
        span(
            "reconnect-attempts",
            "Reconnect attempts",
            "How often in a row to connect again before that is an error (0 = for ever)",
            defaults.reconnect_attempts,
            |s| s.reconnect_attempts.to_value(),
            |s, v| s.reconnect_attempts = given(v),
        ),
        span(
            "reconnect-delay",
            "Reconnect delay",
            "How long to wait before connecting again the first time, in milliseconds; twice as long each time \
             after it",
            millis(defaults.reconnect_delay),
            |s| millis(s.reconnect_delay).to_value(),
            |s, v| s.reconnect_delay = from_millis(v),
        ),
        span(
            "reconnect-max-delay",
            "Largest reconnect delay",
            "How long to wait before connecting again at most, in milliseconds",
            millis(defaults.reconnect_max_delay),
            |s| millis(s.reconnect_max_delay).to_value(),
            |s, v| s.reconnect_max_delay = from_millis(v),
        ),
        property(
            glib::ParamSpecUInt::builder("reconnect-jitter")
                .nick("Reconnect jitter")
                .blurb("Which part of a delay to leave to chance, in percent, so that many do not come back at once")
                .maximum(100)
                .default_value(defaults.reconnect_jitter)
                .mutable_ready()
                .build(),
            |s| s.reconnect_jitter.to_value(),
            |s, v| s.reconnect_jitter = given(v),
        ),
        secret(
            "backup-locations",
            "Backup locations",
            "Locations to try in turn when the connection to location fails, parted by |",
            |s, v| s.backup_locations = hidden(v).flatten(),
        ),
    ]
}
