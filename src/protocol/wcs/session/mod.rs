// SPDX-License-Identifier: MPL-2.0

//! One client session with its calls: who may say what when, and how long an answer may take.
//!
//! It never waits and has no clock: text frames go in by [`ClientSession::handle_text`], what is to be
//! sent comes out of [`ClientSession::poll_transmit`], what happened out of
//! [`ClientSession::poll_event`], the time is an argument. After each input, event and transmit have to
//! be polled until there are no more.
//!
//! A call goes through these steps, each with its deadline:
//!
//! ```text
//! publish() / play()  ->  setRemoteSDP  ->  PUBLISHING / PLAYING  ->  end()  ->  UNPUBLISHED / STOPPED
//!          timeouts.answer        timeouts.start           for ever       timeouts.end
//! ```
//!
//! A message about a call that is not known is counted and dropped, and whatever a server says too
//! often is counted and not told: see [`limits::CHATTER`].

mod call;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use serde_json::Value;

use self::call::{Call, Progress};
use super::{
    SessionStatus, StreamEventType, StreamStatus, limits,
    message::{
        Availability, AvailableStream, ClientMessage, Connection, DataStatus, Fail, Other,
        OutgoingEvent, PlayStream, PublishStream, SendData, ServerMessage, Snapshot, StreamEvent,
        StreamState, UserData, VideoFormat, VideoRate,
    },
};

/// How long each step may take. Zero is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From `connection` to `getUserData`.
    pub session: Duration,
    /// From an offer to the server's answer.
    pub answer: Duration,
    /// From the answer to media: ICE, DTLS, and what the server wants to see before it says so.
    pub start: Duration,
    /// From asking for the end to the end.
    pub end: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            session: Duration::from_secs(10),
            answer: limits::ANSWER,
            start: Duration::from_secs(20),
            end: Duration::from_secs(5),
        }
    }
}

/// What a session is to be.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The first message.
    pub connection: Connection,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// After this much silence of the server it is asked whether it is there. Zero for never.
    pub ping_interval: Duration,
    /// After this many questions without an answer it counts as gone. Zero for never.
    pub ping_probes: u32,
}

/// Why a session is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// `getUserData` did not come.
    #[error("the server did not establish the session within {0:?}")]
    NotEstablished(Duration),
    /// `getUserData` says no.
    #[error("the server refuses the session: {0}")]
    Refused(String),
    /// Nothing was heard, ping or not.
    #[error("the server has been silent for {0:?}, also when asked whether it is there")]
    Silent(Duration),
    /// It reads nothing of what is sent.
    #[error("the server reads nothing; {0} messages wait for it")]
    Stuck(usize),
}

/// Why a call is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The server says that it failed, and perhaps why.
    #[error("the stream failed: {}", .0.as_deref().unwrap_or("the server does not say why"))]
    Failed(Option<String>),
    /// No answer to the offer.
    #[error("the server did not answer within {0:?}")]
    NoAnswer(Duration),
    /// The server says that it is over, before it flowed.
    #[error("the stream ended before it began: {}", .0.as_deref().unwrap_or("the server does not say why"))]
    NeverBegan(Option<String>),
    /// An answer, and then no media.
    #[error("the stream did not start within {0:?} after the server's answer")]
    NotStarted(Duration),
}

/// Why something cannot be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The session is not established, or no longer.
    #[error("the session is not established")]
    NotEstablished,
    /// There is such a call already.
    #[error("the media session id is in use")]
    InUse,
    /// There is no such call.
    #[error("there is no such call")]
    NoSuchCall,
    /// More calls than a session may have.
    #[error("the session has too many calls")]
    TooMany,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Streams can be asked for.
    Established(UserData),
    /// The server's version.
    Version(String),
    /// The answer to a call's offer, its first one.
    Answer {
        /// The call.
        id: String,
        /// As it came.
        sdp: String,
    },
    /// How a call is doing, other than before or with more to say.
    Status(StreamState),
    /// A call is over: as asked for or by the server (`Ok`), or for a reason. It is forgotten.
    Ended {
        /// The call.
        id: String,
        /// Why.
        result: Result<Option<String>, CallError>,
    },
    /// Codec of the sound of a call.
    AudioCodec {
        /// The call.
        id: String,
        /// The server's name for it.
        name: String,
    },
    /// Size of the picture of a call.
    VideoFormat(VideoFormat),
    /// What arrives at the server.
    InboundVideoRate(VideoRate),
    /// What the server sends.
    OutboundVideoRate(VideoRate),
    /// Something happened in a stream.
    StreamEvent(StreamEvent),
    /// The answer to [`ClientSession::ask_available`].
    Available(Availability),
    /// The answer to [`ClientSession::send_data`].
    DataStatus(DataStatus),
    /// From the application behind the server.
    Data(Value),
    /// The server reports a failure that ends no call.
    Warning(Fail),
    /// A message that is not known.
    Unknown(Other),
    /// Text that is no message, and why.
    Malformed(String),
    /// The session is over, and all its calls with it.
    Failed(SessionError),
}

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// A text frame.
    Text(String),
    /// A ping of WebSocket's own, which every server answers.
    Ping,
}

/// Counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages that came.
    pub received: u64,
    /// Messages that were sent.
    pub sent: u64,
    /// Of those that came, about calls that are not known.
    pub stray: u64,
    /// Of those that came, not told because there were too many.
    pub untold: u64,
    /// Of those that came, no messages at all.
    pub malformed: u64,
}

/// See the module's text.
#[derive(Debug)]
pub struct ClientSession {
    config: SessionConfig,
    status: SessionStatus,
    /// Of `getUserData`.
    deadline: Option<Instant>,
    calls: BTreeMap<String, Call>,
    /// Ids of [`Self::ask_available`] and [`Self::send_data`].
    questions: VecDeque<String>,
    outbox: VecDeque<Transmit>,
    events: VecDeque<Event>,
    heard: Instant,
    /// When it was asked last.
    pinged: Instant,
    /// Pings since something was heard.
    pings: u32,
    chatter: Allowance,
    stats: Stats,
}

impl ClientSession {
    /// A session on a WebSocket that has just opened.
    pub fn new(config: SessionConfig, now: Instant) -> Self {
        let connection = ClientMessage::Connection(config.connection.clone());
        let mut session = Self {
            deadline: after(now, config.timeouts.session),
            status: SessionStatus::Connected,
            config,
            calls: BTreeMap::new(),
            questions: VecDeque::new(),
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            heard: now,
            pinged: now,
            pings: 0,
            chatter: Allowance::new(now),
            stats: Stats::default(),
        };
        session.send(&connection);
        session
    }

    /// How it is doing.
    pub fn status(&self) -> &SessionStatus {
        &self.status
    }

