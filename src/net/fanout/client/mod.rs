// SPDX-License-Identifier: MPL-2.0

//! One client: its socket, its place in the window, and what it is sent by itself.

mod desk;
mod hears;
mod line;

use std::{
    io::IoSlice,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Registry, Token};

pub use self::desk::Desk;
use self::line::{Line, Place};
use super::{
    Config, NewClient, Protocol, Reason,
    batch::{BYTES, Batches, SLICES},
    figures::Figures,
    window::Window,
};
use crate::{
    net::{NetError, stack::Stack, stream::Ready},
    protocol::rtmp::transmit::Transmit,
};

/// Bytes a client may be sent before the others get their turn.
const TURN: usize = 2 * BYTES;
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
        mut client: NewClient,
        figures: Arc<Figures>,
        registry: &Registry,
        token: Token,
        window: &Window,
        config: &Config,
        now: Instant,
    ) -> Result<Self, Reason> {
        let mut line = Line::new(&mut client, figures, now);
        let mut stack = client.stack;
        stack.register(registry, token).map_err(gone)?;
        if let Some(stream) = stack.stream() {
            // Without it a slow client is further behind, and that is all.
            let _ = stream.set_unsent(config.unsent);
            // Our own watch is the first to say so.
            let _ = stream.set_patience(config.stall * 2);
        }
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
                    let sent = match self.stack.is_layered() {
                        true => self.share(batch.shared(window)),
                        false => batch.offer(|slices| self.offer(slices)),
                    }?;
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
            // It goes anyway.
            let _ = self.ask(window, config, now, |protocol, desk| protocol.ending(desk));
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

    fn share(&mut self, mut bytes: Transmit) -> Result<usize, Reason> {
        let all = bytes.len();
        let written = self.stack.write(&mut bytes).map_err(gone);
        let written = written.map_err(|reason| self.line.reason(reason));
        written.map(|_| all - bytes.len())
    }

    fn offer(&mut self, slices: &[IoSlice<'_>]) -> Result<usize, Reason> {
        let sent = self.stack.offer(slices).map_err(gone);
        sent.map_err(|reason| self.line.reason(reason))
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

fn gone(error: NetError) -> Reason {
    match error {
        NetError::Closed { .. } => Reason::Left,
        _ => Reason::Failed,
    }
}
