// SPDX-License-Identifier: MPL-2.0

//! Items 26 to 34 of the checklist: bad AMF, in a command. What the reader makes of it is proven with
//! the reader; here it is what becomes of the session.

use super::{wire::*, *};
use crate::protocol::rtmp::{amf::AmfError, message::CommandError};

/// A command that means nothing to either side, with a value behind its command object.
fn with(value: &[u8]) -> Vec<u8> {
    command(0, "x", 0.0, &[NULL.to_vec(), value.to_vec()])
}

fn amf(error: AmfError) -> Outcome {
    fails(CommandError::Amf(error))
}

fn reads(what: &str, value: &[u8]) -> Case {
    both(what, with(value), nothing())
}

fn breaks(what: &str, value: &[u8], error: AmfError) -> Case {
    both(what, with(value), amf(error))
}

#[test]
fn items_26_to_31_values_that_are_none() {
    let objects = |depth| [3, 0, 1, b'a'].repeat(depth);
    run(vec![
        breaks("26 deep objects", &objects(40_000), AmfError::TooDeep),
        breaks(
            "26 deep arrays",
            &[10, 0, 0, 0, 1].repeat(40_000),
            AmfError::TooDeep,
        ),
        breaks(
            "26 deep AMF3",
            &[&[0x11], [9, 3, 1].repeat(40_000).as_slice()].concat(),
            AmfError::TooDeep,
        ),
        breaks(
            "27 strict array",
            &[10, 255, 255, 255, 255],
            AmfError::TooManyElements,
        ),
        reads("27 ECMA array", &[8, 255, 255, 255, 255, 0, 0, 9]),
        breaks("28 string", &[2, 0xff, 0xff, b'a'], AmfError::Truncated),
        breaks(
            "28 long string",
            &[12, 255, 255, 255, 255, b'a'],
            AmfError::Truncated,
        ),
        breaks("28 key", &[3, 0xff, 0xff, b'a'], AmfError::Truncated),
        breaks("29 no end", &[3, 0, 1, b'a', 5], AmfError::Truncated),
        breaks("29 end alone", &[9, 5], AmfError::UnexpectedObjectEnd),
        // FLV files up to version 9 have it, so it is taken for what it is there.
        reads("29 end of all", &[0, 0, 9]),
        breaks(
            "30 out of range",
            &[7, 0, 7],
            AmfError::DanglingReference(7),
        ),
        breaks(
            "30 to itself",
            &[3, 0, 1, b'a', 7, 0, 0, 0, 0, 9],
            AmfError::CircularReference(0),
        ),
        reads("31 typed object", &[16, 0, 1, b'C', 0, 1, b'a', 5, 0, 0, 9]),
        reads("31 date", &[11, 0xff, 0xf8, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        reads("31 XML", &[&[15, 0, 0, 0, 4], b"<!E>".as_slice()].concat()),
        reads("31 unsupported", &[13]),
        breaks("31 movie clip", &[4], AmfError::ReservedMarker(4)),
        breaks("31 record set", &[14], AmfError::ReservedMarker(14)),
        breaks("31 no marker", &[0x55], AmfError::UnknownMarker(0x55)),
    ]);
}

#[test]
fn a_name_has_to_come_first() {
    let mut cases = Vec::new();
    for (what, body) in [
        ("a number", number(1.0)),
        ("null", NULL.to_vec()),
        ("an object", object(&[])),
        ("nothing", vec![]),
    ] {
        for type_id in [17, 20] {
            let bytes = message(3, type_id, 0, &body);
            // In type 17 the first zero is the format.
            let outcome = match (type_id, what) {
                (17, "a number") => continue,
                _ => fails(CommandError::NoName),
            };
            cases.push(both(format!("{what} in type {type_id}"), bytes, outcome));
        }
    }
    run(cases);
}

#[test]
fn item_32_transaction_ids() {
    let mut cases = Vec::new();
    for id in [
        f64::NAN,
        f64::INFINITY,
        -1.0,
        9_007_199_254_740_992.0,
        0.5,
        f64::MIN_POSITIVE,
    ] {
        let answer = format!("> _error {id}");
        cases.push(case(
            format!("32 a call with {id}"),
            command(0, "x", id, &[NULL.to_vec()]),
            gives(&[&answer]),
            gives(&[&format!("{answer} NetConnection.Call.Failed")]),
        ));
        for name in ["_result", "_error"] {
            let bytes = command(0, name, id, &[NULL.to_vec(), number(id)]);
            cases.push(both(format!("32 {name} to {id}"), bytes, nothing()));
        }
        cases.push(case(
            format!("32 createStream with {id}"),
            command(0, "createStream", id, &[NULL.to_vec()]),
            gives(&[&answer]),
            gives(&[&format!("> _result {id}")]),
        ));
        for name in ["deleteStream", "closeStream"] {
            let bytes = command(77, name, 0.0, &[NULL.to_vec(), number(id)]);
            cases.push(both(format!("32 {name} of {id}"), bytes, nothing()));
        }
    }
    cases.push(case(
        "32 one id many times",
        command(0, "x", 2.0, &[NULL.to_vec()]).repeat(3),
        gives(&["> _error 2"; 3]),
        gives(&["> _error 2 NetConnection.Call.Failed"; 3]),
    ));
    run(cases);
}

#[test]
fn item_33_amf3() {
    let amf3 = |value: &[u8]| [&[0x11], value].concat();
    run(vec![
        reads(
            "33 integer, four bytes for one",
            &amf3(&[4, 0x80, 0x80, 0x80, 1]),
        ),
        breaks(
            "33 U29 without end",
            &amf3(&[4, 0xff, 0xff]),
            AmfError::Truncated,
        ),
        breaks(
            "33 traits without end",
            &amf3(&[10, 0xff, 0xff, 0xff, 0xf3]),
            AmfError::Truncated,
        ),
        reads("33 AMF0 behind AMF3", &[amf3(&[1]), text("a")].concat()),
        both(
            "33 type 17, with and without format byte",
            [
                message(3, 17, 0, &[vec![0], text("x"), number(0.0)].concat()),
                message(3, 17, 0, &[text("x"), number(0.0)].concat()),
            ]
            .concat(),
            nothing(),
        ),
        both(
            "33 type 17 of another format",
            message(3, 17, 0, &[3, 6, 3, b'x']),
            amf(AmfError::Truncated),
        ),
    ]);
}

#[test]
fn item_33_amf3_counts_without_data() {
    let mut cases = Vec::new();
    // Array, object by reference, vectors of each kind, byte array, dictionary.
    for marker in [9, 10, 12, 13, 14, 15, 16, 17] {
        let bytes = with(&[0x11, marker, 0xff, 0xff, 0xff, 0xff]);
        for make in [Side::client as fn(State) -> Side, Side::server] {
            let mut side = make(State::Playing);
            let result = side.feed(&bytes, &[]);
            assert!(
                matches!(result, Err(SessionError::Command(CommandError::Amf(_)))),
                "marker {marker}: {result:?}"
            );
        }
        // The same, cut: which of the budgets it is does not matter, but that it is one.
        let error = match Command::parse(20, &bytes[12..]) {
            Err(error) => error,
            Ok(command) => panic!("{command:?}"),
        };
        cases.push(both(format!("33 marker {marker}"), bytes, fails(error)));
    }
    run(cases);
}

#[test]
fn item_34_strange_text() {
    let mut cases = Vec::new();
    for (what, raw) in [
        ("no UTF-8", &[0xff, 0xfe, 0xc0][..]),
        ("a zero", b"a\0b"),
        ("an overlong slash", &[0xc0, 0xaf]),
        ("a line break", b"a\r\nERROR"),
        ("nothing", b""),
        ("a prototype", b"__proto__"),
    ] {
        let string = [&[2, 0, raw.len() as u8], raw].concat();
        let key = &string[1..];
        let object = [&[3], key, &[5], key, &[5], &[0, 0, 9]].concat();
        cases.push(reads(&format!("34 {what} as text"), &string));
        cases.push(reads(&format!("34 {what} as a key, twice"), &object));
        let bytes = message(3, 20, 0, &[string, number(0.0)].concat());
        cases.push(both(format!("34 {what} as a name"), bytes, nothing()));
    }
    let long = "n".repeat(0xffff);
    cases.push(both(
        "34 a long name",
        command(0, &long, 0.0, &[]),
        nothing(),
    ));
    let longer = "n".repeat(0x1_0000);
    cases.push(both(
        "34 a longer name",
        command(0, &longer, 0.0, &[]),
        nothing(),
    ));
    run(cases);
}
