// SPDX-License-Identifier: MPL-2.0

//! Items 11 to 21: chunks, and what controls them.

use super::List;
use crate::suite::bytes::*;

/// The first 128 bytes of a message of 200 bytes, video at 10 ms on chunk stream 6.
fn open() -> Vec<u8> {
    chunk(6, 10, 200, 9, 1, &[7; 128])
}

fn control(type_id: u8, number: u32) -> Vec<u8> {
    message(2, type_id, 0, &number.to_be_bytes())
}

pub(super) fn list(list: &mut List) {
    for format in 1..4u8 {
        let bytes = vec![format << 6 | 57, 0, 0, 9, 0, 0, 2, 8, 1, 2];
        list.everybody(
            11,
            format!("a chunk stream begins with type {format}"),
            bytes,
        );
        let bytes = vec![format << 6, 200, 0, 0, 9, 0, 0, 2, 8, 1, 2];
        list.everybody(
            11,
            format!("chunk stream 264 begins with type {format}"),
            bytes,
        );
    }
    headers(list);
    sizes(list);
    lengths(list);
    many_streams(list);
    names(list);
    let ping = user_control(6, &[0, 0, 0, 1]);
    let inside = [open(), ping, vec![0xc6], vec![7; 72]].concat();
    list.everybody(17, "a ping inside a message", inside);
    times(list);
    aborts(list);
    windows(list);
    places(list);
}

fn headers(list: &mut List) {
    for (what, header) in [
        ("type 0, the same", chunk(6, 10, 200, 9, 1, &[])),
        ("type 1, the same", vec![0x46, 0, 0, 9, 0, 0, 200, 9]),
        ("type 2", vec![0x86, 0, 0, 9]),
        ("a smaller length", chunk(6, 10, 199, 9, 1, &[])),
        ("a length below what came", vec![0x46, 0, 0, 9, 0, 0, 1, 9]),
        ("a length of 0", vec![0x46, 0, 0, 9, 0, 0, 0, 9]),
        ("a larger length", vec![0x46, 0, 0, 9, 0xff, 0xff, 0xff, 9]),
        ("another type", vec![0x46, 0, 0, 9, 0, 0, 200, 8]),
        ("a command's type", vec![0x46, 0, 0, 9, 0, 0, 200, 20]),
        ("another stream", chunk(6, 10, 200, 9, 2, &[])),
    ] {
        let bytes = [open(), header, vec![7; 72]].concat();
        list.everybody(12, format!("in mid-message: {what}"), bytes);
    }
    // What a heap was once overflowed with: the second header claims more than there is room for.
    let grow = [
        chunk(6, 10, 129, 9, 1, &[7; 128]),
        vec![0x46, 0, 0, 0, 0, 0xff, 0xff, 9],
        vec![7; 128],
        [&[0xc6][..], &[7; 128]].concat().repeat(500),
    ];
    list.everybody(12, "in mid-message: more and more", grow.concat());
}

fn sizes(list: &mut List) {
    for size in [
        0,
        1,
        2,
        63,
        64,
        127,
        0xff_ffff,
        0x0100_0000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
    ] {
        list.everybody(13, format!("chunk size {size:#x}"), control(1, size));
    }
    for size in [0x7fff_ffff, 0xff_ffff] {
        let bytes = [control(1, size), chunk(6, 0, 0xff_ffff, 9, 1, &[7; 100])].concat();
        let name = format!("chunk size {size:#x}, and the first bytes of 16 MiB");
        // Nothing can follow in the middle of a chunk.
        for stage in [
            crate::suite::Stage::Publishing,
            crate::suite::Stage::Playing,
        ] {
            list.server(13, stage, name.clone(), super::send_and_end(bytes.clone()));
        }
        let stage = crate::suite::Stage::Streaming;
        list.client(13, stage, name, super::send_and_end(bytes));
    }
    for len in 0..4 {
        let bytes = message(2, 1, 0, &vec![0; len]);
        list.everybody(13, format!("chunk size of {len} bytes"), bytes);
    }
    let inside = [
        open(),
        control(1, 64),
        vec![0xc6],
        vec![7; 64],
        vec![0xc6],
        vec![7; 8],
    ];
    list.everybody(13, "chunk size inside another's message", inside.concat());
    let often = (0..1000).flat_map(|i| control(1, 128 + i));
    let back = control(1, 128);
    list.everybody(
        13,
        "chunk size a thousand times",
        often.chain(back).collect(),
    );
    let tiny = [control(1, 1), {
        let text: Vec<u8> = vec![7; 2000];
        let mut bytes = chunk(6, 0, 2000, 9, 1, &text[..1]);
        for byte in &text[1..] {
            bytes.extend([0xc6, *byte]);
        }
        bytes
    }];
    list.everybody(
        13,
        "chunk size 1, and a message of 2000 chunks",
        tiny.concat(),
    );
}

