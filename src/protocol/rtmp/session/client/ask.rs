// SPDX-License-Identifier: MPL-2.0

//! What a client asks for, one step after the other: connect, a stream, to publish or to play.

use std::time::Instant;

use super::{
    super::{Capabilities, PlayRange, Role},
    ClientSession, Request, Stage,
};
use crate::protocol::rtmp::{
    amf::{Object, Value},
    auth,
    message::{Command, UserControl},
};

impl ClientSession {
    /// The bytes of the connect command follow C2 at once: a round trip less.
    pub(super) fn connect(&mut self, now: Instant) {
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

    pub(super) fn request(&mut self, request: Request, name: &str, arguments: Vec<Value>) {
        let transaction = self.transaction(request);
        self.link
            .send_command(0, &Command::new(name, transaction, arguments));
    }

    pub(super) fn connected(&mut self, now: Instant, command: &Command) {
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

    pub(super) fn start(&mut self, now: Instant) {
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

    pub(super) fn play(&mut self) {
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
}
