// SPDX-License-Identifier: MPL-2.0

//! Cuts a byte stream of FLV (Adobe FLV 10.1, Annex E.2 to E.4) into tags, whatever pieces it comes in.
//!
//! It does not look into tag bodies. Once bytes are no tag, the stream is lost and says so, unless the
//! reader was made to search for the next tag ([`Reader::searching`]).

#[cfg(test)]
mod search_tests;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::{
    limits::SEARCHED_BODY,
    spanning::SpanningTag,
    tag::{HEAD, TAIL, Tag, TagKind},
};

/// What [`Reader::next`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A file header. There may be several: files were concatenated, or a muxer restarted.
    Header {
        /// The header promises audio. Do not trust it: rtmp2src always says audio only.
        audio: bool,
        /// The header promises video.
        video: bool,
    },
    /// A tag.
    Tag(Tag),
    /// So many bytes were no tag. Only of a reader that searches.
    Skipped(usize),
    /// A large tag of pictures that came in several pieces. Only of a reader that was made to leave
    /// it in them.
    Spanning(SpanningTag),
}

/// Why there are no more tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlvError {
    /// The first bytes are neither a header nor a tag.
    #[error("the stream is not FLV, put an FLV muxer such as flvmux in front")]
    NotFlv,
    /// Behind tags came bytes that begin no tag.
    #[error("the FLV stream is damaged, a tag is followed by bytes that are no tag")]
    Lost,
    /// The filter bit is set (Annex F).
    #[error("the FLV stream is encrypted, which is not supported")]
    Encrypted,
}

/// Cuts FLV into tags.
///
/// [`push`](Self::push) pieces, then call [`next`](Self::next) until it returns `None`. A tag that
/// lies inside one piece is a slice of it; one that spans pieces is copied together when all of it is
/// there. Memory follows the bytes that came, never the size that a head claims.
///
/// Read are streams with and without header, headers in the middle, a `DataOffset` that is wrong,
/// wrong back-pointers, and a stream id that is not 0. Tags of unknown types are skipped.
#[derive(Debug, Default)]
pub struct Reader {
    pieces: VecDeque<Bytes>,
    /// Bytes of a unit that spans pieces; they come before `pieces`.
    partial: BytesMut,
    /// Bytes in `partial` and `pieces`.
    len: usize,
    state: State,
    searches: bool,
    spans: bool,
    ended: bool,
    taken: u64,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Start,
    /// Behind a header, with so many bytes of it to skip.
    Header(usize),
    Tag,
    /// In a tag of unknown type, with so many bytes to skip.
    Skip(usize),
    /// Looking for the next tag, so many bytes behind the last one.
    Search(usize),
    Failed(FlvError),
}

/// Bytes of the file header.
const FILE_HEADER: usize = 9;

/// The largest `DataOffset` believed. Version 1 has 9; a larger one, which the specification reserves
/// for the future, would swallow tags if it is garbage.
const MAX_DATA_OFFSET: usize = 1024;

impl Reader {
    /// A reader that looks for the next tag where bytes are no tag, and says how many it skipped.
    ///
    /// Found is a tag that its back-pointer, or another tag behind it, confirms.
    pub fn searching() -> Self {
        Self {
            searches: true,
            ..Self::default()
        }
    }

    /// Leaves large tags of pictures in the pieces that they came in, if those are few, instead of
    /// copying them together: [`Item::Spanning`].
    #[must_use]
    pub fn spanning(mut self) -> Self {
        self.spans = true;
        self
    }

    /// Goes on in the middle of a stream, as after a seek: forgets all bytes, and expects a tag, or
    /// searches for one. `position` is where in the stream the next piece comes from.
    pub fn restart(&mut self, position: u64) {
        let state = match self.searches {
            true => State::Search(0),
            false => State::Tag,
        };
        self.begin(state, position);
    }

    /// No more pieces come: what a search still takes for the beginning of a tag is none.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// How many bytes of the stream became items so far, or were skipped: where the item ends that
    /// [`next`](Self::next) returned last.
    pub fn position(&self) -> u64 {
        self.taken
    }

