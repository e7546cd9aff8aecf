// SPDX-License-Identifier: MPL-2.0

//! A TCP socket that remembers what the poll said last.
//!
//! The poll is edge-triggered: it reports once that there is something to read, and the socket has
//! to be emptied before it reports again. Emptied means that a read would block, or, as epoll(7)
//! says in its ninth answer, that a read returned less than was asked for. Taking the second sign
//! saves every other recv, but needs care twice:
//!
//! - A FIN that arrives together with the last bytes brings no edge of its own. Once the poll
//!   reported a hang-up, only "would block" and the end itself count as empty.
//! - Urgent data cuts a read short. A peer that sends it delays its own bytes until its next
//!   segment, and nobody else's.
//!
//! So the user may simply read until it blocks: the blocking answer after a short read costs no
//! system call. In return every event has to come through [`Stream::on_ready()`].

use std::{
    io::{self, IoSlice, Read},
    net::{Shutdown, SocketAddr},
    ops::BitOrAssign,
    time::Duration,
};

use mio::{Interest, Registry, Token, event::Event, net::TcpStream};
use socket2::{SockRef, TcpKeepalive};

/// Elsewhere a poll may be rearmed only by a call that would block.
const SHORT_IS_EMPTY: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// Silence after which the kernel asks whether the peer is still there.
const PROBE: Duration = Duration::from_secs(20);

/// How long data, or that question, may go without an answer. So a peer that vanished is found out within a
/// minute, whether anything is sent to it or not. Without this limit (RFC 5482) Linux sends data again for a
/// quarter of an hour.
const UNANSWERED: Duration = Duration::from_secs(30);

/// See the module's text.
#[derive(Debug)]
pub struct Stream {
    socket: TcpStream,
    ready: Ready,
}

/// What is known of a socket without asking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ready {
    readable: bool,
    writable: bool,
    hung_up: bool,
}

impl Ready {
    /// Before a poll told anything, a socket has to be asked.
    pub(super) const UNKNOWN: Self = Self {
        readable: true,
        writable: true,
        hung_up: false,
    };
}

impl Ready {
    /// Whether the peer will send no more, or is gone.
    pub(super) fn is_hung_up(self) -> bool {
        self.hung_up
    }

    /// Whether a read may find something, or the end.
    pub(super) fn is_readable(self) -> bool {
        self.readable
    }
}

impl From<&Event> for Ready {
    fn from(event: &Event) -> Self {
        let failed = event.is_error();
        let hung_up = event.is_read_closed() || failed;
        Self {
            readable: event.is_readable() || hung_up,
            writable: event.is_writable() || event.is_write_closed() || failed,
            hung_up,
        }
    }
}

impl BitOrAssign for Ready {
    fn bitor_assign(&mut self, other: Self) {
        self.readable |= other.readable;
        self.writable |= other.writable;
        self.hung_up |= other.hung_up;
    }
}

