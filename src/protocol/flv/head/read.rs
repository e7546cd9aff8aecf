// SPDX-License-Identifier: MPL-2.0

//! Reads heads. Nothing here looks behind the head of a track.

use super::{
    AUDIO_MULTITRACK, AudioHead, AudioPacket, CLASSIC_AAC, CLASSIC_AVC, CLASSIC_HEVC, Codec,
    EX_HEADER, FourCc, FrameType, MOD_EX, MultitrackType, NANOS, Sound, TIMESTAMP_OFFSET_NANO,
    Track, VIDEO_METADATA, VIDEO_MULTITRACK, VideoHead, VideoPacket, is_timed,
};
use crate::protocol::flv::limits::TRACKS;

/// Why a body, or the rest of one, cannot be read. The tags behind it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The body ends inside its head, or inside the head of a track.
    #[error("the body ends inside its head")]
    Truncated,
    /// A `MultitrackType` that no specification defines; there is no telling where tracks begin.
    #[error("unknown multitrack type {0}")]
    Multitrack(u8),
    /// `sizeOfTrack` reaches behind the body.
    #[error("a track is said to be longer than its message")]
    TrackSize,
    /// More tracks than ids.
    #[error("more tracks in a message than there are track ids")]
    TooManyTracks,
}

impl VideoHead {
    /// Reads the head of a body, or returns `None` where the body ends before its packet type,
    /// codec and track are known. A composition time cut short counts as 0, a track cut short ends
    /// with the body.
    pub fn parse(body: &[u8]) -> Option<Self> {
        Self::packets(body).read(Size::Clipped)?.ok()
    }

    /// Reads one head for each track of a body; one of a body without tracks.
    pub fn packets(body: &[u8]) -> VideoPackets<'_> {
        VideoPackets {
            input: Input { body, at: 0 },
            layout: Layout::Unread,
        }
    }
}

impl AudioHead {
    /// Reads the head of a body, or returns `None` where the body ends before its packet type,
    /// codec and track are known. The empty body is [`AudioPacket::Silence`].
    pub fn parse(body: &[u8]) -> Option<Self> {
        Self::packets(body).read(Size::Clipped)?.ok()
    }

    /// Reads one head for each track of a body; one of a body without tracks.
    pub fn packets(body: &[u8]) -> AudioPackets<'_> {
        AudioPackets {
            input: Input { body, at: 0 },
            layout: Layout::Unread,
        }
    }
}

/// The packets of a video body. After an error there are no more.
#[derive(Clone, Debug)]
pub struct VideoPackets<'a> {
    input: Input<'a>,
    layout: Layout<FrameType>,
}

/// The packets of an audio body. After an error there are no more.
#[derive(Clone, Debug)]
pub struct AudioPackets<'a> {
    input: Input<'a>,
    layout: Layout<()>,
}

/// What is known of a body.
#[derive(Clone, Debug)]
enum Layout<F> {
    Unread,
    Tracks(Tracks<F>),
    Done,
}

/// What holds for all tracks of a body.
#[derive(Clone, Debug)]
struct Tracks<F> {
    frame: F,
    packet_type: u8,
    nanos: u32,
    kind: MultitrackType,
    /// Unless each track has its own.
    codec: Option<FourCc>,
    read: usize,
}

/// What to make of a track that is said to be longer than its message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Clipped,
    Checked,
}

impl Iterator for VideoPackets<'_> {
    type Item = Result<VideoHead, HeadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read(Size::Checked)
    }
}

impl Iterator for AudioPackets<'_> {
    type Item = Result<AudioHead, HeadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read(Size::Checked)
    }
}

