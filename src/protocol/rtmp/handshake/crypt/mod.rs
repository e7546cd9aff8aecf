// SPDX-License-Identifier: MPL-2.0

//! RTMPE: a Diffie-Hellman exchange in the bytes that the digests leave free, signatures in the form
//! of the version that the server chose, and RC4 from the end of the handshake on.
//!
//! Nobody proves who they are, the "secret" that keys the digests is printed in every player, and RC4
//! is broken. It keeps a stream from eyes that only look on; whoever sits between both ends reads and
//! changes what he likes. TLS (RTMPS) is what keeps a stream secret.
//!
//! Adobe never published it. Source: librtmp 2.4 `handshake.h`, checked against rtmpdump and rtmpsrv.

mod dh;
mod filter;
mod signature;
#[cfg(test)]
mod tests;

pub use dh::{BadKey, KEY_LEN};
pub use filter::Rtmpe;

pub(super) use dh::KeyPair;
pub(super) use signature::scramble;

use rc4::{KeyInit, Rc4, StreamCipher};

use super::{BLOCK_LEN, digest::hmac_sha256};

/// The versions of RTMPE. They differ in what is done to the signatures of the second blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// Signatures as they are. What librtmp and FFmpeg offer.
    #[default]
    Plain = 6,
    /// Signatures under XTEA.
    Xtea = 8,
    /// Signatures under Blowfish.
    Blowfish = 9,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::Xtea, Self::Blowfish];

    /// The version that C0 or S0 names.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|version| *version as u8 == byte)
    }
}

/// Both key streams, at the first byte behind the handshake.
pub struct Cipher {
    incoming: Rc4,
    outgoing: Rc4,
}

impl Cipher {
    /// The keys that follow from what both sides know.
    pub(super) fn new(
        secret: &[u8; KEY_LEN],
        ours: &[u8; KEY_LEN],
        theirs: &[u8; KEY_LEN],
    ) -> Self {
        Self {
            incoming: keyed(&hmac_sha256(secret, &[ours])),
            outgoing: keyed(&hmac_sha256(secret, &[theirs])),
        }
    }

    /// Turns what came into what was meant.
    pub fn decrypt(&mut self, bytes: &mut [u8]) {
        self.incoming.apply_keystream(bytes);
    }

    /// Turns what is meant into what goes out.
    pub fn encrypt(&mut self, bytes: &mut [u8]) {
        self.outgoing.apply_keystream(bytes);
    }
}

/// Shows nothing: it is all key.
impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher")
    }
}

fn keyed(hash: &[u8; 32]) -> Rc4 {
    let (key, _) = hash.split_at(16);
    // RC4 takes keys of 1 to 256 bytes.
    let mut cipher = Rc4::new_from_slice(key).expect("a key of 16 bytes");
    // As much key stream as a block is long is skipped: the first bytes of RC4 betray the key most.
    cipher.apply_keystream(&mut [0; BLOCK_LEN]);
    cipher
}
