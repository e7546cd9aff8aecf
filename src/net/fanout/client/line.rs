// SPDX-License-Identifier: MPL-2.0

//! What a client is to be sent: its place in the window, and what goes to it alone.

use std::{io::IoSlice, sync::Arc, time::Instant};

use bytes::{Buf, Bytes};

use super::LINGER;
use crate::{
    net::fanout::{
        ALL_KINDS, Block, Config, NewClient, Reason, Recover, Rewrite, Start, batch::BYTES,
        figures::Figures, window::Window,
    },
    protocol::rtmp::transmit::Transmit,
};

/// What is to be sent.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    /// What the socket left of a block. It goes first.
    pub(super) rest: Bytes,
    /// Goes before the next block.
    pub(super) own: Transmit,
    /// Bytes that its protocol has put there since it was empty.
    pub(super) answers: usize,
    pub(super) framed: bool,
    pub(super) rewrite: Option<Rewriter>,
    /// The header it was sent, by the number of the first block it goes with.
    pub(super) header: Option<u64>,
    pub(super) wants_header: bool,
    pub(super) kinds: u8,
    /// Kinds that it wants, but has to wait for.
    pub(super) wanted: u8,
    pub(super) limit: Option<u64>,
    pub(super) end: Bytes,
    /// When the socket took something last, or nothing was left.
    pub(super) progress: Instant,
    /// Where it began it was behind already, in bytes and milliseconds.
    pub(super) grace: (u64, u64),
    pub(super) figures: Arc<Figures>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// For a join with this number or a greater one.
    Waiting(u64),
    /// It was sent all before this block.
    At(u64),
    Paused,
    /// Once all is sent, our direction is shut, and the client has until then to shut its own.
    Leaving {
        reason: Reason,
        until: Instant,
        shut: bool,
    },
}

impl Line {
    /// Of a client that has not begun: its head is all there is.
    pub(super) fn new(client: &mut NewClient, figures: Arc<Figures>, now: Instant) -> Self {
        let mut own = Transmit::default();
        own.push(std::mem::take(&mut client.head));
        Self {
            place: Place::Paused,
            rest: Bytes::new(),
            own,
            answers: 0,
            framed: client.framed && client.limit.is_none(),
            rewrite: None,
            header: None,
            wants_header: client.header,
            kinds: ALL_KINDS,
            wanted: ALL_KINDS,
            limit: client.limit,
            end: std::mem::take(&mut client.end),
            progress: now,
            grace: (0, 0),
            figures,
        }
    }

    /// Whether all that it is to be sent is what the others are sent as well.
    pub(super) fn is_common(&self) -> bool {
        self.rest.is_empty()
            && self.own.is_empty()
            && self.limit.is_none()
            && self.rewrite.is_none()
            && self.kinds == ALL_KINDS
            && self.wanted == ALL_KINDS
    }

    pub(super) fn begin(&mut self, window: &Window, config: &Config, start: Start) {
        match start {
            Start::Now => self.kinds &= !config.keyed,
            Start::Held => return self.place = Place::Paused,
            _ => {}
        }
        match window.start(start) {
            Some(number) => {
                self.enter(window, number);
                self.grace = window.lag(number);
            }
            None => self.place = Place::Waiting(window.end()),
        }
    }

    /// Sends a block before all others.
    pub(super) fn push_own(&mut self, block: &Block) {
        self.own.push(match &self.rewrite {
            Some(Rewriter(rewrite)) => rewrite(block.slice(self.framed)),
            None => block.share(self.framed),
        });
    }

    /// Goes on at a join.
    pub(super) fn enter(&mut self, window: &Window, number: u64) {
        self.place = Place::At(number);
        if let Some(header) = window.header(number) {
            if self.wants_header && self.header != Some(header.from) {
                self.push_own(&header.block);
            }
            (self.header, self.wants_header) = (Some(header.from), true);
        }
        let (bytes, time) = window.position(number);
        self.figures.at.set(bytes, time);
    }

    /// Whether the socket is so slow that something has to be done, and does it.
    pub(super) fn mind_the_gap(&mut self, window: &Window, config: &Config) -> Result<(), Reason> {
        let Place::At(number) = self.place else {
            return Ok(());
        };
        let (bytes, time) = window.lag(number);
        let (more_bytes, more_time) = self.grace;
        let limit = config.lag_time.as_millis().try_into().unwrap_or(u64::MAX);
        let late = time > more_time.saturating_add(limit)
            || bytes > more_bytes.saturating_add(config.lag_bytes as u64);
        match late || number < window.first() {
            true => self.fall_behind(window, config),
            false => Ok(()),
        }
    }

    pub(super) fn fall_behind(&mut self, window: &Window, config: &Config) -> Result<(), Reason> {
        let Place::At(number) = self.place else {
            return Ok(());
        };
        if config.recover == Recover::Drop {
            return Err(Reason::Slow);
        }
        // A header on the way went by as a block.
        if let Some(from) = window.inline_header(number)
            && self.header.is_some_and(|own| own < from)
        {
            self.header = Some(from);
        }
        let limit = config.lag_time.as_millis().try_into().unwrap_or(u64::MAX);
        let near = |join: &u64| {
            let (bytes, time) = window.lag(*join);
            *join > number && time <= limit && bytes <= config.lag_bytes as u64
        };
        let to = match window.last_join().filter(near) {
            Some(join) => {
                self.enter(window, join);
                join
            }
            None => {
                self.place = Place::Waiting(window.end());
                window.end()
            }
        };
        self.grace = (0, 0);
        self.figures.add_dropped(to - number);
        Ok(())
    }

