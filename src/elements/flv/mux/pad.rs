// SPDX-License-Identifier: MPL-2.0

//! A sink pad: what it carries, and how that is to be written.

use std::sync::{
    LazyLock, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use glib::subclass::prelude::*;
use gst::{prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};

use super::{TrackMode, ahead::Held, track::Format};

/// The class behind [`FlvMuxBridgePad`](super::FlvMuxBridgePad).
#[derive(Debug)]
pub struct FlvMuxBridgePad {
    mode: Mutex<TrackMode>,
    carried: Mutex<Carried>,
    /// DTS of the last frame, ns of running time.
    reached: AtomicI64,
    /// What waits in it.
    pub(super) held: Held,
}

const NOWHERE: i64 = i64::MIN;

impl Default for FlvMuxBridgePad {
    fn default() -> Self {
        Self {
            mode: Mutex::default(),
            carried: Mutex::default(),
            reached: AtomicI64::new(NOWHERE),
            held: Held::default(),
        }
    }
}

/// What events told of the stream.
#[derive(Debug, Default)]
pub(super) struct Carried {
    pub(super) format: Option<Format>,
    /// The format is newer than the track that is made of it.
    pub(super) news: bool,
    pub(super) tags: Option<gst::TagList>,
}

impl FlvMuxBridgePad {
    pub(super) fn mode(&self) -> TrackMode {
        *self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next frame out.
    pub(super) fn take(&self) -> Option<gst::Buffer> {
        let buffer = self.obj().pop_buffer()?;
        self.held.remove(&buffer);
        Some(buffer)
    }

    /// Running time of the last frame, ns.
    pub(super) fn reached(&self) -> Option<i64> {
        let reached = self.reached.load(Ordering::Relaxed);
        (reached != NOWHERE).then_some(reached)
    }

    pub(super) fn reach(&self, running_time: i64) {
        self.reached.store(running_time, Ordering::Relaxed);
    }

    /// What comes next is a new stream.
    pub(super) fn renew(&self) {
        self.carried().news = true;
        self.held.clear();
        self.reach(NOWHERE);
    }

    pub(super) fn carried(&self) -> MutexGuard<'_, Carried> {
        self.carried.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[glib::object_subclass]
impl ObjectSubclass for FlvMuxBridgePad {
    const NAME: &'static str = "GstRsFlvMuxBridgePad";
    type Type = super::FlvMuxBridgePad;
    type ParentType = gst_base::AggregatorPad;
}

impl ObjectImpl for FlvMuxBridgePad {
    fn properties() -> &'static [glib::ParamSpec] {
        static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecEnum::builder::<TrackMode>("flv-track-mode")
                    .nick("FLV track mode")
                    .blurb(
                        "The form in which this pad is written; of pads with a number only that of a \
                         track is possible",
                    )
                    .mutable_ready()
                    .build(),
            ]
        });
        &SPECS
    }

    fn set_property(&self, _id: usize, value: &glib::Value, _spec: &glib::ParamSpec) {
        // There is but one.
        if let Ok(mode) = value.get() {
            *self.mode.lock().unwrap_or_else(PoisonError::into_inner) = mode;
        }
    }

    fn property(&self, _id: usize, _spec: &glib::ParamSpec) -> glib::Value {
        self.mode().to_value()
    }
}

impl GstObjectImpl for FlvMuxBridgePad {}
impl PadImpl for FlvMuxBridgePad {}

impl AggregatorPadImpl for FlvMuxBridgePad {
    fn flush(
        &self,
        _aggregator: &gst_base::Aggregator,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        // The headers are due again with what comes after.
        self.renew();
        Ok(gst::FlowSuccess::Ok)
    }
}
