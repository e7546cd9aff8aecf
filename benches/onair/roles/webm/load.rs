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
use crate::peer::tls;
use crate::roles::crowd::{Crowd, Plan, Seen};

const CLUSTER: [u8; 4] = [0x1f, 0x43, 0xb6, 0x75];
const READ: usize = 256 << 10;
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
    seen: Seen,
    /// The last bytes, in case a Cluster begins in them.
    tail: Vec<u8>,
    lazy: bool,
}

/// `webm-load PORT PATH N SETTLE_S WINDOW_S LAZY PID [CERTIFICATES]`: N clients, LAZY more that never read. Prints
/// what the process PID did in the window.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let usage = "webm-load PORT PATH N SETTLE_S WINDOW_S LAZY PID [CERTIFICATES]";
    let [port, path, numbers @ ..] = args else {
        return Err(usage.to_owned());
    };
    let (Ok(port), Some(plan)) = (port.parse(), Plan::parse(numbers)) else {
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
    plan.run(&mut load)
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

impl Crowd for Load {
    fn len(&self) -> usize {
        self.clients.len()
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
            seen: Seen::default(),
            tail: Vec::new(),
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
                client.seen.gone |= socket.write_all(request.as_bytes()).is_err();
            }
            while client.unsaid.is_none() && !client.lazy {
                let read = match &mut client.socket {
                    Socket::Plain(socket) => socket.read(&mut self.scratch),
                    Socket::Tls(tls) => tls.read(&mut self.scratch),
                };
                match read {
                    Ok(0) => client.seen.gone = true,
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
                    Err(_) => client.seen.gone = true,
                }
                break;
            }
        }
        Ok(())
    }

    fn watch(&mut self) {
        self.measuring = true;
        self.clients.iter_mut().for_each(|c| c.seen.begin());
    }

    fn seen(&self) -> Vec<Seen> {
        let readers = self.clients.iter().filter(|c| !c.lazy);
        readers.map(|c| c.seen.clone()).collect()
    }

    fn arrivals(&self) -> Vec<&[Instant]> {
        self.arrivals.values().map(Vec::as_slice).collect()
    }
}

impl Client {
    /// Looks for Clusters; `arrived` is told their time codes.
    fn take(&mut self, bytes: &[u8], now: Instant, mut arrived: impl FnMut(u64)) {
        self.seen.hear(bytes.len(), now);
        if let Some(so_far) = &mut self.joining {
            so_far.extend_from_slice(bytes);
            if has_key_frame(so_far) {
                self.seen.join = Some(now - self.connected);
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
