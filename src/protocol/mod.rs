// SPDX-License-Identifier: MPL-2.0

//! Protocols without I/O.
//!
//! Nothing here names GStreamer, a socket, a thread or a clock: bytes, the time and random seeds
//! come in as arguments, bytes and events come out. Whatever a peer sends, these modules return a
//! value or an error; they do not panic and do not allocate by a length that was only claimed.
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

pub mod flv;
pub mod http;
pub mod rtmp;
pub mod rtmpt;
pub mod signed;
pub mod wcs;
pub mod webm;
