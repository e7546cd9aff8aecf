// SPDX-License-Identifier: MPL-2.0

//! Fetches the player (SWF file) whose hash a server may ask for (librtmp's `swfVfy=1`).
//!
//! A GET and nothing more: no cache, cookies, proxies or credentials. The one place in the network
//! storey that waits by itself, since there is nothing to do before the hash is known.

mod http;

use std::{
    io::{self, ErrorKind},
    sync::Arc,
    time::{Duration, Instant},
};

use http::{File, HttpUrl, broken};
use mio::{Events, Poll, Token, Waker};

use super::{
    NetError, Stage,
    interrupt::Interrupt,
    stack::{Establish, Read, Stack, Target, Write},
    tls::ClientTls,
};
use crate::protocol::{
    http::reply::Reply,
    rtmp::{limits, transmit::Transmit},
};

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// Gets the file behind an `http://` or `https://` URL, following up to
/// [`limits::HTTP_REDIRECTS`] redirects. Blocks until the whole file, at most `cap` bytes, is
/// there, `timeout` went by (zero for no limit) or `interrupt` is set.
///
/// # Errors
/// [`NetError::Settings`] for a URL that is none, [`NetError::Http`] when the server has no such
/// file or it is too large, [`NetError::Interrupted`], and whatever a connection may fail with.
pub fn fetch_swf(
    url: &str,
    tls: &ClientTls,
    interrupt: &Interrupt,
    timeout: Duration,
    cap: usize,
) -> Result<Vec<u8>, NetError> {
    let mut fetch = Fetch::new(interrupt, timeout).map_err(io)?;
    let mut url = HttpUrl::parse(url)?;
    for _ in 0..=limits::HTTP_REDIRECTS {
        match fetch.get(&url, tls, cap)? {
            Answer::File(file) => return Ok(file),
            Answer::Elsewhere(location) => url = url.join(&location)?,
        }
    }
    Err(NetError::http(format!("{url} was redirected too often")))
}

enum Answer {
    File(Vec<u8>),
    Elsewhere(String),
}

struct Fetch<'a> {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    interrupt: &'a Interrupt,
    before: Option<Arc<Waker>>,
    started: Instant,
    timeout: Duration,
}

impl Drop for Fetch<'_> {
    fn drop(&mut self) {
        self.interrupt.replace(self.before.take());
    }
}

impl<'a> Fetch<'a> {
    fn new(interrupt: &'a Interrupt, timeout: Duration) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let before = interrupt.replace(Some(waker.clone()));
        let events = Events::with_capacity(16);
        Ok(Self {
            poll,
            events,
            waker,
            interrupt,
            before,
            started: Instant::now(),
            timeout,
        })
    }

    fn get(&mut self, url: &HttpUrl, tls: &ClientTls, cap: usize) -> Result<Answer, NetError> {
        let target = Target {
            tls: url.secure.then(|| tls.clone()),
            connect_timeout: self.remaining(Stage::Resolve)?.unwrap_or_default(),
            ..Target::new(url.host.clone(), url.port)
        };
        let mut stack = Stack::connect(target, self.waker.clone());
        while let Establish::Pending(stage) =
            stack.establish(self.poll.registry(), SOCKET, Instant::now())?
        {
            self.wait(&mut stack, stage)?;
        }
        let mut request = Transmit::default();
        request.push(url.request().into());
        while stack.write(&mut request)? == Write::Blocked {
            self.wait(&mut stack, Stage::Stream)?;
        }
        let mut raw = Vec::new();
        let (reply, length) = loop {
            if let Some(found) = Reply::parse(&raw).map_err(broken)? {
                break found;
            }
            if !self.more(&mut stack, &mut raw)? {
                return Err(NetError::http(format!(
                    "{url}: the server did not answer in HTTP"
                )));
            }
        };
        raw.drain(..length);
        let status = reply.status;
        if let (301 | 302 | 303 | 307 | 308, Some(location)) = (status, reply.location) {
            return Ok(Answer::Elsewhere(location));
        }
        if status != 200 {
            return Err(NetError::http(format!(
                "{url}: the server answered with status {status}"
            )));
        }
        let mut file = File::new(reply.framing, cap)?;
        while !file.take(&raw)? {
            raw.clear();
            if !self.more(&mut stack, &mut raw)? {
                return file.ended(stack.truncated()).map(Answer::File);
            }
        }
        Ok(Answer::File(file.into_bytes()))
    }

    /// Waits for bytes and appends them; `false` when the peer sends no more.
    fn more(&mut self, stack: &mut Stack, raw: &mut Vec<u8>) -> Result<bool, NetError> {
        let mut buf = [0; 16 << 10];
        loop {
            match stack.read(&mut buf)? {
                Read::Data(n) => {
                    raw.extend_from_slice(&buf[..n]);
                    // A server that never pauses must not keep the deadline from being seen.
                    self.remaining(Stage::Stream)?;
                    return Ok(true);
                }
                Read::WouldBlock => self.wait(stack, Stage::Stream)?,
                Read::Closed => return Ok(false),
            }
        }
    }

    fn wait(&mut self, stack: &mut Stack, stage: Stage) -> Result<(), NetError> {
        let remaining = self.remaining(stage)?;
        let next = stack
            .deadline()
            .map(|next| next.saturating_duration_since(Instant::now()));
        match self
            .poll
            .poll(&mut self.events, remaining.into_iter().chain(next).min())
        {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(io(error)),
        }
        for event in &self.events {
            if event.token() == SOCKET {
                stack.on_ready(event.into());
            }
        }
        Ok(())
    }

    /// The time left, `None` without a limit.
    fn remaining(&self, stage: Stage) -> Result<Option<Duration>, NetError> {
        if self.interrupt.is_set() {
            return Err(NetError::Interrupted);
        }
        if self.timeout.is_zero() {
            return Ok(None);
        }
        match self.timeout.checked_sub(self.started.elapsed()) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(NetError::Timeout {
                stage,
                after: self.timeout,
            }),
        }
    }
}

fn io(source: io::Error) -> NetError {
    NetError::Io {
        stage: Stage::Connect,
        source,
    }
}

#[cfg(test)]
mod tests;
