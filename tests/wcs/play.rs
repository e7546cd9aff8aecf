// SPDX-License-Identifier: MPL-2.0

//! Playing.

use gst::prelude::*;

use crate::{
    codecs::CODECS,
    media::{Frames, assert_part_of, nick, note},
    server::{Habits, Server},
    support::pipeline::Pipeline,
    watch::{wait_for_frames, wait_for_status, wait_until},
};

pub fn player(server: &Server, rest: &str) -> Pipeline {
    Pipeline::launch(&format!(
        "wcswebrtcbin name=wcs uri={} stream-name=demo action=play local-address=127.0.0.1 {rest}",
        server.uri()
    ))
}

/// Notes what comes out of each new pad of the name, and links it.
fn take(pipeline: &Pipeline, prefix: &'static str) -> Frames {
    let frames = Frames::default();
    let noted = frames.clone();
    let bin = pipeline.pipeline.downgrade();
    let wcs = pipeline.pipeline.by_name("wcs").unwrap();
    wcs.connect_pad_added(move |_, pad| {
        let (true, Some(bin)) = (pad.name().starts_with(prefix), bin.upgrade()) else {
            return;
        };
        note(pad, &noted);
        let sink = gst::ElementFactory::make("fakesink")
            .property("sync", false)
            .property("async", false)
            .build()
            .unwrap();
        bin.add(&sink).unwrap();
        sink.sync_state_with_parent().unwrap();
        // The ghost pad is in another bin than the sink, one up.
        let outer = gst::GhostPad::with_target(pad).unwrap();
        outer.set_active(true).unwrap();
        let parent = pad.parent_element().unwrap().parent().unwrap();
        parent
            .downcast::<gst::Bin>()
            .unwrap()
            .add_pad(&outer)
            .unwrap();
        outer.link(&sink.static_pad("sink").unwrap()).unwrap();
    });
    frames
}

#[test]
fn frames_come_as_the_server_sends_them_and_the_rest_is_drained() {
    let server = Server::new(Habits::default());
    let pipeline = player(&server, "");
    let video = take(&pipeline, "video_src_");
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    let state = wait_for_status(&pipeline, "PLAYING");
    assert_eq!(state.get::<&str>("name"), Ok("demo"));
    wait_for_frames(&video, 40);
    let wcs = pipeline.pipeline.by_name("wcs").unwrap();
    let pads: Vec<_> = wcs.src_pads().iter().map(|pad| pad.name()).collect();
    assert_eq!(pads.len(), 2, "{pads:?}");
    assert!(
        pads.iter().any(|name| name.starts_with("audio_src_")),
        "{pads:?}"
    );
    pipeline.pipeline.set_state(gst::State::Null).unwrap();
    server.wait_for("stopStream");
    assert_part_of(&video.lock().unwrap(), &server.seen().sent.lock().unwrap());
    assert!(wcs.src_pads().is_empty());
}

#[test]
fn a_decoder_needs_nothing_in_between() {
    let server = Server::new(Habits::default());
    let pipeline = player(
        &server,
        "audio=false ! decodebin3 ! video/x-raw ! fakesink name=sink sync=false",
    );
    let frames = Frames::default();
    let sink = pipeline.pipeline.by_name("sink").unwrap();
    note(&sink.static_pad("sink").unwrap(), &frames);
    let change = pipeline.pipeline.set_state(gst::State::Paused).unwrap();
    assert_eq!(change, gst::StateChangeSuccess::NoPreroll, "it is live");
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_frames(&frames, 10);
    let asked = server.wait_for("playStream");
    let offer = asked["sdp"].as_str().unwrap();
    assert!(!offer.contains("m=audio"), "{offer}");
    assert!(offer.contains("a=recvonly"), "{offer}");
}

