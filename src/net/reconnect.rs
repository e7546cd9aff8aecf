// SPDX-License-Identifier: MPL-2.0

//! Whether, and when, a connection that failed is made again.

use std::time::{Duration, Instant};

use super::{
    NetError,
    connection::{ConnectionError, SECOND_THOUGHT},
};
use crate::protocol::{
    rtmp::session::{Refusal, SessionError, Stage, Status},
    rtmpt::TunnelError,
};

/// A stream that ran for this long was well: what comes after it is another failure, not the same again.
const WELL: Duration = Duration::from_secs(10);

/// Which failures are worth another attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// None.
    #[default]
    Never,
    /// Those of a stream that ran.
    Lost,
    /// Those of the first connection too.
    Always,
}

/// How to try again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Which failures.
    pub when: When,
    /// How often in a row; zero for ever.
    pub attempts: u32,
    /// Before the first attempt, and twice as long before each one after it ...
    pub first: Duration,
    /// ... up to this.
    pub largest: Duration,
    /// The part of each delay, in percent, that is left to chance: so that a hundred encoders do not come
    /// back to a server all at once.
    pub jitter: u32,
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The host name has no address, for now.
    Resolve,
    /// Nobody listens.
    Refused,
    /// There is no way there, or nobody answered.
    Unreachable,
    /// TLS broke off, but not over a certificate.
    Tls,
    /// Nothing that RTMP begins with, or no answer to it.
    Handshake,
    /// The name is taken, maybe by our former self.
    Busy,
    /// The stream is not there, maybe not yet.
    NotFound,
    /// The server did not want us, for reasons that may pass.
    Refusal,
    /// The connection was cut.
    Lost,
    /// The server took nothing, or said nothing.
    Stalled,
    /// Another attempt would end the same: credentials, certificates, settings.
    Permanent,
}

impl Cause {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Tls => "tls",
            Self::Handshake => "handshake",
            Self::Busy => "busy",
            Self::NotFound => "not-found",
            Self::Refusal => "refusal",
            Self::Lost => "lost",
            Self::Stalled => "stalled",
            Self::Permanent => "permanent",
        }
    }

    /// The cause of a failure.
    pub fn of(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::Net(error) => Self::of_net(error),
            ConnectionError::Session { error, stage } => match error {
                SessionError::Refused(status) => Self::of_status(status),
                SessionError::NotAuthorized(_) | SessionError::Lacks(_) => Self::Permanent,
                SessionError::Timeout(_) => Self::Stalled,
                SessionError::Handshake(_) => Self::Handshake,
                _ if *stage >= Stage::Running => Self::Lost,
                _ => Self::Handshake,
            },
            ConnectionError::Dismissed { status, .. } => Self::of_status(status),
            ConnectionError::Closed { stage, .. } => match stage {
                Stage::Handshake => Self::Handshake,
                Stage::Connect | Stage::CreateStream | Stage::Start => Self::Refusal,
                Stage::Running | Stage::Stopped => Self::Lost,
            },
            ConnectionError::Stalled { .. } | ConnectionError::Silent { .. } => Self::Stalled,
            ConnectionError::TooManyRetries => Self::Permanent,
        }
    }

    fn of_net(error: &NetError) -> Self {
        match error {
            NetError::Resolve { .. } => Self::Resolve,
            NetError::Refused { .. } => Self::Refused,
            NetError::Unreachable { .. }
            | NetError::Timeout { .. }
            | NetError::ProxyFailed { .. } => Self::Unreachable,
            NetError::Tls { flags, .. } if flags.is_empty() => Self::Tls,
            NetError::Closed { .. } | NetError::Io { .. } => Self::Lost,
            NetError::Tunnel(error) => match error {
                TunnelError::Forgotten(_) | TunnelError::LostReply | TunnelError::Unstable(_) => {
                    Self::Lost
                }
                TunnelError::Timeout(_) => Self::Stalled,
                TunnelError::ProxyAuthentication => Self::Permanent,
                _ => Self::Handshake,
            },
            NetError::Rtmpe(_) => Self::Handshake,
            _ => Self::Permanent,
        }
    }

    fn of_status(status: &Status) -> Self {
        match status.refusal() {
            Refusal::Busy => Self::Busy,
            Refusal::NotFound => Self::NotFound,
            Refusal::NotAuthorized | Refusal::Application => Self::Permanent,
            Refusal::Other => Self::Refusal,
        }
    }
}

/// The next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Counted from 1.
    pub attempt: u32,
    /// How long to wait for it.
    pub after: Duration,
    /// Why it has to be made.
    pub cause: Cause,
}

