// SPDX-License-Identifier: MPL-2.0

//! What many sessions of wcswebrtcbin leave behind in a process: nothing. A program of its own, since it
//! counts what the whole process has.

// Everything here is for this program alone.
#![allow(unreachable_pub, dead_code)]

#[path = "../support/mod.rs"]
mod support;

#[path = "../wcs/codecs.rs"]
mod codecs;
#[path = "../wcs/media.rs"]
mod media;
#[path = "../wcs/server.rs"]
mod server;
#[path = "../wcs/watch.rs"]
mod watch;

use gst::prelude::*;

use crate::{
    server::{Habits, Server},
    support::household::Household,
    watch::{PICTURE, publisher, wait_for_frames, wait_for_status, wait_until},
};

/// Enough for a leak a session to show. `WCS_SESSIONS=200` takes half a second for each.
const SESSIONS: usize = 60;
/// Until libraries have made what they make once.
const WARM: usize = 20;

#[test]
fn sessions_leave_nothing_behind() {
    let wanted = std::env::var("WCS_SESSIONS").ok();
    let sessions = wanted.map_or(SESSIONS, |n| n.parse().expect("a number of sessions"));
    let server = Server::new(Habits::default());
    let mut before = Household::now();
    for number in 0..sessions {
        let pipeline = publisher(&server, "", &format!("{PICTURE} ! wcs."));
        pipeline.pipeline.set_state(gst::State::Playing).unwrap();
        wait_for_status(&pipeline, "PUBLISHING");
        let so_far = server.seen().video.lock().unwrap().len();
        wait_for_frames(&server.seen().video, so_far + 1);
        pipeline.pipeline.set_state(gst::State::Null).unwrap();
        // Messages that nobody took hold on to what sent them.
        pipeline.pipeline.bus().unwrap().set_flushing(true);
        drop(pipeline);
        server.wait_for_nth("unPublishStream", number);
        if number == WARM {
            before = Household::now();
        }
    }
    // Threads of the last sessions are still on their way out.
    wait_until("end of the threads", || {
        Household::now().threads <= before.threads + 2
    });
    wait_until("end of the files", || {
        Household::now().descriptors <= before.descriptors + 4
    });
    let after = Household::now();
    println!("{sessions} sessions: {before} after {WARM}, {after} at the end");
    let grown = after.memory.saturating_sub(before.memory);
    assert!(grown < 64 << 10, "{grown} KiB more");
}
