// SPDX-License-Identifier: MPL-2.0

//! The class behind [`RtmpSrc`](super::RtmpSrc).

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use glib::subclass::{Signal, prelude::*};
use gst::{prelude::*, subclass::prelude::*};
use gst_base::{
    prelude::*,
    subclass::{base_src::CreateSuccess, prelude::*},
};

use super::{
    board::{Board, Notes},
    stream::Stream,
};
use crate::{
    elements::AUTHOR,
    elements::rtmp::{
        PROTOCOLS,
        error::Failure,
        kinds::{Live, Mode, Scheme},
        location,
        properties::Table,
        settings::{Role, Settings},
        signals,
        stats::State,
    },
    net::{
        interrupt::Interrupt,
        porter::{Mail, ReconnectRequest},
    },
};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "rtmpsrc",
        gst::DebugColorFlags::empty(),
        Some("RTMP source"),
    )
});

#[derive(Debug)]
pub struct RtmpSrc {
    settings: Mutex<Settings>,
    /// Taken out while the streaming thread works with it, so that nothing waits for this lock.
    stream: Mutex<Option<Box<Stream>>>,
    interrupt: Arc<Interrupt>,
    board: Arc<Board>,
    /// To the publisher that there is.
    mail: Arc<Mail>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RtmpSrc {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    /// What is wrong with the settings, as far as that shows without a connection.
    fn check(&self) -> Result<(), Failure> {
        let settings = self.settings().clone();
        match settings.mode {
            Mode::Caller => {
                settings.target(self.obj().upcast_ref())?;
                settings.client_config(Role::Source, None, None).map(drop)
            }
            Mode::Listener => settings.check_listener(),
        }
    }

    /// Asks the publisher to go, if it understands that, and is the one of this number where that is not 0.
    fn request_reconnect(&self, request: ReconnectRequest, id: u64) -> u32 {
        let asked = {
            let notes = self.board.notes();
            let publisher = notes.stats.callers.first();
            publisher.is_some_and(|publisher| {
                (id == 0 || publisher.id == id) && publisher.caller.can_reconnect
            })
        };
        if asked {
            self.mail.put(request);
            self.interrupt.nudge();
        }
        asked.into()
    }

    pub(super) fn set_default_scheme(&self, scheme: Scheme) {
        self.settings().scheme.set_default(scheme);
    }

    pub(super) fn set_location(&self, location: &str) -> Result<(), glib::Error> {
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
            stream: Mutex::default(),
            interrupt: Arc::default(),
            board: Arc::default(),
            mail: Arc::default(),
        }
    }
}

impl ObjectImpl for RtmpSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        Table::of(Role::Source).specs()
    }

    fn signals() -> &'static [Signal] {
        static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
            signals::all(*CAT, |element, request, id| {
                let source = element.downcast_ref::<super::RtmpSrc>();
                source.map_or(0, |source| source.imp().request_reconnect(request, id))
            })
        });
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
            .unwrap_or_else(|| self.board.notes().stats.to_structure().to_value())
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
                "Plays a live or recorded stream from an RTMP server, plain or wrapped in TLS, RTMPE or \
                 HTTP, or is the server that somebody publishes to",
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

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            let settings = self.settings().clone();
            // Here rather than in start(): to what fails there the base class adds an error of its own.
            self.check().map_err(|failure| {
                failure.post(self.obj().upcast_ref(), &settings);
                gst::StateChangeError
            })?;
            let recorded = *settings.live == Live::Recorded && settings.mode == Mode::Caller;
            self.obj().set_live(!recorded);
        }
        self.parent_change_state(transition)
    }
}

impl BaseSrcImpl for RtmpSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings().clone();
        *self.board.notes() = Notes {
            recorded: *settings.live == Live::Recorded && settings.mode == Mode::Caller,
            ..Notes::default()
        };
        let live = self.obj().is_live();
        let (interrupt, board) = (self.interrupt.clone(), self.board.clone());
        let mail = self.mail.clone();
        let stream = Stream::new(settings, interrupt, board, mail, live);
        *lock(&self.stream) = Some(Box::new(stream));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let stream = lock(&self.stream).take();
        if let Some(stream) = stream {
            stream.stop(&self.obj());
        }
        self.board.notes().stats.state = State::Idle;
        Ok(())
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.set();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.clear();
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        self.board.notes().recorded
    }

    fn do_seek(&self, segment: &mut gst::Segment) -> bool {
        let Some(time) = segment.downcast_ref::<gst::ClockTime>() else {
            return false;
        };
        if segment.rate() <= 0.0 {
            return false;
        }
        match &mut *lock(&self.stream) {
            Some(stream) if stream.is_open() => {
                stream.seek(time);
                true
            }
            // The base class begins with a seek to 0, which is where every stream begins.
            _ => time.start().is_none_or(|start| start.is_zero()),
        }
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(query) if self.obj().is_live() => {
                let latency = self.settings().latency;
                query.set(true, latency.try_into().unwrap_or_default(), None);
                true
            }
            gst::QueryViewMut::Duration(query) if query.format() == gst::Format::Time => {
                let notes = self.board.notes().clone();
                match notes.duration.filter(|_| notes.recorded) {
                    Some(duration) => query.set(duration),
                    None => return false,
                }
                true
            }
            gst::QueryViewMut::Seeking(query) if query.format() == gst::Format::Time => {
                let notes = self.board.notes().clone();
                query.set(
                    notes.recorded,
                    notes.recorded.then_some(gst::ClockTime::ZERO),
                    notes.duration,
                );
                true
            }
            gst::QueryViewMut::Scheduling(query) => {
                let flags =
                    gst::SchedulingFlags::SEQUENTIAL | gst::SchedulingFlags::BANDWIDTH_LIMITED;
                query.set(flags, 1, -1, 0);
                query.add_scheduling_modes([gst::PadMode::Push]);
                true
            }
            _ => BaseSrcImplExt::parent_query(self, query),
        }
    }
}

impl PushSrcImpl for RtmpSrc {
    fn create(
        &self,
        _buffer: Option<&mut gst::BufferRef>,
    ) -> Result<CreateSuccess, gst::FlowError> {
        let stream = lock(&self.stream).take();
        let mut stream = stream.ok_or(gst::FlowError::Flushing)?;
        let next = stream.next(&self.obj());
        *lock(&self.stream) = Some(stream);
        next.map(CreateSuccess::NewBuffer)
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
