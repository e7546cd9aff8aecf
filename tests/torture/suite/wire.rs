// SPDX-License-Identifier: MPL-2.0

//! The torturer's end of a connection.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
};

use super::{Then, Verdict, bytes};
use crate::support::{
    amf0::Amf,
    flv_builder::FlvBuilder,
    rtmp_peer::{Command, Peer, SET_CHUNK_SIZE, USER_CONTROL, WINDOW_ACK_SIZE, message_of},
};

/// What no peer says by chance.
const NONCE: [u8; 4] = [0x5e, 0xed, 0x5e, 0xed];
const LIFE: f64 = 7777.0;

pub struct Wire {
    pub peer: Peer,
    pub patience: Duration,
    cut: usize,
    /// Whether it is a client, which is asked for signs of life in another way.
    client: bool,
    /// Past the handshake.
    greeted: bool,
}

impl Wire {
    /// Our end towards a server, or towards a client that has called.
    ///
    /// # Errors
    /// The socket is of no use.
    pub fn new(
        socket: TcpStream,
        patience: Duration,
        cut: usize,
        client: bool,
    ) -> io::Result<Self> {
        Ok(Self {
            peer: Peer::over(socket, patience)?,
            patience,
            cut,
            client,
            greeted: false,
        })
    }

    // Towards a server.

    /// # Errors
    /// The server does not shake hands.
    pub fn greet(&mut self) -> io::Result<()> {
        self.greeted = true;
        self.peer.greet()
    }

    /// # Errors
    /// The server does not grant it.
    pub fn connect(&mut self, app: &str, url: &str) -> io::Result<()> {
        let object = Amf::object(&[("app", Amf::string(app)), ("tcUrl", Amf::string(url))]);
        let connect = [Amf::string("connect"), Amf::Number(1.0), object];
        self.peer.send_command(0, &connect)?;
        self.result(1.0)
    }

    /// # Errors
    /// The server does not grant it.
    pub fn create_stream(&mut self) -> io::Result<()> {
        let create = [Amf::string("createStream"), Amf::Number(2.0), Amf::Null];
        self.peer.send_command(0, &create)?;
        self.result(2.0)
    }

    /// Publishes or plays on message stream 1.
    ///
    /// # Errors
    /// The server does not grant it.
    pub fn ask_for(&mut self, verb: &str, stream: &str) -> io::Result<()> {
        let mut values = vec![Amf::string(verb), Amf::Number(3.0), Amf::Null];
        values.push(Amf::string(stream));
        if verb == "publish" {
            values.push(Amf::string("live"));
        }
        self.peer.send_command(1, &values)?;
        loop {
            let message = self.peer.read_message()?;
            let Some(command) = message.command() else {
                if matches!(message.kind, 8 | 9) {
                    return Ok(());
                }
                continue;
            };
            let info = command.arguments.last();
            let field = |key| info.and_then(|info| info.get(key)).and_then(Amf::as_str);
            match (&*command.name, field("code")) {
                ("onStatus", Some("NetStream.Publish.Start" | "NetStream.Play.Start")) => {
                    return Ok(());
                }
                ("onStatus" | "_error", code) if field("level") != Some("status") => {
                    let why = code.unwrap_or("refused").to_owned();
                    return Err(io::Error::other(why));
                }
                _ => {}
            }
        }
    }

    fn result(&mut self, transaction: f64) -> io::Result<()> {
        loop {
            let Some(command) = self.peer.read_message()?.command() else {
                continue;
            };
            match &*command.name {
                "_result" if command.transaction == transaction => return Ok(()),
                "_error" if command.transaction == transaction => {
                    return Err(io::Error::other("refused"));
                }
                _ => {}
            }
        }
    }

    // Towards a client.

    /// Shakes hands and reads `connect`.
    ///
    /// # Errors
    /// The client does not begin as clients do.
    pub fn welcome(&mut self) -> io::Result<Command> {
        self.greeted = true;
        self.peer.handshake()?;
        self.peer.expect("connect")
    }

