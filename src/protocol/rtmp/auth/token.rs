// SPDX-License-Identifier: MPL-2.0

//! SecureToken: Wowza puts a hexadecimal `secureToken` into the reply to `connect` and wants its
//! text, decrypted with a shared key, back in a `secureTokenResponse` command.
//!
//! The cipher is Corrected Block TEA, "XXTEA" (Wheeler and Needham, 1998), over little-endian words
//! with the first 16 bytes of the key, filled up with zeros; as in librtmp 2.4 `DecodeTEA`. It keeps
//! nothing secret from anybody who sees both messages and has time.

use super::gate::hex;
use crate::protocol::rtmp::limits;

/// Why a token has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no hexadecimal text of 2 or more 32-bit words, or longer than any real one.
    #[error("the server's secure token is malformed")]
    Malformed,
    /// What came out is no text.
    #[error("the secure token key is not the one the server uses")]
    WrongKey,
}

/// Decrypts `token` with `key` into what `secureTokenResponse` carries.
pub fn secure_token_response(token: &str, key: &str) -> Result<String, TokenError> {
    if token.len() > limits::SECURE_TOKEN {
        return Err(TokenError::Malformed);
    }
    let (pairs, odd) = token.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs
        .iter()
        .map(|[high, low]| Some(hex(*high)? << 4 | hex(*low)?))
        .collect();
    let bytes = bytes
        .filter(|_| odd.is_empty())
        .ok_or(TokenError::Malformed)?;
    let (words, odd) = bytes.as_chunks::<4>();
    if words.len() < 2 || !odd.is_empty() {
        return Err(TokenError::Malformed);
    }
    let mut words: Vec<u32> = words.iter().copied().map(u32::from_le_bytes).collect();

    let mut packed = [0; 4];
    for (slot, bytes) in packed.iter_mut().zip(key.as_bytes().chunks(4)) {
        for (shift, byte) in (0..).step_by(8).zip(bytes) {
            *slot |= u32::from(*byte) << shift;
        }
    }
    decrypt(&mut words, packed);

    let mut text: Vec<u8> = words.into_iter().flat_map(u32::to_le_bytes).collect();
    let end = text
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    text.truncate(end);
    String::from_utf8(text).map_err(|_| TokenError::WrongKey)
}

/// XXTEA in place; `v` holds at least 2 words.
fn decrypt(v: &mut [u32], key: [u32; 4]) {
    const DELTA: u32 = 0x9e37_79b9;
    let n = v.len();
    let rounds = 6 + 52 / n;
    let mut sum = DELTA.wrapping_mul(rounds as u32);
    let mut y = v[0];
    for _ in 0..rounds {
        let e = (sum >> 2) as usize & 3;
        for p in (0..n).rev() {
            let z = v[if p > 0 { p - 1 } else { n - 1 }];
            let shifted = ((z >> 5) ^ (y << 2)).wrapping_add((y >> 3) ^ (z << 4));
            let keyed = (sum ^ y).wrapping_add(key[(p & 3) ^ e] ^ z);
            v[p] = v[p].wrapping_sub(shifted ^ keyed);
            y = v[p];
        }
        sum = sum.wrapping_sub(DELTA);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn published_vector() {
        // XXTEA of two zero words under a zero key; the first in the lists that go around.
        assert_eq!(
            secure_token_response("ab043705808c5d57", ""),
            Ok(String::new())
        );
        assert_eq!(
            secure_token_response("AB043705808C5D57", "\0"),
            Ok(String::new())
        );
    }

    #[test]
    fn tokens_open_with_their_key() {
        // Encrypted by an XXTEA of 12 lines of Python, apart from this code.
        assert_eq!(
            secure_token_response("1f7875f1f8fbe1d6ac4bda0ed9bbe85332714807", "#ed%h0#w@1"),
            Ok("challenge-0123456789".to_owned())
        );
        // A key counts up to its 16th byte; padding is cut off.
        for key in ["0123456789abcdefTAIL", "0123456789abcdef"] {
            assert_eq!(
                secure_token_response("a9ae443bcc025855", key),
                Ok("abc".to_owned())
            );
        }
        assert_eq!(
            secure_token_response("a9ae443bcc025855", "0123456789abcdeg"),
            Err(TokenError::WrongKey)
        );
    }

    #[test]
    fn malformed_tokens_are_refused() {
        let long = "0".repeat(limits::SECURE_TOKEN + 8);
        for token in [
            "",
            "ab043705",
            "ab043705808c5d5",
            "ab043705808c5d",
            "ab043705808c5d5g",
            "ab043705808c5d57 ",
            "ab0437é5808c5d57",
            "+b043705808c5d57",
            &long,
        ] {
            assert_eq!(
                secure_token_response(token, "key"),
                Err(TokenError::Malformed),
                "{token}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_token_is_judged(token in "[0-9a-f]{0,64}", key in "\\PC{0,20}") {
            let _ = secure_token_response(&token, &key);
        }
    }
}