fn lengths(list: &mut List) {
    for type_id in [
        1, 2, 3, 4, 5, 6, 8, 9, 15, 16, 17, 18, 19, 20, 22, 0, 7, 255,
    ] {
        let name = format!("nothing in a message of type {type_id}");
        list.everybody(14, name, message(7, type_id, 1, &[]));
        let name = format!("one byte in a message of type {type_id}");
        list.everybody(14, name, message(7, type_id, 1, &[0]));
    }
    let claims = |range: std::ops::Range<u8>| {
        range.flat_map(|csid| chunk(csid, 0, 0xff_ffff, 9, 1, &[0; 128]))
    };
    list.everybody(14, "16 MiB claimed once", claims(40..41).collect());
    list.everybody(14, "16 MiB claimed 40 times", claims(10..50).collect());
    let wide = (0..400u16).flat_map(|id| {
        let [low, high] = id.to_le_bytes();
        let rest = chunk(0, 0, 0xff_ffff, 9, 1, &[0; 128]);
        [&[1, low, high], &rest[1..]].concat()
    });
    list.everybody(14, "16 MiB claimed 400 times", wide.collect());
}

fn many_streams(list: &mut List) {
    for count in [400u32, 4000, 65_536] {
        let bytes = (0..count).flat_map(|id| {
            let [low, high, ..] = id.to_le_bytes();
            // Of a type that means nothing.
            [&[1, low, high], &chunk(0, 0, 0, 7, 1, &[])[1..]].concat()
        });
        list.everybody(15, format!("{count} chunk streams"), bytes.collect());
    }
}

fn names(list: &mut List) {
    let body = [7; 72];
    let message = [
        &[1, 6, 0],
        &chunk(0, 10, 200, 9, 1, &[7; 128])[1..],
        &[0xc0, 6],
        &body,
    ];
    list.everybody(16, "70 in three bytes and in two", message.concat());
    for (what, head) in [("0 in two bytes", &[0, 0][..]), ("64 in three", &[1, 0, 0])] {
        let bytes = [head, &chunk(0, 10, 5, 9, 1, &[7; 5])[1..]].concat();
        list.everybody(16, what, bytes);
    }
}

