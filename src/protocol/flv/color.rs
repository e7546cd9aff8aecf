// SPDX-License-Identifier: MPL-2.0

//! `colorInfo` of `VideoPacketType.Metadata` (Enhanced RTMP v2, "Metadata Frame"): how colours are
//! coded, and what the display was like that they were mastered on.

use bytes::{Bytes, BytesMut};

use crate::protocol::rtmp::amf::{AmfError, Object, Value, amf0};

/// Colours of the pictures that follow. Everything absent is the reset that the specification asks
/// for: what the codec says itself holds again.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ColorInfo {
    /// How colours are coded.
    pub config: ColorConfig,
    /// `hdrCll`.
    pub light_level: Option<LightLevel>,
    /// `hdrMdcv`.
    pub mastering: Option<Mastering>,
}

/// `colorConfig`; numbers are those of ITU-T H.273.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColorConfig {
    /// Bits of each colour.
    pub bit_depth: Option<u8>,
    /// `colorPrimaries`.
    pub primaries: Option<u8>,
    /// `transferCharacteristics`.
    pub transfer: Option<u8>,
    /// `matrixCoefficients`.
    pub matrix: Option<u8>,
}

/// Content light level (CTA-861.3), in cd/m2.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LightLevel {
    /// `maxFall`: of the brightest frame on average.
    pub max_fall: f64,
    /// `maxCLL`: of the brightest pixel.
    pub max_cll: f64,
}

/// Mastering display colour volume (SMPTE ST 2086): CIE 1931 chromaticities and cd/m2.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Mastering {
    /// x and y of red.
    pub red: [f64; 2],
    /// x and y of green.
    pub green: [f64; 2],
    /// x and y of blue.
    pub blue: [f64; 2],
    /// x and y of white.
    pub white: [f64; 2],
    /// The brightest it shows.
    pub max_luminance: f64,
    /// The darkest.
    pub min_luminance: f64,
}

const NAME: &str = "colorInfo";

impl ColorInfo {
    /// Reads the payload of a metadata packet. `None` where none of its pairs is `colorInfo`; of
    /// several the last holds. Members that are missing, no numbers or out of range are absent.
    ///
    /// # Errors
    ///
    /// The payload is no AMF0.
    pub fn parse(payload: &Bytes) -> Result<Option<Self>, AmfError> {
        let values = amf0::decode_all(payload)?;
        let named = values.chunks(2).filter_map(|pair| match pair {
            [name, value] => (name.as_str() == Some(NAME)).then_some(value),
            _ => None,
        });
        Ok(named.last().map(|value| match value.as_object() {
            Some(object) => Self::from_object(object),
            None => Self::default(),
        }))
    }

    /// Appends the payload of a metadata packet.
    pub fn write(&self, out: &mut BytesMut) {
        amf0::encode(&NAME.into(), out);
        let value = match *self == Self::default() {
            true => Value::Undefined,
            false => self.to_object().into(),
        };
        amf0::encode(&value, out);
    }

    fn from_object(object: &Object) -> Self {
        let part = |name| object.get(name).and_then(Value::as_object);
        Self {
            config: part("colorConfig")
                .map(|config| ColorConfig {
                    bit_depth: small(config, "bitDepth"),
                    primaries: small(config, "colorPrimaries"),
                    transfer: small(config, "transferCharacteristics"),
                    matrix: small(config, "matrixCoefficients"),
                })
                .unwrap_or_default(),
            light_level: part("hdrCll").and_then(|cll| {
                Some(LightLevel {
                    max_fall: positive(cll, "maxFall")?,
                    max_cll: positive(cll, "maxCLL")?,
                })
            }),
            mastering: part("hdrMdcv").and_then(|mdcv| {
                let point = |x, y| Some([positive(mdcv, x)?, positive(mdcv, y)?]);
                Some(Mastering {
                    red: point("redX", "redY")?,
                    green: point("greenX", "greenY")?,
                    blue: point("blueX", "blueY")?,
                    white: point("whitePointX", "whitePointY")?,
                    max_luminance: positive(mdcv, "maxLuminance")?,
                    min_luminance: positive(mdcv, "minLuminance")?,
                })
            }),
        }
    }

