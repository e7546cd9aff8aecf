// SPDX-License-Identifier: MPL-2.0

//! The thread of a fan-out.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token};
use slab::Slab;

use super::{
    Config, NewClient, Reason, Report,
    batch::Batches,
    client::{Client, Pumped},
    figures::Figures,
    inbox::{Command, Item, Shared},
    window::Window,
};
use crate::net::{reactor::Together, stream::Ready};

pub(super) const WAKE: Token = Token(usize::MAX);
/// Events taken from the kernel at a time.
const EVENTS: usize = 1024;
/// Between two looks at each client for what is due by time.
const TICK: Duration = Duration::from_millis(500);
/// Longest wait for more blocks while nobody asked for batches. A muxer gives several at a time, one
/// right behind another, and sending each for itself costs as much as each is worth.
const GATHER_MOST: Duration = Duration::from_micros(500);
/// The kernel hardly wakes anybody sooner.
const GATHER_LEAST: Duration = Duration::from_micros(50);
/// Such a wait is this part of what sending takes.
const GATHER_PART: u32 = 16;
/// With so few clients that sending takes less, the wait would cost as much as it saves.
const GATHER_WORTH: Duration = Duration::from_micros(150);
/// Read at a time. Clients say little.
const READ: usize = 16 << 10;

/// See the module's text.
pub(super) struct Engine {
    poll: Poll,
    shared: Arc<Shared>,
    config: Config,
    on_removed: Box<dyn Fn(Report) + Send>,
    window: Window,
    clients: Slab<Box<Client>>,
    /// Clients with more to send or to read than a turn allows.
    hungry: Vec<usize>,
    doomed: Vec<(usize, Reason)>,
    /// The first of the next pass, so that it is not always the same one that is last.
    first: usize,
    next_send: Option<Instant>,
    /// How long the last pass over all clients took.
    pass: Duration,
    next_tick: Option<Instant>,
    scratch: Box<[u8]>,
    /// An empty one to leave in the inbox for the one that is taken.
    items: Vec<Item>,
}

