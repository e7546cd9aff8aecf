// SPDX-License-Identifier: MPL-2.0

//! An RTMP server: whatever anybody publishes can be played by anybody, any number of streams on one
//! port, nothing decoded.
//!
//! A pipeline waits for a publisher of any stream. When one has come, the pipeline serves that stream to
//! players, and another pipeline waits for the next.

use std::{cell::RefCell, collections::HashMap, process::ExitCode, rc::Rc};

use gst::{MessageView, glib, prelude::*};

#[allow(dead_code)]
mod common;

const USAGE: &str = "\
Serves what is published to it to whoever plays it.

Usage: server [ADDRESS:PORT]

  ADDRESS:PORT   where to listen, 0.0.0.0:1935 unless told

Publish to rtmp://HOST/APP/STREAM and play the same. Ctrl-C ends it.";

/// Pipelines by their names, with the watches of their buses.
type Streams = Rc<RefCell<HashMap<String, (gst::Pipeline, gst::bus::BusWatchGuard)>>>;

fn main() -> ExitCode {
    let address = std::env::args().nth(1);
    if address.as_deref().is_some_and(|a| a.starts_with('-')) {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match serve(address.as_deref().unwrap_or("0.0.0.0:1935")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn serve(address: &str) -> Result<(), String> {
    common::init()?;
    common::ctrl_c::watch();
    let main = glib::MainLoop::new(None, false);
    let streams = Streams::default();
    wait_for_publisher(address, &main, &streams)?;
    println!("Listening on {address}; Ctrl-C ends it.");
    let over = main.clone();
    glib::timeout_add_local(std::time::Duration::from_millis(100), move || {
        if common::ctrl_c::pressed() {
            over.quit();
        }
        glib::ControlFlow::Continue
    });
    main.run();
    for (_, (pipeline, _)) in streams.borrow_mut().drain() {
        let _ = pipeline.set_state(gst::State::Null);
    }
    Ok(())
}

/// Starts a pipeline that takes the next publisher.
fn wait_for_publisher(
    address: &str,
    main: &glib::MainLoop,
    streams: &Streams,
) -> Result<(), String> {
    let pipeline = common::pipeline("rtmpsrc name=in mode=listener ! identity name=out")?;
    let by_name = |name| pipeline.by_name(name).expect("it is in the line above");
    let (source, last) = (by_name("in"), by_name("out"));
    source.set_property("location", format!("rtmp://{address}/*/*"));
    let (line, at) = (pipeline.downgrade(), address.to_owned());
    // On the thread that is about to stream, before the first of it.
    source.connect("caller-added", false, move |values| {
        let text = |index: usize| values[index].get::<String>().unwrap_or_default();
        let (app, stream) = (text(3), text(4));
        let pipeline = line.upgrade()?;
        println!("{app}/{stream} is published from {}.", text(2));
        let sink = gst::ElementFactory::make("rtmpsink")
            .property_from_str("mode", "listener")
            .property("location", format!("rtmp://{at}/{app}/{stream}"))
            // What comes from a publisher is due.
            .property("sync", false)
            .property("async", false)
            .build()
            .expect("rtmpsink is ours");
        pipeline.add(&sink).expect("a new element");
        last.link(&sink).expect("FLV for FLV");
        let _ = sink.sync_state_with_parent();
        None
    });

    let bus = pipeline.bus().expect("a pipeline has a bus");
    let (name, at) = (pipeline.name().to_string(), address.to_owned());
    let (known, all, main) = (name.clone(), streams.clone(), main.clone());
    let watch = bus.add_watch_local(move |_, message| {
        let over = match message.view() {
            MessageView::Element(element) if element.has_name("rtmp-caller-added") => {
                // Players are callers too.
                let publisher = message.src().is_some_and(|from| from.name() == "in");
                if publisher && let Err(sentence) = wait_for_publisher(&at, &main, &all) {
                    eprintln!("{sentence}");
                    main.quit();
                }
                false
            }
            MessageView::Eos(_) => true,
            MessageView::Error(error) => {
                eprintln!("{}", error.error());
                true
            }
            _ => false,
        };
        if over {
            // Not from here: with the pipeline goes this watch.
            let (all, known, main) = (all.clone(), known.clone(), main.clone());
            glib::idle_add_local_once(move || {
                if let Some((pipeline, _)) = all.borrow_mut().remove(&known) {
                    let _ = pipeline.set_state(gst::State::Null);
                }
                if all.borrow().is_empty() {
                    main.quit();
                }
            });
        }
        glib::ControlFlow::Continue
    });
    let watch = watch.map_err(|error| error.to_string())?;
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|_| format!("Cannot listen on {address}."))?;
    streams.borrow_mut().insert(name, (pipeline, watch));
    Ok(())
}
