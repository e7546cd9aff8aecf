// SPDX-License-Identifier: MPL-2.0

//! Connections that end, against the will of both sides or by it, and streams that go on.

#[path = "../support/mod.rs"]
mod support;

mod congestion;
mod film;
mod listeners;
mod lost;
mod redirect;
mod refused;
mod silence;
