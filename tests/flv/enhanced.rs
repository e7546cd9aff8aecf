// SPDX-License-Identifier: MPL-2.0

//! What Enhanced RTMP v2 has and no encoder here writes, byte by byte.

use std::fs;

use crate::{
    codecs::missing,
    streams::{QUEUE, Stream, run, source, watch},
    support::{flv_builder::FlvBuilder, pipeline::Pipeline},
};

const HEVC: &[u8] = b"\x01\x01\x60\0\0\0\x90\0\0\0\0\0\x78\xf0\0\xfc\xfd\xf8\xf8\0\0\x0f\0";

/// What comes out of a pad.
fn out(film: &FlvBuilder, pad: &str) -> Stream {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("film.flv");
    fs::write(&file, film.bytes()).unwrap();
    let [got] = run(
        &format!(
            "{} ! flvdemuxbridge name=d d.{pad} ! {QUEUE} ! appsink name=got",
            source(&file)
        ),
        ["got"],
    );
    got
}

fn body(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

#[test]
fn pictures_between_commands_of_a_seek_are_decoded_only() {
    // A command of classic FLV, and one of Enhanced RTMP, which has neither codec nor body.
    for [start, end] in [[b"\x57\x00", b"\x57\x01"], [b"\xd1\x00", b"\xd1\x01"]] {
        let film = FlvBuilder::new()
            .headers()
            .picture(0, true, 0, 20)
            .tag(9, 40, start)
            .picture(40, true, 0, 20)
            .picture(80, false, 0, 20)
            .tag(9, 120, end)
            .picture(120, false, 0, 20);
        let got = out(&film, "video");
        let flags: Vec<_> = got.packets.iter().map(|p| p.decode_only).collect();
        assert_eq!(flags, [false, true, true, false], "{start:?}");
    }
}

#[test]
fn av1_of_a_transport_stream_begins_with_its_descriptor() {
    let film = FlvBuilder::new()
        .tag(9, 0, b"\x95av01\x80\x04\x81\x04\x0c\x00")
        .tag(9, 0, b"\x91av01\x0a\x01\x00")
        .tag(9, 40, b"\xa1av01\x32\x01\x10");
    let got = out(&film, "video");
    let caps = got.one_caps().structure(0).unwrap();
    assert_eq!(caps.name(), "video/x-av1");
    let record = caps.get::<gst::Buffer>("codec_data").unwrap();
    assert_eq!(&*record.map_readable().unwrap(), b"\x81\x04\x0c\x00");
    assert_eq!(got.data(), [b"\x0a\x01\x00", b"\x32\x01\x10"]);
}

#[test]
fn modifiers_move_what_is_shown_and_unknown_ones_nothing() {
    // 500 000 ns, a modifier of type 5 that nobody knows, and the packet type.
    let modifiers = b"\x97\x02\x07\xa1\x20\x07\x00\xee\x51hvc1";
    let film = FlvBuilder::new()
        .tag(9, 0, &body(&[b"\x90hvc1", HEVC]))
        .tag(9, 40, &body(&[modifiers, b"\0\0\x50", b"picture"]));
    let got = out(&film, "video");
    assert_eq!(got.data(), [b"picture"]);
    let packet = &got.packets[0];
    assert_eq!(packet.dts.unwrap().nseconds(), 40_000_000);
    assert_eq!(packet.pts.unwrap().nseconds(), 120_500_000);
}

#[test]
fn colours_hold_until_they_are_taken_back() {
    let number = |name: &str, value: f64| {
        let mut bytes = vec![0, name.len() as u8];
        bytes.extend(name.as_bytes());
        bytes.push(0);
        bytes.extend(value.to_be_bytes());
        bytes
    };
    let name = b"\x02\x00\x09colorInfo";
    let colours = body(&[
        name,
        b"\x03\x00\x0bcolorConfig\x03",
        &number("colorPrimaries", 9.0),
        &number("transferCharacteristics", 16.0),
        &number("matrixCoefficients", 9.0),
        b"\0\0\x09\0\0\x09",
    ]);
    // As ffmpeg has it, as OBS has it, and as the key frame that it belongs to.
    for first in [b"\xd4", b"\x84", b"\x94"] {
        let film = FlvBuilder::new()
            .tag(9, 0, &body(&[b"\x90hvc1", HEVC]))
            .tag(9, 0, &body(&[first, b"hvc1", &colours]))
            .tag(9, 0, b"\x93hvc1one")
            .tag(9, 40, &body(&[first, b"hvc1", name, b"\x06"]))
            .tag(9, 40, b"\x93hvc1two");
        let got = out(&film, "video");
        assert_eq!(got.data(), [b"one", b"two"], "{first:?}");
        let colorimetry = |caps: &gst::Caps| {
            let structure = caps.structure(0).unwrap();
            structure.get::<String>("colorimetry").ok()
        };
        let seen: Vec<_> = got.caps.iter().map(colorimetry).collect();
        // The pad is there before its colours are known.
        let [.., before, after] = &seen[..] else {
            panic!("{seen:?}")
        };
        assert_eq!(before.as_deref(), Some("bt2100-pq"), "{first:?}");
        assert_eq!(*after, None, "{first:?}");
    }
}

#[test]
fn sound_that_ends_or_is_empty_is_a_gap() {
    let film = FlvBuilder::new()
        .tag(8, 0, b"\x90mp4a\x12\x10")
        .tag(8, 0, b"\x91mp4aone")
        .tag(8, 23, b"")
        .tag(8, 46, b"\x91mp4atwo")
        .tag(8, 69, b"\x92mp4a");
    let got = out(&film, "audio");
    assert_eq!(got.data(), [b"one", b"two"]);
    assert_eq!(got.gaps, 2);
    assert!(got.packets[1].discont);
}

#[test]
fn calls_in_tags_of_amf3_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("film.flv");
    // AMF0 behind the format byte, and in it an object of AMF3.
    let call = b"\0\x02\0\x0aonTextData\x11\x0a\x0b\x01\x09text\x06\x05hi\x01";
    let film = FlvBuilder::new().headers().tag(15, 0, call).second(0);
    fs::write(&file, film.bytes()).unwrap();
    let pipeline = Pipeline::launch(&format!(
        "{} ! flvdemuxbridge name=d d.video ! {QUEUE} ! appsink name=got d.audio ! {QUEUE} ! fakesink",
        source(&file)
    ));
    watch(&pipeline.element("got"));
    pipeline.play();
    let told = pipeline.notice("flv-script-data");
    assert_eq!(told.get::<&str>("name"), Ok("onTextData"));
    let arguments = told.get::<gst::Structure>("arguments").unwrap();
    let object = arguments.get::<gst::Structure>("0").unwrap();
    assert_eq!(object.get::<&str>("text"), Ok("hi"));
    pipeline.stop();
}

