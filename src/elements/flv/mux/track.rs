// SPDX-License-Identifier: MPL-2.0

//! A track as the muxer writes it.

use bytes::{Bytes, BytesMut};
use gst::subclass::prelude::*;

use super::{
    super::caps::{audio::AudioFormat, video::VideoFormat},
    FlvMuxBridgePad, TrackMode,
};
use crate::protocol::{
    flv::{
        AudioHead, TagKind, VideoHead,
        codec::AudioCodec,
        color::ColorInfo,
        head::{
            AudioPacket, Codec, FourCc, FrameType, MultitrackType, Sound, Track as Numbered,
            VideoPacket,
        },
    },
    rtmp::amf::Object,
};

/// What a pad carries.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Format {
    Video(VideoFormat),
    Audio(AudioFormat),
}

impl Format {
    /// Reads caps that a pad template lets through; `None` for others.
    pub(super) fn of(caps: &gst::CapsRef) -> Option<Self> {
        let video = VideoFormat::from_caps(caps).map(Self::Video);
        video.or_else(|| AudioFormat::from_caps(caps).map(Self::Audio))
    }

    /// What the codec is called in classic FLV, and in Enhanced RTMP.
    pub(super) fn names(&self) -> (Option<Codec>, Option<Codec>) {
        let (classic, four_cc) = match self {
            Self::Video(format) => (format.codec.classic(), format.codec.four_cc()),
            Self::Audio(format) => (
                format.codec.classic(format.rate, format.channels),
                format.codec.four_cc(),
            ),
        };
        (classic.map(Codec::Classic), four_cc.map(Codec::FourCc))
    }

    /// Whether caps that leave the rate open say all the same which names there are.
    pub(super) fn has_one_name(&self) -> bool {
        match self {
            Self::Audio(format) => format.rate > 0 || format.codec != AudioCodec::Mp3,
            Self::Video(_) => true,
        }
    }
}

/// A pad and how it is written.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) pad: FlvMuxBridgePad,
    /// 0 of pads without a number.
    pub(super) id: u8,
    pub(super) format: Format,
    pub(super) name: Codec,
    /// The head says which track it is.
    pub(super) numbered: bool,
    /// Its configuration has to go before the next frame.
    pub(super) config_due: bool,
    /// Sound pauses, and that has been said.
    pub(super) silent: bool,
}

/// One frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Key frame, or frame of sound.
    pub(super) key: bool,
    pub(super) droppable: bool,
    /// PTS minus DTS, ms.
    pub(super) composition: i32,
    pub(super) nanos: u32,
}

impl Track {
    /// Decides how a format is written; `None` where that cannot be.
    pub(super) fn new(
        pad: FlvMuxBridgePad,
        id: u8,
        mode: TrackMode,
        prefer_enhanced: bool,
        format: Format,
    ) -> Option<Self> {
        let (classic, four_cc) = format.names();
        let (name, numbered) = match (id, mode) {
            (0, TrackMode::Legacy) if prefer_enhanced => (four_cc.or(classic)?, false),
            (0, TrackMode::Legacy) => (classic.or(four_cc)?, false),
            (0, TrackMode::NonMultitrack) => (four_cc?, false),
            (0, TrackMode::Multitrack) => (four_cc?, true),
            _ => (four_cc?, true),
        };
        Some(Self {
            pad,
            id,
            format,
            name,
            numbered,
            config_due: true,
            silent: false,
        })
    }

    pub(super) fn kind(&self) -> TagKind {
        match self.format {
            Format::Video(_) => TagKind::Video,
            Format::Audio(_) => TagKind::Audio,
        }
    }

    pub(super) fn is_video(&self) -> bool {
        self.kind() == TagKind::Video
    }

    /// The FourCC, of enhanced tracks.
    pub(super) fn four_cc(&self) -> Option<FourCc> {
        match self.name {
            Codec::FourCc(four_cc) => Some(four_cc),
            Codec::Classic(_) => None,
        }
    }

    fn number(&self) -> Option<Numbered> {
        self.numbered.then_some(Numbered {
            kind: MultitrackType::OneTrack,
            id: self.id,
        })
    }

    /// Learns from a frame what caps did not say. `false` where the track cannot begin with it.
    pub(super) fn learn(&mut self, frame: &[u8]) -> bool {
        match &mut self.format {
            Format::Video(format) => format.complete(frame),
            Format::Audio(format) => !format.has_config() || format.config.is_some(),
        }
    }

    /// The head of a frame's tag.
    pub(super) fn head(&self, frame: Frame, out: &mut BytesMut) {
        match &self.format {
            Format::Video(_) => self.video_head(VideoPacket::CodedFrames, frame).write(out),
            Format::Audio(_) => self
                .audio_head(AudioPacket::CodedFrames, frame.nanos)
                .write(out),
        }
    }

    pub(super) fn frame_type(frame: Frame) -> FrameType {
        match (frame.key, frame.droppable) {
            (true, _) => FrameType::Key,
            (false, true) => FrameType::Disposable,
            (false, false) => FrameType::Inter,
        }
    }

    fn video_head(&self, packet: VideoPacket, frame: Frame) -> VideoHead {
        VideoHead {
            frame: match self.name {
                // Of H.263 alone (Annex E.4.3.1).
                Codec::Classic(2) => Self::frame_type(frame),
                _ => Self::frame_type(Frame {
                    droppable: false,
                    ..frame
                }),
            },
            packet,
            codec: Some(self.name),
            track: self.number(),
            composition_time: frame.composition,
            nanos: frame.nanos,
            payload: 0,
            end: 0,
        }
    }

