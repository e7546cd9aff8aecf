// SPDX-License-Identifier: MPL-2.0

//! What a server says, and what comes of it.

use std::time::Instant;

use bytes::Bytes;

use super::{
    super::{
        EndReason, PlayRange, Role, SessionError, Status,
        link::{leading_string, normalise},
    },
    ClientEvent, ClientSession, Request, Stage,
};
use crate::protocol::{
    flv::{Tag, TagKind},
    rtmp::{
        amf::{Value, amf0},
        auth::AuthStep,
        chunk::Message,
        limits,
        message::{Aggregate, Command, UserControl, type_id},
    },
};

impl ClientSession {
    pub(super) fn message(&mut self, now: Instant, message: Message) -> Result<(), SessionError> {
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
