// SPDX-License-Identifier: MPL-2.0

//! The blocks that clients may still want, and where they may begin among them.

use std::collections::VecDeque;

use super::{Block, Config, Start};

/// Blocks by number: they are counted from the beginning of the fan-out, also over gaps.
#[derive(Debug)]
pub(super) struct Window {
    blocks: VecDeque<Entry>,
    first: u64,
    /// Numbers of the joins in the window.
    joins: VecDeque<u64>,
    /// The newest always stays.
    headers: VecDeque<Header>,
    /// Bytes of all blocks that ever were.
    total: u64,
    /// Bytes in the window.
    held: usize,
    time: u64,
    /// The stream has ended.
    pub(super) ended: bool,
}

/// What a client is sent before its first block.
#[derive(Debug)]
pub(super) struct Header {
    /// The number of the first block it goes with.
    pub(super) from: u64,
    /// It is also a block, the one with that number.
    inline: bool,
    pub(super) block: Block,
}

#[derive(Debug)]
struct Entry {
    block: Block,
    /// Bytes of all blocks before it.
    at: u64,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            blocks: VecDeque::new(),
            first: 0,
            joins: VecDeque::new(),
            headers: VecDeque::new(),
            total: 0,
            held: 0,
            time: 0,
            ended: false,
        }
    }

    pub(super) fn push(&mut self, block: Block) {
        if block.join {
            self.joins.push_back(self.end());
        }
        self.time = block.time;
        self.held += block.bytes.len();
        let at = self.total;
        self.total += block.bytes.len() as u64;
        self.blocks.push_back(Entry { block, at });
    }

    pub(super) fn set_header(&mut self, header: Block, inline: bool) {
        let from = self.end();
        // Nothing came since the one before.
        self.headers.retain(|header| header.from < from);
        if inline {
            self.push(Block {
                time: self.time,
                join: false,
                kind: 0,
                ..header.clone()
            });
        }
        self.headers.push_back(Header {
            from,
            inline,
            block: header,
        });
    }

    /// Forgets the blocks, and leaves a gap so that no client takes the next for the one it waits
    /// for.
    pub(super) fn clear(&mut self) {
        self.first = self.end() + 1;
        self.blocks.clear();
        self.joins.clear();
        self.held = 0;
        let old = self.headers.len().saturating_sub(1);
        self.headers.drain(..old);
    }

    /// Drops what nobody may want any more: everything before the join that the longest burst or the
    /// slowest client would begin at, and what is over the limit in bytes.
    pub(super) fn trim(&mut self, config: &Config) {
        let time = config.keep_time.max(config.lag_time);
        let time = time.as_millis().try_into().unwrap_or(u64::MAX);
        let bytes = config.keep_bytes;
        let old = |number: &u64| {
            let entry = self.entry(*number);
            entry.is_some_and(|entry| {
                entry.block.time.saturating_add(time) <= self.time
                    && self.total - entry.at >= bytes as u64
            })
        };
        let wanted = self.joins.partition_point(old);
        let keep = match wanted.checked_sub(1).and_then(|i| self.joins.get(i)) {
            Some(join) => *join,
            // A stream without joins: nobody can begin, but those who are in it may lag.
            None if self.joins.is_empty() => {
                self.first
                    + self
                        .blocks
                        .partition_point(|entry| entry.block.time.saturating_add(time) < self.time)
                        as u64
            }
            None => self.first,
        };
        while self.first < keep || self.held > config.window_bytes {
            let Some(entry) = self.blocks.pop_front() else {
                break;
            };
            self.held -= entry.block.bytes.len();
            self.first += 1;
        }
        let first = self.first;
        while self.joins.front().is_some_and(|join| *join < first) {
            self.joins.pop_front();
        }
        while self
            .headers
            .get(1)
            .is_some_and(|header| header.from <= first)
        {
            self.headers.pop_front();
        }
    }

    fn entry(&self, number: u64) -> Option<&Entry> {
        let index = number.checked_sub(self.first)?;
        self.blocks.get(usize::try_from(index).ok()?)
    }

    pub(super) fn get(&self, number: u64) -> Option<&Block> {
        self.entry(number).map(|entry| &entry.block)
    }

    /// The blocks from a number on; none if it is no longer there.
    pub(super) fn from(&self, number: u64) -> impl Iterator<Item = &Block> {
        let skip = number
            .checked_sub(self.first)
            .and_then(|skip| usize::try_from(skip).ok())
            .unwrap_or(usize::MAX)
            .min(self.blocks.len());
        self.blocks.range(skip..).map(|entry| &entry.block)
    }

    /// The number of the first block in the window.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next block will have.
    pub(super) fn end(&self) -> u64 {
        self.first + self.blocks.len() as u64
    }

    /// Bytes of all blocks so far, and the time of the newest.
    pub(super) fn newest(&self) -> (u64, u64) {
        (self.total, self.time)
    }

    /// Where a client is that was sent everything before `number`: bytes and time.
    pub(super) fn position(&self, number: u64) -> (u64, u64) {
        match self.entry(number) {
            Some(entry) => (entry.at, entry.block.time),
            None if number >= self.end() => self.newest(),
            // What was the oldest is a bound.
            None => self
                .blocks
                .front()
                .map_or_else(|| self.newest(), |entry| (entry.at, entry.block.time)),
        }
    }

    /// How far behind such a client is, in bytes and milliseconds.
    pub(super) fn lag(&self, number: u64) -> (u64, u64) {
        let (bytes, time) = self.position(number);
        (self.total - bytes, self.time.saturating_sub(time))
    }

    pub(super) fn last_join(&self) -> Option<u64> {
        self.joins.back().copied()
    }

    /// The first join with this number or a greater one.
    pub(super) fn join_from(&self, number: u64) -> Option<u64> {
        let index = self.joins.partition_point(|join| *join < number);
        self.joins.get(index).copied()
    }

    /// Where to begin; `None` to wait for the next join.
    pub(super) fn start(&self, start: Start) -> Option<u64> {
        let far_enough = |join: &&u64| match start {
            Start::LatestJoin => true,
            Start::NextJoin | Start::Now | Start::Held => false,
            Start::Time(time) => u128::from(self.lag(**join).1) >= time.as_millis(),
            Start::Bytes(bytes) => self.lag(**join).0 >= bytes as u64,
        };
        let found = self.joins.iter().rev().find(far_enough);
        match start {
            Start::NextJoin | Start::Held => None,
            Start::Now => Some(self.end()),
            _ => found.or(self.joins.front()).copied(),
        }
    }

    /// The header that goes with a block.
    pub(super) fn header(&self, number: u64) -> Option<&Header> {
        self.headers
            .iter()
            .rev()
            .find(|header| header.from <= number)
    }

    /// The newest header that went by as a block before this one.
    pub(super) fn inline_header(&self, number: u64) -> Option<u64> {
        let passed = |header: &&Header| header.inline && header.from < number;
        self.headers
            .iter()
            .rev()
            .find(passed)
            .map(|header| header.from)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;

    /// A second of ten blocks, ten bytes each, the first a join.
    fn gop(window: &mut Window, second: u64) {
        for tenth in 0..10 {
            let time = second * 1000 + tenth * 100;
            window.push(Block::plain(
                Bytes::from_static(&[0; 10]),
                time,
                tenth == 0,
                1,
            ));
        }
    }

    fn config(keep: u64, bytes: usize) -> Config {
        Config {
            keep_time: Duration::from_millis(keep),
            lag_time: Duration::ZERO,
            window_bytes: bytes,
            ..Config::default()
        }
    }

    #[test]
    fn a_burst_begins_at_a_join_that_is_old_enough() {
        let mut window = Window::new();
        assert_eq!(window.start(Start::LatestJoin), None);
        for second in 0..5 {
            gop(&mut window, second);
        }
        assert_eq!(window.start(Start::LatestJoin), Some(40));
        assert_eq!(window.start(Start::NextJoin), None);
        // The newest block is of 4.9 s.
        for (millis, join) in [(0, 40), (900, 40), (901, 30), (2000, 20), (60_000, 0)] {
            let start = Start::Time(Duration::from_millis(millis));
            assert_eq!(window.start(start), Some(join), "{millis}");
        }
        for (bytes, join) in [(0, 40), (100, 40), (101, 30), (1 << 40, 0)] {
            assert_eq!(window.start(Start::Bytes(bytes)), Some(join), "{bytes}");
        }
    }

    #[test]
    fn what_a_burst_may_want_is_kept_and_no_more() {
        let mut window = Window::new();
        for second in 0..5 {
            gop(&mut window, second);
            window.trim(&config(1500, 1 << 20));
        }
        // 4.9 s less 1.5 s is in the group that begins at 3 s.
        assert_eq!((window.first(), window.end()), (30, 50));
        assert_eq!(window.get(29).map(|b| b.time), None);
        assert_eq!(window.get(30).map(|b| b.time), Some(3000));
        assert_eq!(window.lag(30), (200, 1900));
        assert_eq!(window.lag(50), (0, 0));
    }

    #[test]
    fn an_hour_without_a_join_stays_within_the_limit() {
        let mut window = Window::new();
        gop(&mut window, 0);
        for tenth in 0..1000 {
            window.push(Block::plain(
                Bytes::from_static(&[0; 10]),
                1000 + tenth * 100,
                false,
                1,
            ));
            window.trim(&config(0, 200));
            assert!(window.held <= 200);
        }
        assert_eq!(window.start(Start::LatestJoin), None);
        gop(&mut window, 200);
        assert_eq!(window.start(Start::LatestJoin), Some(1010));
    }

    #[test]
    fn headers_go_with_their_blocks() {
        let header =
            |text: &'static str| Block::plain(Bytes::from_static(text.as_bytes()), 0, false, 0);
        let mut window = Window::new();
        window.set_header(header("a"), false);
        gop(&mut window, 0);
        window.set_header(header("b"), false);
        gop(&mut window, 1);
        let of = |window: &Window, number| window.header(number).unwrap().block.bytes.clone();
        assert_eq!(of(&window, 0), "a");
        assert_eq!(of(&window, 9), "a");
        assert_eq!(of(&window, 10), "b");
        gop(&mut window, 2);
        window.trim(&config(0, 1 << 20));
        assert_eq!(of(&window, 20), "b");
        window.clear();
        assert_eq!(of(&window, 30), "b");
        assert_eq!(window.from(30).count(), 0);
        assert_eq!(window.end(), 31);
    }
}
