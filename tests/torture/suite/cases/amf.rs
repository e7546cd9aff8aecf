// SPDX-License-Identifier: MPL-2.0

//! Items 26 to 34: bad AMF, in a command that nobody knows.

use super::List;
use crate::suite::bytes::*;

fn null() -> Vec<u8> {
    NULL.to_vec()
}

fn with(value: &[u8]) -> Vec<u8> {
    command(0, "x", 0.0, &[null(), value.to_vec()])
}

pub(super) fn list(list: &mut List) {
    for depth in [100, 100_000] {
        for (what, piece) in [
            ("objects", &[3, 0, 1, b'a'][..]),
            ("strict arrays", &[10, 0, 0, 0, 1]),
            ("ECMA arrays", &[8, 0, 0, 0, 1, 0, 1, b'a']),
            ("typed objects", &[16, 0, 1, b'C', 0, 1, b'a']),
        ] {
            list.everybody(
                26,
                format!("{depth} {what} deep"),
                with(&piece.repeat(depth)),
            );
        }
        let amf3 = [&[0x11], [9, 3, 1].repeat(depth).as_slice()].concat();
        list.everybody(26, format!("{depth} AMF3 arrays deep"), with(&amf3));
    }
    for (item, what, value) in [
        (
            27,
            "a strict array of 2^32 - 1",
            &[10, 255, 255, 255, 255][..],
        ),
        (27, "an ECMA array of 2^32 - 1", &[8, 255, 255, 255, 255]),
        (
            27,
            "an ECMA array of 2^32 - 1 that ends",
            &[8, 255, 255, 255, 255, 0, 0, 9],
        ),
        (28, "a string past the end", &[2, 0xff, 0xff, b'a']),
        (
            28,
            "a long string past the end",
            &[12, 255, 255, 255, 255, b'a'],
        ),
        (28, "a long string of -2", &[12, 0xff, 0xff, 0xff, 0xfe]),
        (28, "a key past the end", &[3, 0xff, 0xff, b'a']),
        (28, "a number cut off", &[0, 1, 2, 3]),
        (28, "a boolean cut off", &[1]),
        (28, "a date cut off", &[11, 0, 0, 0, 0, 0, 0, 0, 0]),
        (28, "XML past the end", &[15, 0x7f, 0xff, 0xff, 0xff]),
        (29, "an object without an end", &[3, 0, 1, b'a', 5]),
        (29, "an end alone", &[9, 5]),
        (29, "an end of an object alone", &[0, 0, 9]),
        (29, "an empty key that is no end", &[3, 0, 0, 5, 0, 0, 9]),
        (30, "a reference out of range", &[7, 0, 7]),
        (
            30,
            "a reference to what is around it",
            &[3, 0, 1, b'a', 7, 0, 0, 0, 0, 9],
        ),
        (30, "a reference cut off", &[7, 0]),
        (
            31,
            "a typed object",
            &[16, 0, 1, b'C', 0, 1, b'a', 5, 0, 0, 9],
        ),
        (
            31,
            "a date that is no number",
            &[11, 0xff, 0xf8, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
        ),
        (
            31,
            "XML",
            b"\x0f\x00\x00\x00\x3c<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]>&b;  ",
        ),
        (31, "unsupported", &[13]),
        (31, "a movie clip", &[4]),
        (31, "a record set", &[14]),
        (31, "no marker", &[0x55]),
        (33, "U29 overlong", &[0x11, 4, 0x80, 0x80, 0x80, 1]),
        (33, "U29 cut off", &[0x11, 4, 0xff, 0xff]),
        (33, "AMF3 without a value", &[0x11]),
        (33, "an AMF3 string reference", &[0x11, 6, 0x10]),
        (33, "an AMF3 object reference", &[0x11, 10, 0x10]),
        (33, "AMF3 traits by reference", &[0x11, 10, 0x11]),
        (33, "externalizable", &[0x11, 10, 7, 3, b'x', 1, 2, 3]),
        (33, "AMF0 behind AMF3", &[0x11, 1, 2, 0, 1, b'a']),
        (33, "AMF3 that refers to itself", &[0x11, 9, 3, 1, 9, 0]),
    ] {
        list.everybody(item, what, with(value));
    }
    for marker in 9..=17 {
        for count in [
            [0xff; 4],
            [0xff, 0xff, 0xff, 0xfd],
            [0xbf, 0xff, 0xff, 0xff],
        ] {
            let value = [&[0x11, marker][..], &count].concat();
            let name = format!("AMF3 {marker} with a count of {count:02x?}");
            list.everybody(33, name, with(&value));
        }
    }
    for (what, body) in [
        ("nothing", vec![]),
        ("a 3", vec![3]),
        ("a 0 and nothing", vec![0]),
        ("AMF0 without a 0", [text("x"), number(0.0)].concat()),
        ("AMF3", vec![3, 6, 3, b'x']),
    ] {
        list.everybody(33, format!("type 17 of {what}"), message(3, 17, 0, &body));
    }
    ids(list);
    texts(list);
}

fn ids(list: &mut List) {
    for id in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        -1.0,
        9_007_199_254_740_992.0,
        1e300,
        0.5,
        f64::MIN_POSITIVE,
    ] {
        for name in ["x", "_result", "_error", "createStream", "releaseStream"] {
            let bytes = command(0, name, id, &[null(), number(id)]);
            list.everybody(32, format!("{name} with {id}"), bytes);
        }
        for name in ["deleteStream", "closeStream"] {
            let bytes = command(77, name, 0.0, &[null(), number(id)]);
            list.everybody(32, format!("{name} of {id}"), bytes);
        }
    }
    let again = command(0, "x", 2.0, &[null()]).repeat(3);
    list.everybody(32, "one id three times", again);
}

fn texts(list: &mut List) {
    for (what, raw) in [
        ("no UTF-8", &[0xff, 0xfe, 0xc0][..]),
        ("a zero", b"a\0b"),
        ("an overlong slash", &[0xc0, 0xaf]),
        ("a line break", b"a\r\nERROR"),
        ("a format", b"%s%s%s%n"),
        ("nothing", b""),
        ("a prototype", b"__proto__"),
    ] {
        let string = [&[2, 0, raw.len() as u8], raw].concat();
        let key = &string[1..];
        let twice = [&[3], key, &[5], key, &[5], &[0, 0, 9]].concat();
        list.everybody(34, format!("{what} as text"), with(&string));
        list.everybody(34, format!("{what} as a key, twice"), with(&twice));
        let bytes = message(3, 20, 0, &[string.clone(), number(0.0)].concat());
        list.everybody(34, format!("{what} as a name"), bytes);
    }
    for len in [0xffff, 0x1_0000] {
        let long = "n".repeat(len);
        let name = format!("a name of {len} bytes");
        list.everybody(34, name, command(0, &long, 0.0, &[]));
    }
    let key = "k".repeat(0xffff);
    let pairs = (0..15).map(|_| (&*key, null())).collect::<Vec<_>>();
    list.everybody(34, "keys of 64 KiB", with(&object(&pairs)));
    for (what, body) in [
        ("a number", number(1.0)),
        ("null", null()),
        ("an object", object(&[])),
        ("no transaction", text("x")),
        ("text for a transaction", [text("x"), text("1")].concat()),
    ] {
        list.everybody(
            34,
            format!("a command that is {what}"),
            message(3, 20, 0, &body),
        );
    }
}
