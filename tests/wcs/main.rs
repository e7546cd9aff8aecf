// SPDX-License-Identifier: MPL-2.0

//! wcswebrtcbin against a small server of the same dialogue, with a bare webrtcbin for the media: what is
//! published and played, and what becomes of a pipeline whose server misbehaves.

// Everything here is for this program alone.
#![allow(unreachable_pub, dead_code)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod browser;
#[path = "../webm/chromium.rs"]
mod chromium;
mod codecs;
mod example;
mod faults;
mod media;
mod play;
mod publish;
mod server;
mod watch;
