// SPDX-License-Identifier: MPL-2.0

//! Our element, as server or as the publisher of another one.

use gst::prelude::*;

use super::film::Film;
use crate::media::FLV_HEAD;
use crate::peer::roles_die_with_parent;
use crate::roles::stamp;

/// `players-sink FILE PORT ELEMENT`: feeds an element called `sink`.
pub(crate) fn sink(args: &[String]) -> Result<(), String> {
    let [path, port, element] = args else {
        return Err("players-sink FILE PORT ELEMENT".to_owned());
    };
    roles_die_with_parent();
    gst::init().map_err(|e| e.to_string())?;
    let flv = std::fs::read(path).map_err(|e| format!("{path}: {e}"))?;
    let film = Film::read(path)?;
    let element = gst::parse::launch(element).map_err(|e| e.to_string())?;
    let pipeline = gst::Pipeline::new();
    pipeline.add(&element).map_err(|e| e.to_string())?;
    let sink = pipeline
        .by_name("sink")
        .and_then(|sink| sink.static_pad("sink"));
    let sink = sink.ok_or("no element called sink")?;
    let state = pipeline.set_state(gst::State::Playing);
    state.map_err(|e| e.to_string())?;
    let pad = gst::Pad::builder(gst::PadDirection::Src)
        .name("src")
        .build();
    pad.set_active(true).map_err(|e| e.to_string())?;
    pad.link(&sink).map_err(|e| format!("{e:?}"))?;
    pad.push_event(gst::event::StreamStart::new("bench"));
    pad.push_event(gst::event::Caps::new(&gst::Caps::new_empty_simple(
        "video/x-flv",
    )));
    pad.push_event(gst::event::Segment::new(&gst::FormattedSegment::<
        gst::ClockTime,
    >::new()));
    println!("ports rtmp={port}");
    let push = |bytes: Vec<u8>, time: u32| {
        let mut buffer = gst::Buffer::from_slice(bytes);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_dts(gst::ClockTime::from_mseconds(time.into()));
        }
        let pushed = pad.push(buffer);
        pushed
            .map(drop)
            .map_err(|e| format!("the element says {e:?}"))
    };
    push(flv[..FLV_HEAD].to_vec(), 0)?;
    film.play(
        |tag, time| {
            let mut bytes = tag.flv(time);
            if !tag.head {
                stamp::write_tag(&mut bytes);
            }
            push(bytes, time)
        },
        |wait| {
            std::thread::sleep(wait);
            Ok(())
        },
    )
}
