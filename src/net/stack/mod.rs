// SPDX-License-Identifier: MPL-2.0

//! One connection, from a host name to bytes in both directions.
//!
//! A [`Stack`] resolves, connects, asks a proxy, shakes TLS hands, opens a tunnel through HTTP and
//! agrees on RTMPE's keys by being polled, and
//! then reads and writes. It never blocks; it owns no thread but the resolver's. Whoever drives it
//! owns the poll and does this:
//!
//! - hands each event of the stack's token to [`Stack::on_ready()`],
//! - calls [`Stack::establish()`] after each event, wake or [`Stack::deadline()`], until ready,
//! - then calls [`Stack::read()`] until it would block, and [`Stack::write()`] whenever there is
//!   something to write or the socket became writable.
//!
//! - calls [`Stack::drive()`] at its deadline, later too: a tunnel polls.
//!
//! What would block is known without a system call; see [`stream`](super::stream).

mod connect;
mod establish;
mod hosted;
mod layer;
mod proxy;
mod sealed;
#[cfg(test)]
mod tests;
mod tunnel;

use std::{
    fmt, io,
    io::IoSlice,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use connect::Connecting;
use hosted::Hosted;
use layer::Layer;
use mio::{Registry, Token};
use proxy::Proxy;
use sealed::Sealed;

use super::{
    NetError, Stage,
    bell::Bell,
    meeting::Meeting,
    resolve::{Resolve, Resolver},
    socks::SocksProxy,
    stream::{Ready, Stream},
    tls::{ClientTls, Connector, Session},
};
use crate::protocol::{
    rtmp::{handshake::crypt, transmit::Transmit, url::HttpProxy},
    rtmpt::TunnelStats,
};

/// Slices in one gathering write. Linux takes 1024, but a message of any size has few, and the
/// array lives on the stack.
pub(super) const SLICES: usize = 64;

/// Copied for a filter at a time, of what is offered to it.
const OFFER: usize = 64 * 1024;

/// Where to connect to, and how.
#[derive(Debug, Clone)]
pub struct Target {
    /// Host name or IP address, IPv6 with or without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// TLS settings; `None` for plain TCP.
    pub tls: Option<ClientTls>,
    /// Goes through HTTP requests (RTMPT).
    pub tunnel: bool,
    /// The version of RTMPE to offer; `None` for no RTMPE.
    pub rtmpe: Option<crypt::Version>,
    /// A SOCKS proxy to go through.
    pub socks: Option<SocksProxy>,
    /// An HTTP proxy to go through; not where there is the other.
    pub http_proxy: Option<HttpProxy>,
    /// Connects there, to what was found under the name before.
    pub address: Option<SocketAddr>,
    /// Time for everything until bytes can flow; zero for no limit.
    pub connect_timeout: Duration,
    /// Where addresses come from.
    pub resolver: Resolver,
}

impl Target {
    /// Plain TCP without a time limit.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            tls: None,
            tunnel: false,
            rtmpe: None,
            socks: None,
            http_proxy: None,
            address: None,
            connect_timeout: Duration::ZERO,
            resolver: Resolver::default(),
        }
    }
}

/// How far [`Stack::establish()`] got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Establish {
    /// It waits for an event, a wake or the deadline.
    Pending(Stage),
    /// Bytes can flow.
    Ready,
}

/// What [`Stack::read()`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// This many bytes, at least one.
    Data(usize),
    /// Nothing until the next event.
    WouldBlock,
    /// The peer will send no more. [`Stack::truncated()`] tells whether it said so.
    Closed,
}

/// What [`Stack::write()`] achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// All was handed to the kernel.
    Drained,
    /// The kernel takes no more until the next event.
    Blocked,
}

/// One connection. See the module's text.
pub struct Stack {
    state: State,
    /// Counted from the first [`Stack::establish()`].
    deadline: Option<Instant>,
    timeout: Duration,
}

enum State {
    Client(Box<Target>, Arc<mio::Waker>),
    Accepted(mio::net::TcpStream, Option<Arc<rustls::ServerConfig>>),
    Resolving(Plan, Resolve),
    Connecting(Plan, Connecting),
    Proxy(Plan, Stream, Proxy),
    Tls(Stream, Box<Session>),
    Open(Stream, Option<Box<Session>>),
    Layer(Box<dyn Layer>),
    Failed,
}

/// What is still to be done once TCP stands.
struct Plan {
    target: Box<Target>,
    connector: Option<Connector>,
}

