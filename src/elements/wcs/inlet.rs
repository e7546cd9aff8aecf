// SPDX-License-Identifier: MPL-2.0

//! A sink pad: what comes in on it goes through a payloader, if it is not RTP already, and through a
//! gate into whichever webrtcbin there is.
//!
//! The pad outlives webrtcbins. Whatever becomes of the server, upstream hears OK: its stream may feed
//! others too.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use gst::prelude::*;

use super::{
    codec::{Codec, Kind},
    lock,
};

/// See the module's text.
#[derive(Debug)]
pub(super) struct Inlet {
    pub(super) ghost: gst::GhostPad,
    /// Of the pad's template; `None` for RTP.
    pub(super) encoded: Option<Kind>,
    /// Open while a verified peer takes media.
    gate: Arc<AtomicBool>,
    muted: Arc<AtomicBool>,
    ended: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Known once caps have come.
    kind: Option<Kind>,
    payloader: Option<(&'static Codec, gst::Element)>,
    /// The sink pad of webrtcbin that it leads to.
    outer: Option<gst::Pad>,
}

impl Inlet {
    /// A pad from this template. `changed` is called when caps have come, and when the stream has ended.
    pub(super) fn new(
        template: &gst::PadTemplate,
        name: &str,
        encoded: Option<Kind>,
        changed: impl Fn(&gst::GhostPad) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let changed = Arc::new(changed);
        Arc::new_cyclic(|weak: &std::sync::Weak<Self>| {
            let (chain, chain_list) = (weak.clone(), weak.clone());
            let ghost = gst::GhostPad::builder_from_template(template)
                .name(name)
                .chain_function(move |pad, parent, buffer| match chain.upgrade() {
                    Some(inlet) if inlet.is_passing() => {
                        inlet.bear(gst::ProxyPad::chain_default(pad, parent, buffer))
                    }
                    _ => Ok(gst::FlowSuccess::Ok),
                })
                .chain_list_function(move |pad, parent, list| match chain_list.upgrade() {
                    Some(inlet) if inlet.is_passing() => {
                        inlet.bear(gst::ProxyPad::chain_list_default(pad, parent, list))
                    }
                    _ => Ok(gst::FlowSuccess::Ok),
                })
                .query_function(|pad, parent, query| match takes(pad, query) {
                    true => true,
                    false => gst::Pad::query_default(pad, parent, query),
                })
                .build();
            let weak = weak.clone();
            ghost.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |ghost, info| {
                let Some(inlet) = weak.upgrade() else {
                    return gst::PadProbeReturn::Ok;
                };
                match info.event().map(|event| event.view()) {
                    Some(gst::EventView::Caps(caps)) => {
                        let caps = caps.caps_owned();
                        if let Some(bin) = ghost.parent_element() {
                            inlet.fit(&bin, &caps);
                        }
                        changed(ghost);
                        gst::PadProbeReturn::Ok
                    }
                    Some(gst::EventView::StreamStart(_)) => {
                        inlet.ended.store(false, Ordering::SeqCst);
                        gst::PadProbeReturn::Ok
                    }
                    // webrtcbin has no use for it: the call is ended instead.
                    Some(gst::EventView::Eos(_)) => {
                        inlet.ended.store(true, Ordering::SeqCst);
                        changed(ghost);
                        // DROP has 1.22 unreference an event that the bindings have taken.
                        gst::PadProbeReturn::Handled
                    }
                    _ => gst::PadProbeReturn::Ok,
                }
            });
            let gate = Arc::new(AtomicBool::new(false));
            let muted = Arc::new(AtomicBool::new(false));
            if encoded.is_none()
                && let Some(inner) = ghost.internal()
            {
                guard(inner.upcast_ref(), &gate, &muted);
            }
            Self {
                ghost,
                encoded,
                gate,
                muted,
                ended: AtomicBool::new(false),
                state: Mutex::default(),
            }
        })
    }

