// SPDX-License-Identifier: MPL-2.0

//! RTMP 1.0 (Adobe, 2012) and Enhanced RTMP v2 (Veovera, 2026), without I/O.

pub mod amf;
pub mod auth;
pub mod chunk;
pub mod handshake;
pub mod limits;
pub mod message;
pub mod names;
pub mod session;
pub mod swf;
pub mod transmit;
pub mod url;
