// SPDX-License-Identifier: MPL-2.0

use std::{collections::VecDeque, fmt, time::Instant};

use bytes::Bytes;

use super::{
    Capabilities, ClientConfig, EndReason, LinkStats, PlayRange, Role, SessionError, Status,
    link::{Link, leading_string, normalise},
};
use crate::protocol::{
    flv::{Tag, TagKind},
    rtmp::{
        amf::{Object, Value, amf0},
        auth::{self, AuthStep},
        chunk::Message,
        handshake::ClientHandshake,
        limits,
        message::{Aggregate, Command, UserControl, type_id},
        transmit::Transmit,
    },
};

/// The version of C1 in the digest form: the Flash Player that librtmp and FFmpeg name is one that
/// every server has met.
const FLASH_VERSION: [u8; 4] = [10, 0, 45, 2];

/// One connection to a server, from the first byte of the handshake.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    handshake: Option<ClientHandshake>,
    handshake_out: Transmit,
    link: Link,
    stage: Stage,
    deadline: Option<Instant>,
    pending: Vec<(f64, Request)>,
    next_transaction: f64,
    stream_id: u32,
    seeking: bool,
    /// The answer to the first `play`, while a second one is tried.
    not_found: Option<Status>,
    /// Pauses that the server may still answer with a Stream EOF.
    pauses: u32,
    /// Time of the last tag: where a recording is.
    position: u32,
    /// What the server said when it let us in.
    server: Capabilities,
    swf_key: [u8; 32],
    seed: [u8; 32],
    events: VecDeque<ClientEvent>,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Shaking hands.
    Handshake,
    /// Waiting for the answer to connect.
    Connect,
    /// Waiting for the answer to createStream.
    CreateStream,
    /// Waiting for the stream to start.
    Start,
    /// The stream runs.
    Running,
    /// Nothing more is wanted of this connection: the stream was ended from this side, or another
    /// connection is to be made ([`ClientEvent::Retry`]).
    Stopped,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "handshake",
            Self::Connect => "connect",
            Self::CreateStream => "createStream",
            Self::Start => "start of the stream",
            Self::Running => "running stream",
            Self::Stopped => "end of the stream",
        })
    }
}

/// What a server did.
#[derive(Clone, Debug)]
pub enum ClientEvent {
    /// The connection entered this stage.
    Stage(Stage),
    /// Sound, picture or data of the stream.
    Media(Tag),
    /// The server says that the stream is a recording.
    StreamIsRecorded,
    /// A status that calls for no action.
    Status(Status),
    /// A seek was carried out; what follows is from the new position.
    SeekDone,
    /// A seek was refused; the stream goes on where it was.
    SeekFailed(Status),
    /// Playback is over.
    End(EndReason),
    /// Connect anew with this configuration: the server wants credentials.
    Retry(Box<ClientConfig>),
    /// The server asks to be left for another, or for a new connection to itself (E-RTMP v2).
    ReconnectRequest {
        /// Where to, absolute or relative to `tcUrl`; the same server where absent.
        tc_url: Option<String>,
        /// For people.
        description: String,
    },
    /// The server closed the connection by command.
    Closed(Status),
}

/// What an answer is awaited to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Connect,
    CreateStream,
    /// The answer is a status; but a no may come as `_error`.
    Publish,
    /// Servers answer these as they like, errors included, and nothing hangs on it.
    Courtesy,
}

impl ClientSession {
    /// Starts a connection. `seed` must be unpredictable and never the same twice.
    pub fn new(config: ClientConfig, now: Instant, seed: [u8; 32]) -> Self {
        let mut handshake = ClientHandshake::new(config.handshake, 0, FLASH_VERSION, seed);
        let mut handshake_out = Transmit::default();
        handshake.start(&mut handshake_out);
        Self {
            deadline: deadline(&config, now),
            link: Link::new(config.limits),
            config,
            handshake: Some(handshake),
            handshake_out,
            stage: Stage::Handshake,
            pending: Vec::new(),
            next_transaction: 1.0,
            stream_id: 0,
            seeking: false,
            not_found: None,
            pauses: 0,
            position: 0,
            server: Capabilities::default(),
            swf_key: [0; 32],
            seed,
            events: VecDeque::new(),
        }
    }

