// SPDX-License-Identifier: MPL-2.0

//! The elements as servers: real publishers and players, strangers, and scripted clients that ask for
//! all there is.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod bad_input;
mod client;
mod corners;
mod dialogue;
mod ingest;
mod players;
mod relays;
mod station;
mod witness;
