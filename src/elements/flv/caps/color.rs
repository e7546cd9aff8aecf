// SPDX-License-Identifier: MPL-2.0

//! `colorInfo` and what caps say about colours.

use gst_video::{
    VideoColorMatrix, VideoColorPrimaries, VideoColorRange, VideoColorimetry,
    VideoContentLightLevel, VideoMasteringDisplayInfo, VideoMasteringDisplayInfoCoordinate,
    VideoTransferFunction,
};

use crate::protocol::flv::color::{ColorConfig, ColorInfo, LightLevel, Mastering};

/// Steps of a chromaticity in caps (SMPTE ST 2086).
const CHROMATICITY: f64 = 50_000.0;
/// Steps of a luminance in caps, in 1/(cd/m2).
const LUMINANCE: f64 = 10_000.0;
/// Numbers of H.273 that mean nothing.
const UNSPECIFIED: [u8; 2] = [0, 2];

/// Puts colours into caps, and takes those out that are reset.
pub(super) fn add_to_caps(info: &ColorInfo, full_range: bool, caps: &mut gst::CapsRef) {
    if let Some(colorimetry) = colorimetry(&info.config, full_range) {
        caps.set("colorimetry", colorimetry.to_string());
    }
    if let Some(level) = info.light_level {
        let small = |number: f64| number.round().clamp(0.0, f64::from(u16::MAX)) as u16;
        VideoContentLightLevel::new(small(level.max_cll), small(level.max_fall)).add_to_caps(caps);
    }
    if let Some(mastering) = info.mastering {
        let point = |[x, y]: [f64; 2]| {
            let steps = |part: f64| (part * CHROMATICITY).round().clamp(0.0, 65_535.0) as u16;
            VideoMasteringDisplayInfoCoordinate {
                x: steps(x),
                y: steps(y),
            }
        };
        let steps = |luminance: f64| (luminance * LUMINANCE).round() as u32;
        VideoMasteringDisplayInfo::new(
            [
                point(mastering.red),
                point(mastering.green),
                point(mastering.blue),
            ],
            point(mastering.white),
            steps(mastering.max_luminance),
            steps(mastering.min_luminance),
        )
        .add_to_caps(caps);
    }
}

/// What caps say about colours. The bit depth is not in them.
pub(super) fn from_caps(caps: &gst::CapsRef) -> ColorInfo {
    let structure = caps.structure(0);
    let text = structure.and_then(|structure| structure.get::<String>("colorimetry").ok());
    let mut info = ColorInfo::default();
    if let Some(colorimetry) = text.and_then(|text| text.parse::<VideoColorimetry>().ok()) {
        let known = |number: u32| {
            let number = u8::try_from(number).ok();
            number.filter(|number| !UNSPECIFIED.contains(number))
        };
        info.config = ColorConfig {
            bit_depth: None,
            primaries: known(colorimetry.primaries().to_iso()),
            transfer: known(colorimetry.transfer().to_iso()),
            matrix: match colorimetry.matrix() {
                // 0 in H.273 too.
                VideoColorMatrix::Rgb => Some(0),
                matrix => known(matrix.to_iso()),
            },
        };
    }
    if let Ok(level) = VideoContentLightLevel::from_caps(caps) {
        info.light_level = Some(LightLevel {
            max_fall: level.max_frame_average_light_level().into(),
            max_cll: level.max_content_light_level().into(),
        });
    }
    if let Ok(display) = VideoMasteringDisplayInfo::from_caps(caps) {
        let point = |point: VideoMasteringDisplayInfoCoordinate| {
            [
                f64::from(point.x) / CHROMATICITY,
                f64::from(point.y) / CHROMATICITY,
            ]
        };
        let [red, green, blue] = display.display_primaries();
        info.mastering = Some(Mastering {
            red: point(red),
            green: point(green),
            blue: point(blue),
            white: point(display.white_point()),
            max_luminance: f64::from(display.max_display_mastering_luminance()) / LUMINANCE,
            min_luminance: f64::from(display.min_display_mastering_luminance()) / LUMINANCE,
        });
    }
    info
}

/// Whether caps say that colours have their full range.
pub(super) fn full_range(caps: &gst::StructureRef) -> bool {
    let text = caps.get::<String>("colorimetry").ok();
    text.and_then(|text| text.parse::<VideoColorimetry>().ok())
        .is_some_and(|colorimetry| colorimetry.range() == VideoColorRange::Range0_255)
}

fn colorimetry(config: &ColorConfig, full_range: bool) -> Option<VideoColorimetry> {
    if config.primaries.is_none() && config.transfer.is_none() && config.matrix.is_none() {
        return None;
    }
    let number = |number: Option<u8>| u32::from(number.unwrap_or(2));
    let matrix = VideoColorMatrix::from_iso(number(config.matrix));
    let range = match full_range || matrix == VideoColorMatrix::Rgb {
        true => VideoColorRange::Range0_255,
        false => VideoColorRange::Range16_235,
    };
    Some(VideoColorimetry::new(
        range,
        matrix,
        VideoTransferFunction::from_iso(number(config.transfer)),
        VideoColorPrimaries::from_iso(number(config.primaries)),
    ))
}
