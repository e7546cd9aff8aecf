// SPDX-License-Identifier: MPL-2.0

//! Any number of players in one thread, that look at their watch when a key frame begins.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::tunnel::Tunnel;
use crate::peer::wire;
use crate::roles::crowd::{Crowd, Plan, Seen};

const READ: usize = 256 << 10;
const HANDSHAKE: usize = 1 + 2 * 1536;

struct Player {
    socket: TcpStream,
    /// Through HTTP requests, and not as they are.
    tunnel: Option<Tunnel>,
    /// What is to be said next: at first the handshake, then all commands at once.
    unsaid: Option<Vec<u8>>,
    connected: Instant,
    handshake: usize,
    reader: Reader,
    seen: Seen,
    lazy: bool,
}

/// `players-load PORT STREAM N SETTLE_S WINDOW_S LAZY PID`: N players, LAZY more that never read. Prints
/// what the process PID did in the window. A port that is written `rtmpt:1935` is called through HTTP.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let usage = "players-load PORT STREAM N SETTLE_S WINDOW_S LAZY PID";
    let [port, stream, numbers @ ..] = args else {
        return Err(usage.to_owned());
    };
    let (tunnelled, port) = match port.strip_prefix("rtmpt:") {
        Some(port) => (true, port),
        None => (false, &**port),
    };
    let (Ok(port), Some(plan)) = (port.parse(), Plan::parse(numbers)) else {
        return Err(usage.to_owned());
    };
    let mut load = Load {
        poll: Poll::new().map_err(|e| e.to_string())?,
        port,
        tunnelled,
        commands: wire::play(port, stream),
        players: Vec::new(),
        arrivals: HashMap::new(),
        scratch: vec![0; READ],
        measuring: false,
    };
    plan.run(&mut load)
}

struct Load {
    poll: Poll,
    port: u16,
    tunnelled: bool,
    commands: Vec<u8>,
    players: Vec<Player>,
    /// By the time of a key frame, when each player got its beginning.
    arrivals: HashMap<u32, Vec<Instant>>,
    scratch: Vec<u8>,
    measuring: bool,
}

impl Crowd for Load {
    fn len(&self) -> usize {
        self.players.len()
    }

    fn connect(&mut self, lazy: bool) -> Result<(), String> {
        let wrong = |e: std::io::Error| format!("player {}: {e}", self.players.len());
        let connected = Instant::now();
        let address = ([127, 0, 0, 1], self.port).into();
        let mut socket = TcpStream::connect(address).map_err(wrong)?;
        let token = Token(self.players.len());
        let both = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut socket, token, both);
        registered.map_err(wrong)?;
        let mut hello = vec![3];
        hello.extend_from_slice(&[0; 1536]);
        self.players.push(Player {
            socket,
            tunnel: self.tunnelled.then(Tunnel::default),
            unsaid: Some(hello),
            connected,
            handshake: 0,
            reader: Reader::default(),
            seen: Seen::default(),
            lazy,
        });
        Ok(())
    }

    fn read_all(&mut self) -> Result<(), String> {
        let mut events = Events::with_capacity(8192);
        let polled = self.poll.poll(&mut events, Some(Duration::ZERO));
        polled.map_err(|e| e.to_string())?;
        let now = Instant::now();
        for event in &events {
            let player = &mut self.players[event.token().0];
            if event.is_writable()
                && let Some(bytes) = player.unsaid.take()
            {
                player.say(&bytes);
            }
            // A lazy one reads until it plays, and then never again.
            while player.unsaid.is_none()
                && !player.seen.gone
                && !(player.lazy && player.seen.join.is_some())
            {
                match player.socket.read(&mut self.scratch) {
                    Ok(0) => player.seen.gone = true,
                    Ok(n) => {
                        let arrivals = self.measuring.then_some(&mut self.arrivals);
                        let mut came = &self.scratch[..n];
                        let within;
                        if let Some(tunnel) = &mut player.tunnel {
                            within = tunnel.take(came, now)?;
                            came = &within;
                        }
                        player.take(came, &self.commands, now, arrivals);
                        continue;
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => player.seen.gone = true,
                }
                break;
            }
        }
        for player in &mut self.players {
            if let Some(tunnel) = &mut player.tunnel {
                player.seen.gone |= tunnel.ask(&mut player.socket, now).is_err();
            }
        }
        Ok(())
    }

    fn watch(&mut self) {
        self.measuring = true;
        self.players.iter_mut().for_each(|p| p.seen.begin());
    }

    fn seen(&self) -> Vec<Seen> {
        let readers = self.players.iter().filter(|p| !p.lazy);
        readers.map(|p| p.seen.clone()).collect()
    }

    fn arrivals(&self) -> Vec<&[Instant]> {
        self.arrivals.values().map(Vec::as_slice).collect()
    }
}

