// SPDX-License-Identifier: MPL-2.0

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::protocol::flv::tag::MAX_BODY;

fn video(body: &[u8]) -> VideoHead {
    VideoHead::parse(body).unwrap_or_else(|| panic!("{body:02x?}"))
}

fn audio(body: &[u8]) -> AudioHead {
    AudioHead::parse(body).unwrap_or_else(|| panic!("{body:02x?}"))
}

#[test]
fn video_heads() {
    use FrameType::{Disposable, Generated, Inter, Key};
    use VideoPacket::*;
    let avc = Some(Codec::Classic(7));
    let four = |four| Some(Codec::FourCc(four));
    type Row<'a> = (&'a [u8], FrameType, VideoPacket, Option<Codec>, i32, usize);
    let rows: &[Row] = &[
        (b"\x17\0\0\0\0\x01", Key, SequenceStart, avc, 0, 5),
        (b"\x17\0\x12\x34\x56\x01", Key, SequenceStart, avc, 0, 5),
        (b"\x17\x01\0\0\x50\0", Key, CodedFrames, avc, 80, 5),
        (b"\x27\x01\xff\xff\xd8\0", Inter, CodedFrames, avc, -40, 5),
        (
            b"\x37\x01\x80\0\0\0",
            Disposable,
            CodedFrames,
            avc,
            -0x80_0000,
            5,
        ),
        (
            b"\x27\x01\x7f\xff\xff",
            Inter,
            CodedFrames,
            avc,
            0x7f_ffff,
            5,
        ),
        (b"\x17\x02\0\0\0", Key, SequenceEnd, avc, 0, 5),
        (b"\x17\x02", Key, SequenceEnd, avc, 0, 2),
        (b"\x27\x01\xff\xff", Inter, CodedFrames, avc, 0, 4),
        (b"\x17\x09\0\0\x01", Key, Reserved(9), avc, 0, 5),
        (
            b"\x1c\x01\0\0\x01",
            Key,
            CodedFrames,
            Some(Codec::Classic(12)),
            1,
            5,
        ),
        (b"\x12\0", Key, CodedFrames, Some(Codec::Classic(2)), 0, 1),
        (
            b"\x42",
            Generated,
            CodedFrames,
            Some(Codec::Classic(2)),
            0,
            1,
        ),
        (
            b"\x52\x01junk",
            FrameType::Command,
            VideoPacket::Command(1),
            Some(Codec::Classic(2)),
            0,
            2,
        ),
        (
            b"\x57\0",
            FrameType::Command,
            VideoPacket::Command(0),
            avc,
            0,
            2,
        ),
        (
            b"\x07\x01\0\0\0",
            FrameType::Reserved(0),
            CodedFrames,
            avc,
            0,
            5,
        ),
        (
            b"\x90hvc1\x01",
            Key,
            SequenceStart,
            four(FourCc::HVC1),
            0,
            5,
        ),
        (
            b"\xa1hvc1\xff\xff\xff\0",
            Inter,
            CodedFrames,
            four(FourCc::HVC1),
            -1,
            8,
        ),
        (
            b"\xa1avc1\0\0\x21\0",
            Inter,
            CodedFrames,
            four(FourCc::AVC1),
            33,
            8,
        ),
        (
            b"\xa1vvc1\0\0\x21\0",
            Inter,
            CodedFrames,
            four(FourCc::VVC1),
            33,
            8,
        ),
        (
            b"\xa1av01\0\0\x21\0",
            Inter,
            CodedFrames,
            four(FourCc::AV01),
            0,
            5,
        ),
        (
            b"\xa3hvc1\0\0\x21\0",
            Inter,
            CodedFrames,
            four(FourCc::HVC1),
            0,
            5,
        ),
        (b"\x92hvc1", Key, SequenceEnd, four(FourCc::HVC1), 0, 5),
        (b"\x94av01\x02", Key, Metadata, four(FourCc::AV01), 0, 5),
        (
            b"\xd4av01\x02",
            FrameType::Command,
            Metadata,
            four(FourCc::AV01),
            0,
            5,
        ),
        (
            b"\x95av01\x01",
            Key,
            Mpeg2TsSequenceStart,
            four(FourCc::AV01),
            0,
            5,
        ),
        (
            b"\xd1\x01body",
            FrameType::Command,
            VideoPacket::Command(1),
            None,
            0,
            2,
        ),
        (
            b"\x98????",
            Key,
            VideoPacket::Reserved(8),
            four(FourCc(*b"????")),
            0,
            5,
        ),
    ];
    for &(body, frame, packet, codec, composition_time, payload) in rows {
        let expected = VideoHead {
            frame,
            packet,
            codec,
            track: None,
            composition_time,
            nanos: 0,
            payload,
            end: body.len(),
        };
        assert_eq!(video(body), expected, "{body:02x?}");
    }
}

