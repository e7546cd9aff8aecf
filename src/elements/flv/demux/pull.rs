// SPDX-License-Identifier: MPL-2.0

//! Files: read in large blocks, and sought in, by their index where it tells the truth, else by
//! bisection.

use bytes::Bytes;
use gst::{ClockTime, prelude::*, subclass::prelude::*};

use super::{
    ask,
    flow::Flow,
    imp::{self, CAT, lock},
    track::Kind,
};
use crate::protocol::flv::{Item, Reader, Tag, TagKind};

/// Bytes asked for at once: some 30 tags of a stream of 2 Mb/s.
const BLOCK: u32 = 128 << 10;

/// Tags from this many bytes on are read on their own: one that lies in two blocks is copied together.
const LARGE: usize = BLOCK as usize / 2;

/// After a large tag so many small ones are read on their own too: another large one is near, of which a
/// block would hold a part, to be thrown away. At 50 Mb/s all pictures are large.
const ALONE: u32 = 8;

/// Bytes of a tag's head, which are read with the tag before, to know how much to read next.
const HEAD: usize = 11;

/// Where bisection ends and reading on begins.
const CLOSE: u64 = 256 << 10;

/// Bytes of file header and of the back-pointer behind it.
const FIRST_TAG: u64 = 13;

/// Tags this far behind the end of a segment end it: sound and pictures are interleaved about so
/// closely. In ms.
const BEHIND_STOP: i64 = 1_000;

/// Where reading goes on.
#[derive(Debug, Default)]
pub(super) struct Pull {
    offset: u64,
    /// Bytes of the tag that is there, if it is to be read on its own.
    tag: Option<usize>,
    /// How many small tags are.
    alone: u32,
    started: bool,
}

/// A tag on the way to another.
#[derive(Clone, Copy, Debug)]
struct Sign {
    /// In ms.
    time: i64,
    position: u64,
    /// Decoding can begin here.
    key: bool,
}

impl imp::FlvDemuxBridge {
    pub(super) fn start_loop(&self) -> Result<(), glib::BoolError> {
        let weak = self.obj().downgrade();
        self.sink.start_task(move || {
            if let Some(element) = weak.upgrade() {
                element.imp().turn();
            }
        })
    }

    /// One block.
    fn turn(&self) {
        let mut flow = self.flow();
        if !std::mem::replace(&mut lock(&self.pull).started, true)
            && let Some(duration) = self.time_of_the_end()
        {
            self.lasts(duration);
        }
        let (offset, size) = {
            let pull = lock(&self.pull);
            // A tag has 24 bits of length.
            let tag = pull.tag.map(|tag| (tag + HEAD) as u32);
            (pull.offset, tag.unwrap_or(BLOCK))
        };
        let result = match self.sink.pull_range(offset, size) {
            Ok(buffer) => {
                let end = offset + buffer.size() as u64;
                // At the end of a file the rest is all there will be.
                let all = buffer.size() == size as usize;
                let result = self.take(&mut flow, buffer);
                let mut pull = lock(&self.pull);
                let alone = |tag: &usize| *tag >= LARGE || pull.alone > 0;
                let tag = flow.reader.wanted().filter(|tag| all && alone(tag));
                let again = tag.is_some() && flow.reader.unread();
                pull.alone = match tag {
                    Some(LARGE..) => ALONE,
                    _ => pull.alone.saturating_sub(1),
                };
                pull.tag = tag.filter(|_| again);
                pull.offset = if again { flow.reader.position() } else { end };
                result
            }
            Err(gst::FlowError::Eos) => flow.end(&self.obj()).and(Err(gst::FlowError::Eos)),
            Err(error) => Err(error),
        };
        let stop = flow.segment.stop().map(|stop| stop.mseconds() as i64);
        let over = stop.is_some_and(|stop| flow.latest > stop + BEHIND_STOP);
        match result {
            Ok(_) if !over => {}
            Ok(_) => self.finish(&mut flow, gst::FlowError::Eos),
            Err(error) => self.finish(&mut flow, error),
        }
    }

