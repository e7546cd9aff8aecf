// SPDX-License-Identifier: MPL-2.0

//! Bad input, sent to a client and to a server that are in the middle of a stream.
//!
//! A [`Case`] says what each of them makes of some bytes. It is run with the bytes whole, cut in two
//! at every place and byte by byte (long ones at fewer places, see [`cuts`]), and must come to the
//! same each time: the same events and answers, the same error. What is no error must leave a session
//! that still answers a ping and still takes the stream. Memory and output are bounded by what came.
//!
//! What the decoder, the AMF reader and the session's dialogues prove for themselves is not repeated.

mod chunks;
mod commands;
mod dialogue;
mod habits;
mod messages;
mod wire;

use std::time::{Duration, Instant};

use super::super::*;
use crate::protocol::rtmp::{
    auth::{AuthMod, Authenticator},
    chunk::{Decoder, DecoderLimits},
    handshake::Style,
    message::{Command, Control, UserControl, type_id},
    transmit::Transmit,
};
use crate::testing::origin;
use wire::{NULL, command, message, number, object, text};

/// What some bytes come to: events and answers in words, or an error.
type Outcome = Result<Vec<String>, SessionError>;

/// Where a session is when the bytes come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// The client has asked to connect; the server has heard nothing yet.
    Connecting,
    /// The client plays; the server has a player.
    Playing,
    /// The client publishes; the server has a publisher.
    Publishing,
}

struct Case {
    /// Starts with the number in the checklist.
    name: String,
    bytes: Vec<u8>,
    client: (State, Outcome),
    server: (State, Outcome),
}

/// A case for two sessions that take media.
fn case(name: impl Into<String>, bytes: Vec<u8>, client: Outcome, server: Outcome) -> Case {
    Case {
        name: name.into(),
        bytes,
        client: (State::Playing, client),
        server: (State::Publishing, server),
    }
}

/// A case in which both do the same.
fn both(name: impl Into<String>, bytes: Vec<u8>, outcome: Outcome) -> Case {
    case(name, bytes, outcome.clone(), outcome)
}

fn nothing() -> Outcome {
    Ok(Vec::new())
}

fn gives(what: &[&str]) -> Outcome {
    Ok(what.iter().map(|what| (*what).to_owned()).collect())
}

fn fails(error: impl Into<SessionError>) -> Outcome {
    Err(error.into())
}

fn run(cases: Vec<Case>) {
    for case in cases {
        for (side, (state, wanted)) in [
            (Side::client as fn(State) -> Side, &case.client),
            (Side::server, &case.server),
        ] {
            let mut first = None;
            for pieces in cuts(case.bytes.len()) {
                let mut side = side(*state);
                let what = || format!("{} ({state:?}, cut at {pieces:?})", case.name);
                let result = side.feed(&case.bytes, &pieces);
                let log = side.take_log();
                match (&result, wanted) {
                    (Ok(()), Ok(wanted)) => {
                        assert_eq!(&log, wanted, "{}", what());
                        side.prove_life(*state, &what());
                    }
                    (result, wanted) => {
                        let wanted = wanted.as_ref().map(|_| ());
                        assert_eq!(result.as_ref().map(|_| ()), wanted, "{}", what());
                    }
                }
                let first = first.get_or_insert((log.clone(), result.clone()));
                assert_eq!(*first, (log, result), "{} differs from whole", what());
                let len = case.bytes.len();
                assert!(
                    side.most_held < 4 * len + 48 * 1024,
                    "{}: {}",
                    what(),
                    side.most_held
                );
                assert!(side.sent < 32 * len + 1024, "{}: {}", what(), side.sent);
            }
        }
    }
}

/// Where to cut `len` bytes: nowhere, once at every place, everywhere. What is longer than 1 KiB is
/// cut at its ends and here and there, and into pieces of 61 bytes: a full run would be quadratic.
fn cuts(len: usize) -> Vec<Vec<usize>> {
    let mut cuts = vec![Vec::new()];
    if len <= 1024 {
        cuts.extend((1..len).map(|at| vec![at]));
        cuts.push((1..len).collect());
    } else {
        cuts.extend((1..20).chain(len - 20..len).map(|at| vec![at]));
        cuts.extend((1..len).step_by(len / 10).map(|at| vec![at]));
        cuts.push((1..len).step_by(61).collect());
    }
    cuts
}

