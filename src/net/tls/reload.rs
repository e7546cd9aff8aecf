// SPDX-License-Identifier: MPL-2.0

//! A listener's certificate, read again when its files change: certbot and its like replace them every two
//! months, and a stream should not end for that.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::{ServerTls, config};
use crate::net::NetError;

/// How often the files are looked at, at most, and only when somebody connects.
const LOOK: Duration = Duration::from_secs(1);

/// Shows the certificate that was in the files last.
#[derive(Debug)]
pub(super) struct Reloading {
    tls: ServerTls,
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    key: Arc<CertifiedKey>,
    /// When the files were changed that the key came from.
    changed: Changed,
    looked: Instant,
}

type Changed = [Option<SystemTime>; 2];

impl Reloading {
    /// Reads the files for the first time.
    pub(super) fn new(tls: &ServerTls) -> Result<Self, NetError> {
        let changed = changed(tls);
        Ok(Self {
            held: Mutex::new(Held {
                key: Arc::new(config::certified_key(&tls.cert, &tls.key)?),
                changed,
                looked: Instant::now(),
            }),
            tls: tls.clone(),
        })
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current(Instant::now()))
    }
}

impl Reloading {
    fn current(&self, now: Instant) -> Arc<CertifiedKey> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(held.looked) >= LOOK {
            held.looked = now;
            let changed = changed(&self.tls);
            // While only one of the two has been replaced they do not fit together: the old ones serve
            // until they do.
            if changed != held.changed
                && let Ok(key) = config::certified_key(&self.tls.cert, &self.tls.key)
            {
                (held.key, held.changed) = (Arc::new(key), changed);
            }
        }
        held.key.clone()
    }
}

fn changed(tls: &ServerTls) -> Changed {
    let modified = |file: &Path| fs::metadata(file).and_then(|data| data.modified()).ok();
    [modified(&tls.cert), modified(&tls.key)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::{Identity, Pki};

    /// Replaces the files of one by those of the other, and makes them look newer.
    fn replace(files: &Identity, by: &Identity, only_certificate: bool) {
        let pairs = [(&files.cert, &by.cert), (&files.key, &by.key)];
        for (to, from) in &pairs[..if only_certificate { 1 } else { 2 }] {
            fs::copy(from, to).unwrap();
            let later = SystemTime::now() + Duration::from_secs(60);
            let file = fs::File::options().append(true).open(to).unwrap();
            file.set_modified(later).unwrap();
        }
    }

    #[test]
    fn a_replaced_certificate_is_shown_once_it_is_whole() {
        let pki = Pki::new();
        let (files, next) = (pki.issue(&["localhost"]), pki.issue(&["localhost"]));
        let first = files.chain[0].clone();
        let shown = Reloading::new(&files.server()).unwrap();
        let is = |at| shown.current(at).cert[0].to_vec();
        let now = Instant::now();
        assert_eq!(is(now), first);
        replace(&files, &next, true);
        assert_eq!(is(now + LOOK), first, "the key is not there yet");
        replace(&files, &next, false);
        assert_eq!(is(now + LOOK), first, "just looked");
        assert_eq!(is(now + 2 * LOOK), next.chain[0]);
        fs::remove_file(&files.cert).unwrap();
        assert_eq!(is(now + 3 * LOOK), next.chain[0]);
    }
}
