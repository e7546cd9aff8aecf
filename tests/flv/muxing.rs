// SPDX-License-Identifier: MPL-2.0

//! Frames that come without times, or in segments that are not of time.

use gst::{ClockTime, prelude::*};

use crate::{
    streams::{Stream, watch},
    support::pipeline::Pipeline,
};

const AAC: &str = "audio/mpeg,mpegversion=4,stream-format=raw,rate=44100,channels=2,\
                   codec_data=(buffer)1210";
const AVC: &str = "video/x-h264,stream-format=avc,alignment=au,width=640,height=360,\
                   codec_data=(buffer)0142c01effe100046742c01e01000268ce";

fn source(name: &str, caps: &str, format: &str) -> String {
    format!(
        "appsrc name={name} format={format} caps=\"{caps}\" max-bytes=0 ! \
         queue max-size-time=0 max-size-buffers=0 ! m.{name} "
    )
}

fn mux(format: &str) -> Pipeline {
    Pipeline::launch(&format!(
        "flvmuxbridge name=m streamable=true ! appsink name=out sync=false {} {}",
        source("video", AVC, format),
        source("audio", AAC, format)
    ))
}

fn frame(pipeline: &Pipeline, name: &str, dts: Option<u64>, pts: Option<u64>) {
    let source: gst_app::AppSrc = pipeline.element(name).downcast().unwrap();
    let mut buffer = gst::Buffer::from_slice([0u8, 0, 0, 1, 9]);
    let fields = buffer.make_mut();
    fields.set_dts(dts.map(ClockTime::from_mseconds));
    fields.set_pts(pts.map(ClockTime::from_mseconds));
    source.push_buffer(buffer).unwrap();
}

fn end(pipeline: &Pipeline, name: &str) {
    let source: gst_app::AppSrc = pipeline.element(name).downcast().unwrap();
    source.end_of_stream().unwrap();
}

/// Kind, timestamp and composition time of each frame.
fn frames(stream: &Stream) -> Vec<(u8, u32, i32)> {
    let tags = stream.packets.iter().filter(|packet| !packet.header);
    tags.filter_map(|packet| match &packet.data[..] {
        &[kind, _, _, _, t2, t1, t0, t3, _, _, _, _, 1, c2, c1, c0, ..] => {
            let ct = i32::from_be_bytes([c2, c1, c0, 0]) >> 8;
            let timestamp = u32::from_be_bytes([t3, t2, t1, t0]);
            Some((kind, timestamp, if kind == 9 { ct } else { 0 }))
        }
        _ => None,
    })
    .collect()
}

/// What becomes of what is fed.
#[track_caller]
fn muxed(format: &str, feed: impl Fn(&Pipeline)) -> Vec<(u8, u32, i32)> {
    let pipeline = mux(format);
    let got = watch(&pipeline.element("out"));
    feed(&pipeline);
    end(&pipeline, "video");
    end(&pipeline, "audio");
    pipeline.play();
    pipeline.eos();
    let got = got.lock().unwrap();
    frames(&got)
}

#[test]
fn a_frame_without_a_time_is_where_the_last_one_was() {
    let frames = muxed("time", |pipeline| {
        for (video, audio) in [
            (Some(0), 0),
            (Some(1000), 1000),
            (None, 1100),
            (Some(2000), 2000),
        ] {
            frame(pipeline, "video", video, video);
            frame(pipeline, "audio", Some(audio), Some(audio));
        }
    });
    let video: Vec<_> = frames.iter().filter(|frame| frame.0 == 9).collect();
    assert_eq!(
        video,
        [&(9, 0, 0), &(9, 1000, 0), &(9, 1000, 0), &(9, 2000, 0)]
    );
    assert!(frames.is_sorted_by_key(|frame| frame.1), "{frames:?}");
}

/// As of a file that no parser has seen.
#[test]
fn a_segment_in_bytes_is_muxed_all_the_same() {
    let frames = muxed("bytes", |pipeline| {
        for time in [0, 40, 80] {
            frame(pipeline, "video", Some(time), Some(time));
            frame(pipeline, "audio", Some(time), Some(time));
        }
    });
    assert_eq!(frames.len(), 6, "{frames:?}");
    assert!(frames.is_sorted_by_key(|frame| frame.1), "{frames:?}");
}
