// SPDX-License-Identifier: MPL-2.0

//! What was claimed on a port.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Arrival, Host, Takeover, http, player::PlayArrival};
use crate::protocol::rtmp::{auth::Door, names, session::Capabilities};

/// One claim.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Whether peers without TLS are refused.
    pub(super) tls: bool,
    place: Mutex<Place>,
    /// There is an arrival.
    waiting: AtomicBool,
}

/// What it is for.
pub(super) enum Kind {
    Publish {
        names: Names,
        /// It has one publisher, and those who take over from it, in its life.
        once: bool,
        takeover: Takeover,
        notify: Box<dyn Fn() + Send + Sync>,
    },
    Play {
        names: Names,
        chunk_size: u32,
        serve: Box<dyn Fn(PlayArrival) + Send + Sync>,
    },
    Http {
        paths: Vec<String>,
        serve: http::Serve,
        listing: Option<http::List>,
    },
}

/// An application and a stream, either of which may be a pattern, and who is let in.
pub(super) struct Names {
    pub(super) app: String,
    pub(super) stream: String,
    pub(super) door: Door,
    pub(super) capabilities: Capabilities,
    pub(super) host: Box<dyn Host>,
}

impl Names {
    fn is_pattern(&self) -> bool {
        names::is_pattern(&self.app) || names::is_pattern(&self.stream)
    }

    fn cover(&self, app: &str, stream: &str) -> bool {
        names::covers(&self.app, app) && names::covers(&self.stream, stream)
    }
}

/// Room for one publisher.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// It has had its publisher.
    spent: bool,
    taken: Option<Taken>,
    arrival: Option<Arrival>,
}

/// Who has the place.
#[derive(Debug)]
struct Taken {
    app: String,
    stream: String,
    pulse: Pulse,
}

/// When somebody was heard last.
#[derive(Clone, Debug)]
pub(crate) struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    /// Something was heard.
    pub(crate) fn beat(&self, now: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn silence(&self, now: Instant) -> Duration {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.saturating_duration_since(last)
    }
}

impl Entry {
    pub(super) fn new(kind: Kind, tls: bool) -> Arc<Self> {
        Arc::new(Self {
            kind,
            tls,
            place: Mutex::default(),
            waiting: AtomicBool::new(false),
        })
    }

    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The application and stream of a claim for RTMP.
    pub(super) fn names(&self) -> Option<&Names> {
        match &self.kind {
            Kind::Publish { names, .. } | Kind::Play { names, .. } => Some(names),
            Kind::Http { .. } => None,
        }
    }

    /// What both would take, for people; `None` if nothing.
    pub(super) fn overlap(&self, other: &Self) -> Option<String> {
        match (&self.kind, &other.kind) {
            (Kind::Publish { .. }, Kind::Publish { .. })
            | (Kind::Play { .. }, Kind::Play { .. }) => {
                let (own, new) = (self.names()?, other.names()?);
                if self.is_spent() {
                    return None;
                }
                let both = match &self.place().taken {
                    // A pattern that has its publisher stands for that one's stream alone, so that
                    // somebody else may wait for the next.
                    Some(taken) if own.is_pattern() => {
                        !new.is_pattern() && new.cover(&taken.app, &taken.stream)
                    }
                    _ => {
                        names::overlap(&own.app, &new.app)
                            && names::overlap(&own.stream, &new.stream)
                    }
                };
                both.then(|| format!("{}/{}", new.app, new.stream))
            }
            (Kind::Http { paths, .. }, Kind::Http { paths: others, .. }) => {
                others.iter().find(|path| paths.contains(path)).cloned()
            }
            _ => None,
        }
    }

    /// What it takes or sends of Enhanced RTMP.
    pub(super) fn capabilities(&self) -> Option<&Capabilities> {
        self.names().map(|names| &names.capabilities)
    }

