// SPDX-License-Identifier: MPL-2.0

//! The bytes of a muxer in, a header and blocks out.
//!
//! What live players stumble over is written anew (facts with their sources stand in the README):
//!
//! - Time codes that go back. webmmux stamps Opus up to 6 ms before what it wrote last, which Chromium's
//!   Media Source refuses; a source that starts again begins at 0, where every player gets stuck.
//! - Key frames in the middle of a Cluster. A player can begin only with a Cluster whose first picture
//!   is one, so each key frame begins a Cluster here.
//! - Audio blocks without the key flag, and sizes and places in a file that is none: PrevSize, Position,
//!   Cues, CRC-32, Void.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::{
    BLOCK, HEADER,
    ebml::{self, ElementHead, Parsed, id},
    header::{Draft, Header, UNKNOWN},
};

/// What the time codes of a stream are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timecodes {
    /// Those of the muxer, as long as they go forward.
    #[default]
    Source,
    /// Milliseconds since 1970, so that they go on over a restart, of this process too.
    WallClock,
    /// Those of the muxer, and after a restart on from where they were.
    Continuing,
}

/// Why a stream cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebmError {
    /// There is no EBML header where one has to be.
    #[error("it does not begin as WebM or Matroska does")]
    NotWebm,
    /// Something that is no element where one has to be.
    #[error("there is something between its elements")]
    Broken,
    /// An element has more bytes than it may.
    #[error("an element claims {0} bytes")]
    TooLarge(u64),
    /// No track before the first Cluster.
    #[error("it describes no track before its first cluster")]
    NoTracks,
}

/// What comes out.
#[derive(Clone, Debug)]
pub enum Item {
    /// A stream begins, or another one.
    Header(Header),
    /// A block.
    Block(Block),
}

/// One frame of a track, or a lace of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The element, behind the head of a Cluster where one begins.
    pub bytes: Bytes,
    /// When, in milliseconds on the time line of the time codes.
    pub time: u64,
    /// Whether a player can begin here.
    pub join: bool,
}

/// See the module's text.
#[derive(Debug)]
pub struct Splitter {
    input: BytesMut,
    /// Bytes still to come of an element that nobody needs.
    skip: u64,
    place: Place,
    draft: Option<Draft>,
    /// The tracks of the stream that runs.
    header: Option<Header>,
    /// Time code of the Cluster that is being read.
    cluster: u64,
    /// Time code of the Cluster that is being written.
    base: Option<u64>,
    /// When a stream without pictures could last be joined.
    joined: Option<u64>,
    clock: Clock,
    items: VecDeque<Item>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the EBML header.
    Outside,
    /// In the Segment, where a header may follow too.
    Segment,
    Cluster,
}

/// Audio alone can be joined this often; each Cluster head costs 22 bytes.
const AUDIO_JOIN_MS: u64 = 500;

/// Ticks that a Cluster may span: a block's time code has 16 bits with a sign.
const SPAN: u64 = 30_000;

impl Splitter {
    /// A stream that has not begun.
    pub fn new(timecodes: Timecodes) -> Self {
        Self {
            input: BytesMut::new(),
            skip: 0,
            place: Place::Outside,
            draft: None,
            header: None,
            cluster: 0,
            base: None,
            joined: None,
            clock: Clock::new(timecodes),
            items: VecDeque::new(),
        }
    }

    /// Whether a stream has begun.
    pub fn has_header(&self) -> bool {
        self.header.is_some()
    }

    /// Changes what the time codes are, from the next stream on.
    pub fn set_timecodes(&mut self, timecodes: Timecodes) {
        self.clock.timecodes = timecodes;
    }

    /// The source starts again: what was half read is forgotten, the time codes are not.
    pub fn restart(&mut self) {
        let fresh = Self::new(self.clock.timecodes);
        let old = std::mem::replace(self, fresh);
        self.clock = old.clock;
    }

    /// What came out since.
    pub fn poll(&mut self) -> Option<Item> {
        self.items.pop_front()
    }

    /// Takes bytes, cut anywhere. `wall` is the time in milliseconds since 1970.
    ///
    /// # Errors
    /// [`WebmError`]; what came out before is still to be polled, and nothing more will.
    pub fn push(&mut self, bytes: &[u8], wall: u64) -> Result<(), WebmError> {
        self.input.extend_from_slice(bytes);
        loop {
            if self.skip > 0 {
                let here = usize::try_from(self.skip).unwrap_or(usize::MAX);
                let here = here.min(self.input.len());
                self.input.advance(here);
                self.skip -= here as u64;
                if self.skip > 0 {
                    return Ok(());
                }
            }
            let head = match ebml::element_head(&self.input) {
                Parsed::Done(head) => head,
                Parsed::Partial => return Ok(()),
                Parsed::Invalid => return Err(self.nonsense()),
            };
            if !self.element(head, wall)? {
                return Ok(());
            }
        }
    }

