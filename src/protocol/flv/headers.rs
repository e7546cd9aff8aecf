// SPDX-License-Identifier: MPL-2.0

//! What a stream is understood by: its metadata and the configuration of its decoders, each the last of
//! its kind, for whoever begins in the middle.

use super::{
    Tag, TagKind,
    head::{AudioPacket, VideoPacket},
};

/// Most headers to keep: metadata, and two for each of some tracks.
const KEPT: usize = 32;

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(Kind, Tag)>);

/// What a header is about, in the order in which they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Metadata,
    Video { track: u8, colors: bool },
    Audio { track: u8, channels: bool },
}

impl Headers {
    /// Keeps a tag if it is a header, in the place of the one before; `false` if it is none.
    pub fn keep(&mut self, tag: &Tag) -> bool {
        let Some(kind) = kind_of(tag) else {
            return false;
        };
        let known = self.0.iter_mut().find(|(known, _)| *known == kind);
        if let Some((_, known)) = known {
            *known = tag.clone();
        } else if self.0.len() < KEPT {
            self.0.push((kind, tag.clone()));
            self.0.sort_by_key(|(kind, _)| *kind);
        }
        true
    }

    /// All of them, metadata first, with this timestamp: some players take the first for the beginning.
    pub fn at(&self, timestamp: u32) -> impl Iterator<Item = Tag> {
        self.0.iter().map(move |(_, tag)| tag.clone().at(timestamp))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn kind_of(tag: &Tag) -> Option<Kind> {
    const METADATA: &[u8] = b"\x02\x00\x0aonMetaData";
    match tag.kind() {
        TagKind::Data => tag.body().starts_with(METADATA).then_some(Kind::Metadata),
        TagKind::DataAmf3 => None,
        TagKind::Video => {
            let head = tag.video_head()?;
            let colors = match head.packet {
                VideoPacket::SequenceStart | VideoPacket::Mpeg2TsSequenceStart => false,
                VideoPacket::Metadata => true,
                _ => return None,
            };
            let track = head.track.map_or(0, |track| track.id);
            Some(Kind::Video { track, colors })
        }
        TagKind::Audio => {
            let head = tag.audio_head()?;
            let channels = match head.packet {
                AudioPacket::SequenceStart => false,
                AudioPacket::MultichannelConfig => true,
                _ => return None,
            };
            let track = head.track.map_or(0, |track| track.id);
            Some(Kind::Audio { track, channels })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(kind: TagKind, body: &[u8]) -> Tag {
        Tag::new(kind, 0, body).unwrap()
    }

    #[test]
    fn the_last_of_each_kind_is_kept_in_order() {
        let mut headers = Headers::default();
        let audio = tag(TagKind::Audio, &[0xaf, 0, 1]);
        let old = tag(TagKind::Video, &[0x17, 0, 0, 0, 0, 1]);
        let new = tag(TagKind::Video, &[0x17, 0, 0, 0, 0, 2]);
        let metadata = tag(TagKind::Data, b"\x02\x00\x0aonMetaData\x05");
        for header in [&audio, &old, &metadata, &new] {
            assert!(headers.keep(header));
        }
        for other in [
            tag(TagKind::Audio, &[0xaf, 1, 1]),
            tag(TagKind::Video, &[0x17, 1, 0, 0, 0, 1]),
            tag(TagKind::Data, b"\x02\x00\x0aonCuePoint\x05"),
        ] {
            assert!(!headers.keep(&other));
        }
        let all: Vec<Tag> = headers.at(70).collect();
        assert_eq!(all, [metadata.at(70), new.at(70), audio.at(70)]);
    }

    #[test]
    fn a_peer_cannot_make_it_keep_more_and_more() {
        let mut headers = Headers::default();
        for track in 0..=255 {
            headers.keep(&tag(
                TagKind::Video,
                &[0x96, 0x00, b'a', b'v', b'c', b'1', track, 1],
            ));
        }
        assert!(headers.0.len() <= KEPT);
    }
}
