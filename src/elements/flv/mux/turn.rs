// SPDX-License-Identifier: MPL-2.0

//! Whose turn it is: the oldest frame is written, with what has to go before it, and what ends all.

use std::sync::Arc;

use gst::{ClockTime, prelude::*, subclass::prelude::*};
use gst_base::{AGGREGATOR_FLOW_NEED_DATA, prelude::*};

use super::{
    super::caps::audio::AudioFormat,
    FlvMuxBridgePad, MultitrackKind,
    imp::{CAT, FlowResult, FlvMuxBridge, lock},
    properties::Settings,
    track::{Format, Frame},
    writer::{Out, When, Writer},
};
use crate::protocol::flv::codec::AudioCodec;

/// The next frame of a pad.
#[derive(Debug)]
pub(super) struct Next {
    pad: FlvMuxBridgePad,
    buffer: gst::Buffer,
    pub(super) when: When,
}

impl FlvMuxBridge {
    fn push(&self, out: Out) -> FlowResult {
        for buffer in out {
            self.obj().finish_buffer(buffer)?;
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// The first tags, and the caps that hold them.
    fn begin(&self, settings: &Arc<Settings>, pads: &[FlvMuxBridgePad]) -> Out {
        let tags = self.merged_tags();
        let mut writer = lock(&self.writer);
        for next in ready(pads) {
            if let Some(at) = writer.tracks.iter().position(|track| track.pad == next.pad) {
                writer.learn(at, &next.buffer);
            }
        }
        let headers = writer.headers(settings, &tags);
        writer.begin(settings, &headers);
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
    pub(super) fn turn(&self, pads: &[FlvMuxBridgePad]) -> FlowResult {
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
        let begun = lock(&self.writer).begun();
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
        if let Some((time, duration)) = last.dts_or_pts().zip(last.duration()) {
            self.obj().set_position(time + duration);
        }
        self.obj().finish_buffer(last)
    }

    fn merged_tags_if_due(&self) -> Option<gst::TagList> {
        let due = {
            let mut writer = lock(&self.writer);
            // The metadata of a file is at its beginning.
            let streams = writer.settings.as_ref().is_some_and(|s| s.streamable);
            std::mem::take(&mut writer.metadata_due) && streams
        };
        due.then(|| self.merged_tags())
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
    fn finish(&self, settings: &Arc<Settings>) -> FlowResult {
        let begun = lock(&self.writer).begun();
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
        let Some(buffer) = lock(&self.writer).final_beginning() else {
            return Ok(gst::FlowSuccess::Ok);
        };
        // From byte 0 on.
        let segment = gst::FormattedSegment::<gst::format::Bytes>::new();
        self.obj().update_segment(&segment);
        self.obj().finish_buffer(buffer)
    }
}

/// What pads have ready.
fn ready(pads: &[FlvMuxBridgePad]) -> impl Iterator<Item = Next> {
    pads.iter().filter_map(|pad| {
        let buffer = pad.peek_buffer()?;
        let when = running_time(pad, &buffer);
        Some(Next {
            pad: pad.clone(),
            buffer,
            when,
        })
    })
}

/// The oldest of it.
pub(super) fn oldest(pads: &[FlvMuxBridgePad]) -> Option<Next> {
    ready(pads).min_by_key(|next| next.when.dts)
}

/// DTS and PTS in running time, ns; each stands in for the other, and the frame before for both.
fn running_time(pad: &FlvMuxBridgePad, buffer: &gst::BufferRef) -> When {
    let segment = pad.segment();
    let segment = segment.downcast_ref::<ClockTime>();
    let running = |time: Option<ClockTime>| {
        let Some(segment) = segment else {
            // Of a segment in bytes, as of a file that no parser has seen.
            return i64::try_from(time?.nseconds()).ok();
        };
        let running = segment.to_running_time_full(time?)?;
        let ns = i64::try_from(running.abs().nseconds()).ok()?;
        Some(if running.is_negative() { -ns } else { ns })
    };
    let (dts, pts) = (running(buffer.dts()), running(buffer.pts()));
    let start = || running(segment.and_then(|segment| segment.position())).unwrap_or(0);
    let before = || pad.imp().reached().unwrap_or_else(start);
    let dts = dts.or(pts).unwrap_or_else(before);
    When {
        dts,
        pts: pts.unwrap_or(dts),
        has_dts: buffer.dts().is_some(),
    }
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
