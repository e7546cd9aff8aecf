// SPDX-License-Identifier: MPL-2.0

//! What an audio or video body says about itself in its first bytes: classic FLV (Adobe FLV 10.1,
//! Annex E.4.2 and E.4.3) and Enhanced RTMP v2 (`ExAudioTagHeader`, `ExVideoTagHeader`).
//!
//! Enough to tell key frames, headers and frames apart and to time them. It is no demuxer: of several
//! tracks in one message it describes the first, for frame and packet type hold for all of them.

#[cfg(test)]
mod tests;

use std::fmt;

use super::tag::{Tag, TagKind};

/// The head of a video body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoHead {
    /// Frame type. Means nothing where the packet is [`VideoPacket::Metadata`].
    pub frame: FrameType,
    /// What follows.
    pub packet: VideoPacket,
    /// The codec; enhanced command frames name none.
    pub codec: Option<Codec>,
    /// The first track of a multitrack message.
    pub track: Option<Track>,
    /// Presentation time minus tag timestamp, in ms, -2^23 to 2^23 - 1; 0 where the head has none.
    pub composition_time: i32,
    /// To be added to the presentation time, 0 to 999 999 ns.
    pub nanos: u32,
    /// Where the codec's data begins in the body, at most the body's length.
    pub payload: usize,
}

/// The head of an audio body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioHead {
    /// What follows.
    pub packet: AudioPacket,
    /// The codec; an empty body names none.
    pub codec: Option<Codec>,
    /// What a classic head says of the sound.
    pub sound: Option<Sound>,
    /// The first track of a multitrack message.
    pub track: Option<Track>,
    /// To be added to the presentation time, 0 to 999 999 ns.
    pub nanos: u32,
    /// Where the codec's data begins in the body, at most the body's length.
    pub payload: usize,
}

/// How a frame depends on others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameType {
    /// Depends on none.
    Key,
    /// Depends on frames before it.
    Inter,
    /// Inter, and none depends on it.
    Disposable,
    /// A key frame that a server made.
    Generated,
    /// No picture but a command for the client.
    Command,
    /// A number without meaning, 0, 6 or more.
    Reserved(u8),
}

/// What a video body carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VideoPacket {
    /// The decoder's configuration.
    SequenceStart,
    /// Pictures. `CodedFramesX` too: it only saves a composition time of 0.
    CodedFrames,
    /// No more pictures.
    SequenceEnd,
    /// AMF pairs, `colorInfo` among them.
    Metadata,
    /// The decoder's configuration as an MPEG-2 transport stream has it (AV1).
    Mpeg2TsSequenceStart,
    /// 0 begins, 1 ends a series of frames sent for a seek.
    Command(u8),
    /// A number without meaning here.
    Reserved(u8),
}

/// What an audio body carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioPacket {
    /// The decoder's configuration.
    SequenceStart,
    /// Sound.
    CodedFrames,
    /// No more sound.
    SequenceEnd,
    /// Order and mapping of channels.
    MultichannelConfig,
    /// The empty body: sound pauses.
    Silence,
    /// A number without meaning here.
    Reserved(u8),
}

/// The name of a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// `CodecID` or `SoundFormat` of classic FLV, 0 to 15.
    Classic(u8),
    /// FourCC of Enhanced RTMP.
    FourCc(FourCc),
}

/// Four characters that name a codec.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

/// A track of a multitrack message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// How the message holds its tracks.
    pub kind: MultitrackType,
    /// Track id; 0 is the default track.
    pub id: u8,
}

/// How a multitrack message holds its tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MultitrackType {
    /// There is one.
    OneTrack,
    /// Several of one codec.
    ManyTracks,
    /// Several with a codec each.
    ManyTracksManyCodecs,
}

/// What a classic audio head says. AAC's is always 44.1 kHz stereo and not true; its configuration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Samples a second. Codecs with a rate that the field cannot say have theirs.
    pub rate: u32,
    /// Bits a sample, 8 or 16; of compressed formats always 16.
    pub bits: u8,
    /// 1 or 2.
    pub channels: u8,
}

