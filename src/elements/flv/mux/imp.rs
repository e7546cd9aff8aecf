// SPDX-License-Identifier: MPL-2.0

//! The class behind [`FlvMuxBridge`](super::FlvMuxBridge): whose turn it is.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use glib::subclass::Signal;
use gst::{ClockTime, prelude::*, subclass::prelude::*};
use gst_base::{AGGREGATOR_FLOW_NEED_DATA, AggregatorPad, prelude::*, subclass::prelude::*};

use super::{
    super::{
        caps::{self, audio::AudioFormat},
        metadata,
    },
    FlvMuxBridgePad, MultitrackKind,
    ahead::{self, Ahead},
    properties::{SPECS, Settings, TABLE},
    track::{Format, Frame, Track},
    writer::{Out, When, Writer},
};
use crate::{
    elements::{AUTHOR, codecs, property},
    protocol::flv::{Needs, Script, codec::AudioCodec},
};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "flvmuxbridge",
        gst::DebugColorFlags::empty(),
        Some("FLV muxer"),
    )
});

/// Script calls that wait for a frame to go with. An application that sends more before the first
/// one has mistaken this for a file.
const SCRIPTS: usize = 1024;

/// Bytes of the file header, behind which the metadata is.
const FILE_HEADER: u64 = 13;

#[derive(Debug, Default)]
pub struct FlvMuxBridge {
    settings: Mutex<Settings>,
    /// What they were when the element left READY; they do not change after that.
    running: Mutex<Arc<Settings>>,
    /// Held by the aggregating thread, and not while it pushes.
    writer: Mutex<Writer>,
    scripts: Mutex<VecDeque<Script>>,
    /// All sink pads, in the order of their making.
    pads: Mutex<Arc<Vec<FlvMuxBridgePad>>>,
    pub(super) ahead: Mutex<Ahead>,
}

type FlowResult = Result<gst::FlowSuccess, gst::FlowError>;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next frame of a pad.
#[derive(Debug)]
struct Next {
    pad: FlvMuxBridgePad,
    buffer: gst::Buffer,
    when: When,
}

/// What pads have ready.
fn ready(pads: &[FlvMuxBridgePad]) -> impl Iterator<Item = Next> {
    pads.iter().filter_map(|pad| {
        let buffer = pad.peek_buffer()?;
        let when = running_time(pad, &buffer)?;
        Some(Next {
            pad: pad.clone(),
            buffer,
            when,
        })
    })
}

/// The oldest of it.
fn oldest(pads: &[FlvMuxBridgePad]) -> Option<Next> {
    ready(pads).min_by_key(|next| next.when.dts)
}

impl FlvMuxBridge {
    fn settings(&self) -> Arc<Settings> {
        lock(&self.running).clone()
    }

    fn pads(&self) -> Arc<Vec<FlvMuxBridgePad>> {
        lock(&self.pads).clone()
    }

    /// Makes tracks of pads that have become known, and forgets those that have gone.
    fn update_tracks(&self, writer: &mut Writer, settings: &Settings, pads: &[FlvMuxBridgePad]) {
        writer.tracks.retain(|track| pads.contains(&track.pad));
        for pad in pads {
            let format = {
                let mut carried = pad.imp().carried();
                if !std::mem::take(&mut carried.news) {
                    continue;
                }
                carried.format.clone()
            };
            let Some(format) = format else { continue };
            let (id, mode) = (track_id(pad), pad.imp().mode());
            let track = Track::new(pad.clone(), id, mode, settings.prefer_enhanced, format);
            let Some(track) = track else {
                // Its caps were refused, with an error.
                continue;
            };
            let known = writer.tracks.iter_mut().find(|known| known.pad == *pad);
            writer.metadata_due = true;
            match known {
                Some(known) => *known = track,
                None => writer.tracks.push(track),
            }
        }
    }

