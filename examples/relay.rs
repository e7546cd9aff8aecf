// SPDX-License-Identifier: MPL-2.0

//! One stream in, the same stream out to several servers, nothing decoded. An output that fails is
//! taken out; the others do not notice.

use std::process::ExitCode;

use gst::{MessageView, PadProbeData, PadProbeReturn, PadProbeType, glib, prelude::*};

mod common;

const USAGE: &str = "\
Sends one stream on to several servers.

Usage: relay [--listen] SOURCE TARGET...

  SOURCE     rtmp:// or rtmps:// to play
  TARGET     rtmp:// or rtmps:// to publish to
  --listen   do not play SOURCE: be the server that it names, and wait for a publisher

Ctrl-C ends it.";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let listen = arguments.first().is_some_and(|first| first == "--listen");
    if listen {
        arguments.remove(0);
    }
    let Some((source, targets)) = arguments.split_first().filter(|(_, rest)| !rest.is_empty())
    else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match relay(source, listen, targets) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn relay(source: &str, listen: bool, targets: &[String]) -> Result<(), String> {
    common::init()?;
    let pipeline = common::pipeline("rtmpsrc name=in ! tee name=tee allow-not-linked=true")?;
    let by_name = |name| pipeline.by_name(name).expect("it is in the line above");
    let (input, tee) = (by_name("in"), by_name("tee"));
    if listen {
        input.set_property_from_str("mode", "listener");
    }
    input.set_property("location", source);
    let mut outputs = targets
        .iter()
        .map(|target| Output::add(&pipeline, &tee, target))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;

    println!("Relaying {source}; Ctrl-C ends it.");
    let line = pipeline.downgrade();
    common::run(&pipeline, move |message| {
        let (MessageView::Error(error), Some(pipeline)) = (message.view(), line.upgrade()) else {
            return false;
        };
        let failed = outputs.iter().position(|output| output.posted(message));
        let Some(output) = failed.map(|place| outputs.remove(place)) else {
            return false;
        };
        eprintln!("{}", error.error());
        output.remove(&pipeline, &tee);
        eprintln!("{} targets are left.", outputs.len());
        !outputs.is_empty()
    })
}

/// A branch of the tee with a server at its end.
struct Output {
    pad: gst::Pad,
    queue: gst::Element,
    sink: gst::Element,
}

impl Output {
    fn add(
        pipeline: &gst::Pipeline,
        tee: &gst::Element,
        target: &str,
    ) -> Result<Self, glib::BoolError> {
        // What a slow server cannot take is dropped by rtmpsink, by whole groups of pictures: it
        // knows where they begin.
        let queue = gst::ElementFactory::make("queue").build()?;
        let sink = gst::ElementFactory::make("rtmpsink")
            .property("location", target)
            // The source is live: what comes is due.
            .property("sync", false)
            // No output waits for the first tag of another.
            .property("async", false)
            .build()?;
        pipeline.add_many([&queue, &sink])?;
        queue.link(&sink)?;
        let (Some(pad), Some(into)) = (tee.request_pad_simple("src_%u"), queue.static_pad("sink"))
        else {
            return Err(glib::bool_error!("A tee and a queue have pads"));
        };
        pad.link(&into)
            .map_err(|error| glib::bool_error!("{error}"))?;
        // A tee hands the failure of one branch to its source, which would stop for all. So this
        // branch takes its buffers here, and keeps its result to itself.
        pad.add_probe(PadProbeType::BUFFER, move |_, info| {
            if let Some(PadProbeData::Buffer(buffer)) = info.data.take() {
                let _ = into.chain(buffer);
            }
            PadProbeReturn::Handled
        });
        Ok(Self { pad, queue, sink })
    }

    fn posted(&self, message: &gst::Message) -> bool {
        let source = message.src();
        source == Some(self.sink.upcast_ref()) || source == Some(self.queue.upcast_ref())
    }

    fn remove(self, pipeline: &gst::Pipeline, tee: &gst::Element) {
        tee.release_request_pad(&self.pad);
        let _ = pipeline.remove_many([&self.queue, &self.sink]);
        let _ = self.sink.set_state(gst::State::Null);
        let _ = self.queue.set_state(gst::State::Null);
    }
}
