// SPDX-License-Identifier: MPL-2.0

//! What `rtmpsink` says to a server, command by command, and what properties change about it.

use std::{
    fs,
    io::{self, ErrorKind},
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        LazyLock, Mutex,
        mpsc::{self, Receiver},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use gst::prelude::*;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;
use support::{
    amf0::Amf,
    flv_builder::{AUDIO, FlvBuilder, VIDEO},
    pipeline::{Pipeline, quoted},
    process::PATIENCE,
    rtmp_peer::{Peer, SET_CHUNK_SIZE, Server},
    taker::{ID, Taken, take, taker, taker_that},
};
use tempfile::{TempDir, tempdir};

mod support;

static FILM: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let dir = tempdir().expect("a folder");
    let path = dir.path().join("film.flv");
    let film = FlvBuilder::new().metadata(640.0).headers().second(0);
    fs::write(&path, film.bytes()).expect("a writable folder");
    (dir, path)
});

fn publishing(location: &str, properties: &str) -> Pipeline {
    let file = FILM.1.display().to_string();
    Pipeline::launch(&format!(
        "filesrc location={} ! rtmpsink name=sink location={} {properties}",
        quoted(&file),
        quoted(location),
    ))
}

/// Publishes the film with these properties and returns what the server got.
fn published(tail: &str, properties: &str) -> Taken {
    let server = taker();
    let url = server.url("live", "one") + tail;
    let pipeline = publishing(&url, &format!("sync=false {properties}"));
    pipeline.play();
    pipeline.eos();
    server.outcome().expect("a stream")
}

fn text<'a>(connect: &'a Amf, key: &str) -> Option<&'a str> {
    connect.get(key).and_then(Amf::as_str)
}

#[test]
fn commands_come_in_order_with_the_right_numbers() {
    let taken = published("", "");
    let names: Vec<String> = taken.commands().into_iter().map(|c| c.name).collect();
    assert_eq!(
        names,
        [
            "connect",
            "releaseStream",
            "FCPublish",
            "createStream",
            "publish",
            "FCUnpublish",
            "deleteStream"
        ]
    );
    let numbered = ["connect", "releaseStream", "FCPublish", "createStream"];
    let numbers = numbered.map(|name| taken.command(name).transaction);
    assert_eq!(numbers, [1.0, 2.0, 3.0, 4.0]);
    let name = Amf::string("one");
    for command in ["releaseStream", "FCPublish", "FCUnpublish"] {
        let command = taken.command(command);
        assert_eq!(command.arguments, [Amf::Null, name.clone()], "{command:?}");
        assert_eq!(command.stream, 0, "{command:?}");
    }
    let publish = taken.command("publish");
    let arguments = [Amf::Null, name, Amf::string("live")];
    assert_eq!(
        (publish.stream, &publish.arguments[..]),
        (ID, &arguments[..])
    );
    let delete = taken.command("deleteStream");
    assert_eq!(delete.arguments, [Amf::Null, Amf::Number(ID.into())]);
    let media = |m: &&support::rtmp_peer::Message| [AUDIO, VIDEO].contains(&m.kind);
    assert!(taken.messages.iter().filter(media).count() > 60);
    assert!(taken.messages.iter().filter(media).all(|m| m.stream == ID));
}

#[test]
fn connect_says_what_the_location_says() {
    let server = taker();
    let url = format!(
        "rtmp://127.0.0.1:{}/live/_definst_/one?key=1",
        server.port()
    );
    let pipeline = publishing(&url, "sync=false");
    pipeline.play();
    pipeline.eos();
    let taken = server.outcome().expect("a stream");
    let connect = taken.connect();
    assert_eq!(text(&connect, "app"), Some("live/_definst_"));
    let tc_url = format!("rtmp://127.0.0.1:{}/live/_definst_", server.port());
    assert_eq!(text(&connect, "tcUrl"), Some(&*tc_url));
    assert_eq!(text(&connect, "type"), Some("nonprivate"));
    assert_eq!(
        text(&connect, "flashVer"),
        Some("FMLE/3.0 (compatible; FMSc/1.0)")
    );
    assert_eq!(connect.get("pageUrl"), None);
    assert_eq!(connect.get("swfUrl"), None);
    assert_eq!(taken.command("connect").arguments.len(), 1);
    assert_eq!(
        taken.command("publish").arguments[1],
        Amf::string("one?key=1")
    );
}

