// SPDX-License-Identifier: MPL-2.0

//! What went wrong, as it goes on the bus: a code that a program can act on, one sentence that a
//! person can act on, and the facts in a structure.

use std::io::ErrorKind;

use gst::ResourceError;

use super::{
    connect::sentence,
    settings::{Role, Settings},
};
use crate::{
    net::{self, NetError, connection::ConnectionError, porter::ClaimError, tls::ValidationFlags},
    protocol::{
        rtmp::session::{Lack, SessionError, Stage, Status},
        rtmpt::TunnelError,
    },
};

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
    /// A setting makes the connection impossible. `sentence` is a whole one.
    pub(super) fn settings(sentence: &str) -> Self {
        Self::new(ResourceError::Settings, sentence.to_owned(), "settings")
    }

    /// The connection failed below the session; `None` where it was only interrupted.
    pub(super) fn net(role: Role, error: &NetError) -> Option<Self> {
        let code = match error {
            NetError::Interrupted => return None,
            NetError::Settings { .. } => ResourceError::Settings,
            NetError::Resolve { .. } | NetError::Refused { .. } | NetError::Unreachable { .. } => {
                ResourceError::NotFound
            }
            NetError::Tls { flags, .. } if !flags.is_empty() => ResourceError::NotAuthorized,
            NetError::Closed {
                stage: net::Stage::Stream,
            }
            | NetError::Io {
                stage: net::Stage::Stream,
                ..
            }
            | NetError::Tunnel(
                TunnelError::Forgotten(_) | TunnelError::LostReply | TunnelError::Unstable(_),
            ) => running(role),
            NetError::Tunnel(TunnelError::ProxyAuthentication) => ResourceError::NotAuthorized,
            _ => opening(role),
        };
        let stage = error.stage().map_or("settings", net::Stage::name);
        let sentence = with_advice(sentence(error), net_advice(error));
        Some(Self::new(code, sentence, stage))
    }

    /// The same on the way to the SWF file, whose server is another.
    pub(super) fn of_swf(mut self) -> Self {
        let (first, rest) = self.sentence.split_at_checked(1).unwrap_or_default();
        let first = match rest.starts_with(char::is_uppercase) {
            // An abbreviation.
            true => first.to_owned(),
            false => first.to_lowercase(),
        };
        self.sentence = format!("The file at swf-url cannot be had: {first}{rest}");
        self
    }

    /// The connection failed; `None` where it was only interrupted.
    pub(super) fn connection(role: Role, error: &ConnectionError) -> Option<Self> {
        match error {
            ConnectionError::Net(error) => Self::net(role, error),
            ConnectionError::Session { stage, error } => Some(Self::session(role, *stage, error)),
            ConnectionError::Dismissed { stage, status } => {
                Some(Self::refused(role, *stage, status))
            }
            ConnectionError::Closed { stage, .. } => {
                let code = broken(role, *stage);
                Some(Self::new(code, sentence(error), stage_name(role, *stage)))
            }
            ConnectionError::Stalled { .. } | ConnectionError::Silent { .. } => {
                Some(Self::new(running(role), sentence(error), "stream"))
            }
            ConnectionError::TooManyRetries => Some(Self::new(
                ResourceError::NotAuthorized,
                sentence(error),
                "connect",
            )),
        }
    }

    fn session(role: Role, stage: Stage, error: &SessionError) -> Self {
        let (code, stage) = match error {
            SessionError::Refused(status) => return Self::refused(role, stage, status),
            SessionError::NotAuthorized(_) => (ResourceError::NotAuthorized, stage),
            // Nothing will change it but the pipeline, or a setting.
            SessionError::Lacks(_) => (ResourceError::Settings, stage),
            // Commands may go out before the last of the handshake has come in.
            SessionError::Handshake(_) => (opening(role), Stage::Handshake),
            _ => (broken(role, stage), stage),
        };
        let advice = match error {
            SessionError::Timeout(Stage::Handshake) => Some("check that it is an RTMP server"),
            SessionError::Lacks(lack) => Some(lack_advice(lack)),
            _ => None,
        };
        let sentence = with_advice(sentence(error), advice);
        Self::new(code, sentence, stage_name(role, stage))
    }

    /// The place to listen at is taken or cannot be had.
    pub(super) fn claim(role: Role, error: &ClaimError) -> Self {
        let code = match error {
            ClaimError::Taken { .. } => ResourceError::Busy,
            ClaimError::Listen { source, .. } if source.kind() == ErrorKind::AddrInUse => {
                ResourceError::Busy
            }
            ClaimError::Listen { .. } => opening(role),
        };
        let advice = match error {
            ClaimError::Taken { .. } => Some("give one of them another stream name or port"),
            ClaimError::Listen { source, .. } => match source.kind() {
                ErrorKind::AddrInUse => {
                    Some("stop the program that listens there or set another port")
                }
                ErrorKind::AddrNotAvailable => {
                    Some("set an address of this machine as the host, or 0.0.0.0 for all of them")
                }
                ErrorKind::PermissionDenied => Some("set a port of 1024 or above"),
                _ => None,
            },
        };
        Self::new(code, with_advice(sentence(error), advice), "listen")
    }

    fn new(code: ResourceError, sentence: String, stage: &'static str) -> Self {
        Self {
            code,
            sentence,
            stage,
            server_code: None,
        }
    }

    /// The server said no at this stage. The texts are the server's: of control characters and length
    /// only what a log can bear remains.
    fn refused(role: Role, stage: Stage, status: &Status) -> Self {
        let (resource, advice) = match status.code.as_str() {
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
            "NetConnection.Connect.Rejected" if wants_authentication(&status.description) => (
                ResourceError::NotAuthorized,
                "The server wants authentication, check username, password and authmod",
            ),
            _ if stage >= Stage::Running => (running(role), "The server ended the stream"),
            _ => (
                opening(role),
                "The server refuses, check application and stream name",
            ),
        };
        let (code, description) = (bearable(&status.code), bearable(&status.description));
        let words = match (code.as_str(), description.as_str()) {
            ("", "") => "it does not say why".to_owned(),
            (words, "") | ("", words) => words.to_owned(),
            (code, description) => format!("{code}: {description}"),
        };
        Self {
            code: resource,
            sentence: format!("{advice} ({words})."),
            stage: stage_name(role, stage),
            server_code: Some(code).filter(|code| !code.is_empty()),
        }
    }

    /// Puts the error on the bus. The details structure is `rtmp-error` with the strings `host`,
    /// `stage` and, where the server gave a reason, `server-code`.
    pub(super) fn post(&self, element: &gst::Element, settings: &Settings) {
        gst::element_error!(
            element,
            self.code,
            ("{}", self.sentence),
            ["{} at stage {}", settings.location(), self.stage],
            details: self.details(settings)
        );
    }

    fn details(&self, settings: &Settings) -> gst::Structure {
        gst::Structure::builder("rtmp-error")
            .field("host", settings.host.as_str())
            .field("stage", self.stage)
            .field_if_some("server-code", self.server_code.as_deref())
            .build()
    }
}

