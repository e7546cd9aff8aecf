// SPDX-License-Identifier: MPL-2.0

//! What arrives is what was sent, from a key frame on, and ends as it should.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gst::prelude::*;

use crate::{
    client::{Client, End},
    film::{self, FILM, OTHER, SOUND, assert_same, key_frames, packets},
    station::Station,
    support::{pipeline::Pipeline, process::wait_until},
};

#[test]
fn who_is_there_from_the_start_gets_everything() {
    for film in [&FILM, &OTHER, &SOUND] {
        let station = Station::new("timecodes=source");
        let (new, old) = (station.watch(), {
            let old = Client::ask(station.port, "GET /live HTTP/1.0\r\n\r\n");
            station.wait_for_clients(2);
            old
        });
        station.push(film);
        station.end();
        let sent = packets(film);
        for client in [new, old] {
            let (body, end) = client.body();
            assert_eq!(end, End::Proper);
            let got = packets(&body);
            if film.len() == SOUND.len() {
                assert_same(&got, &sent);
            } else {
                // Sound before the first picture is nothing that a player can begin with.
                let first = key_frames(&sent)[0];
                assert_same(&got, &sent[first..]);
            }
        }
        station.pipeline.eos();
    }
}

#[test]
fn a_late_joiner_begins_at_the_latest_key_frame() {
    let station = Station::new("timecodes=source");
    let sent = packets(&FILM);
    let cut = FILM.len() * 2 / 3;
    station.push(&FILM[..cut]);
    let (before, _) = film::read_packets(&FILM[..cut]);
    let client = station.watch();
    station.push(&FILM[cut..]);
    station.end();
    let got = packets(&client.body().0);
    // The last key frame before it came, or the one that was just cut.
    let keys = key_frames(&sent);
    let began = sent.len() - got.len();
    assert!(
        keys.contains(&began),
        "not at a key frame: {began} of {keys:?}"
    );
    let latest = keys.iter().rposition(|at| *at < before.len()).expect("one");
    assert!(began >= keys[latest], "{began} is before {}", keys[latest]);
    assert_same(&got, &sent[began..]);
}

#[test]
fn a_burst_begins_further_back() {
    let sent = packets(&FILM);
    let keys = key_frames(&sent);
    for (properties, query, back) in [
        ("", "?burst=2", 1..3),
        ("burst-time=2000", "", 1..3),
        ("burst-bytes=2000000", "", keys.len() - 1..keys.len()),
        ("burst-time=2000", "?burst=0", 0..1),
        ("max-burst-time=1000", "?burst=1000", 0..2),
    ] {
        let station = Station::new(&format!("timecodes=source {properties}"));
        station.push(&FILM);
        let client = station.get(&format!("/live{query}"), "");
        station.wait_for_clients(1);
        station.end();
        let got = packets(&client.body().0);
        let began = keys.iter().position(|at| *at == sent.len() - got.len());
        let began = began.unwrap_or_else(|| panic!("{properties} {query}: not at a key frame"));
        assert!(
            back.contains(&(keys.len() - 1 - began)),
            "{properties} {query}: {began} of {keys:?}"
        );
    }
}

#[test]
fn the_end_of_the_pipeline_is_no_end_of_the_stream() {
    let station = Station::new("");
    station.push(&FILM);
    let mut client = station.watch();
    let mut body = Vec::new();
    client.at_least(&mut body, 1000);
    assert!(station.pipeline.stop() < Duration::from_secs(2));
    assert_eq!(client.body().1, End::Broken);
}

#[test]
fn clients_survive_a_pause() {
    let station = Station::new("timecodes=source");
    let client = station.watch();
    let half = FILM.len() / 2;
    station.push(&FILM[..half]);
    let paused = station.pipeline.pipeline.set_state(gst::State::Paused);
    paused.expect("a change");
    assert_eq!(station.get("/live", "").status, 200);
    station.pipeline.play();
    station.push(&FILM[half..]);
    station.end();
    let sent = packets(&FILM);
    assert_same(&packets(&client.body().0), &sent[key_frames(&sent)[0]..]);
}

/// The same tracks go on with time codes that go on; others end the responses.
#[test]
fn a_stream_that_begins_again_goes_on_for_those_who_can() {
    let station = Station::new("timecodes=continuing");
    let client = station.watch();
    let client = std::thread::spawn(move || client.body());
    station.push(&FILM);
    station.push(&FILM);
    let sent = packets(&FILM);
    let first = key_frames(&sent)[0];
    station.push(&OTHER);
    let (body, end) = client.join().expect("a client");
    assert_eq!(end, End::Proper);
    let got = packets(&body);
    let (one, two) = got.split_at(sent.len() - first);
    assert_same(one, &sent[first..]);
    let hashes = |p: &[film::Packet]| p.iter().map(|p| p.hash.clone()).collect::<Vec<_>>();
    assert_eq!(hashes(two), hashes(&sent));
    assert!(two[0].pts >= one.last().expect("some").pts);
    // Who comes now gets the other stream.
    let late = station.watch();
    station.end();
    let other = packets(&OTHER);
    let got = packets(&late.body().0);
    assert!(!got.is_empty() && hashes(&other).ends_with(&hashes(&got)));
}

#[test]
fn connections_can_be_reset_for_another_stream() {
    let station = Station::new("on-new-header=restart");
    station.push(&FILM);
    let client = station.watch();
    station.push(&OTHER);
    assert_eq!(client.body().1, End::Broken);
}

