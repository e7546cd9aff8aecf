// SPDX-License-Identifier: MPL-2.0

//! Tags become pads, caps and buffers. Only the streaming thread is here.

mod script;

use bytes::Bytes;
use gst::{BufferFlags, ClockTime, prelude::*, subclass::prelude::*};
use gst_base::UniqueFlowCombiner;

use self::script::metadata_picture;
use super::{
    super::caps::{audio::AudioFormat, video::VideoFormat},
    FlvDemuxBridge,
    imp::CAT,
    lane::Lane,
    track::{Format, Kind, Track},
};
use crate::protocol::{
    flv::{
        AudioHead, FlvError, Item, Reader, Tag, TagKind, VideoHead,
        channels::MultichannelConfig,
        codec::{AudioCodec, VideoCodec},
        color::ColorInfo,
        head::{AudioPacket, Codec, FrameType, VideoPacket},
        limits::CONFIG,
        script::KeyframeIndex,
    },
    rtmp::amf::Object,
};

/// How long tags may tell of one kind only before the other is not waited for any more.
const PADS_WAIT: i64 = 6_000;

/// How many key frames are remembered that no index told of. One every 2 s for a day.
const LEARNT: usize = 43_200;

/// All that the streaming thread knows.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) reader: Reader,
    pub(super) tracks: Vec<Track>,
    pub(super) segment: gst::FormattedSegment<ClockTime>,
    pub(super) seqnum: Option<gst::Seqnum>,
    pub(super) index: KeyframeIndex,
    combiner: UniqueFlowCombiner,
    group: gst::GroupId,
    video: Lane,
    audio: Lane,
    metadata: Object,
    tags: Option<gst::TagList>,
    /// Which kinds there will be, as far as anybody said.
    expected: [bool; 2],
    /// Time of the first tag, ms.
    began: Option<i64>,
    all_pads: bool,
    /// Pictures are for a decoder to catch up and not to be seen.
    decode_only: bool,
    /// Time of the last tag, ms.
    pub(super) latest: i64,
}

impl Default for Flow {
    fn default() -> Self {
        let mut segment = gst::FormattedSegment::new();
        segment.set_start(ClockTime::ZERO);
        Self {
            reader: Reader::searching(),
            tracks: Vec::new(),
            segment,
            seqnum: None,
            index: KeyframeIndex::default(),
            combiner: UniqueFlowCombiner::new(),
            group: gst::GroupId::next(),
            video: Lane::default(),
            audio: Lane::default(),
            metadata: Object::default(),
            tags: None,
            expected: [false; 2],
            began: None,
            all_pads: false,
            decode_only: false,
            latest: 0,
        }
    }
}

type FlowResult = Result<gst::FlowSuccess, gst::FlowError>;

/// Where frames of a track go, or why they do not.
enum Ready {
    Yes(usize),
    NoCaps,
}

impl Flow {
    /// Takes bytes of the stream and pushes what is complete.
    pub(super) fn take(&mut self, element: &FlvDemuxBridge, bytes: Bytes) -> FlowResult {
        self.reader.push(bytes);
        self.drain(element)
    }

    /// Pushes what is complete.
    pub(super) fn drain(&mut self, element: &FlvDemuxBridge) -> FlowResult {
        loop {
            match self.reader.next() {
                Ok(Some(item)) => {
                    self.item(element, item)?;
                }
                Ok(None) => return Ok(gst::FlowSuccess::Ok),
                Err(error) => return Err(refuse(element, error)),
            }
        }
    }

    fn item(&mut self, element: &FlvDemuxBridge, item: Item) -> FlowResult {
        match item {
            Item::Header { audio, video } => {
                gst::debug!(
                    CAT,
                    obj = element,
                    "File header, audio {audio}, video {video}"
                );
                if self.tracks.is_empty() {
                    self.expected = [video, audio];
                }
                Ok(gst::FlowSuccess::Ok)
            }
            Item::Skipped(bytes) => {
                gst::warning!(CAT, obj = element, "Skipped {bytes} bytes that are no tag");
                self.mark_discont();
                Ok(gst::FlowSuccess::Ok)
            }
            Item::Tag(tag) => {
                gst::log!(
                    CAT,
                    obj = element,
                    "{:?} of {} bytes at {} ms",
                    tag.kind(),
                    tag.body().len(),
                    tag.timestamp()
                );
                match tag.kind() {
                    TagKind::Audio => self.audio(element, &tag),
                    TagKind::Video => self.video(element, &tag),
                    TagKind::Data | TagKind::DataAmf3 => {
                        self.script(element, &tag);
                        Ok(gst::FlowSuccess::Ok)
                    }
                }
            }
        }
    }