impl FourCc {
    /// VP8.
    pub const VP08: Self = Self(*b"vp08");
    /// VP9.
    pub const VP09: Self = Self(*b"vp09");
    /// AV1.
    pub const AV01: Self = Self(*b"av01");
    /// H.264.
    pub const AVC1: Self = Self(*b"avc1");
    /// H.265.
    pub const HVC1: Self = Self(*b"hvc1");
    /// H.266.
    pub const VVC1: Self = Self(*b"vvc1");
    /// AC-3.
    pub const AC_3: Self = Self(*b"ac-3");
    /// E-AC-3.
    pub const EC_3: Self = Self(*b"ec-3");
    /// Opus.
    pub const OPUS: Self = Self(*b"Opus");
    /// MP3.
    pub const MP3: Self = Self(*b".mp3");
    /// FLAC.
    pub const FLAC: Self = Self(*b"fLaC");
    /// AAC.
    pub const MP4A: Self = Self(*b"mp4a");
}

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.escape_ascii().fmt(f)
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FourCc({self})")
    }
}

/// `CodecID` of H.264, and of H.265 as servers in Asia used it before Enhanced RTMP (SRS 6,
/// ZLMediaKit); both have packet type and composition time behind it.
const CLASSIC_AVC: u8 = 7;
const CLASSIC_HEVC: u8 = 12;

/// `SoundFormat` of AAC, and the one that announces an enhanced head.
const CLASSIC_AAC: u8 = 10;
const EX_HEADER: u8 = 9;

/// Packet type of a head with modifiers, for audio and video.
const MOD_EX: u8 = 7;

impl VideoHead {
    /// Reads the head of a body, or returns `None` where the body ends before its packet type,
    /// codec and track are known. A composition time cut short counts as 0.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut input = Input { body, at: 0 };
        let first = input.byte()?;
        let frame = FrameType::from_number(first >> 4 & 7);
        if first & 0x80 != 0 {
            return Self::enhanced(input, frame, first & 0x0f);
        }
        let codec = first & 0x0f;
        let mut head = Self {
            frame,
            packet: VideoPacket::CodedFrames,
            codec: Some(Codec::Classic(codec)),
            track: None,
            composition_time: 0,
            nanos: 0,
            payload: 0,
        };
        if frame == FrameType::Command {
            head.packet = VideoPacket::Command(input.byte()?);
        } else if codec == CLASSIC_AVC || codec == CLASSIC_HEVC {
            head.packet = match input.byte()? {
                0 => VideoPacket::SequenceStart,
                1 => VideoPacket::CodedFrames,
                2 => VideoPacket::SequenceEnd,
                other => VideoPacket::Reserved(other),
            };
            let time = input.signed_24();
            // Encoders leave rubbish in it for the other packets.
            if head.packet == VideoPacket::CodedFrames {
                head.composition_time = time;
            }
        }
        head.payload = input.at;
        Some(head)
    }

    fn enhanced(mut input: Input<'_>, frame: FrameType, packet_type: u8) -> Option<Self> {
        const METADATA: u8 = 4;
        const MULTITRACK: u8 = 6;

        let (packet_type, nanos) = input.modifiers(packet_type)?;
        let mut head = Self {
            frame,
            packet: VideoPacket::Reserved(packet_type),
            codec: None,
            track: None,
            composition_time: 0,
            nanos,
            payload: 0,
        };
        if frame == FrameType::Command && packet_type != METADATA {
            head.packet = VideoPacket::Command(input.byte()?);
            head.payload = input.at;
            return Some(head);
        }
        let (packet_type, codec) = match packet_type {
            MULTITRACK => {
                let (packet_type, codec, track) = input.multitrack()?;
                head.track = Some(track);
                (packet_type, codec)
            }
            other => (other, input.four_cc()?),
        };
        head.codec = Some(Codec::FourCc(codec));
        head.packet = match packet_type {
            0 => VideoPacket::SequenceStart,
            1 | 3 => VideoPacket::CodedFrames,
            2 => VideoPacket::SequenceEnd,
            METADATA => VideoPacket::Metadata,
            5 => VideoPacket::Mpeg2TsSequenceStart,
            other => VideoPacket::Reserved(other),
        };
        let timed = [FourCc::AVC1, FourCc::HVC1, FourCc::VVC1];
        if packet_type == 1 && timed.contains(&codec) {
            head.composition_time = input.signed_24();
        }
        head.payload = input.at;
        Some(head)
    }

    /// Whether decoding can begin at the pictures in this body.
    pub fn is_keyframe(&self) -> bool {
        self.packet == VideoPacket::CodedFrames
            && matches!(self.frame, FrameType::Key | FrameType::Generated)
    }
}

