// SPDX-License-Identifier: MPL-2.0

//! Clients at the other end of real sockets. Blocks say who they are, so that a reader notices a torn
//! or missing one and where it was let in again.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::mpsc::{Receiver, Sender, channel},
};

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::*;
use crate::net::{
    stack::{Stack, Target},
    testing::{Driver, PATIENCE, Pki},
};

const VIDEO: u8 = 1;
const AUDIO: u8 = 2;
const HEADER: &[u8] = b"header:";
/// Bytes of a block that says who it is, before what it is filled up with.
const ID: usize = 9;

/// `number, length, join`, then filling; framed in angle brackets.
fn block(number: u32, join: bool, kind: u8, length: usize) -> Block {
    let mut bytes = b"<".to_vec();
    bytes.extend(number.to_be_bytes());
    bytes.extend((length as u32).to_be_bytes());
    bytes.push(u8::from(join));
    bytes.resize(1 + ID + length, number as u8);
    bytes.push(b'>');
    Block {
        data: 1..bytes.len() - 1,
        bytes: bytes.into(),
        time: u64::from(number) * 100,
        join,
        kind,
    }
}

/// Ten blocks of which the first is a join.
fn gop(first: u32, length: usize) -> impl Iterator<Item = Block> {
    (first..first + 10).map(move |n| block(n, n == first, VIDEO, length))
}

struct House {
    fanout: Fanout,
    removed: Receiver<Report>,
    next: std::cell::Cell<u64>,
}

impl House {
    fn new(config: Config) -> Self {
        let (told, removed): (Sender<Report>, _) = channel();
        let fanout = Fanout::start("fanout", config, move |report| {
            let _ = told.send(report);
        });
        let fanout = fanout.unwrap();
        fanout.set_header(Block::plain(Bytes::from_static(HEADER), 0, false, 0), false);
        Self {
            fanout,
            removed,
            next: 0.into(),
        }
    }

    fn client(&self, stack: Stack) -> NewClient {
        let id = self.next.get();
        self.next.set(id + 1);
        NewClient {
            id,
            stack,
            head: Bytes::from_static(b"hello "),
            header: true,
            framed: false,
            start: Start::LatestJoin,
            limit: None,
            end: Bytes::from_static(b"bye"),
            protocol: None,
        }
    }

    fn join(&self, change: impl FnOnce(&mut NewClient)) -> Reader {
        let (ours, theirs) = pair();
        let mut client = self.client(ours);
        change(&mut client);
        self.fanout.add(client);
        theirs
    }

    fn reason(&self) -> (u64, Reason) {
        let report = self.removed.recv_timeout(PATIENCE).unwrap();
        (report.id, report.reason)
    }
}

/// The client's end.
struct Reader(TcpStream);

fn pair() -> (Stack, Reader) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let theirs = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (ours, _) = listener.accept().unwrap();
    theirs.set_read_timeout(Some(PATIENCE)).unwrap();
    (established(ours, None), Reader(theirs))
}

fn established(socket: TcpStream, tls: Option<Arc<rustls::ServerConfig>>) -> Stack {
    socket.set_nonblocking(true).unwrap();
    let mut driver = Driver::new();
    let mut stack = Stack::accepted(mio::net::TcpStream::from_std(socket), tls);
    driver.establish(&mut stack).unwrap();
    stack.deregister(driver.poll.registry()).unwrap();
    stack
}

