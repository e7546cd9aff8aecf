// SPDX-License-Identifier: MPL-2.0

//! User name and password in RTMP: the `authmod` dialogues and SecureToken.
//!
//! RTMP itself has no authentication. Adobe's Media Server and Limelight's network (`llnw`) refuse
//! `connect` with a description that carries a challenge; the client connects anew with the answer
//! in the query of `app` and `tcUrl`. [`Authenticator`] holds a client's side of that over all the
//! connections it takes, [`AdobeGate`] a server's. [`token`] answers Wowza's SecureToken, which goes
//! another way. Connecting anew is the caller's business.
//!
//! Sources: librtmp 2.4 `rtmp.c`, FFmpeg 5.1 and rtmp2sink 1.22, whose answers the tests hold.

mod adobe;
mod door;
mod gate;
mod llnw;
mod reject;
pub mod token;

use std::fmt;

pub use door::Door;
pub use gate::{AdobeGate, Verdict};
use reject::{Reason, Reject};

/// Which dialogue a client joins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthMod {
    /// None; a server that asks for one is refused.
    None,
    /// The one that the server asks for.
    #[default]
    Auto,
    /// Adobe's only, and without waiting to be asked for the user.
    Adobe,
    /// Limelight's only, and without waiting to be asked for the user.
    Llnw,
}

impl AuthMod {
    /// The name on the wire, if it has one.
    fn name(self) -> Option<&'static str> {
        match self {
            AuthMod::Adobe => Some("adobe"),
            AuthMod::Llnw => Some("llnw"),
            AuthMod::None | AuthMod::Auto => None,
        }
    }
}

/// What to do about a rejected `connect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthStep {
    /// Connect again, with this query on `app` and `tcUrl` ([`append_query`]).
    Retry {
        /// Without a leading `?`.
        query: String,
    },
    /// The dialogue ended; another connection would not help.
    Denied(AuthDenied),
    /// The rejection has nothing to do with authentication.
    NotAuth,
}

/// Why a server keeps a client out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthDenied {
    /// There is nothing to answer with.
    #[error("the server asks for a user name and a password: set both")]
    NoCredentials,
    /// The caller does not want to answer.
    #[error("the server asks for authentication, which is switched off")]
    SwitchedOff,
    /// The server names another dialogue than the one allowed.
    #[error("the server asks for another authentication than the one that is set")]
    OtherMethod,
    /// The server names a dialogue that does not exist here.
    #[error("the server asks for an authentication that is neither adobe nor llnw")]
    UnknownMethod,
    /// `reason=authfailed`.
    #[error("the server refused the password")]
    WrongPassword,
    /// `reason=nosuchuser`.
    #[error("the server does not know the user")]
    UnknownUser,
    /// A reason that no server is known to give.
    #[error("the server refused the user without a known reason")]
    Refused,
    /// The challenge lacks what an answer needs, or is longer than any real one.
    #[error("the server's challenge is incomplete or too long")]
    BadChallenge,
    /// The server asks once more for what it was given.
    #[error("the server asks again for what it was already answered")]
    Loop,
}

/// A client's side of a dialogue that spans several connections.
///
/// It is for one way in. Whoever comes back after a lost connection starts with a new one, because
/// challenges are used up.
#[derive(Clone)]
pub struct Authenticator {
    user: String,
    password: String,
    auth_mod: AuthMod,
    app: String,
    stage: Stage,
}

/// What the last `connect` carried. It only ever moves down, so no server can keep us going.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Nothing,
    User,
    Answer,
}

impl Authenticator {
    /// Starts before the first `connect`. `app` is the application as `connect` names it; llnw
    /// signs it, without its query.
    pub fn new(user: &str, password: &str, auth_mod: AuthMod, app: &str) -> Self {
        Authenticator {
            user: user.to_owned(),
            password: password.to_owned(),
            auth_mod,
            app: app.to_owned(),
            stage: Stage::Nothing,
        }
    }

    /// The same for another application, from the beginning.
    #[must_use]
    pub fn for_application(&self, app: &str) -> Self {
        Self::new(&self.user, &self.password, self.auth_mod, app)
    }

