// SPDX-License-Identifier: MPL-2.0

//! Metadata and script calls.

use gst::prelude::*;

use crate::{
    streams::{QUEUE, source, watch},
    support::{media, pipeline::Pipeline},
};

fn call(name: &str) -> gst::Structure {
    let inner = gst::Structure::builder("object")
        .field("name", "chapter")
        .field("time", 1.5f64)
        .build();
    gst::Structure::builder("flv-script-data")
        .field("name", name)
        .field("arguments", gst::Array::new([inner]))
        .build()
}

#[test]
fn calls_go_in_and_come_out() {
    let pipeline = Pipeline::launch(&format!(
        "{} ! flvdemux name=s s.video ! {QUEUE} ! h264parse name=p ! \
         flvmuxbridge name=m streamable=true ! flvdemuxbridge name=d d.video ! {QUEUE} ! \
         appsink name=got s.audio ! fakesink",
        source(&media::h264_aac())
    ));
    let got = watch(&pipeline.element("got"));
    let mux = pipeline.element("m");
    assert!(mux.emit_by_name::<bool>("send-script-data", &[&call("onTextData")]));
    let nameless = gst::Structure::new_empty("x");
    assert!(!mux.emit_by_name::<bool>("send-script-data", &[&nameless]));
    // The event goes with the stream.
    let parser = pipeline.element("p").static_pad("src").unwrap();
    let sent = std::sync::atomic::AtomicUsize::new(0);
    parser.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
        if sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 30 {
            let event = gst::event::CustomDownstream::new(call("onCuePoint"));
            pad.push_event(event);
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.play();
    for (name, least) in [
        ("onMetaData", 0),
        ("onTextData", 0),
        ("onCuePoint", 1_000_000_000),
    ] {
        let structure = loop {
            let structure = pipeline.notice("flv-script-data");
            if structure.get::<&str>("name") == Ok(name) {
                break structure;
            }
            // Tags of upstream are new metadata.
            assert_eq!(structure.get::<&str>("name"), Ok("onMetaData"));
        };
        assert!(
            structure.get::<u64>("timestamp").unwrap() >= least,
            "{structure}"
        );
        let arguments = structure.get::<gst::Structure>("arguments").unwrap();
        let argument = arguments.get::<gst::Structure>("0").unwrap();
        if name == "onMetaData" {
            assert_eq!(argument.get::<f64>("width"), Ok(640.0));
            assert_eq!(argument.get::<f64>("framerate"), Ok(25.0));
        } else {
            assert_eq!(argument.get::<&str>("name"), Ok("chapter"));
            assert_eq!(argument.get::<f64>("time"), Ok(1.5));
        }
    }
    pipeline.eos();
    assert_eq!(got.lock().unwrap().packets.len(), 125);
}

#[test]
fn tags_go_through() {
    let pipeline = Pipeline::launch(&format!(
        "{} ! flvdemux name=s s.video ! {QUEUE} ! h264parse ! \
         flvmuxbridge name=m streamable=true ! flvdemuxbridge name=d d.video ! {QUEUE} ! appsink name=got \
         s.audio ! fakesink",
        source(&media::h264_aac())
    ));
    let setter: gst::TagSetter = pipeline.element("m").dynamic_cast().unwrap();
    setter.add_tag::<gst::tags::Title>(&"Evening news", gst::TagMergeMode::Append);
    let _got = watch(&pipeline.element("got"));
    pipeline.play();
    let mut title = None;
    while title.is_none() {
        let message = pipeline.message(&[
            gst::MessageType::Tag,
            gst::MessageType::Eos,
            gst::MessageType::Error,
        ]);
        let gst::MessageView::Tag(tag) = message.view() else {
            panic!("no title: {message:?}");
        };
        let tags = tag.tags();
        if message.src().is_some_and(|source| source.name() == "got") {
            title = tags
                .get::<gst::tags::Title>()
                .map(|title| title.get().to_owned());
        }
    }
    assert_eq!(title.as_deref(), Some("Evening news"));
}
