// SPDX-License-Identifier: MPL-2.0

//! FLV as files and RTMP carry it.

pub mod head;
pub mod reader;
pub mod tag;

pub use head::{AudioHead, VideoHead};
pub use reader::{FlvError, Item, Reader};
pub use tag::{Tag, TagKind};
