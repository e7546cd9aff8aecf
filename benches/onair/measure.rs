// SPDX-License-Identifier: MPL-2.0

//! Rows that are measured in interleaved rounds, and the small statistics on them.

use crate::child::Ended;

/// What one run of one row gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) user: f64,
    pub(crate) system: f64,
    pub(crate) wall: f64,
    pub(crate) rss_mb: f64,
    pub(crate) gigabytes: f64,
}

impl Sample {
    /// `bytes`: FLV bytes that went through the process.
    pub(crate) fn new(ended: &Ended, bytes: u64) -> Self {
        Self {
            user: ended.cost.user,
            system: ended.cost.system,
            wall: ended.cost.wall.as_secs_f64(),
            rss_mb: ended.cost.max_rss_kb as f64 / 1024.0,
            gigabytes: bytes as f64 / 1e9,
        }
    }

    pub(crate) fn cpu_per_gb(&self) -> f64 {
        (self.user + self.system) / self.gigabytes
    }
}

type Runner<'a> = Box<dyn FnMut() -> Result<Sample, String> + 'a>;

/// One line of a table in the making.
pub(crate) struct Row<'a> {
    pub(crate) name: String,
    run: Runner<'a>,
    /// One entry a round, so that ratios can be taken within a round.
    pub(crate) rounds: Vec<Result<Sample, String>>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(
        name: impl Into<String>,
        run: impl FnMut() -> Result<Sample, String> + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            run: Box::new(run),
            rounds: Vec::new(),
        }
    }

    pub(crate) fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.rounds.iter().flatten()
    }

    pub(crate) fn spread(&self, of: impl Fn(&Sample) -> f64) -> Option<Spread> {
        Spread::of(self.samples().map(of).collect())
    }

    /// The median over the rounds of this row's cost per byte over the other's.
    pub(crate) fn ratio(&self, base: &Self) -> Option<f64> {
        let both = self.rounds.iter().zip(&base.rounds);
        let ratios = both.filter_map(|pair| match pair {
            (Ok(own), Ok(base)) => Some(own.cpu_per_gb() / base.cpu_per_gb()),
            _ => None,
        });
        Some(Spread::of(ratios.collect())?.median)
    }
}

/// Runs every row once a round, until it fails.
pub(crate) fn interleave(rows: &mut [Row<'_>], rounds: usize) {
    for round in 1..=rounds {
        for row in &mut *rows {
            // What failed once would only cost the other rows their time.
            let result = match row.rounds.last() {
                Some(Err(complaint)) => Err(complaint.clone()),
                _ => (row.run)(),
            };
            match &result {
                Ok(s) => eprintln!(
                    "  {round}/{rounds} {}: {:.3} s/GB",
                    row.name,
                    s.cpu_per_gb()
                ),
                Err(complaint) => eprintln!("  {round}/{rounds} {}: {complaint}", row.name),
            }
            row.rounds.push(result);
        }
    }
}

/// Median, smallest and largest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        Some(Self {
            min: values[0],
            median: (values[last / 2] + values[last.div_ceil(2)]) / 2.0,
            max: values[last],
        })
    }

    pub(crate) fn show(&self, digits: usize) -> String {
        let Self { min, median, max } = self;
        format!("{median:.digits$} ({min:.digits$}..{max:.digits$})")
    }
}

/// The value below which `share` of `values` lie.
pub(crate) fn percentile(values: &mut [u64], share: f64) -> Option<u64> {
    values.sort_unstable();
    let last = values.len().checked_sub(1)?;
    Some(values[(last as f64 * share).round() as usize])
}
