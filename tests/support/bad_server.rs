// SPDX-License-Identifier: MPL-2.0

//! Servers that misbehave, one function each; all end when the value is dropped.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use socket2::{Domain, Socket, Type};

use super::{
    amf0::{Amf, encode},
    flv_builder::FlvBuilder,
    rtmp_peer::{COMMAND, Command, Message, Peer, SET_CHUNK_SIZE, STREAM, Server, message_of},
};

/// Accepts and says nothing, nor reads.
pub fn silent() -> Server<()> {
    Server::start(|peer, _| peer.stall())
}

/// Speaks HTTP: answers whatever comes first as a web server does.
pub fn http() -> Server<()> {
    Server::start(|peer, _| {
        peer.read_some(&mut [0; 64])?;
        peer.send_bytes(
            b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Type: text/html\r\n\
              Content-Length: 25\r\nConnection: close\r\n\r\n<html>Bad Request</html>\r\n",
        )
    })
}

/// Speaks TLS: takes what comes first for a broken ClientHello and sends the alert
/// `unexpected_message` (RFC 8446, section 6).
pub fn tls() -> Server<()> {
    Server::start(|peer, _| {
        peer.read_some(&mut [0; 64])?;
        peer.send_bytes(&[0x15, 3, 1, 0, 2, 2, 10])
    })
}

/// Sends only the first so many of the 3073 bytes of S0, S1 and S2, then closes.
pub fn cut_in_handshake(bytes: usize) -> Server<()> {
    Server::start(move |peer, _| {
        let answer = peer.read_hello()?;
        peer.send_bytes(&answer[..bytes])
    })
}

/// Sends the handshake a byte at a time, one in each `pause`.
pub fn slow_handshake(pause: Duration) -> Server<()> {
    Server::start(move |peer, _| {
        for byte in peer.read_hello()? {
            peer.send_bytes(&[byte])?;
            peer.pause(pause)?;
        }
        Ok(())
    })
}

/// Where a server breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Instead of an answer to `connect`.
    BeforeConnect,
    /// In the middle of a chunk's head.
    InHeader,
    /// In the middle of a picture.
    InTag,
    /// Between two tags, with nothing said before.
    BetweenTags,
}

/// Grants `play` and sends a second of media, then closes at this place; `reset` makes the close a
/// TCP reset.
pub fn cut_in_play(cut: Cut, reset: bool) -> Server<()> {
    Server::start(move |peer, _| {
        if cut == Cut::BeforeConnect {
            peer.handshake()?;
            peer.expect("connect")?;
        } else {
            peer.accept_play()?;
            play(peer, &FlvBuilder::new().headers().second(0))?;
            let picture = FlvBuilder::new().picture(1000, true, 0, 20_000);
            let picture = message_of(picture.tags().next().expect("one tag"));
            let bytes = picture.chunks(peer.chunk_size_out);
            match cut {
                Cut::InHeader => peer.send_bytes(&bytes[..7])?,
                Cut::InTag => peer.send_bytes(&bytes[..bytes.len() / 2])?,
                Cut::BeforeConnect | Cut::BetweenTags => {}
            }
        }
        if reset { peer.reset() } else { Ok(()) }
    })
}

/// Grants `publish`, reads this many messages more, then closes.
pub fn cut_in_publish(messages: usize, reset: bool) -> Server<()> {
    Server::start(move |peer, _| {
        peer.accept_publish()?;
        for _ in 0..messages {
            peer.read_message()?;
        }
        if reset { peer.reset() } else { Ok(()) }
    })
}

/// Grants `play`, with the data that nginx-rtmp sends before all else, and closes at once.
pub fn second_thought() -> Server<()> {
    Server::start(|peer, _| {
        peer.accept_play()?;
        let access = [
            Amf::string("|RtmpSampleAccess"),
            Amf::Boolean(true),
            Amf::Boolean(true),
        ];
        peer.send(&Message {
            csid: 4,
            kind: 18,
            stream: STREAM,
            timestamp: 0,
            body: encode(&access),
        })
    })
}

/// How a server says that it is about to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Farewell {
    /// `onStatus` with this level and code.
    Status(&'static str, &'static str),
    /// The command `close` with this code, or without a word.
    Close(Option<&'static str>),
}

impl Farewell {
    fn say(self, peer: &mut Peer) -> io::Result<()> {
        match self {
            Self::Status(level, code) => peer.on_status(level, code, "for today"),
            Self::Close(code) => {
                let mut values = vec![Amf::string("close"), Amf::Number(0.0), Amf::Null];
                values.extend(code.map(|code| {
                    Amf::object(&[
                        ("level", Amf::string("status")),
                        ("code", Amf::string(code)),
                        ("description", Amf::string("for today")),
                    ])
                }));
                peer.send_command(0, &values)
            }
        }
    }
}

/// Grants `publish`, reads this many messages more, says farewell and closes.
pub fn dismiss_publisher(messages: usize, farewell: Farewell, reset: bool) -> Server<()> {
    Server::start(move |peer, _| {
        peer.accept_publish()?;
        for _ in 0..messages {
            peer.read_message()?;
        }
        farewell.say(peer)?;
        if reset { peer.reset() } else { Ok(()) }
    })
}

