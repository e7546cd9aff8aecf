// SPDX-License-Identifier: MPL-2.0

//! Publisher against listening receiver, over loopback.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver as Channel, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    connection::ConnectionError,
    interrupt::Interrupt,
    porter::{ClaimError, OpenHouse, Takeover, Wanted},
    publisher::{Notice, Overflow, Publisher, PublisherConfig, PushError},
    queue::QueueLimits,
    reactor::{Io, Next, Reactor, Task},
    receiver::{ReceiveError, Received, Receiver},
    reconnect::Policy,
    redirect::{Place, Rules},
    stack::Target,
    testing::client_config,
};
use crate::protocol::{
    flv::{Needs, Tag, TagKind},
    rtmp::session::{
        Capabilities, ClientConfig, Demand, EndReason, Refusal, ServerConfig, ServerEvent,
        ServerSession, SessionError, Stage,
    },
};

const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

fn wanted(address: SocketAddr, stream: &str) -> Wanted {
    Wanted {
        address,
        app: "live".into(),
        stream: stream.into(),
        session: ServerConfig::default(),
        capabilities: Capabilities::all(),
        tls: None,
        door: crate::protocol::rtmp::auth::Door::default(),
        host: Box::new(OpenHouse),
        once: false,
    }
}

fn listen_for(wanted: Wanted, interrupt: Arc<Interrupt>) -> Result<Receiver, ReceiveError> {
    Receiver::listen(
        wanted,
        Takeover::Reject,
        interrupt,
        Arc::default(),
        Duration::ZERO,
    )
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn listen(stream: &str) -> (Receiver, SocketAddr) {
    let interrupt = Arc::new(Interrupt::new());
    let receiver = listen_for(wanted(loopback(), stream), interrupt).unwrap();
    let address = receiver.local_addr().unwrap();
    (receiver, address)
}

fn publish(address: SocketAddr, config: ClientConfig) -> (Publisher, Channel<Notice>) {
    let (sender, notices) = channel();
    let sender = Mutex::new(sender);
    let publisher = Publisher::start(
        vec![Place {
            target: Target::new("127.0.0.1", address.port()),
            config,
        }],
        PublisherConfig {
            queue: QueueLimits {
                bytes: 1 << 20,
                time: Duration::ZERO,
            },
            pacing: 0,
            stall_timeout: Duration::ZERO,
            reconnect: Policy::default(),
            demand: Demand::NoRefusal,
            needs: Needs::default(),
            redirects: Rules::default(),
        },
        move |notice| drop(sender.lock().unwrap().send(notice)),
    )
    .unwrap();
    (publisher, notices)
}

fn failure(notices: &Channel<Notice>) -> Arc<ConnectionError> {
    loop {
        if let Notice::Failed(error) = notices.recv_timeout(PATIENCE.unwrap()).unwrap() {
            return error;
        }
    }
}

fn tag(index: u32, size: usize) -> Tag {
    let kind = if index.is_multiple_of(2) {
        TagKind::Video
    } else {
        TagKind::Audio
    };
    let body = (0..size)
        .map(|at| (at as u32 ^ index) as u8)
        .collect::<Vec<_>>();
    Tag::new(kind, 1000 + index, &body).unwrap()
}

#[test]
fn everything_pushed_arrives_in_order_and_then_the_end() {
    let (mut receiver, address) = listen("cam");
    let sent = (0..300)
        .map(|i| tag(i, (i as usize * 331) % 90_000))
        .collect::<Vec<_>>();
    let expected = sent.clone();
    let reader = thread::spawn(move || {
        assert!(matches!(
            receiver.next(PATIENCE).unwrap(),
            Received::Arrived(who)
                if (&*who.app, &*who.stream, &*who.query) == ("live", "cam", "key=1")
        ));
        for expected in expected {
            match receiver.next(PATIENCE).unwrap() {
                Received::Media(tag) => assert_eq!(tag, expected),
                other => panic!("{other:?}"),
            }
        }
        assert!(matches!(
            receiver.next(PATIENCE).unwrap(),
            Received::End(EndReason::Unpublished)
        ));
    });
    let (publisher, _notices) = publish(address, client_config("live", "cam?key=1"));
    for tag in sent {
        publisher.push(tag, Overflow::Wait).unwrap();
    }
    publisher.finish().unwrap();
    reader.join().unwrap();
    let stats = publisher.stats();
    assert_eq!(
        (stats.sent, stats.dropped.sum(), stats.queued_bytes),
        (300, 0, 0)
    );
}

#[test]
fn a_name_in_use_and_unknown_names_are_refused() {
    let (mut receiver, address) = listen("cam");
    let (first, notices) = publish(address, client_config("live", "cam"));
    assert!(matches!(
        receiver.next(PATIENCE).unwrap(),
        Received::Arrived(_)
    ));
    while !matches!(
        notices.recv_timeout(PATIENCE.unwrap()).unwrap(),
        Notice::Stage(Stage::Running)
    ) {}
    for (app, stream, refusal) in [
        ("live", "cam", Refusal::Busy),
        ("live", "other", Refusal::NotAuthorized),
        ("else", "cam", Refusal::Application),
    ] {
        let (_second, notices) = publish(address, client_config(app, stream));
        match &*failure(&notices) {
            ConnectionError::Session {
                stage,
                error: SessionError::Refused(status),
            } => {
                let connect = refusal == Refusal::Application;
                let expected = if connect {
                    Stage::Connect
                } else {
                    Stage::Start
                };
                assert_eq!(*stage, expected);
                assert_eq!(status.refusal(), refusal, "{app}/{stream}: {status}");
            }
            other => panic!("{other:?}"),
        }
    }
    // When the first has left, the name is free again.
    first.abandon();
    assert!(matches!(receiver.next(PATIENCE).unwrap(), Received::End(_)));
    let (_third, _notices) = publish(address, client_config("live", "cam"));
    assert!(matches!(
        receiver.next(PATIENCE).unwrap(),
        Received::Arrived(_)
    ));
}

#[test]
fn a_place_is_claimed_once_and_given_back() {
    let (receiver, address) = listen("cam");
    let again = || listen_for(wanted(address, "cam"), Arc::new(Interrupt::new()));
    assert!(matches!(
        again(),
        Err(ReceiveError::Claim(ClaimError::Taken { .. }))
    ));
    let other = listen_for(wanted(address, "other"), Arc::new(Interrupt::new())).unwrap();
    assert_eq!(other.local_addr(), Some(address));
    drop((receiver, other));
    drop(again().unwrap());
    // The socket is closed with the last claim.
    TcpListener::bind(address).unwrap();
    let taken = TcpListener::bind(loopback()).unwrap();
    let busy = listen_for(
        wanted(taken.local_addr().unwrap(), "cam"),
        Arc::new(Interrupt::new()),
    );
    assert!(matches!(
        busy,
        Err(ReceiveError::Claim(ClaimError::Listen { .. }))
    ));
}

#[test]
fn waiting_ends_when_interrupted() {
    // Accepts, by way of the backlog, and never says a word.
    let silent = TcpListener::bind(loopback()).unwrap();
    let address = silent.local_addr().unwrap();
    let (publisher, _notices) = publish(address, client_config("live", "cam"));
    let publisher = Arc::new(publisher);
    let pusher = {
        let publisher = publisher.clone();
        thread::spawn(move || {
            loop {
                match publisher.push(tag(0, 60_000), Overflow::Wait) {
                    Ok(_) => {}
                    Err(PushError::Interrupted) => return,
                    Err(error) => panic!("{error:?}"),
                }
            }
        })
    };
    while publisher.stats().queued_bytes < 512 * 1024 {
        assert!(!pusher.is_finished(), "it did not wait");
        thread::yield_now();
    }
    publisher.interrupt();
    pusher.join().unwrap();
    assert!(matches!(publisher.finish(), Err(PushError::Interrupted)));

    let interrupt = Arc::new(Interrupt::new());
    let mut receiver = listen_for(wanted(loopback(), "x"), interrupt.clone()).unwrap();
    let (tell, told) = channel();
    let reader = thread::spawn(move || {
        tell.send(()).unwrap();
        matches!(receiver.next(None), Err(ReceiveError::Interrupted))
    });
    told.recv().unwrap();
    interrupt.set();
    assert!(reader.join().unwrap());
}

#[test]
fn patience_ends() {
    let (mut receiver, _) = listen("cam");
    let before = Instant::now();
    let patience = Duration::from_millis(30);
    assert!(matches!(
        receiver.next(Some(patience)).unwrap(),
        Received::Idle
    ));
    assert!(before.elapsed() >= patience);
}

#[test]
fn a_server_that_is_silent_or_no_rtmp_server_is_named() {
    let silent = TcpListener::bind(loopback()).unwrap();
    let mut config = client_config("live", "cam");
    config.timeout = Duration::from_millis(50);
    let (_publisher, notices) = publish(silent.local_addr().unwrap(), config);
    assert!(matches!(
        &*failure(&notices),
        ConnectionError::Session {
            stage: Stage::Handshake,
            error: SessionError::Timeout(Stage::Handshake)
        }
    ));

    for (greeting, sentence) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
        (&[0x15, 3, 1], "TLS"),
    ] {
        let server = TcpListener::bind(loopback()).unwrap();
        let address = server.local_addr().unwrap();
        let (_publisher, notices) = publish(address, client_config("live", "cam"));
        let (mut socket, _) = server.accept().unwrap();
        std::io::Write::write_all(&mut socket, greeting).unwrap();
        assert!(failure(&notices).to_string().contains(sentence));
    }

    let closing = TcpListener::bind(loopback()).unwrap();
    let (_publisher, notices) =
        publish(closing.local_addr().unwrap(), client_config("live", "cam"));
    let (mut socket, _) = closing.accept().unwrap();
    // Read what came: closing earlier would reset.
    std::io::Read::read_exact(&mut socket, &mut [0; 1537]).unwrap();
    drop(socket);
    assert!(matches!(
        &*failure(&notices),
        ConnectionError::Closed {
            stage: Stage::Handshake,
            ..
        }
    ));
}