#[test]
fn tracks_are_described_in_the_metadata() {
    if missing("vp8enc") {
        return;
    }
    let picture = |width, height| {
        format!(
            "videotestsrc num-buffers=5 ! \
             video/x-raw,width={width},height={height},framerate=25/1,format=I420 ! vp8enc deadline=1"
        )
    };
    let pipeline = Pipeline::launch(&format!(
        "flvmuxbridge name=m streamable=true ! {QUEUE} ! flvdemuxbridge name=d \
         {} ! {QUEUE} ! m.video {} ! {QUEUE} ! m.video_1 \
         d.video ! {QUEUE} ! appsink name=first d.video_1 ! {QUEUE} ! appsink name=second",
        picture(64, 48),
        picture(32, 24)
    ));
    let first = watch(&pipeline.element("first"));
    let second = watch(&pipeline.element("second"));
    pipeline.play();
    let told = pipeline.notice("flv-script-data");
    assert_eq!(told.get::<&str>("name"), Ok("onMetaData"));
    pipeline.eos();
    let object = told
        .get::<gst::Structure>("arguments")
        .and_then(|arguments| arguments.get::<gst::Structure>("0"))
        .unwrap();
    assert_eq!(object.get::<f64>("width"), Ok(64.0));
    let map = object.get::<gst::Structure>("videoTrackIdInfoMap").unwrap();
    let entry = map.get::<gst::Structure>("1").unwrap();
    assert_eq!(entry.get::<f64>("width"), Ok(32.0));
    for (stream, width) in [(first, 64), (second, 32)] {
        let stream = stream.lock().unwrap();
        let caps = stream.caps.last().unwrap().structure(0).unwrap();
        assert_eq!(caps.get::<i32>("width"), Ok(width));
        assert_eq!(stream.packets.len(), 5);
    }
}