#[test]
fn audio_heads() {
    use AudioPacket::*;
    let classic = |format, rate, bits, channels| {
        let sound = Sound {
            rate,
            bits,
            channels,
        };
        (Some(Codec::Classic(format)), Some(sound))
    };
    let four = |four| (Some(Codec::FourCc(four)), None);
    type Row<'a> = (&'a [u8], AudioPacket, (Option<Codec>, Option<Sound>), usize);
    let rows: &[Row] = &[
        (b"", Silence, (None, None), 0),
        (
            b"\xaf\0\x12\x10",
            SequenceStart,
            classic(10, 44_100, 16, 2),
            2,
        ),
        (b"\xaf\x01\x21", CodedFrames, classic(10, 44_100, 16, 2), 2),
        (b"\xaf\x02", Reserved(2), classic(10, 44_100, 16, 2), 2),
        (b"\x2a\xff", CodedFrames, classic(2, 22_050, 16, 1), 1),
        (b"\x31", CodedFrames, classic(3, 5_512, 8, 2), 1),
        (b"\x36", CodedFrames, classic(3, 11_025, 16, 1), 1),
        (b"\x4f", CodedFrames, classic(4, 16_000, 16, 1), 1),
        (b"\xb2", CodedFrames, classic(11, 16_000, 16, 1), 1),
        (b"\xef", CodedFrames, classic(14, 8_000, 16, 2), 1),
        (b"\x90OpusOpusHead", SequenceStart, four(FourCc::OPUS), 5),
        (b"\x91mp4a\x21", CodedFrames, four(FourCc::MP4A), 5),
        (b"\x92fLaC", SequenceEnd, four(FourCc::FLAC), 5),
        (
            b"\x94ac-3\x01\x06",
            MultichannelConfig,
            four(FourCc::AC_3),
            5,
        ),
        (b"\x93ec-3", Reserved(3), four(FourCc::EC_3), 5),
    ];
    for &(body, packet, (codec, sound), payload) in rows {
        let expected = AudioHead {
            packet,
            codec,
            sound,
            track: None,
            nanos: 0,
            payload,
            end: body.len(),
        };
        assert_eq!(audio(body), expected, "{body:02x?}");
    }
}

/// Bodies and how much of each is needed; a composition time may be missing.
#[test]
fn heads_cut_short_are_none() {
    for (body, needed) in [
        (b"\x27\x01\0\0\0".as_slice(), 2),
        (b"\x22", 1),
        (b"\x57\x01", 2),
        (b"\x91hvc1\0\0\0", 5),
        (b"\xd1\x01", 2),
        (b"\xa7\x02\x0f\x42\x3f\x01hvc1", 10),
        (b"\x96\x00hvc1\x01", 7),
        (b"\x96\x20hvc1\x01\0\0\x01x", 10),
    ] {
        for len in 0..=body.len() {
            let found = VideoHead::parse(&body[..len]).is_some();
            assert_eq!(found, len >= needed, "{:02x?}", &body[..len]);
        }
    }
    for body in [
        b"\x91Opus".as_slice(),
        b"\x95\x01Opus\x01",
        b"\x95\x11Opus\x01\0\0\x01",
        b"\xaf\x01",
    ] {
        assert!(AudioHead::parse(body).is_some());
        for len in 1..body.len() {
            assert_eq!(
                AudioHead::parse(&body[..len]),
                None,
                "{:02x?}",
                &body[..len]
            );
        }
    }
}