/// One session and a reader of what it sends.
struct Side {
    session: Session,
    now: Instant,
    reader: Decoder,
    /// Events and answers since [`take_log`](Self::take_log). How they mix depends on the cuts.
    events: Vec<String>,
    answers: Vec<String>,
    sent: usize,
    most_held: usize,
}

enum Session {
    Client(Box<ClientSession>),
    Server(Box<ServerSession>),
}

impl Side {
    fn new(session: Session, now: Instant, setup: &[u8]) -> Self {
        let mut side = Self {
            session,
            now,
            reader: Decoder::new(DecoderLimits::default()),
            events: Vec::new(),
            answers: Vec::new(),
            sent: 0,
            most_held: 0,
        };
        side.feed(setup, &[]).unwrap();
        side.take_log();
        side.sent = 0;
        side
    }

    fn client(state: State) -> Self {
        let now = origin();
        let session = ClientSession::past_handshake(config(state), now, [1; 32], [0; 32]);
        let connected = object(&[("code", text("NetConnection.Connect.Success"))]);
        let started = object(&[("code", text("NetStream.Play.Start"))]);
        let created = if state == State::Publishing { 4.0 } else { 2.0 };
        let setup = [
            command(0, "_result", 1.0, &[NULL.to_vec(), connected]),
            command(0, "_result", created, &[NULL.to_vec(), number(1.0)]),
            command(1, "onStatus", 0.0, &[NULL.to_vec(), started]),
        ];
        let steps = if state == State::Connecting { 0 } else { 3 };
        let side = Self::new(
            Session::Client(Box::new(session)),
            now,
            &setup.get(..steps).unwrap_or_default().concat(),
        );
        if let (Session::Client(client), 3) = (&side.session, steps) {
            assert_eq!(client.stage(), Stage::Running);
        }
        side
    }

    fn server(state: State) -> Self {
        let now = origin();
        let session = ServerSession::past_handshake(ServerConfig::default(), now);
        let app = object(&[("app", text("live"))]);
        let verb = if state == State::Playing {
            "play"
        } else {
            "publish"
        };
        let setup = [
            command(0, "connect", 1.0, &[app]),
            command(0, "createStream", 2.0, &[NULL.to_vec()]),
            command(1, verb, 3.0, &[NULL.to_vec(), text("s")]),
        ];
        let steps = if state == State::Connecting { 0 } else { 3 };
        Self::new(
            Session::Server(Box::new(session)),
            now,
            &setup.get(..steps).unwrap_or_default().concat(),
        )
    }

    /// Feeds `bytes` cut at `cuts`, granting what is asked for and reading what is sent.
    fn feed(&mut self, bytes: &[u8], cuts: &[usize]) -> Result<(), SessionError> {
        let ends = cuts.iter().copied().chain([bytes.len()]);
        let mut start = 0;
        for end in ends {
            let piece = &bytes[start..end];
            start = end;
            let now = self.now;
            let result = match &mut self.session {
                Session::Client(client) => client.handle_input(now, piece),
                Session::Server(server) => server.handle_input(piece),
            };
            let result = result.and(self.look());
            self.most_held = self.most_held.max(match &self.session {
                Session::Client(client) => client.held(),
                Session::Server(server) => server.held(),
            });
            self.read();
            result?;
        }
        Ok(())
    }

    /// Events, then answers.
    fn take_log(&mut self) -> Vec<String> {
        let mut log = std::mem::take(&mut self.events);
        log.append(&mut self.answers);
        log
    }

    /// Takes the events.
    fn look(&mut self) -> Result<(), SessionError> {
        match &mut self.session {
            Session::Client(client) => {
                while let Some(event) = client.poll_event() {
                    self.events.push(client_event(&event));
                }
                client.handle_timeout(self.now)
            }
            Session::Server(server) => {
                while let Some(event) = server.poll_event() {
                    self.events.push(server_event(&event));
                    match event {
                        ServerEvent::Connect { .. } => server.accept_connect(&Capabilities::all()),
                        ServerEvent::Publish { stream_id, .. }
                        | ServerEvent::Play { stream_id, .. } => server.accept(stream_id),
                        _ => {}
                    }
                }
                server.handle_timeout(self.now)
            }
        }
    }

