// SPDX-License-Identifier: MPL-2.0

//! A player, and a judge of what it gets.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::{
    film::Film,
    support::{fault_proxy::Outage, pipeline::Pipeline},
};

/// What a player may take to be back behind an outage.
pub(crate) const BACK: Duration = Duration::from_secs(2);

/// A silence that is looked into.
const SILENCE: Duration = Duration::from_millis(1000);

/// A time without pictures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

impl Gap {
    /// How long it was, and how long the network was bad in it: each outage that reaches into it.
    pub(crate) fn against(&self, outages: &[Outage]) -> (Duration, Duration) {
        let mut bad = Duration::ZERO;
        let mut so_far = None;
        let mut touching: Vec<_> = outages
            .iter()
            // What happened as the last picture came belongs to it.
            .filter(|(from, to)| *to + SILENCE >= self.from && *from <= self.to)
            .collect();
        touching.sort();
        for &&(from, to) in &touching {
            let from = so_far.map_or(from, |end: Instant| end.max(from));
            bad += to.saturating_duration_since(from);
            so_far = Some(so_far.map_or(to, |end: Instant| end.max(to)));
        }
        (self.to - self.from, bad)
    }
}

/// What one player saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    last: Option<(u32, Instant)>,
    pub(crate) pictures: u64,
    /// Places where the next picture was not the next number.
    pub(crate) jumps: u64,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) wrong: Vec<String>,
}

impl Seen {
    fn see(&mut self, film: &Film, tag: &[u8]) {
        let (number, key) = match film.read(tag) {
            Ok(Some(picture)) => picture,
            Ok(None) => return,
            Err(what) => return self.wrong.push(what),
        };
        let now = Instant::now();
        if let Some((last, at)) = self.last {
            if number != last + 1 {
                self.jumps += 1;
                if !key {
                    let what = format!("after picture {last} came {number}, which is no key frame");
                    self.wrong.push(what);
                }
            }
            if now - at > SILENCE {
                self.gaps.push(Gap { from: at, to: now });
            }
        } else if !key {
            self.wrong.push(format!("{number} came first"));
        }
        self.last = Some((number, now));
        self.pictures += 1;
    }
}

pub(crate) struct Player {
    pub(crate) pipeline: Pipeline,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

impl Player {
    pub(crate) fn start(port: u16, film: &Arc<Film>, idle: u32) -> Self {
        let pipeline = Pipeline::launch(&format!(
            "rtmpsrc name=in location=rtmp://127.0.0.1:{port}/live/one live=live timeout=2 \
             idle-timeout={idle} reconnect=always reconnect-attempts=0 reconnect-delay=200 \
             reconnect-max-delay=800 ! fakesink sync=false"
        ));
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (notes, film) = (seen.clone(), film.clone());
        let pad = pipeline.element("in").static_pad("src").expect("a pad");
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(map) = info.buffer().and_then(|buffer| buffer.map_readable().ok()) {
                notes.lock().unwrap().see(&film, &map);
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.play();
        Self { pipeline, seen }
    }

    /// Stops and starts, as a viewer does who comes back.
    pub(crate) fn restart(&self) {
        self.pipeline.stop();
        self.seen.lock().unwrap().last = None;
        self.pipeline.play();
    }
}
