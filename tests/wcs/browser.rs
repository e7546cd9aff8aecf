// SPDX-License-Identifier: MPL-2.0

//! Chromium at the far end: the test server passes it the offers and has its answers in the style of
//! such servers. What it shows and plays is what was published, and what it sends comes out decoded.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
};

use gst::prelude::*;
use serde_json::{Value, json};

use crate::{
    chromium::{Chromium, LONG, Look, alike, page},
    media::lose,
    server::{Habits, Server},
    support::{pipeline::Pipeline, process::poll},
    watch::{publisher, wait_until},
};

const GREEN: [u8; 3] = [0, 255, 0];

/// One page, whose answers a server gives for its own. A thread steers the browser, as browsers stay in
/// theirs.
#[derive(Clone)]
struct FarEnd(Arc<Mutex<Sender<Question>>>);

/// An expression, and who wants to know what it is.
type Question = (String, Sender<Value>);

impl FarEnd {
    fn new() -> Self {
        let (ask, questions) = channel::<Question>();
        thread::spawn(move || {
            let mut chromium = Chromium::start_with(&[
                // Names in place of addresses are resolved by nobody here.
                "--disable-features=WebRtcHideLocalIpsWithMdns",
                "--allow-loopback-in-peer-connection",
            ]);
            let html = "<!DOCTYPE html><video muted></video>".to_owned();
            let tab = chromium.visit(&page(html), "!!document.querySelector('video')");
            chromium.eval(&tab, include_str!("far_end.js"));
            for (expression, tell) in questions {
                let _ = tell.send(chromium.eval(&tab, &expression));
            }
        });
        Self(Arc::new(Mutex::new(ask)))
    }

    #[track_caller]
    fn eval(&self, expression: &str) -> Value {
        let (tell, told) = channel();
        let question = (expression.to_owned(), tell);
        let asked = self.0.lock().unwrap().send(question);
        asked.expect("a browser that is steered");
        told.recv_timeout(LONG).expect("a browser that answers")
    }

    #[track_caller]
    fn see(&self, what: &str, so: impl Fn(&Look) -> bool) -> Look {
        let mut last = None;
        let found = poll(LONG, || {
            let look = Look(self.eval("look()"));
            let found = so(&look).then(|| look.clone());
            last = Some(look);
            found
        });
        found.unwrap_or_else(|| panic!("{what} was not to be seen, but {last:?}"))
    }

    /// A server that has it answer; what it sends is a blue picture and a tone of 600 Hz.
    fn server(&self) -> Server {
        let page = self.clone();
        Server::new(Habits {
            far_end: Some(Arc::new(move |receives, offer| {
                let sends = if receives { "" } else { ", '#0000ff', 600" };
                let answer = page.eval(&format!("answer({}{sends})", json!(offer)));
                answer.as_str().expect("an answer").to_owned()
            })),
            ..Habits::default()
        })
    }
}

#[test]
fn chromium_shows_what_is_published() {
    for encoder in [
        "vp8enc deadline=1 keyframe-max-dist=3000",
        "vp9enc deadline=1 cpu-used=8 lag-in-frames=0 keyframe-max-dist=3000",
        "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=3000",
    ] {
        let far_end = FarEnd::new();
        let server = far_end.server();
        let chains = format!(
            "videotestsrc is-live=true pattern=solid-color foreground-color=0xff00ff00 ! \
             video/x-raw,format=I420,width=320,height=240,framerate=30/1 ! {encoder} ! wcs. \
             audiotestsrc is-live=true freq=1000 ! opusenc ! wcs."
        );
        let pipeline = publisher(&server, "", &chains);
        pipeline.play();
        let look = far_end.see(encoder, |look| look.is(GREEN) && look.sounds(1000.0));
        println!("{encoder}: {look:?}");
    }
}

