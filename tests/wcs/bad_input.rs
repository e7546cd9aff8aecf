// SPDX-License-Identifier: MPL-2.0

//! Servers that misbehave, at each step. The pipeline around the element goes on.

use std::{sync::Arc, time::Duration};

use gst::prelude::*;

use crate::{
    media::{Frames, nick, note},
    server::{Habits, Reply, Server},
    support::{
        certificates::{Authority, For},
        pipeline::Pipeline,
        process::PATIENCE,
    },
    watch::{PICTURE, publisher, wait_for, wait_for_frames, wait_for_status},
};

/// The first warning; no error comes before.
#[track_caller]
pub(crate) fn warning(pipeline: &Pipeline) -> String {
    let message = pipeline.message(&[gst::MessageType::Warning, gst::MessageType::Error]);
    let gst::MessageView::Warning(warning) = message.view() else {
        panic!("{message:?}");
    };
    let text = warning.error().message().to_owned();
    assert!(
        // It may begin with an address.
        !text.starts_with(char::is_lowercase) && text.ends_with('.'),
        "{text}"
    );
    text
}

/// Publishes beside another branch of the same picture, once, and hands over what went wrong.
#[track_caller]
fn warning_of(habits: Habits, more: &str) -> String {
    let server = Server::new(habits);
    let chain = format!(
        "{PICTURE} ! tee name=t t. ! queue ! wcs. t. ! queue ! fakesink name=other sync=false"
    );
    let more = format!("reconnect=false {more}");
    let pipeline = publisher(&server, &more, &chain);
    let other = Frames::default();
    let sink = pipeline.pipeline.by_name("other").unwrap();
    note(&sink.static_pad("sink").unwrap(), &other);
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    let text = warning(&pipeline);
    // The other branch still gets its frames.
    let so_far = other.lock().unwrap().len();
    wait_for_frames(&other, so_far + 10);
    text
}

fn with(change: impl FnOnce(&mut Habits)) -> Habits {
    let mut habits = Habits::default();
    change(&mut habits);
    habits
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let text = warning_of(with(|h| h.greeting = Reply::Silence), "session-timeout=200");
    assert!(text.contains("did not establish the session"), "{text}");
    let text = warning_of(with(|h| h.answer = Reply::Silence), "answer-timeout=200");
    assert!(text.contains("did not answer within"), "{text}");
    let text = warning_of(with(|h| h.start = Reply::Silence), "start-timeout=1500");
    assert!(text.contains("did not start within"), "{text}");
}

#[test]
fn a_server_that_hangs_up_is_told() {
    for habits in [
        with(|h| h.greeting = Reply::Cut),
        with(|h| h.answer = Reply::Cut),
        with(|h| h.start = Reply::Cut),
        with(|h| h.hang_up_after = Some(Duration::ZERO)),
    ] {
        let text = warning_of(habits, "");
        assert!(text.contains("closed the connection"), "{text}");
    }
}

#[test]
fn a_stream_that_fails_fails_in_the_servers_words() {
    for habits in [
        with(|h| h.answer = Reply::Fail("Stream name is already in use")),
        with(|h| h.start = Reply::Fail("Stream name is already in use")),
    ] {
        let text = warning_of(habits, "");
        assert_eq!(text, "The stream failed: Stream name is already in use.");
    }
}

#[test]
fn a_session_that_is_refused_is_given_up_at_once() {
    let refusal =
        r#"{"message":"getUserData","data":[{"status":"FAILED","info":"Restricted access"}]}"#;
    // Whatever `reconnect` says.
    let text = warning_of(
        with(|h| h.greeting = Reply::Say(vec![refusal.to_owned()])),
        "reconnect=true",
    );
    assert!(text.contains("Restricted access"), "{text}");
}

#[test]
fn a_stream_that_fails_later_fails_in_the_servers_words() {
    for ended in [
        r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"ID","status":"FAILED","info":"Failed by RTP activity"}]}"#,
        r#"{"message":"fail","data":[{"apiMethod":"StreamStatusEvent","id":"ID","info":"Failed by RTP activity"}]}"#,
    ] {
        let text = warning_of(with(|h| h.flood = Some(ended.to_owned())), "");
        assert_eq!(text, "The stream failed: Failed by RTP activity.");
    }
}

