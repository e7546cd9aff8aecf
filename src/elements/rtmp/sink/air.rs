// SPDX-License-Identifier: MPL-2.0

//! A stream of tags as blocks for a fan-out, and what a player has to be told before it begins.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::{
    net::{
        fanout::{Block, Item},
        porter::kinds::{AUDIO, VIDEO},
    },
    protocol::{
        flv::{Headers, Tag, TagKind, VideoHead},
        rtmp::session::broadcast,
    },
};

/// What can only be taken up at a key frame.
pub(super) const KEYED: u8 = VIDEO;

/// A stream that had pictures and has none for so long, in ms, is one of sound alone.
const SOUND_ALONE: u64 = 10_000;
/// In a stream of sound alone, headers are made anew so often, in ms.
const HEADERS: u64 = 1000;
/// A larger step of the timestamps, in ms, is a new time line.
const JUMP: i32 = 10_000;
/// Sound waits for the picture behind it, if one came this little before, for this long, in ms of the
/// stream. It is heard with that picture and not sooner, and players cost half as many writes.
const ALONGSIDE: u64 = 100;
const WAIT: u64 = 50;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Air {
    chunk_size: usize,
    headers: Headers,
    headers_at: Option<u64>,
    key_frame: Option<Block>,
    /// Sound that waits for the next picture.
    waiting: Vec<Block>,
    /// The greatest timestamp of this time line, and its time.
    last: Option<u32>,
    time: u64,
    /// When the last picture came, if one did.
    picture_at: Option<u64>,
    heard: Option<Instant>,
    silent: bool,
    tags: u64,
    ended: bool,
    /// Empty but while a tag is taken in.
    items: Vec<Item>,
}

impl Air {
    pub(super) fn new(chunk_size: usize) -> Self {
        Self {
            chunk_size,
            headers: Headers::default(),
            headers_at: None,
            key_frame: None,
            waiting: Vec::new(),
            last: None,
            time: 0,
            picture_at: None,
            heard: None,
            silent: false,
            tags: 0,
            ended: false,
            items: Vec::new(),
        }
    }

