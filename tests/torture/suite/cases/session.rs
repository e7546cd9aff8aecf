// SPDX-License-Identifier: MPL-2.0

//! Items 35 to 42: sound messages that make no sense where they come, and floods of them.

use std::time::Duration;

use super::{List, Then, script, send};
use crate::suite::{Stage::*, bytes::*};

fn null() -> Vec<u8> {
    NULL.to_vec()
}

pub(super) fn list(list: &mut List) {
    order(list);
    names(list);
    answers(list);
    refusals(list);
    requests(list);
    floods(list);
}

fn order(list: &mut List) {
    let create = || command(0, "createStream", 9.0, &[null()]);
    let ask = |id, verb| command(id, verb, 0.0, &[null(), text("torture-other")]);
    for name in [
        "createStream",
        "publish",
        "play",
        "_result",
        "onStatus",
        "deleteStream",
        "FCPublish",
        "x",
        "",
    ] {
        let bytes = command(0, name, 1.0, &[null(), text("s")]);
        list.server(35, Greeted, format!("{name} before connect"), send(bytes));
    }
    list.server(
        35,
        Greeted,
        "media before connect",
        send(message(6, 9, 1, &[0x17, 1])),
    );
    list.server(
        35,
        Greeted,
        "connect without an object",
        send(command(0, "connect", 1.0, &[])),
    );
    for (what, app) in [
        ("a number", number(1.0)),
        ("null", null()),
        ("an object", object(&[])),
    ] {
        let bytes = command(0, "connect", 1.0, &[object(&[("app", app)])]);
        list.server(35, Greeted, format!("connect to {what}"), send(bytes));
    }
    for (what, bytes) in [
        (
            "connect twice",
            command(0, "connect", 1.0, &[object(&[("app", text("live"))])]),
        ),
        ("publish on stream 0", ask(0, "publish")),
        ("publish on a stream that was never made", ask(7, "publish")),
        ("play on a stream that was never made", ask(7, "play")),
        ("publish again", ask(1, "publish")),
        ("play again", ask(1, "play")),
        ("play ten times", ask(1, "play").repeat(10)),
        (
            "publish without a name",
            command(1, "publish", 0.0, &[null()]),
        ),
        ("play without a name", command(1, "play", 0.0, &[null()])),
        (
            "publish a number",
            command(1, "publish", 0.0, &[null(), number(1.0)]),
        ),
        ("play2 of nothing", command(1, "play2", 0.0, &[null()])),
        (
            "pause of what does not play",
            command(9, "pause", 0.0, &[null(), vec![1, 1], number(0.0)]),
        ),
        (
            "seek to NaN",
            command(1, "seek", 0.0, &[null(), number(f64::NAN)]),
        ),
        (
            "seek to -1e300",
            command(1, "seek", 0.0, &[null(), number(-1e300)]),
        ),
        (
            "play from NaN",
            command(
                1,
                "play",
                0.0,
                &[null(), text("x"), number(f64::NAN), number(-9.0)],
            ),
        ),
        (
            "streams of others deleted",
            [0.0, 2.0, -1.0, 77.0, 1e300]
                .map(|id| command(0, "deleteStream", 0.0, &[null(), number(id)]))
                .concat(),
        ),
        (
            "streams that come and go",
            [
                create(),
                command(0, "deleteStream", 0.0, &[null(), number(2.0)]),
            ]
            .concat()
            .repeat(500),
        ),
        (
            "closeStream on all streams",
            (0..50)
                .flat_map(|id| command(id, "closeStream", 0.0, &[null()]))
                .collect(),
        ),
    ] {
        for stage in [Publishing, Playing] {
            list.server(35, stage, what, send(bytes.clone()));
        }
        list.client(35, Streaming, what, send(bytes));
    }
    for (stage, many) in [(Publishing, 1000), (Playing, 1000), (Publishing, 1_000_000)] {
        let create = create();
        let times = many * create.len();
        let flood = script(move |wire| wire.flood(&create.repeat(1000), times));
        list.server(35, stage, format!("createStream {many} times"), flood);
    }
}