impl Reader {
    fn expect(&mut self, text: &[u8]) {
        let mut got = vec![0; text.len()];
        self.0.read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(text));
    }

    /// The next block's number and whether it is a join.
    fn block(&mut self) -> (u32, bool) {
        let mut id = [0; ID];
        self.0.read_exact(&mut id).unwrap();
        let number = u32::from_be_bytes(id[..4].try_into().unwrap());
        let length = u32::from_be_bytes(id[4..8].try_into().unwrap());
        let mut filling = vec![0; length as usize];
        self.0.read_exact(&mut filling).unwrap();
        assert!(
            filling.iter().all(|byte| *byte == number as u8),
            "torn at {number}"
        );
        (number, id[8] == 1)
    }

    fn blocks(&mut self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            assert_eq!(self.block().0, number);
        }
    }

    fn is_at_end(&mut self) {
        assert_eq!(self.0.read(&mut [0]).unwrap(), 0);
    }

    fn is_reset(&mut self) {
        let error = std::io::copy(&mut self.0, &mut std::io::sink()).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn all_get_the_same_and_late_ones_begin_at_a_join() {
    let house = House::new(Config::default());
    let mut early = house.join(|_| ());
    house.fanout.push_many(gop(0, 100));
    early.expect(b"hello header:");
    early.blocks(0..10);
    house.fanout.push_many(gop(10, 100));
    early.blocks(10..20);
    let mut late = house.join(|_| ());
    let mut next = house.join(|client| client.start = Start::NextJoin);
    late.expect(b"hello header:");
    late.blocks(10..20);
    next.expect(b"hello ");
    house.fanout.push_many(gop(20, 70_000));
    next.expect(HEADER);
    for reader in [&mut early, &mut late, &mut next] {
        reader.blocks(20..30);
    }
    assert_eq!(house.fanout.len(), 3);
}

#[test]
fn a_burst_goes_back_as_far_as_the_window() {
    let config = Config {
        keep_time: Duration::from_secs(2),
        lag_time: Duration::ZERO,
        ..Config::default()
    };
    let house = House::new(config);
    let mut early = house.join(|_| ());
    for first in [0, 10, 20, 30] {
        house.fanout.push_many(gop(first, 100));
    }
    early.expect(b"hello header:");
    early.blocks(0..40);
    // The newest is of 3.9 s.
    for (start, first) in [
        (Start::Time(Duration::from_millis(1500)), 20),
        (Start::Time(Duration::from_secs(60)), 10),
        (Start::Bytes(1500), 20),
        (Start::LatestJoin, 30),
    ] {
        let mut reader = house.join(|client| client.start = start);
        reader.expect(b"hello header:");
        reader.blocks(first..40);
    }
}

#[test]
fn framed_ones_get_the_frame_and_one_that_goes_on_no_header() {
    let house = House::new(Config::default());
    let mut framed = house.join(|client| client.framed = true);
    let mut again = house.join(|client| client.header = false);
    house.fanout.push(block(7, true, VIDEO, 5));
    framed.expect(b"hello header:<");
    framed.blocks(7..8);
    framed.expect(b">");
    again.expect(b"hello ");
    again.blocks(7..8);
    house.fanout.end();
    framed.expect(b"bye");
    framed.is_at_end();
    again.expect(b"bye");
    again.is_at_end();
    drop((framed, again));
    let mut gone = [house.reason(), house.reason()];
    gone.sort_by_key(|(id, _)| *id);
    assert_eq!(gone, [(0, Reason::Ended), (1, Reason::Ended)]);
    // Who comes after the end is told so.
    let mut late = house.join(|_| ());
    late.expect(b"hello ");
    late.expect(b"header:");
    late.blocks(7..8);
    late.expect(b"bye");
    late.is_at_end();
}

#[test]
fn a_slow_client_goes_on_at_a_join_and_holds_up_nobody() {
    let config = Config {
        lag_time: Duration::from_secs(2),
        stall: Duration::ZERO,
        ..Config::default()
    };
    let house = House::new(config);
    let mut slow = house.join(|_| ());
    let mut others: Vec<_> = (0..5).map(|_| house.join(|_| ())).collect();
    for other in &mut others {
        other.expect(b"hello ");
    }
    // More than what the sockets hold.
    const LAST: u32 = 300;
    for first in (0..LAST).step_by(10) {
        house.fanout.push_many(gop(first, 60_000));
        for other in &mut others {
            if first == 0 {
                other.expect(HEADER);
            }
            other.blocks(first..first + 10);
        }
    }
    let figures = house.fanout.clients();
    let dropped = figures.iter().find(|f| f.id == 0).unwrap().dropped;
    assert!(dropped > 0, "{figures:?}");
    assert!(figures.iter().all(|f| f.id == 0 || f.dropped == 0));
    slow.expect(b"hello header:");
    house.fanout.end();
    let (mut expected, mut gaps) = (0, 0);
    while expected < LAST {
        let (number, join) = slow.block();
        if number != expected {
            assert!(join && number > expected, "{number} instead of {expected}");
            gaps += 1;
        }
        expected = number + 1;
    }
    assert!(gaps > 0);
    slow.expect(b"bye");
    slow.is_at_end();
}

#[test]
fn a_slow_client_is_dropped_if_that_is_the_policy() {
    let config = Config {
        recover: Recover::Drop,
        lag_bytes: 1 << 20,
        ..Config::default()
    };
    let house = House::new(config);
    let mut slow = house.join(|_| ());
    slow.expect(b"hello ");
    let mut first = 0;
    let report = loop {
        house.fanout.push_many(gop(first, 60_000));
        first += 10;
        if let Ok(report) = house.removed.recv_timeout(Duration::from_millis(5)) {
            break report;
        }
        assert!(first < 10_000);
    };
    assert_eq!((report.id, report.reason), (0, Reason::Slow));
    assert!(house.fanout.is_empty());
    slow.is_reset();
}

#[test]
fn who_takes_nothing_at_all_is_removed() {
    let config = Config {
        stall: Duration::from_millis(600),
        ..Config::default()
    };
    let house = House::new(config);
    let mut stalled = house.join(|_| ());
    // Without anything to take, nobody stalls.
    let mut idle = house.join(|client| client.start = Start::NextJoin);
    stalled.expect(b"hello ");
    idle.expect(b"hello ");
    house.fanout.push(block(0, true, VIDEO, 32 << 20));
    idle.expect(HEADER);
    idle.blocks(0..1);
    assert_eq!(house.reason(), (0, Reason::Stalled));
    stalled.is_reset();
    house.fanout.abort();
    assert_eq!(house.reason(), (1, Reason::Kicked));
    idle.is_reset();
}

#[test]
fn a_part_is_sent_to_the_byte() {
    let house = House::new(Config::default());
    let mut reader = house.join(|client| {
        client.limit = Some((2 * (ID + 100) + 3) as u64);
        client.header = false;
        client.end = Bytes::new();
    });
    house.fanout.push_many(gop(0, 100));
    reader.expect(b"hello ");
    reader.blocks(0..2);
    reader.expect(&[0, 0, 0]);
    reader.is_at_end();
    drop(reader);
    assert_eq!(house.reason(), (0, Reason::Complete));
}

#[test]
fn leaving_is_noticed_and_half_closing_is_not_leaving() {
    let house = House::new(Config::default());
    let leaver = house.join(|_| ());
    let mut half = house.join(|_| ());
    half.0.write_all(b"and then?").unwrap();
    half.0.shutdown(Shutdown::Write).unwrap();
    half.expect(b"hello ");
    drop(leaver);
    let mut first = 0;
    let report = loop {
        house.fanout.push_many(gop(first, 100));
        first += 10;
        if let Ok(report) = house.removed.recv_timeout(Duration::from_millis(5)) {
            break report;
        }
        assert!(first < 100_000);
    };
    assert_eq!((report.id, report.reason), (0, Reason::Left));
    half.expect(HEADER);
    half.blocks(0..first);
    drop(half);
    // Nothing is sent any more, and still.
    assert_eq!(house.reason(), (1, Reason::Left));
}

#[test]
fn a_new_header_goes_by_and_what_was_is_forgotten() {
    let house = House::new(Config::default());
    let mut reader = house.join(|_| ());
    house.fanout.push_many(gop(0, 100));
    house.fanout.clear();
    house.fanout.push(block(10, false, VIDEO, 100));
    house.fanout.set_header(
        Block::plain(Bytes::from_static(b"other:"), 0, false, 0),
        true,
    );
    house.fanout.push_many(gop(20, 100));
    reader.expect(b"hello header:");
    reader.blocks(0..10);
    reader.expect(b"other:");
    reader.blocks(20..30);
    let mut late = house.join(|_| ());
    late.expect(b"hello other:");
    late.blocks(20..30);
    house.fanout.push_many(gop(30, 100));
    reader.blocks(30..40);
}

/// Echoes each byte in parentheses; some are commands.
#[derive(Debug)]
struct Parrot;

impl Protocol for Parrot {
    fn input(&mut self, bytes: &[u8], desk: &mut Desk<'_>) {
        for byte in bytes {
            match byte {
                b'a' => desk.kinds(AUDIO),
                b'v' => desk.kinds(ALL_KINDS),
                b'p' => desk.pause(),
                b'g' => desk.play(Start::NextJoin),
                b'q' => desk.finish(Reason::Left),
                _ => {}
            }
            desk.say(vec![b'(', *byte, b')'].into());
        }
    }

    fn ending(&mut self, desk: &mut Desk<'_>) {
        desk.say(Bytes::from_static(b"(end)"));
    }
}

/// Pictures that begin at a key frame in the midst of a batch were sent, and then taken for others.
#[test]
fn what_begins_at_a_join_goes_on_in_the_same_batch() {
    let config = Config {
        keyed: VIDEO,
        batch: Duration::from_millis(50),
        ..Config::default()
    };
    let house = House::new(config);
    let mut reader = house.join(|client| client.protocol = Some(Box::new(Parrot)));
    house.fanout.push(block(0, true, VIDEO, 50));
    reader.expect(b"hello header:");
    reader.blocks(0..1);
    for first in [10, 20] {
        for byte in *b"av" {
            reader.0.write_all(&[byte]).unwrap();
            reader.expect(&[b'(', byte, b')']);
        }
        house.fanout.push_many([
            block(first, true, VIDEO, 50),
            block(first + 1, false, AUDIO, 500),
            block(first + 2, false, VIDEO, 5000),
            block(first + 3, false, AUDIO, 50),
        ]);
        reader.blocks(first..first + 4);
    }
}

#[test]
fn a_protocol_speaks_between_blocks_and_chooses_what_comes() {
    let config = Config {
        keyed: VIDEO,
        ..Config::default()
    };
    let house = House::new(config);
    let mut reader = house.join(|client| client.protocol = Some(Box::new(Parrot)));
    let both = |first: u32| {
        house.fanout.push(block(first, true, VIDEO, 50));
        house.fanout.push(block(first + 1, false, AUDIO, 50));
        house.fanout.push(block(first + 2, false, VIDEO, 50));
    };
    both(0);
    reader.expect(b"hello header:");
    reader.blocks(0..3);
    let say = |reader: &mut Reader, byte: u8| {
        reader.0.write_all(&[byte]).unwrap();
        reader.expect(&[b'(', byte, b')']);
    };
    say(&mut reader, b'a');
    both(10);
    reader.blocks(11..12);
    say(&mut reader, b'v');
    // Video comes again, but not before it can be understood.
    house.fanout.push(block(20, false, VIDEO, 50));
    house.fanout.push(block(21, false, AUDIO, 50));
    reader.blocks(21..22);
    both(30);
    reader.blocks(30..33);
    say(&mut reader, b'p');
    both(40);
    say(&mut reader, b'g');
    house.fanout.push(block(50, false, VIDEO, 50));
    both(60);
    reader.blocks(60..63);
    house.fanout.end();
    reader.expect(b"(end)bye");
    reader.is_at_end();
    drop(reader);
    assert_eq!(house.reason(), (0, Reason::Ended));
    house.fanout.resume();
    let mut reader = house.join(|client| client.protocol = Some(Box::new(Parrot)));
    reader.expect(b"hello header:");
    reader.blocks(60..63);
    say(&mut reader, b'q');
    reader.is_at_end();
    drop(reader);
    assert_eq!(house.reason(), (1, Reason::Left));
}

#[test]
fn blocks_that_gather_come_in_order() {
    let config = Config {
        batch: Duration::from_millis(30),
        ..Config::default()
    };
    let house = House::new(config);
    let mut reader = house.join(|_| ());
    for first in (0..100).step_by(10) {
        house.fanout.push_many(gop(first, 200));
    }
    reader.expect(b"hello header:");
    reader.blocks(0..100);
    // The end does not wait for the batch.
    house.fanout.push_many(gop(100, 200));
    house.fanout.end();
    reader.blocks(100..110);
    reader.expect(b"bye");
}

#[test]
fn tls_clients_are_clients() {
    let pki = Pki::new();
    let config = pki.issue(&["127.0.0.1"]).server().server_config().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = Target {
        tls: Some(pki.client()),
        ..Target::new("127.0.0.1", port)
    };
    let client = std::thread::spawn(move || {
        let mut driver = Driver::new();
        let mut stack = driver.connect(target);
        driver.establish(&mut stack).unwrap();
        driver.read_to_end(&mut stack).unwrap()
    });
    let (ours, _) = listener.accept().unwrap();
    let house = House::new(Config::default());
    let client_side = house.client(established(ours, Some(config)));
    house.fanout.add(client_side);
    let mut wanted = b"hello header:".to_vec();
    for first in (0..50).step_by(10) {
        for block in gop(first, 30_000) {
            wanted.extend(block.slice(false));
            house.fanout.push(block);
        }
    }
    house.fanout.end();
    wanted.extend(b"bye");
    assert!(client.join().unwrap() == wanted, "other bytes");
    assert_eq!(house.reason(), (0, Reason::Ended));
}

#[test]
fn a_client_costs_little_memory() {
    // A thousand clients a megabyte; the promise is twice that.
    let size = size_of::<client::Client>() + size_of::<Figures>() + 2 * 16;
    assert!(size < 1000, "{size}");
}

#[test]
fn dropping_resets_everybody_and_tells() {
    let house = House::new(Config::default());
    let mut reader = house.join(|_| ());
    reader.expect(b"hello ");
    drop(house.fanout);
    let report = house.removed.recv_timeout(PATIENCE).unwrap();
    assert_eq!((report.reason, report.bytes), (Reason::Kicked, 6));
    reader.is_reset();
}
