// SPDX-License-Identifier: MPL-2.0

//! What real peers do that the specification does not foresee. It is understood, cut anywhere.

use super::{wire::*, *};

fn null() -> Vec<u8> {
    NULL.to_vec()
}

/// `onMetaData` with one number, as AMF0 values.
fn metadata() -> Vec<u8> {
    [text("onMetaData"), object(&[("w", number(1.0))])].concat()
}

fn metadata_event() -> String {
    format!("Data 0 {} bytes", metadata().len())
}

#[test]
fn a_client_that_waits_for_no_answer_loses_nothing() {
    // Encoders that send all of this in one go, or so fast that it comes in one read.
    let bytes = [
        command(0, "connect", 1.0, &[object(&[("app", text("live"))])]),
        command(0, "createStream", 2.0, &[null()]),
        command(1, "publish", 3.0, &[null(), text("s"), text("live")]),
        message(4, 18, 1, &[text("@setDataFrame"), metadata()].concat()),
        message(6, 9, 1, &[0x17, 0, 0, 0, 0]),
        message(5, 8, 1, &[0xaf, 0]),
    ]
    .concat();
    let server = [
        "connect live".to_owned(),
        "Publish { stream_id: 1, name: \"s\" }".into(),
        metadata_event(),
        "Video 0 [17, 00, 00, 00, 00]".into(),
        "Audio 0 [af, 00]".into(),
        "> WindowAckSize(2500000)".into(),
        "> SetPeerBandwidth { window: 2500000, limit: Dynamic }".into(),
        "> SetChunkSize(65536)".into(),
        "> _result 1 NetConnection.Connect.Success".into(),
        "> _result 2".into(),
        "> onFCPublish 0 NetStream.Publish.Start".into(),
        "> onStatus 0 NetStream.Publish.Start".into(),
    ];
    for pieces in cuts(bytes.len()) {
        let mut side = Side::server(State::Connecting);
        side.feed(&bytes, &pieces).unwrap();
        assert_eq!(side.take_log(), server, "cut at {pieces:?}");
        side.prove_life(State::Publishing, "early media");
    }
}

#[test]
fn what_waits_for_the_application_is_bounded() {
    let now = origin();
    let mut server = ServerSession::past_handshake(ServerConfig::default(), now);
    let connect = command(0, "connect", 1.0, &[object(&[("app", text("live"))])]);
    server.handle_input(&connect).unwrap();
    let more = vec![0; 64 * 1024];
    let result = (0..1000).try_for_each(|_| server.handle_input(&more));
    assert_eq!(
        result,
        Err(SessionError::TooMuch("data before it may send any"))
    );
    assert!(server.held() < 4 * crate::protocol::rtmp::limits::UNDECIDED);
}

#[test]
fn what_was_wrong_behind_a_question_is_told_after_the_answer() {
    let connect = command(0, "connect", 1.0, &[object(&[("app", text("live"))])]);
    let bytes = [connect.clone(), connect].concat();
    let now = origin();
    let error = Err(SessionError::OutOfOrder("connect"));
    for told_by_input in [true, false] {
        let mut server = ServerSession::past_handshake(ServerConfig::default(), now);
        server.handle_input(&bytes).unwrap();
        assert!(server.poll_event().is_some());
        assert!(server.poll_event().is_none(), "nobody has answered");
        server.accept_connect(&Capabilities::all());
        assert!(server.poll_event().is_none());
        let told = match told_by_input {
            true => server.handle_input(&[]),
            false => server.handle_timeout(now),
        };
        assert_eq!(told, error);
    }
}

