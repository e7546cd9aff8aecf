// SPDX-License-Identifier: MPL-2.0

//! FLV files made byte by byte, for what no encoder writes on demand: timestamps that wrap, empty
//! audio, negative composition times, tags of any size.

/// Builds a file of FLV tags (Adobe FLV 10.1, Annex E).
#[derive(Clone, Debug)]
pub struct FlvBuilder {
    bytes: Vec<u8>,
    /// Where each tag begins.
    tags: Vec<usize>,
}

pub const AUDIO: u8 = 8;
pub const VIDEO: u8 = 9;
pub const DATA: u8 = 18;

impl Default for FlvBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl FlvBuilder {
    /// A file that announces audio and video and holds no tag yet.
    pub fn new() -> Self {
        Self {
            bytes: b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00".to_vec(),
            tags: Vec::new(),
        }
    }

    /// Appends a tag; `timestamp` is in ms and wraps at 2^32.
    pub fn tag(mut self, kind: u8, timestamp: u32, body: &[u8]) -> Self {
        self.tags.push(self.bytes.len());
        let size = u32::try_from(body.len()).expect("a small body");
        assert!(size < 1 << 24, "the size field has 24 bits");
        let [high, rest @ ..] = timestamp.to_be_bytes();
        self.bytes.push(kind);
        self.bytes.extend_from_slice(&size.to_be_bytes()[1..]);
        self.bytes.extend_from_slice(&rest);
        self.bytes.push(high);
        self.bytes.extend_from_slice(&[0; 3]);
        self.bytes.extend_from_slice(body);
        self.bytes.extend_from_slice(&(size + 11).to_be_bytes());
        self
    }

    /// `onMetaData` with a width, so that there is something to compare.
    pub fn metadata(self, width: f64) -> Self {
        let mut body = b"\x02\x00\x0aonMetaData\x08\x00\x00\x00\x01\x00\x05width\x00".to_vec();
        body.extend_from_slice(&width.to_be_bytes());
        body.extend_from_slice(&[0, 0, 9]);
        self.tag(DATA, 0, &body)
    }

    /// The sequence headers of H.264 (baseline, 3.0) and AAC (LC, 44.1 kHz, stereo).
    pub fn headers(self) -> Self {
        const AVC: &[u8] = &[
            0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 4, 0x67, 0x42, 0xc0, 0x1e, 1, 0,
            2, 0x68, 0xce,
        ];
        self.tag(VIDEO, 0, AVC)
            .tag(AUDIO, 0, &[0xaf, 0, 0x12, 0x10])
    }

    /// An H.264 picture of `size` bytes behind the five of the head; `composition` is in ms and may
    /// be negative.
    pub fn picture(self, timestamp: u32, keyframe: bool, composition: i32, size: usize) -> Self {
        let mut body = vec![if keyframe { 0x17 } else { 0x27 }, 1];
        body.extend_from_slice(&composition.to_be_bytes()[1..]);
        body.extend(noise(timestamp, size));
        self.tag(VIDEO, timestamp, &body)
    }

    /// An AAC frame of `size` bytes behind the two of the head.
    pub fn sound(self, timestamp: u32, size: usize) -> Self {
        let mut body = vec![0xaf, 1];
        body.extend(noise(!timestamp, size));
        self.tag(AUDIO, timestamp, &body)
    }

    /// An audio message without a body, with which servers mark silence.
    pub fn empty_sound(self, timestamp: u32) -> Self {
        self.tag(AUDIO, timestamp, &[])
    }

    /// The five bytes that end an H.264 sequence.
    pub fn sequence_end(self, timestamp: u32) -> Self {
        self.tag(VIDEO, timestamp, &[0x17, 2, 0, 0, 0])
    }

    /// A second of 25 pictures and 40 sounds from this timestamp on, the first picture a keyframe.
    pub fn second(mut self, from: u32) -> Self {
        let mut sounds = (0..40).map(|i| i * 25).peekable();
        for picture in 0..25 {
            let at = picture * 40;
            while let Some(sound) = sounds.next_if(|sound| *sound <= at) {
                self = self.sound(from.wrapping_add(sound), 180);
            }
            let size = if picture == 0 { 9000 } else { 700 };
            self = self.picture(from.wrapping_add(at), picture == 0, 0, size);
        }
        for sound in sounds {
            self = self.sound(from.wrapping_add(sound), 180);
        }
        self
    }

    /// The whole file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Each tag with its back-pointer.
    pub fn tags(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.tags.iter().skip(1).copied();
        let ends = ends.chain([self.bytes.len()]);
        self.tags.iter().zip(ends).map(|(&a, b)| &self.bytes[a..b])
    }
}

/// Adds to every timestamp of an FLV file, modulo 2^32.
pub fn shift(file: &[u8], by: u32) -> Vec<u8> {
    let mut file = file.to_vec();
    let mut at = 13;
    while let Some(&[_, s2, s1, s0, t2, t1, t0, t3]) = file.get(at..).and_then(<[u8]>::first_chunk)
    {
        let timestamp = u32::from_be_bytes([t3, t2, t1, t0]).wrapping_add(by);
        let [t3, t2, t1, t0] = timestamp.to_be_bytes();
        file[at + 4..at + 8].copy_from_slice(&[t2, t1, t0, t3]);
        at += 11 + u32::from_be_bytes([0, s2, s1, s0]) as usize + 4;
    }
    file
}

/// Bytes that differ from tag to tag (xorshift32), so that no two bodies have one hash.
fn noise(seed: u32, size: usize) -> impl Iterator<Item = u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    (0..size).map(move |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    })
}