    /// No more bytes come: pads that were waited for will not be.
    pub(super) fn end(&mut self, element: &FlvDemuxBridge) -> FlowResult {
        self.reader.end();
        let result = self.drain(element);
        let pending = self.reader.pending();
        if pending > 0 {
            gst::warning!(
                CAT,
                obj = element,
                "{pending} bytes at the end are no whole tag"
            );
        }
        self.finish_pads(element);
        result
    }

    /// Pushes an event on all pads.
    pub(super) fn push_event(&mut self, event: &gst::Event) -> bool {
        let mut any = false;
        for track in &mut self.tracks {
            if let Some(pad) = &track.pad {
                let pad = pad.clone();
                if event.is_serialized() && !matches!(event.type_(), gst::EventType::FlushStop) {
                    track.push_due(&self.segment, self.seqnum, self.tags.as_ref());
                }
                any |= pad.push_event(event.clone());
            }
        }
        any
    }

    pub(super) fn has_pads(&self) -> bool {
        self.tracks.iter().any(|track| track.pad.is_some())
    }

    /// A new segment goes before the next frame of each track.
    pub(super) fn renew_segment(&mut self, seqnum: Option<gst::Seqnum>) {
        self.seqnum = seqnum;
        for track in &mut self.tracks {
            track.segment_due = true;
        }
    }

    /// After a flush, or a jump in the stream.
    pub(super) fn jump(&mut self, position: Option<u64>) {
        match position {
            Some(position) => self.reader.restart(position),
            None => self.reader.reset(),
        }
        self.video.reset();
        self.audio.reset();
        self.combiner.reset();
        self.decode_only = false;
        self.mark_discont();
    }

    /// The next frame of each track does not follow on the last.
    pub(super) fn mark_discont(&mut self) {
        for track in &mut self.tracks {
            track.discont = true;
        }
    }

    fn video(&mut self, element: &FlvDemuxBridge, tag: &Tag) -> FlowResult {
        let body = tag.body_bytes();
        let place = self.video.place(tag.timestamp(), self.audio);
        self.arrived(element, Kind::Video, place.time, place.step);
        let start = self
            .reader
            .position()
            .saturating_sub(tag.as_flv().len() as u64);
        let mut result = Ok(gst::FlowSuccess::Ok);
        for head in VideoHead::packets(&body) {
            let head = match head {
                Ok(head) => head,
                Err(error) => {
                    gst::warning!(
                        CAT,
                        obj = element,
                        "Video at {} ms: {error}",
                        tag.timestamp()
                    );
                    break;
                }
            };
            let data = body.slice(head.payload..head.end);
            let id = head.track.map_or(0, |track| track.id);
            if let VideoPacket::Command(command) = head.packet {
                self.decode_only = command == 0;
                continue;
            }
            let Some((name, codec)) = head
                .codec
                .and_then(|name| Some((name, VideoCodec::from_name(name)?)))
            else {
                self.unknown(element, Kind::Video, id, head.codec);
                continue;
            };
            let configured = matches!(
                head.packet,
                VideoPacket::SequenceStart | VideoPacket::Mpeg2TsSequenceStart
            );
            let track = self.track(Kind::Video, id, name, configured, || {
                Format::Video(VideoFormat::new(codec))
            });
            let Some(at) = track else {
                gst::warning!(
                    CAT,
                    obj = element,
                    "{kind:?} of a codec that was not configured",
                    kind = Kind::Video
                );
                continue;
            };
            match head.packet {
                VideoPacket::SequenceStart => {
                    self.configure(element, at, Some(data));
                }
                VideoPacket::Mpeg2TsSequenceStart => {
                    self.configure(element, at, av1_record_of_descriptor(&data));
                }
                VideoPacket::Metadata => self.colors(element, at, &data),
                VideoPacket::CodedFrames if data.is_empty() => {}
                VideoPacket::CodedFrames => {
                    if head.is_keyframe() && id == 0 {
                        self.learn(place.time, start);
                    }
                    result = self.picture(element, at, &head, place.time, data);
                    result?;
                }
                VideoPacket::SequenceEnd => {
                    gst::debug!(CAT, obj = element, "Video track {id} ends");
                    if let Some(track) = self.tracks.get_mut(at) {
                        track.discont = true;
                    }
                }
                VideoPacket::Command(_) | VideoPacket::Reserved(_) => {
                    gst::debug!(CAT, obj = element, "Ignored {:?}", head.packet);
                }
            }
        }
        result
    }

