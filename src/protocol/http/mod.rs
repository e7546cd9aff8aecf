// SPDX-License-Identifier: MPL-2.0

//! HTTP/1 as a server of streams and a client of tunnels speak it (RFC 9110, RFC 9112): heads of
//! requests and responses in both directions, without I/O.
//!
//! Bodies are none of its business but for the chunk heads that a live response needs. Parsing is
//! httparse's; what is added is what a head means: a target that is safe to compare, a range, a
//! name and a password, a signature with an end.

pub mod access;
pub mod range;
pub mod reply;
pub mod request;
pub mod response;

pub use range::Range;
pub use request::{Method, Request, RequestError, Version};
pub use response::{Head, Sentence};

/// Bytes that a head may have, request line included. A browser's has less than one KiB; cookies of a
/// site that shares the host may add a few.
pub const HEAD: usize = 16 * 1024;

/// Header fields that a head may have. A browser sends about fifteen, proxies add some.
pub const FIELDS: usize = 64;