fn names(list: &mut List) {
    let long = "n".repeat(1 << 20);
    let middle = "n".repeat(300);
    for (what, name) in [
        ("../", "../../../../etc/passwd"),
        ("an absolute path", "/etc/passwd"),
        ("a zero", "a\0b"),
        ("line breaks", "a\r\nERROR b"),
        ("nothing", ""),
        ("a query", "?x=%00&y=../.."),
        ("a format", "%n%n%s%x"),
        ("300 letters", &middle),
        ("1 MiB", &long),
    ] {
        for verb in [
            "publish",
            "play",
            "FCPublish",
            "releaseStream",
            "FCSubscribe",
        ] {
            let bytes = [
                command(0, "createStream", 9.0, &[null()]),
                command(1, verb, 3.0, &[null(), text(name), text("record")]),
            ];
            let name = format!("{verb} of {what}");
            list.server(36, Connected, name, send(bytes.concat()));
        }
        let app = object(&[
            ("app", text(name)),
            ("tcUrl", text(name)),
            ("flashVer", text(name)),
        ]);
        let bytes = command(0, "connect", 1.0, &[app]);
        list.server(
            36,
            Greeted,
            format!("an application of {what}"),
            send(bytes),
        );
    }
    // What a server says ends up in a client's log.
    for (what, name) in [
        ("line breaks", "a\r\nERROR b"),
        ("1 MiB", &long),
        ("a format", "%n%s"),
    ] {
        let info = object(&[
            ("level", text("status")),
            ("code", text(name)),
            ("description", text(name)),
        ]);
        let bytes = command(1, "onStatus", 0.0, &[null(), info]);
        list.client(36, Streaming, format!("a status of {what}"), send(bytes));
    }
}

fn answers(list: &mut List) {
    for name in ["_result", "_error"] {
        for (what, values) in [
            ("a number", vec![null(), number(1.0)]),
            ("an object", vec![null(), object(&[("code", text("x"))])]),
            ("text", vec![text("x"), text("y")]),
            ("nothing", vec![]),
        ] {
            let ids = [0.0, 1.0, 2.0, 3.0, 1e9].into_iter();
            let bytes = ids.flat_map(|id| command(0, name, id, &values)).collect();
            list.everybody(37, format!("{name} with {what}, to nothing"), bytes);
        }
    }
    for (what, values) in [
        ("nothing", vec![]),
        ("text", vec![text("x")]),
        (
            "a code that is a number",
            vec![null(), object(&[("code", number(1.0))])],
        ),
    ] {
        let bytes = command(0, "_result", 1.0, &values);
        // Granted; the client goes on and waits for more.
        let granted = script(move |wire| {
            wire.send(&bytes)?;
            wire.peer.expect("createStream")?;
            Ok(Then::Answered)
        });
        list.client(37, Greeted, format!("connected with {what}"), granted);
    }
    for id in [f64::NAN, -1.0, 0.0, 1e300, 4_294_967_296.0] {
        let stream = script(move |wire| {
            wire.send(&command(0, "_result", 1.0, &[]))?;
            let create = wire.peer.expect("createStream")?;
            wire.send(&command(
                0,
                "_result",
                create.transaction,
                &[null(), number(id)],
            ))?;
            // It publishes, plays, or is gone.
            wire.read_some()?;
            Ok(Then::Judge)
        });
        list.client(37, Greeted, format!("a message stream of {id}"), stream);
    }
    for (what, values) in [
        ("nothing", vec![]),
        ("nulls", vec![null(), null()]),
        ("text", vec![null(), text("NetStream.Play.Stop")]),
        ("an empty object", vec![null(), object(&[])]),
        (
            "a code that is a number",
            vec![null(), object(&[("code", number(1.0))])],
        ),
        (
            "a level that is null",
            vec![null(), object(&[("code", text("x")), ("level", null())])],
        ),
        (
            "a code of nobody",
            vec![
                null(),
                object(&[("code", text("Net.Nothing")), ("level", text("error"))]),
            ],
        ),
    ] {
        list.everybody(
            38,
            format!("onStatus with {what}"),
            command(1, "onStatus", 0.0, &values),
        );
        list.everybody(
            38,
            format!("onStatus on stream 0 with {what}"),
            command(0, "onStatus", 0.0, &values),
        );
    }
}

