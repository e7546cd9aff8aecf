// SPDX-License-Identifier: MPL-2.0

//! What a [`Protocol`](super::super::Protocol) can do for its client.

use std::time::Instant;

use bytes::Bytes;

use super::line::{Line, Place, Rewriter};
use crate::net::fanout::{Block, Config, Reason, Rewrite, Start, window::Window};

/// What a [`Protocol`](crate::net::fanout::Protocol) can do for its client.
pub struct Desk<'a> {
    /// The time of this turn.
    pub now: Instant,
    pub(super) line: &'a mut Line,
    pub(super) window: &'a Window,
    pub(super) config: &'a Config,
    pub(super) doom: &'a mut Option<Reason>,
}

impl std::fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl Desk<'_> {
    /// Sends bytes of the client's own, before the next block.
    pub fn say(&mut self, bytes: Bytes) {
        if self.line.own.is_empty() {
            self.line.answers = 0;
        }
        self.line.answers += bytes.len();
        self.line.own.push(bytes);
    }

    /// Sends a block to this client alone, before the next.
    pub fn say_block(&mut self, block: &Block) {
        self.line.push_own(block);
    }

    /// How many of them wait, blocks aside.
    pub fn unsaid(&self) -> usize {
        self.line.answers.min(self.line.own.len())
    }

    /// Has the header sent again, however often it was.
    pub fn forget_header(&mut self) {
        self.line.header = None;
    }

    /// Begins with the next block, [keyed](Config::keyed) kinds with the next join, and with this header
    /// in place of the one that there is.
    pub fn play_now(&mut self, header: &Block) {
        if let Some(known) = self.window.header(self.window.end()) {
            self.line.header = Some(known.from);
        }
        self.line.push_own(header);
        self.play(Start::Now);
    }

    /// Which kinds of blocks it is sent. Those of [`Config::keyed`] begin at the next join.
    pub fn kinds(&mut self, kinds: u8) {
        let line = &mut self.line;
        line.wanted = kinds;
        line.kinds = kinds & (line.kinds | !self.config.keyed);
    }

    /// Sends no blocks until [`play`](Self::play).
    pub fn pause(&mut self) {
        if !matches!(self.line.place, Place::Leaving { .. }) {
            self.line.place = Place::Paused;
        }
    }

    /// Begins, or begins anew.
    pub fn play(&mut self, start: Start) {
        if !matches!(self.line.place, Place::Leaving { .. }) {
            self.line.begin(self.window, self.config, start);
        }
    }

    /// Sends everything that is for all as this makes it, from the next block on.
    pub fn rewrite(&mut self, rewrite: Option<Rewrite>) {
        self.line.rewrite = rewrite.map(Rewriter);
    }

    /// Hands the connection over to [`Protocol::moved`](crate::net::fanout::Protocol::moved).
    pub fn hand_over(&mut self) {
        *self.doom = Some(Reason::Moved);
    }

    /// Closes once what was said is sent.
    pub fn finish(&mut self, reason: Reason) {
        self.line.finish(reason, self.now);
    }

    /// Closes now.
    pub fn leave(&mut self, reason: Reason) {
        *self.doom = Some(reason);
    }
}
