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
mod client;
mod engine;
#[cfg(test)]
mod tests;
mod window;

use std::{
    collections::HashMap,
    fmt, io,
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bytes::Bytes;
use mio::{Poll, Waker};

use super::stack::Stack;
use crate::protocol::rtmp::transmit::Transmit;
pub use client::Desk;

/// Bits of [`Block::kind`] that every client wants until its [`Protocol`] says otherwise.
pub const ALL_KINDS: u8 = u8::MAX;

/// How a fan-out treats its clients.
#[derive(Clone, Debug)]
pub struct Config {
    /// Blocks of this much time go out together; zero sends each at once.
    pub batch: Duration,
    /// What becomes of a client that is too slow.
    pub recover: Recover,
    /// How far a client may fall behind in time.
    pub lag_time: Duration,
    /// How far a client may fall behind in bytes.
    pub lag_bytes: usize,
    /// Most bytes to keep, come what may: an hour without a join must not fill the memory.
    pub window_bytes: usize,
    /// How much time to keep at least before the newest block, for [`Start::Time`].
    pub keep_time: Duration,
    /// How many bytes to keep at least before the newest block, for [`Start::Bytes`].
    pub keep_bytes: usize,
    /// Bytes that the kernel may hold unsent for a client (TCP_NOTSENT_LOWAT). Zero leaves it to the
    /// kernel, which holds megabytes: half a minute of a slow client's stream.
    pub unsent: u32,
    /// How long a client may take nothing while something waits for it.
    pub stall: Duration,
    /// Bits of [`Block::kind`] that can only be taken up at a join, such as video.
    pub keyed: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            batch: Duration::ZERO,
            recover: Recover::NextKey,
            lag_time: Duration::from_secs(5),
            lag_bytes: 16 << 20,
            window_bytes: 64 << 20,
            keep_time: Duration::ZERO,
            keep_bytes: 0,
            unsent: 64 << 10,
            stall: Duration::from_secs(30),
            keyed: 0,
        }
    }
}

/// What becomes of a client that falls too far behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recover {
    /// It goes on at the latest join, or the next if that is too old as well.
    NextKey,
    /// Its connection is reset.
    Drop,
}

/// A piece of the stream that is sent whole or not at all.
#[derive(Clone, Debug)]
pub struct Block {
    /// What [framed](NewClient::framed) clients are sent: for HTTP, a chunk.
    pub bytes: Bytes,
    /// What the others are sent of it.
    pub data: Range<usize>,
    /// When it is to be shown, in milliseconds; never less than the block's before it.
    pub time: u64,
    /// A client may begin here.
    pub join: bool,
    /// What it holds, as bits of the user's choice; clients can do without some.
    pub kind: u8,
}

impl Block {
    /// A block that is the same for all, framed or not.
    pub fn plain(bytes: Bytes, time: u64, join: bool, kind: u8) -> Self {
        Self {
            data: 0..bytes.len(),
            bytes,
            time,
            join,
            kind,
        }
    }

    fn len(&self, framed: bool) -> usize {
        self.slice(framed).len()
    }

    fn slice(&self, framed: bool) -> &[u8] {
        match framed {
            true => &self.bytes,
            false => self.bytes.get(self.data.clone()).unwrap_or_default(),
        }
    }

    fn share(&self, framed: bool) -> Bytes {
        match framed {
            true => self.bytes.clone(),
            false => self.bytes.slice_ref(self.slice(false)),
        }
    }
}

/// Where a client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the latest join, at once; with the next if there is none.
    LatestJoin,
    /// At the next join to come.
    NextJoin,
    /// With the next block, and with [keyed](Config::keyed) kinds from the next join on.
    Now,
    /// Where its [`Protocol`] says, when it says so.
    Held,
    /// At the last join that is at least this old, or the oldest there is.
    Time(Duration),
    /// At the last join with at least this many bytes from it on, or the oldest there is.
    Bytes(usize),
}

