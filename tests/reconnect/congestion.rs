// SPDX-License-Identifier: MPL-2.0

//! A network that is slower than the encoder: what is left out, and what the encoder is told.
//!
//! The kernel's pacing is that network, so no server has to be slow.

use std::sync::{Arc, Mutex};

use gst::prelude::*;

use crate::support::{
    flv_builder::FlvBuilder,
    flvdump::{self, Kind, Packet},
    pipeline::Pipeline,
    process::wait_until,
    taker::taker,
};

/// Pictures of a live encoder, a key frame a second, every other picture one that none refers to; with
/// sound. Some 1.3 Mb/s.
fn film(seconds: u32) -> FlvBuilder {
    let mut film = FlvBuilder::new().metadata(640.0).headers();
    for at in (0..seconds * 1000).step_by(40) {
        // A slice of 6000 bytes, behind its length; `nal_ref_idc` is in its first byte.
        let head: u8 = match at / 40 % 25 {
            0 => 0x65,
            place if place % 2 == 1 => 0x01,
            _ => 0x41,
        };
        let frame = if head == 0x65 { 0x17 } else { 0x27 };
        let mut body = vec![frame, 1, 0, 0, 0, 0, 0, 0x17, 0x70, head];
        body.extend((1..6000u32).map(|i| (i.wrapping_mul(at + 7) >> 3) as u8));
        film = film
            .tag(9, at, &body)
            .sound(at + 5, 180)
            .sound(at + 25, 180);
    }
    film
}

fn is_disposable(packet: &&&Packet) -> bool {
    packet.kind == Kind::Video && (packet.dts / 40 % 25) % 2 == 1
}

#[test]
fn whole_frames_go_in_order_and_sound_stays() {
    let server = taker();
    let film = film(12);
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=in ! rtmpsink name=sink location={} queue-policy=drop queue-time=2000 \
         peak-kbps=500",
        server.url("live", "one"),
    ));
    let events = Arc::new(Mutex::new(Vec::<gst::Structure>::new()));
    let pad = pipeline.element("in").static_pad("src").unwrap();
    let seen = events.clone();
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        let structure = info.event().and_then(|event| event.structure());
        seen.lock()
            .unwrap()
            .extend(structure.map(ToOwned::to_owned));
        gst::PadProbeReturn::Ok
    });
    pipeline.play();
    crate::film::feed(&pipeline, &film);
    let sink = pipeline.element("sink");
    let stat = |name: &str| {
        let stats = sink.property::<gst::Structure>("stats");
        stats
            .get::<u64>(name)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    // First what none refers to, then more.
    wait_until("something is left out", || stat("dropped-tags") > 0);
    assert_eq!(stat("dropped-tags"), stat("dropped-disposable"));
    wait_until("more is left out", || stat("dropped-inter") > 0);
    assert_eq!(stat("dropped-key") + stat("dropped-sound"), 0);
    wait_until("it is known what the network carries", || {
        (100_000..1_000_000).contains(&sink.property::<u64>("estimated-bitrate"))
    });
    // The limit goes while it runs.
    sink.set_property("peak-kbps", 0u32);
    pipeline.eos();
    assert_eq!(stat("dropped-sound"), 0);
    let structures = events.lock().unwrap();
    let advice = structures.iter().find(|s| s.name() == "rtmp-bitrate");
    let advice = advice.expect("the encoder is told");
    assert_eq!(advice.get::<bool>("congested"), Ok(true));
    let (bitrate, throughput) = (
        advice.get::<u64>("bitrate"),
        advice.get::<u64>("throughput"),
    );
    assert!((50_000..1_300_000).contains(&bitrate.unwrap()), "{advice}");
    assert!(throughput.unwrap() > 50_000, "{advice}");
    assert!(advice.has_field("queue-level-time"));
    let taken = server.outcome().unwrap();
    let (sent, came) = (flvdump::parse(film.bytes()).unwrap(), taken.packets());
    let count = |packets: &[Packet], kind| {
        let media = packets.iter().filter(|p| p.is_media() && p.kind == kind);
        media.count()
    };
    assert_eq!(count(&came, Kind::Audio), count(&sent, Kind::Audio));
    // Whatever was left out, what came can be decoded.
    let pictures: Vec<&Packet> = came
        .iter()
        .filter(|p| p.is_media() && p.kind == Kind::Video)
        .collect();
    let needed: Vec<_> = pictures.iter().filter(|p| !is_disposable(p)).collect();
    for pair in needed.windows(2) {
        let gap = pair[1].dts / 80 - pair[0].dts / 80 > 1;
        assert!(!gap || pair[1].keyframe, "{} follows {}", pair[1], pair[0]);
    }
    pipeline.stop();
}

/// A network that suffices is not talked about, and nothing is left out.
#[test]
fn enough_is_enough() {
    let server = taker();
    let film = film(4);
    let pipeline = Pipeline::launch(&format!(
        "appsrc name=in ! rtmpsink name=sink location={} queue-policy=drop peak-kbps=20000",
        server.url("live", "one"),
    ));
    pipeline.play();
    crate::film::feed(&pipeline, &film);
    pipeline.eos();
    let stats = pipeline.element("sink").property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u64>("dropped-tags"), Ok(0));
    assert!(stats.get::<u64>("throughput").unwrap() > 0);
    let bus = pipeline.pipeline.bus().unwrap();
    while let Some(message) = bus.pop_filtered(&[gst::MessageType::Element]) {
        let structure = message.structure().expect("a structure");
        assert_ne!(structure.name(), "rtmp-bitrate");
    }
    let sent = flvdump::parse(film.bytes()).unwrap();
    let came = server.outcome().unwrap().packets();
    flvdump::assert_same(&sent, &came, flvdump::Expect::MEDIA);
    pipeline.stop();
}
