// SPDX-License-Identifier: MPL-2.0

//! Items 11 to 21 of the checklist: chunks and what controls them.

use super::{wire::*, *};
use crate::protocol::rtmp::{chunk::ChunkError, limits, message::TooShort};

/// The first 128 bytes of a message of 200 bytes, video at 10 ms on chunk stream 6.
fn open() -> Vec<u8> {
    chunk(6, 10, 200, 9, 1, &[7; 128])
}

/// A type 3 chunk with the other 72.
fn close() -> Vec<u8> {
    [&[0xc6], [7; 72].as_slice()].concat()
}

const WHOLE: &str = "Video 10 200 bytes";

fn control(type_id: u8, number: u32) -> Vec<u8> {
    message(2, type_id, 0, &number.to_be_bytes())
}

#[test]
fn item_11_the_first_header_of_a_chunk_stream() {
    let no_past = |format| ChunkError::NoPreviousHeader { csid: 5, format };
    let head = |format: u8| vec![format << 6 | 5, 0, 0, 9, 0, 0, 2, 8, 1, 2];
    run(vec![
        // Its message stream is unknown, and there is but one.
        both("11 type 1", head(1), gives(&["Audio 9 [01, 02]"])),
        both("11 type 2", head(2), fails(no_past(2))),
        both("11 type 3", head(3), fails(no_past(3))),
        both(
            "11 type 1 with a ping",
            vec![0x42, 0, 0, 0, 0, 0, 6, 4, 0, 6, 0, 0, 0, 9],
            gives(&["> PingResponse(9)"]),
        ),
    ]);
}

#[test]
fn item_12_headers_inside_a_message() {
    let second = |header: Vec<u8>| [open(), header, vec![7; 72]].concat();
    let changed = ChunkError::HeaderChanged { csid: 6 };
    run(vec![
        both(
            "12 type 0, the same",
            second(chunk(6, 10, 200, 9, 1, &[])),
            gives(&[WHOLE]),
        ),
        both(
            "12 type 1, the same",
            second(vec![0x46, 0, 0, 9, 0, 0, 200, 9]),
            gives(&[WHOLE]),
        ),
        both("12 type 2", second(vec![0x86, 0, 0, 9]), gives(&[WHOLE])),
        both(
            "12 another length",
            second(chunk(6, 10, 199, 9, 1, &[])),
            fails(changed.clone()),
        ),
        both(
            "12 a shorter length than what came",
            second(vec![0x46, 0, 0, 9, 0, 0, 1, 9]),
            fails(changed.clone()),
        ),
        both(
            "12 another type",
            second(vec![0x46, 0, 0, 9, 0, 0, 200, 8]),
            fails(changed.clone()),
        ),
        both(
            "12 another stream",
            second(chunk(6, 10, 200, 9, 2, &[])),
            fails(changed),
        ),
    ]);
}

#[test]
fn item_13_chunk_sizes() {
    let mut cases = Vec::new();
    for size in [0, 1, 63, 0x8000_0000, 0xffff_ffff] {
        let error = ChunkError::BadChunkSize(size);
        cases.push(both(
            format!("13 size {size}"),
            control(1, size),
            fails(error),
        ));
    }
    // A message that comes in one chunk of the new size.
    for size in [64, 127, 129, 200, 0x00ff_ffff, 0x7fff_ffff] {
        let mut bytes = [control(1, size), chunk(6, 10, 200, 9, 1, &[])].concat();
        let chunks = [7; 200].chunks(size as usize).collect::<Vec<_>>();
        bytes.extend(chunks.join(&0xc6));
        cases.push(both(format!("13 size {size}"), bytes, gives(&[WHOLE])));
    }
    for len in 0..4 {
        let error = TooShort { type_id: 1 };
        let bytes = message(2, 1, 0, &vec![0; len]);
        cases.push(both(format!("13 body of {len}"), bytes, fails(error)));
    }
    let inside = [
        open(),
        control(1, 64),
        vec![0xc6],
        vec![7; 64],
        vec![0xc6],
        vec![7; 8],
    ];
    cases.push(both(
        "13 inside a message",
        inside.concat(),
        gives(&[WHOLE]),
    ));
    run(cases);
}

