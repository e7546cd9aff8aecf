// SPDX-License-Identifier: MPL-2.0

//! A client against a server in memory.

mod torture;

use std::time::{Duration, Instant};

use super::*;
use crate::{
    protocol::{
        flv::{Tag, TagKind},
        rtmp::{
            amf::{Object, Value, amf0},
            auth::{AuthMod, Authenticator},
            chunk::{DecoderLimits, Encoder},
            handshake::Style,
            limits,
            message::{Command, Control, UserControl, type_id},
            transmit::Transmit,
        },
    },
    testing::origin,
};

fn config(role: Role) -> ClientConfig {
    ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://localhost/live".into(),
        stream: "cam?key=1".into(),
        role,
        flash_version: None,
        page_url: None,
        swf_url: None,
        swf: None,
        connect_arguments: Vec::new(),
        capabilities: Capabilities::all(),
        handshake: Style::Digest,
        secure_token: None,
        usher_token: None,
        authenticator: Authenticator::new("", "", AuthMod::Auto, "live"),
        auth_query: None,
        chunk_size: 4096,
        limits: DecoderLimits::default(),
        timeout: Duration::from_secs(5),
    }
}

fn publish() -> Role {
    Role::Publish {
        stop: StopCommands::default(),
    }
}

fn play() -> Role {
    Role::Play {
        range: PlayRange::Auto,
        duration: None,
        buffer: 3000,
        subscribe: None,
        playlist: false,
    }
}

/// Client and server with nothing between them, and all that happened at either.
struct Pair {
    now: Instant,
    client: ClientSession,
    server: ServerSession,
    client_events: Vec<ClientEvent>,
    server_events: Vec<ServerEvent>,
    /// Bytes handed over at a time.
    cut: usize,
}

impl Pair {
    fn new(config: ClientConfig) -> Self {
        let now = origin();
        Self {
            now,
            client: ClientSession::new(config, now, [1; 32]),
            server: ServerSession::new(ServerConfig::default(), now, [2; 32]),
            client_events: Vec::new(),
            server_events: Vec::new(),
            cut: usize::MAX,
        }
    }

    /// Moves bytes until both are silent, granting whatever is asked for.
    fn run(&mut self) -> Result<(), SessionError> {
        loop {
            let up = drain(&mut self.client);
            let down = drain(&mut self.server);
            if up.is_empty() && down.is_empty() {
                return Ok(());
            }
            for piece in up.chunks(self.cut.min(up.len().max(1))) {
                self.server.handle_input(piece)?;
            }
            for piece in down.chunks(self.cut.min(down.len().max(1))) {
                self.client.handle_input(self.now, piece)?;
            }
            while let Some(event) = self.server.poll_event() {
                match &event {
                    ServerEvent::Connect { .. } => self.server.accept_connect(&Capabilities::all()),
                    ServerEvent::Publish { stream_id, .. }
                    | ServerEvent::Play { stream_id, .. } => {
                        self.server.accept(*stream_id);
                    }
                    _ => {}
                }
                self.server_events.push(event);
            }
            self.client_events
                .extend(std::iter::from_fn(|| self.client.poll_event()));
        }
    }

    fn media_at_server(&self) -> Vec<Tag> {
        self.server_events
            .iter()
            .filter_map(|event| match event {
                ServerEvent::Media { tag, .. } => Some(tag.clone()),
                _ => None,
            })
            .collect()
    }
}

trait Sends {
    fn transmit(&mut self) -> &mut Transmit;
}

impl Sends for ClientSession {
    fn transmit(&mut self) -> &mut Transmit {
        self.poll_transmit()
    }
}

impl Sends for ServerSession {
    fn transmit(&mut self) -> &mut Transmit {
        self.poll_transmit()
    }
}

/// Everything that is to be sent.
fn drain(side: &mut impl Sends) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !side.transmit().is_empty() {
        bytes.extend(std::iter::from_fn(|| side.transmit().pop()).flatten());
    }
    bytes
}

fn metadata() -> Tag {
    let mut body = bytes::BytesMut::new();
    amf0::encode(&"onMetaData".into(), &mut body);
    let mut info = Object::default();
    info.push("width", 1280.0);
    amf0::encode(&Value::EcmaArray(info), &mut body);
    Tag::new(TagKind::Data, 0, &body).unwrap()
}

