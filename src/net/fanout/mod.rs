// SPDX-License-Identifier: MPL-2.0

//! One live stream to any number of sockets.
//!
//! The pipeline's thread hands over immutable blocks and goes on; one thread a fan-out sends them. All
//! clients are sent the same bytes, so a client is a place in a shared window, a socket, and what
//! it was sent by itself: a head, answers of its [`Protocol`], the rest of a block that the socket did
//! not take. It knows nothing of HTTP or RTMP.
//!
//! - Clients that are level, nearly all, cost one `sendmsg` a batch each, with slices that are put
//!   together once for all of them; the kernel is not asked first whether there is room. Only those
//!   whose socket was full wait for the poll.
//! - A client begins at a *join*, a block that can be understood without those before it. One that
//!   falls too far behind goes on at a join too, or is dropped, and nobody waits for it: the window is
//!   bounded, by time and by bytes, and so is what the kernel may hold unsent.
//! - A fan-out that is late sends what has gathered meanwhile in one go, so that the cost of a client
//!   falls as load rises.

mod batch;
mod block;
mod client;
mod config;
mod engine;
mod figures;
mod guest;
mod inbox;
#[cfg(test)]
mod tests;
mod window;

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    thread::JoinHandle,
};

use mio::{Poll, Waker};

pub use self::{
    block::{ALL_KINDS, Block},
    client::Desk,
    config::{Config, Recover},
    figures::{ClientFigures, Reason, Report},
    guest::{NewClient, Protocol, Rewrite, Start},
    inbox::Item,
};
use self::{
    figures::Figures,
    inbox::{Command, Shared},
};

/// One stream and its clients. Dropping it resets their connections, or closes them if the stream has
/// ended.
pub struct Fanout {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Fanout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fanout")
            .field("clients", &self.len())
            .finish_non_exhaustive()
    }
}

impl Fanout {
    /// Starts the thread, called `name`. `on_removed` is told of each client that is gone, on that
    /// thread with no lock held; it must not wait.
    ///
    /// # Errors
    /// The system's, when it is out of descriptors or threads.
    pub fn start(
        name: &str,
        config: Config,
        on_removed: impl Fn(Report) + Send + 'static,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), engine::WAKE)?;
        let shared = Arc::new(Shared::new(waker));
        let engine = engine::Engine::new(poll, shared.clone(), config, Box::new(on_removed));
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || engine.run())?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Sends a block to all.
    pub fn push(&self, block: Block) {
        self.push_all([Item::Block(block)]);
    }

    /// Sends blocks to all.
    pub fn push_many(&self, blocks: impl IntoIterator<Item = Block>) {
        self.push_all(blocks.into_iter().map(Item::Block));
    }

    /// Does one thing after another. Nothing is nothing to do.
    pub fn push_all(&self, items: impl IntoIterator<Item = Item>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.shared.put(|inbox| inbox.items.extend(items));
        }
    }

    /// Sets what a client is sent before its first block, from the next join on. Clients in the
    /// middle of the stream are sent it too if `now`, and else only if they skip something.
    pub fn set_header(&self, header: Block, now: bool) {
        self.push_all([Item::Header(header, now)]);
    }

    /// Forgets the window: what follows does not go with what was. All clients wait for the next
    /// join.
    pub fn clear(&self) {
        self.push_all([Item::Clear]);
    }

    /// Serves a client.
    pub fn add(&self, client: NewClient) {
        let figures = Arc::new(Figures::new(client.id));
        self.shared
            .lock_figures()
            .insert(client.id, figures.clone());
        self.shared.command(Command::Add(Box::new(client), figures));
    }

    /// Ends the stream: everybody gets what is left, the end of his response and a FIN. The same
    /// for those who come after.
    pub fn end(&self) {
        self.shared.put(|inbox| {
            inbox.items.push(Item::End);
            inbox.urgent = true;
        });
    }

    /// Takes the end back: the stream goes on for those who come now. Whoever has not taken the end by
    /// then is cut off.
    pub fn resume(&self) {
        self.shared.put(|inbox| {
            inbox.items.push(Item::Resume);
            inbox.urgent = true;
        });
    }

    /// Resets every connection.
    pub fn abort(&self) {
        self.shared.command(Command::Abort);
    }

    /// How many clients there are, those included that are on their way out.
    pub fn len(&self) -> usize {
        self.shared.lock_figures().len()
    }

    /// Whether there is no client.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of each client, in no order. Takes a lock that neither [`push`](Self::push)
    /// nor sending needs.
    pub fn clients(&self) -> Vec<ClientFigures> {
        let shared = &self.shared;
        shared.asked.store(true, Ordering::Relaxed);
        let (bytes, time) = shared.newest.get();
        let all = shared.lock_figures();
        all.values().map(|f| f.read(bytes, time)).collect()
    }
}

impl Fanout {
    /// Closes all connections and waits for the thread, which tells of each that is gone.
    pub fn shut(&self) {
        self.shared.put(|inbox| inbox.close = true);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            // The last user may be a callback of the thread itself.
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.shut();
    }
}
