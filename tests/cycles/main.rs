// SPDX-License-Identifier: MPL-2.0

//! What elements leave behind when they go from NULL to PLAYING and back again and again: nothing. A program
//! of its own, since it counts what the whole process has; wcswebrtcbin is in `wcs_sessions`.
//!
//! `CYCLES=1000 cargo test --release --test cycles -- --nocapture` is the long run, `CYCLES_OF=webm` the part of it whose
//! name contains that.

// Everything here is for this program alone.
#![allow(unreachable_pub, dead_code)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../listening/client.rs"]
mod client;
#[path = "../soak/film.rs"]
mod film;

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::{
    client::Client,
    film::{Film, RATE, beginning},
    support::{
        amf0::Amf,
        household::Household,
        media,
        pipeline::Pipeline,
        process::{free_port, wait_until},
    },
};

/// Enough for a thread or a descriptor a cycle to show.
const CYCLES: usize = 40;

/// KiB that may be more behind all cycles than behind the first fifth: allocators keep some.
const MEMORY: usize = 4 << 10;

/// Idle threads that GLib's pools may keep for a while.
const POOL: usize = 2;

/// Runs `once` again and again and looks at what is left.
fn cycles(name: &str, mut once: impl FnMut()) {
    if std::env::var("CYCLES_OF").is_ok_and(|only| !name.contains(&only)) {
        return;
    }
    let wanted = std::env::var("CYCLES").ok();
    let cycles = wanted.map_or(CYCLES, |n| n.parse().expect("a number of cycles"));
    let warm = cycles / 5;
    let mut before = Household::now();
    let begun = Instant::now();
    for number in 0..cycles {
        once();
        if number == warm {
            before = Household::now();
        }
    }
    // The peers' threads and sockets are still on their way out.
    wait_until(&format!("the threads of {name} ended"), || {
        Household::now().threads <= before.threads + POOL
    });
    wait_until(&format!("the descriptors of {name} were closed"), || {
        Household::now().descriptors <= before.descriptors
    });
    let after = Household::now();
    let took = begun.elapsed() / cycles as u32;
    println!("| {name} | {cycles} | {took:.1?} | {before} | {after} |");
    let grown = after.memory.saturating_sub(before.memory);
    assert!(grown < MEMORY, "{name}: {grown} KiB more");
}

/// A pipeline that is started and stopped again and again.
struct Again {
    pipeline: Pipeline,
    buffers: Arc<AtomicU64>,
}

impl Again {
    /// The element of interest is called `it`.
    fn new(line: &str) -> Self {
        let pipeline = Pipeline::launch(line);
        let buffers = Arc::new(AtomicU64::new(0));
        if let Some(pad) = pipeline.element("it").static_pad("src") {
            let count = buffers.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                count.fetch_add(1, Ordering::SeqCst);
                gst::PadProbeReturn::Ok
            });
        }
        Self { pipeline, buffers }
    }

    fn stop(&self) {
        self.pipeline.stop();
        // Messages that nobody took hold on to what sent them.
        assert_eq!(self.pipeline.ends_seen(), Vec::<String>::new());
    }

    /// Until media flows out of it.
    fn play(&self) {
        let before = self.buffers.load(Ordering::SeqCst);
        self.pipeline.play();
        wait_until("media flows", || {
            self.buffers.load(Ordering::SeqCst) > before + 10
        });
        self.stop();
    }

    /// Until the server has let it in.
    fn publish(&self) {
        self.pipeline.play();
        self.pipeline.progress("On the air");
        self.stop();
    }

    /// Until somebody has come.
    fn listen(&self, verb: &str) {
        self.pipeline.play();
        let port = self.pipeline.notice("rtmp-listening").get::<u32>("port");
        let mut client = Client::connected(port.unwrap() as u16, "live");
        let stream = client.create_stream();
        client.say(stream, verb, &[Amf::string("one"), Amf::string("live")]);
        self.pipeline.notice("rtmp-caller-added");
        self.stop();
    }
}

/// A station that all may play from, and one that all may publish to, on one port.
struct Peers {
    port: u16,
    station: Pipeline,
    ingest: Pipeline,
    over: Arc<AtomicBool>,
    feeder: Option<JoinHandle<()>>,
}