impl VideoPackets<'_> {
    fn read(&mut self, size: Size) -> Option<Result<VideoHead, HeadError>> {
        match std::mem::replace(&mut self.layout, Layout::Done) {
            Layout::Unread => Some(self.first(size)),
            Layout::Tracks(_) if self.input.rest() == 0 => None,
            Layout::Tracks(tracks) => Some(self.track(tracks, size)),
            Layout::Done => None,
        }
    }

    fn first(&mut self, size: Size) -> Result<VideoHead, HeadError> {
        let first = self.input.byte()?;
        let frame = FrameType::from_number(first >> 4 & 7);
        if first & 0x80 != 0 {
            return self.enhanced(frame, first & 0x0f, size);
        }
        let codec = first & 0x0f;
        let mut head = VideoHead {
            frame,
            packet: VideoPacket::CodedFrames,
            codec: Some(Codec::Classic(codec)),
            track: None,
            composition_time: 0,
            nanos: 0,
            payload: 0,
            end: self.input.body.len(),
        };
        if frame == FrameType::Command {
            head.packet = VideoPacket::Command(self.input.byte()?);
        } else if codec == CLASSIC_AVC || codec == CLASSIC_HEVC {
            head.packet = match self.input.byte()? {
                0 => VideoPacket::SequenceStart,
                1 => VideoPacket::CodedFrames,
                2 => VideoPacket::SequenceEnd,
                other => VideoPacket::Reserved(other),
            };
            let time = self.input.signed_24(head.end);
            // Encoders leave rubbish in it for the other packets.
            if head.packet == VideoPacket::CodedFrames {
                head.composition_time = time;
            }
        }
        head.payload = self.input.at;
        Ok(head)
    }

    fn enhanced(
        &mut self,
        frame: FrameType,
        packet_type: u8,
        size: Size,
    ) -> Result<VideoHead, HeadError> {
        let (packet_type, nanos) = self.input.modifiers(packet_type)?;
        if frame == FrameType::Command && packet_type != VIDEO_METADATA {
            return Ok(VideoHead {
                frame,
                packet: VideoPacket::Command(self.input.byte()?),
                codec: None,
                track: None,
                composition_time: 0,
                nanos,
                payload: self.input.at,
                end: self.input.body.len(),
            });
        }
        if packet_type == VIDEO_MULTITRACK {
            let tracks = self.input.multitrack(frame, nanos)?;
            return self.track(tracks, size);
        }
        let codec = self.input.four_cc()?;
        let end = self.input.body.len();
        Ok(self.head(frame, packet_type, nanos, codec, None, end))
    }

    fn track(&mut self, mut tracks: Tracks<FrameType>, size: Size) -> Result<VideoHead, HeadError> {
        let (codec, track, end) = self.input.track(&mut tracks, size)?;
        let (frame, packet_type, nanos) = (tracks.frame, tracks.packet_type, tracks.nanos);
        let head = self.head(frame, packet_type, nanos, codec, Some(track), end);
        self.input.at = end;
        if track.kind != MultitrackType::OneTrack {
            self.layout = Layout::Tracks(tracks);
        }
        Ok(head)
    }

    fn head(
        &mut self,
        frame: FrameType,
        packet_type: u8,
        nanos: u32,
        codec: FourCc,
        track: Option<Track>,
        end: usize,
    ) -> VideoHead {
        let composition_time = if packet_type == 1 && is_timed(codec) {
            self.input.signed_24(end)
        } else {
            0
        };
        VideoHead {
            frame,
            packet: match packet_type {
                0 => VideoPacket::SequenceStart,
                1 | 3 => VideoPacket::CodedFrames,
                2 => VideoPacket::SequenceEnd,
                VIDEO_METADATA => VideoPacket::Metadata,
                5 => VideoPacket::Mpeg2TsSequenceStart,
                other => VideoPacket::Reserved(other),
            },
            codec: Some(Codec::FourCc(codec)),
            track,
            composition_time,
            nanos,
            payload: self.input.at,
            end,
        }
    }
}

