// SPDX-License-Identifier: MPL-2.0

//! As much of the codecs as a container has to know: configuration records that a stream was given
//! without, and rate and channels of sound that has no configuration. Nothing here decodes.

pub mod av1;
pub mod avc;
mod bits;
pub mod flac;
mod names;
pub mod sound;
pub mod vp;

pub use names::{AudioCodec, VideoCodec};
