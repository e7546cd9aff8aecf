// SPDX-License-Identifier: MPL-2.0

//! The class behind [`RtmpSink`](super::RtmpSink).

use std::sync::{
    Arc, LazyLock, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use glib::subclass::{Signal, prelude::*};
use gst::{prelude::*, subclass::prelude::*};
use gst_base::{prelude::*, subclass::prelude::*};

use super::{listen::OnAir, notices::Notices, outlet::Outlet, pauses::Pauses};
use crate::{
    elements::rtmp::{
        PROTOCOLS,
        error::Failure,
        kinds::{Mode, QueuePolicy, Scheme},
        location,
        properties::Table,
        settings::{Role, Settings},
        signals,
        stats::{State, Stats},
    },
    elements::{AUTHOR, codecs},
    net::{
        connection::ConnectionError,
        interrupt::Interrupt,
        publisher::{Overflow, Publisher, PublisherConfig, PushError, Pushed},
        queue::{Loss, QueueLimits},
        throughput::Advice,
    },
    protocol::{
        flv::{FlvError, Needs, Tag},
        rtmp::session::Stage,
    },
};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("rtmpsink", gst::DebugColorFlags::empty(), Some("RTMP sink"))
});

#[derive(Debug, Default)]
pub struct RtmpSink {
    settings: Mutex<Option<Settings>>,
    /// Cloned out for every use; what waits, waits without this lock.
    publisher: Mutex<Option<Arc<Publisher>>>,
    /// What the streaming thread alone uses.
    streaming: Mutex<Streaming>,
    /// Ends the wait for a SWF file.
    interrupt: Interrupt,
    notices: Arc<Notices>,
    /// One failure is one message, whichever thread sees it first.
    failed: AtomicBool,
    pub(super) pauses: Pauses,
    media_timestamp: Mutex<Option<u32>>,
    /// Of a listener, between PAUSED and READY.
    on_air: Mutex<Option<OnAir>>,
}

