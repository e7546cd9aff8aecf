// SPDX-License-Identifier: MPL-2.0

//! Many live streams of 2 Mb/s in one process, played and published.

use std::collections::HashMap;

use super::Bench;
use crate::child;
use crate::houses::House;
use crate::roles::figure;
use crate::table::{Report, cell};

const OURS: &str = "**ours**";
const RTMP2: &str = "rtmp2";
const LIBRTMP: &str = "librtmp";
const NONE: &str = "none (no network)";

/// Growth of the cost per stream from 50 to 500 that is still "the same".
const SAME: f64 = 1.15;
/// Threads of a process that has no stream: main, the registry's and GLib's own.
const HOUSEHOLD: f64 = 4.0;

/// What the role printed in each round, by the row's name and the number of streams.
type Results = HashMap<(&'static str, usize), Vec<String>>;

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    plays(bench, report)?;
    sinks(bench, report)
}

/// How the tags come: a server passes on what an encoder's muxer puts out, sound and picture of a frame
/// together, or, where the two come apart on the way, each for itself.
const PACES: [(&str, &str, &[usize]); 2] = [
    ("frames", "a frame and its sound together", &[1, 50, 500]),
    ("live", "each tag for itself", &[50]),
];

fn plays(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    for (stream, pace, counts) in PACES {
        plays_at(bench, report, stream, pace, counts)?;
    }
    Ok(())
}

fn plays_at(
    bench: &Bench<'_>,
    report: &mut Report,
    stream: &str,
    pace: &str,
    counts: &[usize],
) -> Result<(), String> {
    let server = bench.blast_server(4096)?;
    let location = format!("rtmp://127.0.0.1:{}/live/{stream}", server.port("rtmp"));
    let sink = "fakesink name=pad sync=false";
    // As many wake-ups and bytes as the stream has, in time with the clock.
    let size = if stream == "frames" { 10_000 } else { 3676 };
    let fake =
        format!("fakesrc is-live=true sync=true datarate=250000 sizetype=fixed sizemax={size}");
    let lines = [
        (NONE, House::System, "rtmp2src", format!("{fake} ! {sink}")),
        (
            RTMP2,
            House::System,
            "rtmp2src",
            format!("rtmp2src location={location} ! {sink}"),
        ),
        (
            LIBRTMP,
            House::System,
            "rtmpsrc",
            format!("rtmpsrc location=\"{location} live=1\" ! {sink}"),
        ),
        (
            OURS,
            House::Ours,
            "rtmpsrc",
            format!("rtmpsrc location={location} ! {sink}"),
        ),
    ];
    let mut results = Results::new();
    for &count in counts {
        for _ in 0..bench.args.rounds {
            for (name, house, element, line) in &lines {
                if bench.has(*house, element) && bench.wants(name) {
                    let args = ["many-plays", line];
                    measure(bench, name, *house, &args, count, &[], &mut results)?;
                }
            }
        }
    }
    let names = lines.iter().map(|(name, ..)| *name);
    let rows = rows(names, counts, &results);
    let head = HEAD.map(|h| if h.is_empty() { "plays of 2 Mb/s" } else { h });
    report.table(
        &format!("Many live plays in one process, {pace}"),
        &head,
        &rows,
    );

    let get = |name, count, what| median(&results, name, count, what);
    let cpu = |name, count| get(name, count, "cpu");
    let over = |a: Option<f64>, b: Option<f64>| Some(a? / b.filter(|b| b.is_finite())?);
    report.at_most(
        format!("50 plays, {pace}: CPU of rtmp2src"),
        0.4,
        over(cpu(OURS, 50), cpu(RTMP2, 50)),
    );
    report.at_most(
        format!("50 plays, {pace}: threads a source, {HOUSEHOLD} for the household aside"),
        1.0,
        get(OURS, 50, "threads").map(|t| (t - HOUSEHOLD) / 50.0),
    );
    if counts.contains(&500) {
        let per_stream = over(cpu(OURS, 500), cpu(OURS, 50)).map(|r| r / 10.0);
        report.at_most(
            format!("500 plays, {pace}: CPU per play of that at 50 plays"),
            SAME,
            per_stream,
        );
    }
    Ok(())
}

