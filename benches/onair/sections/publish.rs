// SPDX-License-Identifier: MPL-2.0

//! What it costs to publish, from ready tags and as fast as it goes.

use super::{Bench, ffmpeg, ratio, run_to_end, send, throughput};
use crate::child;
use crate::houses::House;
use crate::measure::{Row, Sample, interleave};
use crate::media::Feed;
use crate::table::Report;

const OURS: &str = "**rtmpsink (ours)**";
const OURS_BLOCKS: &str = "**rtmpsink (ours)**, 64 KiB blocks";
const RTMP2_BEST: &str = "rtmp2sink chunk 65536";
const RTMP2_DEFAULT: &str = "rtmp2sink chunk 128 (its default)";
const FFMPEG: &str = "ffmpeg -c copy";
const TCP: &str = "tcpclientsink, tags";
const TCP_BLOCKS: &str = "tcpclientsink, 64 KiB blocks";

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let server = bench.sink_server()?;
    let long = bench.media.long()?;
    let url = format!("rtmp://127.0.0.1:{}/live/bench", server.port("rtmp"));
    let location = format!("location={url}");
    let raw = server.port("raw").to_string();
    let raw_port = format!("port={raw}");
    let flv = long.flv.to_string_lossy().into_owned();

    let tags = |house, feed: &Feed, sink: &[&str]| {
        // An FLV header as a buffer of its own makes librtmp's sink crash.
        let librtmp = house == House::System && sink[0] == "rtmpsink";
        let source = tag_source(feed, !librtmp);
        let mut words: Vec<&str> = source.iter().map(String::as_str).collect();
        words.push("!");
        words.extend(sink);
        bench.launch(house, &words)
    };
    let tcp = ["tcpclientsink", "host=127.0.0.1", &raw_port, "sync=false"];

    let mut rows = Vec::new();
    rows.push(Row::new("floor: tags ! fakesink", || {
        let mut command = tags(House::System, long, &["fakesink", "sync=false"]);
        Ok(Sample::new(&run_to_end(&mut command)?, long.bytes))
    }));
    rows.push(Row::new("plain socket loop, 64 KiB", || {
        send(
            &server,
            &mut child::role(&["write-loop", &raw, &flv])?,
            long.bytes,
        )
    }));
    rows.push(Row::new(TCP_BLOCKS, || {
        let source = format!("location={flv}");
        let mut words = vec!["filesrc", &source, "blocksize=65536", "!"];
        words.extend(tcp);
        send(
            &server,
            &mut bench.launch(House::System, &words),
            long.bytes,
        )
    }));
    rows.push(Row::new(TCP, || {
        send(&server, &mut tags(House::System, long, &tcp), long.bytes)
    }));
    if bench.has(House::System, "rtmp2sink") {
        for chunk in [128, 4096, 65536] {
            let name = match chunk {
                128 => RTMP2_DEFAULT.to_owned(),
                chunk => format!("rtmp2sink chunk {chunk}"),
            };
            let size = format!("chunk-size={chunk}");
            let (tags, server, location) = (&tags, &server, &location);
            rows.push(Row::new(name, move || {
                let sink = ["rtmp2sink", location, &size, "sync=false"];
                send(server, &mut tags(House::System, long, &sink), long.bytes)
            }));
        }
    }
    if bench.has(House::System, "rtmpsink") {
        let short = bench.media.short()?;
        rows.push(Row::new("librtmp's rtmpsink", || {
            let sink = ["rtmpsink", &location, "sync=false"];
            send(&server, &mut tags(House::System, short, &sink), short.bytes)
        }));
    }
    rows.push(Row::new(FFMPEG, || {
        let mut command = ffmpeg(["-i", &flv, "-c", "copy", "-f", "flv", &url]);
        send(&server, &mut command, long.bytes)
    }));
    if bench.has(House::Ours, "rtmpsink") {
        rows.push(Row::new(OURS, || {
            let sink = ["rtmpsink", &location, "sync=false"];
            send(&server, &mut tags(House::Ours, long, &sink), long.bytes)
        }));
        rows.push(Row::new(OURS_BLOCKS, || {
            let source = format!("location={flv}");
            let words = ["filesrc", &source, "blocksize=65536", "!"];
            let words = [&words[..], &["rtmpsink", &location, "sync=false"]].concat();
            send(&server, &mut bench.launch(House::Ours, &words), long.bytes)
        }));
    }
    rows.retain(|row| bench.wants(&row.name));
    interleave(&mut rows, bench.args.rounds);

    let bases = [
        ("rtmp2sink 65536", RTMP2_BEST),
        ("tcpclientsink, tags", TCP),
        ("ffmpeg", FFMPEG),
    ];
    throughput(
        report,
        "Publish (ready tags, as fast as it goes)",
        &rows,
        &bases,
    );
    for (what, limit, ours, base) in [
        ("publish: of rtmp2sink at its best", 1.0, OURS, RTMP2_BEST),
        (
            "publish: of tcpclientsink fed with the same tags",
            1.25,
            OURS,
            TCP,
        ),
        (
            "publish: of tcpclientsink, both fed with 64 KiB blocks",
            1.25,
            OURS_BLOCKS,
            TCP_BLOCKS,
        ),
        ("publish: of ffmpeg", 0.5, OURS, FFMPEG),
    ] {
        report.at_most(what, limit, ratio(&rows, ours, base));
    }
    Ok(())
}

/// The words of a source that gives one tag a buffer, with or without the FLV header before them.
pub(super) fn tag_source(feed: &Feed, header: bool) -> [String; 5] {
    let first = u64::from(!header);
    [
        "multifilesrc".to_owned(),
        format!("start-index={first}"),
        format!("location={}", feed.pattern.display()),
        format!("num-buffers={}", feed.tags - first),
        "caps=video/x-flv".to_owned(),
    ]
}
