// SPDX-License-Identifier: MPL-2.0

//! The chunk stream (RTMP 1.0, section 5.3): messages cut into chunks and put together again.
//!
//! [`Decoder`] keeps whatever it has not finished, so input may be cut at any byte. [`Encoder`] adds
//! slices to a [`Transmit`](super::transmit::Transmit) without copying large payloads.

mod decoder;
mod encoder;

pub use decoder::{Decoder, DecoderLimits};
pub use encoder::Encoder;

use bytes::BytesMut;

use crate::protocol::flv::{
    Tag, TagKind,
    tag::{HEAD, TAIL},
};

/// Bytes of payload per chunk until a Set Chunk Size message (RTMP 1.0, 5.4.1).
pub const DEFAULT_CHUNK_SIZE: usize = 128;

/// A message with its header fields, whole.
#[derive(Debug, PartialEq, Eq)]
pub struct Message {
    /// Chunk stream it came on.
    pub csid: u32,
    /// Message type id (RTMP 1.0, section 5.4 and 7.1).
    pub type_id: u8,
    /// Message stream id.
    pub stream_id: u32,
    /// Milliseconds, absolute, wrapping at 2^32.
    pub timestamp: u32,
    /// The payload between the room that an FLV tag needs around it.
    buffer: BytesMut,
}

impl Message {
    /// The payload.
    pub fn payload(&self) -> &[u8] {
        self.buffer
            .get(HEAD..self.buffer.len() - TAIL)
            .unwrap_or_default()
    }

    /// The message as an FLV tag, for the types that files carry too. No copy.
    pub fn into_tag(self) -> Option<Tag> {
        Tag::seal(
            TagKind::from_number(self.type_id)?,
            self.timestamp,
            self.buffer,
        )
    }
}

/// What a peer's chunks can be guilty of. Each ends the connection: after it the position in the
/// byte stream is lost or the peer is hostile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// A chunk leans on a header that was never sent.
    #[error(
        "chunk stream {csid} starts with a type {format} header, which has nothing to refer to"
    )]
    NoPreviousHeader {
        /// The chunk stream.
        csid: u32,
        /// The header type, 2 or 3.
        format: u8,
    },
    /// A message changed its length, type or stream before it was complete.
    #[error("the header on chunk stream {csid} changed in the middle of a message")]
    HeaderChanged {
        /// The chunk stream.
        csid: u32,
    },
    /// A message is longer than this side takes.
    #[error("a message of {length} bytes is over the limit of {limit}")]
    MessageTooLong {
        /// The claimed length.
        length: usize,
        /// The budget.
        limit: usize,
    },
    /// Too many bytes wait in unfinished messages.
    #[error("unfinished messages hold more than the limit of {limit} bytes")]
    TooMuchInFlight {
        /// The budget.
        limit: usize,
    },
    /// Too many chunk streams were opened.
    #[error("more than {limit} chunk streams are open")]
    TooManyChunkStreams {
        /// The budget.
        limit: usize,
    },
    /// Set Chunk Size with a value outside of what is allowed or sane.
    #[error("a chunk size of {0} is not acceptable")]
    BadChunkSize(u32),
}