#[test]
fn item_14_lengths() {
    let mut cases = Vec::new();
    for type_id in 0..=40 {
        let bytes = message(7, type_id, 1, &[]);
        let outcome = match type_id {
            1..=6 => fails(TooShort { type_id }),
            8 => gives(&["Audio 0 []"]),
            9 => gives(&["Video 0 []"]),
            15 => gives(&["DataAmf3 0 []"]),
            18 => gives(&["Data 0 []"]),
            17 | 20 => fails(crate::protocol::rtmp::message::CommandError::NoName),
            _ => nothing(),
        };
        cases.push(both(
            format!("14 nothing in type {type_id}"),
            bytes,
            outcome,
        ));
    }
    cases.push(both(
        "14 one byte",
        message(7, 9, 1, &[0x17]),
        gives(&["Video 0 [17]"]),
    ));
    let claims = (3..63).filter(|csid| *csid != 3 && *csid != 5);
    let claims = claims.flat_map(|csid| chunk(csid, 0, 0xff_ffff, 9, 1, &[0; 128]));
    cases.push(both(
        "14 16 MiB claimed 58 times",
        claims.collect(),
        nothing(),
    ));
    run(cases);
}

#[test]
fn item_15_chunk_streams() {
    let open = |count: usize| {
        (0..count)
            .flat_map(|id| {
                let [low, high, ..] = id.to_le_bytes();
                // Of a type that means nothing.
                [&[1, low, high], &chunk(0, 0, 0, 7, 1, &[])[1..]].concat()
            })
            .collect::<Vec<_>>()
    };
    let limit = limits::CHUNK_STREAMS;
    let error = ChunkError::TooManyChunkStreams { limit };
    run(vec![
        both("15 as many as are allowed", open(limit - 64), nothing()),
        both("15 one more", open(limit - 63), fails(error.clone())),
        both("15 very many", open(3000), fails(error)),
    ]);
}

#[test]
fn item_16_one_chunk_stream_by_two_names() {
    let message = [
        &[1, 6, 0],
        &chunk(0, 10, 200, 9, 1, &[7; 128])[1..],
        &[0xc0, 6],
        &[7; 72],
    ];
    run(vec![both(
        "16 70 in 3 and 2 bytes",
        message.concat(),
        gives(&[WHOLE]),
    )]);
}

#[test]
fn item_17_a_ping_inside_a_message() {
    let ping = user_control(6, &[0, 0, 0, 1]);
    let short = [0xc2, 0, 6, 0, 0, 0, 2].to_vec();
    run(vec![both(
        "17",
        [open(), ping, short, close()].concat(),
        gives(&[WHOLE, "> PingResponse(1)", "> PingResponse(2)"]),
    )]);
}

