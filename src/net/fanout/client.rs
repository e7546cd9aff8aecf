// SPDX-License-Identifier: MPL-2.0

//! One client: its socket, its place in the window, and what it is sent by itself.

use std::{
    io::IoSlice,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes};
use mio::{Registry, Token};

use super::{
    ALL_KINDS, Block, Config, Figures, NewClient, Protocol, Reason, Recover, Rewrite, Start,
    batch::{BYTES, Batches, SLICES},
    window::Window,
};
use crate::{
    net::{
        NetError,
        stack::{Read, Stack},
        stream::Ready,
    },
    protocol::rtmp::transmit::Transmit,
};

/// Bytes a client may be sent before the others get their turn.
const TURN: usize = 2 * BYTES;
/// Reads before the others get their turn.
const READS: usize = 4;
/// Bytes that a client without a [`Protocol`] may send in vain. Some repeat a request or two behind
/// the first; what is more than that stays in the socket.
const IGNORED: usize = 64 << 10;
/// How long a client may take to read the end.
const LINGER: Duration = Duration::from_secs(5);

/// See the module's text.
#[derive(Debug)]
pub(super) struct Client {
    stack: Stack,
    protocol: Option<Box<dyn Protocol>>,
    /// What came without being asked for.
    ignored: usize,
    /// The poll said that it will send no more.
    hung_up: bool,
    /// It shut its direction; since then, or since it took something last.
    closed: Option<Instant>,
    line: Line,
}

/// What is to be sent.
#[derive(Debug)]
struct Line {
    place: Place,
    /// What the socket left of a block. It goes first.
    rest: Bytes,
    /// Goes before the next block.
    own: Transmit,
    /// Bytes that its protocol has put there since it was empty.
    answers: usize,
    framed: bool,
    rewrite: Option<Rewriter>,
    /// The header it was sent, by the number of the first block it goes with.
    header: Option<u64>,
    wants_header: bool,
    kinds: u8,
    /// Kinds that it wants, but has to wait for.
    wanted: u8,
    limit: Option<u64>,
    end: Bytes,
    /// When the socket took something last, or nothing was left.
    progress: Instant,
    /// Where it began it was behind already, in bytes and milliseconds.
    grace: (u64, u64),
    figures: Arc<Figures>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// For a join with this number or a greater one.
    Waiting(u64),
    /// It was sent all before this block.
    At(u64),
    Paused,
    /// Once all is sent, our direction is shut, and the client has until then to shut its own.
    Leaving {
        reason: Reason,
        until: Instant,
        shut: bool,
    },
}

/// How far a turn got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pumped {
    /// Nothing is left.
    Level,
    /// The socket is full.
    Blocked,
    /// There is more, but it is the others' turn.
    More,
}

impl Client {
    /// Takes a client over and watches its socket.
    pub(super) fn new(
        client: NewClient,
        figures: Arc<Figures>,
        registry: &Registry,
        token: Token,
        window: &Window,
        config: &Config,
        now: Instant,
    ) -> Result<Self, Reason> {
        let mut stack = client.stack;
        stack.register(registry, token).map_err(gone)?;
        if let Some(stream) = stack.stream() {
            // Without it a slow client is further behind, and that is all.
            let _ = stream.set_unsent(config.unsent);
        }
        let mut line = Line {
            place: Place::Paused,
            rest: Bytes::new(),
            own: Transmit::default(),
            answers: 0,
            framed: client.framed && client.limit.is_none(),
            rewrite: None,
            header: None,
            wants_header: client.header,
            kinds: ALL_KINDS,
            wanted: ALL_KINDS,
            limit: client.limit,
            end: client.end,
            progress: now,
            grace: (0, 0),
            figures,
        };
        line.own.push(client.head);
        line.begin(window, config, client.start);
        Ok(Self {
            stack,
            protocol: client.protocol,
            ignored: 0,
            hung_up: false,
            closed: None,
            line,
        })
    }

    pub(super) fn figures(&self) -> &Arc<Figures> {
        &self.line.figures
    }

    /// Lets its protocol begin.
    pub(super) fn begin(
        &mut self,
        window: &Window,
        config: &Config,
        now: Instant,
    ) -> Result<(), Reason> {
        self.ask(window, config, now, |protocol, desk| protocol.begin(desk))
    }

    pub(super) fn on_ready(&mut self, ready: Ready) {
        self.hung_up |= ready.is_hung_up();
        self.stack.on_ready(ready);
    }