impl Stream {
    /// Takes a socket that is connected or was accepted, and turns Nagle's algorithm off: a
    /// session writes whole messages, and a command that waits for the acknowledgement of the one
    /// before it costs a round trip.
    ///
    /// Turns keep-alive on: who only reads would never learn that the peer lost power or network,
    /// and a listener's place would stay taken by a publisher that is no more.
    ///
    /// # Errors
    /// The system's.
    pub fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        let stream = Self {
            socket,
            ready: Ready::UNKNOWN,
        };
        stream.set_keepalive(PROBE, Some(UNANSWERED))?;
        Ok(stream)
    }

    /// Takes in what the poll reported for this socket.
    pub fn on_ready(&mut self, ready: Ready) {
        self.ready |= ready;
    }

    /// Reads what is there, without a system call if there cannot be anything. 0 is the end of the
    /// stream, provided that `buf` is not empty.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when there is nothing until the next event.
    pub fn recv(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if !self.ready.readable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        loop {
            match self.socket.read(buf) {
                Ok(n) => {
                    let short = n > 0 && n < buf.len();
                    if short && SHORT_IS_EMPTY && !self.ready.hung_up {
                        self.ready.readable = false;
                    }
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() == io::ErrorKind::WouldBlock {
                        // A hang-up that blocks was another socket's, left from connecting.
                        (self.ready.readable, self.ready.hung_up) = (false, false);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Writes as much as the socket takes, without a system call if it cannot take any.
    ///
    /// # Errors
    /// The system's; `WouldBlock` when it takes nothing until the next event.
    pub fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.ready.writable {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        loop {
            match self.socket.try_io(|| sys::send(&self.socket, slices)) {
                Ok(n) => {
                    let offered = slices.iter().map(|slice| slice.len()).sum::<usize>();
                    if SHORT_IS_EMPTY && n < offered {
                        self.ready.writable = false;
                    }
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if error.kind() == io::ErrorKind::WouldBlock {
                        self.ready.writable = false;
                    } else {
                        // What the peer said before it broke off can be read, event or not.
                        (self.ready.readable, self.ready.hung_up) = (true, true);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Watches for both directions. With edges there is nothing to gain by asking for less.
    ///
    /// # Errors
    /// The system's.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(
            &mut self.socket,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    /// Changes the token. Events that are due are reported again, under the new one.
    ///
    /// # Errors
    /// The system's.
    pub fn reregister(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.reregister(
            &mut self.socket,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )
    }

    /// Stops watching, for instance to move to another thread's poll.
    ///
    /// # Errors
    /// The system's.
    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.socket)?;
        // The poll that takes over has not told anything yet.
        self.ready |= Ready::UNKNOWN;
        Ok(())
    }

    /// Ends our direction (FIN); the peer's goes on.
    ///
    /// # Errors
    /// The system's.
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    /// The peer's address.
    ///
    /// # Errors
    /// The system's, when the peer is gone.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// Our own address.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Notices a peer that vanished without a FIN: probes after `idle` without data, and gives up
    /// on data of ours that nobody acknowledged for `unacknowledged` (TCP_USER_TIMEOUT, RFC 5482;
    /// Linux only).
    ///
    /// # Errors
    /// The system's.
    pub fn set_keepalive(
        &self,
        idle: Duration,
        unacknowledged: Option<Duration>,
    ) -> io::Result<()> {
        let socket = SockRef::from(&self.socket);
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(idle).with_interval(idle / 4))?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(unacknowledged)?;
        #[cfg(not(target_os = "linux"))]
        let _ = unacknowledged;
        Ok(())
    }

    /// How long data may go without an answer, and how long the peer's kernel may say that it has no room for
    /// more; zero for as long as the system's defaults have it. Linux only.
    ///
    /// # Errors
    /// The system's.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.set_keepalive(PROBE, Some(patience).filter(|patience| !patience.is_zero()))
    }

    /// Has the socket count as full while it holds this many unsent bytes (TCP_NOTSENT_LOWAT); 0
    /// leaves it to the kernel. What is on its way does not count, so this costs no throughput.
    ///
    /// # Errors
    /// `Unsupported` except on Linux, or the system's.
    pub fn set_unsent(&self, bytes: u32) -> io::Result<()> {
        sys::set_unsent(&self.socket, bytes)
    }

    /// Has closing reset the connection, and whatever is unsent forgotten.
    ///
    /// # Errors
    /// The system's.
    pub fn reset_on_close(&self) -> io::Result<()> {
        SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))
    }

    /// Lets the kernel spread our bytes over time instead of sending bursts, in bytes per second
    /// (SO_MAX_PACING_RATE); `u64::MAX` lifts the limit.
    ///
    /// # Errors
    /// `Unsupported` except on Linux, or the system's.
    pub fn set_pacing_rate(&self, bytes_per_second: u64) -> io::Result<()> {
        sys::set_pacing_rate(&self.socket, bytes_per_second)
    }

    /// The kernel's smoothed estimate of the round-trip time; `None` where the kernel does not
    /// tell.
    pub fn rtt(&self) -> Option<Duration> {
        sys::rtt(&self.socket)
    }

    /// Bytes that the kernel holds until the peer has acknowledged them, sent or not (`SIOCOUTQ`, tcp(7));
    /// `None` where the kernel does not tell.
    pub fn unacknowledged(&self) -> Option<u32> {
        sys::unacknowledged(&self.socket)
    }
}

#[cfg(target_os = "linux")]
mod sys {
    use std::{
        io::{self, IoSlice},
        mem,
        os::fd::AsRawFd,
        time::Duration,
    };

    use mio::net::TcpStream;
    use socket2::SockRef;

    /// writev() would raise SIGPIPE when the peer is gone. Rust programs ignore that signal, but
    /// gst-launch-1.0 and most applications are none, and it kills them.
    pub(super) fn send(socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = SockRef::from(socket);
        match slices {
            // The kernel has less to read then.
            [slice] => socket.send_with_flags(slice, libc::MSG_NOSIGNAL),
            slices => socket.send_vectored_with_flags(slices, libc::MSG_NOSIGNAL),
        }
    }

    pub(super) fn set_pacing_rate(socket: &TcpStream, rate: u64) -> io::Result<()> {
        // The kernel takes an unsigned long (since 4.20), or 32 bits before.
        let rate = libc::c_ulong::try_from(rate).unwrap_or(libc::c_ulong::MAX);
        // SAFETY: the descriptor is open while the socket is borrowed, and the kernel reads the
        // given number of bytes from `rate`, which lives across the call.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MAX_PACING_RATE,
                (&raw const rate).cast(),
                mem::size_of_val(&rate) as libc::socklen_t,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    pub(super) fn set_unsent(socket: &TcpStream, bytes: u32) -> io::Result<()> {
        SockRef::from(socket).set_tcp_notsent_lowat(match bytes {
            0 => u32::MAX,
            bytes => bytes,
        })
    }

    pub(super) fn unacknowledged(socket: &TcpStream) -> Option<u32> {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the descriptor is open while the socket is borrowed, and the kernel writes one int to
        // `bytes`, which lives across the call. TIOCOUTQ is what SIOCOUTQ is defined as.
        let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        (result == 0).then(|| bytes.try_into().ok()).flatten()
    }

    pub(super) fn rtt(socket: &TcpStream) -> Option<Duration> {
        // SAFETY: all fields are integers, for which zero is a value.
        let mut info: libc::tcp_info = unsafe { mem::zeroed() };
        let mut len = mem::size_of_val(&info) as libc::socklen_t;
        // SAFETY: the descriptor is open while the socket is borrowed, and the kernel writes at
        // most `len` bytes, which is the size of `info`.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                (&raw mut info).cast(),
                &raw mut len,
            )
        };
        (result == 0 && info.tcpi_rtt > 0).then(|| Duration::from_micros(u64::from(info.tcpi_rtt)))
    }
}

#[cfg(not(target_os = "linux"))]
mod sys {
    use std::{
        io::{self, IoSlice, Write},
        time::Duration,
    };

    use mio::net::TcpStream;

    pub(super) fn send(mut socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        socket.write_vectored(slices)
    }

    pub(super) fn set_pacing_rate(_: &TcpStream, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn rtt(_: &TcpStream) -> Option<Duration> {
        None
    }

    pub(super) fn unacknowledged(_: &TcpStream) -> Option<u32> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        net::{TcpListener, TcpStream as StdStream},
    };

    use mio::{Events, Poll};

    use super::*;

    struct Pair {
        poll: Poll,
        stream: Stream,
        peer: StdStream,
    }

    impl Pair {
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let peer = StdStream::connect(listener.local_addr().unwrap()).unwrap();
            let (socket, _) = listener.accept().unwrap();
            socket.set_nonblocking(true).unwrap();
            let mut stream = Stream::new(TcpStream::from_std(socket)).unwrap();
            let poll = Poll::new().unwrap();
            stream.register(poll.registry(), Token(0)).unwrap();
            Self { poll, stream, peer }
        }

        fn wait(&mut self, until: impl Fn(&Event) -> bool) {
            let mut events = Events::with_capacity(4);
            loop {
                self.poll
                    .poll(&mut events, Some(Duration::from_secs(20)))
                    .unwrap();
                assert!(!events.is_empty(), "the event never came");
                let mut seen = false;
                for event in &events {
                    self.stream.on_ready(event.into());
                    seen |= until(event);
                }
                if seen {
                    return;
                }
            }
        }
    }

    fn kind<T: std::fmt::Debug>(result: io::Result<T>) -> io::ErrorKind {
        result.unwrap_err().kind()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn peers_that_vanish_are_noticed() {
        let pair = Pair::new();
        let socket = SockRef::from(&pair.stream.socket);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), PROBE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), PROBE / 4);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNANSWERED));
        pair.stream.set_patience(Duration::from_secs(7)).unwrap();
        let patience = socket.tcp_user_timeout().unwrap();
        assert_eq!(patience, Some(Duration::from_secs(7)));
        pair.stream.set_patience(Duration::ZERO).unwrap();
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
    }

    #[test]
    fn a_short_read_is_the_last_until_the_next_event() {
        let mut pair = Pair::new();
        let mut buf = [0; 16];
        assert_eq!(kind(pair.stream.recv(&mut buf)), io::ErrorKind::WouldBlock);
        pair.peer.write_all(b"abc").unwrap();
        pair.wait(Event::is_readable);
        assert_eq!(pair.stream.recv(&mut buf).unwrap(), 3);
        assert!(!pair.stream.ready.readable);
        assert_eq!(kind(pair.stream.recv(&mut buf)), io::ErrorKind::WouldBlock);
        pair.peer.write_all(b"d").unwrap();
        pair.wait(Event::is_readable);
        assert_eq!(pair.stream.recv(&mut buf).unwrap(), 1);
    }

    #[test]
    fn an_end_that_came_with_the_data_is_seen() {
        let mut pair = Pair::new();
        pair.peer.write_all(b"abc").unwrap();
        pair.peer.shutdown(Shutdown::Write).unwrap();
        pair.wait(Event::is_read_closed);
        let mut buf = [0; 16];
        assert_eq!(pair.stream.recv(&mut buf).unwrap(), 3);
        assert_eq!(pair.stream.recv(&mut buf).unwrap(), 0);
    }

    #[test]
    fn a_full_socket_is_writable_again_after_an_event() {
        let mut pair = Pair::new();
        let bytes = vec![7; 1 << 20];
        let mut sent = 0;
        loop {
            match pair
                .stream
                .send(&[IoSlice::new(&bytes), IoSlice::new(&bytes)])
            {
                Ok(n) => sent += n,
                Err(error) => break assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        assert!(!pair.stream.ready.writable);
        let mut received = vec![0; sent];
        pair.peer.read_exact(&mut received).unwrap();
        assert!(received.iter().all(|&byte| byte == 7));
        pair.wait(Event::is_writable);
        assert!(pair.stream.send(&[IoSlice::new(b"x")]).is_ok());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_peer_that_is_gone_raises_no_signal() {
        let mut pair = Pair::new();
        // A blocked signal stays pending instead of being ignored, and so can be asked for.
        // SAFETY: the sets are initialised by sigemptyset before they are used, and all pointers
        // are to locals that live across the calls.
        let pending = unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGPIPE);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            pair.stream.shutdown_write().unwrap();
            let error = pair.stream.send(&[IoSlice::new(b"x")]);
            assert_eq!(kind(error), io::ErrorKind::BrokenPipe);
            let mut pending = std::mem::zeroed();
            libc::sigpending(&raw mut pending);
            libc::sigismember(&raw const pending, libc::SIGPIPE)
        };
        assert_eq!(pending, 0);
    }

    #[test]
    fn options_are_accepted() {
        let pair = Pair::new();
        assert!(pair.stream.socket.nodelay().unwrap());
        assert!(SockRef::from(&pair.stream.socket).keepalive().unwrap());
        let seconds = Duration::from_secs;
        pair.stream
            .set_keepalive(seconds(20), Some(seconds(30)))
            .unwrap();
        if cfg!(target_os = "linux") {
            pair.stream.set_pacing_rate(1_000_000).unwrap();
            pair.stream.set_pacing_rate(u64::MAX).unwrap();
            assert!(pair.stream.rtt().is_some());
        }
    }
}
