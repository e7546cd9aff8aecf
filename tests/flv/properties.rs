// SPDX-License-Identifier: MPL-2.0

//! Whatever caps the muxer takes, the demuxer gives back: generated ones, of every codec.

use std::sync::{Arc, Mutex};

use gst::prelude::*;
use proptest::prelude::*;

use crate::support::pipeline::init;

/// Caps of a pad, and a frame that goes with them.
#[derive(Clone, Debug)]
struct Stream {
    caps: String,
    frame: Vec<u8>,
    /// Enhanced RTMP carries it, and not only classic FLV.
    enhanced: bool,
    /// It says what only Enhanced RTMP carries.
    needs_enhanced: bool,
}

/// One buffer through a muxer's pad of this name: the caps of the demuxer's pad of that name.
fn through(stream: &Stream, pad: &str, prefer_enhanced: bool) -> Option<gst::Caps> {
    let make = |name| gst::ElementFactory::make(name);
    let mux = make("flvmuxbridge")
        .property("streamable", true)
        .property("prefer-enhanced", prefer_enhanced)
        .build()
        .unwrap();
    let demux = make("flvdemuxbridge").build().unwrap();
    let got = Arc::new(Mutex::new(None));
    let (end, ended) = std::sync::mpsc::channel();
    let (seen, name) = (got.clone(), pad.to_owned());
    let sinks = Arc::new(Mutex::new(Vec::new()));
    let kept = sinks.clone();
    demux.connect_pad_added(move |_, pad| {
        assert_eq!(pad.name(), name);
        let seen = seen.clone();
        let sink = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok))
            .event_function(move |_, _, event| {
                if let gst::EventView::Caps(caps) = event.view() {
                    *seen.lock().unwrap() = Some(caps.caps_owned());
                }
                true
            })
            .build();
        sink.set_active(true).unwrap();
        pad.link(&sink).unwrap();
        kept.lock().unwrap().push(sink);
    });
    // The demuxer has no way to tell who pushes that it is done but to hand on the end.
    let flv = demux.static_pad("sink").unwrap();
    flv.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if info
            .event()
            .is_some_and(|event| event.type_() == gst::EventType::Eos)
        {
            let _ = end.send(());
        }
        gst::PadProbeReturn::Ok
    });
    mux.link(&demux).unwrap();
    demux.set_state(gst::State::Playing).unwrap();
    mux.set_state(gst::State::Playing).unwrap();
    let sink = mux.request_pad_simple(pad).unwrap();
    let source = gst::Pad::builder(gst::PadDirection::Src).build();
    source.set_active(true).unwrap();
    source.link(&sink).unwrap();
    source.push_event(gst::event::StreamStart::new("test"));
    let caps: gst::Caps = stream.caps.parse().unwrap();
    assert!(sink.pad_template_caps().can_intersect(&caps), "{caps}");
    source.push_event(gst::event::Caps::new(&caps));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    source.push_event(gst::event::Segment::new(&segment));
    let mut buffer = gst::Buffer::from_slice(stream.frame.clone());
    buffer.make_mut().set_pts(gst::ClockTime::ZERO);
    let _ = source.push(buffer);
    source.push_event(gst::event::Eos::new());
    let _ = ended.recv_timeout(crate::support::process::PATIENCE);
    // It waits for what is still under way.
    mux.set_state(gst::State::Null).unwrap();
    demux.set_state(gst::State::Null).unwrap();
    sinks.lock().unwrap().clear();
    got.lock().unwrap().take()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn record(first: u8) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<u8>(), 22..60).prop_map(move |mut record| {
        record[0] = first;
        hex(&record)
    })
}

fn framerate() -> impl Strategy<Value = String> {
    prop_oneof![
        (1..=240i32, 1..=8i32).prop_map(|(n, d)| format!("{n}/{d}")),
        (1..=240i32).prop_map(|n| format!("{}/1001", n * 1000)),
    ]
}

