// SPDX-License-Identifier: MPL-2.0

//! The server's end of WebRTC: a bare webrtcbin that answers, and frames to compare.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, mpsc},
};

use gst::prelude::*;
use gstrtmp::elements::wcs::description::{SdpType, to_text, to_value};

use crate::support::process::PATIENCE;

/// Hashes of frames, in order.
pub type Frames = Arc<Mutex<Vec<u64>>>;

pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Notes every buffer that leaves this pad.
pub fn note(pad: &gst::Pad, frames: &Frames) {
    let frames = frames.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            let map = buffer.map_readable().unwrap();
            frames.lock().unwrap().push(hash(&map));
        }
        gst::PadProbeReturn::Ok
    });
}

/// What came is a part of what was sent, in order and without a hole.
#[track_caller]
pub fn assert_part_of(came: &[u64], sent: &[u64]) {
    let first = came.first().expect("something came");
    let at = sent.iter().position(|frame| frame == first);
    let at = at.expect("the first was sent");
    let part = &sent[at..(at + came.len()).min(sent.len())];
    assert_eq!(came, part, "from {at} on");
}

/// One webrtcbin with its pipeline.
pub struct Media {
    pub pipeline: gst::Pipeline,
    webrtc: gst::Element,
    seen: Seen,
}

/// Frames of a server.
#[derive(Clone, Default)]
pub struct Seen {
    /// Frames of sound that came.
    pub audio: Frames,
    /// Frames of the picture that came.
    pub video: Frames,
    /// Frames of the picture that were sent.
    pub sent: Frames,
}

impl Media {
    fn new(seen: &Seen, connected: impl Fn(String) + Send + Sync + 'static) -> Self {
        let webrtc = gst::ElementFactory::make("webrtcbin").build().unwrap();
        webrtc.set_property_from_str("bundle-policy", "none");
        add_loopback(&webrtc);
        webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
            connected(nick(webrtc, "connection-state"));
        });
        let pipeline = gst::Pipeline::new();
        pipeline.add(&webrtc).unwrap();
        Self {
            pipeline,
            webrtc,
            seen: seen.clone(),
        }
    }

    /// Receives what is offered.
    pub fn receive(seen: &Seen, connected: impl Fn(String) + Send + Sync + 'static) -> Self {
        let media = Self::new(seen, connected);
        let (audio, video) = (seen.audio.clone(), seen.video.clone());
        let pipeline = media.pipeline.downgrade();
        media.webrtc.connect_pad_added(move |_, pad| {
            let Some(pipeline) = pipeline.upgrade() else {
                return;
            };
            let caps = pad.current_caps().unwrap();
            let caps = caps.structure(0).unwrap();
            let (depayloader, frames) = match caps.get::<&str>("encoding-name").unwrap() {
                "OPUS" => ("rtpopusdepay", &audio),
                "PCMA" => ("rtppcmadepay", &audio),
                "VP8" => ("rtpvp8depay", &video),
                "H264" => ("rtph264depay", &video),
                other => panic!("{other}"),
            };
            let depayloader = gst::ElementFactory::make(depayloader).build().unwrap();
            let sink = gst::ElementFactory::make("fakesink")
                .property("sync", false)
                .property("async", false)
                .build()
                .unwrap();
            pipeline.add_many([&depayloader, &sink]).unwrap();
            depayloader.link(&sink).unwrap();
            note(&depayloader.static_pad("src").unwrap(), frames);
            for element in [&sink, &depayloader] {
                element.sync_state_with_parent().unwrap();
            }
            pad.link(&depayloader.static_pad("sink").unwrap()).unwrap();
        });
        media
    }

    /// Sends a test picture as VP8, and a tone as Opus, with the offer's payload types.
    pub fn send(
        seen: &Seen,
        connected: impl Fn(String) + Send + Sync + 'static,
        offer: &str,
    ) -> Self {
        let media = Self::new(seen, connected);
        let payload = |name: &str| {
            let line = offer.lines().find(|line| line.contains(name)).unwrap();
            let number = line.trim_start_matches("a=rtpmap:").split(' ').next();
            number.unwrap().parse::<u32>().unwrap()
        };
        // In the offer's order.
        let mut chains = vec![
            (
                "m=audio",
                "opus",
                "audiotestsrc is-live=true ! opusenc ! rtpopuspay name=p",
            ),
            (
                "m=video",
                "VP8",
                "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1 ! vp8enc deadline=1 keyframe-max-dist=3000 name=e ! rtpvp8pay name=p",
            ),
        ];
        chains.sort_by_key(|(line, ..)| offer.find(line).unwrap_or(usize::MAX));
        for (line, name, chain) in chains {
            if !offer.contains(line) {
                continue;
            }
            let bin = gst::parse::bin_from_description(chain, true).unwrap();
            bin.by_name("p").unwrap().set_property("pt", payload(name));
            if let Some(encoder) = bin.by_name("e") {
                note(&encoder.static_pad("src").unwrap(), &media.seen.sent);
            }
            media.pipeline.add(&bin).unwrap();
            bin.link(&media.webrtc).unwrap();
        }
        media
    }

    /// The answer, with all candidates.
    pub fn answer(&self, offer: &str) -> String {
        self.pipeline.set_state(gst::State::Playing).unwrap();
        let remote = to_value(SdpType::Offer, offer).unwrap();
        self.ask("set-remote-description", remote);
        let promise = gst::Promise::new();
        self.webrtc
            .emit_by_name::<()>("create-answer", &[&None::<gst::Structure>, &promise]);
        promise.wait();
        let reply = promise.get_reply().expect("a reply");
        let answer = reply.value("answer").expect("an answer").clone();
        let (tell, told) = mpsc::channel();
        self.webrtc
            .connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
                let _ = tell.send(nick(webrtc, "ice-gathering-state"));
            });
        self.ask("set-local-description", answer.into());
        while nick(&self.webrtc, "ice-gathering-state") != "complete" {
            told.recv_timeout(PATIENCE).expect("candidates");
        }
        let local = self.webrtc.property_value("local-description");
        to_text(&local).expect("a description")
    }

    fn ask(&self, signal: &str, description: glib::Value) {
        let promise = gst::Promise::new();
        self.webrtc
            .emit_by_name_with_values(signal, &[description, promise.to_value()]);
        promise.wait();
        if let Some(reply) = promise.get_reply()
            && let Ok(error) = reply.get::<glib::Error>("error")
        {
            panic!("{signal}: {error}");
        }
    }
}

