// SPDX-License-Identifier: MPL-2.0

//! One line that says where the figures were taken.

use std::process::Command;

pub(crate) fn describe() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    let load = read("/proc/loadavg");
    let load = load.split_whitespace().next().unwrap_or("?").to_owned();
    format!(
        "Machine: {cores} cores ({model}), Linux {}, load {load} at the start. {}; {}; {}.",
        read("/proc/sys/kernel/osrelease").trim(),
        first_line("gst-launch-1.0", &["--version"], 1),
        first_line("ffmpeg", &["-version"], 0)
            .split(" Copyright")
            .next()
            .unwrap_or("no ffmpeg"),
        first_line("rtmpdump", &["-h"], 0),
    )
}

fn first_line(program: &str, args: &[&str], line: usize) -> String {
    Command::new(program)
        .args(args)
        .output()
        .ok()
        .and_then(|out| {
            let text = if out.stdout.is_empty() {
                out.stderr
            } else {
                out.stdout
            };
            let text = String::from_utf8_lossy(&text).into_owned();
            text.lines()
                .filter(|l| !l.is_empty())
                .nth(line)
                .map(str::to_owned)
        })
        .unwrap_or_else(|| format!("no {program}"))
}
