// SPDX-License-Identifier: MPL-2.0

//! The only place with sockets, TLS, threads and timers. Knows nothing of elements.
//!
//! ```text
//! stack      one connection: resolve, connect, SOCKS4, TLS, then bytes in both directions
//!   resolve    host names, on a thread that can be abandoned
//!   socks      SOCKS4 and SOCKS4a messages
//!   tls        who is trusted, and in which words a refusal is told
//!   stream     the socket, with a memory of what epoll said last
//! interrupt  what `unlock()` calls
//! swf_fetch  the player file that SWF verification hashes
//! ```
//!
//! Nothing here blocks except in the poll of whoever drives it, and nothing holds a lock while it
//! waits.

mod error;
pub mod interrupt;
pub mod resolve;
pub mod socks;
pub mod stack;
pub mod stream;
pub mod swf_fetch;
#[cfg(test)]
pub(crate) mod testing;
pub mod tls;

pub use error::{NetError, Stage};
