// SPDX-License-Identifier: MPL-2.0

//! What the network's thread has to say, brought to the bus in order and from a thread that may wait:
//! an application's synchronous bus handler must not hold up other sinks.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use gst::{prelude::*, subclass::prelude::*};

use super::{RtmpSink, imp::CAT};
use crate::{
    elements::rtmp::{attempts, connect::sentence},
    net::{connection::ConnectionError, publisher::Notice},
    protocol::rtmp::session::Stage,
};

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Notices {
    waiting: Mutex<VecDeque<Notice>>,
    /// Held while notices go out, so that they do so one after another.
    door: Mutex<()>,
    /// Whether a `connect` progress is open.
    connecting: Mutex<bool>,
    /// The attempt that is under way, if it is not the first.
    attempt: Mutex<u32>,
}

impl Notices {
    /// Says that a connection is being made.
    pub(super) fn begin(&self, element: &gst::Element) {
        *lock(&self.connecting) = true;
        progress(
            element,
            gst::ProgressType::Start,
            "Connecting to the server",
        );
    }

    /// Says that the element stopped, if it did so in the middle of connecting.
    pub(super) fn end(&self, element: &gst::Element) {
        lock(&self.waiting).clear();
        *lock(&self.attempt) = 0;
        if std::mem::take(&mut *lock(&self.connecting)) {
            progress(
                element,
                gst::ProgressType::Canceled,
                "Stopped while connecting",
            );
        }
    }

    /// Takes a notice without waiting.
    pub(super) fn tell(self: &Arc<Self>, element: &glib::WeakRef<RtmpSink>, notice: Notice) {
        let Some(element) = element.upgrade() else {
            return;
        };
        lock(&self.waiting).push_back(notice);
        let notices = self.clone();
        element.call_async(move |element| {
            let _door = lock(&notices.door);
            while let Some(notice) = notices.next() {
                notices.pass_on(element, notice);
            }
        });
    }

    /// Says on the caller's thread that this is the end, behind all that came before it: upstream
    /// elements tell of it in their own words as soon as the caller returns.
    pub(super) fn failed(&self, element: &RtmpSink, error: Arc<ConnectionError>) {
        // Whoever is inside may be in a handler that stops the caller.
        if let Ok(_door) = self.door.try_lock() {
            while let Some(notice) = self.next() {
                self.pass_on(element, notice);
            }
            self.pass_on(element, Notice::Failed(error));
        } else {
            element.imp().fail_connection(&error);
        }
    }

    fn next(&self) -> Option<Notice> {
        lock(&self.waiting).pop_front()
    }

    fn pass_on(&self, element: &RtmpSink, notice: Notice) {
        match notice {
            Notice::Stage(Stage::Running) => {
                gst::info!(CAT, obj = element, "The server takes the stream");
                let attempt = std::mem::take(&mut *lock(&self.attempt));
                if attempt > 0 {
                    attempts::connected(element.upcast_ref(), attempt);
                }
                *lock(&self.connecting) = false;
                progress(
                    element.upcast_ref(),
                    gst::ProgressType::Complete,
                    "On the air",
                );
            }
            Notice::Stage(stage) => {
                gst::debug!(CAT, obj = element, "Waiting for the server: {stage}");
                let text = format!("Waiting for the server: {stage}");
                progress(element.upcast_ref(), gst::ProgressType::Continue, &text);
            }
            Notice::Status(status) if status.is_error() || status.level == "warning" => {
                gst::warning!(CAT, obj = element, "{status:?}");
            }
            Notice::Status(status) => gst::debug!(CAT, obj = element, "{status:?}"),
            Notice::Asked {
                tc_url,
                description,
                answer,
            } => {
                gst::info!(CAT, obj = element, "Asked to go to {tc_url:?}: {answer:?}");
                let element = element.upcast_ref();
                match answer {
                    Ok(url) => attempts::moving(element, &url, &description),
                    Err(why) => {
                        let why = why.to_string();
                        attempts::staying(element, tc_url.as_deref(), &description, &why);
                    }
                }
            }
            Notice::NeedsKeyFrame => element.imp().ask_for_key_frame(),
            Notice::Moved(url) => {
                gst::info!(CAT, obj = element, "Goes on at {url}");
                attempts::moved(element.upcast_ref(), &url);
            }
            Notice::Stayed(url, error) => {
                let why = error.to_string();
                attempts::staying(element.upcast_ref(), Some(&url), "", &why);
            }
            Notice::Retry(retry, error) => {
                gst::warning!(CAT, obj = element, "{retry:?} after: {error}");
                *lock(&self.attempt) = retry.attempt;
                let sentence = sentence(&*error);
                attempts::waiting(element.upcast_ref(), &retry, &sentence);
                if !std::mem::replace(&mut *lock(&self.connecting), true) {
                    progress(
                        element.upcast_ref(),
                        gst::ProgressType::Start,
                        "Connecting to the server again",
                    );
                }
            }
            Notice::Failed(error) => {
                if std::mem::take(&mut *lock(&self.attempt)) > 0 {
                    attempts::failed(element.upcast_ref(), &sentence(&*error));
                }
                if std::mem::take(&mut *lock(&self.connecting)) {
                    progress(
                        element.upcast_ref(),
                        gst::ProgressType::Error,
                        "The connection failed",
                    );
                }
                element.imp().fail_connection(&error);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn progress(element: &gst::Element, kind: gst::ProgressType, text: &str) {
    let message = gst::message::Progress::builder(kind, "connect", text)
        .src(element)
        .build();
    // A bus that takes no message belongs to an element that nobody listens to.
    let _ = element.post_message(message);
}
