// SPDX-License-Identifier: MPL-2.0

//! Caps of pictures.

use bytes::{Bytes, BytesMut};

use super::{codec_data, color, positive};
use crate::protocol::flv::{
    codec::{
        VideoCodec,
        av1::{self, Av1Config},
        vp::VpConfig,
    },
    color::ColorInfo,
};

/// A track of pictures: what the head of its tags, and its configuration, say.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::elements::flv) struct VideoFormat {
    pub(in crate::elements::flv) codec: VideoCodec,
    /// The configuration record.
    pub(in crate::elements::flv) config: Option<Bytes>,
    pub(in crate::elements::flv) color: ColorInfo,
    pub(in crate::elements::flv) picture: Picture,
}

/// What only metadata says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::elements::flv) struct Picture {
    /// In pixels.
    pub(in crate::elements::flv) size: Option<(u32, u32)>,
    /// In frames a second.
    pub(in crate::elements::flv) framerate: Option<gst::Fraction>,
    /// Width of a pixel to its height.
    pub(in crate::elements::flv) aspect: Option<gst::Fraction>,
}

impl VideoFormat {
    pub(in crate::elements::flv) fn new(codec: VideoCodec) -> Self {
        Self {
            codec,
            config: None,
            color: ColorInfo::default(),
            picture: Picture::default(),
        }
    }

    /// Reads caps that a pad template lets through; `None` for others.
    pub(in crate::elements::flv) fn from_caps(caps: &gst::CapsRef) -> Option<Self> {
        let structure = caps.structure(0)?;
        let codec = match structure.name().as_str() {
            "image/jpeg" => VideoCodec::Jpeg,
            "video/x-flash-video" => VideoCodec::Sorenson,
            "video/x-flash-screen" => VideoCodec::Screen,
            "video/x-flash-screen2" => VideoCodec::Screen2,
            "video/x-vp6-flash" => VideoCodec::Vp6,
            "video/x-vp6-alpha" => VideoCodec::Vp6Alpha,
            "video/x-h264" => VideoCodec::Avc,
            "video/x-h265" => VideoCodec::Hevc,
            "video/x-h266" => VideoCodec::Vvc,
            "video/x-vp8" => VideoCodec::Vp8,
            "video/x-vp9" => VideoCodec::Vp9,
            "video/x-av1" => VideoCodec::Av1,
            _ => return None,
        };
        let size = positive(structure, "width").zip(positive(structure, "height"));
        let fraction = |name| {
            let fraction = structure.get::<gst::Fraction>(name).ok();
            fraction.filter(|fraction| fraction.numer() > 0 && fraction.denom() > 0)
        };
        let mut format = Self {
            codec,
            config: codec_data(structure),
            color: color::from_caps(caps),
            picture: Picture {
                size,
                framerate: fraction("framerate"),
                aspect: fraction("pixel-aspect-ratio"),
            },
        };
        if matches!(codec, VideoCodec::Vp8 | VideoCodec::Vp9) {
            format.config = None;
            if let Some(config) = vp_from_caps(structure, &format.color) {
                format.set_vp_config(config);
            }
        }
        Some(format)
    }

    /// Whether frames can be written: all that is missing has been made up from this one.
    pub(in crate::elements::flv) fn complete(&mut self, frame: &[u8]) -> bool {
        if self.config.is_none() {
            match self.codec {
                VideoCodec::Vp8 => {
                    let config = VpConfig::of_vp8(frame).unwrap_or_default();
                    self.set_vp_config(config);
                }
                VideoCodec::Vp9 => {
                    let config = VpConfig::of_vp9(frame).unwrap_or_default();
                    self.set_vp_config(config);
                }
                VideoCodec::Av1 => self.config = av1::record_of(frame),
                _ => {}
            }
        }
        self.config.is_some() || !self.has_config()
    }

    /// Whether a stream of this begins with a configuration record.
    pub(in crate::elements::flv) fn has_config(&self) -> bool {
        self.codec.needs_config()
            || matches!(
                self.codec,
                VideoCodec::Vp8 | VideoCodec::Vp9 | VideoCodec::Av1
            )
    }

