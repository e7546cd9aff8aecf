// SPDX-License-Identifier: MPL-2.0

//! FLAC: the `STREAMINFO` block, which is its configuration (RFC 9639, 8.2).

use bytes::{BufMut, Bytes, BytesMut};

const MARKER: &[u8; 4] = b"fLaC";
/// Bytes of the block without its head.
const STREAMINFO: usize = 34;

/// `STREAMINFO`, as far as caps say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamInfo {
    /// Samples a second.
    pub rate: u32,
    /// 1 to 8.
    pub channels: u8,
    /// Bits a sample, 4 to 32.
    pub bits: u8,
    block: [u8; STREAMINFO],
}

impl StreamInfo {
    /// Reads `fLaC` and the block behind it, with which the first header of a stream, that of FLAC in
    /// Ogg, and the configuration in Enhanced RTMP all end; ffmpeg before 7 left marker and head out.
    pub fn parse(header: &[u8]) -> Option<Self> {
        let header = match header {
            // Of Ogg: version, and how many headers follow.
            [0x7f, b'F', b'L', b'A', b'C', _, _, _, _, rest @ ..] => rest,
            header => header,
        };
        let block = match header.strip_prefix(MARKER) {
            Some([kind, _, _, _, block @ ..]) => {
                if kind & 0x7f != 0 {
                    return None;
                }
                block
            }
            Some(_) => return None,
            None if header.len() == STREAMINFO => header,
            None => return None,
        };
        let block: &[u8; STREAMINFO] = block.first_chunk()?;
        let &[_, _, _, _, _, _, _, _, _, _, r0, r1, r2, bits, ..] = block;
        Some(Self {
            rate: u32::from_be_bytes([0, r0, r1, r2]) >> 4,
            channels: (r2 >> 1 & 7) + 1,
            bits: ((r2 & 1) << 4 | bits >> 4) + 1,
            block: *block,
        })
    }

    /// The configuration as Enhanced RTMP has it.
    pub fn config(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(MARKER);
        // The last block, of type 0.
        out.put_u32(0x8000_0000 | STREAMINFO as u32);
        out.put_slice(&self.block);
        out.freeze()
    }

    /// The two headers of FLAC in Ogg, which is how GStreamer's caps have it: the configuration, and
    /// comments of which there are none.
    pub fn headers(&self) -> [Bytes; 2] {
        let mut first = BytesMut::new();
        first.put_slice(b"\x7fFLAC\x01\x00\x00\x01");
        first.put_slice(MARKER);
        first.put_u32(STREAMINFO as u32);
        first.put_slice(&self.block);
        // The last block, of type 4: no vendor, no comments.
        let comments = Bytes::from_static(b"\x84\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00");
        [first.freeze(), comments]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_say_the_same() {
        let mut block = [0; STREAMINFO];
        // 4096 samples a block, 48 kHz, stereo, 24 bits.
        block[..14].copy_from_slice(&[0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x0b, 0xb8, 0x03, 0x70]);
        let info = StreamInfo::parse(&block).unwrap();
        assert_eq!((info.rate, info.channels, info.bits), (48_000, 2, 24));
        assert_eq!(StreamInfo::parse(&info.config()), Some(info));
        let [first, _] = info.headers();
        assert_eq!(StreamInfo::parse(&first), Some(info));
        for len in 0..first.len() {
            let cut = StreamInfo::parse(&first[..len]);
            assert_eq!(cut, None, "{len}");
        }
        assert_eq!(StreamInfo::parse(b"fLaC\x04\0\0\x08"), None, "comments");
    }
}
