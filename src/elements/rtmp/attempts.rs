// SPDX-License-Identifier: MPL-2.0

//! Connecting again: where to, and what the bus is told.

use super::{callers::tell, error::Failure, settings::Settings};
use crate::net::reconnect::{Policy, Retry};

impl Settings {
    pub(super) fn reconnect_policy(&self) -> Policy {
        Policy {
            when: self.reconnect.into(),
            attempts: self.reconnect_attempts,
            first: self.reconnect_delay,
            largest: self.reconnect_max_delay.max(self.reconnect_delay),
            jitter: self.reconnect_jitter,
        }
    }

    /// These settings, and them again with each of the backup locations.
    ///
    /// # Errors
    /// A backup location is none.
    pub(super) fn places(&self) -> Result<Vec<Self>, Failure> {
        let mut places = vec![self.clone()];
        let backups = self.backup_locations.as_ref();
        let backups = backups.map(|backups| backups.reveal()).unwrap_or_default();
        for location in backups.split('|').map(str::trim).filter(|l| !l.is_empty()) {
            let mut place = self.clone();
            place.set_location(location).map_err(|error| {
                let error = error.message();
                Failure::settings(&format!("A backup location cannot be used: {error}."))
            })?;
            places.push(place);
        }
        Ok(places)
    }
}

/// `rtmp-connection`, waiting: see the property `reconnect`.
pub(super) fn waiting(element: &gst::Element, retry: &Retry, error: &str) {
    let after = gst::ClockTime::try_from(retry.after).unwrap_or_default();
    let structure = gst::Structure::builder("rtmp-connection")
        .field("state", "waiting")
        .field("attempt", retry.attempt)
        .field("cause", retry.cause.name())
        .field("error", error)
        .field("next-try", after)
        .build();
    tell(element, structure);
}

/// `rtmp-connection`, connected, after an attempt that was not the first.
pub(super) fn connected(element: &gst::Element, attempt: u32) {
    let structure = gst::Structure::builder("rtmp-connection")
        .field("state", "connected")
        .field("attempt", attempt)
        .build();
    tell(element, structure);
}

/// `rtmp-connection`, failed: no more attempts are made.
pub(super) fn failed(element: &gst::Element, error: &str) {
    let structure = gst::Structure::builder("rtmp-connection")
        .field("state", "failed")
        .field("error", error)
        .build();
    tell(element, structure);
}
