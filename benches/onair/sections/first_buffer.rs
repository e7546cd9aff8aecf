// SPDX-License-Identifier: MPL-2.0

//! How long a viewer looks at nothing: from the call for PLAYING to the first buffer.

use super::Bench;
use crate::child;
use crate::houses::House;
use crate::measure::Spread;
use crate::roles;
use crate::table::Report;

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let server = bench.blast_server(4096)?;
    let location = format!("rtmp://127.0.0.1:{}/live/clip", server.port("rtmp"));
    let runs = if bench.args.quick { 3 } else { 10 };
    let tools = [
        ("rtmp2src", House::System, "rtmp2src", ""),
        ("librtmp's rtmpsrc", House::System, "rtmpsrc", " live=1"),
        ("**rtmpsrc (ours)**", House::Ours, "rtmpsrc", ""),
    ];
    let tools = tools.map(|(name, house, element, tail)| {
        let line =
            format!("{element} location=\"{location}{tail}\" ! fakesink name=pad sync=false");
        (name, house, element, line, Vec::new(), Vec::new())
    });
    let mut tools = Vec::from(tools);
    tools.retain(|(name, house, element, ..)| bench.has(*house, element) && bench.wants(name));
    for _ in 0..runs {
        for (_, house, _, line, times, complaints) in &mut tools {
            // A child a run: librtmp's crashes are then figures, not the end of the bench.
            let mut command = bench.role(*house, &["first-buffer", line])?;
            let ended = child::run(&mut command, super::DEADLINE)?;
            times.extend(roles::figure(&ended.stdout, "ms"));
            complaints.extend(ended.complaint());
        }
    }
    let mut rows = Vec::new();
    let mut ours = None;
    for (name, house, _, _, times, complaints) in tools {
        let count = times.len();
        let spread = Spread::of(times);
        if house == House::Ours {
            ours = Some(spread.map_or(f64::INFINITY, |s| s.median));
        }
        rows.push(vec![
            name.to_owned(),
            spread.map_or("-".to_owned(), |s| s.show(2)),
            format!("{count} of {runs}"),
            match complaints.last() {
                None => "0".to_owned(),
                Some(last) => format!("{} ({last})", complaints.len()),
            },
        ]);
    }
    let head = ["", "ms", "runs that got one", "runs that failed"];
    report.table("First buffer after PLAYING", &head, &rows);
    report.at_most("first buffer after PLAYING, ms", 5.0, ours);
    Ok(())
}
