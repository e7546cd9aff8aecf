// SPDX-License-Identifier: MPL-2.0

//! Publishers of every habit, and what becomes of those who find the place taken.

use std::{
    os::fd::AsRawFd,
    sync::{Mutex, mpsc},
    time::Duration,
};

use gst::prelude::*;
use tempfile::TempDir;

use crate::{
    client::Client,
    support::{
        amf0::Amf,
        flv_builder::FlvBuilder,
        flvdump::{self, Expect},
        media,
        peers::{Pace, ffmpeg_publish, output},
        pipeline::Pipeline,
        process::{PATIENCE, wait_until},
        rtmp_peer::message_of,
    },
};

/// A source that writes what it gets into a file.
struct Ingest {
    pipeline: Pipeline,
    port: u16,
    out: std::path::PathBuf,
    _dir: TempDir,
}

impl Ingest {
    fn start(location: &str, options: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let out = output(&dir, "out.flv");
        let pipeline = Pipeline::launch(&format!(
            "rtmpsrc name=in mode=listener location={location} {options} ! \
             filesink location={} buffer-mode=unbuffered",
            out.display()
        ));
        pipeline.play();
        let port = pipeline.notice("rtmp-listening").get::<u32>("port");
        Self {
            pipeline,
            port: port.expect("a port").try_into().expect("a port"),
            out,
            _dir: dir,
        }
    }

    fn packets(&self) -> Vec<flvdump::Packet> {
        flvdump::read(&self.out)
    }

    /// Waits until so much media has come.
    #[track_caller]
    fn has(&self, tags: u64) {
        wait_until("tags came", || {
            let stats = self
                .pipeline
                .element("in")
                .property::<gst::Structure>("stats");
            stats.get::<u64>("tags").unwrap() >= tags
        });
    }
}

const ANY_PORT: &str = "rtmp://127.0.0.1/live/one port=0";

fn film() -> FlvBuilder {
    FlvBuilder::new().metadata(320.0).headers().second(0)
}

/// The dialogue up to a granted publish.
fn publishing(port: u16, name: &str) -> Client {
    let mut client = Client::connected(port, "live");
    let stream = client.create_stream();
    client.say(stream, "publish", &[Amf::string(name), Amf::string("live")]);
    client.status("NetStream.Publish.Start");
    client
}

fn send(client: &mut Client, film: &FlvBuilder) {
    for tag in film.tags() {
        let mut message = message_of(tag);
        message.stream = 1;
        client.peer.send(&message).expect("room to write");
    }
}

/// FMLE asks for more than it needs and waits for each answer.
#[test]
fn fmle_style() {
    let ingest = Ingest::start(ANY_PORT, "");
    let more = [
        ("type", Amf::string("nonprivate")),
        ("flashVer", Amf::string("FMLE/3.0 (compatible; FMSc/1.0)")),
        ("capsEx", Amf::Number(3.0)),
        (
            "fourCcList",
            Amf::Array(vec![("0".to_owned(), Amf::string("hvc1"))]),
        ),
    ];
    let mut client = Client::connect(ingest.port, "live", &more).unwrap();
    let result = client.command("_result").unwrap();
    let properties = &result.arguments[0];
    for map in ["videoFourCcInfoMap", "audioFourCcInfoMap"] {
        let any = properties.get(map).and_then(|map| map.get("*"));
        assert_eq!(any.and_then(Amf::as_number), Some(4.0), "{map}");
    }
    let caps = properties.get("capsEx").and_then(Amf::as_number);
    assert_eq!(caps, Some(14.0), "multitrack, ModEx, nanoseconds");
    let ask = |client: &mut Client, name: &str, number: f64, argument: Amf| {
        let values = [Amf::string(name), Amf::Number(number), Amf::Null, argument];
        client.peer.send_command(0, &values).unwrap();
    };
    ask(&mut client, "releaseStream", 2.0, Amf::string("one"));
    client.command("_result").unwrap();
    ask(&mut client, "FCPublish", 3.0, Amf::string("one"));
    client.command("_result").unwrap();
    let stream = client.create_stream();
    client.say(
        stream,
        "publish",
        &[Amf::string("one"), Amf::string("live")],
    );
    client.command("onFCPublish").unwrap();
    client.status("NetStream.Publish.Start");
    send(&mut client, &film());
    client.say(0, "FCUnpublish", &[Amf::string("one")]);
    client.command("onFCUnpublish").unwrap();
    client.say(0, "deleteStream", &[Amf::Number(1.0)]);
    ingest.pipeline.eos();
    let sent = flvdump::parse(film().bytes()).unwrap();
    flvdump::assert_same(&sent, &ingest.packets(), Expect::MEDIA);
    ingest.pipeline.stop();
}

