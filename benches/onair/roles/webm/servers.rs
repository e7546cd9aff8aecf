// SPDX-License-Identifier: MPL-2.0

//! GStreamer elements that serve, and the source that icecast2 wants.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;

use gst::prelude::*;

use super::feed::Feed;
use crate::peer::roles_die_with_parent;
use crate::roles::pipeline::launch;

/// `webm-sink FILE PORT DESCRIPTION`: appsrc in front of an element that does the rest.
pub(crate) fn sink(args: &[String]) -> Result<(), String> {
    let [path, port, description] = args else {
        return Err("webm-sink FILE PORT DESCRIPTION".to_owned());
    };
    roles_die_with_parent();
    let feed = Feed::read(path)?;
    let pipeline = launch(&format!(
        "appsrc name=in format=time is-live=true ! {description}"
    ))?;
    play(&feed, &pipeline)?;
    println!("ports http={port}");
    push(&feed, &pipeline)
}

/// `webm-multisocketsink FILE`: with the least of a server in front: it reads requests, answers with
/// a head, and hands the sockets over.
pub(crate) fn multisocketsink(args: &[String]) -> Result<(), String> {
    let [path] = args else {
        return Err("webm-multisocketsink FILE".to_owned());
    };
    roles_die_with_parent();
    let feed = Feed::read(path)?;
    let pipeline = launch(
        "appsrc name=in format=time is-live=true ! multisocketsink name=sink sync=false \
         sync-method=latest-keyframe recover-policy=keyframe units-max=500 units-soft-max=250 \
         unit-format=buffers",
    )?;
    play(&feed, &pipeline)?;
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
    push(&feed, &pipeline)
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

fn play(feed: &Feed, pipeline: &gst::Pipeline) -> Result<(), String> {
    let source = pipeline.by_name("in").ok_or("no appsrc")?;
    let mut header = gst::Buffer::from_slice(feed.slice(&feed.header).to_vec());
    if let Some(header) = header.get_mut() {
        header.set_flags(gst::BufferFlags::HEADER);
    }
    let caps = gst::Caps::builder("video/webm")
        .field("streamheader", gst::Array::new([header]))
        .build();
    source.set_property("caps", caps);
    let state = pipeline.set_state(gst::State::Playing);
    state.map(drop).map_err(|e| e.to_string())
}

/// Two buffers a block and one a Cluster, as webmmux cuts.
fn push(feed: &Feed, pipeline: &gst::Pipeline) -> Result<(), String> {
    let source = pipeline.by_name("in").ok_or("no appsrc")?;
    let send = |range: &Range<usize>, flags, due| {
        if range.is_empty() {
            return Ok(());
        }
        let mut buffer = gst::Buffer::from_slice(feed.slice(range).to_vec());
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_flags(flags);
            buffer.set_pts(due);
        }
        match source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]) {
            gst::FlowReturn::Ok => Ok(()),
            other => Err(format!("the element says {other:?}")),
        }
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
