// SPDX-License-Identifier: MPL-2.0

//! Any bytes as a chunk stream, which must give the same messages and the same error however it is
//! cut, in bounded memory; and the messages must survive encoding.
//!
//! The first five bytes steer: budgets, which messages are followed by an abort and of what, and the
//! sizes of two pieces. The rest is the chunk stream, whose own Set Chunk Size and Abort are obeyed.

#![no_main]

use bytes::Bytes;
use gst_plugin_rtmp_fuzz::{Meter, Steer, pieces, pour};
use gstrtmp::protocol::rtmp::{
    chunk::{ChunkError, Decoder, DecoderLimits, Encoder, Message},
    message::Control,
    transmit::Transmit,
};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static METER: Meter = Meter;

/// What a chunk stream costs at most, its place in a half empty hash map included.
const CHUNK_STREAM: usize = 512;

#[derive(Clone, Copy)]
struct Abort {
    every: usize,
    csid: u32,
}

fuzz_target!(|data: &[u8]| {
    let mut steer = Steer(data);
    let limits = match steer.byte() {
        0 => DecoderLimits::default(),
        byte => DecoderLimits {
            message: 64 << (byte & 7),
            in_flight: 64 << (byte >> 3 & 7),
            chunk_streams: if byte & 0x40 == 0 { 512 } else { 66 },
        },
    };
    let abort = Abort {
        every: usize::from(steer.byte()),
        csid: steer.byte().into(),
    };
    let sizes = [steer.byte(), steer.byte()];
    let wire = steer.0;

    let whole = decode(wire, &[0], limits, abort);
    for sizes in [&[1], sizes.as_slice()] {
        assert!(decode(wire, sizes, limits, abort) == whole, "cut {sizes:?}");
    }
    memory(wire, sizes, limits, abort);
    encode(&whole.0);
});

fn decode(
    wire: &[u8],
    sizes: &[u8],
    limits: DecoderLimits,
    abort: Abort,
) -> (Vec<Message>, Option<ChunkError>) {
    let mut messages = Vec::new();
    let error = run(wire, sizes, limits, abort, |message| messages.push(message)).err();
    (messages, error)
}

/// Lets go of messages at once, so that what is allocated is the decoder's.
fn memory(wire: &[u8], sizes: [u8; 2], limits: DecoderLimits, abort: Abort) {
    // A buffer doubles as it grows, and room may be kept for as much as a stream brought before.
    let budget = 3 * (limits.in_flight + limits.message)
        + limits.chunk_streams.min(wire.len()) * CHUNK_STREAM
        + 4096;
    let start = Meter::start();
    let _ = run(wire, &sizes, limits, abort, drop);
    let peak = Meter::peak(start);
    assert!(peak <= budget, "{peak} bytes, {budget} allowed");
}

fn run(
    wire: &[u8],
    sizes: &[u8],
    limits: DecoderLimits,
    abort: Abort,
    mut take: impl FnMut(Message),
) -> Result<(), ChunkError> {
    let mut decoder = Decoder::new(limits);
    let mut count = 0;
    for mut piece in pieces(wire, sizes) {
        while let Some(message) = decoder.decode(&mut piece)? {
            assert!(message.payload().len() <= limits.message);
            match Control::parse(message.type_id, message.payload()) {
                Some(Ok(Control::SetChunkSize(size))) => decoder.set_chunk_size(size)?,
                Some(Ok(Control::Abort(csid))) => decoder.abort(csid),
                _ => {}
            }
            count += 1;
            if abort.every > 0 && count % abort.every == 0 {
                decoder.abort(abort.csid);
            }
            take(message);
        }
        assert!(piece.is_empty());
    }
    Ok(())
}

/// Sends the messages on, the chunk size changing on the way, and reads them again.
fn encode(messages: &[Message]) {
    let mut encoder = Encoder::default();
    let mut decoder = Decoder::new(DecoderLimits::default());
    for (message, size) in messages
        .iter()
        .zip([128, 4096, 64, 65536].into_iter().cycle())
    {
        encoder.set_chunk_size(size);
        decoder
            .set_chunk_size(size as u32)
            .expect("a size in range");
        let mut out = Transmit::default();
        encoder.encode(
            message.csid,
            message.timestamp,
            message.type_id,
            message.stream_id,
            &Bytes::copy_from_slice(message.payload()),
            &mut out,
        );
        let mut bytes = Vec::new();
        pour(&mut out, &mut bytes);
        let mut input = bytes.as_slice();
        let again = decoder.decode(&mut input);
        assert!(
            again.as_ref().is_ok_and(|m| m.as_ref() == Some(message)),
            "{again:?}"
        );
        assert!(input.is_empty());
    }
}
