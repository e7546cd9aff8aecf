// SPDX-License-Identifier: MPL-2.0

//! Session descriptions (RFC 8866) as such servers write them, made into what WebRTC demands.
//!
//! - [`Offer`]: a description of ours, as it is sent;
//! - [`Answer`]: the server's, with what it left out put in;
//! - [`Fingerprint`]: what a peer's certificate has to hash to.
//!
//! This knows lines and sections. What codecs and candidates mean is the business of whoever is
//! given the description.

mod answer;
mod fingerprint;
mod lines;
mod offer;
#[cfg(test)]
mod tests;

pub use answer::Answer;
pub use fingerprint::{Fingerprint, certificate_der};
pub use offer::{Offer, OfferedSection};

/// Why an answer cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// Longer than a description may be.
    #[error("the description is {0} bytes long, which is too long")]
    TooLong(usize),
    /// More sections or candidates than a description may have.
    #[error("the description has too many {0}")]
    TooMany(&'static str),
    /// It is no description, or one of nothing.
    #[error("the description has no media")]
    NoMedia,
    /// It answers something else than what was offered.
    #[error("the answer has {answered} media where {offered} were offered")]
    Sections {
        /// Sections of the offer.
        offered: usize,
        /// Sections of the answer.
        answered: usize,
    },
    /// Sound is answered with video, or the like.
    #[error("the answer has {answered} where {offered} was offered")]
    Kind {
        /// Kind of media in the offer.
        offered: String,
        /// Kind of media in the answer.
        answered: String,
    },
    /// The server takes some of what was offered and not this; it can be offered again without.
    #[error("the server does not take {}", .0.join(" and "))]
    Rejected(Vec<String>),
    /// The server takes nothing of what was offered.
    #[error("No common codecs")]
    NoCommonCodecs,
    /// A section without a fingerprint: whose media that would be cannot be told.
    #[error("the answer has no fingerprint of the server's certificate")]
    NoFingerprint,
    /// A fingerprint of a kind that proves nothing, or of none that is known.
    #[error("the fingerprint of the server's certificate cannot be used: {0}")]
    Fingerprint(String),
    /// A section without `ice-ufrag` and `ice-pwd`.
    #[error("the answer has no ICE credentials")]
    NoIceCredentials,
}
