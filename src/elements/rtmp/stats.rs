// SPDX-License-Identifier: MPL-2.0

//! The `stats` property: what rtmp2src and rtmp2sink tell under the same names, and what an operator
//! misses there.

use std::time::{Duration, Instant};

use glib::prelude::*;

use super::callers;
use crate::{
    net::{porter::Caller, queue::Dropped},
    protocol::{rtmp::session::LinkStats, rtmpt::TunnelStats},
};

/// How far the element is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing was begun, or everything has ended.
    #[default]
    Idle,
    /// On the way to a running stream.
    Connecting,
    /// The stream runs.
    Streaming,
    /// Waiting for a publisher.
    Listening,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Streaming => "streaming",
            Self::Listening => "listening",
        }
    }
}

/// One moment of an element.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    pub(super) in_chunk_size: u32,
    pub(super) out_chunk_size: u32,
    pub(super) in_window_ack_size: u32,
    pub(super) out_window_ack_size: u32,
    pub(super) in_bytes_total: u64,
    pub(super) out_bytes_total: u64,
    pub(super) in_bytes_acked: u64,
    pub(super) out_bytes_acked: u64,
    pub(super) state: State,
    pub(super) connect_time: Option<Duration>,
    pub(super) round_trip_time: Option<Duration>,
    pub(super) reconnects: u32,
    pub(super) tags: u64,
    pub(super) dropped_tags: u64,
    pub(super) dropped: Dropped,
    pub(super) throughput: u64,
    pub(super) estimated_bitrate: u64,
    pub(super) queue_level_bytes: u64,
    pub(super) queue_level_time: Duration,
    pub(super) media_timestamp: Option<Duration>,
    pub(super) callers: Vec<CallerStats>,
    pub(super) tunnel: Option<TunnelStats>,
}

/// One moment of somebody who came to a listener.
#[derive(Clone, Debug)]
pub(super) struct CallerStats {
    pub(super) id: u64,
    pub(super) caller: Caller,
    pub(super) role: &'static str,
    pub(super) since: Instant,
    pub(super) bytes: u64,
    pub(super) queue_bytes: u64,
    pub(super) queue_time: Duration,
    pub(super) dropped: u64,
    pub(super) round_trip: Option<Duration>,
}

impl CallerStats {
    fn to_structure(&self) -> gst::Structure {
        let time = self.since.elapsed();
        let bitrate = self.bytes as f64 * 8.0 / time.as_secs_f64().max(1e-3);
        gst::Structure::builder("caller")
            .field("id", self.id)
            .field("address", callers::address(&self.caller))
            .field("role", self.role)
            .field("application", &self.caller.app)
            .field("stream", &self.caller.stream)
            .field("user", self.caller.user.as_deref())
            .field("encoder", &self.caller.encoder)
            .field("can-reconnect", self.caller.can_reconnect)
            .field("connected-time", clock_time(Some(time)))
            .field("bytes", self.bytes)
            .field("bitrate", bitrate as u64)
            .field("queue-level-bytes", self.queue_bytes)
            .field("queue-level-time", clock_time(Some(self.queue_time)))
            .field("dropped-tags", self.dropped)
            .field("round-trip-time", clock_time(self.round_trip))
            .build()
    }
}

impl Stats {
    /// Takes over the counters of a connection.
    pub(super) fn set_link(&mut self, link: LinkStats) {
        self.in_chunk_size = link.in_chunk_size;
        self.out_chunk_size = link.out_chunk_size;
        self.in_window_ack_size = link.in_window_ack_size;
        self.out_window_ack_size = link.out_window_ack_size;
        self.in_bytes_total = link.in_bytes_total;
        self.out_bytes_total = link.out_bytes_total;
        self.in_bytes_acked = link.in_bytes_acked;
        self.out_bytes_acked = link.out_bytes_acked;
    }

    /// As applications get it.
    pub(super) fn to_structure(&self) -> gst::Structure {
        let stats = gst::Structure::builder("GstRtmpConnectionStats")
            .field("in-chunk-size", self.in_chunk_size)
            .field("out-chunk-size", self.out_chunk_size)
            .field("in-window-ack-size", self.in_window_ack_size)
            .field("out-window-ack-size", self.out_window_ack_size)
            .field("in-bytes-total", self.in_bytes_total)
            .field("out-bytes-total", self.out_bytes_total)
            .field("in-bytes-acked", self.in_bytes_acked)
            .field("out-bytes-acked", self.out_bytes_acked)
            .field("state", self.state.name())
            .field("connect-time", clock_time(self.connect_time))
            .field("round-trip-time", clock_time(self.round_trip_time))
            .field("reconnects", self.reconnects)
            .field("tags", self.tags)
            .field("dropped-tags", self.dropped_tags)
            .field("dropped-disposable", self.dropped.disposable)
            .field("dropped-inter", self.dropped.inter)
            .field("dropped-key", self.dropped.key)
            .field("dropped-sound", self.dropped.sound)
            .field("throughput", self.throughput)
            .field("estimated-bitrate", self.estimated_bitrate)
            .field("queue-level-bytes", self.queue_level_bytes)
            .field("queue-level-time", clock_time(Some(self.queue_level_time)))
            .field("media-timestamp", clock_time(self.media_timestamp))
            .field(
                "callers",
                gst::Array::new(self.callers.iter().map(CallerStats::to_structure)),
            );
        let Some(tunnel) = &self.tunnel else {
            return stats.build();
        };
        stats
            .field("requests", tunnel.requests)
            .field("empty-replies", tunnel.empty_replies)
            .field("polling-interval", clock_time(Some(tunnel.interval)))
            .field("overhead-ratio", tunnel.overhead_ratio())
            .build()
    }
}