/// It says that it has the stream, and there is no way for it to have any of it.
#[test]
fn a_server_that_only_says_that_it_flows_is_found_out() {
    let habits = with(|h| {
        h.is_hasty = true;
        h.mangle = Arc::new(|sdp| {
            let lines = sdp.lines().filter(|line| !line.starts_with("a=candidate"));
            lines
                .map(|line| line.replace("ice-pwd:", "ice-pwd:x") + "\r\n")
                .collect()
        });
    });
    let text = warning_of(habits, "start-timeout=1000");
    assert!(
        text.contains("no way for media was found within 1s"),
        "{text}"
    );
}

#[test]
fn a_server_that_plays_nothing_is_found_out() {
    let server = Server::new(with(|h| h.sends_nothing = true));
    let pipeline = crate::play::player(
        &server,
        "audio=false reconnect=false start-timeout=3000 ! fakesink async=false sync=false",
    );
    pipeline.play();
    let text = warning(&pipeline);
    assert!(text.contains("sent none of it within 3s"), "{text}");
}

/// It neither answers pings nor hangs up.
#[test]
fn a_server_that_falls_silent_is_found_out() {
    let text = warning_of(
        with(|h| h.falls_silent = true),
        "ping-interval=1 ping-probes=1",
    );
    assert!(text.contains("has been silent for"), "{text}");
}

#[test]
fn a_message_that_is_too_long_ends_the_session() {
    let text = "x".repeat(2 << 20);
    let text = warning_of(with(|h| h.start = Reply::Say(vec![text])), "");
    assert!(text.contains("more than 1048576 bytes"), "{text}");
}

/// Both sides wait for the other to begin, or both begin.
#[test]
fn a_server_that_is_wrong_about_who_begins_is_given_up() {
    let habits = with(|h| {
        h.mangle = Arc::new(|sdp| sdp.replace("a=mid:", "a=setup:passive\r\na=mid:"));
    });
    let text = warning_of(habits, "start-timeout=3000");
    let words = [
        "media connection broke",
        "No way for media",
        "did not start",
    ];
    assert!(words.iter().any(|words| text.contains(words)), "{text}");
}

/// At each step of a call, with a server that says nothing more, NULL is reached at once.
#[test]
fn nobody_waits_for_a_server_that_says_nothing() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("ws://{}", silent.local_addr().unwrap());
    let pipeline = Pipeline::launch(&format!(
        "wcswebrtcbin name=wcs uri={uri} stream-name=demo action=publish {PICTURE} ! wcs."
    ));
    pipeline.play();
    let socket = silent.accept().unwrap();
    pipeline.stop_at_once("at the opening");
    drop(socket);
    for (stage, heard, habits) in [
        (
            "at the greeting",
            "connection",
            with(|h| h.greeting = Reply::Silence),
        ),
        (
            "at the offer",
            "publishStream",
            with(|h| h.answer = Reply::Silence),
        ),
        (
            "at the start",
            "publishStream",
            with(|h| h.start = Reply::Silence),
        ),
        (
            "while it runs",
            "publishStream",
            with(|h| h.end = Reply::Silence),
        ),
    ] {
        let server = Server::new(habits);
        let pipeline = publisher(&server, "", &format!("{PICTURE} ! wcs."));
        pipeline.play();
        server.wait_for(heard);
        if stage == "while it runs" {
            wait_for_frames(&server.seen().video, 5);
        }
        pipeline.stop_at_once(stage);
    }
}

#[test]
fn an_end_that_is_not_confirmed_is_one_all_the_same() {
    let server = Server::new(with(|h| h.end = Reply::Silence));
    let pipeline = publisher(&server, "end-timeout=200", &format!("{PICTURE} ! wcs."));
    pipeline.play();
    wait_for_status(&pipeline, "PUBLISHING");
    let wcs = pipeline.element("wcs");
    assert!(wcs.emit_by_name::<bool>("unpublish", &[]));
    server.wait_for("unPublishStream");
    crate::watch::wait_until("the end", || nick(&wcs, "stream-status") == "stopped");
}