impl Peers {
    fn start() -> Self {
        let port = free_port();
        let station = Pipeline::launch(&format!(
            "appsrc name=in ! rtmpsink mode=listener sync=false \
             location=rtmp://127.0.0.1:{port}/live/one"
        ));
        let ingest = Pipeline::launch(&format!(
            "rtmpsrc mode=listener keep-listening=true takeover=replace \
             location=rtmp://127.0.0.1:{port}/up/one ! fakesink sync=false"
        ));
        for pipeline in [&station, &ingest] {
            pipeline.play();
            pipeline.notice("rtmp-listening");
        }
        let source = station.element("in");
        let over = Arc::new(AtomicBool::new(false));
        let stop = over.clone();
        let feeder = thread::spawn(move || {
            let film = Film::new(100_000);
            let push = |bytes| {
                let buffer = gst::Buffer::from_slice(bytes);
                let _ = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
            };
            push(beginning());
            let begun = Instant::now();
            for number in 0.. {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let due = Duration::from_secs(1) * number / RATE;
                thread::sleep(due.saturating_sub(begun.elapsed()));
                push(film.tags(number));
            }
        });
        Self {
            port,
            station,
            ingest,
            over,
            feeder: Some(feeder),
        }
    }

    /// Messages about those who came and went.
    fn tidy(&self) {
        for pipeline in [&self.station, &self.ingest] {
            assert_eq!(pipeline.ends_seen(), Vec::<String>::new());
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
    }
}

#[test]
fn elements_leave_nothing_behind() {
    println!("| element | cycles | each | after a fifth | at the end |\n|---|---|---|---|---|");
    let film = media::h264_aac();
    let film = film.display();
    {
        let peers = Peers::start();
        let port = peers.port;
        for (name, scheme) in [("rtmpsrc", "rtmp"), ("rtmptsrc", "rtmpt")] {
            let player = Again::new(&format!(
                "{name} name=it location={scheme}://127.0.0.1:{port}/live/one ! fakesink sync=false"
            ));
            cycles(&format!("{name}, caller"), || {
                player.play();
                peers.tidy();
            });
        }
        for (name, scheme) in [("rtmpsink", "rtmp"), ("rtmptsink", "rtmpt")] {
            let publisher = Again::new(&format!(
                "filesrc location={film} ! {name} name=it location={scheme}://127.0.0.1:{port}/up/one"
            ));
            cycles(&format!("{name}, caller"), || {
                publisher.publish();
                peers.tidy();
            });
        }
    }
    for name in ["rtmpsrc", "rtmptsrc"] {
        let ingest = Again::new(&format!(
            "{name} name=it mode=listener location=rtmp://127.0.0.1/live/one port=0 \
             keep-listening=true ! fakesink sync=false"
        ));
        cycles(&format!("{name}, listener"), || ingest.listen("publish"));
    }
    for name in ["rtmpsink", "rtmptsink"] {
        let station = Again::new(&format!(
            "filesrc location={film} ! {name} name=it mode=listener \
             location=rtmp://127.0.0.1/live/one port=0"
        ));
        cycles(&format!("{name}, listener"), || station.listen("play"));
    }
    cycles("flvdemuxbridge and flvmuxbridge", || {
        let pipeline = Pipeline::launch(&format!(
            "filesrc location={film} ! flvdemuxbridge name=d flvmuxbridge name=m ! fakesink sync=false \
             d.video ! queue ! m.video d.audio ! queue ! m.audio"
        ));
        pipeline.play();
        pipeline.eos();
        pipeline.stop();
        pipeline.ends_seen();
    });
    bridges_are_freed(&film.to_string());
    let web = Pipeline::launch(
        "videotestsrc is-live=true ! video/x-raw,width=64,height=48,framerate=25/1 \
         ! vp8enc deadline=1 keyframe-max-dist=5 ! webmmux streamable=true \
         ! webmhttpsink name=it address=127.0.0.1 port=0 sync=false",
    );
    cycles("webmhttpsink", || {
        web.play();
        let port = web.notice("webm-listening").get::<i32>("port").unwrap();
        let mut viewer = TcpStream::connect(("127.0.0.1", port as u16)).unwrap();
        viewer
            .write_all(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let mut head = [0; 12];
        viewer.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        web.stop();
        assert_eq!(web.ends_seen(), Vec::<String>::new());
    });
}

/// What a few KiB of memory a round would not show: each element and pad is freed with its pipeline.
fn bridges_are_freed(film: &str) {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={film} ! flvdemuxbridge name=d flvmuxbridge name=m ! fakesink sync=false \
         d.video ! queue ! m.video d.audio ! queue ! m.audio"
    ));
    pipeline.play();
    pipeline.eos();
    let mut left: Vec<glib::WeakRef<gst::Object>> = Vec::new();
    for name in ["d", "m"] {
        let element = pipeline.element(name);
        let pads = element.pads().into_iter();
        left.extend(pads.map(|pad| pad.upcast::<gst::Object>().downgrade()));
        left.push(element.upcast::<gst::Object>().downgrade());
    }
    assert_eq!(left.len(), 8, "two elements with three pads each");
    pipeline.stop();
    // Messages hold on to what sent them.
    pipeline.ends_seen();
    drop(pipeline);
    for object in left {
        let object = object.upgrade().map(|object| object.name());
        assert_eq!(object, None, "it is there still");
    }
}
