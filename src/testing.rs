// SPDX-License-Identifier: MPL-2.0

//! The time of the tests: it stands still unless a test moves it, however slow the machine is.

use std::{sync::OnceLock, time::Instant};

/// When all tests begin. An [`Instant`] can only be taken from the clock, so once it is.
pub(crate) fn origin() -> Instant {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(Instant::now)
}
