// SPDX-License-Identifier: MPL-2.0

//! Where what is looked for lies in a file: by its index where that tells the truth, else by bisection.

use bytes::Bytes;
use gst::{ClockTime, prelude::*, subclass::prelude::*};

use super::{
    flow::Flow,
    imp::{CAT, FlvDemuxBridge, lock},
    pull::{BLOCK, FIRST_TAG},
    track::Kind,
};
use crate::protocol::flv::{Item, Reader, Tag, TagKind};

/// Where bisection ends and reading on begins.
const CLOSE: u64 = 256 << 10;

/// Of sound alone each frame could begin a stretch that is played backwards; so long are they then, in ms.
const SOUNDS: i64 = 1_000;

/// A tag on the way to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sign {
    /// In ms.
    pub(super) time: i64,
    pub(super) position: u64,
    /// Decoding can begin here.
    key: bool,
}

/// From one tag at which decoding can begin to another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    pub(super) begin: Sign,
    pub(super) end: u64,
}

impl Stretch {
    /// Nothing that can be played.
    pub(super) const NONE: Self = Self {
        begin: Sign {
            time: 0,
            position: FIRST_TAG,
            key: false,
        },
        end: FIRST_TAG,
    };
}

fn has_pictures(flow: &Flow) -> bool {
    flow.tracks.iter().any(|track| track.kind == Kind::Video)
}

impl FlvDemuxBridge {
    fn length(&self) -> Option<u64> {
        let length = self.sink.peer_query_duration::<gst::format::Bytes>()?;
        Some(*length)
    }

    /// What is decoded together with a time, in ms.
    pub(super) fn stretch_at(&self, flow: &Flow, time: i64) -> Option<Stretch> {
        let begin = self.locate(flow, time)?;
        let mut next = None;
        self.read_signs(begin.position, has_pictures(flow), |sign| {
            let found = sign.key && sign.time > time;
            next = found.then_some(sign.position);
            !found
        });
        let end = next.or_else(|| self.length())?;
        Some(Stretch { begin, end })
    }

    /// What lies before a stretch.
    pub(super) fn stretch_before(&self, flow: &Flow, later: Sign) -> Option<Stretch> {
        let video = has_pictures(flow);
        let target = later.time - if video { 1 } else { SOUNDS };
        let first = || (self.first_sign(FIRST_TAG, video)).filter(|sign| sign.key);
        let begin = self.locate(flow, target).or_else(first)?;
        let end = later.position;
        (begin.position < end).then_some(Stretch { begin, end })
    }

    /// The last tag at or before a time, in ms, at which decoding can begin.
    pub(super) fn locate(&self, flow: &Flow, target: i64) -> Option<Sign> {
        let video = has_pictures(flow);
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
        let Some(end) = next.or_else(|| self.length()) else {
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
    pub(super) fn time_of_the_end(&self) -> Option<ClockTime> {
        let length = self.length()?;
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
