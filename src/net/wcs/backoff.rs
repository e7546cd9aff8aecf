// SPDX-License-Identifier: MPL-2.0

//! When to try again: each pause is twice the one before, up to the largest, give or take a quarter,
//! so that a thousand senders do not come back to a server in the same instant.

use std::time::Duration;

/// How often and how patiently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Attempts after a loss, before giving up. `None` for no end, 0 for none.
    pub attempts: Option<u32>,
    /// The first pause.
    pub delay: Duration,
    /// The largest.
    pub max_delay: Duration,
}

/// Pauses since the last success.
#[derive(Clone, Debug)]
pub struct Backoff {
    policy: Policy,
    tried: u32,
}

impl Backoff {
    /// None yet.
    pub fn new(policy: Policy) -> Self {
        Self { policy, tried: 0 }
    }

    /// It worked: the next loss is the first.
    pub fn succeeded(&mut self) {
        self.tried = 0;
    }

    /// Attempts since the last success.
    pub fn tried(&self) -> u32 {
        self.tried
    }

    /// The pause before the next attempt; `None` to give up. `random` is any number.
    pub fn next(&mut self, random: u32) -> Option<Duration> {
        if self.policy.attempts.is_some_and(|most| self.tried >= most) {
            return None;
        }
        let doubled = self.policy.delay.saturating_mul(1 << self.tried.min(20));
        self.tried = self.tried.saturating_add(1);
        // 3/4 to 5/4.
        let share = 0.75 + 0.5 * (f64::from(random) / f64::from(u32::MAX));
        Some(doubled.min(self.policy.max_delay).mul_f64(share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(attempts: Option<u32>) -> Policy {
        Policy {
            attempts,
            delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(30),
        }
    }

    #[test]
    fn pauses_double_up_to_the_largest() {
        let mut backoff = Backoff::new(policy(None));
        let half = u32::MAX / 2;
        let pauses: Vec<_> = (0..8)
            .map(|_| backoff.next(half).unwrap().as_secs_f64().round() as u64)
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        for _ in 0..100 {
            assert!(backoff.next(u32::MAX).unwrap() <= Duration::from_millis(37_500));
        }
        backoff.succeeded();
        assert_eq!(backoff.next(0).unwrap(), Duration::from_millis(750));
    }

    #[test]
    fn attempts_are_used_up() {
        let mut backoff = Backoff::new(policy(Some(2)));
        assert!(backoff.next(0).is_some() && backoff.next(0).is_some());
        assert_eq!(backoff.next(0), None);
        assert_eq!(Backoff::new(policy(Some(0))).next(0), None);
    }
}
