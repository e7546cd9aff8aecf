// SPDX-License-Identifier: MPL-2.0

//! AV1: `AV1CodecConfigurationRecord` (AV1 in ISOBMFF 2.3.3), made from the sequence header of a
//! temporal unit where upstream gave none.

use bytes::{BufMut, Bytes, BytesMut};

use super::bits::Bits;

const SEQUENCE_HEADER: u8 = 1;

/// What the record, and the sequence header, say about the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Av1Config {
    /// 0 main, 1 high, 2 professional.
    pub profile: u8,
    /// `seq_level_idx`: 0 is level 2.0, 4 level 3.0.
    pub level: u8,
    /// The high tier.
    pub high_tier: bool,
    /// Bits of each colour, 8, 10 or 12.
    pub bit_depth: u8,
    /// No colours.
    pub monochrome: bool,
    /// Chroma has half the width, half the height.
    pub subsampling: [bool; 2],
    /// `chroma_sample_position`.
    pub chroma_position: u8,
}

impl Av1Config {
    /// Reads the four bytes that a record begins with.
    pub fn parse(record: &[u8]) -> Option<Self> {
        let &[0x81, profile, flags, _] = record.first_chunk()? else {
            return None;
        };
        Some(Self {
            profile: profile >> 5,
            level: profile & 0x1f,
            high_tier: flags & 0x80 != 0,
            bit_depth: match (flags & 0x40 != 0, flags & 0x20 != 0) {
                (false, _) => 8,
                (true, false) => 10,
                (true, true) => 12,
            },
            monochrome: flags & 0x10 != 0,
            subsampling: [flags & 8 != 0, flags & 4 != 0],
            chroma_position: flags & 3,
        })
    }

    fn write(self, out: &mut BytesMut) {
        let flag = |on: bool, bit: u8| if on { bit } else { 0 };
        out.put_u8(0x81);
        out.put_u8(self.profile << 5 | self.level & 0x1f);
        let [x, y] = self.subsampling;
        out.put_u8(
            flag(self.high_tier, 0x80)
                | flag(self.bit_depth > 8, 0x40)
                | flag(self.bit_depth > 10, 0x20)
                | flag(self.monochrome, 0x10)
                | flag(x, 8)
                | flag(y, 4)
                | self.chroma_position & 3,
        );
        out.put_u8(0);
    }

    /// Reads the payload of a sequence header OBU (AV1 5.5).
    fn from_sequence_header(payload: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(payload);
        let profile = bits.read(3)? as u8;
        bits.flag()?;
        let reduced = bits.flag()?;
        let (mut level, mut high_tier) = (0, false);
        if reduced {
            level = bits.read(5)? as u8;
        } else {
            let mut delay_bits = None;
            if bits.flag()? {
                bits.read(32)?;
                bits.read(32)?;
                if bits.flag()? {
                    bits.unary()?;
                }
                if bits.flag()? {
                    delay_bits = Some(bits.read(5)? + 1);
                    bits.read(32)?;
                    bits.read(10)?;
                }
            }
            let display_delay = bits.flag()?;
            for point in 0..=bits.read(5)? {
                bits.read(12)?;
                let level_here = bits.read(5)? as u8;
                let tier_here = level_here > 7 && bits.flag()?;
                if point == 0 {
                    (level, high_tier) = (level_here, tier_here);
                }
                if let Some(n) = delay_bits
                    && bits.flag()?
                {
                    bits.read(n)?;
                    bits.read(n)?;
                    bits.flag()?;
                }
                if display_delay && bits.flag()? {
                    bits.read(4)?;
                }
            }
        }
        let (width_bits, height_bits) = (bits.read(4)? + 1, bits.read(4)? + 1);
        bits.read(width_bits)?;
        bits.read(height_bits)?;
        if !reduced && bits.flag()? {
            bits.read(7)?;
        }
        bits.read(3)?;
        if !reduced {
            bits.read(4)?;
            let order_hint = bits.flag()?;
            if order_hint {
                bits.read(2)?;
            }
            let screen_content = bits.flag()? || bits.flag()?;
            if screen_content && !bits.flag()? {
                bits.flag()?;
            }
            if order_hint {
                bits.read(3)?;
            }
        }
        bits.read(3)?;
        Self::from_color_config(&mut bits, profile, level, high_tier)
    }

