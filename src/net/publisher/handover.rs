// SPDX-License-Identifier: MPL-2.0

//! From one server to the next, as a server's ReconnectRequest asks for: the next connection is made while
//! the present one runs, and begins with a key frame.

use std::time::Duration;

use super::{Inner, Notice, Phase, Stall, State};
use crate::net::{
    connection::ConnectionError,
    leave::leave,
    reactor::Io,
    reconnect::Cause,
    redirect::{Place, Refused},
    stream::Ready,
    successor::{Progress, Successor},
};

/// How long what was sent may take to go out on a connection that another takes the place of, where
/// nothing else says how long a server may take.
const FAREWELL: Duration = Duration::from_secs(30);

/// On the way from one connection to the next.
#[derive(Debug)]
pub(super) enum Handover {
    /// The next connection is made while the present one runs.
    Making(Successor),
    /// The next server takes the stream only when the present one has let it go.
    Breaking(Box<Place>),
}

impl State {
    /// The server asks to be left.
    pub(super) fn asked(
        &mut self,
        io: &Io<'_>,
        tc_url: Option<String>,
        description: String,
        notices: &mut Vec<Notice>,
    ) {
        let answer = self.asked_to_go(io, tc_url.as_deref());
        if !matches!(answer, Err(Refused::Again)) {
            notices.push(Notice::Asked {
                tc_url,
                description,
                answer,
            });
        }
    }

    /// Begins to connect to where the server wants us, and returns the `tcUrl` of that.
    fn asked_to_go(&mut self, io: &Io<'_>, tc_url: Option<&str>) -> Result<String, Refused> {
        let Some(present) = &self.present else {
            return Err(Refused::Off);
        };
        let place = self.redirects.follow(present, tc_url, io.now)?;
        let url = place.config.tc_url.clone();
        let under_way = matches!(&self.handover, Some(Handover::Making(successor))
            if successor.place().config.tc_url == url);
        if !under_way && let Phase::Open = self.phase {
            // One that was under way is left for it. Without descriptors it stays where it is.
            let successor = Successor::begin(place, io.token).ok();
            self.handover = successor.map(Handover::Making);
            self.asked_for_key = false;
        }
        Ok(url)
    }

    /// Looks how the next connection fares.
    pub(super) fn mind_handover(&mut self, notices: &mut Vec<Notice>) {
        if !matches!(self.phase, Phase::Open) {
            // What is left to send is not worth it.
            self.handover = None;
        }
        let Some(Handover::Making(successor)) = &self.handover else {
            return;
        };
        let progress = successor.progress();
        if let Progress::Ready = progress
            && !std::mem::replace(&mut self.asked_for_key, true)
        {
            notices.push(Notice::NeedsKeyFrame);
        }
        if let Progress::Failed(error) = progress {
            let place = successor.place().clone();
            self.handover = match Cause::of(&error) {
                // The name is taken by ourselves, most likely: it is the same server, or one of a cluster.
                Cause::Busy => Some(Handover::Breaking(Box::new(place))),
                _ => {
                    notices.push(Notice::Stayed(place.config.tc_url, error));
                    None
                }
            };
        }
    }

    /// Whether the next tag is one that another connection can begin with, and there is one.
    pub(super) fn is_at_switch(&self) -> bool {
        let may = match &self.handover {
            None => return false,
            Some(Handover::Making(successor)) => successor.is_ready(),
            Some(Handover::Breaking(_)) => true,
        };
        may && self
            .queue
            .front()
            .is_some_and(|tag| match self.has_pictures {
                true => tag.is_keyframe(),
                false => tag.is_droppable(),
            })
    }

    /// Goes on at another connection; what was sent before goes out on the old one.
    pub(super) fn switch(
        &mut self,
        io: &Io<'_>,
        inner: &Inner,
        notices: &mut Vec<Notice>,
    ) -> Result<(), ConnectionError> {
        let patience = match inner.stall_timeout {
            Duration::ZERO => FAREWELL,
            patience => patience,
        };
        let (place, next) = match self.handover.take() {
            None => return Ok(()),
            Some(Handover::Breaking(place)) => (*place, None),
            Some(Handover::Making(successor)) => {
                let place = successor.place().clone();
                match successor.take() {
                    Some(next) => (place, Some(next)),
                    None => return Ok(()),
                }
            }
        };
        let (old, wake) = (self.let_go(), next.is_none().then_some(io.token));
        let left = old.map(|old| leave(old, patience, wake));
        (self.cut, self.stall) = (self.sent > 0, Stall::default());
        match next {
            None => self.left = left,
            Some((mut next, asked)) => {
                next.stack().reregister(io.registry, io.token)?;
                next.stack().on_ready(Ready::UNKNOWN);
                self.connection = Some(next);
                self.fits = false;
                self.present = Some(place.clone());
                notices.push(Notice::Moved(place.config.tc_url.clone()));
                self.begin(io.now, notices);
                (self.redirect, self.tried) = (Some(place), 0);
                if let Some((tc_url, description)) = asked {
                    self.asked(io, tc_url, description, notices);
                }
                return Ok(());
            }
        }
        (self.redirect, self.tried) = (Some(place), 0);
        Ok(())
    }
}
