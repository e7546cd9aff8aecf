// SPDX-License-Identifier: MPL-2.0

//! What a client says to a server.

use super::{
    Activity, Connect, ServerEvent, ServerSession,
    answers::{error_information, information},
};
use crate::protocol::rtmp::{
    amf::Value,
    chunk::Message,
    limits,
    message::{Aggregate, Command, type_id},
    session::{SessionError, link::normalise},
};

impl ServerSession {
    pub(super) fn message(&mut self, message: Message) -> Result<(), SessionError> {
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
        match self.streams.get(stream_id) {
            Some(Activity::Publishing { .. }) => Some(stream_id),
            Some(_) => None,
            None => {
                let mut publications = self.streams.iter().filter_map(|(id, activity)| {
                    matches!(activity, Activity::Publishing { .. }).then_some(id)
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
                // The lowest that is free. Players that make a stream for each thing they play have
                // the same one each time, as the first has on every server.
                let id = (1..)
                    .find(|id| self.streams.get(*id).is_none())
                    .unwrap_or(1);
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
                        for id in self.streams.iter().map(|(id, _)| id).collect::<Vec<_>>() {
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
            "pause" | "pauseRaw" => {
                let paused = flag(&command).unwrap_or(true);
                self.pause(stream_id, paused);
            }
            "receiveAudio" | "receiveVideo" => {
                let (video, wanted) = (command.name == "receiveVideo", flag(&command));
                self.receive_kind(stream_id, video, wanted.unwrap_or(true));
            }
            "seek" => {
                if self.plays(stream_id) {
                    let info = error_information(
                        "NetStream.Seek.Failed",
                        "A live stream has one place only.",
                    );
                    let answer = Command::new("onStatus", 0.0, vec![info.into()]);
                    self.link.send_command(stream_id, &answer);
                }
            }
            "_result" | "_error" | "onStatus" => {}
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
        let enhanced = [
            "fourCcList",
            "videoFourCcInfoMap",
            "audioFourCcInfoMap",
            "capsEx",
        ]
        .iter()
        .any(|field| object.get(field).is_some());
        self.connect = Connect::Asked {
            transaction: command.transaction,
            object_encoding,
            enhanced,
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
        match self.streams.get(stream_id) {
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

    fn plays(&self, stream_id: u32) -> bool {
        matches!(self.streams.get(stream_id), Some(Activity::Playing { .. }))
    }

    fn pause(&mut self, stream_id: u32, paused: bool) {
        if self.plays(stream_id) {
            let (code, text) = match paused {
                true => ("NetStream.Pause.Notify", "Paused."),
                false => ("NetStream.Unpause.Notify", "Goes on."),
            };
            self.on_status(stream_id, code, text);
            self.events
                .push_back(ServerEvent::Pause { stream_id, paused });
        }
    }

    fn receive_kind(&mut self, stream_id: u32, video: bool, wanted: bool) {
        if self.plays(stream_id) {
            if wanted {
                // RTMP 1.0, sections 7.2.2.4 and 7.2.2.5.
                self.on_status(stream_id, "NetStream.Seek.Notify", "At the live edge.");
                self.on_status(stream_id, "NetStream.Play.Start", "Goes on.");
            }
            self.events.push_back(ServerEvent::Receive {
                stream_id,
                video,
                wanted,
            });
        }
    }

    fn stop(&mut self, stream_id: u32) {
        if let Some(activity) = self.streams.get_mut(stream_id) {
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
        self.streams.remove(stream_id);
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

/// The yes or no that a command carries first.
fn flag(command: &Command) -> Option<bool> {
    match command.arguments.first()? {
        Value::Boolean(flag) => Some(*flag),
        Value::Number(number) => Some(*number != 0.0),
        _ => None,
    }
}
