// SPDX-License-Identifier: MPL-2.0

//! The class behind [`FlvDemuxBridge`](super::FlvDemuxBridge).

use std::sync::{
    LazyLock, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use gst::{ClockTime, prelude::*, subclass::prelude::*};

use super::{super::caps, flow::Flow, pull::Pull};
use crate::{
    elements::{AUTHOR, codecs},
    protocol::flv::{Needs, head::FourCc, script::KeyframeIndex},
};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "flvdemuxbridge",
        gst::DebugColorFlags::empty(),
        Some("FLV demuxer"),
    )
});

pub(super) const NOWHERE: u64 = u64::MAX;

#[derive(Debug)]
pub struct FlvDemuxBridge {
    pub(super) sink: gst::Pad,
    /// Held by the streaming thread while it works; others wait for it only where that thread has
    /// been stopped.
    pub(super) flow: Mutex<Flow>,
    pub(super) known: Mutex<Known>,
    pub(super) pull: Mutex<Pull>,
    /// Where key frames are. Not of the streaming thread alone, which may wait downstream for who asks.
    pub(super) index: Mutex<KeyframeIndex>,
    /// Time of the last frame in the segment, ns.
    pub(super) position: AtomicU64,
}

/// What others than the streaming thread ask for.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) duration: Option<ClockTime>,
    pub(super) segment: gst::FormattedSegment<ClockTime>,
    pub(super) mode: Mode,
    /// A seek upstream whose segment has yet to come.
    pub(super) sought: Option<gst::FormattedSegment<ClockTime>>,
}

/// How bytes come in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Push,
    /// Pushed by somebody who knows of time, such as rtmpsrc.
    PushTime,
    Pull,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes of a buffer, without a copy where it is in one piece.
fn bytes_of(buffer: gst::Buffer) -> Option<Bytes> {
    let map = buffer.into_mapped_buffer_readable().ok()?;
    Some(Bytes::from_owner(map))
}

impl FlvDemuxBridge {
    pub(super) fn flow(&self) -> MutexGuard<'_, Flow> {
        lock(&self.flow)
    }

    pub(super) fn moved_to(&self, time: ClockTime) {
        self.position.store(time.nseconds(), Ordering::Relaxed);
    }

    pub(super) fn lasts(&self, duration: ClockTime) {
        let before = lock(&self.known).duration.replace(duration);
        if before.is_some_and(|before| before != duration) {
            let message = gst::message::DurationChanged::builder().src(&*self.obj());
            let _ = self.obj().post_message(message.build());
        }
    }

    /// Takes bytes that are read one after the other.
    pub(super) fn take(
        &self,
        flow: &mut Flow,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        match bytes_of(buffer) {
            Some(bytes) => flow.take(&self.obj(), bytes),
            None => {
                gst::element_imp_error!(
                    self,
                    gst::ResourceError::Read,
                    ("A buffer could not be read.")
                );
                Err(gst::FlowError::Error)
            }
        }
    }

    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut flow = self.flow();
        if buffer.flags().contains(gst::BufferFlags::DISCONT) {
            if flow.reader.pending() > 0 {
                let position = flow.reader.position();
                flow.reader.restart(position);
            }
            flow.mark_discont();
        }
        self.take(&mut flow, buffer)
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Caps(caps) => {
                self.stream_headers(caps.caps());
                true
            }
            gst::EventView::Segment(segment) => {
                self.segment(segment.segment(), event.seqnum());
                true
            }
            gst::EventView::Eos(_) => {
                let mut flow = self.flow();
                let result = flow.end(&self.obj());
                if !flow.has_pads() && result.is_ok() {
                    self.nothing_found();
                }
                flow.push_event(&event);
                true
            }
            gst::EventView::FlushStart(_) => {
                gst::Pad::event_default(pad, Some(&*self.obj()), event)
            }
            gst::EventView::FlushStop(_) => {
                let result = gst::Pad::event_default(pad, Some(&*self.obj()), event.clone());
                let mut flow = self.flow();
                flow.jump(None);
                flow.renew_segment(None);
                result
            }
            // Ours are made of the tracks.
            gst::EventView::StreamStart(_) => true,
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        let all = || Needs {
            video: FourCc::VIDEO.to_vec(),
            audio: FourCc::AUDIO.to_vec(),
            multitrack: true,
            mod_ex: true,
        };
        codecs::answer(query, || Some(all()))
            || gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    /// A muxer puts its headers into its caps, for those who come late.
    fn stream_headers(&self, caps: &gst::CapsRef) {
        let headers = caps
            .structure(0)
            .and_then(|structure| structure.get::<gst::ArrayRef>("streamheader").ok());
        let Some(headers) = headers else { return };
        let mut flow = self.flow();
        if flow.has_pads() {
            return;
        }
        for header in headers.as_slice() {
            if let Ok(buffer) = header.get::<gst::Buffer>()
                && self.take(&mut flow, buffer).is_err()
            {
                flow.reader.reset();
                return;
            }
        }
        if flow.reader.pending() > 0 {
            flow.reader.reset();
        }
    }

    fn segment(&self, segment: &gst::Segment, seqnum: gst::Seqnum) {
        let mut flow = self.flow();
        let mut known = lock(&self.known);
        if let Some(segment) = segment.downcast_ref::<ClockTime>() {
            known.mode = Mode::PushTime;
            flow.segment = segment.clone();
        } else {
            known.mode = Mode::Push;
            if let Some(segment) = segment.downcast_ref::<gst::format::Bytes>() {
                let start = segment.start().map_or(0, |start| *start);
                if start > 0 {
                    flow.jump(Some(start));
                }
            }
            if let Some(sought) = known.sought.take() {
                flow.segment = sought;
            }
        }
        known.segment = flow.segment.clone();
        flow.renew_segment(Some(seqnum));
    }

    pub(super) fn nothing_found(&self) {
        gst::element_imp_error!(
            self,
            gst::StreamError::Demux,
            ("This FLV stream has neither pictures nor sound that can be played.")
        );
    }

    fn activate(&self, pad: &gst::Pad) -> Result<(), gst::LoggableError> {
        let mut query = gst::query::Scheduling::new();
        let pull = pad.peer_query(query.query_mut())
            && query
                .has_scheduling_mode_with_flags(gst::PadMode::Pull, gst::SchedulingFlags::SEEKABLE);
        let mode = if pull {
            gst::PadMode::Pull
        } else {
            gst::PadMode::Push
        };
        pad.activate_mode(mode, true)?;
        Ok(())
    }

    fn activate_mode(
        &self,
        pad: &gst::Pad,
        mode: gst::PadMode,
        active: bool,
    ) -> Result<(), gst::LoggableError> {
        match mode {
            gst::PadMode::Pull if active => {
                lock(&self.known).mode = Mode::Pull;
                *lock(&self.pull) = Pull::default();
                self.start_loop()
                    .map_err(|error| gst::loggable_error!(CAT, "{error}"))
            }
            gst::PadMode::Pull => pad
                .stop_task()
                .map_err(|error| gst::loggable_error!(CAT, "{error}")),
            _ => {
                if active {
                    lock(&self.known).mode = Mode::Push;
                }
                Ok(())
            }
        }
    }

    fn forget(&self) {
        let tracks = std::mem::take(&mut *self.flow()).tracks;
        for pad in tracks.into_iter().filter_map(|track| track.pad) {
            // A pad of ours that is ours to remove.
            let _ = pad.set_active(false);
            let _ = self.obj().remove_pad(&pad);
        }
        *lock(&self.known) = Known::default();
        lock(&self.index).entries.clear();
        self.position.store(NOWHERE, Ordering::Relaxed);
    }
}

