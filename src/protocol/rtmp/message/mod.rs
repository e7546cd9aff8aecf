// SPDX-License-Identifier: MPL-2.0

//! What messages say (RTMP 1.0, sections 5.4 and 7.1), one family to a file.
//!
//! Sound, picture and data are not taken apart here: they pass as FLV tags.

mod aggregate;
mod command;
mod control;
mod user_control;

pub use aggregate::{Aggregate, AggregateError};
pub use command::{Command, CommandError};
pub use control::{Control, LimitType};
pub use user_control::UserControl;

/// Message type ids.
pub mod type_id {
    #![allow(missing_docs)]
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
    pub const ACKNOWLEDGEMENT: u8 = 3;
    pub const USER_CONTROL: u8 = 4;
    pub const WINDOW_ACK_SIZE: u8 = 5;
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    pub const AUDIO: u8 = 8;
    pub const VIDEO: u8 = 9;
    pub const DATA_AMF3: u8 = 15;
    pub const SHARED_OBJECT_AMF3: u8 = 16;
    pub const COMMAND_AMF3: u8 = 17;
    pub const DATA: u8 = 18;
    pub const SHARED_OBJECT: u8 = 19;
    pub const COMMAND: u8 = 20;
    pub const AGGREGATE: u8 = 22;
}

/// A message body that ends before its fields do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of type {type_id} is too short")]
pub struct TooShort {
    /// The message type id.
    pub type_id: u8,
}

/// The first four bytes as a big-endian number, the shape of nearly every control message.
fn u32_at(body: &[u8], at: usize) -> Option<u32> {
    body.get(at..at.checked_add(4)?)?
        .try_into()
        .ok()
        .map(u32::from_be_bytes)
}
