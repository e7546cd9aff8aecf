// SPDX-License-Identifier: MPL-2.0

//! The client's end of an RTMPT tunnel. It outlives the connections below it: where one ends, the next
//! is made, to the same address, for only that server knows the session.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use mio::{Registry, Token, Waker};

use super::{Establish, Read, Stack, Target, Write, layer::Layer};
use crate::{
    net::{
        NetError, Stage,
        reactor::{Io, Next, Reactor, Task},
    },
    protocol::{
        rtmp::transmit::Transmit,
        rtmpt::{TunnelClient, TunnelConfig, TunnelStats, client},
    },
};

/// How long the last requests of a session may take when nobody waits for them.
const LINGER: Duration = Duration::from_secs(3);

/// Read at a time where nobody brings a buffer.
const READ: usize = 16 * 1024;

/// See the module's text.
pub(super) struct Tunnel {
    client: TunnelClient,
    lower: Option<Stack>,
    target: Target,
    waker: Arc<Waker>,
    /// The poll that the connections register with.
    registry: Option<Registry>,
    /// What came and was not asked for yet.
    front: Bytes,
    /// The connection ended; whether another is wanted shows in the next turn.
    lost: Option<Instant>,
    closing: bool,
}

impl Tunnel {
    /// A tunnel to what `target` names.
    pub(super) fn new(mut target: Target, waker: Arc<Waker>, repeats: bool, now: Instant) -> Self {
        target.tunnel = false;
        let authority = target.authority(false);
        let mut config = TunnelConfig {
            authority: authority.clone(),
            prefix: String::new(),
            proxy_authorization: None,
            repeats,
            polling: client::POLLING,
            timeout: target.connect_timeout,
        };
        // What is not secret a proxy passes on request by request, and many let nothing else through.
        if target.tls.is_none()
            && target.socks.is_none()
            && let Some(proxy) = target.http_proxy.take()
        {
            config.prefix = format!("http://{authority}");
            config.proxy_authorization = proxy.authorization();
            (target.host, target.port) = (proxy.host, proxy.port);
        }
        Self {
            client: TunnelClient::new(config, now),
            lower: None,
            target,
            waker,
            registry: None,
            front: Bytes::new(),
            lost: None,
            closing: false,
        }
    }

    fn is_ready(&self) -> bool {
        // That a tunnel was closed is told by reading.
        self.client.is_open() || self.client.is_closed() || self.closing
    }

    /// The connection there is, if bytes can flow on it.
    fn line(&mut self) -> Option<&mut Stack> {
        self.lower
            .as_mut()
            .filter(|lower| lower.stage() == Stage::Stream)
    }

