// SPDX-License-Identifier: MPL-2.0

//! What downstream asks for: seeks, positions and durations.

use std::sync::atomic::Ordering;

use gst::{ClockTime, prelude::*, subclass::prelude::*};

use super::imp::{FlvDemuxBridge, Mode, NOWHERE, lock};

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
        let (rate, flags, start_type, start, stop_type, stop) = seek.get();
        let (gst::GenericFormattedValue::Time(start), gst::GenericFormattedValue::Time(stop)) =
            (start, stop)
        else {
            return false;
        };
        // The streaming thread does not hold it for long unless it is blocked, and then by a pad that
        // a flush unblocks.
        if flags.contains(gst::SeekFlags::FLUSH) {
            self.push_to_sources(
                &gst::event::FlushStart::builder()
                    .seqnum(seek.seqnum())
                    .build(),
            );
        }
        let mut segment = lock(&self.known).segment.clone();
        let entry = {
            let flow = self.flow();
            let target = start.unwrap_or(ClockTime::ZERO);
            flow.index.before(target.nseconds() as f64 / 1e9)
        };
        let Some((seconds, position)) = entry.filter(|_| rate > 0.0) else {
            if flags.contains(gst::SeekFlags::FLUSH) {
                let stop = gst::event::FlushStop::builder(true).seqnum(seek.seqnum());
                self.push_to_sources(&stop.build());
                self.flow().renew_segment(None);
            }
            return false;
        };
        if segment
            .do_seek(rate, flags, start_type, start, stop_type, stop)
            .is_none()
        {
            return false;
        }
        if flags.contains(gst::SeekFlags::KEY_UNIT) {
            snap(&mut segment, ClockTime::from_seconds_f64(seconds));
        }
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

    /// To all pads, from a thread that is not the streaming one.
    pub(super) fn push_to_sources(&self, event: &gst::Event) {
        for pad in self.obj().src_pads() {
            pad.push_event(event.clone());
        }
    }

    pub(super) fn source_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Position(query) if query.format() == gst::Format::Time => {
                let position = self.position.load(Ordering::Relaxed);
                let known = lock(&self.known);
                let position = (position != NOWHERE)
                    .then(|| {
                        known
                            .segment
                            .to_stream_time(ClockTime::from_nseconds(position))
                    })
                    .flatten();
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
                            || upstream(gst::Format::Bytes) && self.is_indexed()
                    }
                };
                query.set(seekable, Some(ClockTime::ZERO), duration);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    fn is_indexed(&self) -> bool {
        // The streaming thread may hold it, and wait downstream for who asks.
        let flow = self.flow.try_lock();
        flow.is_ok_and(|flow| !flow.index.entries.is_empty())
    }
}

/// Begins a segment at a key frame instead of where it was asked for.
pub(super) fn snap(segment: &mut gst::FormattedSegment<ClockTime>, time: ClockTime) {
    segment.set_start(time);
    segment.set_time(time);
    segment.set_position(time);
}