    /// What is muted goes no further, so that packets have no gap in their numbers. Only as far as the
    /// gate while that is closed: webrtcbin hears of the caps with what comes.
    fn is_passing(&self) -> bool {
        !self.is_muted() || !self.gate.load(Ordering::Relaxed)
    }

    /// Whether media are held back.
    pub(super) fn is_muted(&self) -> bool {
        self.muted.load(Ordering::Relaxed)
    }

    /// What a peer cannot take is its loss.
    fn bear(
        &self,
        result: Result<gst::FlowSuccess, gst::FlowError>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        match result {
            Err(gst::FlowError::Flushing) if !self.gate.load(Ordering::Relaxed) => {
                // A webrtcbin that is being taken away, unless the pad itself is flushing.
                match self.ghost.pad_flags().contains(gst::PadFlags::FLUSHING) {
                    true => Err(gst::FlowError::Flushing),
                    false => Ok(gst::FlowSuccess::Ok),
                }
            }
            Err(gst::FlowError::NotLinked | gst::FlowError::Error | gst::FlowError::Eos) => {
                Ok(gst::FlowSuccess::Ok)
            }
            result => result,
        }
    }

    /// Puts in the payloader that fits the caps.
    fn fit(&self, bin: &gst::Element, caps: &gst::CapsRef) {
        let mut state = lock(&self.state);
        let Some(kind) = self.encoded else {
            state.kind = Kind::of_rtp(caps);
            return;
        };
        state.kind = Some(kind);
        let Some(codec) = Codec::of_caps(caps) else {
            return;
        };
        if state
            .payloader
            .as_ref()
            .is_some_and(|(has, _)| std::ptr::eq(*has, codec))
        {
            return;
        }
        let before = state.payloader.take();
        // Another codec than was offered: that needs a call of its own, which is made once this is unlinked.
        let _ = state.outer.take_if(|_| before.is_some());
        drop(state);
        let bin = bin.downcast_ref::<gst::Bin>().expect("a bin");
        if let Some((_, before)) = before {
            self.gate.store(false, Ordering::SeqCst);
            let _ = self.ghost.set_target(None::<&gst::Pad>);
            let _ = bin.remove(&before);
            let _ = before.set_state(gst::State::Null);
        }
        let payloader = match codec.payloader() {
            Ok(payloader) => payloader,
            Err(_) => {
                super::missing(bin.upcast_ref(), codec.payloader);
                return;
            }
        };
        let (Some(sink), Some(src)) = (payloader.static_pad("sink"), payloader.static_pad("src"))
        else {
            return;
        };
        guard(&src, &self.gate, &self.muted);
        let made = bin
            .add(&payloader)
            .and_then(|()| self.ghost.set_target(Some(&sink)))
            .and_then(|()| payloader.sync_state_with_parent());
        if let Err(error) = &made {
            gst::warning!(super::CAT, obj = self.ghost, "No payloader: {error}");
        }
        let ready = made.is_ok();
        if ready {
            lock(&self.state).payloader = Some((codec, payloader));
        }
    }

