// SPDX-License-Identifier: MPL-2.0

//! Bytes on their way out, as slices ready for one gathering write.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes};

/// A queue of slices that a session fills and a socket empties.
#[derive(Debug, Default)]
pub struct Transmit {
    slices: VecDeque<Bytes>,
    len: usize,
}

impl Transmit {
    /// Appends bytes; empty ones are dropped.
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.len += bytes.len();
            self.slices.push_back(bytes);
        }
    }

    /// Bytes not yet written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether everything was written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Fills `slices` from the front and returns how many were filled.
    pub fn io_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, bytes) in slices.iter_mut().zip(&self.slices) {
            *slot = IoSlice::new(bytes);
            filled += 1;
        }
        filled
    }

    /// The first slice, for filters that copy.
    pub fn front(&self) -> Option<&[u8]> {
        self.slices.front().map(|bytes| &**bytes)
    }

    /// Takes the first slice, for filters that have to change bytes.
    pub fn pop(&mut self) -> Option<Bytes> {
        let bytes = self.slices.pop_front()?;
        self.len -= bytes.len();
        Some(bytes)
    }

    /// Forgets the first `n` bytes, which were written. More than there are forgets all.
    pub fn advance(&mut self, mut n: usize) {
        while let Some(front) = self.slices.front_mut() {
            if n < front.len() {
                front.advance(n);
                self.len -= n;
                return;
            }
            n -= front.len();
            self.len -= front.len();
            self.slices.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_writes_keep_the_order() {
        let mut transmit = Transmit::default();
        for part in ["abc", "", "de", "f"] {
            transmit.push(Bytes::from_static(part.as_bytes()));
        }
        let mut out = Vec::new();
        while !transmit.is_empty() {
            let mut slices = [IoSlice::new(&[]); 2];
            let n = transmit.io_slices(&mut slices);
            let first = slices[..n]
                .iter()
                .flat_map(|s| s.iter().copied())
                .take(2)
                .collect::<Vec<_>>();
            transmit.advance(first.len());
            out.extend(first);
        }
        assert_eq!(out, b"abcdef");
    }
}