#[test]
fn what_is_published_arrives() {
    for style in [Style::Plain, Style::Digest] {
        for cut in [1, 7, 1000, usize::MAX] {
            let mut pair = Pair::new(ClientConfig {
                handshake: style,
                ..config(publish())
            });
            pair.cut = cut;
            pair.run().unwrap();
            assert_eq!(pair.client.stage(), Stage::Running);
            let sent = [
                metadata(),
                Tag::new(TagKind::Video, 0xff_fffe, &[0x17; 20_000]).unwrap(),
                Tag::new(TagKind::Audio, 0x100_0001, &[]).unwrap(),
                Tag::new(TagKind::Video, 0xffff_fff0, &[0x17, 2, 0, 0, 0]).unwrap(),
                Tag::new(TagKind::Audio, 0x10, &[0xaf, 1, 9]).unwrap(),
            ];
            sent.iter().for_each(|tag| pair.client.send_media(tag));
            pair.client.stop();
            pair.run().unwrap();
            assert_eq!(
                pair.media_at_server(),
                sent,
                "the metadata without @setDataFrame"
            );
            assert!(matches!(
                pair.server_events.last(),
                Some(ServerEvent::Stopped { stream_id: 1 })
            ));
        }
    }
}

#[test]
fn what_is_played_arrives() {
    let mut pair = Pair::new(config(play()));
    pair.run().unwrap();
    assert_eq!(pair.client.stage(), Stage::Running);
    let sent = [
        metadata(),
        Tag::new(TagKind::Video, 5000, &[0x17; 70_000]).unwrap(),
        Tag::new(TagKind::Audio, 5001, &[0xaf, 1, 2]).unwrap(),
    ];
    sent.iter().for_each(|tag| pair.server.send_media(1, tag));
    pair.server.end_play(1);
    pair.run().unwrap();
    let media = pair
        .client_events
        .iter()
        .filter_map(|event| match event {
            ClientEvent::Media(tag) => Some(tag.clone()),
            _ => None,
        })
        .collect::<Vec<_>>();
    // |RtmpSampleAccess and the onStatus of NetStream.Data.Start come first.
    assert_eq!(media[2..], sent);
    assert!(
        pair.client_events
            .iter()
            .any(|e| matches!(e, ClientEvent::End(EndReason::Stopped)))
    );
}

#[test]
fn names_and_connect_arguments_reach_the_server() {
    let mut nested = Object::default();
    nested.push("a", 1.0);
    let mut wanted = config(publish());
    wanted.app = "app?token=x/y".into();
    wanted.page_url = Some("http://page/".into());
    wanted.connect_arguments = vec![true.into(), nested.into()];
    let mut pair = Pair::new(wanted);
    pair.run().unwrap();
    let [
        ServerEvent::Connect { app, object },
        ServerEvent::Publish { name, .. },
        ..,
    ] = pair.server_events.as_slice()
    else {
        panic!("{:?}", pair.server_events)
    };
    assert_eq!(
        (app.as_str(), name.as_str()),
        ("app?token=x/y", "cam?key=1")
    );
    assert_eq!(object.string("pageUrl"), Some("http://page/"));
    assert_eq!(object.string("tcUrl"), Some("rtmp://localhost/live"));
    let Some(Value::StrictArray(codecs)) = object.get("fourCcList") else {
        panic!("{object:?}")
    };
    assert!(codecs.contains(&"hvc1".into()) && codecs.contains(&"Opus".into()));
    let map = object.get("audioFourCcInfoMap").and_then(Value::as_object);
    assert_eq!(map.and_then(|map| map.number("*")), Some(4.0));
    assert_eq!(object.number("capsEx"), Some(14.0));
}