    /// Takes the next piece of the stream, of any length.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// The next header or tag, or `None` where more bytes are needed.
    ///
    /// # Errors
    ///
    /// [`FlvError`], again and again until [`reset`](Self::reset).
    // An iterator would have to swallow the difference between "not yet" and "never".
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Item>, FlvError> {
        loop {
            match self.state {
                State::Start | State::Tag => {
                    let Some([first]) = self.peek() else {
                        return Ok(None);
                    };
                    // Of `FLV`. No tag begins so: its reserved bits would be set.
                    if first == b'F' {
                        let Some(header) = self.file_header()? else {
                            if matches!(self.state, State::Search(_)) {
                                continue;
                            }
                            return Ok(None);
                        };
                        return Ok(Some(header));
                    }
                    let Some(size) = self.tag_size(first)? else {
                        if matches!(self.state, State::Search(_)) {
                            continue;
                        }
                        return Ok(None);
                    };
                    let Some(kind) = TagKind::from_number(first & TYPE) else {
                        self.state = State::Skip(size);
                        continue;
                    };
                    if let Some(tag) = self.take_spanning(kind, size) {
                        self.state = State::Tag;
                        return Ok(Some(Item::Spanning(tag)));
                    }
                    let Some(bytes) = self.take(size) else {
                        return Ok(None);
                    };
                    self.state = State::Tag;
                    return match Tag::from_flv(bytes) {
                        Some(tag) => Ok(Some(Item::Tag(tag))),
                        None => Err(self.fail(FlvError::Lost)),
                    };
                }
                State::Header(0) => {
                    let Some([first]) = self.peek() else {
                        return Ok(None);
                    };
                    // PreviousTagSize0 begins with a zero, no tag does. Some writers leave it out.
                    self.state = State::Skip(if first == 0 { TAIL } else { 0 });
                }
                State::Header(left) => {
                    let skipped = self.skip(left);
                    if skipped == 0 {
                        return Ok(None);
                    }
                    self.state = State::Header(left - skipped);
                }
                State::Search(skipped) => match self.search(skipped) {
                    Some(item) => return Ok(Some(item)),
                    None if matches!(self.state, State::Search(_)) => return Ok(None),
                    None => {}
                },
                State::Skip(0) => self.state = State::Tag,
                State::Skip(left) => {
                    let skipped = self.skip(left);
                    if skipped == 0 {
                        return Ok(None);
                    }
                    self.state = State::Skip(left - skipped);
                }
                State::Failed(error) => return Err(error),
            }
        }
    }

    /// Bytes pushed that are no item yet. At the end of the stream they are a tag cut short.
    pub fn pending(&self) -> usize {
        self.len
    }

    /// How many bytes the tag has that begins at [`position`](Self::position), if its head is here
    /// and the rest is not.
    pub fn wanted(&mut self) -> Option<usize> {
        if !matches!(self.state, State::Tag) {
            return None;
        }
        let [_, s2, s1, s0, ..] = self.peek::<HEAD>()?;
        Some(HEAD + u32::from_be_bytes([0, s2, s1, s0]) as usize + TAIL)
    }

    /// Forgets the bytes of an incomplete tag, which will be pushed again from its start. `false`,
    /// and they stay, where something else is incomplete.
    pub fn unread(&mut self) -> bool {
        if !matches!(self.state, State::Tag) {
            return false;
        }
        self.pieces.clear();
        self.partial.clear();
        self.len = 0;
        true
    }

    /// Forgets everything, for a new stream.
    pub fn reset(&mut self) {
        self.begin(State::Start, 0);
    }

    fn begin(&mut self, state: State, taken: u64) {
        *self = Self {
            state,
            searches: self.searches,
            spans: self.spans,
            taken,
            ..Self::default()
        };
    }

    fn fail(&mut self, error: FlvError) -> FlvError {
        self.begin(State::Failed(error), 0);
        error
    }

    /// What to make of bytes that are nothing, by where they are: a search, or an error.
    fn lost(&mut self) -> Result<(), FlvError> {
        match self.state {
            State::Start => Err(self.fail(FlvError::NotFlv)),
            _ if self.searches => {
                self.state = State::Search(0);
                Ok(())
            }
            _ => Err(self.fail(FlvError::Lost)),
        }
    }

