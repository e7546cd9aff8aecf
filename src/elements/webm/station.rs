// SPDX-License-Identifier: MPL-2.0

//! What is on the air and who watches: answers requests, from the pipeline's start to its end.
//!
//! Requests come on the porter's thread, departures on that of the fan-out, media on the pipeline's. No
//! lock is held while anything is waited for, or while the application's handlers run.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use gst::prelude::*;

use super::{
    WebmHttpSink,
    imp::CAT,
    journal::Line,
    page,
    settings::Settings,
    stats::{ClientStats, Stats},
};
use crate::{
    net::{
        fanout::{self, Fanout, NewClient, Reason, Report, Start},
        porter::{Answer, HttpPeer, Listing},
    },
    protocol::{
        http::{
            Head, Method, Range, Request, Version,
            access::{self, Denied},
            simple,
        },
        webm::Header,
    },
};

/// How long players are asked to wait before they try again, in seconds.
const RETRY: u32 = 2;

/// The far end of a part that has none: more bytes than anybody watches in a life.
const ENDLESS: u64 = 1_000_000_000_000;

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

/// Who watches, and who did.
#[derive(Debug, Default)]
struct People {
    here: HashMap<u64, Person>,
    next: u64,
    peak: usize,
    refused: u64,
    /// Of those who have gone.
    bytes: u64,
    dropped: u64,
}

/// Somebody who watches.
#[derive(Debug)]
struct Person {
    address: Option<SocketAddr>,
    /// The request's first line.
    line: Box<str>,
    user: Option<Box<str>>,
    agent: Option<Box<str>>,
    referer: Option<Box<str>>,
    status: u16,
    since: SystemTime,
}

impl Person {
    fn new(request: &Request, peer: HttpPeer, status: u16) -> Self {
        Self {
            address: peer.address,
            line: request.line.as_str().into(),
            user: access::user_and_password(request).map(|(user, _)| user.into()),
            agent: request.field("user-agent").map(Into::into),
            referer: request.field("referer").map(Into::into),
            status,
            since: SystemTime::now(),
        }
    }
}

/// Measures the stream's bitrate.
#[derive(Debug, Default)]
struct Meter {
    since: Option<Instant>,
    bytes: u64,
    rate: u64,
}

