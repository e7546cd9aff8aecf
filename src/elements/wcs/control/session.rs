// SPDX-License-Identifier: MPL-2.0

//! What the session brings: that it stands or is lost, and what the server says.

use std::time::{Duration, Instant};

use super::{
    super::{
        WcsWebrtcBin,
        kinds::{SessionStatus, StreamStatus},
        tell,
    },
    Control, Reason, stream_event,
};
use crate::{
    elements::rtmp::sentence,
    net::wcs::{Failure, Notice},
    protocol::wcs::{self, session::Event},
};

impl Control {
    pub(super) fn noticed(&mut self, element: &WcsWebrtcBin, notice: Notice) {
        match notice {
            Notice::Connecting(_) => element.set_session(SessionStatus::Pending, None),
            Notice::Connected => element.set_session(SessionStatus::Connected, None),
            Notice::Session(event) => self.happened(element, event),
            Notice::Refused { id, error } => {
                if self.call.as_ref().is_some_and(|call| call.id == id) {
                    let reason = Reason {
                        sentence: sentence(&error),
                        is_final: false,
                    };
                    self.call_failed(element, reason);
                }
            }
            Notice::Lost { failure, again } => self.lost(element, &failure, again),
        }
    }

    fn happened(&mut self, element: &WcsWebrtcBin, event: Event) {
        match event {
            Event::Established(_) => {
                self.established = true;
                element.set_session(SessionStatus::Established, None);
                match self.call {
                    Some(_) => self.ask(element),
                    None if self.retry.is_none() => self.begin_call(element),
                    None => {}
                }
            }
            Event::Answer { id, sdp } => self.answered(element, &id, &sdp),
            Event::Status(state) => {
                tell::stream_status(element, &state);
                let is_ours = self.is_ours(&state.media_session_id);
                let runs = matches!(
                    state.status,
                    wcs::StreamStatus::Publishing | wcs::StreamStatus::Playing
                );
                if let (true, true, Some(call)) = (is_ours, runs, &mut self.call) {
                    self.backoff.succeeded();
                    element.stream_runs(call.since.elapsed());
                    if !self.settings.start_timeout.is_zero() && !call.has_media() {
                        call.media_by = Instant::now().checked_add(self.settings.start_timeout);
                    }
                    // Whoever plays it now has not heard of it.
                    for kind in element.muted() {
                        let command = stream_event(kind, call.id.clone(), None);
                        self.member.tell(command);
                    }
                }
                if let (true, Some(status)) = (is_ours, StreamStatus::of(&state.status)) {
                    element.set_stream(status, state.info.as_deref());
                }
            }
            Event::Ended { id, result } => self.ended(element, &id, result),
            event => tell::event(element, event),
        }
    }

    fn is_ours(&self, id: &str) -> bool {
        let call = self.call.as_ref().map(|call| call.id.as_str());
        call == Some(id) || call.is_none() && self.ending.as_deref() == Some(id)
    }

    fn lost(&mut self, element: &WcsWebrtcBin, failure: &Failure, again: Option<Duration>) {
        self.established = false;
        self.ending = None;
        let words = sentence(failure);
        // An offer that was not sent is as good as new.
        if self.call.as_ref().is_some_and(|call| call.asked) {
            self.drop_call(element);
            element.set_stream(StreamStatus::Failed, Some(&words));
        }
        match again {
            Some(pause) => {
                element.set_session(SessionStatus::Pending, Some(&words));
                tell::retry(element, "session", &words, pause);
            }
            None => {
                self.drop_call(element);
                self.want = None;
                self.retry = None;
                element.set_session(SessionStatus::Failed, Some(&words));
                if element.stream_status() != StreamStatus::New {
                    element.set_stream(StreamStatus::Failed, Some(&words));
                }
                tell::failure(element, &self.settings, failure, &words);
                element.end_outlets();
            }
        }
        self.finish_eos(element);
    }
}
