// SPDX-License-Identifier: MPL-2.0

//! The client's first block as Flash made it: a key and a digest at places that the block itself names. The
//! layout is from rtmpdump's handshake.h.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const BLOCK: usize = 1536;
const DIGEST: usize = 32;
const KEY: usize = 128;

/// The prime of the second Oakley group (RFC 2409, 6.2).
const PRIME: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd\
                     ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
                     ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff";

/// Which half of the block holds what.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scheme {
    /// The digest in the first.
    DigestFirst,
    /// The key in the first.
    KeyFirst,
}

impl Scheme {
    pub(super) const ALL: [Self; 2] = [Self::DigestFirst, Self::KeyFirst];

    /// Where the four bytes stand that say where the digest is, and those that say where the key is.
    fn pointers(self) -> (usize, usize) {
        match self {
            Self::DigestFirst => (8, 1532),
            Self::KeyFirst => (772, 768),
        }
    }
}

fn sum(block: &[u8], at: usize) -> usize {
    block[at..at + 4]
        .iter()
        .map(|byte| usize::from(*byte))
        .sum()
}

fn digest_at(block: &[u8], scheme: Scheme) -> usize {
    let (pointer, _) = scheme.pointers();
    pointer + 4 + sum(block, pointer) % 728
}

fn key_at(block: &[u8], scheme: Scheme) -> usize {
    let (_, pointer) = scheme.pointers();
    match scheme {
        Scheme::DigestFirst => 772 + sum(block, pointer) % 632,
        Scheme::KeyFirst => 8 + sum(block, pointer) % 632,
    }
}

/// A block with this version and these pointers, everything else as good as random.
pub(super) fn block(pointers: Option<[u8; 4]>) -> Vec<u8> {
    let mut block: Vec<u8> = (0..BLOCK).map(|i| (i * 157 % 251) as u8).collect();
    block[..8].copy_from_slice(&[0, 0, 0, 0, 0x80, 0, 7, 2]);
    if let Some(pointers) = pointers {
        for at in [8, 768, 772, 1532] {
            block[at..at + 4].copy_from_slice(&pointers);
        }
    }
    block
}

/// Puts a key where it belongs.
pub(super) fn put_key(block: &mut [u8], scheme: Scheme, key: &[u8; KEY]) {
    let at = key_at(block, scheme);
    block[at..at + KEY].copy_from_slice(key);
}

/// Signs the block as a client does.
pub(super) fn sign(block: &mut [u8], scheme: Scheme) {
    let at = digest_at(block, scheme);
    let mut mac =
        Hmac::<Sha256>::new_from_slice(b"Genuine Adobe Flash Player 001").expect("any length");
    mac.update(&block[..at]);
    mac.update(&block[at + DIGEST..]);
    block[at..at + DIGEST].copy_from_slice(&mac.finalize().into_bytes());
}

/// Public keys that give the secret away, or are none.
pub(super) fn weak_keys() -> Vec<(&'static str, [u8; KEY])> {
    let prime: Vec<u8> = (0..KEY)
        .map(|i| u8::from_str_radix(&PRIME[2 * i..2 * i + 2], 16).expect("hexadecimal"))
        .collect();
    let prime: [u8; KEY] = prime.try_into().expect("its length");
    let small = |last| {
        let mut key = [0; KEY];
        key[KEY - 1] = last;
        key
    };
    let moved = |by: i8| {
        let mut key = prime;
        key[KEY - 1] = key[KEY - 1].wrapping_add_signed(by);
        key
    };
    let mut zeros = [0x5a; KEY];
    zeros[..9].fill(0);
    let mut above = prime;
    above[8] = above[8].wrapping_add(1);
    vec![
        ("0", small(0)),
        ("1", small(1)),
        ("2", small(2)),
        ("p - 1", moved(-1)),
        ("p", prime),
        ("above p", above),
        ("2^1024 - 1", [0xff; KEY]),
        ("with leading zeros", zeros),
    ]
}