    /// What to ask a server for that took what Enhanced RTMP adds to the connect command ill: the same
    /// without it. `None` where that was not the reason.
    pub fn without_enhanced(&self) -> Option<ClientConfig> {
        let asked = self.stage == Stage::Connect && !self.config.capabilities.is_silent();
        asked.then(|| ClientConfig {
            capabilities: Capabilities::default(),
            ..self.config.clone()
        })
    }

    /// The same where the handshake was somebody else's: RTMPE shakes hands below the session.
    /// `swf_key` is what it found for SWF verification.
    pub fn past_handshake(
        config: ClientConfig,
        now: Instant,
        seed: [u8; 32],
        swf_key: [u8; 32],
    ) -> Self {
        let mut session = Self {
            handshake: None,
            handshake_out: Transmit::default(),
            swf_key,
            ..Self::new(config, now, seed)
        };
        session.connect(now);
        session
    }

    /// Bytes of memory that what was received and not handed on holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.link.held()
    }

    /// How far the connection has come.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether this side sends the media.
    pub fn is_publisher(&self) -> bool {
        matches!(self.config.role, Role::Publish { .. })
    }

    /// What the server has said of Enhanced RTMP; nothing before [`Stage::CreateStream`].
    pub fn server(&self) -> &Capabilities {
        &self.server
    }

    /// Counters of the connection.
    pub fn stats(&self) -> LinkStats {
        self.link.stats()
    }

    /// Takes bytes from the server, all of them, cut anywhere.
    pub fn handle_input(&mut self, now: Instant, mut input: &[u8]) -> Result<(), SessionError> {
        if let Some(handshake) = &mut self.handshake {
            let progress = handshake.input(input, &mut self.handshake_out)?;
            input = input.get(progress.consumed..).unwrap_or_default();
            if self.stage == Stage::Handshake && handshake.may_send() {
                self.connect(now);
            }
            if !progress.done {
                return Ok(());
            }
            self.swf_key = self
                .handshake
                .take()
                .and_then(|handshake| handshake.swf_key())
                .unwrap_or_default();
        }
        self.link.listen();
        while let Some(message) = self.link.receive(&mut input)? {
            self.message(now, message)?;
        }
        Ok(())
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
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

    /// Fails where the server left a step unanswered.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        match self.deadline {
            Some(deadline) if now >= deadline => Err(match self.not_found.take() {
                // What the server did answer says more.
                Some(status) if self.stage == Stage::Start => SessionError::Refused(status),
                _ => SessionError::Timeout(self.stage),
            }),
            _ => Ok(()),
        }
    }

    /// Sends a tag of the stream that is being published. Must not be called before
    /// [`Stage::Running`]; it does nothing then.
    pub fn send_media(&mut self, tag: &Tag) {
        if self.stage == Stage::Running {
            self.link.send_tag(self.stream_id, tag, true);
        }
    }

    /// Asks for another position of a recording, ms. What is still under way from the old one is
    /// dropped until the server answers. It does nothing unless a stream is played.
    pub fn seek(&mut self, now: Instant, position: u32) {
        if !self.is_playing() {
            return;
        }
        self.seeking = true;
        // What was read before is from the old position, its end included.
        self.events
            .retain(|event| !matches!(event, ClientEvent::Media(_) | ClientEvent::End(_)));
        self.deadline = deadline(&self.config, now);
        let command = Command::new("seek", 0.0, vec![Value::Number(position.into())]);
        self.link.send_command(self.stream_id, &command);
    }

    /// Holds or resumes a recording at a position, ms. It does nothing unless a stream is played.
    pub fn pause(&mut self, pause: bool, position: u32) {
        if !self.is_playing() {
            return;
        }
        self.pauses = self.pauses.saturating_add(pause.into());
        let arguments = vec![Value::Boolean(pause), Value::Number(position.into())];
        self.link
            .send_command(self.stream_id, &Command::new("pause", 0.0, arguments));
    }

    /// Ends the stream politely; what is queued before it goes out first.
    pub fn stop(&mut self) {
        let began = matches!(self.stage, Stage::Start | Stage::Running);
        self.stage = Stage::Stopped;
        self.deadline = None;
        if !began {
            return;
        }
        let stop = match self.config.role {
            Role::Publish { stop } => stop,
            Role::Play { .. } => super::StopCommands {
                fc_unpublish: false,
                close_stream: false,
                delete_stream: true,
            },
        };
        if stop.fc_unpublish {
            let name = Value::String(self.config.stream.clone());
            self.request(Request::Courtesy, "FCUnpublish", vec![name]);
        }
        if stop.close_stream {
            self.link
                .send_command(self.stream_id, &Command::new("closeStream", 0.0, vec![]));
        }
        if stop.delete_stream {
            let id = Value::Number(self.stream_id.into());
            self.link
                .send_command(0, &Command::new("deleteStream", 0.0, vec![id]));
        }
    }

    fn is_playing(&self) -> bool {
        self.stage == Stage::Running && !self.is_publisher()
    }

    fn enter(&mut self, now: Instant, stage: Stage) {
        self.stage = stage;
        self.deadline = deadline(&self.config, now).filter(|_| stage < Stage::Running);
        self.events.push_back(ClientEvent::Stage(stage));
    }

    /// The bytes of the connect command follow C2 at once: a round trip less.
    fn connect(&mut self, now: Instant) {
        let mut object = Object::default();
        let query = self
            .config
            .auth_query
            .take()
            .or_else(|| self.config.authenticator.first_query());
        let with_query = |text: &str| match &query {
            Some(query) => auth::append_query(text, query),
            None => text.to_owned(),
        };
        object.push("app", with_query(&self.config.app));
        if self.is_publisher() {
            object.push("type", "nonprivate");
        }
        if let Some(version) = &self.config.flash_version {
            object.push("flashVer", version.as_str());
        }
        if let Some(url) = &self.config.swf_url {
            object.push("swfUrl", url.as_str());
        }
        object.push("tcUrl", with_query(&self.config.tc_url));
        if let Role::Play { .. } = self.config.role {
            // All of Flash Player's decoders: downstream of this plugin there is GStreamer.
            object.push("fpad", false);
            object.push("capabilities", 15.0);
            object.push("audioCodecs", 4071.0);
            object.push("videoCodecs", 252.0);
            object.push("videoFunction", 1.0);
        }
        if let Some(url) = &self.config.page_url {
            object.push("pageUrl", url.as_str());
        }
        object.push("objectEncoding", 0.0);
        // Behind what old servers look for.
        self.config.capabilities.announce(&mut object);
        let transaction = self.transaction(Request::Connect);
        let command = Command {
            name: "connect".to_owned(),
            transaction,
            object: object.into(),
            arguments: self.config.connect_arguments.clone(),
        };
        self.link.send_command(0, &command);
        self.enter(now, Stage::Connect);
    }

    fn transaction(&mut self, request: Request) -> f64 {
        let transaction = self.next_transaction;
        self.next_transaction += 1.0;
        self.pending.push((transaction, request));
        transaction
    }

    fn request(&mut self, request: Request, name: &str, arguments: Vec<Value>) {
        let transaction = self.transaction(request);
        self.link
            .send_command(0, &Command::new(name, transaction, arguments));
    }

    fn message(&mut self, now: Instant, message: Message) -> Result<(), SessionError> {
        match message.type_id {
            type_id::AUDIO | type_id::VIDEO | type_id::DATA | type_id::DATA_AMF3 => {
                if let Some(tag) = message.into_tag().and_then(normalise) {
                    self.media(now, tag);
                }
            }
            type_id::AGGREGATE => {
                let mut tags = Aggregate::new(message.timestamp, message.payload());
                for tag in tags.by_ref().take(limits::AGGREGATE) {
                    if let Some(tag) = normalise(tag?) {
                        self.media(now, tag);
                    }
                }
                if tags.next().is_some() {
                    return Err(SessionError::TooMuch("messages in an aggregate"));
                }
            }
            type_id::COMMAND | type_id::COMMAND_AMF3 => {
                let command = Command::parse(message.type_id, message.payload())?;
                self.command(now, command)?;
            }
            type_id::USER_CONTROL => self.user_control(UserControl::parse(message.payload())?),
            // Shared objects and types yet to be invented.
            _ => {}
        }
        Ok(())
    }

    /// Takes media on whatever message stream it comes: Node-Media-Server 4 and xiu use stream 0.
    fn media(&mut self, now: Instant, tag: Tag) {
        if tag.kind() == TagKind::Data && leading_string(tag.body()) == Some(b"onPlayStatus") {
            let end = amf0::decode_all(tag.body()).ok().is_some_and(|values| {
                let code = values
                    .iter()
                    .filter_map(Value::as_object)
                    .find_map(|o| o.string("code"));
                matches!(code, Some("NetStream.Play.Complete"))
            });
            if end && !self.seeking {
                self.events.push_back(ClientEvent::End(EndReason::Complete));
            }
            return;
        }
        if self.seeking || self.is_publisher() {
            return;
        }
        if self.stage == Stage::Start {
            // Some servers send the stream and no NetStream.Play.Start.
            self.enter(now, Stage::Running);
        }
        if self.stage == Stage::Running {
            self.position = tag.timestamp();
            self.events.push_back(ClientEvent::Media(tag));
        }
    }

    fn user_control(&mut self, event: UserControl) {
        match event {
            UserControl::StreamBegin(id) if id == self.stream_id => self.pauses = 0,
            UserControl::StreamIsRecorded(_) => {
                self.events.push_back(ClientEvent::StreamIsRecorded);
            }
            // Flash Media Server ends a stream that pauses, and begins it again when it goes on.
            UserControl::StreamEof(id) if id == self.stream_id && self.pauses > 0 => {
                self.pauses -= 1;
            }
            UserControl::StreamEof(id)
                if id == self.stream_id && self.stage == Stage::Running && !self.seeking =>
            {
                self.events.push_back(ClientEvent::End(EndReason::Stopped));
            }
            // Of methods over 1 nothing is known but that librtmp does not answer them either.
            UserControl::SwfVerifyRequest(0 | 1) => {
                if let Some(swf) = &self.config.swf {
                    let response = Bytes::copy_from_slice(&swf.response(&self.swf_key));
                    self.link
                        .send_user_control(&UserControl::SwfVerifyResponse(response));
                }
            }
            UserControl::BufferEmpty(id)
                // A server that sent a recording as far ahead as the buffer length waits for the
                // client's clock; pausing and resuming makes it send on at once, as librtmp does.
                if id == self.stream_id && self.recorded_only() => {
                    self.pause(true, self.position);
                    self.pause(false, self.position);
                }
            _ => {}
        }
    }

    fn recorded_only(&self) -> bool {
        matches!(
            self.config.role,
            Role::Play {
                range: PlayRange::Recorded(_),
                ..
            }
        )
    }

    fn command(&mut self, now: Instant, command: Command) -> Result<(), SessionError> {
        match command.name.as_str() {
            "_result" | "_error" => self.answer(now, &command),
            "onStatus" => self.status(now, &command),
            "close" => {
                let status = command
                    .information()
                    .map(Status::from_object)
                    .unwrap_or_default();
                self.events.push_back(ClientEvent::Closed(status));
                Ok(())
            }
            // Bandwidth checks and notices that want nothing of a publisher or player.
            "onBWDone" | "onFCPublish" | "onFCUnpublish" | "onFCSubscribe" | "onFCUnsubscribe" => {
                Ok(())
            }
            name => {
                if command.transaction != 0.0 {
                    // Zencoder and others wait for the answer to a bandwidth check.
                    let answer = if name == "onBWCheck" || name == "_onbwcheck" {
                        "_result"
                    } else {
                        "_error"
                    };
                    self.link
                        .send_command(0, &Command::new(answer, command.transaction, Vec::new()));
                }
                Ok(())
            }
        }
    }

    fn answer(&mut self, now: Instant, command: &Command) -> Result<(), SessionError> {
        let position = self
            .pending
            .iter()
            .position(|(id, _)| *id == command.transaction);
        let Some((_, request)) = position.map(|at| self.pending.remove(at)) else {
            return Ok(());
        };
        if self.stage == Stage::Stopped {
            return Ok(());
        }
        let status = command
            .information()
            .map(Status::from_object)
            .unwrap_or_default();
        let refused = command.name == "_error";
        match request {
            Request::Courtesy => Ok(()),
            Request::Connect if refused || status.is_error() => self.rejected(status),
            Request::Connect => {
                self.connected(now, command);
                Ok(())
            }
            Request::CreateStream | Request::Publish if refused => {
                Err(SessionError::Refused(status))
            }
            Request::Publish => Ok(()),
            Request::CreateStream => {
                let id = command
                    .arguments
                    .first()
                    .and_then(Value::as_number)
                    // Without the null of a command object, the number stands in its place.
                    .or(command.object.as_number())
                    .unwrap_or(1.0);
                // `as` saturates and turns NaN into 0: no number a server sends can do harm.
                self.stream_id = id as u32;
                self.start(now);
                Ok(())
            }
        }
    }

    /// The answer to a connect command was no: the beginning of an authentication, or the end.
    fn rejected(&mut self, status: Status) -> Result<(), SessionError> {
        let [a, b, c, d, ..] = self.seed;
        let challenge = u32::from_be_bytes([a, b, c, d]);
        let mut config = self.config.clone();
        match config
            .authenticator
            .on_reject(&status.description, challenge)
        {
            AuthStep::Retry { query } => {
                config.auth_query = Some(query);
                self.deadline = None;
                self.stage = Stage::Stopped;
                self.events.push_back(ClientEvent::Retry(Box::new(config)));
                Ok(())
            }
            AuthStep::Denied(reason) => Err(SessionError::NotAuthorized(reason)),
            AuthStep::NotAuth => Err(SessionError::Refused(status)),
        }
    }

    fn connected(&mut self, now: Instant, command: &Command) {
        // In the properties, and with some servers in the information behind them.
        let objects = command.arguments.iter().chain([&command.object]);
        for object in objects.filter_map(Value::as_object) {
            self.server.merge(&Capabilities::parse(object));
        }
        if let Some(key) = &self.config.secure_token {
            let challenge = command
                .information()
                .and_then(|info| info.string("secureToken"))
                .and_then(|token| auth::token::secure_token_response(token, key).ok());
            if let Some(response) = challenge {
                let command =
                    Command::new("secureTokenResponse", 0.0, vec![Value::String(response)]);
                self.link.send_command(0, &command);
            }
        }
        self.link.change_chunk_size(self.config.chunk_size);
        let stream = Value::String(self.config.stream.clone());
        match self.config.role.clone() {
            Role::Publish { .. } => {
                self.request(Request::Courtesy, "releaseStream", vec![stream.clone()]);
                self.request(Request::Courtesy, "FCPublish", vec![stream]);
            }
            Role::Play { subscribe, .. } => {
                if let Some(token) = &self.config.usher_token {
                    let token = Value::String(token.clone());
                    self.request(
                        Request::Courtesy,
                        "NetStream.Authenticate.UsherToken",
                        vec![token],
                    );
                }
                if let Some(name) = subscribe {
                    self.request(Request::Courtesy, "FCSubscribe", vec![Value::String(name)]);
                }
            }
        }
        self.request(Request::CreateStream, "createStream", Vec::new());
        self.enter(now, Stage::CreateStream);
    }

    fn start(&mut self, now: Instant) {
        match self.config.role.clone() {
            Role::Publish { .. } => {
                let name = Value::String(self.config.stream.clone());
                let transaction = self.transaction(Request::Publish);
                let command = Command::new("publish", transaction, vec![name, "live".into()]);
                self.link.send_command(self.stream_id, &command);
            }
            Role::Play {
                buffer, playlist, ..
            } => {
                let stream_id = self.stream_id;
                self.link.send_user_control(&UserControl::SetBufferLength {
                    stream_id,
                    ms: buffer,
                });
                if playlist {
                    self.set_playlist();
                }
                self.play();
            }
        }
        self.enter(now, Stage::Start);
    }

    /// librtmp's `set_playlist`: an array with the one stream, in the shape that servers with a
    /// playlist application expect.
    fn set_playlist(&mut self) {
        let mut list = Object::default();
        list.push("0", self.config.stream.as_str());
        let command = Command::new("set_playlist", 0.0, vec![Value::EcmaArray(list)]);
        self.link.send_command(self.stream_id, &command);
    }

    fn play(&mut self) {
        let Role::Play {
            range, duration, ..
        } = self.config.role
        else {
            return;
        };
        let start = match range {
            PlayRange::Auto => -2000.0,
            PlayRange::Live => -1000.0,
            PlayRange::Recorded(ms) => f64::from(ms),
        };
        let mut arguments = vec![Value::String(self.config.stream.clone()), start.into()];
        arguments.extend(duration.map(|ms| Value::Number(ms.into())));
        self.link
            .send_command(self.stream_id, &Command::new("play", 0.0, arguments));
    }

    fn status(&mut self, now: Instant, command: &Command) -> Result<(), SessionError> {
        let Some(info) = command.information() else {
            return Ok(());
        };
        let status = Status::from_object(info);
        match status.code.as_str() {
            "NetConnection.Connect.ReconnectRequest" => {
                self.events.push_back(ClientEvent::ReconnectRequest {
                    tc_url: info.string("tcUrl").map(str::to_owned),
                    description: status.description,
                });
                return Ok(());
            }
            "NetConnection.Connect.Rejected" if self.stage == Stage::Connect => {
                return self.rejected(status);
            }
            "NetConnection.Connect.Closed" | "NetConnection.Connect.AppShutdown" => {
                self.events.push_back(ClientEvent::Closed(status));
                return Ok(());
            }
            // A live stream whose publisher comes after its player starts with the notice of that, for
            // some servers.
            "NetStream.Publish.Start" | "NetStream.Play.Start" | "NetStream.Play.PublishNotify"
                if self.stage == Stage::Start =>
            {
                self.enter(now, Stage::Running);
                return Ok(());
            }
            // Red5 does not know a live stream before its publisher comes, unless it is asked for
            // a live stream.
            "NetStream.Play.StreamNotFound"
                if self.stage == Stage::Start && self.try_live_instead() =>
            {
                self.not_found = Some(status);
                return Ok(());
            }
            "NetStream.Seek.Notify" if self.seeking => {
                self.seeking = false;
                self.deadline = None;
                self.events.push_back(ClientEvent::SeekDone);
                return Ok(());
            }
            "NetStream.Seek.Failed" | "NetStream.Seek.InvalidTime" if self.seeking => {
                self.seeking = false;
                self.deadline = None;
                self.events.push_back(ClientEvent::SeekFailed(status));
                return Ok(());
            }
            "NetStream.Play.Stop" | "NetStream.Play.Complete" if !self.seeking => {
                let reason = if status.code.ends_with("Complete") {
                    EndReason::Complete
                } else {
                    EndReason::Stopped
                };
                self.events.push_back(ClientEvent::End(reason));
                return Ok(());
            }
            "NetStream.Play.UnpublishNotify" => {
                self.events
                    .push_back(ClientEvent::End(EndReason::Unpublished));
                return Ok(());
            }
            "NetStream.Unpause.Notify" => self.pauses = 0,
            // Nobody asked.
            code if code.starts_with("NetStream.Seek.") => {}
            // One of the courtesies is unknown to the server.
            code if code.starts_with("NetConnection.Call.") => {}
            // Recording is the server's own affair.
            code if code.starts_with("NetStream.Record.") => {}
            _ if status.is_error() && self.stage < Stage::Stopped => {
                return Err(SessionError::Refused(status));
            }
            _ => {}
        }
        self.events.push_back(ClientEvent::Status(status));
        Ok(())
    }

    /// Asks once more for a live stream where "either" was refused.
    fn try_live_instead(&mut self) -> bool {
        match &mut self.config.role {
            Role::Play {
                range: range @ PlayRange::Auto,
                ..
            } => {
                *range = PlayRange::Live;
                self.play();
                true
            }
            _ => false,
        }
    }
}

/// When a step that begins now has taken too long.
fn deadline(config: &ClientConfig, now: Instant) -> Option<Instant> {
    let limit = Some(config.timeout).filter(|limit| !limit.is_zero());
    limit.and_then(|limit| now.checked_add(limit))
}
