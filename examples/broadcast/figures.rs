// SPDX-License-Identifier: MPL-2.0

//! What was seen and heard, added up for a line a second and for the summary.

use std::time::{Duration, Instant};

use crate::stamp;

/// One second, and the whole run.
pub(crate) struct Figures {
    began: Instant,
    second: Instant,
    bytes: u64,
    frames: u32,
    latencies: Vec<Duration>,
    power: f64,
    samples: u64,
    last_stamp: Option<u32>,
    /// Connections after the first.
    pub(crate) reconnects: u32,
    /// Of the whole run.
    pub(crate) total: Total,
}

/// What the run amounts to.
#[derive(Debug, Default)]
pub(crate) struct Total {
    pub(crate) frames: u64,
    pub(crate) stamped: u64,
    pub(crate) disordered: u64,
    pub(crate) samples: u64,
    pub(crate) bytes: u64,
    pub(crate) latencies: Vec<Duration>,
}

/// The figures of one second.
pub(crate) struct Second {
    pub(crate) bits_per_second: f64,
    pub(crate) frames_per_second: f64,
    /// The median of the second, if its pictures carry stamps.
    pub(crate) latency: Option<Duration>,
    /// Mean level of the sound, dB below full scale.
    pub(crate) level: Option<f64>,
}

impl Figures {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            second: now,
            bytes: 0,
            frames: 0,
            latencies: Vec::new(),
            power: 0.0,
            samples: 0,
            last_stamp: None,
            reconnects: 0,
            total: Total::default(),
        }
    }

    /// What a picture that is taken now is stamped with: milliseconds.
    pub(crate) fn now(&self) -> u32 {
        self.began.elapsed().as_millis() as u32
    }

    /// A picture is shown now.
    pub(crate) fn picture(&mut self, luma: &[u8], width: usize, height: usize) {
        self.frames += 1;
        self.total.frames += 1;
        let now = self.now();
        let Some(taken) = stamp::read(luma, width, height).filter(|taken| *taken <= now) else {
            return;
        };
        self.total.stamped += 1;
        if self.last_stamp.is_some_and(|last| taken <= last) {
            self.total.disordered += 1;
        }
        self.last_stamp = Some(taken);
        let latency = Duration::from_millis((now - taken).into());
        self.latencies.push(latency);
        self.total.latencies.push(latency);
    }

    /// Sound is heard: interleaved samples of 16 bits in the machine's order.
    pub(crate) fn sound(&mut self, samples: &[u8]) {
        for sample in samples.as_chunks().0 {
            let sample = f64::from(i16::from_ne_bytes(*sample)) / 32768.0;
            self.power += sample * sample;
        }
        self.samples += samples.len() as u64 / 2;
        self.total.samples += samples.len() as u64 / 2;
    }

    /// Ends a second; `bytes` were received so far, counted anew for each connection.
    pub(crate) fn turn(&mut self, bytes: u64) -> Second {
        let received = bytes.checked_sub(self.bytes).unwrap_or(bytes);
        let span = self.second.elapsed().as_secs_f64().max(0.001);
        let second = Second {
            bits_per_second: received as f64 * 8.0 / span,
            frames_per_second: f64::from(self.frames) / span,
            latency: quantile(&mut self.latencies, 0.5),
            level: (self.power > 0.0)
                .then(|| 10.0 * (self.power / self.samples.max(1) as f64).log10()),
        };
        self.second = Instant::now();
        self.bytes = bytes;
        self.total.bytes += received;
        self.frames = 0;
        self.latencies.clear();
        (self.power, self.samples) = (0.0, 0);
        second
    }
}

/// The value below which this part of the values lies.
pub(crate) fn quantile(values: &mut [Duration], part: f64) -> Option<Duration> {
    values.sort_unstable();
    let last = values.len().checked_sub(1)?;
    values.get((last as f64 * part).round() as usize).copied()
}
