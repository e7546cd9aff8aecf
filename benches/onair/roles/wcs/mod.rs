// SPDX-License-Identifier: MPL-2.0

//! WebRTC by `wcswebrtcbin` and by bare webrtcbins that are wired by hand, one run a process.

mod bare;
mod film;
mod rtc;
mod server;

use std::io::Write;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use gst::prelude::*;

use self::rtc::nick;

const PATIENCE: Duration = Duration::from_secs(20);
/// The live picture of the rows that wait for something; the encoder is part of what is waited for.
const PICTURE: &str = "videotestsrc is-live=true pattern=ball ! \
    video/x-raw,width=320,height=240,framerate=30/1 ! vp8enc deadline=1 keyframe-max-dist=3000";

pub(super) fn server(_: &[String]) -> Result<(), String> {
    let (port, thread) = server::start()?;
    println!("ports ws={port}");
    flush()?;
    thread.join().map_err(|_| "the server fell".to_owned())
}

/// `wcs-start ours|bare`: ms from the call for PLAYING until the stream is published, or until both
/// bare ends are connected.
pub(super) fn start(args: &[String]) -> Result<(), String> {
    gst::init().map_err(|e| e.to_string())?;
    let (tell, told) = channel();
    let (pipeline, two) = match args.first().map(String::as_str) {
        Some("ours") => {
            let (port, _) = server::start()?;
            let pipeline = launch(&format!("{} {PICTURE} ! wcs.", ours(port, "publish")))?;
            published(&pipeline, "wcs", move || {
                let _ = tell.send(());
            });
            (pipeline, None)
        }
        Some("bare") => {
            let line = format!("webrtcbin name=one {PICTURE} ! rtpvp8pay pt=96 ! one.");
            let pipeline = launch(&line)?;
            let two = bare::pair(&pipeline, tell)?;
            (pipeline, Some(two))
        }
        _ => return Err("wcs-start ours|bare".to_owned()),
    };
    let begun = play(&pipeline)?;
    match &two {
        Some(two) => {
            two.play()?;
            wait(&told, 2)?;
        }
        None => wait(&told, 1)?,
    }
    say(&format!("ms={}", begun.elapsed().as_secs_f64() * 1e3))?;
    pipeline
        .set_state(gst::State::Null)
        .map(drop)
        .map_err(|e| e.to_string())
}

/// `wcs-play PORT`: ms from the call for PLAYING to the first decoded frame.
pub(super) fn first_frame(args: &[String]) -> Result<(), String> {
    gst::init().map_err(|e| e.to_string())?;
    let port = args.first().and_then(|port| port.parse().ok());
    let port: u16 = port.ok_or("wcs-play PORT")?;
    let pipeline = launch(&format!(
        "{} audio=false ! decodebin3 ! video/x-raw ! fakesink name=pad sync=false",
        ours(port, "play")
    ))?;
    let (tell, told) = channel();
    super::pipeline::pad(&pipeline)?.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let _ = tell.send(());
        gst::PadProbeReturn::Remove
    });
    let begun = play(&pipeline)?;
    wait(&told, 1)?;
    say(&format!("ms={}", begun.elapsed().as_secs_f64() * 1e3))?;
    pipeline
        .set_state(gst::State::Null)
        .map(drop)
        .map_err(|e| e.to_string())
}

/// `wcs-load ours|bare PORT STREAMS SECONDS`: CPU time of this process while it publishes so many
/// streams of the same encoded picture, from when all of them flow; bytes of media along with it.
pub(super) fn load(args: &[String]) -> Result<(), String> {
    let usage = || "wcs-load ours|bare PORT STREAMS SECONDS".to_owned();
    let [whose, port, streams, seconds] = args else {
        return Err(usage());
    };
    let (port, streams, seconds) = match (port.parse(), streams.parse(), seconds.parse()) {
        (Ok(port), Ok(streams), Ok(seconds)) => (port, streams, seconds),
        _ => return Err(usage()),
    };
    let (port, streams, seconds): (u16, usize, u64) = (port, streams, seconds);
    gst::init().map_err(|e| e.to_string())?;
    let film = film::encode()?;
    let (tell, told) = channel();
    let pipelines: Vec<gst::Pipeline> = (0..streams)
        .map(|number| {
            let tell = tell.clone();
            match whose.as_str() {
                "ours" => {
                    let line = format!(
                        "{} stream-name=s{number} appsrc name=in ! wcs.video_0",
                        ours(port, "publish")
                    );
                    let pipeline = launch(&line)?;
                    published(&pipeline, "wcs", move || {
                        let _ = tell.send(());
                    });
                    Ok(pipeline)
                }
                "bare" => {
                    let line = "webrtcbin name=one appsrc name=in ! \
                                rtpvp8pay pt=96 picture-id-mode=15-bit ! one.";
                    let pipeline = launch(line)?;
                    bare::publish(&pipeline, port, tell)?;
                    Ok(pipeline)
                }
                _ => Err(usage()),
            }
        })
        .collect::<Result<_, String>>()?;
    let show = film::Show::begin(&film, &pipelines)?;
    wait(&told, streams)?;
    let (before, sent_before) = (cpu()?, show.sent());
    // What is measured is a span of time.
    std::thread::sleep(Duration::from_secs(seconds));
    let (after, sent) = (cpu()?, show.sent());
    say(&format!(
        "cpu={} bytes={}",
        after - before,
        sent - sent_before
    ))?;
    show.end();
    for pipeline in pipelines {
        let _ = pipeline.set_state(gst::State::Null);
    }
    Ok(())
}

/// Our element and its settings.
fn ours(port: u16, action: &str) -> String {
    format!(
        "wcswebrtcbin name=wcs uri=ws://127.0.0.1:{port} action={action} stream-name=demo \
         local-address=127.0.0.1"
    )
}

/// Calls once the stream is published.
fn published(pipeline: &gst::Pipeline, name: &str, tell: impl Fn() + Send + Sync + 'static) {
    if let Some(wcs) = pipeline.by_name(name) {
        wcs.connect_notify(Some("stream-status"), move |wcs, _| {
            if nick(wcs, "stream-status") == "publishing" {
                tell();
            }
        });
    }
}

fn launch(line: &str) -> Result<gst::Pipeline, String> {
    let pipeline = super::pipeline::launch(line)?;
    pipeline
        .set_state(gst::State::Ready)
        .map_err(|e| e.to_string())?;
    Ok(pipeline)
}

fn play(pipeline: &gst::Pipeline) -> Result<Instant, String> {
    let begun = Instant::now();
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|e| e.to_string())?;
    Ok(begun)
}

fn wait(told: &Receiver<()>, times: usize) -> Result<(), String> {
    for _ in 0..times {
        told.recv_timeout(PATIENCE)
            .map_err(|_| format!("not within {PATIENCE:?}"))?;
    }
    Ok(())
}

fn say(text: &str) -> Result<(), String> {
    println!("{text}");
    flush()
}

fn flush() -> Result<(), String> {
    std::io::stdout().flush().map_err(|e| e.to_string())
}

/// User and system time of this process until now, in seconds.
fn cpu() -> Result<f64, String> {
    // SAFETY: rusage is plain data for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live local.
    match unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) } {
        0 => Ok(crate::child::seconds(usage.ru_utime) + crate::child::seconds(usage.ru_stime)),
        _ => Err(std::io::Error::last_os_error().to_string()),
    }
}
