// SPDX-License-Identifier: MPL-2.0

//! A scripted RTMP server: a closure says what each connection does, down to single bytes. It reads
//! and writes the protocol with code of its own (Adobe RTMP 1.0, sections 5 and 7).

use std::{
    collections::HashMap,
    fmt,
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex,
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    amf0::{self, Amf},
    process::PATIENCE,
};

pub const SET_CHUNK_SIZE: u8 = 1;
pub const ACKNOWLEDGEMENT: u8 = 3;
pub const USER_CONTROL: u8 = 4;
pub const WINDOW_ACK_SIZE: u8 = 5;
pub const SET_PEER_BANDWIDTH: u8 = 6;
pub const COMMAND: u8 = 20;

/// The message stream that [`Peer::accept_create_stream`] makes.
pub const STREAM: u32 = 1;

const HANDSHAKE: usize = 1536;

/// How long a closed connection is still read.
const LINGER: Duration = Duration::from_millis(200);

/// A server on a free port of 127.0.0.1. Dropping it ends its connections and threads.
pub struct Server<T> {
    port: u16,
    shared: Arc<Shared>,
    results: Receiver<io::Result<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T> fmt::Debug for Server<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({})", self.port)
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Default)]
struct State {
    stop: bool,
    open: Vec<TcpStream>,
}

impl<T: Send + 'static> Server<T> {
    /// Starts a server whose connections each run `script` in a thread; the number counts them from
    /// 0. What the script returns comes out of [`Server::outcome`]; then the connection is closed.
    pub fn start(
        script: impl Fn(&mut Peer, usize) -> io::Result<T> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let shared = Arc::new(Shared::default());
        let (sender, results) = mpsc::channel();
        let thread = thread::spawn({
            let shared = shared.clone();
            move || {
                thread::scope(|scope| {
                    for (number, stream) in listener.incoming().flatten().enumerate() {
                        let Some(mut peer) = Peer::new(stream, &shared, PATIENCE) else {
                            return;
                        };
                        let (script, sender) = (&script, sender.clone());
                        scope.spawn(move || {
                            let result = script(&mut peer, number);
                            peer.close();
                            // Nobody may be left to ask.
                            let _ = sender.send(result);
                        });
                    }
                });
            }
        });
        Self {
            port,
            shared,
            results,
            thread: Some(thread),
        }
    }

    /// Waits for the result of the next script that ends.
    #[track_caller]
    pub fn outcome(&self) -> io::Result<T> {
        let result = self.results.recv_timeout(PATIENCE);
        result.unwrap_or_else(|_| panic!("no connection ended within {PATIENCE:?}"))
    }
}

impl<T> Server<T> {
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self, app: &str, stream: &str) -> String {
        format!("rtmp://127.0.0.1:{}/{app}/{stream}", self.port)
    }
}

impl<T> Drop for Server<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock().unwrap();
        state.stop = true;
        for stream in state.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.stopped.notify_all();
        // accept() has to return once more.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A message of RTMP.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub csid: u32,
    pub kind: u8,
    pub stream: u32,
    /// In ms, absolute.
    pub timestamp: u32,
    pub body: Vec<u8>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            csid,
            kind,
            stream,
            timestamp,
            body,
        } = self;
        let size = body.len();
        write!(
            f,
            "type {kind} csid {csid} stream {stream} at {timestamp}: {size} B"
        )?;
        match self.command() {
            Some(command) => write!(f, " {command:?}"),
            None => Ok(()),
        }
    }
}

impl Message {
    /// The command that this message is.
    pub fn command(&self) -> Option<Command> {
        let values = match self.kind {
            COMMAND => amf0::decode(&self.body)?,
            // AMF3 commands: a byte of format, then AMF0.
            17 => amf0::decode(self.body.get(1..)?)?,
            _ => return None,
        };
        Some(Command {
            name: values.first()?.as_str()?.to_owned(),
            transaction: values.get(1)?.as_number()?,
            arguments: values.get(2..)?.to_vec(),
            stream: self.stream,
        })
    }

    /// Writes the message as chunks, the first of type 0 and the others of type 3, the extended
    /// timestamp in all of them, as the specification has it.
    pub fn chunks(&self, chunk_size: usize) -> Vec<u8> {
        let extended = self.timestamp >= 0xff_ffff;
        let basic = |format: u8| match self.csid {
            2..64 => vec![format << 6 | self.csid as u8],
            64..320 => vec![format << 6, (self.csid - 64) as u8],
            _ => {
                let [high, low] = ((self.csid - 64) as u16).to_be_bytes();
                vec![format << 6 | 1, low, high]
            }
        };
        let mut bytes = basic(0);
        bytes.extend_from_slice(&self.timestamp.min(0xff_ffff).to_be_bytes()[1..]);
        bytes.extend_from_slice(&(self.body.len() as u32).to_be_bytes()[1..]);
        bytes.push(self.kind);
        bytes.extend_from_slice(&self.stream.to_le_bytes());
        for (number, part) in self.body.chunks(chunk_size).enumerate() {
            if number > 0 {
                bytes.extend(basic(3));
            }
            if extended {
                bytes.extend_from_slice(&self.timestamp.to_be_bytes());
            }
            bytes.extend_from_slice(part);
        }
        if self.body.is_empty() && extended {
            bytes.extend_from_slice(&self.timestamp.to_be_bytes());
        }
        bytes
    }
}

