// SPDX-License-Identifier: MPL-2.0

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use bytes::{Buf, BytesMut};

use super::{
    LinkStats, SessionError, Stage,
    link::{Link, normalise},
};
use crate::protocol::{
    flv::{Tag, TagKind},
    rtmp::{
        amf::{Object, Value, amf0},
        chunk::{DecoderLimits, Message},
        handshake::ServerHandshake,
        limits,
        message::{Aggregate, Command, Control, LimitType, UserControl, type_id},
        transmit::Transmit,
    },
};

/// What a server offers its clients.
#[derive(Clone, Copy, Debug)]
pub struct ServerConfig {
    /// Bytes of payload per chunk that we send.
    pub chunk_size: u32,
    /// Bytes between acknowledgements, announced in both directions.
    pub window_ack_size: u32,
    /// Budgets for what the client sends.
    pub limits: DecoderLimits,
    /// How long a client may take from the first byte until it publishes or plays; zero for ever.
    pub timeout: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            chunk_size: 65536,
            window_ack_size: 2_500_000,
            limits: DecoderLimits::default(),
            timeout: Duration::from_secs(10),
        }
    }
}

/// One connection from a client, from the first byte of the handshake.
#[derive(Debug)]
pub struct ServerSession {
    config: ServerConfig,
    handshake: Option<ServerHandshake>,
    handshake_out: Transmit,
    link: Link,
    deadline: Option<Instant>,
    connect: Connect,
    streams: BTreeMap<u32, Activity>,
    next_stream: u32,
    events: VecDeque<ServerEvent>,
    /// Publish and Play events so far.
    asked: u64,
    /// Those of them that were polled.
    polled: u64,
    /// Whether the application has to decide something. What the client sent behind its question waits
    /// for the answer, so that it does not matter whether it came with the question or later.
    undecided: bool,
    waiting: BytesMut,
    /// What was wrong with bytes that waited.
    failure: Option<SessionError>,
}

#[derive(Debug)]
enum Connect {
    /// No connect command yet.
    Awaited,
    /// The application has to decide.
    Asked {
        transaction: f64,
        object_encoding: f64,
    },
    Accepted,
    Rejected,
}

/// What a client does on a message stream.
#[derive(Clone, Debug, PartialEq)]
enum Activity {
    Idle,
    AskedToPublish { name: String, number: u64 },
    Publishing { name: String },
    AskedToPlay { name: String, number: u64 },
    Playing { name: String },
}

/// What a client did or wants.
#[derive(Clone, Debug)]
pub enum ServerEvent {
    /// It wants to connect; answer with [`ServerSession::accept_connect`] or
    /// [`reject_connect`](ServerSession::reject_connect).
    Connect {
        /// Application name, query included.
        app: String,
        /// Everything the client said of itself.
        object: Object,
    },
    /// It wants to publish; answer with [`ServerSession::accept`] or
    /// [`reject`](ServerSession::reject).
    Publish {
        /// The message stream.
        stream_id: u32,
        /// Stream name, query included.
        name: String,
    },
    /// It wants to play; answer as above.
    Play {
        /// The message stream.
        stream_id: u32,
        /// Stream name, query included.
        name: String,
    },
    /// Sound, picture or data from a publisher.
    Media {
        /// The message stream.
        stream_id: u32,
        /// The tag.
        tag: Tag,
    },
    /// Publishing or playing on this message stream is over.
    Stopped {
        /// The message stream.
        stream_id: u32,
    },
}

impl ServerSession {
    /// Awaits a client's first byte. `seed` must be unpredictable and never the same twice.
    pub fn new(config: ServerConfig, now: Instant, seed: [u8; 32]) -> Self {
        Self {
            handshake: Some(ServerHandshake::new(0, seed)),
            handshake_out: Transmit::default(),
            link: Link::new(config.limits),
            deadline: Some(config.timeout)
                .filter(|limit| !limit.is_zero())
                .and_then(|limit| now.checked_add(limit)),
            connect: Connect::Awaited,
            streams: BTreeMap::new(),
            next_stream: 1,
            events: VecDeque::new(),
            asked: 0,
            polled: 0,
            undecided: false,
            waiting: BytesMut::new(),
            failure: None,
            config,
        }
    }