#[test]
fn modifiers_shift_the_time() {
    let head = video(b"\xa7\x02\x0f\x42\x3f\x01hvc1\0\0\x05x");
    assert_eq!(
        (head.nanos, head.composition_time, head.payload),
        (999_999, 5, 13)
    );
    assert_eq!(
        video(b"\xa7\x02\x0f\x42\x40\x01hvc1").nanos,
        0,
        "out of range"
    );
    assert_eq!(video(b"\xa7\x01\0\x07\x01hvc1").nanos, 0, "too short");
    assert_eq!(video(b"\xa7\x02\0\0\x07\x11hvc1").nanos, 0, "unknown type");
    assert_eq!(
        video(b"\xa7\x02\0\0\x07\x07\x02\0\0\x08\x03hvc1").nanos,
        8,
        "twice"
    );
    let head = audio(b"\x97\x02\0\0\x09\x01Opus");
    assert_eq!((head.nanos, head.packet), (9, AudioPacket::CodedFrames));

    // The long size, at both its ends.
    for size in [1usize, 257, 0x1_0000] {
        let mut body = vec![0xa7, 0xff];
        body.extend(((size - 1) as u16).to_be_bytes());
        body.extend(vec![0; size]);
        body.extend(b"\x01hvc1\0\0\x05");
        assert_eq!(video(&body).payload, body.len());
        body.truncate(3 + size);
        assert_eq!(VideoHead::parse(&body), None);
    }
}

#[test]
fn ten_thousand_modifiers_are_one_pass() {
    let mut body = vec![0xa7];
    for n in 0..10_000u16 {
        let [n1, n0] = n.to_be_bytes();
        body.extend([2, 0, n1, n0, 0x07]);
    }
    assert_eq!(VideoHead::parse(&body), None);
    *body.last_mut().unwrap() = 0x01;
    body.extend(b"hvc1\0\0\0");
    assert_eq!(video(&body).nanos, 9_999);
}

#[test]
fn the_first_of_several_tracks() {
    let track = |kind, id| Some(Track { kind, id });
    let head = video(b"\x96\x01hvc1\x05\0\0\x07x");
    assert_eq!(head.track, track(MultitrackType::OneTrack, 5));
    assert_eq!((head.composition_time, head.payload), (7, 10));
    assert!(head.is_keyframe());

    let head = video(b"\xa6\x11avc1\x02\0\0\x04\0\0\x07x\x03\0\0\x01y");
    assert_eq!(head.track, track(MultitrackType::ManyTracks, 2));
    assert_eq!((head.composition_time, head.payload), (7, 13));

    let head = audio(b"\x95\x20Opus\x02\0\0\x01x");
    assert_eq!(head.track, track(MultitrackType::ManyTracksManyCodecs, 2));
    assert_eq!(head.packet, AudioPacket::SequenceStart);

    // A size of 0, or past the end; the time is not read from the next track.
    let head = video(b"\xa6\x11avc1\x02\0\0\0\x03\0\0\x01y");
    assert_eq!((head.composition_time, head.payload), (0, 10));
    let head = video(b"\xa6\x11avc1\x02\xff\xff\xff\0\0\x07");
    assert_eq!((head.composition_time, head.payload), (7, 13));

    // Multitrack or modifiers inside multitrack mean nothing.
    assert_eq!(video(b"\x96\x06avc1\0").packet, VideoPacket::Reserved(6));
    assert_eq!(video(b"\x96\x07avc1\0").packet, VideoPacket::Reserved(7));
    assert_eq!(audio(b"\x95\x05Opus\0").packet, AudioPacket::Reserved(5));
    assert_eq!(VideoHead::parse(b"\x96\x31avc1\0\0\0\0"), None);
}