    /// Takes a tag; what is to be done comes out.
    pub(super) fn tag(&mut self, tag: &Tag, now: Instant) -> std::vec::Drain<'_, Item> {
        self.take(tag, now);
        self.items.drain(..)
    }

    fn take(&mut self, tag: &Tag, now: Instant) {
        self.heard = Some(now);
        self.ended = false;
        self.tags += 1;
        if std::mem::take(&mut self.silent) {
            let status = self.status("NetStream.Play.PublishNotify", "The stream goes on.");
            self.items.push(Item::Block(status));
        }
        self.pass(tag.timestamp());
        if self.headers.keep(tag) {
            self.release();
            if tag.kind() == TagKind::Video {
                self.key_frame = None;
            }
            let block = self.block(tag, false, 0);
            let header = self.header(tag.timestamp());
            self.items
                .extend([Item::Block(block), Item::Header(header, false)]);
            return;
        }
        let (kind, join) = match tag.kind() {
            TagKind::Data | TagKind::DataAmf3 => (0, false),
            TagKind::Audio => {
                let seen = |at: u64| self.time.saturating_sub(at) < SOUND_ALONE;
                (AUDIO, !self.picture_at.is_some_and(seen))
            }
            TagKind::Video => {
                self.picture_at = Some(self.time);
                let head = tag.video_head();
                // Of several tracks the first decides.
                let join = |h: VideoHead| h.is_keyframe() && h.track.is_none_or(|t| t.id == 0);
                (VIDEO, head.is_some_and(join))
            }
        };
        if kind == AUDIO && self.may_wait() {
            let block = self.block(tag, false, AUDIO);
            self.waiting.push(block);
            return;
        }
        self.release();
        let recent = |at: u64| self.time.saturating_sub(at) < HEADERS;
        if join && !(kind == AUDIO && self.headers_at.is_some_and(recent)) {
            let header = self.header(tag.timestamp());
            self.items.push(Item::Header(header, false));
        }
        let block = self.block(tag, join, kind);
        if join {
            self.key_frame = Some(block.clone()).filter(|_| kind == VIDEO);
        }
        self.items.push(Item::Block(block));
    }

    /// Sound waits no longer.
    fn release(&mut self) {
        self.items.extend(self.waiting.drain(..).map(Item::Block));
    }

    /// What to tell players if nothing came for this long, once.
    pub(super) fn silence(&mut self, timeout: Duration, now: Instant) -> Option<Block> {
        let heard = self.heard?;
        if self.silent || self.ended || now.saturating_duration_since(heard) < timeout {
            return None;
        }
        self.silent = true;
        Some(self.status("NetStream.Play.UnpublishNotify", "The stream has stopped."))
    }

    /// Whether sound may wait for a picture.
    fn may_wait(&self) -> bool {
        let since = |time: u64| self.time.saturating_sub(time);
        self.picture_at.is_some_and(|at| since(at) < ALONGSIDE)
            && self
                .waiting
                .first()
                .is_none_or(|first| since(first.time) < WAIT)
    }

    /// Nothing more comes, but for what waited.
    pub(super) fn end(&mut self) -> Vec<Block> {
        self.ended = true;
        std::mem::take(&mut self.waiting)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// The last picture that needs no other.
    pub(super) fn key_frame(&self) -> Option<Block> {
        self.key_frame.clone()
    }

    /// Tags so far, and the timestamp of the last.
    pub(super) fn count(&self) -> (u64, Option<u32>) {
        (self.tags, self.last)
    }

    fn pass(&mut self, timestamp: u32) {
        let step = timestamp.wrapping_sub(self.last.unwrap_or(timestamp)) as i32;
        // Sound and picture need not be in order; what is far off is another time line.
        if (0..=JUMP).contains(&step) {
            self.time += u64::from(step.unsigned_abs());
        }
        if !(-JUMP..0).contains(&step) {
            self.last = Some(timestamp);
        }
    }

    /// All headers, at this time: players take the first timestamp for the beginning.
    fn header(&mut self, timestamp: u32) -> Block {
        let mut bytes = BytesMut::new();
        for tag in self.headers.at(timestamp) {
            broadcast::tag(&tag, self.chunk_size, &mut bytes);
        }
        self.headers_at = Some(self.time);
        Block::plain(bytes.freeze(), self.time, false, 0)
    }

    /// The headers for who begins now.
    pub(super) fn header_now(&mut self) -> Block {
        self.header(self.last.unwrap_or(0))
    }

    /// Another stream takes the place of this one, of which this is the rest.
    pub(super) fn begin_anew(&mut self) -> Vec<Block> {
        self.headers = Headers::default();
        (self.headers_at, self.key_frame, self.picture_at) = (None, None, None);
        std::mem::take(&mut self.waiting)
    }

    fn block(&self, tag: &Tag, join: bool, kind: u8) -> Block {
        let mut bytes = BytesMut::new();
        broadcast::tag(tag, self.chunk_size, &mut bytes);
        Block::plain(bytes.freeze(), self.time, join, kind)
    }

    fn status(&self, code: &str, description: &str) -> Block {
        let mut bytes = BytesMut::new();
        broadcast::status(code, description, self.chunk_size, &mut bytes);
        Block::plain(bytes.freeze(), self.time, false, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(kind: TagKind, time: u32, body: &[u8]) -> Tag {
        Tag::new(kind, time, body).unwrap()
    }

    fn audio(time: u32) -> Tag {
        tag(TagKind::Audio, time, &[0xaf, 1, 7])
    }

    fn video(time: u32, key: bool) -> Tag {
        let first = if key { 0x17 } else { 0x27 };
        tag(TagKind::Video, time, &[first, 1, 0, 0, 0, 7])
    }

    fn configuration(time: u32, sps: u8) -> Tag {
        tag(TagKind::Video, time, &[0x17, 0, 0, 0, 0, sps])
    }

    /// What is sent: the number of headers in a header, and whether a block is a join.
    fn signs(items: impl Iterator<Item = Item>) -> String {
        let sign = |item: Item| match item {
            Item::Header(..) => 'H',
            Item::Block(block) if block.join => 'J',
            Item::Block(_) => 'b',
            _ => '?',
        };
        items.map(sign).collect()
    }

    #[test]
    fn players_begin_at_key_frames_with_the_headers_of_that_time() {
        let (mut air, now) = (Air::new(4096), Instant::now());
        assert_eq!(signs(air.tag(&configuration(0, 1), now)), "bH");
        assert_eq!(signs(air.tag(&video(0, true), now)), "HJ");
        assert_eq!(signs(air.tag(&audio(5), now)), "");
        assert_eq!(signs(air.tag(&video(40, false), now)), "bb");
        assert_eq!(signs(air.tag(&configuration(80, 2), now)), "bH");
        let items: Vec<Item> = air.tag(&video(80, true), now).collect();
        assert_eq!(signs(items.clone().into_iter()), "HJ");
        let Item::Header(header, _) = &items[0] else {
            panic!();
        };
        // The newer configuration alone, at the time of the key frame.
        let mut expected = BytesMut::new();
        broadcast::tag(&configuration(80, 2), 4096, &mut expected);
        assert_eq!(header.bytes, expected);
        assert_eq!(air.key_frame().map(|block| block.time), Some(80));
    }

    #[test]
    fn sound_alone_can_be_joined_anywhere() {
        let (mut air, now) = (Air::new(4096), Instant::now());
        assert_eq!(signs(air.tag(&audio(0), now)), "HJ");
        assert_eq!(signs(air.tag(&audio(999), now)), "J");
        assert_eq!(signs(air.tag(&audio(1000), now)), "HJ");
        assert_eq!(signs(air.tag(&video(1000, true), now)), "HJ");
        assert_eq!(signs(air.tag(&audio(1020), now)), "");
        assert_eq!(signs(air.tag(&audio(1050), now)), "");
        // The camera was switched off.
        assert_eq!(signs(air.tag(&audio(1080), now)), "bbb");
        assert_eq!(signs(air.tag(&audio(1100), now)), "b");
        assert_eq!(signs(air.tag(&audio(10_999), now)), "b");
        assert_eq!(signs(air.tag(&audio(11_000), now)), "HJ");
    }

    #[test]
    fn sound_goes_with_the_picture_behind_it_and_is_not_forgotten() {
        let (mut air, now) = (Air::new(4096), Instant::now());
        air.tag(&video(0, true), now);
        assert_eq!(signs(air.tag(&audio(10), now)), "");
        assert_eq!(signs(air.tag(&audio(33), now)), "");
        let items = air.tag(&video(40, false), now);
        let times = items.map(|item| match item {
            Item::Block(block) => block.time,
            _ => panic!(),
        });
        assert_eq!(times.collect::<Vec<_>>(), [10, 33, 40]);
        air.tag(&audio(45), now);
        assert_eq!(air.end().len(), 1);
    }

    #[test]
    fn time_goes_on_over_jumps_and_wraps() {
        let (mut air, now) = (Air::new(4096), Instant::now());
        let mut times = Vec::new();
        for timestamp in [u32::MAX - 9, 10, 5, 2_000_000, 2_000_040, 0, 40] {
            air.tag(&audio(timestamp), now);
            times.push(air.time);
        }
        assert_eq!(times, [0, 20, 20, 20, 60, 60, 100]);
        // Sound that is ahead of the picture does not count twice.
        for step in 0..10 {
            air.tag(&audio(1000 + step * 40), now);
            air.tag(&video(700 + step * 40, step == 0), now);
        }
        assert_eq!(air.time, 100 + 960 + 360);
    }

    #[test]
    fn silence_is_told_once_and_so_is_its_end() {
        let (mut air, now) = (Air::new(4096), Instant::now());
        let second = Duration::from_secs(1);
        assert!(air.silence(second, now + second).is_none(), "never began");
        air.tag(&audio(0), now);
        assert!(air.silence(second, now + second / 2).is_none());
        assert!(air.silence(second, now + second).is_some());
        assert!(air.silence(second, now + 2 * second).is_none());
        assert_eq!(signs(air.tag(&audio(20), now + 2 * second)), "bJ");
        assert_eq!(signs(air.tag(&audio(40), now + 2 * second)), "J");
    }
}