/// A command or an answer to one.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    pub name: String,
    pub transaction: f64,
    /// The command object, then what follows.
    pub arguments: Vec<Amf>,
    pub stream: u32,
}

/// The server's end of a connection, or a client's that was [called](Peer::call) with.
#[derive(Debug)]
pub struct Peer {
    stream: TcpStream,
    shared: SharedRef,
    chunk_size_in: usize,
    /// Bytes of the chunks that [`Peer::send`] makes.
    pub chunk_size_out: usize,
    partial: HashMap<u32, Partial>,
    abrupt: bool,
}

struct SharedRef(Arc<Shared>);

impl fmt::Debug for SharedRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

/// A chunk stream: its last header and the message that is arriving.
#[derive(Clone, Debug, Default)]
struct Partial {
    timestamp: u32,
    delta: u32,
    length: usize,
    kind: u8,
    stream: u32,
    extended: bool,
    body: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream, shared: &Arc<Shared>, patience: Duration) -> Option<Self> {
        // Every script ends, whatever the client does or omits.
        stream.set_read_timeout(Some(patience)).ok()?;
        stream.set_write_timeout(Some(patience)).ok()?;
        stream.set_nodelay(true).ok()?;
        let mut state = shared.state.lock().unwrap();
        if state.stop {
            return None;
        }
        state.open.push(stream.try_clone().ok()?);
        drop(state);
        Some(Self {
            stream,
            shared: SharedRef(shared.clone()),
            chunk_size_in: 128,
            chunk_size_out: 128,
            partial: HashMap::new(),
            abrupt: false,
        })
    }

    /// The client's end of a connection to a server on loopback, with the plain handshake done.
    pub fn call(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        let mut peer = Self::over(stream, PATIENCE)?;
        peer.greet()?;
        Ok(peer)
    }

    /// Either end of a connection on which nothing was said yet; no read and no write takes longer than
    /// `patience`.
    pub fn over(stream: TcpStream, patience: Duration) -> io::Result<Self> {
        let peer = Self::new(stream, &Arc::default(), patience);
        peer.ok_or_else(|| io::Error::from(ErrorKind::NotConnected))
    }

    /// The client's part of the plain handshake.
    pub fn greet(&mut self) -> io::Result<()> {
        self.send_bytes(&client_hello())?;
        let mut answer = vec![0; 1 + 2 * HANDSHAKE];
        self.read_exact(&mut answer)?;
        self.send_bytes(answer.get(1..1 + HANDSHAKE).unwrap_or_default())
    }

    /// The plain handshake, all of it.
    pub fn handshake(&mut self) -> io::Result<()> {
        let answer = self.read_hello()?;
        self.send_bytes(&answer)?;
        self.read_exact(&mut [0; HANDSHAKE])
    }

    /// Reads C0 and C1 and returns S0, S1 and S2, to be sent whole or in part.
    pub fn read_hello(&mut self) -> io::Result<Vec<u8>> {
        let mut hello = [0; 1 + HANDSHAKE];
        self.read_exact(&mut hello)?;
        if hello[0] != 3 {
            let what = format!("C0 is {}", hello[0]);
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        let mut answer = vec![3];
        // Time 0, version 0: no digest; the rest is as good as random.
        answer.extend_from_slice(&[0; 8]);
        answer.extend((8..HANDSHAKE).map(|i| (i * 151 % 251) as u8));
        answer.extend_from_slice(&hello[1..]);
        Ok(answer)
    }

    /// Reads the next message; a new chunk size takes effect and is returned like any other.
    pub fn read_message(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = self.read_chunk()? {
                if let (SET_CHUNK_SIZE, Ok(size)) = (message.kind, message.body[..].try_into()) {
                    self.chunk_size_in = u32::from_be_bytes(size) as usize;
                    if self.chunk_size_in == 0 {
                        // What follows are headers without end: ffmpeg 5.1 obeys when it is told so.
                        let what = "a chunk size of 0";
                        return Err(io::Error::new(ErrorKind::InvalidData, what));
                    }
                }
                return Ok(message);
            }
        }
    }

    fn read_chunk(&mut self) -> io::Result<Option<Message>> {
        let [first] = self.read_array()?;
        let format = first >> 6;
        let csid = match first & 0x3f {
            0 => u32::from(self.read_array::<1>()?[0]) + 64,
            1 => u32::from(u16::from_le_bytes(self.read_array()?)) + 64,
            csid => csid.into(),
        };
        let mut partial = self.partial.remove(&csid).unwrap_or_default();
        let mut field = partial.delta;
        if format < 3 {
            let [t2, t1, t0] = self.read_array()?;
            field = u32::from_be_bytes([0, t2, t1, t0]);
            partial.extended = field == 0xff_ffff;
        }
        if format < 2 {
            let [l2, l1, l0, kind] = self.read_array()?;
            partial.length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
            partial.kind = kind;
        }
        if format == 0 {
            partial.stream = u32::from_le_bytes(self.read_array()?);
        }
        if partial.extended {
            field = u32::from_be_bytes(self.read_array()?);
        }
        if partial.body.is_empty() {
            // After a type 0, a type 3 that begins a message repeats its timestamp as a delta.
            let base = if format == 0 { 0 } else { partial.timestamp };
            partial.timestamp = base.wrapping_add(field);
            partial.delta = field;
        }
        let left = partial.length - partial.body.len();
        let mut part = vec![0; left.min(self.chunk_size_in)];
        self.read_exact(&mut part)?;
        partial.body.append(&mut part);
        let whole = partial.body.len() == partial.length;
        let body = std::mem::take(&mut partial.body);
        let message = Message {
            csid,
            kind: partial.kind,
            stream: partial.stream,
            timestamp: partial.timestamp,
            body,
        };
        if whole {
            self.partial.insert(csid, partial);
            return Ok(Some(message));
        }
        partial.body = message.body;
        self.partial.insert(csid, partial);
        Ok(None)
    }

    /// Reads until a command of this name comes.
    pub fn expect(&mut self, name: &str) -> io::Result<Command> {
        loop {
            let message = self.read_message()?;
            if let Some(command) = message.command().filter(|command| command.name == name) {
                return Ok(command);
            }
        }
    }

    /// Reads until the client closes, and returns what came.
    pub fn read_to_end(&mut self) -> Vec<Message> {
        std::iter::from_fn(|| self.read_message().ok()).collect()
    }

    pub fn send(&mut self, message: &Message) -> io::Result<()> {
        let bytes = message.chunks(self.chunk_size_out);
        self.send_bytes(&bytes)
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// A protocol control message with one 32-bit field.
    pub fn send_control(&mut self, kind: u8, value: u32) -> io::Result<()> {
        self.send(&Message {
            csid: 2,
            kind,
            stream: 0,
            timestamp: 0,
            body: value.to_be_bytes().to_vec(),
        })?;
        if kind == SET_CHUNK_SIZE {
            self.chunk_size_out = value as usize;
        }
        Ok(())
    }

    /// A user control event about a message stream, such as 0 (StreamBegin) or 1 (StreamEOF).
    pub fn send_user_control(&mut self, event: u16, stream: u32) -> io::Result<()> {
        let mut body = event.to_be_bytes().to_vec();
        body.extend_from_slice(&stream.to_be_bytes());
        self.send(&Message {
            csid: 2,
            kind: USER_CONTROL,
            stream: 0,
            timestamp: 0,
            body,
        })
    }

    pub fn send_command(&mut self, stream: u32, values: &[Amf]) -> io::Result<()> {
        self.send(&Message {
            csid: 3,
            kind: COMMAND,
            stream,
            timestamp: 0,
            body: amf0::encode(values),
        })
    }

    /// Answers a command with `_result` or `_error`.
    pub fn answer(&mut self, name: &str, to: &Command, arguments: &[Amf]) -> io::Result<()> {
        let mut values = vec![Amf::string(name), Amf::Number(to.transaction)];
        values.extend_from_slice(arguments);
        self.send_command(0, &values)
    }

    /// Waits for `connect` and grants it.
    pub fn accept_connect(&mut self) -> io::Result<Command> {
        let connect = self.expect("connect")?;
        self.send_control(WINDOW_ACK_SIZE, 2_500_000)?;
        let info = status("status", "NetConnection.Connect.Success", "");
        let server = Amf::object(&[("fmsVer", Amf::string("FMS/3,0,1,123"))]);
        self.answer("_result", &connect, &[server, info])?;
        Ok(connect)
    }

    /// Waits for `connect` and refuses it with a code such as `NetConnection.Connect.Rejected`.
    pub fn refuse_connect(&mut self, code: &str, description: &str) -> io::Result<Command> {
        let connect = self.expect("connect")?;
        let info = status("error", code, description);
        self.answer("_error", &connect, &[Amf::Null, info])?;
        Ok(connect)
    }

    /// Waits for `createStream` and makes [`STREAM`].
    pub fn accept_create_stream(&mut self) -> io::Result<Command> {
        let create = self.expect("createStream")?;
        let id = Amf::Number(STREAM.into());
        self.answer("_result", &create, &[Amf::Null, id])?;
        Ok(create)
    }

    /// `onStatus` on [`STREAM`].
    pub fn on_status(&mut self, level: &str, code: &str, description: &str) -> io::Result<()> {
        let info = status(level, code, description);
        let name = Amf::string("onStatus");
        self.send_command(STREAM, &[name, Amf::Number(0.0), Amf::Null, info])
    }

    /// All up to a granted `publish`, which is returned.
    pub fn accept_publish(&mut self) -> io::Result<Command> {
        self.handshake()?;
        self.accept_connect()?;
        self.accept_create_stream()?;
        let publish = self.expect("publish")?;
        self.on_status("status", "NetStream.Publish.Start", "")?;
        Ok(publish)
    }

    /// All up to a granted `play`, which is returned.
    pub fn accept_play(&mut self) -> io::Result<Command> {
        self.handshake()?;
        self.accept_connect()?;
        self.accept_create_stream()?;
        let play = self.expect("play")?;
        self.send_user_control(0, STREAM)?;
        self.on_status("status", "NetStream.Play.Reset", "")?;
        self.on_status("status", "NetStream.Play.Start", "")?;
        Ok(play)
    }

    /// Sends a tag of an FLV file, back-pointer or not, on [`STREAM`].
    pub fn send_tag(&mut self, tag: &[u8]) -> io::Result<()> {
        self.send(&message_of(tag))
    }

    /// Does nothing, not even read, until the test drops the server.
    pub fn stall(&mut self) -> io::Result<()> {
        let state = self.shared.0.state.lock().unwrap();
        let wait = self.shared.0.stopped.wait_while(state, |state| !state.stop);
        drop(wait.unwrap());
        Ok(())
    }

    /// Waits this long, or until the test drops the server: then the error is `Interrupted`.
    pub fn pause(&mut self, time: Duration) -> io::Result<()> {
        let Shared { state, stopped } = &*self.shared.0;
        let state = state.lock().unwrap();
        let wait = stopped.wait_timeout_while(state, time, |state| !state.stop);
        if wait.unwrap().1.timed_out() {
            return Ok(());
        }
        Err(ErrorKind::Interrupted.into())
    }

    /// Makes the close behind the script a reset, which discards what was not yet taken.
    pub fn reset(&mut self) -> io::Result<()> {
        self.abrupt = true;
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))
    }

    /// The socket, for its options.
    pub fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Ends in order: closing with unread bytes would reset the connection, and the client might
    /// never see what was sent last.
    fn close(&mut self) {
        self.shared.0.forget(&self.stream);
        if self.abrupt {
            return;
        }
        let _ = self.stream.shutdown(Shutdown::Write);
        let _ = self.stream.set_read_timeout(Some(LINGER));
        let end = Instant::now() + LINGER;
        while Instant::now() < end && matches!(self.stream.read(&mut [0; 4096]), Ok(1..)) {}
    }

    fn read_array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    pub fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.stream.read_exact(bytes)
    }

    /// Reads whatever there is, at least a byte; 0 is the end.
    pub fn read_some(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes)
    }
}

