// SPDX-License-Identifier: MPL-2.0

//! What stands before the first Cluster.

use bytes::Bytes;

use super::{
    TRACKS,
    ebml::{self, id},
};

/// Everything that a player needs before the first block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// EBML header, Segment of unknown size, Info, Tracks and Tags. Without what points into a file or
    /// says how long it is.
    pub bytes: Bytes,
    /// `webm`, or `matroska`.
    pub doc_type: String,
    /// Nanoseconds of a tick of the time codes, at least 1; 1 000 000 unless the muxer says otherwise.
    pub scale: u64,
    /// Its tracks.
    pub(super) tracks: Vec<Track>,
}

/// A track, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) number: u64,
    pub(super) video: bool,
    pub(super) audio: bool,
    pub(super) codec: String,
    /// What a decoder is set up with.
    private: Bytes,
}

impl Track {
    /// Whether frames come in the order they are shown in: those of WebM's codecs do, while H.264 and
    /// HEVC may show a frame before one that comes before it.
    pub(super) fn ordered(&self) -> bool {
        self.audio || ["V_VP8", "V_VP9", "V_AV1"].contains(&self.codec.as_str())
    }
}

impl Header {
    /// Whether there is a picture.
    pub fn has_video(&self) -> bool {
        self.tracks.iter().any(|track| track.video)
    }

    /// Whether a player that was given this header can go on with blocks behind another.
    pub fn fits(&self, other: &Self) -> bool {
        self.tracks == other.tracks && self.scale == other.scale
    }

    /// The media type, without codecs.
    pub fn content_type(&self) -> &'static str {
        match (self.doc_type.as_str(), self.has_video()) {
            ("webm", true) => "video/webm",
            ("webm", false) => "audio/webm",
            (_, true) => "video/x-matroska",
            (_, false) => "audio/x-matroska",
        }
    }

    /// The media type with codecs (RFC 6381), as Media Source Extensions want it.
    pub fn media_type(&self) -> String {
        let codecs: Vec<_> = self.tracks.iter().filter_map(codec).collect();
        format!("{}; codecs=\"{}\"", self.content_type(), codecs.join(","))
    }

    /// The track that key frames are looked for on: the first with a picture.
    pub(super) fn leader(&self) -> Option<u64> {
        self.tracks.iter().find(|t| t.video).map(|t| t.number)
    }
}

/// A codec's name in a media type.
fn codec(track: &Track) -> Option<String> {
    Some(match track.codec.as_str() {
        "V_VP8" => "vp8".to_owned(),
        "V_VP9" => "vp9".to_owned(),
        "V_AV1" => av1(&track.private),
        "A_OPUS" => "opus".to_owned(),
        "A_VORBIS" => "vorbis".to_owned(),
        _ => return None,
    })
}

/// Profile, level, tier and depth from an AV1CodecConfigurationRecord (AV1-ISOBMFF section 2.3), main
/// profile at level 4.0 where there is none.
fn av1(record: &[u8]) -> String {
    let [_, second, third, ..] = record else {
        return "av01.0.08M.08".to_owned();
    };
    let (profile, level) = (second >> 5, second & 0x1F);
    let tier = if third & 0x80 == 0 { 'M' } else { 'H' };
    let depth = match third & 0x60 {
        0x60 => 12,
        0x40 => 10,
        _ => 8,
    };
    format!("av01.{profile}.{level:02}{tier}.{depth:02}")
}

/// A header that is being put together, element by element.
#[derive(Debug, Default)]
pub(super) struct Draft {
    bytes: Vec<u8>,
    doc_type: String,
    scale: u64,
    tracks: Vec<Track>,
}

impl Draft {
    /// Takes the EBML header, whole.
    pub(super) fn ebml(content: &[u8], whole: &[u8]) -> Self {
        let doc_type = ebml::children(content)
            .find(|child| child.id == id::DOC_TYPE)
            .map(|child| ebml::string(child.content));
        Self {
            bytes: whole.to_vec(),
            doc_type: doc_type.unwrap_or_else(|| "matroska".to_owned()),
            scale: 1_000_000,
            tracks: Vec::new(),
        }
    }

    /// The Segment begins; however long it claims to be, it will not end.
    pub(super) fn segment(&mut self) {
        self.bytes.extend(id::SEGMENT.to_be_bytes());
        self.bytes.extend(UNKNOWN);
    }

    /// Takes Info, Tracks or Tags.
    pub(super) fn element(&mut self, element: u32, content: &[u8], whole: &[u8]) {
        match element {
            id::INFO => {
                let mut kept: Vec<u8> = Vec::with_capacity(content.len());
                for child in ebml::children(content) {
                    match child.id {
                        // Of the file that this would have been.
                        id::DURATION | id::VOID | id::CRC32 => continue,
                        id::TIMESTAMP_SCALE => {
                            let scale = ebml::unsigned(child.content).unwrap_or_default();
                            self.scale = scale.max(1);
                        }
                        _ => {}
                    }
                    kept.extend(child.whole);
                }
                ebml::put_head(&mut self.bytes, id::INFO, kept.len() as u64);
                self.bytes.extend(kept);
            }
            id::TRACKS => {
                let entries = ebml::children(content).filter(|c| c.id == id::TRACK_ENTRY);
                self.tracks = entries
                    .take(TRACKS)
                    .filter_map(|c| track(c.content))
                    .collect();
                self.bytes.extend(whole);
            }
            _ => self.bytes.extend(whole),
        }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The header, if there is anything to play.
    pub(super) fn finish(self) -> Option<Header> {
        (!self.tracks.is_empty()).then(|| Header {
            bytes: self.bytes.into(),
            doc_type: self.doc_type,
            scale: self.scale,
            tracks: self.tracks,
        })
    }
}

/// A size of eight bytes that is unknown.
pub(super) const UNKNOWN: [u8; 8] = [0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];

fn track(entry: &[u8]) -> Option<Track> {
    let find = |id| {
        ebml::children(entry)
            .find(|c| c.id == id)
            .map(|c| c.content)
    };
    let kind = ebml::unsigned(find(id::TRACK_TYPE)?)?;
    Some(Track {
        number: ebml::unsigned(find(id::TRACK_NUMBER)?)?,
        video: kind == 1,
        audio: kind == 2,
        codec: ebml::string(find(id::CODEC_ID)?),
        private: Bytes::copy_from_slice(find(id::CODEC_PRIVATE).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_av1_record_names_profile_and_level() {
        assert_eq!(av1(&[0x81, 0x08, 0x0C, 0x00]), "av01.0.08M.08");
        assert_eq!(av1(&[0x81, 0x2D, 0xC0, 0x00]), "av01.1.13H.10");
        assert_eq!(av1(&[]), "av01.0.08M.08");
    }
}
