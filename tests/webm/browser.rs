// SPDX-License-Identifier: MPL-2.0

//! What Chromium makes of it: the picture on the screen and the sound in the ear are those that
//! were sent, whoever comes late, and whatever becomes of the server.

use std::time::{SystemTime, UNIX_EPOCH};

use gst::prelude::*;
use tempfile::TempDir;

use crate::{
    chromium::{Chromium, Look, alike, page},
    support::{gst_peer::Registry, pipeline::Pipeline, process::Process},
};

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// The seven bars of videotestsrc's SMPTE picture.
const BARS: [[u8; 3]; 7] = [
    [255, 255, 255],
    [255, 255, 0],
    [0, 255, 255],
    [0, 255, 0],
    [255, 0, 255],
    [255, 0, 0],
    [0, 0, 255],
];

/// A picture and a tone as a live source has them. A plain picture costs next to nothing, and a video
/// element takes 32 KiB at a time: the sound is as large as it can be, so that half a second fills that.
fn live(picture: &str, hertz: u32, sink: &str) -> String {
    format!(
        "videotestsrc name=picture is-live=true {picture} ! video/x-raw,width=160,height=120,framerate=20/1 \
         ! vp8enc deadline=1 cpu-used=8 keyframe-max-dist=20 ! queue ! mux. \
         audiotestsrc name=tone is-live=true freq={hertz} ! audio/x-raw,rate=48000,channels=2 \
         ! opusenc bitrate=510000 bitrate-type=cbr ! queue ! mux. \
         webmmux name=mux streamable=true ! webmhttpsink name=sink address=127.0.0.1 sync=false {sink}"
    )
}

fn plain(colour: [u8; 3]) -> String {
    format!("pattern=solid-color foreground-color={}", argb(colour))
}

fn argb([r, g, b]: [u8; 3]) -> u32 {
    u32::from_be_bytes([255, r, g, b])
}

/// On the air in this process.
struct Programme {
    pipeline: Pipeline,
    port: u16,
}

impl Programme {
    #[track_caller]
    fn start(picture: &str, hertz: u32) -> Self {
        let pipeline = Pipeline::launch(&live(picture, hertz, "port=0"));
        pipeline.play();
        let listening = pipeline.notice("webm-listening");
        let port = listening.get::<i32>("port").expect("a port");
        // Where it comes back, too.
        pipeline.element("sink").set_property("port", port);
        Self {
            pipeline,
            port: port as u16,
        }
    }

    fn show(&self, colour: [u8; 3], hertz: f64) {
        let picture = self.pipeline.element("picture");
        picture.set_property_from_str("pattern", "solid-color");
        picture.set_property("foreground-color", argb(colour));
        self.pipeline.element("tone").set_property("freq", hertz);
    }

    /// A page of another origin with the video element that everybody writes.
    fn page(&self) -> String {
        page(format!(
            "<!DOCTYPE html><video src=http://127.0.0.1:{}/live crossorigin autoplay></video>",
            self.port
        ))
    }

    fn player(&self) -> String {
        format!("http://127.0.0.1:{}/live/player", self.port)
    }
}

fn shows(colour: [u8; 3], hertz: f64) -> impl FnMut(&Look) -> bool {
    move |look| look.is(colour) && look.sounds(hertz)
}

fn is_bars(look: &Look) -> bool {
    let colours = look.colours();
    colours.len() == BARS.len() && colours.iter().zip(BARS).all(|(a, b)| alike(*a, b))
}

#[test]
fn a_video_element_shows_what_is_sent() {
    let programme = Programme::start("pattern=smpte", 1000);
    let mut chromium = Chromium::start();
    let tab = chromium.open(&programme.page());
    let look = chromium.see(&tab, "the bars", |look| {
        is_bars(look) && look.sounds(1000.0)
    });
    assert_eq!(look.number("width"), 160.0);
    for (colour, hertz) in [(GREEN, 400.0), (BLUE, 2500.0), (RED, 600.0)] {
        programme.show(colour, hertz);
        let look = chromium.see(&tab, "the next picture", shows(colour, hertz));
        assert!(look.events().is_empty(), "{look:?}");
    }
}

