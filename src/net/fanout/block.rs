// SPDX-License-Identifier: MPL-2.0

//! What is sent to all.

use std::ops::Range;

use bytes::Bytes;

/// Bits of [`Block::kind`] that every client wants until its [`Protocol`](super::Protocol) says otherwise.
pub const ALL_KINDS: u8 = u8::MAX;

/// A piece of the stream that is sent whole or not at all.
#[derive(Clone, Debug)]
pub struct Block {
    /// What [framed](super::NewClient::framed) clients are sent: for HTTP, a chunk.
    pub bytes: Bytes,
    /// What the others are sent of it.
    pub data: Range<usize>,
    /// When it is to be shown, in milliseconds; never less than the block's before it.
    pub time: u64,
    /// A client may begin here.
    pub join: bool,
    /// What it holds, as bits of the user's choice; clients can do without some.
    pub kind: u8,
}

impl Block {
    /// A block that is the same for all, framed or not.
    pub fn plain(bytes: Bytes, time: u64, join: bool, kind: u8) -> Self {
        Self {
            data: 0..bytes.len(),
            bytes,
            time,
            join,
            kind,
        }
    }

    pub(super) fn len(&self, framed: bool) -> usize {
        self.slice(framed).len()
    }

    pub(super) fn slice(&self, framed: bool) -> &[u8] {
        match framed {
            true => &self.bytes,
            false => self.bytes.get(self.data.clone()).unwrap_or_default(),
        }
    }

    pub(super) fn share(&self, framed: bool) -> Bytes {
        match framed {
            true => self.bytes.clone(),
            false => self.bytes.slice_ref(self.slice(false)),
        }
    }
}
