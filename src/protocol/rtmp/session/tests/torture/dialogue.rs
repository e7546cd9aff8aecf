// SPDX-License-Identifier: MPL-2.0

//! Items 35 to 42 of the checklist: sound messages that make no sense where they come, and floods of
//! them.

use super::{wire::*, *};
use crate::protocol::{
    flv::{Tag, TagKind},
    rtmp::{auth::AuthDenied, chunk::ChunkError, limits},
};

/// A case for a client that plays and a server with a publisher, of which one does not care.
fn only_server(state: State, name: &str, bytes: Vec<u8>, server: Outcome) -> Case {
    Case {
        server: (state, server),
        ..case(name, bytes, nothing(), nothing())
    }
}

fn only_client(state: State, name: &str, bytes: Vec<u8>, client: Outcome) -> Case {
    Case {
        client: (state, client),
        ..case(name, bytes, nothing(), nothing())
    }
}

fn null() -> Vec<u8> {
    NULL.to_vec()
}

#[test]
fn item_35_commands_out_of_order() {
    let create = command(0, "createStream", 0.0, &[null()]);
    let publish = |id| command(id, "publish", 0.0, &[null(), text("s")]);
    let play = |id| command(id, "play", 0.0, &[null(), text("s")]);
    let connect = command(0, "connect", 0.0, &[object(&[("app", text("live"))])]);
    let delete = |id| command(0, "deleteStream", 0.0, &[null(), number(id)]);
    let order = |what| fails(SessionError::OutOfOrder(what));
    let asked = |verb: &str, id: u32| format!("{verb} {{ stream_id: {id}, name: \"s\" }}");
    let stopped = |id: u32| format!("Stopped {{ stream_id: {id} }}");
    let started = [
        "> StreamBegin(1)",
        "> onStatus 0 NetStream.Play.Reset",
        "> onStatus 0 NetStream.Play.Start",
        "> type 18",
        "> type 18",
    ];
    let mut cases = vec![
        only_server(
            State::Publishing,
            "35 connect twice",
            connect,
            order("connect"),
        ),
        only_server(
            State::Publishing,
            "35 publish twice",
            publish(1),
            order("publish"),
        ),
        only_server(
            State::Publishing,
            "35 play what is published",
            play(1),
            order("play"),
        ),
        only_server(
            State::Playing,
            "35 publish what plays",
            publish(1),
            order("publish"),
        ),
        only_server(
            State::Publishing,
            "35 publish nowhere",
            publish(7),
            order("publish"),
        ),
        only_server(
            State::Publishing,
            "35 publish on stream 0",
            publish(0),
            order("publish"),
        ),
        only_server(
            State::Playing,
            "35 play twice",
            play(1),
            Ok([stopped(1), asked("Play", 1)]
                .into_iter()
                .chain(started.map(str::to_owned))
                .collect()),
        ),
        only_server(
            State::Publishing,
            "35 streams without end",
            create.repeat(limits::MESSAGE_STREAMS),
            fails(SessionError::TooMuch("message streams")),
        ),
        only_server(
            State::Publishing,
            "35 streams that come and go",
            // The lowest free number is given again.
            (0..200)
                .flat_map(|_| [create.clone(), delete(2.0)].concat())
                .collect(),
            nothing(),
        ),
        only_server(
            State::Publishing,
            "35 streams of others",
            [0.0, 2.0, -1.0, 1e300].map(delete).concat(),
            nothing(),
        ),
        only_server(
            State::Publishing,
            "35 streams of others closed",
            command(2, "closeStream", 0.0, &[null()]),
            nothing(),
        ),
    ];
    for name in ["createStream", "publish", "_result", "x"] {
        let bytes = command(0, name, 1.0, &[null()]);
        let outcome = order("before connect");
        cases.push(Case {
            client: (State::Playing, Ok(client_answers(name, 1.0))),
            ..only_server(State::Connecting, "35 before connect", bytes, outcome)
        });
    }
    run(cases);
}

fn client_answers(name: &str, transaction: f64) -> Vec<String> {
    match name {
        "_result" => vec![],
        _ => vec![format!("> _error {transaction}")],
    }
}

#[test]
fn item_36_names() {
    let play = |name: &str| {
        [
            command(0, "createStream", 0.0, &[null()]),
            command(2, "play", 0.0, &[null(), text(name)]),
        ]
        .concat()
    };
    for name in [
        "../../etc/passwd",
        "/absolute",
        "a\0b",
        "a\r\nERROR b",
        "",
        "é",
    ] {
        // The name is the application's to judge; it comes as it is.
        let mut side = Side::server(State::Publishing);
        side.feed(&play(name), &[]).unwrap();
        let wanted = format!("Play {{ stream_id: 2, name: {name:?} }}");
        assert_eq!(side.take_log().first(), Some(&wanted));
    }
    let error = || fails(SessionError::TooMuch("name length"));
    let long = "n".repeat(1 << 20);
    let app = object(&[("app", text(&long))]);
    run(vec![
        only_server(
            State::Publishing,
            "36 a name of 1 MiB",
            play(&long),
            error(),
        ),
        only_server(
            State::Publishing,
            "36 a name of one byte too many",
            play(&"n".repeat(limits::NAME + 1)),
            error(),
        ),
        Case {
            client: (State::Playing, gives(&["> _error 1"])),
            ..only_server(
                State::Connecting,
                "36 an application of 1 MiB",
                command(0, "connect", 1.0, &[app]),
                // Before it is a command: a stranger may not have that much under way.
                fails(SessionError::Chunk(ChunkError::TooMuchInFlight {
                    limit: limits::STRANGER_IN_FLIGHT,
                })),
            )
        },
    ]);
}

