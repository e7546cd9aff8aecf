// SPDX-License-Identifier: MPL-2.0

//! The description of a rejected `connect`, taken apart.
//!
//! Two shapes are in use, the second with its fields in any order:
//!
//! ```text
//! [ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] :
//! [ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=…&salt=…&challenge=…&opaque=…
//! ```

use super::AuthDenied;
use crate::protocol::rtmp::limits;

/// A rejection that is about authentication.
#[derive(Debug)]
pub(super) struct Reject<'a> {
    /// What `authmod` names.
    pub(super) method: Option<&'a str>,
    pub(super) reason: Reason,
    fields: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The server wants to know who is there.
    NeedUser,
    /// It sent a challenge.
    NeedAuth,
    AuthFailed,
    NoSuchUser,
    Other,
}

/// The fields of a challenge, each within its budget.
#[derive(Debug, Default)]
pub(super) struct Challenge<'a> {
    pub(super) salt: Option<&'a str>,
    pub(super) challenge: Option<&'a str>,
    pub(super) opaque: Option<&'a str>,
    pub(super) nonce: Option<&'a str>,
}

impl<'a> Reject<'a> {
    /// Returns `None` for a rejection of another kind.
    pub(super) fn parse(description: &'a str) -> Option<Self> {
        let (head, fields) = match description.split_once("?reason=") {
            Some((head, fields)) => (head, Some(fields)),
            None => (description, None),
        };
        let method = head.split_once("authmod=").map(|(_, tail)| {
            let end = tail.find(|c: char| !c.is_ascii_alphanumeric());
            end.map_or(tail, |end| tail.get(..end).unwrap_or(tail))
        });
        let reason = match fields {
            Some(fields) => match value(fields.split('&').next().unwrap_or_default()) {
                "needauth" => Reason::NeedAuth,
                "authfailed" => Reason::AuthFailed,
                "nosuchuser" => Reason::NoSuchUser,
                _ => Reason::Other,
            },
            None if method.is_some() || head.contains("need auth") => Reason::NeedUser,
            None => return None,
        };
        Some(Reject {
            method,
            reason,
            fields: fields.unwrap_or_default(),
        })
    }

    /// The fields behind the reason.
    pub(super) fn challenge(&self) -> Result<Challenge<'a>, AuthDenied> {
        let mut challenge = Challenge::default();
        for field in self.fields.split('&').skip(1) {
            // The value may end in the `=` of base64.
            let Some((name, text)) = field.split_once('=') else {
                continue;
            };
            let slot = match name {
                "salt" => &mut challenge.salt,
                "challenge" => &mut challenge.challenge,
                "opaque" => &mut challenge.opaque,
                "nonce" => &mut challenge.nonce,
                _ => continue,
            };
            let text = value(text);
            // It goes into our own query and into logs of others.
            let dubious = |c: char| c.is_control() || c == ' ' || c == '#';
            if text.len() > limits::AUTH_FIELD || text.contains(dubious) {
                return Err(AuthDenied::BadChallenge);
            }
            slot.get_or_insert(text);
        }
        Ok(challenge)
    }
}

/// A value without the blanks that end some descriptions.
fn value(text: &str) -> &str {
    text.trim_matches([' ', ']', '\r', '\n'])
}