    /// A session whose handshake is over.
    #[cfg(test)]
    pub(super) fn past_handshake(config: ServerConfig, now: Instant) -> Self {
        let mut session = Self::new(config, now, [2; 32]);
        session.handshake = None;
        session
    }

    /// Bytes of memory that what was received and not handed on holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.link.held() + self.waiting.capacity()
    }

    /// Counters of the connection.
    pub fn stats(&self) -> LinkStats {
        self.link.stats()
    }

    /// Takes bytes from the client, all of them, cut anywhere.
    ///
    /// Behind a question to the application ([`ServerEvent::Connect`], [`Publish`](ServerEvent::Publish),
    /// [`Play`](ServerEvent::Play)) they wait for the answer; [`poll_event`](Self::poll_event) goes on
    /// with them. Too many are an error.
    pub fn handle_input(&mut self, mut input: &[u8]) -> Result<(), SessionError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        if let Some(handshake) = &mut self.handshake {
            let progress = handshake.input(input, &mut self.handshake_out)?;
            input = input.get(progress.consumed..).unwrap_or_default();
            if !progress.done {
                return Ok(());
            }
            self.handshake = None;
        }
        self.link.listen();
        if !self.waiting.is_empty() {
            self.wait_with(input)?;
            return self.go_on();
        }
        self.receive(&mut input)?;
        self.wait_with(input)
    }

    /// Reads messages until all input is taken or the application has to decide.
    fn receive(&mut self, input: &mut &[u8]) -> Result<(), SessionError> {
        while !self.undecided {
            let Some(message) = self.link.receive(input)? else {
                break;
            };
            self.message(message)?;
        }
        Ok(())
    }

    fn wait_with(&mut self, input: &[u8]) -> Result<(), SessionError> {
        if self.waiting.len() + input.len() > limits::UNDECIDED {
            return Err(SessionError::TooMuch("data before it may send any"));
        }
        self.waiting.extend_from_slice(input);
        Ok(())
    }

    /// Reads what waited.
    fn go_on(&mut self) -> Result<(), SessionError> {
        let mut waiting = std::mem::take(&mut self.waiting);
        let mut input = waiting.as_ref();
        let result = self.receive(&mut input);
        let left = input.len();
        waiting.advance(waiting.len() - left);
        if left > 0 {
            self.waiting = waiting;
        }
        result
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<ServerEvent> {
        if self.events.is_empty() && !self.undecided && !self.waiting.is_empty() {
            self.link.listen();
            if let Err(failure) = self.go_on() {
                // The next call that can fail says so.
                self.failure = Some(failure);
                self.waiting.clear();
            }
        }
        let event = self.events.pop_front()?;
        if let ServerEvent::Publish { .. } | ServerEvent::Play { .. } = event {
            self.polled += 1;
        }
        Some(event)
    }

    /// What is to be sent next. Bytes that were written must be taken out with
    /// [`Transmit::advance`].
    pub fn poll_transmit(&mut self) -> &mut Transmit {
        if self.handshake_out.is_empty() {
            &mut self.link.out
        } else {
            &mut self.handshake_out
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Fails where the client has neither published nor played in time.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        match self.deadline {
            Some(deadline) if now >= deadline => Err(SessionError::Timeout(match self.connect {
                _ if self.handshake.is_some() => Stage::Handshake,
                Connect::Accepted => Stage::Start,
                _ => Stage::Connect,
            })),
            _ => Ok(()),
        }
    }

    /// Lets the client in.
    pub fn accept_connect(&mut self) {
        let Connect::Asked {
            transaction,
            object_encoding,
        } = self.connect
        else {
            return;
        };
        self.connect = Connect::Accepted;
        self.undecided = false;
        self.link.announce_window(self.config.window_ack_size);
        self.link.send_control(Control::SetPeerBandwidth {
            window: self.config.window_ack_size,
            limit: LimitType::Dynamic,
        });
        self.link.change_chunk_size(self.config.chunk_size);
        // Encoders look for an FMS version of at least 3.5 before they use what came with it.
        let mut properties = Object::default();
        properties.push("fmsVer", "FMS/3,5,7,7009");
        properties.push("capabilities", 31.0);
        let mut info = information("NetConnection.Connect.Success", "Connection succeeded.");
        info.push("objectEncoding", object_encoding);
        self.link.send_command(
            0,
            &Command {
                name: "_result".to_owned(),
                transaction,
                object: properties.into(),
                arguments: vec![info.into()],
            },
        );
    }

    /// Turns the client away, with a status code such as `NetConnection.Connect.InvalidApp`.
    pub fn reject_connect(&mut self, code: &str, description: &str) {
        let Connect::Asked { transaction, .. } = self.connect else {
            return;
        };
        self.connect = Connect::Rejected;
        self.undecided = false;
        let info = error_information(code, description);
        self.link
            .send_command(0, &Command::new("_error", transaction, vec![info.into()]));
    }

    /// Grants what was asked for on this message stream.
    ///
    /// It holds for the event that was polled: where the client has withdrawn what that asked for
    /// and asks for something else, nothing happens until the event for it was polled too.
    pub fn accept(&mut self, stream_id: u32) {
        match self.streams.get(&stream_id).cloned() {
            Some(Activity::AskedToPublish { name, number }) if number <= self.polled => {
                self.deadline = None;
                self.undecided = false;
                // FMLE-style encoders wait for this one, Flash-style ones for the other.
                let info = information("NetStream.Publish.Start", &name);
                let fc = Command::new("onFCPublish", 0.0, vec![info.into()]);
                self.link.send_command(0, &fc);
                let text = format!("{name} is now published.");
                self.on_status(stream_id, "NetStream.Publish.Start", &text);
                self.streams
                    .insert(stream_id, Activity::Publishing { name });
            }
            Some(Activity::AskedToPlay { name, number }) if number <= self.polled => {
                self.deadline = None;
                self.undecided = false;
                self.link
                    .send_user_control(&UserControl::StreamBegin(stream_id));
                let text = format!("Playing and resetting {name}.");
                self.on_status(stream_id, "NetStream.Play.Reset", &text);
                self.on_status(
                    stream_id,
                    "NetStream.Play.Start",
                    &format!("Started playing {name}."),
                );
                // Flash Player hides samples from scripts unless it is told that it may show them.
                self.send_data(
                    stream_id,
                    &["|RtmpSampleAccess".into(), true.into(), true.into()],
                );
                let info = information("NetStream.Data.Start", "");
                self.send_data(stream_id, &["onStatus".into(), info.into()]);
                self.streams.insert(stream_id, Activity::Playing { name });
            }
            _ => {}
        }
    }

    /// Refuses what was asked for on this message stream, with a status code such as
    /// `NetStream.Publish.BadName`. It holds for the event that was polled, as with
    /// [`accept`](Self::accept).
    pub fn reject(&mut self, stream_id: u32, code: &str, description: &str) {
        let asked = matches!(
            self.streams.get(&stream_id),
            Some(Activity::AskedToPublish { number, .. } | Activity::AskedToPlay { number, .. })
                if *number <= self.polled
        );
        if asked {
            self.undecided = false;
            self.streams.insert(stream_id, Activity::Idle);
            let info = error_information(code, description);
            self.link
                .send_command(stream_id, &Command::new("onStatus", 0.0, vec![info.into()]));
        }
    }

    /// Sends a tag to a player; nothing happens on a message stream that does not play.
    pub fn send_media(&mut self, stream_id: u32, tag: &Tag) {
        if matches!(self.streams.get(&stream_id), Some(Activity::Playing { .. })) {
            self.link.send_tag(stream_id, tag, false);
        }
    }

    /// Tells a player that the stream it plays is over.
    pub fn end_play(&mut self, stream_id: u32) {
        if let Some(Activity::Playing { name }) = self.streams.get(&stream_id).cloned() {
            self.link
                .send_user_control(&UserControl::StreamEof(stream_id));
            let text = format!("{name} is now unpublished.");
            self.on_status(stream_id, "NetStream.Play.UnpublishNotify", &text);
            self.streams.insert(stream_id, Activity::Idle);
        }
    }

    fn message(&mut self, message: Message) -> Result<(), SessionError> {
        let stream_id = message.stream_id;
        match message.type_id {
            type_id::COMMAND | type_id::COMMAND_AMF3 => {
                let command = Command::parse(message.type_id, message.payload())?;
                self.command(stream_id, command)
            }
            type_id::AUDIO | type_id::VIDEO | type_id::DATA | type_id::DATA_AMF3 => {
                if let Some(stream_id) = self.publication(stream_id) {
                    let tag = message.into_tag().and_then(normalise);
                    self.events
                        .extend(tag.map(|tag| ServerEvent::Media { stream_id, tag }));
                }
                Ok(())
            }
            type_id::AGGREGATE => {
                let Some(stream_id) = self.publication(stream_id) else {
                    return Ok(());
                };
                let mut tags = Aggregate::new(message.timestamp, message.payload());
                for tag in tags.by_ref().take(limits::AGGREGATE) {
                    self.events
                        .extend(normalise(tag?).map(|tag| ServerEvent::Media { stream_id, tag }));
                }
                match tags.next() {
                    Some(_) => Err(SessionError::TooMuch("messages in an aggregate")),
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// The publication that media on this message stream belongs to.
    ///
    /// Encoders that open a chunk stream with a type 1 header, which names no message stream, or that
    /// never set it, are understood by servers that know one stream a connection: so where there is
    /// one, media on a message stream that was never created is its.
    fn publication(&self, stream_id: u32) -> Option<u32> {
        match self.streams.get(&stream_id) {
            Some(Activity::Publishing { .. }) => Some(stream_id),
            Some(_) => None,
            None => {
                let mut publications = self.streams.iter().filter_map(|(id, activity)| {
                    matches!(activity, Activity::Publishing { .. }).then_some(*id)
                });
                let first = publications.next();
                first.filter(|_| publications.next().is_none())
            }
        }
    }

    fn command(&mut self, stream_id: u32, command: Command) -> Result<(), SessionError> {
        let transaction = command.transaction;
        if let Connect::Awaited = self.connect {
            return match command.name.as_str() {
                "connect" => self.asked_to_connect(command),
                _ => Err(SessionError::OutOfOrder("before connect")),
            };
        }
        if !matches!(self.connect, Connect::Accepted) {
            return Ok(());
        }
        match command.name.as_str() {
            "connect" => return Err(SessionError::OutOfOrder("connect")),
            "createStream" | "initStream" => {
                if self.streams.len() >= limits::MESSAGE_STREAMS {
                    return Err(SessionError::TooMuch("message streams"));
                }
                let id = self.next_stream;
                self.next_stream = self.next_stream.wrapping_add(1).max(1);
                self.streams.insert(id, Activity::Idle);
                self.result(transaction, vec![Value::Number(id.into())]);
            }
            "publish" => {
                let name = name_of(&command)?;
                self.begin(stream_id, "publish", |number| Activity::AskedToPublish {
                    name: name.clone(),
                    number,
                })?;
                self.events
                    .push_back(ServerEvent::Publish { stream_id, name });
            }
            "play" => {
                let name = name_of(&command)?;
                self.begin(stream_id, "play", |number| Activity::AskedToPlay {
                    name: name.clone(),
                    number,
                })?;
                self.events.push_back(ServerEvent::Play { stream_id, name });
            }
            "closeStream" => self.stop(stream_id),
            "deleteStream" => {
                // rtmp2sink sends the stream name in place of the number, always on stream 0.
                let id = command.arguments.first().and_then(Value::as_number);
                match id {
                    Some(id) => self.delete(id as u32),
                    None => {
                        for id in self.streams.keys().copied().collect::<Vec<_>>() {
                            self.delete(id);
                        }
                    }
                }
            }
            "FCUnpublish" => {
                let name = name_of(&command).unwrap_or_default();
                let info = information("NetStream.Unpublish.Success", &name);
                self.link
                    .send_command(0, &Command::new("onFCUnpublish", 0.0, vec![info.into()]));
                self.result(transaction, vec![Value::Undefined]);
            }
            "FCSubscribe" => {
                let name = name_of(&command).unwrap_or_default();
                let info = information("NetStream.Play.Start", &name);
                self.link
                    .send_command(0, &Command::new("onFCSubscribe", 0.0, vec![info.into()]));
                self.result(transaction, vec![Value::Undefined]);
            }
            // Encoders wait for answers to these before they go on.
            "releaseStream" | "FCPublish" | "_checkbw" => {
                self.result(transaction, vec![Value::Undefined]);
            }
            // FFmpeg asks before it plays; a live stream has no length.
            "getStreamLength" => self.result(transaction, vec![Value::Number(0.0)]),
            "_result" | "_error" | "onStatus" | "receiveAudio" | "receiveVideo" | "pause" => {}
            _ => {
                if transaction != 0.0 {
                    let info = error_information(
                        "NetConnection.Call.Failed",
                        "There is no such procedure here.",
                    );
                    let answer = Command::new("_error", transaction, vec![info.into()]);
                    self.link.send_command(0, &answer);
                }
            }
        }
        Ok(())
    }

    fn asked_to_connect(&mut self, command: Command) -> Result<(), SessionError> {
        let object = command.object.as_object().cloned().unwrap_or_default();
        let app = object
            .string("app")
            .unwrap_or_default()
            .trim_matches('/')
            .to_owned();
        if app.len() > limits::NAME {
            return Err(SessionError::TooMuch("name length"));
        }
        let object_encoding = if object.number("objectEncoding") == Some(3.0) {
            3.0
        } else {
            0.0
        };
        self.connect = Connect::Asked {
            transaction: command.transaction,
            object_encoding,
        };
        self.undecided = true;
        self.events.push_back(ServerEvent::Connect { app, object });
        Ok(())
    }

    /// Notes what is asked for on a message stream; a second play ends the first.
    fn begin(
        &mut self,
        stream_id: u32,
        what: &'static str,
        asked: impl FnOnce(u64) -> Activity,
    ) -> Result<(), SessionError> {
        match self.streams.get(&stream_id) {
            Some(Activity::Idle) => {}
            Some(Activity::Playing { .. } | Activity::AskedToPlay { .. }) if what == "play" => {
                self.events.push_back(ServerEvent::Stopped { stream_id });
            }
            _ => return Err(SessionError::OutOfOrder(what)),
        }
        self.asked += 1;
        self.undecided = true;
        self.streams.insert(stream_id, asked(self.asked));
        Ok(())
    }

    fn stop(&mut self, stream_id: u32) {
        if let Some(activity) = self.streams.get_mut(&stream_id) {
            let before = std::mem::replace(activity, Activity::Idle);
            if let Activity::Publishing { name } = &before {
                let text = format!("{name} is now unpublished.");
                self.on_status(stream_id, "NetStream.Unpublish.Success", &text);
            }
            if before != Activity::Idle {
                self.events.push_back(ServerEvent::Stopped { stream_id });
            }
        }
    }

    fn delete(&mut self, stream_id: u32) {
        self.stop(stream_id);
        self.streams.remove(&stream_id);
    }

    fn result(&mut self, transaction: f64, arguments: Vec<Value>) {
        if transaction != 0.0 {
            self.link
                .send_command(0, &Command::new("_result", transaction, arguments));
        }
    }

    fn on_status(&mut self, stream_id: u32, code: &str, description: &str) {
        let info = information(code, description);
        self.link
            .send_command(stream_id, &Command::new("onStatus", 0.0, vec![info.into()]));
    }

    fn send_data(&mut self, stream_id: u32, values: &[Value]) {
        let mut body = bytes::BytesMut::new();
        for value in values {
            amf0::encode(value, &mut body);
        }
        if let Some(tag) = Tag::new(TagKind::Data, 0, &body) {
            self.link.send_tag(stream_id, &tag, false);
        }
    }
}

fn name_of(command: &Command) -> Result<String, SessionError> {
    let name = command
        .arguments
        .first()
        .and_then(Value::as_str)
        .unwrap_or_default();
    if name.len() > limits::NAME {
        return Err(SessionError::TooMuch("name length"));
    }
    Ok(name.to_owned())
}

fn information(code: &str, description: &str) -> Object {
    status_object("status", code, description)
}

fn error_information(code: &str, description: &str) -> Object {
    status_object("error", code, description)
}

fn status_object(level: &str, code: &str, description: &str) -> Object {
    let mut object = Object::default();
    object.push("level", level);
    object.push("code", code);
    object.push("description", description);
    object
}
