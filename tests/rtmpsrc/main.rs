// SPDX-License-Identifier: MPL-2.0

//! `rtmpsrc` against servers that do as they should, servers that do not, and real ones.

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod listener;
mod peers;
mod player;
mod streams;
