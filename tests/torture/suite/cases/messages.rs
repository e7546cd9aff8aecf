// SPDX-License-Identifier: MPL-2.0

//! Items 22 to 25, and of 51 what messages can carry: whole messages with something wrong inside.

use super::List;
use crate::suite::bytes::*;

pub(super) fn list(list: &mut List) {
    user_controls(list);
    aggregates(list);
    media(list);
    sequences(list);
    tags(list);
}

fn user_controls(list: &mut List) {
    for len in 0..2 {
        list.everybody(22, format!("{len} bytes"), message(2, 4, 0, &vec![0; len]));
    }
    for event in [0, 1, 2, 3, 4, 6, 7, 31, 32] {
        for data in [&[][..], &[0, 0, 0]] {
            let name = format!("event {event} with {} bytes", data.len());
            list.everybody(22, name, user_control(event, data));
        }
    }
    let unknown = [5].into_iter().chain(8..=25).chain(28..=30).chain(33..40);
    for event in unknown.chain([255, 0xffff]) {
        let bytes = [&[][..], &[0xff; 200]].map(|data| user_control(event, data));
        list.everybody(22, format!("event {event}"), bytes.concat());
    }
    for (event, id) in [
        (1, 0),
        (1, 2),
        (1, u32::MAX),
        (2, 9),
        (0, 9),
        (3, 9),
        (4, 9),
    ] {
        let data = [id.to_be_bytes(), [0xff; 4]].concat();
        let name = format!("event {event} of stream {id}");
        list.everybody(22, name, user_control(event, &data));
    }
}

fn aggregates(list: &mut List) {
    let aggregate = |body: &[u8]| message(6, 22, 1, body);
    let sub = |type_id, time, body: &[u8]| {
        let size = body.len() as u32;
        sub_message(type_id, size, time, body, size + 11)
    };
    let good = sub(8, 500, &[0xaf, 1]);
    for len in [1, 5, 10, 11, 12, 13] {
        list.everybody(23, format!("cut to {len} bytes"), aggregate(&good[..len]));
    }
    for size in [0, 6, 200, 0xff_ffff] {
        let bytes = aggregate(&sub_message(8, size, 0, &[1], 12));
        list.everybody(23, format!("a size of {size:#x}"), bytes);
    }
    for back in [0, 11, 13, 0x7fff_ffff, u32::MAX] {
        let body = [sub_message(8, 1, 500, &[1], back), good.clone()].concat();
        list.everybody(23, format!("a back-pointer of {back:#x}"), aggregate(&body));
    }
    let backwards = [sub(8, 500, &[1]), sub(9, 400, &[2]), sub(8, u32::MAX, &[3])];
    list.everybody(23, "times go back", aggregate(&backwards.concat()));
    // As deep as 16 MiB allow would be 10^6; this is enough for a stack.
    let mut nested = good.clone();
    for _ in 0..20_000 {
        nested = sub(22, 0, &nested);
        if nested.len() > 200_000 {
            break;
        }
    }
    list.everybody(23, "one in another, very deep", aggregate(&nested));
    let deep = sub(22, 0, &sub(22, 0, &good));
    for (what, odd) in [
        ("an aggregate", deep),
        ("a ping", sub(4, 0, &[0, 6, 0, 0, 0, 1])),
        ("a chunk size", sub(1, 0, &[0; 4])),
        ("an abort", sub(2, 0, &[0, 0, 0, 6])),
        (
            "a command",
            sub(20, 0, &[text("close"), number(0.0)].concat()),
        ),
        ("a type without a name", sub(31, 0, &[1, 2, 3])),
    ] {
        let bytes = aggregate(&[odd, sub(8, 7, &[1])].concat());
        list.everybody(23, format!("{what} inside"), bytes);
    }
    for rest in [1, 10] {
        let bytes = aggregate(&[good.clone(), vec![0; rest]].concat());
        list.everybody(23, format!("{rest} bytes left"), bytes);
    }
    list.everybody(
        23,
        "20,000 of nothing",
        aggregate(&sub(18, 0, &[]).repeat(20_000)),
    );
}

