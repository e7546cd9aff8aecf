// SPDX-License-Identifier: MPL-2.0

//! Both sessions behind a handshake, with a peer and an application that do whatever the input says.
//!
//! The first bytes choose the side, its configuration, how much of a sound dialogue comes first and
//! the sizes of pieces; then there are messages, bare bytes and calls in any order. However the
//! peer's bytes are cut, the same must happen; what they cost in memory and in output must keep to
//! a multiple of what they are.

#![no_main]

use std::{
    collections::HashMap,
    sync::LazyLock,
    time::{Duration, Instant},
};

use gst_plugin_rtmp_fuzz::{Meter, Steer, peer::Peer, pieces, pour};
use gstrtmp::protocol::{
    flv::{Tag, TagKind},
    rtmp::{
        amf::{Object, Value},
        auth::{AuthMod, Authenticator},
        chunk::{Decoder, DecoderLimits},
        handshake::{BLOCK_LEN, ClientHandshake, ServerHandshake, Style},
        message::{Command, Control, type_id},
        session::{
            Capabilities, ClientConfig, ClientEvent, ClientSession, PlayRange, Role, ServerConfig,
            ServerEvent, ServerSession, SessionError, Stage, StopCommands,
        },
        swf::SwfHash,
        transmit::Transmit,
    },
};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static METER: Meter = Meter;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Bytes that may be sent for one that came, beside those that every connection costs. A ping or an
/// unknown call comes to a dozen; acknowledgements add as much where the window is a byte.
const ANSWER: usize = 32;
/// Bytes that may be allocated for one that came: an AMF0 null of one byte is a value of 56, in an
/// array that grows by doubling.
const ALLOCATION: usize = 256;
const BASE: usize = 64 << 10;
/// Bytes that a connection may send whatever comes: handshake, connect command, status messages.
const ANSWER_BASE: usize = 8 << 10;
/// Nobody reads while this is handed over: byte by byte, its answers must keep to their budget.
const TOO_LONG: usize = 32 << 10;
const TIMEOUT: Duration = Duration::from_secs(5);

fuzz_target!(|data: &[u8]| {
    let mut steer = Steer(data);
    let kind = steer.below(4);
    let flags = steer.byte();
    let goods = steer.below(5);
    let sizes = [steer.byte(), steer.byte()];
    let [whole, cut] = [[0, 0], sizes].map(|sizes| {
        let mut run = Run::new(kind, flags, sizes);
        let error = run.all(goods, steer.clone()).err();
        (run.happened, error, said(&run.sent))
    });
    assert_eq!(whole, cut);
});

/// The side under test.
enum End {
    Client(Box<Client>),
    Server(Box<Server>),
}

struct Client {
    session: ClientSession,
    stopped: bool,
    retried: bool,
}

struct Server {
    session: ServerSession,
    /// One bit decides an answer.
    answers: u8,
    asked: usize,
    connected: bool,
    granted: bool,
    streams: HashMap<u32, Activity>,
    /// Bytes sent for what had waited for an answer.
    went_on: usize,
}

/// What the application knows of a message stream from events and its own answers.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Activity {
    AskedToPublish,
    AskedToPlay,
    Publishing,
    Playing,
    /// Refused or ended from this side; that the client ended it, too, may be queued already.
    Over,
}

struct Run {
    end: End,
    peer: Peer,
    now: Instant,
    sizes: [u8; 2],
    happened: Vec<String>,
    sent: Vec<u8>,
    received: usize,
    answered: usize,
    calls: usize,
}

impl Run {
    fn new(kind: usize, flags: u8, sizes: [u8; 2]) -> Self {
        let now = *START;
        let limits = if flags & 8 == 0 {
            DecoderLimits::default()
        } else {
            DecoderLimits {
                message: 4096,
                in_flight: 8192,
                chunk_streams: 80,
            }
        };
        let end = if kind == 3 {
            let config = ServerConfig {
                limits,
                timeout: TIMEOUT,
                ..ServerConfig::default()
            };
            End::Server(Box::new(Server {
                session: ServerSession::new(config, now, [1; 32]),
                answers: flags,
                asked: 0,
                connected: false,
                granted: false,
                streams: HashMap::new(),
                went_on: 0,
            }))
        } else {
            let session = ClientSession::new(config(kind, flags, limits), now, [1; 32]);
            End::Client(Box::new(Client {
                session,
                stopped: false,
                retried: false,
            }))
        };
        Self {
            end,
            peer: Peer::default(),
            now,
            sizes,
            happened: Vec::new(),
            sent: Vec::new(),
            received: 0,
            answered: 0,
            calls: 0,
        }
    }

