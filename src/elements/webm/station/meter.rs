// SPDX-License-Identifier: MPL-2.0

//! The stream's bitrate, from what comes of it.

use std::time::{Duration, Instant};

/// Measures the stream's bitrate.
#[derive(Debug, Default)]
pub(super) struct Meter {
    since: Option<Instant>,
    bytes: u64,
    pub(super) rate: u64,
}

impl Meter {
    /// Takes bytes in; the rate is that of the last seconds, the newest counting most.
    pub(super) fn add(&mut self, bytes: u64, now: Instant) {
        let since = *self.since.get_or_insert(now);
        self.bytes += bytes;
        let passed = now.saturating_duration_since(since);
        if passed >= Duration::from_secs(1) {
            let rate = (self.bytes as f64 * 8.0 / passed.as_secs_f64()) as u64;
            self.rate = if self.rate == 0 {
                rate
            } else {
                (self.rate + rate) / 2
            };
            (self.since, self.bytes) = (Some(now), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meter_follows_the_rate() {
        let (mut meter, begun) = (Meter::default(), Instant::now());
        for ms in 0..5000 {
            meter.add(250, begun + Duration::from_millis(ms));
        }
        assert!(
            (1_990_000..2_010_000).contains(&meter.rate),
            "{}",
            meter.rate
        );
    }
}