fn media(list: &mut List) {
    for (type_id, kind) in [(8, "audio"), (9, "video")] {
        for first in [
            0x00, 0x17, 0x2f, 0x5f, 0x80, 0x87, 0x90, 0x97, 0x9f, 0xaf, 0xff,
        ] {
            let bodies = (1..7).flat_map(|len| {
                let mut body = vec![0xff; len];
                body[0] = first;
                message(6, type_id, 1, &body)
            });
            let name = format!("{kind} of 1 to 6 bytes, the first {first:#x}");
            list.everybody(24, name, bodies.collect());
        }
    }
    let enhanced = |first: u8, rest: &[u8]| message(6, 9, 1, &[&[first], rest].concat());
    for (what, bytes) in [
        (
            "ModEx of 256 and 65,535 bytes",
            enhanced(0x97, &[0xff, 0xff, 0xff, 7]),
        ),
        ("ModEx of nothing", enhanced(0x97, &[0, 0, 0])),
        (
            "a chain of 10,000 ModEx",
            enhanced(0x97, &[0, 0, 0, 0, 7].repeat(10_000)),
        ),
        (
            "Multitrack in Multitrack",
            enhanced(0x96, &[0x06, b'a', b'v', b'c', b'1', 0, 0x96, 6]),
        ),
        (
            "Multitrack of a kind that is none",
            enhanced(0x96, &[0xf1, b'a', b'v', b'c', b'1', 0]),
        ),
        (
            "sizeOfTrack past the end",
            enhanced(
                0x96,
                &[0x11, b'a', b'v', b'c', b'1', 0, 0xff, 0xff, 0xff, 1],
            ),
        ),
        (
            "sizeOfTrack of 0, and one track twice",
            enhanced(
                0x96,
                &[0x11, b'a', b'v', b'c', b'1', 0, 0, 0, 0, 0, 0, 0, 0],
            ),
        ),
        ("Multitrack without a track", enhanced(0x96, &[0x11])),
        ("an unknown FourCC", enhanced(0x91, b"\xff\0x1zzzz")),
        ("a FourCC cut off", enhanced(0x91, b"hv")),
        (
            "VideoCommand with a body",
            enhanced(0xd1, b"avc1\x00\x01\x02\x03"),
        ),
        ("a packet type that is none", enhanced(0x9e, b"avc1\x00")),
        (
            "colour information that is none",
            enhanced(0x94, b"hvc1\x02\xff\xff"),
        ),
        (
            "sound with a MultichannelConfig cut off",
            message(5, 8, 1, b"\x94Opus\x02\xff"),
        ),
        (
            "sound of 255 channels",
            message(5, 8, 1, b"\x94Opus\x01\xff\xff\xff\xff\xff"),
        ),
    ] {
        list.everybody(24, what, bytes);
    }
}

fn sequences(list: &mut List) {
    let video = |body: &[u8]| message(6, 9, 1, body);
    let sound = |body: &[u8]| message(5, 8, 1, body);
    let start = |last| {
        video(&[
            0x17, 0, 0, 0, 0, 1, 0x42, 0xc0, 0x1e, 0xff, 0xe1, 0, 1, last,
        ])
    };
    for (what, bytes) in [
        ("frames before it", video(&[0x17, 1, 0, 0, 0, 9])),
        ("no key frame before it", video(&[0x27, 1, 0, 0, 0, 9])),
        ("twice", start(1).repeat(2)),
        ("another one each time", (0..100).flat_map(start).collect()),
        (
            "of another codec",
            [start(1), video(b"\x90hvc1"), video(&[0x1c, 0, 0, 0, 0])].concat(),
        ),
        ("of nothing", video(&[0x17, 0, 0, 0, 0])),
        ("of nothing, for sound", sound(&[0xaf, 0])),
        (
            "of 255 parameter sets",
            video(&[0x17, 0, 0, 0, 0, 1, 0x42, 0, 1, 0xff, 0xff, 0xff, 0xff]),
        ),
        (
            "an end of it, and frames",
            [video(&[0x17, 2, 0, 0, 0]), video(&[0x17, 1, 0, 0, 0])].concat(),
        ),
        ("of 1 MiB", {
            let mut body = vec![0x17, 0, 0, 0, 0];
            body.resize(1 << 20, 0xff);
            video(&body)
        }),
    ] {
        list.everybody(25, format!("sequence start: {what}"), bytes);
    }
}

/// What is wrong with FLV files as such, RTMP cannot carry: there are no offsets and no back-pointers.
fn tags(list: &mut List) {
    for type_id in [0x20 | 8, 0x20 | 9, 0x20 | 18, 0x40 | 9, 0x80 | 9, 31, 63] {
        let name = format!("a tag of type {type_id:#x}");
        list.everybody(51, name, message(6, type_id, 1, &[0x17, 1, 0, 0, 0, 9]));
    }
    for id in [0, 2, 77, u32::MAX] {
        let name = format!("media on message stream {id}");
        list.everybody(51, name, message(6, 8, id, &[0xaf, 1, 2, 3]));
    }
    for (what, body) in [
        ("without a name", vec![]),
        ("of a number", number(1.0)),
        ("cut off", text("onMetaData")[..5].to_vec()),
        ("with nothing behind its name", text("onMetaData")),
        (
            "with 2^32 - 1 entries",
            [text("onMetaData"), vec![8, 255, 255, 255, 255]].concat(),
        ),
        ("marked, and nothing else", text("@setDataFrame")),
        ("marked a hundred times", text("@setDataFrame").repeat(100)),
        ("of 1 MiB", [text("onMetaData"), vec![5; 1 << 20]].concat()),
        ("with impossible figures", {
            let figures = object(&[
                ("width", number(f64::NAN)),
                ("height", number(-1.0)),
                ("framerate", number(f64::INFINITY)),
                ("duration", number(1e300)),
                ("videocodecid", text("\u{fffd}")),
                ("audiodatarate", number(f64::MIN)),
            ]);
            [text("onMetaData"), figures].concat()
        }),
    ] {
        list.everybody(51, format!("data {what}"), message(4, 18, 1, &body));
        let amf3 = [&[0], &body[..]].concat();
        list.everybody(51, format!("AMF3 data {what}"), message(4, 15, 1, &amf3));
    }
}
