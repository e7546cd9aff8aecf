// SPDX-License-Identifier: MPL-2.0

//! One webrtcbin, for one call: it makes one offer, takes one answer, and is thrown away.
//!
//! webrtcbin 1.22 does not compare the certificate that DTLS brought with the fingerprint of the answer,
//! so a [`Proof`] does, and no media pass before. It also aborts the process at a second offer after a
//! rejected section, so there is never a second one.

use std::{
    sync::{Arc, Once, mpsc::Sender},
    thread,
};

use gst::prelude::*;

use super::{
    codec::{Kind, receivable},
    control::Task,
    description::{SdpType, to_text, to_value},
    inlet::Inlet,
    kinds::Transport,
    proof::Proof,
    resend,
    settings::Settings,
};
use crate::protocol::wcs::sdp::Answer;

/// See the module's text.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) number: u64,
    pub(super) webrtc: gst::Element,
    proof: Arc<Proof>,
    tasks: Sender<Task>,
}

impl Peer {
    /// A webrtcbin that nothing is linked to yet. What becomes of it is told as tasks with its `number`.
    pub(super) fn new(
        number: u64,
        settings: &Settings,
        tasks: Sender<Task>,
    ) -> Result<Arc<Self>, glib::BoolError> {
        let webrtc = gst::ElementFactory::make("webrtcbin").build()?;
        // With the seed-style answers of these servers, which know no BUNDLE, all other policies break.
        webrtc.set_property_from_str("bundle-policy", "none");
        webrtc.set_property("latency", settings.latency);
        if let Some(server) = &settings.stun_server {
            webrtc.set_property("stun-server", server);
        }
        if !settings.turn_server.reveal().is_empty() {
            webrtc.set_property("turn-server", settings.turn_server.reveal());
        }
        if let Some(ice) = webrtc.property::<Option<glib::Object>>("ice-agent") {
            prepare(&ice, settings);
        }
        if let Some(bin) = webrtc.downcast_ref::<gst::Bin>() {
            bin.connect_deep_element_added(|_, _, part| tune(part));
        }
        resend::provide(&webrtc);
        let needed = tasks.clone();
        webrtc.connect("on-negotiation-needed", false, move |_| {
            let _ = needed.send(Task::Negotiate(number));
            None
        });
        let state = tasks.clone();
        webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
            let nick = nick(&webrtc.property_value("connection-state"));
            let _ = state.send(Task::Connection(number, nick));
        });
        Ok(Arc::new(Self {
            number,
            webrtc,
            proof: Arc::default(),
            tasks,
        }))
    }

    /// Takes what the inlets bring.
    pub(super) fn send(&self, inlets: &[Arc<Inlet>]) -> bool {
        inlets.iter().all(|inlet| {
            let Some(pad) = self.webrtc.request_pad_simple("sink_%u") else {
                gst::warning!(super::CAT, "webrtcbin has no sink pad to give");
                return false;
            };
            if let Ok(transceiver) = pad.property_value("transceiver").get::<glib::Object>() {
                transceiver.set_property_from_str("direction", "sendonly");
                if inlet.kind() == Some(Kind::Video) {
                    transceiver.set_property("do-nack", true);
                }
            }
            // It may want to negotiate before it knows what: the caps come with the first buffer.
            let (tasks, number) = (self.tasks.clone(), self.number);
            pad.connect_notify(Some("caps"), move |_, _| {
                let _ = tasks.send(Task::Negotiate(number));
            });
            let broken = self.tasks.clone();
            inlet.link(&pad, move || {
                let sentence = "a stream cannot be given to webrtcbin; check its caps";
                let _ = broken.send(Task::Broken(number, sentence.to_owned()));
            });
            true
        })
    }

    /// Whether what is to be sent is known.
    pub(super) fn knows_caps(&self) -> bool {
        let pads = self.webrtc.sink_pads();
        pads.iter().all(|pad| pad.current_caps().is_some())
    }

    /// Offers to receive these kinds.
    pub(super) fn receive(&self, kinds: &[Kind]) {
        let direction = glib::Type::from_name("GstWebRTCRTPTransceiverDirection")
            .and_then(glib::EnumClass::with_type)
            .and_then(|class| class.to_value_by_nick("recvonly"));
        let Some(direction) = direction else {
            return;
        };
        for kind in kinds {
            let caps = receivable(*kind).to_value();
            let transceiver = self
                .webrtc
                .emit_by_name_with_values("add-transceiver", &[direction.clone(), caps]);
            let transceiver = transceiver.and_then(|value| value.get::<glib::Object>().ok());
            if let (Kind::Video, Some(transceiver)) = (kind, transceiver) {
                // Without, lost packets are neither asked for again nor made good by a key frame.
                transceiver.set_property("do-nack", true);
            }
        }
    }

    /// Lets what this pad brings through once its certificate is verified.
    pub(super) fn guard(&self, source: &gst::Pad) {
        let transceiver = source.property_value("transceiver");
        let transceiver = transceiver.get::<Option<glib::Object>>().ok().flatten();
        let line = transceiver.map(|transceiver| transceiver.property::<u32>("mlineindex"));
        self.proof.guard(source, line);
    }

    /// Whether media have come that were let through.
    pub(super) fn has_media(&self) -> bool {
        self.proof.has_media()
    }

    /// Makes the offer and makes it ours. [`Task::Offer`] tells what came of it.
    pub(super) fn negotiate(&self) {
        let (tasks, number) = (self.tasks.clone(), self.number);
        let webrtc = self.webrtc.downgrade();
        let promise = gst::Promise::with_change_func(move |reply| {
            let offer = reply_of(reply).and_then(|reply| {
                let offer = reply.and_then(|reply| reply.value("offer").ok().cloned());
                offer.ok_or_else(|| "webrtcbin made no offer".to_owned())
            });
            let offer = match offer {
                Ok(offer) => offer,
                Err(error) => {
                    let _ = tasks.send(Task::Offer(number, Err(error)));
                    return;
                }
            };
            let text = to_text(&offer).ok_or_else(|| "webrtcbin's offer is none".to_owned());
            let Some(webrtc) = webrtc.upgrade() else {
                return;
            };
            let ours = gst::Promise::with_change_func(move |reply| {
                let result = reply_of(reply).and(text);
                let _ = tasks.send(Task::Offer(number, result));
            });
            webrtc.emit_by_name_with_values(
                "set-local-description",
                &[offer.into(), ours.to_value()],
            );
        });
        self.webrtc
            .emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
    }

    /// Takes the answer. [`Task::Answered`] tells what came of it.
    pub(super) fn answer(&self, answer: &Answer) -> Result<(), glib::BoolError> {
        let description = to_value(SdpType::Answer, answer.as_str())?;
        let (tasks, number) = (self.tasks.clone(), self.number);
        let promise = gst::Promise::with_change_func(move |reply| {
            let result = reply_of(reply).map(drop);
            let _ = tasks.send(Task::Answered(number, result));
        });
        self.webrtc
            .emit_by_name_with_values("set-remote-description", &[description, promise.to_value()]);
        Ok(())
    }

    /// Notes which certificates are to come, once the answer is taken: media may be quicker than the
    /// news that they may.
    pub(super) fn expect(&self, answer: &Answer) {
        let transceivers = (0..).map_while(|index: i32| self.transceiver(index));
        let promises = transceivers.filter_map(|transceiver| {
            let line = transceiver.property::<u32>("mlineindex");
            let promised = answer.fingerprints().get(usize::try_from(line).ok()?)?;
            Some((line, transport(&transceiver)?, promised.clone()))
        });
        self.proof.expect(promises);
    }

    /// Compares the certificates of the other side with what the answer promised. Errs with a sentence
    /// without its full stop.
    pub(super) fn verify(&self, answer: &Answer) -> Result<(), String> {
        self.expect(answer);
        match self.proof.verdict(answer.fingerprints().len()) {
            Some(true) => Ok(()),
            Some(false) => Err(
                "Failed by DTLS fingerprint error: the server's certificate is \
                                not the one that its answer promised"
                    .to_owned(),
            ),
            None => Err("the server's certificate cannot be checked".to_owned()),
        }
    }

    /// Whether its ICE agent still looks for addresses. webrtcbin 1.22 crashes in the agent's thread when it
    /// is freed meanwhile, however often it was stopped before.
    pub(super) fn is_gathering(&self) -> bool {
        (0..)
            .map_while(|index: i32| self.transceiver(index))
            .any(|transceiver| {
                transport(&transceiver)
                    .and_then(|dtls| dtls.property::<Option<gst::Object>>("transport"))
                    .is_some_and(|ice| nick(&ice.property_value("gathering-state")) == "gathering")
            })
    }

    fn transceiver(&self, index: i32) -> Option<glib::Object> {
        self.webrtc.emit_by_name("get-transceiver", &[&index])
    }

    /// Figures of webrtcbin's own, if they come within this time.
    pub(super) fn stats(&self, patience: std::time::Duration) -> Option<gst::Structure> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let promise = gst::Promise::with_change_func(move |reply| {
            if let Ok(Some(reply)) = reply {
                let _ = tell.try_send(reply.to_owned());
            }
        });
        self.webrtc
            .emit_by_name::<()>("get-stats", &[&None::<gst::Pad>, &promise]);
        told.recv_timeout(patience).ok()
    }
}

