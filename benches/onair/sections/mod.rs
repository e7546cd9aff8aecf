// SPDX-License-Identifier: MPL-2.0

//! One module a table.

mod crowd;
mod first_buffer;
mod flv;
mod many;
mod play;
mod players;
mod publish;
mod states;
mod tls;
mod wcs;
mod webm;
mod wrappings;

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::args::Args;
use crate::child::{self, Ended, Server};
use crate::houses::{House, Houses};
use crate::measure::{Row, Sample};
use crate::media::Media;
use crate::peer::tls::make_certificates;
use crate::table::{Report, cell};

pub(crate) const SECTIONS: &[&str] = &[
    "publish",
    "play",
    "first-buffer",
    "many",
    "tls",
    "states",
    "webm",
    "players",
    "flv",
    "wrappings",
    "wcs",
];

/// Longest that one client may take; librtmp's sink needs seconds for the short cut when all is
/// well.
const DEADLINE: Duration = Duration::from_secs(60);
/// Runs of a client that a signal ended before the row gives up: librtmp's elements crash on and
/// off, and what is asked here is what they cost when they do not.
const CRASHES: usize = 4;

pub(crate) fn run(name: &str, bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    match name {
        "publish" => publish::run(bench, report),
        "play" => play::run(bench, report),
        "first-buffer" => first_buffer::run(bench, report),
        "many" => many::run(bench, report),
        "tls" => tls::run(bench, report),
        "states" => states::run(bench, report),
        "webm" => webm::run(bench, report),
        "players" => players::run(bench, report),
        "flv" => flv::run(bench, report),
        "wrappings" => wrappings::run(bench, report),
        "wcs" => wcs::run(bench, report),
        other => Err(format!("no section {other}")),
    }
}

/// What all sections share.
#[derive(Debug)]
pub(crate) struct Bench<'a> {
    args: &'a Args,
    houses: Houses,
    media: Media,
    /// Each element that rows may use, with the house it is found in.
    found: Vec<(House, &'static str)>,
    notes: Vec<String>,
}

impl<'a> Bench<'a> {
    pub(crate) fn prepare(args: &'a Args) -> Result<Self, String> {
        let media = Media::prepare(args.quick)?;
        let houses = Houses::prepare()?;
        make_certificates(houses.scratch())?;
        let mut found = Vec::new();
        let mut notes = Vec::new();
        for (house, element) in [
            (House::System, "rtmp2src"),
            (House::System, "rtmp2sink"),
            (House::System, "rtmpsrc"),
            (House::System, "rtmpsink"),
            (House::Ours, "rtmpsrc"),
            (House::Ours, "rtmpsink"),
        ] {
            match houses.plugin_of(house, element) {
                Some(_) => found.push((house, element)),
                None => notes.push(format!("No {element} ({house:?}): its rows are missing.")),
            }
        }
        Ok(Self {
            args,
            houses,
            media,
            found,
            notes,
        })
    }

    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    fn has(&self, house: House, element: &str) -> bool {
        self.found.contains(&(house, element))
    }

    /// Whether the caller wants a row of this name.
    fn wants(&self, row: &str) -> bool {
        self.args.only.is_empty() || self.args.only.iter().any(|text| row.contains(text))
    }

    fn certificates(&self) -> &Path {
        self.houses.scratch()
    }

    fn sink_server(&self) -> Result<Server, String> {
        Server::start(&["sink-server", &self.certificates().to_string_lossy()])
    }

    fn blast_server(&self, chunk: usize) -> Result<Server, String> {
        Server::start(&[
            "blast-server",
            &self.certificates().to_string_lossy(),
            &chunk.to_string(),
            &self.media.long()?.flv.to_string_lossy(),
            &self.media.live.to_string_lossy(),
        ])
    }

    /// A `gst-launch-1.0` line; every item of `words` stays one argument.
    fn launch(&self, house: House, words: &[&str]) -> Command {
        let mut command = Command::new("gst-launch-1.0");
        // Left to itself, gst-launch keeps a crashed pipeline spinning for a debugger.
        command.args(["-q", "--no-fault"]).args(words);
        self.houses.enter(house, &mut command);
        command
    }

