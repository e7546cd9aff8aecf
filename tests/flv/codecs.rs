// SPDX-License-Identifier: MPL-2.0

//! Each codec through muxer and demuxer: data, times and caps come back.

use gst::prelude::*;

use crate::{
    streams::{QUEUE, Stream, run},
    support::pipeline::{Pipeline, init},
};

/// Encodes 20 frames, and gives what went into the muxer and what came out of the demuxer.
fn round_trip(encoder: &str, kind: &str, muxer: &str) -> [Stream; 2] {
    run(
        &format!(
            "{encoder} ! tee name=t ! {QUEUE} ! appsink name=sent \
             t. ! {QUEUE} ! {muxer} name=m ! {QUEUE} ! flvdemuxbridge name=d \
             d.{kind} ! {QUEUE} ! appsink name=got"
        ),
        ["sent", "got"],
    )
}

pub fn missing(element: &str) -> bool {
    init();
    let missing = gst::ElementFactory::find(element).is_none();
    if missing {
        eprintln!("no {element} here, its codec goes through other tests");
    }
    missing
}

const PICTURES: &str = "videotestsrc num-buffers=20 ! \
     video/x-raw,width=64,height=48,framerate=25/1,format=I420";
const SOUND: &str = "audiotestsrc num-buffers=20 ! audio/x-raw,rate=44100,channels=2";
const SOUND_48: &str = "audiotestsrc num-buffers=20 ! audio/x-raw,rate=48000,channels=2";

/// Media without headers that are in the caps.
fn media(stream: &Stream) -> Vec<(Option<u64>, &[u8])> {
    let sound = stream.caps.iter().any(|caps| {
        let name = caps.structure(0).expect("one structure").name();
        name.starts_with("audio/")
    });
    let packets = stream.packets.iter();
    let packets = packets.filter(|p| !sound || !p.header && p.pts.is_some());
    packets
        .map(|p| (p.pts.map(|pts| pts.mseconds()), &p.data[..]))
        .collect()
}

