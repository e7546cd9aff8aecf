// SPDX-License-Identifier: MPL-2.0

//! Elements of EBML (RFC 8794): heads in any cut, and what is in the small ones.

/// An element's name and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ElementHead {
    /// The ID with its marker bits, as specifications write it.
    pub id: u32,
    /// Bytes of content; `None` where that is unknown.
    pub size: Option<u64>,
    /// Bytes of the head itself, 2 to 12.
    pub length: usize,
}

/// IDs (RFC 9559 section 5.1).
#[allow(missing_docs)]
pub mod id {
    pub const EBML: u32 = 0x1A45_DFA3;
    pub const DOC_TYPE: u32 = 0x4282;
    pub const VOID: u32 = 0xEC;
    pub const CRC32: u32 = 0xBF;
    pub const SEGMENT: u32 = 0x1853_8067;
    pub const SEEK_HEAD: u32 = 0x114D_9B74;
    pub const INFO: u32 = 0x1549_A966;
    pub const TIMESTAMP_SCALE: u32 = 0x002A_D7B1;
    pub const DURATION: u32 = 0x4489;
    pub const TRACKS: u32 = 0x1654_AE6B;
    pub const TRACK_ENTRY: u32 = 0xAE;
    pub const TRACK_NUMBER: u32 = 0xD7;
    pub const TRACK_TYPE: u32 = 0x83;
    pub const CODEC_ID: u32 = 0x86;
    pub const CODEC_PRIVATE: u32 = 0x63A2;
    pub const TAGS: u32 = 0x1254_C367;
    pub const CUES: u32 = 0x1C53_BB6B;
    pub const ATTACHMENTS: u32 = 0x1941_A469;
    pub const CHAPTERS: u32 = 0x1043_A770;
    pub const CLUSTER: u32 = 0x1F43_B675;
    pub const TIMESTAMP: u32 = 0xE7;
    pub const PREV_SIZE: u32 = 0xAB;
    pub const POSITION: u32 = 0xA7;
    pub const SIMPLE_BLOCK: u32 = 0xA3;
    pub const BLOCK_GROUP: u32 = 0xA0;
    pub const BLOCK: u32 = 0xA1;
    pub const REFERENCE_BLOCK: u32 = 0xFB;
}

/// What is at the front of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<T> {
    /// This.
    Done(T),
    /// The beginning of something.
    Partial,
    /// Nothing that EBML knows.
    Invalid,
}

/// Reads the head of an element.
pub fn element_head(input: &[u8]) -> Parsed<ElementHead> {
    let Some(first) = input.first() else {
        return Parsed::Partial;
    };
    let id_length = first.leading_zeros() as usize + 1;
    if id_length > 4 {
        return Parsed::Invalid;
    }
    let Some((id, rest)) = input.split_at_checked(id_length) else {
        return Parsed::Partial;
    };
    let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
    match vint(rest) {
        Parsed::Done((size, length)) => Parsed::Done(ElementHead {
            id,
            size: Some(size).filter(|size| *size != unknown(length)),
            length: id_length + length,
        }),
        Parsed::Partial => Parsed::Partial,
        Parsed::Invalid => Parsed::Invalid,
    }
}

/// Reads a number of variable length without its marker, and how many bytes it has, 1 to 8.
pub fn vint(input: &[u8]) -> Parsed<(u64, usize)> {
    let Some(first) = input.first() else {
        return Parsed::Partial;
    };
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return Parsed::Invalid;
    }
    let Some(bytes) = input.get(..length) else {
        return Parsed::Partial;
    };
    let value = bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte));
    Parsed::Done((value & unknown(length), length))
}

/// All data bits set, which as a size means that it is unknown.
fn unknown(length: usize) -> u64 {
    (1 << (7 * length)) - 1
}

/// An unsigned integer of at most eight bytes.
pub fn unsigned(content: &[u8]) -> Option<u64> {
    let value = |content: &[u8]| content.iter().fold(0, |v, byte| v << 8 | u64::from(*byte));
    (content.len() <= 8).then(|| value(content))
}

