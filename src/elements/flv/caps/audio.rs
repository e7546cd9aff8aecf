// SPDX-License-Identifier: MPL-2.0

//! Caps of sound.

use bytes::Bytes;

use super::{bytes_of, codec_data, first_header, positive, stream_header};
use crate::protocol::flv::{
    channels::{MultichannelConfig, Speaker},
    codec::{AudioCodec, flac::StreamInfo, sound},
    head::Sound,
};

/// A track of sound: what the head of its tags, its configuration and its frames say.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::elements::flv) struct AudioFormat {
    pub(in crate::elements::flv) codec: AudioCodec,
    /// The codec's configuration.
    pub(in crate::elements::flv) config: Option<Bytes>,
    /// Samples a second, 0 where it is not known.
    pub(in crate::elements::flv) rate: u32,
    /// 0 where it is not known.
    pub(in crate::elements::flv) channels: u32,
    /// Bits a sample of PCM.
    pub(in crate::elements::flv) bits: u8,
    /// Order of the channels.
    pub(in crate::elements::flv) order: Option<MultichannelConfig>,
}

impl AudioFormat {
    pub(in crate::elements::flv) fn new(codec: AudioCodec, sound: Option<Sound>) -> Self {
        let mut format = Self {
            codec,
            config: None,
            rate: 0,
            channels: 0,
            bits: 16,
            order: None,
        };
        // The head of AAC says nothing that is true.
        if let Some(sound) = sound
            && codec != AudioCodec::Aac
        {
            format.rate = sound.rate;
            format.channels = sound.channels.into();
            format.bits = sound.bits;
        }
        format
    }