impl Stack {
    /// A connection to be made. `waker` is that of the poll that drives the stack.
    pub fn connect(target: Target, waker: Arc<mio::Waker>) -> Self {
        let timeout = target.connect_timeout;
        Self {
            state: State::Client(Box::new(target), waker),
            deadline: None,
            timeout,
        }
    }

    /// A connection that a listener accepted; with `tls`, as the TLS server. It has no deadline:
    /// whoever accepts has one for the whole greeting.
    pub fn accepted(socket: mio::net::TcpStream, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        Self {
            state: State::Accepted(socket, tls),
            deadline: None,
            timeout: Duration::ZERO,
        }
    }

    /// What comes and goes through `session`, which rings `bell`.
    pub(super) fn hosted(session: Arc<Meeting>, bell: Bell) -> Self {
        Self::over(Box::new(Hosted::new(session, bell)))
    }

    fn over(layer: Box<dyn Layer>) -> Self {
        Self {
            state: State::Layer(layer),
            deadline: None,
            timeout: Duration::ZERO,
        }
    }

    /// RTMPE with a client that came over `lower`, of which `first` was read.
    ///
    /// # Errors
    /// [`NetError::Rtmpe`], where `first` says that it is none.
    pub fn sealed(lower: Self, first: &[u8]) -> Result<Self, NetError> {
        Ok(Self::over(Box::new(Sealed::server(lower, first)?)))
    }

    /// Takes in what the poll reported for this stack's token.
    pub fn on_ready(&mut self, ready: Ready) {
        if let State::Layer(layer) = &mut self.state {
            if let Some(lower) = layer.lower_mut() {
                lower.on_ready(ready);
            }
        } else if let Some(stream) = self.stream_mut() {
            stream.on_ready(ready);
        }
    }

