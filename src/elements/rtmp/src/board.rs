// SPDX-License-Identifier: MPL-2.0

//! What the streaming thread knows and others ask: statistics, and whether the stream is a
//! recording. Held for a few assignments at a time, never across a wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gst::ClockTime;

use crate::elements::rtmp::stats::Stats;

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Notes>);

/// What stands on the [`Board`].
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    pub(super) stats: Stats,
    /// Whether the stream has a fixed length, and any place in it can be played.
    pub(super) recorded: bool,
    pub(super) duration: Option<ClockTime>,
}

impl Board {
    pub(super) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