#[test]
fn item_37_answers_to_nothing() {
    let mut cases = Vec::new();
    for name in ["_result", "_error"] {
        for (what, values) in [
            ("a number", vec![null(), number(1.0)]),
            ("an object", vec![null(), object(&[("code", text("x"))])]),
            ("text", vec![text("x"), text("y")]),
            ("nothing", vec![]),
        ] {
            // 1 and 2 were answered already.
            for transaction in [0.0, 1.0, 2.0, 3.0, 1e9] {
                let bytes = command(0, name, transaction, &values);
                let name = format!("37 {name} {transaction} with {what}");
                cases.push(both(name, bytes, nothing()));
            }
        }
    }
    // The answer to connect may hold anything; the server let the client in.
    let connected = [
        "Stage(CreateStream)",
        "> SetChunkSize(4096)",
        "> createStream 2",
    ];
    for (what, values) in [
        ("nothing", vec![]),
        ("text", vec![text("x")]),
        (
            "a status that is a number",
            vec![null(), object(&[("code", number(1.0))])],
        ),
    ] {
        let bytes = command(0, "_result", 1.0, &values);
        let name = format!("37 connected with {what}");
        cases.push(only_client(
            State::Connecting,
            &name,
            bytes,
            gives(&connected),
        ));
    }
    // Each way to say no, and the empty one.
    for (name, values, status) in [
        ("_error", vec![], Status::default()),
        (
            "_result",
            vec![
                null(),
                object(&[("code", text("NetConnection.Connect.Rejected"))]),
            ],
            Status {
                code: "NetConnection.Connect.Rejected".into(),
                ..Status::default()
            },
        ),
    ] {
        let bytes = command(0, name, 1.0, &values);
        let error = fails(SessionError::Refused(status));
        cases.push(only_client(State::Connecting, "37 refused", bytes, error));
    }
    // Twice: the second is nothing.
    let twice = command(0, "_result", 1.0, &[]).repeat(2);
    cases.push(only_client(
        State::Connecting,
        "37 connected twice",
        twice,
        gives(&connected),
    ));
    run(cases);
}

#[test]
fn item_38_status_without_information() {
    let status = |values: &[Vec<u8>]| command(1, "onStatus", 0.0, values);
    let mut cases = vec![
        both("38 nothing", status(&[]), nothing()),
        both("38 null", status(&[null(), null()]), nothing()),
        both(
            "38 text",
            status(&[null(), text("NetStream.Play.Stop")]),
            nothing(),
        ),
        case(
            "38 an empty object",
            status(&[null(), object(&[])]),
            gives(&["status "]),
            nothing(),
        ),
        case(
            "38 a code that is a number",
            status(&[null(), object(&[("code", number(1.0)), ("level", null())])]),
            gives(&["status "]),
            nothing(),
        ),
        case(
            "38 in place of the command object",
            status(&[object(&[("code", text("NetStream.Play.Stop"))])]),
            gives(&["End(Stopped)"]),
            nothing(),
        ),
    ];
    // What was not asked for.
    for code in [
        "NetStream.Seek.Notify",
        "NetStream.Seek.Failed",
        "NetStream.Publish.Start",
    ] {
        let wanted = format!("status {code}");
        let bytes = on_status("status", code);
        cases.push(case(
            format!("38 {code}"),
            bytes,
            gives(&[&wanted]),
            nothing(),
        ));
    }
    run(cases);
}

#[test]
fn item_39_authentication() {
    let rejected = |description: &str| {
        let info = object(&[
            ("level", text("error")),
            ("code", text("NetConnection.Connect.Rejected")),
            ("description", text(description)),
        ]);
        command(0, "_error", 1.0, &[null(), info])
    };
    let ask = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    let challenge = |salt: &str| {
        format!(
            "[ AccessManager.Reject ] : [ authmod=adobe ] : \
             ?reason=needauth&user=user&salt={salt}&challenge=abc&opaque=abc"
        )
    };
    let denied = |reason| fails(SessionError::NotAuthorized(reason));
    let huge = "A".repeat(60_000);
    let retry = "retry authmod=adobe&user=user";
    run(vec![
        only_client(
            State::Connecting,
            "39 asked",
            rejected(ask),
            gives(&[retry]),
        ),
        only_client(
            State::Connecting,
            "39 asked for ever",
            rejected(ask).repeat(50),
            gives(&[retry]),
        ),
        only_client(
            State::Connecting,
            "39 a huge salt",
            rejected(&challenge(&huge)),
            denied(AuthDenied::BadChallenge),
        ),
        only_client(
            State::Connecting,
            "39 a line break in the salt",
            rejected(&challenge("a\r\nb")),
            denied(AuthDenied::BadChallenge),
        ),
        only_client(
            State::Connecting,
            "39 no such way",
            rejected("[ AccessManager.Reject ] : [ code=403 need auth; authmod=magic ] : "),
            denied(AuthDenied::UnknownMethod),
        ),
        // Connected long ago: an answer to nothing.
        only_client(State::Playing, "39 late", rejected(ask), nothing()),
    ]);
}

