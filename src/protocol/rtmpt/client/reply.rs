// SPDX-License-Identifier: MPL-2.0

//! What a reply may be, and what is done with its bytes.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Stage, TunnelClient, TunnelError, Waiting};
use crate::protocol::{
    http::reply::{Body, Framing, Part, Reply, ReplyError},
    rtmpt::{interval, is_id, limits},
};

/// The reply that is coming in.
#[derive(Debug)]
pub(super) enum Reader {
    Head(Vec<u8>),
    Body {
        reply: Reply,
        body: Body,
        /// Bytes of it that have come.
        at: u64,
        /// Its polling byte. 0 may be how a server closes.
        polling: u8,
    },
}

impl TunnelClient {
    /// Takes bytes from the connection, cut anywhere.
    ///
    /// # Errors
    /// [`TunnelError`]; the tunnel is of no further use.
    pub fn handle_input(&mut self, now: Instant, mut input: &[u8]) -> Result<(), TunnelError> {
        self.stats.outer_bytes += input.len() as u64;
        if let Some(waiting) = &mut self.waiting {
            waiting.received += input.len() as u64;
        }
        while !input.is_empty() {
            if self.waiting.is_none() {
                // A server that went on after its goodbye, or bytes that nobody asked for.
                if self.stage == Stage::Closed {
                    return Ok(());
                }
                return Err(ReplyError::Malformed.into());
            }
            match &mut self.reader {
                Reader::Head(head) => {
                    let before = head.len();
                    head.extend_from_slice(input);
                    let Some((reply, length)) = Reply::parse(head)? else {
                        return Ok(());
                    };
                    input = input
                        .get(length.saturating_sub(before)..)
                        .unwrap_or_default();
                    // 100 Continue and its like; the answer follows.
                    if (100..200).contains(&reply.status) {
                        *head = Vec::new();
                        continue;
                    }
                    self.check(&reply)?;
                    let body = Body::new(reply.framing);
                    self.reader = Reader::Body {
                        reply,
                        body,
                        at: 0,
                        polling: 1,
                    };
                    self.body(now, &mut input)?;
                }
                Reader::Body { .. } => self.body(now, &mut input)?,
            }
        }
        self.pump(now);
        Ok(())
    }

    /// Whether this is the head of a reply to what was asked.
    fn check(&mut self, reply: &Reply) -> Result<(), TunnelError> {
        if self.stage == Stage::Running && self.zeros > 0 && reply.status != 200 {
            self.stage = Stage::Closed;
            return Ok(());
        }
        match reply.status {
            407 => return Err(TunnelError::ProxyAuthentication),
            // Any answer is one to ident2, and to a goodbye.
            _ if self.stage == Stage::Ident || self.stage == Stage::Closing => {}
            200 => {}
            status @ (301 | 302 | 303 | 307 | 308) => {
                let location = reply.location.clone();
                return Err(TunnelError::Redirect { status, location });
            }
            status if self.stage == Stage::Open => return Err(TunnelError::NotServed(status)),
            status => return Err(TunnelError::Forgotten(status)),
        }
        let page = |kind: &String| kind.to_ascii_lowercase().starts_with("text/html");
        if self.stage == Stage::Running && reply.content_type.as_ref().is_some_and(page) {
            return Err(TunnelError::NotRtmpt);
        }
        match reply.framing {
            Framing::Length(length) if length > limits::REPLY => Err(TunnelError::TooLong(length)),
            _ => Ok(()),
        }
    }

    fn body(&mut self, now: Instant, input: &mut &[u8]) -> Result<(), TunnelError> {
        loop {
            let Reader::Body { body, at, .. } = &mut self.reader else {
                return Ok(());
            };
            let data = match body.take(input)? {
                Part::More => return Ok(()),
                Part::End => return self.finish(now),
                Part::Data(data) => data,
            };
            let start = *at;
            *at += data.len() as u64;
            if *at > limits::REPLY {
                return Err(TunnelError::TooLong(*at));
            }
            self.data(start, data)?;
        }
    }

