// SPDX-License-Identifier: MPL-2.0

//! What downstream asks for: seeks, positions and durations.

use std::sync::atomic::Ordering;

use gst::{ClockTime, prelude::*, subclass::prelude::*};

use super::imp::{FlvDemuxBridge, Mode, NOWHERE, lock};

type Segment = gst::FormattedSegment<ClockTime>;

impl FlvDemuxBridge {
    pub(super) fn source_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        let gst::EventView::Seek(seek) = event.view() else {
            return gst::Pad::event_default(pad, Some(&*self.obj()), event);
        };
        let mode = lock(&self.known).mode;
        match mode {
            Mode::Pull => self.seek_file(seek),
            Mode::PushTime => self.sink.push_event(event),
            Mode::Push => self.sink.push_event(event.clone()) || self.seek_upstream(seek),
        }
    }

    /// In a file that somebody else reads, by its index.
    fn seek_upstream(&self, seek: &gst::event::Seek) -> bool {
        let (rate, flags, ..) = seek.get();
        if rate <= 0.0 {
            return false;
        }
        let segment = lock(&self.known).segment.clone();
        let Some(mut segment) = self.sought(segment, seek) else {
            return false;
        };
        let target = segment.position().unwrap_or(ClockTime::ZERO);
        let entry = lock(&self.index).before(target.nseconds() as f64 / 1e9);
        let Some((seconds, position)) = entry else {
            return false;
        };
        if flags.contains(gst::SeekFlags::KEY_UNIT) {
            snap(&mut segment, ClockTime::from_seconds_f64(seconds));
        }
        // Whoever reads flushes too: nothing here has to wait for the streaming thread.
        lock(&self.known).sought = Some(segment);
        let event = gst::event::Seek::builder(
            rate,
            flags & (gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE),
            gst::SeekType::Set,
            gst::format::Bytes::from_u64(position),
            gst::SeekType::None,
            gst::format::Bytes::from_u64(0),
        )
        .seqnum(seek.seqnum());
        let done = self.sink.push_event(event.build());
        if !done {
            lock(&self.known).sought = None;
        }
        done
    }

    /// What a seek makes of the segment that plays, from the place where that is.
    pub(super) fn sought(&self, mut segment: Segment, seek: &gst::event::Seek) -> Option<Segment> {
        let (rate, flags, start_type, start, stop_type, stop) = seek.get();
        let (gst::GenericFormattedValue::Time(start), gst::GenericFormattedValue::Time(stop)) =
            (start, stop)
        else {
            return None;
        };
        // Running time goes on from there unless it is flushed, and so does a seek that changes the
        // rate alone.
        if let Some(position) = self.place() {
            segment.set_position(position);
        }
        if rate < 0.0 {
            // Backwards means from the end, unless another place is named.
            segment.set_duration(lock(&self.known).duration);
        }
        segment.do_seek(rate, flags, start_type, start, stop_type, stop)?;
        if rate < 0.0 && segment.stop().is_none() {
            let end = segment.position().filter(|end| !end.is_zero())?;
            segment.set_stop(end);
        }
        Some(segment)
    }

    /// Time of the last frame in the segment.
    fn place(&self) -> Option<ClockTime> {
        let position = self.position.load(Ordering::Relaxed);
        (position != NOWHERE).then(|| ClockTime::from_nseconds(position))
    }

    /// To all pads, from a thread that is not the streaming one.
    pub(super) fn push_to_sources(&self, event: &gst::Event) {
        for pad in self.obj().src_pads() {
            pad.push_event(event.clone());
        }
    }

    pub(super) fn source_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Position(query) if query.format() == gst::Format::Time => {
                let known = lock(&self.known);
                let position = self
                    .place()
                    .and_then(|position| known.segment.to_stream_time(position));
                query.set(position.unwrap_or(ClockTime::ZERO));
                true
            }
            gst::QueryViewMut::Duration(query) if query.format() == gst::Format::Time => {
                let upstream = self.sink.peer_query_duration::<ClockTime>();
                match upstream.or(lock(&self.known).duration) {
                    Some(duration) => {
                        query.set(duration);
                        true
                    }
                    None => false,
                }
            }
            gst::QueryViewMut::Seeking(query) if query.format() == gst::Format::Time => {
                let (mode, duration) = {
                    let known = lock(&self.known);
                    (known.mode, known.duration)
                };
                let upstream = |format| {
                    let mut query = gst::query::Seeking::new(format);
                    self.sink.peer_query(query.query_mut()) && query.result().0
                };
                let seekable = match mode {
                    Mode::Pull => true,
                    Mode::PushTime => upstream(gst::Format::Time),
                    Mode::Push => {
                        upstream(gst::Format::Time)
                            || upstream(gst::Format::Bytes) && !lock(&self.index).entries.is_empty()
                    }
                };
                query.set(seekable, Some(ClockTime::ZERO), duration);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }
}

/// Begins a segment at a key frame instead of where it was asked for.
pub(super) fn snap(segment: &mut Segment, time: ClockTime) {
    // Of what is skipped at its beginning.
    segment.set_offset(ClockTime::ZERO);
    segment.set_start(time);
    segment.set_time(time);
    segment.set_position(time);
}
