// SPDX-License-Identifier: MPL-2.0

//! Items 22 to 25 of the checklist: what whole messages hold. Sound and picture are not looked into
//! here; what bad ones among them are is decided where FLV heads are read.

use super::{wire::*, *};
use crate::protocol::rtmp::{
    limits,
    message::{AggregateError, TooShort},
};

#[test]
fn item_22_user_control() {
    let mut cases = Vec::new();
    let error = TooShort { type_id: 4 };
    for len in 0..2 {
        let bytes = message(2, 4, 0, &vec![0; len]);
        cases.push(both(format!("22 body of {len}"), bytes, fails(error)));
    }
    for event in [0, 1, 2, 3, 4, 6, 7, 31, 32] {
        for data in [&[][..], &[0, 0, 0]] {
            let bytes = user_control(event, data);
            cases.push(both(
                format!("22 event {event} with {data:?}"),
                bytes,
                fails(error),
            ));
        }
    }
    let short = user_control(3, &[0; 7]);
    cases.push(both("22 a buffer length cut off", short, fails(error)));
    for event in [5]
        .into_iter()
        .chain(8..=25)
        .chain([28, 29, 30])
        .chain(33..40)
    {
        for data in [&[][..], &[0xff; 200]] {
            let name = format!("22 event {event} with {} bytes", data.len());
            cases.push(both(name, user_control(event, data), nothing()));
        }
    }
    // SWF verification: there is no SWF to name.
    for data in [&[][..], &[0], &[1], &[2], &[0xff; 90]] {
        for event in [26, 27] {
            let name = format!("22 event {event} with {} bytes", data.len());
            cases.push(both(name, user_control(event, data), nothing()));
        }
    }
    // Ends of streams that are not played.
    for (event, id) in [
        (1, 0),
        (1, 2),
        (1, u32::MAX),
        (2, 1),
        (0, 9),
        (31, 1),
        (32, 1),
    ] {
        let name = format!("22 event {event} of stream {id}");
        cases.push(both(
            name,
            user_control(event, &id.to_be_bytes()),
            nothing(),
        ));
    }
    run(cases);
}

#[test]
fn item_23_aggregates() {
    let aggregate =
        |body: &[u8]| [chunk(6, 1000, body.len() as u32, 22, 1, &[]), cut(body)].concat();
    let sub = |type_id, time, body: &[u8]| {
        let size = body.len() as u32;
        sub_message(type_id, size, time, body, size + 11)
    };
    let good = sub(8, 500, &[1]);
    let mut cases = Vec::new();
    for len in 1..good.len() - 5 {
        let bytes = aggregate(&good[..len]);
        cases.push(both(
            format!("23 cut to {len}"),
            bytes,
            fails(AggregateError),
        ));
    }
    // The back-pointer makes five bytes of one.
    for size in [6, 200, 0xff_ffff] {
        let bytes = aggregate(&sub_message(8, size, 0, &[1], 12));
        cases.push(both(
            format!("23 size {size}"),
            bytes,
            fails(AggregateError),
        ));
    }
    let wrong = |back| aggregate(&[sub_message(8, 1, 500, &[1], back), good.clone()].concat());
    for back in [0, 11, 13, u32::MAX] {
        cases.push(both(
            format!("23 back-pointer {back}"),
            wrong(back),
            gives(&["Audio 1000 [01]", "Audio 1000 [01]"]),
        ));
    }
    let backwards = [sub(8, 500, &[1]), sub(9, 400, &[2]), sub(8, u32::MAX, &[3])];
    cases.push(both(
        "23 times go back",
        aggregate(&backwards.concat()),
        gives(&["Audio 1000 [01]", "Video 900 [02]", "Audio 499 [03]"]),
    ));
    let nested = sub(22, 0, &sub(22, 0, &good));
    let ping = sub(4, 0, &[0, 6, 0, 0, 0, 1]);
    let size = sub(1, 0, &[0; 4]);
    let close = sub(20, 0, &[text("close"), number(0.0)].concat());
    for (what, odd) in [
        ("an aggregate", nested),
        ("a ping", ping),
        ("a chunk size", size),
        ("a command", close),
        ("a type without a name", sub(31, 0, &[1, 2, 3])),
    ] {
        let bytes = aggregate(&[odd, sub(8, 7, &[1])].concat());
        let outcome = gives(&["Audio 1007 [01]"]);
        cases.push(both(format!("23 {what} inside"), bytes, outcome));
    }
    for rest in [1, 10] {
        let bytes = aggregate(&[good.clone(), vec![0; rest]].concat());
        cases.push(both(
            format!("23 {rest} bytes left"),
            bytes,
            fails(AggregateError),
        ));
    }
    let many = |count| aggregate(&sub(18, 0, &[]).repeat(count));
    let error = SessionError::TooMuch("messages in an aggregate");
    cases.push(both(
        "23 too many",
        many(limits::AGGREGATE + 1),
        fails(error),
    ));
    run(cases);
}

/// The payload of a message on chunk stream 6, in chunks.
fn cut(body: &[u8]) -> Vec<u8> {
    body.chunks(128).collect::<Vec<_>>().join(&0xc6)
}

#[test]
fn items_24_and_25_sound_and_picture_pass_as_they_are() {
    let mut cases = Vec::new();
    for (type_id, kind) in [(8, "Audio"), (9, "Video")] {
        for first in [0x00, 0x17, 0x2f, 0x80, 0x87, 0x97, 0xaf, 0xff] {
            for len in 1..7 {
                let mut body = vec![0xff; len];
                body[0] = first;
                let bytes = message(6, type_id, 1, &body);
                let wanted = format!("{kind} 0 {body:02x?}");
                cases.push(both(
                    format!("24 {kind} {body:02x?}"),
                    bytes,
                    gives(&[&wanted]),
                ));
            }
        }
    }
    // ModEx after ModEx, each of 256 + 0xffff bytes that are not there.
    let chain = [0x97]
        .into_iter()
        .chain([0xff, 0xff, 0xff, 0x07].repeat(10_000));
    let chain = chain.collect::<Vec<_>>();
    cases.push(both(
        "24 a chain of ModEx",
        message(6, 9, 1, &chain),
        gives(&["Video 0 40001 bytes"]),
    ));
    let start = |body: &[u8]| message(6, 9, 1, body);
    cases.push(both(
        "25 frames, then sequence headers that change",
        [
            start(&[0x17, 1, 0, 0, 0, 9]),
            start(&[0x17, 0, 0, 0, 0, 1]),
            start(&[0x17, 0, 0, 0, 0, 1]),
            start(&[0x1c, 0, 0, 0, 0, 2]),
        ]
        .concat(),
        gives(&[
            "Video 0 [17, 01, 00, 00, 00, 09]",
            "Video 0 [17, 00, 00, 00, 00, 01]",
            "Video 0 [17, 00, 00, 00, 00, 01]",
            "Video 0 [1c, 00, 00, 00, 00, 02]",
        ]),
    ));
    run(cases);
}