#[test]
fn every_codec_comes_back() {
    for (element, encoder, kind) in [
        ("x264enc", format!("{PICTURES} ! x264enc key-int-max=5"), "video"),
        ("vp8enc", format!("{PICTURES} ! vp8enc deadline=1 keyframe-max-dist=5"), "video"),
        ("vp9enc", format!("{PICTURES} ! vp9enc deadline=1 keyframe-max-dist=5"), "video"),
        ("avenc_flv", format!("{PICTURES} ! avenc_flv"), "video"),
        ("avenc_flashsv", format!("{PICTURES} ! videoconvert ! avenc_flashsv"), "video"),
        ("jpegenc", format!("{PICTURES} ! jpegenc"), "video"),
        ("avenc_aac", format!("{SOUND} ! avenc_aac"), "audio"),
        ("lamemp3enc", format!("{SOUND} ! lamemp3enc ! mpegaudioparse"), "audio"),
        ("lamemp3enc", format!("{SOUND_48} ! lamemp3enc ! mpegaudioparse"), "audio"),
        ("opusenc", format!("{SOUND_48} ! opusenc"), "audio"),
        ("flacenc", format!("{SOUND_48} ! flacenc ! flacparse"), "audio"),
        ("avenc_ac3", format!("{SOUND_48} ! audioconvert ! avenc_ac3 ! ac3parse"), "audio"),
        ("avenc_eac3", format!("{SOUND_48} ! audioconvert ! avenc_eac3 ! ac3parse"), "audio"),
        ("alawenc", "audiotestsrc num-buffers=20 ! audio/x-raw,rate=8000,channels=1 ! alawenc".into(), "audio"),
        ("mulawenc", "audiotestsrc num-buffers=20 ! audio/x-raw,rate=8000,channels=2 ! mulawenc".into(), "audio"),
        ("speexenc", "audiotestsrc num-buffers=20 ! audio/x-raw,rate=16000,channels=1 ! speexenc".into(), "audio"),
        ("avenc_nellymoser", "audiotestsrc num-buffers=20 ! audio/x-raw,rate=44100,channels=1 ! audioconvert ! avenc_nellymoser".into(), "audio"),
        ("avenc_adpcm_swf", "audiotestsrc num-buffers=20 ! audio/x-raw,rate=44100,channels=2 ! audioconvert ! avenc_adpcm_swf".into(), "audio"),
        ("audioconvert", "audiotestsrc num-buffers=20 ! audio/x-raw,rate=22050,channels=1,format=S16LE".into(), "audio"),
        ("audioconvert", "audiotestsrc num-buffers=20 ! audio/x-raw,rate=11025,channels=2,format=U8".into(), "audio"),
    ] {
        if missing(element) {
            continue;
        }
        let [sent, got] = round_trip(&encoder, kind, "flvmuxbridge streamable=true");
        assert!(!media(&sent).is_empty(), "{encoder}");
        assert_eq!(media(&got).len(), media(&sent).len(), "{encoder}");
        // The stream begins at the first DTS.
        let first = sent.packets.iter().find(|packet| packet.pts.is_some());
        let first = first.and_then(|p| p.dts.or(p.pts)).map_or(0, |time| time.mseconds());
        let shifted: Vec<_> = media(&sent)
            .into_iter()
            .map(|(pts, data)| (pts.map(|pts| pts - first), data))
            .collect();
        for (at, (got, sent)) in media(&got).iter().zip(&shifted).enumerate() {
            assert_eq!(got.1, sent.1, "{encoder}: packet {at}");
            let (got, sent) = (got.0.unwrap(), sent.0.unwrap());
            assert!(got.abs_diff(sent) <= 1, "{encoder}: packet {at}, {got} {sent}");
        }
        // Whoever took what the encoder said takes what the demuxer says.
        let (said, says) = (sent.caps.last().unwrap(), got.caps.last().unwrap());
        let (said, says) = (said.structure(0).unwrap(), says.structure(0).unwrap());
        assert_eq!(said.name(), says.name());
        for field in ["rate", "channels", "stream-format", "codec_data", "width", "height", "profile"] {
            if let (Ok(said), Ok(says)) = (said.value(field), says.value(field)) {
                assert_eq!(
                    format!("{:?}", said.serialize()),
                    format!("{:?}", says.serialize()),
                    "{encoder}: {field}"
                );
            }
        }
    }
}

#[test]
fn av1_comes_back_with_a_record() {
    if missing("av1enc") {
        return;
    }
    let encoder = "videotestsrc num-buffers=4 ! \
         video/x-raw,width=64,height=48,framerate=25/1,format=I420 ! \
         av1enc cpu-used=8 ! video/x-av1,stream-format=obu-stream,alignment=tu";
    let [sent, got] = round_trip(encoder, "video", "flvmuxbridge streamable=true");
    assert_eq!(got.data(), sent.data());
    let caps = got.one_caps().structure(0).unwrap();
    let record = caps.get::<gst::Buffer>("codec_data").unwrap();
    assert_eq!(record.map_readable().unwrap()[0], 0x81);
    assert_eq!(caps.get::<&str>("chroma-format"), Ok("4:2:0"));
}

#[test]
fn decoders_take_what_comes_back() {
    for (encoder, decoder) in [
        ("vp8enc deadline=1", "vp8dec"),
        ("vp9enc deadline=1", "vp9dec"),
        ("x264enc", "avdec_h264"),
    ] {
        if missing(encoder.split(' ').next().unwrap()) || missing(decoder) {
            continue;
        }
        let [got] = run(
            &format!(
                "{PICTURES} ! {encoder} ! flvmuxbridge streamable=true ! flvdemuxbridge ! {QUEUE} ! \
                 {decoder} ! appsink name=got"
            ),
            ["got"],
        );
        assert_eq!(got.packets.len(), 20, "{encoder}");
    }
    for (encoder, decoder) in [
        ("opusenc", "opusdec"),
        ("flacenc ! flacparse", "flacdec"),
        ("avenc_ac3 ! ac3parse", "avdec_ac3"),
        ("avenc_aac", "avdec_aac"),
    ] {
        if missing(encoder.split(' ').next().unwrap()) || missing(decoder) {
            continue;
        }
        let [got] = run(
            &format!(
                "{SOUND_48} ! audioconvert ! {encoder} ! flvmuxbridge streamable=true ! \
                 flvdemuxbridge ! {QUEUE} ! {decoder} ! appsink name=got"
            ),
            ["got"],
        );
        let bytes: usize = got.packets.iter().map(|packet| packet.data.len()).sum();
        assert!(bytes > 20 * 1024, "{encoder}: {bytes}");
    }
}

