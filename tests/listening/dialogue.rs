// SPDX-License-Identifier: MPL-2.0

//! What players ask for besides the stream, and what they are told of it.

use gst::prelude::*;

use crate::{
    client::Client,
    station::{Live, Station},
    support::{
        amf0::Amf,
        flvdump::{self, Expect, Kind},
        pipeline::Pipeline,
        process::wait_until,
        rtmp_peer::{COMMAND, USER_CONTROL},
    },
};

const AUDIO: u8 = 8;
const VIDEO: u8 = 9;

fn boolean(value: bool) -> [Amf; 1] {
    [Amf::Boolean(value)]
}

fn playing(live: &Live) -> Client {
    let mut client = Client::connected(live.station.port, "live");
    let stream = client.create_stream();
    client.play(stream, "one");
    // The configurations of both, and media of both.
    for _ in 0..3 {
        client.next_of(VIDEO);
        client.next_of(AUDIO);
    }
    client
}

/// What was read since is one piece of what was sent, each kind for itself.
#[track_caller]
fn assert_part(live: &Live, client: &Client) -> flvdump::Run {
    let expect = Expect {
        headers: false,
        ..Expect::LIVE
    };
    flvdump::assert_same(&live.sent, &client.packets(), expect)
}

#[test]
fn a_player_is_told_what_every_player_is_told() {
    let live = Live::start("");
    let mut client = Client::connected(live.station.port, "live");
    let stream = client.create_stream();
    assert_eq!(stream, 1);
    client.play(stream, "one");
    for _ in 0..2 {
        client.next_of(VIDEO);
        client.next_of(AUDIO);
    }
    assert_eq!(
        client.codes(),
        ["NetStream.Play.Reset", "NetStream.Play.Start"]
    );
    // StreamBegin of stream 1, before anything of the stream.
    let begin = client
        .seen
        .iter()
        .position(|message| message.kind == USER_CONTROL && message.body == [0, 0, 0, 0, 0, 1]);
    let first = client.seen.iter().position(|m| m.stream == 1);
    assert!(begin < first, "{begin:?} {first:?}");
    let packets = client.packets();
    let kinds: Vec<_> = packets
        .iter()
        .filter(|p| p.config || p.kind == Kind::Video)
        .map(|p| (p.kind, p.config))
        .collect();
    // The configuration of both, and only then pictures.
    assert!(kinds.contains(&(Kind::Video, true)), "{kinds:?}");
    assert!(kinds.contains(&(Kind::Audio, true)), "{kinds:?}");
    assert!(
        client
            .seen
            .iter()
            .any(|m| m.body.starts_with(b"\x02\x00\x0aonMetaData")),
        "metadata"
    );
}

#[test]
fn players_pause_and_go_on() {
    let live = Live::start("");
    let mut client = playing(&live);
    client.say(1, "pause", &[Amf::Boolean(true), Amf::Number(0.0)]);
    client.status("NetStream.Pause.Notify");
    assert_part(&live, &client);
    client.forget();
    // Nothing more but answers: each is the very next message.
    for _ in 0..3 {
        client.say(1, "seek", &[Amf::Number(0.0)]);
        let message = client.read().unwrap();
        assert_eq!(message.kind, COMMAND, "{message:?}");
    }
    let tags = live.station.stats::<u64>("tags");
    wait_until("the stream goes on", || {
        live.station.stats::<u64>("tags") > tags + 70
    });
    client.say(1, "pause", &[Amf::Boolean(false), Amf::Number(0.0)]);
    client.status("NetStream.Unpause.Notify");
    client.forget();
    client.next_of(VIDEO);
    let picture = client.next_of(VIDEO);
    assert_eq!(picture.body[0] >> 4, 1, "a key frame behind the headers");
    for _ in 0..40 {
        client.next_of(VIDEO);
    }
    let run = assert_part(&live, &client);
    assert!(run.skipped > 20, "{run:?}");
}