    /// Everything is said, or will be with what is queued.
    pub(super) fn finish(&mut self, reason: Reason, now: Instant) {
        self.place = Place::Leaving {
            reason,
            until: now + LINGER,
            shut: false,
        };
    }

    pub(super) fn reason(&self, reason: Reason) -> Reason {
        match self.place {
            Place::Leaving { reason, .. } => reason,
            _ => reason,
        }
    }

    /// Whether it takes a block, and which kinds it has begun with when it has taken it: at a join,
    /// those that waited for one.
    fn takes(&self, kinds: &mut u8, block: &Block, config: &Config) -> bool {
        let begun = match block.join {
            true => self.wanted & config.keyed,
            false => 0,
        };
        // A block without a kind is for all.
        let takes = block.kind == 0 || block.kind & (*kinds | begun) != 0;
        if takes {
            *kinds |= begun & block.kind;
        }
        takes
    }

    /// Puts together what is to be sent next.
    pub(super) fn gather<'a>(
        &'a mut self,
        window: &'a Window,
        config: &Config,
        slices: &mut [IoSlice<'a>],
    ) -> usize {
        if let Place::At(number) = self.place {
            let unwanted = |block: &&Block| !self.takes(&mut self.kinds.clone(), block, config);
            let skip = window.from(number).take_while(unwanted).count() as u64;
            if skip > 0 {
                self.moved(window, number + skip, 0);
            }
        }
        self.copy_out(window, config);
        let line = &*self;
        let mut count = 0;
        if !line.rest.is_empty() {
            slices[0] = IoSlice::new(&line.rest);
            count = 1;
        }
        count += line.own.io_slices(&mut slices[count..]);
        let mut bytes = line.rest.len() + line.own.len();
        // A place for each block; those of its own that found none come first.
        let Place::At(number) = line.place else {
            return count;
        };
        if line.rewrite.is_some() {
            return count;
        }
        let mut left = line.limit.unwrap_or(u64::MAX);
        let mut kinds = line.kinds;
        for block in window.from(number) {
            if count == slices.len() || bytes >= BYTES || left == 0 {
                break;
            }
            if line.takes(&mut kinds, block, config) {
                let slice = block.slice(line.framed);
                let end = slice.len().min(left.try_into().unwrap_or(usize::MAX));
                let slice = slice.get(..end).unwrap_or_default();
                slices[count] = IoSlice::new(slice);
                count += 1;
                bytes += slice.len();
                left -= slice.len() as u64;
            }
        }
        count
    }

    /// Makes the blocks that come next its own, if it is not sent those of everybody.
    fn copy_out(&mut self, window: &Window, config: &Config) {
        let Place::At(mut number) = self.place else {
            return;
        };
        let Some(Rewriter(rewrite)) = self.rewrite.take() else {
            return;
        };
        let mut kinds = self.kinds;
        while self.own.len() < BYTES
            && let Some(block) = window.get(number)
        {
            if self.takes(&mut kinds, block, config) {
                self.own.push(rewrite(block.slice(self.framed)));
            }
            number += 1;
        }
        self.kinds = kinds;
        self.rewrite = Some(Rewriter(rewrite));
        self.moved(window, number, 0);
    }

    /// The socket took this many of the bytes.
    pub(super) fn account(&mut self, window: &Window, config: &Config, sent: usize) {
        let mut left = sent;
        let rest = left.min(self.rest.len());
        self.rest.advance(rest);
        left -= rest;
        let own = left.min(self.own.len());
        self.own.advance(own);
        if self.own.is_empty() {
            // It is rarely needed again, and there are thousands.
            self.own = Transmit::default();
        }
        left -= own;
        let Place::At(mut number) = self.place else {
            return self.figures.add_bytes(sent);
        };
        let mut kinds = self.kinds;
        while left > 0 {
            let Some(block) = window.get(number) else {
                break;
            };
            if self.takes(&mut kinds, block, config) {
                let mut length = block.len(self.framed);
                if let Some(limit) = &mut self.limit {
                    length = length.min((*limit).try_into().unwrap_or(usize::MAX));
                    *limit -= length as u64;
                }
                if left < length {
                    self.rest = block.share(self.framed).slice(left..length);
                }
                left -= left.min(length);
            }
            number += 1;
        }
        self.kinds = kinds;
        self.moved(window, number, sent);
    }

    pub(super) fn moved(&mut self, window: &Window, number: u64, sent: usize) {
        self.place = Place::At(number);
        self.figures.add_bytes(sent);
        let (bytes, time) = window.position(number);
        self.figures.at.set(bytes, time);
    }
}

pub(super) struct Rewriter(pub(super) Rewrite);

impl std::fmt::Debug for Rewriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rewriter")
    }
}
