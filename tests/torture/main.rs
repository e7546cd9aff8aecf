// SPDX-License-Identifier: MPL-2.0

//! The suite of bad input against our elements, as servers and as clients, while somebody watches a stream of
//! the same process and must not notice. `examples/rtmp-torture.rs` runs it against others.

// Everything here is for this program alone.
#![allow(unreachable_pub, dead_code)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../listening/client.rs"]
mod client;
#[path = "../listening/station.rs"]
mod station;
mod suite;
#[path = "../listening/witness.rs"]
mod witness;

use std::{
    io,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    station::Live,
    suite::{
        Case, Options, Row, Target, Verdict, cases,
        client::{Clients, Running},
        report,
        server::Server,
    },
    support::{
        flvdump::{self, Expect},
        household, media,
        pipeline::Pipeline,
        process::wait_until,
    },
    witness::Witness,
};

/// Cases at a time: most of the time is spent waiting for deadlines.
const JOBS: usize = 12;

/// KiB that this process may have had at most, all of it together. Twelve connections may hold 32 MiB each.
const MEMORY: usize = 512 << 10;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts what panics in any thread, also where GStreamer's bindings turn it into a message.
fn watch_for_panics() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            before(info);
        }));
    });
}

fn options() -> Options {
    Options {
        jobs: JOBS,
        // The elements' own deadlines are a second, two for a caller's way in.
        patience: Duration::from_secs(20),
        ..Options::default()
    }
}

fn of(target: Target) -> Vec<Case> {
    let cases: Vec<_> = cases::all()
        .into_iter()
        .filter(|case| case.target == target)
        .collect();
    assert!(cases.len() > 300, "{} cases", cases.len());
    cases
}

/// Runs all cases. Deadlines of a second pass before a stage is reached where a machine is busy: those cases
/// are run once more, one at a time.
fn run(
    target: Target,
    options: &Options,
    run: impl Fn(&Case, usize) -> Verdict + Sync,
) -> Vec<Row> {
    let cases = of(target);
    let rows = suite::run_all(&cases, options, &run, |_| {});
    let unreached = |row: &Row| matches!(row.verdict, Verdict::Unreached(_));
    let (late, mut rows): (Vec<_>, Vec<_>) = rows.into_iter().partition(unreached);
    let is_late = |case: &Case| {
        late.iter()
            .any(|row| (row.item, row.stage, &row.name) == (case.item, case.stage, &case.name))
    };
    let again: Vec<_> = cases.into_iter().filter(is_late).collect();
    let alone = Options {
        jobs: 1,
        ..options.clone()
    };
    rows.extend(suite::run_all(&again, &alone, &run, |_| {}));
    rows
}

#[track_caller]
fn assert_proper(rows: &[Row]) {
    for row in rows {
        println!("{}", report::line(row));
    }
    println!("{}", report::summary(rows));
    let bad = |row: &&Row| {
        // Each stage can be had of ours.
        !row.verdict.is_proper() || matches!(row.verdict, Verdict::Unreached(_))
    };
    let bad: Vec<_> = rows.iter().filter(bad).map(report::line).collect();
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "something panicked");
    let peak = household::memory("self", "VmHWM:").unwrap();
    assert!(peak < MEMORY, "{peak} KiB");
}

/// Listeners for those who publish garbage, one for each job.
fn ingests(port: u16) -> Vec<Pipeline> {
    let launch = |job| {
        let pipeline = Pipeline::launch(&format!(
            "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1:{port}/torture/t{job} timeout=1 \
             keep-listening=true takeover=replace ! fakesink sync=false"
        ));
        pipeline.play();
        pipeline.notice("rtmp-listening");
        pipeline
    };
    (0..JOBS).map(launch).collect()
}