    fn nonsense(&self) -> WebmError {
        match self.place {
            Place::Outside => WebmError::NotWebm,
            _ => WebmError::Broken,
        }
    }

    /// Takes the element at the front; `false` while it is not whole.
    fn element(&mut self, head: ElementHead, wall: u64) -> Result<bool, WebmError> {
        if self.place == Place::Outside && ![id::EBML, id::VOID].contains(&head.id) {
            return Err(WebmError::NotWebm);
        }
        match head.id {
            id::SEGMENT => {
                if let Some(draft) = &mut self.draft {
                    draft.segment();
                }
                self.input.advance(head.length);
                return Ok(true);
            }
            id::CLUSTER => {
                self.finish_header()?;
                self.place = Place::Cluster;
                self.input.advance(head.length);
                return Ok(true);
            }
            _ => {}
        }
        let Some(size) = head.size else {
            return Err(self.nonsense());
        };
        let limit = match (head.id, self.place) {
            (id::EBML, _) => HEADER,
            (id::INFO | id::TRACKS | id::TAGS, Place::Segment) if self.draft.is_some() => HEADER,
            (id::TIMESTAMP, Place::Cluster) => 8,
            (id::SIMPLE_BLOCK | id::BLOCK_GROUP, Place::Cluster) => BLOCK,
            _ => {
                self.leave_cluster(head.id);
                self.input.advance(head.length);
                self.skip = size;
                return Ok(true);
            }
        };
        let whole = head.length as u64 + size.min(u64::MAX / 2);
        if size > limit as u64 {
            return Err(WebmError::TooLarge(size));
        }
        if (self.input.len() as u64) < whole {
            return Ok(false);
        }
        let whole = self.input.split_to(whole as usize);
        let content = whole.get(head.length..).unwrap_or_default();
        match head.id {
            id::EBML => {
                self.draft = Some(Draft::ebml(content, &whole));
                self.place = Place::Segment;
            }
            id::TIMESTAMP => {
                self.cluster = ebml::unsigned(content).unwrap_or_default();
            }
            id::SIMPLE_BLOCK | id::BLOCK_GROUP => self.block(head, &whole, wall),
            _ => {
                if let Some(draft) = &mut self.draft {
                    draft.element(head.id, content, &whole);
                    if draft.len() > 2 * HEADER {
                        return Err(WebmError::TooLarge(draft.len() as u64));
                    }
                }
            }
        }
        Ok(true)
    }

    /// An element of the Segment ends a Cluster of unknown size.
    fn leave_cluster(&mut self, element: u32) {
        let of_segment = [
            id::SEEK_HEAD,
            id::INFO,
            id::TRACKS,
            id::TAGS,
            id::CUES,
            id::ATTACHMENTS,
            id::CHAPTERS,
        ];
        if self.place == Place::Cluster && of_segment.contains(&element) {
            self.place = Place::Segment;
        }
    }

    fn finish_header(&mut self) -> Result<(), WebmError> {
        let Some(draft) = self.draft.take() else {
            return Ok(());
        };
        let header = draft.finish().ok_or(WebmError::NoTracks)?;
        self.clock.begin(header.scale);
        self.base = None;
        self.joined = None;
        self.header = Some(header.clone());
        self.items.push_back(Item::Header(header));
        Ok(())
    }

    fn block(&mut self, head: ElementHead, whole: &[u8], wall: u64) {
        // A block that is none is left out, as players do.
        let Some(found) = Found::new(head, whole) else {
            return;
        };
        let Some(header) = &self.header else { return };
        let track = header.tracks.iter().find(|t| t.number == found.track);
        let (ordered, audio) = track.map_or((true, false), |t| (t.ordered(), t.audio));
        let scale = header.scale;
        let time = (self.cluster.min(i64::MAX as u64) as i64).saturating_add(found.relative.into());
        let time = self.clock.stamp(time.max(0) as u64, ordered, wall);
        let millis = |ticks: u64| (u128::from(ticks) * u128::from(scale) / 1_000_000) as u64;
        let join = match header.leader() {
            Some(leader) => found.track == leader && found.key,
            None => self
                .joined
                .is_none_or(|last| millis(time) >= last.saturating_add(AUDIO_JOIN_MS)),
        };
        let base = match self.base {
            Some(base) if !join && time.abs_diff(base) < SPAN => base,
            _ => time,
        };
        let begins = join || self.base != Some(base);
        let head_length = if begins { CLUSTER_HEAD } else { 0 };
        let mut out = Vec::with_capacity(head_length + whole.len());
        if begins {
            out.extend(id::CLUSTER.to_be_bytes());
            out.extend(UNKNOWN);
            ebml::put_head(&mut out, id::TIMESTAMP, 8);
            out.extend(base.to_be_bytes());
        }
        let at = out.len() + found.place;
        out.extend_from_slice(whole);
        // Within the span, so it fits.
        let relative = (time as i64 - base as i64) as i16;
        if let Some(place) = out.get_mut(at..at + 2) {
            place.copy_from_slice(&relative.to_be_bytes());
        }
        if audio
            && head.id == id::SIMPLE_BLOCK
            && let Some(flags) = out.get_mut(at + 2)
        {
            *flags |= KEY;
        }
        self.base = Some(base);
        if join {
            self.joined = Some(millis(time));
        }
        self.items.push_back(Item::Block(Block {
            bytes: out.into(),
            time: millis(time),
            join,
        }));
    }
}

