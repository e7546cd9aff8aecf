// SPDX-License-Identifier: MPL-2.0

//! A muxer or a demuxer alone: what goes in was read before, what comes out is dropped. With `none` in
//! its stead, what all that costs by itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::{fs, thread};

use gst::prelude::*;

use crate::{allocations, child};

/// No element: what is pushed is dropped at once.
const NONE: &str = "none";

/// `flv-mux ELEMENT FILE TIMES`: the frames of a file, as often as that.
pub(super) fn mux(args: &[String]) -> Result<(), String> {
    let (element, file, times) = words(args)?;
    let streams = frames(file)?;
    load(element)?;
    let begun = Begun::now();
    let bytes = Arc::new(AtomicU64::new(0));
    let count: usize = streams.iter().map(|(_, _, buffers)| buffers.len()).sum();
    for _ in 0..times {
        if element == NONE {
            for (name, _, buffers) in &streams {
                push_to_nobody(name, buffers, &bytes)?;
            }
            continue;
        }
        let mux = make(element, &[("streamable", "true")])?;
        let out = drop_all(mux.static_pad("src"), &bytes)?;
        mux.set_state(gst::State::Playing)
            .map_err(|e| e.to_string())?;
        let feeds: Vec<_> = streams
            .iter()
            .map(|(name, caps, buffers)| {
                let sink = mux.request_pad_simple(name).ok_or("no pad")?;
                let pad = source(&sink, name)?;
                pad.push_event(gst::event::Caps::new(caps));
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                pad.push_event(gst::event::Segment::new(&segment));
                Ok((pad, buffers.clone()))
            })
            .collect::<Result<_, String>>()?;
        let threads: Vec<_> = feeds
            .into_iter()
            .map(|(pad, buffers)| {
                thread::spawn(move || {
                    for buffer in buffers {
                        pad.push(buffer).map_err(|e| e.to_string())?;
                    }
                    pad.push_event(gst::event::Eos::new());
                    Ok::<_, String>(pad)
                })
            })
            .collect();
        let mut pads = Vec::new();
        for thread in threads {
            pads.push(thread.join().map_err(|_| "a feed panicked")??);
        }
        out.wait();
        mux.set_state(gst::State::Null).map_err(|e| e.to_string())?;
    }
    begun.print(bytes.load(Ordering::SeqCst), count as u64 * times)
}

/// `flv-demux-tags ELEMENT FILE TIMES`: a file, a tag a buffer.
pub(super) fn demux_tags(args: &[String]) -> Result<(), String> {
    demux(args, |file| {
        let header = file.get(..13)?;
        let pieces = std::iter::once(header).chain(tags(file));
        Some(
            pieces
                .map(|piece| gst::Buffer::from_slice(piece.to_vec()))
                .collect(),
        )
    })
}

/// `flv-demux-blocks ELEMENT FILE TIMES`: a file in blocks.
pub(super) fn demux_blocks(args: &[String]) -> Result<(), String> {
    demux(args, |file| {
        let blocks = file.chunks(64 << 10);
        Some(
            blocks
                .map(|block| gst::Buffer::from_slice(block.to_vec()))
                .collect(),
        )
    })
}

/// `flv-demux-file ELEMENT FILE TIMES`: a file that the demuxer reads itself.
pub(super) fn demux_file(args: &[String]) -> Result<(), String> {
    let (element, file, times) = words(args)?;
    let film = fs::read(file).map_err(|e| e.to_string())?;
    let (length, count) = (film.len() as u64, tags(&film).len() as u64);
    drop(film);
    gst::init().map_err(|e| e.to_string())?;
    load(element)?;
    let begun = Begun::now();
    for _ in 0..times {
        let sink = "fakesink sync=false async=false";
        let pipeline = super::pipeline::launch(&match element {
            NONE => format!("filesrc location={file} blocksize=65536 ! {sink}"),
            _ => format!(
                "filesrc location={file} ! {element} name=d d.video ! {sink} d.audio ! {sink}"
            ),
        })?;
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| e.to_string())?;
        let bus = pipeline.bus().ok_or("no bus")?;
        let end = bus.timed_pop_filtered(None, &[gst::MessageType::Eos, gst::MessageType::Error]);
        if end.is_none_or(|end| end.type_() == gst::MessageType::Error) {
            return Err("the pipeline failed".to_owned());
        }
        pipeline
            .set_state(gst::State::Null)
            .map_err(|e| e.to_string())?;
    }
    begun.print(length * times, count * times)
}

