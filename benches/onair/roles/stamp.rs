// SPDX-License-Identifier: MPL-2.0

//! The time of sending, written into the payload of a video tag. The monotonic clock is one for
//! all processes of a machine.

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
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..LENGTH].copy_from_slice(&now().to_be_bytes());
}

/// Nanoseconds since the first stamp in `bytes`, wherever it lies.
pub(crate) fn age(bytes: &[u8]) -> Option<u64> {
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
    let sent = bytes.get(at + 8..at + LENGTH)?.try_into().ok()?;
    Some(now.saturating_sub(u64::from_be_bytes(sent)))
}