    /// What a receiver will have to know: of caps that came, or of what pads are linked to.
    /// `None` where that may be this or that.
    fn will_need(&self) -> Option<Needs> {
        let settings = lock(&self.settings).clone();
        let mut needs = Needs {
            mod_ex: settings.nano_offset,
            ..Needs::default()
        };
        let pads = self.pads();
        for pad in &*pads {
            let known = pad.imp().carried().format.clone();
            let format = known.or_else(|| {
                let caps = pad.peer_query_caps(Some(&pad.pad_template_caps()));
                let kinds = caps.iter().map(|kind| gst::Caps::from(kind.to_owned()));
                let mut formats = kinds.map(|kind| Format::of(&kind));
                let first = formats.next()??;
                // A rate that is open may decide on the form.
                let fixed = first.has_one_name();
                (fixed && formats.all(|other| other.is_some_and(|o| o.names() == first.names())))
                    .then_some(first)
            })?;
            let (id, mode) = (track_id(pad), pad.imp().mode());
            let track = Track::new(pad.clone(), id, mode, settings.prefer_enhanced, format)?;
            if let Some(four_cc) = track.four_cc() {
                let codecs = match track.is_video() {
                    true => &mut needs.video,
                    false => &mut needs.audio,
                };
                if !codecs.contains(&four_cc) {
                    codecs.push(four_cc);
                }
            }
            needs.multitrack |= track.numbered;
        }
        needs.mod_ex &= !(needs.video.is_empty() && needs.audio.is_empty());
        (!pads.is_empty()).then_some(needs)
    }

    /// All tags: of the application, and of upstream.
    fn merged_tags(&self) -> gst::TagList {
        let obj = self.obj();
        let setter: &gst::TagSetter = obj.upcast_ref();
        let own = setter.tag_list();
        let upstream = lock(&self.writer).tags.clone();
        let mode = setter.tag_merge_mode();
        match (own, upstream) {
            (Some(own), Some(upstream)) => upstream.merge(&own, mode),
            (Some(tags), None) | (None, Some(tags)) => tags,
            (None, None) => gst::TagList::new(),
        }
    }

