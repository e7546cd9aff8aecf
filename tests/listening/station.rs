// SPDX-License-Identifier: MPL-2.0

//! A pipeline that serves.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use gst::prelude::*;

use crate::support::{flv_builder::shift, flvdump, media, pipeline::Pipeline};

/// A listening rtmpsink named `out` with something in front of it.
pub(crate) struct Station {
    pub(crate) pipeline: Pipeline,
    pub(crate) port: u16,
}

impl Station {
    /// Serves what `source` gives.
    pub(crate) fn launch(source: &str, options: &str) -> Self {
        let pipeline = Pipeline::launch(&format!(
            "{source} ! rtmpsink name=out mode=listener location=rtmp://127.0.0.1/live/one port=0 {options}"
        ));
        pipeline.play();
        let port = pipeline.notice("rtmp-listening").get::<u32>("port");
        let port = port.expect("a port").try_into().expect("a port");
        Self { pipeline, port }
    }

    /// Serves a file in real time, from when somebody plays it.
    pub(crate) fn of_file(file: &Path, options: &str) -> Self {
        let source = format!("filesrc location={}", file.display());
        Self::launch(&source, &format!("wait-for-connection=true {options}"))
    }

    pub(crate) fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live/one", self.port)
    }

    pub(crate) fn sink(&self) -> gst::Element {
        self.pipeline.element("out")
    }

    /// A field of `stats`.
    #[track_caller]
    pub(crate) fn stats<T: for<'v> glib::value::FromValue<'v> + 'static>(&self, field: &str) -> T {
        let stats = self.sink().property::<gst::Structure>("stats");
        stats.get::<T>(field).expect(field)
    }

    /// The callers in `stats`.
    pub(crate) fn callers(&self) -> Vec<gst::Structure> {
        let callers = self.stats::<gst::Array>("callers");
        let structure = |value: &glib::SendValue| value.get().expect("a structure");
        callers.iter().map(structure).collect()
    }
}

/// A live stream of sound and pictures without end, a key frame each second, that a test stops.
pub(crate) struct Live {
    pub(crate) station: Station,
    /// What a player gets, if it gets all.
    pub(crate) sent: Vec<flvdump::Packet>,
    held: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    feeder: Option<JoinHandle<()>>,
}

/// Rounds of five seconds; more than any test takes.
const ROUNDS: u32 = 24;
/// Milliseconds from one round to the next, a little more than sound and pictures last.
const ROUND: u32 = 5080;

/// A film again and again, its headers once.
fn film() -> Vec<u8> {
    let file = std::fs::read(media::h264_aac()).expect("the film");
    let mut film = file.clone();
    for round in 1..ROUNDS {
        let file = shift(&file, round * ROUND);
        for tag in tags(&file) {
            // Metadata and configurations came in the first round.
            let header = tag[0] == 18 || tag.get(12) == Some(&0);
            if !header {
                film.extend_from_slice(tag);
            }
        }
    }
    film
}

/// The tags of a file, back-pointers included.
fn tags(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = &file[13..];
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes([0, *rest.get(1)?, rest[2], rest[3]]) as usize;
        let (tag, behind) = rest.split_at_checked(11 + size + 4)?;
        rest = behind;
        Some(tag)
    })
}

impl Live {
    pub(crate) fn start(options: &str) -> Self {
        let station = Station::launch("appsrc name=in", options);
        let film = film();
        let appsrc = station.pipeline.element("in");
        let held = Arc::new(AtomicBool::new(false));
        let over = Arc::new(AtomicBool::new(false));
        let (hold, stop) = (held.clone(), over.clone());
        let sent = flvdump::parse(&film).expect("a film");
        let feeder = thread::spawn(move || {
            let push = |bytes: Vec<u8>| {
                let buffer = gst::Buffer::from_slice(bytes);
                let _ = appsrc.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
            };
            push(film[..13].to_vec());
            let begun = std::time::Instant::now();
            let mut pause = Duration::ZERO;
            for tag in tags(&film) {
                let ms = u32::from_be_bytes([tag[7], tag[4], tag[5], tag[6]]);
                let due = Duration::from_millis(ms.into());
                while hold.load(Ordering::SeqCst) && !stop.load(Ordering::SeqCst) {
                    thread::sleep(Duration::from_millis(5));
                    pause += Duration::from_millis(5);
                }
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                thread::sleep((due + pause).saturating_sub(begun.elapsed()));
                push(tag.to_vec());
            }
            let _ = appsrc.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
        });
        Self {
            station,
            sent,
            held,
            over,
            feeder: Some(feeder),
        }
    }

    /// Nothing comes from upstream, or again.
    pub(crate) fn hold(&self, hold: bool) {
        self.held.store(hold, Ordering::SeqCst);
    }

    /// Ends the stream.
    pub(crate) fn end(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(feeder) = self.feeder.take() {
            feeder.join().expect("the feeder");
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
    }
}
