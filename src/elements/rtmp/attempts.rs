// SPDX-License-Identifier: MPL-2.0

//! Connecting again: where to, and what the bus is told.

use super::{
    callers::tell,
    error::Failure,
    kinds::Redirects,
    settings::{Role, Settings},
};
use crate::{
    net::{
        reconnect::{Policy, Retry},
        redirect::{Place, Rules},
    },
    protocol::{
        flv::Needs,
        rtmp::{session::Quoted, swf::SwfHash},
    },
};

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

    /// The server, and what to ask it for.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub(super) fn place(
        &self,
        role: Role,
        element: &gst::Element,
        swf: Option<SwfHash>,
        codecs: Option<&Needs>,
    ) -> Result<Place, Failure> {
        Ok(Place {
            target: self.target(element)?,
            config: self.client_config(role, swf, codecs)?,
        })
    }

    /// Where a server may send us.
    ///
    /// # Errors
    /// A backup location is none.
    pub(super) fn redirect_rules(&self, element: &gst::Element) -> Result<Rules, Failure> {
        let places = self.places()?;
        Ok(Rules {
            follow: self.redirects.contains(Redirects::FOLLOW),
            other_hosts: self.redirects.contains(Redirects::OTHER_HOST),
            downgrade: self.redirects.contains(Redirects::DOWNGRADE),
            most: self.max_redirects,
            known_hosts: places.iter().map(|place| (*place.host).clone()).collect(),
            tls: self.client_tls(Some(element)),
            rtmpe: self.rtmpe_version.into(),
        })
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

/// `rtmp-connection`, moving: another connection is made, because the server asked for it. See the property
/// `redirects`.
pub(super) fn moving(element: &gst::Element, url: &str, description: &str) {
    tell(
        element,
        move_state("moving", url, Some(description)).build(),
    );
}

/// `rtmp-connection`, moved: it has taken over.
pub(super) fn moved(element: &gst::Element, url: &str) {
    tell(element, move_state("moved", url, None).build());
}

/// `rtmp-connection`, staying, and a warning: the server asked to be left, and is not for this reason.
pub(super) fn staying(element: &gst::Element, url: Option<&str>, description: &str, why: &str) {
    let structure = move_state("staying", url.unwrap_or_default(), Some(description));
    tell(element, structure.field("error", why).build());
    let target = match url {
        Some(url) => format!("for {}", Quoted(url)),
        None => "for a new connection".to_owned(),
    };
    let text = format!("The server asks to be left {target}, and is not: {why}.");
    gst::element_warning!(
        element,
        gst::ResourceError::Settings,
        ("{text}"),
        ["The server says: {}", Quoted(description)]
    );
}

fn move_state(state: &str, url: &str, description: Option<&str>) -> gst::structure::Builder {
    let text = |text: &str| Quoted(text).to_string();
    gst::Structure::builder("rtmp-connection")
        .field("state", state)
        .field("url", text(url))
        .field_if_some("description", description.map(text))
}
