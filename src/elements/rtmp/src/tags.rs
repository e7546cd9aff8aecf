// SPDX-License-Identifier: MPL-2.0

//! Tags as buffers.

use gst::{BufferFlags, ClockTime};

use super::timeline::Lane;
use crate::protocol::flv::{Tag, TagKind, head::VideoPacket};

/// The file header (Adobe FLV 10.1, Annex E.2): version 1, sound and pictures, nine bytes, and the
/// back-pointer of no tag. Which of the two there is nobody knows yet.
const FILE_HEADER: [u8; 13] = *b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00";

/// What the head of a tag's body tells a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Face {
    pub(super) lane: Lane,
    delta: bool,
    /// PTS minus DTS, ms.
    composition: i64,
}

impl Face {
    pub(super) fn of(tag: &Tag) -> Self {
        let mut face = Self {
            lane: Lane::Sound,
            delta: false,
            composition: 0,
        };
        match tag.kind() {
            TagKind::Data | TagKind::DataAmf3 => face.lane = Lane::Aside,
            TagKind::Audio => {
                if tag.is_sequence_header() {
                    face.lane = Lane::Aside;
                }
            }
            TagKind::Video => {
                face.lane = Lane::Picture;
                if let Some(head) = tag.video_head() {
                    face.delta = head.packet == VideoPacket::CodedFrames && !head.is_keyframe();
                    face.composition = head.composition_time.into();
                    if matches!(
                        head.packet,
                        VideoPacket::SequenceStart | VideoPacket::Mpeg2TsSequenceStart
                    ) {
                        face.lane = Lane::Aside;
                    }
                }
            }
        }
        face
    }

    /// The tag as it came, in a buffer that shares its bytes.
    pub(super) fn buffer(self, tag: Tag, dts: ClockTime) -> gst::Buffer {
        // A picture before the beginning of time cannot be told from one at it.
        let pts = dts.mseconds().saturating_add_signed(self.composition);
        let mut buffer = gst::Buffer::from_slice(tag.into_flv());
        let fields = buffer.make_mut();
        fields.set_dts(dts);
        fields.set_pts(ClockTime::from_mseconds(pts));
        if self.delta {
            fields.set_flags(BufferFlags::DELTA_UNIT);
        }
        buffer
    }
}

/// What goes before the first tag.
pub(super) fn file_header(dts: ClockTime) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(FILE_HEADER);
    let fields = buffer.make_mut();
    fields.set_dts(dts);
    fields.set_pts(dts);
    // By the offset flvdemux knows a header, also after a flush.
    fields.set_offset(0);
    fields.set_flags(BufferFlags::HEADER);
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(kind: TagKind, body: &[u8], dts: u64) -> gst::Buffer {
        let _ = gst::init();
        let tag = Tag::new(kind, 0, body).unwrap();
        Face::of(&tag).buffer(tag, ClockTime::from_mseconds(dts))
    }

    #[test]
    fn composition_times_are_signed() {
        for (composition, dts, pts) in [
            ([0, 0, 80], 1000, 1080),
            ([0xff, 0xff, 0xd8], 1000, 960),
            ([0xff, 0xff, 0xd8], 10, 0),
        ] {
            let body = [&[0x27, 1][..], &composition, &[0]].concat();
            let buffer = buffer(TagKind::Video, &body, dts);
            assert_eq!(buffer.dts(), Some(ClockTime::from_mseconds(dts)));
            assert_eq!(buffer.pts(), Some(ClockTime::from_mseconds(pts)));
        }
    }

    #[test]
    fn only_pictures_that_need_others_are_deltas() {
        for (kind, body, delta) in [
            (TagKind::Video, &[0x17, 1, 0, 0, 0, 9][..], false),
            (TagKind::Video, &[0x27, 1, 0, 0, 0, 9], true),
            (TagKind::Video, &[0x17, 0, 0, 0, 0, 9], false),
            (TagKind::Video, &[0x17, 2, 0, 0, 0], false),
            (TagKind::Video, &[], false),
            (TagKind::Audio, &[0xaf, 1, 9], false),
            (TagKind::Audio, &[], false),
            (TagKind::Data, b"\x02\x00\x01a", false),
        ] {
            let flags = buffer(kind, body, 0).flags();
            assert_eq!(flags.contains(BufferFlags::DELTA_UNIT), delta, "{body:x?}");
        }
    }

    #[test]
    fn configuration_goes_aside() {
        for (kind, body, lane) in [
            (TagKind::Video, &[0x17, 0, 0, 0, 0][..], Lane::Aside),
            (TagKind::Video, &[0x17, 1, 0, 0, 0], Lane::Picture),
            (TagKind::Video, &[0x17, 2, 0, 0, 0], Lane::Picture),
            (TagKind::Audio, &[0xaf, 0, 0x12, 0x10], Lane::Aside),
            (TagKind::Audio, &[0xaf, 1], Lane::Sound),
            (TagKind::Audio, &[], Lane::Sound),
            (TagKind::Data, &[], Lane::Aside),
        ] {
            let tag = Tag::new(kind, 0, body).unwrap();
            assert_eq!(Face::of(&tag).lane, lane, "{body:x?}");
        }
    }
}