impl Player {
    fn say(&mut self, bytes: &[u8]) {
        match &mut self.tunnel {
            Some(tunnel) => tunnel.say(bytes),
            None => self.seen.gone |= self.socket.write_all(bytes).is_err(),
        }
    }

    fn take(
        &mut self,
        mut bytes: &[u8],
        commands: &[u8],
        now: Instant,
        mut arrivals: Option<&mut HashMap<u32, Vec<Instant>>>,
    ) {
        self.seen.hear(bytes.len(), now);
        if self.handshake < HANDSHAKE {
            let part = bytes.len().min(HANDSHAKE - self.handshake);
            self.handshake += part;
            bytes = &bytes[part..];
            if self.handshake == HANDSHAKE {
                // C2, then everything that a player says, without waiting for any answer.
                self.say(&[0; 1536]);
                self.say(commands);
            }
        }
        let (join, connected) = (&mut self.seen.join, self.connected);
        self.reader.take(bytes, |time, whole| {
            if whole {
                join.get_or_insert_with(|| now - connected);
            } else if let Some(arrivals) = &mut arrivals {
                arrivals.entry(time).or_default().push(now);
            }
        });
    }
}

/// Follows the chunks, and says when a key frame begins and when it is whole.
#[derive(Default)]
struct Reader {
    chunk: usize,
    /// The head of a chunk that has not come in one piece.
    head: Vec<u8>,
    streams: HashMap<u8, Chunks>,
    /// What comes next belongs to this message.
    current: u8,
    /// Bytes left of the present chunk.
    left: usize,
}

#[derive(Default, Clone, Copy)]
struct Chunks {
    time: u32,
    length: usize,
    kind: u8,
    extended: bool,
    got: usize,
    key: bool,
}

impl Reader {
    fn take(&mut self, mut bytes: &[u8], mut key: impl FnMut(u32, bool)) {
        if self.chunk == 0 {
            self.chunk = 128;
        }
        while !bytes.is_empty() {
            if self.left == 0 {
                // A byte at a time until the head is whole; there are few.
                self.head.push(bytes[0]);
                bytes = &bytes[1..];
                self.begin();
                continue;
            }
            let Some(stream) = self.streams.get_mut(&self.current) else {
                return;
            };
            let part = self.left.min(bytes.len());
            if stream.kind == wire::VIDEO && stream.got < 2 {
                // The first byte is the frame's kind, the second tells configurations.
                if stream.got == 0 {
                    stream.key = bytes[0] >> 4 == 1;
                }
                if let Some(second) = bytes[..part].get(1 - stream.got) {
                    stream.key &= *second == 1;
                    if stream.key {
                        key(stream.time, false);
                    }
                }
            }
            if stream.kind == wire::SET_CHUNK_SIZE {
                for byte in &bytes[..part] {
                    stream.time = stream.time << 8 | u32::from(*byte);
                }
            }
            stream.got += part;
            self.left -= part;
            bytes = &bytes[part..];
            if stream.got == stream.length {
                if stream.kind == wire::SET_CHUNK_SIZE {
                    self.chunk = stream.time as usize;
                }
                if stream.kind == wire::VIDEO && stream.key {
                    key(stream.time, true);
                }
                (stream.got, stream.key) = (0, false);
            }
        }
    }

    /// Begins a chunk if its head is whole.
    fn begin(&mut self) {
        let first = self.head[0];
        let (format, csid) = (first >> 6, first & 0x3f);
        let mut stream = self.streams.get(&csid).copied().unwrap_or_default();
        let length = [11, 7, 3, 0][usize::from(format)];
        let Some(head) = self.head.get(1..1 + length) else {
            return;
        };
        let be24 = |b: &[u8]| u32::from_be_bytes([0, b[0], b[1], b[2]]);
        let mut field = None;
        if length >= 3 {
            field = Some(be24(head));
            stream.extended = field == Some(0xff_ffff);
        }
        if length >= 7 {
            (stream.length, stream.kind) = (be24(&head[3..]) as usize, head[6]);
        }
        let extra = if stream.extended { 4 } else { 0 };
        let Some(extension) = self.head.get(1 + length..1 + length + extra) else {
            return;
        };
        if let (true, Ok(extension)) = (stream.extended, extension.try_into()) {
            field = field.map(|_| u32::from_be_bytes(extension));
        }
        if let Some(field) = field {
            stream.time = if format == 0 {
                field
            } else {
                stream.time.wrapping_add(field)
            };
        }
        if stream.kind == wire::SET_CHUNK_SIZE && stream.got == 0 {
            stream.time = 0;
        }
        self.left = (stream.length - stream.got.min(stream.length)).min(self.chunk);
        self.current = csid;
        self.streams.insert(csid, stream);
        self.head.clear();
    }
}