fn sinks(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let server = bench.sink_server()?;
    let location = format!("rtmp://127.0.0.1:{}/live/bench", server.port("rtmp"));
    let live = bench.media.live.to_string_lossy().into_owned();
    let line = |sink: &str| format!("appsrc name=in caps=video/x-flv is-live=true ! {sink}");
    let to = |element: &str| {
        line(&format!(
            "{element} name=pad location={location} sync=false"
        ))
    };
    let lines = [
        (
            NONE,
            House::System,
            "rtmp2sink",
            line("fakesink name=pad sync=false"),
        ),
        (
            RTMP2,
            House::System,
            "rtmp2sink",
            to("rtmp2sink chunk-size=65536"),
        ),
        (LIBRTMP, House::System, "rtmpsink", to("rtmpsink")),
        (OURS, House::Ours, "rtmpsink", to("rtmpsink")),
    ];
    let mut results = Results::new();
    let counts = [50, 500];
    for count in counts {
        for (name, house, element, line) in &lines {
            if bench.has(*house, element) && bench.wants(name) {
                let args = ["many-sinks", line];
                // An FLV header as a buffer of its own makes librtmp's sink crash.
                let header = if *name == LIBRTMP {
                    "headless"
                } else {
                    "header"
                };
                let more = [live.as_str(), header];
                measure(bench, name, *house, &args, count, &more, &mut results)?;
            }
        }
    }
    let rows = rows(lines.iter().map(|(name, ..)| *name), &counts, &results);
    let head = HEAD.map(|h| if h.is_empty() { "sinks of 2 Mb/s" } else { h });
    report.table(
        "Many publishing sinks in one process, fed by one thread",
        &head,
        &rows,
    );
    Ok(())
}

const HEAD: [&str; 9] = [
    "",
    "streams",
    "% of a core",
    "% a stream",
    "RSS MB",
    "threads",
    "p50 ms socket to pad",
    "p99 ms",
    "Mb/s got",
];

/// The median of a figure over the rounds; endless where none succeeded, so that it keeps no promise.
fn median(results: &Results, name: &'static str, count: usize, what: &str) -> Option<f64> {
    let rounds = results.get(&(name, count))?;
    let mut values: Vec<f64> = rounds.iter().filter_map(|r| figure(r, what)).collect();
    values.sort_by(f64::total_cmp);
    Some(
        values
            .get(values.len() / 2)
            .copied()
            .unwrap_or(f64::INFINITY),
    )
}

fn rows(
    names: impl Iterator<Item = &'static str> + Clone,
    counts: &[usize],
    results: &Results,
) -> Vec<Vec<String>> {
    let measured = counts
        .iter()
        .flat_map(|count| names.clone().map(move |name| (name, *count)))
        .filter(|key| results.contains_key(key));
    measured
        .map(|(name, count)| {
            let get = |what| median(results, name, count, what).filter(|v| v.is_finite());
            vec![
                name.to_owned(),
                count.to_string(),
                cell(get("cpu"), 1),
                cell(get("cpu").map(|c| c / count as f64), 3),
                cell(get("rss"), 1),
                cell(get("threads"), 0),
                cell(get("p50"), 2),
                cell(get("p99"), 2),
                cell(get("mbps"), 2),
            ]
        })
        .collect()
}

/// One process with `count` pipelines; what it printed is kept, nothing where it failed.
fn measure(
    bench: &Bench<'_>,
    name: &'static str,
    house: House,
    args: &[&str],
    count: usize,
    more: &[&str],
    results: &mut Results,
) -> Result<(), String> {
    let window = if bench.args.quick { "2" } else { "5" };
    let number = count.to_string();
    let args = [args, &[&number, window], more].concat();
    let mut complaint = String::new();
    for _ in 0..super::CRASHES {
        let ended = child::run(&mut bench.role(house, &args)?, super::DEADLINE)?;
        eprintln!("  {name} {count}: {}", ended.stdout.trim());
        match ended.complaint() {
            None => {
                results.entry((name, count)).or_default().push(ended.stdout);
                return Ok(());
            }
            Some(why) => {
                let crashed = why.starts_with("killed");
                complaint = why;
                if !crashed {
                    break;
                }
            }
        }
    }
    eprintln!("  {name} {count}: {complaint}");
    results.entry((name, count)).or_default();
    Ok(())
}
