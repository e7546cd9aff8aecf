// SPDX-License-Identifier: MPL-2.0

//! What the element's thread and its signals do with the element.

use std::{sync::Arc, time::Duration};

use glib::subclass::prelude::*;
use gst::prelude::*;

use super::super::{
    codec::Kind,
    control::Task,
    inlet::Inlet,
    kinds::{SessionStatus, StreamStatus},
    lock,
    peer::Peer,
    tell,
};
use crate::protocol::wcs::StreamEventType;

impl super::super::WcsWebrtcBin {
    pub(in crate::elements::wcs) fn tell(&self, task: Task) -> bool {
        self.imp().send(task)
    }

    pub(in crate::elements::wcs) fn inlets(&self) -> Vec<Arc<Inlet>> {
        self.imp().inlets()
    }

    /// What those who play have to be told of what is held back, once for each kind.
    pub(in crate::elements::wcs) fn muted(&self) -> Vec<StreamEventType> {
        let inlets = self.inlets();
        let muted = inlets.iter().filter(|inlet| inlet.is_muted());
        let mut kinds: Vec<_> = muted.filter_map(|inlet| inlet.kind()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let event = |kind| match kind {
            Kind::Audio => StreamEventType::AudioMuted,
            Kind::Video => StreamEventType::VideoMuted,
        };
        kinds.into_iter().map(event).collect()
    }

    /// Whether a sink pad that the call should have has come after it.
    pub(in crate::elements::wcs) fn has_unlinked_inlet(&self, without: &[Kind]) -> bool {
        self.inlets().iter().any(|inlet| {
            !inlet.is_linked() && inlet.kind().is_none_or(|kind| !without.contains(&kind))
        })
    }

    /// Puts a webrtcbin into the bin, unless it goes to READY.
    pub(in crate::elements::wcs) fn attach(&self, peer: &Arc<Peer>) -> bool {
        let imp = self.imp();
        let (weak, number) = (self.downgrade(), peer.number);
        peer.webrtc.connect_pad_added(move |_, pad| {
            let Some(element) = weak.upgrade() else {
                return;
            };
            let running = lock(&element.imp().running);
            let peer = running.as_ref().and_then(|running| running.peer.clone());
            drop(running);
            if let Some(peer) = peer.filter(|peer| peer.number == number) {
                element.imp().source_added(&peer, pad);
            }
        });
        let mut running = lock(&imp.running);
        let Some(state) = running.as_mut() else {
            return false;
        };
        // Its state is changed below, without the lock, and not by the bin in between.
        peer.webrtc.set_locked_state(true);
        if self.add(&peer.webrtc).is_err() {
            return false;
        }
        state.peer = Some(peer.clone());
        drop(running);
        if let Some(base) = self.base_time() {
            peer.webrtc.set_base_time(base);
        }
        peer.webrtc.set_start_time(self.start_time());
        peer.webrtc.set_locked_state(false);
        let started = peer.webrtc.sync_state_with_parent().is_ok();
        let running = lock(&imp.running);
        let current = running.as_ref().and_then(|running| running.peer.as_ref());
        if current.is_some_and(|current| current.number == peer.number) {
            return started;
        }
        drop(running);
        // The element went to READY meanwhile and took it away; what was done since is undone.
        let _ = peer.webrtc.set_state(gst::State::Null);
        false
    }

    /// Takes it out again.
    pub(in crate::elements::wcs) fn detach(&self, peer: &Arc<Peer>) {
        let imp = self.imp();
        let mut running = lock(&imp.running);
        let mine = running
            .as_mut()
            .and_then(|running| running.peer.take_if(|mine| mine.number == peer.number));
        drop(running);
        if let Some(peer) = mine {
            imp.take_away(&peer);
            self.tell(Task::Bury(peer));
        }
    }

    pub(in crate::elements::wcs) fn set_session(&self, session: SessionStatus, info: Option<&str>) {
        let mut status = lock(&self.imp().status);
        if status.session == session && info.is_none() {
            return;
        }
        status.session = session;
        status.info = info.map(str::to_owned).or(status.info.take());
        drop(status);
        self.notify("session-status");
        if info.is_some() {
            self.notify("info");
        }
        let value = session.to_value();
        let word = glib::EnumValue::from_value(&value);
        tell::session_status(self, word.map_or("", |(_, value)| value.nick()), info);
    }

    pub(in crate::elements::wcs) fn set_stream(&self, stream: StreamStatus, info: Option<&str>) {
        let mut status = lock(&self.imp().status);
        let changed = status.stream != stream;
        status.stream = stream;
        if let Some(info) = info {
            status.info = Some(crate::elements::rtmp::bearable(info));
        }
        drop(status);
        if changed {
            self.notify("stream-status");
        }
        if info.is_some() {
            self.notify("info");
        }
    }

    pub(in crate::elements::wcs) fn stream_status(&self) -> StreamStatus {
        lock(&self.imp().status).stream
    }

    pub(in crate::elements::wcs) fn stream_runs(&self, after: Duration) {
        let mut status = lock(&self.imp().status);
        status.starts += 1;
        status.start_time = Some(after);
    }

    pub(in crate::elements::wcs) fn set_rate(&self, rate: gst::Structure) {
        lock(&self.imp().status).rate = Some(rate);
    }

    /// Media pass: those who play need a key frame first.
    pub(in crate::elements::wcs) fn outlets_connected(&self) {
        for outlet in &*lock(&self.imp().outlets) {
            outlet.ask_for_key_frame();
        }
    }

    /// What is played is over.
    pub(in crate::elements::wcs) fn end_outlets(&self) {
        let pads: Vec<_> = lock(&self.imp().outlets)
            .iter()
            .flat_map(|outlet| outlet.pads().cloned().collect::<Vec<_>>())
            .collect();
        for pad in pads {
            pad.push_event(gst::event::Eos::new());
        }
        // Nothing comes in either, so the pipeline need not wait for us.
        if self.inlets().is_empty() && self.element_flags().contains(gst::ElementFlags::SINK) {
            let _ = self.post_message(gst::message::Eos::builder().src(self).build());
        }
    }
}
