// SPDX-License-Identifier: MPL-2.0

//! What TLS adds: rtmps beside the same bytes over a bare rustls stream, against rustls.

use super::publish::tag_source;
use super::{Bench, ffmpeg, ratio, receive, run_to_end, send, throughput};
use crate::child;
use crate::houses::House;
use crate::measure::{Row, Sample, interleave};
use crate::table::Report;

const LOOP: &str = "plain loop over rustls";
const OURS: &str = "**ours**";
const RTMP2: &str = "rtmp2 (GnuTLS)";

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    publish(bench, report)?;
    play(bench, report)
}

/// Our elements check certificates, so they get the authority; the others are told not to look.
fn ours_trusts(bench: &Bench<'_>) -> String {
    format!(
        "tls-ca-file={}",
        bench.certificates().join("ca.pem").display()
    )
}

fn publish(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let server = bench.sink_server()?;
    let feed = bench.media.long()?;
    let certificates = bench.certificates().to_string_lossy().into_owned();
    let url = format!("rtmps://localhost:{}/live/bench", server.port("rtmps"));
    let location = format!("location={url}");
    let raw = server.port("rawtls").to_string();
    let flv = feed.flv.to_string_lossy().into_owned();
    let trust = ours_trusts(bench);
    let source = tag_source(feed, true);
    let tags = |house, sink: &[&str]| {
        let mut words: Vec<&str> = source.iter().map(String::as_str).collect();
        words.push("!");
        words.extend(sink);
        bench.launch(house, &words)
    };
    let mut rows = vec![
        Row::new(LOOP, || {
            let args = ["write-loop", &raw, &flv, &certificates];
            send(&server, &mut child::role(&args)?, feed.bytes)
        }),
        Row::new("ffmpeg (GnuTLS)", || {
            let mut command = ffmpeg(["-i", &flv, "-c", "copy", "-f", "flv", &url]);
            send(&server, &mut command, feed.bytes)
        }),
    ];
    if bench.has(House::System, "rtmp2sink") {
        rows.push(Row::new(RTMP2, || {
            let words = [
                "rtmp2sink",
                &location,
                "tls-validation-flags=0",
                "chunk-size=65536",
            ];
            let words = [&words[..], &["sync=false"]].concat();
            send(&server, &mut tags(House::System, &words), feed.bytes)
        }));
    }
    if bench.has(House::Ours, "rtmpsink") {
        rows.push(Row::new(OURS, || {
            // As the loop reads it: tags from files cost as much again as the loop does.
            let source = format!("location={flv}");
            let words = ["filesrc", &source, "blocksize=65536", "!"];
            let words = [&words[..], &["rtmpsink", &location, &trust, "sync=false"]].concat();
            send(&server, &mut bench.launch(House::Ours, &words), feed.bytes)
        }));
    }
    finish(bench, report, "publish", rows)
}

fn play(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let server = bench.blast_server(4096)?;
    let certificates = bench.certificates().to_string_lossy().into_owned();
    let url = format!("rtmps://localhost:{}/live/whole", server.port("rtmps"));
    let location = format!("location={url}");
    let raw = server.port("rawtls").to_string();
    let trust = ours_trusts(bench);
    let fakesink = ["!", "fakesink", "sync=false"];
    let source = |house, words: &[&str]| bench.launch(house, &[words, &fakesink[..]].concat());
    let mut rows = vec![
        Row::new(LOOP, || {
            receive(
                &server,
                &mut child::role(&["read-loop", &raw, &certificates])?,
            )
        }),
        Row::new("ffmpeg (GnuTLS)", || {
            receive(
                &server,
                &mut ffmpeg(["-i", &url, "-c", "copy", "-f", "flv", "/dev/null"]),
            )
        }),
    ];
    if bench.has(House::System, "rtmp2src") {
        rows.push(Row::new(RTMP2, || {
            let words = ["rtmp2src", &location, "tls-validation-flags=0"];
            receive(&server, &mut source(House::System, &words))
        }));
    }
    if bench.has(House::Ours, "rtmpsrc") {
        rows.push(Row::new(OURS, || {
            receive(
                &server,
                &mut source(House::Ours, &["rtmpsrc", &location, &trust]),
            )
        }));
    }
    finish(bench, report, "play, server's chunk size 4096", rows)
}

fn finish(
    bench: &Bench<'_>,
    report: &mut Report,
    what: &str,
    mut rows: Vec<Row<'_>>,
) -> Result<(), String> {
    rows.retain(|row| bench.wants(&row.name));
    interleave(&mut rows, bench.args.rounds);
    let title = format!("rtmps, {what}");
    throughput(
        report,
        &title,
        &rows,
        &[("bare rustls", LOOP), ("rtmp2", RTMP2)],
    );
    report.at_most(
        format!("{title}: of bare rustls"),
        1.15,
        ratio(&rows, OURS, LOOP),
    );
    // The loop is there at once; gst-launch-1.0 first loads GStreamer, whatever it is to send then.
    let start = start(bench)?;
    let rounds = |name| {
        rows.iter()
            .find(|row| row.name == name)
            .map(|row| &row.rounds)
    };
    let apart = rounds(OURS).zip(rounds(LOOP)).map(|(ours, bare)| {
        let both = ours.iter().flatten().zip(bare.iter().flatten());
        both.map(|(ours, bare)| (ours.cpu_per_gb() - start / ours.gigabytes) / bare.cpu_per_gb())
            .collect::<Vec<_>>()
    });
    report.at_most(
        format!(
            "{title}: of bare rustls, the start of the process ({:.0} ms) apart",
            start * 1e3
        ),
        1.15,
        apart.filter(|ratios| !ratios.is_empty()).map(median),
    );
    Ok(())
}

/// CPU seconds that gst-launch-1.0 takes for a pipeline with nothing to do, the median of five.
pub(super) fn start(bench: &Bench<'_>) -> Result<f64, String> {
    let mut seconds = Vec::new();
    for _ in 0..5 {
        let words = ["fakesrc", "num-buffers=1", "!", "fakesink"];
        let sample = Sample::new(&run_to_end(&mut bench.launch(House::Ours, &words))?, 1);
        seconds.push(sample.user + sample.system);
    }
    Ok(median(seconds))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
