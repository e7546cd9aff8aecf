// SPDX-License-Identifier: MPL-2.0

//! What RTMPT and RTMPE cost beside plain RTMP: bytes, time of the processor and lag of a live stream of
//! 2 Mb/s, and a listener with many tunnelled players.
//!
//! At the other end is our listener, for there is hardly another server of these; the process that is
//! charged is the one that the row names.

use std::collections::HashMap;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::crowd::{HEAD, free_port, line, wait_for};
use super::{Bench, ffmpeg, run_to_end};
use crate::child::{self, Cost, Server, Spent};
use crate::houses::House;
use crate::measure::{Sample, Spread};
use crate::roles::figure;
use crate::table::{Report, cell};

const PLAIN: &str = "**ours**, rtmp";
const TUNNEL: &str = "**ours**, rtmpt";
const SEALED: &str = "**ours**, rtmpe";
const FFMPEG: &str = "ffmpeg, rtmp";
const FFMPEG_TUNNEL: &str = "ffmpeg, rtmpt";
const ROWS: [(&str, &str); 5] = [
    (PLAIN, "rtmp"),
    (TUNNEL, "rtmpt"),
    (SEALED, "rtmpe"),
    (FFMPEG, "rtmp"),
    (FFMPEG_TUNNEL, "rtmpt"),
];

/// Streams of ours in one process: one by itself costs less than its measurement is good for.
const STREAMS: usize = 20;

/// Of a polling byte of 0x01, in milliseconds.
const INTERVAL: f64 = 15.625;

const DEADLINE: Duration = Duration::from_secs(90);

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let house = Wrapped {
        bench,
        live: bench.media.live.to_string_lossy().into_owned(),
    };
    for way in [Way::Publish, Way::Play] {
        house.bytes(way, report);
        house.live(way, report);
    }
    house.sealed(report)?;
    house.players(report);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Publish,
    Play,
}

impl Way {
    fn verb(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Play => "play",
        }
    }
}

struct Wrapped<'a> {
    bench: &'a Bench<'a>,
    live: String,
}

