// SPDX-License-Identifier: MPL-2.0

//! webrtcbin without an element of ours around it.

use std::net::TcpStream;
use std::sync::mpsc::Sender;

use gst::prelude::*;
use serde_json::{Value, json};
use tungstenite::Message;

use super::rtc;

/// The receiving one of a pair.
pub(super) struct Two(gst::Pipeline);

impl Two {
    pub(super) fn play(&self) -> Result<(), String> {
        let played = self.0.set_state(gst::State::Playing);
        played.map(drop).map_err(|e| e.to_string())
    }
}

impl Drop for Two {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// Wires the webrtcbin `one` of this pipeline to another one, candidates as they are found. Each tells
/// once when it is connected.
pub(super) fn pair(pipeline: &gst::Pipeline, tell: Sender<()>) -> Result<Two, String> {
    let one = pipeline.by_name("one").ok_or("no webrtcbin")?;
    let two = gst::ElementFactory::make("webrtcbin")
        .build()
        .map_err(|e| e.to_string())?;
    let receiver = gst::Pipeline::new();
    receiver.add(&two).map_err(|e| e.to_string())?;
    drain(&receiver, &two);
    for (this, other) in [(&one, &two), (&two, &one)] {
        rtc::prepare(this);
        let other = other.downgrade();
        this.connect("on-ice-candidate", false, move |args| {
            let other = other.upgrade()?;
            other.emit_by_name_with_values("add-ice-candidate", &args[1..3]);
            None
        });
        let tell = tell.clone();
        rtc::connected(this, move || {
            let _ = tell.send(());
        });
    }
    let other = two.downgrade();
    once_wanted(&one, move |one| {
        let two = other.upgrade().ok_or("no other")?;
        let offer = rtc::create(one, "offer")?;
        rtc::set(&two, "remote", offer)?;
        let answer = rtc::create(&two, "answer")?;
        rtc::set(one, "remote", answer)
    });
    Ok(Two(receiver))
}

/// Has the webrtcbin `one` of this pipeline publish to the server, and tells once it is connected.
pub(super) fn publish(pipeline: &gst::Pipeline, port: u16, tell: Sender<()>) -> Result<(), String> {
    let one = pipeline.by_name("one").ok_or("no webrtcbin")?;
    rtc::prepare(&one);
    rtc::connected(&one, move || {
        let _ = tell.send(());
    });
    once_wanted(&one, move |one| {
        let offer = rtc::text(&rtc::create(one, "offer")?)?;
        let socket = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
        let uri = format!("ws://127.0.0.1:{port}/");
        let (mut socket, _) = tungstenite::client(uri, socket).map_err(|e| e.to_string())?;
        let mut say = |message: Value| {
            let sent = socket.send(Message::text(message.to_string()));
            sent.map_err(|e| e.to_string())
        };
        say(json!({"message": "publishStream", "data": [{"mediaSessionId": "1", "sdp": offer}]}))?;
        loop {
            let message = socket.read().map_err(|e| e.to_string())?;
            let message: Value = serde_json::from_slice(&message.into_data()).unwrap_or_default();
            if let ("setRemoteSDP", Some(answer)) = (
                message["message"].as_str().unwrap_or_default(),
                message["data"][1].as_str(),
            ) {
                rtc::set(one, "remote", rtc::answered(answer)?)?;
                // The call lives as long as its connection.
                std::mem::forget(socket);
                return Ok(());
            }
        }
    });
    Ok(())
}

/// Makes the call in a thread of its own once webrtcbin wants to.
fn once_wanted(
    one: &gst::Element,
    call: impl Fn(&gst::Element) -> Result<(), String> + Send + Sync + 'static,
) {
    let call = std::sync::Arc::new(call);
    one.connect("on-negotiation-needed", false, move |args| {
        let one = args[0].get::<gst::Element>().ok()?;
        let call = call.clone();
        std::thread::spawn(move || {
            if let Err(complaint) = call(&one) {
                eprintln!("{complaint}");
            }
        });
        None
    });
}

/// Takes what comes and drops it.
pub(super) fn drain(pipeline: &gst::Pipeline, webrtc: &gst::Element) {
    let weak = pipeline.downgrade();
    webrtc.connect_pad_added(move |_, pad| {
        let sink = gst::ElementFactory::make("fakesink")
            .property("sync", false)
            .property("async", false)
            .build();
        if let (Some(pipeline), Ok(sink), gst::PadDirection::Src) =
            (weak.upgrade(), sink, pad.direction())
            && pipeline.add(&sink).is_ok()
        {
            let _ = sink.sync_state_with_parent();
            if let Some(end) = sink.static_pad("sink") {
                let _ = pad.link(&end);
            }
        }
    });
}