    fn set_vp_config(&mut self, mut config: VpConfig) {
        let known = self.color.config;
        config.primaries = known.primaries.unwrap_or(config.primaries);
        config.transfer = known.transfer.unwrap_or(config.transfer);
        config.matrix = known.matrix.unwrap_or(config.matrix);
        let mut record = BytesMut::new();
        config.write(&mut record);
        self.config = Some(record.freeze());
    }

    /// Caps, or `None` as long as there cannot be any.
    pub(in crate::elements::flv) fn to_caps(&self) -> Option<gst::Caps> {
        let config = self.config.as_deref();
        if self.codec.needs_config() && config.is_none() {
            return None;
        }
        let mut full_range = false;
        let mut colors = self.color;
        let mut caps = gst::Caps::new_empty_simple(match self.codec {
            VideoCodec::Jpeg => "image/jpeg",
            VideoCodec::Sorenson => "video/x-flash-video",
            VideoCodec::Screen => "video/x-flash-screen",
            VideoCodec::Screen2 => "video/x-flash-screen2",
            VideoCodec::Vp6 => "video/x-vp6-flash",
            VideoCodec::Vp6Alpha => "video/x-vp6-alpha",
            VideoCodec::Avc => "video/x-h264",
            VideoCodec::Hevc => "video/x-h265",
            VideoCodec::Vvc => "video/x-h266",
            VideoCodec::Vp8 => "video/x-vp8",
            VideoCodec::Vp9 => "video/x-vp9",
            VideoCodec::Av1 => "video/x-av1",
        });
        let fields = caps.make_mut();
        match self.codec {
            VideoCodec::Sorenson => fields.set("flvversion", 1i32),
            VideoCodec::Avc => {
                fields.set("stream-format", "avc");
                fields.set("alignment", "au");
                if let Some(profile) = config.and_then(|record| record.get(1..4)) {
                    // What it does not know stays out of the caps.
                    let _ =
                        gst_pbutils::codec_utils_h264_caps_set_level_and_profile(fields, profile);
                }
            }
            VideoCodec::Hevc => {
                fields.set("stream-format", "hvc1");
                fields.set("alignment", "au");
                if let Some(profile) = config.and_then(|record| record.get(1..13)) {
                    let _ = gst_pbutils::codec_utils_h265_caps_set_level_tier_and_profile(
                        fields, profile,
                    );
                }
            }
            VideoCodec::Vvc => {
                fields.set("stream-format", "vvc1");
                fields.set("alignment", "au");
            }
            VideoCodec::Vp8 | VideoCodec::Vp9 => {
                let vp9 = self.codec == VideoCodec::Vp9;
                if vp9 {
                    fields.set("alignment", "super-frame");
                }
                if let Some(config) = config.and_then(VpConfig::parse) {
                    fields.set("profile", config.profile.to_string());
                    if vp9 {
                        let depth = u32::from(config.bit_depth);
                        fields.set("bit-depth-luma", depth);
                        fields.set("bit-depth-chroma", depth);
                        let (name, site) = chroma(config.chroma);
                        fields.set("chroma-format", name);
                        // mp4mux 1.22 crashes where it is missing.
                        if let Some(site) = site {
                            fields.set("chroma-site", site);
                        }
                    }
                    full_range = config.full_range;
                    let said = |number: u8| (number != 2).then_some(number);
                    let known = &mut colors.config;
                    known.primaries = known.primaries.or(said(config.primaries));
                    known.transfer = known.transfer.or(said(config.transfer));
                    known.matrix = known.matrix.or(said(config.matrix));
                }
            }
            VideoCodec::Av1 => {
                fields.set("stream-format", "obu-stream");
                fields.set("alignment", "tu");
                if let Some(config) = config.and_then(Av1Config::parse) {
                    let profiles = ["main", "high", "professional"];
                    if let Some(profile) = profiles.get(usize::from(config.profile)) {
                        fields.set("profile", *profile);
                    }
                    let depth = u32::from(config.bit_depth);
                    fields.set("bit-depth-luma", depth);
                    fields.set("bit-depth-chroma", depth);
                    let chroma = match (config.monochrome, config.subsampling) {
                        (true, _) => "4:0:0",
                        (false, [true, true]) => "4:2:0",
                        (false, [true, false]) => "4:2:2",
                        (false, _) => "4:4:4",
                    };
                    fields.set("chroma-format", chroma);
                }
            }
            _ => {}
        }
        if let Some(config) = &self.config
            && !matches!(self.codec, VideoCodec::Vp8 | VideoCodec::Vp9)
        {
            fields.set("codec_data", gst::Buffer::from_slice(config.clone()));
        }
        if let Some((width, height)) = self.picture.size {
            fields.set("width", width as i32);
            fields.set("height", height as i32);
        }
        if let Some(framerate) = self.picture.framerate {
            fields.set("framerate", framerate);
        }
        if let Some(aspect) = self.picture.aspect {
            fields.set("pixel-aspect-ratio", aspect);
        }
        color::add_to_caps(&colors, full_range, fields);
        Some(caps)
    }
}