impl Wrapped<'_> {
    fn rows(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        ROWS.into_iter().filter(|(name, _)| self.bench.wants(name))
    }

    /// A film of ten seconds at its own pace, with a meter on the wire.
    fn bytes(&self, way: Way, report: &mut Report) {
        let mut lines = Vec::new();
        let mut totals = HashMap::new();
        for (name, scheme) in self.rows() {
            let count = self.metered(way, name, scheme);
            eprintln!("  {} {name}: {count:?} bytes", way.verb());
            totals.extend(count.clone().map(|count| (name, count as f64)));
            let base = if name.starts_with("ffmpeg") {
                FFMPEG
            } else {
                PLAIN
            };
            let over = totals.get(base).zip(count.as_ref().ok());
            lines.push(vec![
                name.to_owned(),
                count.as_ref().map_or_else(Clone::clone, u64::to_string),
                cell(
                    over.map(|(base, count)| (*count as f64 / base - 1.0) * 100.0),
                    2,
                ),
            ]);
        }
        report.table(
            &format!(
                "Ten seconds of 2 Mb/s, {}: bytes on the wire, both ways",
                way.verb()
            ),
            &["", "bytes", "% more than rtmp"],
            &lines,
        );
        let over = totals.get(TUNNEL).zip(totals.get(PLAIN));
        report.at_most(
            format!("rtmpt, {}: bytes of rtmp's", way.verb()),
            1.03,
            over.map(|(tunnel, plain)| tunnel / plain),
        );
    }

    fn metered(&self, way: Way, name: &str, scheme: &str) -> Result<u64, String> {
        let port = free_port()?;
        let film = format!("location={}", self.live);
        let at = format!("location=rtmp://127.0.0.1:{port}/live/bench");
        let listener = match way {
            Way::Publish => self.bench.launch(
                House::Ours,
                &[
                    "rtmpsrc",
                    "mode=listener",
                    &at,
                    "!",
                    "fakesink",
                    "sync=false",
                ],
            ),
            Way::Play => {
                let sink = ["rtmpsink", "mode=listener", "wait-for-connection=true", &at];
                self.bench
                    .launch(House::Ours, &[&["filesrc", &film, "!"], &sink[..]].concat())
            }
        };
        thread::scope(|scope| {
            let listens = scope.spawn(move || ended(listener));
            wait_for(port)?;
            let meter = Server::start(&["meter", &port.to_string()])?;
            let url = format!("{scheme}://127.0.0.1:{}/live/bench", meter.port("rtmp"));
            let location = format!("location={url}");
            let client = match (way, name.starts_with("ffmpeg")) {
                (Way::Publish, true) => {
                    ffmpeg(["-re", "-i", &self.live, "-c", "copy", "-f", "flv", &url])
                }
                (Way::Play, true) => ffmpeg(["-i", &url, "-c", "copy", "-f", "flv", "/dev/null"]),
                (Way::Publish, false) => self
                    .bench
                    .launch(House::Ours, &["filesrc", &film, "!", "rtmpsink", &location]),
                (Way::Play, false) => self.bench.launch(
                    House::Ours,
                    &["rtmpsrc", &location, "!", "fakesink", "sync=false"],
                ),
            };
            let client = ended(client);
            listens.join().map_err(|_| "a thread broke")??;
            client?;
            meter.last_done().ok_or("nothing was counted".to_owned())
        })
    }

    /// Live streams, watched once they run.
    fn live(&self, way: Way, report: &mut Report) {
        let mut results: HashMap<&str, Vec<String>> = HashMap::new();
        for _ in 0..self.bench.args.rounds {
            for (name, scheme) in self.rows() {
                let printed = match way {
                    Way::Publish => self.published(name, scheme),
                    Way::Play => self.played(name, scheme),
                };
                eprintln!("  {} {name}: {printed:?}", way.verb());
                results.entry(name).or_default().extend(printed);
            }
        }
        let get = |name: &str, what: &str| {
            let values = results.get(name)?.iter().filter_map(|r| figure(r, what));
            Some(Spread::of(values.collect())?.median)
        };
        let lines: Vec<_> = self
            .rows()
            .map(|(name, _)| {
                let mut line = vec![name.to_owned()];
                for (what, digits) in [
                    ("cpu", 3),
                    ("server", 3),
                    ("mbps", 2),
                    ("p50", 2),
                    ("p99", 2),
                    ("sound_p50", 2),
                    ("sound_p99", 2),
                ] {
                    line.push(cell(get(name, what), digits));
                }
                line
            })
            .collect();
        let head = [
            "",
            "% of a core",
            "% the listener's",
            "Mb/s",
            "pictures' lag p50 ms",
            "p99",
            "sounds' lag p50 ms",
            "p99",
        ];
        report.table(
            &format!("A live stream of 2 Mb/s, {}", way.verb()),
            &head,
            &lines,
        );
        let verb = way.verb();
        let over = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
        let more = |ours, base, what| Some(get(ours, what)? - get(base, what)?);
        for (what, who) in [("cpu", "client"), ("server", "listener")] {
            report.at_most(
                format!("rtmpt, {verb}: CPU of rtmp's, the {who}"),
                1.5,
                over(get(TUNNEL, what), get(PLAIN, what)),
            );
        }
        for (what, limit) in [("p50", INTERVAL), ("p99", 20.0), ("sound_p50", 20.0)] {
            report.below(
                format!("rtmpt, {verb}: ms of lag more than rtmp, {what}"),
                limit,
                more(TUNNEL, PLAIN, what),
            );
        }
        report.below(
            format!("rtmpt, {verb}: that of ffmpeg's tunnel over its rtmp, p50, ms less"),
            0.0,
            more(TUNNEL, PLAIN, "p50")
                .zip(more(FFMPEG_TUNNEL, FFMPEG, "p50"))
                .map(|(ours, ffmpegs)| ours - ffmpegs),
        );
    }

    fn window(&self) -> u64 {
        if self.bench.args.quick { 4 } else { 8 }
    }

    fn published(&self, name: &str, scheme: &str) -> Result<String, String> {
        let port = free_port()?;
        let ffmpeg = name.starts_with("ffmpeg");
        let count = if ffmpeg { 1 } else { STREAMS }.to_string();
        let listener = format!(
            "rtmpsrc mode=listener location=rtmp://127.0.0.1:{port}/live/s{{n}} ! \
             fakesink name=pad sync=false"
        );
        let window = self.window().to_string();
        let listener = ["many-plays", &listener, &count, &window, "8"];
        let mut listener = self.bench.role(House::Ours, &listener)?;
        let url = format!("{scheme}://127.0.0.1:{port}/live/s");
        let sink = format!(
            "appsrc name=in caps=video/x-flv is-live=true ! \
             rtmpsink name=pad sync=false location={url}{{n}}"
        );
        let stream = format!("{url}0");
        let mut client = match ffmpeg {
            true => child::role(&["ffmpeg-publish", &stream, &window, &self.live])?,
            false => {
                let args = ["many-sinks", &sink, &count, &window, &self.live, "stamped"];
                self.bench.role(House::Ours, &args)?
            }
        };
        thread::scope(|scope| {
            let listens = scope.spawn(move || child::run(&mut listener, DEADLINE));
            wait_for(port)?;
            let client = child::run(&mut client, DEADLINE);
            let listened = printed(listens.join().map_err(|_| "a thread broke")?)?;
            let own = printed(client)?;
            let cpu = figure(&own, "cpu").ok_or("the client has no figure")? / streams(ffmpeg);
            let server = figure(&listened, "cpu").unwrap_or(f64::NAN) / streams(ffmpeg);
            Ok(format!(
                "cpu={cpu} server={server} {}",
                without_cpu(&listened)
            ))
        })
    }

    fn played(&self, name: &str, scheme: &str) -> Result<String, String> {
        let ffmpeg = name.starts_with("ffmpeg");
        let server = self.station()?;
        let port = server.port("rtmp");
        thread::sleep(Duration::from_millis(1500));
        let url = format!("{scheme}://127.0.0.1:{port}/live/bench");
        let window = self.window().to_string();
        let source = format!("rtmpsrc location={url} ! fakesink name=pad sync=false");
        let mut client = match ffmpeg {
            true => child::role(&["ffmpeg-play", &url, &window])?,
            false => {
                let args = ["many-plays", &source, &STREAMS.to_string(), &window];
                self.bench.role(House::Ours, &args)?
            }
        };
        // Coming and going is in it, of all rows alike, and so is the stream that it has to play.
        let before = Spent::now(server.pid())?;
        let said = printed(child::run(&mut client, DEADLINE))?;
        let served = Spent::now(server.pid())?.since(&before) / streams(ffmpeg);
        let cpu = figure(&said, "cpu").ok_or("no figure")? / streams(ffmpeg);
        Ok(format!("cpu={cpu} server={served} {}", without_cpu(&said)))
    }

    /// A sink that listens, on the air.
    fn station(&self) -> Result<Server, String> {
        let port = free_port()?.to_string();
        let element = format!(
            "rtmpsink name=sink mode=listener sync=false async=false \
             location=rtmp://127.0.0.1:{port}/live/bench"
        );
        let args = ["players-sink", &self.live, &port, &element];
        Server::start_as(self.bench.role(House::Ours, &args)?, args[0])
    }

    /// As fast as it goes: RTMPE beside RTMP and RC4.
    fn sealed(&self, report: &mut Report) -> Result<(), String> {
        if !self.bench.wants(SEALED) {
            return Ok(());
        }
        let feed = self.bench.media.long()?;
        let mut costs: [Vec<f64>; 5] = Default::default();
        let start = super::tls::start(self.bench)?;
        for _ in 0..self.bench.args.rounds {
            for (at, scheme) in ["rtmp", "rtmpe"].into_iter().enumerate() {
                let [sent, taken] = self.throughput(scheme)?;
                costs[2 * at].push(sent - start / (feed.bytes as f64 / 1e9));
                costs[2 * at + 1].push(taken - start / (feed.bytes as f64 / 1e9));
            }
            let bytes = feed.bytes.to_string();
            let rc4 = run_to_end(&mut child::role(&["rc4", &bytes])?)?;
            costs[4].push(Sample::new(&rc4, feed.bytes).cpu_per_gb());
        }
        let spreads = costs.map(Spread::of);
        let names = [
            "rtmp, sent",
            "rtmp, taken",
            "rtmpe, sent",
            "rtmpe, taken",
            "the RC4 crate alone",
        ];
        let lines: Vec<_> = names
            .iter()
            .zip(&spreads)
            .map(|(name, spread)| {
                let shown = spread.as_ref().map(|spread| spread.show(3));
                vec![(*name).to_owned(), shown.unwrap_or_default()]
            })
            .collect();
        report.table(
            &format!(
                "RTMPE, as fast as it goes (64 KiB blocks, our sink to our listening source; the start of \
                 the process, {:.0} ms, apart)",
                start * 1e3
            ),
            &["", "CPU s/GB"],
            &lines,
        );
        let median = |at: usize| spreads[at].map(|spread| spread.median);
        for (at, what) in [(0, "sent"), (1, "taken")] {
            let floor = median(at).zip(median(4)).map(|(plain, rc4)| plain + rc4);
            report.at_most(
                format!("rtmpe, {what}: CPU of rtmp's and RC4's together"),
                1.15,
                median(at + 2)
                    .zip(floor)
                    .map(|(sealed, floor)| sealed / floor),
            );
        }
        Ok(())
    }

    /// CPU s/GB of either end.
    fn throughput(&self, scheme: &str) -> Result<[f64; 2], String> {
        let feed = self.bench.media.long()?;
        let port = free_port()?;
        let at = format!("location=rtmp://127.0.0.1:{port}/live/bench");
        let to = format!("location={scheme}://127.0.0.1:{port}/live/bench");
        let film = format!("location={}", feed.flv.display());
        let words = [
            "rtmpsrc",
            "mode=listener",
            &at,
            "!",
            "fakesink",
            "sync=false",
        ];
        let listener = self.bench.launch(House::Ours, &words);
        let words = [
            "filesrc",
            &film,
            "blocksize=65536",
            "!",
            "rtmpsink",
            "sync=false",
            &to,
        ];
        let client = self.bench.launch(House::Ours, &words);
        thread::scope(|scope| {
            let listens = scope.spawn(move || ended(listener));
            wait_for(port)?;
            let sent = ended(client)?;
            let taken = listens.join().map_err(|_| "a thread broke")??;
            eprintln!("  {scheme}: sent in {:?}", sent.wall);
            let gigabytes = feed.bytes as f64 / 1e9;
            Ok([sent, taken].map(|end| (end.user + end.system) / gigabytes))
        })
    }

    /// A crowd that comes through HTTP.
    fn players(&self, report: &mut Report) {
        let mut lines = Vec::new();
        let mut results = HashMap::new();
        for (name, prefix) in [(PLAIN, ""), (TUNNEL, "rtmpt:")] {
            if !self.bench.wants(name) {
                continue;
            }
            let printed = self.crowd(prefix);
            eprintln!("  200 players, {name}: {printed:?}");
            match printed {
                Ok(printed) => {
                    lines.push(line(name, CROWD, &printed));
                    results.insert(name, printed);
                }
                Err(complaint) => lines.push(vec![name.to_owned(), complaint]),
            }
        }
        report.table(
            "A live stream of 2 Mb/s to players in tunnels",
            &HEAD,
            &lines,
        );
        let get = |name, what| figure(results.get(name)?, what);
        let tunnelled = |what| {
            results
                .get(TUNNEL)
                .map(|r| figure(r, what).unwrap_or(f64::INFINITY))
        };
        report.at_most(
            "200 tunnelled players: left out",
            0.0,
            tunnelled("joined").map(|joined| CROWD as f64 - joined),
        );
        report.at_most(
            "200 tunnelled players: Mb/s that the slowest lacks",
            0.1,
            get(PLAIN, "mbps")
                .zip(tunnelled("slowest_mbps"))
                .map(|(full, slowest)| full - slowest),
        );
        report.at_most(
            "200 tunnelled players: threads that they add",
            0.0,
            tunnelled("threads_more"),
        );
    }

    fn crowd(&self, prefix: &str) -> Result<String, String> {
        let server = self.station()?;
        thread::sleep(Duration::from_millis(1500));
        // One player by itself: whatever it takes to serve anybody is there then.
        let port = format!("{prefix}{}", server.port("rtmp"));
        let pid = server.pid();
        load(&port, pid, 1, 1)?;
        let before = threads(pid)?;
        let window = self.window();
        let (printed, during) = thread::scope(|scope| {
            let load = scope.spawn(|| load(&port, pid, CROWD, window));
            let mut most = 0;
            while !load.is_finished() {
                most = most.max(threads(pid)?);
                thread::sleep(Duration::from_millis(50));
            }
            let printed = load.join().map_err(|_| "a thread broke".to_owned())??;
            Ok::<_, String>((printed, most))
        })?;
        let more = during.saturating_sub(before);
        Ok(format!(
            "{} threads={during} threads_more={more}",
            printed.trim()
        ))
    }
}

