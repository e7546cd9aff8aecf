// SPDX-License-Identifier: MPL-2.0

//! What a stream asks of whoever receives it beyond classic FLV.

use super::{
    AudioHead, Tag, TagKind, VideoHead,
    head::{Codec, FourCc, Track},
};

/// Codecs of one kind that are kept; there are six in Enhanced RTMP v2.
const KEPT: usize = 16;

/// See the module's text. Empty of a stream that classic FLV can carry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Codecs of pictures in enhanced form.
    pub video: Vec<FourCc>,
    /// Codecs of sound in enhanced form.
    pub audio: Vec<FourCc>,
    /// There are messages with tracks.
    pub multitrack: bool,
    /// There are heads with modifiers (`ModEx`).
    pub mod_ex: bool,
}

impl Needs {
    /// Whether classic FLV is all that it takes.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes in what a tag needs; true if that is new.
    pub fn learn(&mut self, tag: &Tag) -> bool {
        const MOD_EX: u8 = 7;
        let body = tag.body();
        let Some(&first) = body.first() else {
            return false;
        };
        let mut news = false;
        let mut add = |known: &mut Vec<FourCc>, codec: Option<Codec>, track: Option<Track>| {
            if let Some(Codec::FourCc(codec)) = codec
                && !known.contains(&codec)
                && known.len() < KEPT
            {
                known.push(codec);
                news = true;
            }
            if track.is_some() && !self.multitrack {
                self.multitrack = true;
                news = true;
            }
        };
        match tag.kind() {
            TagKind::Video if first & 0x80 != 0 => {
                for head in VideoHead::packets(body).flatten() {
                    add(&mut self.video, head.codec, head.track);
                }
            }
            TagKind::Audio if first >> 4 == 9 => {
                for head in AudioHead::packets(body).flatten() {
                    add(&mut self.audio, head.codec, head.track);
                }
            }
            _ => return false,
        }
        if first & 0x0f == MOD_EX && !self.mod_ex {
            self.mod_ex = true;
            news = true;
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_classic_flv_carries_needs_nothing() {
        let mut needs = Needs::default();
        for (kind, body) in [
            (TagKind::Video, &b"\x17\x00\0\0\0\x01"[..]),
            (TagKind::Video, b""),
            (TagKind::Audio, b"\xaf\x01\x09"),
            (TagKind::Audio, b""),
            (TagKind::Data, b"\x93hvc1"),
        ] {
            assert!(!needs.learn(&Tag::new(kind, 0, body).unwrap()), "{body:?}");
        }
        assert!(needs.is_empty());
    }

    #[test]
    fn each_need_is_news_once() {
        let mut needs = Needs::default();
        for (kind, body) in [
            (TagKind::Video, &b"\x90hvc1\x01"[..]),
            (TagKind::Audio, b"\x91Opus\x01"),
            // A key frame of AV1 in track 1.
            (TagKind::Video, b"\x96\x01av01\x01\x02"),
            // 500 000 ns behind its timestamp.
            (TagKind::Audio, b"\x97\x02\x07\xa1\x20\x01Opus\x02"),
        ] {
            let tag = Tag::new(kind, 0, body).unwrap();
            assert!(needs.learn(&tag), "{body:?}");
            assert!(!needs.learn(&tag), "{body:?}");
        }
        let expected = Needs {
            video: vec![FourCc::HVC1, FourCc::AV01],
            audio: vec![FourCc::OPUS],
            multitrack: true,
            mod_ex: true,
        };
        assert_eq!(needs, expected);
    }

    #[test]
    fn codecs_without_end_are_not_kept() {
        let mut needs = Needs::default();
        for n in 0..1000u32 {
            let body = [b"\x90", &n.to_be_bytes()[..]].concat();
            needs.learn(&Tag::new(TagKind::Video, 0, &body).unwrap());
        }
        assert_eq!(needs.video.len(), KEPT);
    }
}
