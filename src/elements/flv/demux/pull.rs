// SPDX-License-Identifier: MPL-2.0

//! Files: read in large blocks, and sought in. Backwards they are read from key frame to key frame before it,
//! each stretch forwards.

use gst::{ClockTime, prelude::*, subclass::prelude::*};

use super::{
    ask,
    find::Stretch,
    flow::Flow,
    imp::{self, CAT, lock},
};

/// Bytes asked for at once: some 30 tags of a stream of 2 Mb/s.
pub(super) const BLOCK: u32 = 128 << 10;

/// Tags from this many bytes on are read on their own: one that lies in two blocks is copied together.
const LARGE: usize = BLOCK as usize / 2;

/// After a large tag so many small ones are read on their own too: another large one is near, of which a
/// block would hold a part, to be thrown away. At 50 Mb/s all pictures are large.
const ALONE: u32 = 8;

/// Bytes of a tag's head, which are read with the tag before, to know how much to read next.
const HEAD: usize = 11;

/// Bytes of file header and of the back-pointer behind it.
pub(super) const FIRST_TAG: u64 = 13;

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
    /// What is being read of a file that is played backwards.
    stretch: Option<Stretch>,
}

impl Pull {
    fn go(&mut self, position: u64, stretch: Option<Stretch>) {
        *self = Self {
            offset: position,
            started: true,
            stretch,
            ..Self::default()
        };
    }

    /// What to read next.
    fn next(&self) -> (u64, u32) {
        // A tag has 24 bits of length.
        let size = self.tag.map_or(BLOCK, |tag| (tag + HEAD) as u32);
        let left = self
            .stretch
            .map(|stretch| stretch.end.saturating_sub(self.offset));
        let left = left.and_then(|left| u32::try_from(left).ok());
        (self.offset, left.map_or(size, |left| left.min(size)))
    }
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
        let result = match self.read(&mut flow) {
            Ok(false) if !self.step_back(&mut flow) => {
                // What is flushed finds nothing, which is no end.
                match self.sink.pad_flags().contains(gst::PadFlags::FLUSHING) {
                    true => Err(gst::FlowError::Flushing),
                    false => flow.end(&self.obj()).and(Err(gst::FlowError::Eos)),
                }
            }
            Ok(_) => Ok(gst::FlowSuccess::Ok),
            Err(error) => Err(error),
        };
        let stop = flow.segment.stop().filter(|_| flow.segment.rate() > 0.0);
        let over = stop.is_some_and(|stop| flow.latest > stop.mseconds() as i64 + BEHIND_STOP);
        match result {
            Ok(_) if !over => {}
            Ok(_) => self.finish(&mut flow, gst::FlowError::Eos),
            Err(error) => self.finish(&mut flow, error),
        }
    }

    /// One block; `false` where there is none.
    fn read(&self, flow: &mut Flow) -> Result<bool, gst::FlowError> {
        let (offset, size) = lock(&self.pull).next();
        if size == 0 {
            return Ok(false);
        }
        let buffer = match self.sink.pull_range(offset, size) {
            Ok(buffer) => buffer,
            Err(gst::FlowError::Eos) => return Ok(false),
            Err(error) => return Err(error),
        };
        let end = offset + buffer.size() as u64;
        // At the end of a file the rest is all there will be.
        let all = buffer.size() == size as usize;
        let result = self.take(flow, buffer);
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
        result.map(|_| true)
    }

    /// Goes to the stretch before the one that was read; `false` where nothing more is to be read.
    fn step_back(&self, flow: &mut Flow) -> bool {
        let Some(read) = lock(&self.pull).stretch else {
            return false;
        };
        let start = flow.segment.start().unwrap_or_default();
        if read.begin.time <= start.mseconds() as i64 {
            return false;
        }
        let Some(before) = self.stretch_before(flow, read.begin) else {
            return false;
        };
        flow.jump(Some(before.begin.position));
        lock(&self.pull).go(before.begin.position, Some(before));
        true
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
                    let position = match flow.segment.rate() > 0.0 {
                        true => flow.segment.stop().or(lock(&self.known).duration),
                        false => flow.segment.start(),
                    };
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
        let backwards = rate < 0.0;
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
        let time = target.mseconds() as i64;
        let (stretch, found) = match backwards {
            true => {
                let stretch = self.stretch_at(&flow, time).unwrap_or(Stretch::NONE);
                (Some(stretch), Some(stretch.begin))
            }
            false => (None, self.locate(&flow, time)),
        };
        if flags.contains(gst::SeekFlags::KEY_UNIT)
            && !backwards
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
        lock(&self.pull).go(position, stretch);
        drop(flow);
        self.start_loop().is_ok()
    }
}