/// Players that publish: no FCPublish, AMF3 commands in messages of type 17, and no goodbye.
#[test]
fn flash_style_with_amf3() {
    let ingest = Ingest::start(ANY_PORT, "");
    let mut client =
        Client::connect(ingest.port, "live", &[("objectEncoding", Amf::Number(3.0))]).unwrap();
    let result = client.command("_result").unwrap();
    let info = result.arguments.last().unwrap();
    assert_eq!(
        info.get("objectEncoding").and_then(Amf::as_number),
        Some(3.0)
    );
    let wrapped = |values: &[Amf], stream: u32| crate::support::rtmp_peer::Message {
        csid: 3,
        kind: 17,
        stream,
        timestamp: 0,
        body: [&[0][..], &crate::support::amf0::encode(values)].concat(),
    };
    let create = [Amf::string("createStream"), Amf::Number(2.0), Amf::Null];
    client.peer.send(&wrapped(&create, 0)).unwrap();
    client.command("_result").unwrap();
    let publish = [
        Amf::string("publish"),
        Amf::Number(0.0),
        Amf::Null,
        Amf::string("one"),
        Amf::string("live"),
    ];
    client.peer.send(&wrapped(&publish, 1)).unwrap();
    client.status("NetStream.Publish.Start");
    send(&mut client, &film());
    drop(client);
    ingest.pipeline.eos();
    let sent = flvdump::parse(film().bytes()).unwrap();
    flvdump::assert_same(&sent, &ingest.packets(), Expect::MEDIA);
    ingest.pipeline.stop();
}

#[test]
fn a_publisher_stays_unless_it_may_be_replaced() {
    let ingest = Ingest::start(ANY_PORT, "keep-listening=true");
    let mut first = publishing(ingest.port, "one");
    send(&mut first, &film());
    let mut second = Client::connected(ingest.port, "live");
    let stream = second.create_stream();
    second.say(
        stream,
        "publish",
        &[Amf::string("one"), Amf::string("live")],
    );
    let (_, text) = second.status("NetStream.Publish.BadName");
    assert!(text.contains("already"), "{text}");
    let rejected = ingest.pipeline.notice("rtmp-caller-rejected");
    assert_eq!(rejected.get::<&str>("reason"), Ok(&*text));
    drop(first);
    ingest.pipeline.notice("rtmp-caller-removed");
    publishing(ingest.port, "one");
    ingest.pipeline.stop();

    let ingest = Ingest::start(ANY_PORT, "takeover=replace");
    let mut first = publishing(ingest.port, "one");
    send(&mut first, &film());
    ingest.has(60);
    let mut second = publishing(ingest.port, "one");
    let gone = ingest.pipeline.notice("rtmp-caller-removed");
    assert_eq!(gone.get::<&str>("reason"), Ok("replaced"));
    first.status("NetConnection.Connect.Closed");
    assert!(first.read().is_err(), "the first is closed");
    send(&mut second, &film());
    drop(second);
    ingest.pipeline.eos();
    // One time line over both.
    let packets = ingest.packets();
    for kind in [flvdump::Kind::Audio, flvdump::Kind::Video] {
        let lane = packets.iter().filter(|p| p.kind == kind && !p.config);
        let times: Vec<_> = lane.map(|p| p.dts).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
    let pictures = packets.iter().filter(|p| p.is_media()).count();
    assert_eq!(pictures, 2 * 65);
    ingest.pipeline.stop();
}

#[test]
fn a_silent_publisher_may_be_replaced() {
    let ingest = Ingest::start(ANY_PORT, "takeover=replace-silent takeover-silence=400");
    let mut first = publishing(ingest.port, "one");
    send(&mut first, &film());
    ingest.has(60);
    let try_it = || {
        let mut second = Client::connected(ingest.port, "live");
        let stream = second.create_stream();
        second.say(
            stream,
            "publish",
            &[Amf::string("one"), Amf::string("live")],
        );
        let status = second.command("onStatus").unwrap();
        let code = status.arguments.last().and_then(|info| info.get("code"));
        code.and_then(Amf::as_str) == Some("NetStream.Publish.Start")
    };
    // It has spoken just now, unless this machine has slept for longer.
    let begun = std::time::Instant::now();
    let at_once = try_it();
    assert!(!at_once || begun.elapsed() > Duration::from_millis(300));
    wait_until("the silent one is replaced", || at_once || try_it());
    ingest.pipeline.stop();
}

/// Any stream that matches, and the application learns which it is; several wait on one port.
#[test]
fn names_can_be_patterns() {
    let any = Ingest::start("rtmp://127.0.0.1/live/cam* port=0", "");
    let location = format!("rtmp://127.0.0.1:{}/live/cam*", any.port);
    // The same twice is refused ...
    let twice = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener location={location} ! fakesink"
    ));
    twice.play();
    let failure = twice.error_of("in");
    assert_eq!(
        failure.error.kind::<gst::ResourceError>(),
        Some(gst::ResourceError::Busy)
    );
    failure.assert_sentence();
    twice.stop();
    // ... until the first has its publisher.
    let mut seven = publishing(any.port, "cam7?who=joe");
    let came = any.pipeline.notice("rtmp-caller-added");
    assert_eq!(came.get::<&str>("stream"), Ok("cam7"));
    assert_eq!(came.get::<&str>("query"), Ok("who=joe"));
    let next = Ingest::start(&location, "");
    let mut eight = publishing(any.port, "cam8");
    let came = next.pipeline.notice("rtmp-caller-added");
    assert_eq!(came.get::<&str>("stream"), Ok("cam8"));
    // No room for a third, and none for another name.
    for (name, code) in [
        ("cam7", "NetStream.Publish.BadName"),
        ("cam9", "NetStream.Publish.BadName"),
        ("mic1", "NetStream.Publish.Denied"),
    ] {
        let mut client = Client::connected(any.port, "live");
        let stream = client.create_stream();
        client.say(stream, "publish", &[Amf::string(name), Amf::string("live")]);
        client.status(code);
    }
    let longer = film().second(1000);
    send(&mut seven, &film());
    send(&mut eight, &longer);
    drop((seven, eight));
    any.pipeline.eos();
    next.pipeline.eos();
    for (ingest, film) in [(&any, film()), (&next, longer)] {
        let sent = flvdump::parse(film.bytes()).unwrap();
        flvdump::assert_same(&sent, &ingest.packets(), Expect::MEDIA);
        ingest.pipeline.stop();
    }
}