    fn picture(
        &mut self,
        element: &FlvDemuxBridge,
        at: usize,
        head: &VideoHead,
        time: i64,
        data: Bytes,
    ) -> FlowResult {
        let Ready::Yes(at) = self.ready(element, at) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let mut flags = BufferFlags::empty();
        if !head.is_keyframe() {
            flags |= BufferFlags::DELTA_UNIT;
        }
        if head.frame == FrameType::Disposable {
            flags |= BufferFlags::DROPPABLE;
        }
        if self.decode_only {
            flags |= BufferFlags::DECODE_ONLY;
        }
        let shown = time + i64::from(head.composition_time);
        self.push(element, at, data, time, shown, head.nanos, flags)
    }

    fn audio(&mut self, element: &FlvDemuxBridge, tag: &Tag) -> FlowResult {
        let body = tag.body_bytes();
        let place = self.audio.place(tag.timestamp(), self.video);
        self.arrived(element, Kind::Audio, place.time, place.step);
        let mut result = Ok(gst::FlowSuccess::Ok);
        for head in AudioHead::packets(&body) {
            let head = match head {
                Ok(head) => head,
                Err(error) => {
                    gst::warning!(
                        CAT,
                        obj = element,
                        "Audio at {} ms: {error}",
                        tag.timestamp()
                    );
                    break;
                }
            };
            let data = body.slice(head.payload..head.end);
            let id = head.track.map_or(0, |track| track.id);
            if matches!(head.packet, AudioPacket::Silence) {
                self.silence(id, place.time);
                continue;
            }
            let Some((name, codec)) = head
                .codec
                .and_then(|name| Some((name, AudioCodec::from_name(name)?)))
            else {
                self.unknown(element, Kind::Audio, id, head.codec);
                continue;
            };
            let configured = matches!(head.packet, AudioPacket::SequenceStart);
            let track = self.track(Kind::Audio, id, name, configured, || {
                Format::Audio(AudioFormat::new(codec, head.sound))
            });
            let Some(at) = track else {
                gst::warning!(
                    CAT,
                    obj = element,
                    "{kind:?} of a codec that was not configured",
                    kind = Kind::Audio
                );
                continue;
            };
            match head.packet {
                AudioPacket::SequenceStart => self.configure(element, at, Some(data)),
                AudioPacket::MultichannelConfig => {
                    if let Some(track) = self.tracks.get_mut(at)
                        && let Format::Audio(format) = &mut track.format
                    {
                        let order = MultichannelConfig::parse(&data);
                        track.dirty |= format.order != order;
                        format.order = order;
                    }
                    self.announce(element, at);
                }
                AudioPacket::CodedFrames if data.is_empty() => self.silence(id, place.time),
                AudioPacket::CodedFrames => {
                    if let Some(track) = self.tracks.get_mut(at)
                        && let Format::Audio(format) = &mut track.format
                    {
                        track.dirty |= format.learn(&data);
                    }
                    let Ready::Yes(at) = self.ready(element, at) else {
                        continue;
                    };
                    let (time, flags) = (place.time, BufferFlags::empty());
                    result = self.push(element, at, data, time, time, head.nanos, flags);
                    result?;
                }
                AudioPacket::SequenceEnd => self.silence(id, place.time),
                AudioPacket::Silence | AudioPacket::Reserved(_) => {
                    gst::debug!(CAT, obj = element, "Ignored {:?}", head.packet);
                }
            }
        }
        result
    }

    #[allow(clippy::too_many_arguments)]
    fn push(
        &mut self,
        element: &FlvDemuxBridge,
        at: usize,
        data: Bytes,
        time: i64,
        shown: i64,
        nanos: u32,
        flags: BufferFlags,
    ) -> FlowResult {
        let Some(track) = self.tracks.get_mut(at) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        track.push_due(&self.segment, self.seqnum, self.tags.as_ref());
        let dts = millis(time);
        let pts = millis(shown) + ClockTime::from_nseconds(nanos.into());
        element.imp().moved_to(pts);
        let result = track.push(gst::Buffer::from_slice(data), dts, pts, flags);
        let result = match &track.pad {
            Some(pad) => self.combiner.update_pad_flow(pad, result),
            None => result,
        };
        if !self.all_pads {
            self.check_pads(element);
        }
        result
    }