#[test]
fn connect_says_what_properties_say() {
    let properties = "application=\"app/inst?a=b\" stream=\"other?c=d\" tc-url=rtmp://elsewhere/app \
        flash-version=LNX page-url=http://page/ swf-url=http://page/p.swf";
    // In the tail of the location as well; properties win.
    for tail in [
        "",
        " app=x playpath=y tcUrl=z flashver=u pageUrl=v swfUrl=w",
    ] {
        let taken = published(tail, properties);
        let connect = taken.connect();
        assert_eq!(text(&connect, "app"), Some("app/inst?a=b"));
        assert_eq!(text(&connect, "tcUrl"), Some("rtmp://elsewhere/app"));
        assert_eq!(text(&connect, "flashVer"), Some("LNX"));
        assert_eq!(text(&connect, "pageUrl"), Some("http://page/"));
        assert_eq!(text(&connect, "swfUrl"), Some("http://page/p.swf"));
        assert_eq!(
            taken.command("publish").arguments[1],
            Amf::string("other?c=d")
        );
        assert_eq!(
            taken.command("FCUnpublish").arguments[1],
            Amf::string("other?c=d")
        );
    }
    let taken = published(
        " app=x playpath=y tcUrl=z flashver=u pageUrl=v swfUrl=w",
        "",
    );
    let said = ["app", "tcUrl", "flashVer", "pageUrl", "swfUrl"];
    let connect = taken.connect();
    let said = said.map(|key| text(&connect, key).unwrap_or_default());
    assert_eq!(said, ["x", "z", "u", "v", "w"]);
    assert_eq!(taken.command("publish").arguments[1], Amf::string("y"));
}

#[test]
fn connect_takes_further_arguments() {
    let arguments = "B:1 N:1.5 S:some\\20text Z: O:1 NS:name:joe NO:in:1 NB:deep:0 O:0 NZ:nil: O:0";
    let expected = [
        Amf::Boolean(true),
        Amf::Number(1.5),
        Amf::string("some text"),
        Amf::Null,
        Amf::object(&[
            ("name", Amf::string("joe")),
            ("in", Amf::object(&[("deep", Amf::Boolean(false))])),
            ("nil", Amf::Null),
        ]),
    ];
    let property = format!("extra-connect-args={}", quoted(arguments));
    let tail = arguments.split(' ').map(|word| format!(" conn={word}"));
    for taken in [
        published("", &property),
        published(&tail.collect::<String>(), ""),
    ] {
        assert_eq!(taken.command("connect").arguments[1..], expected);
    }
}

/// The place of the digest in C1 (as Flash Player 9 and later send it): four bytes of the block that
/// begins at `at` add up to it.
fn has_digest(c1: &[u8], at: usize) -> bool {
    let sum: usize = c1[at..at + 4].iter().map(|byte| usize::from(*byte)).sum();
    let place = at + 4 + sum % 728;
    let mut mac = Hmac::<Sha256>::new_from_slice(b"Genuine Adobe Flash Player 001").expect("a key");
    mac.update(&c1[..place]);
    mac.update(&c1[place + 32..]);
    mac.finalize().into_bytes()[..] == c1[place..place + 32]
}

#[test]
fn handshakes_are_with_digests_or_plain() {
    for (properties, digest) in [
        ("", true),
        ("handshake=digest", true),
        ("handshake=plain", false),
    ] {
        let c1 = published("", properties).c1;
        assert_eq!(c1[4..8] != [0; 4], digest, "the version of Flash");
        assert_eq!(has_digest(&c1, 8) || has_digest(&c1, 772), digest);
    }
}

#[test]
fn chunks_are_as_large_as_asked() {
    for (properties, size) in [
        ("", 65536u32),
        ("chunk-size=128", 128),
        ("chunk-size=1000000", 1_000_000),
    ] {
        let taken = published("", properties);
        let announced = taken.messages.iter().filter(|m| m.kind == SET_CHUNK_SIZE);
        let announced: Vec<&[u8]> = announced.map(|m| &m.body[..]).collect();
        match size {
            // What is so from the beginning needs no words.
            128 => assert!(announced.iter().all(|body| **body == 128u32.to_be_bytes())),
            _ => assert_eq!(announced, [size.to_be_bytes()]),
        }
        assert_eq!(taken.packets(), support::flvdump::read(&FILM.1));
    }
}

