// SPDX-License-Identifier: MPL-2.0

//! Tags become buffers with a place on the time line.

use std::time::{Duration, Instant};

use gst::{ClockTime, prelude::*};
use gst_base::prelude::*;

use super::{
    super::{
        RtmpSrc,
        imp::CAT,
        metadata, tags,
        timeline::{Lane, Place},
    },
    HELD, ROUND_TRIP, Stream,
};
use crate::{
    elements::rtmp::{
        callers,
        kinds::{Live, Mode},
    },
    protocol::{flv::Tag, rtmp::amf::Object},
};

impl Stream {
    /// Learns that the stream is a recording.
    pub(super) fn recorded(&mut self, element: &RtmpSrc, duration: Option<ClockTime>) {
        let changed = {
            let notes = &mut *self.board.notes();
            notes.recorded = true;
            duration.is_some() && std::mem::replace(&mut notes.duration, duration) != duration
        };
        if changed {
            let message = gst::message::DurationChanged::builder()
                .src(element)
                .build();
            let _ = element.post_message(message);
        }
    }

    /// Counts a tag.
    pub(super) fn note(&mut self, tag: &Tag) {
        let Some(receiver) = &mut self.receiver else {
            return;
        };
        let now = Instant::now();
        let round_trip = self.round_trip_due.is_none_or(|due| now >= due).then(|| {
            self.round_trip_due = Some(now + ROUND_TRIP);
            receiver.round_trip()
        });
        let stats = &mut self.board.notes().stats;
        stats.set_link(receiver.stats());
        stats.tunnel = receiver.tunnel_stats();
        stats.tags += 1;
        stats.media_timestamp = Some(Duration::from_millis(tag.timestamp().into()));
        if let Some(round_trip) = round_trip {
            stats.round_trip_time = round_trip;
        }
        if let Some(caller) = stats.callers.first_mut() {
            caller.bytes = stats.in_bytes_total;
            caller.round_trip = stats.round_trip_time;
        }
    }

    /// Takes note of what the publisher says of its stream.
    fn learn(&mut self, element: &RtmpSrc, metadata: &Object) {
        if self.settings.mode == Mode::Caller
            && *self.settings.live != Live::Live
            && let Some(duration) = metadata::duration(metadata)
        {
            self.recorded(element, Some(duration));
        }
        callers::tell(element.upcast_ref(), metadata::message(metadata));
        self.tags = metadata::tags(metadata);
    }

    pub(super) fn media(&mut self, element: &RtmpSrc, tag: Tag) {
        gst::log!(
            CAT,
            obj = element,
            "{:?} at {}, {} bytes",
            tag.kind(),
            tag.timestamp(),
            tag.body().len()
        );
        if let Some(metadata) = metadata::parse(&tag) {
            self.learn(element, &metadata);
        }
        let face = tags::Face::of(&tag);
        if face.lane == Lane::Aside && (self.follows || self.timeline.is_open()) {
            self.held.push(tag);
            if self.held.len() >= HELD {
                self.release(element);
            }
            return;
        }
        self.follow(element, tag.timestamp());
        let wire = tag.timestamp().wrapping_add(self.shift);
        let place = self.place(element, face.lane, wire);
        self.held.push(tag);
        self.send(place, wire);
    }

    /// Puts another publisher's time behind that of the one before.
    pub(super) fn follow(&mut self, element: &RtmpSrc, wire: u32) {
        if std::mem::take(&mut self.follows) {
            let now = element.current_running_time().unwrap_or_default();
            if let Some(first) = self.timeline.resume(now) {
                self.shift = first.wrapping_sub(wire);
                self.discont = true;
                gst::debug!(CAT, obj = element, "Timestamps go on at {first}");
            }
        }
    }

    /// Lets go of tags that waited in vain for one with a time.
    pub(super) fn release(&mut self, element: &RtmpSrc) {
        let Some(last) = self.held.last() else {
            return;
        };
        let wire = last.timestamp();
        self.follow(element, wire);
        let wire = wire.wrapping_add(self.shift);
        let place = self.place(element, Lane::Aside, wire);
        self.send(place, wire);
    }

    /// Hands on what was held, and the tag whose place this is. A segment has been set, if there is
    /// a new one.
    fn send(&mut self, place: Place, wire: u32) {
        // The base class marks the first buffer of all.
        let mut discont =
            std::mem::take(&mut self.discont) || (self.began && place.anchor.is_some());
        if !self.began {
            self.begin(place.dts);
        }
        for tag in self.held.drain(..) {
            // Headers and metadata say 0, or anything: where time was moved, they come along.
            let tag = if self.shift == 0 { tag } else { tag.at(wire) };
            let mut buffer = tags::Face::of(&tag).buffer(tag, place.dts);
            if std::mem::take(&mut discont) {
                buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
            }
            self.out.push_back(buffer);
        }
    }

    /// When a tag is, in a segment that the element has been given.
    pub(super) fn place(&mut self, element: &RtmpSrc, lane: Lane, wire: u32) -> Place {
        let now = || element.current_running_time().unwrap_or_default();
        let place = self.timeline.place(lane, wire, now);
        if let Some(anchor) = place.anchor {
            gst::debug!(CAT, obj = element, "At {}: {anchor:?}", place.dts);
            let mut segment = gst::FormattedSegment::<ClockTime>::new();
            segment.set_start(anchor.start);
            segment.set_time(anchor.start);
            segment.set_position(anchor.start);
            segment.set_base(anchor.base);
            segment.set_duration(self.board.notes().duration);
            if let Err(error) = element.new_segment(segment.upcast_ref()) {
                gst::error!(CAT, obj = element, "{error}");
            }
        }
        place
    }

    pub(super) fn begin(&mut self, dts: ClockTime) {
        self.began = true;
        self.out.push_back(tags::file_header(dts));
    }
}
