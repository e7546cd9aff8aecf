// SPDX-License-Identifier: MPL-2.0

//! A tunnel that ends before nginx's RTMP module: what its server records, what is sought in, and a session
//! that is lost.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gst::prelude::*;

use crate::{
    house::{Answer, ok, publishing, server, stats},
    support::{
        flvdump::{self, Expect, assert_same},
        media,
        nginx::{Nginx, NginxConfig},
        peers::{Pace, ffmpeg_publish},
        pipeline::Pipeline,
        process::wait_until,
    },
};

/// Says where the gateway listens, and makes it forget its session.
struct Gateway {
    port: u16,
    forget: Arc<AtomicBool>,
}

impl Gateway {
    /// Hands on what is within to `to`, and holds a poll for some milliseconds.
    fn to(to: u16) -> Self {
        let forget = Arc::new(AtomicBool::new(false));
        let forgets = forget.clone();
        let (mut session, mut opened) = (None::<TcpStream>, 0);
        let (port, _) = server(move |_, said| {
            let unknown = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
            let path = said.line.split(' ').nth(1).unwrap_or_default();
            let mut parts = path.split('/').skip(1);
            let (verb, id) = (parts.next().unwrap_or_default(), parts.next());
            if forgets.swap(false, Ordering::SeqCst) {
                session = None;
            }
            if verb == "open" {
                let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).expect("the server");
                let patience = Some(Duration::from_millis(5));
                socket.set_read_timeout(patience).expect("an option");
                (session, opened) = (Some(socket), opened + 1);
                return Answer::Say(ok(format!("{opened}\n").as_bytes()));
            }
            let own = opened.to_string();
            let Some(socket) = session.as_mut().filter(|_| id == Some(&*own)) else {
                return Answer::Say(unknown.to_vec());
            };
            if verb == "close" {
                session = None;
                return Answer::Say(ok(&[0]));
            }
            if verb == "send" {
                // That it has gone shows in reading.
                let _ = socket.write_all(&said.body);
            }
            let mut space = [0; 32 << 10];
            Answer::Say(match socket.read(&mut space) {
                Ok(0) => ok(&[0]),
                Ok(n) => ok(&[&[1], &space[..n]].concat()),
                Err(_) => ok(&[1]),
            })
        });
        Self { port, forget }
    }
}

#[test]
fn nginx_records_what_comes_through() {
    let (film, nginx) = (media::h264_aac(), Nginx::start(NginxConfig::default()));
    let gateway = Gateway::to(nginx.port());
    let url = format!("rtmpt://127.0.0.1:{}/live/tunnel", gateway.port);
    let publisher = publishing(&film, "rtmptsink", &url, "");
    publisher.play();
    publisher.eos();
    assert_eq!(publisher.errors_left("sink").len(), 0);
    publisher.stop();
    let recorded = flvdump::read(&nginx.recorded("tunnel"));
    assert_same(&flvdump::read(&film), &recorded, Expect::MEDIA);
}

/// Times of the pictures since the last flush.
fn pictures(pipeline: &Pipeline) -> Arc<Mutex<Vec<u64>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = seen.clone();
    let pad = pipeline.element("source").static_pad("src").expect("a pad");
    let what = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_FLUSH;
    pad.add_probe(what, move |_, info| {
        if let Some(buffer) = info.buffer() {
            let map = buffer.map_readable().expect("memory");
            if map.first() == Some(&9) && map.get(12) == Some(&1) {
                notes
                    .lock()
                    .unwrap()
                    .extend(buffer.dts().map(|t| t.mseconds()));
            }
        } else {
            notes.lock().unwrap().clear();
        }
        gst::PadProbeReturn::Ok
    });
    seen
}

#[test]
fn a_recording_has_a_length_and_seeks() {
    let nginx = Nginx::start(NginxConfig::default());
    nginx.offer(&media::h264_aac_indexed(), "film.flv");
    let gateway = Gateway::to(nginx.port());
    let player = Pipeline::launch(&format!(
        "rtmptsrc name=source location=rtmpt://127.0.0.1:{}/vod/film.flv ! fakesink sync=false",
        gateway.port
    ));
    let seen = pictures(&player);
    // A seek in the middle of the way to PLAYING may lock GStreamer 1.22 up.
    player.reach(gst::State::Playing);
    wait_until("pictures come", || !seen.lock().unwrap().is_empty());
    let pad = player.element("source").static_pad("src").unwrap();
    let duration = pad.query_duration::<gst::ClockTime>().expect("a duration");
    assert!(duration.mseconds() > 4900, "{duration}");
    for to in [3500, 1200, 0] {
        let flags = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
        player
            .pipeline
            .seek_simple(flags, gst::ClockTime::from_mseconds(to))
            .unwrap();
        wait_until("pictures come again", || !seen.lock().unwrap().is_empty());
        let first = seen.lock().unwrap()[0];
        // A key frame each second, and nginx takes one before or behind.
        assert!(first.abs_diff(to) <= 1000, "{to}: {first}");
    }
    player.eos();
    assert_eq!(player.errors_left("source").len(), 0);
}

#[test]
fn a_session_that_is_lost_is_opened_anew() {
    let nginx = Nginx::start(NginxConfig::default());
    let _publisher = ffmpeg_publish(
        &media::h264_aac_of(30),
        &nginx.url("live", "one"),
        Pace::RealTime,
    );
    nginx.wait("publish", "one");
    let gateway = Gateway::to(nginx.port());
    let player = Pipeline::launch(&format!(
        "rtmptsrc name=source location=rtmpt://127.0.0.1:{}/live/one reconnect-delay=20 ! \
         fakesink sync=false",
        gateway.port
    ));
    let seen = pictures(&player);
    player.play();
    wait_until("pictures come", || !seen.lock().unwrap().is_empty());
    gateway.forget.store(true, Ordering::SeqCst);
    for state in ["waiting", "connected"] {
        let notice = player.notice("rtmp-connection");
        assert_eq!(notice.get::<&str>("state"), Ok(state));
    }
    let before = seen.lock().unwrap().len();
    wait_until("pictures come again", || {
        seen.lock().unwrap().len() > before
    });
    assert!(seen.lock().unwrap().is_sorted());
    let reconnects: u32 = stats(&player, "source", "reconnects");
    assert_eq!(reconnects, 1);
    player.stop();
}
