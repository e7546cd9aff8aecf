// SPDX-License-Identifier: MPL-2.0

//! What GStreamer's own tests of flvmux and eflvmux ask for, in our words
//! (gst-plugins-good, tests/check/elements/flvmux.c, 1.28).

use gst::{ClockTime, prelude::*};
use gst_check::Harness;

use crate::support::pipeline::{Pipeline, init};

const CONFIGS: [&str; 2] = [
    "0142c00cffe1000b6742c00c95a7201e1108d401000468ce3c80",
    "0164001fffe1001c6764001facd9405005bb016a02020280000003008000001e478c18cb01000568ebecb22c",
];

fn avc(config: &str) -> String {
    format!("video/x-h264,stream-format=avc,alignment=au,codec_data=(buffer){config}")
}

fn harness(pad: &str) -> Harness {
    init();
    let harness = Harness::with_padnames("flvmuxbridge", Some(pad), Some("src"));
    // The harness has it in PLAYING by now.
    harness.element().unwrap().set_property("streamable", true);
    harness
}

fn frame(ms: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice([0u8, 0, 0, 1, 0x65]);
    let fields = buffer.make_mut();
    fields.set_pts(ClockTime::from_mseconds(ms));
    fields.set_dts(ClockTime::from_mseconds(ms));
    fields.set_duration(ClockTime::from_mseconds(20));
    buffer
}

/// The first bytes of so many tags, heads left out.
fn tags(harness: &mut Harness, count: usize) -> Vec<(u8, Vec<u8>)> {
    let mut tag = || {
        let buffer = harness.pull().unwrap();
        let map = buffer.map_readable().unwrap();
        (map[0], map[11..map.len().min(13)].to_vec())
    };
    (0..count).map(|_| tag()).collect()
}

#[test]
fn what_is_set_before_the_first_frame_holds() {
    let mut harness = harness("video");
    harness.set_src_caps_str(&avc(CONFIGS[0]));
    harness.push(frame(0)).unwrap();
    let headers: Vec<_> = (0..3).map(|_| harness.pull().unwrap()).collect();
    let metadata = headers[1].map_readable().unwrap();
    assert!(
        !metadata.windows(9).any(|bytes| bytes == b"keyframes"),
        "a file's metadata"
    );
}

#[test]
fn other_caps_bring_metadata_and_configuration() {
    let mut harness = harness("video");
    harness.set_src_caps_str(&avc(CONFIGS[0]));
    harness.push(frame(0)).unwrap();
    let file_header = harness.pull().unwrap();
    assert_eq!(file_header.size(), 13);
    let script = || (18, vec![2, 0]);
    let first = [script(), (9, vec![0x17, 0]), (9, vec![0x17, 1])];
    assert_eq!(tags(&mut harness, 3), first);
    harness.set_src_caps_str(&avc(CONFIGS[1]));
    harness.push(frame(20)).unwrap();
    assert_eq!(tags(&mut harness, 3), first);
}

#[test]
fn sound_has_one_time_and_speex_the_head_of_flash() {
    let mut harness = harness("audio");
    harness.set_src_caps_str("audio/x-speex,rate=16000,channels=1");
    harness.push(frame(123)).unwrap();
    harness.pull().unwrap();
    harness.pull().unwrap();
    let sound = harness.pull().unwrap();
    assert_eq!(sound.pts(), Some(ClockTime::from_mseconds(123)));
    assert_eq!(sound.dts(), None);
    assert_eq!(sound.map_readable().unwrap()[11], 0xb2);
}

/// Properties of pads where the muxer is named, also of pads that are asked for later.
#[test]
fn properties_of_pads_go_with_the_muxer() {
    for line in [
        "videotestsrc num-buffers=3 ! x264enc ! m.video flvmuxbridge name=m streamable=true \
         video::flv-track-mode=multitrack ! appsink name=out sync=false",
        "flvmuxbridge name=m streamable=true video::flv-track-mode=multitrack ! \
         appsink name=out sync=false videotestsrc num-buffers=3 ! x264enc ! m.video",
    ] {
        let pipeline = Pipeline::launch(line);
        let mux = pipeline.element("m");
        let proxy: &gst::ChildProxy = mux.dynamic_cast_ref().unwrap();
        assert_eq!(proxy.children_count(), 1);
        let pad = proxy.child_by_name("video").unwrap();
        let mode = pad.property_value("flv-track-mode");
        let (_, mode) = glib::EnumValue::from_value(&mode).unwrap();
        assert_eq!(mode.nick(), "multitrack");
        let pad: gst::Pad = pad.downcast().unwrap();
        mux.release_request_pad(&pad);
        assert_eq!(proxy.children_count(), 0);
    }
}

#[test]
fn a_file_tells_of_a_pad_that_came_late() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("late.flv");
    let pipeline = Pipeline::launch(&format!(
        "flvmuxbridge name=m latency=50000000 ! filesink location={} \
         audiotestsrc is-live=true num-buffers=40 ! avenc_aac ! queue ! m.audio \
         appsrc name=late is-live=true format=time ! queue ! m.video",
        path.display()
    ));
    let late: gst_app::AppSrc = pipeline.element("late").downcast().unwrap();
    let written = pipeline.element("m").static_pad("src").unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    written.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        // Nobody listens any more after the first.
        let _ = tell.send(());
        gst::PadProbeReturn::Ok
    });
    pipeline.play();
    told.recv_timeout(std::time::Duration::from_secs(10))
        .unwrap();
    late.set_caps(Some(&avc(CONFIGS[0]).parse::<gst::Caps>().unwrap()));
    late.push_buffer(frame(500)).unwrap();
    late.end_of_stream().unwrap();
    pipeline.eos();
    pipeline.stop();
    let file = std::fs::read(&path).unwrap();
    assert_eq!(&file[..13], b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
}

/// Enhanced RTMP leaves rate and channels of MP3 to the frames; a pad comes when they are known.
#[test]
fn a_pad_comes_with_caps_that_are_complete() {
    let pipeline = Pipeline::launch(
        "appsrc name=in format=time caps=audio/mpeg,mpegversion=1,layer=3,rate=8000,channels=2,\
         parsed=true ! m.audio_1 flvmuxbridge name=m streamable=true ! flvdemuxbridge name=d ! fakesink",
    );
    let (tell, told) = std::sync::mpsc::channel();
    pipeline.element("d").connect_pad_added(move |_, pad| {
        // The test may be over.
        let _ = tell.send(pad.current_caps());
    });
    let source: gst_app::AppSrc = pipeline.element("in").downcast().unwrap();
    // A frame of MPEG 2.5: 8 kHz, two channels, 40 kbit/s.
    let mut mp3 = vec![0; 360];
    mp3[..4].copy_from_slice(&[0xff, 0xe3, 0x58, 0x64]);
    let mut buffer = gst::Buffer::from_slice(mp3);
    buffer.make_mut().set_pts(ClockTime::ZERO);
    source.push_buffer(buffer).unwrap();
    source.end_of_stream().unwrap();
    pipeline.play();
    pipeline.eos();
    let caps = told.recv().unwrap().unwrap();
    let structure = caps.structure(0).unwrap();
    assert_eq!(structure.get("rate"), Ok(8_000));
    assert_eq!(structure.get("channels"), Ok(2));
}
