// SPDX-License-Identifier: MPL-2.0

//! `rtmpsink` and time: how fast it sends, and what it does when the network is slower.

use std::{
    fs,
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Mutex,
        mpsc::{self, Receiver, Sender},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;
use gst_check::Harness;
use support::{
    flv_builder::{AUDIO, FlvBuilder, VIDEO},
    flvdump::{self, Packet},
    pipeline::{Pipeline, init, quoted},
    process::{PATIENCE, wait_until},
    rtmp_peer::Server,
    taker::{Taken, packets, take, taker_that},
};
use tempfile::{TempDir, tempdir};

mod support;

fn write(film: &FlvBuilder) -> (TempDir, PathBuf) {
    let dir = tempdir().expect("a folder");
    let path = dir.path().join("film.flv");
    fs::write(&path, film.bytes()).expect("a writable folder");
    (dir, path)
}

fn publishing(file: &std::path::Path, location: &str, properties: &str) -> Pipeline {
    let file = file.display().to_string();
    Pipeline::launch(&format!(
        "filesrc location={} ! rtmpsink name=sink location={} {properties}",
        quoted(&file),
        quoted(location),
    ))
}

/// Publishes two seconds of film; when each picture and sound arrived, with its timestamp.
fn arrivals(from: u32, properties: &str) -> Vec<(Instant, u32)> {
    let film = FlvBuilder::new().metadata(640.0).headers();
    let film = film.second(from).second(from.wrapping_add(1000));
    let (_dir, file) = write(&film);
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let server = taker_that(move |_, message| {
        let config = message.body.get(1) == Some(&0);
        if [AUDIO, VIDEO].contains(&message.kind) && !config {
            let arrival = (Instant::now(), message.timestamp);
            let _ = tell.lock().expect("no panic").send(arrival);
        }
        Ok(ControlFlow::Continue(()))
    });
    let pipeline = publishing(&file, &server.url("live", "one"), properties);
    pipeline.play();
    pipeline.eos();
    let taken = server.outcome().expect("a stream");
    assert_eq!(taken.packets(), flvdump::read(&file));
    told.try_iter().collect()
}

/// How much faster a receiver may see it than it was meant: what waited in the sockets and threads
/// when the first tag arrived.
const EARLY: Duration = Duration::from_millis(150);

#[test]
fn a_file_goes_out_in_real_time() {
    // Whatever it begins with, and over the end of the timestamps too.
    for from in [0, 100_000, u32::MAX - 999] {
        let arrivals = arrivals(from, "");
        let (begun, first) = arrivals[0];
        assert_eq!(first, from);
        for (at, timestamp) in &arrivals {
            let due = Duration::from_millis(timestamp.wrapping_sub(from).into());
            let took = at.duration_since(begun);
            assert!(took + EARLY > due, "{timestamp} came after {took:?}");
        }
        let (ended, _) = arrivals[arrivals.len() - 1];
        let span = ended.duration_since(begun);
        assert!(span < Duration::from_secs(6), "{span:?}");
    }
}

#[test]
fn without_sync_it_goes_out_at_once() {
    let arrivals = arrivals(100_000, "sync=false");
    let span = arrivals[arrivals.len() - 1].0.duration_since(arrivals[0].0);
    assert!(span < Duration::from_secs(1), "{span:?}");
}

/// A server that takes a stream, does not read once the first picture has come, and goes on when
/// told to.
fn held_up() -> (Server<Taken>, Sender<()>) {
    let (release, released) = mpsc::channel();
    let released: Mutex<Receiver<()>> = Mutex::new(released);
    let server = Server::start(move |peer, _| {
        let mut held = true;
        take(peer, |_, message| {
            if held && message.kind == VIDEO && message.body.get(1) == Some(&1) {
                held = false;
                // Ends when the test does, too.
                let _ = released.lock().expect("no panic").recv();
            }
            Ok(ControlFlow::Continue(()))
        })
    });
    (server, release)
}

/// `rtmpsink` alone, pushed into by the test.
struct Pushed {
    harness: Harness,
    sink: gst::Element,
    bus: gst::Bus,
}

impl Pushed {
    fn new(location: &str, properties: &[(&str, &str)]) -> Self {
        init();
        let sink = gst::ElementFactory::make("rtmpsink").build().expect("ours");
        sink.set_property("location", location);
        sink.set_property("sync", false);
        for (name, value) in properties {
            sink.set_property_from_str(name, value);
        }
        let bus = gst::Bus::new();
        sink.set_bus(Some(&bus));
        let mut harness = Harness::with_element(&sink, Some("sink"), None);
        harness.set_src_caps_str("video/x-flv");
        Self { harness, sink, bus }
    }

    fn push(&mut self, bytes: &[u8]) {
        let buffer = gst::Buffer::from_slice(bytes.to_vec());
        self.harness.push(buffer).expect("taken");
    }

    fn stat(&self, name: &str) -> u64 {
        let stats = self.sink.property::<gst::Structure>("stats");
        stats.get::<u64>(name).expect(name)
    }

    /// Tags dropped according to each message since the last call: by then, and in all.
    fn losses(&self) -> Vec<(u64, u64)> {
        let messages = std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Element]));
        messages
            .filter_map(|message| message.structure().map(ToOwned::to_owned))
            .filter(|structure| structure.name() == "rtmp-dropped")
            .map(|structure| {
                let field = |name| structure.get::<u64>(name).expect(name);
                (field("tags"), field("total"))
            })
            .collect()
    }

    /// Tags dropped according to messages: those told of one by one, and the total of the last.
    fn dropped(&self) -> (u64, u64) {
        let losses = self.losses();
        let sum = losses.iter().map(|(tags, _)| tags).sum();
        (sum, losses.last().map_or(0, |(_, total)| *total))
    }

    /// A picture every 40 ms, a key frame a second, each with two sounds.
    fn push_second(&mut self, second: u32, size: usize) {
        let mut film = FlvBuilder::new();
        for i in 0..25 {
            let at = second * 1000 + i * 40;
            film = film.picture(at, i == 0, 0, size);
            film = film.sound(at, 200).sound(at + 20, 200);
        }
        let tags: Vec<Vec<u8>> = film.tags().map(<[u8]>::to_vec).collect();
        tags.iter().for_each(|tag| self.push(tag));
    }
}