#[test]
fn garbage_is_passed_over() {
    let garbage = |well: &[&str]| {
        let mut texts: Vec<_> = [
            "{", "null", "[]", "{}", "{\"message\":7}", "\u{0}", "[[[[[[[[", "{\"message\":\"\"}",
            "{\"message\":\"setRemoteSDP\"}",
            "{\"message\":\"setRemoteSDP\",\"data\":[\"nobody\",\"v=0\"]}",
            "{\"message\":\"notifyStreamStatusEvent\",\"data\":[{\"mediaSessionId\":\"nobody\",\"status\":\"FAILED\"}]}",
            "{\"message\":\"notifyStreamStatusEvent\",\"data\":[{\"mediaSessionId\":\"ID\",\"status\":\"DANCING\"}]}",
            "{\"message\":\"notifyVideoFormat\",\"data\":[{\"mediaSessionId\":\"ID\",\"streamerVideoWidth\":-1}]}",
            "{\"message\":\"inboundVideoRate\",\"data\":[{\"mediaSessionId\":\"ID\",\"videoRate\":\"many\"}]}",
            "{\"message\":\"ping\"}",
            "{\"message\":\"ping\",\"data\":{}}",
            "{\"message\":\"setRemoteSDP\",\"data\":[{\"sdp\":1}]}",
            "{\"message\":\"notifyStreamStatusEvent\",\"data\":[[[]]]}",
            "{\"message\":\"notifyAudioCodec\",\"data\":[7,7]}",
            "{\"message\":\"availableStream\",\"data\":[{\"id\":\"never asked\",\"status\":1e300}]}",
            "{\"message\":\"fail\",\"data\":[{\"apiMethod\":\"StreamStatusEvent\",\"id\":\"nobody\"}]}",
            "{\"message\":\"DataStatusEvent\",\"data\":[{\"operationId\":[]}]}",
        ]
        .iter()
        .map(|text| (*text).to_owned())
        .collect();
        texts.extend(well.iter().map(|text| (*text).to_owned()));
        Reply::Say(texts)
    };
    let habits = with(|h| {
        h.greeting = garbage(&[
            "{\"message\":\"getUserData\",\"data\":[{\"status\":\"ESTABLISHED\"}]}",
            "{\"message\":\"getUserData\",\"data\":[{\"status\":\"FAILED\"}]}",
        ]);
        h.start = garbage(&[
            "{\"message\":\"notifyStreamStatusEvent\",\"data\":[{\"mediaSessionId\":\"ID\",\"status\":\"PUBLISHING\"}]}",
            "{\"message\":\"setRemoteSDP\",\"data\":[\"ID\",\"v=0 again\"]}",
        ]);
    });
    let server = Server::new(habits);
    let pipeline = publisher(&server, "", &format!("{PICTURE} ! wcs."));
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_status(&pipeline, "PUBLISHING");
    wait_for_frames(&server.seen().video, 10);
}

#[test]
fn an_answer_that_cannot_be_used_says_why() {
    let mangled = |mangle: fn(String) -> String| with(|h| h.mangle = Arc::new(mangle));
    for (habits, words) in [
        (mangled(|_| String::new()), "has no media"),
        (mangled(|_| "hello".into()), "has no media"),
        (
            mangled(|sdp| sdp.replace("m=video 9", "m=video 0")),
            "No common codecs",
        ),
        (
            mangled(|sdp| sdp.replace("m=video", "m=audio")),
            "audio where video was offered",
        ),
        (
            mangled(|sdp| sdp.replace("a=fingerprint", "a=fingers")),
            "no fingerprint",
        ),
        (
            mangled(|sdp| sdp.replace("a=ice-pwd", "a=ice-cream")),
            "no ICE credentials",
        ),
    ] {
        let text = warning_of(habits, "");
        assert!(text.contains(words), "{text}");
    }
}

