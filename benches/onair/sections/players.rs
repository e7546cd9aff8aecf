// SPDX-License-Identifier: MPL-2.0

//! A live RTMP stream of 2 Mb/s to any number of players: what a server pays for it, how far its players
//! are apart, and how long a new one waits for its picture.

use std::collections::HashMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Bench;
use super::crowd::{HEAD, Process, free_port, line, wait_for};
use crate::child::{self, Server};
use crate::houses::House;
use crate::roles::figure;
use crate::table::Report;

const OURS: &str = "**ours**, each frame at once";
const OURS_40: &str = "**ours**, batch-time 40 ms";
const OURS_350: &str = "**ours**, batch-time 350 ms";
const LOOP: &str = "plain loop, a write a frame";
const LOOP_TAGS: &str = "plain loop, a write a tag";
const LOOP_350: &str = "plain loop, 350 ms";
const NGINX: &str = "nginx-rtmp";

/// Ramp, settling and window, with room.
const DEADLINE: Duration = Duration::from_secs(90);

/// What the load printed, by row and number of players.
type Results = HashMap<(&'static str, usize), String>;

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let house = Broadcast {
        bench,
        file: bench.media.live.to_string_lossy().into_owned(),
    };
    let mut results = Results::new();
    let wanted = |count: &usize| bench.args.wants_clients(*count);
    let counts = bench.args.counts(&[100, 1000], &[2000]);
    let mut lines = Vec::new();
    for &count in &counts {
        for name in [LOOP, OURS, LOOP_TAGS, LOOP_350, OURS_350, NGINX] {
            house.row(name, count, 0, &mut results, &mut lines);
        }
    }
    report.table("Live RTMP of 2 Mb/s to many", &HEAD, &lines);
    if wanted(&5000) {
        let mut lines = Vec::new();
        house.row(OURS_40, 5000, 0, &mut results, &mut lines);
        report.table(
            "... to 5000, on the machine that also plays all the players",
            &HEAD,
            &lines,
        );
    }
    promises(&results, &counts, report);
    if wanted(&100) {
        house.slow(report);
    }
    Ok(())
}

fn promises(results: &Results, counts: &[usize], report: &mut Report) {
    let get = |name, count, what| {
        let printed = results.get(&(name, count))?;
        Some(figure(printed, what).unwrap_or(f64::INFINITY))
    };
    let cost = |name, count| get(name, count, "cpu_gb");
    let over = |a: Option<f64>, b: Option<f64>| Some(a? / b.filter(|b| b.is_finite())?);
    for &count in counts {
        for (ours, base, base_name, limit) in [
            (OURS, LOOP, "the plain loop", 1.15),
            (OURS, NGINX, "nginx-rtmp", 0.6),
            (OURS_350, LOOP_350, "the plain loop at 350 ms", 1.25),
        ] {
            let what = format!("{count} players: CPU per GB of {base_name}");
            report.at_most(what, limit, over(cost(ours, count), cost(base, count)));
        }
    }
    if let [few, .., many] = *counts {
        let rss = |count| get(OURS, count, "rss");
        let more = rss(many).zip(rss(few)).map(|(many, few)| many - few);
        let what = format!("{few} to {many} players: KB a player");
        report.at_most(what, 4.0, more.map(|kb| kb / (many - few) as f64));
        let what = format!("{many} players: CPU per GB of that at {few}");
        report.at_most(what, 1.15, over(cost(OURS, many), cost(OURS, few)));
    }
    report.below(
        "1000 players: p99 of the lag, ms",
        25.0,
        get(OURS, 1000, "lag99"),
    );
    let missing = |count: usize| get(OURS_40, count, "joined").map(|joined| count as f64 - joined);
    report.at_most("5000 players: left out", 0.0, missing(5000));
    let lacks = get(OURS_40, 5000, "slowest_mbps")
        .zip(get(OURS, 100, "mbps"))
        .map(|(slowest, full)| full - slowest);
    report.at_most("5000 players: Mb/s that the slowest lacks", 0.1, lacks);
}

/// A server on the air, with what belongs to it.
struct OnAir {
    _server: Server,
    _others: Vec<Process>,
    _folder: Option<tempfile::TempDir>,
    port: u16,
    pid: u32,
}

struct Broadcast<'a> {
    bench: &'a Bench<'a>,
    file: String,
}

