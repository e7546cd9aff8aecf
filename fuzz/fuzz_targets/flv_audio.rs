// SPDX-License-Identifier: MPL-2.0

//! Any bytes as the body of an audio tag: its packets lie in it one behind the other, and what can be
//! read, can be written so that it reads the same.
#![no_main]

use bytes::BytesMut;
use gstrtmp::protocol::flv::{
    AudioHead,
    channels::MultichannelConfig,
    codec::{flac::StreamInfo, sound},
    head::{AudioPacket, MultitrackType},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let mut last = 0;
    for head in AudioHead::packets(body).flatten() {
        assert!(last <= head.payload && head.payload <= head.end && head.end <= body.len());
        last = head.end;
        let data = &body[head.payload..head.end];
        if let Some(config) = MultichannelConfig::parse(data) {
            let mut out = BytesMut::new();
            config.write(&mut out);
            assert_eq!(MultichannelConfig::parse(&out), Some(config));
        }
        if let Some(info) = StreamInfo::parse(data) {
            assert_eq!(StreamInfo::parse(&info.config()), Some(info));
        }
        let _ = (sound::ac3(data), sound::mp3(data));

        // Packet types that mean more tracks, or modifiers, have no meaning here.
        if matches!(head.packet, AudioPacket::Reserved(5 | 7)) {
            continue;
        }
        let mut expected = head;
        if let Some(track) = &mut expected.track {
            track.kind = MultitrackType::OneTrack;
        }
        let mut out = BytesMut::new();
        head.write(&mut out);
        (expected.payload, expected.end) = (out.len(), out.len() + data.len());
        out.extend_from_slice(data);
        if head.packet != AudioPacket::Silence {
            assert_eq!(AudioHead::packets(&out).next(), Some(Ok(expected)));
        }
    }
});
