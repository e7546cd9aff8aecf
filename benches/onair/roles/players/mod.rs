// SPDX-License-Identifier: MPL-2.0

//! A live RTMP stream to many players: the servers that are compared, fed with the same film at its own
//! pace, and the players that load them.

pub(super) mod film;
pub(super) mod load;
pub(super) mod plain;
pub(super) mod servers;
mod tunnel;