    /// Whether it hears of this application.
    pub(super) fn knows(&self, app: &str) -> bool {
        self.names()
            .is_some_and(|names| names::covers(&names.app, app))
    }

    pub(super) fn is_publish(&self) -> bool {
        matches!(self.kind, Kind::Publish { .. })
    }

    /// Whether it has had the publisher that it waited for.
    fn is_spent(&self) -> bool {
        let place = self.place();
        place.spent && place.taken.is_none()
    }

    /// Whether it is for this publisher.
    pub(super) fn takes(&self, app: &str, stream: &str) -> bool {
        self.is_publish() && !self.is_spent() && self.names().is_some_and(|n| n.cover(app, stream))
    }

    /// Whether it is for this player.
    pub(super) fn plays(&self, app: &str, stream: &str) -> bool {
        matches!(self.kind, Kind::Play { .. }) && self.names().is_some_and(|n| n.cover(app, stream))
    }

    /// Whether it serves this path.
    pub(super) fn serves(&self, path: &str) -> bool {
        matches!(&self.kind, Kind::Http { paths, .. } if paths.iter().any(|known| known == path))
    }

    /// Whether a publisher would find the place free, or be let take it.
    ///
    /// # Errors
    /// Why not, for people.
    pub(super) fn has_room(&self, app: &str, stream: &str, now: Instant) -> Result<(), String> {
        let Kind::Publish { takeover, .. } = &self.kind else {
            return Ok(());
        };
        let place = self.place();
        let Some(taken) = &place.taken else {
            return Ok(());
        };
        let same = taken.app == app && taken.stream == stream;
        match takeover {
            Takeover::Replace if same => Ok(()),
            Takeover::ReplaceSilent(time) if same && taken.pulse.silence(now) >= *time => Ok(()),
            _ if same => Err(format!("{stream} is already being published.")),
            _ => Err(format!("Another stream than {stream} is being published.")),
        }
    }

    /// Whether it waits for names that it does not know yet.
    pub(super) fn is_pattern(&self) -> bool {
        self.names().is_some_and(Names::is_pattern)
    }

    /// Whether somebody publishes.
    pub(super) fn is_taken(&self) -> bool {
        self.place().taken.is_some()
    }

    /// Whether somebody publishes this.
    pub(super) fn is_taken_by(&self, app: &str, stream: &str) -> bool {
        let place = self.place();
        let taken = place.taken.as_ref();
        taken.is_some_and(|taken| taken.app == app && taken.stream == stream)
    }

    /// Lets a publisher in, in the place of whoever is there.
    pub(super) fn occupy(&self, mut arrival: Arrival, now: Instant) {
        let pulse = Pulse::new(now);
        arrival.pulse = Some(pulse.clone());
        let mut place = self.place();
        place.spent = matches!(self.kind, Kind::Publish { once: true, .. });
        place.taken = Some(Taken {
            app: arrival.caller.app.clone(),
            stream: arrival.caller.stream.clone(),
            pulse,
        });
        // One that came a moment before and was not looked at yet has had bad luck.
        let unlucky = place.arrival.replace(arrival);
        self.waiting.store(true, Ordering::Release);
        drop(place);
        drop(unlucky);
        if let Kind::Publish { notify, .. } = &self.kind {
            notify();
        }
    }

    /// Whether [`take`](Self::take) would find somebody.
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    pub(super) fn take(&self) -> Option<Arrival> {
        let mut place = self.place();
        self.waiting.store(false, Ordering::Release);
        place.arrival.take()
    }

    /// The publisher is gone; one that takes its place may have come already.
    pub(super) fn release(&self) {
        let mut place = self.place();
        if place.arrival.is_none() {
            place.taken = None;
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish { names, .. } => write!(f, "publish {}/{}", names.app, names.stream),
            Self::Play { names, .. } => write!(f, "play {}/{}", names.app, names.stream),
            Self::Http { paths, .. } => write!(f, "{}", paths.join(", ")),
        }
    }
}
