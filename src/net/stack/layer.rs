// SPDX-License-Identifier: MPL-2.0

//! What lies between a connection and the session on it: RTMPE, a tunnel through HTTP, or the first
//! in the second. Each is a filter over another [`Stack`] and knows nothing of what that is made of.

use std::{net::SocketAddr, time::Instant};

use mio::{Registry, Token};

use super::{Read, Stack, Write};
use crate::{
    net::{NetError, Stage},
    protocol::{rtmp::transmit::Transmit, rtmpt::TunnelStats},
};

/// See the module's text. The methods are [`Stack`]'s.
pub(super) trait Layer: Send {
    /// The stack below, while there is one.
    fn lower(&self) -> Option<&Stack>;

    /// The same.
    fn lower_mut(&mut self) -> Option<&mut Stack>;

    /// What is being waited for; [`Stage::Stream`] when bytes can flow.
    fn stage(&self) -> Stage;

    /// Goes on as far as it goes without waiting: up to the first byte, and whenever a time has come
    /// after that.
    fn drive(&mut self, registry: &Registry, token: Token, now: Instant) -> Result<(), NetError>;

    /// When [`drive`](Self::drive) wants to be called although nothing happened.
    fn deadline(&self) -> Option<Instant>;

    /// Hands at most as many bytes as `buf` has to `take`.
    fn read_to(&mut self, buf: &mut [u8], take: &mut dyn FnMut(&[u8])) -> Result<Read, NetError>;

    /// Takes what it can. All is written only when nothing waits in here.
    fn write(&mut self, transmit: &mut Transmit) -> Result<Write, NetError>;

    /// Whether something waits in here.
    fn wants_write(&self) -> bool;

    /// Ends our direction, once what waits in here has gone.
    fn shutdown(&mut self);

    /// Watches another poll, or `None`: none.
    fn move_to(
        &mut self,
        to: Option<(&Registry, Token)>,
        from: Option<&Registry>,
    ) -> Result<(), NetError> {
        let Some(lower) = self.lower_mut() else {
            return Ok(());
        };
        if let Some(from) = from {
            lower.deregister(from)?;
        }
        to.map_or(Ok(()), |(registry, token)| lower.register(registry, token))
    }

    /// Whether the peer's end was cut off.
    fn truncated(&self) -> bool {
        self.lower().is_some_and(Stack::truncated)
    }

    /// The address at the other end.
    fn peer_addr(&self) -> Option<SocketAddr> {
        self.lower().and_then(Stack::peer_addr)
    }

    /// The key of SWF verification, where the handshake was done in here.
    fn swf_key(&self) -> Option<[u8; 32]> {
        self.lower().and_then(Stack::swf_key)
    }

    /// Figures of the tunnel, where there is one.
    fn tunnel_stats(&self) -> Option<TunnelStats> {
        self.lower().and_then(Stack::tunnel_stats)
    }

    /// Does what it owes to the peer when nobody has a use for it any more.
    fn leave(self: Box<Self>) {}
}