    /// Bytes of a reply's body, of which the first is number `start`.
    fn data(&mut self, start: u64, data: &[u8]) -> Result<(), TunnelError> {
        match self.stage {
            Stage::Ident | Stage::Closing | Stage::Closed => {}
            Stage::Open => {
                self.opening.extend_from_slice(data);
                // White space may surround it, a page is longer.
                if self.opening.len() > 2 * limits::ID {
                    return Err(TunnelError::NotRtmpt);
                }
            }
            Stage::Running => {
                let Some(waiting) = &mut self.waiting else {
                    return Ok(());
                };
                // What the first copy of a repeated reply brought is not taken again.
                let known = waiting.delivered.saturating_sub(start);
                let known = usize::try_from(known).unwrap_or(usize::MAX).min(data.len());
                let fresh = data.get(known..).unwrap_or_default();
                let first = start + known as u64 == 0;
                waiting.delivered = waiting.delivered.max(start + data.len() as u64);
                let (polling, fresh) = match fresh.split_first() {
                    Some((polling, rest)) if first => (Some(*polling), rest),
                    _ => (None, fresh),
                };
                if let Some(polling) = polling {
                    self.stats.interval = interval(polling.max(1));
                    if let Reader::Body { polling: said, .. } = &mut self.reader {
                        *said = polling;
                    }
                }
                if !fresh.is_empty() {
                    self.stats.inner_bytes += fresh.len() as u64;
                    self.received.push_back(Bytes::copy_from_slice(fresh));
                }
            }
        }
        Ok(())
    }

    /// A reply is whole.
    pub(super) fn finish(&mut self, now: Instant) -> Result<(), TunnelError> {
        let reader = std::mem::replace(&mut self.reader, Reader::Head(Vec::new()));
        if self.unread > 0 {
            self.unread -= 1;
            return Ok(());
        }
        let waiting = self.waiting.take();
        let Reader::Body { reply, polling, .. } = reader else {
            return Ok(());
        };
        if !reply.keep_alive {
            self.connected = false;
        }
        match self.stage {
            Stage::Ident => self.stage = Stage::Open,
            Stage::Open => {
                let id = String::from_utf8_lossy(&self.opening).trim().to_owned();
                if !is_id(&id) {
                    return Err(TunnelError::NotRtmpt);
                }
                self.id = id;
                self.stage = Stage::Running;
                // Who opened it speaks first, and would have to wait for the answer to a poll.
                self.next_poll = now + self.stats.interval;
            }
            Stage::Running => {
                self.sequence += 1;
                let empty = (waiting.as_ref()).is_none_or(|waiting| waiting.delivered <= 1);
                let held = |waiting: &Waiting| now - waiting.since >= interval(1);
                let held = waiting.as_ref().is_some_and(held);
                let eager = waiting.as_ref().is_some_and(|waiting| waiting.eager);
                let publishes = waiting.is_some_and(|waiting| waiting.sent > waiting.delivered);
                self.stats.empty_replies += u64::from(empty);
                self.zeros = match polling == 0 && empty {
                    true => self.zeros + 1,
                    false => 0,
                };
                let (least, most) = self.config.polling;
                // Who held a poll until it was tired of it holds polls all the same.
                if eager && !(empty && held) {
                    self.vain = if empty { self.vain + 1 } else { 0 };
                }
                // The least polling byte is no delay at all to Red5, which adds one to its delays. Whoever
                // holds a poll until there is something to say is asked at once, whoever does not would
                // be asked in vain. What is published would wait for the poll.
                self.eager = !empty
                    && !publishes
                    && polling == 1
                    && self.vain < limits::VAIN
                    && self.is_warm();
                let wait = match self.eager {
                    true => Duration::ZERO,
                    false => self.stats.interval,
                };
                self.next_poll = now + wait.max(least).min(most);
                if self.zeros > 1 {
                    self.stage = Stage::Closed;
                }
            }
            Stage::Closing => self.stage = Stage::Closed,
            Stage::Closed => {}
        }
        self.pump(now);
        Ok(())
    }
}