/// Has the key of this process made, which takes RSA a tenth of a second and more, while nobody waits for it:
/// GStreamer's DTLS plugin does that with the first of its elements, and webrtcbin needs it for the first offer.
pub(super) fn warm_up() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let made = thread::Builder::new().name("wcs-key".to_owned());
        // Without it, the first offer takes as much longer.
        let _ = made.spawn(|| drop(gst::ElementFactory::make("dtlsdec").build()));
    });
}

/// Tells ICE what it need not do.
fn prepare(ice: &glib::Object, settings: &Settings) {
    if let Some(address) = &settings.local_address
        && !ice.emit_by_name::<bool>("add-local-ip-address", &[address])
    {
        gst::warning!(super::CAT, "{address} is no address of this machine");
    }
    let has = |object: &glib::Object, name| object.find_property(name).is_some();
    // The router would be asked to open ports that nobody hears of, since no candidate of ours is sent; and
    // meanwhile there is a server for HTTP and a search by multicast.
    let agent = has(ice, "agent").then(|| ice.property::<Option<glib::Object>>("agent"));
    if let Some(agent) = agent.flatten().filter(|agent| has(agent, "upnp")) {
        agent.set_property("upnp", false);
    }
    if settings.transport == Transport::Udp && has(ice, "ice-tcp") {
        ice.set_property("ice-tcp", false);
    }
}

