// SPDX-License-Identifier: MPL-2.0

//! FLV as files and RTMP carry it, classic and Enhanced RTMP v2.
//!
//! [`reader`] cuts a stream into [`tag`]s, [`head`] reads and writes what a body begins with, the rest
//! is for what bodies hold. rtmpsrc, rtmpsink, flvmuxbridge and flvdemuxbridge all use this.

pub mod channels;
pub mod codec;
pub mod color;
pub mod head;
pub mod headers;
pub mod limits;
pub mod needs;
pub mod reader;
pub mod script;
pub mod spanning;
pub mod splice;
pub mod tag;

pub use head::{AudioHead, VideoHead};
pub use headers::Headers;
pub use needs::Needs;
pub use reader::{FlvError, Item, Reader};
pub use script::Script;
pub use spanning::SpanningTag;
pub use tag::{Tag, TagKind};
