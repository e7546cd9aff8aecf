// SPDX-License-Identifier: MPL-2.0

//! What muxing and demuxing cost, without sources and sinks, beside GStreamer's own elements and beside
//! no element at all; and how often memory is allocated for a frame.

use std::path::Path;

use super::{Bench, DEADLINE};
use crate::child;
use crate::houses::House;
use crate::measure::Spread;
use crate::roles::figure;
use crate::table::{Report, cell};

/// What is promised: CPU of ours over theirs.
const AT_MOST: f64 = 0.7;

/// The role that reads a file; with no element it does nothing else.
const FILE: &str = "flv-demux-file";

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let (slow, fast) = (&bench.media.live, &bench.media.short()?.flv);
    let mut lines = Vec::new();
    for (rate, file, times) in [("2 Mb/s", slow, 120), ("50 Mb/s", fast, 30)] {
        for (what, role, theirs, ours) in [
            ("mux", "flv-mux", "flvmux", "flvmuxbridge"),
            (
                "demux, a tag a buffer",
                "flv-demux-tags",
                "flvdemux",
                "flvdemuxbridge",
            ),
            (
                "demux, 64 KiB blocks",
                "flv-demux-blocks",
                "flvdemux",
                "flvdemuxbridge",
            ),
            (
                "demux, a file pulled, ratio without reading",
                FILE,
                "flvdemux",
                "flvdemuxbridge",
            ),
        ] {
            let name = format!("{what}, {rate}");
            if !bench.wants(&name) {
                continue;
            }
            let mut costs: [Vec<f64>; 3] = Default::default();
            let mut ratios = Vec::new();
            let mut allocations = [0.0; 2];
            for _ in 0..bench.args.rounds {
                let [none, theirs, ours] = [
                    cost(bench, role, "none", file, times)?,
                    cost(bench, role, theirs, file, times)?,
                    cost(bench, role, ours, file, times)?,
                ];
                // Whoever pulls, reads: at 50 Mb/s that costs three times what flvdemux does, and is filesrc's.
                let reading = if role == FILE { none.cpu } else { 0.0 };
                ratios.push((ours.cpu - reading) / (theirs.cpu - reading));
                allocations = [theirs.allocations, ours.allocations];
                for (costs, cost) in costs.iter_mut().zip([none, theirs, ours]) {
                    costs.push(cost.cpu);
                }
            }
            let costs = costs.map(|costs| Spread::of(costs).map(|spread| spread.show(3)));
            let [none_cost, theirs_cost, ours_cost] = costs.map(Option::unwrap_or_default);
            let ratio = Spread::of(ratios).map(|spread| spread.median);
            lines.push(vec![
                name.clone(),
                none_cost,
                theirs_cost,
                ours_cost,
                cell(ratio, 2),
                cell(Some(allocations[0]), 1),
                cell(Some(allocations[1]), 1),
            ]);
            report.at_most(format!("{name}: of {theirs}"), AT_MOST, ratio);
        }
    }
    report.table(
        "FLV, H.264 and AAC: CPU s/GB, and allocations a frame",
        &[
            "",
            "no element",
            "GStreamer's",
            "**ours**",
            "ratio",
            "allocations, GStreamer's",
            "**ours**",
        ],
        &lines,
    );
    Ok(())
}

/// What one run cost.
struct Cost {
    /// CPU seconds a GB.
    cpu: f64,
    /// For each frame.
    allocations: f64,
}

fn cost(
    bench: &Bench<'_>,
    role: &str,
    element: &str,
    file: &Path,
    times: usize,
) -> Result<Cost, String> {
    let (file, times) = (file.to_string_lossy(), times.to_string());
    let mut command = bench.role(House::Ours, &[role, element, &file, &times])?;
    let ended = child::run(&mut command, DEADLINE)?;
    if let Some(why) = ended.complaint() {
        return Err(format!("{role} {element}: {why}"));
    }
    let get = |name| figure(&ended.stdout, name);
    let (cpu, bytes) = get("cpu").zip(get("bytes")).ok_or("no figures")?;
    Ok(Cost {
        cpu: cpu / bytes * 1e9,
        allocations: get("allocations").ok_or("no figures")?,
    })
}