/// Sets what webrtcbin has no property for, on its parts as it makes them.
fn tune(part: &gst::Element) {
    let set = |name: &str, value: glib::Value| {
        if part.find_property(name).is_some() {
            part.set_property_from_value(name, &value);
        }
    };
    match part.factory().map(|factory| factory.name()).as_deref() {
        // Without, it waits for as long as its latency whether something comes that was sent before the first
        // packet, and the first picture is late by that.
        Some("rtpjitterbuffer") => set("faststart-min-packets", 1_u32.to_value()),
        Some("srtpenc") => {
            set("allow-repeat-tx", true.to_value());
            set("replay-window-size", resend::WINDOW.to_value());
        }
        _ => {}
    }
}

/// DTLS below a transceiver.
fn transport(transceiver: &glib::Object) -> Option<gst::Object> {
    ["sender", "receiver"].iter().find_map(|side| {
        let side = transceiver.property::<Option<glib::Object>>(side)?;
        side.property::<Option<gst::Object>>("transport")
    })
}

/// What a promise was answered, or why not. `GError`s come as a field.
fn reply_of(
    reply: Result<Option<&gst::StructureRef>, gst::PromiseError>,
) -> Result<Option<&gst::StructureRef>, String> {
    match reply {
        Ok(Some(reply)) => match reply.get::<glib::Error>("error") {
            Ok(error) => Err(error.message().to_owned()),
            Err(_) => Ok(Some(reply)),
        },
        Ok(None) => Ok(None),
        Err(error) => Err(format!("webrtcbin gave up: {error:?}")),
    }
}

fn nick(value: &glib::Value) -> String {
    glib::EnumValue::from_value(value).map_or_else(String::new, |(_, value)| value.nick().into())
}