fn refusals(list: &mut List) {
    let rejected = |description: &str, extra: Vec<(&str, Vec<u8>)>| {
        let mut pairs = vec![
            ("level", text("error")),
            ("code", text("NetConnection.Connect.Rejected")),
            ("description", text(description)),
        ];
        pairs.extend(extra);
        command(0, "_error", 1.0, &[null(), object(&pairs)])
    };
    let ask = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    let challenge = |mode: &str, salt: &str| {
        format!(
            "[ AccessManager.Reject ] : [ authmod={mode} ] : ?reason=needauth&user=u&salt={salt}&\
             challenge={salt}&opaque={salt}&nonce={salt}"
        )
    };
    let huge = "A".repeat(60_000);
    for (what, description) in [
        ("asked", ask.to_owned()),
        ("a huge salt", challenge("adobe", &huge)),
        ("a huge nonce", challenge("llnw", &huge)),
        ("a line break in the salt", challenge("adobe", "a\r\nb")),
        ("no such way", ask.replace("adobe", "magic")),
        (
            "a challenge without parts",
            "[ AccessManager.Reject ] : [ authmod=adobe ] : ?".into(),
        ),
        ("an empty description", String::new()),
        ("brackets", "[[[[ : ]]]] : ?=&=&=".into()),
    ] {
        let bytes = rejected(&description, vec![]);
        list.client(39, Greeted, what, send(bytes.repeat(3)));
    }
    for url in [
        "rtmp://127.0.0.1:1/x",
        "rtmps://localhost:1/x",
        "http://127.0.0.1:1/",
        "file:///etc/passwd",
        "../x",
        "\r\n",
        "",
    ] {
        let redirect = object(&[("code", number(302.0)), ("redirect", text(url))]);
        let bytes = rejected("redirected", vec![("ex", redirect)]);
        list.client(40, Greeted, format!("redirected to {url:?}"), send(bytes));
        let info = object(&[
            ("level", text("status")),
            ("code", text("NetConnection.Connect.ReconnectRequest")),
            ("tcUrl", text(url)),
            ("description", text(url)),
        ]);
        let bytes = command(0, "onStatus", 0.0, &[null(), info]);
        list.client(
            40,
            Streaming,
            format!("asked to go to {url:?}"),
            send(bytes.clone()),
        );
        list.client(
            40,
            Streaming,
            format!("asked a hundred times to go to {url:?}"),
            send(bytes.repeat(100)),
        );
    }
}

fn requests(list: &mut List) {
    for name in [
        "close",
        "createStream",
        "connect",
        "publish",
        "play",
        "releaseStream",
        "onBWDone",
        "_checkbw",
        "onFCPublish",
        "onFCUnpublish",
        "onFCSubscribe",
        "onMetaData",
        "|RtmpSampleAccess",
    ] {
        let bytes = command(0, name, 5.0, &[null(), text("s")]);
        list.client(
            35,
            Streaming,
            format!("the server says {name}"),
            send(bytes),
        );
        let bytes = command(1, name, 0.0, &[]);
        list.client(
            35,
            Streaming,
            format!("the server says {name} to the stream"),
            send(bytes),
        );
    }
}

fn floods(list: &mut List) {
    let media = |size: usize| message(6, 9, 1, &vec![0x27; size]);
    for stage in [Publishing, Playing] {
        let noise = media(60_000);
        let flood = script(move |wire| wire.flood(&noise, 8 << 20));
        list.server(41, stage, "8 MiB, and nothing is read", flood);
        let deaf = script(|wire| {
            socket2::SockRef::from(wire.peer.socket()).set_recv_buffer_size(4096)?;
            std::thread::sleep(Duration::from_secs(2));
            Ok(Then::Judge)
        });
        list.server(41, stage, "nothing is read for two seconds", deaf);
    }
    list.client(
        41,
        Streaming,
        "nothing is acknowledged, with a window of 1000",
        send(message(2, 6, 0, &[0, 0, 3, 232, 0])),
    );
    let deaf = script(|wire| {
        socket2::SockRef::from(wire.peer.socket()).set_recv_buffer_size(4096)?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(Then::Judge)
    });
    list.client(41, Streaming, "nothing is read for two seconds", deaf);
    let ping = || user_control(6, &[0, 0, 0, 1]);
    list.everybody(42, "500 pings", ping().repeat(500));
    list.everybody(
        42,
        "50 pongs to nothing",
        user_control(7, &[9; 4]).repeat(50),
    );
    let asks = [
        ("pings", ping()),
        ("calls", command(0, "x", 1.0, &[null()])),
        (
            "windows",
            [1u8, 2]
                .map(|n| message(2, 6, 0, &[0, 0, n, 0, 0]))
                .concat(),
        ),
        (
            "releaseStream",
            command(0, "releaseStream", 5.0, &[null(), text(&"n".repeat(100))]),
        ),
    ];
    for (what, ask) in asks {
        for stage in [Publishing, Playing, Streaming] {
            let piece = ask.repeat(32 * 1024 / ask.len());
            let flood = script(move |wire| wire.flood(&piece, 16 << 20));
            let name = format!("16 MiB of {what}, and no answer is read");
            match stage {
                Streaming => list.client(42, stage, name, flood),
                _ => list.server(42, stage, name, flood),
            }
        }
    }
}
