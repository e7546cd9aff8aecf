// SPDX-License-Identifier: MPL-2.0

//! Digests and signatures inside the blocks, as Flash Player 9 and Media Server 3 introduced them.
//!
//! Adobe never published them; the specification calls the bytes random. Source: librtmp 2.4
//! `handshake.h`, checked against the recordings in `tests/data/handshake`. The "keys" are known to
//! everybody, so nothing here proves who a peer is.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{
    block::{BLOCK_LEN, Block},
    crypt::{self, scramble},
};

/// Length of a digest and of a signature in bytes.
pub(super) const DIGEST_LEN: usize = 32;

/// Where a signature starts in C2 and S2.
const SIGNATURE: usize = BLOCK_LEN - DIGEST_LEN;

/// Which half of a block holds the digest. Both are in use; a receiver has to try them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Pointer at byte 8, digest in the first half: Flash Player, FFmpeg, librtmp without RTMPE.
    First,
    /// Pointer at byte 772, digest in the second half: librtmp with RTMPE.
    Second,
}

impl Scheme {
    /// Both.
    pub const ALL: [Scheme; 2] = [Scheme::First, Scheme::Second];

    /// Where the public key of RTMPE starts in a block: in the half without the digest, 772 to 1403 or
    /// 8 to 639, so the key always ends before the bytes that point at it.
    pub(super) fn key_offset(self, block: &Block) -> usize {
        let (pointer, first) = match self {
            Scheme::First => (1532, 772),
            Scheme::Second => (768, 8),
        };
        first + sum(block, pointer) % 632
    }

    /// Where the digest starts in a block. Four bytes whose sum, modulo 728, counts from behind
    /// them: 12 to 739 or 776 to 1503, so the digest always ends within the block.
    fn offset(self, block: &Block) -> usize {
        let pointer = match self {
            Scheme::First => 8,
            Scheme::Second => 772,
        };
        pointer + 4 + sum(block, pointer) % 728
    }
}

fn sum(block: &Block, pointer: usize) -> usize {
    let bytes = block[pointer..pointer + 4].iter();
    bytes.map(|b| usize::from(*b)).sum()
}

/// Which side made a block; each has its own key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

impl Side {
    /// Keys the digest of a first block.
    fn name(self) -> &'static [u8] {
        match self {
            Side::Client => b"Genuine Adobe Flash Player 001",
            Side::Server => b"Genuine Adobe Flash Media Server 001",
        }
    }
}

/// Follows either name in the key of second blocks.
const KEY_TAIL: [u8; 32] = [
    0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57,
    0x6e, 0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
];

/// Puts the digest of `side` into its first block and returns it.
pub(super) fn seal(block: &mut Block, side: Side, scheme: Scheme) -> [u8; DIGEST_LEN] {
    let offset = scheme.offset(block);
    let digest = digest_at(block, side, offset);
    block[offset..offset + DIGEST_LEN].copy_from_slice(&digest);
    digest
}

/// Looks for a valid digest of `side`; costs two HMACs at the most, whatever the block holds.
pub(super) fn find(block: &Block, side: Side) -> Option<(Scheme, [u8; DIGEST_LEN])> {
    Scheme::ALL.into_iter().find_map(|scheme| {
        let offset = scheme.offset(block);
        let digest = digest_at(block, side, offset);
        (block[offset..offset + DIGEST_LEN] == digest).then_some((scheme, digest))
    })
}

/// Puts the signature of `side` into its second block, which answers the peer's `digest`; in the form
/// of a version of RTMPE if there is one.
pub(super) fn sign(
    block: &mut Block,
    side: Side,
    digest: &[u8; DIGEST_LEN],
    version: Option<crypt::Version>,
) {
    let signature = signature(block, side, digest, version);
    block[SIGNATURE..].copy_from_slice(&signature);
}

/// Whether `side` signed its second block with `digest`, ours.
pub(super) fn is_signed(
    block: &Block,
    side: Side,
    digest: &[u8; DIGEST_LEN],
    version: Option<crypt::Version>,
) -> bool {
    block[SIGNATURE..] == signature(block, side, digest, version)
}

fn digest_at(block: &Block, side: Side, offset: usize) -> [u8; DIGEST_LEN] {
    hmac_sha256(
        side.name(),
        &[&block[..offset], &block[offset + DIGEST_LEN..]],
    )
}

fn signature(
    block: &Block,
    side: Side,
    digest: &[u8; DIGEST_LEN],
    version: Option<crypt::Version>,
) -> [u8; DIGEST_LEN] {
    let key = hmac_sha256(&[side.name(), &KEY_TAIL].concat(), &[digest]);
    let mut signature = hmac_sha256(&key, &[&block[..SIGNATURE]]);
    if let Some(version) = version {
        scramble(version, &key, &mut signature);
    }
    signature
}

pub(super) fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST_LEN] {
    // HMAC takes a key of any length (RFC 2104 section 2).
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_stay_in_their_half() {
        for (scheme, pointer, low, high) in [
            (Scheme::First, 8, 12, 772),
            (Scheme::Second, 772, 776, BLOCK_LEN),
        ] {
            // Sums 0, 727 (the last place), 728 (the first again) and 1020 (all bytes 255).
            for (bytes, expected) in [
                ([0, 0, 0, 0], 0),
                ([255, 255, 217, 0], 727),
                ([255, 255, 218, 0], 0),
                ([255; 4], 292),
            ] {
                let mut block = [0xff; BLOCK_LEN];
                block[pointer..pointer + 4].copy_from_slice(&bytes);
                let offset = scheme.offset(&block);
                assert_eq!(offset, low + expected);
                assert!(offset + DIGEST_LEN <= high);

                for side in [Side::Client, Side::Server] {
                    let digest = seal(&mut block, side, scheme);
                    assert_eq!(find(&block, side), Some((scheme, digest)));
                }
                // Sealed by the server, so it is no client's block; nor is a spoilt one.
                assert_eq!(find(&block, Side::Client), None);
                for spoilt in [0, offset, offset + DIGEST_LEN - 1, BLOCK_LEN - 1] {
                    let mut block = block;
                    block[spoilt] ^= 0x80;
                    assert_eq!(find(&block, Side::Server), None);
                }
            }
        }
    }
}