impl Broadcast<'_> {
    fn row(
        &self,
        name: &'static str,
        count: usize,
        lazy: usize,
        results: &mut Results,
        lines: &mut Vec<Vec<String>>,
    ) {
        if !self.bench.wants(name) {
            return;
        }
        let printed = self
            .on_air(name)
            .and_then(|on_air| self.load(&on_air, count, lazy));
        match printed {
            Ok(printed) => {
                eprintln!("  {name} {count}: {}", printed.trim());
                lines.push(line(name, count, &printed));
                results.insert((name, count), printed);
            }
            Err(complaint) => {
                eprintln!("  {name} {count}: {complaint}");
                lines.push(vec![name.to_owned(), count.to_string(), complaint]);
                results.insert((name, count), String::new());
            }
        }
    }

    fn on_air(&self, name: &str) -> Result<OnAir, String> {
        match name {
            LOOP => self.role(House::System, &["players-loop", &self.file, "0"]),
            LOOP_TAGS => self.role(House::System, &["players-loop", &self.file, "-1"]),
            LOOP_350 => self.role(House::System, &["players-loop", &self.file, "350"]),
            NGINX => self.nginx(),
            _ => {
                let batch = match name {
                    OURS_40 => 40,
                    OURS_350 => 350,
                    _ => 0,
                };
                let port = free_port()?.to_string();
                let element = format!(
                    "rtmpsink name=sink mode=listener sync=false async=false batch-time={batch} \
                     location=rtmp://127.0.0.1:{port}/live/bench"
                );
                self.role(House::Ours, &["players-sink", &self.file, &port, &element])
            }
        }
    }

    fn role(&self, house: House, args: &[&str]) -> Result<OnAir, String> {
        let server = Server::start_as(self.bench.role(house, args)?, args[0])?;
        Ok(OnAir {
            port: server.port("rtmp"),
            pid: server.pid(),
            _server: server,
            _others: Vec::new(),
            _folder: None,
        })
    }

    fn nginx(&self) -> Result<OnAir, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let port = free_port()?;
        let path = folder.path().join("nginx.conf");
        let text = format!(
            "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
             daemon off; master_process off; pid nginx.pid; error_log stderr crit;
             events {{ worker_connections 8192; }}
             rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}"
        );
        fs::write(&path, text).map_err(|e| e.to_string())?;
        let nginx = Command::new("nginx")
            .arg("-p")
            .arg(folder.path())
            .args(["-e", "stderr", "-c"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|e| format!("nginx: {e}"))?;
        let nginx = Process(nginx);
        wait_for(port)?;
        let port_text = port.to_string();
        let element = format!(
            "rtmpsink name=sink sync=false async=false location=rtmp://127.0.0.1:{port}/live/bench"
        );
        let args = ["players-sink", &self.file, &port_text, &element];
        let publisher = Server::start_as(self.bench.role(House::Ours, &args)?, args[0])?;
        Ok(OnAir {
            port,
            pid: nginx.0.id(),
            _server: publisher,
            _others: vec![nginx],
            _folder: Some(folder),
        })
    }

    fn load(&self, on_air: &OnAir, count: usize, lazy: usize) -> Result<String, String> {
        // A key frame has to be on the air before the players come.
        std::thread::sleep(Duration::from_millis(1500));
        // Whole groups of pictures and whole batches of 350 ms: part of one would be a large part of
        // what is counted. The bench reads 5000 sockets in turns of up to half a second.
        let window = if count > 2000 { "21" } else { "7" };
        // The groups of pictures that 5000 get when they come are a gigabyte.
        let settle = if count > 2000 { "10" } else { "3" };
        let numbers = [
            on_air.port.to_string(),
            count.to_string(),
            lazy.to_string(),
            on_air.pid.to_string(),
        ];
        let [port, count, lazy, pid] = &numbers;
        let args = [
            "players-load",
            port,
            "bench",
            count,
            settle,
            window,
            lazy,
            pid,
        ];
        let ended = child::run(&mut child::role(&args)?, DEADLINE)?;
        match ended.complaint() {
            None => Ok(ended.stdout),
            Some(complaint) => Err(complaint),
        }
    }

    /// A hundred players, alone and beside some that never read.
    fn slow(&self, report: &mut Report) {
        let (mut results, mut lines) = (Results::new(), Vec::new());
        let mut lags = Vec::new();
        for lazy in [0, 20] {
            self.row(OURS, 100, lazy, &mut results, &mut lines);
            let printed = results.get(&(OURS, 100));
            lags.push(printed.and_then(|printed| figure(printed, "lag99")));
            if let Some(line) = lines.last_mut() {
                line[0] = format!("**ours**, {lazy} more that never read");
            }
        }
        report.table("Players that do not read", &HEAD, &lines);
        if let [Some(alone), Some(many)] = lags[..] {
            // The players look at their sockets each 5 ms.
            report.at_most(
                "20 slow players: p99 of the others, ms more",
                5.0,
                Some(many - alone),
            );
        }
    }
}