impl AudioHead {
    /// Reads the head of a body, or returns `None` where the body ends before its packet type,
    /// codec and track are known. The empty body is [`AudioPacket::Silence`].
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut input = Input { body, at: 0 };
        let mut head = Self {
            packet: AudioPacket::Silence,
            codec: None,
            sound: None,
            track: None,
            nanos: 0,
            payload: 0,
        };
        let Some(first) = input.byte() else {
            return Some(head);
        };
        let format = first >> 4;
        if format == EX_HEADER {
            return Self::enhanced(input, head, first & 0x0f);
        }
        head.codec = Some(Codec::Classic(format));
        head.sound = Some(Sound::classic(format, first));
        head.packet = match format {
            CLASSIC_AAC => match input.byte()? {
                0 => AudioPacket::SequenceStart,
                1 => AudioPacket::CodedFrames,
                other => AudioPacket::Reserved(other),
            },
            _ => AudioPacket::CodedFrames,
        };
        head.payload = input.at;
        Some(head)
    }

    fn enhanced(mut input: Input<'_>, mut head: Self, packet_type: u8) -> Option<Self> {
        const MULTITRACK: u8 = 5;

        let (packet_type, nanos) = input.modifiers(packet_type)?;
        head.nanos = nanos;
        let (packet_type, codec) = match packet_type {
            MULTITRACK => {
                let (packet_type, codec, track) = input.multitrack()?;
                head.track = Some(track);
                (packet_type, codec)
            }
            other => (other, input.four_cc()?),
        };
        head.codec = Some(Codec::FourCc(codec));
        head.packet = match packet_type {
            0 => AudioPacket::SequenceStart,
            1 => AudioPacket::CodedFrames,
            2 => AudioPacket::SequenceEnd,
            4 => AudioPacket::MultichannelConfig,
            other => AudioPacket::Reserved(other),
        };
        head.payload = input.at;
        Some(head)
    }
}

impl Tag {
    /// Whether this is video at which decoding can begin. Sequence headers are no key frames, though
    /// their frame type says so.
    pub fn is_keyframe(&self) -> bool {
        self.video_head().is_some_and(|head| head.is_keyframe())
    }

    /// Whether this configures a decoder: sequence starts and the channel map of multichannel audio.
    /// Who joins late needs the last of each first.
    pub fn is_sequence_header(&self) -> bool {
        let video = self.video_head().map(|head| head.packet);
        let audio = self.audio_head().map(|head| head.packet);
        matches!(
            video,
            Some(VideoPacket::SequenceStart | VideoPacket::Mpeg2TsSequenceStart)
        ) || matches!(
            audio,
            Some(AudioPacket::SequenceStart | AudioPacket::MultichannelConfig)
        )
    }

    /// Whether this says that no more pictures, or no more sound, will come.
    pub fn is_sequence_end(&self) -> bool {
        self.video_head()
            .is_some_and(|head| head.packet == VideoPacket::SequenceEnd)
            || self
                .audio_head()
                .is_some_and(|head| head.packet == AudioPacket::SequenceEnd)
    }

    /// Presentation time minus timestamp in ms; 0 of all but video.
    pub fn composition_time(&self) -> i32 {
        self.video_head().map_or(0, |head| head.composition_time)
    }

    /// Whether no other frame needs this one.
    pub fn is_disposable(&self) -> bool {
        match self.kind() {
            TagKind::Video => self.video_head().is_some_and(|head| {
                head.packet == VideoPacket::CodedFrames && head.frame == FrameType::Disposable
            }),
            TagKind::Audio => self.is_droppable(),
            TagKind::Data | TagKind::DataAmf3 => false,
        }
    }

