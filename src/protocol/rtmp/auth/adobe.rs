// SPDX-License-Identifier: MPL-2.0

//! The arithmetic of `authmod=adobe`: MD5 over base64 over MD5.

use base64::{Engine, engine::general_purpose::STANDARD};
use md5::{Digest, Md5};

use super::{AuthDenied, reject::Challenge};

/// What follows the user in the query of a client.
pub(super) fn answer(
    user: &str,
    password: &str,
    theirs: &Challenge<'_>,
    ours: &str,
) -> Result<String, AuthDenied> {
    // Newer servers send both, alike; older ones only the challenge.
    let challenge = theirs
        .opaque
        .or(theirs.challenge)
        .ok_or(AuthDenied::BadChallenge)?;
    let response = response(user, password, theirs.salt.unwrap_or(""), challenge, ours);
    let mut query = format!("&challenge={ours}&response={response}");
    if let Some(opaque) = theirs.opaque {
        query += "&opaque=";
        query += opaque;
    }
    Ok(query)
}

/// The proof that both sides compute. `challenge` is the server's opaque or challenge, `ours` the
/// client's challenge.
pub(super) fn response(
    user: &str,
    password: &str,
    salt: &str,
    challenge: &str,
    ours: &str,
) -> String {
    let secret = base64_md5(&[user, salt, password]);
    base64_md5(&[&secret, challenge, ours])
}

fn base64_md5(parts: &[&str]) -> String {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    STANDARD.encode(hash.finalize())
}
