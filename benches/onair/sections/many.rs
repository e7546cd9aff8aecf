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

/// What the role printed, by the row's name and the number of streams.
type Results = HashMap<(&'static str, usize), String>;

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    plays(bench, report)?;
    sinks(bench, report)
}

fn plays(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let server = bench.blast_server(4096)?;
    let location = format!("rtmp://127.0.0.1:{}/live/live", server.port("rtmp"));
    let sink = "fakesink name=pad sync=false";
    // As many buffers and bytes as the stream has, in time with the clock.
    let fake = "fakesrc is-live=true sync=true datarate=250000 sizetype=fixed sizemax=3676";
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
    let mut rows = Vec::new();
    for count in [1, 50, 500] {
        for (name, house, element, line) in &lines {
            if bench.has(*house, element) && bench.wants(name) {
                let args = ["many-plays", line];
                rows.push(measure(
                    bench,
                    name,
                    *house,
                    &args,
                    count,
                    &[],
                    &mut results,
                )?);
            }
        }
    }
    let head = HEAD.map(|h| if h.is_empty() { "plays of 2 Mb/s" } else { h });
    report.table("Many live plays in one process", &head, &rows);

    // Endless where a row was tried and failed, so that it keeps no promise.
    let get = |name, count, what| {
        let printed = results.get(&(name, count))?;
        Some(figure(printed, what).unwrap_or(f64::INFINITY))
    };
    let cpu = |name, count| get(name, count, "cpu");
    let over = |a: Option<f64>, b: Option<f64>| Some(a? / b.filter(|b| b.is_finite())?);
    report.at_most(
        "50 plays: CPU of rtmp2src",
        0.4,
        over(cpu(OURS, 50), cpu(RTMP2, 50)),
    );
    report.at_most(
        format!("50 plays: threads a source, {HOUSEHOLD} for the household aside"),
        1.0,
        get(OURS, 50, "threads").map(|t| (t - HOUSEHOLD) / 50.0),
    );
    let per_stream = over(cpu(OURS, 500), cpu(OURS, 50)).map(|r| r / 10.0);
    report.at_most(
        "500 plays: CPU per play of that at 50 plays",
        SAME,
        per_stream,
    );
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
    let mut rows = Vec::new();
    for count in [50, 500] {
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
                rows.push(measure(
                    bench,
                    name,
                    *house,
                    &args,
                    count,
                    &more,
                    &mut results,
                )?);
            }
        }
    }
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

/// One process with `count` pipelines; its row of the table.
fn measure(
    bench: &Bench<'_>,
    name: &'static str,
    house: House,
    args: &[&str],
    count: usize,
    more: &[&str],
    results: &mut Results,
) -> Result<Vec<String>, String> {
    let window = if bench.args.quick { "2" } else { "5" };
    let number = count.to_string();
    let args = [args, &[&number, window], more].concat();
    let mut complaint = String::new();
    for _ in 0..super::CRASHES {
        let ended = child::run(&mut bench.role(house, &args)?, super::DEADLINE)?;
        eprintln!("  {name} {count}: {}", ended.stdout.trim());
        match ended.complaint() {
            None => {
                let get = |what| figure(&ended.stdout, what);
                let row = vec![
                    name.to_owned(),
                    number,
                    cell(get("cpu"), 1),
                    cell(get("cpu").map(|c| c / count as f64), 3),
                    cell(get("rss"), 1),
                    cell(get("threads"), 0),
                    cell(get("p50"), 2),
                    cell(get("p99"), 2),
                    cell(get("mbps"), 2),
                ];
                results.insert((name, count), ended.stdout);
                return Ok(row);
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
    results.insert((name, count), String::new());
    Ok(vec![name.to_owned(), number, complaint])
}
