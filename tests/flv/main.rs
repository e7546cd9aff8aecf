// SPDX-License-Identifier: MPL-2.0

//! flvmuxbridge and flvdemuxbridge, with each other, with those that they replace, and with ffmpeg.

// Everything here is for this program alone.
#![allow(unreachable_pub)]

mod ahead;
mod as_flvmux;
mod backwards;
mod bad_input;
mod codecs;
mod enhanced;
mod ffmpeg;
mod live;
mod muxing;
mod negotiation;
mod peers;
mod properties;
mod script;
mod seek;
mod segments;
mod streams;
#[path = "../support/mod.rs"]
mod support;
mod takers;
