// SPDX-License-Identifier: MPL-2.0

//! Pipelines that end in appsinks, and what came out of them.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use gst::prelude::*;

use crate::support::pipeline::{self, Pipeline};

/// What an appsink got.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stream {
    pub caps: Vec<gst::Caps>,
    pub packets: Vec<Packet>,
    pub gaps: usize,
}

/// A buffer.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    pub dts: Option<gst::ClockTime>,
    pub pts: Option<gst::ClockTime>,
    pub delta: bool,
    pub discont: bool,
    pub header: bool,
    pub decode_only: bool,
    pub data: Vec<u8>,
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (start, len) = (self.data.get(..8).unwrap_or(&self.data), self.data.len());
        write!(
            f,
            "{:?}/{:?}{}{} {len} {start:02x?}",
            self.dts.map(|t| t.nseconds()),
            self.pts.map(|t| t.nseconds()),
            if self.delta { " delta" } else { "" },
            if self.discont { " discont" } else { "" },
        )
    }
}

impl Stream {
    /// The caps, of a stream that had but one.
    #[track_caller]
    pub fn one_caps(&self) -> &gst::Caps {
        assert_eq!(self.caps.len(), 1, "{:?}", self.caps);
        &self.caps[0]
    }

    /// Data and times in ms, which is as exact as FLV is.
    pub fn in_millis(&self) -> Vec<(Option<u64>, Option<u64>, &[u8])> {
        let ms = |time: Option<gst::ClockTime>| time.map(|time| time.mseconds());
        let packets = self.packets.iter();
        packets
            .map(|p| (ms(p.dts), ms(p.pts), &p.data[..]))
            .collect()
    }

    pub fn data(&self) -> Vec<&[u8]> {
        self.packets.iter().map(|packet| &packet.data[..]).collect()
    }

    pub fn pts(&self) -> Vec<u64> {
        let packets = self.packets.iter();
        packets.map(|p| p.pts.expect("a PTS").nseconds()).collect()
    }
}

/// What sinks of these names get, until the end of the stream. In a description such a sink is
/// `appsink name=…`.
pub fn run<const N: usize>(description: &str, names: [&str; N]) -> [Stream; N] {
    let pipeline = Pipeline::launch(description);
    let streams = names.map(|name| watch(&pipeline.element(name)));
    pipeline.play();
    pipeline.eos();
    pipeline.stop();
    streams.map(|stream| stream.lock().unwrap().clone())
}

/// Collects what an appsink gets.
pub fn watch(sink: &gst::Element) -> Arc<Mutex<Stream>> {
    let sink: &gst_app::AppSink = sink.downcast_ref().expect("an appsink");
    sink.set_sync(false);
    let stream = Arc::new(Mutex::new(Stream::default()));
    let pad = sink.static_pad("sink").expect("its pad");
    let events = stream.clone();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        match info.event().map(|event| event.view()) {
            Some(gst::EventView::Caps(caps)) => {
                events.lock().unwrap().caps.push(caps.caps_owned());
            }
            Some(gst::EventView::Gap(_)) => events.lock().unwrap().gaps += 1,
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    let packets = stream.clone();
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let buffer = sample.buffer().ok_or(gst::FlowError::Error)?;
        let flags = buffer.flags();
        packets.lock().unwrap().packets.push(Packet {
            dts: buffer.dts(),
            pts: buffer.pts(),
            delta: flags.contains(gst::BufferFlags::DELTA_UNIT),
            discont: flags.contains(gst::BufferFlags::DISCONT),
            header: flags.contains(gst::BufferFlags::HEADER),
            decode_only: flags.contains(gst::BufferFlags::DECODE_ONLY),
            data: buffer.map_readable().expect("a buffer").to_vec(),
        });
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
    stream
}

/// A queue that never fills, so that one branch never waits for another.
pub const QUEUE: &str = "queue max-size-buffers=0 max-size-bytes=0 max-size-time=0";

/// `filesrc` of a file.
pub fn source(path: &Path) -> String {
    let path = path.to_str().expect("a path of ours");
    format!("filesrc location={}", pipeline::quoted(path))
}

/// What a demuxer makes of a file with pictures and sound.
pub fn demuxed(file: &Path, between: &str, demuxer: &str) -> [Stream; 2] {
    let source = source(file);
    run(
        &format!(
            "{source} {between} ! {demuxer} name=d d.video ! {QUEUE} ! appsink name=v \
             d.audio ! {QUEUE} ! appsink name=a"
        ),
        ["v", "a"],
    )
}
