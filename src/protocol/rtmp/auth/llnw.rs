// SPDX-License-Identifier: MPL-2.0

//! The arithmetic of `authmod=llnw`: RFC 2617 digest authentication with fixed realm and method.

use md5::{Digest, Md5};

use super::{AuthDenied, reject::Challenge};

/// What follows the user in the query of a client.
pub(super) fn answer(
    user: &str,
    password: &str,
    app: &str,
    theirs: &Challenge<'_>,
    cnonce: &str,
) -> Result<String, AuthDenied> {
    let nonce = theirs.nonce.ok_or(AuthDenied::BadChallenge)?;
    let app = app.split('?').next().unwrap_or(app);
    // The server knows every application with an instance.
    let instance = if app.contains('/') { "" } else { "/_definst_" };
    let a1 = hex_md5(&format!("{user}:{REALM}:{password}"));
    let a2 = hex_md5(&format!("{METHOD}:/{app}{instance}"));
    let response = hex_md5(&format!("{a1}:{nonce}:{NC}:{cnonce}:{QOP}:{a2}"));
    Ok(format!(
        "&nonce={nonce}&cnonce={cnonce}&nc={NC}&response={response}"
    ))
}

const REALM: &str = "live";
/// Also for those who play.
const METHOD: &str = "publish";
const QOP: &str = "auth";
/// Each nonce is used once.
const NC: &str = "00000001";

fn hex_md5(text: &str) -> String {
    let hash = Md5::digest(text);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
