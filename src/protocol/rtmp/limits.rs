// SPDX-License-Identifier: MPL-2.0

//! Every budget of the protocol in one place, with its reason.

/// Deepest nesting of AMF values. Real metadata and connect objects nest 4 deep at the most; a
/// hostile peer nests 10^5 deep to exhaust the stack.
pub const AMF_DEPTH: usize = 32;

/// Most AMF values, properties included, in one message: key-frame indexes in `onMetaData` of long
/// recordings hold two arrays of some ten thousand numbers.
pub const AMF_ELEMENTS: usize = 1 << 18;

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
