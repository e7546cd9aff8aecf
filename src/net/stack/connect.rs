// SPDX-License-Identifier: MPL-2.0

//! From addresses to a connected socket, in the manner of RFC 8305 ("happy eyeballs").
//!
//! Addresses are tried with the families taking turns, each 250 ms after the one before or as soon
//! as that one failed, and the first that connects wins. A host whose IPv6 leads nowhere costs a
//! quarter of a second, and not the whole timeout.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mio::{Interest, Registry, Token, net::TcpStream};

use crate::net::{NetError, Stage};

/// RFC 8305 section 5 recommends this "connection attempt delay".
const STAGGER: Duration = Duration::from_millis(250);

/// A name server may claim any number of addresses; nobody waits for more than these.
const MAX_ADDRESSES: usize = 16;

#[derive(Debug)]
pub(super) struct Connecting {
    /// Host and port as the user knows them, for errors.
    name: String,
    started: Instant,
    waiting: VecDeque<SocketAddr>,
    under_way: Vec<(SocketAddr, TcpStream)>,
    next: Instant,
    failed: Vec<(SocketAddr, io::Error)>,
}

impl Connecting {
    pub(super) fn new(name: String, addresses: Vec<SocketAddr>, now: Instant) -> Self {
        Self {
            name,
            started: now,
            waiting: take_turns(addresses),
            under_way: Vec::new(),
            next: now,
            failed: Vec::new(),
        }
    }

    /// Starts what is due and returns the socket that made it, registered with `token`.
    pub(super) fn poll(
        &mut self,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> Result<Option<TcpStream>, NetError> {
        loop {
            let mut i = 0;
            while let Some((_, socket)) = self.under_way.get(i) {
                match is_connected(socket) {
                    Ok(true) => return Ok(Some(self.under_way.swap_remove(i).1)),
                    Ok(false) => i += 1,
                    Err(error) => {
                        let (address, _) = self.under_way.swap_remove(i);
                        self.failed.push((address, error));
                        self.next = now;
                    }
                }
            }
            if !self.under_way.is_empty() && now < self.next {
                return Ok(None);
            }
            match self.waiting.pop_front() {
                Some(address) => {
                    match start(address, registry, token) {
                        Ok(socket) => self.under_way.push((address, socket)),
                        Err(error) => self.failed.push((address, error)),
                    }
                    self.next = now + STAGGER;
                }
                None if self.under_way.is_empty() => return Err(self.verdict(now)),
                None => return Ok(None),
            }
        }
    }

    /// When [`Self::poll()`] has to be called even if nothing happens.
    pub(super) fn deadline(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.next)
    }

    /// The failure that tells most about why there is no connection.
    fn verdict(&mut self, now: Instant) -> NetError {
        let addresses = self
            .failed
            .iter()
            .map(|(address, _)| address.to_string())
            .collect::<Vec<_>>()
            .join(", ");
        let address = match addresses == self.name {
            true => addresses,
            false => format!("{} ({addresses})", self.name),
        };
        let kinds = [
            ErrorKind::ConnectionRefused,
            ErrorKind::TimedOut,
            ErrorKind::HostUnreachable,
            ErrorKind::NetworkUnreachable,
        ];
        let rank = |error: &io::Error| kinds.iter().position(|kind| *kind == error.kind());
        self.failed
            .sort_by_key(|(_, error)| rank(error).unwrap_or(kinds.len()));
        let Some((_, source)) = self.failed.drain(..).next() else {
            return NetError::Resolve {
                host: self.name.clone(),
                reason: "it has no address".to_owned(),
            };
        };
        match source.kind() {
            ErrorKind::ConnectionRefused => NetError::Refused { address },
            ErrorKind::TimedOut => {
                let after = now.saturating_duration_since(self.started);
                NetError::Timeout {
                    stage: Stage::Connect,
                    after,
                }
            }
            _ => NetError::Unreachable { address, source },
        }
    }
}

fn start(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
    Ok(socket)
}

fn is_connected(socket: &TcpStream) -> io::Result<bool> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    match socket.peer_addr() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}

/// Alternates the families, beginning with the one the system prefers (RFC 8305 section 4).
fn take_turns(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (VecDeque<_>, VecDeque<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first);
    let mut turns = VecDeque::new();
    while turns.len() < MAX_ADDRESSES && !(one.is_empty() && other.is_empty()) {
        turns.extend(one.pop_front());
        turns.extend(other.pop_front());
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let parse = |list: &str| {
            list.split(' ')
                .map(|a| a.parse().unwrap())
                .collect::<Vec<_>>()
        };
        let turns = take_turns(parse("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 1.1.1.2:1"));
        assert_eq!(turns, parse("[::1]:1 1.1.1.1:1 [::2]:1 1.1.1.2:1 [::3]:1"));
        let turns = take_turns(parse("1.1.1.1:1 [::1]:1"));
        assert_eq!(turns, parse("1.1.1.1:1 [::1]:1"));
        assert!(take_turns(Vec::new()).is_empty());
    }

    #[test]
    fn claimed_addresses_are_bounded() {
        let many = (0..1000)
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
            .collect();
        assert!(take_turns(many).len() <= MAX_ADDRESSES + 1);
    }

    #[test]
    fn no_address_is_an_error() {
        let poll = mio::Poll::new().unwrap();
        let now = Instant::now();
        let mut connecting = Connecting::new("nowhere:1935".into(), Vec::new(), now);
        let error = connecting.poll(poll.registry(), Token(0), now).unwrap_err();
        assert!(matches!(error, NetError::Resolve { .. }));
    }
}
