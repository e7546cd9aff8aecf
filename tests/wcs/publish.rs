// SPDX-License-Identifier: MPL-2.0

//! Publishing.

use gst::prelude::*;

use crate::{
    media::{Frames, assert_part_of, note},
    server::{Habits, Server},
    support::{pipeline::Pipeline, process::PATIENCE},
    watch::{PICTURE, TONE, publisher, wait_for, wait_for_frames, wait_for_status},
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
        mangle: std::sync::Arc::new(|sdp| {
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