#[test]
fn item_18_timestamps() {
    let mut cases = Vec::new();
    for time in [
        0,
        0xff_fffe,
        0xff_ffff,
        0x100_0000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
    ] {
        let wanted = format!("Video {time} 200 bytes");
        for repeated in [None, Some(time)] {
            if repeated.is_some() && time < 0xff_ffff {
                continue;
            }
            let mut bytes = chunk(6, time, 200, 9, 1, &[7; 128]);
            bytes.push(0xc6);
            bytes.extend(repeated.into_iter().flat_map(u32::to_be_bytes));
            bytes.extend([7; 72]);
            let name = format!("18 {time:#x}, in type 3: {repeated:?}");
            cases.push(both(name, bytes, gives(&[&wanted])));
        }
    }
    let two = |first: u32, header: &[u8], second: u32| {
        let bytes = [&chunk(6, first, 1, 9, 1, &[1]), header, &[2]].concat();
        let wanted = [
            format!("Video {first} [01]"),
            format!("Video {second} [02]"),
        ];
        both(
            format!("18 {first:#x} and {header:02x?}"),
            bytes,
            Ok(wanted.to_vec()),
        )
    };
    let large = &[0x86, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff];
    cases.extend([
        two(5, &[0x86, 0xff, 0xff, 0xfe], 0xff_ffff + 4),
        two(5, large, 0xff_ffff + 5),
        two(0x7fff_ffff, &[0x86, 0, 0, 1], 0x8000_0000),
        two(0xffff_fff0, &[0x86, 0, 0, 0x20], 0x10),
        two(5, &[0x86, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 4),
        two(5000, &chunk(6, 4000, 1, 9, 1, &[]), 4000),
        // As FFmpeg sends a delta that is the first time; see the decoder.
        two(40, &[0xc6], 80),
    ]);
    run(cases);
}

#[test]
fn item_19_aborts() {
    let abort = |csid| control(2, csid);
    // The header that stands is the aborted message's, and so is the delta.
    let again = [&[0xc6], [7; 128].as_slice(), &[0xc6], &[7; 72]].concat();
    let mut cases = vec![
        both("19 unknown", abort(44), nothing()),
        both("19 out of range", abort(0xffff_ffff), nothing()),
        both("19 itself", [abort(2), abort(2)].concat(), nothing()),
        both("19 where commands were", abort(3), nothing()),
        both(
            "19 inside a message",
            [open(), abort(6), open(), close()].concat(),
            gives(&[WHOLE]),
        ),
        both(
            "19 another's message",
            [open(), abort(7), close()].concat(),
            gives(&[WHOLE]),
        ),
        both(
            "19 and a type 3 header next",
            [open(), abort(6), again].concat(),
            gives(&["Video 20 200 bytes"]),
        ),
        both(
            "19 and another message on the chunk stream",
            [open(), abort(6), chunk(6, 9, 1, 8, 1, &[1])].concat(),
            gives(&["Audio 9 [01]"]),
        ),
    ];
    for len in 0..4 {
        let error = TooShort { type_id: 2 };
        let bytes = message(2, 2, 0, &vec![0; len]);
        cases.push(both(format!("19 body of {len}"), bytes, fails(error)));
    }
    run(cases);
}

#[test]
fn item_20_windows_and_acknowledgements() {
    let mut cases = Vec::new();
    for size in [0, 1, 2, 0x7fff_ffff, 0xffff_ffff] {
        let bytes = [control(5, size), open(), close()].concat();
        cases.push(both(format!("20 window {size}"), bytes, gives(&[WHOLE])));
    }
    for sequences in [[0, 0], [100, 1], [0xffff_ffff, 0], [0x7fff_ffff, 5]] {
        let bytes = sequences.map(|sequence| control(3, sequence)).concat();
        cases.push(both(
            format!("20 acknowledged {sequences:x?}"),
            bytes,
            nothing(),
        ));
    }
    for limit in [0, 1, 2, 3, 9, 255] {
        let bytes = message(2, 6, 0, &[0, 1, 0, 0, limit]);
        // The server has announced 2,500,000; Dynamic behind nothing hard may not widen it.
        let outcome = gives(&["> WindowAckSize(65536)"]);
        cases.push(both(format!("20 bandwidth, type {limit}"), bytes, outcome));
    }
    cases.push(both(
        "20 bandwidth without type",
        message(2, 6, 0, &[0, 1, 0, 0]),
        gives(&["> WindowAckSize(65536)"]),
    ));
    cases.push(both("20 bandwidth 0", message(2, 6, 0, &[0; 5]), nothing()));
    cases.push(both(
        "20 bandwidth twice",
        message(2, 6, 0, &[0, 1, 0, 0, 2]).repeat(2),
        gives(&["> WindowAckSize(65536)"]),
    ));
    for type_id in [3, 5, 6] {
        for len in 0..4 {
            let error = TooShort { type_id };
            let bytes = message(2, type_id, 0, &vec![0; len]);
            cases.push(both(
                format!("20 type {type_id}, body of {len}"),
                bytes,
                fails(error),
            ));
        }
    }
    run(cases);
}

#[test]
fn item_21_control_where_it_does_not_belong() {
    let mut cases = Vec::new();
    for (csid, stream_id) in [(3, 0), (6, 1), (2, 1), (2, 77)] {
        let bytes = [
            message(csid, 1, stream_id, &200u32.to_be_bytes()),
            chunk(7, 10, 200, 9, 1, &[7; 200]),
            message(csid, 4, stream_id, &[0, 6, 0, 0, 0, 1]),
        ];
        cases.push(both(
            format!("21 chunk stream {csid}, message stream {stream_id}"),
            bytes.concat(),
            gives(&[WHOLE, "> PingResponse(1)"]),
        ));
    }
    cases.push(both(
        "21 longer than it has to be",
        [
            message(2, 1, 0, &[0, 0, 0, 200, 1, 2, 3]),
            chunk(7, 10, 200, 9, 1, &[7; 200]),
            message(2, 5, 0, &[0; 50]),
            message(2, 2, 0, &[0; 50]),
        ]
        .concat(),
        gives(&[WHOLE]),
    ));
    run(cases);
}