    /// Goes on as far as it goes without waiting. The socket is registered with `token`.
    ///
    /// # Errors
    /// Any [`NetError`] but `Interrupted`; the stack is of no further use then.
    pub fn establish(
        &mut self,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> Result<Establish, NetError> {
        if self.deadline.is_none() && !self.timeout.is_zero() {
            self.deadline = now.checked_add(self.timeout);
        }
        loop {
            let state = std::mem::replace(&mut self.state, State::Failed);
            let (state, went_on) = state.advance(registry, token, now)?;
            let stage = state.stage();
            self.state = state;
            if stage == Stage::Stream {
                self.deadline = None;
                return Ok(Establish::Ready);
            }
            if self.deadline.is_some_and(|deadline| deadline <= now) {
                self.state = State::Failed;
                return Err(NetError::Timeout {
                    stage,
                    after: self.timeout,
                });
            }
            if !went_on {
                return Ok(Establish::Pending(stage));
            }
        }
    }

    /// Does what has to be done from time to time once bytes can flow: a tunnel polls, and makes the
    /// next connection where one ended.
    ///
    /// # Errors
    /// As [`establish`](Self::establish).
    pub fn drive(
        &mut self,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> Result<(), NetError> {
        match &mut self.state {
            State::Layer(layer) => layer.drive(registry, token, now),
            _ => Ok(()),
        }
    }

    /// How far it has come.
    pub fn stage(&self) -> Stage {
        self.state.stage()
    }

    /// When [`Stack::establish()`], and later [`Stack::drive()`], has to be called even if nothing
    /// happens.
    pub fn deadline(&self) -> Option<Instant> {
        let next = match &self.state {
            State::Connecting(_, connecting) => connecting.deadline(),
            State::Layer(layer) => layer.deadline(),
            _ => None,
        };
        [next, self.deadline].into_iter().flatten().min()
    }

    /// Reads what has come into `buf`, which must not be empty. To be called until it would block,
    /// which costs nothing: after a read that did not fill `buf`, the next one does not ask the
    /// kernel unless the peer hung up.
    ///
    /// # Errors
    /// [`NetError::Closed`] when the connection was cut, [`NetError::Tls`] when TLS broke, as it
    /// does when a server asks for a certificate and gets none (TLS 1.3 tells only then).
    pub fn read(&mut self, buf: &mut [u8]) -> Result<Read, NetError> {
        if let State::Open(stream, Some(tls)) = &mut self.state {
            let (room, mut filled) = (buf.len(), 0);
            return tls.read(stream, room, &mut |bytes| {
                buf[filled..filled + bytes.len()].copy_from_slice(bytes);
                filled += bytes.len();
            });
        }
        if let State::Layer(layer) = &mut self.state {
            // Rare: what wants speed calls `read_to`.
            let (mut scratch, mut filled) = (vec![0; buf.len()], 0);
            return layer.read_to(&mut scratch, &mut |bytes| {
                if let Some(room) = buf.get_mut(filled..filled + bytes.len()) {
                    room.copy_from_slice(bytes);
                    filled += bytes.len();
                }
            });
        }
        self.read_plain(buf)
    }

    /// Reads what has come, by way of `buf` if it must, and hands it to `take` in one piece or
    /// several: over TLS it saves a copy.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_to(
        &mut self,
        buf: &mut [u8],
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<Read, NetError> {
        if let State::Open(stream, Some(tls)) = &mut self.state {
            return tls.read(stream, buf.len(), take);
        }
        if let State::Layer(layer) = &mut self.state {
            return layer.read_to(buf, take);
        }
        let read = self.read_plain(buf);
        if let Ok(Read::Data(n)) = read {
            take(&buf[..n]);
        }
        read
    }

    fn read_plain(&mut self, buf: &mut [u8]) -> Result<Read, NetError> {
        match &mut self.state {
            State::Open(stream, _) => match stream.recv(buf) {
                Ok(0) => Ok(Read::Closed),
                Ok(n) => Ok(Read::Data(n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::WouldBlock),
                Err(error) => Err(NetError::from_io(Stage::Stream, error)),
            },
            State::Failed => Err(NetError::Closed {
                stage: Stage::Stream,
            }),
            _ => Ok(Read::WouldBlock),
        }
    }

    /// Writes from the front of `transmit` until it is empty or the kernel takes no more: over
    /// TCP without copying, over TLS at most 64 KiB ahead of the kernel.
    ///
    /// # Errors
    /// [`NetError::Closed`] when the connection was cut.
    pub fn write(&mut self, transmit: &mut Transmit) -> Result<Write, NetError> {
        match &mut self.state {
            State::Open(stream, None) => write_plain(stream, transmit, Stage::Stream),
            State::Open(stream, Some(tls)) => tls.write(stream, transmit),
            State::Layer(layer) => layer.write(transmit),
            State::Failed => Err(NetError::Closed {
                stage: Stage::Stream,
            }),
            _ => Ok(Write::Blocked),
        }
    }

    /// Whether there is a filter that takes bytes [as they are](Self::write) for less than what is
    /// [offered](Self::offer), of which it needs a copy.
    pub fn is_layered(&self) -> bool {
        matches!(self.state, State::Layer(_))
    }

    /// Writes as many bytes from the front of `slices` as it takes now; 0 means that it takes none
    /// until the next event. No slices push on what TLS still holds.
    ///
    /// # Errors
    /// [`NetError::Closed`] when the connection was cut.
    pub fn offer(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, NetError> {
        match &mut self.state {
            State::Open(_, None) if slices.is_empty() => Ok(0),
            State::Open(stream, None) => match stream.send(slices) {
                Ok(n) => Ok(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                Err(error) => Err(NetError::from_io(Stage::Stream, error)),
            },
            State::Open(stream, Some(tls)) => tls.offer(stream, slices),
            State::Layer(layer) => {
                let (mut copies, mut room) = (Transmit::default(), OFFER);
                for slice in slices {
                    let piece = slice.get(..room.min(slice.len())).unwrap_or_default();
                    room -= piece.len();
                    copies.push(Bytes::copy_from_slice(piece));
                }
                layer.write(&mut copies)?;
                Ok(OFFER - room - copies.len())
            }
            State::Failed => Err(NetError::Closed {
                stage: Stage::Stream,
            }),
            _ => Ok(0),
        }
    }

    /// Closes with a reset: the peer learns that this is no proper end, and the kernel forgets what
    /// a peer that does not read has left unread.
    pub fn reset(self) {
        if let Some(stream) = self.stream() {
            // It fails if the peer was faster.
            let _ = stream.reset_on_close();
        }
    }

    /// Whether the stack holds bytes that wait for the socket, be the transmit empty or not.
    pub fn wants_write(&self) -> bool {
        match &self.state {
            State::Open(_, Some(tls)) => tls.wants_write(),
            State::Layer(layer) => layer.wants_write(),
            _ => false,
        }
    }

    /// Whether TLS ended without a close_notify: somebody may have cut the end off, though often
    /// it is only a careless peer.
    pub fn truncated(&self) -> bool {
        match &self.state {
            State::Open(_, Some(tls)) => tls.truncated(),
            State::Layer(layer) => layer.truncated(),
            _ => false,
        }
    }

    /// Ends our direction: close_notify if the socket takes it at once, then FIN. The peer's
    /// direction can still be read.
    pub fn shutdown(&mut self) {
        match &mut self.state {
            State::Open(stream, tls) => {
                if let Some(tls) = tls {
                    tls.close(stream);
                }
                // It fails if the peer was faster.
                let _ = stream.shutdown_write();
            }
            State::Layer(layer) => layer.shutdown(),
            _ => self.state = State::Failed,
        }
    }

    /// Watches the socket; [`Stack::establish()`] does it by itself. After moving to another poll,
    /// read at once: what TLS has already got from the socket brings no event.
    ///
    /// # Errors
    /// [`NetError::Io`].
    pub fn register(&mut self, registry: &Registry, token: Token) -> Result<(), NetError> {
        if let State::Layer(layer) = &mut self.state {
            return layer.move_to(Some((registry, token)), None);
        }
        self.stream_mut()
            .map_or(Ok(()), |stream| stream.register(registry, token))
            .map_err(io)
    }

    /// Changes the token.
    ///
    /// # Errors
    /// [`NetError::Io`].
    pub fn reregister(&mut self, registry: &Registry, token: Token) -> Result<(), NetError> {
        if let State::Layer(layer) = &mut self.state {
            return layer.move_to(Some((registry, token)), Some(registry));
        }
        self.stream_mut()
            .map_or(Ok(()), |stream| stream.reregister(registry, token))
            .map_err(io)
    }

    /// Stops watching, to register with another poll.
    ///
    /// # Errors
    /// [`NetError::Io`].
    pub fn deregister(&mut self, registry: &Registry) -> Result<(), NetError> {
        if let State::Layer(layer) = &mut self.state {
            return layer.move_to(None, Some(registry));
        }
        self.stream_mut()
            .map_or(Ok(()), |stream| stream.deregister(registry))
            .map_err(io)
    }

    /// The address at the other end: the proxy's if there is one. `None` while there is no
    /// connection.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.state {
            State::Layer(layer) => layer.peer_addr(),
            _ => self.stream()?.peer_addr().ok(),
        }
    }

    /// Our own address.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.stream()?.local_addr().ok()
    }

    /// The socket, for its options; `None` while there is no connection.
    pub fn stream(&self) -> Option<&Stream> {
        match &self.state {
            State::Proxy(_, stream, _) | State::Tls(stream, _) | State::Open(stream, _) => {
                Some(stream)
            }
            State::Layer(layer) => layer.lower()?.stream(),
            _ => None,
        }
    }

    /// The key of SWF verification, where the handshake was done below the session; `None` where the
    /// session has to shake hands.
    pub fn swf_key(&self) -> Option<[u8; 32]> {
        match &self.state {
            State::Layer(layer) => layer.swf_key(),
            _ => None,
        }
    }

    /// Figures of the tunnel, where there is one.
    pub fn tunnel_stats(&self) -> Option<TunnelStats> {
        match &self.state {
            State::Layer(layer) => layer.tunnel_stats(),
            _ => None,
        }
    }

    /// See [`Stream::set_pacing_rate()`]. Without a connection nothing happens.
    ///
    /// # Errors
    /// [`NetError::Io`], also where the system cannot do it.
    pub fn set_pacing_rate(&self, bytes_per_second: u64) -> Result<(), NetError> {
        self.stream()
            .map_or(Ok(()), |stream| stream.set_pacing_rate(bytes_per_second))
            .map_err(io)
    }

    fn stream_mut(&mut self) -> Option<&mut Stream> {
        match &mut self.state {
            State::Proxy(_, stream, _) | State::Tls(stream, _) | State::Open(stream, _) => {
                Some(stream)
            }
            _ => None,
        }
    }
}

/// A tunnel owes the server a last request.
impl Drop for Stack {
    fn drop(&mut self) {
        if let State::Layer(layer) = std::mem::replace(&mut self.state, State::Failed) {
            layer.leave();
        }
    }
}

impl fmt::Debug for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stack")
            .field("stage", &self.state.stage())
            .field("peer", &self.peer_addr())
            .finish_non_exhaustive()
    }
}

fn write_plain(
    stream: &mut Stream,
    transmit: &mut Transmit,
    stage: Stage,
) -> Result<Write, NetError> {
    while !transmit.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = transmit.io_slices(&mut slices);
        match stream.send(&slices[..filled]) {
            Ok(n) => transmit.advance(n),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Write::Blocked),
            Err(error) => return Err(NetError::from_io(stage, error)),
        }
    }
    Ok(Write::Drained)
}

fn io(source: io::Error) -> NetError {
    NetError::Io {
        stage: Stage::Stream,
        source,
    }
}
