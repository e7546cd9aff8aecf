// SPDX-License-Identifier: MPL-2.0

//! The server's end of WebRTC: a bare webrtcbin that answers, and frames to compare.

use std::{
    collections::{HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use gst::prelude::*;
use gstrtmp::elements::wcs::description::{SdpType, to_text, to_value};

use crate::{codecs::CODECS, support::process::PATIENCE};

/// Hashes of frames, in order.
pub type Frames = Arc<Mutex<Vec<u64>>>;

pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// Notes every buffer that leaves this pad. Of H.264 every slice: the parameter sets between them are
/// sent along where they may be missed, and start codes become lengths.
pub fn note(pad: &gst::Pad, frames: &Frames) {
    let frames = frames.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(buffer) = info.buffer() {
            let map = buffer.map_readable().unwrap();
            let caps = pad.current_caps();
            let h264 = caps
                .as_ref()
                .and_then(|caps| caps.structure(0))
                .filter(|structure| structure.name() == "video/x-h264");
            let mut frames = frames.lock().unwrap();
            match h264.map(|structure| structure.get::<&str>("stream-format")) {
                None => frames.push(hash(&map)),
                Some(Ok("avc")) => frames.extend(slices(of_lengths(&map))),
                Some(_) => frames.extend(slices(of_start_codes(&map))),
            }
        }
        gst::PadProbeReturn::Ok
    });
}

fn slices(units: Vec<&[u8]>) -> impl Iterator<Item = u64> {
    let slices = units.into_iter().filter(|unit| {
        let kind = unit.first().map_or(0, |head| head & 0x1f);
        kind == 1 || kind == 5
    });
    slices.map(hash)
}

fn of_lengths(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut units = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        units.push(&rest[..length]);
        bytes = &rest[length..];
    }
    units
}

fn of_start_codes(bytes: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<_> = (0..bytes.len().saturating_sub(2))
        .filter(|at| bytes[*at..].starts_with(&[0, 0, 1]))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([bytes.len()]);
    let units = starts.iter().zip(ends).map(|(start, end)| {
        let mut unit = &bytes[start + 3..end];
        // Zeros between one and the next belong to neither.
        while let [rest @ .., 0] = unit {
            unit = rest;
        }
        unit
    });
    units.collect()
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

/// What came is a part of what was sent, in order; how many of it are missing in between.
#[track_caller]
pub fn missing(came: &[u64], sent: &[u64]) -> usize {
    let mut rest = sent.iter();
    let mut missing = 0;
    for (number, frame) in came.iter().enumerate() {
        let skipped = rest.position(|sent| sent == frame);
        let skipped = skipped.unwrap_or_else(|| panic!("{number} was not sent, or not then"));
        missing += if number == 0 { 0 } else { skipped };
    }
    missing
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
    /// And of the sound.
    pub sent_audio: Frames,
    /// Packets that were lost on the way.
    pub lost: Arc<AtomicUsize>,
    /// It is reached at all addresses but loopback, as a server on the network is.
    pub is_everywhere: bool,
    /// Where the pictures come out of their packets, for who wants a key frame.
    pub depayloaded: Arc<Mutex<Vec<gst::Pad>>>,
}

/// Loses one of so many RTP packets that come out of here, each once.
pub fn lose(pad: &gst::Pad, one_of: usize, lost: &Arc<AtomicUsize>) {
    let (lost, count) = (lost.clone(), AtomicUsize::new(0));
    let gone = Mutex::new(HashSet::new());
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let map = info.buffer().unwrap().map_readable().unwrap();
        // RFC 7983, and RFC 5761 for what is RTCP.
        let is_rtp = matches!(map[..], [128..=191, second, ..] if !(192..=223).contains(&second));
        let is_next = is_rtp && count.fetch_add(1, Ordering::SeqCst) % one_of == one_of - 1;
        if is_next && gone.lock().unwrap().insert([map[2], map[3]]) {
            lost.fetch_add(1, Ordering::SeqCst);
            return gst::PadProbeReturn::Drop;
        }
        gst::PadProbeReturn::Ok
    });
}

