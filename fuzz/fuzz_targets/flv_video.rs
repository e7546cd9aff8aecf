// SPDX-License-Identifier: MPL-2.0

//! Any bytes as the body of a video tag: its packets lie in it one behind the other, and what can be
//! read, can be written so that it reads the same.
#![no_main]

use bytes::{Bytes, BytesMut};
use gstrtmp::protocol::flv::{
    VideoHead,
    codec::{av1, vp::VpConfig},
    color::ColorInfo,
    head::{FrameType, MultitrackType, VideoPacket},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let mut last = 0;
    for head in VideoHead::packets(body).flatten() {
        assert!(last <= head.payload && head.payload <= head.end && head.end <= body.len());
        last = head.end;
        let data = &body[head.payload..head.end];
        let _ = ColorInfo::parse(&Bytes::copy_from_slice(data));
        let _ = (av1::record_of(data), av1::Av1Config::parse(data));
        let _ = (VpConfig::parse(data), VpConfig::of_vp8(data), VpConfig::of_vp9(data));

        let mut expected = head;
        if let Some(track) = &mut expected.track {
            track.kind = MultitrackType::OneTrack;
            if expected.packet == VideoPacket::Metadata {
                expected.frame = FrameType::Key;
            }
        }
        // Packet types that mean more tracks, or modifiers, have no meaning here.
        if matches!(head.packet, VideoPacket::Reserved(6 | 7)) {
            continue;
        }
        let mut out = BytesMut::new();
        head.write(&mut out);
        (expected.payload, expected.end) = (out.len(), out.len() + data.len());
        out.extend_from_slice(data);
        let again = VideoHead::packets(&out).next().expect("one").expect("ours is sound");
        assert_eq!((again.frame, again.packet), (expected.frame, expected.packet));
        assert_eq!((again.codec, again.track), (expected.codec, expected.track));
        assert_eq!(
            (again.composition_time, again.nanos),
            (expected.composition_time, expected.nanos)
        );
    }
    if let Some(head) = VideoHead::parse(body) {
        assert!(head.payload <= head.end && head.end <= body.len());
    }
});