/// `chromaSubsampling` of VP9 (VP Codec ISO Media File Format Binding), as `chroma-format` and
/// `chroma-site` have it. The first of a format is what stands for it.
const CHROMA: [(&str, Option<&str>, u8); 4] = [
    ("4:2:0", Some("cosited"), 1),
    ("4:2:0", Some("v-cosited"), 0),
    ("4:2:2", None, 2),
    ("4:4:4", None, 3),
];

fn chroma(number: u8) -> (&'static str, Option<&'static str>) {
    let found = CHROMA.iter().find(|(_, _, chroma)| *chroma == number);
    let [first, ..] = CHROMA;
    let (name, site, _) = found.unwrap_or(&first);
    (name, *site)
}

/// What parsers put into caps; an encoder's say too little, the first frame has to be asked.
fn vp_from_caps(structure: &gst::StructureRef, color: &ColorInfo) -> Option<VpConfig> {
    let profile = structure.get::<&str>("profile").ok()?.parse().ok()?;
    let depth = structure.get::<u32>("bit-depth-luma").ok()?;
    let chroma = structure.get::<&str>("chroma-format").ok()?;
    let site = structure.get::<&str>("chroma-site").ok();
    let mut named = CHROMA.iter().filter(|(name, ..)| *name == chroma);
    let first = named.clone().next();
    let (.., chroma) = named.find(|(_, at, _)| *at == site).or(first)?;
    // From the frame they are right; from caps they would be a guess.
    color.config.matrix?;
    Some(VpConfig {
        profile,
        bit_depth: u8::try_from(depth).ok()?,
        chroma: *chroma,
        full_range: color::full_range(structure),
        ..VpConfig::default()
    })
}

/// What the pads of pictures take and give.
pub(in crate::elements::flv) fn template() -> gst::Caps {
    gst::Caps::builder_full()
        .structure(
            gst::Structure::builder("video/x-h264")
                .field("stream-format", "avc")
                .build(),
        )
        .structure(
            gst::Structure::builder("video/x-h265")
                .field("stream-format", "hvc1")
                .field("alignment", "au")
                .build(),
        )
        .structure(
            gst::Structure::builder("video/x-h266")
                .field("stream-format", "vvc1")
                .field("alignment", "au")
                .build(),
        )
        .structure(gst::Structure::new_empty("video/x-vp8"))
        .structure(gst::Structure::new_empty("video/x-vp9"))
        .structure(
            gst::Structure::builder("video/x-av1")
                .field("stream-format", "obu-stream")
                .field("alignment", "tu")
                .build(),
        )
        .structure(gst::Structure::new_empty("video/x-flash-video"))
        .structure(gst::Structure::new_empty("video/x-flash-screen"))
        .structure(gst::Structure::new_empty("video/x-flash-screen2"))
        .structure(gst::Structure::new_empty("video/x-vp6-flash"))
        .structure(gst::Structure::new_empty("video/x-vp6-alpha"))
        .structure(gst::Structure::new_empty("image/jpeg"))
        .build()
}

/// The same of pads with a number, which only Enhanced RTMP has.
pub(in crate::elements::flv) fn enhanced_template() -> gst::Caps {
    let named = |structure: &gst::StructureRef| {
        let caps: gst::Caps = structure.to_owned().into();
        VideoFormat::from_caps(&caps).is_some_and(|format| format.codec.four_cc().is_some())
    };
    let all = template();
    all.iter()
        .filter(|s| named(s))
        .map(ToOwned::to_owned)
        .collect()
}
