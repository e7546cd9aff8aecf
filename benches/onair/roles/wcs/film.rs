// SPDX-License-Identifier: MPL-2.0

//! An encoded picture in memory, and the thread that plays it into many pipelines: so that what is
//! charged is the way to the network and no encoder.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gst::prelude::*;

/// 30 frames a second.
const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 30);

pub(super) struct Film {
    caps: gst::Caps,
    frames: Vec<gst::Buffer>,
}

/// Two seconds at about 2 Mb/s, the first of them a key frame.
pub(super) fn encode() -> Result<Film, String> {
    let pipeline = super::launch(
        "videotestsrc num-buffers=60 pattern=smpte ! video/x-raw,width=640,height=360,framerate=30/1 ! \
         identity ! vp8enc deadline=1 target-bitrate=2000000 end-usage=cbr min-quantizer=0 \
         keyframe-max-dist=3000 ! appsink name=out sync=false",
    )?;
    let out = pipeline.by_name("out").ok_or("no appsink")?;
    let out = out
        .downcast::<gst_app::AppSink>()
        .map_err(|_| "no appsink")?;
    super::play(&pipeline)?;
    let mut film = Film {
        caps: gst::Caps::new_any(),
        frames: Vec::new(),
    };
    while let Ok(sample) = out.pull_sample() {
        let caps = sample.caps().ok_or("no caps")?;
        film.caps = caps.to_owned();
        film.frames.extend(sample.buffer_owned());
    }
    pipeline
        .set_state(gst::State::Null)
        .map_err(|e| e.to_string())?;
    match film.frames.is_empty() {
        true => Err("no film".to_owned()),
        false => Ok(film),
    }
}

/// A film that is shown.
pub(super) struct Show {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Show {
    /// Has the pipelines play, and shows it to the `in` of each, over and over.
    pub(super) fn begin(film: &Film, pipelines: &[gst::Pipeline]) -> Result<Self, String> {
        let mut inlets = Vec::new();
        for pipeline in pipelines {
            let inlet = pipeline.by_name("in").ok_or("no appsrc")?;
            let inlet = inlet
                .downcast::<gst_app::AppSrc>()
                .map_err(|_| "no appsrc")?;
            inlet.set_caps(Some(&film.caps));
            inlet.set_format(gst::Format::Time);
            inlet.set_is_live(true);
            inlet.set_do_timestamp(true);
            super::play(pipeline)?;
            inlets.push(inlet);
        }
        let (stop, sent) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let (stopped, count) = (stop.clone(), sent.clone());
        let frames: Vec<gst::Buffer> = film
            .frames
            .iter()
            .map(|frame| {
                let mut frame = frame.copy();
                let times = frame.make_mut();
                times.set_pts(None);
                times.set_dts(None);
                frame
            })
            .collect();
        let thread = std::thread::spawn(move || {
            let begun = Instant::now();
            for (number, frame) in (0_u32..).zip(frames.iter().cycle()) {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                for inlet in &inlets {
                    let _ = inlet.push_buffer(frame.copy());
                    count.fetch_add(frame.size() as u64, Ordering::Relaxed);
                }
                let next = begun + FRAME * number;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        Ok(Self { stop, sent, thread })
    }

    /// Bytes until now.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.thread.join();
    }
}