    /// Sends what there is, as far as it goes without waiting.
    pub(super) fn pump(
        &mut self,
        batches: &mut Batches<'_>,
        config: &Config,
        now: Instant,
    ) -> Result<Pumped, Reason> {
        let window = batches.window;
        let mut budget = TURN;
        let pumped = loop {
            self.settle(window, config, now)?;
            let mut through = false;
            let sent = match self.line.place {
                Place::At(number) if self.line.is_common() => {
                    let batch = batches.from(number, self.line.framed);
                    let sent = batch.offer(|slices| self.offer(slices))?;
                    if sent == batch.bytes {
                        self.line.moved(window, batch.to, sent);
                        through = batch.to == window.end() && !window.ended;
                    } else {
                        self.line.account(window, config, sent);
                    }
                    match batch.bytes {
                        0 => None,
                        _ => Some(sent),
                    }
                }
                _ => self.send_own(window, config)?,
            };
            match sent {
                // All was handed over; TLS may still sit on the last records.
                None if self.stack.wants_write() => {
                    self.offer(&[])?;
                    if self.stack.wants_write() {
                        break Pumped::Blocked;
                    }
                    self.line.progress = now;
                }
                None => break Pumped::Level,
                Some(0) => break Pumped::Blocked,
                Some(sent) => {
                    self.line.progress = now;
                    self.closed = self.closed.map(|_| now);
                    if through && !self.stack.wants_write() {
                        break Pumped::Level;
                    }
                    budget = budget.saturating_sub(sent);
                    if budget == 0 {
                        break Pumped::More;
                    }
                }
            }
        };
        match pumped {
            Pumped::Level => {
                self.line.progress = now;
                self.line.grace = (0, 0);
                if let Place::Leaving { shut, .. } = &mut self.line.place
                    && !std::mem::replace(shut, true)
                {
                    self.stack.shutdown();
                }
            }
            _ => self.line.mind_the_gap(window, config)?,
        }
        Ok(pumped)
    }

    /// Goes on from waiting, and ends with the stream.
    fn settle(&mut self, window: &Window, config: &Config, now: Instant) -> Result<(), Reason> {
        match self.line.place {
            Place::Waiting(from) => {
                if let Some(join) = window.join_from(from) {
                    self.line.enter(window, join);
                }
            }
            Place::At(number) if number < window.first() => {
                self.line.fall_behind(window, config)?;
            }
            _ => {}
        }
        let through = match self.line.place {
            Place::At(number) => number >= window.end(),
            Place::Waiting(_) | Place::Paused => true,
            Place::Leaving { .. } => false,
        };
        if self.line.limit == Some(0) && !matches!(self.line.place, Place::Leaving { .. }) {
            self.line.finish(Reason::Complete, now);
        } else if window.ended && through {
            if let Some(protocol) = &mut self.protocol {
                let mut doom = None;
                protocol.ending(&mut Desk {
                    now,
                    line: &mut self.line,
                    window,
                    config,
                    doom: &mut doom,
                });
            }
            let end = std::mem::take(&mut self.line.end);
            self.line.own.push(end);
            self.line.finish(Reason::Ended, now);
        }
        Ok(())
    }