    fn push(&self, out: Out) -> FlowResult {
        for buffer in out {
            self.obj().finish_buffer(buffer)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// The first tags, and the caps that hold them.
    fn begin(&self, settings: &Settings, pads: &[FlvMuxBridgePad]) -> Out {
        let tags = self.merged_tags();
        let mut writer = lock(&self.writer);
        for next in ready(pads) {
            if let Some(at) = writer.tracks.iter().position(|track| track.pad == next.pad) {
                writer.learn(at, &next.buffer);
            }
        }
        let headers = writer.headers(settings, &tags);
        writer.begin(&headers);
        drop(writer);
        self.set_caps(&headers);
        headers
    }

    fn set_caps(&self, headers: &[gst::Buffer]) {
        let caps = gst::Caps::builder("video/x-flv")
            .field("streamheader", gst::Array::new(headers.iter().cloned()))
            .build();
        self.obj().set_src_caps(&caps);
    }

    /// Takes the oldest frame and writes it, with what has to go before it.
    fn turn(&self, pads: &[FlvMuxBridgePad]) -> FlowResult {
        let settings = self.settings();
        let Some(next) = oldest(pads) else {
            return match pads.iter().all(|pad| pad.is_eos()) {
                true => self.finish(&settings),
                false => Err(AGGREGATOR_FLOW_NEED_DATA),
            };
        };
        self.update_tracks(&mut lock(&self.writer), &settings, pads);
        let pad = next.pad.clone();
        let at = {
            let writer = lock(&self.writer);
            writer.tracks.iter().position(|track| track.pad == pad)
        };
        let Some(at) = at else {
            pad.imp().take();
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                (
                    "Pad {} was sent data without saying of what kind. Put a parser in front.",
                    pad.name()
                )
            );
            return Err(gst::FlowError::NotNegotiated);
        };
        if is_header(&next.buffer, &lock(&self.writer), at) {
            pad.imp().take();
            return Ok(gst::FlowSuccess::Ok);
        }
        if !lock(&self.writer).learn(at, &next.buffer) && next.buffer.size() > 0 {
            gst::warning!(
                CAT,
                obj = pad,
                "Dropping a frame that nothing can begin with"
            );
            pad.imp().take();
            return Ok(gst::FlowSuccess::Ok);
        }
        let begun = lock(&self.writer).begun;
        if !begun {
            self.decide_ahead();
            self.push(self.begin(&settings, pads))?;
        }
        let mut out = Out::new();
        let last;
        let mut renewed = false;
        {
            let tags = self.merged_tags_if_due();
            let mut writer = lock(&self.writer);
            let Some((ms, composition, nanos)) = writer.place(&settings, at, next.when) else {
                drop(writer);
                gst::debug!(CAT, obj = pad, "Dropping a frame that is behind");
                pad.imp().take();
                return Ok(gst::FlowSuccess::Ok);
            };
            if let Some(tags) = tags {
                out.extend(writer.metadata(&settings, &tags, ms));
                renewed = !out.is_empty();
            }
            let due = writer.due(at, ms);
            renewed |= !due.is_empty();
            out.extend(due);
            let scripts = std::mem::take(&mut *lock(&self.scripts));
            out.extend(
                scripts
                    .iter()
                    .filter_map(|script| writer.script(script, ms)),
            );
            let flags = next.buffer.flags();
            if flags.contains(gst::BufferFlags::GAP) && next.buffer.size() == 0 {
                pad.imp().take();
                last = writer.silence(at, next.when, ms);
            } else {
                let frame = Frame {
                    key: !flags.contains(gst::BufferFlags::DELTA_UNIT),
                    droppable: flags.contains(gst::BufferFlags::DROPPABLE),
                    composition,
                    nanos,
                };
                last = self.write(&mut writer, &settings, at, frame, ms, &next, pads);
                if last.is_none() {
                    gst::warning!(CAT, obj = pad, "Dropping a frame too large for a tag");
                }
            }
        }
        if renewed {
            let tags = self.merged_tags();
            let headers = lock(&self.writer).headers(&settings, &tags);
            self.set_caps(&headers);
        }
        self.push(out)?;
        let Some(last) = last else {
            return Ok(gst::FlowSuccess::Ok);
        };
        if let Some((dts, duration)) = last.dts().zip(last.duration()) {
            self.obj().set_position(dts + duration);
        }
        self.obj().finish_buffer(last)
    }

    fn merged_tags_if_due(&self) -> Option<gst::TagList> {
        let due = {
            let mut writer = lock(&self.writer);
            std::mem::take(&mut writer.metadata_due) && writer.begun
        };
        // The metadata of a file is at its beginning.
        (due && self.settings().streamable).then(|| self.merged_tags())
    }

    /// Writes the frame, and those of other tracks that go into the same message.
    #[allow(clippy::too_many_arguments)]
    fn write(
        &self,
        writer: &mut Writer,
        settings: &Settings,
        at: usize,
        frame: Frame,
        ms: i64,
        next: &Next,
        pads: &[FlvMuxBridgePad],
    ) -> Option<gst::Buffer> {
        let track = writer.tracks.get_mut(at)?;
        track.silent = false;
        let (kind, codec, numbered) = (track.kind(), track.four_cc(), track.numbered);
        let data = next.pad.imp().take()?;
        if settings.multitrack == MultitrackKind::OneTrack || !numbered {
            return writer.frame(at, frame, next.when, ms, data);
        }
        let mut frames = vec![(at, frame, data)];
        let mut others: Vec<_> = ready(pads).filter(|other| other.pad != next.pad).collect();
        others.sort_by_key(|other| other.when.dts);
        for other in others {
            let found = writer
                .tracks
                .iter()
                .position(|track| track.pad == other.pad);
            let Some(track) = found.and_then(|at| writer.tracks.get(at)) else {
                continue;
            };
            let fits = track.numbered
                && track.kind() == kind
                && !track.config_due
                && (settings.multitrack == MultitrackKind::ManyTracksManyCodecs
                    || track.four_cc() == codec);
            let flags = other.buffer.flags();
            let key = !flags.contains(gst::BufferFlags::DELTA_UNIT);
            let gap = flags.contains(gst::BufferFlags::GAP) && other.buffer.size() == 0;
            let Some(found) = found.filter(|_| fits && key == frame.key && !gap) else {
                continue;
            };
            let Some((other_ms, composition, nanos)) = writer.place(settings, found, other.when)
            else {
                continue;
            };
            if other_ms != ms || nanos != frame.nanos {
                continue;
            }
            let Some(data) = other.pad.imp().take() else {
                continue;
            };
            frames.push((
                found,
                Frame {
                    composition,
                    ..frame
                },
                data,
            ));
        }
        match <[_; 1]>::try_from(frames) {
            Ok([(at, frame, data)]) => writer.frame(at, frame, next.when, ms, data),
            Err(frames) => writer.frames(settings.multitrack, &frames, next.when, ms),
        }
    }

    /// Nothing more comes.
    fn finish(&self, settings: &Settings) -> FlowResult {
        let begun = lock(&self.writer).begun;
        if !begun {
            let has_tracks = {
                let pads = self.pads();
                let mut writer = lock(&self.writer);
                self.update_tracks(&mut writer, settings, &pads);
                !writer.tracks.is_empty()
            };
            if has_tracks {
                self.push(self.begin(settings, &[]))?;
            }
            return Err(gst::FlowError::Eos);
        }
        let ends = lock(&self.writer).ends();
        self.push(ends)?;
        if !settings.streamable {
            self.write_totals()?;
        }
        Err(gst::FlowError::Eos)
    }

    /// Goes back and writes into the beginning of a file what is only known at its end.
    fn write_totals(&self) -> FlowResult {
        let pad = self.obj().src_pad().clone();
        let mut query = gst::query::Seeking::new(gst::Format::Bytes);
        if !pad.peer_query(query.query_mut()) || !query.result().0 {
            gst::info!(
                CAT,
                imp = self,
                "No duration and no index: downstream cannot seek"
            );
            return Ok(gst::FlowSuccess::Ok);
        }
        let Some(buffer) = lock(&self.writer).final_metadata() else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let mut segment = gst::FormattedSegment::<gst::format::Bytes>::new();
        let start = gst::format::Bytes::from_u64(FILE_HEADER);
        segment.set_start(start);
        segment.set_time(start);
        self.obj().update_segment(&segment);
        self.obj().finish_buffer(buffer)
    }

    fn caps_changed(&self, pad: &FlvMuxBridgePad, caps: &gst::CapsRef) -> bool {
        let format = Format::of(caps);
        let prefer_enhanced = lock(&self.settings).prefer_enhanced;
        let (id, mode) = (track_id(pad), pad.imp().mode());
        let fits = format.as_ref().is_some_and(|format| {
            Track::new(pad.clone(), id, mode, prefer_enhanced, format.clone()).is_some()
        });
        if !fits {
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                (
                    "FLV cannot carry {caps} on pad {}. Enhanced RTMP has a form for H.264, H.265, H.266, \
                     VP8, VP9, AV1, AAC, MP3, Opus, FLAC, AC-3 and E-AC-3; pads with a number and other \
                     track modes than legacy take nothing else.",
                    pad.name()
                )
            );
            return false;
        }
        let mut carried = pad.imp().carried();
        carried.news |= carried.format != format;
        carried.format = format;
        true
    }