#[test]
fn each_step_has_a_deadline() {
    let mut pair = Pair::new(config(publish()));
    let deadline = pair.client.poll_timeout().unwrap();
    assert_eq!(
        pair.client
            .handle_timeout(deadline - Duration::from_millis(1)),
        Ok(())
    );
    assert_eq!(
        pair.client.handle_timeout(deadline),
        Err(SessionError::Timeout(Stage::Handshake))
    );
    pair.run().unwrap();
    assert_eq!(
        pair.client.poll_timeout(),
        None,
        "a publisher may be silent"
    );
    assert_eq!(pair.server.poll_timeout(), None);
    let idle = ServerSession::new(ServerConfig::default(), pair.now, [0; 32]);
    assert!(idle.poll_timeout().is_some());
}

/// A client past the handshake, and chunks to feed it with.
fn connected(role: Role, stage: Stage) -> (ClientSession, Encoder) {
    let mut pair = Pair::new(config(role));
    // A server that grants nothing, up to the handshake.
    let mut encoder = Encoder::default();
    loop {
        let up = drain(&mut pair.client);
        pair.server.handle_input(&up).unwrap();
        let down = drain(&mut pair.server);
        if down.is_empty() {
            break;
        }
        pair.client.handle_input(pair.now, &down).unwrap();
    }
    let mut client = pair.client;
    let mut info = Object::default();
    info.push("code", "NetConnection.Connect.Success");
    let answers = [
        (
            Stage::Connect,
            Command::new("_result", 1.0, vec![info.into()]),
        ),
        (Stage::CreateStream, create_stream_result(&client)),
        (Stage::Start, on_status("status", "NetStream.Play.Start")),
    ];
    for (at, answer) in answers {
        if client.stage() == stage {
            break;
        }
        assert_eq!(client.stage(), at);
        feed(&mut client, &mut encoder, &answer).unwrap();
    }
    assert_eq!(client.stage(), stage);
    drain(&mut client);
    while client.poll_event().is_some() {}
    (client, encoder)
}

fn create_stream_result(client: &ClientSession) -> Command {
    // connect 1, then createStream as 2 (play) or 4 (behind releaseStream and FCPublish).
    let transaction = if client.is_publisher() { 4.0 } else { 2.0 };
    Command::new("_result", transaction, vec![1.0.into()])
}

fn on_status(level: &str, code: &str) -> Command {
    let mut info = Object::default();
    info.push("level", level);
    info.push("code", code);
    Command::new("onStatus", 0.0, vec![info.into()])
}

fn feed(
    client: &mut ClientSession,
    encoder: &mut Encoder,
    command: &Command,
) -> Result<(), SessionError> {
    message(client, encoder, type_id::COMMAND, 0, &command.to_body())
}

fn message(
    client: &mut ClientSession,
    encoder: &mut Encoder,
    type_id: u8,
    timestamp: u32,
    body: &[u8],
) -> Result<(), SessionError> {
    let mut out = Transmit::default();
    encoder.encode(
        3,
        timestamp,
        type_id,
        0,
        &bytes::Bytes::copy_from_slice(body),
        &mut out,
    );
    let bytes = std::iter::from_fn(|| out.pop())
        .flatten()
        .collect::<Vec<_>>();
    client.handle_input(origin(), &bytes)
}

#[test]
fn refusals_are_named() {
    for (role, stage, code, refusal) in [
        (
            publish(),
            Stage::Start,
            "NetStream.Publish.BadName",
            Refusal::Busy,
        ),
        (
            publish(),
            Stage::Start,
            "NetStream.Publish.Denied",
            Refusal::NotAuthorized,
        ),
        (
            play(),
            Stage::Start,
            "NetStream.Play.Failed",
            Refusal::Other,
        ),
        (
            play(),
            Stage::Connect,
            "NetConnection.Connect.InvalidApp",
            Refusal::Application,
        ),
    ] {
        let (mut client, mut encoder) = connected(role, stage);
        let answer = if stage == Stage::Connect {
            Command {
                name: "_error".into(),
                transaction: 1.0,
                ..on_status("error", code)
            }
        } else {
            on_status("error", code)
        };
        match feed(&mut client, &mut encoder, &answer) {
            Err(SessionError::Refused(status)) => assert_eq!(status.refusal(), refusal, "{code}"),
            other => panic!("{code}: {other:?}"),
        }
    }
}