/// A client to be served.
#[derive(Debug)]
pub struct NewClient {
    /// The user's name for it, unique in this fan-out.
    pub id: u64,
    /// Its connection: established, and registered with no poll.
    pub stack: Stack,
    /// Sent first.
    pub head: Bytes,
    /// Whether it is sent the header of the stream before its first block. One that goes on where
    /// another connection broke off has it already.
    pub header: bool,
    /// Which form of the blocks it is sent.
    pub framed: bool,
    /// Where it begins.
    pub start: Start,
    /// Bytes of blocks to send, after which it has all it asked for. Only for clients without
    /// framing, which a cut block would break.
    pub limit: Option<u64>,
    /// Sent last when the stream ends.
    pub end: Bytes,
    /// What to do with what it sends. `None` throws that away.
    pub protocol: Option<Box<dyn Protocol>>,
}

/// What a client's connection speaks besides the stream. Runs on the fan-out's thread, so it must
/// not wait.
pub trait Protocol: Send + fmt::Debug {
    /// The client is served from now on; nothing was read from it yet.
    fn begin(&mut self, desk: &mut Desk<'_>) {
        let _ = desk;
    }

    /// Bytes came.
    fn input(&mut self, bytes: &[u8], desk: &mut Desk<'_>);

    /// The client will send no more. One that is still there goes on reading, as `nc` does; most
    /// are gone.
    fn closed(&mut self, desk: &mut Desk<'_>) {
        desk.leave(Reason::Left);
    }

    /// Some half a second has passed.
    fn tick(&mut self, desk: &mut Desk<'_>) {
        let _ = desk;
    }

    /// The stream has ended, and the client has all of it: [`NewClient::end`] follows what is said
    /// now.
    fn ending(&mut self, desk: &mut Desk<'_>) {
        let _ = desk;
    }

    /// The client goes elsewhere, as [`Desk::hand_over`] wanted: its connection, registered with no
    /// poll, and what it is still to be sent before anything else.
    fn moved(self: Box<Self>, stack: Stack, unsent: Transmit) {
        drop((stack, unsent));
    }
}

/// Makes what a client is sent of blocks that are not quite the same for it.
pub type Rewrite = Box<dyn Fn(&[u8]) -> Bytes + Send>;

/// Why a client is no longer served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It closed the connection.
    Left,
    /// The connection broke, or its [`Protocol`] did.
    Failed,
    /// It fell too far behind.
    Slow,
    /// It took nothing for too long.
    Stalled,
    /// The user had it removed.
    Kicked,
    /// The stream ended.
    Ended,
    /// It has all that it asked for.
    Complete,
    /// It was [handed over](Desk::hand_over).
    Moved,
}

/// A client that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The user's name for it.
    pub id: u64,
    /// Why.
    pub reason: Reason,
    /// Bytes that its connection took, heads and framing included.
    pub bytes: u64,
    /// Blocks that it missed because it was too slow.
    pub dropped: u64,
    /// How long it was served.
    pub connected: Duration,
}

