// SPDX-License-Identifier: MPL-2.0

//! A call on its way: offered as soon as all of it is known, asked for, answered, connected.

use std::time::Instant;

use gst::prelude::*;

use super::{
    super::{
        CAT, WcsWebrtcBin, codec::Kind, kinds::StreamStatus, missing, peer::Peer, settings::some,
        tell,
    },
    Call, Control, Reason,
};
use crate::{
    elements::rtmp::sentence,
    net::wcs::Command,
    protocol::wcs::{
        self,
        message::{PlayStream, PublishStream},
        sdp::{Answer, SdpError},
    },
};

impl Control {
    /// Makes a call, as far as there is what it needs.
    pub(super) fn begin_call(&mut self, element: &WcsWebrtcBin) {
        let Some(want) = self.want.clone() else {
            return;
        };
        if self.call.is_some() {
            return;
        }
        self.calls += 1;
        let made = Peer::new(self.calls, &self.settings, self.tasks.clone());
        let peer = match made {
            Ok(peer) => peer,
            Err(_) => {
                missing(element.upcast_ref(), "webrtcbin");
                self.want = None;
                return;
            }
        };
        let Ok(id) = media_session_id() else {
            return;
        };
        if !element.attach(&peer) {
            gst::debug!(CAT, obj = element, "Not running any more");
            return;
        }
        self.call = Some(Call {
            id,
            peer,
            want,
            linked: false,
            negotiated: false,
            offer: None,
            asked: false,
            answer: None,
            connected: false,
            since: Instant::now(),
            media_by: None,
        });
        self.link(element);
    }

    /// Links what is to be sent, once all of it is known, or adds receivers.
    fn link(&mut self, element: &WcsWebrtcBin) {
        let Some(call) = self.call.as_mut().filter(|call| !call.linked) else {
            return;
        };
        let kept = |kind: Kind| !call.want.without.contains(&kind);
        if !call.want.publish {
            let kinds = [
                (Kind::Audio, self.settings.audio),
                (Kind::Video, self.settings.video),
            ];
            let kinds: Vec<_> = kinds
                .into_iter()
                .filter(|(kind, wanted)| *wanted && kept(*kind))
                .map(|(kind, _)| kind)
                .collect();
            call.linked = true;
            call.peer.receive(&kinds);
            return;
        }
        let inlets = element.inlets();
        if inlets.is_empty() || inlets.iter().any(|inlet| inlet.kind().is_none()) {
            gst::debug!(CAT, obj = element, "Waiting for caps of all sink pads");
            return;
        }
        let inlets: Vec<_> = inlets
            .into_iter()
            .filter(|inlet| inlet.kind().is_some_and(kept))
            .collect();
        call.linked = true;
        call.since = Instant::now();
        gst::debug!(CAT, obj = element, "Linking {} streams", inlets.len());
        if !call.peer.send(&inlets) {
            self.call_failed(
                element,
                Reason {
                    sentence: "A stream cannot be given to webrtcbin; check its caps.".into(),
                    is_final: true,
                },
            );
        }
    }

    pub(super) fn inlets_changed(&mut self, element: &WcsWebrtcBin) {
        let inlets = element.inlets();
        if !inlets.is_empty() && inlets.iter().all(|inlet| inlet.has_ended()) {
            self.eos = true;
            self.want = None;
            self.retry = None;
            self.end_call(element);
            return self.finish_eos(element);
        }
        match &self.call {
            Some(call) if !call.linked => self.link(element),
            // A stream that came late: the server has to be told of all of them at once.
            Some(call)
                if call.want.publish
                    && element.has_unlinked_inlet(&call.want.without)
                    && inlets.iter().all(|inlet| inlet.kind().is_some()) =>
            {
                gst::info!(CAT, obj = element, "A stream came; publishing anew");
                self.end_call(element);
                self.begin_call(element);
            }
            _ => {}
        }
    }

