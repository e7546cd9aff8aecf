// SPDX-License-Identifier: MPL-2.0

//! wcswebrtcbin beside bare webrtcbins wired by hand: how long until a stream is published and until
//! the first frame is seen, and what a stream costs.

use super::Bench;
use crate::child::{self, Server};
use crate::houses::House;
use crate::measure::Spread;
use crate::roles;
use crate::table::{Report, cell};

/// Streams of one process, and how long they are watched, in seconds.
const STREAMS: usize = 8;
const SECONDS: usize = 6;

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let runs = if bench.args.quick { 5 } else { 15 };
    if bench.wants("start") {
        let bare = &["wcs-start", "bare"][..];
        let ours = &["wcs-start", "ours"][..];
        let rows = [
            ("two bare webrtcbins wired by hand", bare),
            ("**wcswebrtcbin (ours)** and its server", ours),
        ];
        let times = interleave(bench, &rows, runs, "ms")?;
        table(report, "PLAYING to PUBLISHING", "ms", &rows, &times);
        report.at_most(
            "PLAYING to PUBLISHING, x bare webrtcbins",
            1.3,
            ratio(&times),
        );
    }
    let server = server(bench)?;
    let port = server.port("ws").to_string();
    if bench.wants("first frame") {
        let rows = [("**wcswebrtcbin (ours)**", &["wcs-play", &port][..])];
        let times = interleave(bench, &rows, runs, "ms")?;
        table(
            report,
            "PLAYING to the first decoded frame",
            "ms",
            &rows,
            &times,
        );
        let worst = times.concat().into_iter().reduce(f64::max);
        report.at_most(
            "PLAYING to the first decoded frame, ms, the slowest",
            300.0,
            worst,
        );
    }
    if bench.wants("load") {
        let (streams, seconds) = (STREAMS.to_string(), SECONDS.to_string());
        let bare = &["wcs-load", "bare", &port, &streams, &seconds][..];
        let ours = &["wcs-load", "ours", &port, &streams, &seconds][..];
        let rows = [("bare webrtcbin", bare), ("**wcswebrtcbin (ours)**", ours)];
        let runs = if bench.args.quick { 3 } else { 7 };
        let mut times = interleave(bench, &rows, runs, "cpu")?;
        for seconds in times.iter_mut().flatten() {
            *seconds *= 1000.0 / (STREAMS * SECONDS) as f64;
        }
        let title = format!("Publishing {STREAMS} streams of 2 Mb/s, encoded beforehand");
        table(report, &title, "CPU ms a stream and second", &rows, &times);
        report.at_most(
            "CPU of a published stream, x bare webrtcbin",
            1.1,
            ratio(&times),
        );
    }
    Ok(())
}

fn server(bench: &Bench<'_>) -> Result<Server, String> {
    Server::start_as(bench.role(House::Ours, &["wcs-server"])?, "wcs-server")
}

/// The figure of each row, one entry a round.
fn interleave(
    bench: &Bench<'_>,
    rows: &[(&str, &[&str])],
    rounds: usize,
    figure: &str,
) -> Result<Vec<Vec<f64>>, String> {
    let mut figures = vec![Vec::new(); rows.len()];
    // The first round reads plugins and registry from the disk.
    for round in 0..=rounds {
        for ((name, args), figures) in rows.iter().zip(&mut figures) {
            let mut command = bench.role(House::Ours, args)?;
            let ended = child::run(&mut command, super::DEADLINE)?;
            let found = roles::figure(&ended.stdout, figure);
            let found = match (ended.complaint(), found) {
                (None, Some(found)) => found,
                (why, _) => return Err(format!("{name}: {}", why.unwrap_or_default())),
            };
            eprintln!("  {round}/{rounds} {name}: {found:.3}");
            if round > 0 {
                figures.push(found);
            }
        }
    }
    Ok(figures)
}

/// The median over the rounds of the second row over the first.
fn ratio(figures: &[Vec<f64>]) -> Option<f64> {
    let [base, own] = figures else {
        return None;
    };
    let ratios = own.iter().zip(base).map(|(own, base)| own / base);
    Some(Spread::of(ratios.collect())?.median)
}

fn table(
    report: &mut Report,
    title: &str,
    unit: &str,
    rows: &[(&str, &[&str])],
    figures: &[Vec<f64>],
) {
    let lines: Vec<_> = rows
        .iter()
        .zip(figures)
        .map(|((name, _), own)| {
            let spread = Spread::of(own.clone());
            let base = figures.first().filter(|_| figures.len() > 1);
            let ratio = base.and_then(|base| ratio(&[base.clone(), own.clone()]));
            vec![
                (*name).to_owned(),
                spread.map_or("-".to_owned(), |spread| spread.show(1)),
                cell(ratio, 2),
            ]
        })
        .collect();
    report.table(title, &["", unit, "x bare"], &lines);
}
