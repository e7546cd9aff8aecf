// SPDX-License-Identifier: MPL-2.0

//! RTMP over TLS: our elements and nginx's TLS, and certificates that are not what they should be.

#[path = "../support/mod.rs"]
mod support;

mod house;
mod listen;
mod play;
mod publish;
