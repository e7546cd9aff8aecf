// SPDX-License-Identifier: MPL-2.0

//! What went wrong, as it goes on the bus: a code that a program can act on, one sentence that a
//! person can act on, and the facts in a structure.

use gst::ResourceError;

use super::settings::{Role, Settings};

/// One error, ready to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    code: ResourceError,
    /// One whole sentence.
    sentence: String,
    /// How far the connection had come, in one word.
    stage: &'static str,
    /// The server's own status code, such as `NetStream.Play.StreamNotFound`.
    server_code: Option<String>,
}

impl Failure {
    /// There is no connection to read from or write to.
    pub(super) fn not_connected(role: Role) -> Self {
        Self {
            code: opening(role),
            sentence: "Not connected.".to_owned(),
            stage: "connect",
            server_code: None,
        }
    }

    /// The server answered the command `stage` with an error status. The texts are the server's: of
    /// control characters and length only what a log can bear remains.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "comes into use with the streaming")
    )]
    pub(super) fn refused(role: Role, stage: &'static str, code: &str, description: &str) -> Self {
        let (resource, advice) = match code {
            "NetStream.Play.StreamNotFound" => (
                ResourceError::NotFound,
                "The server has no such stream, check its name and that somebody publishes it",
            ),
            "NetConnection.Connect.InvalidApp" => (
                ResourceError::NotFound,
                "The server has no such application, check its name in the location",
            ),
            "NetStream.Publish.BadName" => (
                ResourceError::Busy,
                "The server does not take this stream name, it is in use or not a valid key",
            ),
            "NetConnection.Connect.AppShutdown" => (
                ResourceError::Busy,
                "The server is shutting the application down, try again later",
            ),
            "NetStream.Publish.Denied" | "NetStream.Record.NoAccess" => (
                ResourceError::NotAuthorized,
                "The server does not allow this, check stream name, user name and password",
            ),
            "NetConnection.Connect.Rejected" if wants_authentication(description) => (
                ResourceError::NotAuthorized,
                "The server wants authentication, check username, password and authmod",
            ),
            _ => (
                opening(role),
                "The server refuses, check application and stream name",
            ),
        };
        Self {
            code: resource,
            sentence: format!("{advice} ({}: {}).", bearable(code), bearable(description)),
            stage,
            server_code: Some(bearable(code)),
        }
    }

    /// Puts the error on the bus. The details structure is `rtmp-error` with the strings `host`,
    /// `stage` and, where the server gave a reason, `server-code`.
    pub(super) fn post(&self, element: &gst::Element, settings: &Settings) {
        let details = gst::Structure::builder("rtmp-error")
            .field("host", settings.host.as_str())
            .field("stage", self.stage)
            .field_if_some("server-code", self.server_code.as_deref())
            .build();
        gst::element_error!(
            element,
            self.code,
            ("{}", self.sentence),
            ["{} at stage {}", settings.location(), self.stage],
            details: details
        );
    }
}

/// The code of a connection that never came to be.
fn opening(role: Role) -> ResourceError {
    match role {
        Role::Source => ResourceError::OpenRead,
        Role::Sink => ResourceError::OpenWrite,
    }
}

/// Adobe's and Limelight's servers say why in the description only.
fn wants_authentication(description: &str) -> bool {
    ["authmod=", "code=403"]
        .iter()
        .any(|sign| description.contains(sign))
}

fn bearable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_a_code_to_act_on() {
        for (code, description, expected) in [
            ("NetStream.Play.StreamNotFound", "", ResourceError::NotFound),
            ("NetStream.Publish.BadName", "", ResourceError::Busy),
            (
                "NetConnection.Connect.Rejected",
                "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
                ResourceError::NotAuthorized,
            ),
            (
                "NetConnection.Connect.Rejected",
                "no",
                ResourceError::OpenWrite,
            ),
            ("", "", ResourceError::OpenWrite),
        ] {
            let failure = Failure::refused(Role::Sink, "publish", code, description);
            assert_eq!(failure.code, expected, "{code} {description}");
        }
        let failure = Failure::refused(Role::Source, "play", "x", "");
        assert_eq!(failure.code, ResourceError::OpenRead);
    }

    #[test]
    fn a_server_cannot_write_the_log() {
        let text = "a\nb\u{1b}[31m".repeat(1000);
        let failure = Failure::refused(Role::Source, "play", &text, &text);
        assert!(!failure.sentence.contains(char::is_control));
        assert!(failure.sentence.len() < 1000);
    }
}
