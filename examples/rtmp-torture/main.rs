// SPDX-License-Identifier: MPL-2.0

//! Brings bad input to an RTMP server, or to RTMP clients, and reports how each case was taken.

use std::{net::ToSocketAddrs, process::ExitCode, time::Duration};

#[path = "../../tests/torture/suite/mod.rs"]
mod suite;
mod support;

use suite::{
    Case, Options, Row, Target, cases,
    client::{Call, Clients},
    report,
    server::Server,
};
use support::process::words;

const USAGE: &str = "\
Brings bad input to an RTMP server, or to RTMP clients, and reports how each case was taken.

Usage: rtmp-torture [OPTIONS] rtmp://HOST[:PORT]/APP[/STREAM]
       rtmp-torture [OPTIONS] --listen rtmp://ADDRESS[:PORT]/APP/STREAM

  STREAM            what is published; {job} in it is replaced by a number (torture-{job})
  --play APP/STREAM a stream that the server has, to be played; without it nothing is played
  --listen URL      tortures who calls
  --spawn COMMAND   starts this for each case: a server for one connection, or a client; {url} in it is
                    replaced, and the port may be 0. Without it, a client has to call again and again by itself
  --pid N           a server's process, whose memory is watched
  --only TEXTS      only cases whose number is, or whose name contains, one of TEXTS, parted by commas
  --list            says which cases there are
  --jobs N          cases at a time (1)
  --patience S      longest wait for an answer or a close, in seconds (10)
  --cut N           sends in pieces of N bytes
  --markdown        prints a table of the items at the end

A line says: item, how far the connection was well, how it was taken, how long that took, what it was.
'answered' and 'closed' are proper. 'HUNG' means that there was no answer and no close, or that the next, sound
connection was not served; 'CRASHED', that nobody listens any more or the process fell over; 'SWELLED', that
it took more than 64 MiB; 'not reached', that a case needs what the peer does not do.

Exit status: 0 if all was proper, 1 if something was not, 2 if it was not called properly.

Only torture what is yours.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|a| a == "--help" || a == "-h") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match Args::parse(arguments).and_then(|args| args.run()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(mistake) => {
            eprintln!("{mistake}\n--help says what there is.");
            ExitCode::from(2)
        }
    }
}

#[derive(Default)]
struct Args {
    url: Option<String>,
    listen: Option<String>,
    play: Option<String>,
    spawn: Option<Vec<String>>,
    pid: Option<u32>,
    only: Vec<String>,
    list: bool,
    markdown: bool,
    options: Options,
}

impl Args {
    fn parse(arguments: Vec<String>) -> Result<Self, String> {
        let mut args = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} takes a value."));
            let number = |value: String| {
                let number = value.parse::<u32>().ok();
                number.ok_or_else(|| format!("'{value}' is no number."))
            };
            match &*argument {
                "--play" => args.play = Some(value()?),
                "--listen" => args.listen = Some(value()?),
                "--spawn" => args.spawn = Some(words(&value()?)),
                "--pid" => args.pid = Some(number(value()?)?),
                "--only" => args.only.extend(value()?.split(',').map(str::to_owned)),
                "--list" => args.list = true,
                "--markdown" => args.markdown = true,
                "--jobs" => args.options.jobs = number(value()?)?.clamp(1, 64) as usize,
                "--cut" => args.options.cut = number(value()?)? as usize,
                "--patience" => {
                    args.options.patience = Duration::from_secs(number(value()?)?.max(1).into());
                }
                option if option.starts_with('-') => return Err(format!("What is '{option}'?")),
                _ if args.url.is_some() => return Err("One address is enough.".into()),
                _ => args.url = Some(argument),
            }
        }
        Ok(args)
    }

    fn wants(&self, case: &Case) -> bool {
        let wanted = |text: &String| match text.parse::<u8>() {
            Ok(item) => case.item == item,
            Err(_) => case.name.contains(text),
        };
        self.only.is_empty() || self.only.iter().any(wanted)
    }

    fn run(self) -> Result<bool, String> {
        let target = match (&self.url, &self.listen) {
            (Some(_), Some(_)) => return Err("An address or --listen, not both.".into()),
            (None, None) if !self.list => return Err("Whom? An address or --listen.".into()),
            (_, Some(_)) => Some(Target::Client),
            (Some(_), _) => Some(Target::Server),
            (None, None) => None,
        };
        let mut cases = cases::all();
        cases.retain(|case| target.is_none_or(|target| case.target == target) && self.wants(case));
        if self.list {
            for case in cases {
                println!(
                    "{:2}  {:?}  {:10}  {}",
                    case.item, case.target, case.stage, case.name
                );
            }
            return Ok(true);
        }
        let rows = match (&self.url, &self.listen) {
            (Some(url), _) => self.torture_server(url, cases)?,
            (_, Some(url)) => self.torture_clients(url, &cases)?,
            _ => Vec::new(),
        };
        println!("{}", report::summary(&rows));
        if self.markdown {
            print!("{}", report::table(&rows));
        }
        Ok(rows.iter().all(|row| row.verdict.is_proper()))
    }

    fn torture_server(&self, url: &str, mut cases: Vec<Case>) -> Result<Vec<Row>, String> {
        let server = Server {
            play: self.play.clone(),
            pid: self.pid,
            spawn: self.spawn.clone(),
            ..Server::parse(url)?
        };
        if server.play.is_none() {
            cases.retain(|case| case.stage != suite::Stage::Playing);
        }
        let run = |case: &Case, job| server.run(case, job, &self.options);
        Ok(suite::run_all(&cases, &self.options, run, print))
    }

    fn torture_clients(&self, url: &str, cases: &[Case]) -> Result<Vec<Row>, String> {
        let place = Server::parse(url)?;
        let addresses = (&*place.host, place.port).to_socket_addrs();
        let address = addresses.ok().and_then(|mut addresses| addresses.next());
        let call: Call<'_> = match &self.spawn {
            Some(words) => Clients::command(words.clone()),
            None => Clients::strangers(),
        };
        let clients = Clients {
            address: address.ok_or_else(|| format!("'{url}' has no address."))?,
            path: format!("{}/{}", place.app, place.stream.replace("{job}", "0")),
            call,
        };
        let run = |case: &Case, _| clients.run(case, &self.options);
        Ok(suite::run_all(cases, &self.options, run, print))
    }
}

fn print(row: &Row) {
    println!("{}", report::line(row));
}
