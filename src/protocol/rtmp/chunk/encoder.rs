// SPDX-License-Identifier: MPL-2.0

use std::collections::HashMap;

use bytes::{BufMut, Bytes, BytesMut};

use super::DEFAULT_CHUNK_SIZE;
use crate::protocol::rtmp::transmit::Transmit;

/// A 24-bit timestamp field with this value says that 32 bits follow.
const EXTENDED: u32 = 0xff_ffff;
/// Payloads up to this many bytes are copied behind their header: one slice in the gathering write
/// costs the kernel more than the copy.
const COPY_UP_TO: usize = 1024;
/// Size of the blocks that headers are carved from. The first is small, for thousands of players that are
/// told a few commands and nothing more, and each is twice the one before.
const ARENA: std::ops::RangeInclusive<usize> = 512..=16 * 1024;

/// Cuts messages into chunks.
///
/// Uses type 0 headers where it must, type 1 where a delta will do, and type 3 only to continue a
/// message: receivers disagree about type 2 and 3 headers that start one (whether the delta is
/// applied again, and whether after type 0), and 4 bytes a message are not worth it.
#[derive(Debug)]
pub struct Encoder {
    chunk_size: usize,
    streams: HashMap<u32, Previous>,
    arena: BytesMut,
    /// Size of the next block.
    block: usize,
}

#[derive(Clone, Copy, Debug)]
struct Previous {
    timestamp: u32,
    stream_id: u32,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            chunk_size: DEFAULT_CHUNK_SIZE,
            streams: HashMap::new(),
            arena: BytesMut::new(),
            block: *ARENA.start(),
        }
    }
}

impl Encoder {
    /// Bytes of payload per chunk.
    pub fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// Gives back memory that only much traffic needs.
    pub fn settle(&mut self) {
        (self.arena, self.block) = (BytesMut::new(), *ARENA.start());
    }

    /// Changes the bytes of payload per chunk, 1 to 0xffffff. The peer must have been told before.
    pub fn set_chunk_size(&mut self, size: usize) {
        self.chunk_size = size.clamp(1, crate::protocol::flv::tag::MAX_BODY);
    }

    /// Appends one message, of at most 0xffffff bytes, to `out`.
    pub fn encode(
        &mut self,
        csid: u32,
        timestamp: u32,
        type_id: u8,
        stream_id: u32,
        payload: &Bytes,
        out: &mut Transmit,
    ) {
        if self.arena.capacity() < 64 {
            self.arena.reserve(self.block);
            self.block = (2 * self.block).min(*ARENA.end());
        }
        let delta = self.streams.get(&csid).and_then(|previous| {
            let delta = timestamp.wrapping_sub(previous.timestamp);
            // A delta is unsigned; going back takes an absolute timestamp.
            (previous.stream_id == stream_id && delta < 1 << 31).then_some(delta)
        });
        self.streams.insert(
            csid,
            Previous {
                timestamp,
                stream_id,
            },
        );

        let field = delta.unwrap_or(timestamp);
        basic_header(&mut self.arena, if delta.is_some() { 1 } else { 0 }, csid);
        self.arena.put_uint(u64::from(field.min(EXTENDED)), 3);
        self.arena.put_uint(payload.len() as u64, 3);
        self.arena.put_u8(type_id);
        if delta.is_none() {
            self.arena.put_u32_le(stream_id);
        }
        let extension = (field >= EXTENDED).then_some(field);
        self.arena
            .extend(extension.into_iter().flat_map(u32::to_be_bytes));

        let mut at = 0;
        loop {
            let end = payload.len().min(at + self.chunk_size);
            let large = end - at > COPY_UP_TO;
            if large {
                out.push(self.arena.split().freeze());
                out.push(payload.slice(at..end));
            } else {
                self.arena
                    .extend_from_slice(payload.get(at..end).unwrap_or_default());
            }
            at = end;
            if at == payload.len() {
                break;
            }
            basic_header(&mut self.arena, 3, csid);
            self.arena
                .extend(extension.into_iter().flat_map(u32::to_be_bytes));
        }
        out.push(self.arena.split().freeze());
    }
}

fn basic_header(out: &mut BytesMut, format: u8, csid: u32) {
    let format = format << 6;
    match csid {
        0..64 => out.put_u8(format | csid as u8),
        64..320 => out.put_slice(&[format, (csid - 64) as u8]),
        _ => {
            let [low, high, ..] = (csid - 64).to_le_bytes();
            out.put_slice(&[format | 1, low, high]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::rtmp::chunk::{Decoder, DecoderLimits};

    fn flat(transmit: &mut Transmit) -> Vec<u8> {
        std::iter::from_fn(|| transmit.pop()).flatten().collect()
    }

    #[test]
    fn headers_are_what_the_specification_draws() {
        let mut encoder = Encoder::default();
        let mut out = Transmit::default();
        encoder.encode(4, 1000, 8, 1, &Bytes::from(vec![7; 130]), &mut out);
        let bytes = flat(&mut out);
        assert_eq!(bytes[..12], [4, 0, 3, 0xe8, 0, 0, 130, 8, 1, 0, 0, 0]);
        assert_eq!(bytes[12 + 128..], [0xc4, 7, 7]);
        encoder.encode(4, 1020, 8, 1, &Bytes::from_static(&[1]), &mut out);
        assert_eq!(flat(&mut out), [0x44, 0, 0, 20, 0, 0, 1, 8, 1]);
        encoder.encode(4, 1019, 8, 1, &Bytes::from_static(&[1]), &mut out);
        assert_eq!(flat(&mut out)[0], 4, "a step back is absolute");
        encoder.encode(64, 0x100_0000, 9, 1, &Bytes::from_static(&[1]), &mut out);
        assert_eq!(flat(&mut out)[..6], [0, 0, 0xff, 0xff, 0xff, 0]);
        encoder.encode(65599, 0, 9, 1, &Bytes::new(), &mut out);
        assert_eq!(flat(&mut out)[..3], [1, 0xff, 0xff]);
    }

    #[test]
    fn the_decoder_reads_what_the_encoder_writes() {
        let mut encoder = Encoder::default();
        let mut decoder = Decoder::new(DecoderLimits::default());
        let mut time = 0xffff_ff00u32;
        for chunk_size in [64, 128, 4096, 65536, 0xff_ffff] {
            encoder.set_chunk_size(chunk_size);
            decoder.set_chunk_size(chunk_size as u32).unwrap();
            for (csid, len) in [
                (3, 0),
                (4, 1),
                (6, 127),
                (63, 128),
                (64, 129),
                (319, 70_000),
                (320, 5),
            ] {
                for step in [0, 20, 0xff_fffe, 0xff_ffff, 0x100_0000, 0x8000_0001] {
                    time = time.wrapping_add(step);
                    let payload = (0..len).map(|i| i as u8).collect::<Bytes>();
                    let mut out = Transmit::default();
                    encoder.encode(csid, time, 9, 5, &payload, &mut out);
                    let bytes = flat(&mut out);
                    let mut input = bytes.as_slice();
                    let message = decoder.decode(&mut input).unwrap().unwrap();
                    assert!(input.is_empty());
                    assert_eq!((message.csid, message.timestamp), (csid, time));
                    assert_eq!((message.type_id, message.stream_id), (9, 5));
                    assert_eq!(message.payload(), payload);
                }
            }
        }
    }
}
