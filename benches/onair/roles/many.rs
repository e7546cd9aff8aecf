// SPDX-License-Identifier: MPL-2.0

//! Many pipelines in one process: what each costs the processor, in memory and in threads.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::pipeline::{launch, pad};
use super::stamp;
use crate::child::seconds;
use crate::peer::wire;
use crate::{measure, media};

/// Pipelines whose buffers are looked into; the rest pass unseen, as in real life.
const WATCHED: usize = 20;
const PATIENCE: Duration = Duration::from_secs(45);
/// After all run: key frames of a whole second, so that no first burst is counted.
const SETTLE: Duration = Duration::from_millis(1500);
/// Feeding goes on for those at the other end, whose window began a little later.
const AFTER: Duration = Duration::from_secs(2);

/// What the pads of all pipelines report to.
#[derive(Debug, Default)]
struct Watch {
    running: AtomicUsize,
    /// Pipelines that failed or ended.
    failed: AtomicUsize,
    complaint: Mutex<String>,
    window: AtomicBool,
    bytes: AtomicU64,
    ages: Mutex<Vec<u64>>,
    /// Of sounds, where they are stamped.
    sounds: Mutex<Vec<u64>>,
}

impl Watch {
    fn check(&self, count: usize) -> Result<(), String> {
        match self.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => {
                let why = self.complaint.lock().map(|c| c.clone()).unwrap_or_default();
                Err(format!("{failed} of {count} pipelines failed: {why}"))
            }
        }
    }
}

/// `many-plays DESCRIPTION COUNT SECONDS [MORE]`; `{n}` is replaced by the number of the pipeline. Goes on
/// for MORE seconds when all has been printed, for those at the other end.
pub(super) fn plays(args: &[String]) -> Result<(), String> {
    let [description, count, window, more @ ..] = args else {
        return Err("many-plays DESCRIPTION COUNT SECONDS [MORE]".to_owned());
    };
    let (count, window) = numbers(count, window)?;
    let more = more.first().and_then(|more| more.parse().ok());
    let more = Duration::from_secs(more.unwrap_or(0));
    let watch = Arc::new(Watch::default());
    let _pipelines = start(description, count, &watch)?;
    wait_for(count, &watch, || {})?;
    let figures = measure_window(window, &watch, std::thread::sleep);
    finish(figures, count, window, &watch, || std::thread::sleep(more))
}

/// `many-sinks DESCRIPTION COUNT SECONDS FLV header|headless|stamped`: feeds the FLV file, round and round and at
/// its own pace, to the appsrc called `in` of every pipeline; with a header, and with the time of sending in
/// each tag, if it is to be.
pub(super) fn sinks(args: &[String]) -> Result<(), String> {
    let [description, count, window, flv, header] = args else {
        return Err("many-sinks DESCRIPTION COUNT SECONDS FLV header|headless|stamped".to_owned());
    };
    let (count, window) = numbers(count, window)?;
    let flv = std::fs::read(flv).map_err(|e| format!("{flv}: {e}"))?;
    let watch = Arc::new(Watch::default());
    let pipelines = start(description, count, &watch)?;
    let sources = pipelines.iter().map(|pipeline| {
        let source = pipeline.by_name("in").and_then(|e| e.downcast().ok());
        source.ok_or("no appsrc called in".to_owned())
    });
    let sources = sources.collect::<Result<_, _>>()?;
    let mut feeder = Feeder::new(&flv, header != "headless", sources);
    feeder.stamps = header == "stamped";
    wait_for(count, &watch, || feeder.run_for(Duration::from_millis(20)))?;
    let figures = measure_window(window, &watch, |time| feeder.run_for(time));
    finish(figures, count, window, &watch, || feeder.run_for(AFTER))
}

fn numbers(count: &str, window: &str) -> Result<(usize, Duration), String> {
    let bad = |_| "COUNT and SECONDS are numbers".to_owned();
    let window = window.parse().map_err(bad)?;
    Ok((count.parse().map_err(bad)?, Duration::from_secs(window)))
}

