// SPDX-License-Identifier: MPL-2.0

//! Tags become pads, caps and buffers. Only the streaming thread is here.
//!
//! `video` and `audio` read tags of their kind, `script` those of data, `pads` makes tracks and pads of
//! what they find, and `payload` is what goes into a buffer.

mod audio;
mod pads;
mod payload;
mod script;
mod video;

use bytes::Bytes;
use gst::{BufferFlags, ClockTime, prelude::*, subclass::prelude::*};
use gst_base::UniqueFlowCombiner;

use self::payload::Payload;
use super::{
    FlvDemuxBridge,
    imp::{CAT, lock},
    lane::Lane,
    track::{Format, Kind, Track},
};
use crate::protocol::{
    flv::{FlvError, Item, Reader, TagKind},
    rtmp::amf::Object,
};

/// How long tags may tell of one kind only before the other is not waited for any more.
const PADS_WAIT: i64 = 6_000;

/// How far one track may be behind another before that is a gap, in ms. Files are interleaved more
/// closely, and what comes behind a gap after all is late.
const GAP: i64 = 3_000;

/// How many key frames are remembered that no index told of. One every 2 s for a day.
const LEARNT: usize = 43_200;

/// All that the streaming thread knows.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) reader: Reader,
    pub(super) tracks: Vec<Track>,
    pub(super) segment: gst::FormattedSegment<ClockTime>,
    pub(super) seqnum: Option<gst::Seqnum>,
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
            reader: Reader::searching().spanning(),
            tracks: Vec::new(),
            segment,
            seqnum: None,
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
            Item::Spanning(tag) => {
                gst::log!(
                    CAT,
                    obj = element,
                    "Video of {} bytes in pieces at {} ms",
                    tag.flv_len(),
                    tag.timestamp()
                );
                self.spanning_video(element, &tag)
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
        // It would end a segment that lies before.
        self.latest = 0;
        for track in &mut self.tracks {
            track.reached = None;
        }
        self.mark_discont();
    }

    /// The next frame of each track does not follow on the last.
    pub(super) fn mark_discont(&mut self) {
        for track in &mut self.tracks {
            track.discont = true;
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn push(
        &mut self,
        element: &FlvDemuxBridge,
        at: usize,
        data: Payload,
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
        track.reached = Some(time);
        let result = track.push(data.into_buffer(), dts, pts, flags);
        let result = match &track.pad {
            Some(pad) => self.combiner.update_pad_flow(pad, result),
            None => result,
        };
        self.fill(at, time);
        if !self.all_pads {
            self.check_pads(element);
        }
        result
    }

    /// Tells of tracks that have nothing for so long. Sinks wait for each other, and who has neither
    /// frame nor gap holds up all.
    fn fill(&mut self, at: usize, time: i64) {
        for (other, track) in self.tracks.iter_mut().enumerate() {
            if other == at {
                continue;
            }
            let Some(pad) = track.pad.clone() else {
                continue;
            };
            let reached = *track.reached.get_or_insert(time);
            if time - reached < GAP {
                continue;
            }
            track.reached = Some(time);
            track.push_due(&self.segment, self.seqnum, self.tags.as_ref());
            track.discont = true;
            let (start, end) = (millis(reached), millis(time));
            let gap = gst::event::Gap::builder(start).duration(end.saturating_sub(start));
            pad.push_event(gap.build());
        }
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

    fn learn(element: &FlvDemuxBridge, time: i64, position: u64) {
        let seconds = time as f64 / 1000.0;
        let entries = &mut lock(&element.imp().index).entries;
        let after = entries
            .last()
            .is_none_or(|&(last, at)| seconds > last && position > at);
        if after && entries.len() < LEARNT {
            entries.push((seconds, position));
        }
    }
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
