// SPDX-License-Identifier: MPL-2.0

use proptest::prelude::*;

use super::*;
use crate::protocol::rtmp::chunk::ChunkError;

fn decoder() -> Decoder {
    Decoder::new(DecoderLimits::default())
}

/// Everything in `bytes`, or the error they end in.
fn all(decoder: &mut Decoder, bytes: &[u8]) -> Result<Vec<Message>, ChunkError> {
    let mut input = bytes;
    let mut messages = Vec::new();
    while let Some(message) = decoder.decode(&mut input)? {
        messages.push(message);
    }
    assert!(input.is_empty());
    Ok(messages)
}

fn header(csid: u8, time: u32, length: u32, type_id: u8, stream_id: u32) -> Vec<u8> {
    let mut bytes = vec![csid];
    bytes.extend(&time.min(0xff_ffff).to_be_bytes()[1..]);
    bytes.extend(&length.to_be_bytes()[1..]);
    bytes.push(type_id);
    bytes.extend(stream_id.to_le_bytes());
    if time >= 0xff_ffff {
        bytes.extend(time.to_be_bytes());
    }
    bytes
}

/// A stretch with all header types, both extended timestamp forms and interleaving.
fn rich() -> Vec<u8> {
    let mut bytes = header(3, 10, 5, 20, 0);
    bytes.extend(b"hello");
    bytes.extend([0x43, 0, 0, 5, 0, 0, 2, 18]);
    bytes.extend(b"ab");
    bytes.extend([0x83, 0, 0, 7]);
    bytes.extend(b"cd");
    bytes.extend([0xc3]);
    bytes.extend(b"ef");
    // A 200-byte message with another chunk stream's message between its chunks.
    bytes.extend(header(6, 0x0100_0000, 200, 9, 1));
    bytes.extend([1; 128]);
    bytes.extend(header(4, 11, 1, 8, 1));
    bytes.push(0xaf);
    bytes.extend([0xc6, 1, 0, 0, 0]);
    bytes.extend([2; 72]);
    // Nothing in it: silence.
    bytes.extend([0x44, 0, 0, 1, 0, 0, 0, 8]);
    bytes
}

#[test]
fn every_header_type() {
    let messages = all(&mut decoder(), &rich()).unwrap();
    let seen = messages
        .iter()
        .map(|m| {
            (
                m.csid,
                m.timestamp,
                m.type_id,
                m.stream_id,
                m.payload().len(),
            )
        })
        .collect::<Vec<_>>();
    assert_eq!(
        seen,
        [
            (3, 10, 20, 0, 5),
            (3, 15, 18, 0, 2),
            (3, 22, 18, 0, 2),
            (3, 29, 18, 0, 2),
            (4, 11, 8, 1, 1),
            (6, 0x0100_0000, 9, 1, 200),
            (4, 12, 8, 1, 0),
        ]
    );
    assert_eq!(
        messages[5].payload(),
        [[1; 128].as_slice(), &[2; 72]].concat()
    );
}

#[test]
fn a_type_3_header_after_type_0_adds_its_timestamp_again() {
    let mut bytes = header(3, 1000, 1, 8, 1);
    bytes.extend([0, 0xc3, 0]);
    let times = all(&mut decoder(), &bytes)
        .unwrap()
        .iter()
        .map(|m| m.timestamp)
        .collect::<Vec<_>>();
    assert_eq!(times, [1000, 2000]);
}

#[test]
fn extended_timestamps_of_senders_that_do_not_repeat_them() {
    for repeats in [true, false] {
        let mut bytes = Vec::new();
        let time = 0x0123_4567u32;
        // Three messages, the last chunk of the last being shorter than a timestamp.
        for length in [300, 300, 258] {
            bytes.extend(header(6, time, length, 9, 1));
            let mut left = length as usize;
            while left > 0 {
                let n = left.min(128);
                bytes.extend(vec![9; n]);
                left -= n;
                if left > 0 {
                    bytes.push(0xc6);
                    if repeats {
                        bytes.extend(time.to_be_bytes());
                    }
                }
            }
        }
        let messages = all(&mut decoder(), &bytes).unwrap();
        assert_eq!(messages.len(), 3, "repeats: {repeats}");
        for message in messages {
            assert_eq!(message.timestamp, time);
            assert!(message.payload().iter().all(|b| *b == 9));
        }
    }
}

#[test]
fn payload_taken_for_an_extended_timestamp_is_not_lost() {
    let mut bytes = header(6, 0x0123_4567, 131, 9, 1);
    bytes.extend((0..128).collect::<Vec<u8>>());
    bytes.extend([0xc6, 128, 129, 130]);
    // The four bytes that could be a timestamp reach into other messages and their headers.
    bytes.extend([4, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0]);
    bytes.extend(header(3, 0, 1, 20, 0));
    bytes.push(7);
    let whole = all(&mut decoder(), &bytes).unwrap();
    assert_eq!(whole.len(), 3);
    assert!(whole[0].payload().iter().copied().eq(0..131));
    for size in 1..bytes.len() {
        let mut decoder = decoder();
        let cut = bytes
            .chunks(size)
            .flat_map(|piece| all(&mut decoder, piece).unwrap());
        assert_eq!(cut.collect::<Vec<_>>(), whole, "pieces of {size}");
    }
}

