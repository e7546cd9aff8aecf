// SPDX-License-Identifier: MPL-2.0

use std::collections::HashMap;

use bytes::{BufMut, BytesMut};

use super::{ChunkError, DEFAULT_CHUNK_SIZE, Message};
use crate::protocol::{
    flv::tag::{HEAD, MAX_BODY, TAIL},
    rtmp::limits,
};

/// Longest chunk header: 3 bytes basic, 11 bytes message, 4 bytes extended timestamp.
const MAX_HEADER: usize = 3 + 11 + 4;
/// The value of a 24-bit timestamp field that says that 32 bits follow.
const EXTENDED: u32 = 0xff_ffff;
/// Chunk stream ids that are looked up by index: those that real peers use.
const SMALL_CSIDS: usize = 16;
/// Chunk stream ids with a one-byte basic header. There are never too many of these.
const ONE_BYTE: usize = 64;

/// The budgets of one [`Decoder`].
#[derive(Clone, Copy, Debug)]
pub struct DecoderLimits {
    /// Longest message, bytes.
    pub message: usize,
    /// Most bytes in unfinished messages, all chunk streams together.
    pub in_flight: usize,
    /// Most chunk streams.
    pub chunk_streams: usize,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self {
            message: MAX_BODY,
            in_flight: limits::IN_FLIGHT,
            chunk_streams: limits::CHUNK_STREAMS,
        }
    }
}

/// Puts messages together from chunks.
#[derive(Debug)]
pub struct Decoder {
    limits: DecoderLimits,
    chunk_size: usize,
    state: State,
    /// Bytes taken for the rest of a header that turned out to be payload.
    held: Vec<u8>,
    small: [Option<Box<ChunkStream>>; SMALL_CSIDS],
    large: HashMap<u32, Box<ChunkStream>>,
    /// Bytes of payload in unfinished messages.
    in_flight: usize,
    /// Room that was made for unfinished messages in advance.
    reserved: usize,
}

#[derive(Debug)]
enum State {
    /// Bytes of a header that the input so far has cut.
    Header { bytes: [u8; MAX_HEADER], len: usize },
    /// Inside the payload of a chunk.
    Payload { csid: u32, left: usize },
}

const BETWEEN: State = State::Header {
    bytes: [0; MAX_HEADER],
    len: 0,
};

/// What a chunk stream remembers, so that later headers can be short.
#[derive(Debug, Default)]
struct ChunkStream {
    timestamp: u32,
    /// The timestamp or delta field as it was sent, 32 bits where it was extended.
    field: u32,
    extended: bool,
    length: usize,
    type_id: u8,
    stream_id: u32,
    /// The message under way.
    partial: Option<BytesMut>,
    /// What of it counts as reserved.
    reserved: usize,
    /// The longest message that did arrive here: what this stream may claim in advance.
    proven: usize,
    continuation: Continuation,
}

/// Whether type 3 headers repeat the extended timestamp. RTMP 1.0 (5.3.1.3) says they do; the 2009
/// text and senders made from it do not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Continuation {
    #[default]
    Unknown,
    Repeats,
    Omits,
}

impl ChunkStream {
    /// Bytes of payload of the message under way.
    fn have(&self) -> usize {
        let partial = self.partial.as_ref().map_or(0, BytesMut::len);
        partial.saturating_sub(HEAD)
    }
}

impl Decoder {
    /// Changes the budgets.
    pub fn set_limits(&mut self, limits: DecoderLimits) {
        self.limits = limits;
    }

    /// A decoder at the start of a chunk stream.
    pub fn new(limits: DecoderLimits) -> Self {
        Self {
            limits,
            chunk_size: DEFAULT_CHUNK_SIZE,
            state: BETWEEN,
            held: Vec::new(),
            small: std::array::from_fn(|_| None),
            large: HashMap::new(),
            in_flight: 0,
            reserved: 0,
        }
    }