#[test]
fn metadata_in_every_wrapping() {
    let marked = [text("@setDataFrame"), metadata()].concat();
    let mut cases = Vec::new();
    for (what, type_id, body) in [
        ("bare", 18, metadata()),
        ("marked", 18, marked.clone()),
        ("type 15", 15, [vec![0], metadata()].concat()),
        ("type 15, marked", 15, [vec![0], marked.clone()].concat()),
        ("type 15 without format", 15, marked.clone()),
    ] {
        let bytes = message(4, type_id, 1, &body);
        cases.push(both(what, bytes, Ok(vec![metadata_event()])));
        let len = body.len() as u32;
        let bytes = message(6, 22, 1, &sub_message(type_id, len, 3, &body, len + 11));
        let name = format!("{what}, in an aggregate");
        cases.push(both(name, bytes, Ok(vec![metadata_event()])));
    }
    cases.push(both(
        "an object of AMF3",
        message(
            4,
            18,
            1,
            &[&text("@setDataFrame")[..], &[2, 0, 1, b'x', 0x11, 1]].concat(),
        ),
        gives(&["Data 0 [02, 00, 01, 78, 11, 01]"]),
    ));
    cases.push(both(
        "a null for a name",
        message(4, 18, 1, &[&text("@setDataFrame")[..], NULL].concat()),
        gives(&["Data 0 [05]"]),
    ));
    run(cases);
}

#[test]
fn media_on_a_message_stream_that_was_never_created() {
    let audio = |stream_id| message(5, 8, stream_id, &[0xaf, 1]);
    let event = gives(&["Audio 0 [af, 01]"]);
    let create = command(0, "createStream", 0.0, &[null()]);
    run(vec![
        both("stream 0", audio(0), event.clone()),
        both("stream 77", audio(77), event.clone()),
        // The client takes any; a server knows that this one is idle.
        case(
            "an idle stream",
            [create, audio(2)].concat(),
            event.clone(),
            nothing(),
        ),
        Case {
            server: (State::Playing, nothing()),
            ..both("nothing published", audio(0), event)
        },
    ]);
}

#[test]
fn media_of_nowhere_is_of_no_one_among_two() {
    let bytes = [
        command(0, "createStream", 0.0, &[null()]),
        command(2, "publish", 0.0, &[null(), text("t")]),
    ];
    let mut side = Side::server(State::Publishing);
    side.feed(&bytes.concat(), &[]).unwrap();
    side.take_log();
    side.feed(&message(5, 8, 0, &[0xaf, 1]), &[]).unwrap();
    assert_eq!(side.take_log(), Vec::<String>::new());
    side.prove_life(State::Publishing, "two streams");
}

/// A client that asked to publish or to play and awaits the answer.
fn asked(state: State, created: &[Vec<u8>]) -> Side {
    let now = origin();
    let session = ClientSession::past_handshake(config(state), now, [1; 32], [0; 32]);
    let transaction = if state == State::Publishing { 4.0 } else { 2.0 };
    let setup = [
        command(0, "_result", 1.0, &[]),
        command(0, "_result", transaction, created),
    ];
    let side = Side::new(Session::Client(Box::new(session)), now, &setup.concat());
    if let Session::Client(client) = &side.session {
        assert_eq!(client.stage(), Stage::Start);
    }
    side
}

#[test]
fn the_id_of_a_message_stream_where_the_null_is_missing() {
    for values in [vec![null(), number(5.0)], vec![number(5.0)]] {
        let mut side = asked(State::Publishing, &values);
        let started = on_status("status", "NetStream.Publish.Start");
        side.feed(&started, &[]).unwrap();
        let Session::Client(client) = &mut side.session else {
            return;
        };
        client.stop();
        let out = client.poll_transmit();
        let sent = std::iter::from_fn(|| out.pop())
            .collect::<Vec<_>>()
            .concat();
        assert!(
            sent.ends_with(&number(5.0)),
            "deleteStream names the stream: {sent:02x?}"
        );
    }
}

