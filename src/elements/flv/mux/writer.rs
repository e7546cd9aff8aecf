// SPDX-License-Identifier: MPL-2.0

//! Frames become tags, in buffers. Knows neither pads' queues nor clocks.

use std::sync::Arc;

use bytes::BytesMut;
use gst::{BufferFlags, ClockTime, subclass::prelude::*};

use super::{
    MultitrackKind,
    header::{self, Totals},
    properties::Settings,
    track::{Format, Frame, Track},
};
use crate::protocol::{
    flv::{
        Script, Tag, TagKind,
        head::{AudioPacket, TrackData, VideoPacket, write_audio_tracks, write_video_tracks},
        script::KeyframeIndex,
        tag::{HEAD, MAX_BODY, TAIL},
    },
    rtmp::amf::Object,
};

/// Frames from this many bytes on are not copied into their tag: head and tail become memories of
/// their own, which costs more than copying less.
const SHARED: usize = 8 << 10;

/// Longest index that is kept, in key frames: two days of one a second.
const LONGEST_INDEX: usize = 172_800;

/// When a frame is, in ns of running time.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub(super) dts: i64,
    pub(super) pts: i64,
    /// The buffer itself says when it is to be decoded.
    pub(super) has_dts: bool,
}

/// What came out, in order.
pub(super) type Out = Vec<gst::Buffer>;

/// The state of a stream.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) tracks: Vec<Track>,
    /// What the stream has begun with, once it has.
    pub(super) settings: Option<Arc<Settings>>,
    pub(super) tags: Option<gst::TagList>,
    /// The metadata that was written is no longer right.
    pub(super) metadata_due: bool,
    /// A track is new, and `onMetaData` goes with it whatever it says.
    pub(super) metadata_stale: bool,
    /// Running time of timestamp 0, ns.
    first: Option<i64>,
    /// The last timestamp, ms.
    last: i64,
    /// The end of what was written, ms.
    end: i64,
    bytes: u64,
    index: KeyframeIndex,
    date: Option<String>,
    /// What the beginning of a file says.
    metadata: Object,
    /// Room for a head, used again and again.
    head: BytesMut,
}

impl Writer {
    /// Timestamp, composition time and nanoseconds of a frame; `None` if it is to be dropped.
    pub(super) fn place(
        &mut self,
        settings: &Settings,
        track: usize,
        when: When,
    ) -> Option<(i64, i32, u32)> {
        const MS: i64 = 1_000_000;
        let first = *self.first.get_or_insert(when.dts);
        let (dts, pts) = (when.dts - first, when.pts - first);
        let mut ms = dts.div_euclid(MS);
        if settings.skip_backwards && self.begun() && ms < self.last {
            return None;
        }
        if ms < self.last && settings.enforce_increasing {
            ms = self.last;
        }
        let ms = ms.max(0);
        let shown = pts.div_euclid(MS);
        let track = self.tracks.get(track)?;
        track.pad.imp().reach(when.dts);
        let nanos = match settings.nano_offset && track.four_cc().is_some() {
            true => pts.rem_euclid(MS) as u32,
            false => 0,
        };
        let composition = match track.is_video() {
            true => (shown - ms).clamp(-0x80_0000, 0x7f_ffff) as i32,
            false => 0,
        };
        Some((ms, composition, nanos))
    }

    /// Headers of the whole stream, for its beginning and for the caps.
    pub(super) fn headers(&mut self, settings: &Settings, tags: &gst::TagListRef) -> Out {
        if self.date.is_none() {
            self.date = header::creation_date();
        }
        let mut headers = vec![header_buffer(self.file_header().to_vec())];
        let metadata = header::metadata(settings, tags, &self.tracks, self.date.as_deref());
        let tag = match settings.streamable {
            true => header::tag(&metadata, 0),
            false => header::file_tag(&metadata, &Totals::default()),
        };
        if let Some(tag) = tag {
            headers.push(header_buffer(tag.into_flv()));
        }
        if !self.begun() {
            self.metadata = metadata;
        }
        headers.extend(self.configs(0, |_| true));
        headers
    }

