// SPDX-License-Identifier: MPL-2.0

//! A test picture to a Web Call Server, a stream of one into a file, or on to an RTMP server.

use std::process::ExitCode;

use gst::{MessageView, prelude::*};

mod common;

const USAGE: &str = "\
Publishes to a Web Call Server, or plays from it.

Usage: wcs publish URI STREAM         a test picture with a tone
       wcs record URI STREAM FILE     into a Matroska file
       wcs bridge URI STREAM RTMP     on to an RTMP server, encoded anew: RTMP knows no VP8

  URI   ws:// or wss://, for example wss://host:8443
  RTMP  rtmp:// or rtmps://

Ctrl-C ends the stream.";

const PICTURE: &str =
    "videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=30/1";

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let (action, uri, stream, rest) = match arguments[..] {
        ["publish", uri, stream] => (
            "publish",
            uri,
            stream,
            format!(
                "{PICTURE} ! vp8enc deadline=1 target-bitrate=1000000 keyframe-max-dist=300 ! wcs. \
                 audiotestsrc is-live=true volume=0.1 ! opusenc ! wcs."
            ),
        ),
        ["record", uri, stream, file] => (
            "play",
            uri,
            stream,
            format!(
                "matroskamux name=mux ! filesink location=\"{file}\" \
                 wcs. ! video/x-vp8 ! queue ! mux.video_0 wcs. ! audio/x-opus ! queue ! mux.audio_0"
            ),
        ),
        ["bridge", uri, stream, rtmp] => (
            "play",
            uri,
            stream,
            format!(
                "flvmux name=mux streamable=true ! rtmpsink location=\"{rtmp}\" \
                 wcs. ! video/x-vp8 ! queue ! vp8dec ! videoconvert ! \
                 x264enc tune=zerolatency key-int-max=60 ! h264parse ! mux. \
                 wcs. ! audio/x-opus ! queue ! opusdec ! audioconvert ! audioresample ! avenc_aac ! mux."
            ),
        ),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(action, uri, stream, &rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run(action: &str, uri: &str, stream: &str, rest: &str) -> Result<(), String> {
    common::init()?;
    let pipeline = common::pipeline(&format!("wcswebrtcbin name=wcs action={action} {rest}"))?;
    let wcs = pipeline.by_name("wcs").expect("it was just made");
    wcs.set_property("uri", uri);
    wcs.set_property("stream-name", stream);
    common::run(&pipeline, |message| match message.view() {
        MessageView::Element(element) => {
            let structure = element.structure().filter(|s| s.name().starts_with("wcs-"));
            if let Some(structure) = structure {
                println!("{structure}");
            }
            structure.is_some()
        }
        MessageView::Warning(warning) => {
            eprintln!("{}", warning.error());
            true
        }
        _ => false,
    })
}