/// What a picture's caps say besides its codec.
fn picture() -> impl Strategy<Value = String> {
    (
        prop::option::of((1..=16_384i32, 1..=16_384i32)),
        prop::option::of(framerate()),
        prop::option::of((1..=64i32, 1..=64i32)),
    )
        .prop_map(|(size, rate, aspect)| {
            let mut text = String::new();
            if let Some((width, height)) = size {
                text += &format!(", width=(int){width}, height=(int){height}");
            }
            if let Some(rate) = rate {
                text += &format!(", framerate=(fraction){rate}");
            }
            if let Some((x, y)) = aspect {
                text += &format!(", pixel-aspect-ratio=(fraction){x}/{y}");
            }
            text
        })
}

/// Of full range only what has no other: `colorInfo` does not say the range.
const COLORS: [&str; 6] = [
    "bt601",
    "bt709",
    "smpte240m",
    "bt2020",
    "bt2100-pq",
    "bt2100-hlg",
];

fn colors() -> impl Strategy<Value = String> {
    let numbers = prop::array::uniform10(0..=65_535u32);
    (
        prop::option::of(prop::sample::select(&COLORS[..])),
        prop::option::of((numbers, any::<bool>())),
        prop::option::of((1..=65_535u32, 1..=65_535u32)),
    )
        .prop_map(|(color, mastering, level)| {
            let mut text = String::new();
            if let Some(color) = color {
                text += &format!(", colorimetry=(string){color}");
            }
            if let Some((numbers, bright)) = mastering {
                let [points @ .., max, min] = numbers;
                let points = points.map(|n| n.min(50_000).to_string()).join(":");
                let max = if bright { max * 1000 } else { max };
                text += &format!(", mastering-display-info=(string){points}:{max}:{min}");
            }
            if let Some((most, mean)) = level {
                text += &format!(", content-light-level=(string){most}:{mean}");
            }
            text
        })
}

fn video() -> impl Strategy<Value = Stream> {
    let with_record = |name: &'static str, form: &'static str, first: u8| {
        (record(first), colors()).prop_map(move |(record, colors)| {
            let caps = format!("{name}, {form}, codec_data=(buffer){record}{colors}");
            (caps, true, !colors.is_empty())
        })
    };
    let plain = prop::sample::select(vec![
        "video/x-flash-video, flvversion=(int)1",
        "video/x-flash-screen",
        "video/x-flash-screen2",
        "video/x-vp6-flash",
        "video/x-vp6-alpha",
        "image/jpeg",
    ]);
    let vp = (
        prop::sample::select(vec!["video/x-vp8", "video/x-vp9"]),
        colors(),
    )
        .prop_map(|(name, colors)| (format!("{name}{colors}"), true, !colors.is_empty()));
    // The record says what is in the caps too; of its four bytes the first is fixed.
    let av1 =
        (0..=2u8, 0..32u8, any::<bool>(), colors()).prop_map(|(profile, level, tier, colors)| {
            let record = [
                0x81,
                profile << 5 | level,
                u8::from(tier) << 7 | 0b0000_1100,
                0,
            ];
            let form = "stream-format=(string)obu-stream, alignment=(string)tu";
            let caps = format!(
                "video/x-av1, {form}, codec_data=(buffer){}{colors}",
                hex(&record)
            );
            (caps, true, !colors.is_empty())
        });
    let codec = prop_oneof![
        with_record(
            "video/x-h264",
            "stream-format=(string)avc, alignment=(string)au",
            1
        ),
        with_record(
            "video/x-h265",
            "stream-format=(string)hvc1, alignment=(string)au",
            1
        ),
        with_record(
            "video/x-h266",
            "stream-format=(string)vvc1, alignment=(string)au",
            0xff
        ),
        vp,
        av1,
        plain.prop_map(|caps| (caps.to_owned(), false, false)),
    ];
    (codec, picture()).prop_map(|((caps, enhanced, needs_enhanced), picture)| Stream {
        caps: format!("{caps}{picture}"),
        frame: vec![0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 48, 0, 0, 0],
        enhanced,
        needs_enhanced,
    })
}

