// SPDX-License-Identifier: MPL-2.0

//! Live WebM and Matroska (RFC 9559, RFC 8794), cut into what a player can be sent.
//!
//! A [`Splitter`] takes the bytes of a muxer, cut anywhere, and gives a [`Header`] and [`Block`]s. Blocks
//! pass with the frames they came with; what is written anew is what live players stumble over, see
//! the text of `split`. It is no demuxer: it looks into a block's first bytes and no further.

pub mod ebml;
mod header;
mod split;

pub use header::Header;
pub use split::{Block, Item, Splitter, Timecodes, WebmError};

/// Bytes that EBML header, Info, Tracks and Tags may have, each. Vorbis brings its code books, 4 KiB; a
/// picture among the tags may have a hundred times that.
pub const HEADER: usize = 1 << 20;

/// Bytes that a block may have: a frame of video at 400 Mb/s and a picture each second.
pub const BLOCK: usize = 48 << 20;

/// Tracks that a header may describe.
pub const TRACKS: usize = 64;