    fn to_object(self) -> Object {
        let mut object = Object::default();
        if self.config != ColorConfig::default() {
            let mut config = Object::default();
            for (name, value) in [
                ("bitDepth", self.config.bit_depth),
                ("colorPrimaries", self.config.primaries),
                ("transferCharacteristics", self.config.transfer),
                ("matrixCoefficients", self.config.matrix),
            ] {
                if let Some(value) = value {
                    config.push(name, f64::from(value));
                }
            }
            object.push("colorConfig", config);
        }
        if let Some(cll) = self.light_level {
            let mut part = Object::default();
            part.push("maxFall", cll.max_fall);
            part.push("maxCLL", cll.max_cll);
            object.push("hdrCll", part);
        }
        if let Some(mdcv) = self.mastering {
            let mut part = Object::default();
            for (x, y, point) in [
                ("redX", "redY", mdcv.red),
                ("greenX", "greenY", mdcv.green),
                ("blueX", "blueY", mdcv.blue),
                ("whitePointX", "whitePointY", mdcv.white),
            ] {
                let [at_x, at_y] = point;
                part.push(x, at_x);
                part.push(y, at_y);
            }
            part.push("maxLuminance", mdcv.max_luminance);
            part.push("minLuminance", mdcv.min_luminance);
            object.push("hdrMdcv", part);
        }
        object
    }
}

fn small(object: &Object, name: &str) -> Option<u8> {
    let number = object.number(name)?;
    (number.fract() == 0.0 && (0.0..=255.0).contains(&number)).then_some(number as u8)
}

fn positive(object: &Object, name: &str) -> Option<f64> {
    object
        .number(name)
        .filter(|number| number.is_finite() && *number >= 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(info: ColorInfo) -> Bytes {
        let mut out = BytesMut::new();
        info.write(&mut out);
        out.freeze()
    }

    #[test]
    fn hdr10_both_ways() {
        let info = ColorInfo {
            config: ColorConfig {
                bit_depth: Some(10),
                primaries: Some(9),
                transfer: Some(16),
                matrix: Some(9),
            },
            light_level: Some(LightLevel {
                max_fall: 400.0,
                max_cll: 1000.0,
            }),
            mastering: Some(Mastering {
                red: [0.68, 0.32],
                green: [0.265, 0.69],
                blue: [0.15, 0.06],
                white: [0.3127, 0.329],
                max_luminance: 1000.0,
                min_luminance: 0.0001,
            }),
        };
        assert_eq!(ColorInfo::parse(&written(info)), Ok(Some(info)));
    }

    #[test]
    fn undefined_and_empty_reset() {
        let reset = ColorInfo::default();
        assert_eq!(&written(reset)[..], b"\x02\x00\x09colorInfo\x06");
        for payload in [
            &b"\x02\x00\x09colorInfo\x06"[..],
            b"\x02\x00\x09colorInfo\x03\x00\x00\x09",
        ] {
            let payload = Bytes::from_static(payload);
            assert_eq!(ColorInfo::parse(&payload), Ok(Some(reset)));
        }
        let other = Bytes::from_static(b"\x02\x00\x05other\x05\x02\x00\x09colorInfo");
        assert_eq!(ColorInfo::parse(&other), Ok(None));
    }

    #[test]
    fn numbers_that_mean_nothing_are_absent() {
        for bad in [-1.0, 256.0, 9.5, f64::NAN, f64::INFINITY] {
            let mut config = Object::default();
            config.push("colorPrimaries", bad);
            config.push("matrixCoefficients", "9");
            config.push("transferCharacteristics", 16.0);
            let mut object = Object::default();
            object.push("colorConfig", config);
            let info = ColorInfo::from_object(&object);
            assert_eq!(info.config.primaries, None, "{bad}");
            assert_eq!(info.config.matrix, None);
            assert_eq!(info.config.transfer, Some(16));
        }
    }

    proptest! {
        #[test]
        fn any_colours_come_back(
            config in any::<[Option<u8>; 4]>(),
            cll in prop::option::of(prop::array::uniform2(0.0..1e5f64)),
            mdcv in prop::option::of(prop::array::uniform10(0.0..1e4f64)),
        ) {
            let [bit_depth, primaries, transfer, matrix] = config;
            let info = ColorInfo {
                config: ColorConfig { bit_depth, primaries, transfer, matrix },
                light_level: cll.map(|[max_fall, max_cll]| LightLevel { max_fall, max_cll }),
                mastering: mdcv.map(|[a, b, c, d, e, f, g, h, i, j]| Mastering {
                    red: [a, b],
                    green: [c, d],
                    blue: [e, f],
                    white: [g, h],
                    max_luminance: i,
                    min_luminance: j,
                }),
            };
            prop_assert_eq!(ColorInfo::parse(&written(info)), Ok(Some(info)));
        }
    }
}
