// SPDX-License-Identifier: MPL-2.0

//! A server's side of `authmod=adobe`, which holds no state for those who knock.
//!
//! A client spreads the dialogue over three connections and not every client sends `opaque` back,
//! so challenges are computed from a secret, the user, the peer and the minute instead of kept: a
//! flood of knocks costs no memory, and an answer that was overheard is worth nothing from another
//! address or a little later.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::adobe;
use crate::protocol::rtmp::limits;

/// Decides from the query of `app` who may come in.
pub struct AdobeGate {
    secret: [u8; 32],
}

/// What a server does with a `connect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer `_result`.
    Admit {
        /// Who proved to know the password.
        user: String,
    },
    /// Answer `_error`, `NetConnection.Connect.Rejected`, and close.
    Reject {
        /// For the field `description`.
        description: String,
    },
}

impl AdobeGate {
    /// `secret` must be random for each process and the same for all connections.
    pub fn new(secret: [u8; 32]) -> Self {
        AdobeGate { secret }
    }

    /// Judges one `connect`.
    ///
    /// `query` is what follows `?` in `app`; `peer` the address of the client without its port;
    /// `now_ms` any clock that does not jump. `password` returns the password of a user, and for an
    /// unknown one the dialogue runs the same way, so it does not tell who exists.
    pub fn judge(
        &self,
        query: &str,
        peer: &str,
        now_ms: u64,
        password: impl FnOnce(&str) -> Option<String>,
    ) -> Verdict {
        let reject = |description: String| Verdict::Reject { description };
        let field = |name| field(query, name);
        let (Some("adobe"), Some(user)) = (field("authmod"), field("user")) else {
            return reject(
                "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ".to_owned(),
            );
        };
        let decoded = decode(user);
        let salt = self.word(&["salt", &decoded]);
        let minute = now_ms / limits::AUTH_CHALLENGE_MS;
        let challenge =
            |minute: u64| self.word(&["challenge", &decoded, peer, &minute.to_string()]);

        let (Some(theirs), Some(response)) = (field("challenge"), field("response")) else {
            let ours = challenge(minute);
            return reject(format!(
                "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth\
                 &user={user}&salt={salt}&challenge={ours}&opaque={ours}"
            ));
        };
        let known = password(&decoded);
        let password = known.as_deref().unwrap_or("");
        let mut proved = false;
        for minute in [minute, minute.saturating_sub(1)] {
            // Clients hash the name as their user wrote it, whatever they escaped on the way.
            let expected = adobe::response(&decoded, password, &salt, &challenge(minute), theirs);
            proved |= equal(expected.as_bytes(), response.as_bytes());
        }
        if proved && known.is_some() {
            Verdict::Admit { user: decoded }
        } else {
            reject("[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed".to_owned())
        }
    }

    /// Twelve unpredictable bytes that belong to `parts`, in the letters that servers use.
    fn word(&self, parts: &[&str]) -> String {
        // HMAC takes a key of any length (RFC 2104 section 2).
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("a key of any length");
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        STANDARD.encode(&mac.finalize().into_bytes()[..12])
    }
}

/// Leaves the secret out.
impl fmt::Debug for AdobeGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdobeGate").finish_non_exhaustive()
    }
}

/// The first field of that name, unless it is longer than any real one.
fn field<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|field| field.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
        .filter(|value| value.len() <= limits::AUTH_FIELD)
}

