// SPDX-License-Identifier: MPL-2.0

//! RTMPE over any stack.

use std::time::Instant;

use mio::{Registry, Token};

use super::{Establish, Read, Stack, Write, layer::Layer};
use crate::{
    net::{NetError, Stage, connection::seed},
    protocol::rtmp::{
        handshake::{
            ClientHandshake, ServerHandshake, Style,
            crypt::{Rtmpe, Version},
        },
        transmit::Transmit,
    },
};

/// Encrypted ahead of what is below, at most: what is encrypted cannot be taken back.
const AHEAD: usize = 64 * 1024;

/// Read at a time while shaking hands: S0, S1 and S2 at once.
const READ: usize = 4096;

/// What librtmp and FFmpeg name as their version with RTMPE.
const VERSION: [u8; 4] = [128, 0, 3, 2];

/// See the module's text.
pub(super) struct Sealed {
    lower: Stack,
    rtmpe: Rtmpe,
    /// Encrypted, or of the handshake.
    out: Transmit,
    /// Decrypted before anybody asked for it.
    early: Vec<u8>,
    closing: bool,
}

impl Sealed {
    /// The side that connects.
    pub(super) fn client(lower: Stack, version: Version) -> Result<Self, NetError> {
        let style = Style::Encrypted(version);
        let handshake = ClientHandshake::new(style, 0, VERSION, seed()?);
        let mut out = Transmit::default();
        let rtmpe = Rtmpe::client(handshake, &mut out);
        Ok(Self::new(lower, rtmpe, out))
    }

    /// The side that was connected to; `first` was read from below.
    pub(super) fn server(lower: Stack, first: &[u8]) -> Result<Self, NetError> {
        let rtmpe = Rtmpe::server(ServerHandshake::encrypted(0, seed()?));
        let mut sealed = Self::new(lower, rtmpe, Transmit::default());
        sealed.take(&mut first.to_vec())?;
        Ok(sealed)
    }

    fn new(lower: Stack, rtmpe: Rtmpe, out: Transmit) -> Self {
        Self {
            lower,
            rtmpe,
            out,
            early: Vec::new(),
            closing: false,
        }
    }

    fn take(&mut self, came: &mut [u8]) -> Result<(), NetError> {
        let meant = self.rtmpe.decrypt(came, &mut self.out)?;
        self.early.extend_from_slice(meant);
        Ok(())
    }

    fn flush(&mut self) -> Result<Write, NetError> {
        let flushed = self.lower.write(&mut self.out)?;
        if self.closing && flushed == Write::Drained {
            self.closing = false;
            self.lower.shutdown();
        }
        Ok(flushed)
    }
}

impl Layer for Sealed {
    fn lower(&self) -> Option<&Stack> {
        Some(&self.lower)
    }

    fn lower_mut(&mut self) -> Option<&mut Stack> {
        Some(&mut self.lower)
    }

    fn stage(&self) -> Stage {
        match self.lower.stage() {
            Stage::Stream if !self.rtmpe.is_ready() => Stage::Rtmpe,
            stage => stage,
        }
    }

    fn drive(&mut self, registry: &Registry, token: Token, now: Instant) -> Result<(), NetError> {
        if self.lower.stage() != Stage::Stream
            && self.lower.establish(registry, token, now)? != Establish::Ready
        {
            return Ok(());
        }
        self.lower.drive(registry, token, now)?;
        self.flush()?;
        while !self.rtmpe.is_ready() {
            let mut buffer = [0; READ];
            match self.lower.read(&mut buffer)? {
                Read::Data(n) => {
                    self.take(buffer.get_mut(..n).unwrap_or_default())?;
                    self.flush()?;
                }
                Read::WouldBlock => break,
                Read::Closed => {
                    return Err(NetError::Closed {
                        stage: Stage::Rtmpe,
                    });
                }
            }
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        self.lower.deadline()
    }

    fn read_to(&mut self, buf: &mut [u8], take: &mut dyn FnMut(&[u8])) -> Result<Read, NetError> {
        if !self.early.is_empty() {
            let n = self.early.len().min(buf.len());
            take(self.early.get(..n).unwrap_or_default());
            self.early.drain(..n);
            return Ok(Read::Data(n));
        }
        loop {
            let came = match self.lower.read(buf)? {
                Read::Data(n) => buf.get_mut(..n).unwrap_or_default(),
                other => return Ok(other),
            };
            let meant = self.rtmpe.decrypt(came, &mut self.out)?;
            if !meant.is_empty() {
                take(meant);
                return Ok(Read::Data(meant.len()));
            }
            // Of the handshake: it may want an answer.
            self.flush()?;
        }
    }

    fn write(&mut self, transmit: &mut Transmit) -> Result<Write, NetError> {
        loop {
            let room = AHEAD.saturating_sub(self.out.len());
            self.rtmpe.encrypt(transmit, &mut self.out, room);
            if self.flush()? == Write::Blocked {
                return Ok(Write::Blocked);
            }
            if transmit.is_empty() {
                return Ok(Write::Drained);
            }
            if !self.rtmpe.is_ready() {
                return Ok(Write::Blocked);
            }
        }
    }

    fn wants_write(&self) -> bool {
        !self.out.is_empty() || self.lower.wants_write()
    }

    fn shutdown(&mut self) {
        self.closing = true;
        // Whatever fails now has nobody to be told.
        let _ = self.flush();
    }

    fn swf_key(&self) -> Option<[u8; 32]> {
        Some(self.rtmpe.swf_key())
    }
}