impl Drop for Media {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

pub fn nick(object: &gst::Element, property: &str) -> String {
    let value = object.property_value(property);
    let (_, value) = glib::EnumValue::from_value(&value).unwrap();
    value.nick().to_owned()
}

/// Only loopback: a test machine may have no other network.
fn add_loopback(webrtc: &gst::Element) {
    let agent = webrtc.property::<glib::Object>("ice-agent");
    agent.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]);
}

/// The answer as such servers write it: no BUNDLE, RTP/SAVPF, no setup, one line for all feedback,
/// candidates with a second component, the fingerprint in capitals.
pub fn in_the_servers_style(answer: &str) -> String {
    let mut lines = Vec::new();
    let mut is_video = false;
    for line in answer.lines().map(str::trim_end) {
        if line.starts_with("m=") {
            is_video = line.starts_with("m=video");
            lines.push(line.replace("UDP/TLS/RTP/SAVPF", "RTP/SAVPF"));
        } else if line.starts_with("a=candidate:") {
            if line.contains(" UDP ") {
                lines.push(line.to_owned());
                lines.push(line.replace(" 1 UDP ", " 2 UDP "));
            }
        } else if line.starts_with("a=rtcp-mux") && is_video {
            for feedback in ["ccm fir", "nack", "nack pli", "goog-remb"] {
                lines.push(format!("a=rtcp-fb:* {feedback}"));
            }
            lines.push(line.to_owned());
        } else if let Some(hash) = line.strip_prefix("a=fingerprint:sha-256 ") {
            lines.push(format!("a=fingerprint:SHA-256 {hash}"));
        } else if ![
            "a=setup",
            "a=group",
            "a=msid",
            "a=rtcp-fb",
            "a=ice-options",
            "a=rtcp-rsize",
        ]
        .iter()
        .any(|prefix| line.starts_with(prefix))
        {
            lines.push(line.to_owned());
        }
    }
    lines.join("\r\n") + "\r\n"
}

/// The offer with nothing but the codecs that [`Media::send`] has, and that it can receive.
pub fn cut(offer: &str) -> String {
    let mut kept = Vec::new();
    for line in offer.lines() {
        if let Some(rest) = line.strip_prefix("a=rtpmap:")
            && let Some((payload, name)) = rest.split_once(' ')
            && ["opus/", "VP8/"]
                .iter()
                .any(|codec| name.starts_with(codec))
        {
            kept.push(payload.to_owned());
        }
    }
    let lines = offer.lines().filter_map(|line| {
        if line.starts_with("m=") {
            let words = line.split(' ').enumerate();
            let words: Vec<_> = words
                .filter(|(at, word)| *at < 3 || kept.iter().any(|kept| kept == word))
                .map(|(_, word)| word)
                .collect();
            return Some(words.join(" "));
        }
        for name in ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"] {
            if let Some(rest) = line.strip_prefix(name) {
                let payload = rest.split(' ').next().unwrap();
                return kept.iter().any(|kept| kept == payload).then(|| line.into());
            }
        }
        Some(line.to_owned())
    });
    lines.map(|line| line + "\r\n").collect()
}
