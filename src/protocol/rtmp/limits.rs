// SPDX-License-Identifier: MPL-2.0

//! Every budget of the protocol in one place, with its reason.

/// Deepest nesting of AMF values. Real metadata and connect objects nest 4 deep at the most; a
/// hostile peer nests 10^5 deep to exhaust the stack.
pub const AMF_DEPTH: usize = 32;

/// Most AMF values, properties included, in one message: key-frame indexes in `onMetaData` of long
/// recordings hold two arrays of some ten thousand numbers.
pub const AMF_ELEMENTS: usize = 1 << 18;

/// Most bytes of text, names and byte arrays that the values of one message may come to, in bytes.
/// Without references a message cannot hold more than its own 24-bit length; references let a few
/// bytes name a long string again and again.
pub const AMF_TEXT: usize = 1 << 24;

/// Longest location, in bytes: its parts travel in AMF0 strings, whose length has 16 bits.
pub const URL_LENGTH: usize = 0xffff;

/// Most bytes in unfinished messages of one connection: the longest message there is (16 MiB), and
/// as much again for what a peer may interleave with it.
pub const IN_FLIGHT: usize = 32 << 20;

/// Most chunk streams of one connection. Real peers use fewer than ten; the protocol allows 65,597,
/// each of which costs memory for ever.
pub const CHUNK_STREAMS: usize = 512;

/// Smallest chunk size a peer may set. The specification allows 1 and advises 128 (RTMP 1.0, 5.4.1);
/// 64 was once usual for sound. Below, headers cost more than what they head.
pub const MIN_CHUNK_SIZE: usize = 64;

/// Longest salt, challenge, opaque or nonce of an authentication dialogue, and longest field that a
/// listener takes, in bytes. Servers send 4 to 16 letters, and a user name may be an e-mail address;
/// all of it goes back into the next `connect`.
pub const AUTH_FIELD: usize = 256;

/// How long a listener's challenge can be answered at least, in milliseconds; it ends before twice
/// that. Clients connect again at once, nobody types in between.
pub const AUTH_CHALLENGE_MS: u64 = 60_000;

/// Longest `secureToken` in hexadecimal digits: half a kilobyte of text, for what is one
/// challenge of a line at the most.
pub const SECURE_TOKEN: usize = 1024;

/// Largest decompressed SWF file in bytes. Players have up to a few megabytes; zlib packs a thousand
/// times that into what it takes to ask for it.
pub const SWF_SIZE: u32 = 64 << 20;

/// Bytes received between two acknowledgements when the peer never announced a window, or a larger
/// one. Some encoders stop after 2.5 MB without one although they asked for none (Wirecast, SRS#795),
/// so half of that.
pub const ACK_INTERVAL: u32 = 1_250_000;

/// Fewest bytes received between two acknowledgements, however small a window the peer announces: one
/// costs up to 16 bytes. Windows in the field are 64 KiB and more.
pub const MIN_ACK_INTERVAL: u32 = 1024;

/// Bytes that a client may send on while the application decides about what it asked for. Encoders
/// that wait for no answer send their metadata and first frames.
pub const UNDECIDED: usize = 4 << 20;

/// Most sub-messages in an aggregate message. Servers put some ten into one; empty ones would make an
/// event of every 15 bytes.
pub const AGGREGATE: usize = 1 << 14;

/// Letters of a peer's status that go into an error message.
pub const STATUS_TEXT: usize = 512;

/// Message streams a client may have open on one connection; real ones use one or two.
pub const MESSAGE_STREAMS: usize = 64;

/// Longest application or stream name in bytes; the longest in the field carry signed tokens of some
/// 2 KiB.
pub const NAME: usize = 8 * 1024;

/// Bytes of answers, to pings and commands, that may wait for a peer to read them. A peer that asks
/// without reading would have us hold a dozen bytes for each that it sends; real ones leave a few
/// hundred unread at the most.
pub const UNREAD_ANSWERS: usize = 1 << 20;

/// Peers of one listening port that may be shaking hands at a time. Each holds a few KiB and a
/// descriptor until its deadline; over the limit, who has been silent the longest makes room, then who
/// dawdles, and whoever is left over waits in the kernel's queue.
pub const GREETING_PEERS: usize = 512;

/// Most bytes in unfinished messages of a peer that has not published: a connect command with all its
/// fields has a few KiB, long names and tokens some more.
pub const STRANGER_IN_FLIGHT: usize = 256 << 10;

/// Bytes of a SWF file fetched for SWF verification, as they come over the network. Players are
/// some 100 KB, the largest seen a few MB; the file stays in memory until it is hashed.
pub const SWF_FETCH: usize = 16 << 20;

/// Redirects to follow on the way to a SWF file: host, scheme and path may each change once.
pub const HTTP_REDIRECTS: usize = 3;

/// Portions of up to 4 KiB of TLS records in a row that hold nothing for the application. Five make
/// up the largest record; a peer that sends nothing but empty records would otherwise keep the
/// reader from seeing that it was interrupted.
pub const TLS_FRUITLESS_STEPS: usize = 1024;