#[test]
fn timestamps_wrap() {
    let mut bytes = header(4, 0xffff_fff0, 1, 8, 1);
    bytes.extend([0, 0x84, 0, 0, 0x20, 0]);
    // An extended delta.
    bytes.extend([0x84, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0]);
    let times = all(&mut decoder(), &bytes)
        .unwrap()
        .iter()
        .map(|m| m.timestamp)
        .collect::<Vec<_>>();
    assert_eq!(times, [0xffff_fff0, 0x10, 0x0100_0010]);
}

#[test]
fn one_id_in_every_form() {
    let mut bytes = vec![0, 6];
    bytes.extend(&header(0, 5, 1, 8, 1)[1..]);
    bytes.push(0xaa);
    // The three-byte form of the same id, 70, continues with a delta.
    bytes.extend([0x41, 6, 0, 0, 0, 2, 0, 0, 1, 8, 0xbb]);
    let messages = all(&mut decoder(), &bytes).unwrap();
    assert_eq!((messages[0].csid, messages[0].timestamp), (70, 5));
    assert_eq!((messages[1].csid, messages[1].timestamp), (70, 7));
}

#[test]
fn a_chunk_size_change_holds_inside_a_message() {
    let mut decoder = decoder();
    let mut bytes = header(6, 0, 300, 9, 1);
    bytes.extend([1; 128]);
    assert!(all(&mut decoder, &bytes).unwrap().is_empty());
    decoder.set_chunk_size(4096).unwrap();
    let mut rest = vec![0xc6];
    rest.extend([2; 172]);
    assert_eq!(all(&mut decoder, &rest).unwrap()[0].payload().len(), 300);
}

#[test]
fn chunk_sizes_out_of_range_are_refused() {
    for size in [0, 1, 63, 0x8000_0000, 0xffff_ffff] {
        assert_eq!(
            decoder().set_chunk_size(size),
            Err(ChunkError::BadChunkSize(size))
        );
    }
    for size in [64, 127, 128, 65536, 0x7fff_ffff] {
        decoder().set_chunk_size(size).unwrap();
    }
}

#[test]
fn abort_forgets_one_message() {
    let mut decoder = decoder();
    let mut bytes = header(6, 0, 300, 9, 1);
    bytes.extend([1; 128]);
    assert!(all(&mut decoder, &bytes).unwrap().is_empty());
    for unknown in [2, 5, 6, 6, 70_000] {
        decoder.abort(unknown);
    }
    assert_eq!(decoder.in_flight, 0);
    let mut bytes = header(6, 7, 1, 9, 1);
    bytes.push(3);
    assert_eq!(all(&mut decoder, &bytes).unwrap()[0].payload(), [3]);
}

#[test]
fn headers_without_a_past_are_refused() {
    for format in [2, 3] {
        let error = all(&mut decoder(), &[format << 6 | 5, 0, 0, 0, 0]).unwrap_err();
        assert_eq!(error, ChunkError::NoPreviousHeader { csid: 5, format });
    }
    let ping = [0x42, 0, 0, 0, 0, 0, 6, 4, 0, 6, 0, 0, 0, 0];
    assert_eq!(all(&mut decoder(), &ping).unwrap()[0].stream_id, 0);
}

#[test]
fn a_message_may_not_change_its_shape() {
    let open = |second: Vec<u8>| {
        let mut bytes = header(6, 0, 300, 9, 1);
        bytes.extend([1; 128]);
        bytes.extend(second);
        bytes.extend([1; 172]);
        all(&mut decoder(), &bytes)
    };
    for changed in [
        header(6, 0, 299, 9, 1),
        header(6, 0, 300, 8, 1),
        header(6, 0, 300, 9, 2),
    ] {
        assert_eq!(open(changed), Err(ChunkError::HeaderChanged { csid: 6 }));
    }
    assert!(matches!(
        open(vec![0x46, 0, 0, 0, 0, 1, 0, 9]),
        Err(ChunkError::HeaderChanged { csid: 6 })
    ));
}

#[test]
fn claims_cost_nothing() {
    let mut decoder = decoder();
    for csid in 2..64 {
        let mut bytes = header(csid, 0, 0xff_ffff, 9, 1);
        bytes.push(0);
        assert!(all(&mut decoder, &bytes).unwrap().is_empty());
        // Finish the chunk, so that the next header is one.
        assert!(all(&mut decoder, &[0; 127]).unwrap().is_empty());
    }
    let held: usize = decoder
        .small
        .iter()
        .flatten()
        .flat_map(|s| &s.partial)
        .map(|p| p.capacity())
        .sum();
    assert!(held < 64 * 1024, "{held} bytes held for 8 KiB received");
}