#[test]
fn a_stream_that_is_not_found_is_asked_for_once_more_as_live() {
    let (mut client, mut encoder) = connected(play(), Stage::Start);
    let not_found = on_status("error", "NetStream.Play.StreamNotFound");
    feed(&mut client, &mut encoder, &not_found).unwrap();
    assert!(!client.poll_transmit().is_empty());
    assert!(matches!(
        feed(&mut client, &mut encoder, &not_found),
        Err(SessionError::Refused(status)) if status.refusal() == Refusal::NotFound
    ));
}

#[test]
fn answers_out_of_place_change_nothing() {
    let (mut client, mut encoder) = connected(play(), Stage::CreateStream);
    for answer in [
        Command::new("_result", 1.0, vec![1.0.into()]),
        Command::new("_result", f64::NAN, vec![]),
        Command::new("_result", f64::INFINITY, vec![]),
        Command::new("_error", -1.0, vec![]),
        Command::new("onStatus", 0.0, vec![]),
        Command::new("onBWDone", 0.0, vec![]),
        on_status("status", "NetStream.Play.Start"),
    ] {
        feed(&mut client, &mut encoder, &answer).unwrap();
        assert_eq!(client.stage(), Stage::CreateStream);
    }
    feed(
        &mut client,
        &mut encoder,
        &Command::new("_result", 2.0, vec![f64::NAN.into()]),
    )
    .unwrap();
    assert_eq!(client.stage(), Stage::Start);
}

#[test]
fn unknown_calls_are_answered() {
    let (mut client, mut encoder) = connected(play(), Stage::Running);
    feed(
        &mut client,
        &mut encoder,
        &Command::new("ping", 0.0, vec![]),
    )
    .unwrap();
    assert!(
        client.poll_transmit().is_empty(),
        "nobody waits for an answer"
    );
    feed(
        &mut client,
        &mut encoder,
        &Command::new("onBWCheck", 9.0, vec![]),
    )
    .unwrap();
    let sent = drain(&mut client);
    assert!(sent.windows(7).any(|w| w == b"_result"));
    feed(
        &mut client,
        &mut encoder,
        &Command::new("whatever", 10.0, vec![]),
    )
    .unwrap();
    let sent = drain(&mut client);
    assert!(sent.windows(6).any(|w| w == b"_error"));
}

#[test]
fn pings_are_answered() {
    let (mut client, mut encoder) = connected(play(), Stage::Running);
    let ping = UserControl::PingRequest(0x1234_5678).to_body();
    message(&mut client, &mut encoder, type_id::USER_CONTROL, 0, &ping).unwrap();
    let sent = drain(&mut client);
    assert_eq!(sent[sent.len() - 6..], [0, 7, 0x12, 0x34, 0x56, 0x78]);
}

#[test]
fn swf_verification_is_answered_by_the_methods_that_are_known() {
    let film = crate::protocol::rtmp::swf::hash_swf(b"FWS\x08\x00\x00\x00\x00film").unwrap();
    for method in 0..=u8::MAX {
        for swf in [None, Some(film)] {
            let mut pair = Pair::new(ClientConfig {
                swf,
                ..config(play())
            });
            pair.run().unwrap();
            let mut encoder = Encoder::default();
            let question = UserControl::SwfVerifyRequest(method).to_body();
            let kind = type_id::USER_CONTROL;
            message(&mut pair.client, &mut encoder, kind, 0, &question).unwrap();
            let said = drain(&mut pair.client);
            // Event 27 and 42 bytes (librtmp's `RTMP_SWF_HASHLEN` and what surrounds it).
            let answered = said.windows(2).any(|w| w == [0, 27]) && said.len() > 44;
            assert_eq!(answered, method < 2 && swf.is_some(), "{method}");
            assert_eq!(said.is_empty(), !answered, "{method}");
        }
    }
}

#[test]
fn a_peer_that_asks_and_does_not_read_is_left() {
    let ping = UserControl::PingRequest(7).to_body();
    let enough = limits::UNREAD_ANSWERS / ping.len();
    for reads in [true, false] {
        let (mut client, mut encoder) = connected(play(), Stage::Running);
        let outcome = (0..enough).try_for_each(|_| {
            if reads {
                drain(&mut client);
            }
            message(&mut client, &mut encoder, type_id::USER_CONTROL, 0, &ping)
        });
        let wanted = if reads {
            Ok(())
        } else {
            Err(SessionError::NotReading)
        };
        assert_eq!(outcome, wanted);
        assert!(client.poll_transmit().len() < limits::UNREAD_ANSWERS + 100);
    }
}

