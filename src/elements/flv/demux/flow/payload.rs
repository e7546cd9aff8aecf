// SPDX-License-Identifier: MPL-2.0

//! What a frame holds, which is part of what came in.

use bytes::Bytes;

/// The bytes of a frame.
pub(super) enum Payload {
    Whole(Bytes),
    /// As they came. A buffer has a memory for each, and who needs them in one piece copies them, once.
    Parts(Vec<Bytes>),
}

impl Payload {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::Parts(parts) => parts.is_empty(),
        }
    }

    /// Those that are in one piece.
    pub(super) fn whole(self) -> Option<Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::Parts(_) => None,
        }
    }

    pub(super) fn into_buffer(self) -> gst::Buffer {
        let parts = match self {
            Self::Whole(bytes) => return gst::Buffer::from_slice(bytes),
            Self::Parts(parts) => parts,
        };
        let mut buffer = gst::Buffer::new();
        let fields = buffer.make_mut();
        for part in parts {
            fields.append_memory(gst::Memory::from_slice(part));
        }
        buffer
    }
}
