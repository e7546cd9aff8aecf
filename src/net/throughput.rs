// SPDX-License-Identifier: MPL-2.0

//! What a connection carries, measured by what its peer acknowledged, and what a stream should ask of it.
//!
//! RTMP's own acknowledgements come once in a window, which at 2 Mb/s may be ten seconds; TCP's come in every
//! round trip. As long as something waits to be sent, what is acknowledged is what the network can do. Else it
//! can do at least that, and how much more is found out in small steps.

use std::time::{Duration, Instant};

/// Between two looks.
const SPAN: Duration = Duration::from_millis(500);
/// Acknowledgements come in lumps where segments are large and the network is slow. A look waits so long for
/// the next one.
const LUMP: Duration = Duration::from_secs(3);
/// Between two pieces of advice.
const PAUSE: Duration = Duration::from_secs(1);
/// What a queue is to be emptied with: a stream that asks for all there is would keep it full.
const HEADROOM: f64 = 0.8;
/// A step up for each second in which nothing had to wait.
const STEP: f64 = 1.05;
/// What is left each second of what was usual.
const FORGET: f64 = 0.99;
/// Steps lead this far above what is sent: what was never tried is not known.
const AHEAD: f64 = 2.0;

/// What a stream should ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advice {
    /// Bits a second, for all of the stream.
    pub bitrate: u64,
    /// Bits a second that were acknowledged lately.
    pub throughput: u64,
    /// Something waits that has waited for a while: the stream is more than the network carries.
    pub congested: bool,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub struct Throughput {
    /// When it was looked at last, and bytes acknowledged by then.
    last: Option<(Instant, u64)>,
    /// Something has waited ever since.
    waited: bool,
    throughput: f64,
    estimate: Option<f64>,
    /// The most that was acknowledged while nothing waited, slowly forgotten.
    usual: f64,
    /// What that was when the congestion began: once it is that again, it is over.
    ceiling: Option<f64>,
    advised: Option<Instant>,
}

impl Throughput {
    /// Begins anew: another connection may take another way. What was known of the last is kept until more
    /// is.
    pub fn restart(&mut self) {
        (self.last, self.waited) = (None, false);
    }

    /// Notes whether something waits, and says whether it is time for a [`look`](Self::look).
    pub fn is_due(&mut self, now: Instant, waits: bool) -> bool {
        self.waited &= waits;
        self.last
            .is_none_or(|(since, _)| now.saturating_duration_since(since) >= SPAN)
    }

    /// Takes a look: `acknowledged` bytes so far on this connection, and whether something waits. Returns
    /// advice where there is a reason for it, once a second at the most.
    pub fn look(&mut self, now: Instant, acknowledged: u64, waits: bool) -> Option<Advice> {
        let Some((since, before)) = self.last else {
            (self.last, self.waited) = (Some((now, acknowledged)), waits);
            return None;
        };
        self.waited &= waits;
        let span = now.saturating_duration_since(since);
        if span < SPAN || (acknowledged <= before && span < LUMP) {
            return None;
        }
        if acknowledged <= before {
            // A dead network says nothing about what it carries when it lives, and no encoder can do
            // with nothing.
            (self.last, self.throughput) = (Some((now, acknowledged)), 0.0);
            return None;
        }
        let rate = acknowledged.saturating_sub(before) as f64 * 8.0 / span.as_secs_f64();
        let congested = std::mem::replace(&mut self.waited, waits);
        self.last = Some((now, acknowledged));
        self.throughput = match self.throughput {
            0.0 => rate,
            lately => (lately + rate) / 2.0,
        };
        self.estimate = Some(match self.estimate {
            Some(estimate) if congested => (estimate.min(rate * AHEAD) + rate) / 2.0,
            Some(estimate) => {
                let most = (self.throughput * AHEAD).max(estimate.min(self.throughput));
                let step = STEP.powf(span.as_secs_f64());
                (estimate * step).min(most).max(self.throughput)
            }
            None => rate,
        });
        if congested {
            self.ceiling.get_or_insert(self.usual.max(rate));
        } else if self.ceiling.is_none() {
            let forgotten = FORGET.powf(span.as_secs_f64());
            self.usual = self.throughput.max(self.usual * forgotten);
        }
        self.advise(now, congested)
    }

    fn advise(&mut self, now: Instant, congested: bool) -> Option<Advice> {
        let (ceiling, estimate) = (self.ceiling?, self.estimate?);
        let early = |at: Instant| now.saturating_duration_since(at) < PAUSE;
        if self.advised.is_some_and(early) {
            return None;
        }
        self.advised = Some(now);
        if !congested && estimate >= ceiling {
            // As it was before.
            self.ceiling = None;
        }
        let headroom = if congested { HEADROOM } else { 1.0 };
        Some(Advice {
            bitrate: (estimate * headroom) as u64,
            throughput: self.throughput as u64,
            congested,
        })
    }

