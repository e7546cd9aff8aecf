// SPDX-License-Identifier: MPL-2.0

//! What becomes of the stream when its connection ends, in good order or not.

use std::time::Instant;

use gst::prelude::*;

use super::{
    super::{RtmpSrc, imp::CAT},
    Halt, Stream,
};
use crate::{
    elements::rtmp::{
        attempts, callers, connect::sentence, error::Failure, kinds::Mode, settings::Role,
        stats::State,
    },
    net::{connection::ConnectionError, reconnect::Cause},
    protocol::rtmp::session::{EndReason, Stage},
};

impl Stream {
    pub(super) fn ended(&mut self, element: &RtmpSrc, reason: EndReason) -> Result<(), Halt> {
        gst::info!(CAT, obj = element, "End: {reason:?}");
        match self.settings.mode {
            Mode::Caller => Err(Halt::Ended),
            Mode::Listener => self.left(element, "left"),
        }
    }

    /// A publisher is gone.
    pub(super) fn gone(&mut self, element: &RtmpSrc, reason: &str) {
        self.release(element);
        self.running = false;
        self.board.notes().stats.callers.clear();
        if let Some(guest) = self.guest.take() {
            let id = u64::from(self.guests);
            callers::removed(element.upcast_ref(), id, &guest, reason);
        }
    }

    /// A publisher is gone, and maybe the stream with it.
    pub(super) fn left(&mut self, element: &RtmpSrc, reason: &str) -> Result<(), Halt> {
        self.gone(element, reason);
        if !self.settings.keep_listening {
            return Err(Halt::Ended);
        }
        self.board.notes().stats.state = State::Listening;
        Ok(())
    }

    /// The connection ended without an end of the stream.
    pub(super) fn lost(&mut self, element: &RtmpSrc, error: &ConnectionError) -> Result<(), Halt> {
        let failure = || Halt::from(Failure::connection(Role::Source, error));
        let strict = self.settings.no_eof_is_error;
        if self.settings.mode == Mode::Listener {
            // Publishers that crash or lose their network are a listener's everyday life.
            let cut = matches!(
                error,
                ConnectionError::Closed { .. } | ConnectionError::Net(_)
            );
            if self.settings.keep_listening || (cut && !strict) {
                gst::warning!(CAT, obj = element, "The publisher was lost: {error}");
                return self.left(element, "failed");
            }
            return Err(failure());
        }
        let dismissed = matches!(error, ConnectionError::Dismissed { status, .. }
            if self.running && !strict && !status.is_error());
        if !dismissed && self.try_again(element, error) {
            return Ok(());
        }
        if self.retry.take().is_some() {
            attempts::failed(element.upcast_ref(), &sentence(error));
            if self.clean {
                // The server just closed or fell silent, and has not come back: that was the end.
                self.close();
                return Err(Halt::Ended);
            }
        }
        match error {
            ConnectionError::Closed {
                stage: Stage::Running,
                truncated: false,
            } if self.running && !strict => {
                gst::info!(CAT, obj = element, "The server closed the connection");
                self.close();
                Err(Halt::Ended)
            }
            ConnectionError::Silent { .. } if !strict => {
                self.close();
                Err(Halt::Ended)
            }
            ConnectionError::Dismissed { status, .. }
                if self.running && !strict && !status.is_error() =>
            {
                gst::info!(CAT, obj = element, "Closed by the server: {status:?}");
                self.close();
                Err(Halt::Ended)
            }
            _ => Err(failure()),
        }
    }

    /// Makes the connection of a live stream again, if that is wanted and may do better.
    fn try_again(&mut self, element: &RtmpSrc, error: &ConnectionError) -> bool {
        if self.board.notes().recorded {
            return false;
        }
        let (cause, now) = (Cause::of(error), Instant::now());
        let chance = glib::random_int();
        let Some(retry) = self.reconnect.failed(cause, now, chance) else {
            return false;
        };
        gst::warning!(CAT, obj = element, "{retry:?} after: {error}");
        if self.retry.is_none() {
            let strict = self.settings.no_eof_is_error;
            self.clean = !strict
                && matches!(
                    error,
                    ConnectionError::Closed {
                        stage: Stage::Running,
                        truncated: false
                    } | ConnectionError::Silent { .. }
                );
        }
        self.release(element);
        self.close();
        (self.running, self.next_place) = (false, None);
        self.retry = Some((now + retry.after, retry.attempt));
        self.board.notes().stats.state = State::Connecting;
        attempts::waiting(element.upcast_ref(), &retry, &sentence(error));
        true
    }
}
