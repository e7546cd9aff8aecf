// SPDX-License-Identifier: MPL-2.0

//! A server that takes whatever is published and keeps every message, granting all that is asked
//! for, the message stream with an id of its own choice.

use std::{io, ops::ControlFlow};

use super::{
    amf0::Amf,
    flv_builder::{AUDIO, DATA, FlvBuilder, VIDEO},
    flvdump::{self, Packet},
    rtmp_peer::{Command, Message, Peer, Server, WINDOW_ACK_SIZE},
};

/// Not the 1 that clients tend to assume.
pub const ID: u32 = 5;

/// What a client said on one connection.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// 1536 bytes.
    pub c1: Vec<u8>,
    pub messages: Vec<Message>,
}

/// Takes one stream to the close of the client.
pub fn taker() -> Server<Taken> {
    taker_that(|_, _| Ok(ControlFlow::Continue(())))
}

/// Takes one stream to the close of the client, and says this of itself when it lets it in.
pub fn taker_with(properties: Amf) -> Server<Taken> {
    Server::start(move |peer, _| {
        peer.handshake()?;
        let mut taken = Taken::default();
        let see = &mut |_: &mut Peer, _: &Message| Ok(ControlFlow::Continue(()));
        converse(peer, &mut taken, &properties, see)?;
        Ok(taken)
    })
}

/// Takes a stream and shows every message, answered already, to `see`, which may hold up or end it.
pub fn taker_that(
    see: impl Fn(&mut Peer, &Message) -> io::Result<ControlFlow<()>> + Send + Sync + 'static,
) -> Server<Taken> {
    Server::start(move |peer, _| take(peer, &see))
}

/// One connection of [`taker_that`].
pub fn take(
    peer: &mut Peer,
    mut see: impl FnMut(&mut Peer, &Message) -> io::Result<ControlFlow<()>>,
) -> io::Result<Taken> {
    let answer = peer.read_hello()?;
    let mut taken = Taken {
        // S2, the echo of C1, comes last.
        c1: answer[answer.len() - 1536..].to_vec(),
        ..Taken::default()
    };
    peer.send_bytes(&answer)?;
    peer.read_exact(&mut [0; 1536])?;
    converse(peer, &mut taken, &Amf::Null, &mut see)?;
    Ok(taken)
}

/// The same from `connect` on, which was read and is granted first.
pub fn take_on(
    peer: &mut Peer,
    connect: Command,
    mut see: impl FnMut(&mut Peer, &Message) -> io::Result<ControlFlow<()>>,
) -> io::Result<Taken> {
    let mut taken = Taken::default();
    grant(peer, &connect, &Amf::Null)?;
    converse(peer, &mut taken, &Amf::Null, &mut see)?;
    Ok(taken)
}

fn converse(
    peer: &mut Peer,
    taken: &mut Taken,
    properties: &Amf,
    see: &mut impl FnMut(&mut Peer, &Message) -> io::Result<ControlFlow<()>>,
) -> io::Result<()> {
    while let Ok(message) = peer.read_message() {
        if let Some(command) = message.command() {
            grant(peer, &command, properties)?;
        }
        taken.messages.push(message);
        let message = taken.messages.last().expect("just pushed");
        if see(peer, message)?.is_break() {
            break;
        }
    }
    Ok(())
}

fn grant(peer: &mut Peer, command: &Command, properties: &Amf) -> io::Result<()> {
    let status = |code| {
        Amf::object(&[
            ("level", Amf::string("status")),
            ("code", Amf::string(code)),
            ("description", Amf::string("")),
        ])
    };
    match &*command.name {
        "connect" => {
            peer.send_control(WINDOW_ACK_SIZE, 2_500_000)?;
            let info = status("NetConnection.Connect.Success");
            peer.answer("_result", command, &[properties.clone(), info])
        }
        "createStream" => {
            let id = Amf::Number(ID.into());
            peer.answer("_result", command, &[Amf::Null, id])
        }
        "publish" => {
            let info = status("NetStream.Publish.Start");
            let name = Amf::string("onStatus");
            peer.send_command(ID, &[name, Amf::Number(0.0), Amf::Null, info])
        }
        _ => Ok(()),
    }
}

impl Taken {
    pub fn commands(&self) -> Vec<Command> {
        self.messages.iter().filter_map(Message::command).collect()
    }

    #[track_caller]
    pub fn command(&self, name: &str) -> Command {
        let found = self.commands().into_iter().find(|c| c.name == name);
        found.unwrap_or_else(|| panic!("no {name} among {:?}", self.messages))
    }

    /// The command object of `connect`.
    #[track_caller]
    pub fn connect(&self) -> Amf {
        self.command("connect").arguments[0].clone()
    }

    /// What was published, as a reader of FLV sees it.
    #[track_caller]
    pub fn packets(&self) -> Vec<Packet> {
        packets(&self.messages)
    }
}

/// The media and metadata among these messages, as a reader of FLV sees them.
#[track_caller]
pub fn packets(messages: &[Message]) -> Vec<Packet> {
    let mut file = FlvBuilder::new();
    for message in messages {
        let body = match message.kind {
            AUDIO | VIDEO => &message.body[..],
            DATA => {
                let marked = message.body.strip_prefix(b"\x02\x00\x0d@setDataFrame");
                marked.expect("metadata are marked for the server to keep")
            }
            _ => continue,
        };
        file = file.tag(message.kind, message.timestamp, body);
    }
    flvdump::parse(file.bytes()).expect("what was built")
}