    fn all(&mut self, goods: usize, mut steer: Steer<'_>) -> Result<(), SessionError> {
        self.handshake();
        for step in 0..goods {
            self.good(step);
            self.hand_over()?;
        }
        while !steer.0.is_empty() {
            match steer.below(16) {
                0 => {
                    self.hand_over()?;
                    self.good(steer.below(5));
                }
                1 => {
                    self.hand_over()?;
                    self.now += Duration::from_millis(u64::from(steer.byte()) * 50);
                    self.timeout()?;
                }
                2..5 => {
                    self.hand_over()?;
                    self.calls += 1;
                    self.end.call(self.now, &mut steer);
                    self.events();
                }
                _ => self.peer.say(&mut steer),
            }
            if self.peer.wire.len() > TOO_LONG {
                return Ok(());
            }
            if self.peer.wire.len() > TOO_LONG / 2 {
                self.hand_over()?;
            }
        }
        self.hand_over()
    }

    /// Shakes hands as the specification has it.
    fn handshake(&mut self) {
        let mut out = Transmit::default();
        match &mut self.end {
            End::Client(_) => {
                let mut peer = ServerHandshake::new(7, [2; 32]);
                self.sent = self.take();
                peer.input(&self.sent, &mut out).expect("a sound handshake");
            }
            End::Server(_) => {
                let mut peer = ClientHandshake::new(Style::Plain, 7, [0; 4], [2; 32]);
                peer.start(&mut out);
                pour(&mut out, &mut self.peer.wire);
                self.hand_over().expect("a sound handshake");
                peer.input(&self.sent, &mut out).expect("a sound handshake");
            }
        }
        pour(&mut out, &mut self.peer.wire);
        self.hand_over().expect("a sound handshake");
        assert!(self.sent.len() > 2 * BLOCK_LEN);
        self.sent.drain(..1 + 2 * BLOCK_LEN);
        if let End::Client(client) = &self.end {
            assert_eq!(client.session.stage(), Stage::Connect);
        }
    }

    /// What a sound peer would say at this step.
    fn good(&mut self, step: usize) {
        let mut information = Object::default();
        let publisher = match &self.end {
            End::Client(client) => client.session.is_publisher(),
            End::Server(server) => server.answers & 1 == 0,
        };
        let what = if publisher { "Publish" } else { "Play" };
        let (stream_id, commands): (_, &[(&str, f64)]) = match (&self.end, step) {
            (End::Client(_), 0) => (0, &[("_result", 1.0)]),
            (End::Client(_), 1) => (0, &[("_result", 2.0), ("_result", 3.0), ("_result", 4.0)]),
            (End::Client(_), _) => {
                information.push("code", format!("NetStream.{what}.Start"));
                (1, &[("onStatus", 0.0)])
            }
            (End::Server(_), 0) => (0, &[("connect", 1.0)]),
            (End::Server(_), 1) => (0, &[("createStream", 2.0)]),
            (End::Server(_), 2) if publisher => (1, &[("publish", 3.0)]),
            (End::Server(_), _) => (1, &[("play", 3.0)]),
        };
        let argument = match (&self.end, step) {
            (End::Client(_), 1) => Value::Number(1.0),
            (End::Server(_), _) => Value::String(format!("cam{step}")),
            _ => Value::Object(information),
        };
        for (name, transaction) in commands {
            let command = Command::new(name, *transaction, vec![argument.clone()]);
            self.peer.command(stream_id, &command);
        }
    }

    /// Hands over what the peer said, in pieces, and sees what comes of it.
    fn hand_over(&mut self) -> Result<(), SessionError> {
        let wire = std::mem::take(&mut self.peer.wire);
        self.received += wire.len();
        let queued = self.end.transmit().len();
        let start = Meter::start();
        let outcome =
            pieces(&wire, &self.sizes).try_for_each(|piece| self.end.input(self.now, piece));
        let peak = Meter::peak(start);
        assert!(
            peak <= ALLOCATION * wire.len() + BASE,
            "{peak} bytes for {}",
            wire.len()
        );
        self.answered += self.end.transmit().len().saturating_sub(queued);
        self.events();
        let answered = match &self.end {
            End::Client(_) => self.answered,
            End::Server(server) => self.answered + server.went_on,
        };
        assert!(
            answered <= ANSWER * self.received + ANSWER_BASE,
            "{answered} bytes out"
        );
        outcome?;
        self.end.check();
        Ok(())
    }