    /// Bytes of payload per chunk, as the peer last said.
    pub fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// Follows the peer's Set Chunk Size; it holds from the next chunk header on, also for messages
    /// that are under way.
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), ChunkError> {
        // The top bit must be zero (5.4.1); a chunk longer than the longest message is no error.
        if size > i32::MAX as u32 || (size as usize) < limits::MIN_CHUNK_SIZE {
            return Err(ChunkError::BadChunkSize(size));
        }
        self.chunk_size = (size as usize).min(MAX_BODY);
        Ok(())
    }

    /// Follows the peer's Abort Message: forgets the message under way on `csid`, if there is one.
    pub fn abort(&mut self, csid: u32) {
        let Some(stream) = self.stream(csid) else {
            return;
        };
        let have = stream.have();
        let reserved = std::mem::take(&mut stream.reserved);
        stream.partial = None;
        self.in_flight -= have;
        self.reserved -= reserved;
    }

    /// Reads from the front of `input` up to the end of the next message.
    ///
    /// `None` means that all input was taken and no message is complete. After an error the decoder
    /// is of no further use.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        loop {
            if input.is_empty() && self.held.is_empty() {
                return Ok(None);
            }
            let message = if self.held.is_empty() {
                self.step(input)?
            } else {
                let held = std::mem::take(&mut self.held);
                let mut rest = held.as_slice();
                let message = self.step(&mut rest)?;
                self.held.extend_from_slice(rest);
                message
            };
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    /// Bytes of memory that unfinished messages and headers hold.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        let streams = self.small.iter().flatten().chain(self.large.values());
        let partials = streams.clone().flat_map(|stream| &stream.partial);
        partials.map(BytesMut::capacity).sum::<usize>()
            + streams.count() * size_of::<ChunkStream>()
            + self.held.capacity()
    }

    /// Reads at most one chunk.
    fn step(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        if matches!(self.state, State::Header { .. }) && !self.header(input)? {
            return Ok(None);
        }
        match self.state {
            State::Payload { csid, left } if self.held.is_empty() => {
                self.payload(csid, left, input)
            }
            _ => Ok(None),
        }
    }

    /// Reads a chunk header; false if the input ends before the header does.
    fn header(&mut self, input: &mut &[u8]) -> Result<bool, ChunkError> {
        let State::Header { mut bytes, len } = self.state else {
            return Ok(true);
        };
        if len == 0
            && let Some((csid, left, used)) = self.parse_header(input)?
        {
            *input = input.get(used..).unwrap_or_default();
            self.state = State::Payload { csid, left };
            return Ok(true);
        }
        let take = input.len().min(MAX_HEADER - len);
        let (head, _) = input.split_at(take);
        if let Some(room) = bytes.get_mut(len..len + take) {
            room.copy_from_slice(head);
        }
        let known = len + take;
        match self.parse_header(bytes.get(..known).unwrap_or_default())? {
            Some((csid, left, used)) => {
                // The bytes of the last calls had sufficed, were they not awaited for an extended
                // timestamp that is none: then they are payload.
                self.held
                    .extend_from_slice(bytes.get(used..len).unwrap_or_default());
                *input = input.get(used.saturating_sub(len)..).unwrap_or_default();
                self.state = State::Payload { csid, left };
                Ok(true)
            }
            None => {
                *input = &[];
                self.state = State::Header { bytes, len: known };
                Ok(false)
            }
        }
    }

    /// Parses a header at the front of `bytes` and opens or continues a message.
    ///
    /// Returns the chunk stream, the payload bytes of this chunk and the length of the header, or
    /// `None`, with nothing changed, where `bytes` ends too early.
    fn parse_header(&mut self, bytes: &[u8]) -> Result<Option<(u32, usize, usize)>, ChunkError> {
        let Some((format, csid, mut at)) = basic_header(bytes) else {
            return Ok(None);
        };
        let message_header = [11, 7, 3, 0][usize::from(format)];
        let Some(fields) = bytes.get(at..at + message_header) else {
            return Ok(None);
        };
        at += message_header;

        let (mut next, in_message, continuation) = match self.stream(csid) {
            Some(stream) => (
                Fields::of(stream),
                stream.partial.is_some(),
                stream.continuation,
            ),
            // Several senders open chunk stream 2 with a type 1 header (librtmp's pings).
            None if format <= 1 => Default::default(),
            None => return Err(ChunkError::NoPreviousHeader { csid, format }),
        };

        if let [t2, t1, t0, rest @ ..] = fields {
            next.field = u32::from_be_bytes([0, *t2, *t1, *t0]);
            next.extended = next.field == EXTENDED;
            if let [l2, l1, l0, type_id, rest @ ..] = rest {
                next.length = u32::from_be_bytes([0, *l2, *l1, *l0]) as usize;
                next.type_id = *type_id;
                if let [s0, s1, s2, s3] = rest {
                    next.stream_id = u32::from_le_bytes([*s0, *s1, *s2, *s3]);
                }
            }
        }

        let mut learned = continuation;
        if next.extended {
            let Some(extension) = bytes
                .get(at..at + 4)
                .and_then(|b| <[u8; 4]>::try_from(b).ok())
            else {
                // A sender that omits the repetition may have less than 4 bytes left to send.
                return match (format, continuation) {
                    (3, Continuation::Omits) => {
                        self.open(csid, format, in_message, next, continuation, at)
                    }
                    _ => Ok(None),
                };
            };
            let extension = u32::from_be_bytes(extension);
            if format != 3 {
                next.field = extension;
                at += 4;
            } else {
                if continuation == Continuation::Unknown {
                    // Some repeat the field, some the absolute time of the message.
                    learned = if extension == next.field || extension == next.timestamp {
                        Continuation::Repeats
                    } else {
                        Continuation::Omits
                    };
                }
                if learned == Continuation::Repeats {
                    at += 4;
                }
            }
        }
        self.open(csid, format, in_message, next, learned, at)
    }

    /// Applies a parsed header to its chunk stream.
    fn open(
        &mut self,
        csid: u32,
        format: u8,
        in_message: bool,
        mut next: Fields,
        continuation: Continuation,
        used: usize,
    ) -> Result<Option<(u32, usize, usize)>, ChunkError> {
        if next.length > self.limits.message {
            return Err(ChunkError::MessageTooLong {
                length: next.length,
                limit: self.limits.message,
            });
        }
        let chunk_size = self.chunk_size;
        let limit = self.limits.chunk_streams;
        let stream = self.stream_or_insert(csid, limit)?;
        stream.continuation = continuation;
        if in_message {
            // A full header inside a message is sloppy but harmless as long as it says the same;
            // where the length changes, what follows cannot be told apart (CVE-2016-10191).
            let same = next.length == stream.length
                && next.type_id == stream.type_id
                && next.stream_id == stream.stream_id;
            if !same {
                return Err(ChunkError::HeaderChanged { csid });
            }
        } else {
            // After a type 0 header, a type 3 one that starts a message adds its timestamp again
            // (5.3.1.2.4), as it would add a delta.
            next.timestamp = match format {
                0 => next.field,
                _ => stream.timestamp.wrapping_add(next.field),
            };
            stream.timestamp = next.timestamp;
            stream.field = next.field;
            stream.extended = next.extended;
            stream.length = next.length;
            stream.type_id = next.type_id;
            stream.stream_id = next.stream_id;
            stream.partial = Some(BytesMut::new());
        }
        let left = (stream.length - stream.have()).min(chunk_size);
        Ok(Some((csid, left, used)))
    }

    /// Takes payload bytes of the current chunk.
    fn payload(
        &mut self,
        csid: u32,
        left: usize,
        input: &mut &[u8],
    ) -> Result<Option<Message>, ChunkError> {
        let limit = self.limits.in_flight;
        let take = left.min(input.len());
        let (body, rest) = input.split_at(take);

        let in_flight = self.in_flight + take;
        if in_flight > limit {
            return Err(ChunkError::TooMuchInFlight { limit });
        }
        let mut reserved = self.reserved;
        let Some(stream) = self.stream(csid) else {
            return Ok(None);
        };
        let length = stream.length;
        let partial = stream.partial.get_or_insert_default();
        if partial.is_empty() {
            // Memory comes for bytes that are here, or for as many as once came on this stream; of
            // all that comes before its bytes there is no more than what may be in flight.
            let room = length.min(take.max(stream.proven));
            if reserved + room <= limit {
                stream.reserved = room;
                reserved += room;
            }
            partial.reserve(HEAD + stream.reserved.max(take) + TAIL);
            partial.put_bytes(0, HEAD);
        }
        partial.extend_from_slice(body);
        let complete = partial.len() - HEAD == length;
        let message = complete.then(|| {
            let mut buffer = stream.partial.take().unwrap_or_default();
            buffer.put_bytes(0, TAIL);
            reserved -= std::mem::take(&mut stream.reserved);
            stream.proven = stream.proven.max(length);
            Message {
                csid,
                type_id: stream.type_id,
                stream_id: stream.stream_id,
                timestamp: stream.timestamp,
                buffer,
            }
        });
        *input = rest;
        self.in_flight = in_flight - if complete { length } else { 0 };
        self.reserved = reserved;
        self.state = match left - take {
            0 => BETWEEN,
            left => State::Payload { csid, left },
        };
        Ok(message)
    }

    fn stream(&mut self, csid: u32) -> Option<&mut ChunkStream> {
        match self.small.get_mut(csid as usize) {
            Some(slot) => slot.as_deref_mut(),
            None => self.large.get_mut(&csid).map(Box::as_mut),
        }
    }

    fn stream_or_insert(
        &mut self,
        csid: u32,
        limit: usize,
    ) -> Result<&mut ChunkStream, ChunkError> {
        if csid as usize >= ONE_BYTE
            && self.large.len() + ONE_BYTE >= limit
            && !self.large.contains_key(&csid)
        {
            return Err(ChunkError::TooManyChunkStreams { limit });
        }
        Ok(match self.small.get_mut(csid as usize) {
            Some(slot) => slot.get_or_insert_default(),
            None => self.large.entry(csid).or_default(),
        })
    }
}

/// The header fields of a message, before they are applied.
#[derive(Clone, Copy, Default)]
struct Fields {
    timestamp: u32,
    field: u32,
    extended: bool,
    length: usize,
    type_id: u8,
    stream_id: u32,
}

impl Fields {
    fn of(stream: &ChunkStream) -> Self {
        Self {
            timestamp: stream.timestamp,
            field: stream.field,
            extended: stream.extended,
            length: stream.length,
            type_id: stream.type_id,
            stream_id: stream.stream_id,
        }
    }
}

/// Header type, chunk stream id and length of the basic header (5.3.1.1).
fn basic_header(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    let first = *bytes.first()?;
    let format = first >> 6;
    Some(match first & 0x3f {
        0 => (format, u32::from(*bytes.get(1)?) + 64, 2),
        1 => {
            let id = u32::from(*bytes.get(1)?) + u32::from(*bytes.get(2)?) * 256 + 64;
            (format, id, 3)
        }
        csid => (format, u32::from(csid), 1),
    })
}

#[cfg(test)]
#[path = "decoder_tests.rs"]
mod tests;