#[test]
fn our_servers_bear_it() {
    watch_for_panics();
    let live = Live::start("timeout=1 stall-timeout=5");
    let port = live.station.port;
    let witness = Witness::of(&live);
    let ingests = ingests(port);
    // One who publishes, and is not to miss anything either: what it plays it sends on.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("taken.flv");
    let taker = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1:{port}/up/one timeout=5 \
         ! filesink location={} buffer-mode=unbuffered",
        file.display()
    ));
    taker.play();
    taker.notice("rtmp-listening");
    let relay = Pipeline::launch(&format!(
        "rtmpsrc location=rtmp://127.0.0.1:{port}/live/one \
         ! rtmpsink location=rtmp://127.0.0.1:{port}/up/one sync=false"
    ));
    relay.play();
    taker.notice("rtmp-caller-added");

    for cut in [0, 1] {
        let server = Server {
            play: Some("live/one".into()),
            ..Server::parse(&format!("rtmp://127.0.0.1:{port}/torture/t{{job}}")).unwrap()
        };
        let options = Options { cut, ..options() };
        let rows = run(Target::Server, &options, |case, job| {
            server.run(case, job, &options)
        });
        assert_proper(&rows);
    }
    // Players that do not read are sent less.
    witness.has_seen_all(&live);
    relay.stop();
    taker.eos();
    let expect = Expect {
        headers: false,
        ..Expect::LIVE
    };
    let taken = flvdump::read(&file);
    assert!(taken.len() > 100, "{}", taken.len());
    flvdump::assert_same(&live.sent, &taken, expect);
    for ingest in &ingests {
        assert!(ingest.ends_seen().is_empty(), "{:?}", ingest.ends_seen());
    }
}

/// A pipeline with one of our elements as a client, named `it`.
struct Ours(Pipeline);

impl Running for Ours {
    fn end(&mut self, patience: Duration) -> Result<(), Verdict> {
        let took = self.0.stop();
        if took > patience {
            return Err(Verdict::Hung(format!("NULL took {took:?}")));
        }
        let errors = self.0.errors_left("it");
        if errors
            .iter()
            .any(|error| error.error.message().contains("anicked"))
        {
            return Err(Verdict::Crashed(format!("{errors:?}")));
        }
        match errors.len() {
            0 | 1 => Ok(()),
            _ => Err(Verdict::Hung(format!("one error is enough: {errors:?}"))),
        }
    }
}

fn our_clients_bear_it(call: impl Fn(&str) -> String + Sync) {
    watch_for_panics();
    let live = Live::start("");
    let witness = Witness::of(&live);
    let options = options();
    let clients = Clients {
        address: ([127, 0, 0, 1], 0).into(),
        path: "live/one".into(),
        call: Box::new(|url| {
            let pipeline = Pipeline::launch(&call(url));
            pipeline.play();
            Ok(Box::new(Ours(pipeline)) as Box<dyn Running>) as io::Result<_>
        }),
    };
    let rows = run(Target::Client, &options, |case, _| {
        clients.run(case, &options)
    });
    assert_proper(&rows);
    // Nobody is to be trusted with a certificate that proves nothing.
    for row in rows.iter().filter(|row| row.name.contains("certificate")) {
        assert_eq!(row.verdict, Verdict::Closed, "{}", row.name);
    }
    witness.has_missed_nothing(&live);
}

#[test]
fn our_players_bear_it() {
    our_clients_bear_it(|url| {
        format!(
            "rtmpsrc name=it location={url} timeout=1 reconnect=never live=live ! fakesink sync=false"
        )
    });
}

#[test]
fn our_publishers_bear_it() {
    let film = media::h264_aac();
    our_clients_bear_it(|url| {
        format!(
            "filesrc location={} ! rtmpsink name=it location={url} timeout=1 stall-timeout=2 \
             reconnect=never",
            film.display()
        )
    });
}

/// The suite finds what it looks for: a server that hangs, one that is gone, and one that closes.
#[test]
fn the_suite_tells_them_apart() {
    use support::rtmp_peer::Server as Scripted;
    let options = Options {
        patience: Duration::from_millis(700),
        ..Options::default()
    };
    let judge = |port: u16| {
        let server = Server::parse(&format!("rtmp://127.0.0.1:{port}/live/one")).unwrap();
        let cases = of(Target::Server);
        let case = cases
            .iter()
            .find(|case| case.name == "C0 is 255, and nothing else");
        server.run(case.expect("a case"), 0, &options)
    };
    let silent = Scripted::start(|peer, _| peer.stall());
    assert!(matches!(judge(silent.port()), Verdict::Hung(_)));
    let only_once = Scripted::start(|peer, number| match number {
        0 => Ok(()),
        _ => peer.stall(),
    });
    assert!(matches!(judge(only_once.port()), Verdict::Hung(why) if why.contains("next")));
    let sound = Scripted::start(|peer, number| {
        if number > 0 {
            peer.handshake()?;
            peer.accept_connect()?;
            peer.read_to_end();
        }
        Ok(())
    });
    assert_eq!(judge(sound.port()), Verdict::Closed);
    let gone = sound.port();
    drop(sound);
    wait_until("it is gone", || !support::process::is_listening(gone));
    assert!(matches!(judge(gone), Verdict::Crashed(_)));
}
