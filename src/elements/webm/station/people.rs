// SPDX-License-Identifier: MPL-2.0

//! Who watches: how they are let in, told of, written down and let go.

use std::{collections::HashMap, net::SocketAddr, time::SystemTime};

use gst::prelude::*;

use super::{CAT, Station, lock, text, unix};
use crate::{
    elements::webm::journal::Line,
    net::{
        fanout::{Reason, Report},
        porter::HttpPeer,
    },
    protocol::http::{Request, access},
};

/// Who watches, and who did.
#[derive(Debug, Default)]
pub(super) struct People {
    /// In boxes: there are thousands, and a map has room for twice as many.
    pub(super) here: HashMap<u64, Box<Person>>,
    pub(super) next: u64,
    pub(super) peak: usize,
    pub(super) refused: u64,
    /// Of those who have gone.
    pub(super) bytes: u64,
    pub(super) dropped: u64,
}

/// Somebody who watches.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) address: Option<SocketAddr>,
    /// The request's first line.
    line: Box<str>,
    user: Option<Box<str>>,
    pub(super) agent: Option<Box<str>>,
    referer: Option<Box<str>>,
    status: u16,
    since: SystemTime,
}

impl Person {
    pub(super) fn new(request: &Request, peer: HttpPeer, status: u16) -> Self {
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

impl Station {
    pub(super) fn arrive(&self, person: Person) -> u64 {
        let (address, agent) = (text(person.address), person.agent.clone());
        let mut people = lock(&self.people);
        people.next += 1;
        let id = people.next;
        people.here.insert(id, Box::new(person));
        people.peak = people.peak.max(people.here.len());
        drop(people);
        gst::info!(CAT, "Client {id} from {address} is let in");
        if let Some(element) = self.element.upgrade() {
            element.emit_by_name::<()>("client-added", &[&id, &address, &agent.as_deref()]);
        }
        id
    }

    pub(super) fn departed(&self, report: Report) {
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

    pub(super) fn log(&self, person: &Person, bytes: u64, seconds: u64) {
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
