// SPDX-License-Identifier: MPL-2.0

//! The only place with sockets, TLS, threads and timers. Knows nothing of elements.
//!
//! ```text
//! stack      one connection: resolve, connect, proxy, TLS, HTTP tunnel, RTMPE, then bytes both ways
//!   resolve    host names, on a thread that can be abandoned
//!   socks      SOCKS4 and SOCKS4a messages
//!   tls        who is trusted, and in which words a refusal is told
//!   stream     the socket, with a memory of what epoll said last
//! meeting    a tunnel's session at the server's end: requests on one side, a stack on the other
//!   bell       wakes the poll of that stack
//! connection a stack and the client session on it
//! receiver   what a source reads: a connection, or whoever publishes to a listening port
//!   guest      a publisher that came, with the server session on it
//! publisher  tags in, a connection on the reactor out
//!   queue      tags that wait, shortened by whole groups of pictures
//!   leave      the end that nobody waits for
//! fanout     one live stream to any number of sockets
//! wcs        sessions with Web Call Servers
//!   websocket  a WebSocket client on a stack
//! porter     listening ports, shared by all elements; tells TLS, HTTP and RTMP apart
//! reactor    the one thread of everything that has no thread of its own
//! interrupt  what `unlock()` calls
//! swf_fetch  the player file that SWF verification hashes
//! ```
//!
//! Nothing here blocks except in the poll of whoever drives it, and nothing holds a lock while it
//! waits.

mod bell;
pub mod connection;
mod error;
pub mod fanout;
pub mod guest;
pub mod interrupt;
mod leave;
mod meeting;
pub mod porter;
pub mod publisher;
pub mod queue;
pub mod reactor;
pub mod receiver;
pub mod reconnect;
pub mod redirect;
pub mod resolve;
pub mod socks;
pub mod stack;
pub mod stream;
mod successor;
pub mod swf_fetch;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod throughput;
pub mod tls;
pub mod wcs;
pub mod websocket;

pub use error::{NetError, Stage};
