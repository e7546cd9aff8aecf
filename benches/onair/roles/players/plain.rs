// SPDX-License-Identifier: MPL-2.0

//! The floor: one thread, one poll, one write a player for each tag or each batch of tags, and nothing
//! else. Not a server: what a player says after its play command is not read, one that does not keep up
//! is closed.

use std::io::{ErrorKind, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::film::Film;
use crate::peer::wire;

const CHUNK: usize = 65536;

struct Player {
    socket: TcpStream,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

/// `players-loop FILE BATCH_MS`: -1 is a write for each tag, 0 one for each picture with its sound.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let [path, batch] = args else {
        return Err("players-loop FILE BATCH_MS".to_owned());
    };
    let batch: i64 = batch.parse().map_err(|_| "BATCH_MS is a number")?;
    let sound_waits = batch >= 0;
    let batch = batch.max(0).unsigned_abs();
    let film = Film::read(path)?;
    crate::peer::roles_die_with_parent();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    println!(
        "ports rtmp={}",
        listener.local_addr().map_err(|e| e.to_string())?.port()
    );
    let (admit, admitted) = channel();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.set_nodelay(true);
            if wire::negotiate(&mut socket, CHUNK).is_ok() {
                let _ = admit.send(socket);
            }
        }
    });
    serve(&film, Duration::from_millis(batch), sound_waits, &admitted)
}

fn serve(
    film: &Film,
    batch: Duration,
    sound_waits: bool,
    admitted: &Receiver<std::net::TcpStream>,
) -> Result<(), String> {
    let io = |e: std::io::Error| e.to_string();
    let poll = std::cell::RefCell::new(Poll::new().map_err(io)?);
    let events = std::cell::RefCell::new(Events::with_capacity(1024));
    let players = std::cell::RefCell::new(Vec::<Option<Player>>::new());
    let (mut head, mut group, mut gathered) = (Vec::new(), Vec::new(), Vec::new());
    let mut sent_at = Instant::now();
    film.play(
        |tag, time| {
            let mut bytes = Vec::new();
            wire::put_tag(&mut bytes, tag.kind, time, &tag.body, CHUNK);
            if tag.head {
                head.extend_from_slice(&bytes);
                return Ok(());
            }
            if tag.key {
                group.clear();
            }
            gathered.extend_from_slice(&bytes);
            // Sound goes with the picture behind it.
            let frame = !sound_waits || tag.kind == wire::VIDEO;
            if frame && sent_at.elapsed() >= batch {
                sent_at = Instant::now();
                for slot in players.borrow_mut().iter_mut() {
                    if let Some(player) = slot
                        && !player.send(&gathered)
                    {
                        *slot = None;
                    }
                }
                gathered.clear();
            }
            group.extend_from_slice(&bytes);
            // Whoever comes now begins with all that was sent of this group.
            while let Ok(socket) = admitted.try_recv() {
                let mut players = players.borrow_mut();
                socket.set_nonblocking(true).map_err(io)?;
                let mut socket = TcpStream::from_std(socket);
                let token = Token(players.len());
                poll.borrow()
                    .registry()
                    .register(&mut socket, token, Interest::WRITABLE)
                    .map_err(io)?;
                let mut player = Player {
                    socket,
                    unsent: Vec::new(),
                };
                let sent = &group[..group.len().saturating_sub(gathered.len())];
                let well = player.send(&[&head[..], sent].concat());
                players.push(well.then_some(player));
            }
            Ok(())
        },
        |wait| {
            let polled = poll.borrow_mut().poll(&mut events.borrow_mut(), Some(wait));
            polled.map_err(io)?;
            for event in &*events.borrow() {
                let mut players = players.borrow_mut();
                if let Some(slot) = players.get_mut(event.token().0)
                    && let Some(player) = slot
                    && !player.send(&[])
                {
                    *slot = None;
                }
            }
            Ok(())
        },
    )
}

impl Player {
    fn send(&mut self, bytes: &[u8]) -> bool {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            let unsent = std::mem::take(&mut self.unsent);
            return unsent.len() < 4 << 20 && self.write(&unsent);
        }
        bytes.is_empty() || self.write(bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> bool {
        match self.socket.write(bytes) {
            Ok(n) => self.unsent = bytes[n..].to_vec(),
            Err(e) if e.kind() == ErrorKind::WouldBlock => self.unsent = bytes.to_vec(),
            Err(_) => return false,
        }
        true
    }
}