/// A string, which may be padded with zeros (RFC 8794 section 7.4); webmmux writes one behind each.
pub fn string(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    text.trim_end_matches('\0').to_owned()
}

/// The elements in some content, in their order; ends at the first that is not whole.
pub fn children(content: &[u8]) -> impl Iterator<Item = Child<'_>> {
    let mut rest = content;
    std::iter::from_fn(move || {
        let Parsed::Done(head) = element_head(rest) else {
            return None;
        };
        let size = usize::try_from(head.size?).ok()?;
        let end = head.length.checked_add(size)?;
        let (whole, behind) = rest.split_at_checked(end)?;
        rest = behind;
        Some(Child {
            id: head.id,
            content: whole.get(head.length..)?,
            whole,
        })
    })
}

/// One of the [`children`].
#[derive(Clone, Copy, Debug)]
pub struct Child<'a> {
    /// Its ID.
    pub id: u32,
    /// What is in it.
    pub content: &'a [u8],
    /// With its head.
    pub whole: &'a [u8],
}

/// Appends a head with a size of eight bytes, or of as few as it takes.
pub fn put_head(out: &mut Vec<u8>, id: u32, size: u64) {
    let id = id.to_be_bytes();
    let skip = id.iter().take_while(|byte| **byte == 0).count();
    out.extend(id.get(skip..).unwrap_or_default());
    let length = (1..8).find(|length| size < unknown(*length)).unwrap_or(8);
    let marked = size | 1 << (7 * length);
    let bytes = marked.to_be_bytes();
    out.extend(bytes.get(8 - length..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn heads_of_every_length() {
        let head = |id, size, length| Parsed::Done(ElementHead { id, size, length });
        for (bytes, expected) in [
            (&[0xE7, 0x81][..], head(id::TIMESTAMP, Some(1), 2)),
            (&[0x42, 0x82, 0x40, 0x02], head(id::DOC_TYPE, Some(2), 4)),
            (&[0xEC, 0xFF], head(id::VOID, None, 2)),
            (
                &[0x1F, 0x43, 0xB6, 0x75, 1, 255, 255, 255, 255, 255, 255, 255],
                head(id::CLUSTER, None, 12),
            ),
            (
                &[0x1F, 0x43, 0xB6, 0x75, 1, 255, 255, 255, 255, 255, 255, 254],
                head(id::CLUSTER, Some((1 << 56) - 2), 12),
            ),
            (&[0x08], Parsed::Invalid),
            (&[0x00], Parsed::Invalid),
            (&[0xE7, 0x00], Parsed::Invalid),
        ] {
            assert_eq!(element_head(bytes), expected, "{bytes:x?}");
            if let Parsed::Done(_) = expected {
                for cut in 0..bytes.len() {
                    assert_eq!(element_head(&bytes[..cut]), Parsed::Partial, "{bytes:x?}");
                }
            }
        }
    }

    #[test]
    fn children_end_where_they_are_cut() {
        let content = [0xE7, 0x81, 5, 0xA3, 0x82, 1, 2, 0xA3, 0x85, 1];
        let found: Vec<_> = children(&content)
            .map(|c| (c.id, c.content.to_vec()))
            .collect();
        assert_eq!(found, [(0xE7, vec![5]), (0xA3, vec![1, 2])]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(size in 0_u64..(1 << 56) - 1, id in prop::sample::select(vec![
            id::EBML, id::VOID, id::CODEC_PRIVATE, id::TIMESTAMP_SCALE])) {
            let mut out = Vec::new();
            put_head(&mut out, id, size);
            let expected = ElementHead { id, size: Some(size), length: out.len() };
            prop_assert_eq!(element_head(&out), Parsed::Done(expected));
        }

        #[test]
        fn no_bytes_upset_it(input in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = element_head(&input);
            prop_assert!(children(&input).map(|c| c.whole.len()).sum::<usize>() <= input.len());
        }
    }
}
