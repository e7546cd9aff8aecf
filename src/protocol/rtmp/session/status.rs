// SPDX-License-Identifier: MPL-2.0

use std::fmt::{self, Write};

use crate::protocol::rtmp::{amf::Object, limits};

/// An information object (RTMP 1.0, section 7.2.2) as `onStatus`, `_result` and `_error` carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `status`, `warning` or `error`.
    pub level: String,
    /// Such as `NetStream.Publish.BadName`; empty where a server gives none.
    pub code: String,
    /// For people.
    pub description: String,
}

/// What kind of no a refusal is: whether another name, other credentials or patience would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The application does not exist or is not served.
    Application,
    /// The stream does not exist.
    NotFound,
    /// The stream name is in use.
    Busy,
    /// The caller may not do this.
    NotAuthorized,
    /// Anything else.
    Other,
}

/// Why playback is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The recording was played to its end, or the range that was asked for.
    Complete,
    /// The server stopped playback.
    Stopped,
    /// The publisher of the live stream went away.
    Unpublished,
}

impl Status {
    /// Reads an information object; absent fields are empty.
    pub fn from_object(object: &Object) -> Self {
        let text = |key| object.string(key).unwrap_or_default().to_owned();
        Self {
            level: text("level"),
            code: text("code"),
            description: text("description"),
        }
    }

    /// Whether the server means that something failed.
    pub fn is_error(&self) -> bool {
        self.level == "error"
            || [
                "Failed",
                "Rejected",
                "BadName",
                "Denied",
                "StreamNotFound",
                "InvalidApp",
            ]
            .iter()
            .any(|word| self.code.ends_with(word))
    }

    /// What kind of no this is.
    pub fn refusal(&self) -> Refusal {
        let description = self.description.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| description.contains(word));
        match self.code.rsplit('.').next().unwrap_or_default() {
            "InvalidApp" => Refusal::Application,
            "StreamNotFound" | "FileStructureInvalid" | "NoSupportedTrackFound" => {
                Refusal::NotFound
            }
            "BadName" => Refusal::Busy,
            "Denied" | "Unauthorized" | "NoAccess" => Refusal::NotAuthorized,
            "Rejected" if says(&["invalidapp", "invalid app", "application"]) => {
                Refusal::Application
            }
            _ if says(&["auth", "denied", "forbidden", "not allowed", "permission"]) => {
                Refusal::NotAuthorized
            }
            _ if says(&["not found", "no such", "not exist"]) => Refusal::NotFound,
            _ => Refusal::Other,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code.as_str(), self.description.as_str()) {
            ("", "") => f.write_str("the server refused and did not say why"),
            (code, "") => write!(f, "the server answered {}", Quoted(code)),
            ("", description) => write!(f, "the server answered: {}", Quoted(description)),
            (code, description) => {
                write!(
                    f,
                    "the server answered {}: {}",
                    Quoted(code),
                    Quoted(description)
                )
            }
        }
    }
}

/// A peer's words on one line of bounded length: they go into logs and error messages.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut letters = self.0.chars();
        for letter in letters.by_ref().take(limits::STATUS_TEXT) {
            f.write_char(if letter.is_control() { ' ' } else { letter })?;
        }
        if letters.next().is_some() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_stays_on_one_line_of_bounded_length() {
        let status = Status {
            level: "error".into(),
            code: "NetStream.Play.Failed".into(),
            description: format!("no\r\nERROR forged\0{}", "é".repeat(1 << 20)),
        };
        let text = status.to_string();
        assert!(text.starts_with("the server answered NetStream.Play.Failed: no  ERROR forged éé"));
        assert!(text.ends_with("é..."));
        assert!(text.chars().count() < limits::STATUS_TEXT + 100);
        assert!(!text.contains(char::is_control));
    }
}
