// SPDX-License-Identifier: MPL-2.0

//! FLV as files and RTMP carry it.

pub mod tag;

pub use tag::{Tag, TagKind};