    /// No more blocks until a seek.
    fn finish(&self, flow: &mut Flow, error: gst::FlowError) {
        gst::debug!(CAT, imp = self, "Pausing: {error:?}");
        // The task that is paused is the one that we are in.
        let _ = self.sink.pause_task();
        match error {
            gst::FlowError::Flushing => {}
            gst::FlowError::Eos => {
                if !flow.has_pads() {
                    self.nothing_found();
                }
                if flow.segment.flags().contains(gst::SegmentFlags::SEGMENT) {
                    let position = flow.segment.stop().or(lock(&self.known).duration);
                    if let Some(position) = position {
                        self.moved_to(position);
                    }
                    let mut message =
                        gst::message::SegmentDone::builder(position).src(&*self.obj());
                    let mut event = gst::event::SegmentDone::builder(position);
                    if let Some(seqnum) = flow.seqnum {
                        message = message.seqnum(seqnum);
                        event = event.seqnum(seqnum);
                    }
                    let _ = self.obj().post_message(message.build());
                    flow.push_event(&event.build());
                    return;
                }
                let mut event = gst::event::Eos::builder();
                if let Some(seqnum) = flow.seqnum {
                    event = event.seqnum(seqnum);
                }
                flow.push_event(&event.build());
            }
            error => {
                // What was posted for a reason is not posted again.
                if error != gst::FlowError::Error {
                    gst::element_imp_error!(
                        self,
                        gst::StreamError::Failed,
                        ("Nobody takes what is in this FLV stream. Link its pads."),
                        ["{error}"]
                    );
                }
                flow.push_event(&gst::event::Eos::new());
            }
        }
    }

    pub(super) fn seek_file(&self, seek: &gst::event::Seek) -> bool {
        let (rate, flags, ..) = seek.get();
        if rate <= 0.0 {
            gst::info!(CAT, imp = self, "Does not play backwards");
            return false;
        }
        let segment = lock(&self.known).segment.clone();
        if self.sought(segment, seek).is_none() {
            return false;
        }
        let flush = flags.contains(gst::SeekFlags::FLUSH);
        let seqnum = seek.seqnum();
        if flush {
            let event = gst::event::FlushStart::builder().seqnum(seqnum).build();
            self.sink.push_event(event.clone());
            self.push_to_sources(&event);
        }
        // A task that was started can be paused.
        let _ = self.sink.pause_task();
        let mut flow = self.flow();
        if flush {
            let event = gst::event::FlushStop::builder(true).seqnum(seqnum).build();
            self.sink.push_event(event.clone());
            self.push_to_sources(&event);
        }
        let Some(mut segment) = self.sought(flow.segment.clone(), seek) else {
            // It goes on where it was.
            flow.renew_segment(None);
            drop(flow);
            let _ = self.start_loop();
            return false;
        };
        let target = segment.position().unwrap_or(ClockTime::ZERO);
        let found = self.locate(&flow, target.mseconds() as i64);
        if flags.contains(gst::SeekFlags::KEY_UNIT)
            && let Some(sign) = found
            && let Ok(time) = u64::try_from(sign.time)
        {
            ask::snap(&mut segment, ClockTime::from_mseconds(time));
        }
        let position = found.map_or(FIRST_TAG, |sign| sign.position);
        gst::debug!(CAT, imp = self, "Seeking to {target}: byte {position}");
        self.moved_to(segment.position().unwrap_or(target));
        flow.segment = segment.clone();
        flow.jump(Some(position));
        flow.renew_segment(Some(seqnum));
        lock(&self.known).segment = segment;
        {
            let mut pull = lock(&self.pull);
            pull.offset = position;
            (pull.tag, pull.alone) = (None, 0);
            pull.started = true;
        }
        drop(flow);
        self.start_loop().is_ok()
    }

