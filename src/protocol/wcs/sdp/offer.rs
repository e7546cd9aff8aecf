// SPDX-License-Identifier: MPL-2.0

//! A description of ours.

use super::{
    SdpError,
    lines::{Description, attribute},
};

/// An offer, and what of it an answer has to fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    text: String,
    sections: Vec<OfferedSection>,
}

/// One section of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedSection {
    /// `audio` or `video`.
    pub kind: String,
    /// Its `mid`.
    pub mid: String,
    /// Its payload types.
    pub formats: Vec<String>,
}

impl Offer {
    /// Takes the description that our side made.
    ///
    /// What is sent has no candidates: the vendor's SDK sends none either, so every server finds us by
    /// where our packets come from. Half of them would be a matter of luck.
    ///
    /// # Errors
    /// There is nothing in it.
    pub fn new(ours: &str) -> Result<Self, SdpError> {
        let mut description = Description::parse(ours)?;
        let mut sections = Vec::new();
        let is_kept = |line: &String| {
            ["candidate", "end-of-candidates"]
                .iter()
                .all(|name| attribute(line, name).is_none())
        };
        description.session.retain(is_kept);
        for (index, section) in description.sections.iter_mut().enumerate() {
            section.lines.retain(is_kept);
            for line in &mut section.lines {
                // webrtcbin writes names as caps do. RFC 8866 compares them without case, servers may not.
                if attribute(line, "rtpmap").is_some() {
                    *line = line.replace(" OPUS/", " opus/");
                }
            }
            let mid = section.attribute("mid").map(str::to_owned);
            sections.push(OfferedSection {
                kind: section.kind.clone(),
                mid: mid.unwrap_or_else(|| index.to_string()),
                formats: section.formats.clone(),
            });
        }
        Ok(Self {
            text: description.write(),
            sections,
        })
    }

    /// What is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What is offered.
    pub fn sections(&self) -> &[OfferedSection] {
        &self.sections
    }

    /// Whether there is a section of this kind, `audio` or `video`.
    pub fn has(&self, kind: &str) -> bool {
        self.sections.iter().any(|section| section.kind == kind)
    }
}
