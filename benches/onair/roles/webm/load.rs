// SPDX-License-Identifier: MPL-2.0

//! Any number of clients in one thread, that ask for the stream and look at their watch when a Cluster
//! begins.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::{ClientConnection, StreamOwned};

use super::feed::element;
use crate::measure::percentile;
use crate::peer::tls;

const CLUSTER: [u8; 4] = [0x1f, 0x43, 0xb6, 0x75];
const READ: usize = 256 << 10;
/// Sockets are looked at this often and not at each packet: what is measured is the server, which
/// shares the machine.
const TICK: Duration = Duration::from_millis(5);
/// A join that takes longer than the measurement is none.
const JOIN_BYTES: usize = 4 << 20;

enum Socket {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

struct Client {
    socket: Socket,
    /// The request, until there is a connection.
    unsaid: Option<String>,
    connected: Instant,
    /// The stream so far, until the first key frame is whole.
    joining: Option<Vec<u8>>,
    join: Option<Duration>,
    /// The last bytes, in case a Cluster begins in them.
    tail: Vec<u8>,
    bytes: u64,
    before: u64,
    gone: bool,
    lazy: bool,
}

/// `webm-load PORT PATH N SETTLE_S WINDOW_S LAZY PID [CERTIFICATES]`: N clients, LAZY more that never read. Prints
/// what the process PID did in the window.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let usage = "webm-load PORT PATH N SETTLE_S WINDOW_S LAZY PID [CERTIFICATES]";
    let [port, path, numbers @ ..] = args else {
        return Err(usage.to_owned());
    };
    let number = |i: usize| numbers.get(i).and_then(|n| n.parse::<u64>().ok());
    let (Some(port), Some(count), Some(settle), Some(window), Some(lazy), Some(pid)) = (
        port.parse().ok(),
        number(0),
        number(1),
        number(2),
        number(3),
        number(4),
    ) else {
        return Err(usage.to_owned());
    };
    let config = numbers
        .get(5)
        .map(|dir| tls::client(dir.as_ref()))
        .transpose()?;
    let mut load = Load {
        poll: Poll::new().map_err(|e| e.to_string())?,
        address: ([127, 0, 0, 1], port).into(),
        path: path.clone(),
        tls: config,
        clients: Vec::new(),
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
    address: SocketAddr,
    path: String,
    tls: Option<Arc<rustls::ClientConfig>>,
    clients: Vec<Client>,
    /// By the time code of a Cluster, when each client got its beginning.
    arrivals: HashMap<u64, Vec<Instant>>,
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
        for _ in 0..lazy {
            self.connect(true)?;
        }
        // Ramp: half of them and fifty a second.
        let rate = count as f64 / 2.0 + 50.0;
        let start = Instant::now();
        let mut next = start;
        let mut begun = None;
        let mut before = None;
        let after = loop {
            let arrived = (start.elapsed().as_secs_f64() * rate) as usize + 1;
            while self.clients.len() < (lazy + count).min(lazy + arrived) {
                self.connect(false)?;
            }
            self.read_all()?;
            let complete = self.clients.len() == lazy + count;
            let ready = *begun.get_or_insert_with(Instant::now);
            if !complete {
                begun = None;
            } else if before.is_none() && ready.elapsed() >= settle {
                before = Some(Usage::of(pid)?);
                self.measuring = true;
                self.clients.iter_mut().for_each(|c| c.before = c.bytes);
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
        let wrong = |e: std::io::Error| format!("client {}: {e}", self.clients.len());
        let connected = Instant::now();
        let request = format!(
            "GET {} HTTP/1.0\r\nHost: 127.0.0.1\r\nUser-Agent: onair\r\n\r\n",
            self.path
        );
        let mut unsaid = None;
        let mut socket = match &self.tls {
            None => {
                unsaid = Some(request);
                Socket::Plain(TcpStream::connect(self.address).map_err(wrong)?)
            }
            Some(config) => {
                let mut socket = StdStream::connect(self.address).map_err(wrong)?;
                let name = "localhost".try_into().map_err(|e| format!("{e}"))?;
                let mut tls =
                    ClientConnection::new(config.clone(), name).map_err(|e| e.to_string())?;
                while tls.is_handshaking() {
                    tls.complete_io(&mut socket).map_err(wrong)?;
                }
                tls.writer().write_all(request.as_bytes()).map_err(wrong)?;
                while tls.wants_write() {
                    tls.write_tls(&mut socket).map_err(wrong)?;
                }
                socket.set_nonblocking(true).map_err(wrong)?;
                let socket = TcpStream::from_std(socket);
                Socket::Tls(Box::new(StreamOwned::new(tls, socket)))
            }
        };
        let token = Token(self.clients.len());
        let source = match &mut socket {
            Socket::Plain(socket) => socket,
            Socket::Tls(tls) => &mut tls.sock,
        };
        let both = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(source, token, both);
        registered.map_err(wrong)?;
        self.clients.push(Client {
            socket,
            unsaid,
            connected,
            joining: Some(Vec::new()),
            join: None,
            tail: Vec::new(),
            bytes: 0,
            before: 0,
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
            let client = &mut self.clients[event.token().0];
            if event.is_writable()
                && let (Socket::Plain(socket), Some(request)) =
                    (&mut client.socket, client.unsaid.take())
            {
                client.gone |= socket.write_all(request.as_bytes()).is_err();
            }
            while client.unsaid.is_none() && !client.lazy {
                let read = match &mut client.socket {
                    Socket::Plain(socket) => socket.read(&mut self.scratch),
                    Socket::Tls(tls) => tls.read(&mut self.scratch),
                };
                match read {
                    Ok(0) => client.gone = true,
                    Ok(n) => {
                        let measuring = self.measuring;
                        let arrivals = &mut self.arrivals;
                        client.take(&self.scratch[..n], now, |timecode| {
                            if measuring {
                                arrivals.entry(timecode).or_default().push(now);
                            }
                        });
                        continue;
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => client.gone = true,
                }
                break;
            }
        }
        Ok(())
    }

    fn print(&self, before: &Usage, after: &Usage) {
        let readers = || self.clients.iter().filter(|c| !c.lazy);
        let seconds = (after.at - before.at).as_secs_f64();
        let bytes: u64 = readers().map(|c| c.bytes - c.before).sum();
        let cpu = after.cpu - before.cpu;
        let micros = |d: Duration| d.as_micros() as u64;
        let mut joins: Vec<u64> = readers().filter_map(|c| c.join).map(micros).collect();
        let mut rates: Vec<u64> = readers()
            .map(|c| ((c.bytes - c.before) as f64 * 8.0 / seconds) as u64)
            .collect();
        let joined = joins.len();
        // A Cluster that not all got within the window says little.
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
        let clients = joined.max(1) as f64;
        println!(
            "cpu_gb={} us={} core={} mbps={} slowest_mbps={} joined={joined} gone={} lag50={} lag99={} lagmax={} join50={} join99={} rss={}",
            cpu / (bytes as f64 / 1e9),
            cpu * 1e6 / clients / seconds,
            cpu / seconds * 100.0,
            bytes as f64 * 8.0 / seconds / clients / 1e6,
            percentile(&mut rates, 0.0).unwrap_or(0) as f64 / 1e6,
            readers().filter(|c| c.gone).count(),
            ms(&mut lags, 0.5),
            ms(&mut lags, 0.99),
            ms(&mut lags, 1.0),
            ms(&mut joins, 0.5),
            ms(&mut joins, 0.99),
            after.rss_kb,
        );
    }
}

impl Client {
    /// Looks for Clusters; `arrived` is told their time codes.
    fn take(&mut self, bytes: &[u8], now: Instant, mut arrived: impl FnMut(u64)) {
        self.bytes += bytes.len() as u64;
        if let Some(so_far) = &mut self.joining {
            so_far.extend_from_slice(bytes);
            if has_key_frame(so_far) {
                self.join = Some(now - self.connected);
                self.joining = None;
            } else if so_far.len() > JOIN_BYTES {
                self.joining = None;
            }
        }
        // The tail of the read before and as much of this one as a Cluster's head may have.
        let old = self.tail.len();
        self.tail.extend(bytes.iter().take(24));
        timecodes(&self.tail, old, &mut arrived);
        self.tail.clear();
        timecodes(bytes, bytes.len().saturating_sub(24), &mut arrived);
        self.tail.extend(&bytes[bytes.len().saturating_sub(24)..]);
    }
}

/// Time codes of Clusters that begin before `limit` and whose head is whole.
fn timecodes(bytes: &[u8], limit: usize, arrived: &mut impl FnMut(u64)) {
    let mut rest = 0;
    while let Some(at) = find(bytes.get(rest..).unwrap_or_default()).map(|at| rest + at)
        && at < limit
    {
        rest = at + 4;
        let timecode = element(bytes, at)
            .and_then(|(_, body, _)| element(bytes, body))
            .filter(|(id, ..)| *id == 0xe7)
            .and_then(|(_, body, length)| bytes.get(body..body + length?));
        if let Some(value) = timecode {
            arrived(
                value
                    .iter()
                    .fold(0, |all, byte| all << 8 | u64::from(*byte)),
            );
        }
    }
}

fn find(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, &CLUSTER)
}

/// Whether the first Cluster has a key frame of video from beginning to end.
fn has_key_frame(bytes: &[u8]) -> bool {
    let Some(cluster) = find(bytes) else {
        return false;
    };
    let Some((_, mut at, _)) = element(bytes, cluster) else {
        return false;
    };
    while let Some((id, body, length)) = element(bytes, at) {
        let next = body + length.unwrap_or(0);
        if next > bytes.len() {
            return false;
        }
        // webmmux numbers its tracks in the order of its pads: video first.
        if id == 0xa3
            && bytes.get(body) == Some(&0x81)
            && bytes.get(body + 3).is_some_and(|f| f & 0x80 != 0)
        {
            return true;
        }
        at = next;
    }
    false
}

/// What a process has used.
pub(crate) struct Usage {
    pub(crate) at: Instant,
    /// Seconds, user and system.
    pub(crate) cpu: f64,
    pub(crate) rss_kb: u64,
}

impl Usage {
    pub(crate) fn of(pid: u64) -> Result<Self, String> {
        let read = |file: &str| {
            std::fs::read_to_string(format!("/proc/{pid}/{file}"))
                .map_err(|e| format!("/proc/{pid}: {e}"))
        };
        let stat = read("stat")?;
        // Behind the name, which may have anything in it.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let field = |n: usize| fields.split_whitespace().nth(n)?.parse::<f64>().ok();
        let ticks = field(11).zip(field(12)).ok_or("stat has no times")?;
        let status = read("status")?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.and_then(|rss| rss.split_whitespace().next()?.parse().ok());
        // SAFETY: sysconf only looks up a constant.
        let hertz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        Ok(Self {
            at: Instant::now(),
            cpu: (ticks.0 + ticks.1) / hertz,
            rss_kb: rss.unwrap_or(0),
        })
    }
}
