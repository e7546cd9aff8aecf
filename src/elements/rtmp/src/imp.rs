// SPDX-License-Identifier: MPL-2.0

//! The class behind [`RtmpSrc`](super::RtmpSrc).

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use glib::subclass::{Signal, prelude::*};
use gst::{prelude::*, subclass::prelude::*};
use gst_base::{
    prelude::*,
    subclass::{base_src::CreateSuccess, prelude::*},
};

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
    gst::DebugCategory::new(
        "rtmpsrc",
        gst::DebugColorFlags::empty(),
        Some("RTMP source"),
    )
});

#[derive(Debug)]
pub struct RtmpSrc {
    settings: Mutex<Settings>,
}

impl RtmpSrc {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_location(&self, location: &str) -> Result<(), glib::Error> {
        location::set(self.obj().upcast_ref(), &mut self.settings(), location)
            .inspect_err(|err| gst::error!(CAT, imp = self, "Location refused: {err}"))
    }
}

#[glib::object_subclass]
impl ObjectSubclass for RtmpSrc {
    const NAME: &'static str = "GstRsRtmpSrc";
    type Type = super::RtmpSrc;
    type ParentType = gst_base::PushSrc;
    type Interfaces = (gst::URIHandler,);

    fn new() -> Self {
        Self {
            settings: Mutex::new(Settings::new(Role::Source)),
        }
    }
}

impl ObjectImpl for RtmpSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        Table::of(Role::Source).specs()
    }

    fn signals() -> &'static [Signal] {
        static SIGNALS: LazyLock<Vec<Signal>> =
            LazyLock::new(|| vec![signals::accept_certificate()]);
        &SIGNALS
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_format(gst::Format::Time);
        obj.set_live(true);
    }

    fn property(&self, id: usize, _pspec: &glib::ParamSpec) -> glib::Value {
        Table::of(Role::Source)
            .get(&self.settings(), id)
            .unwrap_or_else(|| Stats::default().to_structure().to_value())
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            // Logged where it is refused; a property cannot report more.
            "location" => {
                let _ = self.set_location(location::of(value));
            }
            _ => Table::of(Role::Source).set(&mut self.settings(), id, value),
        }
    }
}

impl GstObjectImpl for RtmpSrc {}

impl ElementImpl for RtmpSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "RTMP source",
                "Source/Network",
                "Plays a live or recorded stream from an RTMP or RTMPS server, or is the server that \
                 somebody publishes to",
                AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            gst::PadTemplate::new(
                "src",
                gst::PadDirection::Src,
                gst::PadPresence::Always,
                &gst::Caps::new_empty_simple("video/x-flv"),
            )
            .into_iter()
            .collect()
        });
        &TEMPLATES
    }
}

impl BaseSrcImpl for RtmpSrc {
    fn is_seekable(&self) -> bool {
        false
    }
}

impl PushSrcImpl for RtmpSrc {
    fn create(
        &self,
        _buffer: Option<&mut gst::BufferRef>,
    ) -> Result<CreateSuccess, gst::FlowError> {
        let settings = self.settings().clone();
        Failure::settings("Not connected.").post(self.obj().upcast_ref(), &settings);
        Err(gst::FlowError::Error)
    }
}

impl URIHandlerImpl for RtmpSrc {
    const URI_TYPE: gst::URIType = gst::URIType::Src;

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