/// What is known of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientFigures {
    /// The user's name for it.
    pub id: u64,
    /// Bytes that its connection took.
    pub bytes: u64,
    /// Blocks that it missed because it was too slow.
    pub dropped: u64,
    /// Bytes between what it was sent last and the newest block.
    pub lag_bytes: u64,
    /// Time between them, in milliseconds.
    pub lag_time: u64,
    /// Since when it is served.
    pub since: Instant,
    /// The kernel's estimate of the round trip, not older than a second when asked for again and
    /// again; unknown at first.
    pub rtt: Option<Duration>,
}

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
        let shared = Arc::new(Shared {
            waker: Waker::new(poll.registry(), engine::WAKE)?,
            inbox: Mutex::default(),
            figures: Mutex::default(),
            newest: Position::default(),
            asked: AtomicBool::new(false),
            over: AtomicBool::new(false),
        });
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
        self.shared
            .put(|inbox| inbox.items.push(Item::Block(block)));
    }

    /// Sends blocks to all.
    pub fn push_many(&self, blocks: impl IntoIterator<Item = Block>) {
        self.shared
            .put(|inbox| inbox.items.extend(blocks.into_iter().map(Item::Block)));
    }

    /// Sets what a client is sent before its first block, from the next join on. Clients in the
    /// middle of the stream are sent it too if `now`, and else only if they skip something.
    pub fn set_header(&self, header: Block, now: bool) {
        self.shared
            .put(|inbox| inbox.items.push(Item::Header(header, now)));
    }

    /// Forgets the window: what follows does not go with what was. All clients wait for the next
    /// join.
    pub fn clear(&self) {
        self.shared.put(|inbox| inbox.items.push(Item::Clear));
    }

    /// Serves a client.
    pub fn add(&self, client: NewClient) {
        let figures = Arc::new(Figures::new(client.id));
        self.shared
            .lock_figures()
            .insert(client.id, figures.clone());
        self.shared.command(Command::Add(Box::new(client), figures));
    }

    /// Resets a client's connection. A name that is not known is nobody's.
    pub fn kick(&self, id: u64) {
        self.shared.command(Command::Kick(id));
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

/// What waits for a batch.
enum Item {
    Block(Block),
    Header(Block, bool),
    Clear,
    End,
    Resume,
}

/// What does not.
enum Command {
    Add(Box<NewClient>, Arc<Figures>),
    Kick(u64),
    Abort,
}

#[derive(Default)]
struct Inbox {
    items: Vec<Item>,
    /// Each with the number of items before it: who comes after a block was pushed knows of it, if
    /// the block is not held back.
    commands: Vec<(usize, Command)>,
    /// Something that does not wait for a batch to be full.
    urgent: bool,
    /// The thread will look by itself when the batch is full.
    armed: bool,
    close: bool,
}

struct Shared {
    waker: Waker,
    inbox: Mutex<Inbox>,
    figures: Mutex<HashMap<u64, Arc<Figures>>>,
    newest: Position,
    /// Somebody looks at the figures.
    asked: AtomicBool,
    /// The thread is gone.
    over: AtomicBool,
}

impl Shared {
    fn command(&self, command: Command) {
        self.put(|inbox| {
            let place = inbox.items.len();
            inbox.commands.push((place, command));
        });
    }

    fn put(&self, work: impl FnOnce(&mut Inbox)) {
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

    fn lock_inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_figures(&self) -> MutexGuard<'_, HashMap<u64, Arc<Figures>>> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the stream.
#[derive(Debug, Default)]
struct Position {
    bytes: AtomicU64,
    time: AtomicU64,
}

impl Position {
    fn set(&self, bytes: u64, time: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.time.store(time, Ordering::Relaxed);
    }

    fn get(&self) -> (u64, u64) {
        (
            self.bytes.load(Ordering::Relaxed),
            self.time.load(Ordering::Relaxed),
        )
    }
}

/// A client's counters, written by the thread and read by anybody.
#[derive(Debug)]
struct Figures {
    id: u64,
    since: Instant,
    bytes: AtomicU64,
    dropped: AtomicU64,
    /// Behind the last block it was sent; `u64::MAX` before the first.
    at: Position,
    /// Microseconds; zero is unknown.
    rtt: AtomicU64,
}

impl Figures {
    fn new(id: u64) -> Self {
        Self {
            id,
            since: Instant::now(),
            bytes: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            at: Position {
                bytes: AtomicU64::new(u64::MAX),
                time: AtomicU64::new(u64::MAX),
            },
            rtt: AtomicU64::new(0),
        }
    }

    fn add_bytes(&self, bytes: usize) {
        add(&self.bytes, bytes as u64);
    }

    fn add_dropped(&self, blocks: u64) {
        add(&self.dropped, blocks);
    }

    fn read(&self, bytes: u64, time: u64) -> ClientFigures {
        let at = self.at.get();
        let rtt = self.rtt.load(Ordering::Relaxed);
        ClientFigures {
            id: self.id,
            bytes: self.bytes.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            lag_bytes: bytes.saturating_sub(at.0),
            lag_time: time.saturating_sub(at.1),
            since: self.since,
            rtt: (rtt > 0).then(|| Duration::from_micros(rtt)),
        }
    }

    fn report(&self, reason: Reason, now: Instant) -> Report {
        Report {
            id: self.id,
            reason,
            bytes: self.bytes.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            connected: now.saturating_duration_since(self.since),
        }
    }
}

/// Only one thread writes; a locked instruction for each client and batch would be for nothing.
fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}
