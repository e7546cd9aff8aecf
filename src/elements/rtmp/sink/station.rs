// SPDX-License-Identifier: MPL-2.0

//! What a listening sink has on the air and who plays it.
//!
//! Players come on the thread that serves all ports, leave on that of the fan-out, media comes on the
//! pipeline's. No lock is held while anything is waited for, or while the application's handlers run.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use gst::prelude::*;

use super::{
    air::{Air, KEYED},
    imp::CAT,
};
use crate::{
    elements::rtmp::{callers, kinds::Burst, settings::Settings, stats::CallerStats},
    net::{
        fanout::{self, Desk, Fanout, NewClient, Reason, Report, Start},
        porter::{Caller, Host, Mail, PlayArrival, ReconnectRequest},
    },
    protocol::flv::Tag,
};

/// How long the end of a stream waits for players that are slow to take it.
const FAREWELL: Duration = Duration::from_secs(1);

/// See the module's text.
#[derive(Debug)]
pub(super) struct Station {
    settings: Settings,
    element: glib::WeakRef<gst::Element>,
    fanout: OnceLock<Fanout>,
    air: Mutex<Air>,
    people: Mutex<People>,
    /// Somebody came or left, or a wait is to end.
    changed: Condvar,
}

/// Who plays, and who did.
#[derive(Debug, Default)]
struct People {
    /// In boxes: there are thousands, and a map has room for twice as many.
    here: HashMap<u64, Box<Player>>,
    next: u64,
    /// Of those who have gone.
    bytes: u64,
    dropped: u64,
    interrupted: bool,
}

#[derive(Debug)]
struct Player {
    caller: Caller,
    mail: Arc<Mail>,
}

/// All players together.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) bytes: u64,
    pub(super) dropped: u64,
    pub(super) tags: u64,
    pub(super) media_timestamp: Option<u32>,
    pub(super) callers: Vec<CallerStats>,
}

impl Station {
    /// Opens with nobody there.
    ///
    /// # Errors
    /// The system's, when it is out of descriptors or threads.
    pub(super) fn open(settings: Settings, element: &gst::Element) -> std::io::Result<Arc<Self>> {
        // What is sent in one go should fit, or each batch would take two.
        let batches = 1 + settings.batch_time.as_millis() as u32 / 100;
        let config = fanout::Config {
            batch: settings.batch_time,
            recover: settings.recover_policy.into(),
            lag_time: settings.max_lag_time,
            lag_bytes: settings.max_lag_bytes as usize,
            unsent: settings.send_buffer.saturating_mul(batches),
            stall: settings.stall_timeout,
            // A picture and its sound come together.
            gather: false,
            keyed: KEYED,
            ..fanout::Config::default()
        };
        let station = Arc::new(Self {
            air: Mutex::new(Air::new(settings.chunk_size as usize)),
            settings,
            element: element.downgrade(),
            fanout: OnceLock::new(),
            people: Mutex::default(),
            changed: Condvar::new(),
        });
        let weak: Weak<Self> = Arc::downgrade(&station);
        let fanout = Fanout::start("rtmp-out", config, move |report| {
            if let Some(station) = weak.upgrade() {
                station.departed(report);
            }
        })?;
        // Nobody else has it yet.
        let _ = station.fanout.set(fanout);
        Ok(station)
    }

    fn fanout(&self) -> &Fanout {
        self.fanout
            .get()
            .expect("set before anybody has the station")
    }

    /// Sends a tag to all.
    pub(super) fn send(&self, tag: &Tag) {
        let mut air = lock(&self.air);
        if air.has_ended() {
            // A flush has taken the end back.
            self.fanout().resume();
        }
        self.fanout().push_all(air.tag(tag, Instant::now()));
    }

    /// Tells players, once, if nothing has come for too long.
    pub(super) fn look_for_silence(&self) {
        let timeout = self.settings.source_timeout;
        let silence = (!timeout.is_zero())
            .then(|| lock(&self.air).silence(timeout, Instant::now()))
            .flatten();
        if let Some(block) = silence {
            gst::info!(CAT, "Nothing comes from upstream; players are told");
            self.fanout().push(block);
        }
    }

    /// Lets a player in.
    pub(super) fn serve(self: &Arc<Self>, arrival: PlayArrival) {
        let PlayArrival {
            caller,
            stack,
            head,
            mut player,
        } = arrival;
        let station = Arc::downgrade(self);
        player.on_begin(Arc::new(move |desk| {
            if let Some(station) = station.upgrade() {
                station.begin(desk);
            }
        }));
        player.watch(self.settings.ping_interval, Instant::now());
        let mut people = self.people();
        people.next += 1;
        let id = people.next;
        let here = Player {
            caller: caller.clone(),
            mail: player.mail(),
        };
        people.here.insert(id, Box::new(here));
        drop(people);
        gst::info!(CAT, "Player {id} is let in: {caller:?}");
        if let Some(element) = self.element.upgrade() {
            callers::added(&element, id, &caller);
        }
        self.fanout().add(NewClient {
            id,
            stack,
            head,
            header: true,
            framed: false,
            start: Start::Held,
            limit: None,
            end: Bytes::new(),
            protocol: Some(Box::new(player)),
        });
        self.changed.notify_all();
    }

    /// Gives a player what it gets of the past.
    fn begin(&self, desk: &mut Desk<'_>) {
        match self.settings.burst {
            Burst::Gop => desk.play(Start::LatestJoin),
            Burst::KeyFrame => {
                let mut air = lock(&self.air);
                desk.play_now(&air.header_now());
                if let Some(key_frame) = air.key_frame() {
                    desk.say_block(&key_frame);
                }
            }
            Burst::None => desk.play_now(&lock(&self.air).header_now()),
        }
    }

