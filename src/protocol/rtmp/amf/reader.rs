// SPDX-License-Identifier: MPL-2.0

//! What both decoders read through: a cursor over one message, the budgets that the message may
//! spend, and the table that references point into.
//!
//! A reference is resolved by reading the bytes it refers to once more. Nothing is kept for the
//! references that may come, and a copy is paid for from the same budgets as an original.

use bytes::Bytes;

use super::AmfError;
use crate::protocol::rtmp::limits::{AMF_DEPTH, AMF_ELEMENTS, AMF_TEXT};

/// A cursor over a message, with what is left of its budgets.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    input: &'a [u8],
    replaying: bool,
    depth: usize,
    elements: usize,
    text: usize,
}

/// Where reading goes on after a replay.
#[derive(Debug)]
pub(super) struct Bookmark<'a> {
    input: &'a [u8],
    replaying: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            input,
            replaying: false,
            depth: AMF_DEPTH,
            elements: AMF_ELEMENTS,
            text: AMF_TEXT,
        }
    }

    /// What has not been read.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.input
    }

    pub(super) fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    pub(super) fn skip_if(&mut self, prefix: &[u8]) -> bool {
        match self.input.strip_prefix(prefix) {
            Some(rest) => {
                self.input = rest;
                true
            }
            None => false,
        }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], AmfError> {
        let (head, rest) = self
            .input
            .split_at_checked(len)
            .ok_or(AmfError::Truncated)?;
        self.input = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], AmfError> {
        let (head, rest) = self.input.split_first_chunk().ok_or(AmfError::Truncated)?;
        self.input = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, AmfError> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, AmfError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, AmfError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn f64(&mut self) -> Result<f64, AmfError> {
        self.array().map(f64::from_be_bytes)
    }

    /// Pays for `count` values. Whoever holds a value pays for it, where there is a count before the
    /// first of them is read, so a count alone never makes anyone allocate.
    pub(super) fn spend_elements(&mut self, count: usize) -> Result<(), AmfError> {
        self.elements = self
            .elements
            .checked_sub(count)
            .ok_or(AmfError::TooManyElements)?;
        Ok(())
    }

    fn spend_text(&mut self, len: usize) -> Result<(), AmfError> {
        self.text = self.text.checked_sub(len).ok_or(AmfError::TooMuchText)?;
        Ok(())
    }

    /// Text of its own from bytes of the message.
    pub(super) fn text(&mut self, raw: &[u8]) -> Result<String, AmfError> {
        let text = String::from_utf8_lossy(raw);
        self.spend_text(text.len())?;
        Ok(text.into_owned())
    }

    /// Bytes of their own from bytes of the message.
    pub(super) fn bytes(&mut self, raw: &[u8]) -> Result<Bytes, AmfError> {
        self.spend_text(raw.len())?;
        Ok(Bytes::copy_from_slice(raw))
    }

    /// Steps into a value that holds others.
    pub(super) fn enter(&mut self) -> Result<(), AmfError> {
        self.depth = self.depth.checked_sub(1).ok_or(AmfError::TooDeep)?;
        Ok(())
    }

    /// Steps out again.
    pub(super) fn leave(&mut self) {
        self.depth += 1;
    }

    /// Whether what is read was read before, and so has its places in the reference tables already.
    pub(super) fn is_replaying(&self) -> bool {
        self.replaying
    }

    /// Moves back to `start` until [`resume`](Self::resume).
    pub(super) fn replay(&mut self, start: &'a [u8]) -> Bookmark<'a> {
        Bookmark {
            input: std::mem::replace(&mut self.input, start),
            replaying: std::mem::replace(&mut self.replaying, true),
        }
    }

    pub(super) fn resume(&mut self, bookmark: Bookmark<'a>) {
        self.input = bookmark.input;
        self.replaying = bookmark.replaying;
    }
}

/// The values of a message that references can name, in the order in which they start.
#[derive(Debug, Default)]
pub(super) struct References<'a>(Vec<Referent<'a>>);

#[derive(Debug)]
struct Referent<'a> {
    /// From the value's marker to the end of the message.
    start: &'a [u8],
    complete: bool,
}

/// A place in [`References`], or none during a replay.
#[derive(Debug)]
pub(super) struct Slot(Option<usize>);

impl<'a> References<'a> {
    /// Numbers a value that starts, with its marker, at `start`.
    pub(super) fn begin(&mut self, reader: &Reader<'a>, start: &'a [u8]) -> Slot {
        if reader.is_replaying() {
            return Slot(None);
        }
        self.0.push(Referent {
            start,
            complete: false,
        });
        Slot(Some(self.0.len() - 1))
    }

    /// Lets references name the value from now on.
    pub(super) fn complete(&mut self, slot: Slot) {
        if let Some(referent) = slot.0.and_then(|index| self.0.get_mut(index)) {
            referent.complete = true;
        }
    }

    /// Where value `index` starts.
    pub(super) fn resolve(&self, index: u32) -> Result<&'a [u8], AmfError> {
        match self.0.get(index as usize) {
            Some(referent) if referent.complete => Ok(referent.start),
            Some(_) => Err(AmfError::CircularReference(index)),
            None => Err(AmfError::DanglingReference(index)),
        }
    }
}