#[test]
fn bytes_are_acknowledged() {
    let (mut client, mut encoder) = connected(play(), Stage::Running);
    let (_, window) = Control::WindowAckSize(20_000).to_message();
    message(
        &mut client,
        &mut encoder,
        type_id::WINDOW_ACK_SIZE,
        0,
        &window,
    )
    .unwrap();
    message(
        &mut client,
        &mut encoder,
        type_id::VIDEO,
        0,
        &[0x27; 12_000],
    )
    .unwrap();
    let before = client.stats();
    assert_eq!(before.in_bytes_acked, before.in_bytes_total);
    assert!(!drain(&mut client).is_empty());
}

#[test]
fn media_before_the_status_starts_the_stream_on_any_message_stream() {
    let (mut client, mut encoder) = connected(play(), Stage::Start);
    message(&mut client, &mut encoder, type_id::AUDIO, 7, &[]).unwrap();
    assert_eq!(client.stage(), Stage::Running);
    assert!(matches!(
        client.poll_event(),
        Some(ClientEvent::Stage(Stage::Running))
    ));
    assert!(matches!(client.poll_event(), Some(ClientEvent::Media(tag)) if tag.timestamp() == 7));
}

#[test]
fn a_seek_drops_what_was_under_way() {
    let (mut client, mut encoder) = connected(play(), Stage::Running);
    client.seek(origin(), 60_000);
    assert!(client.poll_timeout().is_some());
    message(&mut client, &mut encoder, type_id::AUDIO, 1, &[1]).unwrap();
    let eof = UserControl::StreamEof(1).to_body();
    message(&mut client, &mut encoder, type_id::USER_CONTROL, 0, &eof).unwrap();
    assert!(client.poll_event().is_none());
    feed(
        &mut client,
        &mut encoder,
        &on_status("status", "NetStream.Seek.Notify"),
    )
    .unwrap();
    message(&mut client, &mut encoder, type_id::AUDIO, 60_000, &[1]).unwrap();
    assert!(matches!(client.poll_event(), Some(ClientEvent::SeekDone)));
    assert!(
        matches!(client.poll_event(), Some(ClientEvent::Media(tag)) if tag.timestamp() == 60_000)
    );
    assert!(client.poll_timeout().is_none());
}

#[test]
fn amf3_data_becomes_amf0() {
    let (mut client, mut encoder) = connected(play(), Stage::Running);
    let body = [&[0], metadata().body()].concat();
    message(&mut client, &mut encoder, type_id::DATA_AMF3, 0, &body).unwrap();
    assert!(matches!(client.poll_event(), Some(ClientEvent::Media(tag)) if tag == metadata()));
}

