// SPDX-License-Identifier: MPL-2.0

//! The class behind [`FlvMuxBridge`](super::FlvMuxBridge): settings, pads and what events tell.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use glib::subclass::Signal;
use gst::{ClockTime, prelude::*, subclass::prelude::*};
use gst_base::{AggregatorPad, subclass::prelude::*};

use super::{
    super::{caps, metadata},
    FlvMuxBridgePad,
    ahead::{self, Ahead},
    properties::{SPECS, Settings, TABLE},
    track::{Format, Track},
    turn::oldest,
    writer::Writer,
};
use crate::{
    elements::{AUTHOR, codecs, property},
    protocol::flv::{Needs, Script},
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

#[derive(Debug, Default)]
pub struct FlvMuxBridge {
    settings: Mutex<Settings>,
    /// Held by the aggregating thread, and not while it pushes.
    pub(super) writer: Mutex<Writer>,
    pub(super) scripts: Mutex<VecDeque<Script>>,
    /// All sink pads, in the order of their making.
    pads: Mutex<Arc<Vec<FlvMuxBridgePad>>>,
    pub(super) ahead: Mutex<Ahead>,
}

pub(super) type FlowResult = Result<gst::FlowSuccess, gst::FlowError>;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FlvMuxBridge {
    /// The settings of the stream, which do not change once it has begun.
    pub(super) fn settings(&self) -> Arc<Settings> {
        let begun = lock(&self.writer).settings.clone();
        begun.unwrap_or_else(|| Arc::new(lock(&self.settings).clone()))
    }

    pub(super) fn pads(&self) -> Arc<Vec<FlvMuxBridgePad>> {
        lock(&self.pads).clone()
    }

    /// Makes tracks of pads that have become known, and forgets those that have gone.
    pub(super) fn update_tracks(
        &self,
        writer: &mut Writer,
        settings: &Settings,
        pads: &[FlvMuxBridgePad],
    ) {
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
            writer.metadata_stale = true;
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
    pub(super) fn merged_tags(&self) -> gst::TagList {
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

#[glib::object_subclass]
impl ObjectSubclass for FlvMuxBridge {
    const NAME: &'static str = "GstRsFlvMuxBridge";
    type Type = super::FlvMuxBridge;
    type ParentType = gst_base::Aggregator;
    type Interfaces = (gst::TagSetter, gst::ChildProxy);
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

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let pad = self.parent_request_new_pad(template, name, caps)?;
        self.obj().child_added(&pad, &pad.name());
        Some(pad)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        self.obj().child_removed(pad, &pad.name());
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
        *lock(&self.ahead) = Ahead::Undecided;
        *lock(&self.writer) = Writer::default();
        for pad in &*self.pads() {
            pad.imp().renew();
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
