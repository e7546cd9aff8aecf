// SPDX-License-Identifier: MPL-2.0

//! Every budget of the tunnel in one place, with its reason.

use std::time::Duration;

/// Longest session id, in letters. Red5's have 13, Flash Media Server's 16 to 20; FFmpeg's client takes
/// 63.
pub const ID: usize = 63;

/// How long fewer than [`FEW`] bytes may wait for others to share a request or a reply with: nothing is to be late
/// by 20 ms. A sound meets a picture in that time as a rule; pairs of sounds would take 24 ms.
pub const GATHER: Duration = Duration::from_millis(18);

/// Hardly a picture at 2 Mb/s, and a piece of sound at up to 128 kb/s.
pub const FEW: usize = 448;

/// How long more bytes of a client may: two pictures in three meet a sound within it.
pub const GATHER_MORE: Duration = Duration::from_millis(14);

/// Bytes that come after so long a silence do not wait: nothing flows that they could share with.
pub const SPACING: Duration = Duration::from_millis(60);

/// Bytes that wait for nothing: a request and a reply are one percent of them.
pub const FULL: usize = 16 * 1024;

/// Requests at the beginning of a session that nothing waits for: the dialogue before a stream is short
/// messages, each of which waits for the one before.
pub const WARM_UP: u64 = 24;

/// Bytes that a client holds for the next request, and a server for the next reply. What is behind
/// stays with the session, which can still drop it.
pub const PENDING: usize = 256 * 1024;

/// Longest reply a client takes, in bytes. Servers cut theirs at some ten KiB; the stream in one this
/// long would be minutes old.
pub const REPLY: u64 = 64 << 20;

/// Longest body of a request that a server takes, in bytes: an encoder may send a key frame of 50 Mb/s
/// and what gathered while it waited. Memory is taken as the bytes come.
pub const REQUEST: usize = 16 << 20;

/// Bytes that a server has taken from a client and nobody has read, at which it takes no further
/// request: whoever is slow within slows the client down, as with a socket.
pub const UNREAD: usize = 1 << 20;

/// The same while the session is not known.
pub const FOREIGN_REQUEST: usize = 1024;

/// How long a server holds a poll that it has nothing to say to. Long enough for what is being made ready
/// for it, short enough for a client that has something to send and waits for the reply.
pub const HOLD: Duration = Duration::from_millis(20);

/// How long a server waits with the answer to bytes that are part of the dialogue before a stream: for what there
/// is to say to them, which the client would have to poll for.
pub const HOLD_DIALOGUE: Duration = Duration::from_millis(3);

/// How long it holds a poll while a stream runs to that client: longer than from one picture to the next.
pub const HOLD_STREAM: Duration = Duration::from_millis(60);

/// How long either side is taken to be in the middle of a stream after it has said something.
pub const STREAM: Duration = Duration::from_millis(500);

/// Polls in a row that a client makes in vain right behind a reply with data, before it takes the server
/// for one that holds none and waits as long as the polling byte says.
pub const VAIN: u32 = 4;

/// How long a session may be silent before the server takes it for gone. The slowest poll comes twice a
/// second.
pub const SILENCE: Duration = Duration::from_secs(30);

/// Sessions of one listening port. Each holds a few KiB and two descriptors.
pub const SESSIONS: usize = 2048;

/// How long a connection may be silent between two requests.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(60);

/// How long a request may take to arrive, and more where it is large: see [`SLOWEST`].
pub const ARRIVAL: Duration = Duration::from_secs(10);

/// Requests may come ahead of the answers on one connection, up to this many.
pub const PIPELINED: usize = 16;

/// Requests that may come before those they follow: a proxy may send a client's pipelined requests over
/// several connections.
pub const EARLY: u64 = 16;

/// Where a body over TLS may break off for the head of another request, in bytes: one record of TLS
/// (RFC 8446 section 5.1). See [`next_send`](super::server::next_send).
pub const RECORD: usize = 16 * 1024;

/// How long an early request waits for those it follows.
pub const GAP: Duration = Duration::from_secs(5);

/// Connections made in a row to repeat one request.
pub const REPEATS: u32 = 3;

/// Bytes a second that a reply must come with at least, once its time is over: slower than a modem is
/// somebody who means to hold us up.
pub const SLOWEST: u64 = 4096;

/// How long the last requests of a session wait for the reply that is under way, before they go out
/// behind it. A reply takes a round trip, unless the server holds polls.
pub const FAREWELL: Duration = Duration::from_millis(300);
