// SPDX-License-Identifier: MPL-2.0

//! A pipeline of the source and a sink that takes everything, and what it saw.

use std::{
    sync::{Arc, Mutex, Once},
    time::{Duration, Instant},
};

use gst::{MessageView, prelude::*};

use crate::support::{self, process::PATIENCE};

pub(crate) fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().unwrap();
        gstrtmp::plugin_register_static().unwrap();
    });
}

pub(crate) fn time(duration: Duration) -> gst::ClockTime {
    duration.try_into().unwrap()
}

/// What leaves the source, since the last flush.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) buffers: Vec<gst::Buffer>,
    pub(crate) segments: Vec<gst::FormattedSegment<gst::ClockTime>>,
    pub(crate) first: Option<Instant>,
}

/// A pipeline of the source and a sink that takes everything at once.
pub(crate) struct Player {
    pub(crate) pipeline: gst::Pipeline,
    pub(crate) source: gst::Element,
    pub(crate) seen: Arc<Mutex<Seen>>,
}

impl Player {
    pub(crate) fn new(location: &str) -> Self {
        init();
        let source = gst::ElementFactory::make("rtmpsrc")
            .property("location", location)
            .build()
            .unwrap();
        let sink = gst::ElementFactory::make("fakesink")
            .property("sync", false)
            .build()
            .unwrap();
        let pipeline = gst::Pipeline::new();
        pipeline.add_many([&source, &sink]).unwrap();
        source.link(&sink).unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mask = gst::PadProbeType::BUFFER
            | gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::EVENT_FLUSH;
        let pad = source.static_pad("src").unwrap();
        let notes = seen.clone();
        pad.add_probe(mask, move |_, info| {
            let mut seen = notes.lock().unwrap();
            if let Some(buffer) = info.buffer() {
                seen.first.get_or_insert_with(Instant::now);
                seen.buffers.push(buffer.clone());
            }
            if let Some(event) = info.event() {
                match event.view() {
                    gst::EventView::Segment(segment) => {
                        let segment = segment.segment().clone();
                        seen.segments.push(segment.downcast().expect("in time"));
                    }
                    gst::EventView::FlushStop(_) => *seen = Seen::default(),
                    _ => {}
                }
            }
            gst::PadProbeReturn::Ok
        });
        Self {
            pipeline,
            source,
            seen,
        }
    }

    pub(crate) fn set(self, property: &str, value: impl Into<glib::Value>) -> Self {
        self.source.set_property(property, value);
        self
    }

    pub(crate) fn play(self) -> Self {
        self.state(gst::State::Playing);
        self
    }

    pub(crate) fn state(&self, state: gst::State) {
        self.pipeline.set_state(state).unwrap();
    }

    pub(crate) fn bus(&self) -> gst::Bus {
        self.pipeline.bus().unwrap()
    }

    #[track_caller]
    pub(crate) fn message(&self, types: &[gst::MessageType]) -> gst::Message {
        let message = self.bus().timed_pop_filtered(time(PATIENCE), types);
        message.unwrap_or_else(|| panic!("no {types:?} within {PATIENCE:?}"))
    }

    /// Waits for the end of the stream.
    #[track_caller]
    pub(crate) fn end(&self) {
        let message = self.message(&[gst::MessageType::Eos, gst::MessageType::Error]);
        if let MessageView::Error(error) = message.view() {
            panic!("{error:?}");
        }
    }

    /// Waits for an error, and makes sure that it stays the only one.
    #[track_caller]
    pub(crate) fn error(&self) -> (glib::Error, Option<String>) {
        let message = self.message(&[gst::MessageType::Eos, gst::MessageType::Error]);
        let MessageView::Error(error) = message.view() else {
            panic!("{message:?}");
        };
        assert_eq!(message.src(), Some(self.source.upcast_ref()));
        let details = error.details().map(|details| details.to_string());
        let error = error.error();
        // Whatever the base class adds, it adds before the task has stopped.
        self.stop();
        let more = self.bus().pop_filtered(&[gst::MessageType::Error]);
        assert!(more.is_none(), "{more:?}");
        (error, details)
    }

    #[track_caller]
    pub(crate) fn fails(&self, code: gst::ResourceError) {
        let (error, details) = self.error();
        assert_eq!(error.kind::<gst::ResourceError>(), Some(code), "{error}");
        let text = error.message();
        assert!(text.ends_with(['.', '?']) && text.len() > 20, "{text}");
        assert!(details.is_some_and(|d| d.contains("stage=")), "{text}");
    }

    /// Waits for an element message of this name.
    #[track_caller]
    pub(crate) fn told(&self, name: &str) -> gst::Structure {
        loop {
            let types = [gst::MessageType::Element, gst::MessageType::Error];
            let message = self.message(&types);
            match message.view() {
                MessageView::Element(element) => {
                    let structure = element.structure().expect("a structure");
                    if structure.name() == name {
                        return structure.to_owned();
                    }
                }
                _ => panic!("{message:?}"),
            }
        }
    }

    /// Waits until the source has seen enough.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, condition: impl Fn(&Seen) -> bool) {
        support::process::wait_until(what, || condition(&self.seen.lock().unwrap()));
    }

    #[track_caller]
    pub(crate) fn wait_for_buffers(&self, count: usize) {
        self.wait(&format!("{count} buffers"), |seen| {
            seen.buffers.len() >= count
        });
    }

    /// The stream as a file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let seen = self.seen.lock().unwrap();
        let maps = seen.buffers.iter().map(|b| b.map_readable().unwrap());
        maps.flat_map(|map| map.to_vec()).collect()
    }

    /// Stops, and does so at once whatever is under way.
    #[track_caller]
    pub(crate) fn stop(&self) {
        let begin = Instant::now();
        self.state(gst::State::Null);
        let took = begin.elapsed();
        assert!(took < Duration::from_millis(100), "{took:?}");
    }

    pub(crate) fn stats<T: for<'a> glib::value::FromValue<'a> + 'static>(&self, field: &str) -> T {
        let stats = self.source.property::<gst::Structure>("stats");
        stats.get(field).unwrap()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.state(gst::State::Null);
    }
}