/// Attempts since the last success, whatever they are for.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    policy: Policy,
    tried: u32,
}

impl Backoff {
    /// None yet.
    pub fn new(policy: Policy) -> Self {
        Self { policy, tried: 0 }
    }

    /// It worked: the next failure is the first.
    pub fn succeeded(&mut self) {
        self.tried = 0;
    }

    /// Attempts since the last success.
    pub fn tried(&self) -> u32 {
        self.tried
    }

    /// How long to wait for the next attempt; `None` to give up. `chance` is any number.
    pub fn next(&mut self, chance: u32) -> Option<Duration> {
        let used_up = self.policy.attempts > 0 && self.tried >= self.policy.attempts;
        if self.policy.when == When::Never || used_up {
            return None;
        }
        self.tried = self.tried.saturating_add(1);
        Some(self.policy.delay(self.tried, chance))
    }
}

/// The failures of one element.
#[derive(Clone, Debug, Default)]
pub struct Reconnect {
    backoff: Backoff,
    /// The stream ran at some time.
    ran: bool,
    running_since: Option<Instant>,
    /// Connections that took the place of another.
    replaced: u32,
}

impl Reconnect {
    /// None so far.
    pub fn new(policy: Policy) -> Self {
        Self {
            backoff: Backoff::new(policy),
            ..Self::default()
        }
    }

    /// The stream runs.
    pub fn running(&mut self, now: Instant) {
        self.replaced += u32::from(self.ran);
        self.ran = true;
        self.running_since = Some(now);
    }

    /// Connections that took the place of another.
    pub fn replaced(&self) -> u32 {
        self.replaced
    }

    /// The connection failed: the next attempt, or `None` if that is the end. `chance` is any number.
    pub fn failed(&mut self, cause: Cause, now: Instant, chance: u32) -> Option<Retry> {
        if let Some(since) = self.running_since.take() {
            let ran = now.saturating_duration_since(since);
            if ran >= WELL {
                self.backoff.succeeded();
            }
            let refused = cause == Cause::Refusal && ran < SECOND_THOUGHT;
            self.ran &= !refused || self.replaced > 0;
        }
        let never_ran = self.backoff.policy.when == When::Lost && !self.ran;
        if never_ran || cause == Cause::Permanent {
            return None;
        }
        let after = self.backoff.next(chance)?;
        Some(Retry {
            attempt: self.backoff.tried(),
            after,
            cause,
        })
    }
}

