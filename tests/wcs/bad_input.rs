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
    let bus = pipeline.pipeline.bus().unwrap();
    let wanted = [gst::MessageType::Warning, gst::MessageType::Error];
    let timeout = gst::ClockTime::from_seconds(PATIENCE.as_secs());
    let message = bus.timed_pop_filtered(timeout, &wanted).expect("a word");
    let gst::MessageView::Warning(warning) = message.view() else {
        panic!("{message:?}");
    };
    let text = warning.error().message().to_owned();
    assert!(
        text.starts_with(char::is_uppercase) && text.ends_with('.'),
        "{text}"
    );
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
    wait_for_frames(&server.seen().video, 40);
    let wcs = pipeline.pipeline.by_name("wcs").unwrap();
    let stats: gst::Structure = wcs.property("stats");
    let count = |name: &str| stats.get::<u64>(name).unwrap();
    assert!(count("messages-untold") > 1000, "{stats}");
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
