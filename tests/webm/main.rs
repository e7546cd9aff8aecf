// SPDX-License-Identifier: MPL-2.0

//! webmhttpsink: what players, browsers and strangers get from it.

// Everything here is for this program alone.
#![allow(unreachable_pub)]

#[path = "../support/mod.rs"]
mod support;

mod access;
mod bad_input;
mod browser;
mod chromium;
mod client;
mod edge;
mod film;
mod http;
mod latency;
mod peers;
mod station;
mod streams;