fn start(
    description: &str,
    count: usize,
    watch: &Arc<Watch>,
) -> Result<Vec<gst::Pipeline>, String> {
    let mut pipelines = Vec::with_capacity(count);
    for index in 0..count {
        let pipeline = launch(&description.replace("{n}", &index.to_string()))?;
        let seen = Arc::clone(watch);
        let seen_one = AtomicBool::new(false);
        pad(&pipeline)?.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if !seen_one.swap(true, Ordering::Relaxed) {
                seen.running.fetch_add(1, Ordering::Relaxed);
            }
            if index >= WATCHED {
                return gst::PadProbeReturn::Remove;
            }
            if seen.window.load(Ordering::Relaxed)
                && let Some(buffer) = info.buffer()
            {
                look(buffer, &seen);
            }
            gst::PadProbeReturn::Ok
        });
        let seen = Arc::clone(watch);
        let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
        let failed = AtomicBool::new(false);
        bus.set_sync_handler(move |_, message| {
            let why = match message.view() {
                gst::MessageView::Error(error) => error.error().to_string(),
                gst::MessageView::Eos(_) => "it ended".to_owned(),
                _ => return gst::BusSyncReply::Drop,
            };
            // The first word tells; what follows are consequences.
            if let Ok(mut complaint) = seen.complaint.lock()
                && complaint.is_empty()
            {
                *complaint = why;
            }
            if !failed.swap(true, Ordering::Relaxed) {
                seen.failed.fetch_add(1, Ordering::Relaxed);
            }
            gst::BusSyncReply::Drop
        });
        let playing = pipeline.set_state(gst::State::Playing);
        playing.map_err(|e| format!("pipeline {index}: {e}"))?;
        pipelines.push(pipeline);
    }
    Ok(pipelines)
}

fn look(buffer: &gst::BufferRef, watch: &Watch) {
    watch
        .bytes
        .fetch_add(buffer.size() as u64, Ordering::Relaxed);
    if let Ok(map) = buffer.map_readable()
        && let Some((kind, age)) = stamp::age(&map)
        && let Ok(mut ages) = match kind {
            wire::AUDIO => watch.sounds.lock(),
            _ => watch.ages.lock(),
        }
    {
        ages.push(age);
    }
}

fn wait_for(count: usize, watch: &Watch, mut meanwhile: impl FnMut()) -> Result<(), String> {
    let started = Instant::now();
    while watch.running.load(Ordering::Relaxed) < count {
        if started.elapsed() > PATIENCE {
            let got = watch.running.load(Ordering::Relaxed);
            return Err(format!("only {got} of {count} run after {PATIENCE:?}"));
        }
        watch.check(count)?;
        meanwhile();
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Percent of a core over the window; the rest is read at its end.
fn measure_window(window: Duration, watch: &Watch, mut pass: impl FnMut(Duration)) -> f64 {
    pass(SETTLE);
    watch.window.store(true, Ordering::Relaxed);
    let (cpu, started) = (own_cpu(), Instant::now());
    pass(window);
    let percent = (own_cpu() - cpu) / started.elapsed().as_secs_f64() * 100.0;
    watch.window.store(false, Ordering::Relaxed);
    percent
}

fn own_cpu() -> f64 {
    // SAFETY: rusage is plain data for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live local.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn finish(
    percent: f64,
    count: usize,
    window: Duration,
    watch: &Watch,
    after: impl FnOnce(),
) -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|e| e.to_string())?;
    let field = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        let number = line.and_then(|l| l.trim_matches(':').split_whitespace().next());
        number
            .and_then(|n| n.parse::<f64>().ok())
            .unwrap_or(f64::NAN)
    };
    let bits = watch.bytes.load(Ordering::Relaxed) as f64 * 8.0;
    let mbps = bits / window.as_secs_f64() / count.min(WATCHED) as f64 / 1e6;
    let mut line = format!(
        "cpu={percent} rss={} threads={} mbps={mbps}",
        field("VmRSS") / 1024.0,
        field("Threads"),
    );
    for (prefix, ages) in [("", &watch.ages), ("sound_", &watch.sounds)] {
        if let Ok(mut ages) = ages.lock() {
            line += &lags(prefix, &mut ages);
        }
    }
    println!("{line}");
    watch.check(count)?;
    after();
    // Teardown is another section's subject, and librtmp's may hang.
    std::process::exit(0);
}

