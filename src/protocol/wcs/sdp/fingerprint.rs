// SPDX-License-Identifier: MPL-2.0

//! What a peer's certificate hashes to, as its description promised (RFC 8122).

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::SdpError;

/// The promise of one section: each of these kinds of hash, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    hashes: Vec<(Hash, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Fingerprint {
    /// Reads the values of all `a=fingerprint` that concern a section. Those of kinds that are not known or
    /// known to be weak count for nothing; RFC 8122 allows others beside them.
    ///
    /// # Errors
    /// None of them is of use.
    pub(super) fn parse<'a>(values: impl Iterator<Item = &'a str>) -> Result<Self, SdpError> {
        let mut hashes: Vec<(Hash, Vec<u8>)> = Vec::new();
        let mut refused = None;
        for value in values {
            match parse_one(value) {
                Some(hash) if hashes.contains(&hash) => {}
                Some(hash) => hashes.push(hash),
                None => refused = Some(value.chars().take(80).collect()),
            }
        }
        match (hashes.is_empty(), refused) {
            (false, _) => Ok(Self { hashes }),
            (true, Some(value)) => Err(SdpError::Fingerprint(value)),
            (true, None) => Err(SdpError::NoFingerprint),
        }
    }

    /// Whether this is the promised certificate, in DER. Where several kinds of hash were given, the
    /// strongest decides (RFC 8122, section 5); of several certificates any will do.
    pub fn matches(&self, der: &[u8]) -> bool {
        let strongest = self.hashes.iter().map(|(hash, _)| *hash).max();
        self.hashes
            .iter()
            .filter(|(hash, _)| Some(*hash) == strongest)
            .any(|(hash, digest)| hash.of(der) == *digest)
    }
}

impl Hash {
    fn of(self, der: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha224 => Sha224::digest(der).to_vec(),
            Self::Sha256 => Sha256::digest(der).to_vec(),
            Self::Sha384 => Sha384::digest(der).to_vec(),
            Self::Sha512 => Sha512::digest(der).to_vec(),
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// `SHA-256 33:7A:...`, in either case.
fn parse_one(value: &str) -> Option<(Hash, Vec<u8>)> {
    let (name, digits) = value.split_once(' ')?;
    let hash = match name.to_ascii_lowercase().as_str() {
        "sha-224" => Hash::Sha224,
        "sha-256" => Hash::Sha256,
        "sha-384" => Hash::Sha384,
        "sha-512" => Hash::Sha512,
        _ => return None,
    };
    let octet = |pair: &str| match pair.len() {
        2 if pair.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
            u8::from_str_radix(pair, 16).ok()
        }
        _ => None,
    };
    let digest: Option<Vec<u8>> = digits.trim().split(':').map(octet).collect();
    digest
        .filter(|digest| digest.len() == hash.length())
        .map(|digest| (hash, digest))
}

/// The first certificate of a PEM text, in DER.
pub fn certificate_der(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).ok()
}
