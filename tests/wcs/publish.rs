// SPDX-License-Identifier: MPL-2.0

//! Publishing.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use gst::prelude::*;

use crate::{
    codecs::CODECS,
    media::{Frames, assert_part_of, missing, nick, note},
    server::{Habits, Reply, Server},
    support::{pipeline::Pipeline, process::PATIENCE},
    watch::{PICTURE, TONE, publisher, wait_for, wait_for_frames, wait_for_status, wait_until},
};

#[test]
fn picture_and_sound_arrive_as_they_were_sent() {
    let server = Server::new(Habits::default());
    let pipeline = publisher(&server, "", &format!("{PICTURE} ! wcs. {TONE} ! wcs."));
    let (video, audio) = (Frames::default(), Frames::default());
    let encoder = pipeline.pipeline.by_name("encoder").unwrap();
    note(&encoder.static_pad("src").unwrap(), &video);
    let tone = pipeline.pipeline.by_name("tone").unwrap();
    note(&tone.static_pad("src").unwrap(), &audio);
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    let state = wait_for_status(&pipeline, "PUBLISHING");
    assert_eq!(state.get::<&str>("video-codec"), Ok("VP8"));
    wait_for_frames(&server.seen().video, 30);
    wait_for_frames(&server.seen().audio, 30);
    let wcs = pipeline.pipeline.by_name("wcs").unwrap();
    let stats: gst::Structure = wcs.property("stats");
    assert_eq!(stats.get::<&str>("stream-status"), Ok("publishing"));
    assert_eq!(stats.get::<u32>("starts"), Ok(1));
    assert!(
        stats.get::<u64>("messages-received").unwrap() >= 4,
        "{stats}"
    );
    assert!(stats.get::<gst::Structure>("webrtc").is_ok(), "{stats}");
    pipeline.pipeline.set_state(gst::State::Null).unwrap();
    let end = server.wait_for("unPublishStream");
    let asked = server.wait_for("publishStream");
    assert_eq!(end["mediaSessionId"], asked["mediaSessionId"]);
    assert_eq!(end["status"], "PUBLISHING");
    assert_eq!(
        (&asked["hasVideo"], &asked["hasAudio"]),
        (&true.into(), &true.into())
    );
    assert_part_of(&server.seen().video.lock().unwrap(), &video.lock().unwrap());
    assert_part_of(&server.seen().audio.lock().unwrap(), &audio.lock().unwrap());
}

/// Publishes what this chain makes, whose pad is found by the caps, to a server that takes this codec and
/// no other.
#[track_caller]
fn arrives_as_it_was_sent(codec: &'static [&'static str; 1], chain: &str) {
    let server = Server::new(Habits {
        codecs: codec,
        ..Habits::default()
    });
    let pipeline = publisher(&server, "", &format!("{chain} ! wcs."));
    let sent = Frames::default();
    let encoder = pipeline.element("encoder");
    note(&encoder.static_pad("src").unwrap(), &sent);
    pipeline.play();
    wait_for_status(&pipeline, "PUBLISHING");
    let is_video = chain.starts_with("video");
    let seen = server.seen();
    let came = if is_video { &seen.video } else { &seen.audio };
    wait_for_frames(came, 20);
    pipeline.stop();
    println!(
        "{codec:?}: {} of {}",
        came.lock().unwrap().len(),
        sent.lock().unwrap().len()
    );
    assert_part_of(&came.lock().unwrap(), &sent.lock().unwrap());
}

#[test]
fn every_codec_arrives_as_it_was_sent() {
    for codec in &CODECS {
        arrives_as_it_was_sent(std::array::from_ref(&codec.rtp), codec.chain);
    }
    let openh264 = "videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=30/1 ! \
                    openh264enc name=encoder gop-size=3000";
    arrives_as_it_was_sent(&["H264"], openh264);
}

