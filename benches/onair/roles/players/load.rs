// SPDX-License-Identifier: MPL-2.0

//! Any number of players in one thread, that look at their watch when a key frame begins.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::measure::percentile;
use crate::peer::wire;
use crate::roles::webm::load::Usage;

const READ: usize = 256 << 10;
/// Sockets are looked at this often and not at each packet: what is measured is the server, which
/// shares the machine.
const TICK: Duration = Duration::from_millis(5);
const HANDSHAKE: usize = 1 + 2 * 1536;

struct Player {
    socket: TcpStream,
    /// What is to be said next: at first the handshake, then all commands at once.
    unsaid: Option<Vec<u8>>,
    connected: Instant,
    handshake: usize,
    reader: Reader,
    join: Option<Duration>,
    bytes: u64,
    before: u64,
    heard: Option<Instant>,
    silence: Duration,
    gone: bool,
    lazy: bool,
}

/// `players-load PORT STREAM N SETTLE_S WINDOW_S LAZY PID`: N players, LAZY more that never read. Prints
/// what the process PID did in the window.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let usage = "players-load PORT STREAM N SETTLE_S WINDOW_S LAZY PID";
    let [port, stream, numbers @ ..] = args else {
        return Err(usage.to_owned());
    };
    let number = |i: usize| numbers.get(i).and_then(|n| n.parse::<u64>().ok());
    let (Some(port), Some(count), Some(settle), Some(window), Some(lazy), Some(pid)) = (
        port.parse::<u16>().ok(),
        number(0),
        number(1),
        number(2),
        number(3),
        number(4),
    ) else {
        return Err(usage.to_owned());
    };
    let mut load = Load {
        poll: Poll::new().map_err(|e| e.to_string())?,
        port,
        commands: wire::play(port, stream),
        players: Vec::new(),
        arrivals: HashMap::new(),
        scratch: vec![0; READ],
        measuring: false,
    };
    load.run(
        count as usize,
        lazy as usize,
        Duration::from_secs(settle),
        Duration::from_secs(window),
        pid,
    )
}

struct Load {
    poll: Poll,
    port: u16,
    commands: Vec<u8>,
    players: Vec<Player>,
    /// By the time of a key frame, when each player got its beginning.
    arrivals: HashMap<u32, Vec<Instant>>,
    scratch: Vec<u8>,
    measuring: bool,
}

impl Load {
    fn run(
        &mut self,
        count: usize,
        lazy: usize,
        settle: Duration,
        window: Duration,
        pid: u64,
    ) -> Result<(), String> {
        // Ramp: half of them and fifty a second.
        let rate = count as f64 / 2.0 + 50.0;
        let start = Instant::now();
        let mut next = start;
        let (mut begun, mut before) = (None, None);
        let after = loop {
            let arrived = (start.elapsed().as_secs_f64() * rate) as usize + 1 + lazy;
            while self.players.len() < (lazy + count).min(arrived) {
                self.connect(self.players.len() < lazy)?;
            }
            self.read_all()?;
            let complete = self.players.len() == lazy + count;
            let ready = *begun.get_or_insert_with(Instant::now);
            if !complete {
                begun = None;
            } else if before.is_none() && ready.elapsed() >= settle {
                before = Some(Usage::of(pid)?);
                self.measuring = true;
                for player in &mut self.players {
                    player.before = player.bytes;
                    (player.heard, player.silence) = (None, Duration::ZERO);
                }
            } else if let Some(before) = &before
                && before.at.elapsed() >= window
            {
                break Usage::of(pid)?;
            }
            next = (next + TICK).max(Instant::now());
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        };
        let before = before.ok_or("no window")?;
        self.print(&before, &after);
        Ok(())
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
            unsaid: Some(hello),
            connected,
            handshake: 0,
            reader: Reader::default(),
            join: None,
            bytes: 0,
            before: 0,
            heard: None,
            silence: Duration::ZERO,
            gone: false,
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
                player.gone |= player.socket.write_all(&bytes).is_err();
            }
            // A lazy one reads until it plays, and then never again.
            while player.unsaid.is_none() && !player.gone && !(player.lazy && player.join.is_some())
            {
                match player.socket.read(&mut self.scratch) {
                    Ok(0) => player.gone = true,
                    Ok(n) => {
                        let arrivals = self.measuring.then_some(&mut self.arrivals);
                        player.take(&self.scratch[..n], &self.commands, now, arrivals);
                        continue;
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => player.gone = true,
                }
                break;
            }
        }
        Ok(())
    }

    fn print(&self, before: &Usage, after: &Usage) {
        let readers = || self.players.iter().filter(|c| !c.lazy);
        let seconds = (after.at - before.at).as_secs_f64();
        let bytes: u64 = readers().map(|c| c.bytes - c.before).sum();
        let cpu = after.cpu - before.cpu;
        let micros = |d: Duration| d.as_micros() as u64;
        let mut joins: Vec<u64> = readers().filter_map(|c| c.join).map(micros).collect();
        let mut silences: Vec<u64> = readers().map(|c| micros(c.silence)).collect();
        let mut rates: Vec<u64> = readers()
            .map(|c| ((c.bytes - c.before) as f64 * 8.0 / seconds) as u64)
            .collect();
        let joined = joins.len();
        // A key frame that not all got within the window says little.
        let mut lags: Vec<u64> = Vec::new();
        for times in self.arrivals.values() {
            let first = times.iter().min().copied();
            let last = times.iter().max().copied();
            if let (Some(first), Some(last)) = (first, last)
                && first > before.at + Duration::from_millis(200)
                && last + Duration::from_millis(1200) < after.at
            {
                lags.extend(times.iter().map(|at| micros(*at - first)));
            }
        }
        let ms = |values: &mut [u64], share| {
            percentile(values, share).map_or(f64::NAN, |us| us as f64 / 1000.0)
        };
        let count = joined.max(1) as f64;
        println!(
            "cpu_gb={} us={} core={} mbps={} slowest_mbps={} joined={joined} gone={} lag50={} lag99={} lagmax={} join50={} join99={} silence={} rss={}",
            cpu / (bytes as f64 / 1e9),
            cpu * 1e6 / count / seconds,
            cpu / seconds * 100.0,
            bytes as f64 * 8.0 / seconds / count / 1e6,
            percentile(&mut rates, 0.0).unwrap_or(0) as f64 / 1e6,
            readers().filter(|c| c.gone).count(),
            ms(&mut lags, 0.5),
            ms(&mut lags, 0.99),
            ms(&mut lags, 1.0),
            ms(&mut joins, 0.5),
            ms(&mut joins, 0.99),
            ms(&mut silences, 0.5),
            after.rss_kb,
        );
    }
}

impl Player {
    fn take(
        &mut self,
        mut bytes: &[u8],
        commands: &[u8],
        now: Instant,
        mut arrivals: Option<&mut HashMap<u32, Vec<Instant>>>,
    ) {
        self.bytes += bytes.len() as u64;
        if self.handshake < HANDSHAKE {
            let part = bytes.len().min(HANDSHAKE - self.handshake);
            self.handshake += part;
            bytes = &bytes[part..];
            if self.handshake == HANDSHAKE {
                // C2, then everything that a player says, without waiting for any answer.
                self.gone |= self.socket.write_all(&[0; 1536]).is_err()
                    || self.socket.write_all(commands).is_err();
            }
        }
        if let Some(heard) = self.heard.replace(now) {
            self.silence = self.silence.max(now - heard);
        }
        let (join, connected) = (&mut self.join, self.connected);
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