/// Players of the stream, as `players-load` counts them.
fn load(port: &str, pid: u32, count: usize, window: u64) -> Result<String, String> {
    let [count, window, pid] = [count.to_string(), window.to_string(), pid.to_string()];
    let args = [
        "players-load",
        port,
        "bench",
        &count,
        "3",
        &window,
        "0",
        &pid,
    ];
    printed(child::run(&mut child::role(&args)?, DEADLINE))
}

const CROWD: usize = 200;

fn streams(ffmpeg: bool) -> f64 {
    if ffmpeg { 1.0 } else { STREAMS as f64 }
}

/// What a process cost, once it has ended well.
fn ended(mut command: Command) -> Result<Cost, String> {
    run_to_end(&mut command).map(|ended| ended.cost)
}

fn printed(ended: Result<child::Ended, String>) -> Result<String, String> {
    let ended = ended?;
    match ended.complaint() {
        None => Ok(ended.stdout),
        Some(complaint) => Err(complaint),
    }
}

fn without_cpu(printed: &str) -> String {
    let words = printed
        .split_whitespace()
        .filter(|word| !word.starts_with("cpu="));
    words.collect::<Vec<_>>().join(" ")
}

fn threads(pid: u32) -> Result<usize, String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).map_err(|e| e.to_string())?;
    Ok(tasks.count())
}
