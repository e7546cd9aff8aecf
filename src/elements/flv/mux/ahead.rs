// SPDX-License-Identifier: MPL-2.0

//! How far pads may run ahead of what is written.
//!
//! Unless there is latency to fill, GstAggregator keeps one buffer a pad: each frame then puts its
//! source to sleep, and the muxer as well, which costs ten times what muxing does. A live stream
//! needs that. Where nothing is live, pads are allowed a little more.
//!
//! The only measure that GStreamer 1.22 has for it is `min-upstream-latency`. It counts time and
//! nothing else: frames without times would never be too many. So bytes are counted here.

use std::sync::atomic::{AtomicUsize, Ordering};

use gst::{ClockTime, prelude::*, subclass::prelude::*};
use gst_base::prelude::*;

use super::{
    FlvMuxBridgePad,
    imp::{CAT, FlvMuxBridge, lock},
};

/// How far a pad may be ahead where nothing is live.
const AHEAD: ClockTime = ClockTime::from_mseconds(200);

/// Bytes in a pad that end it. 200 ms of 300 Mb/s are less.
const BYTES: usize = 8 << 20;

/// What a buffer holds besides its bytes, about.
const BUFFER: usize = 1 << 10;

/// Whether pads run ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ahead {
    /// Until the first frame nobody knows what is live.
    #[default]
    Undecided,
    Yes,
    No,
}

/// Bytes that wait in a pad.
#[derive(Debug, Default)]
pub(super) struct Held(AtomicUsize);

impl Held {
    /// Takes a frame in; `false` where there are too many.
    fn add(&self, buffer: &gst::BufferRef) -> bool {
        let size = buffer.size() + BUFFER;
        self.0.fetch_add(size, Ordering::Relaxed) + size <= BYTES
    }

    /// A frame was taken out. Not all came through [`add`](Self::add): gaps become frames.
    pub(super) fn remove(&self, buffer: &gst::BufferRef) {
        let size = buffer.size() + BUFFER;
        let fewer = |held: usize| Some(held.saturating_sub(size));
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
    }

    pub(super) fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Counts what comes to a pad.
pub(super) fn count(pad: &FlvMuxBridgePad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        if let Some(buffer) = info.buffer()
            && let Some(pad) = pad.downcast_ref::<FlvMuxBridgePad>()
            && !pad.imp().held.add(buffer)
            && let Some(mux) = pad.parent().and_downcast::<super::FlvMuxBridge>()
            && mux.imp().end_ahead()
        {
            gst::info!(CAT, obj = pad, "Too much is waiting to let it run ahead");
            mux.imp().measure();
        }
        gst::PadProbeReturn::Ok
    });
}

impl FlvMuxBridge {
    /// The first frame of all pads is here, and so it is known whether one is live.
    pub(super) fn decide_ahead(&self) {
        if *lock(&self.ahead) != Ahead::Undecided {
            return;
        }
        let obj = self.obj();
        let asked = obj.property::<u64>("latency") > 0 || !obj.min_upstream_latency().is_zero();
        if asked || obj.latency().is_some() {
            *lock(&self.ahead) = Ahead::No;
            return;
        }
        *lock(&self.ahead) = Ahead::Yes;
        obj.set_min_upstream_latency(AHEAD);
        if *lock(&self.ahead) == Ahead::No {
            // It was ended while nobody could undo it.
            obj.set_min_upstream_latency(ClockTime::ZERO);
        }
        self.measure();
    }

    /// Back to what the application knows of. Whether there was anything to undo, which takes effect
    /// with the next query.
    pub(super) fn end_ahead(&self) -> bool {
        let was = std::mem::replace(&mut *lock(&self.ahead), Ahead::No);
        let obj = self.obj();
        let ours = was == Ahead::Yes && obj.min_upstream_latency() == AHEAD;
        if ours {
            obj.set_min_upstream_latency(ClockTime::ZERO);
        }
        ours
    }

    /// GstAggregator looks at the latency when it is asked for it.
    fn measure(&self) {
        let mut query = gst::query::Latency::new();
        self.obj().src_pad().query(query.query_mut());
    }

    /// Answers a query for latency. Once something is live, running ahead would be a delay.
    pub(super) fn is_live_now(query: &gst::QueryRef) -> bool {
        matches!(query.view(), gst::QueryView::Latency(latency) if latency.result().0)
    }
}