#[test]
fn tags_tell_what_they_are() {
    let flags = |kind, body: &[u8]| {
        let tag = Tag::new(kind, 0, body).unwrap();
        [
            tag.is_keyframe(),
            tag.is_sequence_header(),
            tag.is_sequence_end(),
            tag.is_disposable(),
            tag.is_droppable(),
        ]
        .map(u8::from)
    };
    use TagKind::*;
    for (kind, body, expected) in [
        (Video, b"\x17\0\0\0\0".as_slice(), [0, 1, 0, 0, 0]),
        (Video, b"\x17\x01\0\0\0", [1, 0, 0, 0, 1]),
        (Video, b"\x27\x01\0\0\0", [0, 0, 0, 0, 1]),
        (Video, b"\x37\x01\0\0\0", [0, 0, 0, 1, 1]),
        (Video, b"\x17\x02\0\0\0", [0, 0, 1, 0, 0]),
        (Video, b"\x42", [1, 0, 0, 0, 1]),
        (Video, b"\x95av01", [0, 1, 0, 0, 0]),
        (Video, b"\x94hvc1", [0, 0, 0, 0, 0]),
        (Video, b"\x92hvc1", [0, 0, 1, 0, 0]),
        (Video, b"\x52\0", [0, 0, 0, 0, 0]),
        (Video, b"", [0, 0, 0, 0, 0]),
        (Audio, b"", [0, 0, 0, 0, 0]),
        (Audio, b"\xaf\0", [0, 1, 0, 0, 0]),
        (Audio, b"\xaf\x01", [0, 0, 0, 1, 1]),
        (Audio, b"\x94Opus", [0, 1, 0, 0, 0]),
        (Audio, b"\x92Opus", [0, 0, 1, 0, 0]),
        (Data, b"\x17\x01\0\0\0", [0, 0, 0, 0, 0]),
        (DataAmf3, b"\xaf\x01", [0, 0, 0, 0, 0]),
    ] {
        assert_eq!(flags(kind, body), expected, "{kind:?} {body:02x?}");
    }
    let tag = Tag::new(Video, 0, b"\x27\x01\xff\xff\xd8").unwrap();
    assert_eq!(tag.composition_time(), -40);
}

proptest! {
    #[test]
    fn any_body_is_answered(first in any::<u8>(), rest in prop::collection::vec(any::<u8>(), 0..40)) {
        let body = [&[first], rest.as_slice()].concat();
        if let Some(head) = VideoHead::parse(&body) {
            prop_assert!(head.payload <= body.len() && head.nanos < 1_000_000);
            prop_assert!((-0x80_0000..0x80_0000).contains(&head.composition_time));
        }
        if let Some(head) = AudioHead::parse(&body) {
            prop_assert!(head.payload <= body.len() && head.nanos < 1_000_000);
        }
    }
}

fn many<'a>(kind: MultitrackType, tracks: &[TrackData<'a>], packet: VideoPacket) -> Vec<u8> {
    let mut out = BytesMut::new();
    assert!(write_video_tracks(
        FrameType::Inter,
        packet,
        7,
        kind,
        tracks,
        &mut out
    ));
    out.to_vec()
}

