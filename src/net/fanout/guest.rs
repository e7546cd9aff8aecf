// SPDX-License-Identifier: MPL-2.0

//! What a client is when it comes: its connection, where it begins, and what it speaks.

use std::{fmt, time::Duration};

use bytes::Bytes;

use super::{Desk, Reason};
use crate::{net::stack::Stack, protocol::rtmp::transmit::Transmit};

/// Where a client begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the latest join, at once; with the next if there is none.
    LatestJoin,
    /// At the next join to come.
    NextJoin,
    /// With the next block, and with [keyed](super::Config::keyed) kinds from the next join on.
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
