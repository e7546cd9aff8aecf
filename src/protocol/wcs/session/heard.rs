// SPDX-License-Identifier: MPL-2.0

//! What the server says, and what becomes of it.

use std::time::Instant;

use serde_json::Value;

use super::{
    ClientSession, after,
    call::Progress,
    error::{CallError, SessionError},
    event::{Event, Transmit},
};
use crate::protocol::wcs::{
    SessionStatus, StreamStatus,
    message::{ClientMessage, ServerMessage, StreamState, UserData},
};

impl ClientSession {
    pub(super) fn handle_message(&mut self, now: Instant, message: ServerMessage) {
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
}