    /// Skips to the next tag, or as far as it is certain that there is none.
    fn search(&mut self, mut skipped: usize) -> Option<Item> {
        loop {
            match self.candidate() {
                Some(true) => {
                    self.state = State::Tag;
                    return (skipped > 0).then_some(Item::Skipped(skipped));
                }
                None if !self.ended || self.len == 0 => {
                    self.state = State::Search(skipped);
                    return None;
                }
                Some(false) | None => skipped += self.skip(1),
            }
        }
    }

    /// Whether a tag begins here; `None` where more bytes are needed to know.
    fn candidate(&mut self) -> Option<bool> {
        let [first] = self.peek()?;
        if !is_tag_type(first) {
            return Some(false);
        }
        let [_, s2, s1, s0, _, _, _, _, stream_id @ ..] = self.peek::<HEAD>()?;
        let size = u32::from_be_bytes([0, s2, s1, s0]) as usize;
        if stream_id != [0; 3] || size > SEARCHED_BODY {
            return Some(false);
        }
        if self.ends_as_it_says(size)? {
            return Some(true);
        }
        let end = HEAD + size + TAIL;
        self.gather(end + HEAD);
        let next = self.partial.get(end..end + HEAD)?;
        Some(matches!(next, [kind, _, _, _, _, _, _, _, 0, 0, 0] if is_tag_type(*kind)))
    }

    /// Whether the length behind a tag with a body of this size is its own; `None` where more bytes are
    /// needed to know.
    fn ends_as_it_says(&mut self, size: usize) -> Option<bool> {
        if size > SEARCHED_BODY {
            return Some(false);
        }
        let end = HEAD + size + TAIL;
        self.gather(end);
        let behind = self.partial.get(HEAD + size..end)?;
        Some(behind == ((HEAD + size) as u32).to_be_bytes())
    }

    fn file_header(&mut self) -> Result<Option<Item>, FlvError> {
        let Some(signature) = self.peek::<3>() else {
            return Ok(None);
        };
        if &signature != b"FLV" {
            return self.lost().map(|()| None);
        }
        let Some([_, _, _, _, flags, offset @ ..]) = self.peek::<FILE_HEADER>() else {
            return Ok(None);
        };
        let offset = u32::from_be_bytes(offset) as usize;
        let offset = match offset {
            FILE_HEADER..=MAX_DATA_OFFSET => offset,
            _ => FILE_HEADER,
        };
        self.skip(FILE_HEADER);
        self.state = State::Header(offset - FILE_HEADER);
        Ok(Some(Item::Header {
            audio: flags & 4 != 0,
            video: flags & 1 != 0,
        }))
    }

    /// Bytes of the tag that begins here with the byte `first`, head and back-pointer included.
    fn tag_size(&mut self, first: u8) -> Result<Option<usize>, FlvError> {
        let starts = matches!(self.state, State::Start);
        // At the start a stranger is likelier than a tag type nobody has defined.
        if first & RESERVED != 0 || starts && TagKind::from_number(first & TYPE).is_none() {
            return self.lost().map(|()| None);
        }
        let Some([_, s2, s1, s0, _, _, _, _, stream_id @ ..]) = self.peek::<HEAD>() else {
            return Ok(None);
        };
        if starts && stream_id != [0; 3] {
            return self.lost().map(|()| None);
        }
        if self.searches && stream_id != [0; 3] {
            // Not even in what calls itself a tag.
            return self.lost().map(|()| None);
        }
        let size = u32::from_be_bytes([0, s2, s1, s0]) as usize;
        if first & FILTER != 0 {
            // In a search junk looks encrypted easily; what has the right length behind it is.
            return match self.searches.then(|| self.ends_as_it_says(size)) {
                None | Some(Some(true)) => Err(self.fail(FlvError::Encrypted)),
                Some(None) if !self.ended => Ok(None),
                Some(_) => self.lost().map(|()| None),
            };
        }
        Ok(Some(HEAD + size + TAIL))
    }