/// What to do about it, where the reason alone does not say so.
fn net_advice(error: &NetError) -> Option<&'static str> {
    match error {
        NetError::Tls { flags, .. } if flags.contains(ValidationFlags::UNKNOWN_CA) => {
            Some("if you trust it, name it or its authority in tls-ca-file")
        }
        NetError::Tls { flags, .. } if flags.contains(ValidationFlags::BAD_IDENTITY) => {
            Some("use a name that it is for, in the location or as tls-server-name")
        }
        NetError::Tls { flags, .. } if flags.contains(ValidationFlags::EXPIRED) => {
            Some("the server needs a new one")
        }
        NetError::Timeout { stage, .. } => match stage {
            net::Stage::Connect => Some("check host, port and firewall"),
            net::Stage::Tls => Some("check that the server speaks TLS on this port"),
            _ => None,
        },
        _ => None,
    }
}

/// What to do about a server that does not take the stream.
fn lack_advice(lack: &Lack) -> &'static str {
    match lack {
        Lack::Codec { .. } => {
            "encode in another codec, or set enhanced-rtmp=off to send it all the same"
        }
        Lack::Multitrack => {
            "link one pad of each kind to the muxer, or set enhanced-rtmp=off to send all the same"
        }
        Lack::ModEx => "unset timestamp-nano-offset of the muxer",
        Lack::Consent(_) => "set enhanced-rtmp=auto to send it all the same",
    }
}