#[test]
fn a_publication_refused_by_error() {
    // publish is the fifth request of a publisher.
    let info = object(&[("code", text("NetStream.Publish.BadName"))]);
    let refused = command(1, "_error", 5.0, &[null(), info]);
    let mut side = asked(State::Publishing, &[null(), number(1.0)]);
    match side.feed(&refused, &[]) {
        Err(SessionError::Refused(status)) => assert_eq!(status.refusal(), Refusal::Busy),
        other => panic!("{other:?}"),
    }
    // A yes by result is none yet: the status follows.
    let mut side = asked(State::Publishing, &[null(), number(1.0)]);
    side.feed(&command(1, "_result", 5.0, &[]), &[]).unwrap();
    assert_eq!(side.take_log(), Vec::<String>::new());
}

#[test]
fn a_live_stream_begins_with_the_notice_of_its_publisher() {
    let mut side = asked(State::Playing, &[null(), number(1.0)]);
    side.feed(&on_status("status", "NetStream.Play.PublishNotify"), &[])
        .unwrap();
    assert_eq!(side.take_log(), ["Stage(Running)"]);
}

#[test]
fn a_courtesy_that_is_unknown_to_the_server_ends_nothing() {
    let failed = on_status("error", "NetConnection.Call.Failed");
    let mut side = asked(State::Publishing, &[null(), number(1.0)]);
    side.feed(&failed, &[]).unwrap();
    assert_eq!(side.take_log(), ["status NetConnection.Call.Failed"]);
}

#[test]
fn a_pause_is_no_end() {
    // Flash Media Server says Stream EOF when it pauses and Stream Begin when it goes on.
    let eof = || user_control(1, &[0, 0, 0, 1]);
    let begin = user_control(0, &[0, 0, 0, 1]);
    let resumed = on_status("status", "NetStream.Unpause.Notify");
    let end = ["End(Stopped)"];
    let play = || {
        let mut side = Side::client(State::Playing);
        if let Session::Client(client) = &mut side.session {
            client.pause(true, 0);
            client.pause(false, 0);
        }
        side.read();
        side.take_log();
        side
    };
    let mut side = play();
    side.feed(&[eof(), begin.clone()].concat(), &[]).unwrap();
    assert_eq!(side.take_log(), Vec::<String>::new());
    side.feed(&eof(), &[]).unwrap();
    assert_eq!(side.take_log(), end, "the end itself");
    // Servers that go on without having said EOF: the next one is the end.
    for resumed in [begin, resumed] {
        let mut side = play();
        side.feed(&resumed, &[]).unwrap();
        side.take_log();
        side.feed(&eof(), &[]).unwrap();
        assert_eq!(side.take_log(), end);
    }
}

#[test]
fn both_ends_of_a_publication() {
    // Hardware encoders close where others delete; rtmp2sink deletes by name; Flash deletes twice.
    let delete = |value: Vec<u8>| command(0, "deleteStream", 0.0, &[null(), value]);
    let stopped = "Stopped { stream_id: 1 }";
    let status = "> onStatus 0 NetStream.Unpublish.Success";
    for (what, bytes, wanted) in [
        (
            "closeStream",
            command(1, "closeStream", 0.0, &[null()]),
            &[stopped, status][..],
        ),
        ("deleteStream", delete(number(1.0)), &[stopped, status]),
        ("by name", delete(text("s")), &[stopped, status]),
        (
            "without",
            command(0, "deleteStream", 0.0, &[null()]),
            &[stopped, status],
        ),
        (
            "without null",
            command(0, "deleteStream", 0.0, &[number(1.0)]),
            &[stopped, status],
        ),
        ("twice", delete(number(1.0)).repeat(2), &[stopped, status]),
        (
            "in full",
            [
                command(0, "FCUnpublish", 6.0, &[null(), text("s")]),
                command(1, "closeStream", 0.0, &[null()]),
                delete(number(1.0)),
            ]
            .concat(),
            &[
                stopped,
                "> onFCUnpublish 0 NetStream.Unpublish.Success",
                "> _result 6",
                status,
            ],
        ),
    ] {
        for pieces in cuts(bytes.len()) {
            let mut side = Side::server(State::Publishing);
            side.feed(&bytes, &pieces).unwrap();
            assert_eq!(side.take_log(), wanted, "{what}, cut at {pieces:?}");
        }
    }
}
