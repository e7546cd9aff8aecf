// SPDX-License-Identifier: MPL-2.0

//! The muxer in a live pipeline, and the habits that servers count on.

use gst::prelude::*;

use crate::{
    streams::{QUEUE, run, source, watch},
    support::{
        flvdump, media,
        pipeline::{Pipeline, init},
        process::wait_until,
    },
};

#[test]
fn a_pad_without_data_does_not_hold_up_the_other() {
    let pipeline = Pipeline::launch(
        "flvmuxbridge name=m streamable=true latency=50000000 ! appsink name=out sync=false \
         audiotestsrc is-live=true ! avenc_aac ! queue ! m.audio \
         appsrc name=nothing is-live=true format=time ! queue ! m.video",
    );
    let out = watch(&pipeline.element("out"));
    pipeline.play();
    wait_until("sound without pictures", || {
        out.lock().unwrap().packets.len() > 20
    });
    // Pictures that come late are told of.
    let source: gst_app::AppSrc = pipeline.element("nothing").downcast().unwrap();
    let caps = gst::Caps::builder("video/x-h264")
        .field("stream-format", "avc")
        .field("codec_data", gst::Buffer::from_slice([1u8, 66, 0, 30, 255]))
        .build();
    source.set_caps(Some(&caps));
    let now = pipeline.pipeline.current_running_time().unwrap();
    let mut buffer = gst::Buffer::from_slice([0u8, 0, 0, 1, 9]);
    buffer.make_mut().set_pts(now);
    source.push_buffer(buffer).unwrap();
    let has = |start: &[u8]| {
        let out = out.lock().unwrap();
        out.packets
            .iter()
            .any(|packet| packet.data[0] == 9 && packet.data[11..].starts_with(start))
    };
    wait_until("the configuration of the pictures", || has(&[0x17, 0]));
    wait_until("a picture", || has(&[0x17, 1]));
    wait_until("caps with new headers", || {
        out.lock().unwrap().caps.len() > 1
    });
    pipeline.stop();
}

#[test]
fn latency_is_reported() {
    let pipeline = Pipeline::launch(
        "flvmuxbridge name=m streamable=true min-upstream-latency=200000000 ! \
         appsink name=out sync=false audiotestsrc is-live=true ! avenc_aac ! m.audio",
    );
    let out = watch(&pipeline.element("out"));
    pipeline.play();
    wait_until("sound", || !out.lock().unwrap().packets.is_empty());
    let mut query = gst::query::Latency::new();
    assert!(
        pipeline
            .element("m")
            .static_pad("src")
            .unwrap()
            .query(query.query_mut())
    );
    let (live, least, _) = query.result();
    assert!(
        live && least >= gst::ClockTime::from_mseconds(200),
        "{least}"
    );
    pipeline.stop();
}