/// What `ages` come to, in ms.
pub(super) fn lags(prefix: &str, ages: &mut [u64]) -> String {
    let mut line = String::new();
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        if let Some(age) = measure::percentile(ages, share) {
            let _ = write!(line, " {prefix}{name}={}", age as f64 / 1e6);
        }
    }
    line
}

/// Pushes the same tags to all pipelines, each a little later than the one before.
struct Feeder {
    sources: Vec<gst_app::AppSrc>,
    /// Tags of [`Self::ROUNDS`] rounds with their times rewritten; shared by all pipelines.
    tags: Vec<(Duration, gst::Buffer)>,
    stamps: bool,
    start: Instant,
    queue: BinaryHeap<Reverse<(Duration, usize, usize)>>,
}

impl Feeder {
    /// Ten seconds each; more than any window with its patience.
    const ROUNDS: u32 = 8;

    fn new(flv: &[u8], header: bool, sources: Vec<gst_app::AppSrc>) -> Self {
        let mut tags = Vec::new();
        if header {
            tags.push((Duration::ZERO, buffer(flv[..media::FLV_HEAD].to_vec(), 0)));
        }
        let length = media::tags(flv).last().map_or(0, |t| t.time_ms) + 40;
        for round in 0..Self::ROUNDS {
            for tag in media::tags(flv) {
                if round > 0 && (tag.kind == 18 || tag.body.get(1) == Some(&0)) {
                    continue;
                }
                let time = round * length + tag.time_ms;
                let mut bytes = tag.whole.to_vec();
                bytes[4..7].copy_from_slice(&time.to_be_bytes()[1..]);
                tags.push((Duration::from_millis(time.into()), buffer(bytes, time)));
            }
        }
        let queue = (0..sources.len()).map(|index| {
            let spread = Duration::from_millis(index as u64 * 379 % 1000);
            Reverse((spread, index, 0))
        });
        Self {
            queue: queue.collect(),
            sources,
            tags,
            stamps: false,
            start: Instant::now(),
        }
    }

    fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while let Some(&Reverse((due, index, tag))) = self.queue.peek() {
            let due_at = self.start + due;
            let now = Instant::now();
            if now >= end {
                return;
            }
            if due_at > now {
                std::thread::sleep(due_at.min(end) - now);
                continue;
            }
            self.queue.pop();
            let mut buffer = self.tags[tag].1.clone();
            if self.stamps
                && let Ok(mut map) = buffer.make_mut().map_writable()
                && map.get(12) == Some(&1)
            {
                stamp::write_tag(&mut map);
            }
            // A pipeline that failed is counted by its bus.
            let _ = self.sources[index].push_buffer(buffer);
            if let Some((next, _)) = self.tags.get(tag + 1) {
                // Where the film begins again the last tag may be a little later than the next.
                let due = due + next.saturating_sub(self.tags[tag].0);
                self.queue.push(Reverse((due, index, tag + 1)));
            }
        }
    }
}

fn buffer(bytes: Vec<u8>, time_ms: u32) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_slice(bytes);
    if let Some(buffer) = buffer.get_mut() {
        let time = gst::ClockTime::from_mseconds(time_ms.into());
        buffer.set_pts(time);
        buffer.set_dts(time);
    }
    buffer
}
