// SPDX-License-Identifier: MPL-2.0

//! What several targets share: a meter for memory, an input that steers, and a peer that it steers.

pub mod peer;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicIsize, Ordering::Relaxed},
};

use gstrtmp::protocol::rtmp::transmit::Transmit;

static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

/// The system's allocator with a count of what is allocated, to hold a target to a budget.
#[derive(Debug)]
pub struct Meter;

impl Meter {
    /// Starts anew with what is allocated now.
    pub fn start() -> isize {
        let live = LIVE.load(Relaxed);
        PEAK.store(live, Relaxed);
        live
    }

    /// The most that was allocated at a time since then, in bytes.
    pub fn peak(start: isize) -> usize {
        usize::try_from(PEAK.load(Relaxed) - start).unwrap_or(0)
    }

    fn count(bytes: isize) {
        let live = LIVE.fetch_add(bytes, Relaxed) + bytes;
        PEAK.fetch_max(live, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Meter {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        Self::count(-(layout.size() as isize));
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count(size as isize - layout.size() as isize);
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// An input as a list of decisions. Where it has ended, every decision is 0.
#[derive(Clone, Debug)]
pub struct Steer<'a>(pub &'a [u8]);

impl<'a> Steer<'a> {
    /// A decision between 256 things.
    pub fn byte(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    /// A decision between `count` things.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.byte()) % count
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }

    /// A number, big-endian.
    pub fn u32(&mut self) -> u32 {
        u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()])
    }

    /// As many bytes as the next one says, or as there are.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()).min(self.0.len());
        let (bytes, rest) = self.0.split_at(len);
        self.0 = rest;
        bytes
    }
}

/// Moves what is to be sent behind `bytes`, slice by slice: instrumented code is slow byte by byte.
pub fn pour(out: &mut Transmit, bytes: &mut Vec<u8>) {
    while let Some(slice) = out.pop() {
        bytes.extend_from_slice(&slice);
    }
}

/// Cuts `bytes` into pieces of these sizes, repeated; 0 stands for all that is left.
pub fn pieces<'a>(bytes: &'a [u8], sizes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let size = match sizes.next() {
            Some(&size) if size > 0 => usize::from(size).min(rest.len()),
            _ => rest.len(),
        };
        let (piece, after) = rest.split_at(size);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}