    /// A tag of this kind is here.
    fn arrived(&mut self, element: &FlvDemuxBridge, kind: Kind, time: i64, step: bool) {
        self.latest = time;
        let began = *self.began.get_or_insert(time);
        if step {
            gst::warning!(
                CAT,
                obj = element,
                "Timestamps of {kind:?} went back, going on"
            );
            let tracks = self.tracks.iter_mut();
            for track in tracks.filter(|track| track.kind == kind) {
                track.discont = true;
            }
        }
        if !self.all_pads && time - began > PADS_WAIT {
            self.finish_pads(element);
        }
    }

    /// Where the track is in the list, new or known. A known one takes another codec from where it is
    /// `configured`, or needs no configuration; until then there is `None` for what names another.
    fn track(
        &mut self,
        kind: Kind,
        id: u8,
        name: Codec,
        configured: bool,
        format: impl FnOnce() -> Format,
    ) -> Option<usize> {
        let mut tracks = self.tracks.iter_mut();
        let found = tracks.position(|track| track.kind == kind && track.id == id);
        let at = found.unwrap_or(self.tracks.len());
        let Some(track) = self.tracks.get_mut(at) else {
            let mut track = Track::new(kind, id, name, format());
            track.format.set_picture(&self.metadata, id);
            self.tracks.push(track);
            return Some(at);
        };
        if track.name == name {
            return Some(at);
        }
        let mut new = format();
        if new.is_other_codec(&track.format) {
            if !configured && new.has_config() {
                return None;
            }
            new.set_picture(&self.metadata, id);
            track.format = new;
            track.dirty = true;
            track.discont = true;
        }
        track.name = name;
        Some(at)
    }

    /// A decoder's configuration came.
    fn configure(&mut self, element: &FlvDemuxBridge, at: usize, data: Option<Bytes>) {
        let Some(track) = self.tracks.get_mut(at) else {
            return;
        };
        let Some(data) = data.filter(|data| data.len() <= CONFIG) else {
            gst::warning!(CAT, obj = element, "A configuration that is none");
            return;
        };
        let config = match &mut track.format {
            Format::Video(format) => &mut format.config,
            Format::Audio(format) => &mut format.config,
        };
        // An empty one, which only Opus may have, says nothing new.
        if !data.is_empty() && config.as_ref() != Some(&data) {
            // Not a slice, which would keep a tag for as long as the track lives.
            *config = Some(Bytes::copy_from_slice(&data));
            track.dirty = true;
        }
        self.announce(element, at);
    }

    fn colors(&mut self, element: &FlvDemuxBridge, at: usize, data: &Bytes) {
        match ColorInfo::parse(data) {
            Ok(Some(color)) => {
                if let Some(track) = self.tracks.get_mut(at)
                    && let Format::Video(format) = &mut track.format
                {
                    track.dirty |= format.color != color;
                    format.color = color;
                }
            }
            Ok(None) => {}
            Err(error) => gst::warning!(CAT, obj = element, "Metadata of pictures: {error}"),
        }
    }

    /// Makes the pad as soon as there can be caps: before the first frame of any track, so that who
    /// waits for the last pad knows of all of them. Caps that only changed wait for the next frame.
    fn announce(&mut self, element: &FlvDemuxBridge, at: usize) {
        if self.tracks.get(at).is_some_and(|track| track.pad.is_none()) {
            self.update(element, at);
        }
    }

    /// Pad and caps for the next frame.
    fn ready(&mut self, element: &FlvDemuxBridge, at: usize) -> Ready {
        if self.update(element, at) {
            return Ready::Yes(at);
        }
        if let Some(track) = self.tracks.get_mut(at) {
            track.discont = true;
            if !std::mem::replace(&mut track.dropped, true) {
                gst::warning!(
                    CAT,
                    obj = element,
                    "Dropping frames of {:?} track {} until its configuration comes",
                    track.kind,
                    track.id
                );
            }
        }
        Ready::NoCaps
    }