    /// Reads caps that a pad template lets through; `None` for others.
    pub(in crate::elements::flv) fn from_caps(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0)?;
        let codec = match structure.name().as_str() {
            "audio/x-raw" => AudioCodec::Pcm,
            "audio/x-adpcm" => AudioCodec::Adpcm,
            "audio/x-nellymoser" => AudioCodec::Nellymoser,
            "audio/x-alaw" => AudioCodec::ALaw,
            "audio/x-mulaw" => AudioCodec::MuLaw,
            "audio/x-speex" => AudioCodec::Speex,
            "audio/x-opus" => AudioCodec::Opus,
            "audio/x-flac" => AudioCodec::Flac,
            "audio/x-ac3" => AudioCodec::Ac3,
            "audio/x-eac3" => AudioCodec::Eac3,
            "audio/mpeg" => match structure.get::<i32>("mpegversion").ok()? {
                1 => AudioCodec::Mp3,
                _ => AudioCodec::Aac,
            },
            _ => return None,
        };
        let mut format = Self {
            codec,
            config: codec_data(structure),
            rate: positive(structure, "rate").unwrap_or(0),
            channels: positive(structure, "channels").unwrap_or(0),
            bits: match structure.get::<&str>("format") {
                Ok("U8") => 8,
                _ => 16,
            },
            order: None,
        };
        match codec {
            AudioCodec::Opus => {
                let header = first_header(structure).filter(|h| h.starts_with(b"OpusHead"));
                format.config = header.or_else(|| opus_header(caps));
                let family = structure.get::<i32>("channel-mapping-family");
                if family == Ok(255) {
                    format.order = Some(MultichannelConfig::Unspecified(format.channels as u8));
                }
            }
            AudioCodec::Flac => {
                let header = first_header(structure).or(format.config.take());
                let info = header.and_then(|header| StreamInfo::parse(&header));
                format.config = info.map(|info| info.config());
            }
            // Its configuration is always the same.
            AudioCodec::Speex => format.config = None,
            _ => {}
        }
        if format.channels > 2
            && codec.four_cc().is_some()
            && let Ok(mask) = structure.get::<gst::Bitmask>("channel-mask")
        {
            format.order = native(mask.0, format.channels);
        }
        Some(format)
    }

    /// Whether a stream of this begins with a configuration.
    pub(in crate::elements::flv) fn has_config(&self) -> bool {
        matches!(
            self.codec,
            AudioCodec::Aac | AudioCodec::Opus | AudioCodec::Flac
        )
    }

    /// Learns from a frame what the head does not say. True if that changed anything.
    pub(in crate::elements::flv) fn learn(&mut self, frame: &[u8]) -> bool {
        let info = match self.codec {
            AudioCodec::Mp3 => sound::mp3(frame),
            AudioCodec::Ac3 | AudioCodec::Eac3 => sound::ac3(frame),
            _ => None,
        };
        let Some(info) = info else { return false };
        let channels = u32::from(info.channels);
        let news = (self.rate, self.channels) != (info.rate, channels);
        (self.rate, self.channels) = (info.rate, channels);
        news
    }

    /// Caps, or `None` as long as there cannot be any.
    pub(in crate::elements::flv) fn to_caps(&self) -> Option<gst::Caps> {
        let config = self.config.as_ref();
        let name = match self.codec {
            AudioCodec::Opus => return self.opus_caps(),
            AudioCodec::Pcm => "audio/x-raw",
            AudioCodec::Adpcm => "audio/x-adpcm",
            AudioCodec::Mp3 | AudioCodec::Aac => "audio/mpeg",
            AudioCodec::Nellymoser => "audio/x-nellymoser",
            AudioCodec::ALaw => "audio/x-alaw",
            AudioCodec::MuLaw => "audio/x-mulaw",
            AudioCodec::Speex => "audio/x-speex",
            AudioCodec::Flac => "audio/x-flac",
            AudioCodec::Ac3 => "audio/x-ac3",
            AudioCodec::Eac3 => "audio/x-eac3",
        };
        let (mut rate, mut channels) = (self.rate, self.channels);
        let mut caps = gst::Caps::new_empty_simple(name);
        let fields = caps.make_mut();
        match self.codec {
            AudioCodec::Pcm => {
                fields.set("format", if self.bits == 8 { "U8" } else { "S16LE" });
                fields.set("layout", "interleaved");
                if channels == 2 {
                    fields.set("channel-mask", gst::Bitmask::new(3));
                }
            }
            AudioCodec::Adpcm => fields.set("layout", "swf"),
            // Enhanced RTMP leaves them to the frames.
            AudioCodec::Mp3 | AudioCodec::Ac3 | AudioCodec::Eac3 if rate == 0 => return None,
            AudioCodec::Mp3 => {
                fields.set("mpegversion", 1i32);
                fields.set("layer", 3i32);
                fields.set("parsed", true);
            }
            AudioCodec::Aac => {
                let config = config.filter(|config| config.len() >= 2)?;
                fields.set("mpegversion", 4i32);
                fields.set("framed", true);
                fields.set("stream-format", "raw");
                fields.set("codec_data", gst::Buffer::from_slice(config.clone()));
                rate = gst_pbutils::codec_utils_aac_get_sample_rate(config);
                channels = gst_pbutils::codec_utils_aac_get_channels(config);
                // What it does not know stays out of the caps.
                let _ = gst_pbutils::codec_utils_aac_caps_set_level_and_profile(fields, config);
            }
            AudioCodec::Speex => {
                fields.set(
                    "streamheader",
                    stream_header(SPEEX_HEADERS.map(Bytes::from_static)),
                );
            }
            AudioCodec::Flac => {
                let info = StreamInfo::parse(config?)?;
                fields.set("framed", true);
                fields.set("streamheader", stream_header(info.headers()));
                (rate, channels) = (info.rate, info.channels.into());
            }
            AudioCodec::Ac3 | AudioCodec::Eac3 => {
                fields.set("framed", true);
                fields.set("alignment", "frame");
            }
            _ => {}
        }
        if rate > 0 {
            fields.set("rate", rate as i32);
        }
        if channels > 0 {
            fields.set("channels", channels as i32);
        }
        if channels > 2
            && let Some(mask) = self.order.as_ref().and_then(|order| mask(order, channels))
        {
            fields.set("channel-mask", gst::Bitmask::new(mask));
        }
        Some(caps)
    }

    fn opus_caps(&self) -> Option<gst::Caps> {
        let header = match &self.config {
            Some(config) if !config.is_empty() => gst::Buffer::from_slice(config.clone()),
            // Enhanced RTMP: the configuration may be empty, mono and stereo go without.
            _ => {
                let count = self.order.as_ref().map_or(2, MultichannelConfig::count);
                let (family, streams, coupled, mapping) = opus_layout(count)?;
                gst_pbutils::codec_utils_opus_create_header(
                    48_000, count, family, streams, coupled, mapping, 0, 0,
                )
                .ok()?
            }
        };
        gst_pbutils::codec_utils_opus_create_caps_from_header(&header, None).ok()
    }
}

/// Family, streams, coupled streams and mapping of so many channels in the order of Vorbis
/// (RFC 7845, 5.1.1.2).
fn opus_layout(channels: u8) -> Option<(u8, u8, u8, &'static [u8])> {
    Some(match channels {
        1 => (0, 1, 0, &[]),
        2 => (0, 1, 1, &[]),
        3 => (1, 2, 1, &[0, 2, 1]),
        4 => (1, 2, 2, &[0, 1, 2, 3]),
        5 => (1, 3, 2, &[0, 4, 1, 2, 3]),
        6 => (1, 4, 2, &[0, 4, 1, 2, 3, 5]),
        7 => (1, 4, 3, &[0, 4, 1, 2, 3, 5, 6]),
        8 => (1, 5, 3, &[0, 6, 1, 2, 3, 4, 5, 7]),
        _ => return None,
    })
}

fn opus_header(caps: &gst::CapsRef) -> Option<Bytes> {
    // Without it the call below complains aloud.
    let structure = caps.structure(0)?;
    structure.get::<i32>("channel-mapping-family").ok()?;
    let mut mapping = [0; 256];
    let (rate, channels, family, streams, coupled) =
        gst_pbutils::codec_utils_opus_parse_caps(caps, Some(&mut mapping)).ok()?;
    let mapping = match family {
        0 => &[],
        _ => mapping.get(..usize::from(channels))?,
    };
    let header = gst_pbutils::codec_utils_opus_create_header(
        rate, channels, family, streams, coupled, mapping, 0, 0,
    );
    let header = header.ok()?;
    bytes_of(&header)
}