    /// Whether this is pictures or sound, which a congested sender may leave out (inter frames up to
    /// the next key frame), and not configuration, metadata or an end.
    pub fn is_droppable(&self) -> bool {
        self.video_head()
            .is_some_and(|head| head.packet == VideoPacket::CodedFrames)
            || self
                .audio_head()
                .is_some_and(|head| head.packet == AudioPacket::CodedFrames)
    }

    /// The head of a video tag that has a whole one.
    pub fn video_head(&self) -> Option<VideoHead> {
        match self.kind() {
            TagKind::Video => VideoHead::parse(self.body()),
            _ => None,
        }
    }

    /// The head of an audio tag that has a whole one.
    pub fn audio_head(&self) -> Option<AudioHead> {
        match self.kind() {
            TagKind::Audio => AudioHead::parse(self.body()),
            _ => None,
        }
    }
}

impl FrameType {
    fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Key,
            2 => Self::Inter,
            3 => Self::Disposable,
            4 => Self::Generated,
            5 => Self::Command,
            other => Self::Reserved(other),
        }
    }
}

impl Sound {
    fn classic(format: u8, bits: u8) -> Self {
        // Annex E.4.2.1: for these SoundRate is to be ignored.
        let (rate, channels) = match (format, bits >> 2 & 3) {
            (4, _) => (16_000, Some(1)),
            (5, _) => (8_000, Some(1)),
            (7 | 8 | 14, _) => (8_000, None),
            (11, _) => (16_000, Some(1)),
            (_, 0) => (5_512, None),
            (_, 1) => (11_025, None),
            (_, 2) => (22_050, None),
            _ => (44_100, None),
        };
        Self {
            rate,
            bits: if bits & 2 == 0 { 8 } else { 16 },
            channels: channels.unwrap_or(1 + (bits & 1)),
        }
    }
}

/// A body and how much of it was read.
struct Input<'a> {
    body: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = self.body.get(self.at..)?.first_chunk().copied()?;
        self.at += N;
        Some(array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn four_cc(&mut self) -> Option<FourCc> {
        self.array().map(FourCc)
    }

    fn signed_24(&mut self) -> i32 {
        match self.array::<3>() {
            Some([b2, b1, b0]) => i32::from_be_bytes([b2, b1, b0, 0]) >> 8,
            None => {
                self.at = self.body.len();
                0
            }
        }
    }

    /// Follows the chain of modifiers to the packet type behind it. Each takes at least three bytes
    /// of the body, so the body bounds the chain.
    fn modifiers(&mut self, mut packet_type: u8) -> Option<(u8, u32)> {
        const TIMESTAMP_OFFSET_NANO: u8 = 0;

        let mut nanos = 0;
        while packet_type == MOD_EX {
            let mut size = usize::from(self.byte()?) + 1;
            if size == 256 {
                size = usize::from(u16::from_be_bytes(self.array()?)) + 1;
            }
            let data = self.body.get(self.at..)?.get(..size)?;
            self.at += size;
            let next = self.byte()?;
            if next >> 4 == TIMESTAMP_OFFSET_NANO
                && let Some(&[n2, n1, n0]) = data.first_chunk()
            {
                // Of several the last holds; one out of range is none.
                let offset = u32::from_be_bytes([0, n2, n1, n0]);
                if offset < 1_000_000 {
                    nanos = offset;
                }
            }
            packet_type = next & 0x0f;
        }
        Some((packet_type, nanos))
    }

    /// Reads to the data of the first track, and cuts the body behind that data.
    fn multitrack(&mut self) -> Option<(u8, FourCc, Track)> {
        let types = self.byte()?;
        let kind = match types >> 4 {
            0 => MultitrackType::OneTrack,
            1 => MultitrackType::ManyTracks,
            2 => MultitrackType::ManyTracksManyCodecs,
            _ => return None,
        };
        let codec = self.four_cc()?;
        let id = self.byte()?;
        if kind != MultitrackType::OneTrack {
            let [s2, s1, s0] = self.array()?;
            let size = u32::from_be_bytes([0, s2, s1, s0]) as usize;
            let end = self.body.len().min(self.at.saturating_add(size));
            self.body = self.body.get(..end)?;
        }
        Some((types & 0x0f, codec, Track { kind, id }))
    }
}
