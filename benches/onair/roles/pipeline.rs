// SPDX-License-Identifier: MPL-2.0

//! One pipeline at a time, in process.

use std::io::Write;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use gst::prelude::*;

/// `whose ELEMENT`: the file that the element comes from.
pub(super) fn whose(args: &[String]) -> Result<(), String> {
    gst::init().map_err(|e| e.to_string())?;
    let name = args.first().ok_or("whose ELEMENT")?;
    let factory = gst::ElementFactory::find(name).ok_or(format!("no element {name}"))?;
    let plugin = factory.plugin().ok_or("an element without a plugin")?;
    println!("{}", plugin.filename().unwrap_or_default().display());
    Ok(())
}

/// `first-buffer DESCRIPTION`: milliseconds from the call for PLAYING to the first buffer on the
/// sink pad of the element called `pad`. The plugin is loaded by then, as in a program that runs.
pub(super) fn first_buffer(args: &[String]) -> Result<(), String> {
    let pipeline = launch(args.first().ok_or("first-buffer DESCRIPTION")?)?;
    let (tx, rx) = channel();
    let first = tx.clone();
    pad(&pipeline)?.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let _ = first.send(Ok(Instant::now()));
        gst::PadProbeReturn::Remove
    });
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            let _ = tx.send(Err(error.error().to_string()));
        }
        gst::BusSyncReply::Drop
    });
    let wrong = |e: gst::StateChangeError| e.to_string();
    pipeline.set_state(gst::State::Ready).map_err(wrong)?;
    let started = Instant::now();
    pipeline.set_state(gst::State::Playing).map_err(wrong)?;
    let first = rx.recv_timeout(Duration::from_secs(10));
    let first = first.map_err(|_| "no buffer in 10 s".to_owned())??;
    println!("ms={}", (first - started).as_secs_f64() * 1000.0);
    std::io::stdout().flush().map_err(|e| e.to_string())?;
    pipeline.set_state(gst::State::Null).map_err(wrong)?;
    Ok(())
}

/// `states DESCRIPTION RUNS`: how long the calls for PAUSED and then for NULL take, in turn after
/// 0, 10, 20, ... ms in PAUSED, so that the second meets the element at different stages. One line
/// a run, so that what was measured survives a hang.
pub(super) fn states(args: &[String]) -> Result<(), String> {
    let [description, runs] = args else {
        return Err("states DESCRIPTION RUNS".to_owned());
    };
    let runs: u64 = runs.parse().map_err(|_| "RUNS is a number")?;
    for run in 0..runs {
        let pipeline = launch(description)?;
        pipeline
            .set_state(gst::State::Ready)
            .map_err(|e| e.to_string())?;
        let up = Instant::now();
        // A refusal is an answer too, if it comes at once.
        let _ = pipeline.set_state(gst::State::Paused);
        let up = up.elapsed();
        std::thread::sleep(Duration::from_millis(10 * run));
        let down = Instant::now();
        let _ = pipeline.set_state(gst::State::Null);
        let total = (up + down.elapsed()).as_secs_f64() * 1000.0;
        println!("ms={total}");
        std::io::stdout().flush().map_err(|e| e.to_string())?;
    }
    Ok(())
}

pub(super) fn launch(description: &str) -> Result<gst::Pipeline, String> {
    gst::init().map_err(|e| e.to_string())?;
    let parsed = gst::parse::launch(description).map_err(|e| e.to_string())?;
    // An element by itself comes without a pipeline around it.
    parsed.downcast().or_else(|element| {
        let pipeline = gst::Pipeline::new();
        pipeline.add(&element).map_err(|e| e.to_string())?;
        Ok(pipeline)
    })
}

/// The sink pad of the element called `pad`.
pub(super) fn pad(pipeline: &gst::Pipeline) -> Result<gst::Pad, String> {
    pipeline
        .by_name("pad")
        .and_then(|element| element.static_pad("sink"))
        .ok_or("no element called pad".to_owned())
}