#[test]
fn claims_in_one_piece_cost_nothing() {
    let mut decoder = decoder();
    let claims = (2..64).flat_map(|csid| [header(csid, 0, 0xff_ffff, 9, 1), vec![0; 128]].concat());
    let bytes = claims.collect::<Vec<_>>();
    assert!(all(&mut decoder, &bytes).unwrap().is_empty());
    assert!(decoder.held() < 4 * bytes.len(), "{}", decoder.held());
}

#[test]
fn bytes_in_flight_are_bounded() {
    let mut decoder = Decoder::new(DecoderLimits {
        in_flight: 1000,
        ..DecoderLimits::default()
    });
    let mut bytes = Vec::new();
    for csid in 3..20 {
        bytes.extend(header(csid, 0, 200, 9, 1));
        bytes.extend([0; 128]);
    }
    assert_eq!(
        all(&mut decoder, &bytes),
        Err(ChunkError::TooMuchInFlight { limit: 1000 })
    );
}

#[test]
fn bytes_in_flight_are_counted_the_same_however_they_are_cut() {
    let mut bytes = header(6, 0, 128, 9, 1);
    bytes.extend([0; 128]);
    for (in_flight, fits) in [(127, false), (128, true)] {
        for size in [1, 12, 13, bytes.len()] {
            let mut decoder = Decoder::new(DecoderLimits {
                in_flight,
                ..DecoderLimits::default()
            });
            let outcomes = bytes
                .chunks(size)
                .map(|piece| all(&mut decoder, piece).is_ok());
            assert_eq!(
                outcomes.min(),
                Some(fits),
                "{in_flight} in pieces of {size}"
            );
        }
    }
}

#[test]
fn room_made_in_advance_is_bounded() {
    const IN_FLIGHT: usize = 4096;
    let mut decoder = Decoder::new(DecoderLimits {
        in_flight: IN_FLIGHT,
        ..DecoderLimits::default()
    });
    decoder.set_chunk_size(65536).unwrap();
    for csid in 3..60 {
        let mut bytes = header(csid, 0, 4000, 9, 1);
        bytes.extend([0; 4000]);
        assert_eq!(all(&mut decoder, &bytes).unwrap().len(), 1);
    }
    let held = |decoder: &Decoder| {
        let partials = decoder.small.iter().flatten().flat_map(|s| &s.partial);
        partials.map(BytesMut::capacity).sum::<usize>()
    };
    // Each has shown that it sends 4000 bytes; now all claim to at once, and send one.
    decoder.set_chunk_size(64).unwrap();
    for csid in 3..40 {
        let mut bytes = vec![0xc0 | csid];
        bytes.extend([0; 64]);
        assert!(all(&mut decoder, &bytes).unwrap().is_empty());
    }
    assert!(held(&decoder) < 3 * IN_FLIGHT, "{}", held(&decoder));
    for csid in 3..40 {
        decoder.abort(csid);
    }
    assert_eq!((decoder.in_flight, decoder.reserved), (0, 0));
}

#[test]
fn chunk_streams_are_bounded() {
    let mut decoder = decoder();
    let mut opened = 0;
    let error = (0..=65535u16).find_map(|id| {
        let [low, high] = id.to_le_bytes();
        let mut bytes = vec![1, low, high];
        bytes.extend(&header(0, 0, 0, 8, 1)[1..]);
        opened += 1;
        all(&mut decoder, &bytes).err()
    });
    assert_eq!(
        error,
        Some(ChunkError::TooManyChunkStreams {
            limit: limits::CHUNK_STREAMS
        })
    );
    assert!(opened <= limits::CHUNK_STREAMS);
}

#[test]
fn long_messages_are_refused_by_their_header() {
    let mut decoder = Decoder::new(DecoderLimits {
        message: 1000,
        ..DecoderLimits::default()
    });
    assert_eq!(
        all(&mut decoder, &header(3, 0, 1001, 9, 1)),
        Err(ChunkError::MessageTooLong {
            length: 1001,
            limit: 1000
        })
    );
}

#[test]
fn every_split_in_two_gives_the_same() {
    let bytes = rich();
    let whole = all(&mut decoder(), &bytes).unwrap();
    for at in 0..bytes.len() {
        let mut decoder = decoder();
        let mut messages = all(&mut decoder, &bytes[..at]).unwrap();
        messages.extend(all(&mut decoder, &bytes[at..]).unwrap());
        assert_eq!(messages, whole, "cut at {at}");
    }
}

proptest! {
    #[test]
    fn any_split_gives_the_same(cuts in prop::collection::vec(1usize..40, 1..60)) {
        let bytes = rich();
        let whole = all(&mut decoder(), &bytes).unwrap();
        let mut decoder = decoder();
        let mut messages = Vec::new();
        let mut rest = bytes.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            messages.extend(all(&mut decoder, piece).unwrap());
            rest = tail;
        }
        prop_assert_eq!(messages, whole);
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..4000), split in 1usize..200) {
        let mut decoder = decoder();
        for piece in noise.chunks(split) {
            if all(&mut decoder, piece).is_err() {
                break;
            }
        }
    }
}
