// SPDX-License-Identifier: MPL-2.0

//! Every budget of FLV in one place, with its reason.

/// Most tracks in one message: there are that many ids. Without it a message of 16 MiB could hold
/// four million empty ones.
pub const TRACKS: usize = 256;

/// Largest body that a search for the next tag believes in, in bytes. Junk claims any size, and a
/// search waits for as many bytes before it knows better; the largest key frames at 50 Mb/s have one
/// megabyte.
pub const SEARCHED_BODY: usize = 4 << 20;

/// Most bytes of a decoder's configuration that are kept and put into caps. Real ones have some
/// hundred; parameter sets of 8K with HDR some thousand.
pub const CONFIG: usize = 1 << 20;

/// Most pieces in which a tag is left. A buffer of GStreamer holds sixteen memories, and copies all of
/// them together at the seventeenth.
pub const SPANNING_PIECES: usize = 8;