/// A sentence that goes on with what to do.
fn with_advice(sentence: String, advice: Option<&str>) -> String {
    match advice {
        None => sentence,
        Some(advice) => format!("{}; {advice}.", sentence.trim_end_matches('.')),
    }
}

/// The code of a connection that broke.
fn running(role: Role) -> ResourceError {
    match role {
        Role::Source => ResourceError::Read,
        Role::Sink => ResourceError::Write,
    }
}

/// The code of a connection that came this far.
fn broken(role: Role, stage: Stage) -> ResourceError {
    if stage >= Stage::Running {
        running(role)
    } else {
        opening(role)
    }
}

/// The command that was awaited an answer to, where it was one.
fn stage_name(role: Role, stage: Stage) -> &'static str {
    match (stage, role) {
        (Stage::Handshake, _) => "handshake",
        (Stage::Connect, _) => "connect",
        (Stage::CreateStream, _) => "createStream",
        (Stage::Start, Role::Source) => "play",
        (Stage::Start, Role::Sink) => "publish",
        (Stage::Running | Stage::Stopped, _) => "stream",
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

pub(in crate::elements) fn bearable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(role: Role, stage: Stage, code: &str, description: &str) -> Failure {
        let status = Status {
            level: "error".into(),
            code: code.into(),
            description: description.into(),
        };
        Failure::refused(role, stage, &status)
    }

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
            let failure = refused(Role::Sink, Stage::Start, code, description);
            assert_eq!(failure.code, expected, "{code} {description}");
        }
        let failure = refused(Role::Source, Stage::Start, "x", "");
        assert_eq!(failure.code, ResourceError::OpenRead);
        let failure = refused(Role::Source, Stage::Running, "x", "");
        assert_eq!(failure.code, ResourceError::Read);
    }

    #[test]
    fn what_is_broken_has_the_code_and_name_of_its_stage() {
        use ResourceError::{OpenRead, OpenWrite, Read, Write};
        for (stage, source, sink) in [
            (
                Stage::Handshake,
                (OpenRead, "handshake"),
                (OpenWrite, "handshake"),
            ),
            (
                Stage::Connect,
                (OpenRead, "connect"),
                (OpenWrite, "connect"),
            ),
            (
                Stage::CreateStream,
                (OpenRead, "createStream"),
                (OpenWrite, "createStream"),
            ),
            (Stage::Start, (OpenRead, "play"), (OpenWrite, "publish")),
            (Stage::Running, (Read, "stream"), (Write, "stream")),
        ] {
            for (role, expected) in [(Role::Source, source), (Role::Sink, sink)] {
                for error in [
                    SessionError::NotReading,
                    SessionError::Timeout(stage),
                    SessionError::Refused(Status::default()),
                ] {
                    let error = ConnectionError::Session { stage, error };
                    let failure = Failure::connection(role, &error).unwrap();
                    assert_eq!((failure.code, failure.stage), expected, "{error:?}");
                }
            }
        }
    }

    #[test]
    fn a_server_cannot_write_the_log() {
        let text = "a\nb\u{1b}[31m".repeat(1000);
        let failure = refused(Role::Source, Stage::Start, &text, &text);
        assert!(!failure.sentence.contains(char::is_control));
        assert!(failure.sentence.len() < 1000);
    }
}