    /// The query for the first `connect`, which saves the first rejection when the dialogue is
    /// known beforehand.
    pub fn first_query(&mut self) -> Option<String> {
        let name = self.auth_mod.name()?;
        if self.user.is_empty() || self.stage != Stage::Nothing {
            return None;
        }
        self.stage = Stage::User;
        Some(self.user_query(name))
    }

    /// Judges the `description` of a `NetConnection.Connect.Rejected`.
    ///
    /// `client_challenge_seed` becomes our own challenge, so it must be random.
    pub fn on_reject(&mut self, description: &str, client_challenge_seed: u32) -> AuthStep {
        let Some(reject) = Reject::parse(description) else {
            return AuthStep::NotAuth;
        };
        match self.answer(&reject, client_challenge_seed) {
            Ok(query) => AuthStep::Retry { query },
            Err(denied) => AuthStep::Denied(denied),
        }
    }

    fn answer(&mut self, reject: &Reject<'_>, seed: u32) -> Result<String, AuthDenied> {
        match reject.reason {
            Reason::AuthFailed => return Err(AuthDenied::WrongPassword),
            Reason::NoSuchUser => return Err(AuthDenied::UnknownUser),
            Reason::Other => return Err(AuthDenied::Refused),
            Reason::NeedUser | Reason::NeedAuth => {}
        }
        let method = match reject.method {
            Some("adobe") => AuthMod::Adobe,
            Some("llnw") => AuthMod::Llnw,
            _ => return Err(AuthDenied::UnknownMethod),
        };
        match self.auth_mod {
            AuthMod::None => return Err(AuthDenied::SwitchedOff),
            AuthMod::Auto => {}
            allowed if allowed == method => {}
            _ => return Err(AuthDenied::OtherMethod),
        }
        if self.user.is_empty() || self.password.is_empty() {
            return Err(AuthDenied::NoCredentials);
        }
        let next = match reject.reason {
            Reason::NeedAuth => Stage::Answer,
            _ => Stage::User,
        };
        if next <= self.stage {
            return Err(AuthDenied::Loop);
        }
        self.stage = next;

        let name = method.name().ok_or(AuthDenied::UnknownMethod)?;
        let mut query = self.user_query(name);
        if next == Stage::Answer {
            let challenge = reject.challenge()?;
            let ours = format!("{seed:08x}");
            let (user, password) = (&self.user, &self.password);
            query += &match method {
                AuthMod::Llnw => llnw::answer(user, password, &self.app, &challenge, &ours)?,
                _ => adobe::answer(user, password, &challenge, &ours)?,
            };
        }
        Ok(query)
    }

    fn user_query(&self, name: &str) -> String {
        format!("authmod={name}&user={}", query_value(&self.user))
    }
}

/// Leaves the password out.
impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator")
            .field("auth_mod", &self.auth_mod)
            .field("app", &self.app)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

/// Joins a query to an `app` or a `tcUrl` that may have one already, as Limelight's has.
pub fn append_query(to: &str, query: &str) -> String {
    let joint = if to.contains('?') { '&' } else { '?' };
    format!("{to}{joint}{query}")
}

