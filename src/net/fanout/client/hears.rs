// SPDX-License-Identifier: MPL-2.0

//! What a client says, and what is due by time.

use std::{sync::atomic::Ordering, time::Instant};

use super::{Client, Desk, LINGER, Place, gone};
use crate::net::{
    fanout::{Config, Protocol, Reason, window::Window},
    stack::Read,
};

/// Reads before the others get their turn.
const READS: usize = 4;
/// Bytes that a client without a [`Protocol`] may send in vain. Some repeat a request or two behind
/// the first; what is more than that stays in the socket.
const IGNORED: usize = 64 << 10;

impl Client {
    /// Lets its protocol begin.
    pub(in crate::net::fanout) fn begin(
        &mut self,
        window: &Window,
        config: &Config,
        now: Instant,
    ) -> Result<(), Reason> {
        self.ask(window, config, now, |protocol, desk| protocol.begin(desk))
    }

    /// Takes what the client sent; `true` if there may be more.
    pub(in crate::net::fanout) fn read(
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
    pub(in crate::net::fanout) fn tick(
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

    pub(super) fn ask(
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
}