#[test]
fn surround_keeps_its_channels() {
    for (encoder, element) in [("opusenc", "opusenc"), ("flacenc ! flacparse", "flacenc")] {
        if missing(element) {
            continue;
        }
        let encoder = format!(
            "audiotestsrc num-buffers=20 ! \
             audio/x-raw,rate=48000,channels=6,channel-mask=(bitmask)0x3f ! audioconvert ! {encoder}"
        );
        let [sent, got] = round_trip(&encoder, "audio", "flvmuxbridge streamable=true");
        assert_eq!(media(&got).len(), media(&sent).len());
        let (said, says) = (sent.caps.last().unwrap(), got.caps.last().unwrap());
        let (said, says) = (said.structure(0).unwrap(), says.structure(0).unwrap());
        for field in [
            "channels",
            "channel-mapping-family",
            "channel-mapping",
            "stream-count",
        ] {
            if let Ok(said) = said.value(field) {
                let says = says.value(field).unwrap_or_else(|_| panic!("no {field}"));
                assert_eq!(
                    format!("{:?}", said.serialize()),
                    format!("{:?}", says.serialize())
                );
            }
        }
    }
}

/// Caps that no element here makes, as they come back.
#[test]
fn caps_come_back_equal() {
    init();
    let hdr = "colorimetry=(string)bt2100-pq, \
         mastering-display-info=(string)34000:16000:13250:34500:7500:3000:15635:16450:10000000:1, \
         content-light-level=(string)1000:400";
    let hevc = "01016000000090000000000078f000fcfdf8f800000f00";
    for caps in [
        format!(
            "video/x-h265, stream-format=(string)hvc1, alignment=(string)au, codec_data=(buffer){hevc}, \
             width=(int)1920, height=(int)1080, framerate=(fraction)30000/1001, \
             pixel-aspect-ratio=(fraction)1/1, {hdr}"
        ),
        "video/x-h266, stream-format=(string)vvc1, alignment=(string)au, codec_data=(buffer)ff0011, \
         width=(int)64, height=(int)48, framerate=(fraction)25/1, pixel-aspect-ratio=(fraction)4/3"
            .to_owned(),
        "audio/x-eac3, framed=(boolean)true, alignment=(string)frame, rate=(int)48000, \
         channels=(int)6, channel-mask=(bitmask)0x3f"
            .to_owned(),
    ] {
        let caps: gst::Caps = caps.parse().unwrap();
        let kind = caps.structure(0).unwrap().name().split('/').next().unwrap().to_owned();
        let pipeline = Pipeline::launch(&format!(
            "appsrc name=in format=time ! m.{kind} flvmuxbridge name=m streamable=true ! flvdemuxbridge name=d \
             d.{kind} ! {QUEUE} ! appsink name=got"
        ));
        let got = crate::streams::watch(&pipeline.element("got"));
        let source: gst_app::AppSrc = pipeline.element("in").downcast().unwrap();
        source.set_caps(Some(&caps));
        pipeline.play();
        // A frame of E-AC-3 with six channels; for pictures it is as good as any.
        let frame = [0x0b, 0x77, 0x01, 0x7f, 0x3f, 0x87, 0xc0, 0, 0, 0];
        let mut buffer = gst::Buffer::from_slice(frame);
        buffer.make_mut().set_pts(gst::ClockTime::ZERO);
        source.push_buffer(buffer).unwrap();
        source.end_of_stream().unwrap();
        pipeline.eos();
        let got = got.lock().unwrap();
        let (sent, got) = (caps.structure(0).unwrap(), got.one_caps().structure(0).unwrap());
        for (field, value) in sent.iter() {
            let back = got.value(field).unwrap_or_else(|_| panic!("no {field} in {got}"));
            assert_eq!(
                format!("{:?}", back.serialize()),
                format!("{:?}", value.serialize()),
                "{field}"
            );
        }
    }
}

