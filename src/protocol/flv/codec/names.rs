// SPDX-License-Identifier: MPL-2.0

//! The codecs that FLV carries, and what each is called there: a number, a FourCC, or either.

use crate::protocol::flv::head::{Codec, FourCc};

/// Codecs of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum VideoCodec {
    Jpeg,
    Sorenson,
    Screen,
    Vp6,
    Vp6Alpha,
    Screen2,
    Avc,
    Hevc,
    Vvc,
    Vp8,
    Vp9,
    Av1,
}

/// Codecs of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum AudioCodec {
    /// Of 8 bits unsigned, or 16 bits signed and little-endian.
    Pcm,
    Adpcm,
    Mp3,
    Nellymoser,
    ALaw,
    MuLaw,
    Aac,
    Speex,
    Opus,
    Flac,
    Ac3,
    Eac3,
}

impl VideoCodec {
    const NAMES: [(Self, Option<u8>, Option<FourCc>); 12] = [
        (Self::Jpeg, Some(1), None),
        (Self::Sorenson, Some(2), None),
        (Self::Screen, Some(3), None),
        (Self::Vp6, Some(4), None),
        (Self::Vp6Alpha, Some(5), None),
        (Self::Screen2, Some(6), None),
        (Self::Avc, Some(7), Some(FourCc::AVC1)),
        // The number is read only, for servers that used it before there was a FourCC.
        (Self::Hevc, Some(12), Some(FourCc::HVC1)),
        (Self::Vvc, None, Some(FourCc::VVC1)),
        (Self::Vp8, None, Some(FourCc::VP08)),
        (Self::Vp9, None, Some(FourCc::VP09)),
        (Self::Av1, None, Some(FourCc::AV01)),
    ];

    /// The codec of this name.
    pub fn from_name(name: Codec) -> Option<Self> {
        let mut names = Self::NAMES.iter();
        let found = names.find(|(_, classic, four_cc)| match name {
            Codec::Classic(number) => *classic == Some(number),
            Codec::FourCc(four) => *four_cc == Some(four),
        });
        found.map(|(codec, _, _)| *codec)
    }

    /// Its `CodecID`, unless it has none that others than a few servers know.
    pub fn classic(self) -> Option<u8> {
        match self {
            Self::Hevc => None,
            codec => codec.names().0,
        }
    }

    /// Its FourCC.
    pub fn four_cc(self) -> Option<FourCc> {
        self.names().1
    }

    fn names(self) -> (Option<u8>, Option<FourCc>) {
        let mut names = Self::NAMES.iter();
        let found = names.find(|(codec, _, _)| *codec == self);
        found.map_or((None, None), |(_, classic, four_cc)| (*classic, *four_cc))
    }

    /// Whether nothing can be decoded, and no caps made, without a configuration record.
    pub fn needs_config(self) -> bool {
        matches!(self, Self::Avc | Self::Hevc | Self::Vvc)
    }
}

impl AudioCodec {
    /// The codec of this name.
    pub fn from_name(name: Codec) -> Option<Self> {
        Some(match name {
            Codec::Classic(0 | 3) => Self::Pcm,
            Codec::Classic(1) => Self::Adpcm,
            Codec::Classic(2 | 14) | Codec::FourCc(FourCc::MP3) => Self::Mp3,
            Codec::Classic(4..=6) => Self::Nellymoser,
            Codec::Classic(7) => Self::ALaw,
            Codec::Classic(8) => Self::MuLaw,
            Codec::Classic(10) | Codec::FourCc(FourCc::MP4A) => Self::Aac,
            Codec::Classic(11) => Self::Speex,
            Codec::FourCc(FourCc::OPUS) => Self::Opus,
            Codec::FourCc(FourCc::FLAC) => Self::Flac,
            Codec::FourCc(FourCc::AC_3) => Self::Ac3,
            Codec::FourCc(FourCc::EC_3) => Self::Eac3,
            _ => return None,
        })
    }