    /// The last tag at or before a time, in ms, at which decoding can begin.
    fn locate(&self, flow: &Flow, target: i64) -> Option<Sign> {
        let video = flow.tracks.iter().any(|track| track.kind == Kind::Video);
        let seconds = target as f64 / 1000.0;
        let (before, after) = {
            let index = lock(&self.index);
            (index.before(seconds), index.after(seconds))
        };
        let known = before.and_then(|(_, position)| {
            let sign = self.first_sign(position, video)?;
            (sign.position == position && sign.key && sign.time <= target).then_some(sign)
        });
        if before.is_some() && known.is_none() {
            gst::info!(CAT, imp = self, "The index of key frames is wrong");
            lock(&self.index).entries.clear();
        }
        // It may be far away, in a file that was read in part, or have been thinned out.
        let first = known.map_or(FIRST_TAG, |sign| sign.position);
        let next = known.and(after).map(|(_, position)| position);
        let length = || self.sink.peer_query_duration::<gst::format::Bytes>();
        let Some(end) = next.or_else(|| length().map(|length| *length)) else {
            return known;
        };
        let (mut low, mut high) = (first, end);
        while high.saturating_sub(low) > CLOSE {
            let middle = low + (high - low) / 2;
            match self.first_sign(middle, video) {
                Some(sign) if sign.time <= target => low = sign.position.max(middle),
                _ => high = middle,
            }
        }
        // The key frame is somewhere before; each step back is twice as long.
        let mut step = CLOSE;
        loop {
            if let Some(sign) = self.last_key(low, target, video) {
                return Some(sign);
            }
            if low <= first {
                return known;
            }
            low = low.saturating_sub(step).max(first);
            step = step.saturating_mul(2);
        }
    }

    /// The first tag of pictures, or of sound if there are none, from a position on.
    fn first_sign(&self, position: u64, video: bool) -> Option<Sign> {
        let mut first = None;
        self.read_signs(position, video, |sign| {
            first = Some(sign);
            false
        });
        first
    }

    /// The last one at which decoding can begin, up to a time.
    fn last_key(&self, position: u64, target: i64, video: bool) -> Option<Sign> {
        let mut last = None;
        self.read_signs(position, video, |sign| {
            if sign.time > target {
                return false;
            }
            if sign.key {
                last = Some(sign);
            }
            true
        });
        last
    }

    fn read_signs(&self, position: u64, video: bool, mut each: impl FnMut(Sign) -> bool) {
        let mut reader = Reader::searching();
        reader.restart(position);
        let mut offset = position;
        loop {
            let Ok(buffer) = self.sink.pull_range(offset, BLOCK) else {
                return;
            };
            offset += buffer.size() as u64;
            let Ok(map) = buffer.into_mapped_buffer_readable() else {
                return;
            };
            reader.push(Bytes::from_owner(map));
            while let Ok(Some(item)) = reader.next() {
                if let Item::Tag(tag) = item
                    && let Some(key) = sign_of(&tag, video)
                {
                    let sign = Sign {
                        time: tag.timestamp().into(),
                        position: reader.position() - tag.as_flv().len() as u64,
                        key,
                    };
                    if !each(sign) {
                        return;
                    }
                }
            }
        }
    }

    /// When the last tag of the file is, for files whose metadata does not say how long they are.
    fn time_of_the_end(&self) -> Option<ClockTime> {
        let length = *self.sink.peer_query_duration::<gst::format::Bytes>()?;
        let read = |offset: u64, size: u32| {
            let buffer = self.sink.pull_range(offset, size).ok()?;
            let map = buffer.into_mapped_buffer_readable().ok()?;
            Some(map)
        };
        let pointer = read(length.checked_sub(4)?, 4)?;
        let size = u32::from_be_bytes(*pointer.first_chunk()?);
        let start = length.checked_sub(4)?.checked_sub(size.into())?;
        if start < FIRST_TAG {
            return None;
        }
        let head = read(start, 11)?;
        let &[kind, _, _, _, t2, t1, t0, t3, ..] = head.first_chunk::<11>()?;
        TagKind::from_number(kind)?;
        let ms = u32::from_be_bytes([t3, t2, t1, t0]);
        (ms > 0).then(|| ClockTime::from_mseconds(ms.into()))
    }
}

/// Whether decoding can begin at a tag; `None` for tags that do not matter.
fn sign_of(tag: &Tag, video: bool) -> Option<bool> {
    if !tag.is_droppable() {
        return None;
    }
    match tag.kind() {
        TagKind::Video if video => Some(tag.is_keyframe()),
        TagKind::Audio if !video => Some(true),
        _ => None,
    }
}