#[test]
fn nanoseconds_come_back_where_they_are_written() {
    if missing("opusenc") {
        return;
    }
    let encoder = "audiotestsrc num-buffers=20 samplesperbuffer=1001 ! \
         audio/x-raw,rate=48000,channels=2 ! opusenc frame-size=2.5";
    let [sent, exact] = round_trip(
        encoder,
        "audio",
        "flvmuxbridge streamable=true timestamp-nano-offset=true",
    );
    let pts: Vec<_> = sent
        .packets
        .iter()
        .map(|packet| packet.pts.unwrap().nseconds())
        .collect();
    let first = pts[0];
    let pts: Vec<_> = pts.into_iter().map(|pts| pts - first).collect();
    assert_eq!(exact.pts(), pts);
    let [_, rough] = round_trip(encoder, "audio", "flvmuxbridge streamable=true");
    assert_ne!(rough.pts(), pts);
    assert!(
        rough
            .pts()
            .iter()
            .zip(&pts)
            .all(|(a, b)| a.abs_diff(*b) < 1_000_000)
    );
}

#[test]
fn tracks_come_back_by_number() {
    if missing("vp8enc") || missing("opusenc") {
        return;
    }
    let picture = |pattern: &str, encoder: &str| {
        format!(
            "videotestsrc pattern={pattern} num-buffers=20 ! \
             video/x-raw,width=64,height=48,framerate=25/1,format=I420 ! {encoder}"
        )
    };
    for kind in ["one-track", "many-tracks", "many-tracks-many-codecs"] {
        let tracks = [
            ("video", picture("smpte", "vp8enc deadline=1 keyframe-max-dist=10")),
            ("video_1", picture("ball", "vp8enc deadline=1 keyframe-max-dist=10")),
            ("video_7", picture("snow", "vp9enc deadline=1 lag-in-frames=0 keyframe-max-dist=10")),
            ("audio", format!("{SOUND_48} ! opusenc")),
            ("audio_3", "audiotestsrc freq=880 num-buffers=20 ! audio/x-raw,rate=48000,channels=2 ! opusenc".to_owned()),
        ];
        let mut description = format!(
            "flvmuxbridge name=m streamable=true multitrack-type={kind} ! {QUEUE} ! \
             flvdemuxbridge name=d "
        );
        for (pad, encoder) in &tracks {
            description += &format!(
                "{encoder} ! tee name=t_{pad} ! {QUEUE} ! appsink name=sent_{pad} \
                 t_{pad}. ! {QUEUE} ! m.{pad} d.{pad} ! {QUEUE} ! appsink name=got_{pad} "
            );
        }
        let streams = run(
            &description,
            [
                "sent_video",
                "got_video",
                "sent_video_1",
                "got_video_1",
                "sent_video_7",
                "got_video_7",
                "sent_audio",
                "got_audio",
                "sent_audio_3",
                "got_audio_3",
            ],
        );
        for (pair, (pad, _)) in streams.chunks(2).zip(&tracks) {
            let (sent, got) = (media(&pair[0]), media(&pair[1]));
            assert_eq!(got.len(), sent.len(), "{kind} {pad}");
            for (got, sent) in got.iter().zip(&sent) {
                assert_eq!(got.1, sent.1, "{kind} {pad}");
                assert!(
                    got.0.unwrap().abs_diff(sent.0.unwrap()) <= 30,
                    "{kind} {pad}"
                );
            }
        }
    }
}
