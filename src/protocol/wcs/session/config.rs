// SPDX-License-Identifier: MPL-2.0

//! What a session is to be.

use std::time::Duration;

use crate::protocol::wcs::{limits, message::Connection};

/// How long each step may take. Zero is for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From `connection` to `getUserData`.
    pub session: Duration,
    /// From an offer to the server's answer.
    pub answer: Duration,
    /// From the answer to media: ICE, DTLS, and what the server wants to see before it says so.
    pub start: Duration,
    /// From asking for the end to the end.
    pub end: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            session: Duration::from_secs(10),
            answer: limits::ANSWER,
            start: Duration::from_secs(20),
            end: Duration::from_secs(5),
        }
    }
}

/// What a session is to be.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The first message.
    pub connection: Connection,
    /// How long each step may take.
    pub timeouts: Timeouts,
    /// After this much silence of the server it is asked whether it is there. Zero for never.
    pub ping_interval: Duration,
    /// After this many questions without an answer it counts as gone. Zero for never.
    pub ping_probes: u32,
}
