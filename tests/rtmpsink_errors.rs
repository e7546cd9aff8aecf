// SPDX-License-Identifier: MPL-2.0

//! `rtmpsink` in front of servers that are absent, wrong, rude or broken: one clear error, in time,
//! and NULL at once at every stage.

use std::{
    fs,
    io::{self, ErrorKind},
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, mpsc},
    time::{Duration, Instant},
};

use gst::{ResourceError, prelude::*};
use support::{
    bad_server::{self, BlackHole, Cut, Farewell},
    flv_builder::FlvBuilder,
    flvdump,
    nginx::{Nginx, NginxConfig, REFUSED},
    pipeline::{AT_ONCE, Failure, Pipeline, init, quoted},
    process::{PATIENCE, free_port, wait_until},
    rtmp_peer::{Peer, Server},
    taker::taker,
};
use tempfile::{TempDir, tempdir};

mod support;

/// Above the deadline of a second that most tests set: what a busy machine may add.
const SLACK: Duration = Duration::from_secs(4);

/// Half a minute of film; in real time it outlasts every test.
static FILM: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let film = FlvBuilder::new().metadata(640.0).headers();
    kept((0..30).fold(film, |film, second| film.second(second * 1000)))
});

/// 20 MB, more than any pair of sockets holds.
static LARGE: LazyLock<(TempDir, PathBuf)> = LazyLock::new(|| {
    let film = FlvBuilder::new().metadata(640.0).headers();
    kept((0..200).fold(film, |film, i| {
        film.picture(i * 40, i % 25 == 0, 0, 100_000)
    }))
});

fn kept(film: FlvBuilder) -> (TempDir, PathBuf) {
    let dir = tempdir().expect("a folder");
    let path = dir.path().join("film.flv");
    fs::write(&path, film.bytes()).expect("a writable folder");
    (dir, path)
}

fn publishing_file(file: &Path, location: &str, properties: &str) -> Pipeline {
    let file = file.display().to_string();
    Pipeline::launch(&format!(
        "filesrc location={} ! rtmpsink name=sink reconnect=never location={} {properties}",
        quoted(&file),
        quoted(location),
    ))
}

fn publishing(location: &str, properties: &str) -> Pipeline {
    publishing_file(&FILM.1, location, properties)
}

#[track_caller]
fn assert_code(failure: &Failure, code: ResourceError) {
    assert_eq!(failure.error.kind(), Some(code), "{failure:?}");
    failure.assert_sentence();
}

/// Plays; the sink fails with this code, says these words, says it once, and then stops at once.
#[track_caller]
fn assert_fails(pipeline: &Pipeline, code: ResourceError, words: &str) -> Failure {
    let begun = Instant::now();
    pipeline.play();
    let failure = pipeline.error_of("sink");
    assert!(begun.elapsed() < Duration::from_secs(1) + SLACK);
    assert_code(&failure, code);
    let message = failure.error.message();
    assert!(message.contains(words), "{message:?} lacks {words:?}");
    pipeline.stop_at_once(&format!("after {words:?}"));
    let more = pipeline.errors_left("sink");
    assert!(more.is_empty(), "{failure:?}\nthen\n{more:?}");
    failure
}

#[track_caller]
fn assert_stage(failure: &Failure, stage: &str) {
    let details = failure.details.as_ref().expect("details");
    assert_eq!(details.get::<&str>("stage"), Ok(stage), "{failure:?}");
}

#[track_caller]
fn fails(location: &str, code: ResourceError, words: &str) -> Failure {
    assert_fails(&publishing(location, "timeout=1"), code, words)
}

#[test]
fn an_unresolvable_host() {
    // RFC 6761, section 6.4: it never resolves.
    let pipeline = publishing("rtmp://nowhere.invalid/live/one", "timeout=20");
    pipeline.play();
    let failure = pipeline.error_of("sink");
    assert_code(&failure, ResourceError::NotFound);
    assert!(failure.error.message().contains("nowhere.invalid"));
    assert_eq!(pipeline.errors_left("sink").len(), 0);
}

#[test]
fn a_closed_port() {
    let url = format!("rtmp://127.0.0.1:{}/live/one", free_port());
    let failure = fails(&url, ResourceError::NotFound, "refused");
    let details = failure.details.expect("details");
    assert_eq!(details.get::<&str>("host"), Ok("127.0.0.1"));
    assert_eq!(details.get::<&str>("stage"), Ok("connect"));
}

#[test]
fn a_black_hole() {
    let hole = BlackHole::new().expect("a socket");
    fails(&hole.url(), ResourceError::OpenWrite, "while connecting");
}