    fn audio_head(&self, packet: AudioPacket, nanos: u32) -> AudioHead {
        let sound = match &self.format {
            Format::Audio(format) if format.codec != AudioCodec::Aac => Sound {
                // The two bits cannot say 16 kHz; those of Flash and flvmux are 0.
                rate: match format.codec {
                    AudioCodec::Speex => 0,
                    _ => format.rate,
                },
                bits: format.bits,
                channels: format.channels.min(2) as u8,
            },
            _ => Sound::AAC,
        };
        AudioHead {
            packet,
            codec: Some(self.name),
            sound: Some(sound),
            track: self.number(),
            nanos,
            payload: 0,
            end: 0,
        }
    }

    /// Bodies that have to go before the first frame.
    pub(super) fn config(&self) -> Vec<Bytes> {
        const AT_ONCE: Frame = Frame {
            key: true,
            droppable: false,
            composition: 0,
            nanos: 0,
        };
        let mut bodies = Vec::new();
        let mut add = |write: &dyn Fn(&mut BytesMut)| {
            let mut body = BytesMut::new();
            write(&mut body);
            bodies.push(body.freeze());
        };
        match &self.format {
            Format::Video(format) => {
                if let Some(config) = &format.config
                    && format.has_config()
                {
                    add(&|body| {
                        self.video_head(VideoPacket::SequenceStart, AT_ONCE)
                            .write(body);
                        body.extend_from_slice(config);
                    });
                }
                // Behind the configuration: ffmpeg makes a stream of what comes first. As a command: ffmpeg
                // writes it so, and takes any other for a picture.
                if self.four_cc().is_some() && format.color != ColorInfo::default() {
                    add(&|body| {
                        let head = VideoHead {
                            frame: FrameType::Command,
                            ..self.video_head(VideoPacket::Metadata, AT_ONCE)
                        };
                        head.write(body);
                        format.color.write(body);
                    });
                }
            }
            Format::Audio(format) => {
                let config = match &format.config {
                    Some(config) if format.has_config() => Some(&config[..]),
                    // Enhanced sound announces its codec even if there is nothing to say of it.
                    _ if self.four_cc().is_some() => Some(&[][..]),
                    _ => None,
                };
                if let Some(config) = config {
                    add(&|body| {
                        self.audio_head(AudioPacket::SequenceStart, 0).write(body);
                        body.extend_from_slice(config);
                    });
                }
                if let Some(order) = &format.order
                    && self.four_cc().is_some()
                {
                    add(&|body| {
                        self.audio_head(AudioPacket::MultichannelConfig, 0)
                            .write(body);
                        order.write(body);
                    });
                }
            }
        }
        bodies
    }

    /// The body that ends the track, if it has one.
    pub(super) fn end(&self) -> Option<Bytes> {
        let mut body = BytesMut::new();
        match &self.format {
            Format::Video(format) if self.four_cc().is_some() || format.codec.needs_config() => {
                let frame = Frame {
                    key: true,
                    droppable: false,
                    composition: 0,
                    nanos: 0,
                };
                self.video_head(VideoPacket::SequenceEnd, frame)
                    .write(&mut body);
            }
            Format::Audio(_) if self.four_cc().is_some() => {
                self.audio_head(AudioPacket::SequenceEnd, 0)
                    .write(&mut body);
            }
            _ => return None,
        }
        Some(body.freeze())
    }

    /// Members of `onMetaData`, or of a track's entry in it.
    pub(super) fn describe(&self, object: &mut Object) {
        let bitrate = {
            let carried = self.pad.imp().carried();
            carried
                .tags
                .as_ref()
                .and_then(|tags| tags.get::<gst::tags::Bitrate>().map(|tag| tag.get()))
        };
        let kilobits = bitrate.map(|bits| f64::from(bits) / 1000.0);
        match &self.format {
            Format::Video(format) => {
                object.push("videocodecid", self.name.to_number());
                if let Some((width, height)) = format.picture.size {
                    object.push("width", f64::from(width));
                    object.push("height", f64::from(height));
                }
                let aspect = format.picture.aspect.unwrap_or(gst::Fraction::new(1, 1));
                object.push("AspectRatioX", f64::from(aspect.numer()));
                object.push("AspectRatioY", f64::from(aspect.denom()));
                if let Some(rate) = format.picture.framerate {
                    object.push(
                        "framerate",
                        f64::from(rate.numer()) / f64::from(rate.denom()),
                    );
                }
                if let Some(kilobits) = kilobits {
                    object.push("videodatarate", kilobits);
                }
            }
            Format::Audio(format) => {
                object.push("audiocodecid", self.name.to_number());
                if let Some(kilobits) = kilobits {
                    object.push("audiodatarate", kilobits);
                }
                let entry = self.id != 0;
                if format.rate > 0 {
                    let name = if entry {
                        "samplerate"
                    } else {
                        "audiosamplerate"
                    };
                    object.push(name, f64::from(format.rate));
                }
                if format.channels > 0 {
                    let name = if entry { "channels" } else { "audiochannels" };
                    object.push(name, f64::from(format.channels));
                    if !entry {
                        object.push("stereo", format.channels == 2);
                    }
                }
                if !entry && format.codec == AudioCodec::Pcm {
                    object.push("audiosamplesize", f64::from(format.bits));
                }
            }
        }
    }
}