fn demux(
    args: &[String],
    cut: impl FnOnce(&[u8]) -> Option<Vec<gst::Buffer>>,
) -> Result<(), String> {
    let (element, file, times) = words(args)?;
    gst::init().map_err(|e| e.to_string())?;
    let file = fs::read(file).map_err(|e| e.to_string())?;
    let pieces = cut(&file).ok_or("no FLV")?;
    let count = tags(&file).len() as u64;
    load(element)?;
    let begun = Begun::now();
    let bytes = Arc::new(AtomicU64::new(0));
    for _ in 0..times {
        if element == NONE {
            push_to_nobody("flv", &pieces, &bytes)?;
            continue;
        }
        let demux = make(element, &[])?;
        let outs = Arc::new(Mutex::new(Vec::new()));
        let (kept, counter) = (outs.clone(), bytes.clone());
        demux.connect_pad_added(move |_, pad| {
            if let Ok(out) = drop_all(Some(pad.clone()), &counter) {
                kept.lock().expect("no panic").push(out);
            }
        });
        demux
            .set_state(gst::State::Playing)
            .map_err(|e| e.to_string())?;
        let pad = source(&demux.static_pad("sink").ok_or("no pad")?, "flv")?;
        let segment = gst::FormattedSegment::<gst::format::Bytes>::new();
        pad.push_event(gst::event::Segment::new(&segment));
        for piece in &pieces {
            pad.push(piece.clone()).map_err(|e| e.to_string())?;
        }
        pad.push_event(gst::event::Eos::new());
        demux
            .set_state(gst::State::Null)
            .map_err(|e| e.to_string())?;
        outs.lock().expect("no panic").clear();
    }
    if bytes.load(Ordering::SeqCst) < file.len() as u64 * times / 10 * 9 {
        return Err("less came out than went in".to_owned());
    }
    begun.print(file.len() as u64 * times, count * times)
}

fn words(args: &[String]) -> Result<(&str, &str, u64), String> {
    let [element, file, times] = args else {
        return Err("ELEMENT FILE TIMES".to_owned());
    };
    Ok((
        element,
        file,
        times.parse().map_err(|_| "TIMES is a number")?,
    ))
}

/// Tags of a file, head and back-pointer included.
fn tags(file: &[u8]) -> Vec<&[u8]> {
    let mut rest = file.get(13..).unwrap_or_default();
    let mut tags = Vec::new();
    while let Some([_, s2, s1, s0, ..]) = rest.first_chunk::<11>() {
        let size = u32::from_be_bytes([0, *s2, *s1, *s0]) as usize + 15;
        let Some((tag, behind)) = rest.split_at_checked(size) else {
            break;
        };
        tags.push(tag);
        rest = behind;
    }
    tags
}

/// What the harness costs.
fn push_to_nobody(
    name: &str,
    buffers: &[gst::Buffer],
    bytes: &Arc<AtomicU64>,
) -> Result<(), String> {
    let pad = gst::Pad::builder(gst::PadDirection::Src).name(name).build();
    pad.set_active(true).map_err(|e| e.to_string())?;
    let out = drop_all(Some(pad.clone()), bytes)?;
    pad.push_event(gst::event::StreamStart::new(name));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    pad.push_event(gst::event::Segment::new(&segment));
    for buffer in buffers {
        pad.push(buffer.clone()).map_err(|e| e.to_string())?;
    }
    pad.push_event(gst::event::Eos::new());
    out.wait();
    Ok(())
}

/// Where counting began.
struct Begun {
    cpu: f64,
    allocations: u64,
}

impl Begun {
    fn now() -> Self {
        allocations::begin();
        Self {
            allocations: allocations::count(),
            cpu: cpu(),
        }
    }