    /// Sends the offer, where session and offer are there.
    pub(super) fn ask(&mut self, element: &WcsWebrtcBin) {
        let Some(call) = &mut self.call else {
            return;
        };
        let Some(offer) = &call.offer else {
            return;
        };
        if call.asked || !self.established || !(self.playing || call.want.publish) {
            return;
        }
        call.asked = true;
        let (settings, id, name) = (&self.settings, call.id.clone(), call.want.name.clone());
        let command = match call.want.publish {
            true => Command::Publish(PublishStream {
                media_session_id: id,
                name,
                published: true,
                has_video: offer.has("video"),
                has_audio: offer.has("audio"),
                status: wcs::StreamStatus::Pending,
                record: settings.record,
                media_provider: "WebRTC".into(),
                sdp: offer.as_str().into(),
                bitrate: settings.bitrate.into(),
                min_bitrate: settings.min_bitrate.into(),
                max_bitrate: settings.max_bitrate.into(),
                rtmp_url: some(settings.rtmp_url.reveal()),
                transport: settings.transport(),
                custom: settings.custom(),
                ..PublishStream::default()
            }),
            false => Command::Play(PlayStream {
                media_session_id: id,
                name,
                published: false,
                has_video: true,
                has_audio: true,
                status: wcs::StreamStatus::Pending,
                width: settings.width.into(),
                height: settings.height.into(),
                media_provider: "WebRTC".into(),
                sdp: offer.as_str().into(),
                bitrate: settings.bitrate.into(),
                min_bitrate: settings.min_bitrate.into(),
                max_bitrate: settings.max_bitrate.into(),
                quality: settings.quality.into(),
                transport: settings.transport(),
                custom: settings.custom(),
                ..PlayStream::default()
            }),
        };
        element.set_stream(StreamStatus::Pending, None);
        self.member.tell(command);
    }

    pub(super) fn answered(&mut self, element: &WcsWebrtcBin, id: &str, sdp: &str) {
        let Some(call) = self.call.as_mut().filter(|call| call.id == id) else {
            return;
        };
        gst::debug!(CAT, obj = element, "The server's answer:\n{sdp}");
        let Some(offer) = &call.offer else {
            return;
        };
        let failed = match Answer::new(sdp, offer) {
            Ok(answer) => {
                let taken = call.peer.answer(&answer);
                call.answer = Some(answer);
                match taken {
                    Ok(()) => return,
                    Err(error) => Reason {
                        sentence: format!("The server's answer cannot be used: {error}."),
                        is_final: true,
                    },
                }
            }
            Err(SdpError::Rejected(kinds)) => {
                return self.offer_less(element, &kinds);
            }
            Err(error) => Reason {
                sentence: match error {
                    SdpError::NoCommonCodecs => {
                        "No common codecs: the server takes none of what is offered.".into()
                    }
                    error => format!("The server's answer cannot be used: {error}."),
                },
                is_final: true,
            },
        };
        self.call_failed(element, failed);
    }

    /// Calls again without what the server does not take.
    fn offer_less(&mut self, element: &WcsWebrtcBin, kinds: &[String]) {
        let words = format!("The server does not take {}.", kinds.join(" and "));
        tell::warning(element, &words);
        self.end_call(element);
        if let Some(want) = &mut self.want {
            for kind in [Kind::Audio, Kind::Video] {
                if kinds.iter().any(|name| name == kind.name()) && !want.without.contains(&kind) {
                    want.without.push(kind);
                }
            }
        }
        self.begin_call(element);
    }

    pub(super) fn connection_changed(&mut self, element: &WcsWebrtcBin, number: u64, state: &str) {
        let Some(call) = self.call_of(number) else {
            return;
        };
        gst::info!(CAT, obj = element, "The media connection is {state}");
        match (state, &call.answer) {
            ("connected", Some(answer)) if !call.connected => match call.peer.verify(answer) {
                Ok(()) => {
                    call.connected = true;
                    match call.want.publish {
                        true => element.inlets().iter().for_each(|inlet| inlet.open()),
                        false => element.outlets_connected(),
                    }
                }
                Err(words) => self.call_failed(
                    element,
                    Reason {
                        sentence: format!("{}.", sentence(&words).trim_end_matches('.')),
                        is_final: true,
                    },
                ),
            },
            ("failed", _) => self.call_failed(
                element,
                Reason {
                    sentence: "No way for media to the server was found, or it was lost (ICE or \
                               DTLS failed); check firewalls, and stun-server or turn-server."
                        .into(),
                    is_final: false,
                },
            ),
            _ => {}
        }
    }
}

/// A name for a call, as the SDK makes them: a UUID (RFC 9562, version 4).
pub(in crate::elements::wcs) fn media_session_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}