    /// Sends what goes to this client alone, and blocks behind it if there is room. `None` when
    /// there was nothing.
    fn send_own(&mut self, window: &Window, config: &Config) -> Result<Option<usize>, Reason> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = self.line.gather(window, config, &mut slices);
        if count == 0 {
            return Ok(None);
        }
        let sent = self.stack.offer(&slices[..count]).map_err(gone);
        let sent = sent.map_err(|reason| self.line.reason(reason))?;
        self.line.account(window, config, sent);
        Ok(Some(sent))
    }

    fn offer(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Reason> {
        let sent = self.stack.offer(slices).map_err(gone);
        sent.map_err(|reason| self.line.reason(reason))
    }

    /// Takes what the client sent; `true` if there may be more.
    pub(super) fn read(
        &mut self,
        scratch: &mut [u8],
        window: &Window,
        config: &Config,
        now: Instant,
    ) -> Result<bool, Reason> {
        for _ in 0..READS {
            if self.protocol.is_none() && self.ignored >= IGNORED {
                // What it said last will never be reached.
                return if self.hung_up {
                    Err(self.line.reason(Reason::Left))
                } else {
                    Ok(false)
                };
            }
            let read = self.stack.read(scratch).map_err(gone);
            match read.map_err(|reason| self.line.reason(reason))? {
                Read::WouldBlock => return Ok(false),
                Read::Data(n) => {
                    let bytes = scratch.get(..n).unwrap_or_default();
                    match &self.protocol {
                        Some(_) => self.ask(window, config, now, |p, desk| p.input(bytes, desk))?,
                        None => self.ignored += n,
                    }
                }
                Read::Closed => {
                    if let Place::Leaving { reason, .. } = self.line.place {
                        return Err(reason);
                    }
                    if self.closed.replace(now).is_none() {
                        self.ask(window, config, now, |protocol, desk| protocol.closed(desk))?;
                    }
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Some time has passed.
    pub(super) fn tick(
        &mut self,
        window: &Window,
        config: &Config,
        sample: bool,
        now: Instant,
    ) -> Result<(), Reason> {
        if let Place::Leaving { reason, until, .. } = self.line.place
            && now >= until
        {
            return Err(reason);
        }
        let waited = now.saturating_duration_since(self.line.progress);
        // One that reads on shows it by taking something; one that is gone resets what comes.
        if self
            .closed
            .is_some_and(|at| now.saturating_duration_since(at) >= LINGER)
        {
            return Err(self.line.reason(Reason::Left));
        }
        if !config.stall.is_zero() && waited >= config.stall && self.is_pending(window) {
            return Err(Reason::Stalled);
        }
        if sample && let Some(rtt) = self.stack.stream().and_then(|stream| stream.rtt()) {
            let micros = rtt.as_micros().try_into().unwrap_or(u64::MAX);
            self.line.figures.rtt.store(micros, Ordering::Relaxed);
        }
        self.ask(window, config, now, |protocol, desk| protocol.tick(desk))
    }

    fn is_pending(&self, window: &Window) -> bool {
        let line = &self.line;
        !line.rest.is_empty()
            || !line.own.is_empty()
            || self.stack.wants_write()
            || matches!(line.place, Place::At(number) if number < window.end())
    }

    /// The window is about to be forgotten.
    pub(super) fn skip_to(&mut self, number: u64) {
        if let Place::At(_) | Place::Waiting(_) = self.line.place {
            self.line.place = Place::Waiting(number);
        }
    }

    /// Whether it has been sent the end.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.line.place, Place::Leaving { .. })
    }

    fn ask(
        &mut self,
        window: &Window,
        config: &Config,
        now: Instant,
        what: impl FnOnce(&mut dyn Protocol, &mut Desk<'_>),
    ) -> Result<(), Reason> {
        let mut doom = None;
        if let Some(protocol) = &mut self.protocol {
            let mut desk = Desk {
                now,
                line: &mut self.line,
                window,
                config,
                doom: &mut doom,
            };
            what(protocol.as_mut(), &mut desk);
        }
        doom.map_or(Ok(()), Err)
    }

    /// Closes the connection or hands it over: with a reset if it is not a proper end, which tells a browser to come
    /// back, and frees what the kernel holds for a client that does not read.
    pub(super) fn close(mut self, reason: Reason, registry: &Registry) {
        match reason {
            Reason::Slow | Reason::Stalled | Reason::Kicked => self.stack.reset(),
            Reason::Left | Reason::Failed | Reason::Ended | Reason::Complete => {}
            Reason::Moved => {
                let mut unsent = Transmit::default();
                unsent.push(self.line.rest);
                while let Some(bytes) = self.line.own.pop() {
                    unsent.push(bytes);
                }
                if self.stack.deregister(registry).is_ok()
                    && let Some(protocol) = self.protocol
                {
                    protocol.moved(self.stack, unsent);
                }
            }
        }
    }
}

impl Line {
    /// Whether all that it is to be sent is what the others are sent as well.
    fn is_common(&self) -> bool {
        self.rest.is_empty()
            && self.own.is_empty()
            && self.limit.is_none()
            && self.rewrite.is_none()
            && self.kinds == ALL_KINDS
            && self.wanted == ALL_KINDS
    }

    fn begin(&mut self, window: &Window, config: &Config, start: Start) {
        match start {
            Start::Now => self.kinds &= !config.keyed,
            Start::Held => return self.place = Place::Paused,
            _ => {}
        }
        match window.start(start) {
            Some(number) => {
                self.enter(window, number);
                self.grace = window.lag(number);
            }
            None => self.place = Place::Waiting(window.end()),
        }
    }

    /// Sends a block before all others.
    fn push_own(&mut self, block: &Block) {
        self.own.push(match &self.rewrite {
            Some(Rewriter(rewrite)) => rewrite(block.slice(self.framed)),
            None => block.share(self.framed),
        });
    }

    /// Goes on at a join.
    fn enter(&mut self, window: &Window, number: u64) {
        self.place = Place::At(number);
        if let Some(header) = window.header(number) {
            if self.wants_header && self.header != Some(header.from) {
                self.push_own(&header.block);
            }
            (self.header, self.wants_header) = (Some(header.from), true);
        }
        let (bytes, time) = window.position(number);
        self.figures.at.set(bytes, time);
    }

    /// Whether the socket is so slow that something has to be done, and does it.
    fn mind_the_gap(&mut self, window: &Window, config: &Config) -> Result<(), Reason> {
        let Place::At(number) = self.place else {
            return Ok(());
        };
        let (bytes, time) = window.lag(number);
        let (more_bytes, more_time) = self.grace;
        let limit = config.lag_time.as_millis().try_into().unwrap_or(u64::MAX);
        let late = time > more_time.saturating_add(limit)
            || bytes > more_bytes.saturating_add(config.lag_bytes as u64);
        match late || number < window.first() {
            true => self.fall_behind(window, config),
            false => Ok(()),
        }
    }

    fn fall_behind(&mut self, window: &Window, config: &Config) -> Result<(), Reason> {
        let Place::At(number) = self.place else {
            return Ok(());
        };
        if config.recover == Recover::Drop {
            return Err(Reason::Slow);
        }
        // A header on the way went by as a block.
        if let Some(from) = window.inline_header(number)
            && self.header.is_some_and(|own| own < from)
        {
            self.header = Some(from);
        }
        let limit = config.lag_time.as_millis().try_into().unwrap_or(u64::MAX);
        let near = |join: &u64| {
            let (bytes, time) = window.lag(*join);
            *join > number && time <= limit && bytes <= config.lag_bytes as u64
        };
        let to = match window.last_join().filter(near) {
            Some(join) => {
                self.enter(window, join);
                join
            }
            None => {
                self.place = Place::Waiting(window.end());
                window.end()
            }
        };
        self.grace = (0, 0);
        self.figures.add_dropped(to - number);
        Ok(())
    }

    /// Everything is said, or will be with what is queued.
    fn finish(&mut self, reason: Reason, now: Instant) {
        self.place = Place::Leaving {
            reason,
            until: now + LINGER,
            shut: false,
        };
    }

    fn reason(&self, reason: Reason) -> Reason {
        match self.place {
            Place::Leaving { reason, .. } => reason,
            _ => reason,
        }
    }

    /// Whether it takes a block, and which kinds it has begun with when it has taken it: at a join,
    /// those that waited for one.
    fn takes(&self, kinds: &mut u8, block: &Block, config: &Config) -> bool {
        let begun = match block.join {
            true => self.wanted & config.keyed,
            false => 0,
        };
        // A block without a kind is for all.
        let takes = block.kind == 0 || block.kind & (*kinds | begun) != 0;
        if takes {
            *kinds |= begun & block.kind;
        }
        takes
    }

    /// Puts together what is to be sent next.
    fn gather<'a>(
        &'a mut self,
        window: &'a Window,
        config: &Config,
        slices: &mut [IoSlice<'a>],
    ) -> usize {
        if let Place::At(number) = self.place {
            let unwanted = |block: &&Block| !self.takes(&mut self.kinds.clone(), block, config);
            let skip = window.from(number).take_while(unwanted).count() as u64;
            if skip > 0 {
                self.moved(window, number + skip, 0);
            }
        }
        self.copy_out(window, config);
        let line = &*self;
        let mut count = 0;
        if !line.rest.is_empty() {
            slices[0] = IoSlice::new(&line.rest);
            count = 1;
        }
        count += line.own.io_slices(&mut slices[count..]);
        let mut bytes = line.rest.len() + line.own.len();
        // A place for each block; those of its own that found none come first.
        let Place::At(number) = line.place else {
            return count;
        };
        if line.rewrite.is_some() {
            return count;
        }
        let mut left = line.limit.unwrap_or(u64::MAX);
        let mut kinds = line.kinds;
        for block in window.from(number) {
            if count == slices.len() || bytes >= BYTES || left == 0 {
                break;
            }
            if line.takes(&mut kinds, block, config) {
                let slice = block.slice(line.framed);
                let end = slice.len().min(left.try_into().unwrap_or(usize::MAX));
                let slice = slice.get(..end).unwrap_or_default();
                slices[count] = IoSlice::new(slice);
                count += 1;
                bytes += slice.len();
                left -= slice.len() as u64;
            }
        }
        count
    }

    /// Makes the blocks that come next its own, if it is not sent those of everybody.
    fn copy_out(&mut self, window: &Window, config: &Config) {
        let Place::At(mut number) = self.place else {
            return;
        };
        let Some(Rewriter(rewrite)) = self.rewrite.take() else {
            return;
        };
        let mut kinds = self.kinds;
        while self.own.len() < BYTES
            && let Some(block) = window.get(number)
        {
            if self.takes(&mut kinds, block, config) {
                self.own.push(rewrite(block.slice(self.framed)));
            }
            number += 1;
        }
        self.kinds = kinds;
        self.rewrite = Some(Rewriter(rewrite));
        self.moved(window, number, 0);
    }

    /// The socket took this many of the bytes.
    fn account(&mut self, window: &Window, config: &Config, sent: usize) {
        let mut left = sent;
        let rest = left.min(self.rest.len());
        self.rest.advance(rest);
        left -= rest;
        let own = left.min(self.own.len());
        self.own.advance(own);
        if self.own.is_empty() {
            // It is rarely needed again, and there are thousands.
            self.own = Transmit::default();
        }
        left -= own;
        let Place::At(mut number) = self.place else {
            return self.figures.add_bytes(sent);
        };
        let mut kinds = self.kinds;
        while left > 0 {
            let Some(block) = window.get(number) else {
                break;
            };
            if self.takes(&mut kinds, block, config) {
                let mut length = block.len(self.framed);
                if let Some(limit) = &mut self.limit {
                    length = length.min((*limit).try_into().unwrap_or(usize::MAX));
                    *limit -= length as u64;
                }
                if left < length {
                    self.rest = block.share(self.framed).slice(left..length);
                }
                left -= left.min(length);
            }
            number += 1;
        }
        self.kinds = kinds;
        self.moved(window, number, sent);
    }

    fn moved(&mut self, window: &Window, number: u64, sent: usize) {
        self.place = Place::At(number);
        self.figures.add_bytes(sent);
        let (bytes, time) = window.position(number);
        self.figures.at.set(bytes, time);
    }
}

struct Rewriter(Rewrite);

impl std::fmt::Debug for Rewriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rewriter")
    }
}

fn gone(error: NetError) -> Reason {
    match error {
        NetError::Closed { .. } => Reason::Left,
        _ => Reason::Failed,
    }
}

/// What a [`Protocol`] can do for its client.
pub struct Desk<'a> {
    /// The time of this turn.
    pub now: Instant,
    line: &'a mut Line,
    window: &'a Window,
    config: &'a Config,
    doom: &'a mut Option<Reason>,
}

impl std::fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk")
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

impl Desk<'_> {
    /// Sends bytes of the client's own, before the next block.
    pub fn say(&mut self, bytes: Bytes) {
        if self.line.own.is_empty() {
            self.line.answers = 0;
        }
        self.line.answers += bytes.len();
        self.line.own.push(bytes);
    }

    /// Sends a block to this client alone, before the next.
    pub fn say_block(&mut self, block: &Block) {
        self.line.push_own(block);
    }

    /// How many of them wait, blocks aside.
    pub fn unsaid(&self) -> usize {
        self.line.answers.min(self.line.own.len())
    }

    /// Has the header sent again, however often it was.
    pub fn forget_header(&mut self) {
        self.line.header = None;
    }

    /// Begins with the next block, [keyed](Config::keyed) kinds with the next join, and with this header
    /// in place of the one that there is.
    pub fn play_now(&mut self, header: &Block) {
        if let Some(known) = self.window.header(self.window.end()) {
            self.line.header = Some(known.from);
        }
        self.line.push_own(header);
        self.play(Start::Now);
    }

    /// Which kinds of blocks it is sent. Those of [`Config::keyed`] begin at the next join.
    pub fn kinds(&mut self, kinds: u8) {
        let line = &mut self.line;
        line.wanted = kinds;
        line.kinds = kinds & (line.kinds | !self.config.keyed);
    }

    /// Sends no blocks until [`play`](Self::play).
    pub fn pause(&mut self) {
        if !matches!(self.line.place, Place::Leaving { .. }) {
            self.line.place = Place::Paused;
        }
    }

    /// Begins, or begins anew.
    pub fn play(&mut self, start: Start) {
        if !matches!(self.line.place, Place::Leaving { .. }) {
            self.line.begin(self.window, self.config, start);
        }
    }

    /// Sends everything that is for all as this makes it, from the next block on.
    pub fn rewrite(&mut self, rewrite: Option<Rewrite>) {
        self.line.rewrite = rewrite.map(Rewriter);
    }

    /// Hands the connection over to [`Protocol::moved`].
    pub fn hand_over(&mut self) {
        *self.doom = Some(Reason::Moved);
    }

    /// Closes once what was said is sent.
    pub fn finish(&mut self, reason: Reason) {
        self.line.finish(reason, self.now);
    }

    /// Closes now.
    pub fn leave(&mut self, reason: Reason) {
        *self.doom = Some(reason);
    }
}
