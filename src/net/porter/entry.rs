// SPDX-License-Identifier: MPL-2.0

//! What was claimed on a port.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Arrival, http};

/// One claim.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Whether peers without TLS are refused.
    pub(super) tls: bool,
    place: Mutex<Place>,
}

/// What it is for.
pub(super) enum Kind {
    Publish {
        app: String,
        stream: String,
        notify: Box<dyn Fn() + Send + Sync>,
    },
    Http {
        paths: Vec<String>,
        serve: http::Serve,
        listing: Option<http::List>,
    },
}

/// Room for one publisher.
#[derive(Debug, Default)]
pub(super) struct Place {
    pub(super) occupied: bool,
    pub(super) arrival: Option<Arrival>,
}

impl Entry {
    pub(super) fn new(kind: Kind, tls: bool) -> Arc<Self> {
        Arc::new(Self {
            kind,
            tls,
            place: Mutex::default(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What both would take, for people; `None` if nothing.
    pub(super) fn overlap(&self, other: &Self) -> Option<String> {
        match (&self.kind, &other.kind) {
            (
                Kind::Publish { app, stream, .. },
                Kind::Publish {
                    app: other_app,
                    stream: other_stream,
                    ..
                },
            ) => {
                let same = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
                let both = same(app, other_app) && same(stream, other_stream);
                both.then(|| format!("{other_app}/{other_stream}"))
            }
            (Kind::Http { paths, .. }, Kind::Http { paths: others, .. }) => {
                others.iter().find(|path| paths.contains(path)).cloned()
            }
            _ => None,
        }
    }

    /// Whether it hears publishers of this application.
    pub(super) fn knows(&self, app: &str) -> bool {
        matches!(&self.kind, Kind::Publish { app: claimed, .. } if matches_name(claimed, app))
    }

    /// Whether it is for this publisher.
    pub(super) fn takes(&self, app: &str, stream: &str) -> bool {
        matches!(&self.kind, Kind::Publish { app: claimed, stream: name, .. }
            if matches_name(claimed, app) && matches_name(name, stream))
    }

    /// Whether it serves this path.
    pub(super) fn serves(&self, path: &str) -> bool {
        matches!(&self.kind, Kind::Http { paths, .. } if paths.iter().any(|known| known == path))
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Publish { app, stream, .. } => write!(f, "{app}/{stream}"),
            Self::Http { paths, .. } => write!(f, "{}", paths.join(", ")),
        }
    }
}

/// Whether a claimed name covers an actual one.
fn matches_name(claimed: &str, actual: &str) -> bool {
    claimed.is_empty()
        || claimed == actual
        || (!claimed.contains('?') && actual.split('?').next() == Some(claimed))
}