    fn print(&self, bytes: u64, frames: u64) -> Result<(), String> {
        let cpu = cpu() - self.cpu;
        let each = (allocations::count() - self.allocations) as f64 / frames as f64;
        println!("cpu={cpu} bytes={bytes} allocations={each}");
        Ok(())
    }
}

/// CPU seconds of this process.
fn cpu() -> f64 {
    // SAFETY: a plain structure that getrusage fills.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    child::seconds(usage.ru_utime) + child::seconds(usage.ru_stime)
}

/// Loads the plugin, which happens once and is no cost of a stream.
fn load(element: &str) -> Result<(), String> {
    match element {
        NONE => Ok(()),
        _ => make(element, &[]).map(drop),
    }
}

fn make(element: &str, properties: &[(&str, &str)]) -> Result<gst::Element, String> {
    let element = gst::ElementFactory::make(element)
        .build()
        .map_err(|e| e.to_string())?;
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    Ok(element)
}

/// A pad that was linked to `sink`, ready for caps.
fn source(sink: &gst::Pad, name: &str) -> Result<gst::Pad, String> {
    let pad = gst::Pad::builder(gst::PadDirection::Src)
        .name(format!("bench_{name}"))
        .query_function(|pad, parent, query| match query.view_mut() {
            // As every source does. A muxer that hears nothing asks again at each frame.
            gst::QueryViewMut::Latency(latency) => {
                latency.set(false, gst::ClockTime::ZERO, None);
                true
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .build();
    pad.set_active(true).map_err(|e| e.to_string())?;
    pad.link(sink).map_err(|e| e.to_string())?;
    pad.push_event(gst::event::StreamStart::new(name));
    Ok(pad)
}

/// The end of a line.
struct Out {
    pad: gst::Pad,
    eos: std::sync::mpsc::Receiver<()>,
}

impl Out {
    fn wait(&self) {
        // The sender lives as long as the pad.
        let _ = self.eos.recv();
        let _ = &self.pad;
    }
}

/// Takes all that a pad pushes, and counts its bytes.
fn drop_all(from: Option<gst::Pad>, bytes: &Arc<AtomicU64>) -> Result<Out, String> {
    let bytes = bytes.clone();
    let (tx, eos) = std::sync::mpsc::channel();
    let pad = gst::Pad::builder(gst::PadDirection::Sink)
        .chain_function(move |_, _, buffer| {
            bytes.fetch_add(buffer.size() as u64, Ordering::Relaxed);
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(move |_, _, event| {
            if event.type_() == gst::EventType::Eos {
                let _ = tx.send(());
            }
            true
        })
        .build();
    pad.set_active(true).map_err(|e| e.to_string())?;
    from.ok_or("no pad")?
        .link(&pad)
        .map_err(|e| e.to_string())?;
    Ok(Out { pad, eos })
}

type Frames = Vec<(&'static str, gst::Caps, Vec<gst::Buffer>)>;

/// What is in a file, as flvdemux gives it.
fn frames(file: &str) -> Result<Frames, String> {
    let pipeline = super::pipeline::launch(&format!(
        "filesrc location={file} ! flvdemux name=d \
         d.video ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! h264parse ! \
         video/x-h264,stream-format=avc,alignment=au ! appsink name=video sync=false \
         d.audio ! queue max-size-buffers=0 max-size-bytes=0 max-size-time=0 ! aacparse ! \
         audio/mpeg,stream-format=raw ! appsink name=audio sync=false"
    ))?;
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|e| e.to_string())?;
    let mut streams = Frames::new();
    for name in ["video", "audio"] {
        let sink = pipeline.by_name(name).ok_or("no sink")?;
        let sink = sink
            .downcast::<gst_app::AppSink>()
            .map_err(|_| "no appsink")?;
        let mut caps = None;
        let mut buffers = Vec::new();
        while let Ok(sample) = sink.pull_sample() {
            caps = caps.or(sample.caps_owned());
            buffers.extend(sample.buffer_owned());
        }
        streams.push((name, caps.ok_or("no caps")?, buffers));
    }
    pipeline
        .set_state(gst::State::Null)
        .map_err(|e| e.to_string())?;
    Ok(streams)
}
