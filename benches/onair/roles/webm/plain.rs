// SPDX-License-Identifier: MPL-2.0

//! The floor: one thread, one poll, one write a client for each block or each batch of blocks, and
//! nothing else. Not a server: no header but the stream's, no request read, a client that does not keep
//! up is closed.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::ops::Range;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::feed::Feed;

const LISTENER: Token = Token(usize::MAX);

struct Client {
    socket: TcpStream,
    /// Bytes that the socket did not take, from here on.
    unsent: Option<usize>,
    joined: bool,
}

/// `webm-loop FILE BATCH_MS`
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let [path, batch] = args else {
        return Err("webm-loop FILE BATCH_MS".to_owned());
    };
    let batch: u64 = batch.parse().map_err(|_| "BATCH_MS is a number")?;
    let feed = Feed::read(path)?;
    crate::peer::roles_die_with_parent();
    serve(&feed, Duration::from_millis(batch)).map_err(|e| format!("webm-loop: {e}"))
}

fn serve(feed: &Feed, batch: Duration) -> std::io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(([127, 0, 0, 1], 0).into())?;
    println!("ports http={}", listener.local_addr()?.port());
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut scratch = vec![0; 16 << 10];
    let (start, mut next, mut sent_at) = (Instant::now(), 0, Instant::now());
    // What is on the air since the last key frame.
    let (mut key, mut head) = (None, 0);
    loop {
        let Some(block) = feed.blocks.get(next) else {
            return Ok(());
        };
        let due = (start + block.due).max(sent_at + batch);
        let now = Instant::now();
        if now < due {
            poll.poll(&mut events, Some(due - now))?;
        } else {
            poll.poll(&mut events, Some(Duration::ZERO))?;
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    admit(socket, &poll, &mut clients)?;
                }
                continue;
            }
            let slot = &mut clients[event.token().0];
            let Some(client) = slot else {
                continue;
            };
            let mut gone = false;
            while event.is_readable() && !gone {
                match client.socket.read(&mut scratch) {
                    Ok(0) => gone = true,
                    Ok(_) if client.joined => {}
                    // The request, which always comes in one piece here.
                    Ok(_) => {
                        client.joined = true;
                        let wait: Option<Range<usize>> = key.map(|key| key..head);
                        gone = !client.greet(feed, wait);
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => gone = true,
                }
            }
            if event.is_writable() && !gone {
                gone = !client.go_on(feed, head);
            }
            if gone {
                *slot = None;
            }
        }
        let now = Instant::now();
        if now < due {
            continue;
        }
        let first = head;
        while let Some(block) = feed.blocks.get(next)
            && start + block.due <= now
        {
            let whole = block.whole();
            if block.key {
                key = Some(whole.start);
            }
            head = whole.end;
            next += 1;
            // Two that are due at once are two writes.
            if batch.is_zero() {
                break;
            }
        }
        sent_at = now;
        let from = if first == 0 { feed.header.end } else { first };
        for slot in &mut clients {
            if let Some(client) = slot
                && client.joined
                && !client.send(feed, from, head)
            {
                *slot = None;
            }
        }
    }
}

fn admit(
    mut socket: TcpStream,
    poll: &Poll,
    clients: &mut Vec<Option<Client>>,
) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let token = Token(clients.len());
    let both = Interest::READABLE | Interest::WRITABLE;
    poll.registry().register(&mut socket, token, both)?;
    clients.push(Some(Client {
        socket,
        unsent: None,
        joined: false,
    }));
    Ok(())
}

impl Client {
    fn greet(&mut self, feed: &Feed, group: Option<Range<usize>>) -> bool {
        let head = b"HTTP/1.0 200 OK\r\nContent-Type: video/webm\r\n\r\n";
        let header = feed.slice(&feed.header);
        // Both fit into an empty socket.
        let both = [IoSlice::new(head), IoSlice::new(header)];
        if self.socket.write_vectored(&both).is_err() {
            return false;
        }
        group.is_none_or(|group| self.send(feed, group.start, group.end))
    }

    /// The stream between these places, or behind what is unsent.
    fn send(&mut self, feed: &Feed, from: usize, to: usize) -> bool {
        if self.unsent.is_some() {
            // A second and more behind.
            return to - self.unsent.unwrap_or(to) < 4 << 20;
        }
        match self.socket.write(&feed.bytes[from..to]) {
            Ok(n) if from + n < to => self.unsent = Some(from + n),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.unsent = Some(from),
            Err(_) => return false,
        }
        true
    }

    fn go_on(&mut self, feed: &Feed, head: usize) -> bool {
        match self.unsent.take() {
            Some(from) => self.send(feed, from, head),
            None => true,
        }
    }
}
