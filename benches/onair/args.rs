// SPDX-License-Identifier: MPL-2.0

//! The command line of the bench.

use std::path::PathBuf;

use crate::sections::SECTIONS;

pub(crate) const USAGE: &str = "\
cargo bench --bench onair -- [SECTION...] [--quick] [--rounds N] [--only TEXTS]
    [--clients COUNTS] [--out FILE]

  SECTION      publish play first-buffer many tls states webm players flv wrappings wcs (all of them when none is named)
  --quick      a third of the data, one round, shorter windows: for a look, not for the README
  --rounds N   interleaved rounds, 3 unless told
  --only TEXTS only rows whose name contains one of TEXTS, which are parted by commas; ratios to
               rows left out are left out too. Ours are called (ours).
  --clients N,N
               only these numbers of clients, of 100 500 1000 2000 5000, and 200 for TLS (webm, players)
  --out FILE   write the Markdown there as well";

/// What the caller asked for.
#[derive(Debug, Clone)]
pub(crate) struct Args {
    pub(crate) sections: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    pub(crate) only: Vec<String>,
    /// Of `webm` and `players`, how many clients; empty for all there are.
    pub(crate) clients: Vec<usize>,
    pub(crate) out: Option<PathBuf>,
}

impl Args {
    /// `None` means that the usage is wanted.
    pub(crate) fn parse(raw: Vec<String>) -> Result<Option<Self>, String> {
        let mut args = Self {
            sections: Vec::new(),
            quick: false,
            rounds: 0,
            only: Vec::new(),
            clients: Vec::new(),
            out: None,
        };
        let mut raw = raw.into_iter();
        while let Some(arg) = raw.next() {
            let mut value = || raw.next().ok_or(format!("{arg} wants a value"));
            match arg.as_str() {
                // cargo adds it to every bench it starts.
                "--bench" => {}
                "--help" | "-h" => return Ok(None),
                "--quick" => args.quick = true,
                "--rounds" => {
                    args.rounds = value()?.parse().map_err(|_| "--rounds wants a number")?;
                }
                "--only" => args.only.extend(value()?.split(',').map(str::to_owned)),
                "--clients" => {
                    let counts = value()?
                        .split(',')
                        .map(str::parse)
                        .collect::<Result<_, _>>();
                    args.clients =
                        counts.map_err(|_| "--clients wants numbers, parted by commas")?;
                }
                "--out" => args.out = Some(value()?.into()),
                section if SECTIONS.contains(&section) => args.sections.push(section.to_owned()),
                other => return Err(format!("unknown argument {other}")),
            }
        }
        if args.sections.is_empty() {
            args.sections = SECTIONS.iter().map(|s| (*s).to_owned()).collect();
        }
        if args.rounds == 0 {
            args.rounds = if args.quick { 1 } else { 3 };
        }
        Ok(Some(args))
    }

    /// The numbers of clients of a table that also has 5000: those of `more` only if there is time, or if
    /// they were named.
    pub(crate) fn counts(&self, few: &[usize], more: &[usize]) -> Vec<usize> {
        let named = !self.clients.is_empty();
        let more = more.iter().filter(|_| named || !self.quick);
        let counts = few.iter().chain(more).copied();
        let mut counts: Vec<usize> = counts.filter(|c| self.wants_clients(*c)).collect();
        counts.sort_unstable();
        counts
    }

    /// Whether a table is to have this number of clients.
    pub(crate) fn wants_clients(&self, count: usize) -> bool {
        self.clients.is_empty() || self.clients.contains(&count)
    }
}