#[test]
fn a_server_that_says_nothing() {
    let server = bad_server::silent();
    let url = server.url("live", "one");
    fails(&url, ResourceError::OpenWrite, "did not answer in time");
}

#[test]
fn a_handshake_that_never_ends() {
    let server = bad_server::slow_handshake(Duration::from_millis(20));
    let url = server.url("live", "one");
    fails(&url, ResourceError::OpenWrite, "did not answer in time");
}

#[test]
fn a_web_server() {
    let server = bad_server::http();
    let url = server.url("live", "one");
    fails(&url, ResourceError::OpenWrite, "HTTP");
}

#[test]
fn a_tls_server() {
    let server = bad_server::tls();
    let url = server.url("live", "one");
    fails(&url, ResourceError::OpenWrite, "rtmps");
}

#[test]
fn a_wrong_application() {
    let server = bad_server::refuse_connect("NetConnection.Connect.InvalidApp", "not defined");
    let failure = fails(
        &server.url("nosuch", "one"),
        ResourceError::NotFound,
        "no such application",
    );
    let details = failure.details.as_ref().expect("details");
    let code = details.get::<&str>("server-code");
    assert_eq!(code, Ok("NetConnection.Connect.InvalidApp"));
    assert_stage(&failure, "connect");
    // nginx closes the connection without a word.
    let nginx = Nginx::start(NginxConfig::default());
    let url = nginx.url("nosuch", "one");
    fails(&url, ResourceError::OpenWrite, "application");
}

#[test]
fn a_name_that_is_taken() {
    let server = bad_server::refuse_stream("NetStream.Publish.BadName");
    let url = server.url("live", "one");
    fails(&url, ResourceError::Busy, "NetStream.Publish.BadName");

    let nginx = Nginx::start(NginxConfig::default());
    let url = nginx.url("live", "busy");
    let first = publishing(&url, "");
    first.play();
    nginx.wait("publish", "busy");
    fails(&url, ResourceError::Busy, "NetStream.Publish.BadName");
}

#[test]
fn a_stream_that_may_not_be() {
    let nginx = Nginx::start(NginxConfig::default());
    let refused = nginx.url("live", &format!("{REFUSED}-one"));
    fails(&refused, ResourceError::OpenWrite, "asked for the stream");
    let server = bad_server::refuse_stream("NetStream.Publish.Denied");
    let url = server.url("live", "one");
    let failure = fails(&url, ResourceError::NotAuthorized, "stream name");
    assert_stage(&failure, "publish");
    let server = bad_server::refuse_create_stream();
    let url = server.url("live", "one");
    let failure = fails(&url, ResourceError::OpenWrite, "refuses");
    assert_stage(&failure, "createStream");
}

#[test]
fn a_server_that_wants_a_password() {
    let code = "NetConnection.Connect.Rejected";
    for (description, credentials) in [
        (
            "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
            "",
        ),
        (
            "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=nosuchuser",
            "joe:secret@",
        ),
        (
            "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed",
            "joe:secret@",
        ),
        (
            "[ AccessManager.Reject ] : [ code=403 need auth; authmod=krb5 ] : ",
            "joe:secret@",
        ),
        (
            "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
            "joe:secret@",
        ),
    ] {
        let server = bad_server::refuse_connect(code, description);
        let url = format!("rtmp://{credentials}127.0.0.1:{}/live/one", server.port());
        let failure = fails(&url, ResourceError::NotAuthorized, "");
        let text = format!("{failure:?}");
        assert!(!text.contains("secret"), "{text}");
    }
    let server = bad_server::refuse_connect(code, "go away");
    let url = server.url("live", "one");
    fails(&url, ResourceError::OpenWrite, "go away");
}

#[test]
fn a_connection_cut_in_the_handshake() {
    for bytes in [0, 1, 700, 1537, 3000] {
        let server = bad_server::cut_in_handshake(bytes);
        let url = server.url("live", "one");
        fails(&url, ResourceError::OpenWrite, "closed the connection");
    }
}

#[test]
fn a_connection_cut_instead_of_an_answer() {
    for reset in [false, true] {
        let server = bad_server::cut_in_play(Cut::BeforeConnect, reset);
        let url = server.url("live", "one");
        fails(&url, ResourceError::OpenWrite, "closed the connection");
    }
}

/// nginx announces a publication before it asks its rules.
#[test]
fn a_server_that_thinks_better_of_it() {
    let nginx = Nginx::start(NginxConfig::default());
    let url = nginx.url("closed", "one");
    let pipeline = Pipeline::launch(&format!(
        "appsrc ! rtmpsink name=sink location={}",
        quoted(&url)
    ));
    assert_fails(&pipeline, ResourceError::OpenWrite, "closed the connection");
}

