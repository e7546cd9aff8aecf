// SPDX-License-Identifier: MPL-2.0

//! Just enough DER to tell who issued a certificate (RFC 5280 section 4.1).
//!
//! For words only: whether a certificate is trusted is decided by webpki, which does not say
//! whether it is self-signed.

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// Whether a certificate names itself as its issuer; `false` for what is no certificate.
pub(super) fn is_self_issued(certificate: &[u8]) -> bool {
    issuer_and_subject(certificate).is_some_and(|(issuer, subject)| issuer == subject)
}

fn issuer_and_subject(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, certificate, _) = element(certificate)?;
    let (tbs_tag, mut tbs, _) = element(certificate)?;
    if tag != SEQUENCE || tbs_tag != SEQUENCE {
        return None;
    }
    let (first, _, after) = element(tbs)?;
    if first == VERSION {
        tbs = after;
    }
    let (_serial, _, tbs) = element(tbs)?;
    let (_algorithm, _, tbs) = element(tbs)?;
    let (_, issuer, tbs) = element(tbs)?;
    let (_validity, _, tbs) = element(tbs)?;
    let (_, subject, _) = element(tbs)?;
    Some((issuer, subject))
}

/// Splits the first element off: its tag, its content and what follows.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
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
        }
    }
}