#[test]
fn every_track_of_a_message() {
    let track = |codec, id, composition_time, data: &'static [u8]| TrackData {
        codec,
        id,
        composition_time,
        data,
    };
    let one_codec = [
        track(FourCc::AVC1, 0, 40, b"first"),
        track(FourCc::AVC1, 3, 0, b""),
        track(FourCc::AVC1, 255, -40, b"third"),
    ];
    let codecs = [
        track(FourCc::HVC1, 1, 80, b"first"),
        track(FourCc::AV01, 2, 0, b"second"),
    ];
    use MultitrackType::{ManyTracks, ManyTracksManyCodecs};
    for (asked, written, tracks) in [
        (ManyTracks, ManyTracks, &one_codec[..]),
        (ManyTracksManyCodecs, ManyTracksManyCodecs, &one_codec),
        (ManyTracks, ManyTracksManyCodecs, &codecs),
        (ManyTracksManyCodecs, ManyTracksManyCodecs, &codecs),
    ] {
        let body = many(asked, tracks, VideoPacket::CodedFrames);
        let heads: Vec<_> = VideoHead::packets(&body).map(Result::unwrap).collect();
        assert_eq!(heads.len(), tracks.len());
        for (head, track) in heads.iter().zip(tracks) {
            let id = track.id;
            assert_eq!(head.track, Some(Track { kind: written, id }));
            assert_eq!(head.codec, Some(Codec::FourCc(track.codec)));
            assert_eq!(head.composition_time, track.composition_time);
            assert_eq!((head.frame, head.nanos), (FrameType::Inter, 7));
            assert_eq!(&body[head.payload..head.end], track.data);
        }
        // Cut anywhere, the tracks before the cut are whole and the one that is cut is none.
        for len in 0..body.len() {
            let mut whole = 0;
            for head in VideoHead::packets(&body[..len]) {
                match head {
                    Ok(head) => {
                        assert_eq!(head.end, heads[whole].end);
                        whole += 1;
                    }
                    Err(HeadError::Truncated | HeadError::TrackSize) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(whole < heads.len());
        }
    }
}

#[test]
fn times_of_zero_are_left_out_where_all_are() {
    let track = |codec| TrackData {
        codec,
        id: 1,
        composition_time: 0,
        data: b"x",
    };
    let type_of = |tracks: &[TrackData<'_>]| {
        many(MultitrackType::ManyTracks, tracks, VideoPacket::CodedFrames)[6] & 0x0f
    };
    assert_eq!(type_of(&[track(FourCc::AVC1), track(FourCc::HVC1)]), 3);
    assert_eq!(type_of(&[track(FourCc::AVC1), track(FourCc::AV01)]), 1);
    assert_eq!(type_of(&[track(FourCc::VP09)]), 1);
}

#[test]
fn tracks_that_no_message_can_hold_are_refused() {
    let mut out = BytesMut::new();
    let track = TrackData {
        codec: FourCc::OPUS,
        id: 0,
        composition_time: 0,
        data: b"",
    };
    let kind = MultitrackType::ManyTracks;
    let packet = AudioPacket::CodedFrames;
    assert!(!write_audio_tracks(packet, 0, kind, &[], &mut out));
    assert!(!write_audio_tracks(
        packet,
        0,
        kind,
        &[track; 257],
        &mut out
    ));
    let huge = vec![0; MAX_BODY];
    let huge = TrackData {
        data: &huge,
        ..track
    };
    assert!(!write_audio_tracks(packet, 0, kind, &[huge], &mut out));
    assert!(out.is_empty());
    assert!(write_audio_tracks(packet, 0, kind, &[track; 256], &mut out));
    assert_eq!(AudioHead::packets(&out).filter(Result::is_ok).count(), 256);
    out.put_slice(b"\0\0\0\0");
    let error = AudioHead::packets(&out).last();
    assert_eq!(error, Some(Err(HeadError::TooManyTracks)));
}

#[test]
fn why_a_body_cannot_be_read() {
    let error = |body: &[u8]| VideoHead::packets(body).find_map(Result::err);
    assert_eq!(error(b""), Some(HeadError::Truncated));
    assert_eq!(error(b"\x96\x31avc1\0"), Some(HeadError::Multitrack(3)));
    assert_eq!(
        error(b"\xa6\x11av01\x02\0\0\x04abc"),
        Some(HeadError::TrackSize)
    );
    assert_eq!(
        error(b"\xa6\x11av01\x02\0\0\x01a\x03"),
        Some(HeadError::Truncated)
    );
    assert_eq!(error(b"\xa6\x11av01\x02\0\0\x01a"), None);
}

fn four_cc() -> impl Strategy<Value = FourCc> {
    prop::sample::select(vec![
        FourCc::VP08,
        FourCc::VP09,
        FourCc::AV01,
        FourCc::AVC1,
        FourCc::HVC1,
        FourCc::VVC1,
        FourCc::OPUS,
        FourCc(*b"new!"),
    ])
}

fn codec() -> impl Strategy<Value = Codec> {
    prop_oneof![
        four_cc().prop_map(Codec::FourCc),
        (0..16u8).prop_map(Codec::Classic),
    ]
}

fn one_track() -> impl Strategy<Value = Option<Track>> {
    prop::option::of(any::<u8>().prop_map(|id| Track {
        kind: MultitrackType::OneTrack,
        id,
    }))
}

proptest! {
    #[test]
    fn video_heads_come_back(
        frame in 0..8u8,
        packet in prop::sample::select(vec![
            VideoPacket::SequenceStart,
            VideoPacket::CodedFrames,
            VideoPacket::SequenceEnd,
            VideoPacket::Metadata,
            VideoPacket::Mpeg2TsSequenceStart,
            VideoPacket::Reserved(9),
            VideoPacket::Command(1),
        ]),
        codec in codec(),
        track in one_track(),
        composition_time in -0x80_0000..0x80_0000i32,
        nanos in 0..NANOS,
        data in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let command = matches!(packet, VideoPacket::Command(_));
        let mut frame = VideoHead::parse(&[frame << 4 | 2, 0]).unwrap().frame;
        if command {
            frame = FrameType::Command;
        } else if frame == FrameType::Command && packet != VideoPacket::Metadata {
            frame = FrameType::Key;
        }
        if track.is_some() && packet == VideoPacket::Metadata {
            frame = FrameType::Key;
        }
        let mut head = VideoHead {
            frame,
            packet,
            codec: Some(codec),
            track,
            composition_time,
            nanos,
            payload: 0,
            end: 0,
        };
        // What a head cannot say does not come back.
        let timed = match codec {
            Codec::Classic(number) => {
                if number != CLASSIC_AVC && number != CLASSIC_HEVC && !command {
                    head.packet = VideoPacket::CodedFrames;
                }
                if !command && matches!(head.packet, VideoPacket::Metadata | VideoPacket::Mpeg2TsSequenceStart) {
                    head.packet = VideoPacket::CodedFrames;
                }
                if frame == FrameType::Command && !command {
                    head.frame = FrameType::Key;
                }
                (head.track, head.nanos) = (None, 0);
                number == CLASSIC_AVC || number == CLASSIC_HEVC
            }
            Codec::FourCc(four_cc) => is_timed(four_cc),
        };
        if !timed || head.packet != VideoPacket::CodedFrames {
            head.composition_time = 0;
        }
        if command && matches!(codec, Codec::FourCc(_)) {
            (head.codec, head.track) = (None, None);
        }
        let mut body = BytesMut::new();
        head.write(&mut body);
        (head.payload, head.end) = (body.len(), body.len() + data.len());
        body.put_slice(&data);
        let heads: Vec<_> = VideoHead::packets(&body).collect();
        prop_assert_eq!(heads, vec![Ok(head)]);
    }

    #[test]
    fn audio_heads_come_back(
        packet in prop::sample::select(vec![
            AudioPacket::SequenceStart,
            AudioPacket::CodedFrames,
            AudioPacket::SequenceEnd,
            AudioPacket::MultichannelConfig,
            AudioPacket::Reserved(3),
        ]),
        codec in codec(),
        sound in 0..16u8,
        track in one_track(),
        nanos in 0..NANOS,
        data in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut head = AudioHead {
            packet,
            codec: Some(codec),
            sound: None,
            track,
            nanos,
            payload: 0,
            end: 0,
        };
        if let Codec::Classic(format) = codec {
            prop_assume!(format != EX_HEADER);
            head.sound = Some(Sound::classic(format, sound));
            (head.track, head.nanos) = (None, 0);
            if format != CLASSIC_AAC || !matches!(packet, AudioPacket::SequenceStart | AudioPacket::Reserved(_)) {
                head.packet = AudioPacket::CodedFrames;
            }
        }
        let mut body = BytesMut::new();
        head.write(&mut body);
        (head.payload, head.end) = (body.len(), body.len() + data.len());
        body.put_slice(&data);
        let heads: Vec<_> = AudioHead::packets(&body).collect();
        prop_assert_eq!(heads, vec![Ok(head)]);
    }

    #[test]
    fn heads_of_any_body_lie_in_it(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let mut last = 0;
        for head in VideoHead::packets(&body).flatten() {
            prop_assert!(last <= head.payload && head.payload <= head.end && head.end <= body.len());
            last = head.end;
        }
        let mut last = 0;
        for head in AudioHead::packets(&body).flatten() {
            prop_assert!(last <= head.payload && head.payload <= head.end && head.end <= body.len());
            last = head.end;
        }
    }
}