/// An answer without retransmission streams asks for the lost packet itself.
#[test]
fn what_is_lost_on_the_way_is_sent_again() {
    let server = Server::new(Habits {
        loses: Some(10),
        ..Habits::default()
    });
    let pipeline = publisher(&server, "", &format!("{PICTURE} ! wcs."));
    let sent = Frames::default();
    note(
        &pipeline.element("encoder").static_pad("src").unwrap(),
        &sent,
    );
    pipeline.play();
    wait_for_status(&pipeline, "PUBLISHING");
    wait_for_frames(&server.seen().video, 120);
    let lost = server.seen().lost.load(Ordering::SeqCst);
    pipeline.stop();
    let missing = missing(&server.seen().video.lock().unwrap(), &sent.lock().unwrap());
    println!("{lost} packets were lost, {missing} frames are missing");
    assert!(lost >= 5, "{lost}");
    // A frame is a packet or two. One that a busy machine sends again too late is no wonder.
    assert!(missing * 4 <= lost, "{missing} of {lost}");
}

#[test]
fn a_key_frame_that_the_server_asks_for_is_made() {
    let server = Server::new(Habits::default());
    let pipeline = publisher(&server, "", &format!("{PICTURE} ! wcs."));
    let keys = Arc::new(AtomicUsize::new(0));
    let count = keys.clone();
    let encoded = pipeline.element("encoder").static_pad("src").unwrap();
    encoded.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if !info
            .buffer()
            .unwrap()
            .flags()
            .contains(gst::BufferFlags::DELTA_UNIT)
        {
            count.fetch_add(1, Ordering::SeqCst);
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.play();
    wait_for_status(&pipeline, "PUBLISHING");
    wait_for_frames(&server.seen().video, 10);
    for _ in 0..3 {
        let before = keys.load(Ordering::SeqCst);
        let pads = server.seen().depayloaded.lock().unwrap().clone();
        let ask = gst::Structure::builder("GstForceKeyUnit").field("all-headers", true);
        assert!(pads[0].send_event(gst::event::CustomUpstream::new(ask.build())));
        wait_until("a key frame", || keys.load(Ordering::SeqCst) > before);
        let so_far = server.seen().video.lock().unwrap().len();
        wait_for_frames(&server.seen().video, so_far + 5);
    }
}

/// The encoder behind a pad is another from one moment to the next.
#[test]
fn a_stream_that_changes_its_codec_is_published_anew() {
    let server = Server::new(Habits {
        codecs: &["VP8", "VP9"],
        ..Habits::default()
    });
    let (vp8, vp9) = (
        CODECS[0].chain,
        CODECS[1].chain.replace("name=encoder", "name=other"),
    );
    let chains = format!("input-selector name=s ! wcs.video_0 {vp8} ! s.sink_0 {vp9} ! s.sink_1");
    let pipeline = publisher(&server, "", &chains);
    let (first, second) = (Frames::default(), Frames::default());
    note(
        &pipeline.element("encoder").static_pad("src").unwrap(),
        &first,
    );
    note(
        &pipeline.element("other").static_pad("src").unwrap(),
        &second,
    );
    let selector = pipeline.element("s");
    let pad = |name: &str| selector.static_pad(name).unwrap();
    selector.set_property("active-pad", pad("sink_0"));
    pipeline.play();
    wait_for_status(&pipeline, "PUBLISHING");
    wait_for_frames(&server.seen().video, 10);
    selector.set_property("active-pad", pad("sink_1"));
    let asked = server.wait_for_nth("publishStream", 1);
    assert!(
        asked["sdp"].as_str().unwrap().contains("VP9/90000"),
        "{asked}"
    );
    wait_for_status(&pipeline, "PUBLISHING");
    let so_far = server.seen().video.lock().unwrap().len();
    wait_for_frames(&server.seen().video, so_far + 10);
    pipeline.stop();
    let came = server.seen().video.lock().unwrap().clone();
    let sent = second.lock().unwrap().clone();
    let at = came
        .iter()
        .position(|frame| sent.contains(frame))
        .expect("VP9");
    assert_part_of(&came[..at], &first.lock().unwrap());
    assert_part_of(&came[at..], &sent);
}

/// Who is muted when the server comes back is muted there too.
#[test]
fn what_is_muted_stays_so_in_the_next_session() {
    let server = Server::new(Habits {
        hang_up_after: Some(std::time::Duration::from_millis(500)),
        ..Habits::default()
    });
    let pipeline = publisher(&server, "reconnect-delay=10", &format!("{PICTURE} ! wcs."));
    pipeline.play();
    wait_for_status(&pipeline, "PUBLISHING");
    let wcs = pipeline.element("wcs");
    assert!(wcs.emit_by_name::<bool>("mute", &[&"video", &true]));
    let first = server.wait_for("publishStream")["mediaSessionId"].clone();
    // The server may hear of it more than once there, and comes back with another call.
    let events = (0..).map(|nth| server.wait_for_nth("sendStreamEvent", nth));
    let mut events = events.inspect(|event| assert_eq!(event["type"], "videoMuted"));
    assert!(events.any(|event| event["mediaSessionId"] != first));
}

/// Two elements with the same `session` make one connection, each with its own stream.
#[test]
fn elements_share_a_session() {
    let server = Server::new(Habits::default());
    let uri = server.uri();
    let common = format!("uri={uri} session=shared local-address=127.0.0.1");
    let pipeline = Pipeline::launch(&format!(
        "wcswebrtcbin name=wcs {common} stream-name=one action=publish {PICTURE} ! wcs. \
         wcswebrtcbin name=tones {common} stream-name=two action=publish {TONE} ! tones. \
         wcswebrtcbin {common} stream-name=three action=play audio=false ! fakesink name=sink sync=false"
    ));
    let played = Frames::default();
    note(
        &pipeline.element("sink").static_pad("sink").unwrap(),
        &played,
    );
    pipeline.play();
    wait_for_frames(&server.seen().video, 10);
    wait_for_frames(&server.seen().audio, 10);
    wait_for_frames(&played, 10);
    // One of them leaves, and the others stay.
    let wcs = pipeline.element("tones");
    assert!(wcs.emit_by_name::<bool>("unpublish", &[]));
    assert_eq!(server.wait_for("unPublishStream")["name"], "two");
    let so_far = server.seen().video.lock().unwrap().len();
    wait_for_frames(&server.seen().video, so_far + 10);
    let heard = server.heard();
    let count = |name: &str| heard.iter().filter(|heard| *heard == name).count();
    assert_eq!(
        (
            count("connection"),
            count("publishStream"),
            count("playStream")
        ),
        (1, 2, 1)
    );
    pipeline.stop();
    assert_part_of(&played.lock().unwrap(), &server.seen().sent.lock().unwrap());
}

/// Every message that a server may send about a stream, and what the application sees of it.
#[test]
fn what_the_server_says_is_told() {
    let said = [
        r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"ID","status":"PUBLISHING","name":"demo"}]}"#,
        r#"{"message":"notifyAudioCodec","data":["ID",{"name":"opus"}]}"#,
        r#"{"message":"notifyVideoFormat","data":[{"mediaSessionId":"ID","status":"RESIZE","streamerVideoWidth":640,"streamerVideoHeight":360}]}"#,
        r#"{"message":"inboundVideoRate","data":[{"mediaSessionId":"ID","videoRate":512000,"fps":30,"nack":1,"pli":2,"lostPackets":-3,"width":640,"height":360}]}"#,
        r#"{"message":"outboundVideoRate","data":[{"mediaSessionId":"ID","videoRate":1}]}"#,
        r#"{"message":"notifyStreamEvent","data":[{"mediaSessionId":"ID","type":"resize","payload":{"streamerVideoWidth":640}}]}"#,
        r#"{"message":"fail","data":[{"apiMethod":"snapshot","info":"No room"}]}"#,
        r#"{"message":"OnDataEvent","data":[{"payload":1}]}"#,
        r#"{"message":"notifyTryingResponse","data":["of SIP"]}"#,
        r#"{"message":"pong","data":[null]}"#,
        r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"ID","status":"PLAYBACK_PROBLEM","info":"slow"}]}"#,
    ];
    let server = Server::new(Habits {
        start: Reply::Say(said.map(str::to_owned).into()),
        ..Habits::default()
    });
    let pipeline = publisher(&server, "", &format!("{PICTURE} ! wcs."));
    pipeline.play();
    assert_eq!(
        wait_for(&pipeline, "wcs-version", |_| true).get("version"),
        Ok("5.2.0-test")
    );
    wait_for_status(&pipeline, "PUBLISHING");
    assert_eq!(
        wait_for(&pipeline, "wcs-audio-codec", |_| true).get("name"),
        Ok("opus")
    );
    let format = wait_for(&pipeline, "wcs-video-format", |_| true);
    assert_eq!(
        (format.get("width"), format.get("height")),
        (Ok(640_u64), Ok(360_u64))
    );
    let rate = wait_for(&pipeline, "wcs-inbound-video-rate", |_| true);
    assert_eq!(rate.get("video-rate"), Ok(512_000_u64));
    assert_eq!(rate.get("lost-packets"), Ok(-3_i64));
    wait_for(&pipeline, "wcs-outbound-video-rate", |_| true);
    assert_eq!(
        wait_for(&pipeline, "wcs-stream-event", |_| true).get("type"),
        Ok("resize")
    );
    wait_for(&pipeline, "wcs-data", |_| true);
    let other = wait_for(&pipeline, "wcs-message", |_| true);
    assert_eq!(other.get("name"), Ok("notifyTryingResponse"));
    let problem = wait_for_status(&pipeline, "PLAYBACK_PROBLEM");
    assert_eq!(problem.get("info"), Ok("slow"));
    let wcs = pipeline.element("wcs");
    wait_until("a problem", || {
        nick(&wcs, "stream-status") == "playback-problem"
    });
    assert_eq!(wcs.property::<String>("info"), "slow");
    // The server asks whether we are there.
    server.wait_for("pong");
    assert!(wcs.emit_by_name::<bool>("snapshot", &[]));
    let taken = wait_for(&pipeline, "wcs-stream-event", |_| true);
    assert_eq!(taken.get("type"), Ok("snapshotCompleted"));
}

