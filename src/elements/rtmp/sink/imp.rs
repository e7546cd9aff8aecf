// SPDX-License-Identifier: MPL-2.0

//! The class behind [`RtmpSink`](super::RtmpSink).

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use glib::subclass::{Signal, prelude::*};
use gst::{prelude::*, subclass::prelude::*};
use gst_base::subclass::prelude::*;

use crate::elements::rtmp::{
    AUTHOR, PROTOCOLS,
    error::Failure,
    location,
    properties::Table,
    settings::{Role, Settings},
    signals,
    stats::Stats,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("rtmpsink", gst::DebugColorFlags::empty(), Some("RTMP sink"))
});

#[derive(Debug)]
pub struct RtmpSink {
    settings: Mutex<Settings>,
}

impl RtmpSink {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_location(&self, location: &str) -> Result<(), glib::Error> {
        location::set(self.obj().upcast_ref(), &mut self.settings(), location)
            .inspect_err(|err| gst::error!(CAT, imp = self, "Location refused: {err}"))
    }
}

#[glib::object_subclass]
impl ObjectSubclass for RtmpSink {
    const NAME: &'static str = "GstRsRtmpSink";
    type Type = super::RtmpSink;
    type ParentType = gst_base::BaseSink;
    type Interfaces = (gst::URIHandler,);

    fn new() -> Self {
        Self {
            settings: Mutex::new(Settings::new(Role::Sink)),
        }
    }
}

impl ObjectImpl for RtmpSink {
    fn properties() -> &'static [glib::ParamSpec] {
        Table::of(Role::Sink).specs()
    }

    fn signals() -> &'static [Signal] {
        static SIGNALS: LazyLock<Vec<Signal>> =
            LazyLock::new(|| vec![signals::accept_certificate()]);
        &SIGNALS
    }

    fn property(&self, id: usize, _pspec: &glib::ParamSpec) -> glib::Value {
        Table::of(Role::Sink)
            .get(&self.settings(), id)
            .unwrap_or_else(|| Stats::default().to_structure().to_value())
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            // Logged where it is refused; a property cannot report more.
            "location" => {
                let _ = self.set_location(location::of(value));
            }
            _ => Table::of(Role::Sink).set(&mut self.settings(), id, value),
        }
    }
}

impl GstObjectImpl for RtmpSink {}

impl ElementImpl for RtmpSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "RTMP sink",
                "Sink/Network",
                "Publishes FLV to an RTMP or RTMPS server",
                AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new(
                "sink",
                gst::PadDirection::Sink,
                gst::PadPresence::Always,
                &gst::Caps::new_empty_simple("video/x-flv"),
            )
            .into_iter()
            .collect()
        });
        &TEMPLATES
    }
}

impl BaseSinkImpl for RtmpSink {
    fn render(&self, _buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = self.settings().clone();
        Failure::settings("Not connected.").post(self.obj().upcast_ref(), &settings);
        Err(gst::FlowError::Error)
    }
}

impl URIHandlerImpl for RtmpSink {
    const URI_TYPE: gst::URIType = gst::URIType::Sink;

    fn protocols() -> &'static [&'static str] {
        PROTOCOLS
    }

    fn uri(&self) -> Option<String> {
        Some(self.settings().location())
    }

    fn set_uri(&self, uri: &str) -> Result<(), glib::Error> {
        self.set_location(uri)
    }
}
