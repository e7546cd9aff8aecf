// SPDX-License-Identifier: MPL-2.0

//! A sink pad: what it carries, and how that is to be written.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use glib::subclass::prelude::*;
use gst::{prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};

use super::{TrackMode, ahead::Held, track::Format};

/// The class behind [`FlvMuxBridgePad`](super::FlvMuxBridgePad).
#[derive(Debug, Default)]
pub struct FlvMuxBridgePad {
    mode: Mutex<TrackMode>,
    carried: Mutex<Carried>,
    /// What waits in it.
    pub(super) held: Held,
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
        self.carried().news = true;
        self.held.clear();
        Ok(gst::FlowSuccess::Ok)
    }
}
