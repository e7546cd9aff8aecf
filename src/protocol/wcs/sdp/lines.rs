// SPDX-License-Identifier: MPL-2.0

//! A description as lines: those of the session, then those of each section.

use super::SdpError;
use crate::protocol::wcs::limits;

/// A description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) session: Vec<String>,
    pub(super) sections: Vec<Section>,
}

/// An `m=` line and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: String,
    pub(super) port: String,
    pub(super) protocol: String,
    /// Payload types.
    pub(super) formats: Vec<String>,
    pub(super) lines: Vec<String>,
}

impl Description {
    /// Reads lines that end in LF, with CR before it or not.
    pub(super) fn parse(text: &str) -> Result<Self, SdpError> {
        if text.len() > limits::SDP {
            return Err(SdpError::TooLong(text.len()));
        }
        let mut description = Self::default();
        for line in text.lines().map(str::trim_end) {
            // What is no `x=...` is nothing. WebRTC passes it on to libraries in C, which stop at a zero.
            if line.as_bytes().get(1) != Some(&b'=') || line.contains('\0') {
                continue;
            }
            if let Some(media) = line.strip_prefix("m=") {
                if description.sections.len() == limits::SECTIONS {
                    return Err(SdpError::TooMany("media"));
                }
                description.sections.push(Section::open(media));
            } else {
                match description.sections.last_mut() {
                    Some(section) => section.lines.push(line.to_owned()),
                    None => description.session.push(line.to_owned()),
                }
            }
        }
        if description.sections.is_empty() {
            return Err(SdpError::NoMedia);
        }
        for section in &description.sections {
            if section.attributes("candidate").count() > limits::CANDIDATES {
                return Err(SdpError::TooMany("candidates"));
            }
        }
        Ok(description)
    }

    /// The value of an attribute of the session.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.session.iter().find_map(|line| attribute(line, name))
    }

    /// All values of an attribute of the session.
    pub(super) fn attributes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.session.iter();
        lines.filter_map(move |line| attribute(line, name))
    }

    pub(super) fn write(&self) -> String {
        let mut text = String::new();
        let mut line = |line: &str| {
            text.push_str(line);
            text.push_str("\r\n");
        };
        self.session.iter().for_each(|l| line(l));
        for section in &self.sections {
            let Section {
                kind,
                port,
                protocol,
                formats,
                lines,
            } = section;
            line(&format!("m={kind} {port} {protocol} {}", formats.join(" ")));
            lines.iter().for_each(|l| line(l));
        }
        text
    }
}

impl Section {
    fn open(media: &str) -> Self {
        let mut words = media.split_ascii_whitespace().map(str::to_owned);
        Self {
            kind: words.next().unwrap_or_default(),
            port: words.next().unwrap_or_default(),
            protocol: words.next().unwrap_or_default(),
            formats: words.collect(),
            lines: Vec::new(),
        }
    }

    /// The value of an attribute, empty for one without a value.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| attribute(line, name))
    }

    /// All values of an attribute.
    pub(super) fn attributes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let lines = self.lines.iter();
        lines.filter_map(move |line| attribute(line, name))
    }

    /// Puts one in the place of all attributes of this name, where the first was or at the end.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        let line = format!("a={name}:{value}");
        let mut first = Some(line);
        self.lines.retain_mut(|old| {
            if attribute(old, name).is_none() {
                return true;
            }
            first.take().map(|line| *old = line).is_some()
        });
        self.lines.extend(first);
    }
}

/// The value of a line `a=name:value`, or empty for `a=name`.
pub(super) fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = line.strip_prefix("a=")?.strip_prefix(name)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix(':').map(str::trim)
}