#[test]
fn stop_commands_are_as_asked() {
    for (properties, expected) in [
        ("stop-commands=none", &[][..]),
        ("stop-commands=fcunpublish", &["FCUnpublish"]),
        ("stop-commands=deletestream", &["deleteStream"]),
        (
            "stop-commands=fcunpublish+closestream+deletestream",
            &["FCUnpublish", "closeStream", "deleteStream"],
        ),
    ] {
        let taken = published("", properties);
        let commands = taken.commands();
        let publish = commands
            .iter()
            .position(|c| c.name == "publish")
            .expect("one");
        let names: Vec<&str> = commands[publish + 1..].iter().map(|c| &*c.name).collect();
        assert_eq!(names, expected);
        if let Some(close) = commands.iter().find(|c| c.name == "closeStream") {
            assert_eq!(close.stream, ID);
        }
    }
}

/// The server has read the last command when the end is posted.
#[test]
fn the_end_is_posted_behind_the_last_command() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let server = taker_that(move |peer, message| {
        if message.command().is_some_and(|c| c.name == "deleteStream") {
            // Would be too late if nobody waited for us.
            peer.pause(Duration::from_millis(200))?;
            let _ = tell.lock().expect("no panic").send(Instant::now());
        }
        Ok(ControlFlow::Continue(()))
    });
    let pipeline = publishing(&server.url("live", "one"), "sync=false");
    pipeline.play();
    pipeline.eos();
    let ended = Instant::now();
    let read = told.try_recv().expect("read before the end was posted");
    assert!(read <= ended);
    let taken = server.outcome().expect("a stream");
    assert_eq!(taken.packets(), support::flvdump::read(&FILM.1));
}

#[test]
fn a_server_may_close_on_fcunpublish() {
    for (last, reset) in [
        ("FCUnpublish", false),
        ("FCUnpublish", true),
        ("deleteStream", false),
        ("deleteStream", true),
    ] {
        let server = taker_that(move |peer, message| {
            if message.command().is_none_or(|c| c.name != last) {
                return Ok(ControlFlow::Continue(()));
            }
            if reset {
                peer.reset()?;
            }
            Ok(ControlFlow::Break(()))
        });
        let pipeline = publishing(&server.url("live", "one"), "sync=false");
        pipeline.play();
        pipeline.eos();
        assert_eq!(pipeline.errors_left("sink").len(), 0, "{last}, {reset}");
        let taken = server.outcome().expect("a stream");
        assert_eq!(taken.packets(), support::flvdump::read(&FILM.1));
    }
}

/// Nor need it close at all: the end is posted a little later then.
#[test]
fn a_server_may_stay() {
    let server = taker_that(|peer, message| {
        if message.command().is_some_and(|c| c.name == "deleteStream") {
            peer.stall()?;
        }
        Ok(ControlFlow::Continue(()))
    });
    let pipeline = publishing(&server.url("live", "one"), "sync=false");
    pipeline.play();
    let begun = Instant::now();
    pipeline.eos();
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// Stopping in the middle frees the name on the server at once.
#[test]
fn stopping_says_goodbye() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let server = taker_that(move |_, message| {
        if message.kind == VIDEO {
            let _ = tell.lock().expect("no panic").send(());
        }
        Ok(ControlFlow::Continue(()))
    });
    let pipeline = publishing(&server.url("live", "one"), "");
    pipeline.play();
    for _ in 0..5 {
        told.recv_timeout(PATIENCE).expect("pictures");
    }
    pipeline.stop_at_once("in the middle of a stream");
    let taken = server.outcome().expect("a stream");
    assert_eq!(
        taken.command("FCUnpublish").arguments[1],
        Amf::string("one")
    );
    let delete = taken.command("deleteStream");
    assert_eq!(delete.arguments, [Amf::Null, Amf::Number(ID.into())]);
    assert!(taken.packets().len() < support::flvdump::read(&FILM.1).len());
}

/// The same element, once more and to another place.
#[test]
fn an_element_publishes_again() {
    let pipeline = publishing("rtmp://127.0.0.1:9/live/one", "sync=false");
    let sink = pipeline.element("sink");
    for name in ["first", "second"] {
        let server = taker();
        // READY is where settings may change, so nothing may have begun there.
        let ready = pipeline.pipeline.set_state(gst::State::Ready);
        ready.expect("READY");
        sink.set_property("location", server.url("live", name));
        pipeline.play();
        pipeline.eos();
        let taken = server.outcome().expect("a stream");
        assert_eq!(taken.command("publish").arguments[1], Amf::string(name));
        assert_eq!(taken.packets(), support::flvdump::read(&FILM.1));
    }
    assert_eq!(pipeline.errors_left("sink").len(), 0);
}