    fn file_header(&self) -> [u8; 13] {
        let video = self.tracks.iter().any(Track::is_video);
        let audio = self.tracks.iter().any(|track| !track.is_video());
        header::file_header(audio, video)
    }

    fn configs(&self, ms: u32, which: impl Fn(&Track) -> bool) -> Out {
        // Pictures first, as flvmux has it.
        let (video, audio): (Vec<_>, Vec<_>) = self
            .tracks
            .iter()
            .filter(|track| which(track))
            .partition(|track| track.is_video());
        let tracks = video.into_iter().chain(audio);
        let bodies = tracks.flat_map(|track| {
            let kind = track.kind();
            track.config().into_iter().map(move |body| (kind, body))
        });
        let tags = bodies.filter_map(|(kind, body)| Tag::new(kind, ms, &body));
        tags.map(|tag| header_buffer(tag.into_flv())).collect()
    }

    pub(super) fn begun(&self) -> bool {
        self.settings.is_some()
    }

    /// The stream has begun with all its headers.
    pub(super) fn begin(&mut self, settings: &Arc<Settings>, headers: &[gst::Buffer]) {
        self.settings = Some(Arc::clone(settings));
        self.bytes = headers.iter().map(|header| header.size() as u64).sum();
        (self.metadata_due, self.metadata_stale) = (false, false);
        for track in &mut self.tracks {
            track.config_due = false;
        }
    }

    /// Headers that a track needs before its next frame.
    pub(super) fn due(&mut self, at: usize, ms: i64) -> Out {
        let Some(track) = self.tracks.get_mut(at) else {
            return Out::new();
        };
        if !std::mem::take(&mut track.config_due) {
            return Out::new();
        }
        let (kind, id) = (track.kind(), track.id);
        let out = self.configs(ms as u32, |track| track.kind() == kind && track.id == id);
        self.count(&out);
        out
    }

    /// `onMetaData` in mid-stream, if it says anything new. Parsers estimate the bitrate again and
    /// again, which is no news.
    pub(super) fn metadata(&mut self, settings: &Settings, tags: &gst::TagListRef, ms: i64) -> Out {
        self.metadata_due = false;
        let stale = std::mem::take(&mut self.metadata_stale);
        let metadata = header::metadata(settings, tags, &self.tracks, self.date.as_deref());
        let news = |object: &Object| {
            let mut object = object.clone();
            object.0.retain(|(name, _)| !name.ends_with("datarate"));
            object
        };
        if !stale && news(&metadata) == news(&self.metadata) {
            return Out::new();
        }
        let tag = header::tag(&metadata, ms as u32);
        self.metadata = metadata;
        let out: Out = tag
            .map(|tag| header_buffer(tag.into_flv()))
            .into_iter()
            .collect();
        self.count(&out);
        out
    }

    /// A call of a script.
    pub(super) fn script(&mut self, script: &Script, ms: i64) -> Option<gst::Buffer> {
        let tag = script.to_tag(TagKind::Data, ms as u32)?;
        let buffer = gst::Buffer::from_slice(tag.into_flv());
        self.bytes += buffer.size() as u64;
        Some(buffer)
    }

    fn count(&mut self, out: &[gst::Buffer]) {
        self.bytes += out.iter().map(|buffer| buffer.size() as u64).sum::<u64>();
    }

    /// One frame of one track; `None` if it is larger than a tag can be.
    pub(super) fn frame(
        &mut self,
        at: usize,
        frame: Frame,
        when: When,
        ms: i64,
        data: gst::Buffer,
    ) -> Option<gst::Buffer> {
        let track = self.tracks.get(at)?;
        let kind = track.kind();
        self.head.clear();
        self.head.resize(HEAD, 0);
        track.head(frame, &mut self.head);
        let (duration, delta) = (data.duration(), !frame.key);
        let mut buffer = tag_buffer(kind, ms as u32, &mut self.head, data)?;
        self.stamp(&mut buffer, kind, frame.key, when, ms, duration, delta);
        Some(buffer)
    }

