// SPDX-License-Identifier: MPL-2.0

//! The server's answer, with what it left out put in.

use super::{
    Fingerprint, Offer, OfferedSection, SdpError,
    lines::{Description, Section, attribute},
};

/// Who begins DTLS, where the answer does not say. libwebrtc takes such an answerer for the one
/// (`NegotiateDtlsRole`), so a server that works with browsers is; RFC 4145 would have it the other way
/// round.
const SILENT_SETUP: &str = "active";

/// An answer that fits its offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    text: String,
    fingerprints: Vec<Fingerprint>,
}

impl Answer {
    /// Takes the server's answer and puts into each section what WebRTC demands of it: `setup`, the
    /// offer's `mid`, and what was said once for all sections. Payload types that were not offered go,
    /// and so does a BUNDLE group, since none is offered. All else stays as it came.
    ///
    /// # Errors
    /// It does not fit the offer, or lacks what cannot be put in.
    pub fn new(text: &str, offer: &Offer) -> Result<Self, SdpError> {
        let mut description = Description::parse(text)?;
        let offered = offer.sections();
        if description.sections.len() != offered.len() {
            return Err(SdpError::Sections {
                offered: offered.len(),
                answered: description.sections.len(),
            });
        }
        order(&mut description, offered);
        let mut rejected = Vec::new();
        for (section, offered) in description.sections.iter_mut().zip(offered) {
            if section.kind != offered.kind {
                return Err(SdpError::Kind {
                    offered: offered.kind.clone(),
                    answered: section.kind.chars().take(32).collect(),
                });
            }
            keep_offered_formats(section, offered);
            if section.formats.is_empty() || section.port == "0" {
                rejected.push(offered.kind.clone());
            }
        }
        if rejected.len() == offered.len() {
            return Err(SdpError::NoCommonCodecs);
        }
        if !rejected.is_empty() {
            return Err(SdpError::Rejected(rejected));
        }
        description
            .session
            .retain(|line| attribute(line, "group").is_none());
        let session = description.clone();
        let mut fingerprints = Vec::new();
        for (section, offered) in description.sections.iter_mut().zip(offered) {
            complete(section, offered, &session)?;
            fingerprints.push(Fingerprint::parse(section.attributes("fingerprint"))?);
        }
        Ok(Self {
            text: description.write(),
            fingerprints,
        })
    }

    /// What WebRTC is given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The promise of each section about the certificate of its peer.
    pub fn fingerprints(&self) -> &[Fingerprint] {
        &self.fingerprints
    }
}

/// Puts the sections into the offer's order, where each names the `mid` that it answers.
fn order(description: &mut Description, offered: &[OfferedSection]) {
    let place = |section: &Section| {
        let mid = section.attribute("mid")?;
        offered.iter().position(|offered| offered.mid == mid)
    };
    let mut places: Vec<_> = description.sections.iter().filter_map(place).collect();
    places.sort_unstable();
    places.dedup();
    if places.len() == offered.len() {
        description.sections.sort_by_key(place);
    }
}

/// Takes out payload types that were not offered, with all that is said of them.
fn keep_offered_formats(section: &mut Section, offered: &OfferedSection) {
    let is_offered = |format: &str| offered.formats.iter().any(|offered| offered == format);
    section.formats.retain(|format| is_offered(format));
    section.lines.retain(|line| {
        let about = ["rtpmap", "fmtp", "rtcp-fb"]
            .iter()
            .find_map(|name| attribute(line, name));
        match about.and_then(|value| value.split_ascii_whitespace().next()) {
            Some(format) => format == "*" || is_offered(format),
            None => true,
        }
    });
}

fn complete(
    section: &mut Section,
    offered: &OfferedSection,
    session: &Description,
) -> Result<(), SdpError> {
    for name in ["ice-ufrag", "ice-pwd"] {
        let value = section.attribute(name).or(session.attribute(name));
        match value.filter(|value| !value.is_empty()).map(str::to_owned) {
            Some(value) => section.set(name, &value),
            None => return Err(SdpError::NoIceCredentials),
        }
    }
    if section.attribute("fingerprint").is_none() {
        let lines = session.attributes("fingerprint");
        section
            .lines
            .extend(lines.map(|value| format!("a=fingerprint:{value}")));
    }
    let setup = section.attribute("setup").or(session.attribute("setup"));
    // An answer has to choose; whatever else stands there is no choice.
    let setup = match setup {
        Some("passive") => "passive",
        _ => SILENT_SETUP,
    };
    section.set("setup", setup);
    section.set("mid", &offered.mid);
    Ok(())
}
