// SPDX-License-Identifier: MPL-2.0

//! A scripted client, down to single commands.

use std::io;

use crate::support::{
    amf0::Amf,
    flv_builder::FlvBuilder,
    flvdump::{self, Packet},
    rtmp_peer::{COMMAND, Command, Message, Peer},
};

pub(crate) struct Client {
    pub(crate) peer: Peer,
    transaction: f64,
    /// Everything that was read so far.
    pub(crate) seen: Vec<Message>,
}

impl Client {
    /// Connects to an application; the properties come behind `app`.
    pub(crate) fn connect(port: u16, app: &str, more: &[(&str, Amf)]) -> io::Result<Self> {
        let mut client = Self {
            peer: Peer::call(port)?,
            transaction: 1.0,
            seen: Vec::new(),
        };
        let url = format!("rtmp://127.0.0.1:{port}/{app}");
        let mut object = vec![("app", Amf::string(app)), ("tcUrl", Amf::string(&url))];
        object.extend(more.iter().cloned());
        let connect = [
            Amf::string("connect"),
            Amf::Number(1.0),
            Amf::object(&object),
        ];
        client.peer.send_command(0, &connect)?;
        Ok(client)
    }

    /// The same, and waits until it is granted.
    #[track_caller]
    pub(crate) fn connected(port: u16, app: &str) -> Self {
        let mut client = Self::connect(port, app, &[]).expect("a connection");
        client.command("_result").expect("connect is granted");
        client
    }

    /// Makes a message stream.
    #[track_caller]
    pub(crate) fn create_stream(&mut self) -> u32 {
        self.transaction += 1.0;
        let transaction = Amf::Number(self.transaction);
        let create = [Amf::string("createStream"), transaction, Amf::Null];
        self.peer.send_command(0, &create).expect("room to write");
        let result = self.command("_result").expect("createStream is granted");
        let id = result.arguments.last().and_then(Amf::as_number);
        id.expect("a number") as u32
    }

    /// Sends a command that wants no answer.
    #[track_caller]
    pub(crate) fn say(&mut self, stream: u32, name: &str, arguments: &[Amf]) {
        let mut values = vec![Amf::string(name), Amf::Number(0.0), Amf::Null];
        values.extend_from_slice(arguments);
        self.peer
            .send_command(stream, &values)
            .expect("room to write");
    }

    /// Plays and waits until that is granted.
    #[track_caller]
    pub(crate) fn play(&mut self, stream: u32, name: &str) {
        self.say(stream, "play", &[Amf::string(name)]);
        self.status("NetStream.Play.Start");
    }

    /// Reads the next message.
    pub(crate) fn read(&mut self) -> io::Result<Message> {
        let message = self.peer.read_message()?;
        self.seen.push(message.clone());
        Ok(message)
    }

    /// Reads until a command of this name comes.
    pub(crate) fn command(&mut self, name: &str) -> io::Result<Command> {
        loop {
            let message = self.read()?;
            let command = message.command().filter(|command| command.name == name);
            if let Some(command) = command {
                return Ok(command);
            }
        }
    }

    /// Reads until a status with this code comes, which is returned with its description.
    #[track_caller]
    pub(crate) fn status(&mut self, code: &str) -> (Command, String) {
        loop {
            let status = self
                .command("onStatus")
                .unwrap_or_else(|e| panic!("no {code}: {e}"));
            let information = status.arguments.last().cloned().unwrap_or(Amf::Null);
            let text = |key| {
                information
                    .get(key)
                    .and_then(Amf::as_str)
                    .unwrap_or_default()
            };
            if text("code") == code {
                let description = text("description").to_owned();
                return (status, description);
            }
        }
    }

    /// Reads messages until one of this kind comes; commands count as well.
    #[track_caller]
    pub(crate) fn next_of(&mut self, kind: u8) -> Message {
        loop {
            let message = self.read().expect("a message");
            if message.kind == kind {
                return message;
            }
        }
    }

    /// Forgets what was read.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    /// The media that was read, and metadata.
    pub(crate) fn packets(&self) -> Vec<Packet> {
        let metadata = |m: &Message| m.kind == 18 && m.body.starts_with(b"\x02\x00\x0aonMetaData");
        let wanted = |m: &&Message| m.kind == 8 || m.kind == 9 || metadata(m);
        let mut file = FlvBuilder::new();
        for message in self.seen.iter().filter(wanted) {
            file = file.tag(message.kind, message.timestamp, &message.body);
        }
        flvdump::parse(file.bytes()).expect("what was built")
    }

    /// Codes of all statuses that were read.
    pub(crate) fn codes(&self) -> Vec<String> {
        let commands = self.seen.iter().filter(|m| m.kind == COMMAND);
        let statuses = commands.filter_map(Message::command);
        statuses
            .filter(|command| command.name == "onStatus")
            .filter_map(|status| {
                let code = status.arguments.last()?.get("code")?;
                code.as_str().map(str::to_owned)
            })
            .collect()
    }
}