    /// Frames of several tracks in one message.
    pub(super) fn frames(
        &mut self,
        kind: MultitrackKind,
        frames: &[(usize, Frame, gst::Buffer)],
        when: When,
        ms: i64,
    ) -> Option<gst::Buffer> {
        let (first, frame, data) = frames.first()?;
        let tag_kind = self.tracks.get(*first)?.kind();
        let maps: Vec<_> = frames
            .iter()
            .filter_map(|(at, frame, data)| {
                let track = self.tracks.get(*at)?;
                Some((
                    track.four_cc()?,
                    track.id,
                    frame.composition,
                    data.map_readable().ok()?,
                ))
            })
            .collect();
        let tracks: Vec<_> = maps
            .iter()
            .map(|(codec, id, composition, map)| TrackData {
                codec: *codec,
                id: *id,
                composition_time: *composition,
                data: map.as_slice(),
            })
            .collect();
        let mut body = BytesMut::new();
        let written = match tag_kind {
            TagKind::Video => write_video_tracks(
                Track::frame_type(*frame),
                VideoPacket::CodedFrames,
                frame.nanos,
                kind.into(),
                &tracks,
                &mut body,
            ),
            _ => write_audio_tracks(
                AudioPacket::CodedFrames,
                frame.nanos,
                kind.into(),
                &tracks,
                &mut body,
            ),
        };
        if !written {
            return None;
        }
        let tag = Tag::new(tag_kind, ms as u32, &body)?;
        let mut buffer = gst::Buffer::from_slice(tag.into_flv());
        let (duration, delta) = (data.duration(), !frame.key);
        self.stamp(&mut buffer, tag_kind, frame.key, when, ms, duration, delta);
        Some(buffer)
    }

    /// Sound pauses: a message without a body. `None` if that has been said.
    pub(super) fn silence(&mut self, at: usize, when: When, ms: i64) -> Option<gst::Buffer> {
        let track = self.tracks.get_mut(at)?;
        // Of tracks with a number there is no such message.
        if track.is_video() || track.numbered || std::mem::replace(&mut track.silent, true) {
            return None;
        }
        let tag = Tag::new(TagKind::Audio, ms as u32, &[])?;
        let mut buffer = gst::Buffer::from_slice(tag.into_flv());
        self.stamp(&mut buffer, TagKind::Audio, false, when, ms, None, false);
        Some(buffer)
    }

    #[allow(clippy::too_many_arguments)]
    fn stamp(
        &mut self,
        buffer: &mut gst::Buffer,
        kind: TagKind,
        key: bool,
        when: When,
        ms: i64,
        duration: Option<ClockTime>,
        delta: bool,
    ) {
        let has_video = self.tracks.iter().any(Track::is_video);
        if key && has_video == (kind == TagKind::Video) {
            self.remember(ms);
        }
        self.last = self.last.max(ms);
        let length = duration.map_or(0, |duration| duration.mseconds() as i64);
        self.end = self.end.max(ms + length);
        let fields = buffer.make_mut();
        self.bytes += fields.size() as u64;
        let time = |ns: i64| ClockTime::from_nseconds(u64::try_from(ns).unwrap_or(0));
        // As flvmux: sound has no other time than the one at which it is heard.
        let has_dts = when.has_dts && kind == TagKind::Video;
        fields.set_dts(has_dts.then(|| time(when.dts)));
        fields.set_pts(time(when.pts));
        fields.set_duration(duration);
        if delta {
            fields.set_flags(BufferFlags::DELTA_UNIT);
        }
    }