#[test]
fn a_connection_cut_while_it_publishes() {
    for (messages, reset) in [(20, false), (20, true)] {
        let server = bad_server::cut_in_publish(messages, reset);
        let url = server.url("live", "one");
        fails(&url, ResourceError::Write, "closed the connection");
    }
}

#[test]
fn a_server_that_says_farewell() {
    let status = Farewell::Status;
    for (farewell, code, words) in [
        (
            status("error", "NetConnection.Connect.AppShutdown"),
            ResourceError::Busy,
            "NetConnection.Connect.AppShutdown: for today",
        ),
        (
            status("status", "NetConnection.Connect.Closed"),
            ResourceError::Write,
            "NetConnection.Connect.Closed: for today",
        ),
        (
            Farewell::Close(Some("NetConnection.Connect.Idle")),
            ResourceError::Write,
            "NetConnection.Connect.Idle: for today",
        ),
        (
            Farewell::Close(None),
            ResourceError::Write,
            "closed the connection",
        ),
    ] {
        for (messages, reset) in [(0, false), (20, false), (20, true)] {
            let server = bad_server::dismiss_publisher(messages, farewell, reset);
            let failure = fails(&server.url("live", "one"), code, words);
            assert_stage(&failure, "stream");
        }
    }
}

/// What is no RTMP is an error of opening until the stream runs, and of writing then.
#[test]
fn a_server_that_talks_nonsense() {
    let server = bad_server::garbage_after_connect(b"\x02\xff\xff");
    let url = server.url("live", "one");
    let failure = fails(&url, ResourceError::OpenWrite, "");
    assert_stage(&failure, "createStream");
    let server = bad_server::garbage_while_publishing(20);
    let failure = fails(&server.url("live", "one"), ResourceError::Write, "");
    assert_stage(&failure, "stream");
}

/// Half of a tag is read, and half of an answer written.
#[test]
fn a_connection_cut_in_a_tag() {
    for reset in [false, true] {
        let server = Server::start(move |peer, _| {
            socket2::SockRef::from(peer.socket()).set_recv_buffer_size(4096)?;
            peer.accept_publish()?;
            peer.read_exact(&mut [0; 3000])?;
            peer.send_bytes(&[2, 0, 0, 0, 0, 0, 4])?;
            if reset { peer.reset() } else { Ok(()) }
        });
        let pipeline = publishing_file(&LARGE.1, &server.url("live", "one"), "timeout=1");
        assert_fails(&pipeline, ResourceError::Write, "closed the connection");
    }
}

#[test]
fn a_server_that_never_reads() {
    let server = bad_server::never_reads();
    let url = server.url("live", "one");
    let pipeline = publishing_file(&LARGE.1, &url, "sync=false stall-timeout=1");
    assert_fails(&pipeline, ResourceError::Write, "taken no data");
}

/// At the end of a stream as well, where nothing is pushed any more.
#[test]
fn a_server_that_never_reads_the_end() {
    let server = bad_server::never_reads();
    let url = server.url("live", "one");
    let properties =
        "sync=false stall-timeout=1 queue-bytes=100000000 queue-time=0 queue-policy=drop";
    let pipeline = publishing_file(&LARGE.1, &url, properties);
    assert_fails(&pipeline, ResourceError::Write, "taken no data");
}

#[test]
fn a_server_that_never_acknowledges() {
    let server = bad_server::never_acknowledges();
    let url = server.url("live", "one");
    let pipeline = publishing_file(&LARGE.1, &url, "sync=false");
    pipeline.play();
    pipeline.eos();
    let messages = server.outcome().expect("a stream");
    let sent = flvdump::read(&LARGE.1);
    let received = support::taker::packets(&messages);
    assert_eq!(received, sent);
}

