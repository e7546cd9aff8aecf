// SPDX-License-Identifier: MPL-2.0

//! What only happens now and then: a rush, an end that is none, another publisher's leftovers.

use std::thread;

use gst::prelude::*;

use crate::{
    client::Client,
    station::{Live, Station},
    support::{
        amf0::Amf,
        flv_builder::FlvBuilder,
        flvdump::Kind,
        pipeline::Pipeline,
        process::wait_until,
        rtmp_peer::{Message, message_of},
    },
};

const VIDEO: u8 = 9;

fn film() -> FlvBuilder {
    FlvBuilder::new().metadata(320.0).headers().second(0)
}

fn push(station: &Station, film: &FlvBuilder) {
    let buffer = gst::Buffer::from_slice(film.bytes().to_vec());
    let appsrc = station.pipeline.element("in");
    let _ = appsrc.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
}

fn player(port: u16) -> Client {
    let mut client = Client::connected(port, "live");
    let stream = client.create_stream();
    client.play(stream, "one");
    client
}

/// A server that restarts meets all its players at once.
#[test]
fn a_rush_of_players_is_served() {
    let live = Live::start("");
    let port = live.station.port;
    // More than may be greeted at a time.
    let rush: Vec<_> = (0..700)
        .map(|_| {
            let come = move || {
                let mut client = player(port);
                client.next_of(VIDEO);
                // It stays until the last has come.
                client
            };
            let small = thread::Builder::new().stack_size(256 << 10);
            small.spawn(come).expect("a thread")
        })
        .collect();
    let players: Vec<_> = rush.into_iter().map(|p| p.join()).collect();
    let served = players.iter().filter(|player| player.is_ok()).count();
    assert_eq!(served, 700);
}

#[test]
fn a_large_key_frame_is_no_unread_answer() {
    for burst in ["key-frame", "gop"] {
        let station = Station::launch("appsrc name=in", &format!("burst={burst}"));
        let film = FlvBuilder::new()
            .metadata(320.0)
            .headers()
            .picture(0, true, 0, 600_000)
            .picture(40, false, 0, 500);
        push(&station, &film);
        wait_until("it is out", || station.stats::<u64>("tags") >= 5);
        let mut client = Client::connected(station.port, "live");
        let (_, stream) = (client.create_stream(), client.create_stream());
        client.say(stream, "play", &[Amf::string("one")]);
        // More questions behind it, before anything is read.
        for _ in 0..20 {
            client.say(stream, "seek", &[Amf::Number(0.0)]);
        }
        let sized = |m: &Message| m.kind == VIDEO && m.body.len() > 600_000;
        while !client.seen.iter().any(sized) {
            client.read().expect("the key frame");
        }
        let failed = |code: &String| code == "NetStream.Seek.Failed";
        while client.codes().iter().filter(|code| failed(code)).count() < 20 {
            client.read().expect("the answers");
        }
        station.pipeline.stop();
    }
}

/// The end of the stream, taken back by a flush, as when an application starts over.
#[test]
fn a_stream_goes_on_after_a_flush() {
    let station = Station::launch("appsrc name=in", "sync=false");
    push(&station, &film());
    let appsrc = station.pipeline.element("in");
    let _ = appsrc.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    station.pipeline.eos();
    let flush = |event: gst::Event| assert!(appsrc.static_pad("src").unwrap().push_event(event));
    flush(gst::event::FlushStart::new());
    flush(gst::event::FlushStop::builder(true).build());
    appsrc.set_state(gst::State::Ready).unwrap();
    appsrc.sync_state_with_parent().unwrap();
    push(&station, &film());
    wait_until("the second round is out", || {
        station.stats::<u64>("tags") > 68 + 30
    });
    let mut client = player(station.port);
    client.next_of(VIDEO);
    client.next_of(VIDEO);
    station.pipeline.stop();
}

#[test]
fn a_second_play_is_like_the_first() {
    let live = Live::start("max-callers=1 max-callers-per-address=1");
    let mut client = player(live.station.port);
    client.next_of(VIDEO);
    for _ in 0..2 {
        client.forget();
        client.play(1, "one");
        for _ in 0..3 {
            client.next_of(VIDEO);
        }
        let configured = client
            .packets()
            .iter()
            .any(|p| p.kind == Kind::Video && p.config);
        assert!(configured, "a new play is a new decoder");
    }
}