#[test]
fn the_player_page_shows_what_is_sent() {
    let programme = Programme::start("pattern=smpte", 1000);
    let mut chromium = Chromium::start();
    let tab = chromium.open(&programme.player());
    chromium.see(&tab, "the bars", |look| {
        is_bars(look) && look.sounds(1000.0)
    });
    for (colour, hertz) in [(GREEN, 400.0), (BLUE, 2500.0), (RED, 600.0)] {
        programme.show(colour, hertz);
        chromium.see(&tab, "the next picture", shows(colour, hertz));
    }
    assert_eq!(chromium.eval(&tab, "player.mode"), "mse");
    assert_eq!(chromium.eval(&tab, "player.errors.join()"), "");
    // The other way to play, with the switch.
    chromium.eval(&tab, "document.getElementById('low').click()");
    programme.show(GREEN, 400.0);
    chromium.see(&tab, "the next picture", shows(GREEN, 400.0));
    assert_eq!(chromium.eval(&tab, "player.mode"), "src");
    assert_eq!(chromium.eval(&tab, "player.errors.join()"), "");
}

/// Who comes late begins with the latest key frame, and nobody else notices.
#[test]
fn a_latecomer_sees_what_is_on_now() {
    let programme = Programme::start(&plain(RED), 600);
    let mut chromium = Chromium::start();
    let first = chromium.open(&programme.page());
    let early = chromium.see(&first, "red", shows(RED, 600.0));
    programme.show(BLUE, 2500.0);
    chromium.see(&first, "blue", shows(BLUE, 2500.0));
    for url in [programme.page(), programme.player()] {
        let before = now();
        let late = chromium.open(&url);
        let look = chromium.see(&late, "blue", shows(BLUE, 2500.0));
        // The time codes are the time of day, and there is a key frame each second.
        let begin = look.number("begin");
        assert!(begin > before - 5.0, "{look:?} was opened at {before}");
        assert!(begin > early.number("begin"), "{look:?} after {early:?}");
    }
    let look = chromium.see(&first, "blue", shows(BLUE, 2500.0));
    assert!(look.events().is_empty(), "{look:?}");
}

/// The source stops and comes back with another muxer: the video element, which knows nothing of this,
/// and the player page both go on.
#[test]
fn players_survive_a_restart_of_the_source() {
    let programme = Programme::start(&plain(RED), 600);
    let mut chromium = Chromium::start();
    let tabs = [
        chromium.open_at_home(programme.port, "/live"),
        chromium.open(&programme.player()),
    ];
    for tab in &tabs {
        chromium.see(tab, "red", shows(RED, 600.0));
    }
    programme.pipeline.stop();
    programme.show(GREEN, 400.0);
    programme.pipeline.play();
    for tab in &tabs {
        chromium.see(tab, "green", shows(GREEN, 400.0));
    }
    let look = chromium.look(&tabs[0]);
    assert!(look.events().is_empty(), "{look:?}");
}

/// The same when nobody says goodbye: kill -9 of the process, and another one in its place.
#[test]
fn a_video_element_lives_through_kill_9() {
    let plugins = plugins();
    let registry = Registry::new();
    let serve = |colour, hertz, port: u16| {
        let line = live(&plain(colour), hertz, &format!("port={port}"));
        let words: Vec<&str> = ["-q"].into_iter().chain(line.split_whitespace()).collect();
        registry.tool("gst-launch-1.0", &words, Some(plugins.path()))
    };
    let (port, server) = started(|port| serve(RED, 600, port));
    let mut chromium = Chromium::start();
    let tab = chromium.open_at_home(port, "/live");
    let before = chromium.see(&tab, "red", shows(RED, 600.0));
    // Ends it with SIGKILL.
    drop(server);
    let mut server = serve(BLUE, 2500, port);
    server.listens(port).expect("it back on its port");
    let after = chromium.see(&tab, "blue", shows(BLUE, 2500.0));
    assert!(after.events().is_empty(), "{after:?}");
    assert!(after.number("time") > before.number("time"), "{after:?}");
}

/// Starts a server on a port that is free, and waits for it.
#[track_caller]
fn started(serve: impl Fn(u16) -> Process) -> (u16, Process) {
    let mut last = String::new();
    for _ in 0..3 {
        let port = crate::support::process::free_port();
        let mut server = serve(port);
        match server.listens(port) {
            Ok(()) => return (port, server),
            Err(e) => last = e,
        }
    }
    panic!("{last}");
}

/// A folder with our library and nothing else. cargo builds it along with this program, and beside it.
fn plugins() -> TempDir {
    let folder = TempDir::with_prefix("plugins").expect("a folder");
    let library = std::env::current_exe().expect("this program");
    let library = library.with_file_name("libgstrtmp.so");
    std::fs::copy(&library, folder.path().join("libgstrtmp.so")).expect("a copy");
    folder
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a time").as_secs_f64()
}
