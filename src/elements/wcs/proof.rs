// SPDX-License-Identifier: MPL-2.0

//! Whether the certificates that DTLS brought are those that the server's answer promised (RFC 8827,
//! section 6.5), asked by what would pass media.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use gst::prelude::*;

use super::lock;
use crate::protocol::wcs::sdp::{Fingerprint, certificate_der};

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Proof {
    promises: Mutex<Vec<Promise>>,
    media: AtomicBool,
}

/// Of one section.
#[derive(Debug)]
struct Promise {
    line: u32,
    /// A `GstWebRTCDTLSTransport`.
    dtls: gst::Object,
    fingerprint: Fingerprint,
}

impl Promise {
    /// Whether it is kept, once there is a certificate.
    fn is_kept(&self) -> Option<bool> {
        let pem = self.dtls.property::<Option<String>>("remote-certificate")?;
        let der = certificate_der(&pem)?;
        Some(self.fingerprint.matches(&der))
    }
}

impl Proof {
    /// Takes what is promised: index of the section, its transport, its fingerprint.
    pub(super) fn expect(&self, promises: impl Iterator<Item = (u32, gst::Object, Fingerprint)>) {
        let promises = promises.map(|(line, dtls, fingerprint)| Promise {
            line,
            dtls,
            fingerprint,
        });
        *lock(&self.promises) = promises.collect();
    }

    /// Whether all of them, and no fewer than `sections`, are kept; `None` while that cannot be told.
    pub(super) fn verdict(&self, sections: usize) -> Option<bool> {
        let promises = lock(&self.promises);
        if promises.is_empty() || promises.len() != sections {
            return None;
        }
        let kept: Vec<_> = promises.iter().map(Promise::is_kept).collect();
        match kept.contains(&Some(false)) {
            true => Some(false),
            false => kept.into_iter().collect::<Option<Vec<_>>>().map(|_| true),
        }
    }

    /// The same of one section, or of all where it is not known.
    fn holds(&self, line: Option<u32>) -> bool {
        let promises = lock(&self.promises);
        let mut asked = promises
            .iter()
            .filter(|promise| line.is_none_or(|line| line == promise.line))
            .peekable();
        asked.peek().is_some() && asked.all(|promise| promise.is_kept() == Some(true))
    }

    /// Drops what this pad brings until the certificate of its section is verified.
    pub(super) fn guard(self: &Arc<Self>, source: &gst::Pad, line: Option<u32>) {
        let (proof, open) = (self.clone(), AtomicBool::new(false));
        let data = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        source.add_probe(data, move |_, _| {
            if !open.load(Ordering::Relaxed) {
                if !proof.holds(line) {
                    return gst::PadProbeReturn::Drop;
                }
                open.store(true, Ordering::Relaxed);
                proof.media.store(true, Ordering::SeqCst);
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Whether anything has passed.
    pub(super) fn has_media(&self) -> bool {
        self.media.load(Ordering::SeqCst)
    }
}
