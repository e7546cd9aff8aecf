// SPDX-License-Identifier: MPL-2.0

//! How old a picture is when Chromium shows it: the time of day is painted into it before it is encoded, and
//! read from the page when the browser says that it is on the screen.
//!
//! `cargo test --release --test webm latency -- --ignored --nocapture` prints it. Nothing is judged: a
//! machine that has other work shows that.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use gst::prelude::*;

use crate::{
    chromium::{Chromium, Tab, page},
    support::{pipeline::Pipeline, process::poll},
};

const WIDTH: usize = 640;
const HEIGHT: usize = 360;

/// Side of a square that is black for a 0 and white for a 1.
const SQUARE: usize = 20;

/// Squares, and so bits of the time in ms.
const BITS: usize = 24;

/// A key frame every so many pictures, of which there are 25 a second.
const GROUP: usize = 50;

/// Pictures that are looked at.
const PICTURES: u64 = 250;

/// Reads the squares of each picture that comes onto the screen.
const AGES: &str = "(() => {
  const video = document.querySelector('video');
  const canvas = document.createElement('canvas');
  canvas.width = SIDE * BITS; canvas.height = SIDE;
  const pixels = canvas.getContext('2d', { willReadFrequently: true });
  window.ages = [];
  const see = () => {
    const now = Date.now();
    pixels.drawImage(video, 0, 0, canvas.width, SIDE, 0, 0, canvas.width, SIDE);
    const row = pixels.getImageData(0, SIDE / 2, canvas.width, 1).data;
    let sent = 0;
    for (let bit = 0; bit < BITS; bit++) sent = sent * 2 + (row[4 * (bit * SIDE + SIDE / 2)] > 127 ? 1 : 0);
    ages.push(((now % 2 ** BITS) - sent + 2 ** BITS) % 2 ** BITS);
    video.requestVideoFrameCallback(see);
  };
  video.requestVideoFrameCallback(see);
})()";

/// A camera that shows the time.
struct Clock {
    pipeline: Pipeline,
    port: i32,
    over: Arc<AtomicBool>,
    camera: Option<JoinHandle<()>>,
    /// How old the latest key frame was when each client came, in ms.
    joined: Arc<Mutex<Vec<u128>>>,
}

impl Clock {
    fn start(bits_per_second: u32) -> Self {
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=in is-live=true do-timestamp=true format=time \
             caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate=25/1 \
             ! vp8enc name=encoder deadline=1 cpu-used=8 end-usage=cbr target-bitrate={bits_per_second} \
             keyframe-max-dist={GROUP} ! queue ! mux. \
             audiotestsrc is-live=true samplesperbuffer=480 ! audio/x-raw,rate=48000 ! opusenc ! queue ! mux. \
             webmmux name=mux streamable=true \
             ! webmhttpsink name=out address=127.0.0.1 port=0 sync=false"
        ));
        let joined = Arc::new(Mutex::new(Vec::new()));
        let key_frame = Arc::new(Mutex::new(Instant::now()));
        let (note, latest) = (joined.clone(), key_frame.clone());
        let encoded = pipeline.element("encoder").static_pad("src").unwrap();
        encoded.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let delta = gst::BufferFlags::DELTA_UNIT;
            if info.buffer().is_some_and(|b| !b.flags().contains(delta)) {
                *key_frame.lock().unwrap() = Instant::now();
            }
            gst::PadProbeReturn::Ok
        });
        pipeline
            .element("out")
            .connect("client-added", false, move |_| {
                let age = latest.lock().unwrap().elapsed();
                note.lock().unwrap().push(age.as_millis());
                None
            });
        pipeline.play();
        let source = pipeline.element("in");
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let camera = thread::spawn(move || {
            let begun = Instant::now();
            for number in 0.. {
                let due = Duration::from_millis(40) * number;
                thread::sleep(due.saturating_sub(begun.elapsed()));
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let buffer = gst::Buffer::from_slice(picture(number));
                let _ = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
            }
        });
        let listening = pipeline.notice("webm-listening");
        let port = listening.get("port").expect("a port");
        let camera = Some(camera);
        Self {
            pipeline,
            port,
            over,
            camera,
            joined,
        }
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(camera) = self.camera.take() {
            let _ = camera.join();
        }
        self.pipeline.stop();
    }
}

/// The time above noise, which costs whatever bits there are.
fn picture(number: u32) -> Vec<u8> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    let now = now.as_millis() as u64;
    let mut noise = number;
    let mut picture = vec![128; WIDTH * HEIGHT * 3 / 2];
    for (place, luma) in picture[..WIDTH * HEIGHT].iter_mut().enumerate() {
        let (row, column) = (place / WIDTH, place % WIDTH);
        let bit = BITS.checked_sub(column / SQUARE + 1);
        *luma = match bit {
            Some(bit) if row < SQUARE => match now >> bit & 1 {
                1 => 235,
                _ => 16,
            },
            _ if row < 2 * SQUARE => 16,
            _ => {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                96 + (noise >> 26) as u8
            }
        };
    }
    picture
}

/// Waits until so many pictures more were on the screen.
fn watch(chromium: &mut Chromium, tab: &Tab, pictures: u64) {
    chromium.eval(tab, "ages.length = 0");
    let seen = |chromium: &mut Chromium| chromium.eval(tab, "ages.length").as_u64();
    poll(Duration::from_secs(60), || {
        (seen(chromium) >= Some(pictures)).then_some(())
    })
    .expect("pictures");
}

/// Median, 95 of 100, and largest, in ms.
fn ages(chromium: &mut Chromium, tab: &Tab) -> (u64, u64, u64) {
    // It looks for its place in the stream first.
    watch(chromium, tab, 50);
    watch(chromium, tab, PICTURES);
    let ages = chromium.eval(tab, "ages");
    let mut ages: Vec<u64> = serde_json::from_value(ages).expect("numbers");
    ages.sort_unstable();
    let at = |part: usize| ages[(ages.len() - 1) * part / 100];
    (at(50), at(95), at(100))
}

#[test]
#[ignore = "a measurement"]
fn latency_in_chromium() {
    println!(
        "| kbit/s | how | key frame joined at, ms old | age of a picture on the screen, ms: median | p95 | max |"
    );
    println!("|---:|---|---:|---:|---:|---:|");
    for kilobits in [2000, 500] {
        let clock = Clock::start(kilobits * 1000);
        let live = format!("http://127.0.0.1:{}/live", clock.port);
        let element = format!("<!DOCTYPE html><video src={live} crossorigin autoplay></video>");
        let element = page(element);
        for (how, url) in [
            ("`<video src>`", element),
            (
                "the page, Media Source Extensions",
                format!("{live}/player"),
            ),
        ] {
            for _ in 0..3 {
                let mut chromium = Chromium::start();
                let tab = chromium.open(&url);
                let script = AGES.replace("SIDE", &SQUARE.to_string());
                chromium.eval(&tab, &script.replace("BITS", &BITS.to_string()));
                // A browser that has just been started is slow with its first video, and an element stays as
                // late as it begins.
                watch(&mut chromium, &tab, 25);
                chromium.eval(
                    &tab,
                    "if (!window.player) document.querySelector('video').load()",
                );
                let (median, most, max) = ages(&mut chromium, &tab);
                let joined = std::mem::take(&mut *clock.joined.lock().unwrap());
                let joined = joined.last().expect("it came");
                println!("| {kilobits} | {how} | {joined} | {median} | {most} | {max} |");
            }
        }
    }
}