/// A publisher of sound alone follows one of sound and pictures.
#[test]
fn nothing_of_one_publisher_is_told_of_the_next() {
    let relay = Pipeline::launch(
        "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1/live/one port=0 keep-listening=true ! \
         rtmpsink name=out mode=listener location=rtmp://127.0.0.1/live/one port=0 sync=false",
    );
    relay.play();
    let told = [
        relay.notice("rtmp-listening"),
        relay.notice("rtmp-listening"),
    ];
    let ports = told.map(|t| t.get::<u32>("port").unwrap() as u16);
    // The sink listens on the way to PAUSED, the source when it streams.
    let [players, publishers] = ports;
    let publish = |film: &FlvBuilder| {
        let mut client = Client::connected(publishers, "live");
        let stream = client.create_stream();
        client.say(
            stream,
            "publish",
            &[Amf::string("one"), Amf::string("live")],
        );
        client.status("NetStream.Publish.Start");
        for tag in film.tags() {
            let message = Message {
                stream: 1,
                ..message_of(tag)
            };
            client.peer.send(&message).expect("room to write");
        }
        client
    };
    let first = publish(&film());
    let mut client = player(players);
    client.next_of(VIDEO);
    drop(first);
    relay.notice("rtmp-caller-removed");
    let sound = FlvBuilder::new()
        .tag(8, 0, &[0xaf, 0, 0x12, 0x10])
        .sound(0, 100)
        .sound(23, 100)
        .sound(46, 100);
    let second = publish(&sound);
    wait_until("its sound is out", || {
        let stats = relay.element("out").property::<gst::Structure>("stats");
        stats.get::<u64>("tags").unwrap() >= 68 + 4
    });
    let mut late = Client::connected(players, "live");
    let stream = late.create_stream();
    late.play(stream, "one");
    late.next_of(8);
    late.next_of(8);
    let packets = late.packets();
    assert!(packets.iter().all(|p| p.kind == Kind::Audio), "{packets:?}");
    drop(second);
    relay.stop();
}

#[test]
fn a_listener_that_has_ended_takes_nobody() {
    let ingest = Pipeline::launch(
        "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1/live/* port=0 ! fakesink sync=false",
    );
    ingest.play();
    let port = ingest.notice("rtmp-listening").get::<u32>("port").unwrap() as u16;
    let publish = |port: u16, name: &str| {
        let mut client = Client::connect(port, "live", &[])?;
        client.command("_result")?;
        let stream = client.create_stream();
        client.say(stream, "publish", &[Amf::string(name), Amf::string("live")]);
        let status = client.command("onStatus")?;
        let code = status
            .arguments
            .last()
            .and_then(|info| info.get("code").cloned());
        std::io::Result::Ok((client, code))
    };
    let (first, code) = publish(port, "a").unwrap();
    assert_eq!(code, Some(Amf::string("NetStream.Publish.Start")));
    drop(first);
    // Another one waits in its stead, for the same names.
    ingest.eos();
    let next = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1:{port}/live/* ! fakesink sync=false"
    ));
    next.play();
    next.notice("rtmp-listening");
    let (_second, code) = publish(port, "b").unwrap();
    assert_eq!(code, Some(Amf::string("NetStream.Publish.Start")));
    let came = next.notice("rtmp-caller-added");
    assert_eq!(came.get::<&str>("stream"), Ok("b"));
    ingest.stop();
    next.stop();
}

#[test]
fn a_password_is_not_half_asked_for() {
    for options in ["password=x", "username=joe"] {
        for element in ["rtmpsrc name=it ! fakesink", "fakesrc ! rtmpsink name=it"] {
            let line = element.replace(
                "name=it",
                &format!(
                    "name=it mode=listener location=rtmp://127.0.0.1/live/one port=0 {options}"
                ),
            );
            let pipeline = Pipeline::launch(&line);
            pipeline.play();
            let failure = pipeline.error_of("it");
            assert_eq!(
                failure.error.kind::<gst::ResourceError>(),
                Some(gst::ResourceError::Settings)
            );
            failure.assert_sentence();
            pipeline.stop();
        }
    }
}

#[test]
fn whoever_is_there_at_the_end_is_seen_going() {
    let live = Live::start("");
    let mut client = player(live.station.port);
    client.next_of(VIDEO);
    live.station.pipeline.notice("rtmp-caller-added");
    live.station.pipeline.stop();
    let gone = live.station.pipeline.notice("rtmp-caller-removed");
    assert_eq!(gone.get::<&str>("reason"), Ok("ended"));
}