/// ffmpeg comes to a stream with its key in the query, and the application sees the metadata.
#[test]
fn what_is_published_is_known() {
    let ingest = Ingest::start("rtmp://127.0.0.1/live/one port=0", "");
    let file = media::h264_aac_unacknowledged();
    let url = format!("rtmp://127.0.0.1:{}/live/one?key=7", ingest.port);
    let publisher = ffmpeg_publish(&file, &url, Pace::Fast);
    let came = ingest.pipeline.notice("rtmp-caller-added");
    assert_eq!(came.get::<&str>("query"), Ok("key=7"));
    let metadata = ingest.pipeline.notice("rtmp-metadata");
    assert_eq!(metadata.get::<f64>("width"), Ok(640.0));
    assert_eq!(metadata.get::<f64>("height"), Ok(360.0));
    ingest.pipeline.eos();
    publisher.succeed(PATIENCE);
    flvdump::assert_same(&flvdump::read(&file), &ingest.packets(), Expect::MEDIA);
    ingest.pipeline.stop();
}

/// Bytes that the kernel at the other end has not acknowledged.
fn underway(client: &Client) -> i32 {
    let mut bytes = 0;
    // SAFETY: the descriptor is open, and the pointer is to a live local of the type that TIOCOUTQ writes.
    let result =
        unsafe { libc::ioctl(client.peer.socket().as_raw_fd(), libc::TIOCOUTQ, &mut bytes) };
    assert_eq!(result, 0);
    bytes
}

/// A publisher that closes with something of ours unread resets the connection. What cannot be sent to
/// it any more is no reason to leave what it sent before, and no failure of who has said goodbye.
#[test]
fn what_came_before_a_reset_is_kept() {
    let ingest = Ingest::start(ANY_PORT, "ping-interval=1");
    let mut client = publishing(ingest.port, "one");
    let pad = ingest.pipeline.element("in").static_pad("src").unwrap();
    let (tell, told) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let message = |tag| {
        let mut message = message_of(tag);
        message.stream = 1;
        message
    };
    let film = film();
    let mut messages = film.tags().map(message);

    // The pipeline stops at the first tag, and with it the reading.
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        tell.send(()).unwrap();
        // The other end is dropped, which is an error.
        let _ = released.lock().unwrap().recv();
        gst::PadProbeReturn::Remove
    });
    client.peer.send(&messages.next().unwrap()).unwrap();
    told.recv_timeout(PATIENCE).unwrap();

    for message in messages {
        client.peer.send(&message).expect("room to write");
    }
    client.say(0, "deleteStream", &[Amf::Number(1.0)]);
    wait_until("all is at the other end", || underway(&client) == 0);
    client.peer.reset().unwrap();
    drop(client);
    // Then a ping is due, which goes nowhere.
    std::thread::sleep(Duration::from_millis(1_100));
    drop(release);
    let gone = ingest.pipeline.notice("rtmp-caller-removed");
    ingest.pipeline.eos();
    let sent = flvdump::parse(film.bytes()).unwrap();
    flvdump::assert_same(&sent, &ingest.packets(), Expect::MEDIA);
    assert_eq!(gone.get::<&str>("reason"), Ok("left"));
    ingest.pipeline.stop();
}
