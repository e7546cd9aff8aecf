// SPDX-License-Identifier: MPL-2.0

//! VP8 and VP9: `VPCodecConfigurationRecord` (VP Codec ISO Media File Format Binding).

use bytes::{BufMut, BytesMut};

use super::bits::Bits;

/// The record. Numbers of colours are those of ITU-T H.273, 2 is unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VpConfig {
    /// 0 to 3.
    pub profile: u8,
    /// Ten times the level; 0 where it is not known.
    pub level: u8,
    /// Bits of each colour, 8, 10 or 12.
    pub bit_depth: u8,
    /// 0 and 1 are 4:2:0, 2 is 4:2:2, 3 is 4:4:4.
    pub chroma: u8,
    /// From 0 to the largest number, not the range of video.
    pub full_range: bool,
    /// `colourPrimaries`.
    pub primaries: u8,
    /// `transferCharacteristics`.
    pub transfer: u8,
    /// `matrixCoefficients`.
    pub matrix: u8,
}

impl Default for VpConfig {
    fn default() -> Self {
        Self {
            profile: 0,
            level: 0,
            bit_depth: 8,
            chroma: 1,
            full_range: false,
            primaries: 2,
            transfer: 2,
            matrix: 2,
        }
    }
}

impl VpConfig {
    /// Reads a record, with and without version and flags of the box that MP4 has it in: writers
    /// disagree on whether they are part of it.
    pub fn parse(record: &[u8]) -> Option<Self> {
        let record = match record {
            [1, 0, 0, 0, rest @ ..] if rest.len() >= 8 => rest,
            record => record,
        };
        let &[profile, level, depth, primaries, transfer, matrix, ..] =
            record.first_chunk::<8>()?;
        Some(Self {
            profile,
            level,
            bit_depth: depth >> 4,
            chroma: depth >> 1 & 7,
            full_range: depth & 1 != 0,
            primaries,
            transfer,
            matrix,
        })
    }

    /// Appends the record.
    pub fn write(&self, out: &mut BytesMut) {
        out.put_slice(&[
            self.profile,
            self.level,
            self.bit_depth << 4 | (self.chroma & 7) << 1 | u8::from(self.full_range),
            self.primaries,
            self.transfer,
            self.matrix,
            0,
            0,
        ]);
    }

    /// What a key frame of VP8 says (RFC 6386, 9.1).
    pub fn of_vp8(frame: &[u8]) -> Option<Self> {
        let &first = frame.first()?;
        (first & 1 == 0).then(|| Self {
            profile: first >> 1 & 7,
            ..Self::default()
        })
    }

    /// What a key frame of VP9 says (VP9 bitstream, 6.2).
    pub fn of_vp9(frame: &[u8]) -> Option<Self> {
        const SYNC_CODE: u32 = 0x49_8342;
        const RGB: u32 = 7;

        let mut bits = Bits::new(frame);
        if bits.read(2)? != 2 {
            return None;
        }
        let profile = bits.read(1)? | bits.read(1)? << 1;
        if profile == 3 {
            bits.flag()?;
        }
        let (shown_before, inter) = (bits.flag()?, bits.flag()?);
        bits.read(2)?;
        if shown_before || inter || bits.read(24)? != SYNC_CODE {
            return None;
        }
        let mut config = Self {
            profile: profile as u8,
            ..Self::default()
        };
        if profile >= 2 {
            config.bit_depth = if bits.flag()? { 12 } else { 10 };
        }
        let color_space = bits.read(3)?;
        // BT.601, BT.709, SMPTE 170, SMPTE 240, BT.2020 and RGB, as libvpx maps them.
        (config.primaries, config.transfer, config.matrix) = match color_space {
            1 => (5, 6, 5),
            2 => (1, 1, 1),
            3 => (6, 6, 6),
            4 => (7, 7, 7),
            5 => (9, 14, 9),
            RGB => (1, 13, 0),
            _ => (2, 2, 2),
        };
        if color_space == RGB {
            config.full_range = true;
            config.chroma = 3;
        } else {
            config.full_range = bits.flag()?;
            if profile & 1 != 0 {
                config.chroma = match (bits.flag()?, bits.flag()?) {
                    (true, true) => 1,
                    (true, false) => 2,
                    (false, _) => 3,
                };
            }
        }
        Some(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_with_and_without_the_box() {
        let config = VpConfig {
            profile: 2,
            level: 31,
            bit_depth: 10,
            chroma: 1,
            full_range: true,
            primaries: 9,
            transfer: 16,
            matrix: 9,
        };
        let mut record = BytesMut::new();
        config.write(&mut record);
        assert_eq!(record.as_ref(), [2, 31, 0xa3, 9, 16, 9, 0, 0]);
        assert_eq!(VpConfig::parse(&record), Some(config));
        let boxed = [&[1, 0, 0, 0], &record[..]].concat();
        assert_eq!(VpConfig::parse(&boxed), Some(config));
        for len in 0..8 {
            assert_eq!(VpConfig::parse(&record[..len]), None);
        }
    }

    #[test]
    fn key_frames_say_what_they_are() {
        // vpxenc, 8 bits 4:2:0, and the same in profile 2 with 10 bits.
        let eight = [0x82, 0x49, 0x83, 0x42, 0x00, 0x13, 0xf0];
        assert_eq!(VpConfig::of_vp9(&eight), Some(VpConfig::default()));
        let ten = [0x92, 0x49, 0x83, 0x42, 0x00, 0x13, 0xf0];
        let config = VpConfig::of_vp9(&ten).unwrap();
        assert_eq!((config.profile, config.bit_depth), (2, 10));
        assert_eq!(VpConfig::of_vp9(&[0x86, 0x00, 0x40, 0x92]), None, "inter");
        assert_eq!(
            VpConfig::of_vp8(&[0x10, 0x02, 0x00]),
            Some(VpConfig::default())
        );
        assert_eq!(VpConfig::of_vp8(&[0x11, 0x02, 0x00]), None, "inter");
        for len in 0..5 {
            let _ = VpConfig::of_vp9(&ten[..len]);
        }
    }
}
