// SPDX-License-Identifier: MPL-2.0

//! A Web Call Server that takes and sends: one bare webrtcbin a call, dropped with its connection.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};

use gst::prelude::*;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::{PATIENCE, PICTURE, bare, rtc};

/// Listens on a port that was free.
pub(super) fn start() -> Result<(u16, JoinHandle<()>), String> {
    gst::init().map_err(|e| e.to_string())?;
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    let port = listener.local_addr().map_err(|e| e.to_string())?.port();
    let thread = thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = socket.set_nodelay(true);
                if let Ok(socket) = tungstenite::accept(socket)
                    && let Err(complaint) = serve(socket)
                {
                    eprintln!("{complaint}");
                }
            });
        }
    });
    Ok((port, thread))
}

fn serve(mut socket: WebSocket<TcpStream>) -> Result<(), String> {
    let mut call = None;
    // Until it hangs up.
    while let Ok(message) = socket.read() {
        let message: Value = serde_json::from_slice(&message.into_data()).unwrap_or_default();
        let data = &message["data"][0];
        let id = data["mediaSessionId"].as_str().unwrap_or_default();
        let mut say = |message: Value| {
            let sent = socket.send(Message::text(message.to_string()));
            sent.map_err(|e| e.to_string())
        };
        let status = |status: &str| {
            json!({"message": "notifyStreamStatusEvent",
                "data": [{"mediaSessionId": id, "status": status}]})
        };
        match message["message"].as_str().unwrap_or_default() {
            "connection" => {
                say(json!({"message": "getUserData", "data": [{"status": "ESTABLISHED"}]}))?;
            }
            name @ ("publishStream" | "playStream") => {
                let publishes = name == "publishStream";
                let offer = data["sdp"].as_str().unwrap_or_default();
                let (tell, told) = channel();
                let made = Call::new(publishes, &only_vp8(offer), move || {
                    let _ = tell.send(());
                })?;
                say(json!({"message": "setRemoteSDP", "data": [id, made.answer, true]}))?;
                told.recv_timeout(PATIENCE).map_err(|e| e.to_string())?;
                call = Some(made);
                say(status(if publishes { "PUBLISHING" } else { "PLAYING" }))?;
            }
            "unPublishStream" | "stopStream" => {
                call = None;
                say(status("STOPPED"))?;
            }
            _ => {}
        }
    }
    drop(call);
    Ok(())
}

struct Call {
    pipeline: gst::Pipeline,
    answer: String,
}

impl Call {
    fn new(
        receives: bool,
        offer: &str,
        connected: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, String> {
        let payload = payload_of_vp8(offer).ok_or("no VP8 in the offer")?;
        let line = match receives {
            true => "webrtcbin name=two".to_owned(),
            false => format!("webrtcbin name=two {PICTURE} ! rtpvp8pay pt={payload} ! two."),
        };
        let pipeline = super::super::pipeline::launch(&line)?;
        let two = pipeline.by_name("two").ok_or("no webrtcbin")?;
        rtc::prepare(&two);
        rtc::forgo_upnp(&two);
        rtc::connected(&two, connected);
        bare::drain(&pipeline, &two);
        pipeline
            .set_state(gst::State::Playing)
            .map_err(|e| e.to_string())?;
        rtc::set(&two, "remote", rtc::offered(offer)?)?;
        rtc::create(&two, "answer")?;
        let answer = rtc::gathered(&two)?;
        Ok(Self { pipeline, answer })
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn payload_of_vp8(offer: &str) -> Option<&str> {
    let line = offer.lines().find(|line| line.contains(" VP8/"))?;
    line.strip_prefix("a=rtpmap:")?.split(' ').next()
}

/// The offer without the other codecs: webrtcbin takes the first.
fn only_vp8(offer: &str) -> String {
    let Some(vp8) = payload_of_vp8(offer) else {
        return offer.to_owned();
    };
    let lines = offer.lines().filter_map(|line| {
        if line.starts_with("m=video") {
            let head: Vec<_> = line.split(' ').take(3).collect();
            return Some(format!("{} {vp8}", head.join(" ")));
        }
        let about = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"]
            .iter()
            .find_map(|name| line.strip_prefix(name));
        match about.and_then(|rest| rest.split(' ').next()) {
            Some(payload) if payload != vp8 => None,
            _ => Some(line.to_owned()),
        }
    });
    lines.map(|line| line + "\r\n").collect()
}