    /// Reads once; `true` if something came.
    fn fill(&mut self, buf: &mut [u8], now: Instant) -> Result<bool, NetError> {
        let Some(lower) = (self.lower.as_mut()).filter(|lower| lower.stage() == Stage::Stream)
        else {
            return Ok(false);
        };
        let (client, mut taken) = (&mut self.client, Ok(()));
        let read = lower.read_to(buf, &mut |bytes| {
            if taken.is_ok() {
                taken = client.handle_input(now, bytes);
            }
        });
        taken?;
        match read {
            Ok(Read::Data(_)) => {
                self.flush()?;
                Ok(true)
            }
            Ok(Read::WouldBlock) => Ok(false),
            Ok(Read::Closed) | Err(NetError::Closed { .. }) => {
                // Dropping a socket takes it off its poll.
                self.lower = None;
                self.lost = Some(now);
                self.client.disconnected(now)?;
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes what there is to be written on the connection there is.
    fn flush(&mut self) -> Result<Write, NetError> {
        let Some(lower) = (self.lower.as_mut()).filter(|lower| lower.stage() == Stage::Stream)
        else {
            return Ok(self.written());
        };
        match lower.write(self.client.poll_transmit()) {
            Ok(Write::Blocked) => Ok(Write::Blocked),
            Ok(Write::Drained) => Ok(self.written()),
            // What it said before it went is read next, and then the request repeated.
            Err(NetError::Closed { .. }) => Ok(Write::Blocked),
            Err(error) => Err(error),
        }
    }

    fn written(&self) -> Write {
        match self.client.is_drained() {
            true => Write::Drained,
            false => Write::Blocked,
        }
    }

    /// Gives up the connection that no further request may go over.
    fn hang_up(&mut self) {
        if !self.client.is_connected() && self.line().is_some() {
            self.lower = None;
        }
    }
}

impl Layer for Tunnel {
    fn lower(&self) -> Option<&Stack> {
        self.lower.as_ref()
    }

    fn lower_mut(&mut self) -> Option<&mut Stack> {
        self.lower.as_mut()
    }

    fn stage(&self) -> Stage {
        match &self.lower {
            _ if self.is_ready() => Stage::Stream,
            Some(lower) if lower.stage() != Stage::Stream => lower.stage(),
            _ => Stage::Tunnel,
        }
    }

    fn drive(&mut self, registry: &Registry, token: Token, now: Instant) -> Result<(), NetError> {
        if self.registry.is_none() {
            self.registry = registry.try_clone().ok();
        }
        self.lost = None;
        self.hang_up();
        if self.lower.is_none() && self.client.wants_connection(now) {
            let stack = Stack::connect(self.target.clone(), self.waker.clone());
            self.lower = Some(stack);
        }
        if let Some(lower) = &mut self.lower
            && lower.stage() != Stage::Stream
        {
            if lower.establish(registry, token, now)? != Establish::Ready {
                return Ok(());
            }
            self.target.address = lower.peer_addr();
            self.client.connected(now);
        }
        self.client.handle_timeout(now)?;
        self.flush()?;
        if !self.is_ready() {
            let mut buffer = [0; READ];
            while !self.is_ready() && self.fill(&mut buffer, now)? {}
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let lower = self.lower.as_ref().and_then(Stack::deadline);
        let waits = self
            .lower
            .as_ref()
            .is_none_or(|lower| lower.stage() == Stage::Stream);
        let client = waits.then(|| self.client.poll_timeout()).flatten();
        [lower, client, self.lost].into_iter().flatten().min()
    }

    fn read_to(&mut self, buf: &mut [u8], take: &mut dyn FnMut(&[u8])) -> Result<Read, NetError> {
        let now = Instant::now();
        loop {
            let (room, mut taken) = (buf.len(), 0);
            while taken < room {
                if self.front.is_empty() {
                    let Some(next) = self.client.poll_received() else {
                        break;
                    };
                    self.front = next;
                }
                let piece = self.front.split_to(self.front.len().min(room - taken));
                taken += piece.len();
                take(&piece);
            }
            if taken > 0 {
                return Ok(Read::Data(taken));
            }
            if self.client.is_closed() {
                return Ok(Read::Closed);
            }
            if !self.fill(buf, now)? {
                return Ok(Read::WouldBlock);
            }
        }
    }

    fn write(&mut self, transmit: &mut Transmit) -> Result<Write, NetError> {
        self.client.send(Instant::now(), transmit);
        match self.flush()? {
            Write::Drained if transmit.is_empty() => Ok(Write::Drained),
            _ => Ok(Write::Blocked),
        }
    }

    fn wants_write(&self) -> bool {
        !self.client.is_drained() || self.lower.as_ref().is_some_and(Stack::wants_write)
    }

    fn shutdown(&mut self) {
        self.closing = true;
        self.client.close(Instant::now());
        // Whatever fails now has nobody to be told.
        let _ = self.flush();
    }

    fn move_to(
        &mut self,
        to: Option<(&Registry, Token)>,
        from: Option<&Registry>,
    ) -> Result<(), NetError> {
        self.registry = to.and_then(|(registry, _)| registry.try_clone().ok());
        // What is only being made cannot be moved; the next is made there.
        if self.line().is_none() {
            self.lower = None;
        }
        if let (Some(lower), Some(from)) = (&mut self.lower, from) {
            lower.deregister(from)?;
        }
        match (&mut self.lower, to) {
            (Some(lower), Some((registry, token))) => lower.register(registry, token),
            _ => Ok(()),
        }
    }

    fn tunnel_stats(&self) -> Option<TunnelStats> {
        Some(self.client.stats())
    }

    /// Tells the server that the session is over, whatever was under way.
    fn leave(mut self: Box<Self>) {
        if !self.client.owes_farewell() {
            return;
        }
        if let (Some(lower), Some(registry)) = (&mut self.lower, &self.registry) {
            // It fails where the poll is gone, and then there is nothing to be taken off.
            let _ = lower.deregister(registry);
        }
        // A request that went out has its answer on the way; another connection tells what is over.
        if let Ok(reactor) = Reactor::global() {
            reactor.spawn(Arc::new(Farewell(Mutex::new((self, None)))));
        }
    }
}

/// A tunnel that has only its end to say.
struct Farewell(Mutex<(Box<Tunnel>, Option<Instant>)>);

impl Task for Farewell {
    fn turn(&self, io: &Io<'_>) -> Next {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (tunnel, until) = &mut *held;
        let said = match *until {
            Some(until) => {
                if let Some(lower) = &mut tunnel.lower {
                    lower.on_ready(io.ready);
                }
                Ok(until)
            }
            None => {
                tunnel.waker = io.waker.clone();
                let moved = tunnel.move_to(Some((io.registry, io.token)), None);
                moved.map(|()| *until.insert(io.now + LINGER))
            }
        };
        let said = said.and_then(|until| {
            tunnel.shutdown();
            let mut buffer = [0; READ];
            loop {
                tunnel.drive(io.registry, io.token, io.now)?;
                if !tunnel.fill(&mut buffer, io.now)? {
                    return Ok(until);
                }
            }
        });
        match said {
            Ok(until) if io.now < until && !tunnel.client.is_closed() => Next {
                deadline: [Some(until), tunnel.deadline()].into_iter().flatten().min(),
                on_wake: true,
                done: false,
            },
            _ => Next {
                done: true,
                ..Next::default()
            },
        }
    }
}