fn sound(caps: String, enhanced: bool, needs_enhanced: bool) -> Stream {
    Stream {
        caps,
        frame: vec![0; 16],
        enhanced,
        needs_enhanced,
    }
}

/// A mask of so many of the 24 places that Enhanced RTMP names.
fn mask(channels: usize) -> impl Strategy<Value = u64> {
    let places = prop::sample::subsequence((0..24u32).collect::<Vec<_>>(), channels);
    places.prop_map(|places| places.into_iter().fold(0, |mask, place| mask | 1 << place))
}

fn audio() -> impl Strategy<Value = Stream> {
    const RATES: [u32; 12] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8_000,
    ];
    let form = "mpegversion=(int)4, stream-format=(string)raw";
    let aac = (0..RATES.len(), 1..=6usize).prop_flat_map(move |(index, channels)| {
        let masks = prop::option::of(mask(channels));
        masks.prop_map(move |mask| {
            let config = (2 << 11 | (index as u16) << 7 | (channels as u16) << 3).to_be_bytes();
            let mask = mask.filter(|_| channels > 2);
            let text = mask.map_or_else(String::new, |m| format!(", channel-mask=(bitmask){m:#x}"));
            let caps = format!(
                "audio/mpeg, {form}, framed=(boolean)true, codec_data=(buffer){}, rate=(int){}, \
                 channels=(int){channels}{text}",
                hex(&config),
                RATES[index]
            );
            sound(caps, true, mask.is_some())
        })
    });
    let flac = (1..=655_350u32, 1..=8usize).prop_flat_map(|(rate, channels)| {
        prop::option::of(mask(channels)).prop_map(move |mask| {
            let mut header = b"\x7fFLAC\x01\0\0\x01fLaC\x80\0\0\x22".to_vec();
            header.extend([0x10, 0, 0x10, 0, 0, 0, 0, 0, 0, 0]);
            let depth = 16 - 1;
            let bits = u64::from(rate) << 44 | (channels as u64 - 1) << 41 | depth << 36;
            header.extend(bits.to_be_bytes());
            header.extend([0; 16]);
            let comments = "84000004000000000000000000";
            let mask = mask.filter(|_| channels > 2);
            let text = mask.map_or_else(String::new, |m| format!(", channel-mask=(bitmask){m:#x}"));
            let caps = format!(
                "audio/x-flac, framed=(boolean)true, rate=(int){rate}, channels=(int){channels}, \
                 streamheader=< (buffer){}, (buffer){} >{text}",
                hex(&header),
                &comments[..8]
            );
            sound(caps, true, mask.is_some())
        })
    });
    let opus = (1..=8i32).prop_map(|channels| {
        let streams = [1, 1, 2, 2, 3, 4, 4, 5][channels as usize - 1];
        let coupled = channels - streams;
        let family = i32::from(channels > 2);
        let mut caps = format!(
            "audio/x-opus, channel-mapping-family=(int){family}, channels=(int){channels}, \
             rate=(int)48000, stream-count=(int){streams}, coupled-count=(int){coupled}"
        );
        if family > 0 {
            let mapping = (0..channels)
                .map(|n| format!("(int){n}"))
                .collect::<Vec<_>>();
            caps += &format!(", channel-mapping=(int)< {} >", mapping.join(", "));
        }
        sound(caps, true, false)
    });
    let rates = prop::sample::select(vec![5_512, 11_025, 22_050, 44_100]);
    let flash = (
        prop::sample::select(vec![
            "audio/x-adpcm, layout=(string)swf",
            "audio/x-nellymoser",
            "audio/x-raw, format=(string)U8, layout=(string)interleaved",
            "audio/x-raw, format=(string)S16LE, layout=(string)interleaved",
        ]),
        rates,
        1..=2,
    )
        .prop_map(|(name, rate, channels)| {
            let caps = format!("{name}, rate=(int){rate}, channels=(int){channels}");
            sound(caps, false, false)
        });
    let fixed = prop::sample::select(vec![
        "audio/x-alaw, rate=(int)8000, channels=(int)1",
        "audio/x-alaw, rate=(int)8000, channels=(int)2",
        "audio/x-mulaw, rate=(int)8000, channels=(int)1",
        "audio/x-mulaw, rate=(int)8000, channels=(int)2",
        "audio/x-speex, rate=(int)16000, channels=(int)1",
        "audio/x-nellymoser, rate=(int)8000, channels=(int)1",
        "audio/x-nellymoser, rate=(int)16000, channels=(int)1",
    ])
    .prop_map(|caps| sound(caps.to_owned(), false, false));
    let layers = (0..3usize, any::<bool>()).prop_map(|(index, mono)| {
        // MPEG-1 layer III, 128 kb/s.
        let third = (index as u8) << 2;
        let rate = [44_100, 48_000, 32_000][index];
        let channels = if mono { 1 } else { 2 };
        Stream {
            frame: [
                &[0xff, 0xfb, 0x90 | third, if mono { 0xc0 } else { 0 }][..],
                &[0; 32],
            ]
            .concat(),
            ..sound(
                format!(
                    "audio/mpeg, mpegversion=(int)1, layer=(int)3, parsed=(boolean)true, \
                     rate=(int){rate}, channels=(int){channels}"
                ),
                true,
                false,
            )
        }
    });
    prop_oneof![3 => aac, 3 => flac, 2 => opus, 2 => flash, 1 => fixed, 1 => layers]
}

