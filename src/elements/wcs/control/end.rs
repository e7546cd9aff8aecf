// SPDX-License-Identifier: MPL-2.0

//! A call that ends: as asked for, by the server, or because it failed, which may be tried again.

use std::time::Instant;

use gst::prelude::*;

use super::{
    super::{CAT, WcsWebrtcBin, kinds::StreamStatus, tell},
    Control, Reason,
};
use crate::{elements::rtmp::sentence, net::wcs::Command, protocol::wcs::session::CallError};

/// What servers say to a request that would fail again.
const FINAL: &[&str] = &[
    "No common codecs",
    "Restricted access",
    "Bad URI",
    "File has wrong format",
    "Rtsp has wrong format",
    "Transcoding required, but disabled",
    "Failed by DTLS fingerprint error",
];

impl Control {
    /// Ends the call as asked for. What the server says to it comes later.
    pub(super) fn end_call(&mut self, element: &WcsWebrtcBin) {
        let asked = self.call.as_ref().filter(|call| call.asked);
        if let Some(id) = asked.map(|call| call.id.clone()) {
            self.member.tell(Command::End(id.clone()));
            self.ending = Some(id);
        }
        self.drop_call(element);
    }

    pub(super) fn drop_call(&mut self, element: &WcsWebrtcBin) {
        if let Some(call) = self.call.take() {
            element.detach(&call.peer);
        }
    }

    pub(super) fn ended(
        &mut self,
        element: &WcsWebrtcBin,
        id: &str,
        result: Result<Option<String>, CallError>,
    ) {
        if self.ending.as_deref() == Some(id) {
            self.ending = None;
            if self.call.is_none() {
                let status = match element.stream_status() {
                    status @ (StreamStatus::Unpublished | StreamStatus::Failed) => status,
                    _ => StreamStatus::Stopped,
                };
                element.set_stream(status, None);
                if self.want.is_none() {
                    element.end_outlets();
                }
            }
            return self.finish_eos(element);
        }
        if self.call.as_ref().is_none_or(|call| call.id != id) {
            return;
        }
        match result {
            Ok(info) => {
                // The server's operator, or the publisher, has ended it: that is no failure.
                let publish = self.call.as_ref().is_some_and(|call| call.want.publish);
                self.drop_call(element);
                self.want = None;
                let what = if publish { "Publishing" } else { "The stream" };
                let why = info.as_deref().unwrap_or("the server does not say why");
                gst::info!(CAT, obj = element, "{what} ended: {why}");
                element.end_outlets();
            }
            Err(error) => {
                let is_final = match &error {
                    CallError::Failed(Some(info)) => FINAL.contains(&info.as_str()),
                    _ => false,
                };
                // The session has forgotten the call, there is nothing to end.
                let reason = Reason {
                    sentence: sentence(&error),
                    is_final,
                };
                if let Some(call) = &mut self.call {
                    call.asked = false;
                }
                self.call_failed(element, reason);
            }
        }
    }

    pub(super) fn call_failed(&mut self, element: &WcsWebrtcBin, reason: Reason) {
        if let Some(call) = self.call.as_ref().filter(|call| call.asked) {
            self.member.tell(Command::Abandon(call.id.clone()));
        }
        self.drop_call(element);
        element.set_stream(StreamStatus::Failed, Some(&reason.sentence));
        let again = match reason.is_final || self.want.is_none() {
            true => None,
            false => self.backoff.next(getrandom::u32().unwrap_or(u32::MAX / 2)),
        };
        match again {
            Some(pause) => {
                self.retry = Instant::now().checked_add(pause);
                tell::retry(element, "stream", &reason.sentence, pause);
            }
            None => {
                self.want = None;
                tell::given_up(element, &self.settings, &reason.sentence);
                element.end_outlets();
            }
        }
    }

    /// Tells the pipeline that we are through, once the server knows.
    pub(super) fn finish_eos(&mut self, element: &WcsWebrtcBin) {
        if self.eos && self.ending.is_none() && self.call.is_none() {
            self.eos = false;
            let _ = element.post_message(gst::message::Eos::builder().src(element).build());
        }
    }
}
