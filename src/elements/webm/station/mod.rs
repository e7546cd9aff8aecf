// SPDX-License-Identifier: MPL-2.0

//! What is on the air and who watches: answers requests, from the pipeline's start to its end.
//!
//! Requests come on the porter's thread, departures on that of the fan-out, media on the pipeline's. No
//! lock is held while anything is waited for, or while the application's handlers run.

mod figures;
mod meter;
mod people;
mod refusal;
mod viewer;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime},
};

use gst::prelude::*;

use self::{
    meter::Meter,
    people::{People, Person},
    refusal::denied,
};
use super::{WebmHttpSink, imp::CAT, page, settings::Settings};
use crate::{
    net::{
        fanout::{self, Fanout},
        porter::{Answer, HttpPeer},
    },
    protocol::{
        http::{Head, Method, Request, Sentence, access},
        webm::Header,
    },
};

/// See the module's text.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) settings: Settings,
    element: glib::WeakRef<WebmHttpSink>,
    fanout: OnceLock<Fanout>,
    air: Mutex<Air>,
    people: Mutex<People>,
    received: AtomicU64,
    meter: Mutex<Meter>,
}

/// What is on the air.
#[derive(Debug, Default)]
struct Air {
    /// From caps, before the stream itself says.
    content_type: Option<String>,
    header: Option<Header>,
    ended: bool,
}

impl Station {
    /// Opens with nobody there.
    ///
    /// # Errors
    /// The system's, when it is out of descriptors or threads.
    pub(super) fn open(settings: Settings, element: &WebmHttpSink) -> std::io::Result<Arc<Self>> {
        let config = fanout::Config {
            batch: settings.batch_time,
            recover: settings.recover_policy.into(),
            lag_time: settings.max_lag_time,
            lag_bytes: settings.max_lag_bytes as usize,
            keep_time: settings.burst_time.max(settings.burst_limit),
            keep_bytes: settings.burst_bytes as usize,
            unsent: settings.send_buffer,
            stall: settings.timeout,
            ..fanout::Config::default()
        };
        let station = Arc::new(Self {
            settings,
            element: element.downgrade(),
            fanout: OnceLock::new(),
            air: Mutex::default(),
            people: Mutex::default(),
            received: AtomicU64::new(0),
            meter: Mutex::default(),
        });
        let weak: Weak<Self> = Arc::downgrade(&station);
        let fanout = Fanout::start("webm-out", config, move |report| {
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

    fn air(&self) -> MutexGuard<'_, Air> {
        lock(&self.air)
    }

    /// What the caps say, before the stream itself does.
    pub(super) fn announce(&self, content_type: &str) {
        self.air().content_type = Some(content_type.to_owned());
    }

    /// Counts what comes from the pipeline.
    pub(super) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
        lock(&self.meter).add(bytes as u64, Instant::now());
    }

    /// A stream begins, or another one. Returns whether those who watch can go on.
    pub(super) fn begin(&self, header: Header) -> bool {
        let mut air = self.air();
        let fits = air.header.as_ref().is_none_or(|known| known.fits(&header));
        let ended = std::mem::take(&mut air.ended);
        air.header = Some(header);
        drop(air);
        if ended {
            self.fanout().resume();
        }
        fits
    }

    /// Serves blocks.
    pub(super) fn send(&self, blocks: impl IntoIterator<Item = fanout::Block>) {
        self.fanout().push_many(blocks);
    }

    /// Sets what comes before the first block.
    pub(super) fn set_header(&self, header: fanout::Block) {
        self.fanout().set_header(header, false);
    }

    /// Ends every response, and refuses who comes after.
    pub(super) fn end(&self) {
        self.air().ended = true;
        self.fanout().end();
    }

    /// Ends every response for a stream that takes another's place.
    pub(super) fn change(&self) {
        self.fanout().end();
        self.fanout().resume();
        // Nobody is to begin with what is left of the old one.
        self.fanout().clear();
    }

    /// Resets every connection, for players to come again.
    pub(super) fn reset(&self) {
        self.fanout().abort();
        self.fanout().clear();
    }

    /// How many are still there.
    pub(super) fn clients(&self) -> usize {
        self.fanout().len()
    }

    /// Answers a request.
    pub(super) fn answer(self: &Arc<Self>, request: &Request, peer: HttpPeer) -> Answer {
        match self.admit(request, peer) {
            Ok(answer) => answer,
            Err(refusal) => {
                lock(&self.people).refused += 1;
                let status = refusal.status;
                self.log(&Person::new(request, peer, status), 0, 0);
                gst::debug!(
                    CAT,
                    "{}: {} for {:?}: {}",
                    request.line,
                    status,
                    peer.address,
                    refusal.text
                );
                Answer::Reply(refusal.answer(request, SystemTime::now()))
            }
        }
    }

    fn admit(self: &Arc<Self>, request: &Request, peer: HttpPeer) -> Result<Answer, Sentence> {
        let settings = &self.settings;
        match request.method {
            Method::Get | Method::Head => {}
            Method::Options => return Ok(self.options(request)),
            Method::Post | Method::Other => {
                let text = "Only GET, HEAD and OPTIONS are served here.";
                return Err(Sentence::new(405, text).with("Allow", "GET, HEAD, OPTIONS"));
            }
        }
        if let Some(user) = &settings.user {
            access::password(request, user, settings.password.reveal()).map_err(denied)?;
        }
        let is = |path: &Option<String>| path.as_deref() == Some(&request.path);
        if is(&settings.metrics_path) {
            let text = self.stats().to_prometheus();
            return Ok(self.document(request, "text/plain; version=0.0.4; charset=utf-8", &text));
        }
        if is(&settings.status_path) {
            return Ok(self.document(request, "application/json", &self.stats().to_json()));
        }
        let secret = settings.url_secret.reveal();
        if !secret.is_empty() {
            access::signature(request, secret, &settings.path, unix(SystemTime::now()))
                .map_err(denied)?;
        }
        if request.path != settings.path {
            let page = page::render(settings);
            return Ok(self.document(request, "text/html; charset=utf-8", &page));
        }
        self.stream(request, peer)
    }

    /// What may be asked.
    fn options(&self, request: &Request) -> Answer {
        let head = Head::new(request.version, 204, SystemTime::now())
            .field("Allow", "GET, HEAD, OPTIONS")
            .field("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
            .field("Access-Control-Allow-Headers", "Range, Authorization")
            .field("Access-Control-Max-Age", 86400)
            .field("Connection", "close");
        Answer::Reply(self.with_origin(head).finish())
    }

    fn document(&self, request: &Request, content_type: &str, text: &str) -> Answer {
        let head =
            Head::new(request.version, 200, SystemTime::now()).field("Cache-Control", "no-store");
        let head_only = request.method == Method::Head;
        Answer::Reply(self.with_origin(head).body(content_type, text, head_only))
    }

    fn with_origin(&self, head: Head) -> Head {
        match &self.settings.allow_origin {
            Some(origin) => head
                .field("Access-Control-Allow-Origin", origin)
                .field("Access-Control-Expose-Headers", "Content-Range"),
            None => head,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(address: Option<SocketAddr>) -> String {
    address.map_or_else(String::new, |address| address.to_string())
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
