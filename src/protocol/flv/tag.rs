// SPDX-License-Identifier: MPL-2.0

//! One FLV tag, kept in the shape that a file has: 11 bytes of head, the body, 4 bytes of
//! back-pointer (Adobe FLV 10.1, Annex E.4.1). RTMP carries the bodies of the same tags as messages,
//! so a tag that arrived from a socket goes to a pad, and one from a pad to a socket, without a copy.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of the tag head.
pub const HEAD: usize = 11;
/// Bytes of `PreviousTagSize` behind the body.
pub const TAIL: usize = 4;
/// The largest body the 24-bit size field can name.
pub const MAX_BODY: usize = 0xff_ffff;

/// What a tag carries; the numbers are both FLV tag types and RTMP message types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TagKind {
    /// Sound.
    Audio = 8,
    /// Picture.
    Video = 9,
    /// AMF3 data, an Enhanced RTMP v2 addition to FLV.
    DataAmf3 = 15,
    /// AMF0 data such as `onMetaData`.
    Data = 18,
}

impl TagKind {
    /// The kind with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            8 => Self::Audio,
            9 => Self::Video,
            15 => Self::DataAmf3,
            18 => Self::Data,
            _ => return None,
        })
    }
}

/// A whole FLV tag. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    kind: TagKind,
    timestamp: u32,
    bytes: Bytes,
}

impl Tag {
    /// Builds a tag from its parts, copying `body`. `timestamp` is in ms and wraps at 2^32.
    ///
    /// Returns `None` where `body` is longer than [`MAX_BODY`].
    pub fn new(kind: TagKind, timestamp: u32, body: &[u8]) -> Option<Self> {
        let mut bytes = BytesMut::with_capacity(HEAD + body.len() + TAIL);
        bytes.put_bytes(0, HEAD);
        bytes.put_slice(body);
        bytes.put_bytes(0, TAIL);
        Self::seal(kind, timestamp, bytes)
    }

    /// Writes head and back-pointer around a body that was received with room for both: `bytes`
    /// is [`HEAD`] bytes, the body, [`TAIL`] bytes.
    ///
    /// Returns `None` where there is no such room or the body is longer than [`MAX_BODY`].
    pub fn seal(kind: TagKind, timestamp: u32, mut bytes: BytesMut) -> Option<Self> {
        let body = bytes.len().checked_sub(HEAD + TAIL)?;
        if body > MAX_BODY {
            return None;
        }
        write_head(bytes.get_mut(..HEAD)?, kind, timestamp, body as u32);
        let back = (HEAD + body) as u32;
        bytes
            .get_mut(HEAD + body..)?
            .copy_from_slice(&back.to_be_bytes());
        Some(Self {
            kind,
            timestamp,
            bytes: bytes.freeze(),
        })
    }

    /// Takes bytes that already are a whole tag, head and back-pointer included, as a file has them.
    ///
    /// The back-pointer is not checked: many writers get it wrong. `None` where the head names an
    /// unknown kind or another size.
    pub fn from_flv(bytes: Bytes) -> Option<Self> {
        let kind = TagKind::from_number(bytes.first()? & 0x1f)?;
        let size = u32::from_be_bytes([0, *bytes.get(1)?, *bytes.get(2)?, *bytes.get(3)?]) as usize;
        let timestamp = u32::from_be_bytes([
            *bytes.get(7)?,
            *bytes.get(4)?,
            *bytes.get(5)?,
            *bytes.get(6)?,
        ]);
        (bytes.len() == HEAD + size + TAIL).then_some(Self {
            kind,
            timestamp,
            bytes,
        })
    }

    /// What the tag carries.
    pub fn kind(&self) -> TagKind {
        self.kind
    }

    /// Milliseconds, wrapping at 2^32.
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// The same tag at another time. Copies only where the bytes are shared.
    #[must_use]
    pub fn at(self, timestamp: u32) -> Self {
        let mut bytes = self.bytes.try_into_mut().unwrap_or_else(BytesMut::from);
        let [t3, t2, t1, t0] = timestamp.to_be_bytes();
        if let Some(field) = bytes.get_mut(4..8) {
            field.copy_from_slice(&[t2, t1, t0, t3]);
        }
        Self {
            kind: self.kind,
            timestamp,
            bytes: bytes.freeze(),
        }
    }

    /// The body alone.
    pub fn body(&self) -> &[u8] {
        self.bytes
            .get(HEAD..self.bytes.len() - TAIL)
            .unwrap_or_default()
    }

    /// The body alone, sharing the bytes.
    pub fn body_bytes(&self) -> Bytes {
        self.bytes.slice(HEAD..self.bytes.len() - TAIL)
    }

    /// Part of the body, sharing the bytes; empty where there is no such part.
    pub fn body_part(&self, part: Range<usize>) -> Bytes {
        match self.body().get(part) {
            Some(part) => self.bytes.slice_ref(part),
            None => Bytes::new(),
        }
    }

    /// The whole tag as a file has it.
    pub fn as_flv(&self) -> &Bytes {
        &self.bytes
    }

    /// The whole tag as a file has it, without another reference.
    pub fn into_flv(self) -> Bytes {
        self.bytes
    }
}

fn write_head(head: &mut [u8], kind: TagKind, timestamp: u32, size: u32) {
    let [_, s2, s1, s0] = size.to_be_bytes();
    let [t3, t2, t1, t0] = timestamp.to_be_bytes();
    head.copy_from_slice(&[kind as u8, s2, s1, s0, t2, t1, t0, t3, 0, 0, 0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_survive_the_trip() {
        let tag = Tag::new(TagKind::Video, 0x8123_4567, &[0x17, 1, 0, 0, 0, 9]).unwrap();
        assert_eq!(
            tag.as_flv().as_ref(),
            [
                9, 0, 0, 6, 0x23, 0x45, 0x67, 0x81, 0, 0, 0, 0x17, 1, 0, 0, 0, 9, 0, 0, 0, 17
            ]
        );
        assert_eq!(Tag::from_flv(tag.as_flv().clone()).unwrap(), tag);
        assert_eq!(tag.body(), [0x17, 1, 0, 0, 0, 9]);
    }

    #[test]
    fn another_time_changes_nothing_else() {
        let tag = Tag::new(TagKind::Audio, 5, &[0xaf, 1, 2]).unwrap();
        let kept = tag.clone();
        let moved = tag.at(0x8123_4567);
        assert_eq!(
            moved,
            Tag::new(TagKind::Audio, 0x8123_4567, &[0xaf, 1, 2]).unwrap()
        );
        assert_eq!(kept.timestamp(), 5);
        assert_eq!(Tag::from_flv(kept.as_flv().clone()), Some(kept));
    }

    #[test]
    fn a_tag_of_another_size_is_refused() {
        let flv = Tag::new(TagKind::Audio, 0, &[0xaf]).unwrap().into_flv();
        for len in 0..flv.len() {
            assert!(Tag::from_flv(flv.slice(..len)).is_none());
        }
    }
}