#[test]
fn every_codec_comes_as_it_is_sent() {
    for codec in &CODECS {
        let server = Server::new(Habits {
            codecs: std::array::from_ref(&codec.rtp),
            ..Habits::default()
        });
        let other = if codec.is_video() {
            "audio=false"
        } else {
            "video=false"
        };
        let pipeline = player(
            &server,
            &format!("{other} ! {} ! fakesink name=sink sync=false", codec.caps),
        );
        let came = Frames::default();
        note(&pipeline.element("sink").static_pad("sink").unwrap(), &came);
        pipeline.play();
        wait_for_status(&pipeline, "PLAYING");
        wait_for_frames(&came, 20);
        pipeline.stop();
        let seen = server.seen();
        let sent = if codec.is_video() {
            &seen.sent
        } else {
            &seen.sent_audio
        };
        assert_part_of(&came.lock().unwrap(), &sent.lock().unwrap());
    }
}

#[test]
fn rtp_comes_where_it_is_wanted() {
    let server = Server::new(Habits::default());
    let pipeline = player(&server, "output=both");
    let video = take(&pipeline, "video_src_");
    let rtp = take(&pipeline, "src_");
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_frames(&video, 10);
    wait_for_frames(&rtp, 10);
    let wcs = pipeline.pipeline.by_name("wcs").unwrap();
    wait_until("four pads", || wcs.src_pads().len() == 4);
}

#[test]
fn the_end_of_a_stream_is_the_end_of_the_pads() {
    let ended = r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"ID","status":"STOPPED","info":"Stopped by publisher stop"}]}"#;
    let habits = Habits {
        flood: Some(ended.to_owned()),
        ..Habits::default()
    };
    let server = Server::new(habits);
    let pipeline = player(&server, "audio=false ! fakesink sync=false async=false");
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_status(&pipeline, "STOPPED");
    // Its publisher left: that is no failure, and nothing is tried again.
    let wcs = pipeline.pipeline.by_name("wcs").unwrap();
    wait_until("the end", || nick(&wcs, "stream-status") == "stopped");
    let heard = server.heard();
    let plays = heard.iter().filter(|name| *name == "playStream").count();
    assert_eq!(plays, 1, "{heard:?}");
}

#[test]
fn the_line_that_records_makes_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.mkv");
    let server = Server::new(Habits::default());
    let line = format!(
        "matroskamux name=mux ! filesink location={} \
         wcs. ! video/x-vp8 ! queue ! mux.video_0 wcs. ! audio/x-opus ! queue ! mux.audio_0",
        file.display()
    );
    let pipeline = player(&server, &line);
    let video = Frames::default();
    let mux = pipeline.pipeline.by_name("mux").unwrap();
    note(&mux.static_pad("video_0").unwrap(), &video);
    pipeline.pipeline.set_state(gst::State::Playing).unwrap();
    wait_for_status(&pipeline, "PLAYING");
    wait_for_frames(&video, 30);
    let wcs = pipeline.pipeline.by_name("wcs").unwrap();
    assert!(wcs.emit_by_name::<bool>("stop", &[]));
    let bus = pipeline.pipeline.bus().unwrap();
    let timeout = gst::ClockTime::from_seconds(crate::support::process::PATIENCE.as_secs());
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(timeout, &wanted).expect("an end");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.pipeline.set_state(gst::State::Null).unwrap();
    let size = std::fs::metadata(&file).unwrap().len();
    assert!(size > 2000, "{size} bytes");
    assert_part_of(&video.lock().unwrap(), &server.seen().sent.lock().unwrap());
}

/// What gst-launch-1.0 -e does.
#[test]
fn an_end_that_is_sent_comes_out() {
    let server = Server::new(Habits::default());
    let pipeline = player(
        &server,
        "audio=false ! fakesink name=sink async=false sync=false",
    );
    let video = Frames::default();
    note(
        &pipeline.element("sink").static_pad("sink").unwrap(),
        &video,
    );
    pipeline.play();
    wait_for_frames(&video, 10);
    assert!(pipeline.pipeline.send_event(gst::event::Eos::new()));
    pipeline.eos();
    server.wait_for("stopStream");
}