#[derive(Debug, Default)]
pub(super) struct Streaming {
    /// To players.
    listens: bool,
    /// Nothing goes out before the first of them has come.
    pub(super) waits: bool,
    pub(super) outlet: Outlet,
    overflow: Option<Overflow>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RtmpSink {
    pub(super) fn with_settings<T>(&self, work: impl FnOnce(&mut Settings) -> T) -> T {
        work(lock(&self.settings).get_or_insert_with(|| Settings::new(Role::Sink)))
    }

    pub(super) fn set_default_scheme(&self, scheme: Scheme) {
        self.with_settings(|settings| settings.scheme.set_default(scheme));
    }

    pub(super) fn set_location(&self, location: &str) -> Result<(), glib::Error> {
        let obj = self.obj();
        self.with_settings(|settings| location::set(obj.upcast_ref(), settings, location))
            .inspect_err(|err| gst::error!(CAT, imp = self, "Location refused: {err}"))
    }

    /// Starts on the way to PAUSED. The base class would have it done on the way to READY, where
    /// settings may still change, and adds an error of its own to ours.
    fn begin(&self) -> Result<(), gst::StateChangeError> {
        self.failed.store(false, Ordering::SeqCst);
        self.pauses.forget();
        *lock(&self.media_timestamp) = None;
        let settings = self.with_settings(|settings| settings.clone());
        *lock(&self.streaming) = Streaming {
            listens: settings.mode == Mode::Listener,
            waits: settings.wait_for_connection,
            ..Streaming::default()
        };
        let begun = match settings.mode {
            Mode::Listener => match settings.check_listener() {
                Ok(()) if Self::opens_at_once(&settings) => self.listen().map(|_| ()),
                checked => checked.map_err(Some),
            },
            // A SWF file has to be fetched first, which waits: that is for the streaming thread.
            Mode::Caller => match settings.check_location() {
                Ok(()) if settings.async_connect && !*settings.swf_verify => {
                    self.connect(None).map(|_| ())
                }
                checked => checked.map_err(Some),
            },
        };
        if let Err(Some(failure)) = begun {
            self.fail(&failure);
            return Err(gst::StateChangeError);
        }
        Ok(())
    }

    /// Stops once nothing streams any more.
    fn end(&self) {
        self.hang_up();
        let publisher = lock(&self.publisher).take();
        if let Some(publisher) = publisher {
            publisher.abandon();
        }
        self.notices.end(self.obj().upcast_ref());
        *lock(&self.streaming) = Streaming::default();
    }

    /// Begins to connect; waits for nothing but a SWF file that has to be verified. What the stream
    /// needs may be known from its headers, else who is linked may know.
    fn connect(&self, needs: Option<Needs>) -> Result<Arc<Publisher>, Option<Failure>> {
        let settings = self.with_settings(|settings| settings.clone());
        let swf = settings.swf(Role::Sink, &self.interrupt)?;
        let obj = self.obj();
        let element = obj.upcast_ref();
        let needs = needs.or_else(|| codecs::ask(obj.sink_pad()));
        let places = settings.places()?;
        let places = places
            .iter()
            .map(|settings| settings.place(Role::Sink, element, swf, needs.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        gst::info!(CAT, imp = self, "Connecting to {}", settings.location());
        let publisher = PublisherConfig {
            queue: QueueLimits {
                bytes: match settings.queue_bytes {
                    0 => usize::MAX,
                    bytes => bytes as usize,
                },
                time: settings.queue_time,
            },
            pacing: settings.pacing(),
            stall_timeout: settings.stall_timeout,
            reconnect: settings.reconnect_policy(),
            demand: settings.enhanced.into(),
            needs: needs.unwrap_or_default(),
            redirects: settings.redirect_rules(element)?,
        };
        let (notices, element) = (self.notices.clone(), self.obj().downgrade());
        self.notices.begin(self.obj().upcast_ref());
        let publisher = Publisher::start(places, publisher, move |notice| {
            notices.tell(&element, notice);
        })
        .map_err(|error| Failure::settings(&format!("There are no resources left: {error}.")))?;
        let publisher = Arc::new(publisher);
        *lock(&self.publisher) = Some(publisher.clone());
        Ok(publisher)
    }

    pub(super) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    pub(super) fn on_air(&self) -> &Mutex<Option<OnAir>> {
        &self.on_air
    }

    /// The publication, begun now if it was not before.
    fn publisher(&self, outlet: &Outlet) -> Result<Arc<Publisher>, gst::FlowError> {
        let known = lock(&self.publisher).clone();
        if let Some(publisher) = known {
            return Ok(publisher);
        }
        let obj = self.obj();
        self.pauses.pass(obj.upcast_ref())?;
        loop {
            match self.connect(outlet.needs()) {
                Ok(publisher) => return Ok(publisher),
                Err(None) => self.pauses.wait_out(obj.upcast_ref())?,
                Err(Some(failure)) => {
                    self.fail(&failure);
                    return Err(gst::FlowError::Error);
                }
            }
        }
    }

    pub(super) fn fail(&self, failure: &Failure) {
        if !self.failed.swap(true, Ordering::SeqCst) {
            let settings = self.with_settings(|settings| settings.clone());
            failure.post(self.obj().upcast_ref(), &settings);
        }
    }

    /// Posts why a connection failed.
    pub(super) fn fail_connection(&self, error: &ConnectionError) {
        if let Some(failure) = Failure::connection(Role::Sink, error) {
            self.fail(&failure);
        }
    }

    fn send(
        &self,
        publisher: &Publisher,
        tag: Tag,
        overflow: Overflow,
    ) -> Result<(), gst::FlowError> {
        let timestamp = tag.timestamp();
        let Pushed { loss, advice } =
            self.through_pauses(|| publisher.push(tag.clone(), overflow))?;
        *lock(&self.media_timestamp) = Some(timestamp);
        if let Some(advice) = advice {
            self.advise(publisher, advice);
        }
        match loss {
            None => {}
            Some(Loss::Cut(dropped)) => {
                self.report_dropped(publisher, dropped);
                self.ask_for_less();
                self.ask_for_key_frame();
            }
            Some(Loss::Thinned(dropped)) => {
                self.report_dropped(publisher, dropped);
                self.ask_for_less();
            }
            Some(Loss::Resumed(dropped)) => self.report_dropped(publisher, dropped),
        }
        Ok(())
    }

    /// Does what may have to wait for the network, again after each pause of the pipeline.
    fn through_pauses<T>(
        &self,
        mut work: impl FnMut() -> Result<T, PushError>,
    ) -> Result<T, gst::FlowError> {
        let obj = self.obj();
        self.pauses.pass(obj.upcast_ref())?;
        loop {
            match work() {
                Ok(done) => return Ok(done),
                Err(PushError::Interrupted) => self.pauses.wait_out(obj.upcast_ref())?,
                Err(PushError::Failed(error)) => {
                    self.notices.failed(&obj, error);
                    return Err(gst::FlowError::Error);
                }
            }
        }
    }

    /// Tells the application what a slow network has cost.
    fn report_dropped(&self, publisher: &Publisher, dropped: u64) {
        let stats = publisher.stats();
        let obj = self.obj();
        gst::warning!(
            CAT,
            imp = self,
            "The network is too slow: {dropped} tags dropped, {} in all",
            stats.dropped.sum()
        );
        let structure = gst::Structure::builder("rtmp-dropped")
            .field("tags", dropped)
            .field("total", stats.dropped.sum())
            .build();
        let _ = obj.post_message(gst::message::Element::builder(structure).src(&*obj).build());
    }

    /// Tells upstream and the application what the network carries; see the property
    /// `estimated-bitrate`.
    fn advise(&self, publisher: &Publisher, advice: Advice) {
        let obj = self.obj();
        let queue = gst::ClockTime::try_from(publisher.stats().queued_time).ok();
        let structure = gst::Structure::builder("rtmp-bitrate")
            .field("bitrate", advice.bitrate)
            .field("throughput", advice.throughput)
            .field("queue-level-time", queue)
            .field("congested", advice.congested)
            .build();
        gst::debug!(CAT, imp = self, "{structure}");
        let event = gst::event::CustomUpstream::new(structure.clone());
        obj.sink_pad().push_event(event);
        let _ = obj.post_message(gst::message::Element::builder(structure).src(&*obj).build());
    }

    /// The network is slower than the encoder: asks it for less.
    fn ask_for_less(&self) {
        let obj = self.obj();
        let pad = obj.sink_pad();
        let running_time = obj.current_running_time();
        let jitter = running_time.unwrap_or_default().nseconds() as i64;
        let qos = gst::event::Qos::builder(gst::QOSType::Overflow, 2.0, jitter)
            .timestamp(running_time)
            .build();
        pad.push_event(qos);
    }

    /// A group of pictures was cut, or is to be: asks for a key frame to go on from.
    pub(super) fn ask_for_key_frame(&self) {
        // What gst_video_event_new_upstream_force_key_unit() makes, without its library.
        let key_unit = gst::Structure::builder("GstForceKeyUnit")
            .field("running-time", None::<gst::ClockTime>)
            .field("all-headers", false)
            .field("count", 0u32)
            .build();
        let event = gst::event::CustomUpstream::new(key_unit);
        self.obj().sink_pad().push_event(event);
    }

    pub(super) fn flv_failed(&self, error: &FlvError) -> gst::FlowError {
        if !self.failed.swap(true, Ordering::SeqCst) {
            gst::element_imp_error!(
                self,
                gst::StreamError::WrongType,
                ("What comes in is no FLV ({error}); put flvmux streamable=true before this element.")
            );
        }
        gst::FlowError::Error
    }

    /// Whether to wait for a slow network or to drop: live media cannot wait.
    fn overflow(&self) -> Overflow {
        match self.with_settings(|settings| settings.queue_policy) {
            QueuePolicy::Block => Overflow::Wait,
            QueuePolicy::Drop => Overflow::Drop,
            QueuePolicy::Auto => {
                let mut query = gst::query::Latency::new();
                let live = self.obj().sink_pad().peer_query(&mut query) && query.result().0;
                if live { Overflow::Drop } else { Overflow::Wait }
            }
        }
    }

    /// Waits until a tag of an untimed stream is due.
    pub(super) fn wait_until_due(
        &self,
        outlet: &mut Outlet,
        tag: &Tag,
    ) -> Result<(), gst::FlowError> {
        let obj = self.obj();
        if !obj.is_sync() {
            return Ok(());
        }
        let Some(now) = obj.current_running_time() else {
            return Ok(());
        };
        match outlet.due(tag, now) {
            Some(due) if due > now => obj.wait(due).0.map(|_| ()),
            _ => Ok(()),
        }
    }

    fn stats(&self) -> gst::Structure {
        if let Some(station) = self.station() {
            return self.listener_stats(&station).to_structure();
        }
        let mut stats = Stats::default();
        let publisher = lock(&self.publisher).clone();
        if let Some(publisher) = publisher {
            let figures = publisher.stats();
            stats.set_link(figures.link);
            stats.state = match figures.stage {
                Some(Stage::Running) => State::Streaming,
                None if figures.waits => State::Connecting,
                Some(Stage::Stopped) | None => State::Idle,
                Some(_) => State::Connecting,
            };
            stats.connect_time = figures.connect_time;
            stats.round_trip_time = figures.round_trip;
            stats.reconnects = figures.reconnects;
            stats.tunnel = figures.tunnel;
            stats.tags = figures.sent;
            stats.dropped_tags = figures.dropped.sum();
            stats.dropped = figures.dropped;
            stats.throughput = figures.throughput;
            stats.estimated_bitrate = figures.estimate.unwrap_or(0);
            stats.queue_level_bytes = figures.queued_bytes as u64;
            stats.queue_level_time = figures.queued_time;
        }
        let timestamp = *lock(&self.media_timestamp);
        stats.media_timestamp = timestamp.map(|ms| std::time::Duration::from_millis(ms.into()));
        stats.to_structure()
    }
}

#[glib::object_subclass]
impl ObjectSubclass for RtmpSink {
    const NAME: &'static str = "GstRsRtmpSink";
    type Type = super::RtmpSink;
    type ParentType = gst_base::BaseSink;
    type Interfaces = (gst::URIHandler,);
}

impl ObjectImpl for RtmpSink {
    fn properties() -> &'static [glib::ParamSpec] {
        Table::of(Role::Sink).specs()
    }

    fn signals() -> &'static [Signal] {
        static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
            signals::all(*CAT, |element, request, id| {
                let sink = element.downcast_ref::<super::RtmpSink>();
                let station = sink.and_then(|sink| sink.imp().station());
                station.map_or(0, |station| station.request_reconnect(&request, id))
            })
        });
        &SIGNALS
    }

    fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let setting = self.with_settings(|settings| Table::of(Role::Sink).get(settings, id));
        setting.unwrap_or_else(|| match pspec.name() {
            "estimated-bitrate" => {
                let publisher = lock(&self.publisher).clone();
                let estimate = publisher.and_then(|publisher| publisher.stats().estimate);
                estimate.unwrap_or(0).to_value()
            }
            _ => self.stats().to_value(),
        })
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            // Logged where it is refused; a property cannot report more.
            "location" => {
                let _ = self.set_location(location::of(value));
            }
            _ => self.with_settings(|settings| Table::of(Role::Sink).set(settings, id, value)),
        }
        if pspec.name() == "peak-kbps"
            && let Some(publisher) = lock(&self.publisher).clone()
        {
            publisher.pace(self.with_settings(|settings| settings.pacing()));
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
                "Publishes FLV to an RTMP server, plain or wrapped in TLS, RTMPE or HTTP, or is the \
                 server that plays it to others",
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

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.begin()?,
            gst::StateChange::PlayingToPaused => self.pauses.begin(),
            _ => {}
        }
        let result = self.parent_change_state(transition);
        if transition == gst::StateChange::PausedToPlaying {
            self.pauses.end(self.obj().upcast_ref());
        }
        let stopped = transition == gst::StateChange::PausedToReady;
        if stopped || (transition == gst::StateChange::ReadyToPaused && result.is_err()) {
            self.end();
        }
        result
    }
}