/// GStreamer's bit of each speaker.
const POSITIONS: [u8; Speaker::COUNT as usize] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 15, 12, 14, 13, 16, 20, 17, 9, 18, 19, 21, 22, 23,
];

/// The channel mask of an order, if it says where all `channels` are.
fn mask(order: &MultichannelConfig, channels: u32) -> Option<u64> {
    let speakers: u32 = match order {
        MultichannelConfig::Unspecified(_) => return None,
        MultichannelConfig::Native { mask, .. } => *mask,
        MultichannelConfig::Custom(map) => {
            let known = map.iter().filter(|speaker| speaker.0 < Speaker::COUNT);
            known.fold(0, |mask, speaker| mask | 1 << speaker.0)
        }
    };
    let bits = POSITIONS.iter().enumerate();
    let mask = bits.fold(0, |mask, (speaker, position)| {
        mask | (u64::from(speakers >> speaker & 1) << position)
    });
    (mask.count_ones() == channels).then_some(mask)
}

fn native(mask: u64, channels: u32) -> Option<MultichannelConfig> {
    if mask.count_ones() != channels || mask >> 24 != 0 {
        return None;
    }
    let bits = POSITIONS.iter().enumerate();
    Some(MultichannelConfig::Native {
        count: u8::try_from(channels).ok()?,
        mask: bits.fold(0, |speakers, (speaker, position)| {
            speakers | ((mask >> position & 1) as u32) << speaker
        }),
    })
}

/// What a decoder of Speex wants to see first: FLV has but one kind, 16 kHz mono, and says so nowhere
/// (Annex E.4.2.1).
const SPEEX_HEADERS: [&[u8]; 2] = [
    b"Speex   1.1.12\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
      \x01\0\0\0\x50\0\0\0\x80\x3e\0\0\x01\0\0\0\x04\0\0\0\x01\0\0\0\
      \xff\xff\xff\xff\x40\x01\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
    b"\x07\0\0\0No comm\0\0\0\0",
];

/// What the pads of sound take and give.
pub(in crate::elements::flv) fn template() -> gst::Caps {
    let both = || gst::List::new([1i32, 2]);
    let with_rates = |name: &str, rates: &[i32]| {
        gst::Structure::builder(name)
            .field("channels", both())
            .field("rate", gst::List::new(rates.iter().copied()))
    };
    const FLASH: &[i32] = &[5_512, 11_025, 22_050, 44_100];
    gst::Caps::builder_full()
        .structure(
            gst::Structure::builder("audio/mpeg")
                .field("mpegversion", gst::List::new([4i32, 2]))
                .field("stream-format", "raw")
                .build(),
        )
        .structure(
            gst::Structure::builder("audio/mpeg")
                .field("mpegversion", 1i32)
                .field("layer", 3i32)
                .field("parsed", true)
                .build(),
        )
        .structure(gst::Structure::new_empty("audio/x-opus"))
        .structure(
            gst::Structure::builder("audio/x-flac")
                .field("framed", true)
                .build(),
        )
        .structure(
            gst::Structure::builder("audio/x-ac3")
                .field("framed", true)
                .build(),
        )
        .structure(
            gst::Structure::builder("audio/x-eac3")
                .field("framed", true)
                .build(),
        )
        .structure(
            with_rates("audio/x-adpcm", FLASH)
                .field("layout", "swf")
                .build(),
        )
        .structure(
            with_rates(
                "audio/x-nellymoser",
                &[5_512, 8_000, 11_025, 16_000, 22_050, 44_100],
            )
            .build(),
        )
        .structure(
            with_rates("audio/x-raw", FLASH)
                .field("format", gst::List::new(["U8", "S16LE"]))
                .field("layout", "interleaved")
                .build(),
        )
        .structure(with_rates("audio/x-alaw", &[8_000]).build())
        .structure(with_rates("audio/x-mulaw", &[8_000]).build())
        .structure(
            gst::Structure::builder("audio/x-speex")
                .field("channels", 1i32)
                .field("rate", 16_000i32)
                .build(),
        )
        .build()
}

/// The same of pads with a number, which only Enhanced RTMP has.
pub(in crate::elements::flv) fn enhanced_template() -> gst::Caps {
    let named = |structure: &gst::StructureRef| {
        let mut structure = structure.to_owned();
        if structure.name() == "audio/mpeg" && structure.get::<i32>("mpegversion").is_err() {
            structure.set("mpegversion", 4i32);
        }
        let caps: gst::Caps = structure.into();
        AudioFormat::from_caps(&caps).is_some_and(|format| format.codec.four_cc().is_some())
    };
    let all = template();
    all.iter()
        .filter(|s| named(s))
        .map(ToOwned::to_owned)
        .collect()
}
