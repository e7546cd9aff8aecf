// SPDX-License-Identifier: MPL-2.0

//! The server's end of a tunnel, which reads and writes as a socket does.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use mio::{Registry, Token};

use super::{Read, Stack, Write, io, layer::Layer};
use crate::{
    net::{NetError, Stage, bell::Bell, meeting::Meeting},
    protocol::rtmp::transmit::Transmit,
};

/// See the module's text.
pub(super) struct Hosted {
    session: Arc<Meeting>,
    bell: Bell,
    registered: bool,
}

impl Hosted {
    pub(super) fn new(session: Arc<Meeting>, bell: Bell) -> Self {
        Self {
            session,
            bell,
            registered: false,
        }
    }
}

impl Layer for Hosted {
    fn lower(&self) -> Option<&Stack> {
        None
    }

    fn lower_mut(&mut self) -> Option<&mut Stack> {
        None
    }

    fn stage(&self) -> Stage {
        Stage::Stream
    }

    fn drive(&mut self, registry: &Registry, token: Token, _: Instant) -> Result<(), NetError> {
        match self.registered {
            true => Ok(()),
            false => self.move_to(Some((registry, token)), None),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn read_to(&mut self, buf: &mut [u8], take: &mut dyn FnMut(&[u8])) -> Result<Read, NetError> {
        Ok(match self.session.read(&mut self.bell, buf.len(), take) {
            Some(0) => Read::WouldBlock,
            Some(n) => Read::Data(n),
            None => Read::Closed,
        })
    }

    /// What the session holds has not gone: unlike a kernel, it is not there any more when we are not.
    fn write(&mut self, transmit: &mut Transmit) -> Result<Write, NetError> {
        if !self.session.write(Instant::now(), transmit) {
            // Nobody will ask for it; that they left is told by reading, behind all that they said.
            transmit.advance(transmit.len());
        }
        Ok(match transmit.is_empty() && self.session.is_drained() {
            true => Write::Drained,
            false => Write::Blocked,
        })
    }

    fn wants_write(&self) -> bool {
        !self.session.is_drained()
    }

    fn shutdown(&mut self) {
        self.session.end();
    }

    fn move_to(
        &mut self,
        to: Option<(&Registry, Token)>,
        from: Option<&Registry>,
    ) -> Result<(), NetError> {
        if let Some(from) = from.filter(|_| self.registered) {
            self.bell.deregister(from).map_err(io)?;
            self.registered = false;
        }
        if let Some((registry, token)) = to {
            self.bell.register(registry, token).map_err(io)?;
            self.registered = true;
        }
        Ok(())
    }

    fn truncated(&self) -> bool {
        self.session.is_lost()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.session.peer
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        self.session.end();
    }
}