/// What was said is what is said; what is said besides does not matter.
fn assert_back(stream: &Stream, pad: &str, prefer_enhanced: bool) {
    init();
    let sent: gst::Caps = stream.caps.parse().unwrap();
    let got = through(stream, pad, prefer_enhanced);
    let got = got.unwrap_or_else(|| panic!("no caps on {pad}: {sent}"));
    let (sent, got) = (sent.structure(0).unwrap(), got.structure(0).unwrap());
    assert_eq!(sent.name(), got.name());
    for (field, value) in sent.iter() {
        // Without comments, which FLV does not carry.
        if field == "streamheader" {
            let first = |s: &gst::StructureRef| {
                let headers = s.get::<gst::ArrayRef>("streamheader").unwrap();
                let first = headers.as_slice()[0].get::<gst::Buffer>().unwrap();
                // The third byte from the left counts the headers that follow.
                first.map_readable().unwrap()[9..].to_vec()
            };
            assert_eq!(first(sent)[8..], first(got)[8..], "{sent}\n{got}");
            continue;
        }
        let back = got.value(field);
        let back = back.unwrap_or_else(|_| panic!("no {field}\n{sent}\n{got}"));
        let text = |value: &glib::Value| format!("{:?}", value.serialize());
        assert_eq!(text(back), text(value), "{field}\n{sent}\n{got}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_caps_of_pictures_come_back(stream in video(), prefer in any::<bool>(), id in 0u8..) {
        let id = if stream.enhanced { id } else { 0 };
        let pad = if id == 0 { "video".to_owned() } else { format!("video_{id}") };
        assert_back(&stream, &pad, prefer || stream.needs_enhanced);
    }

    #[test]
    fn any_caps_of_sound_come_back(stream in audio(), prefer in any::<bool>(), id in 0u8..) {
        let id = if stream.enhanced { id } else { 0 };
        let pad = if id == 0 { "audio".to_owned() } else { format!("audio_{id}") };
        assert_back(&stream, &pad, prefer || stream.needs_enhanced);
    }
}