impl Policy {
    fn delay(&self, attempt: u32, chance: u32) -> Duration {
        // 2^20 times anything is longer than anybody waits.
        let doubled = self.first.saturating_mul(1 << (attempt - 1).min(20));
        let delay = doubled.min(self.largest);
        let part = delay.saturating_mul(self.jitter.min(100)) / 100;
        delay - part.mul_f64(f64::from(chance) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::tls::ValidationFlags;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy(when: When) -> Policy {
        Policy {
            when,
            attempts: 6,
            first: SECOND,
            largest: 8 * SECOND,
            jitter: 50,
        }
    }

    #[test]
    fn delays_double_up_to_the_largest_and_attempts_end() {
        let (mut reconnect, now) = (Reconnect::new(policy(When::Always)), Instant::now());
        let mut delays = Vec::new();
        while let Some(retry) = reconnect.failed(Cause::Refused, now, 0) {
            assert_eq!(retry.attempt, delays.len() as u32 + 1);
            delays.push(retry.after.as_secs());
        }
        assert_eq!(delays, [1, 2, 4, 8, 8, 8]);
    }

    #[test]
    fn a_backoff_begins_anew_after_a_success() {
        let mut backoff = Backoff::new(policy(When::Always));
        let delays: Vec<_> = std::iter::from_fn(|| backoff.next(0)).collect();
        assert_eq!((delays.len(), backoff.tried()), (6, 6));
        backoff.succeeded();
        assert_eq!(backoff.next(0), Some(SECOND));
        assert_eq!(Backoff::new(policy(When::Never)).next(0), None);
    }

    #[test]
    fn chance_makes_delays_shorter_by_its_part() {
        let policy = policy(When::Always);
        assert_eq!(policy.delay(1, 0), SECOND);
        assert_eq!(policy.delay(1, u32::MAX), SECOND / 2);
        for chance in [1, 77, 1 << 31] {
            assert!((SECOND / 2..=SECOND).contains(&policy.delay(1, chance)));
        }
        assert_eq!(policy.delay(u32::MAX, 0), 8 * SECOND);
        let endless = Policy {
            first: Duration::MAX,
            largest: Duration::MAX,
            ..policy
        };
        assert!(endless.delay(9, 1) > SECOND);
    }

    #[test]
    fn a_stream_that_never_ran_is_not_lost() {
        let now = Instant::now();
        for (when, before, after) in [
            (When::Never, false, false),
            (When::Lost, false, true),
            (When::Always, true, true),
        ] {
            let mut reconnect = Reconnect::new(policy(when));
            assert_eq!(reconnect.failed(Cause::Refused, now, 0).is_some(), before);
            // It said that it runs, and thought better of it.
            reconnect.running(now);
            assert_eq!(reconnect.failed(Cause::Refusal, now, 0).is_some(), before);
            reconnect.running(now);
            assert_eq!(reconnect.failed(Cause::Lost, now, 0).is_some(), after);
        }
    }

    #[test]
    fn attempts_are_counted_anew_when_the_stream_was_well() {
        let (mut reconnect, now) = (Reconnect::new(policy(When::Lost)), Instant::now());
        // A server that lets in and throws out is not well.
        for attempt in 1..=6 {
            reconnect.running(now);
            let retry = reconnect.failed(Cause::Lost, now + SECOND, 0);
            assert_eq!(retry.map(|retry| retry.attempt), Some(attempt));
        }
        assert_eq!(reconnect.replaced(), 5);
        reconnect.running(now);
        assert_eq!(reconnect.failed(Cause::Lost, now + SECOND, 0), None);
        reconnect.running(now);
        let retry = reconnect.failed(Cause::Lost, now + WELL, 0);
        assert_eq!(retry.map(|retry| retry.attempt), Some(1));
    }

    #[test]
    fn what_cannot_change_is_not_tried_again() {
        let status = |code: &str| Status {
            level: "error".into(),
            code: code.into(),
            description: String::new(),
        };
        let refused = |code| ConnectionError::Session {
            stage: Stage::Start,
            error: SessionError::Refused(status(code)),
        };
        for (error, cause) in [
            (refused("NetStream.Publish.BadName"), Cause::Busy),
            (refused("NetStream.Play.StreamNotFound"), Cause::NotFound),
            (
                refused("NetConnection.Connect.InvalidApp"),
                Cause::Permanent,
            ),
            (refused("NetStream.Publish.Denied"), Cause::Permanent),
            (refused("NetStream.Failed"), Cause::Refusal),
            (
                ConnectionError::Closed {
                    stage: Stage::Start,
                    truncated: false,
                },
                Cause::Refusal,
            ),
            (ConnectionError::TooManyRetries, Cause::Permanent),
            (ConnectionError::Stalled { after: SECOND }, Cause::Stalled),
            (ConnectionError::Silent { after: SECOND }, Cause::Stalled),
            (
                ConnectionError::Closed {
                    stage: Stage::Running,
                    truncated: true,
                },
                Cause::Lost,
            ),
            (
                ConnectionError::Net(NetError::Resolve {
                    host: String::new(),
                    reason: String::new(),
                }),
                Cause::Resolve,
            ),
            (
                ConnectionError::Net(NetError::Refused {
                    address: String::new(),
                }),
                Cause::Refused,
            ),
            (
                ConnectionError::Net(NetError::Timeout {
                    stage: crate::net::Stage::Connect,
                    after: SECOND,
                }),
                Cause::Unreachable,
            ),
            // The server restarts behind a proxy that does not.
            (
                ConnectionError::Net(NetError::proxy_failed("status 502")),
                Cause::Unreachable,
            ),
            (
                ConnectionError::Net(NetError::proxy("status 407")),
                Cause::Permanent,
            ),
            (ConnectionError::Net(NetError::tls("broke")), Cause::Tls),
            (
                ConnectionError::Net(NetError::Tls {
                    reason: String::new(),
                    flags: ValidationFlags::EXPIRED,
                }),
                Cause::Permanent,
            ),
            (
                ConnectionError::Session {
                    stage: Stage::Connect,
                    error: SessionError::Timeout(Stage::Connect),
                },
                Cause::Stalled,
            ),
            (
                ConnectionError::Closed {
                    stage: Stage::Handshake,
                    truncated: true,
                },
                Cause::Handshake,
            ),
            (
                ConnectionError::Net(NetError::Settings {
                    reason: String::new(),
                }),
                Cause::Permanent,
            ),
        ] {
            assert_eq!(Cause::of(&error), cause, "{error}");
        }
    }
}