#[test]
fn item_39_a_server_that_asks_for_ever_on_new_connections() {
    let ask = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    let info = object(&[("level", text("error")), ("description", text(ask))]);
    let rejected = command(0, "_error", 1.0, &[null(), info]);
    let now = origin();
    let mut wanted = config(State::Playing);
    for connection in 0.. {
        let mut client = ClientSession::past_handshake(wanted.clone(), now, [1; 32], [0; 32]);
        match client.handle_input(now, &rejected) {
            Ok(()) => assert_eq!(connection, 0, "once is enough"),
            Err(error) => {
                assert_eq!(error, SessionError::NotAuthorized(AuthDenied::Loop));
                break;
            }
        }
        wanted = std::iter::from_fn(|| client.poll_event())
            .find_map(|event| match event {
                ClientEvent::Retry(config) => Some(*config),
                _ => None,
            })
            .unwrap();
    }
}

#[test]
fn item_40_reconnect_requests_are_reported_and_not_followed() {
    let mut cases = Vec::new();
    for url in [
        "rtmp://127.0.0.1/x",
        "http://example.com/",
        "../x",
        "\r\n",
        "",
    ] {
        let info = object(&[
            ("code", text("NetConnection.Connect.ReconnectRequest")),
            ("tcUrl", text(url)),
        ]);
        let wanted = format!("ReconnectRequest {{ tc_url: Some({url:?}), description: \"\" }}");
        let bytes = command(0, "onStatus", 0.0, &[null(), info]);
        cases.push(case(
            format!("40 {url:?}"),
            bytes,
            gives(&[&wanted]),
            nothing(),
        ));
    }
    let request = on_status("status", "NetConnection.Connect.ReconnectRequest");
    let wanted = "ReconnectRequest { tc_url: None, description: \"\" }";
    cases.push(case(
        "40 ten times",
        request.repeat(10),
        gives(&[wanted; 10]),
        nothing(),
    ));
    run(cases);
}

#[test]
fn item_41_a_peer_that_never_acknowledges_is_sent_to_all_the_same() {
    let Session::Client(mut client) = Side::client(State::Publishing).session else {
        return;
    };
    // A window of 1000 bytes, asked for and announced.
    let window = message(2, 6, 0, &[0, 0, 3, 232, 0]);
    client.handle_input(origin(), &window).unwrap();
    let tag = Tag::new(TagKind::Video, 0, &[0x17; 50_000]).unwrap();
    for _ in 0..100 {
        client.send_media(&tag);
    }
    assert!(client.poll_transmit().len() > 100 * 50_000);
    assert_eq!(client.stats().out_bytes_acked, 0);
}

#[test]
fn item_42_pings() {
    let ping = user_control(6, &[0, 0, 0, 1]);
    run(vec![
        both(
            "42 many",
            ping.repeat(500),
            gives(&["> PingResponse(1)"; 500]),
        ),
        both(
            "42 pongs to nothing",
            user_control(7, &[9; 4]).repeat(50),
            nothing(),
        ),
    ]);
}

#[test]
fn item_42_floods_that_are_not_read() {
    // What each makes a session say: a pong, an error, an acknowledgement, a window.
    let floods = [
        user_control(6, &[0, 0, 0, 1]),
        command(0, "x", 1.0, &[null()]),
        command(0, "FCUnpublish", 1.0, &[null(), text(&"n".repeat(100))]),
        [1u8, 2]
            .map(|n| message(2, 6, 0, &[0, 0, n, 0, 0]))
            .concat(),
    ];
    for (number, flood) in floods.into_iter().enumerate() {
        for make in [Side::client as fn(State) -> Side, Side::server] {
            let mut session = make(State::Playing).session;
            let piece = flood.repeat(32 * 1024 / flood.len());
            let mut most = 0;
            let result = (0..400).try_for_each(|_| {
                let result = match &mut session {
                    Session::Client(client) => client.handle_input(origin(), &piece),
                    Session::Server(server) => server.handle_input(&piece),
                };
                most = most.max(match &mut session {
                    Session::Client(client) => client.poll_transmit().len(),
                    Session::Server(server) => server.poll_transmit().len(),
                });
                result
            });
            let wanted = SessionError::NotReading;
            assert_eq!(result, Err(wanted), "flood {number}, {most} bytes");
            assert!(
                most < limits::UNREAD_ANSWERS + 512 * 1024,
                "flood {number}: {most} bytes"
            );
        }
    }
}