#[test]
fn each_buffer_is_a_tag_and_the_caps_hold_the_headers() {
    let source = source(&media::h264_aac());
    let [out] = run(
        &format!(
            "{source} ! flvdemux name=d flvmuxbridge name=m streamable=true ! appsink name=out \
             d.video ! {QUEUE} ! h264parse ! m.video d.audio ! {QUEUE} ! aacparse ! m.audio"
        ),
        ["out"],
    );
    let caps = out.one_caps().structure(0).unwrap();
    let headers = caps.get::<gst::ArrayRef>("streamheader").unwrap();
    let headers: Vec<Vec<u8>> = headers
        .as_slice()
        .iter()
        .map(|header| {
            header
                .get::<gst::Buffer>()
                .unwrap()
                .map_readable()
                .unwrap()
                .to_vec()
        })
        .collect();
    // File header, metadata, two configurations.
    assert_eq!(headers.len(), 4);
    assert_eq!(out.packets[0].data, headers[0]);
    assert_eq!(out.packets[0].data, b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
    for packet in &out.packets[1..] {
        let data = &packet.data;
        let size = u32::from_be_bytes([0, data[1], data[2], data[3]]) as usize;
        assert_eq!(data.len(), size + 15);
        assert_eq!(data[size + 11..], (size as u32 + 11).to_be_bytes());
    }
    let stream: Vec<u8> = out
        .packets
        .iter()
        .flat_map(|packet| packet.data.clone())
        .collect();
    let sent = flvdump::read(&media::h264_aac());
    let got = flvdump::parse(&stream).unwrap();
    let count = |packets: &[flvdump::Packet]| packets.iter().filter(|p| p.is_media()).count();
    // ffmpeg's file ends without an end of the sequence, or with one: it is no frame.
    assert!(count(&sent).abs_diff(count(&got)) <= 1);
    let delta = out.packets.iter().filter(|packet| packet.delta).count();
    assert_eq!(delta, 120, "125 pictures, a key frame a second");
}

#[test]
fn gaps_in_sound_are_silence_once() {
    let pipeline = Pipeline::launch(
        "appsrc name=in format=time ! m.audio flvmuxbridge name=m streamable=true ! flvdemuxbridge ! \
         queue ! appsink name=out",
    );
    let out = watch(&pipeline.element("out"));
    let source: gst_app::AppSrc = pipeline.element("in").downcast().unwrap();
    let caps = gst::Caps::builder("audio/mpeg")
        .field("mpegversion", 4i32)
        .field("stream-format", "raw")
        .field("rate", 44_100i32)
        .field("channels", 2i32)
        .field("codec_data", gst::Buffer::from_slice([0x12u8, 0x10]))
        .build();
    source.set_caps(Some(&caps));
    pipeline.play();
    let frame = |ms: u64| {
        let mut buffer = gst::Buffer::from_slice(vec![ms as u8; 10]);
        buffer.make_mut().set_pts(gst::ClockTime::from_mseconds(ms));
        source.push_buffer(buffer).unwrap();
    };
    frame(0);
    frame(20);
    let pad = source.static_pad("src").unwrap();
    wait_until("two frames to be on their way", || {
        source.current_level_buffers() == 0 && !out.lock().unwrap().packets.is_empty()
    });
    for ms in [40, 60, 80] {
        let gap = gst::event::Gap::builder(gst::ClockTime::from_mseconds(ms))
            .duration(gst::ClockTime::from_mseconds(20));
        assert!(pad.push_event(gap.build()));
    }
    frame(100);
    source.end_of_stream().unwrap();
    pipeline.eos();
    let out = out.lock().unwrap();
    assert_eq!(out.pts(), [0, 20_000_000, 100_000_000]);
    assert_eq!(out.gaps, 1);
    assert!(out.packets[2].discont);
}

#[test]
fn a_codec_that_changes_is_configured_anew() {
    let pipeline = Pipeline::launch(
        "appsrc name=in format=time ! flvmuxbridge streamable=true ! appsink name=out",
    );
    let out = watch(&pipeline.element("out"));
    let source: gst_app::AppSrc = pipeline.element("in").downcast().unwrap();
    pipeline.play();
    for (at, profile) in [(0u64, 66u8), (1, 77)] {
        let caps = gst::Caps::builder("video/x-h264")
            .field("stream-format", "avc")
            .field(
                "codec_data",
                gst::Buffer::from_slice([1u8, profile, 0, 30, 255]),
            )
            .build();
        source.set_caps(Some(&caps));
        let mut buffer = gst::Buffer::from_slice([profile; 8]);
        buffer
            .make_mut()
            .set_pts(gst::ClockTime::from_mseconds(at * 40));
        source.push_buffer(buffer).unwrap();
    }
    source.end_of_stream().unwrap();
    pipeline.eos();
    let out = out.lock().unwrap();
    assert_eq!(out.caps.len(), 2);
    let video: Vec<_> = out
        .packets
        .iter()
        .filter(|packet| packet.data[0] == 9)
        .map(|packet| (packet.data[12], packet.data[17]))
        .collect();
    // Configuration, picture, configuration, picture, end.
    assert_eq!(video[..4], [(0, 66), (1, 66), (0, 77), (1, 77)]);
    assert_eq!(video.len(), 5);
}

#[test]
fn pads_are_named_as_they_were() {
    init();
    let mux = gst::ElementFactory::make("flvmuxbridge").build().unwrap();
    for (asked, name) in [
        ("video", "video"),
        ("audio", "audio"),
        ("video_%u", "video_1"),
        ("audio_7", "audio_7"),
        ("audio_%u", "audio_1"),
        ("video_%u", "video_2"),
    ] {
        assert_eq!(mux.request_pad_simple(asked).unwrap().name(), name);
    }
    for taken in ["video", "audio_7", "audio_0", "video_256"] {
        assert!(mux.request_pad_simple(taken).is_none(), "{taken}");
    }
}

#[test]
fn what_flv_cannot_carry_is_refused_by_name() {
    let pipeline = Pipeline::launch(
        "appsrc name=in format=time ! flvmuxbridge name=m streamable=true ! fakesink",
    );
    let pad = pipeline.element("m").sink_pads().remove(0);
    pad.set_property_from_str("flv-track-mode", "multitrack");
    let source: gst_app::AppSrc = pipeline.element("in").downcast().unwrap();
    let caps = gst::Caps::builder("video/x-flash-video").build();
    source.set_caps(Some(&caps));
    pipeline.play();
    let mut buffer = gst::Buffer::from_slice([0u8; 8]);
    buffer.make_mut().set_pts(gst::ClockTime::ZERO);
    let _ = source.push_buffer(buffer);
    let failure = pipeline.error_of("m");
    assert!(
        failure.error.message().contains("FLV cannot carry"),
        "{failure:?}"
    );
}
