// SPDX-License-Identifier: MPL-2.0

//! What it costs to play, from a server that writes from memory, at three chunk sizes.

use std::process::Command;

use super::{Bench, ffmpeg, ratio, receive, receive_some, throughput};
use crate::child;
use crate::houses::House;
use crate::measure::{Row, interleave};
use crate::table::Report;

const OURS: &str = "**rtmpsrc (ours)**";
const RTMP2: &str = "rtmp2src";
const RTMPDUMP: &str = "rtmpdump";
const TCP: &str = "tcpclientsrc";
/// librtmp's rtmpsrc fills its blocks; this is its default.
const BLOCK: u64 = 4096;

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    for chunk in [128, 4096, 65536] {
        at(bench, report, chunk)?;
    }
    Ok(())
}

fn at(bench: &Bench<'_>, report: &mut Report, chunk: usize) -> Result<(), String> {
    let server = bench.blast_server(chunk)?;
    let base = format!("rtmp://127.0.0.1:{}/live", server.port("rtmp"));
    let raw = server.port("raw").to_string();
    let raw_port = format!("port={raw}");
    let whole = format!("location={base}/whole");
    let fakesink = ["!", "fakesink", "sync=false"];

    let source = |house, words: &[&str]| bench.launch(house, &[words, &fakesink[..]].concat());
    let mut rows = Vec::new();
    rows.push(Row::new("plain socket loop, 256 KiB", || {
        receive(&server, &mut child::role(&["read-loop", &raw])?)
    }));
    rows.push(Row::new(TCP, || {
        let words = ["tcpclientsrc", "host=127.0.0.1", &raw_port];
        receive(&server, &mut source(House::System, &words))
    }));
    rows.push(Row::new(RTMPDUMP, || {
        let mut command = Command::new("rtmpdump");
        command.args([
            "-q",
            "-v",
            "-r",
            &format!("{base}/whole"),
            "-o",
            "/dev/null",
        ]);
        receive(&server, &mut command)
    }));
    if bench.has(House::System, "rtmp2src") {
        rows.push(Row::new(RTMP2, || {
            receive(&server, &mut source(House::System, &["rtmp2src", &whole]))
        }));
    }
    if bench.has(House::System, "rtmpsrc") {
        // It takes the end of a stream for a lost connection and plays again from the start, so
        // it is told to stop a little earlier.
        let blocks = bench.media.long()?.bytes / BLOCK - 256;
        let live = format!("{whole} live=1");
        let (size, count) = (
            format!("blocksize={BLOCK}"),
            format!("num-buffers={blocks}"),
        );
        let source = &source;
        rows.push(Row::new("librtmp's rtmpsrc", move || {
            let words = ["rtmpsrc", &live, &size, &count];
            receive_some(&mut source(House::System, &words), blocks * BLOCK)
        }));
    }
    rows.push(Row::new("ffmpeg -c copy", || {
        // A system call a chunk: the whole would take it half a minute.
        let stretch = match chunk {
            128 => (bench.media.short()?.bytes / 1_000_000).to_string(),
            _ => "whole".to_owned(),
        };
        let url = format!("{base}/{stretch}");
        let args = ["-i", &url, "-c", "copy", "-f", "flv", "/dev/null"];
        receive(&server, &mut ffmpeg(args))
    }));
    if bench.has(House::Ours, "rtmpsrc") {
        rows.push(Row::new(OURS, || {
            receive(&server, &mut source(House::Ours, &["rtmpsrc", &whole]))
        }));
    }
    rows.retain(|row| bench.wants(&row.name));
    interleave(&mut rows, bench.args.rounds);

    let bases = [(RTMP2, RTMP2), (RTMPDUMP, RTMPDUMP), (TCP, TCP)];
    throughput(
        report,
        &format!("Play, server's chunk size {chunk}"),
        &rows,
        &bases,
    );
    let got = |base| ratio(&rows, OURS, base);
    if chunk == 128 {
        report.at_most("play at chunk 128: of rtmp2src", 0.5, got(RTMP2));
    } else {
        let what = |of| format!("play at chunk {chunk}: of {of}");
        report.at_most(what(RTMP2), 0.4, got(RTMP2));
        report.at_most(what(RTMPDUMP), 1.5, got(RTMPDUMP));
        report.below(what(TCP), 1.0, got(TCP));
    }
    Ok(())
}
