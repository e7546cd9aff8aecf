// SPDX-License-Identifier: MPL-2.0

//! What happens when a connection fails.

use gst::prelude::*;

use super::{Property, from_millis, given, hidden, millis, property, secret, span};
use crate::elements::rtmp::{
    kinds::{Reconnect, Redirects},
    settings::Settings,
};

pub(super) fn properties(defaults: &Settings) -> Vec<Property> {
    vec![
        /**
         * reconnect:
         *
         * A connection that was lost is made again, after a delay that doubles from one attempt to the next.
         * Meanwhile the pipeline goes on: a sink keeps what its queue takes (`queue-time`, `queue-bytes`,
         * `queue-policy`) and begins again with metadata, headers and a key frame; a live source goes on with
         * DISCONT on its time line. A recording is not made again. The element message `rtmp-connection` tells
         * of each attempt: the strings `state` (waiting, connected, failed; see `redirects` for others), `cause` (resolve, refused,
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
        /**
         * redirects:
         *
         * A server that is about to go down, or that has too much to do, asks its callers to go on at another one,
         * or to connect anew (ReconnectRequest of Enhanced RTMP v2; what a listener's `request-reconnect` sends).
         * The next connection is made while the present one runs; at a key frame a sink goes on there, and leaves
         * the old one when all is sent. A source listens to both until it finds a key frame that both have
         * brought, and hands on every tag once; where both have nothing in common it goes on with DISCONT at a key
         * frame. A server that refuses the name because the former connection still has it gets it when that has
         * let go, what comes meanwhile waits in the queue.
         *
         * Whoever owns such a server could send stream and password anywhere. So a request is not followed to a host
         * that neither `location` nor `backup-locations` names, nor from TLS to no TLS, unless it is allowed here, nor
         * more often than `max-redirects` says; nor while a recording is played. A warning says why it is not.
         *
         * Messages `rtmp-connection` have the `state` moving, moved or staying then, the strings `url` (`tcUrl` of
         * the other server) and, moving and staying, `description` (what the server said); staying has `error`.
         */
        property(
            glib::ParamSpecFlags::builder::<Redirects>("redirects")
                .nick("Redirects")
                .blurb("As caller, which requests of the server to go on at another one are followed")
                .default_value(defaults.redirects)
                .mutable_ready()
                .build(),
            |s| s.redirects.to_value(),
            |s, v| s.redirects = given(v),
        ),
        span(
            "max-redirects",
            "Most redirects",
            "How often in a minute to follow a request of the server to go on at another one (0 = any number of \
             times)",
            defaults.max_redirects,
            |s| s.max_redirects.to_value(),
            |s, v| s.max_redirects = given(v),
        ),
    ]
}
