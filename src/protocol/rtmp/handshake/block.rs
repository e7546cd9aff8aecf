// SPDX-License-Identifier: MPL-2.0

//! The 1536-byte block that C1, C2, S1 and S2 all are.

use sha2::{Digest, Sha256};

/// Length of C1, C2, S1 and S2 in bytes.
pub const BLOCK_LEN: usize = 1536;

/// Where the random bytes start: behind the time and the zero or version field.
const RANDOM: usize = 8;

pub(super) type Block = [u8; BLOCK_LEN];

/// A block made of a time, a version and bytes expanded from `seed`; different `label`s give
/// unrelated bytes.
///
/// The bytes are SHA-256 over a counter. Any would do for the specification, but the digest's place
/// is read from them and the last 32 are a key, so they must look random even when the seed does
/// not, and never hold a run of zeros that a peer could take for an old, unfilled handshake.
pub(super) fn new_block(time_ms: u32, version: [u8; 4], seed: &[u8; 32], label: u8) -> Box<Block> {
    let mut block = Box::new([0; BLOCK_LEN]);
    let (head, random) = block.split_at_mut(RANDOM);
    let (time, place) = head.split_at_mut(4);
    time.copy_from_slice(&time_ms.to_be_bytes());
    place.copy_from_slice(&version);
    for (counter, part) in (0u32..).zip(random.chunks_mut(32)) {
        let hash = Sha256::new()
            .chain_update(seed)
            .chain_update([label])
            .chain_update(counter.to_be_bytes())
            .finalize();
        part.copy_from_slice(&hash[..part.len()]);
    }
    block
}

/// The time field.
pub(super) fn time_ms(block: &Block) -> u32 {
    let [a, b, c, d, ..] = *block;
    u32::from_be_bytes([a, b, c, d])
}

/// The field behind the time, which is zero in a plain handshake.
pub(super) fn version(block: &Block) -> [u8; 4] {
    let [_, _, _, _, a, b, c, d, ..] = *block;
    [a, b, c, d]
}

/// Whether `answer` echoes `block`.
///
/// The times are left out: an echo may carry the moment when the block was read (section 5.2.4), as
/// rtmp2src's does.
pub(super) fn is_echo(answer: &Block, block: &Block) -> bool {
    answer[RANDOM..] == block[RANDOM..]
}

/// A block on its way in.
pub(super) struct Filling {
    block: Box<Block>,
    filled: usize,
}

impl Filling {
    pub(super) fn new() -> Self {
        Filling {
            block: Box::new([0; BLOCK_LEN]),
            filled: 0,
        }
    }

    /// Takes what is missing from the front of `data`; returns the block once it is whole.
    pub(super) fn fill(&mut self, data: &mut &[u8]) -> Option<&Block> {
        let missing = &mut self.block[self.filled..];
        let n = missing.len().min(data.len());
        let (taken, rest) = data.split_at(n);
        missing[..n].copy_from_slice(taken);
        self.filled += n;
        *data = rest;
        (self.filled == BLOCK_LEN).then_some(&*self.block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn poor_seeds_give_good_bytes() {
        for seed in [[0; 32], [0xff; 32]] {
            let block = new_block(0x0102_0304, [5, 6, 7, 8], &seed, 0);
            assert_eq!(block[..8], [1, 2, 3, 4, 5, 6, 7, 8]);
            assert!(block.windows(4).all(|run| run != [0; 4]));
            assert_ne!(block[8..], new_block(0, [0; 4], &seed, 1)[8..]);
            let ones: u32 = block.iter().map(|byte| byte.count_ones()).sum();
            assert!((5900..6400).contains(&ones), "{ones}");
        }
    }
}