#[test]
fn the_server_keeps_order() {
    let commands = |commands: &[(u32, Command)]| {
        let now = origin();
        let mut client = ClientSession::new(config(publish()), now, [3; 32]);
        let mut server = ServerSession::new(ServerConfig::default(), now, [4; 32]);
        // The handshake only: the client's connect command stays behind.
        let mut c0c1 = drain(&mut client);
        server.handle_input(&c0c1).unwrap();
        drain(&mut server);
        c0c1.drain(..1);
        server.handle_input(&c0c1).unwrap();
        let mut encoder = Encoder::default();
        let mut result = Ok(());
        for (stream_id, command) in commands {
            let mut out = Transmit::default();
            encoder.encode(
                3,
                0,
                type_id::COMMAND,
                *stream_id,
                &command.to_body(),
                &mut out,
            );
            let bytes = std::iter::from_fn(|| out.pop())
                .flatten()
                .collect::<Vec<_>>();
            result = result.and_then(|()| server.handle_input(&bytes));
            while let Some(event) = server.poll_event() {
                match event {
                    ServerEvent::Connect { .. } => server.accept_connect(&Capabilities::all()),
                    ServerEvent::Publish { stream_id, .. } => server.accept(stream_id),
                    _ => {}
                }
            }
        }
        result
    };
    let mut object = Object::default();
    object.push("app", "live");
    let connect = (
        0,
        Command {
            object: object.into(),
            ..Command::new("connect", 1.0, Vec::new())
        },
    );
    let create = (0, Command::new("createStream", 2.0, Vec::new()));
    let publish = |id| (id, Command::new("publish", 3.0, vec!["x".into()]));
    let many = [vec![connect.clone()], vec![create.clone(); 65]].concat();
    let long = (1, Command::new("play", 3.0, vec!["x".repeat(9000).into()]));
    for (what, list, wanted) in [
        (
            "a publication",
            vec![connect.clone(), create.clone(), publish(1)],
            Ok(()),
        ),
        (
            "nothing first",
            vec![create.clone()],
            Err(SessionError::OutOfOrder("before connect")),
        ),
        (
            "connect twice",
            vec![connect.clone(), connect.clone()],
            Err(SessionError::OutOfOrder("connect")),
        ),
        (
            "no such stream",
            vec![connect.clone(), publish(1)],
            Err(SessionError::OutOfOrder("publish")),
        ),
        (
            "publish twice",
            vec![connect.clone(), create.clone(), publish(1), publish(1)],
            Err(SessionError::OutOfOrder("publish")),
        ),
        (
            "streams without end",
            many,
            Err(SessionError::TooMuch("message streams")),
        ),
        (
            "a long name",
            vec![connect.clone(), create.clone(), long],
            Err(SessionError::TooMuch("name length")),
        ),
        (
            "streams of others",
            vec![
                connect,
                (0, Command::new("deleteStream", 0.0, vec![f64::NAN.into()])),
            ],
            Ok(()),
        ),
    ] {
        assert_eq!(commands(&list), wanted, "{what}");
    }
}

#[test]
fn what_is_stopped_early_stays_stopped() {
    for stage in [Stage::Connect, Stage::CreateStream] {
        let (mut client, mut encoder) = connected(publish(), stage);
        client.stop();
        assert_eq!(client.poll_timeout(), None, "nothing is awaited any more");
        for transaction in [1.0, 2.0, 3.0, 4.0] {
            let answer = Command::new("_result", transaction, vec![1.0.into()]);
            feed(&mut client, &mut encoder, &answer).unwrap();
        }
        assert_eq!(client.stage(), Stage::Stopped);
        assert!(client.poll_event().is_none());
        assert!(client.poll_transmit().is_empty());
    }
}

#[test]
fn credentials_are_asked_for_once_a_connection() {
    let mut config = config(publish());
    config.authenticator = Authenticator::new("user", "secret", AuthMod::Auto, "live");
    let mut pair = Pair::new(config);
    // Far enough for a connect command, which is not answered.
    for _ in 0..2 {
        pair.server.handle_input(&drain(&mut pair.client)).unwrap();
        let down = drain(&mut pair.server);
        pair.client.handle_input(pair.now, &down).unwrap();
    }
    let mut rejected = on_status("error", "NetConnection.Connect.Rejected");
    if let Some(Value::Object(info)) = rejected.arguments.first_mut() {
        let text = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
        info.push("description", text);
    }
    let mut encoder = Encoder::default();
    for _ in 0..100 {
        feed(&mut pair.client, &mut encoder, &rejected).unwrap();
    }
    let events = std::iter::from_fn(|| pair.client.poll_event());
    let retries = events.filter(|event| matches!(event, ClientEvent::Retry(_)));
    assert_eq!(retries.count(), 1);
}

#[test]
fn a_seek_that_nobody_asked_for_cannot_fail() {
    let (mut client, mut encoder) = connected(play(), Stage::Start);
    let deadline = client.poll_timeout();
    assert!(deadline.is_some());
    for code in ["NetStream.Seek.Failed", "NetStream.Seek.InvalidTime"] {
        feed(&mut client, &mut encoder, &on_status("error", code)).unwrap();
        assert!(
            matches!(client.poll_event(), Some(ClientEvent::Status(status)) if status.code == code)
        );
    }
    assert_eq!(
        client.poll_timeout(),
        deadline,
        "the start is still awaited"
    );
}