#[test]
fn a_pipeline_without_a_limit_of_time_publishes() {
    let taken = published("", "timeout=0 queue-bytes=0 queue-time=0 stall-timeout=0");
    assert_eq!(taken.packets(), support::flvdump::read(&FILM.1));
}

/// Answers each connection's `connect` as `judge` says, from its `app`: a description to reject it
/// with, or nothing to let it in. Hands out the applications.
fn gate(
    judge: impl Fn(usize, &str) -> Option<String> + Send + Sync + 'static,
) -> (Server<Taken>, Receiver<String>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let server = Server::start(move |peer: &mut Peer, number| {
        // `take` grants every connect, so the refusal reads its own.
        let answer = peer.read_hello()?;
        peer.send_bytes(&answer)?;
        peer.read_exact(&mut [0; 1536])?;
        let connect = peer.expect("connect")?;
        let app = text(&connect.arguments[0], "app")
            .unwrap_or_default()
            .to_owned();
        let tc_url = text(&connect.arguments[0], "tcUrl").unwrap_or_default();
        let query = |text: &str| text.split_once('?').map(|(_, query)| query.to_owned());
        if query(&app) != query(tc_url) {
            let what = format!("app {app}, tcUrl {tc_url}");
            return Err(io::Error::new(ErrorKind::InvalidData, what));
        }
        let verdict = judge(number, &app);
        let _ = tell.lock().expect("no panic").send(app);
        let Some(description) = verdict else {
            return support::taker::take_on(peer, connect, |_, _| Ok(ControlFlow::Continue(())));
        };
        let info = Amf::object(&[
            ("level", Amf::string("error")),
            ("code", Amf::string("NetConnection.Connect.Rejected")),
            ("description", Amf::string(&description)),
        ]);
        peer.answer("_error", &connect, &[Amf::Null, info])?;
        Ok(Taken::default())
    });
    (server, told)
}

fn field<'a>(app: &'a str, name: &str) -> &'a str {
    let query = app.split_once('?').map_or("", |(_, query)| query);
    let mut fields = query.split('&').filter_map(|field| field.split_once('='));
    fields
        .find(|(key, _)| *key == name)
        .map_or("", |(_, value)| value)
}

/// What the last of so many connections brought.
fn outcome_of(server: &Server<Taken>, connections: usize) -> Taken {
    for _ in 1..connections {
        server.outcome().expect("a dialogue");
    }
    server.outcome().expect("a dialogue")
}

/// Adobe's dialogue in three connections.
#[test]
fn adobe_authentication() {
    let base64_md5 = |text: String| STANDARD.encode(Md5::digest(text));
    let (server, told) = gate(move |number, app| match number {
        0 => Some("[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ".into()),
        1 => Some(
            "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=joe&salt=NDU=\
             &challenge=NjA4NDEzNzg0&opaque=MTIzNDU2Nzg="
                .into(),
        ),
        _ => {
            let secret = base64_md5("joeNDU=pa&ss".to_owned());
            let ours = field(app, "challenge");
            let expected = base64_md5(format!("{secret}MTIzNDU2Nzg={ours}"));
            let proved = expected == field(app, "response") && !ours.is_empty();
            let echoed = field(app, "opaque") == "MTIzNDU2Nzg=";
            (!proved || !echoed).then(|| {
                "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed".to_owned()
            })
        }
    });
    let properties = "sync=false username=joe password=\"pa&ss\"";
    let pipeline = publishing(&server.url("live", "one"), properties);
    pipeline.play();
    pipeline.eos();
    let taken = outcome_of(&server, 3);
    assert_eq!(taken.packets(), support::flvdump::read(&FILM.1));
    let apps: Vec<String> = told.try_iter().collect();
    assert_eq!(apps[..2], ["live", "live?authmod=adobe&user=joe"]);
    assert!(apps[2].starts_with("live?authmod=adobe&user=joe&challenge="));
}