fn is_picture(packet: &&Packet) -> bool {
    packet.is_media() && packet.kind == flvdump::Kind::Video
}

#[test]
fn a_slow_network_costs_whole_groups_of_pictures() {
    costs_whole_groups_of_pictures("drop");
}

/// The harness says that it is live, and live media cannot wait.
#[test]
fn a_slow_network_costs_live_media() {
    costs_whole_groups_of_pictures("auto");
}

fn costs_whole_groups_of_pictures(policy: &str) {
    let (server, release) = held_up();
    let location = server.url("live", "one");
    let mut sink = Pushed::new(
        &location,
        &[("queue-policy", policy), ("queue-time", "3000")],
    );
    let head = FlvBuilder::new().metadata(640.0).headers();
    sink.push(head.bytes());
    let tags = |film: &FlvBuilder| film.tags().count() as u64;
    let mut sent = tags(&head);
    // Until much more was dropped than the queue holds.
    let mut second = 0;
    while sink.stat("dropped-tags") < 1000 {
        sink.push_second(second, 40_000);
        second += 1;
        sent += 75;
        assert!(second < 200, "nothing is dropped");
        assert!(sink.stat("queue-level-time") <= 4_000_000_000);
    }
    // The encoder is asked for less, and for a key frame to go on from.
    let upstream = std::iter::from_fn(|| sink.harness.try_pull_upstream_event());
    let upstream: Vec<gst::Event> = upstream.collect();
    let has = |is: &dyn Fn(&gst::Event) -> bool| upstream.iter().any(is);
    assert!(has(&|event| event.type_() == gst::EventType::Qos));
    assert!(has(&|event| event.has_name("GstForceKeyUnit")));
    release.send(()).expect("the server waits");
    wait_until("the queue is empty", || sink.stat("queue-level-bytes") == 0);
    // From here on nothing is lost.
    let before = sink.stat("dropped-tags");
    let resumed = second * 1000;
    for _ in 0..2 {
        sink.push_second(second, 1000);
        second += 1;
        sent += 75;
    }
    assert!(sink.harness.push_event(gst::event::Eos::new()));
    let taken = server.outcome().expect("a stream");
    let total = sink.stat("dropped-tags");
    assert_eq!(total, before, "dropped although there was room");
    assert_eq!(sink.stat("tags") + total, sent);
    assert_eq!(sink.dropped(), (total, total));

    let received = taken.packets();
    assert_eq!(received.len() as u64, sink.stat("tags"));
    let configs = received.iter().filter(|packet| packet.config);
    assert_eq!(configs.count(), 2, "both headers, once");
    let pictures: Vec<&Packet> = received.iter().filter(is_picture).collect();
    assert!(pictures.is_sorted_by_key(|picture| picture.dts));
    for pair in pictures.windows(2) {
        let gap = pair[1].dts - pair[0].dts != 40;
        assert!(!gap || pair[1].keyframe, "{} follows {}", pair[1], pair[0]);
    }
    let whole = pictures.iter().filter(|picture| picture.dts >= resumed);
    assert_eq!(whole.count(), 50);
}

