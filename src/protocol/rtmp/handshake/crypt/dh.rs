// SPDX-License-Identifier: MPL-2.0

//! Diffie-Hellman over the 1024-bit group of RFC 2409 (section 6.2) with generator 2.
//!
//! Keys and secrets are numbers of 128 bytes, leading zeros included. Written without them, as some
//! big-number libraries do, one handshake in 256 fails (mediamtx pull request 2269).

use crypto_bigint::{
    U1024, const_monty_params,
    modular::{ConstMontyForm, ConstMontyParams},
};
use sha2::{Digest, Sha256};

/// Length of a public key and of the shared secret, in bytes.
pub const KEY_LEN: usize = 128;

mod group {
    use super::{U1024, const_monty_params};

    const_monty_params!(
        Prime,
        U1024,
        "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74\
         020bbea63b139b22514a08798e3404ddef9519b3cd3a431b302b0a6df25f1437\
         4fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
         ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff",
        "The prime of the group."
    );
}

use group::Prime;

type Element = ConstMontyForm<Prime, { U1024::LIMBS }>;

/// The peer's public key is no key: it is 0, 1, the prime less one, or not below the prime. All of
/// them would give a secret that anybody can guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer's Diffie-Hellman key is none")]
pub struct BadKey;

/// A private key and the public one to it.
pub(in super::super) struct KeyPair {
    private: U1024,
    public: [u8; KEY_LEN],
}

impl KeyPair {
    /// The pair that follows from a seed; `label` sets it apart from what else follows from it.
    pub(in super::super) fn new(seed: &[u8; 32], label: u8) -> Self {
        let mut bytes = [0; KEY_LEN];
        for (counter, part) in (0u8..).zip(bytes.chunks_mut(32)) {
            let hash = Sha256::new()
                .chain_update(seed)
                .chain_update([label, counter])
                .finalize();
            part.copy_from_slice(&hash[..part.len()]);
        }
        Self::from_private_bytes(&bytes)
    }

    pub(super) fn from_private_bytes(bytes: &[u8; KEY_LEN]) -> Self {
        let private = U1024::from_be_slice(bytes);
        let public = power(&U1024::from_u8(2), &private);
        Self { private, public }
    }

    /// What the peer is told.
    pub(in super::super) fn public(&self) -> &[u8; KEY_LEN] {
        &self.public
    }

    /// What only both sides know.
    pub(in super::super) fn agree(&self, theirs: &[u8; KEY_LEN]) -> Result<[u8; KEY_LEN], BadKey> {
        let key = U1024::from_be_slice(theirs);
        let last = Prime::PARAMS.modulus().get().wrapping_sub(&U1024::ONE);
        // What a peer sends is no secret: comparing may take as long as it takes.
        if key <= U1024::ONE || key >= last {
            return Err(BadKey);
        }
        Ok(power(&key, &self.private))
    }
}

/// In a time that does not depend on the exponent.
fn power(base: &U1024, exponent: &U1024) -> [u8; KEY_LEN] {
    let result = Element::new(base).pow(exponent).retrieve();
    let mut bytes = [0; KEY_LEN];
    bytes.copy_from_slice(result.to_be_bytes().as_ref());
    bytes
}
