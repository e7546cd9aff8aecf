// SPDX-License-Identifier: MPL-2.0

//! Flashphoner's Web Call Server: the Raw WebSocket API, without WebSocket and without WebRTC.
//!
//! - [`message`]: what travels as text frames, in both directions, as types;
//! - [`session`]: one client session with its calls, and the time each step may take;
//! - [`sdp`]: what such servers leave out of their answers, put back, and the fingerprints that
//!   their certificates have to have.
//!
//! Sources: the vendor's page "Raw WebSocket API", and conversations recorded of the vendor's
//! WebSDK 2.0.276, which are among the tests.

pub mod limits;
pub mod message;
pub mod sdp;
pub mod session;
mod status;

pub use status::{SessionStatus, StreamEventType, StreamStatus};
