// SPDX-License-Identifier: MPL-2.0

//! What the next call of a client that is level sends, put together once for all that stand at the
//! same block.

use std::io::IoSlice;

use super::window::Window;
use crate::protocol::rtmp::transmit::Transmit;

/// Slices in one call. More would hardly save anything, and so many are on the stack of the kernel.
pub(super) const SLICES: usize = 64;
/// Bytes in one call, unless a single block has more: what a socket takes at once, so that a client
/// that catches up does not have the others wait.
pub(super) const BYTES: usize = 128 << 10;
/// With fewer clients in a pass, copying slices together costs what it saves.
const MANY: usize = 8;
/// Batches remembered: the two forms for those that are level, and for some that are not.
const REMEMBERED: usize = 8;

/// The slices from one block on.
#[derive(Debug)]
pub(super) struct Batch<'w> {
    from: u64,
    framed: bool,
    slices: Vec<IoSlice<'w>>,
    /// The slices in one piece, which the kernel takes for less.
    joined: Vec<u8>,
    pub(super) bytes: usize,
    /// The number of the block behind it.
    pub(super) to: u64,
}

/// Batches of one pass over the clients.
#[derive(Debug)]
pub(super) struct Batches<'w> {
    pub(super) window: &'w Window,
    join: bool,
    known: Vec<Batch<'w>>,
    oldest: usize,
}

impl<'w> Batches<'w> {
    /// For a pass over so many clients.
    pub(super) fn new(window: &'w Window, clients: usize) -> Self {
        Self {
            window,
            join: clients >= MANY,
            known: Vec::new(),
            oldest: 0,
        }
    }

    /// What follows from this block on; empty at the end of the window.
    pub(super) fn from(&mut self, from: u64, framed: bool) -> &Batch<'w> {
        let found = |batch: &Batch<'_>| batch.from == from && batch.framed == framed;
        let index = match self.known.iter().position(found) {
            Some(index) => index,
            None if self.known.len() < REMEMBERED => {
                self.known
                    .push(Batch::new(self.window, from, framed, self.join));
                self.known.len() - 1
            }
            None => {
                self.oldest = (self.oldest + 1) % REMEMBERED;
                self.known[self.oldest] = Batch::new(self.window, from, framed, self.join);
                self.oldest
            }
        };
        &self.known[index]
    }
}

impl<'w> Batch<'w> {
    fn new(window: &'w Window, from: u64, framed: bool, join: bool) -> Self {
        let mut batch = Self {
            from,
            framed,
            slices: Vec::new(),
            joined: Vec::new(),
            bytes: 0,
            to: from,
        };
        for block in window.from(from).take(SLICES) {
            let slice = block.slice(framed);
            if !batch.slices.is_empty() && batch.bytes + slice.len() > BYTES {
                break;
            }
            batch.slices.push(IoSlice::new(slice));
            batch.bytes += slice.len();
            batch.to += 1;
        }
        if join && batch.slices.len() > 1 {
            batch.joined.reserve_exact(batch.bytes);
            for slice in batch.slices.drain(..) {
                batch.joined.extend_from_slice(&slice);
            }
        }
        batch
    }

    /// The same, to be kept.
    pub(super) fn shared(&self, window: &Window) -> Transmit {
        let mut shared = Transmit::default();
        for block in window.from(self.from).take((self.to - self.from) as usize) {
            shared.push(block.share(self.framed));
        }
        shared
    }

    /// Hands it over for sending.
    pub(super) fn offer<T>(&self, send: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
        match self.joined.is_empty() {
            true => send(&self.slices),
            false => send(&[IoSlice::new(&self.joined)]),
        }
    }
}
