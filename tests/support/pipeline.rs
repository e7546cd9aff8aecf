// SPDX-License-Identifier: MPL-2.0

//! Pipelines of this process with our elements in them, seen through their bus.

use std::{
    sync::Once,
    time::{Duration, Instant},
};

use gst::prelude::*;

use super::process::PATIENCE;

/// How long NULL may take. 100 ms are promised; a test machine has other work as well.
pub const AT_ONCE: Duration = Duration::from_millis(250);

/// Registers our elements once.
pub fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().expect("GStreamer");
        gstrtmp::plugin_register_static().expect("our plugin");
    });
}

/// A pipeline that stops when dropped.
#[derive(Debug)]
pub struct Pipeline {
    pub pipeline: gst::Pipeline,
    bus: gst::Bus,
}

/// An error message.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Name of the element.
    pub from: String,
    pub error: glib::Error,
    pub debug: String,
    pub details: Option<gst::Structure>,
}

impl Failure {
    fn new(message: &gst::message::Error) -> Self {
        Self {
            from: message.src().map_or_else(String::new, |s| s.name().into()),
            error: message.error(),
            debug: message.debug().map_or_else(String::new, Into::into),
            details: message.details().map(ToOwned::to_owned),
        }
    }

    /// The message is a sentence that begins and ends as one.
    #[track_caller]
    pub fn assert_sentence(&self) {
        let text = self.error.message();
        assert!(text.starts_with(char::is_uppercase), "{text:?}");
        let body = text.strip_suffix(['.', '?']);
        let body = body.unwrap_or_else(|| panic!("{text:?} has no end"));
        assert!(!body.ends_with(['.', '?']), "{text:?}");
        assert!(!text.contains('\n'), "{text:?}");
        assert!(text.split_whitespace().count() > 4, "{text:?}");
    }
}

impl Pipeline {
    /// From a description in the manner of gst-launch-1.0; our element is named by the test.
    #[track_caller]
    pub fn launch(description: &str) -> Self {
        init();
        let bin = gst::parse::bin_from_description(description, false);
        let bin = bin.unwrap_or_else(|e| panic!("{description}: {e}"));
        let pipeline = gst::Pipeline::new();
        pipeline.add(&bin).expect("one bin");
        Self::new(pipeline)
    }

    pub fn new(pipeline: gst::Pipeline) -> Self {
        // What was posted on the way to NULL counts as well.
        pipeline.set_auto_flush_bus(false);
        let bus = pipeline.bus().expect("a bus");
        Self { pipeline, bus }
    }

    #[track_caller]
    pub fn element(&self, name: &str) -> gst::Element {
        self.pipeline.by_name(name).expect("an element of the name")
    }

    /// Starts; a failure to start is found on the bus.
    pub fn play(&self) {
        let _ = self.pipeline.set_state(gst::State::Playing);
    }

    /// Goes to a state and waits until it is there; says which error kept it from it.
    #[track_caller]
    pub fn reach(&self, state: gst::State) {
        let patience = gst::ClockTime::try_from(PATIENCE).ok();
        let begun = self.pipeline.set_state(state);
        // Whose time is over is still on its way, and no error.
        let there = [
            gst::StateChangeSuccess::Success,
            gst::StateChangeSuccess::NoPreroll,
        ];
        let reached = |result: gst::StateChangeSuccess| there.contains(&result);
        if begun.is_ok() && self.pipeline.state(patience).0.is_ok_and(reached) {
            return;
        }
        let error = self.bus.pop_filtered(&[gst::MessageType::Error]);
        match error.as_ref().map(|message| message.view()) {
            Some(gst::MessageView::Error(error)) => panic!("{state:?}: {:?}", Failure::new(error)),
            _ => panic!("{state:?} was not reached within {PATIENCE:?}"),
        }
    }

    /// Waits for a message of these types, or for an error.
    #[track_caller]
    pub fn message(&self, types: &[gst::MessageType]) -> gst::Message {
        let message = self
            .bus
            .timed_pop_filtered(gst::ClockTime::try_from(PATIENCE).ok(), types);
        message.unwrap_or_else(|| panic!("no message of {types:?} within {PATIENCE:?}"))
    }

    /// Waits for an element message of this name.
    #[track_caller]
    pub fn notice(&self, name: &str) -> gst::Structure {
        loop {
            let message = self.message(&[gst::MessageType::Element, gst::MessageType::Error]);
            if let gst::MessageView::Error(error) = message.view() {
                panic!("{:?}", Failure::new(error));
            }
            if let Some(found) = message.structure().filter(|s| s.name() == name) {
                return found.to_owned();
            }
        }
    }

    /// Waits for a progress of our element that says so, such as "On the air".
    #[track_caller]
    pub fn progress(&self, says: &str) {
        loop {
            let message = self.message(&[gst::MessageType::Progress, gst::MessageType::Error]);
            match message.view() {
                gst::MessageView::Progress(progress) => {
                    // Not by its get(), which does not free what it is given (gstreamer-rs 0.25.4).
                    let text = progress.structure().map(|s| s.get::<String>("text"));
                    if text.is_some_and(|text| text.is_ok_and(|text| text.contains(says))) {
                        return;
                    }
                }
                gst::MessageView::Error(error) => panic!("{:?}", Failure::new(error)),
                _ => {}
            }
        }
    }

    /// Waits for the end of the stream.
    #[track_caller]
    pub fn eos(&self) {
        let message = self.message(&[gst::MessageType::Eos, gst::MessageType::Error]);
        if let gst::MessageView::Error(error) = message.view() {
            panic!("{:?}", Failure::new(error));
        }
    }

    /// Waits for the first error of this element.
    #[track_caller]
    pub fn error_of(&self, element: &str) -> Failure {
        loop {
            let message = self.message(&[gst::MessageType::Eos, gst::MessageType::Error]);
            let gst::MessageView::Error(error) = message.view() else {
                panic!("the stream ended without an error");
            };
            let failure = Failure::new(error);
            if failure.from == element {
                return failure;
            }
        }
    }

    /// Every error and end of a stream that waits on the bus.
    pub fn ends_seen(&self) -> Vec<String> {
        let types = [gst::MessageType::Error, gst::MessageType::Eos];
        let ends = std::iter::from_fn(|| self.bus.pop_filtered(&types));
        ends.map(|message| match message.view() {
            gst::MessageView::Error(error) => format!("{:?}", Failure::new(error)),
            _ => "the stream ended".to_owned(),
        })
        .collect()
    }

    /// Sets the pipeline to NULL and returns how long that took.
    pub fn stop(&self) -> Duration {
        let begun = Instant::now();
        let _ = self.pipeline.set_state(gst::State::Null);
        begun.elapsed()
    }

    /// Stops within the time that is promised. `stage` is for the listing and the failure.
    #[track_caller]
    pub fn stop_at_once(&self, stage: &str) {
        let took = self.stop();
        println!("to NULL {stage}: {:.1} ms", took.as_secs_f64() * 1e3);
        assert!(took < AT_ONCE, "{stage}: NULL took {took:?}");
    }

    /// Stops, and returns every error of this element that is on the bus by then.
    pub fn errors_left(&self, element: &str) -> Vec<Failure> {
        self.stop();
        let errors = std::iter::from_fn(|| self.bus.pop_filtered(&[gst::MessageType::Error]));
        errors
            .filter_map(|message| match message.view() {
                gst::MessageView::Error(error) => Some(Failure::new(error)),
                _ => None,
            })
            .filter(|failure| failure.from == element)
            .collect()
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A word of a description, quoted so that a location may hold spaces.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