    /// Grants what the client asks for until it publishes or plays.
    ///
    /// # Errors
    /// It does neither.
    pub fn grant(&mut self, connect: &Command) -> io::Result<()> {
        let status = |code| {
            Amf::object(&[
                ("level", Amf::string("status")),
                ("code", Amf::string(code)),
                ("description", Amf::string("")),
            ])
        };
        self.peer.send_control(WINDOW_ACK_SIZE, 2_500_000)?;
        let info = status("NetConnection.Connect.Success");
        let server = Amf::object(&[("fmsVer", Amf::string("FMS/3,0,1,123"))]);
        self.peer.answer("_result", connect, &[server, info])?;
        loop {
            let Some(command) = self.peer.read_message()?.command() else {
                continue;
            };
            match &*command.name {
                "createStream" => {
                    let answer = [Amf::Null, Amf::Number(1.0)];
                    self.peer.answer("_result", &command, &answer)?;
                }
                "publish" => return self.peer.on_status("status", "NetStream.Publish.Start", ""),
                "play" => {
                    self.peer.send_user_control(0, 1)?;
                    self.peer.on_status("status", "NetStream.Play.Reset", "")?;
                    self.peer.on_status("status", "NetStream.Play.Start", "")?;
                    let film = FlvBuilder::new().metadata(640.0).headers();
                    let film = film.picture(0, true, 0, 500).sound(0, 50);
                    return film
                        .tags()
                        .try_for_each(|tag| self.peer.send(&message_of(tag)));
                }
                _ if command.transaction > 0.0 => {
                    self.peer.answer("_result", &command, &[Amf::Null])?;
                }
                _ => {}
            }
        }
    }

    // Both.

    /// # Errors
    /// The peer has hung up, or takes nothing.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Long input byte by byte would be a test of the network.
        if self.cut == 0 || bytes.len() > 4096 {
            return self.peer.send_bytes(bytes);
        }
        let mut pieces = bytes.chunks(self.cut);
        pieces.try_for_each(|piece| self.peer.send_bytes(piece))
    }

    /// Says that nothing more will come.
    pub fn end(&mut self) {
        let _ = self.peer.socket().shutdown(Shutdown::Write);
    }

    /// Reads until something comes.
    ///
    /// # Errors
    /// Nothing does.
    pub fn read_some(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 65536];
        match self.peer.read_some(&mut buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            len => {
                buffer.truncate(len);
                Ok(buffer)
            }
        }
    }

    /// Sends a byte at a time until the peer has enough of it.
    ///
    /// # Errors
    /// It has, or it waits for ever.
    pub fn drip(&mut self, bytes: &[u8]) -> io::Result<Then> {
        let begun = Instant::now();
        for byte in bytes {
            self.peer.send_bytes(&[*byte])?;
            std::thread::sleep(Duration::from_millis(100));
            if begun.elapsed() > self.patience {
                return Err(ErrorKind::TimedOut.into());
            }
        }
        Ok(Then::Judge)
    }

    /// As many bytes as the peer takes within a second, none of its own being read.
    ///
    /// # Errors
    /// It has hung up.
    pub fn flood(&mut self, piece: &[u8], most: usize) -> io::Result<Then> {
        let mut socket = self.peer.socket().try_clone()?;
        socket.set_write_timeout(Some(Duration::from_secs(1)))?;
        let mut sent = 0;
        while sent < most {
            match socket.write(piece) {
                // It holds us up until we read: as it should.
                Err(error) if is_timeout(&error) => return Ok(Then::Answered),
                result => sent += result?,
            }
        }
        Ok(Then::Judge)
    }

    /// Whether the peer lives, or how it ended.
    pub fn judge(&mut self, result: io::Result<Then>) -> Verdict {
        let result = match result {
            Ok(Then::Answered) => return Verdict::Answered,
            Ok(Then::Judge) if self.greeted => self.look_for_life(),
            Ok(Then::Judge) => self.peer.socket().read(&mut [0]).map(|len| len > 0),
            Err(error) => Err(error),
        };
        match result {
            Ok(true) => Verdict::Answered,
            Ok(false) => Verdict::Closed,
            Err(error) if is_timeout(&error) => {
                Verdict::Hung(format!("no answer and no close in {:?}", self.patience))
            }
            Err(error) if error.kind() == ErrorKind::Other => Verdict::Unreached(error.to_string()),
            Err(_) => Verdict::Closed,
        }
    }

    /// A ping is answered, or by a server a request.
    fn look_for_life(&mut self) -> io::Result<bool> {
        let ping = bytes::message(2, USER_CONTROL, 0, &[&[0, 6][..], &NONCE].concat());
        let sent = self.peer.send_bytes(&ping);
        if !self.client && sent.is_ok() {
            let null = [bytes::NULL.to_vec()];
            let _ = self
                .peer
                .send_bytes(&bytes::command(0, "createStream", LIFE, &null));
        }
        let begun = Instant::now();
        loop {
            if begun.elapsed() > self.patience {
                return Err(ErrorKind::TimedOut.into());
            }
            // What it sent before it hung up comes first; a reset may have swallowed it.
            let message = match self.peer.read_message() {
                Ok(message) => message,
                Err(error) if is_timeout(&error) => return Err(error),
                Err(_) => return Ok(false),
            };
            if message.kind == USER_CONTROL && message.body == [&[0, 7][..], &NONCE].concat() {
                return Ok(true);
            }
            if message.kind == SET_CHUNK_SIZE {
                continue;
            }
            if message.command().is_some_and(|c| c.transaction == LIFE) {
                return Ok(true);
            }
        }
    }
}

pub fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
