// SPDX-License-Identifier: MPL-2.0

//! A connection that plays: what it speaks besides the stream, while a fan-out sends it that.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{
    entry::{Entry, Kind},
    mail::Mail,
    vigil::{Sign, Vigil},
    visit::{Caller, Visit},
};
use crate::{
    net::{
        fanout::{ALL_KINDS, Desk, Protocol, Reason},
        stack::Stack,
    },
    protocol::rtmp::{
        session::{ServerEvent, ServerSession, broadcast},
        transmit::Transmit,
    },
};

/// Kinds of [`Block`](crate::net::fanout::Block)s of an RTMP stream.
pub mod kinds {
    /// Sound.
    pub const AUDIO: u8 = 1;
    /// Picture.
    pub const VIDEO: u8 = 2;
}

/// Begins, with what a player is to get first.
pub type Begin = Arc<dyn Fn(&mut Desk<'_>) + Send + Sync>;

/// A player that was let in.
#[derive(Debug)]
pub struct PlayArrival {
    /// Who it is.
    pub caller: Caller,
    /// Its connection, registered with no poll.
    pub stack: Stack,
    /// What it is to be sent first.
    pub head: Bytes,
    /// What it speaks.
    pub player: Player,
}

/// See the module's text.
pub struct Player {
    session: ServerSession,
    visit: Visit,
    entry: Arc<Entry>,
    stream_id: u32,
    paused: bool,
    kinds: u8,
    begin: Option<Begin>,
    mail: Arc<Mail>,
    vigil: Option<Vigil>,
    /// It goes on there.
    next: Option<(Arc<Entry>, Caller)>,
}

impl fmt::Debug for Player {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Player")
            .field("visit", &self.visit)
            .field("entry", &self.entry)
            .field("stream_id", &self.stream_id)
            .finish_non_exhaustive()
    }
}

impl Player {
    /// Says yes and hands the player to whoever serves its stream.
    pub(super) fn seat(
        mut session: ServerSession,
        visit: Visit,
        stack: Stack,
        stream_id: u32,
        entry: Arc<Entry>,
        caller: Caller,
    ) {
        accept(&mut session, stream_id, &entry);
        let head = flat(session.poll_transmit());
        session.settle();
        let player = Self {
            session,
            visit,
            entry: entry.clone(),
            stream_id,
            paused: false,
            kinds: ALL_KINDS,
            begin: None,
            mail: Arc::default(),
            vigil: None,
            next: None,
        };
        if let Kind::Play { serve, .. } = &entry.kind {
            serve(PlayArrival {
                caller,
                stack,
                head,
                player,
            });
        }
    }

    /// What to do whenever it begins to play.
    pub fn on_begin(&mut self, begin: Begin) {
        self.begin = Some(begin);
    }

    /// Has it asked for a sign of life when it was silent for so long.
    pub fn watch(&mut self, interval: Duration, now: Instant) {
        self.vigil = Some(Vigil::new(interval, now));
    }

    /// Where to leave it a letter.
    pub fn mail(&self) -> Arc<Mail> {
        self.mail.clone()
    }

    fn play(&mut self, desk: &mut Desk<'_>) {
        let (stream_id, chunk_size) = (self.stream_id, chunk_size(&self.entry) as usize);
        desk.rewrite((stream_id != broadcast::STREAM_ID).then(
            || -> crate::net::fanout::Rewrite {
                Box::new(move |bytes| broadcast::readdress(bytes, chunk_size, stream_id))
            },
        ));
        desk.kinds(self.kinds);
        if let Some(begin) = &self.begin {
            begin(desk);
        }
    }

    /// Does what the client asks for.
    fn go_on(&mut self, desk: &mut Desk<'_>) {
        while let Some(event) = self.session.poll_event() {
            match event {
                ServerEvent::Play { stream_id, name } => {
                    self.play_again(stream_id, &name, desk);
                    if self.next.is_some() {
                        self.say(desk);
                        desk.hand_over();
                        return;
                    }
                }
                ServerEvent::Publish { stream_id, .. } => {
                    let text = "A connection that plays cannot publish.";
                    self.session
                        .reject(stream_id, "NetStream.Publish.Denied", text);
                }
                ServerEvent::Pause { stream_id, paused } if stream_id == self.stream_id => {
                    self.say(desk);
                    match paused {
                        true => desk.pause(),
                        false if self.paused => self.play(desk),
                        false => {}
                    }
                    self.paused = paused;
                }
                ServerEvent::Receive {
                    stream_id,
                    video,
                    wanted,
                } if stream_id == self.stream_id => {
                    self.say(desk);
                    let kind = if video { kinds::VIDEO } else { kinds::AUDIO };
                    self.kinds = match wanted {
                        true => self.kinds | kind,
                        false => self.kinds & !kind,
                    };
                    desk.kinds(self.kinds);
                }
                ServerEvent::Stopped { stream_id } if stream_id == self.stream_id => desk.pause(),
                _ => {}
            }
        }
        self.say(desk);
    }