    /// What comes in, once it is known.
    pub(super) fn kind(&self) -> Option<Kind> {
        let state = lock(&self.state);
        match self.encoded {
            Some(_) if state.payloader.is_none() => None,
            _ => state.kind,
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// Leads it to a sink pad of webrtcbin, between two buffers: GStreamer 1.22 may lose the caps of a pad
    /// that is linked while it pushes. `failed` is called where it cannot be.
    pub(super) fn link(&self, outer: &gst::Pad, failed: impl Fn() + Send + Sync + 'static) {
        let mut state = lock(&self.state);
        state.outer = Some(outer.clone());
        let payloader = state.payloader.as_ref().map(|(_, element)| element.clone());
        drop(state);
        let (ghost, outer) = (self.ghost.clone(), outer.clone());
        let src = match &payloader {
            Some(payloader) => payloader.static_pad("src"),
            None => ghost.internal().map(|pad| pad.upcast()),
        };
        let Some(src) = src else {
            return failed();
        };
        let encoded = payloader.is_some();
        src.add_probe(gst::PadProbeType::IDLE, move |src, _| {
            let linked = match encoded {
                true => src.link(&outer).is_ok(),
                false => ghost.set_target(Some(&outer)).is_ok(),
            };
            match linked {
                // What it is would else come with the next buffer, and the offer a frame later.
                true => src.sticky_events_foreach(|event| {
                    outer.send_event(event.clone());
                    ControlFlow::Continue(gst::EventForeachAction::Keep)
                }),
                false => failed(),
            }
            gst::PadProbeReturn::Remove
        });
    }

    pub(super) fn is_linked(&self) -> bool {
        lock(&self.state).outer.is_some()
    }

    /// Leads it nowhere.
    pub(super) fn unlink(&self) {
        self.gate.store(false, Ordering::SeqCst);
        let mut state = lock(&self.state);
        let outer = state.outer.take();
        let payloader = state.payloader.as_ref().map(|(_, element)| element.clone());
        drop(state);
        match (payloader, outer) {
            (Some(payloader), Some(outer)) => {
                if let Some(src) = payloader.static_pad("src") {
                    let _ = src.unlink(&outer);
                }
            }
            _ if self.encoded.is_none() => {
                let _ = self.ghost.set_target(None::<&gst::Pad>);
            }
            _ => {}
        }
    }

    /// Lets media through, beginning with a key frame.
    pub(super) fn open(&self) {
        if !self.gate.swap(true, Ordering::SeqCst) {
            self.ask_for_key_frame();
        }
    }

    /// Holds media of this kind back, or lets them through again.
    pub(super) fn mute(&self, muted: bool) {
        if self.muted.swap(muted, Ordering::SeqCst) && !muted {
            self.ask_for_key_frame();
        }
    }

    fn ask_for_key_frame(&self) {
        if self.kind() == Some(Kind::Video) {
            let event = gst::event::CustomUpstream::new(
                gst::Structure::builder("GstForceKeyUnit")
                    .field("all-headers", true)
                    .build(),
            );
            // An encoder may not know it, and then begins when it likes.
            let _ = self.ghost.push_event(event);
        }
    }

    /// Takes its parts out of the bin.
    pub(super) fn dismantle(&self, bin: &gst::Bin) {
        self.unlink();
        let payloader = lock(&self.state).payloader.take();
        let _ = self.ghost.set_target(None::<&gst::Pad>);
        if let Some((_, payloader)) = payloader {
            let _ = bin.remove(&payloader);
            let _ = payloader.set_state(gst::State::Null);
        }
    }
}

/// Answers what the pad takes: each of its codecs at any time. The payloader of the moment would say its own.
fn takes(pad: &gst::GhostPad, query: &mut gst::QueryRef) -> bool {
    let template = pad.pad_template_caps();
    match query.view_mut() {
        gst::QueryViewMut::Caps(query) => {
            let caps = match query.filter() {
                // In the order of who asks: an encoder's own.
                Some(filter) => {
                    filter.intersect_with_mode(&template, gst::CapsIntersectMode::First)
                }
                None => template,
            };
            query.set_result(&caps);
            true
        }
        gst::QueryViewMut::AcceptCaps(query) => {
            query.set_result(query.caps().can_intersect(&template));
            true
        }
        _ => false,
    }
}

/// Drops buffers while the gate is closed. Events pass: webrtcbin has to know the caps before.
fn guard(src: &gst::Pad, gate: &Arc<AtomicBool>, muted: &Arc<AtomicBool>) {
    let (gate, muted) = (gate.clone(), muted.clone());
    let data = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    src.add_probe(data, move |_, _| {
        match gate.load(Ordering::Relaxed) && !muted.load(Ordering::Relaxed) {
            true => gst::PadProbeReturn::Ok,
            false => gst::PadProbeReturn::Drop,
        }
    });
}
