// SPDX-License-Identifier: MPL-2.0

//! How often a server may be told of.

use std::time::{Duration, Instant};

use crate::protocol::wcs::limits;

/// How much may be told: so much at once, and then so much a second.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    refilled: Instant,
}

impl Allowance {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            left: limits::CHATTER,
            refilled: now,
        }
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / limits::CHATTER_PER_SECOND;
        let passed = now.saturating_duration_since(self.refilled);
        let more = u32::try_from(passed.as_nanos() / each.as_nanos()).unwrap_or(u32::MAX);
        if more > 0 {
            self.left = self.left.saturating_add(more).min(limits::CHATTER);
            self.refilled = now;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}