    /// Takes what is sent, which must be sound chunks. Acknowledgements depend on how the input is
    /// cut and are passed over.
    fn read(&mut self) {
        let out: &mut Transmit = match &mut self.session {
            Session::Client(client) => client.poll_transmit(),
            Session::Server(server) => server.poll_transmit(),
        };
        let bytes = std::iter::from_fn(|| out.pop())
            .collect::<Vec<_>>()
            .concat();
        self.sent += bytes.len();
        let mut input = bytes.as_slice();
        while let Some(message) = self.reader.decode(&mut input).unwrap() {
            match Control::parse(message.type_id, message.payload()) {
                Some(Ok(Control::Acknowledgement(_))) => {}
                Some(Ok(control)) => {
                    if let Control::SetChunkSize(size) = control {
                        self.reader.set_chunk_size(size).unwrap();
                    }
                    self.answers.push(format!("> {control:?}"));
                }
                Some(Err(error)) => panic!("{error}"),
                None if message.type_id == type_id::USER_CONTROL => {
                    let event = UserControl::parse(message.payload()).unwrap();
                    self.answers.push(format!("> {event:?}"));
                }
                None if message.type_id == type_id::COMMAND => {
                    let command = Command::parse(message.type_id, message.payload()).unwrap();
                    let info = command.information().map(Status::from_object);
                    let code = info.map(|info| info.code).unwrap_or_default();
                    let line = format!("> {} {} {code}", command.name, command.transaction);
                    self.answers.push(line.trim_end().to_owned());
                }
                None => self.answers.push(format!("> type {}", message.type_id)),
            }
        }
    }

    /// A ping is answered and the stream goes on.
    fn prove_life(&mut self, state: State, what: &str) {
        let ping = message(2, 4, 0, &[0, 6, 0x5e, 0xed, 0x5e, 0xed]);
        self.feed(&ping, &[]).unwrap();
        assert_eq!(
            self.take_log(),
            ["> PingResponse(1592614637)"],
            "{what}: no pong"
        );
        let takes_media = match self.session {
            Session::Client(_) => state == State::Playing,
            Session::Server(_) => state == State::Publishing,
        };
        if takes_media {
            let audio = wire::chunk(63, 4242, 3, 8, 1, &[0xaf, 1, 2]);
            self.feed(&audio, &[]).unwrap();
            assert_eq!(
                self.take_log(),
                ["Audio 4242 [af, 01, 02]"],
                "{what}: no media"
            );
        }
    }
}

fn client_event(event: &ClientEvent) -> String {
    match event {
        ClientEvent::Media(tag) => media(tag),
        ClientEvent::Status(status) => format!("status {}", status.code),
        ClientEvent::Closed(status) => format!("closed {}", status.code),
        ClientEvent::Retry(config) => {
            format!("retry {}", config.auth_query.as_deref().unwrap_or_default())
        }
        other => format!("{other:?}"),
    }
}

fn server_event(event: &ServerEvent) -> String {
    match event {
        ServerEvent::Media { stream_id: 1, tag } => media(tag),
        ServerEvent::Connect { app, .. } => format!("connect {app}"),
        other => format!("{other:?}"),
    }
}

/// Kind, time and body, of a long body its length.
fn media(tag: &crate::protocol::flv::Tag) -> String {
    let (kind, time, body) = (tag.kind(), tag.timestamp(), tag.body());
    match body.len() {
        0..=16 => format!("{kind:?} {time} {body:02x?}"),
        len => format!("{kind:?} {time} {len} bytes"),
    }
}

fn config(state: State) -> ClientConfig {
    ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://localhost/live".into(),
        stream: "s".into(),
        role: match state {
            State::Publishing => Role::Publish {
                stop: StopCommands::default(),
            },
            _ => Role::Play {
                range: PlayRange::Live,
                duration: None,
                buffer: 3000,
                subscribe: None,
                playlist: false,
            },
        },
        flash_version: None,
        page_url: None,
        swf_url: None,
        swf: None,
        connect_arguments: Vec::new(),
        capabilities: Capabilities::all(),
        handshake: Style::Plain,
        secure_token: None,
        usher_token: None,
        authenticator: Authenticator::new("user", "secret", AuthMod::Auto, "live"),
        auth_query: None,
        chunk_size: 4096,
        limits: DecoderLimits::default(),
        timeout: Duration::from_secs(5),
    }
}