const NO_LOCATION: &[(&str, gst::URIError)] = &[
    ("live/one", gst::URIError::BadUri),
    ("rtmp:/127.0.0.1/live/one", gst::URIError::BadUri),
    (
        "http://127.0.0.1/live/one",
        gst::URIError::UnsupportedProtocol,
    ),
    (
        "rtmpx://127.0.0.1/live/one",
        gst::URIError::UnsupportedProtocol,
    ),
    (
        "rtmfp://127.0.0.1/live/one",
        gst::URIError::UnsupportedProtocol,
    ),
    ("rtmp:///live/one", gst::URIError::BadUri),
    ("rtmp://ho\u{7}st/live/one", gst::URIError::BadUri),
    ("rtmp://[::1/live/one", gst::URIError::BadUri),
    ("rtmp://[::g]/live/one", gst::URIError::BadUri),
    ("rtmp://::1/live/one", gst::URIError::BadUri),
    ("rtmp://127.0.0.1:0/live/one", gst::URIError::BadUri),
    ("rtmp://127.0.0.1:65536/live/one", gst::URIError::BadUri),
    ("rtmp://127.0.0.1:port/live/one", gst::URIError::BadUri),
    ("rtmp://joe%zz@127.0.0.1/live/one", gst::URIError::BadUri),
    ("rtmp://127.0.0.1/live/one conn=X:1", gst::URIError::BadUri),
    (
        "rtmp://127.0.0.1/live/one timeout=soon",
        gst::URIError::BadUri,
    ),
];

#[test]
fn a_location_that_is_no_url() {
    init();
    for (location, code) in NO_LOCATION {
        let pipeline = publishing("rtmp://127.0.0.1/live/one", "");
        let sink = pipeline.element("sink");
        sink.set_property("location", location);
        assert_fails(&pipeline, ResourceError::Settings, "location");

        let sink = gst::ElementFactory::make("rtmpsink").build().expect("ours");
        let handler = sink.dynamic_cast_ref::<gst::URIHandler>().expect("one");
        let before = handler.uri();
        let error = handler.set_uri(location).expect_err(location);
        assert_eq!(error.kind(), Some(*code), "{location}: {error}");
        assert_eq!(handler.uri(), before, "{location}");
    }
}

#[test]
fn settings_that_make_no_sense() {
    for (properties, words) in [
        ("extra-connect-args=X:1", "extra-connect-args"),
        ("socks-proxy=nowhere:0", "socks-proxy"),
    ] {
        let pipeline = publishing("rtmp://127.0.0.1/live/one", properties);
        assert_fails(&pipeline, ResourceError::Settings, words);
    }
}

#[test]
fn what_is_no_flv() {
    let dir = tempdir().expect("a folder");
    let file = dir.path().join("film.flv");
    let junk: [&[u8]; 3] = [
        b"RIFF, which is no FLV but is long enough to be taken for one",
        &[0x47; 1000],
        &[0; 1000],
    ];
    for bytes in junk {
        fs::write(&file, bytes).expect("a writable folder");
        let server = taker();
        let pipeline = publishing_file(&file, &server.url("live", "one"), "");
        pipeline.play();
        let failure = pipeline.error_of("sink");
        assert_eq!(failure.error.kind(), Some(gst::StreamError::WrongType));
        failure.assert_sentence();
        pipeline.stop_at_once("after what is no FLV");
        assert_eq!(pipeline.errors_left("sink").len(), 0);
    }
}

/// What is whole arrives, and the end is an end.
#[test]
fn flv_that_is_cut_off() {
    let dir = tempdir().expect("a folder");
    let file = dir.path().join("film.flv");
    let film = FlvBuilder::new().metadata(640.0).headers().second(0);
    let film = film.bytes();
    for cut in [5, 13, 20, 100, 9000, film.len() - 15, film.len() - 1] {
        fs::write(&file, &film[..cut]).expect("a writable folder");
        let server = taker();
        let pipeline = publishing_file(&file, &server.url("live", "one"), "sync=false");
        pipeline.play();
        pipeline.eos();
        let taken = server.outcome().expect("a stream");
        let whole = match cut {
            5 => Vec::new(),
            _ => flvdump::read(&file),
        };
        let received = taken.packets();
        // The last tag may be whole and lack only the pointer back to it.
        assert!(received.starts_with(&whole) && received.len() <= whole.len() + 1);
        assert_eq!(pipeline.errors_left("sink").len(), 0, "{cut}");
    }
}

type Steps = fn(&mut Peer) -> io::Result<()>;

/// How far a server goes before it does nothing more, not even read.
const STAGES: &[(&str, Steps)] = &[
    ("accepted", |_| Ok(())),
    ("C0 and C1 read", |peer| peer.read_hello().map(|_| ())),
    ("in the middle of S1", |peer| {
        let answer = peer.read_hello()?;
        peer.send_bytes(&answer[..700])
    }),
    ("connect read", |peer| {
        peer.handshake()?;
        peer.expect("connect").map(|_| ())
    }),
    ("createStream read", |peer| {
        peer.handshake()?;
        peer.accept_connect()?;
        peer.expect("createStream").map(|_| ())
    }),
    ("publish read", |peer| {
        peer.handshake()?;
        peer.accept_connect()?;
        peer.accept_create_stream()?;
        peer.expect("publish").map(|_| ())
    }),
    // From here on the server owes nothing.
    ("publishing", |peer| {
        peer.accept_publish()?;
        (0..10).try_for_each(|_| peer.read_message().map(|_| ()))
    }),
];

