// SPDX-License-Identifier: MPL-2.0

//! GStreamer elements that serve, and the source that icecast2 wants.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;

use gst::prelude::*;

use super::feed::Feed;
use crate::peer::roles_die_with_parent;

/// `webm-sink FILE PORT ELEMENT`: an element that does the rest.
pub(crate) fn sink(args: &[String]) -> Result<(), String> {
    let [path, port, element] = args else {
        return Err("webm-sink FILE PORT ELEMENT".to_owned());
    };
    roles_die_with_parent();
    let feed = Feed::read(path)?;
    let pipeline = alone(element)?;
    let muxer = Muxer::new(&feed, &pipeline)?;
    println!("ports http={port}");
    muxer.run(&feed)
}

/// `webm-multisocketsink FILE`: with the least of a server in front: it reads requests, answers with
/// a head, and hands the sockets over.
pub(crate) fn multisocketsink(args: &[String]) -> Result<(), String> {
    let [path] = args else {
        return Err("webm-multisocketsink FILE".to_owned());
    };
    roles_die_with_parent();
    let feed = Feed::read(path)?;
    let pipeline = alone(
        "multisocketsink name=sink sync=false async=false \
         sync-method=latest-keyframe recover-policy=keyframe units-max=500 units-soft-max=250 \
         unit-format=buffers",
    )?;
    let muxer = Muxer::new(&feed, &pipeline)?;
    let element = pipeline.by_name("sink").ok_or("no sink")?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    println!("ports http={port}");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            // A client of the bench says everything at once.
            let _ = socket.read(&mut [0; 2048]);
            let _ = socket.set_nodelay(true);
            let _ = socket.write_all(b"HTTP/1.0 200 OK\r\nContent-Type: video/webm\r\n\r\n");
            if let Ok(socket) = gio::Socket::from_fd(socket.into()) {
                element.emit_by_name::<()>("add", &[&socket]);
            }
        }
    });
    muxer.run(&feed)
}

/// `webm-icecast-source FILE PORT`: the source of icecast2, as shout2send would be.
pub(crate) fn icecast_source(args: &[String]) -> Result<(), String> {
    let [path, port] = args else {
        return Err("webm-icecast-source FILE PORT".to_owned());
    };
    roles_die_with_parent();
    let feed = Feed::read(path)?;
    let mut socket = TcpStream::connect(format!("127.0.0.1:{port}")).map_err(|e| e.to_string())?;
    socket.set_nodelay(true).map_err(|e| e.to_string())?;
    let head = "PUT /live HTTP/1.0\r\nAuthorization: Basic c291cmNlOmhhY2ttZQ==\r\n\
                Content-Type: video/webm\r\n\r\n";
    socket
        .write_all(head.as_bytes())
        .map_err(|e| e.to_string())?;
    let mut answer = [0; 512];
    let n = socket.read(&mut answer).map_err(|e| e.to_string())?;
    let answer = String::from_utf8_lossy(&answer[..n]).into_owned();
    if !answer.contains("200") {
        return Err(format!("icecast2: {answer}"));
    }
    println!("ports http={port}");
    let mut send = |range: &Range<usize>| {
        let sent = socket.write_all(feed.slice(range));
        sent.map_err(|e| format!("icecast2: {e}"))
    };
    send(&feed.header)?;
    feed.play(|piece| send(&piece.whole()))
}

/// A pipeline of one element.
fn alone(description: &str) -> Result<gst::Pipeline, String> {
    gst::init().map_err(|e| e.to_string())?;
    let element = gst::parse::launch(description).map_err(|e| e.to_string())?;
    let pipeline = gst::Pipeline::new();
    pipeline.add(&element).map_err(|e| e.to_string())?;
    Ok(pipeline)
}

/// Pushes into an element on the thread of the caller, as a muxer does.
struct Muxer(gst::Pad);

impl Muxer {
    fn new(feed: &Feed, pipeline: &gst::Pipeline) -> Result<Self, String> {
        let sink = pipeline
            .by_name("sink")
            .and_then(|sink| sink.static_pad("sink"));
        let sink = sink.ok_or("no element called sink")?;
        let mut header = gst::Buffer::from_slice(feed.slice(&feed.header).to_vec());
        if let Some(header) = header.get_mut() {
            header.set_flags(gst::BufferFlags::HEADER);
        }
        let caps = gst::Caps::builder("video/webm")
            .field("streamheader", gst::Array::new([header]))
            .build();
        let state = pipeline.set_state(gst::State::Playing);
        state.map_err(|e| e.to_string())?;
        let pad = gst::Pad::builder(gst::PadDirection::Src)
            .name("src")
            .build();
        pad.set_active(true).map_err(|e| e.to_string())?;
        pad.link(&sink).map_err(|e| format!("{e:?}"))?;
        pad.push_event(gst::event::StreamStart::new("bench"));
        pad.push_event(gst::event::Caps::new(&caps));
        pad.push_event(gst::event::Segment::new(&gst::FormattedSegment::<
            gst::ClockTime,
        >::new()));
        Ok(Self(pad))
    }

    /// Two buffers a block and one a Cluster, as webmmux cuts.
    fn run(&self, feed: &Feed) -> Result<(), String> {
        let send = |range: &Range<usize>, flags, due| {
            if range.is_empty() {
                return Ok(());
            }
            let mut buffer = gst::Buffer::from_slice(feed.slice(range).to_vec());
            if let Some(buffer) = buffer.get_mut() {
                buffer.set_flags(flags);
                buffer.set_pts(due);
            }
            let pushed = self.0.push(buffer);
            pushed
                .map(drop)
                .map_err(|e| format!("the element says {e:?}"))
        };
        send(&feed.header, gst::BufferFlags::HEADER, None)?;
        let delta = gst::BufferFlags::DELTA_UNIT;
        feed.play(|piece| {
            let due = gst::ClockTime::try_from(piece.due).ok();
            send(&piece.cluster, gst::BufferFlags::empty(), due)?;
            send(&piece.head, delta, due)?;
            send(&piece.frame, delta, due)
        })
    }
}
