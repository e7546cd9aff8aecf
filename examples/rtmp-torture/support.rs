// SPDX-License-Identifier: MPL-2.0

//! Of what the tests share, the part that knows nothing of our elements.

#![allow(dead_code, unreachable_pub)]

#[path = "../../tests/support/amf0.rs"]
pub mod amf0;
#[path = "../../tests/support/flv_builder.rs"]
pub mod flv_builder;
#[path = "../../tests/support/household.rs"]
pub mod household;
#[path = "../../tests/support/process.rs"]
pub mod process;
#[path = "../../tests/support/rtmp_peer.rs"]
pub mod rtmp_peer;
