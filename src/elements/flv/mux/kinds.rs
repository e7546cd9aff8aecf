// SPDX-License-Identifier: MPL-2.0

//! The enumerations that properties of flvmuxbridge take.

use crate::protocol::flv::head::MultitrackType;

/// The form in which a pad's tags are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstFlvMuxBridgeTrackMode")]
pub enum TrackMode {
    /// Classic where there is such a form.
    #[default]
    #[enum_value(
        name = "Classic FLV where the codec has such a form, else Enhanced RTMP",
        nick = "legacy"
    )]
    Legacy = 0,
    /// Enhanced RTMP, in no track.
    #[enum_value(name = "Enhanced RTMP, not in a track", nick = "non-multitrack")]
    NonMultitrack = 1,
    /// Enhanced RTMP, track 0.
    #[enum_value(name = "Enhanced RTMP, as track 0", nick = "multitrack")]
    Multitrack = 2,
}

/// How tracks of one time are put into messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstFlvMuxBridgeMultitrackType")]
pub enum MultitrackKind {
    /// What most receivers know.
    #[default]
    #[enum_value(name = "A message for each track", nick = "one-track")]
    OneTrack = 0,
    /// Fewer messages.
    #[enum_value(
        name = "A message for all tracks that have one codec",
        nick = "many-tracks"
    )]
    ManyTracks = 1,
    /// Fewest messages.
    #[enum_value(
        name = "A message for all tracks of pictures, and one for all of sound",
        nick = "many-tracks-many-codecs"
    )]
    ManyTracksManyCodecs = 2,
}

impl From<MultitrackKind> for MultitrackType {
    fn from(kind: MultitrackKind) -> Self {
        match kind {
            MultitrackKind::OneTrack => Self::OneTrack,
            MultitrackKind::ManyTracks => Self::ManyTracks,
            MultitrackKind::ManyTracksManyCodecs => Self::ManyTracksManyCodecs,
        }
    }
}