#[glib::object_subclass]
impl ObjectSubclass for FlvDemuxBridge {
    const NAME: &'static str = "GstRsFlvDemuxBridge";
    type Type = super::FlvDemuxBridge;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = class.pad_template("sink").expect("a template of ours");
        let sink = gst::Pad::builder_from_template(&template)
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| imp.chain(buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(pad, query))
            })
            .activate_function(|pad, parent| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "Panic activating the sink pad")),
                    |imp| imp.activate(pad),
                )
            })
            .activatemode_function(|pad, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "Panic activating the sink pad")),
                    |imp| imp.activate_mode(pad, mode, active),
                )
            })
            .build();
        Self {
            sink,
            flow: Mutex::default(),
            known: Mutex::default(),
            pull: Mutex::default(),
            index: Mutex::default(),
            position: AtomicU64::new(NOWHERE),
        }
    }
}

impl ObjectImpl for FlvDemuxBridge {
    fn constructed(&self) {
        self.parent_constructed();
        self.obj().add_pad(&self.sink).expect("a pad of ours");
    }
}

impl GstObjectImpl for FlvDemuxBridge {}

impl ElementImpl for FlvDemuxBridge {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "FLV demuxer with Enhanced RTMP v2",
                "Codec/Demuxer",
                "Takes FLV apart: the codecs of Flash, and those, tracks and colours of Enhanced RTMP",
                AUTHOR,
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::{PadDirection::*, PadPresence::*};
            let flv = gst::Caps::new_empty_simple("video/x-flv");
            [
                ("sink", Sink, Always, flv),
                ("video", Src, Sometimes, caps::video::template()),
                ("audio", Src, Sometimes, caps::audio::template()),
                ("video_%u", Src, Sometimes, caps::video::enhanced_template()),
                ("audio_%u", Src, Sometimes, caps::audio::enhanced_template()),
            ]
            .into_iter()
            .map(|(name, direction, presence, caps)| {
                gst::PadTemplate::new(name, direction, presence, &caps).expect("a valid template")
            })
            .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let result = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.forget();
        }
        Ok(result)
    }
}