impl Engine {
    pub(super) fn new(
        poll: Poll,
        shared: Arc<Shared>,
        config: Config,
        on_removed: Box<dyn Fn(Report) + Send>,
    ) -> Self {
        Self {
            poll,
            shared,
            config,
            on_removed,
            window: Window::new(),
            clients: Slab::new(),
            hungry: Vec::new(),
            doomed: Vec::new(),
            first: 0,
            next_send: None,
            pass: Duration::ZERO,
            next_tick: None,
            scratch: vec![0; READ].into_boxed_slice(),
            items: Vec::new(),
        }
    }

    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let wait = self.wait(Instant::now());
            if self.poll.poll(&mut events, wait).is_err() {
                // Interrupted by a signal.
                continue;
            }
            self.gather();
            let now = Instant::now();
            let mut hungry = std::mem::take(&mut self.hungry);
            hungry.sort_unstable();
            hungry.dedup();
            if !self.take(now) {
                break;
            }
            for event in &events {
                if event.token() != WAKE {
                    self.on_event(event.token().0, Ready::from(event), now);
                }
            }
            for key in hungry {
                self.turn(key, true, now);
            }
            if self.next_tick.is_some_and(|at| now >= at) {
                self.tick(now);
            }
            self.reap(now);
        }
        self.abort(match self.window.ended {
            true => Reason::Ended,
            false => Reason::Kicked,
        });
        self.reap(Instant::now());
    }

    fn wait(&self, now: Instant) -> Option<Duration> {
        if !self.hungry.is_empty() {
            return Some(Duration::ZERO);
        }
        let wait = |at: Instant| at.saturating_duration_since(now);
        let tick = self.next_tick.filter(|_| !self.clients.is_empty());
        [self.next_send, tick].into_iter().flatten().map(wait).min()
    }

    /// Waits for what comes right behind the first block.
    fn gather(&self) {
        if self.config.gather && self.config.batch.is_zero() && self.pass >= GATHER_WORTH {
            let wait = (self.pass / GATHER_PART).clamp(GATHER_LEAST, GATHER_MOST);
            let inbox = self.shared.lock_inbox();
            let wanted = !inbox.items.is_empty() && !inbox.urgent && !inbox.close;
            drop(inbox);
            if wanted {
                std::thread::sleep(wait);
            }
        }
    }

    /// Takes what the users have put in; `false` when they are gone.
    fn take(&mut self, now: Instant) -> bool {
        let mut inbox = self.shared.lock_inbox();
        let commands = std::mem::take(&mut inbox.commands);
        let due = inbox.urgent || self.next_send.is_none_or(|at| now >= at);
        let mut items = std::mem::take(&mut self.items);
        if due {
            std::mem::swap(&mut items, &mut inbox.items);
        }
        if due {
            // After silence a block goes at once, and the next ones gather.
            let batch = Some(self.config.batch).filter(|batch| !batch.is_zero());
            self.next_send = match items.is_empty() {
                true => None,
                false => batch.map(|batch| now + batch),
            };
            inbox.urgent = false;
            inbox.armed = self.next_send.is_some();
        }
        let close = inbox.close;
        drop(inbox);
        let mut fresh = false;
        let mut commands = commands.into_iter().peekable();
        for (place, item) in items.drain(..).enumerate() {
            while let Some((_, command)) = commands.next_if(|(before, _)| *before <= place) {
                self.obey(command, now);
            }
            self.take_item(item, &mut fresh, now);
        }
        commands.for_each(|(_, command)| self.obey(command, now));
        self.items = items;
        if fresh {
            self.deliver(now);
            self.window.trim(&self.config);
            let (bytes, time) = self.window.newest();
            self.shared.newest.set(bytes, time);
        }
        !close
    }

    fn obey(&mut self, command: Command, now: Instant) {
        match command {
            Command::Add(client, figures) => self.add(*client, figures, now),
            Command::Abort => self.abort(Reason::Kicked),
        }
    }

    /// `fresh` tells whether clients have something to be sent.
    fn take_item(&mut self, item: Item, fresh: &mut bool, now: Instant) {
        match item {
            Item::Block(block) => {
                self.window.push(block);
                *fresh = true;
            }
            Item::Header(header, inline) => {
                self.window.set_header(header, inline);
                *fresh |= inline;
            }
            Item::Clear => {
                self.deliver(now);
                self.window.clear();
                let next = self.window.end();
                self.clients.iter_mut().for_each(|(_, c)| c.skip_to(next));
                *fresh = false;
            }
            Item::End => {
                self.window.ended = true;
                *fresh = true;
            }
            Item::Resume => {
                if self.window.ended {
                    // Whoever was there gets the end, however soon something else begins, and whoever
                    // cannot take it now is cut off: what comes next is nothing for him.
                    self.deliver(now);
                    let late = self.clients.iter().filter(|(_, c)| !c.is_leaving());
                    self.doomed.extend(late.map(|(key, _)| (key, Reason::Slow)));
                }
                self.window.ended = false;
            }
        }
    }

    /// Gives every client its turn.
    fn deliver(&mut self, now: Instant) {
        let begun = Instant::now();
        let _together = Together::new();
        let mut batches = Batches::new(&self.window, self.clients.len());
        // The slots of those that left are still there; a pass goes around all of them.
        let slots = self.clients.capacity();
        let first = self.first.checked_rem(slots).unwrap_or(0);
        self.first = first.wrapping_add(1);
        for key in (first..slots).chain(0..first) {
            if let Some(client) = self.clients.get_mut(key) {
                match client.pump(&mut batches, &self.config, now) {
                    Ok(Pumped::Level | Pumped::Blocked) => {}
                    Ok(Pumped::More) => self.hungry.push(key),
                    Err(reason) => self.doomed.push((key, reason)),
                }
            }
        }
        self.pass = begun.elapsed();
    }

    fn add(&mut self, client: NewClient, figures: Arc<Figures>, now: Instant) {
        let slot = self.clients.vacant_entry();
        let key = slot.key();
        let added = Client::new(
            client,
            figures.clone(),
            self.poll.registry(),
            Token(key),
            &self.window,
            &self.config,
            now,
        );
        match added {
            Ok(mut client) => {
                let begun = client.begin(&self.window, &self.config, now);
                slot.insert(Box::new(client));
                if let Err(reason) = begun {
                    self.doomed.push((key, reason));
                    return;
                }
                self.next_tick.get_or_insert(now + TICK);
                // What TLS has already got from the socket brings no event.
                self.turn(key, true, now);
            }
            Err(reason) => self.remove(&figures, reason, now),
        }
    }

    fn on_event(&mut self, key: usize, ready: Ready, now: Instant) {
        if let Some(client) = self.clients.get_mut(key) {
            client.on_ready(ready);
            self.turn(key, ready.is_readable(), now);
        }
    }

    /// One client's turn.
    fn turn(&mut self, key: usize, read: bool, now: Instant) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let (window, config) = (&self.window, &self.config);
        let more = match read {
            true => client.read(&mut self.scratch, window, config, now),
            false => Ok(false),
        };
        let pumped = client.pump(&mut Batches::new(window, 1), config, now);
        match more.and_then(|more| Ok((more, pumped?))) {
            Ok((true, _) | (_, Pumped::More)) => self.hungry.push(key),
            Ok(_) => {}
            Err(reason) => self.doomed.push((key, reason)),
        }
    }

    fn tick(&mut self, now: Instant) {
        let sample = self.shared.asked.swap(false, Ordering::Relaxed);
        let mut batches = Batches::new(&self.window, 1);
        for (key, client) in &mut self.clients {
            let ticked = client.tick(&self.window, &self.config, sample, now);
            let pumped = ticked.and_then(|()| client.pump(&mut batches, &self.config, now));
            match pumped {
                Ok(Pumped::Level | Pumped::Blocked) => {}
                Ok(Pumped::More) => self.hungry.push(key),
                Err(reason) => self.doomed.push((key, reason)),
            }
        }
        self.next_tick = (!self.clients.is_empty()).then(|| now + TICK);
    }

    fn abort(&mut self, reason: Reason) {
        let keys = self.clients.iter().map(|(key, _)| (key, reason));
        self.doomed.extend(keys);
    }

    fn reap(&mut self, now: Instant) {
        for (key, reason) in std::mem::take(&mut self.doomed) {
            // It may be on the list twice.
            if let Some(client) = self.clients.try_remove(key) {
                let figures = client.figures().clone();
                client.close(reason, self.poll.registry());
                self.remove(&figures, reason, now);
            }
        }
        if self.clients.is_empty() {
            // After a rush the memory goes back.
            self.clients.shrink_to_fit();
        }
    }

    fn remove(&self, figures: &Figures, reason: Reason, now: Instant) {
        self.shared.lock_figures().remove(&figures.id);
        (self.on_removed)(figures.report(reason, now));
    }
}

impl Drop for Engine {
    /// Nobody puts things in any more, and who was in is let go.
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Release);
        let mut inbox = self.shared.lock_inbox();
        let left = (
            std::mem::take(&mut inbox.items),
            std::mem::take(&mut inbox.commands),
        );
        drop(inbox);
        let now = Instant::now();
        for (_, command) in left.1 {
            if let Command::Add(client, figures) = command {
                client.stack.reset();
                self.remove(&figures, Reason::Kicked, now);
            }
        }
    }
}