/// Escapes only what would end the value or the query.
///
/// FFmpeg, librtmp and rtmp2sink write the user as it is, so servers may well not decode it, and
/// `@` of an e-mail address or `+` and `=` of base64 have to stay.
fn query_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '&' | '#' | ' ') || c.is_ascii_control() {
            out += &format!("%{:02X}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::rtmp::limits;

    const ASK_ADOBE: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    const CHALLENGE_ADOBE: &str = "[ AccessManager.Reject ] : [ authmod=adobe ] : \
        ?reason=needauth&user=publisher&salt=alhJEA==&challenge=Pre+jg==&opaque=Pre+jg==";
    const ASK_LLNW: &str = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=llnw ] : ";
    const CHALLENGE_LLNW: &str = "[ AccessManager.Reject ] : [ authmod=llnw ] : \
        ?reason=needauth&user=publisher&nonce=0123456789abcdef";

    fn publisher(auth_mod: AuthMod) -> Authenticator {
        Authenticator::new("publisher", "secret", auth_mod, "live")
    }

    fn retry(query: &str) -> AuthStep {
        AuthStep::Retry {
            query: query.to_owned(),
        }
    }

    #[test]
    fn adobe_answers_as_ffmpeg_and_rtmp2sink_do() {
        // Both were led through this dialogue by a socket of our own; they drew these challenges.
        for (seed, answer) in [
            (
                0x7a14_9955,
                "challenge=7a149955&response=ooQtMP9GHobE9t92sOb6cA==",
            ),
            (
                0xf62e_8b3c,
                "challenge=f62e8b3c&response=h4r58T6NDOI+moHoVbeuOg==",
            ),
        ] {
            let mut auth = publisher(AuthMod::Auto);
            assert_eq!(auth.first_query(), None);
            let user = "authmod=adobe&user=publisher";
            assert_eq!(auth.on_reject(ASK_ADOBE, 1), retry(user));
            let answer = format!("{user}&{answer}&opaque=Pre+jg==");
            assert_eq!(auth.on_reject(CHALLENGE_ADOBE, seed), retry(&answer));
        }
    }

    #[test]
    fn adobe_without_opaque_uses_the_challenge() {
        // python3: b64(md5(b64(md5("publisher"+"NDU="+"secret")) + "NjA4NDEzNzg0" + "0000002a"))
        let description = "[ AccessManager.Reject ] : [ authmod=adobe ] : \
            ?reason=needauth&user=100987&salt=NDU=&challenge=NjA4NDEzNzg0";
        assert_eq!(
            publisher(AuthMod::Auto).on_reject(description, 42),
            retry(
                "authmod=adobe&user=publisher&challenge=0000002a&response=6aqum3NgCkJjcJrCkTN5YA=="
            )
        );
    }

    #[test]
    fn llnw_answers_as_ffmpeg_does() {
        let mut auth = publisher(AuthMod::Auto);
        assert_eq!(
            auth.on_reject(ASK_LLNW, 1),
            retry("authmod=llnw&user=publisher")
        );
        let answer = "authmod=llnw&user=publisher&nonce=0123456789abcdef&cnonce=b448730f\
            &nc=00000001&response=776f2eb43fda26861a9bea35379fe872";
        assert_eq!(auth.on_reject(CHALLENGE_LLNW, 0xb448_730f), retry(answer));
    }

    #[test]
    fn llnw_signs_the_application_with_its_instance_and_without_its_query() {
        // python3, the same sum over "publish:/live/east".
        for app in ["live/east", "live/east?foo=a/b"] {
            let mut auth = Authenticator::new("publisher", "secret", AuthMod::Llnw, app);
            auth.first_query().unwrap();
            let AuthStep::Retry { query } = auth.on_reject(CHALLENGE_LLNW, 42) else {
                panic!("no answer");
            };
            assert!(
                query.ends_with("response=ae4fdc210fe797ed7943d3fa64e49713"),
                "{query}"
            );
        }
    }

    #[test]
    fn a_known_dialogue_starts_with_the_user() {
        let mut auth = publisher(AuthMod::Adobe);
        assert_eq!(auth.first_query().unwrap(), "authmod=adobe&user=publisher");
        assert_eq!(auth.first_query(), None);
        assert!(matches!(
            auth.on_reject(CHALLENGE_ADOBE, 1),
            AuthStep::Retry { .. }
        ));
        assert_eq!(
            Authenticator::new("", "", AuthMod::Adobe, "live").first_query(),
            None
        );
    }

    #[test]
    fn dialogues_end() {
        let failed = "[ AccessManager.Reject ] : [ authmod=adobe ] : \
            ?reason=authfailed&opaque=Pre+jg==";
        let unknown = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=nosuchuser";
        let strange = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=moon";
        let method = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=krb5 ] : ";
        for (auth_mod, description, denied) in [
            (AuthMod::Auto, failed, AuthDenied::WrongPassword),
            (AuthMod::Auto, unknown, AuthDenied::UnknownUser),
            (AuthMod::Auto, strange, AuthDenied::Refused),
            (AuthMod::Auto, method, AuthDenied::UnknownMethod),
            (
                AuthMod::Auto,
                "code=403 need auth",
                AuthDenied::UnknownMethod,
            ),
            (AuthMod::None, ASK_ADOBE, AuthDenied::SwitchedOff),
            (AuthMod::Llnw, ASK_ADOBE, AuthDenied::OtherMethod),
            (AuthMod::Adobe, CHALLENGE_LLNW, AuthDenied::OtherMethod),
            (
                AuthMod::Auto,
                "authmod=llnw ] : ?reason=needauth",
                AuthDenied::BadChallenge,
            ),
            (
                AuthMod::Auto,
                "authmod=adobe ] : ?reason=needauth",
                AuthDenied::BadChallenge,
            ),
            (
                AuthMod::Auto,
                "authmod=adobe ] : ?reason=needauth&salt=a\r\nb&challenge=c",
                AuthDenied::BadChallenge,
            ),
        ] {
            let step = publisher(auth_mod).on_reject(description, 1);
            assert_eq!(step, AuthStep::Denied(denied), "{description}");
        }
        for (user, password) in [("", ""), ("publisher", ""), ("", "secret")] {
            let mut auth = Authenticator::new(user, password, AuthMod::Auto, "live");
            let step = auth.on_reject(ASK_ADOBE, 1);
            assert_eq!(step, AuthStep::Denied(AuthDenied::NoCredentials));
        }
    }

    #[test]
    fn a_server_that_asks_for_ever_is_left() {
        for (ask, challenge) in [(ASK_ADOBE, CHALLENGE_ADOBE), (ASK_LLNW, CHALLENGE_LLNW)] {
            for script in [
                [ask, ask, ask],
                [ask, challenge, challenge],
                [challenge, ask, ask],
            ] {
                let mut auth = publisher(AuthMod::Auto);
                let last = script.map(|description| auth.on_reject(description, 1));
                assert_eq!(last[2], AuthStep::Denied(AuthDenied::Loop));
            }
        }
    }

    #[test]
    fn other_rejections_are_not_ours() {
        for description in [
            "",
            "[ Server.Reject ] : (_defaultRoot_, _defaultVHost_) : Application (x) is not defined.",
            "[ AccessManager.Reject ] : [ code=302 redirect ] : ",
            "Connection failed: Application rejected connection.",
        ] {
            let step = publisher(AuthMod::Auto).on_reject(description, 1);
            assert_eq!(step, AuthStep::NotAuth, "{description}");
        }
    }

    #[test]
    fn a_challenge_is_no_place_for_a_megabyte() {
        let fits = "A".repeat(limits::AUTH_FIELD);
        let long = "A".repeat(limits::AUTH_FIELD + 1);
        let huge = "A".repeat(1 << 20);
        for (value, accepted) in [(fits, true), (long, false), (huge, false)] {
            for template in [
                "authmod=adobe ] : ?reason=needauth&salt=*&challenge=x",
                "authmod=adobe ] : ?reason=needauth&salt=x&challenge=y&opaque=*",
                "authmod=adobe ] : ?reason=needauth&salt=x&challenge=*",
                "authmod=llnw ] : ?reason=needauth&nonce=*",
            ] {
                let step = publisher(AuthMod::Auto).on_reject(&template.replace('*', &value), 1);
                match accepted {
                    true => assert!(matches!(step, AuthStep::Retry { .. }), "{template}"),
                    false => assert_eq!(step, AuthStep::Denied(AuthDenied::BadChallenge)),
                }
            }
        }
    }

    #[test]
    fn secrets_stay_out_of_the_log() {
        let mut auth = publisher(AuthMod::Auto);
        auth.on_reject(CHALLENGE_ADOBE, 1);
        let text = format!("{auth:?}");
        assert!(
            !text.contains("secret") && !text.contains("publisher"),
            "{text}"
        );
    }

    #[test]
    fn queries_are_joined_and_escaped() {
        assert_eq!(append_query("live", "a=b"), "live?a=b");
        assert_eq!(append_query("live?x=y", "a=b"), "live?x=y&a=b");
        assert_eq!(query_value("a@b.c+d=é%"), "a@b.c+d=é%");
        assert_eq!(query_value("a&b #\n"), "a%26b%20%23%0A");
    }

    proptest! {
        #[test]
        fn any_description_is_judged(
            description in "(\\PC{0,40}(authmod=(adobe|llnw)|\\?reason=|needauth|&salt=|&nonce=|&)){0,8}",
            seed in any::<u32>(),
        ) {
            let mut auth = publisher(AuthMod::Auto);
            let retries = (0..5)
                .filter(|_| matches!(auth.on_reject(&description, seed), AuthStep::Retry { .. }))
                .count();
            prop_assert!(retries <= 2);
        }
    }
}
