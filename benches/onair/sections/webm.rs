// SPDX-License-Identifier: MPL-2.0

//! A live WebM of 2 Mb/s to any number of clients: what a server pays for it, how far its clients are
//! apart, and how long a new one waits for its picture.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Bench;
use super::crowd::{HEAD, Process, free_port, line, wait_for};
use crate::child::{self, Server};
use crate::houses::House;
use crate::media;
use crate::roles::{figure, webm::feed::Feed};
use crate::table::Report;

const OURS: &str = "**ours**, each block at once";
const OURS_40: &str = "**ours**, batch-time 40 ms";
const LOOP: &str = "plain loop, a write a block";
const LOOP_40: &str = "plain loop, 40 ms";
const ICECAST: &str = "icecast2";
const SOCKETS: &str = "multisocketsink";
const FEED: &str = "the same buffers into fakesink";

/// Over TLS.
const TLS_CLIENTS: usize = 200;

/// Ramp, settling and window, with room.
const DEADLINE: Duration = Duration::from_secs(90);

/// What the load printed, by row and number of clients.
type Results = HashMap<(&'static str, usize), String>;

pub(super) fn run(bench: &Bench<'_>, report: &mut Report) -> Result<(), String> {
    let house = Broadcast {
        bench,
        file: media::webm()?,
    };
    let mut results = Results::new();
    let mut lines = Vec::new();
    house.row(FEED, 0, 0, &mut results, &mut lines);
    let wanted = |count: &usize| bench.args.wants_clients(*count);
    let counts = bench.args.counts(&[100, 1000], &[500, 2000]);
    for &count in &counts {
        for name in [LOOP, OURS, LOOP_40, OURS_40, ICECAST] {
            house.row(name, count, 0, &mut results, &mut lines);
        }
        if count == 1000 {
            house.row(SOCKETS, count, 0, &mut results, &mut lines);
        }
    }
    report.table("Live WebM of 2 Mb/s to many", &HEAD, &lines);
    if wanted(&5000) {
        let mut lines = Vec::new();
        for name in [LOOP_40, OURS_40, ICECAST] {
            house.row(name, 5000, 0, &mut results, &mut lines);
        }
        report.table(
            "... to 5000, on the machine that also plays all the clients",
            &HEAD,
            &lines,
        );
    }
    promises(&results, &counts, report);
    if wanted(&100) {
        house.slow(report);
    }
    match wanted(&TLS_CLIENTS) {
        true => house.tls(report),
        false => Ok(()),
    }
}

fn promises(results: &Results, counts: &[usize], report: &mut Report) {
    let get = |name, count, what| {
        let printed = results.get(&(name, count))?;
        Some(figure(printed, what).unwrap_or(f64::INFINITY))
    };
    let cost = |name, count| get(name, count, "cpu_gb");
    // What the pipeline's thread does comes in any pipeline, and not in the loop, which reads a file.
    let feed = get(FEED, 0, "core");
    let net = |name, count| {
        let core = get(name, count, "core")?;
        Some(cost(name, count)? * (core - feed?) / core)
    };
    let over = |a: Option<f64>, b: Option<f64>| Some(a? / b.filter(|b| b.is_finite())?);
    for &count in counts {
        for (ours, base, base_name, limit) in [
            (OURS, LOOP, "the plain loop", 1.1),
            (OURS_40, LOOP_40, "the plain loop at 40 ms", 1.1),
            (OURS, ICECAST, "icecast2", 0.6),
            (OURS_40, ICECAST, "icecast2, with 40 ms", 0.4),
        ] {
            let what = format!("{count} clients: CPU per GB of {base_name}");
            report.at_most(what, limit, over(cost(ours, count), cost(base, count)));
        }
        for (ours, base, base_name) in [
            (OURS, LOOP, "the plain loop"),
            (OURS_40, LOOP_40, "the plain loop at 40 ms"),
        ] {
            let what = format!(
                "{count} clients: the same, less what the buffers cost in fakesink, of {base_name}"
            );
            report.at_most(what, 1.1, over(net(ours, count), cost(base, count)));
        }
    }
    // From few to many: the window is the same.
    if let [few, .., many] = *counts {
        let rss = |count| get(OURS, count, "rss");
        let more = rss(many).zip(rss(few)).map(|(many, few)| many - few);
        let what = format!("{few} to {many} clients: KB a client");
        report.at_most(what, 2.0, more.map(|kb| kb / (many - few) as f64));
    }
    report.below(
        "1000 clients: p99 of the lag, ms",
        20.0,
        get(OURS, 1000, "lag99"),
    );
    report.below(
        "2000 clients: p99 of a join, ms",
        100.0,
        get(OURS, 2000, "join99"),
    );
    let missing = |count: usize| get(OURS_40, count, "joined").map(|joined| count as f64 - joined);
    report.at_most("5000 clients: left out", 0.0, missing(5000));
    let full = |name| get(name, 5000, "slowest_mbps").map(|rate| 2.0 - rate);
    report.at_most(
        "5000 clients: Mb/s that the slowest lacks",
        0.1,
        full(OURS_40),
    );
}

/// A server on the air, with what belongs to it.
struct OnAir {
    /// What belongs to it lives as long as it does.
    _server: Option<Server>,
    _others: Vec<Process>,
    port: u16,
    path: &'static str,
    pid: u32,
    _folder: Option<tempfile::TempDir>,
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
        match self
            .on_air(name, "")
            .and_then(|on_air| self.load(&on_air, count, lazy, false))
        {
            Ok(printed) => {
                eprintln!("  {name} {count}: {}", printed.trim());
                let mut line = line(name, count, &printed);
                if count == 0 {
                    // Nobody got anything.
                    line[3..5].fill("-".to_owned());
                    line[6..12].fill("-".to_owned());
                }
                lines.push(line);
                results.insert((name, count), printed);
            }
            Err(complaint) => {
                eprintln!("  {name} {count}: {complaint}");
                lines.push(vec![name.to_owned(), count.to_string(), complaint]);
                results.insert((name, count), String::new());
            }
        }
    }

    fn on_air(&self, name: &str, extra: &str) -> Result<OnAir, String> {
        match name {
            LOOP => self.role(&["webm-loop", &self.file, "0"]),
            LOOP_40 => self.role(&["webm-loop", &self.file, "40"]),
            SOCKETS => self.role(&["webm-multisocketsink", &self.file]),
            ICECAST => self.icecast(),
            FEED => {
                let sink = "fakesink name=sink sync=false async=false";
                self.role(&["webm-sink", &self.file, "1", sink])
            }
            _ => {
                let batch = if name == OURS_40 { 40 } else { 0 };
                let port = free_port()?;
                let description = format!(
                    "webmhttpsink name=sink async=false address=127.0.0.1 port={port} path=/live batch-time={batch} sync=false \
                     max-clients=0 max-clients-per-address=0 {extra}"
                );
                let port = port.to_string();
                self.role(&["webm-sink", &self.file, &port, &description])
            }
        }
    }

    fn role(&self, args: &[&str]) -> Result<OnAir, String> {
        let house = if args[0] == "webm-sink" {
            House::Ours
        } else {
            House::System
        };
        let server = Server::start_as(self.bench.role(house, args)?, args[0])?;
        Ok(OnAir {
            port: server.port("http"),
            pid: server.pid(),
            path: "/live",
            _server: Some(server),
            _others: Vec::new(),
            _folder: None,
        })
    }

    fn icecast(&self) -> Result<OnAir, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let port = free_port()?;
        // As root, it changes to a user who has to find its files.
        let all = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        fs::set_permissions(folder.path(), all).map_err(|e| e.to_string())?;
        let path = folder.path().join("icecast.xml");
        fs::write(&path, icecast_xml(folder.path(), port)).map_err(|e| e.to_string())?;
        let icecast = Command::new("icecast2")
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| format!("icecast2: {e}"))?;
        let icecast = Process(icecast);
        wait_for(port)?;
        let pid = icecast.0.id();
        let port_text = port.to_string();
        let source = self.bench.role(
            House::System,
            &["webm-icecast-source", &self.file, &port_text],
        )?;
        let source = Server::start_as(source, "webm-icecast-source")?;
        Ok(OnAir {
            _server: Some(source),
            _others: vec![icecast],
            port,
            path: "/live",
            pid,
            _folder: Some(folder),
        })
    }

    fn load(&self, on_air: &OnAir, count: usize, lazy: usize, tls: bool) -> Result<String, String> {
        // A key frame has to be on the air before the clients come.
        std::thread::sleep(Duration::from_millis(1500));
        // The bench reads 5000 sockets in turns of up to half a second.
        let window = if count > 2000 { "15" } else { "5" };
        // The groups of pictures that 5000 get when they come are a gigabyte.
        let settle = if count > 2000 { "10" } else { "2" };
        let numbers = [
            on_air.port.to_string(),
            count.to_string(),
            lazy.to_string(),
            on_air.pid.to_string(),
        ];
        let [port, count, lazy, pid] = &numbers;
        let certificates = self.bench.certificates().to_string_lossy().into_owned();
        let mut args = vec![
            "webm-load",
            port,
            on_air.path,
            count,
            settle,
            window,
            lazy,
            pid,
        ];
        if tls {
            args.push(&certificates);
        }
        let ended = child::run(&mut child::role(&args)?, DEADLINE)?;
        match ended.complaint() {
            None => Ok(ended.stdout),
            Some(complaint) => Err(complaint),
        }
    }

    /// A hundred clients, alone and beside some that never read.
    fn slow(&self, report: &mut Report) {
        let (mut results, mut lines) = (Results::new(), Vec::new());
        let mut lags = Vec::new();
        for lazy in [0, 1, 20] {
            self.row(OURS, 100, lazy, &mut results, &mut lines);
            lags.push(
                results
                    .get(&(OURS, 100))
                    .and_then(|printed| figure(printed, "lag99")),
            );
            if let Some(line) = lines.last_mut() {
                line[0] = format!("**ours**, {lazy} more that never read");
            }
        }
        report.table("Clients that do not read", &HEAD, &lines);
        if let [Some(alone), Some(one), Some(many)] = lags[..] {
            // The clients look at their sockets each 5 ms.
            report.at_most(
                "a slow client among 100: p99 of the others, ms more",
                5.0,
                Some(one - alone),
            );
            report.at_most(
                "20 slow clients: p99 of the others, ms more",
                5.0,
                Some(many - alone),
            );
        }
    }

    /// HTTPS, beside nginx that sends the same bytes, and nginx that puts TLS before ours.
    fn tls(&self, report: &mut Report) -> Result<(), String> {
        const NGINX: &str = "nginx, https, the file at the pace of the stream";
        const BEFORE: &str = "nginx with TLS before ours, which is not counted";
        const HTTPS: &str = "**ours**, https";
        const HTTPS_40: &str = "**ours**, https, batch-time 40 ms";
        let certificates = self.bench.certificates().to_string_lossy().into_owned();
        let own = format!(
            "tls-certificate={certificates}/cert.pem tls-private-key={certificates}/key.pem"
        );
        let (mut lines, mut costs) = (Vec::new(), HashMap::new());
        for name in [NGINX, HTTPS, HTTPS_40, BEFORE] {
            if !self.bench.wants(name) {
                continue;
            }
            let on_air = match name {
                NGINX => self.nginx(None),
                BEFORE => self
                    .on_air(OURS, "")
                    .and_then(|ours| self.nginx(Some(ours))),
                HTTPS_40 => self.on_air(OURS_40, &own),
                _ => self.on_air(OURS, &own),
            };
            match on_air.and_then(|on_air| self.load(&on_air, TLS_CLIENTS, 0, true)) {
                Ok(printed) => {
                    eprintln!("  {name} {TLS_CLIENTS}: {}", printed.trim());
                    costs.insert(name, figure(&printed, "cpu_gb"));
                    let mut line = line(name, TLS_CLIENTS, &printed);
                    if name == NGINX {
                        // Each of its clients is somewhere else in the file.
                        line[7..10].fill("-".to_owned());
                    }
                    lines.push(line);
                }
                Err(complaint) => {
                    eprintln!("  {name}: {complaint}");
                    lines.push(vec![name.to_owned(), TLS_CLIENTS.to_string(), complaint]);
                }
            }
        }
        report.table("The same over TLS", &HEAD, &lines);
        let cost = |name| costs.get(name).copied().flatten();
        for (ours, how) in [(HTTPS, ""), (HTTPS_40, ", with 40 ms")] {
            let what = format!("{TLS_CLIENTS} clients: CPU per GB over TLS of nginx{how}");
            let ratio = cost(ours).zip(cost(NGINX)).map(|(a, b)| a / b);
            report.at_most(what, 1.0, ratio);
        }
        Ok(())
    }

    /// nginx before a server, or with the file.
    fn nginx(&self, behind: Option<OnAir>) -> Result<OnAir, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let port = free_port()?;
        let path = folder.path().join("nginx.conf");
        let certificates = self.bench.certificates().display();
        let location = match &behind {
            Some(server) => format!(
                "proxy_pass http://127.0.0.1:{}; proxy_buffering off;",
                server.port
            ),
            None => {
                let feed = Feed::read(&self.file)?;
                let seconds = feed.blocks.last().map_or(1.0, |b| b.due.as_secs_f64());
                let rate = (feed.bytes.len() as f64 / seconds) as u64;
                format!("alias {}; limit_rate {rate};", self.file)
            }
        };
        let text = format!(
            "daemon off; master_process off; pid nginx.pid; error_log stderr crit;
             events {{ worker_connections 4096; }}
             http {{ access_log off;
               client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
               server {{ listen 127.0.0.1:{port} ssl;
                 ssl_certificate {certificates}/cert.pem; ssl_certificate_key {certificates}/key.pem;
                 location = /live {{ {location} }} }} }}"
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
        Ok(OnAir {
            _server: behind.and_then(|behind| behind._server),
            pid: nginx.0.id(),
            _others: vec![nginx],
            port,
            path: "/live",
            _folder: Some(folder),
        })
    }
}

fn icecast_xml(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "<icecast><limits><clients>20000</clients><sources>2</sources><queue-size>4194304</queue-size>
           <client-timeout>30</client-timeout><header-timeout>15</header-timeout><source-timeout>10</source-timeout>
           <burst-size>262144</burst-size></limits>
         <authentication><source-password>hackme</source-password><relay-password>hackme</relay-password>
           <admin-user>admin</admin-user><admin-password>hackme</admin-password></authentication>
         <hostname>localhost</hostname>
         <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
         <paths><logdir>{folder}</logdir><webroot>{folder}</webroot><adminroot>{folder}</adminroot></paths>
         <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>1</loglevel></logging>
         <security><chroot>0</chroot>
           <changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
         </icecast>"
    )
}
