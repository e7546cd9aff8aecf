// SPDX-License-Identifier: MPL-2.0

//! What the users of a fan-out put in for its thread.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use mio::Waker;

use super::{
    Block, NewClient,
    figures::{Figures, Position},
};

/// What is put in and waits for a batch.
#[derive(Clone, Debug)]
pub enum Item {
    /// See [`Fanout::push`](super::Fanout::push).
    Block(Block),
    /// See [`Fanout::set_header`](super::Fanout::set_header).
    Header(Block, bool),
    /// See [`Fanout::clear`](super::Fanout::clear).
    Clear,
    /// See [`Fanout::end`](super::Fanout::end).
    End,
    /// See [`Fanout::resume`](super::Fanout::resume).
    Resume,
}

/// What does not.
pub(super) enum Command {
    Add(Box<NewClient>, Arc<Figures>),
    Abort,
}

#[derive(Default)]
pub(super) struct Inbox {
    pub(super) items: Vec<Item>,
    /// Each with the number of items before it: who comes after a block was pushed knows of it, if
    /// the block is not held back.
    pub(super) commands: Vec<(usize, Command)>,
    /// Something that does not wait for a batch to be full.
    pub(super) urgent: bool,
    /// The thread will look by itself when the batch is full.
    pub(super) armed: bool,
    pub(super) close: bool,
}

pub(super) struct Shared {
    waker: Waker,
    inbox: Mutex<Inbox>,
    figures: Mutex<HashMap<u64, Arc<Figures>>>,
    pub(super) newest: Position,
    /// Somebody looks at the figures.
    pub(super) asked: AtomicBool,
    /// The thread is gone.
    pub(super) over: AtomicBool,
}

impl Shared {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            waker,
            inbox: Mutex::default(),
            figures: Mutex::default(),
            newest: Position::default(),
            asked: AtomicBool::new(false),
            over: AtomicBool::new(false),
        }
    }

    pub(super) fn command(&self, command: Command) {
        self.put(|inbox| {
            let place = inbox.items.len();
            inbox.commands.push((place, command));
        });
    }

    pub(super) fn put(&self, work: impl FnOnce(&mut Inbox)) {
        if self.over.load(Ordering::Acquire) {
            return;
        }
        let mut inbox = self.lock_inbox();
        let (items, commands) = (inbox.items.len(), inbox.commands.len());
        work(&mut inbox);
        // Blocks on top of blocks find a thread that was woken already; nothing is no news.
        let blocks = items == 0 && !inbox.items.is_empty() && !inbox.armed;
        let news = blocks || inbox.commands.len() > commands || inbox.urgent || inbox.close;
        drop(inbox);
        if news {
            // A counter that is full wakes too.
            let _ = self.waker.wake();
        }
    }

    pub(super) fn lock_inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lock_figures(&self) -> MutexGuard<'_, HashMap<u64, Arc<Figures>>> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