    fn play_again(&mut self, stream_id: u32, name: &str, desk: &mut Desk<'_>) {
        let (entry, caller) = match self.visit.play(name, Some(&self.entry)) {
            Ok(found) => found,
            Err(refusal) => {
                return self.session.reject(stream_id, refusal.code, &refusal.text);
            }
        };
        if stream_id != self.stream_id {
            // A connection plays one stream at a time here.
            self.session.end_play(self.stream_id);
            self.stream_id = stream_id;
        }
        (self.paused, self.kinds) = (false, ALL_KINDS);
        if Arc::ptr_eq(&entry, &self.entry) {
            accept(&mut self.session, stream_id, &entry);
            self.say(desk);
            // What plays now may not be what played before.
            desk.forget_header();
            self.play(desk);
        } else {
            self.next = Some((entry, caller));
        }
    }

    fn say(&mut self, desk: &mut Desk<'_>) {
        let transmit = self.session.poll_transmit();
        if !transmit.is_empty() {
            desk.say(flat(transmit));
        }
    }
}

impl Protocol for Player {
    fn begin(&mut self, desk: &mut Desk<'_>) {
        self.play(desk);
        // It may have asked for more behind its play command.
        self.go_on(desk);
    }

    fn input(&mut self, bytes: &[u8], desk: &mut Desk<'_>) {
        if let Some(vigil) = &mut self.vigil {
            vigil.heard(desk.now);
        }
        if self.session.handle_input(bytes).is_err() || desk.unsaid() > UNSAID {
            return desk.leave(Reason::Failed);
        }
        self.go_on(desk);
    }

    fn tick(&mut self, desk: &mut Desk<'_>) {
        if let Some(letter) = self.mail.take() {
            let (url, text) = (letter.tc_url.as_deref(), letter.description.as_deref());
            self.session.request_reconnect(url, text);
            self.say(desk);
        }
        match self.vigil.as_mut().map(|vigil| vigil.look(desk.now)) {
            None | Some(Sign::Alive) => {}
            Some(Sign::Ask) => {
                self.session.ping(0);
                self.say(desk);
            }
            Some(Sign::Gone) => desk.leave(Reason::Stalled),
        }
    }

    fn ending(&mut self, desk: &mut Desk<'_>) {
        self.session.end_play(self.stream_id);
        self.say(desk);
    }

    fn moved(self: Box<Self>, stack: Stack, mut unsent: Transmit) {
        let Some((entry, caller)) = self.next else {
            return;
        };
        let mut session = self.session;
        accept(&mut session, self.stream_id, &entry);
        let said = flat(session.poll_transmit());
        unsent.push(said);
        let player = Self {
            session,
            visit: self.visit,
            entry: entry.clone(),
            stream_id: self.stream_id,
            paused: false,
            kinds: ALL_KINDS,
            begin: None,
            mail: Arc::default(),
            vigil: None,
            next: None,
        };
        if let Kind::Play { serve, .. } = &entry.kind {
            serve(PlayArrival {
                caller,
                stack,
                head: flat(&mut unsent),
                player,
            });
        }
    }
}

/// Answers that a player may leave unread.
const UNSAID: usize = 64 << 10;

fn accept(session: &mut ServerSession, stream_id: u32, entry: &Entry) {
    session.set_chunk_size(chunk_size(entry));
    session.accept(stream_id);
}

fn chunk_size(entry: &Entry) -> u32 {
    match &entry.kind {
        Kind::Play { chunk_size, .. } => *chunk_size,
        _ => 0,
    }
}

/// All that is to be sent, in one piece: it is little, and there are thousands of players.
fn flat(transmit: &mut Transmit) -> Bytes {
    let mut bytes = Vec::with_capacity(transmit.len());
    while let Some(slice) = transmit.pop() {
        bytes.extend_from_slice(&slice);
    }
    bytes.into()
}