/// Limelight's is digest authentication (RFC 2617).
#[test]
fn llnw_authentication() {
    let hex_md5 = |text: String| -> String {
        let hash = Md5::digest(text);
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let (server, told) = gate(move |number, app| match number {
        0 => Some("[ AccessManager.Reject ] : [ code=403 need auth; authmod=llnw ] : ".into()),
        1 => Some(
            "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=needauth&user=joe\
             &nonce=0123456789abcdef"
                .into(),
        ),
        _ => {
            let (a1, a2) = ("joe:live:secret", "publish:/live/_definst_");
            let [a1, a2] = [a1, a2].map(|text| hex_md5(text.to_owned()));
            let [nonce, nc, cnonce] = ["nonce", "nc", "cnonce"].map(|name| field(app, name));
            let expected = hex_md5(format!("{a1}:{nonce}:{nc}:{cnonce}:auth:{a2}"));
            let proved = expected == field(app, "response") && nonce == "0123456789abcdef";
            (!proved || cnonce.is_empty()).then(|| {
                "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=authfailed".to_owned()
            })
        }
    });
    let location = format!("rtmp://joe:secret@127.0.0.1:{}/live/one", server.port());
    let pipeline = publishing(&location, "sync=false");
    pipeline.play();
    pipeline.eos();
    let taken = outcome_of(&server, 3);
    assert_eq!(taken.packets(), support::flvdump::read(&FILM.1));
    let apps: Vec<String> = told.try_iter().collect();
    assert_eq!(apps[..2], ["live", "live?authmod=llnw&user=joe"]);
    let location: String = pipeline.element("sink").property("location");
    assert!(!location.contains("secret"), "{location}");
}

/// Who is known to be asked says the name at once.
#[test]
fn a_method_that_is_set_saves_a_connection() {
    let (server, told) = gate(|_, _| None);
    let properties = "sync=false authmod=adobe username=joe password=secret";
    let pipeline = publishing(&server.url("live", "one"), properties);
    pipeline.play();
    pipeline.eos();
    outcome_of(&server, 1);
    let apps: Vec<String> = told.try_iter().collect();
    assert_eq!(apps, ["live?authmod=adobe&user=joe"]);
}

#[test]
fn stats_tell_how_it_went() {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let server = Server::start(move |peer, _| {
        take(peer, |peer, message| {
            if message.command().is_some_and(|c| c.name == "deleteStream") {
                let _ = tell.lock().expect("no panic").send(());
                peer.stall()?;
            }
            Ok(ControlFlow::Continue(()))
        })
    });
    let pipeline = publishing(&server.url("live", "one"), "sync=false");
    let sink = pipeline.element("sink");
    let stats = || sink.property::<gst::Structure>("stats");
    let of = |name: &str| stats().get::<u64>(name).expect(name);
    assert_eq!(stats().name(), "GstRtmpConnectionStats");
    assert_eq!(stats().get::<&str>("state"), Ok("idle"));
    assert_eq!(stats().get::<u64>("tags"), Ok(0));

    pipeline.play();
    pipeline.progress("On the air");
    told.recv_timeout(PATIENCE).expect("deleteStream");
    let sent = support::flvdump::read(&FILM.1);
    let bytes: usize = sent.iter().map(|packet| packet.size).sum();
    let during = stats();
    // What was counted stays when the connection is gone.
    pipeline.eos();
    for stats in [during, stats()] {
        let of = |name: &str| stats.get::<u64>(name).expect(name);
        assert_eq!(of("tags"), sent.len() as u64);
        assert_eq!(of("dropped-tags"), 0);
        assert!(of("out-bytes-total") > bytes as u64);
        assert!(of("in-bytes-total") > 100);
        assert_eq!(stats.get::<u32>("out-chunk-size"), Ok(65536));
        assert_eq!(stats.get::<u32>("in-chunk-size"), Ok(128));
        assert_eq!(stats.get::<u32>("reconnects"), Ok(0));
        let connect_time = stats.get::<gst::ClockTime>("connect-time");
        let connect_time = connect_time.expect("a time");
        assert!(connect_time < gst::ClockTime::from_seconds(10));
        let last = sent.last().expect("tags").dts;
        let timestamp = gst::ClockTime::from_mseconds(last.into());
        assert_eq!(
            stats.get::<gst::ClockTime>("media-timestamp"),
            Ok(timestamp)
        );
    }
    assert_eq!(stats().get::<&str>("state"), Ok("idle"));
    assert_eq!(of("queue-level-bytes"), 0);
    assert_eq!(of("queue-level-time"), 0);
}