#[test]
fn a_certificate_that_was_not_promised_gets_no_media() {
    let habits = with(|h| {
        h.mangle = Arc::new(|sdp| {
            let (before, after) = sdp.split_once("SHA-256 ").unwrap();
            let other = if after.starts_with("00") { "11" } else { "00" };
            format!("{before}SHA-256 {other}{}", &after[2..])
        });
    });
    let server = Server::new(habits);
    let pipeline = publisher(&server, "", &format!("{PICTURE} ! wcs."));
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.pipeline.bus().unwrap();
    let timeout = gst::ClockTime::from_seconds(PATIENCE.as_secs());
    let message = bus
        .timed_pop_filtered(timeout, &[gst::MessageType::Warning])
        .expect("a warning");
    let gst::MessageView::Warning(warning) = message.view() else {
        panic!();
    };
    let text = warning.error().message().to_owned();
    assert!(text.contains("Failed by DTLS fingerprint error"), "{text}");
    pipeline.pipeline.set_state(gst::State::Null).unwrap();
    assert!(server.seen().video.lock().unwrap().is_empty());
}

#[test]
fn a_flood_leaves_the_pipeline_and_the_bus_alone() {
    let habits = with(|h| {
        let text =
            r#"{"message":"inboundVideoRate","data":[{"mediaSessionId":"ID","videoRate":1}]}"#;
        h.flood = Some(text.to_owned());
    });
    let server = Server::new(habits);
    let pipeline = publisher(&server, "", &format!("{PICTURE} ! wcs."));
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_status(&pipeline, "PUBLISHING");
    let wcs = pipeline.pipeline.by_name("wcs").unwrap();
    let begun = std::time::Instant::now();
    let received = || {
        let stats: gst::Structure = wcs.property("stats");
        stats.get::<u64>("messages-received").unwrap()
    };
    crate::watch::wait_until("a hundred thousand messages", || received() >= 100_000);
    println!(
        "{:.0} messages a second",
        1e5 / begun.elapsed().as_secs_f64()
    );
    let so_far = server.seen().video.lock().unwrap().len();
    wait_for_frames(&server.seen().video, so_far + 40);
    let stats: gst::Structure = wcs.property("stats");
    let count = |name: &str| stats.get::<u64>(name).unwrap();
    assert!(count("messages-untold") > 90_000, "{stats}");
    assert_eq!(nick(&wcs, "stream-status"), "publishing");
    let bus = pipeline.pipeline.bus().unwrap();
    let waiting = std::iter::from_fn(|| bus.pop()).count();
    assert!(waiting < 5000, "{waiting} messages");
}

#[test]
fn a_certificate_of_nobody_is_refused() {
    let authority = Authority::new("Nobody");
    let certificate = authority.issue(For::Server, &["127.0.0.1"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let tls = gstrtmp::net::tls::ServerTls {
        cert: certificate.certificate.clone(),
        key: certificate.key.clone(),
        client_ca: None,
    };
    let config = tls.server_config().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut tls = rustls::ServerConnection::new(config).unwrap();
        let mut stream = rustls::Stream::new(&mut tls, &mut socket);
        assert!(std::io::Read::read(&mut stream, &mut [0; 64]).is_err());
    });
    let pipeline = Pipeline::launch(&format!(
        "wcswebrtcbin name=wcs uri=wss://{address} stream-name=demo action=play on-failure=error ! fakesink"
    ));
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.pipeline.bus().unwrap();
    let timeout = gst::ClockTime::from_seconds(PATIENCE.as_secs());
    let message = bus
        .timed_pop_filtered(timeout, &[gst::MessageType::Error])
        .expect("an error");
    let gst::MessageView::Error(error) = message.view() else {
        panic!();
    };
    assert_eq!(
        error.error().kind::<gst::ResourceError>(),
        Some(gst::ResourceError::NotAuthorized),
        "{error:?}"
    );
    pipeline.pipeline.set_state(gst::State::Null).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_lost_server_is_found_again() {
    let habits = with(|h| h.hang_up_after = Some(Duration::from_millis(300)));
    let server = Server::new(habits);
    let more = "reconnect-delay=10";
    let pipeline = publisher(&server, more, &format!("{PICTURE} ! wcs."));
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    for _ in 0..3 {
        wait_for_status(&pipeline, "PUBLISHING");
        let retry = wait_for(&pipeline, "wcs-retry", |_| true);
        assert_eq!(retry.get::<&str>("what"), Ok("session"));
        assert!(retry.get::<u64>("pause").unwrap() < 100);
    }
    assert!(!server.seen().video.lock().unwrap().is_empty());
}