fn clock_time(span: Option<Duration>) -> Option<gst::ClockTime> {
    span.and_then(|span| span.try_into().ok())
}

/**
 * stats:
 *
 * A structure `GstRtmpConnectionStats`. All times are GstClockTime, in nanoseconds, and
 * GST_CLOCK_TIME_NONE while unknown. Bytes and windows are those of the present connection; tags, drops
 * and reconnects go on from one to the next.
 *
 * | field | type | meaning |
 * |---|---|---|
 * | `in-chunk-size`, `out-chunk-size` | uint | largest chunk in either direction, bytes |
 * | `in-window-ack-size`, `out-window-ack-size` | uint | bytes after which we, the peer acknowledge |
 * | `in-bytes-total`, `out-bytes-total` | uint64 | bytes received, sent |
 * | `in-bytes-acked`, `out-bytes-acked` | uint64 | of these, acknowledged by us, by the peer |
 * | `state` | string | idle, connecting, streaming, listening |
 * | `connect-time` | uint64 | from the first attempt to the running stream |
 * | `round-trip-time` | uint64 | as the kernel estimates it |
 * | `reconnects` | uint | connections replaced, of a listener: publishers after the first |
 * | `tags` | uint64 | FLV tags received or sent |
 * | `dropped-tags` | uint64 | tags that a slow network has cost |
 * | `dropped-disposable`, `dropped-inter`, `dropped-key`, `dropped-sound` | uint64 | of these, as caller: pictures that
 *   no other needs, others but key frames, key frames, sound |
 * | `throughput` | uint64 | bits a second that were acknowledged lately, of a live publication |
 * | `estimated-bitrate` | uint64 | as the property of rtmpsink |
 * | `queue-level-bytes`, `queue-level-time` | uint64 | what waits to be sent |
 * | `media-timestamp` | uint64 | time stamp of the last tag on the stream's own time line |
 * | `requests` | uint64 | of a tunnel through HTTP: requests made, repeated ones too |
 * | `empty-replies` | uint64 | replies to them without data |
 * | `polling-interval` | uint64 | how long the server asks to wait between two polls |
 * | `overhead-ratio` | double | bytes on the wire for each byte of RTMP, 1.02 for 2 % more |
 * | `callers` | array of structures | of a listener: who publishes or plays |
 *
 * A listening rtmpsink gives the sums of all its players, and leaves chunk sizes, windows and queue level
 * at 0. A structure of `callers`:
 *
 * | field | type | meaning |
 * |---|---|---|
 * | `id` | uint64 | the number that `caller-added` gave |
 * | `address` | string | where from |
 * | `role` | string | publisher, player |
 * | `application`, `stream` | string | what it named, without queries |
 * | `user` | string | who it has proved to be, NULL if nobody asked |
 * | `encoder` | string | what it says it is (`flashVer`) |
 * | `can-reconnect` | boolean | whether `request-reconnect` reaches it |
 * | `connected-time` | uint64 | since it was let in |
 * | `bytes` | uint64 | received from or sent to it |
 * | `bitrate` | uint64 | the mean since it was let in, bits a second |
 * | `queue-level-bytes`, `queue-level-time` | uint64 | what waits for a player |
 * | `dropped-tags` | uint64 | what a player missed because it was too slow |
 * | `round-trip-time` | uint64 | as the kernel estimates it |
 */
#[allow(unused_doc_comments)]
pub(super) fn property() -> glib::ParamSpec {
    glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
        .nick("Statistics")
        .blurb(
            "Bytes, tags, drops, queue level, round trip and state of the connection, as a structure",
        )
        .read_only()
        .build()
}

/**
 * estimated-bitrate:
 *
 * Measured as caller while a live pipeline publishes, by what TCP acknowledges (RTMP's own acknowledgements come too
 * seldom). While something waits to be sent it is what the network carries; otherwise at least that, and it rises in
 * small steps to twice of what is sent at most.
 *
 * From the first congestion on, until as much goes through as before, a custom upstream event goes to the encoder once
 * a second at the most, and the same structure as an element message to the application: `rtmp-bitrate` with
 * `bitrate` (uint64, bits a second that sound and pictures together should have: a fifth less than the estimate as long
 * as something waits, so that the queue empties), `throughput` (uint64, bits a second acknowledged lately),
 * `queue-level-time` (GstClockTime) and `congested` (boolean: something has waited for half a second). What was dropped
 * is told of by a QoS event (overflow) and, where a key frame is needed, a GstForceKeyUnit event.
 */
#[allow(unused_doc_comments)]
pub(super) fn estimated_bitrate() -> glib::ParamSpec {
    glib::ParamSpecUInt64::builder("estimated-bitrate")
        .nick("Estimated bitrate")
        .blurb(
            "What the network is believed to carry of a live publication, in bits a second (0 = unknown); the \
             upstream event rtmp-bitrate tells encoders",
        )
        .read_only()
        .build()
}
