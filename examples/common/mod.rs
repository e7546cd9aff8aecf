// SPDX-License-Identifier: MPL-2.0

//! What the examples share: a pipeline runs until it ends, fails or is told to end.

use std::{cell::RefCell, rc::Rc};

use gst::{MessageView, glib, prelude::*};

pub(crate) mod ctrl_c;

/// Starts GStreamer with the elements of this crate, whatever is installed.
pub(crate) fn init() -> Result<(), String> {
    gst::init().map_err(|error| format!("GStreamer does not start: {error}"))?;
    gstrtmp::plugin_register_static().map_err(|error| format!("The plugin is refused: {error}"))
}

/// Makes a pipeline from a line as `gst-launch-1.0` takes it.
pub(crate) fn pipeline(line: &str) -> Result<gst::Pipeline, String> {
    let made = gst::parse::launch(line).map_err(|error| error.to_string())?;
    made.downcast()
        .map_err(|_| "One element is not a pipeline".to_owned())
}

/// Plays a pipeline until the end of its stream, and returns the sentence of its error if it fails.
///
/// `seen` gets each message first, and returns whether it has seen to it.
///
/// The first Ctrl-C sends an end of stream through the pipeline, so that a sink takes its leave of
/// the server; the second ends the program.
// `broadcast` has two pipelines and a loop of its own.
#[allow(dead_code)]
pub(crate) fn run(
    pipeline: &gst::Pipeline,
    mut seen: impl FnMut(&gst::Message) -> bool + 'static,
) -> Result<(), String> {
    let main_loop = glib::MainLoop::new(None, false);
    let outcome = Rc::new(RefCell::new(Ok(())));

    let bus = pipeline.bus().expect("a pipeline has a bus");
    let (quit, result, line) = (main_loop.clone(), outcome.clone(), pipeline.downgrade());
    let _watch = bus
        .add_watch_local(move |_, message| {
            match message.view() {
                _ if seen(message) => {}
                MessageView::Error(error) => {
                    *result.borrow_mut() = Err(error.error().to_string());
                    quit.quit();
                }
                MessageView::Eos(_) => quit.quit(),
                MessageView::Latency(_) => {
                    if let Some(pipeline) = line.upgrade() {
                        let _ = pipeline.recalculate_latency();
                    }
                }
                _ => {}
            }
            glib::ControlFlow::Continue
        })
        .map_err(|error| error.to_string())?;
    ctrl_c::watch();
    let line = pipeline.downgrade();
    glib::timeout_add_local(std::time::Duration::from_millis(100), move || {
        if ctrl_c::pressed()
            && let Some(pipeline) = line.upgrade()
        {
            eprintln!("Ending; Ctrl-C again to not wait.");
            pipeline.send_event(gst::event::Eos::new());
        }
        glib::ControlFlow::Continue
    });

    if pipeline.set_state(gst::State::Playing).is_err() {
        return Err(why_not(pipeline));
    }
    main_loop.run();
    let _ = pipeline.set_state(gst::State::Null);
    outcome.replace(Ok(()))
}

/// Stops a pipeline that did not start, and says why.
pub(crate) fn why_not(pipeline: &gst::Pipeline) -> String {
    let bus = pipeline.bus().expect("a pipeline has a bus");
    let said = bus.pop_filtered(&[gst::MessageType::Error]);
    let _ = pipeline.set_state(gst::State::Null);
    match said.as_deref().map(gst::MessageRef::view) {
        Some(MessageView::Error(error)) => error.error().to_string(),
        _ => "The pipeline does not start; GST_DEBUG=3 says more.".to_owned(),
    }
}
