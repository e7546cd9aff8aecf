// SPDX-License-Identifier: MPL-2.0

//! Writes heads: what [`VideoHead::parse`] and its kin read.

use bytes::{BufMut, BytesMut};

use super::{
    AUDIO_MULTITRACK, AudioHead, AudioPacket, CLASSIC_AAC, CLASSIC_AVC, CLASSIC_HEVC, Codec,
    EX_HEADER, FourCc, FrameType, MOD_EX, MultitrackType, NANOS, Sound, TIMESTAMP_OFFSET_NANO,
    VIDEO_METADATA, VIDEO_MULTITRACK, VideoHead, VideoPacket, is_timed,
};
use crate::protocol::flv::{limits::TRACKS, tag::MAX_BODY};

/// One track of a message that holds several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrackData<'a> {
    /// The codec; the same of all tracks in [`MultitrackType::ManyTracks`].
    pub codec: FourCc,
    /// The track id.
    pub id: u8,
    /// As in [`VideoHead`]; of no meaning for sound.
    pub composition_time: i32,
    /// The codec's data.
    pub data: &'a [u8],
}

impl VideoHead {
    /// Appends the head, behind which the codec's data goes. Where `payload` and `end` are plays no
    /// part.
    ///
    /// A track is written as the only one of its message ([`MultitrackType::OneTrack`]);
    /// [`write_video_tracks`] writes several. Composition times outside of 24 bits are cut to their
    /// range, and where a head cannot express one (classic codecs but H.264, enhanced ones but H.264 to
    /// H.266) or a modifier (classic ones), it is left out.
    pub fn write(&self, out: &mut BytesMut) {
        let mut frame = self.frame.number() << 4;
        if self.packet == VideoPacket::Metadata && self.track.is_some() {
            // It has no meaning here, and as a command it would hide the track.
            frame = FrameType::Key.number() << 4;
        }
        let codec = match self.codec {
            Some(Codec::Classic(codec)) => {
                out.put_u8(frame | codec & 0x0f);
                if let VideoPacket::Command(command) = self.packet {
                    out.put_u8(command);
                } else if codec == CLASSIC_AVC || codec == CLASSIC_HEVC {
                    out.put_u8(match self.packet {
                        VideoPacket::SequenceStart => 0,
                        VideoPacket::SequenceEnd => 2,
                        VideoPacket::Reserved(other) => other,
                        _ => 1,
                    });
                    put_signed_24(self.composition_time, out);
                }
                return;
            }
            Some(Codec::FourCc(codec)) => Some(codec),
            None => None,
        };
        let timed = codec.is_some_and(is_timed) && self.composition_time != 0;
        let packet_type = video_packet_type(self.packet, codec.is_some_and(is_timed), timed);
        let outer = match self.track {
            Some(_) => VIDEO_MULTITRACK,
            None => packet_type,
        };
        put_modifiers(0x80 | frame, self.nanos, outer, out);
        if let VideoPacket::Command(command) = self.packet {
            out.put_u8(command);
            return;
        }
        if self.track.is_some() {
            out.put_u8(MultitrackType::OneTrack.number() << 4 | packet_type);
        }
        out.put_slice(&codec.unwrap_or(FourCc([0; 4])).0);
        if let Some(track) = self.track {
            out.put_u8(track.id);
        }
        if timed && self.packet == VideoPacket::CodedFrames {
            put_signed_24(self.composition_time, out);
        }
    }
}

impl AudioHead {
    /// Appends the head, behind which the codec's data goes. Where `payload` and `end` are plays no
    /// part. [`AudioPacket::Silence`] is nothing at all.
    ///
    /// A track is written as the only one of its message; [`write_audio_tracks`] writes several.
    pub fn write(&self, out: &mut BytesMut) {
        if self.packet == AudioPacket::Silence {
            return;
        }
        let codec = match self.codec {
            Some(Codec::Classic(format)) => {
                let sound = self.sound.unwrap_or(Sound::AAC);
                out.put_u8(format << 4 | sound.bits_of_head());
                if format == CLASSIC_AAC {
                    out.put_u8(match self.packet {
                        AudioPacket::SequenceStart => 0,
                        AudioPacket::Reserved(other) => other,
                        _ => 1,
                    });
                }
                return;
            }
            Some(Codec::FourCc(codec)) => codec,
            None => FourCc([0; 4]),
        };
        let packet_type = audio_packet_type(self.packet);
        let outer = match self.track {
            Some(_) => AUDIO_MULTITRACK,
            None => packet_type,
        };
        put_modifiers(EX_HEADER << 4, self.nanos, outer, out);
        if self.track.is_some() {
            out.put_u8(MultitrackType::OneTrack.number() << 4 | packet_type);
        }
        out.put_slice(&codec.0);
        if let Some(track) = self.track {
            out.put_u8(track.id);
        }
    }
}