fn times(list: &mut List) {
    for time in [
        0xff_fffe,
        0xff_ffff,
        0x100_0000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
    ] {
        for repeated in [None, Some(time)] {
            if repeated.is_some() && time < 0xff_ffff {
                continue;
            }
            let mut bytes = chunk(6, time, 200, 9, 1, &[7; 128]);
            bytes.push(0xc6);
            bytes.extend(repeated.into_iter().flat_map(u32::to_be_bytes));
            bytes.extend([7; 72]);
            // To end the guess of those who took the other dialect.
            bytes.extend(chunk(63, 0, 3, 8, 1, &[0xaf, 1, 0]));
            let what = if repeated.is_some() {
                "with"
            } else {
                "without"
            };
            list.everybody(18, format!("time {time:#x}, {what} it in type 3"), bytes);
        }
    }
    // The payload looks like the time.
    let mut bytes = chunk(6, 0x0100_0000, 132, 9, 1, &[7; 128]);
    bytes.extend([0xc6, 1, 0, 0, 0, 1, 0, 0, 0]);
    list.everybody(18, "a payload that is the time", bytes);
    for (what, first, header) in [
        (
            "a delta of 0xffffff",
            5,
            &[0x86, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff][..],
        ),
        ("a wrap at 2^31", 0x7fff_ffff, &[0x86, 0, 0, 1]),
        ("a wrap at 2^32", 0xffff_fff0, &[0x86, 0, 0, 0x20]),
        (
            "a delta of -1",
            5,
            &[0x86, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        (
            "time goes back",
            0x00ff_0000,
            &[6, 0, 0, 0, 0, 0, 1, 9, 1, 0, 0, 0],
        ),
    ] {
        let bytes = [&chunk(6, first, 1, 9, 1, &[1]), header, &[2]].concat();
        list.everybody(18, what, bytes);
    }
}

fn aborts(list: &mut List) {
    for (what, bytes) in [
        ("of an unknown one", control(2, 44)),
        ("out of range", control(2, 0xffff_ffff)),
        ("of itself", control(2, 2).repeat(2)),
        ("of the commands'", control(2, 3)),
        ("of a message", [open(), control(2, 6)].concat()),
        (
            "of a message, which goes on",
            [open(), control(2, 6), open(), vec![0xc6], vec![7; 72]].concat(),
        ),
        (
            "of a message, and another",
            [open(), control(2, 6), chunk(6, 9, 1, 8, 1, &[1])].concat(),
        ),
        ("ten thousand times", control(2, 6).repeat(10_000)),
    ] {
        list.everybody(19, format!("abort {what}"), bytes);
    }
    for len in 0..4 {
        list.everybody(
            19,
            format!("abort of {len} bytes"),
            message(2, 2, 0, &vec![0; len]),
        );
    }
}

fn windows(list: &mut List) {
    for size in [0, 1, 2, 0x7fff_ffff, 0xffff_ffff] {
        let bytes = [control(5, size), chunk(6, 10, 100, 9, 1, &[7; 100])].concat();
        list.everybody(20, format!("window {size:#x}"), bytes);
    }
    for sequences in [[0, 0], [100, 1], [0xffff_ffff, 0], [0x7fff_ffff, 5]] {
        let bytes = sequences.map(|sequence| control(3, sequence)).concat();
        list.everybody(20, format!("acknowledged {sequences:x?}"), bytes);
    }
    for limit in [0, 1, 2, 3, 9, 255] {
        for window in [0, 1, 0xffff_ffff_u32] {
            let body = [&window.to_be_bytes()[..], &[limit]].concat();
            let name = format!("bandwidth {window:#x} of type {limit}");
            list.everybody(20, name, message(2, 6, 0, &body));
        }
    }
    for type_id in [3, 5, 6] {
        for len in 0..5 {
            let name = format!("type {type_id} with {len} bytes");
            list.everybody(20, name, message(2, type_id, 0, &vec![0; len]));
        }
    }
}

fn places(list: &mut List) {
    for (csid, stream_id) in [(3, 0), (6, 1), (2, 1), (2, 77), (63, 0xffff_ffff)] {
        let bytes = [
            message(csid, 1, stream_id, &200u32.to_be_bytes()),
            chunk(7, 10, 200, 9, 1, &[7; 200]),
            message(csid, 4, stream_id, &[0, 6, 0, 0, 0, 1]),
        ];
        let name = format!("control on chunk stream {csid}, message stream {stream_id}");
        list.everybody(21, name, bytes.concat());
    }
    let long = [message(2, 5, 0, &[0x10; 50]), message(2, 2, 0, &[0x10; 50])];
    list.everybody(21, "control that is too long", long.concat());
    list.everybody(
        21,
        "control of 64 KiB",
        message(2, 4, 0, &vec![0xff; 65_536]),
    );
}
