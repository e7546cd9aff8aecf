// SPDX-License-Identifier: MPL-2.0

//! An RTMP server: whatever anybody publishes can be played by anybody, any number of streams on one
//! port, nothing decoded.
//!
//! A pipeline waits for a publisher of any stream. When one has come, the pipeline serves that stream to
//! players, and another pipeline waits for the next.

use std::{
    collections::HashMap,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use gst::{MessageView, glib, prelude::*};

#[allow(dead_code)]
mod common;

const USAGE: &str = "\
Serves what is published to it to whoever plays it.

Usage: server [ADDRESS:PORT]

  ADDRESS:PORT   where to listen, 0.0.0.0:1935 unless told

Publish to rtmp://HOST/APP/STREAM and play the same. Ctrl-C ends it.";

/// What all pipelines share.
struct Server {
    address: String,
    main: glib::MainLoop,
    /// By their names, with the watches of their buses.
    pipelines: Mutex<HashMap<String, (gst::Pipeline, gst::bus::BusWatchGuard)>>,
}

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
    let server = Arc::new(Server {
        address: address.to_owned(),
        main: glib::MainLoop::new(None, false),
        pipelines: Mutex::default(),
    });
    server.wait_for_publisher()?;
    println!("Listening on {address}; Ctrl-C ends it.");
    let main = server.main.clone();
    glib::timeout_add_local(std::time::Duration::from_millis(100), move || {
        if common::ctrl_c::pressed() {
            main.quit();
        }
        glib::ControlFlow::Continue
    });
    server.main.run();
    let pipelines = std::mem::take(&mut *server.pipelines.lock().unwrap());
    for (pipeline, _) in pipelines.into_values() {
        let _ = pipeline.set_state(gst::State::Null);
    }
    Ok(())
}

impl Server {
    /// Starts a pipeline that takes the next publisher.
    fn wait_for_publisher(self: &Arc<Self>) -> Result<(), String> {
        let pipeline = common::pipeline("rtmpsrc name=in mode=listener ! identity name=out")?;
        let by_name = |name| pipeline.by_name(name).expect("it is in the line above");
        let (source, last) = (by_name("in"), by_name("out"));
        source.set_property("location", format!("rtmp://{}/*/*", self.address));
        let (line, server) = (pipeline.downgrade(), self.clone());
        // On the thread that is about to stream, before the first of it.
        source.connect("caller-added", false, move |values| {
            let text = |index: usize| values[index].get::<String>().unwrap_or_default();
            let (app, stream) = (text(3), text(4));
            println!("{app}/{stream} is published from {}.", text(2));
            let sink = gst::ElementFactory::make("rtmpsink")
                .property_from_str("mode", "listener")
                .property(
                    "location",
                    format!("rtmp://{}/{app}/{stream}", server.address),
                )
                // What comes from a publisher is due.
                .property("sync", false)
                .property("async", false)
                .build()
                .expect("rtmpsink is ours");
            line.upgrade()?.add(&sink).expect("a new element");
            last.link(&sink).expect("FLV for FLV");
            let _ = sink.sync_state_with_parent();
            if let Err(sentence) = server.wait_for_publisher() {
                eprintln!("{sentence}");
            }
            None
        });

        let name = pipeline.name().to_string();
        let (own, server) = (name.clone(), self.clone());
        let bus = pipeline.bus().expect("a pipeline has a bus");
        let watch = bus.add_watch(move |_, message| {
            match message.view() {
                MessageView::Eos(_) => {}
                MessageView::Error(error) => eprintln!("{}", error.error()),
                _ => return glib::ControlFlow::Continue,
            }
            // Not from here: with the pipeline goes this watch.
            let (server, own) = (server.clone(), own.clone());
            glib::idle_add_once(move || {
                let ended = server.pipelines.lock().unwrap().remove(&own);
                if let Some((pipeline, _)) = ended {
                    let _ = pipeline.set_state(gst::State::Null);
                }
                if server.pipelines.lock().unwrap().is_empty() {
                    server.main.quit();
                }
            });
            glib::ControlFlow::Continue
        });
        let watch = watch.map_err(|error| error.to_string())?;
        let pipelines = &mut *self.pipelines.lock().unwrap();
        pipelines.insert(name, (pipeline.clone(), watch));
        let started = pipeline.set_state(gst::State::Playing);
        started.map_err(|_| format!("Cannot listen on {}.", self.address))?;
        Ok(())
    }
}
