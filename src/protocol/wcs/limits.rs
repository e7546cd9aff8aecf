// SPDX-License-Identifier: MPL-2.0

//! Every budget of the WCS dialogue in one place, with its reason.

use std::time::Duration;

/// Longest text frame, in bytes. The longest of the recorded ones is an offer of Chromium's, 7 KiB; payloads
/// of applications may be longer.
pub const MESSAGE: usize = 1 << 20;

/// Longest session description, in bytes: a hundred times what servers answer.
pub const SDP: usize = 256 << 10;

/// Media sections in a description; a call has one or two.
pub const SECTIONS: usize = 16;

/// Candidates in a section. Servers have one for each address and component.
pub const CANDIDATES: usize = 64;

/// Calls at a time in one session.
pub const CALLS: usize = 256;

/// Questions for available streams, and data sent, whose answer has not come. The oldest is forgotten.
pub const QUESTIONS: usize = 256;

/// Commands that wait to be sent. A server that reads nothing is found out by its silence before.
pub const OUTBOX: usize = 4096;

/// What a server may report beside changes of state, in messages: this many at once, and then
/// [`CHATTER_PER_SECOND`]. The rest is counted and not told: metrics come once a second and stream, a
/// pipeline's bus has no bottom.
pub const CHATTER: u32 = 400;

/// See [`CHATTER`].
pub const CHATTER_PER_SECOND: u32 = 200;

/// A description of ours is answered within a second; a server that asks another one has to wait for it.
pub const ANSWER: Duration = Duration::from_secs(10);