/// A server that takes whatever is published, and reads when the test says so.
struct Host {
    socket: TcpStream,
    session: ServerSession,
    tags: u64,
    stopped: bool,
}

impl Host {
    fn accept(server: &TcpListener) -> Self {
        let (socket, _) = server.accept().unwrap();
        Self {
            socket,
            session: ServerSession::new(ServerConfig::default(), Instant::now(), [7; 32]),
            tags: 0,
            stopped: false,
        }
    }

    /// Reads until nothing comes for this long, or no more at all.
    fn read(&mut self, patience: Duration) {
        self.socket.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = self.socket.read(&mut buffer) {
            self.session.handle_input(&buffer[..read]).unwrap();
            while let Some(event) = self.session.poll_event() {
                match event {
                    ServerEvent::Connect { .. } => {
                        self.session.accept_connect(&Capabilities::all())
                    }
                    ServerEvent::Publish { stream_id, .. } => self.session.accept(stream_id),
                    ServerEvent::Media { .. } => self.tags += 1,
                    ServerEvent::Stopped { .. } => self.stopped = true,
                    event => panic!("{event:?}"),
                }
            }
            while let Some(bytes) = self.session.poll_transmit().pop() {
                self.socket.write_all(&bytes).unwrap();
            }
        }
    }
}

