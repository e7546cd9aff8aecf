// SPDX-License-Identifier: MPL-2.0

//! State changes against servers that swallow everything.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::Bench;
use super::publish::tag_source;
use crate::child;
use crate::houses::House;
use crate::measure::Spread;
use crate::table::Report;

const RUNS: &str = "20";
/// An element that hangs is killed after this.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let silent = silent()?;
    let (full, _held) = full().map_err(|e| format!("full listener: {e}"))?;
    let tools = [
        ("rtmp2src", House::System, "rtmp2src", ""),
        ("rtmp2sink", House::System, "rtmp2sink", ""),
        ("librtmp's rtmpsrc", House::System, "rtmpsrc", " live=1"),
        ("librtmp's rtmpsink", House::System, "rtmpsink", ""),
        ("**rtmpsrc (ours)**", House::Ours, "rtmpsrc", ""),
        ("**rtmpsink (ours)**", House::Ours, "rtmpsink", ""),
    ];
    let source = tag_source(bench.media.short()?, false).join(" ");
    let mut rows = Vec::new();
    let mut ours: Option<f64> = None;
    for (name, house, element, tail) in tools {
        if !bench.has(house, element) || !bench.wants(name) {
            continue;
        }
        let mut row = vec![name.to_owned()];
        for port in [silent, full] {
            let own = format!("{element} location=\"rtmp://127.0.0.1:{port}/live/bench{tail}\"");
            let line = match element.ends_with("sink") {
                true => format!("{source} ! {own} sync=false"),
                false => format!("{own} ! fakesink sync=false"),
            };
            let mut command = bench.role(house, &["states", &line, RUNS])?;
            let ended = child::run(&mut command, PATIENCE)?;
            let times = ended.stdout.split_whitespace();
            let times = times.filter_map(|w| w.strip_prefix("ms=")?.parse().ok());
            let spread = Spread::of(times.collect());
            let complaint = ended.complaint();
            if house == House::Ours {
                // A hang is longer than any limit.
                let longest = spread.filter(|_| complaint.is_none()).map(|s| s.max);
                let longest = longest.unwrap_or(f64::INFINITY);
                ours = Some(ours.map_or(longest, |o| o.max(longest)));
            }
            let shown = spread.map_or("-".to_owned(), |s| s.show(1));
            row.push(match complaint {
                None => shown,
                Some(_) if ended.timed_out => format!("hangs (> {} s)", PATIENCE.as_secs()),
                Some(why) => format!("{shown}, then {why}"),
            });
        }
        rows.push(row);
    }
    report.table(
        &format!("PAUSED and back to NULL, ms, {RUNS} times"),
        &["", "server accepts, says nothing", "server never accepts"],
        &rows,
    );
    report.below(
        "state changes against black holes, longest, ms",
        100.0,
        ours,
    );
    Ok(())
}

/// A port that takes connections and never answers.
fn silent() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| format!("bind: {e}"))?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    std::thread::spawn(move || {
        let held: Vec<_> = listener.incoming().flatten().collect();
        drop(held);
    });
    Ok(port)
}

/// A port whose queue is full, so that the kernel leaves new connections without an answer.
fn full() -> std::io::Result<(u16, (Socket, Vec<TcpStream>))> {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
    listener.listen(0)?;
    let address = listener.local_addr()?.as_socket();
    let address = address.ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        held.push(stream);
    }
    Ok((address.port(), (listener, held)))
}