    fn departed(&self, report: Report) {
        let mut people = self.people();
        let player = people.here.remove(&report.id);
        people.bytes += report.bytes;
        people.dropped += report.dropped;
        drop(people);
        self.changed.notify_all();
        let (Some(caller), Some(element)) =
            (player.map(|player| player.caller), self.element.upgrade())
        else {
            return;
        };
        let (id, reason) = (report.id, name(report.reason));
        gst::info!(CAT, obj = element, "Player {id} is gone: {report:?}");
        callers::removed(&element, id, &caller, reason);
    }

    /// Waits until the first player has come; `false` when interrupted.
    pub(super) fn wait_for_player(&self) -> bool {
        let people = self.people();
        let nobody = |people: &mut People| people.next == 0 && !people.interrupted;
        let people = self.changed.wait_while(people, nobody);
        !people.unwrap_or_else(PoisonError::into_inner).interrupted
    }

    /// Ends every wait until [`resume`](Self::resume).
    pub(super) fn interrupt(&self) {
        self.people().interrupted = true;
        self.changed.notify_all();
    }

    /// Allows waits again.
    pub(super) fn resume(&self) {
        self.people().interrupted = false;
    }

    /// Ends the stream, and waits a while until everybody has all of it.
    pub(super) fn end(&self) {
        self.close();
        let people = self.people();
        let anybody = |people: &mut People| !people.here.is_empty() && !people.interrupted;
        let _ = self.changed.wait_timeout_while(people, FAREWELL, anybody);
    }

    /// Asks those who understand it to go, all or one by its number; returns how many that are.
    pub(super) fn request_reconnect(&self, request: &ReconnectRequest, id: u64) -> u32 {
        let people = self.people();
        let all = people.here.iter();
        let asked = all
            .filter(|(known, player)| (id == 0 || **known == id) && player.caller.can_reconnect)
            .map(|(_, player)| player.mail.put(request.clone()));
        asked.count().try_into().unwrap_or(u32::MAX)
    }

    /// Another stream follows, whose headers are not those of this one.
    pub(super) fn begin_anew(&self) {
        let mut air = lock(&self.air);
        self.fanout().push_many(air.begin_anew());
        self.fanout().clear();
    }

    /// Ends the stream and all connections, without waiting for players.
    pub(super) fn shut(&self) {
        self.close();
        self.fanout().shut();
    }

    /// Ends the stream.
    fn close(&self) {
        let mut air = lock(&self.air);
        self.fanout().push_many(air.end());
        self.fanout().end();
    }

    /// Figures as of now.
    pub(super) fn sum(&self) -> Sum {
        let figures = self.fanout().clients();
        let (tags, media_timestamp) = lock(&self.air).count();
        let people = self.people();
        let all = |of: fn(&fanout::ClientFigures) -> u64| figures.iter().map(of).sum::<u64>();
        Sum {
            bytes: people.bytes + all(|f| f.bytes),
            dropped: people.dropped + all(|f| f.dropped),
            tags,
            media_timestamp,
            callers: figures
                .iter()
                .filter_map(|figures| {
                    Some(CallerStats {
                        id: figures.id,
                        caller: people.here.get(&figures.id)?.caller.clone(),
                        role: "player",
                        since: figures.since,
                        bytes: figures.bytes,
                        queue_bytes: figures.lag_bytes,
                        queue_time: Duration::from_millis(figures.lag_time),
                        dropped: figures.dropped,
                        round_trip: figures.rtt,
                    })
                })
                .collect(),
        }
    }

    fn people(&self) -> MutexGuard<'_, People> {
        lock(&self.people)
    }

    fn check_limits(&self, caller: &Caller) -> Result<(), String> {
        let settings = &self.settings;
        let people = self.people();
        let all = people.here.len();
        let from_there = || {
            let ip = caller.address.map(|address| address.ip());
            let same = |other: &&Player| other.caller.address.map(|address| address.ip()) == ip;
            people
                .here
                .values()
                .map(|other| &**other)
                .filter(same)
                .count()
        };
        let reached = |limit: u32, count: usize| limit > 0 && count >= limit as usize;
        if reached(settings.max_callers, all) {
            return Err("Too many are playing this already.".to_owned());
        }
        // Who has no limit need not be counted.
        if settings.max_callers_per_address > 0
            && reached(settings.max_callers_per_address, from_there())
        {
            return Err("Too many are playing this from your address already.".to_owned());
        }
        Ok(())
    }
}

/// Lets players in.
#[derive(Debug)]
pub(super) struct Reception(pub(super) Weak<Station>);

impl Host for Reception {
    fn admit(&self, caller: &Caller) -> Result<(), String> {
        let over = || "The stream is over.".to_owned();
        let station = self.0.upgrade().ok_or_else(over)?;
        if lock(&station.air).has_ended() {
            return Err(over());
        }
        station.check_limits(caller)?;
        let element = station.element.upgrade().ok_or_else(over)?;
        callers::ask(&element, caller)
    }

    fn rejected(&self, caller: &Caller, reason: &str) {
        let element = self.0.upgrade().and_then(|s| s.element.upgrade());
        if let Some(element) = element {
            callers::rejected(&element, caller, reason);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// As `caller-removed` has it.
fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::Left => "left",
        Reason::Failed => "failed",
        Reason::Slow => "slow",
        Reason::Stalled => "stalled",
        Reason::Kicked => "kicked",
        Reason::Ended | Reason::Complete => "ended",
        // It plays another stream now.
        Reason::Moved => "left",
    }
}
