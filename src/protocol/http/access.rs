// SPDX-License-Identifier: MPL-2.0

//! Who may watch: a name and a password (RFC 7617), or a link that somebody [signed].

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::Request;
use crate::protocol::signed::{self, BadLink};

/// Why a request may not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It names nobody, or somebody else.
    #[error("a user name and a password are needed, and these are not they")]
    Password,
    /// The link is not signed, or not by us.
    #[error("this link is not signed")]
    Unsigned,
    /// The link was signed and its time is over.
    #[error("this link has expired")]
    Expired,
}

/// Whether the request comes with this name and password.
///
/// # Errors
/// [`Denied::Password`].
pub fn password(request: &Request, user: &str, password: &str) -> Result<(), Denied> {
    let given = user_and_password(request).ok_or(Denied::Password)?;
    // Hashes, so that the time it takes tells nothing of where they differ.
    let hash = |user: &str, password: &str| Sha256::digest(format!("{user}:{password}"));
    if hash(&given.0, &given.1) == hash(user, password) {
        Ok(())
    } else {
        Err(Denied::Password)
    }
}

/// The name and the password that come with the request.
pub fn user_and_password(request: &Request) -> Option<(String, String)> {
    let (scheme, credentials) = request.field("authorization")?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Whether a link is signed for this path, which may be another than the request's, and its time has not
/// come, at `now` in seconds since 1970.
///
/// # Errors
/// [`Denied::Unsigned`], [`Denied::Expired`].
pub fn signature(request: &Request, secret: &str, path: &str, now: u64) -> Result<(), Denied> {
    let expires = request.parameter("expires").ok_or(Denied::Unsigned)?;
    let token = request.parameter("token").ok_or(Denied::Unsigned)?;
    signed::verify(secret, path, &expires, &token, now).map_err(|error| match error {
        BadLink::Unsigned => Denied::Unsigned,
        BadLink::Expired => Denied::Expired,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(head: &str) -> Request {
        Request::parse(head.as_bytes()).unwrap().unwrap().0
    }

    #[test]
    fn passwords_are_compared() {
        // RFC 7617's example.
        let basic = "Authorization: basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        let good = request(&format!("GET / HTTP/1.1\r\n{basic}\r\n\r\n"));
        assert_eq!(password(&good, "Aladdin", "open sesame"), Ok(()));
        assert_eq!(password(&good, "Aladdin", "open"), Err(Denied::Password));
        for field in [
            "x: y",
            "Authorization: Basic",
            "Authorization: Basic !",
            "Authorization: Bearer x",
        ] {
            let other = request(&format!("GET / HTTP/1.1\r\n{field}\r\n\r\n"));
            assert_eq!(password(&other, "", ""), Err(Denied::Password), "{field}");
        }
    }

    #[test]
    fn signed_links_end() {
        let token = signed::sign("SECRET", "/live", 1_790_000_000);
        // What openssl makes of it, see above.
        assert_eq!(
            token,
            "22603db8905756f615cf91d9766ae4a7d4fe46514287066a7a05589b7cb7c410"
        );
        let link =
            |path: &str, query: &str| request(&format!("GET {path}?{query} HTTP/1.1\r\n\r\n"));
        let good = link("/live", &format!("expires=1790000000&token={token}"));
        assert_eq!(signature(&good, "SECRET", "/live", 1_789_999_999), Ok(()));
        assert_eq!(
            signature(&good, "SECRET", "/live", 1_790_000_000),
            Err(Denied::Expired)
        );
        assert_eq!(signature(&good, "other", "/live", 0), Err(Denied::Unsigned));
        for (path, query) in [
            ("/other", format!("expires=1790000000&token={token}")),
            ("/live", format!("expires=1790000001&token={token}")),
            ("/live", format!("expires=x&token={token}")),
            ("/live", format!("token={token}")),
            ("/live", "expires=1790000000".to_owned()),
            ("/live", "expires=1790000000&token=".to_owned()),
            ("/live", format!("expires=1790000000&token={}", &token[1..])),
        ] {
            assert_eq!(
                signature(&link(path, &query), "SECRET", path, 0),
                Err(Denied::Unsigned),
                "{query}"
            );
        }
    }
}
