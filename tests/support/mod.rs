// SPDX-License-Identifier: MPL-2.0

//! What the integration tests share: real peers, test media, an independent FLV reader and servers
//! that misbehave. Nothing here uses the crate's own protocol code, so that a mistake in that cannot
//! hide itself; `pipeline` alone loads its elements.

// Each test program compiles all of this, uses its part and exports nothing.
#![allow(dead_code, unreachable_pub)]

pub mod amf0;
pub mod bad_server;
pub mod certificates;
pub mod current_ffmpeg;
pub mod fault_proxy;
pub mod flv_builder;
pub mod flvdump;
pub mod gst_peer;
pub mod household;
pub mod media;
pub mod nginx;
pub mod peers;
pub mod pipeline;
pub mod process;
pub mod rtmp_peer;
pub mod taker;
