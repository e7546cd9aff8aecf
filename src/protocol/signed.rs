// SPDX-License-Identifier: MPL-2.0

//! Links that somebody signed, with an end.
//!
//! A signed link carries `expires`, seconds since 1970, and `token`, the HMAC-SHA256 of the path, a colon
//! and `expires` in lower-case hexadecimal:
//!
//! ```text
//! printf %s /live:1790000000 | openssl dgst -sha256 -hmac SECRET
//! ```

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Why a link is no good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadLink {
    /// It is not signed, or not by us.
    Unsigned,
    /// It was signed and its time is over.
    Expired,
}

/// The `token` for a path until `expires`, in seconds since 1970.
pub fn sign(secret: &str, path: &str, expires: u64) -> String {
    let code = mac(secret, path, expires).finalize().into_bytes();
    code.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether these two fields of a link sign this path, at `now` in seconds since 1970.
///
/// # Errors
/// [`BadLink`].
pub fn verify(
    secret: &str,
    path: &str,
    expires: &str,
    token: &str,
    now: u64,
) -> Result<(), BadLink> {
    let expires = expires.parse().map_err(|_| BadLink::Unsigned)?;
    let bytes = unhex(token).ok_or(BadLink::Unsigned)?;
    mac(secret, path, expires)
        .verify_slice(&bytes)
        .map_err(|_| BadLink::Unsigned)?;
    if now < expires {
        Ok(())
    } else {
        Err(BadLink::Expired)
    }
}

fn mac(secret: &str, path: &str, expires: u64) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .expect("HMAC takes keys of any length (RFC 2104)");
    mac.update(format!("{path}:{expires}").as_bytes());
    mac
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    // A code of SHA-256 has 64 digits; anything else is none of ours.
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let pairs = text.as_bytes().chunks(2);
    let digits = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_openssls_and_hold_for_their_path_until_their_end() {
        // See the module's text for the command.
        let token = "22603db8905756f615cf91d9766ae4a7d4fe46514287066a7a05589b7cb7c410";
        assert_eq!(sign("SECRET", "/live", 1_790_000_000), token);
        for (path, expires, token, now, verdict) in [
            ("/live", "1790000000", token, 1_789_999_999, Ok(())),
            (
                "/live",
                "1790000000",
                token,
                1_790_000_000,
                Err(BadLink::Expired),
            ),
            ("/other", "1790000000", token, 0, Err(BadLink::Unsigned)),
            ("/live", "1790000001", token, 0, Err(BadLink::Unsigned)),
            ("/live", "", token, 0, Err(BadLink::Unsigned)),
            ("/live", "1790000000", "", 0, Err(BadLink::Unsigned)),
            ("/live", "1790000000", "é", 0, Err(BadLink::Unsigned)),
        ] {
            assert_eq!(verify("SECRET", path, expires, token, now), verdict);
        }
    }
}