    fn from_color_config(
        bits: &mut Bits<'_>,
        profile: u8,
        level: u8,
        high_tier: bool,
    ) -> Option<Self> {
        let high = bits.flag()?;
        let bit_depth = match (profile, high) {
            (_, false) => 8,
            (2, true) if bits.flag()? => 12,
            (_, true) => 10,
        };
        let monochrome = profile != 1 && bits.flag()?;
        let described = bits.flag()?;
        let color = if described { bits.read(24)? } else { 0x02_0202 };
        // sRGB, which is always 4:4:4 and full range.
        const SRGB: u32 = 0x01_0d00;
        let mut subsampling = [true; 2];
        let mut chroma_position = 0;
        if monochrome {
            bits.flag()?;
        } else if color == SRGB {
            subsampling = [false; 2];
        } else {
            bits.flag()?;
            subsampling = match (profile, bit_depth) {
                (0, _) => [true, true],
                (1, _) => [false, false],
                (_, 12) => {
                    let x = bits.flag()?;
                    [x, x && bits.flag()?]
                }
                _ => [true, false],
            };
            if subsampling == [true; 2] {
                chroma_position = bits.read(2)? as u8;
            }
        }
        Some(Self {
            profile,
            level,
            high_tier,
            bit_depth,
            monochrome,
            subsampling,
            chroma_position,
        })
    }
}

/// Makes a record from the first sequence header in a temporal unit, if there is one.
pub fn record_of(unit: &[u8]) -> Option<Bytes> {
    let mut rest = unit;
    while let Some(obu) = Obu::next(&mut rest) {
        if obu.kind == SEQUENCE_HEADER {
            let config = Av1Config::from_sequence_header(obu.payload)?;
            let mut record = BytesMut::new();
            config.write(&mut record);
            record.put_slice(obu.whole);
            return Some(record.freeze());
        }
    }
    None
}

struct Obu<'a> {
    kind: u8,
    payload: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Obu<'a> {
    fn next(rest: &mut &'a [u8]) -> Option<Self> {
        let start = *rest;
        let &first = start.first()?;
        let mut at = if first & 4 != 0 { 2 } else { 1 };
        let size = if first & 2 != 0 {
            leb128(start, &mut at)?
        } else {
            start.len().checked_sub(at)?
        };
        let end = at.checked_add(size)?;
        let whole = start.get(..end)?;
        *rest = start.get(end..)?;
        Some(Self {
            kind: first >> 3 & 0x0f,
            payload: whole.get(at..)?,
            whole,
        })
    }
}

fn leb128(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut value = 0usize;
    for shift in (0..8 * 7).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= usize::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the first temporal unit of av1enc (libaom 3.6) begins: 320x240, 4:2:0, 8 bits.
    const UNIT: &[u8] = &[
        0x12, 0x00, 0x0a, 0x0c, 0x00, 0x00, 0x00, 0x04, 0x3c, 0xff, 0xbf, 0x81, 0xb5, 0xf2, 0x00,
        0x80, 0x32, 0x01, 0x00,
    ];

    #[test]
    fn a_sequence_header_becomes_a_record() {
        let record = record_of(UNIT).unwrap();
        let config = Av1Config::parse(&record).unwrap();
        assert_eq!((config.profile, config.bit_depth), (0, 8));
        assert_eq!(config.subsampling, [true, true]);
        assert!(!config.monochrome);
        assert_eq!(&record[4..], &UNIT[2..16]);
    }

    #[test]
    fn cut_anywhere_there_is_no_record() {
        for len in 0..16 {
            assert_eq!(record_of(&UNIT[..len]), None, "{len}");
        }
        assert_eq!(
            record_of(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            None
        );
    }
}