    fn tags_changed(&self, pad: &FlvMuxBridgePad, tags: &gst::TagListRef) {
        let global = tags.scope() == gst::TagScope::Global;
        {
            let mut carried = pad.imp().carried();
            let mode = gst::TagMergeMode::Replace;
            carried.tags = Some(match &carried.tags {
                Some(known) => known.merge(tags, mode),
                None => tags.to_owned(),
            });
        }
        let mut writer = lock(&self.writer);
        if global {
            let mode = gst::TagMergeMode::Replace;
            writer.tags = Some(match &writer.tags {
                Some(known) => known.merge(tags, mode),
                None => tags.to_owned(),
            });
        }
        writer.metadata_due = true;
    }

    fn add_script(&self, structure: &gst::StructureRef) -> bool {
        let Some(script) = metadata::from_structure(structure) else {
            gst::warning!(CAT, imp = self, "A script call needs a name: {structure}");
            return false;
        };
        let mut scripts = lock(&self.scripts);
        if scripts.len() >= SCRIPTS {
            gst::warning!(CAT, imp = self, "Too many script calls wait for a frame");
            return false;
        }
        scripts.push_back(script);
        true
    }
}

/// Track id of a pad, by its name: 0 of those without a number.
fn track_id(pad: &FlvMuxBridgePad) -> u8 {
    let name = pad.name();
    let number = name
        .split_once('_')
        .and_then(|(_, number)| number.parse().ok());
    number.unwrap_or(0)
}