/// Appends a whole body of several tracks, which share frame type, packet type and nanoseconds.
///
/// `kind` is [`MultitrackType::ManyTracks`] where all have one codec, else
/// [`MultitrackType::ManyTracksManyCodecs`]; what is given as the one becomes the other where it has
/// to. Returns `false`, with nothing appended, where there are no tracks, more than 256, or more data
/// than a tag can hold.
#[must_use]
pub fn write_video_tracks(
    frame: FrameType,
    packet: VideoPacket,
    nanos: u32,
    kind: MultitrackType,
    tracks: &[TrackData<'_>],
    out: &mut BytesMut,
) -> bool {
    let timed = tracks.iter().all(|track| is_timed(track.codec));
    let delayed = tracks
        .iter()
        .any(|track| is_timed(track.codec) && track.composition_time != 0);
    let packet_type = video_packet_type(packet, timed, delayed);
    let times = packet_type == 1;
    let head = |out: &mut BytesMut| {
        put_modifiers(0x80 | frame.number() << 4, nanos, VIDEO_MULTITRACK, out);
    };
    write_tracks(head, packet_type, times, kind, tracks, out)
}

/// The same of sound.
#[must_use]
pub fn write_audio_tracks(
    packet: AudioPacket,
    nanos: u32,
    kind: MultitrackType,
    tracks: &[TrackData<'_>],
    out: &mut BytesMut,
) -> bool {
    let head = |out: &mut BytesMut| {
        put_modifiers(EX_HEADER << 4, nanos, AUDIO_MULTITRACK, out);
    };
    write_tracks(head, audio_packet_type(packet), false, kind, tracks, out)
}

fn write_tracks(
    head: impl FnOnce(&mut BytesMut),
    packet_type: u8,
    times: bool,
    kind: MultitrackType,
    tracks: &[TrackData<'_>],
    out: &mut BytesMut,
) -> bool {
    // Modifiers, types and a codec; codec, id, size and time of each track.
    const HEAD: usize = 12;
    const EACH: usize = 11;

    let Some(first) = tracks.first() else {
        return false;
    };
    let size: usize = tracks.iter().map(|track| EACH + track.data.len()).sum();
    if tracks.len() > TRACKS || HEAD + size > MAX_BODY {
        return false;
    }
    out.reserve(HEAD + size);
    head(out);
    let one_codec = kind != MultitrackType::ManyTracksManyCodecs
        && tracks.iter().all(|track| track.codec == first.codec);
    let kind = if one_codec {
        MultitrackType::ManyTracks
    } else {
        MultitrackType::ManyTracksManyCodecs
    };
    out.put_u8(kind.number() << 4 | packet_type);
    if one_codec {
        out.put_slice(&first.codec.0);
    }
    for track in tracks {
        let timed = times && is_timed(track.codec);
        if !one_codec {
            out.put_slice(&track.codec.0);
        }
        out.put_u8(track.id);
        let size = track.data.len() + if timed { 3 } else { 0 };
        out.put_uint(size as u64, 3);
        if timed {
            put_signed_24(track.composition_time, out);
        }
        out.put_slice(track.data);
    }
    true
}

/// `CodedFramesX` wherever it saves the times.
fn video_packet_type(packet: VideoPacket, timed: bool, delayed: bool) -> u8 {
    match packet {
        VideoPacket::SequenceStart => 0,
        VideoPacket::CodedFrames if timed && !delayed => 3,
        VideoPacket::CodedFrames | VideoPacket::Command(_) => 1,
        VideoPacket::SequenceEnd => 2,
        VideoPacket::Metadata => VIDEO_METADATA,
        VideoPacket::Mpeg2TsSequenceStart => 5,
        VideoPacket::Reserved(other) => other & 0x0f,
    }
}

fn audio_packet_type(packet: AudioPacket) -> u8 {
    match packet {
        AudioPacket::SequenceStart => 0,
        AudioPacket::CodedFrames | AudioPacket::Silence => 1,
        AudioPacket::SequenceEnd => 2,
        AudioPacket::MultichannelConfig => 4,
        AudioPacket::Reserved(other) => other & 0x0f,
    }
}

/// The first byte, whose upper half is given, and the modifiers between it and the packet type.
fn put_modifiers(first: u8, nanos: u32, packet_type: u8, out: &mut BytesMut) {
    if nanos == 0 || nanos >= NANOS {
        out.put_u8(first | packet_type);
        return;
    }
    out.put_u8(first | MOD_EX);
    out.put_u8(3 - 1);
    out.put_uint(nanos.into(), 3);
    out.put_u8(TIMESTAMP_OFFSET_NANO << 4 | packet_type);
}

fn put_signed_24(value: i32, out: &mut BytesMut) {
    let [_, bytes @ ..] = value.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
    out.put_slice(&bytes);
}

impl FrameType {
    fn number(self) -> u8 {
        match self {
            Self::Key => 1,
            Self::Inter => 2,
            Self::Disposable => 3,
            Self::Generated => 4,
            Self::Command => 5,
            Self::Reserved(other) => other & 7,
        }
    }
}

impl MultitrackType {
    fn number(self) -> u8 {
        match self {
            Self::OneTrack => 0,
            Self::ManyTracks => 1,
            Self::ManyTracksManyCodecs => 2,
        }
    }
}

impl Sound {
    /// What every head of AAC says (Annex E.4.2.1).
    pub const AAC: Self = Self {
        rate: 44_100,
        bits: 16,
        channels: 2,
    };

    /// `SoundRate`, `SoundSize` and `SoundType`, of a rate that is none of four the next lower.
    fn bits_of_head(self) -> u8 {
        let rate = match self.rate {
            0..11_025 => 0,
            11_025..22_050 => 1,
            22_050..44_100 => 2,
            _ => 3,
        };
        rate << 2 | u8::from(self.bits > 8) << 1 | u8::from(self.channels > 1)
    }
}