    /// Bits a second that the network is believed to carry; `None` while nothing is known.
    pub fn estimate(&self) -> Option<u64> {
        self.estimate.map(|estimate| estimate as u64)
    }

    /// Bits a second that were acknowledged lately.
    pub fn throughput(&self) -> u64 {
        self.throughput as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream of so many kb/s over a network of so many, for so many seconds, in steps of 100 ms.
    struct Line {
        throughput: Throughput,
        now: Instant,
        acknowledged: u64,
        queue: u64,
    }

    impl Line {
        fn new() -> Self {
            Self {
                throughput: Throughput::default(),
                now: Instant::now(),
                acknowledged: 0,
                queue: 0,
            }
        }

        fn run(
            &mut self,
            mut stream: u64,
            network: u64,
            seconds: u64,
            follow: bool,
        ) -> Vec<Advice> {
            let mut all = Vec::new();
            for _ in 0..seconds * 10 {
                self.now += Duration::from_millis(100);
                self.queue += stream * 100 / 8;
                let sent = self.queue.min(network * 100 / 8);
                self.queue -= sent;
                self.acknowledged += sent;
                let advice = self
                    .throughput
                    .look(self.now, self.acknowledged, self.queue > 0);
                if let Some(advice) = advice {
                    if follow {
                        stream = advice.bitrate / 1000;
                    }
                    all.push(advice);
                }
            }
            all
        }

        fn estimate(&self) -> u64 {
            self.throughput.estimate().unwrap_or(0) / 1000
        }
    }

    #[test]
    fn a_network_that_is_dead_is_not_talked_about() {
        let mut line = Line::new();
        line.run(2000, 8000, 20, false);
        assert_eq!(line.run(2000, 0, 40, false), []);
        assert!(line.estimate() > 2000, "{}", line.estimate());
        assert_eq!(line.throughput.throughput(), 0);
        // What piled up meanwhile is sent first.
        let advice = line.run(2000, 8000, 30, true);
        assert!(advice.iter().all(|a| a.bitrate > 500_000), "{advice:?}");
    }

    #[test]
    fn a_network_that_suffices_is_not_talked_about() {
        let mut line = Line::new();
        assert_eq!(line.run(2000, 8000, 60, false), []);
        assert!(
            (2000..=4100).contains(&line.estimate()),
            "{}",
            line.estimate()
        );
        assert_eq!(line.throughput.throughput() / 1000, 2000);
    }

    #[test]
    fn one_that_is_too_slow_is_measured() {
        let mut line = Line::new();
        line.run(2000, 8000, 5, false);
        let advice = line.run(2000, 600, 10, false);
        assert!((8..=10).contains(&advice.len()), "once a second");
        let last = advice[advice.len() - 1];
        assert!(last.congested);
        assert!(
            (550..=650).contains(&line.estimate()),
            "{}",
            line.estimate()
        );
        assert!((440..=520).contains(&(last.bitrate / 1000)), "{last:?}");
    }

    #[test]
    fn an_encoder_that_follows_ends_the_congestion_and_comes_back() {
        let mut line = Line::new();
        line.run(2000, 8000, 5, false);
        let down = line.run(2000, 600, 60, true);
        assert!(line.queue < 600 * 1000 / 8, "less than a second waits");
        assert!(down.iter().any(|advice| !advice.congested));
        let stream = down[down.len() - 1].bitrate / 1000;
        assert!((400..=700).contains(&stream), "{stream}");
        let up = line.run(stream, 8000, 60, true);
        assert!(
            up.windows(2)
                .all(|two| two[1].bitrate * 101 >= two[0].bitrate * 100)
        );
        assert!(up[up.len() - 1].bitrate >= 1_900_000, "{:?}", up.last());
        assert!(line.throughput.ceiling.is_none(), "it is over");
    }

    /// Segments of 64 KiB, as loopback and tunnels have them, are more than half a second of such a network.
    #[test]
    fn lumps_are_no_outages() {
        let mut line = Line::new();
        line.run(2000, 8000, 5, false);
        let (start, mut lowest) = (line.now, u64::MAX);
        let before = line.acknowledged;
        for step in 1..600 {
            line.now = start + step * Duration::from_millis(50);
            let carried = 600_000 / 8 * u64::from(step) / 20;
            let acknowledged = before + carried / 65536 * 65536;
            let advice = line.throughput.look(line.now, acknowledged, true);
            if let Some(advice) = advice.filter(|_| step > 100) {
                lowest = lowest.min(advice.bitrate);
                assert!(advice.bitrate < 700_000, "{advice:?}");
            }
        }
        assert!((300_000..600_000).contains(&lowest), "{lowest}");
    }

    #[test]
    fn a_new_connection_is_measured_by_itself() {
        let mut line = Line::new();
        line.run(2000, 8000, 5, false);
        (line.acknowledged, line.queue) = (0, 0);
        line.throughput.restart();
        line.run(2000, 8000, 5, false);
        assert_eq!(line.throughput.throughput() / 1000, 2000);
    }
}