impl AudioPackets<'_> {
    fn read(&mut self, size: Size) -> Option<Result<AudioHead, HeadError>> {
        match std::mem::replace(&mut self.layout, Layout::Done) {
            Layout::Unread => Some(self.first(size)),
            Layout::Tracks(_) if self.input.rest() == 0 => None,
            Layout::Tracks(tracks) => Some(self.track(tracks, size)),
            Layout::Done => None,
        }
    }

    fn first(&mut self, size: Size) -> Result<AudioHead, HeadError> {
        let mut head = AudioHead {
            packet: AudioPacket::Silence,
            codec: None,
            sound: None,
            track: None,
            nanos: 0,
            payload: 0,
            end: self.input.body.len(),
        };
        let Ok(first) = self.input.byte() else {
            return Ok(head);
        };
        let format = first >> 4;
        if format == EX_HEADER {
            return self.enhanced(first & 0x0f, size);
        }
        head.codec = Some(Codec::Classic(format));
        head.sound = Some(Sound::classic(format, first));
        head.packet = match format {
            CLASSIC_AAC => match self.input.byte()? {
                0 => AudioPacket::SequenceStart,
                1 => AudioPacket::CodedFrames,
                other => AudioPacket::Reserved(other),
            },
            _ => AudioPacket::CodedFrames,
        };
        head.payload = self.input.at;
        Ok(head)
    }

    fn enhanced(&mut self, packet_type: u8, size: Size) -> Result<AudioHead, HeadError> {
        let (packet_type, nanos) = self.input.modifiers(packet_type)?;
        if packet_type == AUDIO_MULTITRACK {
            let tracks = self.input.multitrack((), nanos)?;
            return self.track(tracks, size);
        }
        let codec = self.input.four_cc()?;
        let end = self.input.body.len();
        Ok(self.head(packet_type, nanos, codec, None, end))
    }

    fn track(&mut self, mut tracks: Tracks<()>, size: Size) -> Result<AudioHead, HeadError> {
        let (codec, track, end) = self.input.track(&mut tracks, size)?;
        let head = self.head(tracks.packet_type, tracks.nanos, codec, Some(track), end);
        self.input.at = end;
        if track.kind != MultitrackType::OneTrack {
            self.layout = Layout::Tracks(tracks);
        }
        Ok(head)
    }

    fn head(
        &self,
        packet_type: u8,
        nanos: u32,
        codec: FourCc,
        track: Option<Track>,
        end: usize,
    ) -> AudioHead {
        AudioHead {
            packet: match packet_type {
                0 => AudioPacket::SequenceStart,
                1 => AudioPacket::CodedFrames,
                2 => AudioPacket::SequenceEnd,
                4 => AudioPacket::MultichannelConfig,
                other => AudioPacket::Reserved(other),
            },
            codec: Some(Codec::FourCc(codec)),
            sound: None,
            track,
            nanos,
            payload: self.input.at,
            end,
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

/// A body and how much of it was read.
#[derive(Clone, Debug)]
struct Input<'a> {
    body: &'a [u8],
    at: usize,
}

impl Input<'_> {
    fn rest(&self) -> usize {
        self.body.len() - self.at
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HeadError> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let array = rest.first_chunk().copied().ok_or(HeadError::Truncated)?;
        self.at += N;
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, HeadError> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn four_cc(&mut self) -> Result<FourCc, HeadError> {
        self.array().map(FourCc)
    }

    /// Reads no further than `end`.
    fn signed_24(&mut self, end: usize) -> i32 {
        let field = self.body.get(self.at..end).and_then(<[u8]>::first_chunk);
        match field {
            Some(&[b2, b1, b0]) => {
                self.at += 3;
                i32::from_be_bytes([b2, b1, b0, 0]) >> 8
            }
            None => {
                self.at = end;
                0
            }
        }
    }

    /// Follows the chain of modifiers to the packet type behind it. Each takes at least three bytes
    /// of the body, so the body bounds the chain.
    fn modifiers(&mut self, mut packet_type: u8) -> Result<(u8, u32), HeadError> {
        let mut nanos = 0;
        while packet_type == MOD_EX {
            let mut size = usize::from(self.byte()?) + 1;
            if size == 256 {
                size = usize::from(u16::from_be_bytes(self.array()?)) + 1;
            }
            let data = self.body.get(self.at..self.at + size);
            let data = data.ok_or(HeadError::Truncated)?;
            self.at += size;
            let next = self.byte()?;
            if next >> 4 == TIMESTAMP_OFFSET_NANO
                && let Some(&[n2, n1, n0]) = data.first_chunk()
            {
                // Of several the last holds; one out of range is none.
                let offset = u32::from_be_bytes([0, n2, n1, n0]);
                if offset < NANOS {
                    nanos = offset;
                }
            }
            packet_type = next & 0x0f;
        }
        Ok((packet_type, nanos))
    }

    fn multitrack<F>(&mut self, frame: F, nanos: u32) -> Result<Tracks<F>, HeadError> {
        let types = self.byte()?;
        let kind = match types >> 4 {
            0 => MultitrackType::OneTrack,
            1 => MultitrackType::ManyTracks,
            2 => MultitrackType::ManyTracksManyCodecs,
            other => return Err(HeadError::Multitrack(other)),
        };
        let codec = match kind {
            MultitrackType::ManyTracksManyCodecs => None,
            MultitrackType::OneTrack | MultitrackType::ManyTracks => Some(self.four_cc()?),
        };
        Ok(Tracks {
            frame,
            packet_type: types & 0x0f,
            nanos,
            kind,
            codec,
            read: 0,
        })
    }

    /// Reads to the data of the next track, and returns where that ends.
    fn track<F>(
        &mut self,
        tracks: &mut Tracks<F>,
        size: Size,
    ) -> Result<(FourCc, Track, usize), HeadError> {
        tracks.read += 1;
        if tracks.read > TRACKS {
            return Err(HeadError::TooManyTracks);
        }
        let codec = match tracks.codec {
            Some(codec) => codec,
            None => self.four_cc()?,
        };
        let track = Track {
            kind: tracks.kind,
            id: self.byte()?,
        };
        let mut end = self.body.len();
        if tracks.kind != MultitrackType::OneTrack {
            let [s2, s1, s0] = self.array()?;
            let claimed = self.at + u32::from_be_bytes([0, s2, s1, s0]) as usize;
            if claimed > end && size == Size::Checked {
                return Err(HeadError::TrackSize);
            }
            end = end.min(claimed);
        }
        Ok((codec, track, end))
    }
}