impl Media {
    fn new(seen: &Seen, connected: impl Fn(String) + Send + Sync + 'static) -> Self {
        let webrtc = gst::ElementFactory::make("webrtcbin").build().unwrap();
        webrtc.set_property_from_str("bundle-policy", "none");
        if !seen.is_everywhere {
            add_loopback(&webrtc);
        }
        // It asks for what was lost.
        webrtc.connect("on-new-transceiver", false, |args| {
            let transceiver = args[1].get::<glib::Object>().unwrap();
            transceiver.set_property("do-nack", true);
            None
        });
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

    /// Receives what is offered, one of so many packets excepted.
    pub fn receive(
        seen: &Seen,
        connected: impl Fn(String) + Send + Sync + 'static,
        loses: Option<usize>,
    ) -> Self {
        let media = Self::new(seen, connected);
        if let Some(one_of) = loses {
            // On a busy machine all takes longer.
            media.webrtc.set_property("latency", 1000_u32);
            let lost = seen.lost.clone();
            let bin = media.webrtc.downcast_ref::<gst::Bin>().unwrap();
            bin.connect_deep_element_added(move |_, _, part| {
                if part
                    .factory()
                    .is_some_and(|factory| factory.name() == "nicesrc")
                {
                    lose(&part.static_pad("src").unwrap(), one_of, &lost);
                }
            });
        }
        let (audio, video) = (seen.audio.clone(), seen.video.clone());
        let depayloaded = seen.depayloaded.clone();
        let pipeline = media.pipeline.downgrade();
        media.webrtc.connect_pad_added(move |_, pad| {
            let Some(pipeline) = pipeline.upgrade() else {
                return;
            };
            let caps = pad.current_caps().unwrap();
            let caps = caps.structure(0).unwrap();
            let name = caps.get::<&str>("encoding-name").unwrap();
            let codec = CODECS
                .iter()
                .find(|codec| codec.rtp.eq_ignore_ascii_case(name));
            let codec = codec.unwrap_or_else(|| panic!("{name}"));
            let frames = if codec.is_video() { &video } else { &audio };
            let depayloader = codec.depayloader;
            let depayloader = gst::ElementFactory::make(depayloader).build().unwrap();
            let sink = gst::ElementFactory::make("fakesink")
                .property("sync", false)
                .property("async", false)
                .build()
                .unwrap();
            pipeline.add_many([&depayloader, &sink]).unwrap();
            depayloader.link(&sink).unwrap();
            let src = depayloader.static_pad("src").unwrap();
            note(&src, frames);
            if codec.is_video() {
                depayloaded.lock().unwrap().push(src);
            }
            for element in [&sink, &depayloader] {
                element.sync_state_with_parent().unwrap();
            }
            pad.link(&depayloader.static_pad("sink").unwrap()).unwrap();
        });
        media
    }

    /// Sends a test picture and a noise in the first codecs that are offered, with the offer's payload
    /// types.
    pub fn send(
        seen: &Seen,
        connected: impl Fn(String) + Send + Sync + 'static,
        offer: &str,
        sends_nothing: bool,
    ) -> Self {
        let media = Self::new(seen, connected);
        for section in offer.split("\r\nm=").skip(1) {
            let mapped = section
                .lines()
                .find_map(|line| line.strip_prefix("a=rtpmap:"));
            let (payload, name) = mapped.unwrap().split_once(' ').unwrap();
            let name = name.split('/').next().unwrap();
            let codec = CODECS
                .iter()
                .find(|codec| codec.rtp.eq_ignore_ascii_case(name));
            let codec = codec.unwrap_or_else(|| panic!("{name}"));
            let chain = format!("{} ! {} name=p", codec.chain, codec.payloader);
            let bin = gst::parse::bin_from_description(&chain, true).unwrap();
            let payload: u32 = payload.parse().unwrap();
            let payloader = bin.by_name("p").unwrap();
            payloader.set_property("pt", payload);
            if sends_nothing {
                let data = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
                let src = payloader.static_pad("src").unwrap();
                src.add_probe(data, |_, _| gst::PadProbeReturn::Drop);
            }
            let sent = match codec.is_video() {
                true => &media.seen.sent,
                false => &media.seen.sent_audio,
            };
            let encoded = bin.by_name("encoder").unwrap();
            note(&encoded.static_pad("src").unwrap(), sent);
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
            let line = line.replace(" udp ", " UDP ");
            if line.contains(" UDP ") {
                lines.push(line.clone());
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

/// The offer with nothing but these codecs, each with one payload type.
pub fn cut(offer: &str, codecs: &[&str]) -> String {
    let mut kept: Vec<(String, &str)> = Vec::new();
    for line in offer.lines() {
        if let Some(rest) = line.strip_prefix("a=rtpmap:")
            && let Some((payload, name)) = rest.split_once(' ')
            && let Some(name) = name.split('/').next()
            && codecs.contains(&name)
            && kept.iter().all(|(_, other)| *other != name)
        {
            kept.push((payload.to_owned(), name));
        }
    }
    let is_kept = |payload: &str| kept.iter().any(|(kept, _)| kept == payload);
    let lines = offer.lines().filter_map(|line| {
        if line.starts_with("m=") {
            let words = line.split(' ').enumerate();
            let words: Vec<_> = words
                .filter(|(at, word)| *at < 3 || is_kept(word))
                .map(|(_, word)| word)
                .collect();
            return Some(words.join(" "));
        }
        for name in ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"] {
            if let Some(rest) = line.strip_prefix(name) {
                let payload = rest.split(' ').next().unwrap();
                return is_kept(payload).then(|| line.into());
            }
        }
        Some(line.to_owned())
    });
    lines.map(|line| line + "\r\n").collect()
}
