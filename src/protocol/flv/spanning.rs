// SPDX-License-Identifier: MPL-2.0

//! A tag that came in several pieces and was not copied together.

use bytes::{Bytes, BytesMut};

use super::{
    limits::SPANNING_PIECES,
    tag::{HEAD, TAIL, Tag, TagKind},
};

/// Tags of fewer bytes than this are copied together: that costs no more than another memory does.
const SMALL: usize = 16 << 10;

/// Bytes of a body that [`SpanningTag::start`] gives: more than the head of a frame has, unless it
/// has modifiers that nobody knows.
const START: usize = 64;

/// A whole tag in pieces, as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanningTag {
    pieces: Vec<Bytes>,
    len: usize,
}

impl SpanningTag {
    /// Whether a tag of `len` bytes, head and back-pointer included, in so many pieces is left in them.
    pub(super) fn fits(kind: TagKind, len: usize, pieces: usize) -> bool {
        kind == TagKind::Video && len >= SMALL && (2..=SPANNING_PIECES).contains(&pieces)
    }

    /// `pieces` are the bytes of a whole tag.
    pub(super) fn new(pieces: Vec<Bytes>) -> Self {
        let len = pieces.iter().map(Bytes::len).sum();
        Self { pieces, len }
    }

    /// Bytes of the tag, head and back-pointer included.
    pub fn flv_len(&self) -> usize {
        self.len
    }

    /// Milliseconds, wrapping at 2^32.
    pub fn timestamp(&self) -> u32 {
        let mut head = [0; 8];
        for (field, byte) in head.iter_mut().zip(self.bytes()) {
            *field = byte;
        }
        let [_, _, _, _, t2, t1, t0, t3] = head;
        u32::from_be_bytes([t3, t2, t1, t0])
    }

    /// The first bytes of the body.
    pub fn start(&self) -> Vec<u8> {
        let body = self.len.saturating_sub(HEAD + TAIL);
        self.bytes().skip(HEAD).take(START.min(body)).collect()
    }

    /// The body from `from` on, in pieces. None of them is empty.
    pub fn body_from(&self, from: usize) -> Vec<Bytes> {
        let (mut skip, mut left) = (HEAD + from, self.len.saturating_sub(HEAD + from + TAIL));
        let mut parts = Vec::with_capacity(self.pieces.len());
        for piece in &self.pieces {
            let start = skip.min(piece.len());
            let end = piece.len().min(start + left);
            skip -= start;
            left -= end - start;
            if end > start {
                parts.push(piece.slice(start..end));
            }
        }
        parts
    }

    /// The tag in one piece, copied.
    pub fn join(&self) -> Option<Tag> {
        let mut bytes = BytesMut::with_capacity(self.len);
        for piece in &self.pieces {
            bytes.extend_from_slice(piece);
        }
        Tag::from_flv(bytes.freeze())
    }

    fn bytes(&self) -> impl Iterator<Item = u8> {
        self.pieces.iter().flatten().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_has_the_same_parts() {
        let body: Vec<u8> = (0..200).collect();
        let tag = Tag::new(TagKind::Video, 0x8123_4567, &body).unwrap();
        let flv = tag.as_flv();
        for first in 1..flv.len() - 1 {
            for second in [first + 1, flv.len().div_ceil(2).max(first + 1)] {
                let pieces = vec![
                    flv.slice(..first),
                    flv.slice(first..second),
                    flv.slice(second..),
                ];
                let spanning = SpanningTag::new(pieces);
                assert_eq!(spanning.flv_len(), flv.len());
                assert_eq!(spanning.timestamp(), tag.timestamp());
                assert_eq!(spanning.start(), body[..START]);
                assert_eq!(spanning.join().as_ref(), Some(&tag));
                for from in [0, 5, 199, 200] {
                    assert_eq!(spanning.body_from(from).concat(), body[from..]);
                }
            }
        }
    }
}
