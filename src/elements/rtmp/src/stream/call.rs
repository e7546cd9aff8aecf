// SPDX-License-Identifier: MPL-2.0

//! Where the stream comes from: a server that is called, in turn or because another asks for it, or whoever calls.

use std::time::Instant;

use gst::prelude::*;
use gst_base::prelude::*;

use super::{
    super::{RtmpSrc, imp::CAT},
    Halt, Stream,
};
use crate::{
    elements::{
        codecs,
        rtmp::{attempts, callers, error::Failure, kinds::Mode, settings::Role, stats::State},
    },
    net::{
        NetError,
        connection::ConnectionError,
        receiver::{ReceiveError, Receiver},
        redirect::{self, Redirects, Refused},
    },
};

impl Stream {
    pub(super) fn open(&mut self, element: &RtmpSrc) -> Result<(), Halt> {
        if self.interrupt.is_set() {
            return Err(Halt::Interrupted);
        }
        let receiver = match self.settings.mode {
            Mode::Caller => self.call(element)?,
            Mode::Listener => self.listen(element)?,
        };
        self.receiver = Some(receiver);
        Ok(())
    }

    fn call(&mut self, element: &RtmpSrc) -> Result<Receiver, Halt> {
        if let Some((at, _)) = self.retry {
            let wait = at.saturating_duration_since(Instant::now());
            if !self.interrupt.sleep(wait) {
                return Err(Halt::Interrupted);
            }
        }
        let place = self.whose_turn(element)?;
        self.present = Some(place.clone());
        Receiver::call(place, self.interrupt.clone()).map_err(no_receiver)
    }

    /// Whose turn it is.
    fn whose_turn(&mut self, element: &RtmpSrc) -> Result<redirect::Place, Halt> {
        let mut places = self.settings.places()?;
        if self.tried == 0 && self.redirect.is_none() {
            self.redirects = Redirects::new(self.settings.redirect_rules(element.upcast_ref())?);
        }
        let redirects = usize::from(self.redirect.is_some());
        let turn = self.tried % (redirects + places.len());
        self.tried += 1;
        let redirect = self.redirect.clone().filter(|_| turn == 0);
        let settings = places.swap_remove(turn.saturating_sub(redirects));
        let (location, host) = match &redirect {
            Some(place) => (place.config.tc_url.clone(), place.target.host.clone()),
            None => (settings.location(), (*settings.host).clone()),
        };
        gst::info!(CAT, obj = element, "Connecting to {location}");
        let text = format!("Connecting to {host}");
        self.progress.begin(element.upcast_ref(), &text);
        self.board.notes().stats.state = State::Connecting;
        match redirect {
            Some(place) => Ok(place),
            None => {
                let swf = settings.swf(Role::Source, &self.interrupt)?;
                let codecs = codecs::ask(element.src_pad());
                let role = Role::Source;
                Ok(settings.place(role, element.upcast_ref(), swf, codecs.as_ref())?)
            }
        }
    }

    /// The server asks to be left.
    pub(super) fn asked_to_go(
        &mut self,
        element: &RtmpSrc,
        tc_url: Option<&str>,
        description: &str,
    ) {
        let recorded = self.board.notes().recorded;
        let (Some(present), Some(receiver)) = (&self.present, &mut self.receiver) else {
            return;
        };
        let answer = match recorded {
            true => Err("a recording is played from where it began".to_owned()),
            false => match self.redirects.follow(present, tc_url, Instant::now()) {
                Err(Refused::Again) => return,
                answer => answer.map_err(|why| why.to_string()),
            },
        };
        gst::info!(CAT, obj = element, "Asked to go to {tc_url:?}");
        let element = element.upcast_ref();
        match answer {
            Ok(place) => {
                attempts::moving(element, &place.config.tc_url, description);
                // One that is on the way there already is left to come.
                let url = |place: &redirect::Place| place.config.tc_url.clone();
                if self.next_place.as_ref().map(url) != Some(url(&place)) {
                    receiver.move_to(place.clone());
                    self.next_place = Some(place);
                }
            }
            Err(why) => attempts::staying(element, tc_url, description, &why),
        }
    }

    /// Another server has taken over.
    pub(super) fn moved(&mut self, element: &RtmpSrc, shift: Option<u32>) {
        let Some(place) = self.next_place.take() else {
            return;
        };
        gst::info!(
            CAT,
            obj = element,
            "Goes on at {}, {shift:?}",
            place.config.tc_url
        );
        self.release(element);
        match shift {
            Some(shift) => self.shift = self.shift.wrapping_add(shift),
            None => self.follows = self.began,
        }
        attempts::moved(element.upcast_ref(), &place.config.tc_url);
        self.reconnect.running(Instant::now());
        self.board.notes().stats.reconnects = self.reconnect.replaced();
        (self.present, self.redirect, self.tried) = (Some(place.clone()), Some(place), 0);
    }

    fn listen(&mut self, element: &RtmpSrc) -> Result<Receiver, Halt> {
        let host = Box::new(callers::Reception(
            element.upcast_ref::<gst::Element>().downgrade(),
        ));
        let codecs = codecs::ask(element.src_pad());
        let wanted = self
            .settings
            .wanted(Role::Source, codecs.as_ref(), host, &self.interrupt)?;
        let takeover = self.settings.takeover();
        let interrupt = self.interrupt.clone();
        let mail = self.mail.clone();
        let receiver = Receiver::listen(
            wanted,
            takeover,
            interrupt,
            mail,
            self.settings.ping_interval,
        )
        .map_err(no_receiver)?;
        if let Some(address) = receiver.local_addr() {
            gst::info!(CAT, obj = element, "Listening on {address}");
            let text = format!("Waiting for a publisher on {address}");
            self.progress.begin(element.upcast_ref(), &text);
            callers::listening(element.upcast_ref(), address);
        }
        self.board.notes().stats.state = State::Listening;
        Ok(receiver)
    }
}

fn no_receiver(error: ReceiveError) -> Halt {
    match error {
        ReceiveError::Interrupted => Halt::Interrupted,
        ReceiveError::Claim(error) => Failure::claim(Role::Source, &error).into(),
        ReceiveError::Connection(ConnectionError::Net(NetError::Io { source, .. })) => {
            Failure::settings(&format!("There are no resources left: {source}.")).into()
        }
        ReceiveError::Connection(error) => Failure::connection(Role::Source, &error).into(),
    }
}