    fn remember(&mut self, ms: i64) {
        let seconds = ms as f64 / 1000.0;
        let entries = &mut self.index.entries;
        if entries.len() < LONGEST_INDEX && entries.last().is_none_or(|(last, _)| seconds > *last) {
            entries.push((seconds, self.bytes));
        }
    }

    /// What ends all tracks.
    pub(super) fn ends(&mut self) -> Out {
        let ms = self.last as u32;
        let ends = self
            .tracks
            .iter()
            .filter_map(|track| Tag::new(track.kind(), ms, &track.end()?));
        let out: Out = ends
            .map(|tag| gst::Buffer::from_slice(tag.into_flv()))
            .collect();
        self.count(&out);
        out
    }

    /// Header and metadata of a file that has been written, of the same size as those at its beginning.
    /// The header tells of pads that came late too.
    pub(super) fn final_beginning(&self) -> Option<gst::Buffer> {
        let totals = Totals {
            seconds: self.end as f64 / 1000.0,
            bytes: self.bytes,
            index: self.index.clone(),
        };
        let tag = header::file_tag(&self.metadata, &totals)?;
        let mut bytes = self.file_header().to_vec();
        bytes.extend_from_slice(tag.as_flv());
        Some(gst::Buffer::from_slice(bytes))
    }

    /// After a flush.
    pub(super) fn restart(&mut self) {
        let tracks = std::mem::take(&mut self.tracks);
        let tags = self.tags.take();
        *self = Self {
            tracks,
            tags,
            ..Self::default()
        };
        for track in &mut self.tracks {
            track.config_due = true;
        }
    }

    /// Whether a track can begin with this frame; learns from it what caps did not say.
    pub(super) fn learn(&mut self, at: usize, data: &gst::BufferRef) -> bool {
        let Some(track) = self.tracks.get_mut(at) else {
            return false;
        };
        match &track.format {
            Format::Video(format) if format.config.is_some() => true,
            Format::Audio(_) => track.learn(&[]),
            _ => data.map_readable().is_ok_and(|map| track.learn(&map)),
        }
    }
}

fn header_buffer(bytes: impl AsRef<[u8]> + Send + 'static) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(bytes);
    buffer.make_mut().set_flags(BufferFlags::HEADER);
    buffer
}

/// A tag around `data`; `head` is room for the tag's head, and the head of the body.
fn tag_buffer(kind: TagKind, ms: u32, head: &mut [u8], data: gst::Buffer) -> Option<gst::Buffer> {
    let body = head.len() - HEAD + data.size();
    if body > MAX_BODY {
        return None;
    }
    let [_, s2, s1, s0] = (body as u32).to_be_bytes();
    let [t3, t2, t1, t0] = ms.to_be_bytes();
    head.get_mut(..HEAD)?
        .copy_from_slice(&[kind as u8, s2, s1, s0, t2, t1, t0, t3, 0, 0, 0]);
    let tail = ((HEAD + body) as u32).to_be_bytes();
    let shared = data.size() >= SHARED;
    let copied = if shared { 0 } else { data.size() };
    let mut memory = gst::Memory::with_size(head.len() + copied + TAIL);
    {
        let mut map = memory.get_mut()?.map_writable().ok()?;
        let (start, rest) = map.split_at_mut_checked(head.len())?;
        start.copy_from_slice(head);
        let (middle, end) = rest.split_at_mut_checked(copied)?;
        data.copy_to_slice(0, middle).ok()?;
        end.copy_from_slice(&tail);
    }
    let mut buffer = gst::Buffer::new();
    let fields = buffer.get_mut()?;
    if !shared {
        fields.append_memory(memory);
        return Some(buffer);
    }
    fields.append_memory(memory.share(0..head.len()));
    for shared in data.iter_memories_owned() {
        fields.append_memory(shared);
    }
    fields.append_memory(memory.share(head.len()..));
    Some(buffer)
}
