// SPDX-License-Identifier: MPL-2.0

//! A source pad, or two: what webrtcbin receives goes through a depayloader, unless RTP is wanted, and
//! out. Where nobody is linked it is dropped, without anybody being told.
//!
//! The pads outlive webrtcbins: after a reconnect the next one feeds the same pads.

use gst::prelude::*;

use super::codec::{Codec, Kind};
use super::kinds::Output;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Outlet {
    kind: Kind,
    codec: Option<&'static Codec>,
    rtp: Option<gst::GhostPad>,
    encoded: Option<gst::GhostPad>,
    parts: Vec<gst::Element>,
    /// Of webrtcbin, while there is one.
    source: Option<gst::Pad>,
}

impl Outlet {
    /// Pads for what `source` brings, numbered, not yet added to the bin.
    pub(super) fn new(
        source: &gst::Pad,
        caps: &gst::CapsRef,
        output: Output,
        number: usize,
    ) -> Option<Self> {
        let kind = Kind::of_rtp(caps)?;
        let codec = Codec::of_rtp(caps);
        let pad = |name: String, template: &str| {
            let templates = super::codec::TEMPLATES.iter();
            let template = templates.clone().find(|t| t.name_template() == template)?;
            let pad = gst::GhostPad::builder_from_template(template)
                .name(name)
                .build();
            let source = source.downgrade();
            pad.connect_linked(move |_, _| {
                if let (Kind::Video, Some(source)) = (kind, source.upgrade()) {
                    ask_for_key_frame(&source);
                }
            });
            Some(pad)
        };
        let with_rtp = output != Output::Encoded || codec.is_none();
        let with_encoded = output != Output::Rtp && codec.is_some();
        let encoded = format!("{}_src_", kind.name());
        Some(Self {
            kind,
            codec,
            encoded: match with_encoded {
                true => pad(format!("{encoded}{number}"), &format!("{encoded}%u")),
                false => None,
            },
            rtp: match with_rtp {
                true => pad(format!("src_{number}"), "src_%u"),
                false => None,
            },
            parts: Vec::new(),
            source: None,
        })
    }

    /// Whether it waits for a stream of this kind and codec.
    pub(super) fn takes(&self, caps: &gst::CapsRef) -> bool {
        let same = match (self.codec, Codec::of_rtp(caps)) {
            (Some(mine), Some(theirs)) => std::ptr::eq(mine, theirs),
            (None, None) => true,
            _ => false,
        };
        self.source.is_none() && same && Kind::of_rtp(caps) == Some(self.kind)
    }

    pub(super) fn pads(&self) -> impl Iterator<Item = &gst::GhostPad> {
        self.encoded.iter().chain(&self.rtp)
    }

    /// Leads a source pad of webrtcbin to the pads.
    pub(super) fn connect(
        &mut self,
        bin: &gst::Bin,
        source: &gst::Pad,
    ) -> Result<(), glib::BoolError> {
        self.source = Some(source.clone());
        let mut from = source.clone();
        if let Some(rtp) = self.rtp.clone() {
            let tee = self.tee(bin)?;
            link(&from, &tee)?;
            rtp.set_target(Some(&branch(&tee)?))?;
            if self.encoded.is_some() {
                from = branch(&tee)?;
            }
        }
        if let (Some(encoded), Some(codec)) = (self.encoded.clone(), self.codec) {
            let depayloader = codec.depayloader().inspect_err(|_| {
                super::missing(bin.upcast_ref(), codec.depayloader);
            })?;
            self.add(bin, &depayloader)?;
            let tee = self.tee(bin)?;
            depayloader.link(&tee)?;
            encoded.set_target(Some(&branch(&tee)?))?;
            link(&from, &depayloader)?;
        }
        Ok(())
    }

    /// It drops what nobody takes, and is no reason for upstream to stop.
    fn tee(&mut self, bin: &gst::Bin) -> Result<gst::Element, glib::BoolError> {
        let tee = gst::ElementFactory::make("tee")
            .property("allow-not-linked", true)
            .build()?;
        self.add(bin, &tee)?;
        Ok(tee)
    }

    fn add(&mut self, bin: &gst::Bin, part: &gst::Element) -> Result<(), glib::BoolError> {
        bin.add(part)?;
        self.parts.push(part.clone());
        part.sync_state_with_parent()
    }

    /// Asks the sender for a key frame.
    pub(super) fn ask_for_key_frame(&self) {
        if let (Kind::Video, Some(source)) = (self.kind, &self.source) {
            ask_for_key_frame(source);
        }
    }

    /// Leads nothing to the pads any more; webrtcbin is gone or about to be.
    pub(super) fn disconnect(&mut self, bin: &gst::Bin) {
        self.source = None;
        for pad in self.pads() {
            let _ = pad.set_target(None::<&gst::Pad>);
        }
        for part in self.parts.drain(..) {
            let _ = bin.remove(&part);
            let _ = part.set_state(gst::State::Null);
        }
    }
}

fn link(from: &gst::Pad, to: &gst::Element) -> Result<(), glib::BoolError> {
    let sink = to
        .static_pad("sink")
        .ok_or_else(|| glib::bool_error!("no sink pad"))?;
    from.link(&sink)
        .map(drop)
        .map_err(|error| glib::bool_error!("{error}"))
}

fn branch(tee: &gst::Element) -> Result<gst::Pad, glib::BoolError> {
    tee.request_pad_simple("src_%u")
        .ok_or_else(|| glib::bool_error!("no branch"))
}

/// From the sender, by PLI.
fn ask_for_key_frame(source: &gst::Pad) {
    let structure = gst::Structure::builder("GstForceKeyUnit")
        .field("all-headers", true)
        .build();
    // It may be too early; the sender begins with one anyway, or the depayloader asks.
    let _ = source.send_event(gst::event::CustomUpstream::new(structure));
}
