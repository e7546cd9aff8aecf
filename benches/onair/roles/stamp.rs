// SPDX-License-Identifier: MPL-2.0

//! The time of sending, written into the payload of a video tag. The monotonic clock is one for
//! all processes of a machine.

use crate::peer::wire;

/// Where the stamp lies in the tag's body: behind the codec's head. It destroys the picture, which
/// nobody decodes.
pub(crate) const OFFSET: usize = 5;
pub(crate) const LENGTH: usize = 16;

/// Not a start code, not a likely length, and odd enough not to turn up by chance.
const MAGIC: [u8; 8] = *b"\xfdOnAir\xfe\x01";

pub(crate) fn now() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the pointer is to a live local; this clock always exists.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Stamps the present into the first [`LENGTH`] bytes.
pub(crate) fn write(bytes: &mut [u8]) {
    write_kind(bytes, wire::VIDEO);
}

/// The first byte of the time tells the kind, for the machine has not been up for years.
fn write_kind(bytes: &mut [u8], kind: u8) {
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..LENGTH].copy_from_slice(&now().to_be_bytes());
    bytes[8] = kind;
}

/// Stamps the end of an FLV tag, if it has the room. Pictures can still be told from each other, as
/// ffmpeg wants it before it passes them on.
pub(crate) fn write_tag(tag: &mut [u8]) {
    let end = tag.len().saturating_sub(TAIL);
    if let Some(start) = end.checked_sub(LENGTH).filter(|start| *start > HEAD) {
        let kind = tag[0];
        write_kind(&mut tag[start..end], kind);
    }
}

/// Of an FLV tag, with the head of the codec.
const HEAD: usize = 11 + OFFSET;
/// PreviousTagSize.
const TAIL: usize = 4;

/// Nanoseconds since the first stamp in `bytes`, wherever it lies, and the kind of tag that it is in.
pub(crate) fn age(bytes: &[u8]) -> Option<(u8, u64)> {
    let now = now();
    // SAFETY: both pointers come with their true lengths.
    let found = unsafe {
        libc::memmem(
            bytes.as_ptr().cast(),
            bytes.len(),
            MAGIC.as_ptr().cast(),
            MAGIC.len(),
        )
    };
    let at = (found as usize).checked_sub(bytes.as_ptr() as usize)?;
    let [kind, sent @ ..]: [u8; 8] = bytes.get(at + 8..at + LENGTH)?.try_into().ok()?;
    let sent = sent
        .iter()
        .fold(0, |sent, byte| sent << 8 | u64::from(*byte));
    Some((kind, now.saturating_sub(sent)))
}
