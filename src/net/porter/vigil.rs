// SPDX-License-Identifier: MPL-2.0

//! Whether a caller is still there: one that says nothing is asked, and has to answer.

use std::time::{Duration, Instant};

/// See the module's text.
#[derive(Clone, Copy, Debug)]
pub struct Vigil {
    /// Silence after which to ask; zero to never ask.
    interval: Duration,
    heard: Instant,
    asked: bool,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Nothing.
    Alive,
    /// Ask for a sign of life.
    Ask,
    /// It did not answer.
    Gone,
}

impl Vigil {
    /// Begins with somebody who was just heard of.
    pub fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            heard: now,
            asked: false,
        }
    }

    /// Something came, whatever it was: encoders that throw away unread what a server says (OBS) do not
    /// answer, but they send.
    pub fn heard(&mut self, now: Instant) {
        (self.heard, self.asked) = (now, false);
    }

    /// When to look again.
    pub fn deadline(&self) -> Option<Instant> {
        (!self.interval.is_zero()).then(|| {
            let patience = if self.asked {
                self.interval / 2
            } else {
                Duration::ZERO
            };
            self.heard + self.interval + patience
        })
    }

    /// Looks.
    pub fn look(&mut self, now: Instant) -> Sign {
        match self.deadline() {
            Some(deadline) if now >= deadline && self.asked => Sign::Gone,
            Some(deadline) if now >= deadline => {
                self.asked = true;
                Sign::Ask
            }
            _ => Sign::Alive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_does_not_answer_is_gone() {
        const SECOND: Duration = Duration::from_secs(1);
        let now = Instant::now();
        let mut vigil = Vigil::new(4 * SECOND, now);
        assert_eq!(vigil.look(now + 3 * SECOND), Sign::Alive);
        assert_eq!(vigil.look(now + 4 * SECOND), Sign::Ask);
        assert_eq!(vigil.look(now + 5 * SECOND), Sign::Alive, "asked once");
        vigil.heard(now + 5 * SECOND);
        assert_eq!(vigil.look(now + 8 * SECOND), Sign::Alive);
        assert_eq!(vigil.look(now + 9 * SECOND), Sign::Ask);
        assert_eq!(vigil.deadline(), Some(now + 11 * SECOND));
        assert_eq!(vigil.look(now + 11 * SECOND), Sign::Gone);
        let mut never = Vigil::new(Duration::ZERO, now);
        assert_eq!(never.deadline(), None);
        assert_eq!(never.look(now + 1000 * SECOND), Sign::Alive);
    }
}