/// Of the head that begins a Cluster here.
const CLUSTER_HEAD: usize = 22;

/// The key flag of a SimpleBlock.
const KEY: u8 = 0x80;

/// What was found in a block.
struct Found {
    track: u64,
    /// To the Cluster's time code.
    relative: i16,
    /// Where the relative time code stands in the element.
    place: usize,
    key: bool,
}

impl Found {
    fn new(head: ElementHead, whole: &[u8]) -> Option<Self> {
        let (block, key) = match head.id {
            id::SIMPLE_BLOCK => (head.length, None),
            _ => {
                let group = whole.get(head.length..)?;
                let (at, referring) = look_into(group)?;
                (head.length + at, Some(!referring))
            }
        };
        let content = whole.get(block..)?;
        let Parsed::Done((track, length)) = ebml::vint(content) else {
            return None;
        };
        let [first, second, flags] = *content.get(length..)?.first_chunk()?;
        Some(Self {
            track,
            relative: i16::from_be_bytes([first, second]),
            place: block + length,
            key: key.unwrap_or(flags & KEY != 0),
        })
    }
}

/// Where the Block of a BlockGroup has its content, and whether it refers to others.
fn look_into(group: &[u8]) -> Option<(usize, bool)> {
    let (mut at, mut block, mut referring) = (0, None, false);
    for child in ebml::children(group) {
        match child.id {
            id::BLOCK => block = Some(at + child.whole.len() - child.content.len()),
            id::REFERENCE_BLOCK => referring = true,
            _ => {}
        }
        at += child.whole.len();
    }
    Some((block?, referring))
}

/// Latest time code there is, some years past the sun's end: sums of two stay in range, and what
/// was written is read as the same.
const LAST: u64 = i64::MAX as u64 / 4;

/// From the muxer's time codes to those of the stream.
#[derive(Debug)]
struct Clock {
    timecodes: Timecodes,
    scale: u64,
    /// What is added.
    offset: i64,
    /// The highest that was written.
    last: Option<u64>,
    /// The next block begins a stream.
    begins: bool,
}

/// How far a block may go back before it is one of a source that started again. Muxers interleave to
/// within a second.
const BACK_MS: u64 = 1000;

/// From the last block of a source to the first of the one that follows.
const STEP_MS: u64 = 20;

impl Clock {
    fn new(timecodes: Timecodes) -> Self {
        Self {
            timecodes,
            scale: 1_000_000,
            offset: 0,
            last: None,
            begins: true,
        }
    }

    fn begin(&mut self, scale: u64) {
        if scale != self.scale {
            // Where the other stream was, in ticks of this one.
            let last = |last: u64| u128::from(last) * u128::from(self.scale) / u128::from(scale);
            self.last = self
                .last
                .map(|ticks| last(ticks).min(i64::MAX as u128) as u64);
            self.scale = scale;
        }
        self.begins = true;
    }

    fn ticks(&self, millis: u64) -> u64 {
        (u128::from(millis) * 1_000_000 / u128::from(self.scale)).min(i64::MAX as u128) as u64
    }

    fn stamp(&mut self, time: u64, ordered: bool, wall: u64) -> u64 {
        let time = time.min(LAST) as i64;
        let wall = self.ticks(wall).min(LAST) as i64;
        let begins = std::mem::take(&mut self.begins);
        if begins {
            self.offset = match (self.timecodes, self.last) {
                (Timecodes::WallClock, _) => wall - time,
                (Timecodes::Continuing, Some(last)) => self.behind(last) - time,
                _ => 0,
            };
        }
        let mut stamp = time.saturating_add(self.offset);
        if let Some(last) = self.last {
            let back = last as i64 - stamp;
            let started_again = back > self.ticks(BACK_MS) as i64 || (begins && back >= 0);
            if started_again {
                self.offset = match self.timecodes {
                    Timecodes::WallClock if wall > last as i64 => wall - time,
                    _ => self.behind(last) - time,
                };
                stamp = time.saturating_add(self.offset);
            }
            if ordered {
                stamp = stamp.max(last as i64);
            }
        }
        let stamp = (stamp.max(0) as u64).min(LAST);
        self.last = self.last.max(Some(stamp));
        stamp
    }

    fn behind(&self, last: u64) -> i64 {
        (last as i64).saturating_add(self.ticks(STEP_MS).max(1) as i64)
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