/// A group of pictures longer than the queue is dropped to its end, and told of twice only.
#[test]
fn a_long_group_of_pictures_is_told_of_at_the_cut_and_at_the_end() {
    let (server, release) = held_up();
    let mut sink = Pushed::new(
        &server.url("live", "one"),
        &[("queue-policy", "drop"), ("queue-time", "1000")],
    );
    sink.push(FlvBuilder::new().headers().bytes());
    let mut at = 0;
    let mut push = |sink: &mut Pushed, keyframe| {
        let film = FlvBuilder::new().picture(at, keyframe, 0, 100_000);
        sink.push(film.tags().next().expect("one"));
        at += 40;
        assert!(at < 100_000, "nothing is dropped");
    };
    push(&mut sink, true);
    while sink.stat("dropped-tags") < 100 {
        push(&mut sink, false);
    }
    let losses = sink.losses();
    assert_eq!(losses.len(), 1, "{losses:?}");
    let upstream = std::iter::from_fn(|| sink.harness.try_pull_upstream_event());
    let asked = upstream.filter(|event| event.has_name("GstForceKeyUnit"));
    assert_eq!(asked.count(), 1);
    push(&mut sink, true);
    assert_eq!(sink.losses(), [(100 - losses[0].1, 100)]);
    push(&mut sink, false);
    assert_eq!(sink.losses(), []);
    release.send(()).expect("the server waits");
}

#[test]
fn a_slow_network_costs_sound_where_there_is_nothing_else() {
    let (server, release) = held_up();
    // Sound cannot hold the server up, so a first picture does.
    let location = server.url("live", "one");
    let mut sink = Pushed::new(
        &location,
        &[("queue-policy", "drop"), ("queue-bytes", "1000000")],
    );
    sink.push(
        FlvBuilder::new()
            .headers()
            .picture(0, true, 0, 1000)
            .bytes(),
    );
    let mut at = 0;
    while sink.stat("dropped-tags") < 100 {
        at += 20;
        let sound = FlvBuilder::new().sound(at, 20_000);
        let tag = sound.tags().next().expect("one").to_vec();
        sink.push(&tag);
        assert!(at < 100_000, "nothing is dropped");
    }
    release.send(()).expect("the server waits");
    assert!(sink.harness.push_event(gst::event::Eos::new()));
    let taken = server.outcome().expect("a stream");
    let received = taken.packets();
    assert_eq!(received.iter().filter(|packet| packet.config).count(), 2);
    assert_eq!(received.len() as u64, sink.stat("tags"));
    assert_eq!(received.last().map(|packet| packet.dts), Some(at));
}

/// 20 MB, more than any pair of sockets holds.
fn large() -> FlvBuilder {
    let film = FlvBuilder::new().metadata(640.0).headers();
    (0..200).fold(film, |film, i| {
        film.picture(i * 40, i % 25 == 0, 0, 100_000)
    })
}

#[track_caller]
fn wait_for_level(pipeline: &Pipeline) {
    let sink = pipeline.element("sink");
    wait_until("the queue is full", || {
        let stats = sink.property::<gst::Structure>("stats");
        stats.get::<u64>("queue-level-bytes").expect("a level") > 400_000
    });
}

#[test]
fn a_slow_network_holds_up_who_can_wait() {
    let (_dir, file) = write(&large());
    for properties in ["queue-policy=block", "queue-policy=auto"] {
        let (server, release) = held_up();
        let properties = format!("sync=false {properties}");
        let pipeline = publishing(&file, &server.url("live", "one"), &properties);
        pipeline.play();
        wait_for_level(&pipeline);
        release.send(()).expect("the server waits");
        pipeline.eos();
        let taken = server.outcome().expect("a stream");
        assert_eq!(taken.packets(), flvdump::read(&file));
        let stats = pipeline.element("sink").property::<gst::Structure>("stats");
        assert_eq!(stats.get::<u64>("dropped-tags"), Ok(0));
    }
}

/// A pause interrupts the wait for the network, but not the stream.
#[test]
fn a_pipeline_that_waits_can_pause() {
    let (_dir, file) = write(&large());
    let (server, release) = held_up();
    let pipeline = publishing(&file, &server.url("live", "one"), "sync=false");
    pipeline.play();
    wait_for_level(&pipeline);
    // Often: a pause that came before the streaming thread had woken from the one before used to find
    // it waiting for the network with the base class's lock.
    for _ in 0..1000 {
        for state in [gst::State::Paused, gst::State::Playing] {
            pipeline.reach(state);
        }
    }
    release.send(()).expect("the server waits");
    pipeline.eos();
    let taken = server.outcome().expect("a stream");
    assert_eq!(taken.packets(), flvdump::read(&file));
}

/// While the end drains, too.
#[test]
fn a_pipeline_that_ends_can_pause() {
    let (_dir, file) = write(&large());
    let (server, release) = held_up();
    let properties = "sync=false queue-policy=drop queue-bytes=0 queue-time=0";
    let pipeline = publishing(&file, &server.url("live", "one"), properties);
    let pad = pipeline.element("sink").static_pad("sink").expect("a pad");
    let (tell, told) = mpsc::channel();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if info
            .event()
            .is_some_and(|event| event.type_() == gst::EventType::Eos)
        {
            let _ = tell.send(());
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.play();
    told.recv_timeout(PATIENCE).expect("the end");
    for state in [gst::State::Paused, gst::State::Playing] {
        pipeline.pipeline.set_state(state).expect("a change");
    }
    release.send(()).expect("the server waits");
    pipeline.eos();
    let taken = server.outcome().expect("a stream");
    assert_eq!(packets(&taken.messages), flvdump::read(&file));
}