/// Keeps the reactor from doing anything until what is returned is dropped.
fn hold_reactor() -> Sender<()> {
    struct Held(Mutex<Channel<()>>, Sender<()>);
    impl Task for Held {
        fn turn(&self, _: &Io<'_>) -> Next {
            self.1.send(()).unwrap();
            let _ = self.0.lock().unwrap().recv();
            Next {
                done: true,
                ..Next::default()
            }
        }
    }
    let (hold, held) = channel();
    let (tell, told) = channel();
    let task = Held(Mutex::new(held), tell);
    Reactor::global().unwrap().spawn(Arc::new(task));
    told.recv().unwrap();
    hold
}

#[test]
fn leave_is_taken_behind_what_is_unsent() {
    for (draining, room) in [(false, true), (true, true), (false, false), (true, false)] {
        let server = TcpListener::bind(loopback()).unwrap();
        let (publisher, notices) =
            publish(server.local_addr().unwrap(), client_config("live", "cam"));
        let mut host = Host::accept(&server);
        let reader = thread::spawn(move || {
            host.read(Duration::from_millis(300));
            host
        });
        while !matches!(
            notices.recv_timeout(PATIENCE.unwrap()).unwrap(),
            Notice::Stage(Stage::Running)
        ) {}
        let mut host = reader.join().unwrap();
        let hold = hold_reactor();
        let mut index = 0;
        while publisher.stats().queued_bytes == 0 {
            publisher.push(tag(index, 60_000), Overflow::Drop).unwrap();
            index += 1;
        }
        if room {
            // The reactor does not know that there is room again.
            host.read(Duration::from_millis(100));
        }
        if draining {
            publisher.interrupt();
            assert!(matches!(publisher.finish(), Err(PushError::Interrupted)));
        }
        let sent = publisher.stats().sent;
        let begun = Instant::now();
        publisher.abandon();
        drop(publisher);
        assert!(begun.elapsed() < Duration::from_millis(100));
        if room {
            host.read(Duration::from_millis(100));
            assert!(host.stopped, "{draining}");
        }
        drop(hold);
        host.read(PATIENCE.unwrap());
        assert!(host.stopped, "{draining} {room}");
        assert_eq!(host.tags, sent);
    }
}