impl BaseSinkImpl for RtmpSink {
    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.set();
        let publisher = lock(&self.publisher).clone();
        publisher.iter().for_each(|publisher| publisher.interrupt());
        self.station().iter().for_each(|s| s.interrupt());
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.clear();
        let publisher = lock(&self.publisher).clone();
        publisher.iter().for_each(|publisher| publisher.resume());
        self.station().iter().for_each(|s| s.resume());
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let headers = caps
            .structure(0)
            .and_then(|structure| structure.get::<gst::Array>("streamheader").ok())
            .unwrap_or_default();
        let headers = headers
            .iter()
            .filter_map(|value| value.get::<gst::Buffer>().ok())
            .filter_map(|buffer| bytes_of(&buffer));
        lock(&self.streaming).outlet.set_headers(headers);
        self.parent_set_caps(caps)
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let streaming = &mut *lock(&self.streaming);
        if streaming.listens {
            return self.broadcast(streaming, buffer);
        }
        let publisher = self.publisher(&streaming.outlet)?;
        let overflow = *streaming.overflow.get_or_insert_with(|| self.overflow());
        let timed = buffer.dts_or_pts().is_some();
        let Some(bytes) = bytes_of(buffer) else {
            gst::element_imp_error!(self, gst::ResourceError::Read, ["Cannot map a buffer."]);
            return Err(gst::FlowError::Error);
        };
        let outlet = &mut streaming.outlet;
        outlet.push(bytes);
        while let Some(tag) = outlet.next().map_err(|error| self.flv_failed(&error))? {
            let headers = outlet.due_headers();
            if !headers.is_empty() {
                publisher.expect(&headers);
            }
            for header in headers {
                self.send(&publisher, header, overflow)?;
            }
            if !timed {
                self.wait_until_due(outlet, &tag)?;
            }
            self.send(&publisher, tag, overflow)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Eos(_) => {
                let publisher = lock(&self.publisher).clone();
                let pending = lock(&self.streaming).outlet.pending();
                if pending > 0 {
                    gst::warning!(
                        CAT,
                        imp = self,
                        "{pending} bytes at the end are no whole tag"
                    );
                }
                if let Some(station) = self.station() {
                    station.end();
                }
                if let Some(publisher) = publisher
                    && self.through_pauses(|| publisher.finish()).is_err()
                {
                    return false;
                }
                gst::info!(
                    CAT,
                    imp = self,
                    "The stream has ended, the server has it all"
                );
            }
            gst::EventView::FlushStop(_) => {
                self.pauses.forget();
                lock(&self.streaming).outlet.reset();
            }
            _ => {}
        }
        self.parent_event(event)
    }
}

/// The bytes of a buffer, without a copy where it is in one piece.
pub(super) fn bytes_of(buffer: &gst::Buffer) -> Option<Bytes> {
    let map = buffer.clone().into_mapped_buffer_readable().ok()?;
    Some(Bytes::from_owner(map))
}

impl URIHandlerImpl for RtmpSink {
    const URI_TYPE: gst::URIType = gst::URIType::Sink;

    fn protocols() -> &'static [&'static str] {
        PROTOCOLS
    }

    fn uri(&self) -> Option<String> {
        Some(self.with_settings(|settings| settings.location()))
    }

    fn set_uri(&self, uri: &str) -> Result<(), glib::Error> {
        self.set_location(uri)
    }
}
