// SPDX-License-Identifier: MPL-2.0

//! RTMPE and RTMPT at both ends: our elements with each other, with ffmpeg and librtmp, behind nginx and
//! proxies, and with servers and clients that misbehave.

#[path = "../support/mod.rs"]
mod support;

mod clients;
mod gateway;
mod house;
mod others;
mod play;
mod proxies;
mod publish;
mod servers;
mod tape;
