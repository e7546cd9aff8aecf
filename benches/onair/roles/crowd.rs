// SPDX-License-Identifier: MPL-2.0

//! Many clients of one server: they come, they settle, and for a while it is watched what they get and
//! what the server pays.

use std::time::{Duration, Instant};

use crate::child::Spent;
use crate::measure::percentile;

/// Sockets are looked at this often and not at each packet: what is measured is the server, which
/// shares the machine.
const TICK: Duration = Duration::from_millis(5);

/// Clients of whatever kind, in one thread.
pub(crate) trait Crowd {
    /// How many there are.
    fn len(&self) -> usize;

    /// One more; a lazy one never reads.
    fn connect(&mut self, lazy: bool) -> Result<(), String>;

    /// Reads whatever has come.
    fn read_all(&mut self) -> Result<(), String>;

    /// From now on it counts.
    fn watch(&mut self);

    /// What each saw that was not lazy.
    fn seen(&self) -> Vec<Seen>;

    /// For each thing that all are sent, when it came to each.
    fn arrivals(&self) -> Vec<&[Instant]>;
}

/// What a client saw.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// How long it took to the first whole key frame.
    pub(crate) join: Option<Duration>,
    pub(crate) bytes: u64,
    pub(crate) gone: bool,
    heard: Option<Instant>,
    silence: Duration,
}

impl Seen {
    /// Bytes came.
    pub(crate) fn hear(&mut self, bytes: usize, now: Instant) {
        self.bytes += bytes as u64;
        if let Some(heard) = self.heard.replace(now) {
            self.silence = self.silence.max(now - heard);
        }
    }

    /// Forgets all but how it began.
    pub(crate) fn begin(&mut self) {
        *self = Self {
            join: self.join,
            gone: self.gone,
            ..Self::default()
        };
    }
}

/// How many, for how long, and whose time it costs.
#[derive(Debug)]
pub(crate) struct Plan {
    count: usize,
    lazy: usize,
    settle: Duration,
    window: Duration,
    pid: u32,
}

impl Plan {
    /// `N SETTLE_S WINDOW_S LAZY PID`
    pub(crate) fn parse(numbers: &[String]) -> Option<Self> {
        let number = |i: usize| numbers.get(i)?.parse::<u64>().ok();
        Some(Self {
            count: number(0)? as usize,
            settle: Duration::from_secs(number(1)?),
            window: Duration::from_secs(number(2)?),
            lazy: number(3)? as usize,
            pid: u32::try_from(number(4)?).ok()?,
        })
    }

    /// Lets them come, and prints what the process did in the window.
    pub(crate) fn run(&self, crowd: &mut impl Crowd) -> Result<(), String> {
        for _ in 0..self.lazy {
            crowd.connect(true)?;
        }
        // Ramp: half of them and fifty a second.
        let rate = self.count as f64 / 2.0 + 50.0;
        let all = self.lazy + self.count;
        let start = Instant::now();
        let mut next = start;
        let (mut begun, mut before) = (None, None);
        let after = loop {
            let arrived = (start.elapsed().as_secs_f64() * rate) as usize + 1;
            while crowd.len() < all.min(self.lazy + arrived) {
                crowd.connect(false)?;
            }
            crowd.read_all()?;
            let ready = *begun.get_or_insert_with(Instant::now);
            if crowd.len() < all {
                begun = None;
            } else if before.is_none() && ready.elapsed() >= self.settle {
                before = Some(Spent::now(self.pid)?);
                crowd.watch();
            } else if let Some(before) = &before
                && before.at.elapsed() >= self.window
            {
                break Spent::now(self.pid)?;
            }
            next = (next + TICK).max(Instant::now());
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        };
        print(
            &before.ok_or("no window")?,
            &after,
            rss_kb(self.pid)?,
            crowd,
        );
        Ok(())
    }
}

fn print(before: &Spent, after: &Spent, rss_kb: u64, crowd: &impl Crowd) {
    let seen = crowd.seen();
    let seconds = (after.at - before.at).as_secs_f64();
    let bytes: u64 = seen.iter().map(|s| s.bytes).sum();
    let cpu = after.seconds - before.seconds;
    let micros = |d: Duration| d.as_micros() as u64;
    let mut joins: Vec<u64> = seen.iter().filter_map(|s| s.join).map(micros).collect();
    let mut silences: Vec<u64> = seen.iter().map(|s| micros(s.silence)).collect();
    let rate = |s: &Seen| (s.bytes as f64 * 8.0 / seconds) as u64;
    let mut rates: Vec<u64> = seen.iter().map(rate).collect();
    let joined = joins.len();
    // What not all got within the window says little.
    let mut lags: Vec<u64> = Vec::new();
    for times in crowd.arrivals() {
        let first = times.iter().min().copied();
        let last = times.iter().max().copied();
        if let (Some(first), Some(last)) = (first, last)
            && first > before.at + Duration::from_millis(200)
            && last + Duration::from_millis(1200) < after.at
        {
            lags.extend(times.iter().map(|at| micros(*at - first)));
        }
    }
    let ms = |values: &mut [u64], share| {
        percentile(values, share).map_or(f64::NAN, |us| us as f64 / 1000.0)
    };
    let clients = joined.max(1) as f64;
    println!(
        "cpu_gb={} us={} core={} lead={} mbps={} slowest_mbps={} joined={joined} gone={} lag50={} lag99={} lagmax={} join50={} join99={} silence={} rss={}",
        cpu / (bytes as f64 / 1e9),
        cpu * 1e6 / clients / seconds,
        after.since(before),
        (after.lead - before.lead) / seconds * 100.0,
        bytes as f64 * 8.0 / seconds / clients / 1e6,
        percentile(&mut rates, 0.0).unwrap_or(0) as f64 / 1e6,
        seen.iter().filter(|s| s.gone).count(),
        ms(&mut lags, 0.5),
        ms(&mut lags, 0.99),
        ms(&mut lags, 1.0),
        ms(&mut joins, 0.5),
        ms(&mut joins, 0.99),
        ms(&mut silences, 0.5),
        rss_kb,
    );
}

/// Resident memory of a process in KiB.
fn rss_kb(pid: u32) -> Result<u64, String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    let status = status.map_err(|e| format!("/proc/{pid}: {e}"))?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let rss = rss.and_then(|rss| rss.split_whitespace().next()?.parse().ok());
    Ok(rss.unwrap_or(0))
}