    fn update(&mut self, element: &FlvDemuxBridge, at: usize) -> bool {
        let group = self.group;
        let Some(track) = self.tracks.get_mut(at) else {
            return false;
        };
        let made = track.update(element, |pad| {
            let id = pad.create_stream_id(element, Some(pad.name().as_str()));
            gst::event::StreamStart::builder(&id)
                .group_id(group)
                .build()
        });
        match made {
            None => false,
            Some(false) => true,
            Some(true) => {
                track.push_due(&self.segment, self.seqnum, self.tags.as_ref());
                if let Some(pad) = track.pad.clone() {
                    self.combiner.add_pad(&pad);
                    gst::info!(CAT, obj = element, "New pad {}", pad.name());
                    if let Err(error) = element.add_pad(&pad) {
                        gst::error!(CAT, obj = element, "{error}");
                    }
                }
                true
            }
        }
    }

    fn unknown(&self, element: &FlvDemuxBridge, kind: Kind, id: u8, codec: Option<Codec>) {
        gst::warning!(
            CAT,
            obj = element,
            "{kind:?} track {id} has a codec that is not known: {codec:?}"
        );
    }

    /// Sound pauses.
    fn silence(&mut self, id: u8, time: i64) {
        let mut tracks = self.tracks.iter_mut();
        let track = tracks.find(|track| track.kind == Kind::Audio && track.id == id);
        if let Some(track) = track
            && let Some(pad) = track.pad.clone()
        {
            track.push_due(&self.segment, self.seqnum, self.tags.as_ref());
            track.discont = true;
            pad.push_event(gst::event::Gap::builder(millis(time)).build());
        }
    }

    fn learn(&mut self, time: i64, position: u64) {
        let seconds = time as f64 / 1000.0;
        let entries = &mut self.index.entries;
        let after = entries
            .last()
            .is_none_or(|&(last, at)| seconds > last && position > at);
        if after && entries.len() < LEARNT {
            entries.push((seconds, position));
        }
    }

    fn check_pads(&mut self, element: &FlvDemuxBridge) {
        let has = |kind| {
            let mut tracks = self.tracks.iter();
            tracks.any(|track| track.kind == kind && track.pad.is_some())
        };
        let [video, audio] = self.expected;
        // A header promises too much as often as too little.
        let both = has(Kind::Video) && has(Kind::Audio);
        let promised = (!video || has(Kind::Video)) && (!audio || has(Kind::Audio));
        let silent = self.tracks.iter().any(|track| track.pad.is_none());
        if !silent && (both || promised && (video || audio) && !self.metadata.0.is_empty()) {
            self.finish_pads(element);
        }
    }

    fn finish_pads(&mut self, element: &FlvDemuxBridge) {
        if !std::mem::replace(&mut self.all_pads, true) {
            gst::info!(CAT, obj = element, "All pads are there");
            element.no_more_pads();
        }
    }
}

impl Format {
    fn is_other_codec(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Video(a), Self::Video(b)) => a.codec != b.codec,
            (Self::Audio(a), Self::Audio(b)) => a.codec != b.codec,
            _ => true,
        }
    }

    fn has_config(&self) -> bool {
        match self {
            Self::Video(format) => format.has_config(),
            Self::Audio(format) => format.has_config(),
        }
    }

    fn set_picture(&mut self, metadata: &Object, id: u8) {
        if let Self::Video(format) = self {
            format.picture = metadata_picture(metadata, id);
        }
    }
}

/// `AV1VideoDescriptor` (AV1 in MPEG-2 TS, 2.1) has the first three bytes of the record.
fn av1_record_of_descriptor(data: &[u8]) -> Option<Bytes> {
    const TAG: u8 = 0x80;
    let fields = match data {
        [TAG, 4, fields @ ..] => fields,
        fields => fields,
    };
    let &[marker, profile, flags, _] = fields.first_chunk()?;
    (marker == 0x81).then(|| Bytes::copy_from_slice(&[marker, profile, flags, 0]))
}

/// A time before the beginning of time cannot be told from one at it.
fn millis(time: i64) -> ClockTime {
    ClockTime::from_mseconds(u64::try_from(time).unwrap_or(0))
}

fn refuse(element: &FlvDemuxBridge, error: FlvError) -> gst::FlowError {
    let (code, text) = match error {
        FlvError::Encrypted => (
            gst::StreamError::Decrypt,
            "This FLV stream is encrypted, which is not supported.",
        ),
        _ => (
            gst::StreamError::WrongType,
            "This is no FLV stream. Link flvdemuxbridge to a source of FLV.",
        ),
    };
    gst::element_error!(element, code, ("{text}"), ["{error}"]);
    gst::FlowError::Error
}