/// The picture and the tone of Chromium's, decoded without an element for RTP, on a way that loses
/// packets: it sends again what is asked for.
#[test]
fn what_chromium_sends_comes_out_decoded() {
    let far_end = FarEnd::new();
    let server = far_end.server();
    let pipeline = Pipeline::launch(&format!(
        "wcswebrtcbin name=wcs uri={} stream-name=demo action=play local-address=127.0.0.1 \
         decodebin3 name=picture ! videoconvert ! video/x-raw,format=RGB ! fakesink name=eye sync=false \
         decodebin3 name=tone ! audioconvert ! audio/x-raw,format=F32LE,channels=1 ! \
         fakesink name=ear sync=false",
        server.uri()
    ));
    let wcs = pipeline.element("wcs");
    let decoders = ["picture", "tone"].map(|name| pipeline.element(name).downgrade());
    wcs.connect_pad_added(move |_, pad| {
        let which = usize::from(!pad.name().starts_with("video_src"));
        let sink = decoders[which].upgrade().and_then(|d| d.static_pad("sink"));
        pad.link(&sink.unwrap()).unwrap();
    });
    let lost = Arc::new(AtomicUsize::new(0));
    let losing = lost.clone();
    let buffers: Arc<Mutex<Vec<gst::Element>>> = Arc::default();
    let noted = buffers.clone();
    let bin = wcs.downcast_ref::<gst::Bin>().unwrap();
    bin.connect_deep_element_added(move |_, _, part| {
        match part.factory().map(|factory| factory.name()).as_deref() {
            Some("nicesrc") => lose(&part.static_pad("src").unwrap(), 20, &losing),
            Some("rtpjitterbuffer") => noted.lock().unwrap().push(part.clone()),
            _ => {}
        }
    });
    let blue = Arc::new(AtomicUsize::new(0));
    let count = blue.clone();
    let eye = pipeline.element("eye").static_pad("sink").unwrap();
    eye.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let map = info.buffer().unwrap().map_readable().unwrap();
        let middle = map.len() / 6 * 3;
        let pixel = map[middle..].first_chunk::<3>().unwrap();
        if alike(*pixel, [0, 0, 255]) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        gst::PadProbeReturn::Ok
    });
    let heard = Arc::new(AtomicUsize::new(0));
    let count = heard.clone();
    let ear = pipeline.element("ear").static_pad("sink").unwrap();
    ear.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let map = info.buffer().unwrap().map_readable().unwrap();
        let samples = map
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| f32::from_le_bytes(*bytes));
        let samples: Vec<_> = samples.collect();
        let caps = pad.current_caps().unwrap();
        let rate: i32 = caps.structure(0).unwrap().get("rate").unwrap();
        if is_tone(&samples, 600.0 / f64::from(rate)) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.play();
    wait_until("blue frames", || blue.load(Ordering::SeqCst) >= 100);
    wait_until("the tone", || heard.load(Ordering::SeqCst) >= 30);
    let lost = lost.load(Ordering::SeqCst);
    let buffers = buffers.lock().unwrap().clone();
    let repaired: u64 = buffers
        .iter()
        .filter_map(|buffer| {
            let stats = buffer.property::<gst::Structure>("stats");
            stats.get::<u64>("rtx-success-count").ok()
        })
        .sum();
    println!("{lost} packets were lost, {repaired} of the picture were sent again");
    assert!(lost > 0 && repaired > 0, "{lost} {repaired}");
}

/// Whether most of it is one tone of this frequency, in cycles a sample (Goertzel's algorithm).
fn is_tone(samples: &[f32], frequency: f64) -> bool {
    let coefficient = 2.0 * (2.0 * std::f64::consts::PI * frequency).cos();
    let (mut one, mut two, mut all) = (0.0, 0.0, 0.0);
    for sample in samples {
        let sample = f64::from(*sample);
        (one, two) = (sample + coefficient * one - two, one);
        all += sample * sample;
    }
    let power = one * one + two * two - coefficient * one * two;
    let wholly = all * samples.len() as f64 / 2.0;
    all > 0.0 && power > wholly * 0.7
}