    fn events(&mut self) {
        while let Some(event) = self.end.event() {
            self.happened.push(event);
            assert!(self.happened.len() <= 64 + self.received + self.calls);
        }
        let sent = self.take();
        self.sent.extend(sent);
    }

    fn timeout(&mut self) -> Result<(), SessionError> {
        let (deadline, outcome) = match &mut self.end {
            End::Client(client) => (
                client.session.poll_timeout(),
                client.session.handle_timeout(self.now),
            ),
            End::Server(server) => (
                server.session.poll_timeout(),
                server.session.handle_timeout(self.now),
            ),
        };
        let due = deadline.is_some_and(|deadline| self.now >= deadline);
        match &outcome {
            Ok(()) => assert!(!due, "it is time"),
            Err(SessionError::Timeout(_)) => assert!(due, "it is not time"),
            // What was wrong with bytes that waited for an answer of the application.
            Err(_) => {}
        }
        outcome
    }

    /// Takes all that is to be sent.
    fn take(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.end.transmit().is_empty() {
            pour(self.end.transmit(), &mut bytes);
        }
        bytes
    }
}

impl End {
    fn input(&mut self, now: Instant, bytes: &[u8]) -> Result<(), SessionError> {
        match self {
            End::Client(client) => client.session.handle_input(now, bytes),
            End::Server(server) => server.session.handle_input(bytes),
        }
    }

    fn transmit(&mut self) -> &mut Transmit {
        match self {
            End::Client(client) => client.session.poll_transmit(),
            End::Server(server) => server.session.poll_transmit(),
        }
    }

    fn event(&mut self) -> Option<String> {
        match self {
            End::Client(client) => client.event(),
            End::Server(server) => server.event(),
        }
    }

    fn call(&mut self, now: Instant, steer: &mut Steer<'_>) {
        match self {
            End::Client(client) => client.call(now, steer),
            End::Server(server) => server.call(steer),
        }
    }

    /// What must be so whenever a session has not failed.
    fn check(&mut self) {
        match self {
            End::Client(client) => {
                let session = &client.session;
                let over = client.stopped || client.retried;
                assert_eq!(over, session.stage() == Stage::Stopped);
                let waits = session.stage() < Stage::Running;
                assert!(
                    !waits || session.poll_timeout().is_some(),
                    "it would wait for ever"
                );
            }
            End::Server(server) => {
                assert!(server.granted || server.session.poll_timeout().is_some());
            }
        }
    }
}

impl Client {
    fn event(&mut self) -> Option<String> {
        let event = self.session.poll_event()?;
        match &event {
            ClientEvent::Stage(stage) => assert!(*stage <= self.session.stage()),
            ClientEvent::Media(_) => assert!(!self.session.is_publisher()),
            ClientEvent::Retry(_) => {
                assert!(!self.retried, "one is enough");
                self.retried = true;
            }
            _ => {}
        }
        Some(format!("{event:?}"))
    }

    fn call(&mut self, now: Instant, steer: &mut Steer<'_>) {
        match steer.below(6) {
            0 => self.session.seek(now, steer.u32()),
            1 => self.session.pause(true, steer.u32()),
            2 => self.session.pause(false, steer.u32()),
            3..5 => self.session.send_media(&tag(steer)),
            _ => {
                self.session.stop();
                self.stopped = true;
            }
        }
    }
}

impl Server {
    /// Answers what is asked, at once or not at all.
    fn event(&mut self) -> Option<String> {
        let queued = self.session.poll_transmit().len();
        let event = self.session.poll_event();
        self.went_on += self.session.poll_transmit().len().saturating_sub(queued);
        let event = event?;
        let answer = self.answers.rotate_right(self.asked as u32) & 3;
        match &event {
            ServerEvent::Connect { .. } => {
                assert!(!self.connected, "it connects once");
                self.connected = true;
                match self.answers {
                    0xff => self
                        .session
                        .reject_connect("NetConnection.Connect.Rejected", "no"),
                    _ => self.session.accept_connect(&Capabilities::all()),
                }
            }
            ServerEvent::Publish { stream_id, .. } | ServerEvent::Play { stream_id, .. } => {
                let id = *stream_id;
                self.asked += 1;
                let before = self.streams.insert(
                    id,
                    match &event {
                        ServerEvent::Publish { .. } => Activity::AskedToPublish,
                        _ => Activity::AskedToPlay,
                    },
                );
                assert!(
                    matches!(before, None | Some(Activity::Over)),
                    "what was before is not over"
                );
                match answer {
                    0 | 1 => self.accept(id),
                    2 => self.reject(id),
                    _ => {}
                }
            }
            ServerEvent::Media { stream_id, .. } => {
                let activity = self.streams.get(stream_id);
                assert_eq!(activity, Some(&Activity::Publishing), "nobody let it");
            }
            ServerEvent::Pause { stream_id, .. } | ServerEvent::Receive { stream_id, .. } => {
                let activity = self.streams.get(stream_id);
                let played = matches!(activity, Some(Activity::Playing | Activity::Over));
                assert!(played, "nobody let it play");
            }
            ServerEvent::Stopped { stream_id } => {
                assert!(
                    self.streams.remove(stream_id).is_some(),
                    "nothing was to stop"
                );
            }
        }
        Some(format!("{event:?}"))
    }

