// SPDX-License-Identifier: MPL-2.0

//! What an audio or video body says about itself in its first bytes: classic FLV (Adobe FLV 10.1,
//! Annex E.4.2 and E.4.3) and Enhanced RTMP v2 (`ExAudioTagHeader`, `ExVideoTagHeader`).
//!
//! A head says what a body is, when it is to be shown, and where the codec's data is; it does not know
//! what that data means. Of several tracks in one message [`VideoHead::parse`] describes the first, for
//! frame and packet type hold for all of them; [`VideoHead::packets`] gives one head for each.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::fmt;

use super::{
    codec::avc,
    tag::{Tag, TagKind},
};

pub use read::{AudioPackets, HeadError, VideoPackets};
pub use write::{TrackData, write_audio_tracks, write_video_tracks};

/// The head of a video body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoHead {
    /// Frame type. Means nothing where the packet is [`VideoPacket::Metadata`].
    pub frame: FrameType,
    /// What follows.
    pub packet: VideoPacket,
    /// The codec; enhanced command frames name none.
    pub codec: Option<Codec>,
    /// The track, where the message names one.
    pub track: Option<Track>,
    /// Presentation time minus tag timestamp, in ms, -2^23 to 2^23 - 1; 0 where the head has none.
    pub composition_time: i32,
    /// To be added to the presentation time, 0 to 999 999 ns.
    pub nanos: u32,
    /// Where the codec's data begins in the body, at most `end`.
    pub payload: usize,
    /// Where it ends, at most the body's length.
    pub end: usize,
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
    /// The track, where the message names one.
    pub track: Option<Track>,
    /// To be added to the presentation time, 0 to 999 999 ns.
    pub nanos: u32,
    /// Where the codec's data begins in the body, at most `end`.
    pub payload: usize,
    /// Where it ends, at most the body's length.
    pub end: usize,
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

    /// Those of pictures that Enhanced RTMP v2 knows.
    pub const VIDEO: [Self; 6] = [
        Self::AV01,
        Self::VP09,
        Self::VP08,
        Self::HVC1,
        Self::AVC1,
        Self::VVC1,
    ];
    /// Those of sound.
    pub const AUDIO: [Self; 6] = [
        Self::AC_3,
        Self::EC_3,
        Self::OPUS,
        Self::MP3,
        Self::FLAC,
        Self::MP4A,
    ];
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

impl VideoHead {
    fn is_avc(&self) -> bool {
        [
            Some(Codec::Classic(CLASSIC_AVC)),
            Some(Codec::FourCc(FourCc::AVC1)),
        ]
        .contains(&self.codec)
    }

    /// Whether decoding can begin at the pictures in this body.
    pub fn is_keyframe(&self) -> bool {
        self.packet == VideoPacket::CodedFrames
            && matches!(self.frame, FrameType::Key | FrameType::Generated)
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

    /// Whether no other frame needs this one. Few encoders say so in the head; H.264 does in its slices.
    pub fn is_disposable(&self) -> bool {
        match self.kind() {
            TagKind::Video => self.video_head().is_some_and(|head| {
                head.packet == VideoPacket::CodedFrames
                    && match head.frame {
                        FrameType::Disposable => true,
                        FrameType::Inter if head.is_avc() && head.track.is_none() => {
                            let data = self.body().get(head.payload..head.end);
                            avc::is_unreferenced(data.unwrap_or_default())
                        }
                        _ => false,
                    }
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

impl Sound {
    /// What the first byte of a classic body of this format says.
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

/// `CodecID` of H.264, and of H.265 as servers in Asia used it before Enhanced RTMP (SRS 6,
/// ZLMediaKit); both have packet type and composition time behind it.
const CLASSIC_AVC: u8 = 7;
const CLASSIC_HEVC: u8 = 12;

/// `SoundFormat` of AAC, and the one that announces an enhanced head.
const CLASSIC_AAC: u8 = 10;
const EX_HEADER: u8 = 9;

/// Packet type of a head with modifiers, for audio and video.
const MOD_EX: u8 = 7;
/// Of one with tracks.
const VIDEO_MULTITRACK: u8 = 6;
const AUDIO_MULTITRACK: u8 = 5;
/// Of AMF pairs.
const VIDEO_METADATA: u8 = 4;
/// The only modifier there is.
const TIMESTAMP_OFFSET_NANO: u8 = 0;

/// Offsets are below this many nanoseconds.
const NANOS: u32 = 1_000_000;

/// Whether frames of this codec have a composition time.
fn is_timed(codec: FourCc) -> bool {
    [FourCc::AVC1, FourCc::HVC1, FourCc::VVC1].contains(&codec)
}
