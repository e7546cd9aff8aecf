// SPDX-License-Identifier: MPL-2.0

//! What a listener asks of those who come.

use std::fmt;

use crate::protocol::{
    rtmp::names,
    signed::{self, BadLink},
};

/// A user with a password, a signed link, both or neither.
#[derive(Clone, Default)]
pub struct Door {
    /// Who comes in by [Adobe's dialogue](super::AdobeGate), and the password.
    pub user: Option<(String, String)>,
    /// What links are [signed](signed) with, for the path `/application/stream`.
    pub secret: Option<String>,
}

impl Door {
    /// Whether a user has to be named.
    pub fn asks_user(&self) -> bool {
        self.user.is_some()
    }

    /// The password of a user.
    pub fn password(&self, user: &str) -> Option<String> {
        let (known, password) = self.user.as_ref()?;
        (known == user).then(|| password.clone())
    }

    /// Whether somebody may come in for a stream: who is `user`, if that was proved, with a link that
    /// has this query, at `now` in seconds since 1970.
    ///
    /// # Errors
    /// What is missing, for people.
    pub fn admit(
        &self,
        user: Option<&str>,
        app: &str,
        stream: &str,
        query: &str,
        now: u64,
    ) -> Result<(), &'static str> {
        if let Some((known, _)) = &self.user
            && user != Some(known)
        {
            return Err("A user name and a password are needed for this.");
        }
        let Some(secret) = &self.secret else {
            return Ok(());
        };
        let field = |name| names::parameter(query, name).unwrap_or_default();
        let path = format!("/{app}/{stream}");
        signed::verify(secret, &path, field("expires"), field("token"), now).map_err(|error| {
            match error {
                BadLink::Unsigned => "A signed link is needed for this.",
                BadLink::Expired => "This link has expired.",
            }
        })
    }
}

/// Leaves the secrets out.
impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door")
            .field("user", &self.user.as_ref().map(|(user, _)| user))
            .field("signed", &self.secret.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_lets_in_who_has_what_it_asks_for() {
        let open = Door::default();
        assert_eq!(open.admit(None, "live", "x", "", 0), Ok(()));
        let user = Door {
            user: Some(("joe".to_owned(), "secret".to_owned())),
            ..Door::default()
        };
        assert!(user.admit(None, "live", "x", "", 0).is_err());
        assert!(user.admit(Some("jim"), "live", "x", "", 0).is_err());
        assert_eq!(user.admit(Some("joe"), "live", "x", "", 0), Ok(()));
        assert_eq!(user.password("joe").as_deref(), Some("secret"));
        assert_eq!(user.password("jim"), None);
        assert!(!format!("{user:?}").contains("secret"));
        let signed = Door {
            secret: Some("s".to_owned()),
            ..Door::default()
        };
        let token = signed::sign("s", "/live/x", 100);
        let query = format!("a=b&expires=100&token={token}");
        assert_eq!(signed.admit(None, "live", "x", &query, 99), Ok(()));
        assert!(signed.admit(None, "live", "y", &query, 99).is_err());
        assert!(signed.admit(None, "live", "x", &query, 100).is_err());
        assert!(signed.admit(None, "live", "x", "", 0).is_err());
    }
}
