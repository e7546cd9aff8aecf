// SPDX-License-Identifier: MPL-2.0

//! A stream without end whose every picture says which one it is.

use crate::support::flv_builder::{AUDIO, FlvBuilder, VIDEO};

/// Pictures a second.
pub(crate) const RATE: u32 = 25;

/// Bytes of a picture in front of its filling: the head of a tag's body, the number.
const HEAD: usize = 9;

/// What comes first.
pub(crate) fn beginning() -> Vec<u8> {
    FlvBuilder::new().metadata(640.0).headers().bytes().to_vec()
}

/// Bytes that differ from picture to picture, made once.
#[derive(Debug)]
pub(crate) struct Film {
    noise: Vec<u8>,
    size: usize,
}

impl Film {
    /// Of this many bits a second, key frames aside.
    pub(crate) fn new(rate: u32) -> Self {
        let size = (rate / 8 / RATE) as usize;
        let mut state = 0x9e37_79b9_u32;
        let noise = (0..4 * size + 4096).map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        });
        Self {
            noise: noise.collect(),
            size,
        }
    }

    /// The tags of the time of one picture: the picture, and a sound.
    pub(crate) fn tags(&self, number: u32) -> Vec<u8> {
        let time = number * (1000 / RATE);
        let key = number.is_multiple_of(RATE);
        let mut body = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
        body.extend(number.to_be_bytes());
        body.extend_from_slice(self.filling(number));
        let file = FlvBuilder::new().tag(VIDEO, time, &body);
        let file = file.tag(
            AUDIO,
            time,
            &[&[0xaf, 1][..], &number.to_be_bytes()].concat(),
        );
        file.tags().collect::<Vec<_>>().concat()
    }

    fn filling(&self, number: u32) -> &[u8] {
        let from = number as usize % 4096;
        let key = number.is_multiple_of(RATE);
        &self.noise[from..from + self.size * if key { 3 } else { 1 }]
    }

    /// The number of a picture and whether it is a key frame; `None` if it is no picture.
    ///
    /// # Errors
    /// It is one, but not as it was sent.
    pub(crate) fn read(&self, tag: &[u8]) -> Result<Option<(u32, bool)>, String> {
        let (Some(&VIDEO), Some(body)) = (tag.first(), tag.get(11..tag.len().saturating_sub(4)))
        else {
            return Ok(None);
        };
        let Some((&[head, 1, 0, 0, 0, n3, n2, n1, n0], filling)) = body.split_first_chunk::<HEAD>()
        else {
            // A configuration.
            return Ok(None);
        };
        let number = u32::from_be_bytes([n3, n2, n1, n0]);
        let key = head == 0x17;
        if filling != self.filling(number) || key != number.is_multiple_of(RATE) {
            return Err(format!("picture {number} is not what was sent"));
        }
        Ok(Some((number, key)))
    }
}
