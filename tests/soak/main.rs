// SPDX-License-Identifier: MPL-2.0

//! A station on the air over bad networks: a publisher, a server of both our elements and twenty players,
//! cut off from each other at random. Nobody's pipeline fails, what is missing ends at a key frame, and
//! pictures are back at most two seconds after the network is.
//!
//! `SOAK_SECONDS=3600 cargo test --release --test soak -- --nocapture` is the long run, `SOAK_SEED`
//! another fate.

// Everything here is for this program alone.
#![allow(unreachable_pub, dead_code)]

#[path = "../support/mod.rs"]
mod support;

mod film;
mod player;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::{
    film::{Film, RATE, beginning},
    player::{BACK, Player},
    support::{
        fault_proxy::{Fault, FaultProxy},
        household::Household,
        pipeline::Pipeline,
        process::{PATIENCE, free_port, poll, wait_until},
    },
};

const PLAYERS: usize = 20;

/// Bits of pictures a second.
const BIT_RATE: u32 = 500_000;

/// Seconds after which a player takes a silent server for dead.
const IDLE: u32 = 2;

/// What a publisher's kernel may go on taking when nothing is read any more, before the element can notice.
const FILLING: Duration = Duration::from_secs(3);

/// Times and memory are judged from here on: a shorter run still grows into what it needs.
const LONG: Duration = Duration::from_secs(1800);

/// Numbers that depend on a seed alone (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % end
    }

    fn fault(&mut self) -> Fault {
        let ms = |n| Duration::from_millis(n);
        match self.below(6) {
            0 => Fault::Reset,
            1 => Fault::Close,
            2 => Fault::Stall(ms(200 + self.below(2800))),
            3 => Fault::Dead,
            4 => Fault::Throttle(
                10_000 + self.below(30_000) as u32,
                ms(1000 + self.below(4000)),
            ),
            _ => Fault::Restart(ms(300 + self.below(4000))),
        }
    }
}

/// A live encoder's pipeline.
struct Publisher {
    pipeline: Pipeline,
    over: Arc<AtomicBool>,
    feeder: Option<JoinHandle<()>>,
}

impl Publisher {
    fn start(port: u16, film: &Arc<Film>) -> Self {
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=in is-live=true ! rtmpsink name=out sync=false timeout=2 stall-timeout=2 \
             location=rtmp://127.0.0.1:{port}/live/one queue-policy=drop reconnect=always \
             reconnect-attempts=0 reconnect-delay=200 reconnect-max-delay=800"
        ));
        pipeline.play();
        let source = pipeline.element("in");
        let over = Arc::new(AtomicBool::new(false));
        let (stop, film) = (over.clone(), film.clone());
        let feeder = thread::spawn(move || {
            let push = |bytes| {
                let buffer = gst::Buffer::from_slice(bytes);
                let _ = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
            };
            push(beginning());
            let begun = Instant::now();
            let numbers = AtomicU32::new(0);
            while !stop.load(Ordering::SeqCst) {
                let number = numbers.fetch_add(1, Ordering::SeqCst);
                let due = Duration::from_secs(1) * number / RATE;
                thread::sleep(due.saturating_sub(begun.elapsed()));
                push(film.tags(number));
            }
        });
        Self {
            pipeline,
            over,
            feeder: Some(feeder),
        }
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
    }
}

fn number_from(variable: &str, default: u64) -> u64 {
    let wanted = std::env::var(variable).ok();
    wanted.map_or(default, |n| n.parse().expect("a number"))
}

