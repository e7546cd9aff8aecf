// SPDX-License-Identifier: MPL-2.0

//! RTMPT: a stream of bytes in both directions, carried by HTTP requests that a client makes, without
//! I/O.
//!
//! ```text
//! POST /fcs/ident2                 404, or an address
//! POST /open/1                     the id of a new session and a line break
//! POST /send/<id>/<n>  bytes       the polling byte, then bytes if there are any
//! POST /idle/<id>/<n>  0x00        the same
//! POST /close/<id>/<n> 0x00        0x00
//! ```
//!
//! `n` counts the requests of a session. The polling byte says how long a client waits before it asks
//! again while it has nothing to send: 0x01 after data, then 0x03 0x05 0x09 0x11 0x21, which is half a
//! second. Sources: the description that Red5 published, and what librtmp and FFmpeg send.
//!
//! Our server holds a poll for a while until there is something to say, and our client, where a server does,
//! polls again at once when it was told something: a picture does not wait for a poll then, and a client
//! wakes once for it.
//!
//! A client does not wait for whole messages: what it is given within a few milliseconds shares a request, which
//! keeps a tunnel within a few percent of the bytes of the stream in it.

pub mod client;
pub mod limits;
pub mod server;
#[cfg(test)]
mod tests;

pub use client::{TunnelClient, TunnelConfig, TunnelError, TunnelStats};
pub use server::{Exchange, Refused, Target, Verb};

use std::time::{Duration, Instant};

use crate::protocol::rtmp::transmit::Transmit;

/// What every body is.
pub const CONTENT_TYPE: &str = "application/x-fcs";

/// The polling bytes a server steps through, one after every ten empty replies.
pub const POLLING_BYTES: [u8; 6] = [0x01, 0x03, 0x05, 0x09, 0x11, 0x21];

/// The time that a polling byte stands for: 0x21 is about half a second (Red5), so one is a 64th.
pub fn interval(polling_byte: u8) -> Duration {
    let last = POLLING_BYTES.last().copied().unwrap_or_default();
    Duration::from_micros(15_625) * u32::from(polling_byte.min(last))
}

/// When bytes go out of which the first came at `since`, and the last that went before them at `last`; `joined`
/// says that others came after the first. What is enough goes with the first that joins it, which is what it waited
/// for; that is seen by whoever brings it, so no timer needs to be moved.
fn gathered(bytes: &Transmit, since: Instant, joined: bool, last: Instant) -> Instant {
    let wait = match bytes.len() {
        few if few < limits::FEW => limits::GATHER,
        all if joined || all >= limits::FULL => Duration::ZERO,
        _ => limits::GATHER_MORE,
    };
    (since + wait).min(since.max(last + limits::SPACING))
}

/// Whether text can be a session's id in a path. Servers send numbers and letters; a page in HTML
/// begins otherwise.
pub fn is_id(text: &str) -> bool {
    let fits = (1..=limits::ID).contains(&text.len());
    fits && text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b))
}