#[test]
fn rtp_goes_through_as_it_is() {
    let server = Server::new(Habits::default());
    let chain = format!("{PICTURE} ! rtpvp8pay pt=97 ! wcs.sink_0");
    let pipeline = publisher(&server, "record=true bitrate=300", &chain);
    let video = Frames::default();
    let encoder = pipeline.pipeline.by_name("encoder").unwrap();
    note(&encoder.static_pad("src").unwrap(), &video);
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_status(&pipeline, "PUBLISHING");
    wait_for_frames(&server.seen().video, 20);
    pipeline.pipeline.set_state(gst::State::Null).unwrap();
    let asked = server.wait_for("publishStream");
    assert_eq!(
        (&asked["record"], &asked["bitrate"]),
        (&true.into(), &300.into())
    );
    assert_eq!(
        (&asked["hasVideo"], &asked["hasAudio"]),
        (&true.into(), &false.into())
    );
    assert!(
        asked["sdp"]
            .as_str()
            .unwrap()
            .contains("a=rtpmap:97 VP8/90000")
    );
    assert_part_of(&server.seen().video.lock().unwrap(), &video.lock().unwrap());
}

#[test]
fn the_end_of_the_streams_ends_the_call_and_the_pipeline() {
    let server = Server::new(Habits::default());
    let chain = PICTURE.replace("is-live=true", "is-live=true num-buffers=60");
    let pipeline = publisher(&server, "", &format!("{chain} ! wcs."));
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.pipeline.bus().unwrap();
    let timeout = gst::ClockTime::from_seconds(PATIENCE.as_secs());
    let message =
        bus.timed_pop_filtered(timeout, &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert_eq!(message.expect("an end").type_(), gst::MessageType::Eos);
    assert!(server.heard().contains(&"unPublishStream".to_owned()));
}

#[test]
fn signals_publish_mute_and_ask() {
    let server = Server::new(Habits::default());
    let pipeline = Pipeline::launch(&format!(
        "wcswebrtcbin name=wcs uri={} local-address=127.0.0.1 {PICTURE} ! wcs.",
        server.uri()
    ));
    let wcs = pipeline.pipeline.by_name("wcs").unwrap();
    assert!(
        !wcs.emit_by_name::<bool>("publish", &[&"demo"]),
        "before PAUSED"
    );
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    assert!(wcs.emit_by_name::<bool>("publish", &[&"demo"]));
    wait_for_status(&pipeline, "PUBLISHING");
    for (name, there) in [("demo", true), ("other", false)] {
        let id = wcs.emit_by_name::<Option<String>>("query-available", &[&name]);
        let answer = wait_for(&pipeline, "wcs-available", |_| true);
        assert_eq!(answer.get::<String>("id").ok(), id);
        assert_eq!(answer.get::<bool>("available"), Ok(there));
    }
    let event = |kind: &str| {
        let structure = wait_for(&pipeline, "wcs-stream-event", |_| true);
        assert_eq!(structure.get::<&str>("type"), Ok(kind));
        structure.get::<String>("payload").unwrap()
    };
    assert!(wcs.emit_by_name::<bool>("mute", &[&"video", &true]));
    event("videoMuted");
    assert!(wcs.emit_by_name::<bool>("mute", &[&"video", &false]));
    event("videoUnmuted");
    assert!(
        !wcs.emit_by_name::<bool>("mute", &[&"audio", &true]),
        "no sound"
    );
    assert!(wcs.emit_by_name::<bool>("send-data", &[&r#"{"a":1}"#]));
    assert_eq!(event("data"), r#"{"a":1}"#);
    let id = wcs.emit_by_name::<Option<String>>("send-app-data", &[&"hello"]);
    let status = wait_for(&pipeline, "wcs-data-status", |_| true);
    assert_eq!(status.get::<String>("id").ok(), id);
    let data = wait_for(&pipeline, "wcs-data", |_| true);
    assert_eq!(data.get::<&str>("payload"), Ok("\"hello\""));
    assert!(wcs.emit_by_name::<bool>("unpublish", &[]));
    wait_for_status(&pipeline, "UNPUBLISHED");
    // And once more, under another name.
    assert!(wcs.emit_by_name::<bool>("publish", &[&"again"]));
    wait_for_status(&pipeline, "PUBLISHING");
    assert_eq!(server.wait_for_nth("publishStream", 1)["name"], "again");
}

#[test]
fn what_the_server_does_not_take_is_left_out() {
    let habits = Habits {
        mangle: Arc::new(|sdp| {
            // It rejects the sound, as long as that is not all there is.
            match sdp.split_once("m=audio 9") {
                Some((before, after)) if before.contains("m=video") => {
                    format!("{before}m=audio 0{after}")
                }
                _ => sdp,
            }
        }),
        ..Habits::default()
    };
    let server = Server::new(habits);
    let pipeline = publisher(&server, "", &format!("{PICTURE} ! wcs. {TONE} ! wcs."));
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_status(&pipeline, "PUBLISHING");
    wait_for_frames(&server.seen().video, 5);
    let asked = server.wait_for_nth("publishStream", 1);
    assert_eq!(
        (&asked["hasVideo"], &asked["hasAudio"]),
        (&true.into(), &false.into())
    );
    assert!(server.seen().audio.lock().unwrap().is_empty());
}
