// SPDX-License-Identifier: MPL-2.0

//! The client's session: its stages, and what an application does with it. `ask` has what it sends, `heard` what
//! it makes of the answers.

mod ask;
mod heard;

use std::{collections::VecDeque, fmt, time::Instant};

use super::{
    Capabilities, ClientConfig, EndReason, LinkStats, Role, SessionError, Status, link::Link,
};
use crate::protocol::{
    flv::Tag,
    rtmp::{amf::Value, handshake::ClientHandshake, message::Command, transmit::Transmit},
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
}

/// When a step that begins now has taken too long.
fn deadline(config: &ClientConfig, now: Instant) -> Option<Instant> {
    let limit = Some(config.timeout).filter(|limit| !limit.is_zero());
    limit.and_then(|limit| now.checked_add(limit))
}
