// SPDX-License-Identifier: MPL-2.0

//! The example program, as a user starts and ends it.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use gst::prelude::*;

use crate::{
    media::{Frames, note},
    server::{Habits, Server},
    support::{
        pipeline::Pipeline,
        process::{PATIENCE, Process, free_port},
    },
    watch::{wait_for_frames, wait_until},
};

/// The example knows nothing of a test, and leaves out loopback as all clients do.
fn server() -> Server {
    Server::new(Habits {
        is_everywhere: true,
        ..Habits::default()
    })
}

/// Built anew where it is not up to date.
fn example() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--example", "wcs"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .status();
    assert!(built.unwrap().success());
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join("examples/wcs")
}

fn start(server: &Server, action: &str, rest: &[&str]) -> Process {
    let uri = server.uri();
    let arguments = [action, &uri, "demo"];
    Process::start(Command::new(example()).args(arguments).args(rest))
}

#[test]
fn the_example_publishes() {
    let server = server();
    let example = start(&server, "publish", &[]);
    wait_for_frames(&server.seen().video, 20);
    wait_for_frames(&server.seen().audio, 20);
    example.interrupt();
    example.succeed(PATIENCE);
    assert_eq!(server.wait_for("unPublishStream")["name"], "demo");
}

#[test]
fn the_example_records() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("demo.mkv");
    let name = file.to_str().unwrap();
    let server = server();
    let example = start(&server, "record", &[name]);
    wait_until("a file", || {
        std::fs::metadata(&file).is_ok_and(|file| file.len() > 30_000)
    });
    example.interrupt();
    example.succeed(PATIENCE);
    assert_eq!(server.wait_for("stopStream")["name"], "demo");
    // It was finished: it has a length, and all of it can be decoded.
    let pipeline = Pipeline::launch(&format!(
        "filesrc location=\"{name}\" ! matroskademux name=demux \
         demux.video_0 ! queue ! vp8dec ! fakesink name=video \
         demux.audio_0 ! queue ! opusdec ! fakesink name=audio"
    ));
    let frames = ["video", "audio"].map(|sink| {
        let frames = Frames::default();
        note(&pipeline.element(sink).static_pad("sink").unwrap(), &frames);
        frames
    });
    pipeline.reach(gst::State::Paused);
    let length = pipeline.pipeline.query_duration::<gst::ClockTime>();
    assert!(length.is_some_and(|length| length > gst::ClockTime::from_mseconds(300)));
    pipeline.play();
    pipeline.eos();
    let [video, audio] = frames.map(|frames| frames.lock().unwrap().len());
    println!("{length:?}, {video} frames of the picture, {audio} of the sound");
    assert!(video > 8 && audio > 15, "{video} {audio}");
}

#[test]
fn the_example_bridges_to_rtmp() {
    let port = free_port();
    let rtmp = format!("rtmp://127.0.0.1:{port}/live/demo");
    let listener = Pipeline::launch(&format!(
        "rtmpsrc mode=listener location={rtmp} ! flvdemux name=demux \
         demux.video ! queue ! h264parse ! avdec_h264 ! fakesink name=video async=false sync=false \
         demux.audio ! queue ! aacparse ! avdec_aac ! fakesink name=audio async=false sync=false"
    ));
    let [video, audio] = ["video", "audio"].map(|sink| {
        let frames = Frames::default();
        note(&listener.element(sink).static_pad("sink").unwrap(), &frames);
        frames
    });
    listener.play();
    listener.notice("rtmp-listening");
    let server = server();
    let example = start(&server, "bridge", &[&rtmp]);
    wait_for_frames(&video, 30);
    wait_for_frames(&audio, 30);
    example.interrupt();
    example.succeed(PATIENCE);
    listener.eos();
}