/// A server that takes these steps, tells so and stalls.
fn stalls_after(steps: Steps) -> (Server<()>, mpsc::Receiver<()>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let server = Server::start(move |peer, _| {
        steps(peer)?;
        let told = tell.lock().expect("no panic").send(());
        told.map_err(|_| io::Error::from(ErrorKind::Interrupted))?;
        peer.stall()
    });
    (server, told)
}

#[test]
fn every_step_has_a_deadline() {
    for (stage, steps) in &STAGES[..6] {
        let (server, told) = stalls_after(*steps);
        let url = server.url("live", "one");
        fails(&url, ResourceError::OpenWrite, "did not answer in time");
        told.try_recv().expect(stage);
    }
}

#[test]
fn null_at_every_stage_at_once() {
    for (stage, steps) in STAGES {
        let (server, told) = stalls_after(*steps);
        let pipeline = publishing(&server.url("live", "one"), "");
        pipeline.play();
        told.recv_timeout(PATIENCE).expect(stage);
        pipeline.stop_at_once(stage);
        assert_eq!(pipeline.errors_left("sink").len(), 0, "{stage}");
    }
}

#[test]
fn null_at_once_while_nothing_answers() {
    let hole = BlackHole::new().expect("a socket");
    for properties in ["", "async-connect=false"] {
        let pipeline = publishing(&hole.url(), properties);
        pipeline.play();
        pipeline.progress("Connecting");
        pipeline.stop_at_once("while connecting");
        assert_eq!(pipeline.errors_left("sink").len(), 0);
    }
    // No step of it waits, be there data or not.
    let pipeline = publishing(&hole.url(), "");
    for state in [gst::State::Ready, gst::State::Paused, gst::State::Playing] {
        let begun = Instant::now();
        let _ = pipeline.pipeline.set_state(state);
        let took = begun.elapsed();
        assert!(took < AT_ONCE, "{state:?} took {took:?}");
    }
    pipeline.stop_at_once("in the middle of everything");
    let pipeline = publishing("rtmp://nowhere.invalid/live/one", "");
    pipeline.play();
    pipeline.progress("Connecting");
    pipeline.stop_at_once("while looking up a name");
}

#[test]
fn null_at_once_while_a_pipeline_waits() {
    let server = bad_server::never_reads();
    let url = server.url("live", "one");
    let pipeline = publishing_file(&LARGE.1, &url, "sync=false queue-policy=block");
    pipeline.play();
    let sink = pipeline.element("sink");
    wait_until("the queue is full", || {
        let stats = sink.property::<gst::Structure>("stats");
        stats.get::<u64>("queue-level-bytes").expect("a level") > 400_000
    });
    pipeline.stop_at_once("while the queue is full");
    assert_eq!(pipeline.errors_left("sink").len(), 0);
}

/// All is said, and the server does not close.
#[test]
fn null_at_once_at_the_end() {
    let (server, told) = stalls_after(|peer| {
        peer.accept_publish()?;
        peer.expect("deleteStream").map(|_| ())
    });
    let pipeline = publishing(&server.url("live", "one"), "sync=false");
    pipeline.play();
    told.recv_timeout(PATIENCE).expect("deleteStream");
    pipeline.stop_at_once("while the server takes its leave");
    assert_eq!(pipeline.errors_left("sink").len(), 0);
}

#[test]
fn a_player_that_cannot_be_fetched() {
    let web = bad_server::http();
    let swf = format!("http://127.0.0.1:{}/player.swf", web.port());
    let properties = format!("timeout=1 swf-verify=true swf-url={swf}");
    let pipeline = publishing("rtmp://127.0.0.1:9/live/one", &properties);
    assert_fails(&pipeline, ResourceError::OpenWrite, "400");
}

#[test]
fn null_at_once_while_a_player_is_fetched() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("its address").port();
    let properties = format!("swf-verify=true swf-url=http://127.0.0.1:{port}/player.swf");
    let pipeline = publishing("rtmp://127.0.0.1:9/live/one", &properties);
    pipeline.play();
    let _web = listener.accept().expect("a request");
    pipeline.stop_at_once("while a player is fetched");
    assert_eq!(pipeline.errors_left("sink").len(), 0);
}
