// SPDX-License-Identifier: MPL-2.0

//! Rate and channels of sound that says them in each frame: AC-3 and E-AC-3 (ATSC A/52), MPEG audio.

use super::bits::Bits;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// Samples a second.
    pub rate: u32,
    /// Channels, the one for low frequencies included.
    pub channels: u8,
}

/// Of `acmod`, without the channel for low frequencies.
const AC3_CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];
const AC3_RATES: [u32; 3] = [48_000, 44_100, 32_000];

/// Reads a frame of AC-3 or E-AC-3.
pub fn ac3(frame: &[u8]) -> Option<FrameInfo> {
    /// `bsid` from which on it is E-AC-3.
    const ENHANCED: u32 = 11;

    let [0x0b, 0x77, ref rest @ ..] = *frame else {
        return None;
    };
    // In the same place in both.
    let bsid = u32::from(rest.get(3)? >> 3);
    let mut bits = Bits::new(rest);
    let (rate, mode);
    if bsid < ENHANCED {
        bits.read(16)?;
        let index = bits.read(2)?;
        bits.read(6 + 5 + 3)?;
        rate = *AC3_RATES.get(index as usize)?;
        mode = bits.read(3)?;
        if mode & 1 != 0 && mode != 1 {
            bits.read(2)?;
        }
        if mode & 4 != 0 {
            bits.read(2)?;
        }
        if mode == 2 {
            bits.read(2)?;
        }
    } else {
        bits.read(2 + 3 + 11)?;
        rate = match bits.read(2)? {
            3 => *AC3_RATES.get(bits.read(2)? as usize)? / 2,
            index => {
                bits.read(2)?;
                *AC3_RATES.get(index as usize)?
            }
        };
        mode = bits.read(3)?;
    }
    let low = bits.flag()?;
    let channels = AC3_CHANNELS.get(mode as usize)? + u8::from(low);
    Some(FrameInfo { rate, channels })
}

/// Reads a frame of MPEG audio, layer 3.
pub fn mp3(frame: &[u8]) -> Option<FrameInfo> {
    let &[0xff, version, rate, mode] = frame.first_chunk()? else {
        return None;
    };
    // Sync word, and layer 3.
    if version & 0xe6 != 0xe2 {
        return None;
    }
    let base = [44_100, 48_000, 32_000].get(usize::from(rate >> 2 & 3))?;
    let rate = match version >> 3 & 3 {
        3 => *base,
        2 => base / 2,
        0 => base / 4,
        _ => return None,
    };
    let channels = if mode >> 6 == 3 { 1 } else { 2 };
    Some(FrameInfo { rate, channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_say_rate_and_channels() {
        let info = |rate, channels| Some(FrameInfo { rate, channels });
        // ffmpeg -c:a ac3 -ac 6, -ac 2, and eac3.
        assert_eq!(
            ac3(&[0x0b, 0x77, 0, 0, 0x1e, 0x40, 0xe1, 0x00]),
            info(48_000, 6)
        );
        assert_eq!(
            ac3(&[0x0b, 0x77, 0, 0, 0x54, 0x40, 0x43, 0x00]),
            info(44_100, 2)
        );
        assert_eq!(
            ac3(&[0x0b, 0x77, 0x01, 0x7f, 0x34, 0x87, 0xc0]),
            info(48_000, 2)
        );
        assert_eq!(
            ac3(&[0x0b, 0x77, 0x01, 0x7f, 0x3f, 0x87, 0xc0]),
            info(48_000, 6)
        );
        assert_eq!(ac3(&[0x0b, 0x77]), None);
        assert_eq!(mp3(&[0xff, 0xfb, 0x90, 0xc4]), info(44_100, 1));
        assert_eq!(mp3(&[0xff, 0xf3, 0x94, 0x00]), info(24_000, 2));
        assert_eq!(mp3(&[0xff, 0xfd, 0x90, 0xc4]), None, "layer 2");
    }
}