#[test]
fn connections_can_be_held_over_an_end() {
    let station = Station::new("timecodes=continuing on-source-loss=hold");
    let mut client = station.watch();
    station.push(&FILM);
    station.end();
    station.pipeline.eos();
    let mut body = Vec::new();
    client.at_least(&mut body, FILM.len() / 2);
    assert_eq!(station.get("/live", "").status, 200);
    // A flushing seek would do the same to the pipeline.
    let pad = station.sink.static_pad("sink").expect("a pad");
    assert!(pad.send_event(gst::event::FlushStart::new()));
    assert!(pad.send_event(gst::event::FlushStop::new(true)));
    station.sink.sync_state_with_parent().expect("a state");
    drop(client);
}

#[test]
fn time_codes_are_the_time_of_day_by_default() {
    let station = Station::new("");
    station.push(&FILM);
    let client = station.watch();
    station.end();
    let got = packets(&client.body().0);
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).expect("a time");
    let age = now.as_millis() as i64 - got[0].pts;
    assert!((-10_000..60_000).contains(&age), "{age} ms");
}

/// A client that stops reading goes on at a key frame when it reads again, and nobody waits for it.
#[test]
fn a_slow_client_misses_whole_groups_of_pictures() {
    let big = film::make(
        "videotestsrc num-buffers=500 pattern=snow ! video/x-raw,width=640,height=480,framerate=25/1 \
         ! vp8enc deadline=1 cpu-used=16 keyframe-max-dist=25 target-bitrate=40000000 max-quantizer=10 \
         ! queue ! mux.",
    );
    assert!(big.len() > 30_000_000, "{} bytes", big.len());
    let station = Station::new("timecodes=source max-lag-bytes=2000000");
    let slow = station.watch();
    let mut good = station.watch();
    let read = Arc::new(AtomicUsize::new(0));
    let reader = std::thread::spawn({
        let read = read.clone();
        move || {
            let (mut body, mut end) = (Vec::new(), None);
            while end.is_none() {
                end = good.more(&mut body);
                read.store(body.len(), Ordering::SeqCst);
            }
            (body, end)
        }
    });
    // No faster than the good client takes it, however busy this machine is.
    let mut sent = 0;
    for piece in big.chunks(200_000) {
        station.push(piece);
        sent += piece.len();
        wait_until("the good client has nearly all", || {
            read.load(Ordering::SeqCst) + 500_000 > sent
        });
    }
    wait_until("the slow client is too slow", || {
        station.stat::<u64>("dropped") > 0
    });
    station.end();
    let sent = packets(&big);
    let (body, end) = reader.join().expect("a client");
    assert_eq!(end, Some(End::Proper));
    assert_same(&packets(&body), &sent);
    let (body, _) = slow.body();
    let (got, _) = film::read_packets(&body);
    assert!(got.len() < sent.len());
    let mut at = 0;
    for (i, packet) in got.iter().enumerate() {
        let found = sent[at..].iter().position(|p| p.hash == packet.hash);
        let found = at + found.expect("in its order");
        assert!(
            found == at || packet.key,
            "packet {i} follows a gap and is no key frame"
        );
        at = found + 1;
    }
}

#[test]
fn a_slow_client_can_be_dropped() {
    let station = Station::prepare("recover-policy=drop max-lag-bytes=100000");
    let (tell, told) = std::sync::mpsc::channel();
    station
        .sink
        .connect("client-removed", false, move |values| {
            let reason: String = values[3].get().expect("a reason");
            let _ = tell.send(reason);
            None
        });
    let station = station.start();
    let slow = station.watch();
    for _ in 0..40 {
        station.push(&FILM);
    }
    let reason = told
        .recv_timeout(crate::support::process::PATIENCE)
        .expect("a reason");
    assert_eq!(reason, "slow");
    assert_eq!(slow.body().1, End::Broken);
}

/// A muxer that runs already when the sink is linked: the header is in its caps.
#[test]
fn the_header_may_come_in_caps() {
    let line = "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=25/1 \
                ! vp8enc deadline=1 keyframe-max-dist=10 ! webmmux name=mux streamable=true \
                ! tee name=t allow-not-linked=true ! queue ! fakesink sync=false name=first";
    let pipeline = Pipeline::launch(line);
    pipeline.play();
    let first = pipeline.element("first");
    wait_until("the muxer runs", || {
        let stats = first.property::<gst::Structure>("stats");
        stats.get::<u64>("rendered").is_ok_and(|n| n > 20)
    });
    let sink = gst::ElementFactory::make("webmhttpsink")
        .property("address", "127.0.0.1")
        .property("port", 0)
        .property("sync", false)
        .property("async", false)
        .build()
        .expect("an element");
    let queue = gst::ElementFactory::make("queue").build().expect("a queue");
    let bin = pipeline.element("t").parent().expect("a parent");
    let bin = bin.downcast::<gst::Bin>().expect("a bin");
    bin.add_many([&queue, &sink]).expect("room");
    queue.link(&sink).expect("a link");
    sink.sync_state_with_parent().expect("a state");
    queue.sync_state_with_parent().expect("a state");
    pipeline.element("t").link(&queue).expect("a link");
    let port = pipeline
        .notice("webm-listening")
        .get::<i32>("port")
        .expect("a port") as u16;
    let mut client = Client::ask(port, "GET /live HTTP/1.1\r\n\r\n");
    let mut body = Vec::new();
    client.at_least(&mut body, 20_000);
    let (got, _) = film::read_packets(&body);
    assert!(got[0].key, "{:?}", got[0]);
    let _ = sink.set_state(gst::State::Null);
}