#[test]
fn what_is_not_played_cannot_be_sought_or_paused() {
    for (role, stage) in [(play(), Stage::Start), (publish(), Stage::Running)] {
        let (mut client, mut encoder) = connected(role, stage);
        let deadline = client.poll_timeout();
        client.seek(origin() + Duration::from_secs(60), 1000);
        client.pause(true, 1000);
        let empty = UserControl::BufferEmpty(1).to_body();
        message(&mut client, &mut encoder, type_id::USER_CONTROL, 0, &empty).unwrap();
        assert!(client.poll_transmit().is_empty());
        assert_eq!(client.poll_timeout(), deadline);
    }
}

#[test]
fn an_answer_holds_for_the_question_that_was_seen() {
    let mut pair = Pair::new(config(publish()));
    pair.run().unwrap();
    pair.server_events.clear();
    let mut encoder = Encoder::default();
    encoder.set_chunk_size(4096);
    let mut say = |type_id, body: &[u8]| {
        let mut out = Transmit::default();
        let body = bytes::Bytes::copy_from_slice(body);
        encoder.encode(9, 0, type_id, 1, &body, &mut out);
        pair.server.handle_input(
            &std::iter::from_fn(|| out.pop())
                .collect::<Vec<_>>()
                .concat(),
        )
    };
    // All of it before the application looks.
    let close = Command::new("closeStream", 0.0, vec![]).to_body();
    let publish = |name: &str| Command::new("publish", 3.0, vec![name.into()]).to_body();
    say(type_id::COMMAND, &close).unwrap();
    say(type_id::COMMAND, &publish("mine")).unwrap();
    say(type_id::COMMAND, &close).unwrap();
    say(type_id::COMMAND, &publish("somebody else's")).unwrap();
    say(type_id::AUDIO, &[1]).unwrap();
    while let Some(event) = pair.server.poll_event() {
        match &event {
            ServerEvent::Publish { name, .. } if name == "mine" => pair.server.accept(1),
            ServerEvent::Publish { .. } => pair.server.reject(1, "NetStream.Publish.Denied", "no"),
            _ => {}
        }
        pair.server_events.push(event);
    }
    let mut out = Transmit::default();
    encoder.encode(
        9,
        0,
        type_id::AUDIO,
        1,
        &bytes::Bytes::from_static(&[2]),
        &mut out,
    );
    let audio = std::iter::from_fn(|| out.pop())
        .collect::<Vec<_>>()
        .concat();
    pair.server.handle_input(&audio).unwrap();
    assert!(pair.server.poll_event().is_none(), "it was refused");
    assert_eq!(pair.server_events.len(), 4);
}

#[test]
fn message_streams_end_in_their_order() {
    let mut server = ServerSession::past_handshake(ServerConfig::default(), origin());
    let mut encoder = Encoder::default();
    let streams = 1..=8;
    let create = Command::new("createStream", 2.0, Vec::new());
    let publish = Command::new("publish", 3.0, vec!["x".into()]);
    let commands = [(0, Command::new("connect", 1.0, Vec::new()))]
        .into_iter()
        .chain(streams.clone().map(|_| (0, create.clone())))
        .chain(streams.clone().map(|id| (id, publish.clone())))
        .chain([(0, Command::new("deleteStream", 4.0, Vec::new()))]);
    let mut stopped = Vec::new();
    for (id, command) in commands {
        let mut out = Transmit::default();
        encoder.encode(3, 0, type_id::COMMAND, id, &command.to_body(), &mut out);
        server
            .handle_input(
                &std::iter::from_fn(|| out.pop())
                    .collect::<Vec<_>>()
                    .concat(),
            )
            .unwrap();
        while let Some(event) = server.poll_event() {
            match event {
                ServerEvent::Connect { .. } => server.accept_connect(&Capabilities::all()),
                ServerEvent::Publish { stream_id, .. } => server.accept(stream_id),
                ServerEvent::Stopped { stream_id } => stopped.push(stream_id),
                _ => {}
            }
        }
    }
    assert!(stopped.into_iter().eq(streams));
}