impl Meter {
    /// Takes bytes in; the rate is that of the last seconds, the newest counting most.
    fn add(&mut self, bytes: u64, now: Instant) {
        let since = *self.since.get_or_insert(now);
        self.bytes += bytes;
        let passed = now.saturating_duration_since(since);
        if passed >= Duration::from_secs(1) {
            let rate = (self.bytes as f64 * 8.0 / passed.as_secs_f64()) as u64;
            self.rate = if self.rate == 0 {
                rate
            } else {
                (self.rate + rate) / 2
            };
            (self.since, self.bytes) = (Some(now), 0);
        }
    }
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
                Answer::Reply(refusal.response(request.version))
            }
        }
    }

    fn admit(self: &Arc<Self>, request: &Request, peer: HttpPeer) -> Result<Answer, Refusal> {
        let settings = &self.settings;
        match request.method {
            Method::Get | Method::Head => {}
            Method::Options => return Ok(self.options(request)),
            Method::Post | Method::Other => {
                let text = "Only GET, HEAD and OPTIONS are served here.";
                return Err(Refusal::new(405, text).with("Allow", "GET, HEAD, OPTIONS"));
            }
        }
        if let Some(user) = &settings.user {
            access::password(request, user, settings.password.reveal()).map_err(Refusal::denied)?;
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
                .map_err(Refusal::denied)?;
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

    /// Lets somebody watch, or says why not.
    fn stream(self: &Arc<Self>, request: &Request, peer: HttpPeer) -> Result<Answer, Refusal> {
        let mut range = request.range();
        if range == Range::Unsatisfiable {
            let text = "A live stream has no last bytes.";
            return Err(Refusal::new(416, text).with("Content-Range", "bytes */*"));
        }
        let (content_type, beginning) = {
            let air = self.air();
            if air.ended {
                return Err(Refusal::later("The stream is over; it may come back."));
            }
            let header = air.header.as_ref();
            (
                header
                    .map(|header| header.content_type().to_owned())
                    .or_else(|| air.content_type.clone())
                    .unwrap_or_else(|| "video/webm".to_owned()),
                header.map(|header| header.bytes.clone()),
            )
        };
        if beginning.is_none() && matches!(range, Range::Part { .. }) {
            // How much of it is header is not known yet.
            range = Range::Whole;
        }
        let head_only = request.method == Method::Head;
        let framed = request.version == Version::Http11 && !matches!(range, Range::Part { .. });
        let head = self.head(request, range, &content_type, framed);
        // Players that look at the first bytes before they ask are served without taking a place.
        if let (Range::Part { first, length }, Some(header)) = (range, &beginning)
            && let Some(part) = part(header, first, length)
            && !head_only
        {
            return Ok(Answer::Reply([head, part].concat().into()));
        }
        self.check_limits(peer)?;
        self.ask_application(request, peer)?;
        if head_only {
            return Ok(Answer::Reply(head));
        }
        let status = if range == Range::Whole { 200 } else { 206 };
        let person = Person::new(request, peer, status);
        let id = self.arrive(person);
        let resumes = matches!(range, Range::From(_) | Range::Part { first: 1.., .. });
        let start = if resumes {
            // The latest key frame may be one that the player has seen, and time must not go back.
            Start::NextJoin
        } else {
            self.start(request)
        };
        let station = self.clone();
        let limit = match range {
            Range::Part { first: 0, length } => {
                let header = beginning.map_or(0, |header| header.len() as u64);
                Some(length.saturating_sub(header))
            }
            Range::Part { length, .. } => Some(length),
            _ => None,
        };
        Ok(Answer::Take(Box::new(move |stack, _| {
            station.fanout().add(NewClient {
                id,
                stack,
                head,
                header: !resumes,
                framed,
                start,
                limit,
                end: Bytes::from_static(if framed { b"0\r\n\r\n" } else { b"" }),
                protocol: None,
            });
        })))
    }

    fn head(&self, request: &Request, range: Range, content_type: &str, framed: bool) -> Bytes {
        let now = SystemTime::now();
        let status = if range == Range::Whole { 200 } else { 206 };
        let mut head = Head::new(request.version, status, now)
            .field("Content-Type", content_type)
            .field("Cache-Control", "no-store")
            // nginx would gather it otherwise.
            .field("X-Accel-Buffering", "no");
        head = match range {
            Range::From(first) => {
                let last = first.saturating_add(ENDLESS);
                head.field("Content-Range", format_args!("bytes {first}-{last}/*"))
            }
            Range::Part { first, length } => {
                let last = first.saturating_add(length - 1);
                head.field("Content-Range", format_args!("bytes {first}-{last}/*"))
                    .field("Content-Length", length)
            }
            _ => head,
        };
        if framed {
            head = head.field("Transfer-Encoding", "chunked");
        }
        let stays = framed && request.method == Method::Get;
        head = head.field("Connection", if stays { "keep-alive" } else { "close" });
        self.with_origin(head).finish()
    }

    fn start(&self, request: &Request) -> Start {
        let settings = &self.settings;
        let asked = request.parameter("burst").and_then(|b| b.parse().ok());
        let asked = asked.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
        match asked.map(|time| time.min(settings.burst_limit)) {
            Some(Duration::ZERO) => Start::LatestJoin,
            Some(time) => Start::Time(time),
            None if !settings.burst_time.is_zero() => Start::Time(settings.burst_time),
            None if settings.burst_bytes > 0 => Start::Bytes(settings.burst_bytes as usize),
            None => Start::LatestJoin,
        }
    }

    fn check_limits(&self, peer: HttpPeer) -> Result<(), Refusal> {
        let settings = &self.settings;
        let people = lock(&self.people);
        let here = people.here.len();
        if settings.max_clients > 0 && here >= settings.max_clients as usize {
            return Err(Refusal::later("Too many are watching already."));
        }
        if settings.max_clients_per_address > 0
            && let Some(address) = peer.address
        {
            let same = |p: &&Person| p.address.is_some_and(|a| a.ip() == address.ip());
            let from_there = people.here.values().filter(same).count();
            if from_there >= settings.max_clients_per_address as usize {
                return Err(Refusal::later(
                    "Too many are watching from this address already.",
                ));
            }
        }
        drop(people);
        if settings.max_bitrate > 0 {
            let all = (here as u64 + 1) * lock(&self.meter).rate;
            if all > u64::from(settings.max_bitrate) * 1000 {
                return Err(Refusal::later("There is no bandwidth left for one more."));
            }
        }
        Ok(())
    }

    /// Emits `client-connecting`.
    fn ask_application(&self, request: &Request, peer: HttpPeer) -> Result<(), Refusal> {
        let Some(element) = self.element.upgrade() else {
            return Err(Refusal::later("The stream is over."));
        };
        let mut headers = gst::Structure::new_empty("headers");
        for (name, value) in request.fields() {
            headers.set(name, value);
        }
        let address = text(peer.address);
        let arguments: [&dyn ToValue; 4] = [&address, &request.path, &request.query, &headers];
        let status = element.emit_by_name::<u32>("client-connecting", &arguments);
        match u16::try_from(status) {
            Ok(0) => Ok(()),
            Ok(status @ 300..600) => Err(Refusal::new(status, "You may not watch this.")),
            _ => Err(Refusal::new(403, "You may not watch this.")),
        }
    }

    fn arrive(&self, person: Person) -> u64 {
        let (address, agent) = (text(person.address), person.agent.clone());
        let mut people = lock(&self.people);
        people.next += 1;
        let id = people.next;
        people.here.insert(id, person);
        people.peak = people.peak.max(people.here.len());
        drop(people);
        gst::info!(CAT, "Client {id} from {address} is let in");
        if let Some(element) = self.element.upgrade() {
            element.emit_by_name::<()>("client-added", &[&id, &address, &agent.as_deref()]);
        }
        id
    }

    fn departed(&self, report: Report) {
        let mut people = lock(&self.people);
        let person = people.here.remove(&report.id);
        people.bytes += report.bytes;
        people.dropped += report.dropped;
        drop(people);
        let Some(person) = person else { return };
        let address = text(person.address);
        let seconds = report.connected.as_secs_f64();
        let reason = name(report.reason);
        gst::info!(
            CAT,
            "Client {} from {address} is gone after {seconds:.1} s: {reason}",
            report.id
        );
        self.log(&person, report.bytes, report.connected.as_secs());
        if let Some(element) = self.element.upgrade() {
            let arguments: [&dyn ToValue; 5] =
                [&report.id, &address, &reason, &report.bytes, &seconds];
            element.emit_by_name::<()>("client-removed", &arguments);
        }
    }

    fn log(&self, person: &Person, bytes: u64, seconds: u64) {
        let Some(file) = &self.settings.access_log else {
            return;
        };
        let line = Line {
            address: &person
                .address
                .map_or("-".to_owned(), |a| a.ip().to_canonical().to_string()),
            user: person.user.as_deref(),
            at: unix(person.since) as i64,
            request: &person.line,
            status: person.status,
            bytes,
            referer: person.referer.as_deref(),
            agent: person.agent.as_deref(),
            seconds,
        };
        if let Err(error) = line.append(file)
            && let Some(element) = self.element.upgrade()
        {
            element.log_failed(file, &error);
        }
    }

    /// Figures as of now.
    pub(super) fn stats(&self) -> Stats {
        let figures = self.fanout().clients();
        let (on_air, media_type) = {
            let air = self.air();
            let header = air.header.as_ref();
            (
                header.is_some() && !air.ended,
                header.map_or_else(String::new, Header::media_type),
            )
        };
        let bitrate = lock(&self.meter).rate;
        let people = lock(&self.people);
        let sum = |of: fn(&fanout::ClientFigures) -> u64| figures.iter().map(of).sum::<u64>();
        Stats {
            path: self.settings.path.clone(),
            on_air,
            media_type,
            bitrate,
            bytes_received: self.received.load(Ordering::Relaxed),
            bytes_sent: people.bytes + sum(|f| f.bytes),
            clients: people.here.len() as u32,
            clients_peak: people.peak as u32,
            clients_total: people.next,
            refused: people.refused,
            dropped: people.dropped + sum(|f| f.dropped),
            per_client: figures
                .iter()
                .filter_map(|figures| {
                    let person = people.here.get(&figures.id)?;
                    Some(ClientStats {
                        id: figures.id,
                        address: text(person.address),
                        agent: person.agent.as_deref().unwrap_or_default().to_owned(),
                        bytes_sent: figures.bytes,
                        dropped: figures.dropped,
                        lag_bytes: figures.lag_bytes,
                        lag_time: figures.lag_time,
                        seconds: figures.since.elapsed().as_secs_f64(),
                    })
                })
                .collect(),
        }
    }

    /// For the page that lists all streams of the port.
    pub(super) fn listing(&self) -> Listing {
        let stats = self.stats();
        let text = if stats.on_air {
            let rate = stats.bitrate as f64 / 1e6;
            format!("on the air, {rate:.1} Mbit/s, {} watching", stats.clients)
        } else {
            "not on the air".to_owned()
        };
        Listing {
            path: self.settings.path.clone(),
            page: self.settings.player.then(|| self.settings.page_path()),
            text,
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

/// The bytes of a part that lies within the header.
fn part(header: &Bytes, first: u64, length: u64) -> Option<Bytes> {
    let first = usize::try_from(first).ok()?;
    let end = first.checked_add(usize::try_from(length).ok()?)?;
    (end <= header.len()).then(|| header.slice(first..end))
}

/// As `client-removed` has it.
fn name(reason: Reason) -> &'static str {
    match reason {
        Reason::Left => "left",
        Reason::Failed => "failed",
        Reason::Slow => "slow",
        Reason::Stalled => "stalled",
        Reason::Kicked => "kicked",
        Reason::Ended => "ended",
        Reason::Complete => "complete",
        Reason::Moved => "moved",
    }
}

/// Why somebody does not get the stream.
#[derive(Debug)]
struct Refusal {
    status: u16,
    text: String,
    field: Option<(&'static str, String)>,
}

impl Refusal {
    fn new(status: u16, text: &str) -> Self {
        Self {
            status,
            text: text.to_owned(),
            field: None,
        }
    }

    /// For now.
    fn later(text: &str) -> Self {
        Self::new(503, text).with("Retry-After", &RETRY.to_string())
    }

    fn denied(denied: Denied) -> Self {
        match denied {
            Denied::Password => Self::new(401, "A user name and a password are needed.").with(
                "WWW-Authenticate",
                "Basic realm=\"stream\", charset=\"UTF-8\"",
            ),
            Denied::Unsigned => Self::new(403, "This link is not signed."),
            Denied::Expired => Self::new(410, "This link has expired."),
        }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.field = Some((name, value.to_owned()));
        self
    }

    fn response(&self, version: Version) -> Bytes {
        let now = SystemTime::now();
        let Some((name, value)) = &self.field else {
            return simple(version, self.status, &self.text, now);
        };
        Head::new(version, self.status, now)
            .field(name, value)
            .field("Cache-Control", "no-store")
            .field("Access-Control-Allow-Origin", "*")
            .body(
                "text/plain; charset=utf-8",
                &format!("{}\n", self.text),
                false,
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_meter_follows_the_rate() {
        let (mut meter, begun) = (Meter::default(), Instant::now());
        for ms in 0..5000 {
            meter.add(250, begun + Duration::from_millis(ms));
        }
        assert!(
            (1_990_000..2_010_000).contains(&meter.rate),
            "{}",
            meter.rate
        );
    }

    #[test]
    fn parts_of_the_header_are_cut_out() {
        let header = Bytes::from_static(b"\x1aE\xdf\xa3rest");
        assert_eq!(part(&header, 0, 2).unwrap(), &b"\x1aE"[..]);
        assert_eq!(part(&header, 4, 4).unwrap(), &b"rest"[..]);
        assert_eq!(part(&header, 4, 5), None);
        assert_eq!(part(&header, u64::MAX, 5), None);
    }
}