/// DTS and PTS in running time, ns; each stands in for the other.
fn running_time(pad: &FlvMuxBridgePad, buffer: &gst::BufferRef) -> Option<When> {
    let segment = pad.segment();
    let segment = segment.downcast_ref::<ClockTime>()?;
    let running = |time: Option<ClockTime>| {
        let running = segment.to_running_time_full(time?)?;
        let ns = i64::try_from(running.abs().nseconds()).ok()?;
        Some(if running.is_negative() { -ns } else { ns })
    };
    let (dts, pts) = (running(buffer.dts()), running(buffer.pts()));
    let position = || running(segment.position()).unwrap_or(0);
    let dts = dts.or(pts).unwrap_or_else(position);
    Some(When {
        dts,
        pts: pts.unwrap_or(dts),
    })
}

/// Headers of Opus, FLAC and Speex come as buffers too, and are in the caps.
fn is_header(buffer: &gst::BufferRef, writer: &Writer, at: usize) -> bool {
    let codec = writer.tracks.get(at).map(|track| &track.format);
    let timeless = buffer.pts().is_none() && buffer.dts().is_none();
    (timeless || buffer.flags().contains(gst::BufferFlags::HEADER))
        && matches!(
            codec,
            Some(Format::Audio(AudioFormat {
                codec: AudioCodec::Opus | AudioCodec::Flac | AudioCodec::Speex,
                ..
            }))
        )
}

#[glib::object_subclass]
impl ObjectSubclass for FlvMuxBridge {
    const NAME: &'static str = "GstRsFlvMuxBridge";
    type Type = super::FlvMuxBridge;
    type ParentType = gst_base::Aggregator;
    type Interfaces = (gst::TagSetter,);
}

impl ObjectImpl for FlvMuxBridge {
    fn properties() -> &'static [glib::ParamSpec] {
        &SPECS
    }

    fn set_property(&self, id: usize, value: &glib::Value, _spec: &glib::ParamSpec) {
        property::set(&TABLE, &mut lock(&self.settings), id, value);
    }

    fn property(&self, id: usize, spec: &glib::ParamSpec) -> glib::Value {
        let value = property::get(&TABLE, &lock(&self.settings), id);
        value.unwrap_or_else(|| unimplemented!("Property '{}'", spec.name()))
    }

    fn signals() -> &'static [Signal] {
        static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
            vec![
                // Calls a script of the receivers with the next frame. Takes a structure with `name`
                // (string) and `arguments` (as flvdemuxbridge has it, or a GstValueArray); FALSE if it
                // has no name.
                Signal::builder("send-script-data")
                    .param_types([gst::Structure::static_type()])
                    .return_type::<bool>()
                    .action()
                    .class_handler(|args| {
                        let element = args[0].get::<super::FlvMuxBridge>().expect("the element");
                        let structure = args[1].get::<gst::Structure>().expect("a structure");
                        Some(element.imp().add_script(&structure).to_value())
                    })
                    .build(),
            ]
        });
        &SIGNALS
    }
}

impl GstObjectImpl for FlvMuxBridge {}
impl TagSetterImpl for FlvMuxBridge {}

impl ElementImpl for FlvMuxBridge {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "FLV muxer with Enhanced RTMP v2",
                "Codec/Muxer",
                "Makes FLV: the codecs of Flash, and those, tracks and colours of Enhanced RTMP",
                AUTHOR,
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let sink = |name, caps: gst::Caps| {
                gst::PadTemplate::with_gtype(
                    name,
                    gst::PadDirection::Sink,
                    gst::PadPresence::Request,
                    &caps,
                    FlvMuxBridgePad::static_type(),
                )
                .expect("a valid template")
            };
            let source = gst::PadTemplate::with_gtype(
                "src",
                gst::PadDirection::Src,
                gst::PadPresence::Always,
                &gst::Caps::new_empty_simple("video/x-flv"),
                AggregatorPad::static_type(),
            );
            vec![
                source.expect("a valid template"),
                sink("video", caps::video::template()),
                sink("audio", caps::audio::template()),
                sink("video_%u", caps::video::enhanced_template()),
                sink("audio_%u", caps::audio::enhanced_template()),
            ]
        });
        &TEMPLATES
    }

    fn release_pad(&self, pad: &gst::Pad) {
        Arc::make_mut(&mut *lock(&self.pads)).retain(|known| known != pad);
        self.parent_release_pad(pad);
    }
}