    /// Its `SoundFormat` at this rate, in Hz, and number of channels; `None` where it has none, or
    /// none for these.
    pub fn classic(self, rate: u32, channels: u32) -> Option<u8> {
        let flash_rate = matches!(rate, 5_512 | 11_025 | 22_050 | 44_100);
        Some(match self {
            Self::Pcm if flash_rate => 3,
            Self::Adpcm if flash_rate => 1,
            Self::Mp3 if rate == 8_000 => 14,
            Self::Mp3 if flash_rate => 2,
            Self::Nellymoser if rate == 16_000 && channels == 1 => 4,
            Self::Nellymoser if rate == 8_000 && channels == 1 => 5,
            Self::Nellymoser if flash_rate => 6,
            Self::ALaw if rate == 8_000 => 7,
            Self::MuLaw if rate == 8_000 => 8,
            // Its head says nothing that is true, its configuration does.
            Self::Aac => 10,
            Self::Speex if rate == 16_000 && channels == 1 => 11,
            _ => return None,
        })
    }

    /// Its FourCC.
    pub fn four_cc(self) -> Option<FourCc> {
        Some(match self {
            Self::Mp3 => FourCc::MP3,
            Self::Aac => FourCc::MP4A,
            Self::Opus => FourCc::OPUS,
            Self::Flac => FourCc::FLAC,
            Self::Ac3 => FourCc::AC_3,
            Self::Eac3 => FourCc::EC_3,
            _ => return None,
        })
    }
}

impl Codec {
    /// As `videocodecid` and `audiocodecid` of `onMetaData` have it: the number, or the FourCC as one.
    pub fn to_number(self) -> f64 {
        match self {
            Self::Classic(number) => number.into(),
            Self::FourCc(FourCc(letters)) => u32::from_be_bytes(letters).into(),
        }
    }

    /// The reverse of [`to_number`](Self::to_number).
    pub fn from_number(number: f64) -> Option<Self> {
        if number.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&number) {
            return None;
        }
        Some(match number as u32 {
            number @ 0..16 => Self::Classic(number as u8),
            number => Self::FourCc(FourCc(number.to_be_bytes())),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for (codec, classic, four_cc) in VideoCodec::NAMES {
            for name in [classic.map(Codec::Classic), four_cc.map(Codec::FourCc)] {
                let Some(name) = name else { continue };
                assert_eq!(VideoCodec::from_name(name), Some(codec));
                assert_eq!(Codec::from_number(name.to_number()), Some(name));
            }
            assert!(codec.classic().or(Some(12)) == classic.or(Some(12)));
            assert_eq!(codec.four_cc(), four_cc);
        }
        for codec in [
            AudioCodec::Mp3,
            AudioCodec::Aac,
            AudioCodec::Opus,
            AudioCodec::Flac,
            AudioCodec::Ac3,
            AudioCodec::Eac3,
        ] {
            let name = Codec::FourCc(codec.four_cc().unwrap());
            assert_eq!(AudioCodec::from_name(name), Some(codec));
        }
        for (codec, rate, channels, number) in [
            (AudioCodec::Pcm, 44_100, 2, Some(3)),
            (AudioCodec::Pcm, 48_000, 2, None),
            (AudioCodec::Mp3, 8_000, 1, Some(14)),
            (AudioCodec::Mp3, 48_000, 2, None),
            (AudioCodec::Nellymoser, 16_000, 1, Some(4)),
            (AudioCodec::Nellymoser, 16_000, 2, None),
            (AudioCodec::Aac, 48_000, 6, Some(10)),
            (AudioCodec::Speex, 16_000, 1, Some(11)),
            (AudioCodec::Opus, 48_000, 2, None),
        ] {
            assert_eq!(codec.classic(rate, channels), number);
            if let Some(number) = number {
                assert_eq!(AudioCodec::from_name(Codec::Classic(number)), Some(codec));
            }
        }
    }

    #[test]
    fn numbers_that_name_nothing() {
        for number in [-1.0, 0.5, f64::NAN, f64::INFINITY, 1e10] {
            assert_eq!(Codec::from_number(number), None);
        }
    }
}