impl Shared {
    /// Drops the other reference to a connection, so that closing it closes it.
    fn forget(&self, stream: &TcpStream) {
        let peer = stream.peer_addr().ok();
        let mut state = self.state.lock().unwrap();
        state.open.retain(|open| open.peer_addr().ok() != peer);
    }
}

/// C0 and C1 of the plain handshake: time 0, version 0, and what is as good as random.
pub fn client_hello() -> Vec<u8> {
    let mut hello = vec![3];
    hello.extend_from_slice(&[0; 8]);
    hello.extend((8..HANDSHAKE).map(|i| (i * 157 % 251) as u8));
    hello
}

/// The message that carries a tag of an FLV file on [`STREAM`].
pub fn message_of(tag: &[u8]) -> Message {
    let (&[kind, s2, s1, s0, t2, t1, t0, t3, ..], rest) = tag.split_first_chunk::<11>().unwrap();
    let size = u32::from_be_bytes([0, s2, s1, s0]) as usize;
    Message {
        csid: 6,
        kind,
        stream: STREAM,
        timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
        body: rest[..size].to_vec(),
    }
}

fn status(level: &str, code: &str, description: &str) -> Amf {
    Amf::object(&[
        ("level", Amf::string(level)),
        ("code", Amf::string(code)),
        ("description", Amf::string(description)),
    ])
}