#[test]
fn players_do_without_sound_or_pictures() {
    let live = Live::start("");
    let mut client = playing(&live);
    client.say(1, "receiveVideo", &boolean(false));
    // The answer to a question behind it comes when it has been heard.
    client.say(1, "seek", &[Amf::Number(0.0)]);
    client.status("NetStream.Seek.Failed");
    client.forget();
    for _ in 0..30 {
        client.next_of(AUDIO);
    }
    assert!(client.packets().iter().all(|p| p.kind == Kind::Audio));
    client.say(1, "receiveVideo", &boolean(true));
    client.status("NetStream.Play.Start");
    client.forget();
    let picture = client.next_of(VIDEO);
    assert_eq!(picture.body[0] >> 4, 1, "pictures begin with a key frame");
    for _ in 0..30 {
        client.next_of(AUDIO);
    }
    assert_part(&live, &client);
    client.say(1, "receiveAudio", &boolean(false));
    client.say(1, "seek", &[Amf::Number(0.0)]);
    client.status("NetStream.Seek.Failed");
    client.forget();
    for _ in 0..30 {
        client.next_of(VIDEO);
    }
    assert!(client.packets().iter().all(|p| p.kind == Kind::Video));
}

#[test]
fn a_connection_plays_again_and_again() {
    let live = Live::start("");
    let mut client = playing(&live);
    // On the same message stream, without a word of leave.
    client.forget();
    client.play(1, "one");
    client.forget();
    for _ in 0..10 {
        client.next_of(VIDEO);
    }
    assert_part(&live, &client);
    // After closing, and after deleting; the number is given again.
    client.say(1, "closeStream", &[]);
    client.play(1, "one");
    client.say(0, "deleteStream", &[Amf::Number(1.0)]);
    assert_eq!(client.create_stream(), 1);
    client.play(1, "one");
    // On another message stream, whose number the media then have.
    let other = client.create_stream();
    assert_eq!(other, 2);
    client.play(other, "one");
    client.forget();
    for _ in 0..30 {
        client.next_of(VIDEO);
    }
    let media = |m: &&crate::support::rtmp_peer::Message| m.kind == AUDIO || m.kind == VIDEO;
    assert!(client.seen.iter().filter(media).all(|m| m.stream == 2));
    assert_part(&live, &client);
    // What does not exist is said so, and the stream goes on.
    client.say(other, "play", &[Amf::string("two")]);
    let (_, text) = client.status("NetStream.Play.StreamNotFound");
    assert!(text.contains("two"), "{text}");
    assert_eq!(live.station.callers().len(), 1);
}

#[test]
fn a_connection_goes_from_one_sink_to_another() {
    let live = Live::start("");
    let other = Pipeline::launch(&format!(
        "audiotestsrc is-live=true ! voaacenc ! flvmux streamable=true ! rtmpsink name=out \
         mode=listener location=rtmp://127.0.0.1:{}/live/two",
        live.station.port
    ));
    other.play();
    other.notice("rtmp-listening");
    let mut client = playing(&live);
    for round in 0..3 {
        client.play(1, "two");
        client.forget();
        for _ in 0..10 {
            client.next_of(AUDIO);
        }
        assert!(client.packets().iter().all(|p| p.kind != Kind::Video));
        wait_until("the first one has noticed", || {
            live.station.callers().is_empty()
        });
        // Each time on another message stream.
        let stream = if round == 1 {
            client.create_stream()
        } else {
            1
        };
        client.play(stream, "one");
        client.forget();
        client.next_of(VIDEO);
        for _ in 0..10 {
            client.next_of(AUDIO);
        }
        assert_part(&live, &client);
        if stream != 1 {
            client.say(0, "deleteStream", &[Amf::Number(stream.into())]);
        }
    }
    other.stop();
}

#[test]
fn players_hear_of_a_source_that_is_lost_and_found() {
    let live = Live::start("source-timeout=300");
    let mut client = playing(&live);
    live.hold(true);
    client.status("NetStream.Play.UnpublishNotify");
    // Whoever comes meanwhile gets the last picture and the news.
    let mut late = playing(&live);
    late.status("NetStream.Play.UnpublishNotify");
    live.hold(false);
    for client in [&mut client, &mut late] {
        client.status("NetStream.Play.PublishNotify");
        client.next_of(VIDEO);
        client.next_of(VIDEO);
        assert_part(&live, client);
    }
}