/// Undoes `%hh`; anything else stays as it is, above all the `+` of base64.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let escaped = match (byte, tail) {
            (b'%', [high, low, after @ ..]) => hex(*high).zip(hex(*low)).map(|(h, l)| {
                rest = after;
                h << 4 | l
            }),
            _ => None,
        };
        out.push(escaped.unwrap_or(byte));
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The value of a hexadecimal digit.
pub(super) fn hex(digit: u8) -> Option<u8> {
    // A value below 16 fits.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Takes as long for the first wrong byte as for the last.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::rtmp::auth::{AuthMod, AuthStep, Authenticator};

    const MINUTE: u64 = limits::AUTH_CHALLENGE_MS;

    fn users(user: &str) -> Option<String> {
        matches!(user, "publisher" | "a&b@c" | "50%").then(|| "secret".to_owned())
    }

    /// Runs a client against the gate, at these times, and returns the last verdict.
    fn dialogue(mut auth: Authenticator, times: [u64; 3], peers: [&str; 3]) -> (Verdict, String) {
        let gate = AdobeGate::new([7; 32]);
        let mut query = String::new();
        for (now, peer) in times.into_iter().zip(peers) {
            match gate.judge(&query, peer, now, users) {
                Verdict::Reject { description } => match auth.on_reject(&description, 42) {
                    AuthStep::Retry { query: next } => query = next,
                    _ => return (Verdict::Reject { description }, query),
                },
                admitted => return (admitted, query),
            }
        }
        panic!("no end");
    }

    fn auth(user: &str, password: &str) -> Authenticator {
        Authenticator::new(user, password, AuthMod::Auto, "live")
    }

    const HERE: [&str; 3] = ["::1"; 3];

    #[test]
    fn who_knows_the_password_comes_in() {
        for user in ["publisher", "a&b@c", "50%"] {
            for times in [
                [0; 3],
                [MINUTE - 1, MINUTE - 1, MINUTE],
                [0, 1, 2 * MINUTE - 1],
            ] {
                let (verdict, _) = dialogue(auth(user, "secret"), times, HERE);
                let user = user.to_owned();
                assert_eq!(verdict, Verdict::Admit { user });
            }
        }
    }

    #[test]
    fn who_does_not_stays_out() {
        let failed = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed";
        let late = [0, 0, 2 * MINUTE];
        let moved = ["::1", "::1", "::2"];
        for (user, password, times, peers) in [
            ("publisher", "Secret", [0; 3], HERE),
            ("nobody", "secret", [0; 3], HERE),
            ("publisher", "secret", late, HERE),
            ("publisher", "secret", [0; 3], moved),
        ] {
            let (verdict, _) = dialogue(auth(user, password), times, peers);
            let description = failed.to_owned();
            assert_eq!(verdict, Verdict::Reject { description });
        }
    }

    #[test]
    fn a_client_may_leave_opaque_out() {
        let (_, query) = dialogue(auth("publisher", "secret"), [0; 3], HERE);
        let (query, opaque) = query.split_once("&opaque=").unwrap();
        assert_eq!(opaque.len(), 16);
        let gate = AdobeGate::new([7; 32]);
        let admitted = gate.judge(query, "::1", 0, users);
        assert!(matches!(admitted, Verdict::Admit { .. }));
        // Another process drew another secret.
        let gate = AdobeGate::new([8; 32]);
        let refused = gate.judge(query, "::1", 0, users);
        assert!(matches!(refused, Verdict::Reject { .. }));
    }

    #[test]
    fn odd_queries_are_asked_again() {
        let gate = AdobeGate::new([7; 32]);
        let huge = format!("authmod=adobe&user={}", "u".repeat(limits::AUTH_FIELD + 1));
        for query in [
            "",
            "authmod",
            "authmod=llnw&user=a",
            "authmod=adobe",
            "=&=&&",
            &huge,
        ] {
            let Verdict::Reject { description } = gate.judge(query, "::1", 0, users) else {
                panic!("admitted {query}");
            };
            assert!(description.contains("code=403 need auth"), "{query}");
        }
        for query in [
            "authmod=adobe&user=nobody&challenge=&response=",
            "authmod=adobe&user=%&challenge=1&response=2",
            "authmod=adobe&user=%zz%4&challenge=1&response=2",
        ] {
            let Verdict::Reject { description } = gate.judge(query, "::1", 0, users) else {
                panic!("admitted {query}");
            };
            assert!(description.ends_with("?reason=authfailed"), "{query}");
        }
    }

    #[test]
    fn escapes_are_undone_once() {
        assert_eq!(decode("a%26b+%2526%"), "a&b+%26%");
        assert_eq!(decode("%ff"), "\u{fffd}");
    }
}
