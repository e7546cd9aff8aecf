// SPDX-License-Identifier: MPL-2.0

//! Players from the packages.

use std::{fs, process::Command};

use tempfile::TempDir;

use crate::{
    film::{FILM, assert_same, key_frames, packets, read_packets},
    station::Station,
    support::{
        gst_peer::gst_launch,
        process::{PATIENCE, Process},
    },
};

/// Lets a program write what it gets to a file, from the start to the end of the film.
#[track_caller]
fn recorded(command: &mut dyn FnMut(&str, &str) -> Process) -> Vec<u8> {
    let dir = TempDir::with_prefix("peer").expect("a folder");
    let file = dir.path().join("got.webm");
    let station = Station::new("timecodes=source");
    let url = format!("http://127.0.0.1:{}/live", station.port);
    let process = command(&url, file.to_str().expect("a path"));
    station.wait_for_clients(1);
    station.push(&FILM);
    station.end();
    process.succeed(PATIENCE);
    fs::read(&file).expect("a file")
}

#[test]
fn curl_gets_all_of_it() {
    for version in ["--http1.1", "--http1.0"] {
        let got = recorded(&mut |url, file| {
            let mut curl = Command::new("curl");
            Process::start(curl.args(["-sS", version, "--max-time", "60", "-o", file, url]))
        });
        let sent = packets(&FILM);
        assert_same(&packets(&got), &sent[key_frames(&sent)[0]..]);
    }
}

#[test]
fn ffmpeg_gets_all_of_it() {
    let got = recorded(&mut |url, file| {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-loglevel", "error", "-copyts", "-i", url]);
        Process::start(ffmpeg.args(["-c", "copy", "-copyts", "-f", "webm", file]))
    });
    let sent = packets(&FILM);
    let hashes = |track| {
        let of = move |packets: &[crate::film::Packet]| -> Vec<String> {
            let packets = packets.iter().filter(|p| p.track == track);
            packets.map(|p| p.hash.clone()).collect()
        };
        (of(&read_packets(&got).0), of(&sent))
    };
    for track in 0..2 {
        let (got, sent) = hashes(track);
        // ffmpeg leaves out sound before the first picture.
        assert!(sent.ends_with(&got), "track {track}");
        assert!(
            got.len() + 10 >= sent.len(),
            "track {track}: {} of {}",
            got.len(),
            sent.len()
        );
    }
}

#[test]
fn gstreamer_gets_all_of_it() {
    let got = recorded(&mut |url, file| {
        gst_launch(&format!(
            "souphttpsrc location={url} ! filesink location={file}"
        ))
    });
    let sent = packets(&FILM);
    assert_same(&packets(&got), &sent[key_frames(&sent)[0]..]);
}
