// SPDX-License-Identifier: MPL-2.0

//! Plays one short programme to many clients at its own pace, in one thread.
//!
//! Every video frame carries the time it was handed to the kernel, so that the client can tell how
//! long it took from the socket to its pad. Clients start spread over a second: 500 key frames at
//! one instant would measure the crowd.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::wire;
use crate::media;
use crate::roles::stamp;

/// More than this unsent and the client is dropped: it will not catch up.
const MOST_BEHIND: usize = 4 << 20;

struct Tag {
    /// Microseconds from the start of the loop.
    due: u64,
    time_ms: u32,
    wire: Vec<u8>,
    /// Configuration and metadata, sent in the first loop only.
    head: bool,
    stamped: bool,
}

/// Takes clients that have been answered.
#[derive(Debug)]
pub(super) struct Pacer {
    clients: Mutex<Sender<TcpStream>>,
}

impl Pacer {
    /// `gather` holds tags back to its multiples, and sends what is due then in one write: zero sends
    /// each for itself.
    pub(super) fn start(flv: &[u8], chunk: usize, gather: Duration) -> Arc<Self> {
        let gather = gather.as_micros() as u64;
        let mut tags: Vec<Tag> = media::tags(flv).map(|tag| Tag::new(tag, chunk)).collect();
        for tag in tags.iter_mut().filter(|_| gather > 0) {
            tag.due = tag.due.next_multiple_of(gather);
        }
        let (tx, rx) = channel();
        std::thread::spawn(move || run(&tags, &rx));
        Arc::new(Self {
            clients: Mutex::new(tx),
        })
    }

    pub(super) fn add(&self, client: TcpStream) {
        if let Ok(clients) = self.clients.lock() {
            // The thread lives as long as the process.
            let _ = clients.send(client);
        }
    }
}

impl Tag {
    fn new(tag: media::FlvTag<'_>, chunk: usize) -> Self {
        let mut wire = Vec::new();
        wire::put_tag(&mut wire, tag.kind, tag.time_ms, tag.body, chunk);
        let coded = matches!(tag.kind, wire::AUDIO | wire::VIDEO) && tag.body.get(1) == Some(&1);
        let room = tag.body.len() >= stamp::OFFSET + stamp::LENGTH
            && chunk >= stamp::OFFSET + stamp::LENGTH;
        Self {
            due: u64::from(tag.time_ms) * 1000,
            time_ms: tag.time_ms,
            wire,
            head: tag.kind == wire::DATA || !coded,
            stamped: tag.kind == wire::VIDEO && coded && room,
        }
    }
}

struct Client {
    socket: TcpStream,
    start: Instant,
    next: usize,
    loops: u32,
    unsent: Vec<u8>,
}

fn run(tags: &[Tag], arrivals: &Receiver<TcpStream>) {
    // One frame more than the last tag's time.
    let length_ms = tags.last().map_or(0, |t| (t.due / 1000) as u32) + 40;
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut queue: BinaryHeap<Reverse<(Instant, usize)>> = BinaryHeap::new();
    let admit = |socket: TcpStream, clients: &mut Vec<Option<Client>>| {
        let spread = Duration::from_millis(clients.len() as u64 * 379 % 1000);
        // The heads go out at once: a client must not wait for its place in the second.
        let start = Instant::now() + spread;
        if socket.set_nonblocking(true).is_ok() {
            clients.push(Some(Client {
                socket,
                start,
                next: 0,
                loops: 0,
                unsent: Vec::new(),
            }));
            return Some(Reverse((start, clients.len() - 1)));
        }
        None
    };
    loop {
        loop {
            match arrivals.try_recv() {
                Ok(socket) => queue.extend(admit(socket, &mut clients)),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let now = Instant::now();
        let wait = match queue.peek() {
            Some(Reverse((due, _))) if *due <= now => Duration::ZERO,
            Some(Reverse((due, _))) => *due - now,
            None => Duration::from_secs(3600),
        };
        if !wait.is_zero() {
            match arrivals.recv_timeout(wait) {
                Ok(socket) => queue.extend(admit(socket, &mut clients)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            continue;
        }
        let Some(Reverse((_, index))) = queue.pop() else {
            continue;
        };
        let Some(client) = &mut clients[index] else {
            continue;
        };
        match client.send_next(tags, length_ms) {
            Some(due) => queue.push(Reverse((due, index))),
            None => clients[index] = None,
        }
    }
}

impl Client {
    /// Sends what is due together; returns when the next is due, or `None` when the client has gone.
    fn send_next(&mut self, tags: &[Tag], length_ms: u32) -> Option<Instant> {
        let due = self.due(tags, length_ms)?;
        while self.due(tags, length_ms) == Some(due) {
            self.queue_next(tags, length_ms)?;
        }
        match self.socket.write(&self.unsent) {
            Ok(n) => drop(self.unsent.drain(..n)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return None,
        }
        if self.unsent.len() > MOST_BEHIND {
            return None;
        }
        self.due(tags, length_ms)
    }

    fn due(&self, tags: &[Tag], length_ms: u32) -> Option<Instant> {
        let loops = u64::from(self.loops) * u64::from(length_ms) * 1000;
        Some(self.start + Duration::from_micros(loops + tags.get(self.next)?.due))
    }

    fn queue_next(&mut self, tags: &[Tag], length_ms: u32) -> Option<()> {
        let tag = tags.get(self.next)?;
        let at = self.unsent.len();
        self.unsent.extend_from_slice(&tag.wire);
        let time_ms = self.loops * length_ms + tag.time_ms;
        self.unsent[at + 1..at + 4].copy_from_slice(&time_ms.to_be_bytes()[1..]);
        if tag.stamped {
            stamp::write(&mut self.unsent[at + wire::TAG_HEAD + stamp::OFFSET..]);
        }
        loop {
            self.next += 1;
            if self.next == tags.len() {
                self.next = 0;
                self.loops += 1;
            }
            if self.loops == 0 || !tags[self.next].head {
                break;
            }
        }
        Some(())
    }
}
