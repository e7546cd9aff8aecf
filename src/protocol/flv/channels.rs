// SPDX-License-Identifier: MPL-2.0

//! `MultichannelConfig` (Enhanced RTMP v2, "ExAudioTagBody"): how many channels there are, and which
//! speaker each is for.

use bytes::{BufMut, BytesMut};

/// The order of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultichannelConfig {
    /// So many channels, of which nothing else is known.
    Unspecified(u8),
    /// The channels of a mask, in the order of its bits.
    Native {
        /// Channels, as the message counts them; the mask should have as many bits.
        count: u8,
        /// A bit for each [`Speaker`], the lowest for 0. Of 32 bits 24 have a meaning.
        mask: u32,
    },
    /// The speaker of each channel.
    Custom(Vec<Speaker>),
}

/// A value of `AudioChannel`: 0 to 23 are speakers, from `FrontLeft` to `BottomFrontRight`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Speaker(pub u8);

impl Speaker {
    /// The channel is empty and can be skipped.
    pub const UNUSED: Self = Self(0xfe);
    /// The channel has sound for a speaker that is not known.
    pub const UNKNOWN: Self = Self(0xff);
    /// How many speakers there are.
    pub const COUNT: u8 = 24;
}

const UNSPECIFIED: u8 = 0;
const NATIVE: u8 = 1;
const CUSTOM: u8 = 2;

impl MultichannelConfig {
    /// Reads the payload of a packet; bytes behind it are ignored. `None` where it ends too early or
    /// its order is none that is defined.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (&[order, count], rest) = payload.split_first_chunk()?;
        Some(match order {
            UNSPECIFIED => Self::Unspecified(count),
            NATIVE => Self::Native {
                count,
                mask: u32::from_be_bytes(*rest.first_chunk()?),
            },
            CUSTOM => {
                let map = rest.get(..usize::from(count))?;
                Self::Custom(map.iter().copied().map(Speaker).collect())
            }
            _ => return None,
        })
    }

    /// Appends the payload of a packet. Of a map of more than 255 channels the first 255 are written.
    pub fn write(&self, out: &mut BytesMut) {
        match self {
            Self::Unspecified(count) => out.put_slice(&[UNSPECIFIED, *count]),
            Self::Native { count, mask } => {
                out.put_slice(&[NATIVE, *count]);
                out.put_u32(*mask);
            }
            Self::Custom(map) => {
                let map = map.get(..usize::from(u8::MAX)).unwrap_or(map);
                out.put_slice(&[CUSTOM, map.len() as u8]);
                out.extend(map.iter().map(|speaker| speaker.0));
            }
        }
    }

    /// How many channels there are.
    pub fn count(&self) -> u8 {
        match self {
            Self::Unspecified(count) | Self::Native { count, .. } => *count,
            Self::Custom(map) => map.len().try_into().unwrap_or(u8::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(config: &MultichannelConfig) -> BytesMut {
        let mut out = BytesMut::new();
        config.write(&mut out);
        out
    }

    #[test]
    fn the_three_orders() {
        for (bytes, config) in [
            (&b"\0\x06"[..], MultichannelConfig::Unspecified(6)),
            (
                b"\x01\x06\0\0\x06\x0f",
                MultichannelConfig::Native {
                    count: 6,
                    mask: 0x60f,
                },
            ),
            (
                b"\x02\x03\x02\x00\xfe",
                MultichannelConfig::Custom(vec![Speaker(2), Speaker(0), Speaker::UNUSED]),
            ),
        ] {
            assert_eq!(MultichannelConfig::parse(bytes), Some(config.clone()));
            assert_eq!(written(&config), bytes);
            for len in 0..bytes.len() {
                assert_eq!(MultichannelConfig::parse(&bytes[..len]), None);
            }
        }
        assert_eq!(MultichannelConfig::parse(b"\x03\x02"), None);
    }

    proptest! {
        #[test]
        fn what_is_read_is_written(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(config) = MultichannelConfig::parse(&bytes) {
                let out = written(&config);
                prop_assert!(bytes.starts_with(&out));
                prop_assert_eq!(MultichannelConfig::parse(&out), Some(config));
            }
        }
    }
}
