// SPDX-License-Identifier: MPL-2.0

//! Just enough DER to tell who issued a certificate, and for which key (RFC 5280 section 4.1).
//!
//! Whether a certificate is trusted is decided by webpki, which does not say whether it is
//! self-signed, and reads none of version 1.

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Whether a certificate names itself as its issuer; `false` for what is no certificate.
pub(super) fn is_self_issued(certificate: &[u8]) -> bool {
    parts(certificate).is_some_and(|parts| parts.issuer == parts.subject)
}

/// The SubjectPublicKeyInfo of a certificate, as DER.
pub(super) fn public_key(certificate: &[u8]) -> Option<&[u8]> {
    parts(certificate).map(|parts| parts.public_key)
}

/// The AlgorithmIdentifier in a SubjectPublicKeyInfo, without its own tag and length, and the key.
pub(super) fn algorithm_and_bits(public_key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, public_key, _) = element(public_key)?;
    let (_, algorithm, rest) = element(public_key)?;
    let (_, bits, _) = element(rest)?;
    // The first byte counts the bits that are missing to whole bytes; keys are whole bytes.
    let (_, bits) = bits.split_first()?;
    Some((algorithm, bits))
}

/// The version of a certificate, where it is one.
pub(super) fn version(certificate: &[u8]) -> Option<u8> {
    parts(certificate).map(|parts| parts.version)
}

struct Parts<'a> {
    version: u8,
    issuer: &'a [u8],
    subject: &'a [u8],
    public_key: &'a [u8],
}

fn parts(certificate: &[u8]) -> Option<Parts<'_>> {
    let (tag, certificate, _) = element(certificate)?;
    let (tbs_tag, mut tbs, _) = element(certificate)?;
    if tag != SEQUENCE || tbs_tag != SEQUENCE {
        return None;
    }
    let (first, version, after) = element(tbs)?;
    let mut number = 1;
    if first == VERSION {
        // Counted from 0, which is the default.
        number += element(version)?.1.last()?.min(&9);
        tbs = after;
    }
    let (_serial, _, tbs) = element(tbs)?;
    let (_algorithm, _, tbs) = element(tbs)?;
    let (_, issuer, tbs) = element(tbs)?;
    let (_validity, _, tbs) = element(tbs)?;
    let (_, subject, tbs) = element(tbs)?;
    let (_, _, rest) = element(tbs)?;
    Some(Parts {
        version: number,
        issuer,
        subject,
        public_key: tbs.get(..tbs.len() - rest.len())?,
    })
}

/// Splits the first element off: its tag, its content and what follows.
pub(super) fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, der) = der.split_first()?;
    let (&first, der) = der.split_first()?;
    let (len, der) = match first {
        0..=0x7f => (usize::from(first), der),
        // Certificates are shorter than 2^24 bytes: TLS has three bytes for their length.
        0x81..=0x83 => {
            let (digits, der) = der.split_at_checked(usize::from(first & 3))?;
            (
                digits
                    .iter()
                    .fold(0, |len, &digit| len << 8 | usize::from(digit)),
                der,
            )
        }
        _ => return None,
    };
    let (content, rest) = der.split_at_checked(len)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::Pki;

    #[test]
    fn tells_self_issued_from_issued() {
        let pki = Pki::new();
        let own = pki.self_signed(&["localhost"]);
        let issued = pki.issue(&["localhost"]);
        assert!(is_self_issued(&own.chain[0]));
        assert!(!is_self_issued(&issued.chain[0]));
    }

    #[test]
    fn no_prefix_of_a_certificate_panics_or_passes() {
        let der = Pki::new().self_signed(&["localhost"]).chain[0].clone();
        for len in 0..der.len() {
            assert!(!is_self_issued(&der[..len]), "{len}");
            assert!(public_key(&der[..len]).is_none(), "{len}");
        }
    }
}