#[test]
fn a_station_over_bad_networks() {
    let duration = Duration::from_secs(number_from("SOAK_SECONDS", 24));
    let seed = number_from("SOAK_SEED", 7);
    println!("{duration:?}, seed {seed}");
    let film = Arc::new(Film::new(BIT_RATE));
    let port = free_port();
    // Without source-timeout, players are told of each silence that the stream has ended.
    let station = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1:{port}/live/one timeout=2 \
         keep-listening=true takeover=replace idle-timeout=20 ! \
         rtmpsink name=out mode=listener location=rtmp://127.0.0.1:{port}/live/one timeout=2 \
         sync=false source-timeout=0 stall-timeout=10"
    ));
    station.play();
    station.notice("rtmp-listening");
    station.notice("rtmp-listening");
    let uplink = FaultProxy::start(port);
    let publisher = Publisher::start(uplink.port(), &film);
    let downlinks: Vec<_> = (0..PLAYERS).map(|_| FaultProxy::start(port)).collect();
    let links = downlinks.iter();
    let players: Vec<_> = links
        .map(|link| Player::start(link.port(), &film, IDLE))
        .collect();
    for player in &players {
        wait_until("all play", || player.seen.lock().unwrap().pictures > 0);
    }

    let mut dice = Dice(seed);
    let begun = Instant::now();
    let noticed = Duration::from_secs(IDLE.into());
    let mut household = Vec::new();
    let mut failures = Vec::new();
    let note = |failures: &mut Vec<String>| {
        let of_players = players.iter().map(|player| &player.pipeline);
        let all = [&publisher.pipeline, &station]
            .into_iter()
            .chain(of_players);
        for (number, pipeline) in all.enumerate() {
            let ends = pipeline.ends_seen().into_iter();
            failures.extend(ends.map(|end| format!("pipeline {number}: {end}")));
        }
    };
    let tell = |what| {
        if duration < LONG {
            println!("{:5.1} s  {what}", begun.elapsed().as_secs_f64());
        }
    };
    let (mut faults, mut restarts) = (0, 0);
    let mut next_look = begun;
    // The network is whole again for the last seconds, so that everybody has to come back.
    let end = begun + duration.saturating_sub(Duration::from_secs(8));
    while Instant::now() < end {
        thread::sleep(Duration::from_millis(500 + dice.below(1000)));
        match dice.below(30) {
            0 | 1 => {
                let fault = dice.fault();
                tell(format!("uplink: {fault:?}"));
                uplink.inflict(fault, noticed + FILLING);
            }
            2 => {
                restarts += 1;
                players[dice.below(PLAYERS as u64) as usize].restart();
                continue;
            }
            _ => {
                let player = dice.below(PLAYERS as u64) as usize;
                let fault = dice.fault();
                tell(format!("player {player}: {fault:?}"));
                downlinks[player].inflict(fault, noticed);
            }
        }
        faults += 1;
        if Instant::now() >= next_look {
            // Messages that nobody takes hold on to what sent them.
            note(&mut failures);
            let now = Household::now();
            println!("{:5} s  {now}", begun.elapsed().as_secs());
            household.push((begun.elapsed(), now));
            next_look += duration / 60;
        }
    }
    thread::sleep(Duration::from_secs(8));
    household.push((begun.elapsed(), Household::now()));
    let before: Vec<_> = players
        .iter()
        .map(|p| p.seen.lock().unwrap().pictures)
        .collect();
    for (number, (player, before)) in players.iter().zip(before).enumerate() {
        let again = || (player.seen.lock().unwrap().pictures > before).then_some(());
        if poll(PATIENCE, again).is_none() {
            failures.push(format!("player {number} does not play any more"));
        }
    }

    note(&mut failures);
    let (mut worst, mut longest) = (Duration::ZERO, Duration::ZERO);
    let (mut pictures, mut jumps, mut gaps) = (0, 0, 0);
    let mut late = Vec::new();
    for (number, (player, link)) in players.iter().zip(&downlinks).enumerate() {
        let seen = player.seen.lock().unwrap();
        failures.extend(
            seen.wrong
                .iter()
                .map(|what| format!("player {number}: {what}")),
        );
        pictures += seen.pictures;
        jumps += seen.jumps;
        gaps += seen.gaps.len();
        let outages = [link.outages(), uplink.outages()].concat();
        for gap in &seen.gaps {
            let (lasted, bad) = gap.against(&outages);
            longest = longest.max(lasted);
            worst = worst.max(lasted.saturating_sub(bad));
            if lasted > bad + BACK {
                late.push(format!(
                    "player {number}: {lasted:.1?} without pictures from {:.1?} on, the network was bad \
                     for {bad:.1?}",
                    gap.from - begun
                ));
            }
        }
    }
    println!(
        "{faults} faults, {restarts} players restarted; {pictures} pictures, {jumps} jumps, {gaps} \
         gaps of more than 1 s, the longest {longest:.1?}, at most {worst:.1?} longer than the outage"
    );
    let (first, last): (Vec<_>, Vec<_>) = household.iter().partition(|(at, _)| *at * 6 <= duration);
    let first = first.iter().map(|(_, now)| now.memory).max().unwrap_or(0);
    let last = last.last().map_or(0, |(_, now)| now.memory);
    println!("memory: {first} KiB in the first sixth, {last} KiB at the end");
    println!("{late:#?}");
    // Among other tests, on a machine that has much to do, figures say little.
    if duration >= LONG {
        failures.append(&mut late);
        if last * 100 > first * 105 {
            failures.push(format!("memory grew from {first} to {last} KiB"));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(faults > 0 && jumps > 0 && gaps > 0, "nothing was tried");
}