impl AggregatorImpl for FlvMuxBridge {
    fn create_new_pad(
        &self,
        template: &gst::PadTemplate,
        requested: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<AggregatorPad> {
        let pattern = template.name_template();
        let name = match pattern.strip_suffix("%u") {
            None => pattern.to_string(),
            Some(kind) => match requested.and_then(|name| name.strip_prefix(kind)) {
                // Track 0 is what the pads without a number are.
                Some(number) if number != "%u" => {
                    let id = number.parse::<u8>().ok().filter(|id| *id > 0)?;
                    format!("{kind}{id}")
                }
                _ => {
                    let free = |id: &u8| self.obj().static_pad(&format!("{kind}{id}")).is_none();
                    format!("{kind}{}", (1..=u8::MAX).find(free)?)
                }
            },
        };
        if self.obj().static_pad(&name).is_some() {
            return None;
        }
        gst::debug!(CAT, imp = self, "New pad {name}");
        let pad = gst::PadBuilder::<FlvMuxBridgePad>::from_template(template)
            .name(name)
            .build();
        ahead::count(&pad);
        Arc::make_mut(&mut *lock(&self.pads)).push(pad.clone());
        // GstAggregator takes what it gets for a floating reference, and adds one of its own to any other:
        // every pad would stay for ever. gstreamer-base 0.25 hands on what it is given.
        // SAFETY: the pad is alive, and the reference that is returned is the one that floats.
        unsafe { glib::gobject_ffi::g_object_force_floating(pad.as_ptr().cast()) };
        Some(pad.upcast())
    }

    fn sink_event(&self, pad: &AggregatorPad, event: gst::Event) -> bool {
        let Some(own) = pad.downcast_ref::<FlvMuxBridgePad>() else {
            return self.parent_sink_event(pad, event);
        };
        match event.view() {
            gst::EventView::Caps(caps) if !self.caps_changed(own, caps.caps()) => return false,
            gst::EventView::Tag(tag) => self.tags_changed(own, tag.tag()),
            gst::EventView::CustomDownstream(custom) => {
                if let Some(structure) = custom.structure()
                    && structure.name() == metadata::SCRIPT
                {
                    self.add_script(structure);
                }
            }
            _ => {}
        }
        self.parent_sink_event(pad, event)
    }

    fn aggregate(&self, _timeout: bool) -> FlowResult {
        self.turn(&self.pads())
    }

    fn next_time(&self) -> Option<ClockTime> {
        let oldest = oldest(&self.pads())?.when.dts;
        Some(ClockTime::from_nseconds(u64::try_from(oldest).unwrap_or(0)))
    }

    fn flush(&self) -> FlowResult {
        lock(&self.writer).restart();
        lock(&self.scripts).clear();
        Ok(gst::FlowSuccess::Ok)
    }

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        *lock(&self.running) = Arc::new(settings);
        *lock(&self.ahead) = Ahead::Undecided;
        *lock(&self.writer) = Writer::default();
        for pad in &*self.pads() {
            pad.imp().carried().news = true;
            pad.imp().held.clear();
        }
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.end_ahead();
        *lock(&self.writer) = Writer::default();
        lock(&self.scripts).clear();
        let setter = self.obj();
        let setter: &gst::TagSetter = setter.upcast_ref();
        setter.reset_tags();
        Ok(())
    }

    fn src_query(&self, query: &mut gst::QueryRef) -> bool {
        if codecs::answer(query, || self.will_need()) {
            return true;
        }
        let answered = self.parent_src_query(query);
        if answered && Self::is_live_now(query) && self.end_ahead() {
            return self.parent_src_query(query);
        }
        answered
    }

    // The caps hold the headers, and are known when those are.
    fn negotiate(&self) -> bool {
        true
    }
}