#[test]
fn the_end_is_told_before_the_connection_closes() {
    let mut live = Live::start("");
    let mut client = playing(&live);
    live.end();
    live.station.pipeline.eos();
    client.status("NetStream.Play.UnpublishNotify");
    assert!(client.read().is_err(), "closed");
    let eof = client
        .seen
        .iter()
        .any(|m| m.kind == USER_CONTROL && m.body == [0, 1, 0, 0, 0, 1]);
    assert!(eof, "StreamEOF");
    // Going away without an end says as much.
    let live = Live::start("");
    let mut client = playing(&live);
    live.station.pipeline.stop();
    client.status("NetStream.Play.UnpublishNotify");
    assert!(client.read().is_err(), "closed");
}

#[test]
fn a_burst_is_as_long_as_asked_for() {
    for (burst, first, second) in [
        ("gop", true, false),
        ("key-frame", true, true),
        ("none", true, false),
    ] {
        let live = Live::start(&format!("burst={burst}"));
        wait_until("a second and a half are out", || {
            live.station.stats::<u64>("tags") > 105
        });
        let mut client = Client::connected(live.station.port, "live");
        let stream = client.create_stream();
        client.play(stream, "one");
        let pictures: Vec<_> = std::iter::from_fn(|| Some(client.next_of(VIDEO)))
            .filter(|m| m.body.get(1) == Some(&1))
            .take(2)
            .collect();
        let key = |index: usize| pictures[index].body[0] >> 4 == 1;
        assert_eq!((key(0), key(1)), (first, second), "{burst}");
        let sounds = client.packets();
        let sound = sounds
            .iter()
            .find(|p| p.kind == Kind::Audio && p.is_media());
        let picture = &pictures[0];
        match burst {
            // Sound of now comes with the picture of then; with none the picture is of now too.
            "key-frame" => assert!(sound.is_some_and(|s| s.dts > picture.timestamp)),
            "none" => assert!(sound.is_some_and(|s| s.dts < picture.timestamp)),
            _ => {}
        }
    }
}

#[test]
fn callers_are_seen_coming_and_going() {
    let live = Live::start("");
    let mut client = playing(&live);
    let came = live.station.pipeline.notice("rtmp-caller-added");
    assert_eq!(came.get::<&str>("application"), Ok("live"));
    assert_eq!(came.get::<&str>("stream"), Ok("one"));
    let id = came.get::<u64>("id").unwrap();
    for _ in 0..30 {
        client.next_of(VIDEO);
    }
    let callers = live.station.callers();
    let caller = &callers[0];
    assert_eq!(caller.get::<u64>("id"), Ok(id));
    assert_eq!(caller.get::<&str>("role"), Ok("player"));
    assert!(caller.get::<u64>("bytes").unwrap() > 20_000);
    assert!(caller.get::<u64>("bitrate").unwrap() > 100_000);
    assert_eq!(caller.get::<u64>("dropped-tags"), Ok(0));
    let address = caller.get::<&str>("address").unwrap();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    assert_eq!(live.station.stats::<String>("state"), "streaming");
    drop(client);
    let gone = live.station.pipeline.notice("rtmp-caller-removed");
    assert_eq!(gone.get::<u64>("id"), Ok(id));
    assert_eq!(gone.get::<&str>("reason"), Ok("left"));
    wait_until("nobody is there", || live.station.callers().is_empty());
    assert_eq!(live.station.stats::<String>("state"), "listening");
}

#[test]
fn nothing_is_served_before_there_is_something() {
    let station = Station::launch("appsrc name=in", "");
    let mut client = Client::connected(station.port, "live");
    let stream = client.create_stream();
    client.play(stream, "one");
    let film = crate::support::flv_builder::FlvBuilder::new()
        .metadata(320.0)
        .headers()
        .second(0);
    let appsrc = station.pipeline.element("in");
    let buffer = gst::Buffer::from_slice(film.bytes().to_vec());
    let _ = appsrc.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
    let _ = appsrc.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    station.pipeline.eos();
    while client.read().is_ok() {}
    let sent = flvdump::parse(film.bytes()).unwrap();
    flvdump::assert_same(&sent, &client.packets(), Expect::MEDIA);
    station.pipeline.stop();
}