    /// This program in another role, among the plugins of `house`.
    fn role(&self, house: House, args: &[&str]) -> Result<Command, String> {
        let mut command = child::role(args)?;
        self.houses.enter(house, &mut command);
        Ok(command)
    }
}

fn ffmpeg<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-y", "-nostdin", "-loglevel", "error"])
        .args(args);
    command
}

/// Runs a client that sends `bytes` of FLV and checks that they came.
fn send(server: &Server, command: &mut Command, bytes: u64) -> Result<Sample, String> {
    server.forget();
    let ended = run_to_end(command)?;
    // A connection that crashed earlier in the row may end late and come first.
    let mut came = 0;
    while came < bytes / 100 * 95 {
        // Message heads are shorter than tag heads, and the FLV header is not sent.
        came = server
            .done()
            .ok_or(format!("{came} of {bytes} bytes came"))?;
    }
    Ok(Sample::new(&ended, bytes))
}

/// Runs a client that receives; the server says how many bytes of FLV it was given.
fn receive(server: &Server, command: &mut Command) -> Result<Sample, String> {
    server.forget();
    let ended = run_to_end(command)?;
    let bytes = server.done().ok_or("the server saw no proper end")?;
    Ok(Sample::new(&ended, bytes))
}

/// Runs a client that is told to leave after `bytes`.
fn receive_some(command: &mut Command, bytes: u64) -> Result<Sample, String> {
    Ok(Sample::new(&run_to_end(command)?, bytes))
}

fn run_to_end(command: &mut Command) -> Result<Ended, String> {
    let mut complaint = String::new();
    for _ in 0..CRASHES {
        let ended = child::run(command, DEADLINE)?;
        // rtmpdump's "incomplete": it knows no length to compare with.
        let incomplete = command.get_program() == "rtmpdump" && ended.status.code() == Some(2);
        match ended.complaint() {
            Some(why) if why.starts_with("killed") => complaint = why,
            Some(why) if !incomplete => return Err(why),
            _ => return Ok(ended),
        }
    }
    Err(format!("{complaint}, {CRASHES} times in a row"))
}

/// The table of a throughput section, with a column of ratios for each base: its heading and the
/// name of its row.
fn throughput(report: &mut Report, title: &str, rows: &[Row<'_>], bases: &[(&str, &str)]) {
    let mut head = vec!["", "CPU s/GB", "user share", "GB/s", "RSS MB"];
    let headings: Vec<String> = bases.iter().map(|(name, _)| format!("x {name}")).collect();
    head.extend(headings.iter().map(String::as_str));
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let Some(cpu) = row.spread(Sample::cpu_per_gb) else {
                let why = row.rounds.iter().find_map(|r| r.as_ref().err());
                return vec![row.name.clone(), why.cloned().unwrap_or_default()];
            };
            let median = |of: fn(&Sample) -> f64| row.spread(of).map(|s| s.median);
            let mut line = vec![
                row.name.clone(),
                cpu.show(3),
                cell(median(|s| s.user / (s.user + s.system)), 2),
                cell(median(|s| s.gigabytes / s.wall), 3),
                cell(median(|s| s.rss_mb), 1),
            ];
            line.extend(
                bases
                    .iter()
                    .map(|(_, base)| cell(ratio(rows, &row.name, base), 2)),
            );
            line
        })
        .collect();
    report.table(title, &head, &lines);
}

/// Cost per byte of one row over another's, if both are there; endless if the first never did its
/// job.
fn ratio(rows: &[Row<'_>], own: &str, base: &str) -> Option<f64> {
    let find = |name: &str| rows.iter().find(|row| row.name == name);
    let (own, base) = (find(own)?, find(base)?);
    match own.samples().next() {
        None => Some(f64::INFINITY),
        Some(_) => own.ratio(base),
    }
}