    /// Counters until now.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// What happened, if anything.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What to send, if anything.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if !self.is_alive() {
            return None;
        }
        let calls = self.calls.values().filter_map(Call::deadline);
        calls.chain(self.deadline).chain(self.next_ping()).min()
    }

    /// Asks for a stream to be taken. The call is named by the `media_session_id`.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn publish(&mut self, now: Instant, request: PublishStream) -> Result<(), AskError> {
        self.add_call(now, &request.media_session_id, &request.name, true)?;
        self.send(&ClientMessage::PublishStream(request));
        Ok(())
    }

    /// Asks for a stream to be sent. The call is named by the `media_session_id`.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn play(&mut self, now: Instant, request: PlayStream) -> Result<(), AskError> {
        self.add_call(now, &request.media_session_id, &request.name, false)?;
        self.send(&ClientMessage::PlayStream(request));
        Ok(())
    }

    /// Asks for the end of a call. Where it ends is told, now or within the time for it.
    ///
    /// # Errors
    /// [`AskError::NoSuchCall`].
    pub fn end(&mut self, now: Instant, id: &str) -> Result<(), AskError> {
        let call = self.calls.get_mut(id).ok_or(AskError::NoSuchCall)?;
        if call.progress == Progress::Ending {
            return Ok(());
        }
        call.step(Progress::Ending, after(now, self.config.timeouts.end));
        let request = call.end_request(id);
        let message = match call.published {
            true => ClientMessage::UnPublishStream(request),
            false => ClientMessage::StopStream(request),
        };
        self.send(&message);
        Ok(())
    }

    /// Forgets a call that failed on our side, and tells the server that it is over.
    ///
    /// # Errors
    /// [`AskError::NoSuchCall`].
    pub fn abandon(&mut self, now: Instant, id: &str) -> Result<(), AskError> {
        self.end(now, id)?;
        self.calls.remove(id);
        Ok(())
    }

    /// Asks whether there is a stream. `id` names the question.
    ///
    /// # Errors
    /// [`AskError::NotEstablished`].
    pub fn ask_available(&mut self, id: &str, name: &str) -> Result<(), AskError> {
        self.question(id)?;
        self.send(&ClientMessage::AvailableStream(AvailableStream {
            media_session_id: id.to_owned(),
            name: name.to_owned(),
        }));
        Ok(())
    }

    /// Sends something to the application behind the server. `id` names the operation.
    ///
    /// # Errors
    /// [`AskError::NotEstablished`].
    pub fn send_data(&mut self, id: &str, payload: Value) -> Result<(), AskError> {
        self.question(id)?;
        self.send(&ClientMessage::SendData(SendData {
            operation_id: id.to_owned(),
            payload,
        }));
        Ok(())
    }

    /// Tells what happened in a stream that we publish.
    ///
    /// # Errors
    /// [`AskError::NoSuchCall`].
    pub fn send_stream_event(
        &mut self,
        id: &str,
        kind: StreamEventType,
        payload: Option<Value>,
    ) -> Result<(), AskError> {
        if !self.calls.contains_key(id) {
            return Err(AskError::NoSuchCall);
        }
        self.send(&ClientMessage::SendStreamEvent(OutgoingEvent {
            media_session_id: id.to_owned(),
            kind,
            payload,
        }));
        Ok(())
    }

    /// Asks for a picture of a stream. What becomes of it is told as a stream event.
    ///
    /// # Errors
    /// [`AskError::NoSuchCall`].
    pub fn snapshot(&mut self, id: &str) -> Result<(), AskError> {
        let call = self.calls.get(id).ok_or(AskError::NoSuchCall)?;
        let message = ClientMessage::Snapshot(Snapshot {
            name: call.name.clone(),
            media_session_id: id.to_owned(),
        });
        self.send(&message);
        Ok(())
    }

    /// Ends every call, for a session that is being left.
    pub fn leave(&mut self, now: Instant) {
        let ids: Vec<_> = self.calls.keys().cloned().collect();
        for id in ids {
            // It is one of those that there are.
            let _ = self.end(now, &id);
        }
    }

    /// How many calls there are, those that are being ended included.
    pub fn calls(&self) -> usize {
        self.calls.len()
    }

    /// Takes a sign of life that is no text: a frame of WebSocket's own.
    pub fn handle_sign_of_life(&mut self, now: Instant) {
        self.heard = now;
        self.pings = 0;
    }

    /// Takes a text frame.
    pub fn handle_text(&mut self, now: Instant, text: &str) {
        if !self.is_alive() {
            return;
        }
        self.handle_sign_of_life(now);
        self.stats.received += 1;
        match ServerMessage::parse(text) {
            Ok(message) => self.handle_message(now, message),
            Err(error) => {
                self.stats.malformed += 1;
                self.chat(now, Event::Malformed(error.to_string()));
            }
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if !self.is_alive() {
            return;
        }
        if is_due(self.deadline, now) {
            return self.fail(SessionError::NotEstablished(self.config.timeouts.session));
        }
        let late = self
            .calls
            .iter()
            .filter(|(_, call)| is_due(call.deadline(), now));
        let late: BTreeSet<String> = late.map(|(id, _)| id.clone()).collect();
        for id in late {
            self.give_up(&id);
        }
        if is_due(self.next_ping(), now) {
            let probes = self.config.ping_probes;
            if probes > 0 && self.pings >= probes {
                let silence = now.saturating_duration_since(self.heard);
                return self.fail(SessionError::Silent(silence));
            }
            self.pings = self.pings.saturating_add(1);
            self.pinged = now;
            self.send(&ClientMessage::Ping);
            self.outbox.push_back(Transmit::Ping);
        }
    }

    /// Counted from the last question too: whoever comes late, after a machine slept, asks once and waits.
    fn next_ping(&self) -> Option<Instant> {
        after(self.heard.max(self.pinged), self.config.ping_interval)
    }

    fn handle_message(&mut self, now: Instant, message: ServerMessage) {
        match message {
            ServerMessage::GetUserData(data) => self.greeted(data),
            ServerMessage::GetVersion(version) => self.chat(now, Event::Version(version)),
            ServerMessage::Ping => {
                // A server that floods us gets one answer for what came before we got to write.
                let pong = Transmit::Text(ClientMessage::Pong.to_json());
                if self.outbox.back() != Some(&pong) {
                    self.outbox.push_back(pong);
                }
            }
            ServerMessage::Pong => {}
            ServerMessage::SetRemoteSdp {
                media_session_id: id,
                sdp,
            } => self.answered(now, id, sdp),
            ServerMessage::NotifyStreamStatusEvent(state) => self.told(now, state),
            ServerMessage::Fail(fail) if fail.api_method == "StreamStatusEvent" => {
                self.told(
                    now,
                    StreamState {
                        media_session_id: fail.id,
                        // That it failed is what the message says.
                        status: match fail.status.as_str() {
                            "" => StreamStatus::Failed,
                            _ => fail.status,
                        },
                        info: fail.info,
                        ..StreamState::default()
                    },
                );
            }
            ServerMessage::Fail(fail) => self.chat(now, Event::Warning(fail)),
            ServerMessage::NotifyAudioCodec {
                media_session_id: id,
                name,
            } => self.chat_of_call(now, id.clone(), Event::AudioCodec { id, name }),
            ServerMessage::NotifyVideoFormat(format) => {
                self.chat_of_call(
                    now,
                    format.media_session_id.clone(),
                    Event::VideoFormat(format),
                );
            }
            ServerMessage::InboundVideoRate(rate) => {
                self.chat_of_call(
                    now,
                    rate.media_session_id.clone(),
                    Event::InboundVideoRate(rate),
                );
            }
            ServerMessage::OutboundVideoRate(rate) => {
                self.chat_of_call(
                    now,
                    rate.media_session_id.clone(),
                    Event::OutboundVideoRate(rate),
                );
            }
            ServerMessage::NotifyStreamEvent(event) => {
                self.chat_of_call(
                    now,
                    event.media_session_id.clone(),
                    Event::StreamEvent(event),
                );
            }
            ServerMessage::AvailableStream(answer) => match self.is_answer(&answer.id) {
                true => self.events.push_back(Event::Available(answer)),
                false => self.stats.stray += 1,
            },
            ServerMessage::DataStatusEvent(answer) => match self.is_answer(&answer.operation_id) {
                true => self.events.push_back(Event::DataStatus(answer)),
                false => self.stats.stray += 1,
            },
            ServerMessage::OnDataEvent(payload) => self.chat(now, Event::Data(payload)),
            ServerMessage::Other(other) => self.chat(now, Event::Unknown(other)),
        }
    }

    fn greeted(&mut self, data: UserData) {
        if self.status != SessionStatus::Connected {
            return;
        }
        match &data.status {
            SessionStatus::Established => {
                self.status = SessionStatus::Established;
                self.deadline = None;
                self.events.push_back(Event::Established(data));
            }
            // Before the server has made up its mind.
            SessionStatus::Pending | SessionStatus::Connected => {}
            status => {
                let info = data.rest.get("info").and_then(Value::as_str);
                let why = info.unwrap_or(match status.as_str() {
                    "" => "it does not say why",
                    status => status,
                });
                self.fail(SessionError::Refused(why.to_owned()));
            }
        }
    }

    fn answered(&mut self, now: Instant, id: String, sdp: String) {
        let Some(call) = self.calls.get_mut(&id) else {
            self.stats.stray += 1;
            return;
        };
        // A second one changes nothing that WebRTC could change then.
        if call.progress == Progress::Asked {
            // A hasty server has said so before.
            match call.is_running(&call.status) {
                true => call.step(Progress::Running, None),
                false => call.step(Progress::Answered, after(now, self.config.timeouts.start)),
            }
            self.events.push_back(Event::Answer { id, sdp });
        }
    }

    fn told(&mut self, now: Instant, state: StreamState) {
        let Some(call) = self.calls.get_mut(&state.media_session_id) else {
            self.stats.stray += 1;
            return;
        };
        let id = state.media_session_id.clone();
        let status = state.status.clone();
        if call.is_running(&status) && call.progress == Progress::Answered {
            call.step(Progress::Running, None);
            call.status = status;
            // Comes once, and is told whatever else the server says.
            return self.events.push_back(Event::Status(state));
        }
        call.status = status.clone();
        if !status.is_end() {
            return self.chat(now, Event::Status(state));
        }
        let began = matches!(call.progress, Progress::Running | Progress::Ending);
        self.calls.remove(&id);
        let result = match status {
            StreamStatus::Failed => Err(CallError::Failed(state.info.clone())),
            _ if !began => Err(CallError::NeverBegan(state.info.clone())),
            _ => Ok(state.info.clone()),
        };
        self.events.push_back(Event::Status(state));
        self.events.push_back(Event::Ended { id, result });
    }

    fn give_up(&mut self, id: &str) {
        let Some(call) = self.calls.get(id) else {
            return;
        };
        let timeouts = self.config.timeouts;
        let result = match call.progress {
            Progress::Asked => Err(CallError::NoAnswer(timeouts.answer)),
            Progress::Answered => Err(CallError::NotStarted(timeouts.start)),
            Progress::Running => return,
            // The server does not confirm it, and it is over all the same.
            Progress::Ending => Ok(None),
        };
        if result.is_err() {
            let request = call.end_request(id);
            let message = match call.published {
                true => ClientMessage::UnPublishStream(request),
                false => ClientMessage::StopStream(request),
            };
            self.send(&message);
        }
        self.calls.remove(id);
        let id = id.to_owned();
        self.events.push_back(Event::Ended { id, result });
    }

    fn add_call(
        &mut self,
        now: Instant,
        id: &str,
        name: &str,
        published: bool,
    ) -> Result<(), AskError> {
        if self.status != SessionStatus::Established {
            return Err(AskError::NotEstablished);
        }
        if self.calls.contains_key(id) {
            return Err(AskError::InUse);
        }
        if self.calls.len() >= limits::CALLS {
            return Err(AskError::TooMany);
        }
        let deadline = after(now, self.config.timeouts.answer);
        let call = Call::new(name, published, deadline);
        self.calls.insert(id.to_owned(), call);
        Ok(())
    }

    fn question(&mut self, id: &str) -> Result<(), AskError> {
        if self.status != SessionStatus::Established {
            return Err(AskError::NotEstablished);
        }
        if self.questions.len() >= limits::QUESTIONS {
            self.questions.pop_front();
        }
        self.questions.push_back(id.to_owned());
        Ok(())
    }

    fn is_answer(&mut self, id: &str) -> bool {
        let at = self.questions.iter().position(|asked| asked == id);
        at.is_some_and(|at| self.questions.remove(at).is_some())
    }

    fn send(&mut self, message: &ClientMessage) {
        if self.outbox.len() >= limits::OUTBOX {
            return self.fail(SessionError::Stuck(self.outbox.len()));
        }
        self.stats.sent += 1;
        self.outbox.push_back(Transmit::Text(message.to_json()));
    }

    fn chat(&mut self, now: Instant, event: Event) {
        match self.chatter.take(now) {
            true => self.events.push_back(event),
            false => self.stats.untold += 1,
        }
    }

    fn chat_of_call(&mut self, now: Instant, id: String, event: Event) {
        match self.calls.contains_key(&id) {
            true => self.chat(now, event),
            false => self.stats.stray += 1,
        }
    }

    fn fail(&mut self, error: SessionError) {
        self.status = SessionStatus::Failed;
        self.calls.clear();
        self.outbox.clear();
        self.events.push_back(Event::Failed(error));
    }

    fn is_alive(&self) -> bool {
        matches!(
            self.status,
            SessionStatus::Connected | SessionStatus::Established
        )
    }
}

/// How much may be told: so much at once, and then so much a second.
#[derive(Debug)]
struct Allowance {
    left: u32,
    refilled: Instant,
}

impl Allowance {
    fn new(now: Instant) -> Self {
        Self {
            left: limits::CHATTER,
            refilled: now,
        }
    }

    fn take(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / limits::CHATTER_PER_SECOND;
        let passed = now.saturating_duration_since(self.refilled);
        let more = u32::try_from(passed.as_nanos() / each.as_nanos()).unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(limits::CHATTER);
            self.refilled = now;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

/// `None` where the span is zero, which stands for ever.
fn after(now: Instant, span: Duration) -> Option<Instant> {
    (!span.is_zero()).then(|| now.checked_add(span)).flatten()
}

fn is_due(deadline: Option<Instant>, now: Instant) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}
