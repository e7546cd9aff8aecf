// SPDX-License-Identifier: MPL-2.0

//! A request for the stream itself: whether it is granted, and from where on with which head.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use gst::prelude::*;

use super::{Station, lock, people::Person, refusal::later, text};
use crate::{
    net::{
        fanout::{NewClient, Start},
        porter::{Answer, HttpPeer},
    },
    protocol::http::{Head, Method, Range, Request, Sentence, Version},
};

/// The far end of a part that has none: more bytes than anybody watches in a life.
const ENDLESS: u64 = 1_000_000_000_000;

impl Station {
    /// Lets somebody watch, or says why not.
    pub(super) fn stream(
        self: &Arc<Self>,
        request: &Request,
        peer: HttpPeer,
    ) -> Result<Answer, Sentence> {
        let mut range = request.range();
        if range == Range::Unsatisfiable {
            let text = "A live stream has no last bytes.";
            return Err(Sentence::new(416, text).with("Content-Range", "bytes */*"));
        }
        let (content_type, beginning) = {
            let air = self.air();
            if air.ended {
                return Err(later("The stream is over; it may come back."));
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
        let mut words = request.field("connection").unwrap_or_default().split(',');
        let leaves = words.any(|word| word.trim().eq_ignore_ascii_case("close"));
        let stays = framed && request.method == Method::Get && !leaves;
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

    fn check_limits(&self, peer: HttpPeer) -> Result<(), Sentence> {
        let settings = &self.settings;
        let people = lock(&self.people);
        let here = people.here.len();
        if settings.max_clients > 0 && here >= settings.max_clients as usize {
            return Err(later("Too many are watching already."));
        }
        if settings.max_clients_per_address > 0
            && let Some(address) = peer.address
        {
            let same = |p: &&Person| p.address.is_some_and(|a| a.ip() == address.ip());
            let from_there = people.here.values().map(|p| &**p).filter(same).count();
            if from_there >= settings.max_clients_per_address as usize {
                return Err(later("Too many are watching from this address already."));
            }
        }
        drop(people);
        if settings.max_bitrate > 0 {
            let all = (here as u64 + 1) * lock(&self.meter).rate;
            if all > u64::from(settings.max_bitrate) * 1000 {
                return Err(later("There is no bandwidth left for one more."));
            }
        }
        Ok(())
    }

    /// Emits `client-connecting`.
    fn ask_application(&self, request: &Request, peer: HttpPeer) -> Result<(), Sentence> {
        let Some(element) = self.element.upgrade() else {
            return Err(later("The stream is over."));
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
            Ok(status @ 300..600) => Err(Sentence::new(status, "You may not watch this.")),
            _ => Err(Sentence::new(403, "You may not watch this.")),
        }
    }
}

/// The bytes of a part that lies within the header.
fn part(header: &Bytes, first: u64, length: u64) -> Option<Bytes> {
    let first = usize::try_from(first).ok()?;
    let end = first.checked_add(usize::try_from(length).ok()?)?;
    (end <= header.len()).then(|| header.slice(first..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_the_header_are_cut_out() {
        let header = Bytes::from_static(b"\x1aE\xdf\xa3rest");
        assert_eq!(part(&header, 0, 2).unwrap(), &b"\x1aE"[..]);
        assert_eq!(part(&header, 4, 4).unwrap(), &b"rest"[..]);
        assert_eq!(part(&header, 4, 5), None);
        assert_eq!(part(&header, u64::MAX, 5), None);
    }
}