    /// The next `N` bytes, which stay.
    fn peek<const N: usize>(&mut self) -> Option<[u8; N]> {
        if !self.partial.is_empty() || self.pieces.front()?.len() < N {
            self.gather(N);
            return self.partial.first_chunk().copied();
        }
        self.pieces.front()?.first_chunk().copied()
    }

    /// Removes the next `n` bytes, shared with their piece if they lie in one.
    fn take(&mut self, n: usize) -> Option<Bytes> {
        let bytes = match self.pieces.front_mut() {
            Some(front) if self.partial.is_empty() && front.len() >= n => {
                let bytes = front.split_to(n);
                if front.is_empty() {
                    self.pieces.pop_front();
                }
                bytes
            }
            _ => {
                if self.len < n {
                    // Large pieces wait as they are, for one copy into memory of the right size;
                    // small ones would hold more memory than their bytes.
                    if self
                        .pieces
                        .back()
                        .is_some_and(|piece| piece.len() < SMALL_PIECE)
                    {
                        self.gather(n);
                    }
                    return None;
                }
                self.gather(n);
                match self.partial.len() {
                    len if len < n => return None,
                    // Splitting would keep the memory for as long as the reader idles.
                    len if len == n => std::mem::take(&mut self.partial).freeze(),
                    _ => self.partial.split_to(n).freeze(),
                }
            }
        };
        self.len -= n;
        self.taken += n as u64;
        Some(bytes)
    }

    /// Removes the next `n` bytes, in the pieces that they are in, if they are a tag to be left so.
    fn take_spanning(&mut self, kind: TagKind, n: usize) -> Option<SpanningTag> {
        if !self.spans || self.len < n {
            return None;
        }
        let (mut count, mut len) = (usize::from(!self.partial.is_empty()), self.partial.len());
        for piece in &self.pieces {
            if len >= n {
                break;
            }
            (count, len) = (count + 1, len + piece.len());
        }
        if self.partial.len() >= n || !SpanningTag::fits(kind, n, count) {
            return None;
        }
        let mut pieces = Vec::with_capacity(count);
        let mut left = n - self.partial.len();
        if !self.partial.is_empty() {
            pieces.push(std::mem::take(&mut self.partial).freeze());
        }
        while left > 0
            && let Some(mut piece) = self.pieces.pop_front()
        {
            let part = piece.split_to(left.min(piece.len()));
            left -= part.len();
            pieces.push(part);
            if !piece.is_empty() {
                self.pieces.push_front(piece);
            }
        }
        self.len -= n;
        self.taken += n as u64;
        Some(SpanningTag::new(pieces))
    }

    /// Removes up to `n` bytes unseen and returns how many.
    fn skip(&mut self, n: usize) -> usize {
        let mut left = n;
        let partial = left.min(self.partial.len());
        drop(self.partial.split_to(partial));
        left -= partial;
        while left > 0 {
            let Some(front) = self.pieces.front_mut() else {
                break;
            };
            let part = left.min(front.len());
            drop(front.split_to(part));
            left -= part;
            if front.is_empty() {
                self.pieces.pop_front();
            }
        }
        self.len -= n - left;
        self.taken += (n - left) as u64;
        n - left
    }

    /// Moves bytes from the pieces until `partial` holds `n`, or all there are.
    fn gather(&mut self, n: usize) {
        let present = n.min(self.len);
        self.partial
            .reserve(present.saturating_sub(self.partial.len()));
        while self.partial.len() < n {
            let Some(front) = self.pieces.front_mut() else {
                break;
            };
            let part = front.len().min(n - self.partial.len());
            self.partial.extend_from_slice(&front.split_to(part));
            if front.is_empty() {
                self.pieces.pop_front();
            }
        }
    }
}

/// Whether this is the first byte of a tag of a known type, not encrypted.
fn is_tag_type(first: u8) -> bool {
    first & (RESERVED | FILTER) == 0 && TagKind::from_number(first).is_some()
}

/// Pieces below this many bytes are copied out as they come.
const SMALL_PIECE: usize = 4096;

/// Bits of a tag's first byte (Annex E.4.1).
const RESERVED: u8 = 0xc0;
const FILTER: u8 = 0x20;
const TYPE: u8 = 0x1f;
