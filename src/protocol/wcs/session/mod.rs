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

mod allowance;
mod call;
mod config;
mod error;
mod event;
mod heard;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use serde_json::Value;

use self::{
    allowance::Allowance,
    call::{Call, Progress},
};
pub use self::{
    config::{SessionConfig, Timeouts},
    error::{AskError, CallError, SessionError},
    event::{Event, Stats, Transmit},
};
use super::{
    SessionStatus, StreamEventType, limits,
    message::{
        AvailableStream, ClientMessage, OutgoingEvent, PlayStream, PublishStream, SendData,
        ServerMessage, Snapshot,
    },
};

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

/// `None` where the span is zero, which stands for ever.
fn after(now: Instant, span: Duration) -> Option<Instant> {
    (!span.is_zero()).then(|| now.checked_add(span)).flatten()
}

fn is_due(deadline: Option<Instant>, now: Instant) -> bool {
    deadline.is_some_and(|deadline| deadline <= now)
}