/// Grants `play`, sends a second of media, says farewell and leaves the connection open.
pub fn dismiss_player(farewell: Farewell) -> Server<()> {
    Server::start(move |peer, _| {
        peer.accept_play()?;
        play(peer, &FlvBuilder::new().headers().second(0))?;
        farewell.say(peer)?;
        peer.read_to_end();
        Ok(())
    })
}

/// Grants `publish`, reads this many messages more and sends a command message that is none.
pub fn garbage_while_publishing(messages: usize) -> Server<()> {
    Server::start(move |peer, _| {
        peer.accept_publish()?;
        for _ in 0..messages {
            peer.read_message()?;
        }
        peer.send(&Message {
            csid: 3,
            kind: COMMAND,
            stream: 0,
            timestamp: 0,
            body: vec![2, 0xff, 0xff],
        })?;
        peer.read_to_end();
        Ok(())
    })
}

/// Grants `publish` and then reads nothing more, with a small window.
pub fn never_reads() -> Server<()> {
    Server::start(|peer, _| {
        socket2::SockRef::from(peer.socket()).set_recv_buffer_size(4096)?;
        peer.accept_publish()?;
        peer.stall()
    })
}

/// Grants `publish` and reads everything but never acknowledges; what came is the outcome.
pub fn never_acknowledges() -> Server<Vec<Message>> {
    good_publish()
}

/// Takes one stream and returns what came behind `publish`, to the close of the client. Sends no
/// acknowledgement, which no client may wait for.
pub fn good_publish() -> Server<Vec<Message>> {
    Server::start(|peer, _| {
        peer.accept_publish()?;
        Ok(peer.read_to_end())
    })
}

/// Refuses `connect`: `NetConnection.Connect.Rejected` with a description such as
/// `[ AccessManager.Reject ] : [ authmod=adobe ] : ...`, or `.InvalidApp`.
pub fn refuse_connect(code: &'static str, description: &'static str) -> Server<Command> {
    Server::start(move |peer, _| {
        peer.handshake()?;
        peer.refuse_connect(code, description)
    })
}

/// Answers `publish` or `play` with an `onStatus` error such as `NetStream.Publish.BadName` or
/// `NetStream.Play.StreamNotFound` and leaves the connection open.
pub fn refuse_stream(code: &'static str) -> Server<Command> {
    Server::start(move |peer, _| {
        peer.handshake()?;
        peer.accept_connect()?;
        peer.accept_create_stream()?;
        let command = loop {
            let command = peer.read_message()?.command();
            let wanted = |command: &Command| ["publish", "play"].contains(&&*command.name);
            if let Some(command) = command.filter(wanted) {
                break command;
            }
        };
        peer.on_status("error", code, "no")?;
        peer.read_to_end();
        Ok(command)
    })
}

/// Refuses to create a stream (`_error` to `createStream`).
pub fn refuse_create_stream() -> Server<()> {
    Server::start(|peer, _| {
        peer.handshake()?;
        peer.accept_connect()?;
        let create = peer.expect("createStream")?;
        peer.answer("_error", &create, &[])?;
        peer.read_to_end();
        Ok(())
    })
}

/// Grants `connect` and then sends this command message instead of anything useful.
pub fn garbage_after_connect(body: &'static [u8]) -> Server<()> {
    Server::start(move |peer, _| {
        peer.handshake()?;
        peer.accept_connect()?;
        peer.send(&Message {
            csid: 3,
            kind: COMMAND,
            stream: 0,
            timestamp: 0,
            body: body.to_vec(),
        })?;
        peer.read_to_end();
        Ok(())
    })
}

/// How a server ends a stream that it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// `NetStream.Play.Stop`, and the connection stays.
    PlayStop,
    /// StreamEOF, and the connection stays.
    StreamEof,
    /// `NetStream.Play.UnpublishNotify`, and the connection stays.
    UnpublishNotify,
    /// The connection is closed, and that is all.
    Close,
}

/// Plays a file from memory, as fast as the client takes it; the outcome is what the client sent
/// from `play` on. It honours whatever real servers do differently: chunk size and end.
pub fn good_play(file: FlvBuilder, chunk_size: u32, end: End) -> Server<Vec<Message>> {
    Server::start(move |peer, _| {
        peer.accept_play()?;
        peer.send_control(SET_CHUNK_SIZE, chunk_size)?;
        play(peer, &file)?;
        match end {
            End::PlayStop => peer.on_status("status", "NetStream.Play.Stop", "")?,
            End::StreamEof => peer.send_user_control(1, super::rtmp_peer::STREAM)?,
            End::UnpublishNotify => {
                peer.on_status("status", "NetStream.Play.UnpublishNotify", "")?;
            }
            End::Close => return Ok(Vec::new()),
        }
        Ok(peer.read_to_end())
    })
}

fn play(peer: &mut Peer, file: &FlvBuilder) -> io::Result<()> {
    file.tags().try_for_each(|tag| peer.send_tag(tag))
}

/// An address where connecting never ends: the queue of accepted connections is full, so the kernel
/// leaves every SYN without an answer.
#[derive(Debug)]
pub struct BlackHole {
    port: u16,
    _listener: Socket,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    pub fn new() -> io::Result<Self> {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        listener.listen(0)?;
        let address = listener.local_addr()?.as_socket().expect("an IP address");
        let mut queue = Vec::new();
        // Linux queues one more than it was asked to.
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queue.push(stream);
        }
        Ok(Self {
            port: address.port(),
            _listener: listener,
            _queue: queue,
        })
    }

    pub fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live/nothing", self.port)
    }
}
