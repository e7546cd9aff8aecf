// SPDX-License-Identifier: MPL-2.0

//! A bad network in front of one server: forwards TCP connections until it is told to spoil them.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mio::{
    Events, Interest, Poll, Token, Waker,
    net::{TcpListener, TcpStream},
};
use socket2::{Domain, Socket, Type};

/// What becomes of the connections that are open, and of the next ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Both ends see a TCP reset.
    Reset,
    /// Both ends see an orderly close.
    Close,
    /// Nothing passes for so long, then all of it.
    Stall(Duration),
    /// Nothing passes ever again, and nobody is told; new connections are well.
    Dead,
    /// As little passes as on a link that loses packets: so many bytes a second, for so long.
    Throttle(u32, Duration),
    /// All connections are reset, and for so long nobody listens.
    Restart(Duration),
}

/// When the network was bad, from and to.
pub type Outage = (Instant, Instant);

/// Dropping it ends it.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    commands: Option<mpsc::Sender<Fault>>,
    waker: Arc<Waker>,
    outages: Mutex<Vec<Outage>>,
    thread: Option<JoinHandle<()>>,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and forwards to another.
    pub fn start(server: u16) -> Self {
        let poll = Poll::new().expect("a poll");
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).expect("a waker"));
        let listener = listen(0);
        let port = listener.local_addr().expect("its address").port();
        let (commands, orders) = mpsc::channel();
        let proxy = Proxy {
            poll,
            port,
            server,
            listener: None,
            links: Vec::new(),
            next: 0,
            closed_until: None,
        };
        let thread = thread::spawn(move || proxy.run(listener, &orders));
        Self {
            port,
            commands: Some(commands),
            waker,
            outages: Mutex::default(),
            thread: Some(thread),
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Spoils the connections. `noticed`: how long it takes the ends to see that a link is dead.
    pub fn inflict(&self, fault: Fault, noticed: Duration) {
        let now = Instant::now();
        let lasts = match fault {
            Fault::Reset | Fault::Close => Duration::ZERO,
            Fault::Stall(time) | Fault::Throttle(_, time) | Fault::Restart(time) => time,
            Fault::Dead => noticed,
        };
        self.outages.lock().unwrap().push((now, now + lasts));
        let _ = self.commands.as_ref().expect("it runs").send(fault);
        let _ = self.waker.wake();
    }

    /// All so far, in order of their beginning.
    pub fn outages(&self) -> Vec<Outage> {
        self.outages.lock().unwrap().clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.commands = None;
        let _ = self.waker.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

const WAKER: Token = Token(0);
const LISTENER: Token = Token(1);
const FIRST_LINK: usize = 2;

/// Bytes that may wait in the proxy for a slow end; the rest waits where it came from.
const HELD: usize = 16 * 1024;

/// How long a dead link is kept: longer than either end may take to notice.
const GRAVE: Duration = Duration::from_secs(60);

struct Proxy {
    poll: Poll,
    port: u16,
    server: u16,
    listener: Option<TcpListener>,
    links: Vec<Link>,
    next: usize,
    closed_until: Option<Instant>,
}

/// A connection and its continuation.
struct Link {
    /// Its ends have this token and the next.
    token: usize,
    /// The client's end, the server's.
    ends: [TcpStream; 2],
    /// What waits to be written to each.
    held: [Vec<u8>; 2],
    /// Which of them will send nothing more.
    ended: [bool; 2],
    held_until: Option<Instant>,
    /// Until when neither end hears of the other.
    dead_until: Option<Instant>,
    throttle: Option<Throttle>,
}

struct Throttle {
    rate: u32,
    begun: Instant,
    until: Instant,
    passed: u64,
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// A socket with segments as on an Ethernet. With those of loopback the kernel takes megabytes before a sender
/// learns that nothing is read any more.
fn socket() -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.set_tcp_mss(1448).expect("an option");
    socket.set_recv_buffer_size(HELD).expect("an option");
    socket
}

fn listen(port: u16) -> TcpListener {
    let socket = socket();
    socket.set_reuse_address(true).expect("an option");
    socket
        .bind(&local(port).into())
        .expect("a port that is free");
    socket.listen(64).expect("a socket");
    socket.set_nonblocking(true).expect("an option");
    TcpListener::from_std(socket.into())
}

impl Proxy {
    fn run(mut self, mut listener: TcpListener, orders: &mpsc::Receiver<Fault>) {
        let registry = self.poll.registry();
        let registered = registry.register(&mut listener, LISTENER, Interest::READABLE);
        registered.expect("a poll");
        self.listener = Some(listener);
        let mut events = Events::with_capacity(64);
        loop {
            let wait = self.next_look();
            if let Err(error) = self.poll.poll(&mut events, wait) {
                assert_eq!(error.kind(), ErrorKind::Interrupted, "{error}");
            }
            loop {
                match orders.try_recv() {
                    Ok(fault) => self.inflict(fault),
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return,
                }
            }
            self.reopen();
            self.accept();
            let now = Instant::now();
            self.links.retain_mut(|link| link.pump(now));
        }
    }

    /// How long until something changes by itself.
    fn next_look(&self) -> Option<Duration> {
        let links = self.links.iter();
        let held = links.filter_map(|link| link.dead_until.or(link.held_until));
        let next = held.chain(self.closed_until).min();
        let next = next.map(|at| at.saturating_duration_since(Instant::now()));
        let throttled = self.links.iter().any(|link| link.throttle.is_some());
        match next {
            next if !throttled => next,
            next => Some(next.unwrap_or(Duration::MAX).min(Duration::from_millis(20))),
        }
    }

    fn inflict(&mut self, fault: Fault) {
        let now = Instant::now();
        match fault {
            Fault::Reset => self.reset(),
            Fault::Close => self.links.clear(),
            Fault::Stall(time) => {
                for link in &mut self.links {
                    link.held_until = Some(now + time);
                }
            }
            Fault::Dead => {
                for link in &mut self.links {
                    link.dead_until = Some(now + GRAVE);
                }
            }
            Fault::Throttle(rate, time) => {
                for link in &mut self.links {
                    link.throttle = Some(Throttle {
                        rate,
                        begun: now,
                        until: now + time,
                        passed: 0,
                    });
                }
            }
            Fault::Restart(time) => {
                self.reset();
                self.listener = None;
                self.closed_until = Some(now + time);
            }
        }
    }

    fn reset(&mut self) {
        for link in self.links.drain(..) {
            for end in &link.ends {
                let _ = socket2::SockRef::from(end).set_linger(Some(Duration::ZERO));
            }
        }
    }

    fn reopen(&mut self) {
        if self.closed_until.is_none_or(|until| Instant::now() < until) {
            return;
        }
        self.closed_until = None;
        let mut listener = listen(self.port);
        let registry = self.poll.registry();
        let registered = registry.register(&mut listener, LISTENER, Interest::READABLE);
        registered.expect("a poll");
        self.listener = Some(listener);
    }

    fn accept(&mut self) {
        while let Some(Ok((client, _))) = self.listener.as_ref().map(TcpListener::accept) {
            let token = FIRST_LINK + self.next;
            self.next += 2;
            // Whoever is refused there is refused here.
            let server = socket();
            if server.connect(&local(self.server).into()).is_err() {
                continue;
            }
            server.set_nonblocking(true).expect("an option");
            let server = std::net::TcpStream::from(server);
            let mut link = Link {
                token,
                ends: [client, TcpStream::from_std(server)],
                held: Default::default(),
                ended: [false; 2],
                held_until: None,
                dead_until: None,
                throttle: None,
            };
            for (side, end) in link.ends.iter_mut().enumerate() {
                let _ = end.set_nodelay(true);
                let token = Token(link.token + side);
                let both = Interest::READABLE | Interest::WRITABLE;
                let registered = self.poll.registry().register(end, token, both);
                registered.expect("a poll");
            }
            self.links.push(link);
        }
    }
}

impl Link {
    /// Passes on what there is; whether the link lives on.
    fn pump(&mut self, now: Instant) -> bool {
        self.held_until = self.held_until.filter(|until| now < *until);
        self.throttle = self.throttle.take().filter(|limit| now < limit.until);
        if let Some(until) = self.dead_until {
            return now < until;
        }
        if self.held_until.is_some() {
            return true;
        }
        for side in 0..2 {
            match self.pass(side, now) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    for end in &self.ends {
                        let _ = socket2::SockRef::from(end).set_linger(Some(Duration::ZERO));
                    }
                    return false;
                }
            }
        }
        self.ended != [true; 2] || self.held.iter().any(|held| !held.is_empty())
    }

    /// From one end to the other, until one of them blocks.
    fn pass(&mut self, from: usize, now: Instant) -> io::Result<()> {
        let mut piece = [0; HELD];
        loop {
            let to = 1 - from;
            let allowed = match &self.throttle {
                Some(limit) => {
                    let so_far = (now - limit.begun).as_millis() as u64;
                    let allowed = so_far * u64::from(limit.rate) / 1000;
                    allowed.saturating_sub(limit.passed) as usize
                }
                None => HELD,
            };
            let waiting = self.held[to].len();
            if waiting > 0 {
                let some = &self.held[to][..waiting.min(allowed)];
                if some.is_empty() {
                    return Ok(());
                }
                let written = self.ends[to].write(some)?;
                self.held[to].drain(..written);
                if let Some(limit) = &mut self.throttle {
                    limit.passed += written as u64;
                }
                continue;
            }
            if self.ended[from] {
                return Ok(());
            }
            match self.ends[from].read(&mut piece)? {
                0 => {
                    self.ended[from] = true;
                    let _ = self.ends[to].shutdown(std::net::Shutdown::Write);
                }
                len => self.held[to].extend_from_slice(&piece[..len]),
            }
        }
    }
}