    fn accept(&mut self, id: u32) {
        self.session.accept(id);
        if let Some(activity) = self.streams.get_mut(&id) {
            self.granted |= *activity != Activity::Over;
            *activity = match activity {
                Activity::AskedToPublish | Activity::Publishing => Activity::Publishing,
                Activity::AskedToPlay | Activity::Playing => Activity::Playing,
                Activity::Over => Activity::Over,
            };
        }
    }

    fn reject(&mut self, id: u32) {
        self.session.reject(id, "NetStream.Publish.BadName", "no");
        if let Some(Activity::AskedToPublish | Activity::AskedToPlay) = self.streams.get(&id) {
            self.streams.insert(id, Activity::Over);
        }
    }

    fn call(&mut self, steer: &mut Steer<'_>) {
        let call = steer.below(5);
        let id = steer.below(4) as u32;
        match call {
            0 => self.accept(id),
            1 => self.reject(id),
            2 => {
                self.session.end_play(id);
                if let Some(Activity::Playing) = self.streams.get(&id) {
                    self.streams.insert(id, Activity::Over);
                }
            }
            _ => self.session.send_media(id, &tag(steer)),
        }
    }
}

fn config(kind: usize, flags: u8, limits: DecoderLimits) -> ClientConfig {
    let set = |bit: u8| flags & bit != 0;
    let (user, password) = if set(1) { ("u", "p") } else { ("", "") };
    let everything = |name: &str| set(32).then(|| name.to_owned());
    ClientConfig {
        app: "live".into(),
        tc_url: "rtmp://localhost/live".into(),
        stream: "cam".into(),
        role: match kind {
            0 => Role::Publish {
                stop: if set(64) {
                    StopCommands {
                        fc_unpublish: true,
                        close_stream: true,
                        delete_stream: true,
                    }
                } else {
                    StopCommands::default()
                },
            },
            _ => Role::Play {
                range: match kind {
                    1 => PlayRange::Auto,
                    _ => PlayRange::Recorded(1000),
                },
                duration: set(64).then_some(5000),
                buffer: 3000,
                subscribe: everything("cam"),
                playlist: set(32),
            },
        },
        flash_version: everything("LNX 10,0,32,18"),
        page_url: everything("http://page/"),
        swf_url: everything("http://swf/"),
        swf: set(4).then_some(SwfHash {
            hash: [7; 32],
            size: 1000,
        }),
        connect_arguments: Vec::new(),
        capabilities: Capabilities::all(),
        handshake: if set(4) { Style::Digest } else { Style::Plain },
        secure_token: set(2).then(|| "key".to_owned()),
        usher_token: everything("token"),
        authenticator: Authenticator::new(user, password, AuthMod::Auto, "live"),
        auth_query: everything("authmod=adobe&user=u"),
        chunk_size: if set(16) { 65_536 } else { 128 },
        limits,
        timeout: TIMEOUT,
    }
}

fn tag(steer: &mut Steer<'_>) -> Tag {
    let kind = steer.one_of(&[
        TagKind::Audio,
        TagKind::Video,
        TagKind::Data,
        TagKind::DataAmf3,
    ]);
    let time = steer.u32();
    Tag::new(kind, time, steer.bytes()).expect("it is short")
}

/// Type, message stream and payload of what was sent. Acknowledgements are left out: when they are
/// due depends on how much came at a time.
fn said(mut sent: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut decoder = Decoder::new(DecoderLimits::default());
    let mut said = Vec::new();
    while let Some(message) = decoder.decode(&mut sent).expect("what we send is sound") {
        let (kind, payload) = (message.type_id, message.payload());
        if let Some(Ok(Control::SetChunkSize(size))) = Control::parse(kind, payload) {
            decoder.set_chunk_size(size).expect("what we send is sound");
        }
        if kind != type_id::ACKNOWLEDGEMENT {
            said.push((kind, message.stream_id, payload.to_vec()));
        }
    }
    said
}
