// SPDX-License-Identifier: MPL-2.0

//! Players of every kind, at a sink that listens.

use std::path::Path;

use tempfile::TempDir;

use crate::{
    house::{Trust, in_folder, station, stats, tls_1_2},
    support::{
        flvdump::{self, Expect, assert_same},
        gst_peer::gst_launch_with,
        media,
        peers::{ffmpeg_play, rtmpdump_live},
        pipeline::Pipeline,
        process::PATIENCE,
    },
};

fn playing(element: &str, url: &str, options: &str, file: &Path) -> Pipeline {
    let pipeline = Pipeline::launch(&format!(
        "{element} name=source location={url} {options} ! filesink location={}",
        file.display()
    ));
    pipeline.play();
    pipeline
}

#[test]
fn ours_in_every_wrapping() {
    let film = media::h264_aac();
    for (scheme, element, options) in [
        ("rtmpe", "rtmpsrc", "rtmpe-version=xtea"),
        ("rtmpt", "rtmptsrc", ""),
        ("rtmpte", "rtmptsrc", ""),
    ] {
        let (dir, (station, port)) = (TempDir::new().unwrap(), station(&film, ""));
        let out = in_folder(&dir, "out.flv");
        let url = format!("{scheme}://127.0.0.1:{port}/live/one");
        let player = playing(element, &url, options, &out);
        player.eos();
        if scheme != "rtmpe" {
            let requests: u64 = stats(&player, "source", "requests");
            let ratio: f64 = stats(&player, "source", "overhead-ratio");
            println!("{scheme}: {requests} requests, {ratio:.4}");
            assert!(
                requests > 20 && ratio > 1.0 && ratio < 1.1,
                "{requests} {ratio}"
            );
        }
        assert_eq!(player.errors_left("source").len(), 0);
        station.eos();
        assert_eq!(station.errors_left("out").len(), 0);
        assert_same(&flvdump::read(&film), &flvdump::read(&out), Expect::MEDIA);
    }
}

#[test]
fn ours_over_https() {
    let (film, trust, dir) = (media::h264_aac(), Trust::new(), TempDir::new().unwrap());
    let (station, port) = station(&film, &format!("scheme=rtmpts {}", trust.server));
    let out = in_folder(&dir, "out.flv");
    let url = format!("rtmpts://127.0.0.1:{port}/live/one");
    let player = playing("rtmptsrc", &url, &trust.client, &out);
    player.eos();
    assert_eq!(player.errors_left("source").len(), 0);
    station.eos();
    assert_same(&flvdump::read(&film), &flvdump::read(&out), Expect::MEDIA);
}

#[test]
fn ffmpeg_through_http() {
    let (film, dir) = (media::h264_aac(), TempDir::new().unwrap());
    let (station, port) = station(&film, "");
    let out = in_folder(&dir, "out.flv");
    let player = ffmpeg_play(&format!("rtmpt://127.0.0.1:{port}/live/one"), &out);
    station.eos();
    player.succeed(PATIENCE);
    assert_same(&flvdump::read(&film), &flvdump::read(&out), Expect::MEDIA);
}

#[test]
fn rtmpdump_in_every_wrapping() {
    let (film, trust) = (media::h264_aac(), Trust::new());
    for scheme in ["rtmpe", "rtmpt", "rtmpte", "rtmps", "rtmpts"] {
        let options = match scheme {
            "rtmps" | "rtmpts" => format!("scheme={scheme} {}", trust.server),
            _ => String::new(),
        };
        let (dir, (station, port)) = (TempDir::new().unwrap(), station(&film, &options));
        let out = in_folder(&dir, "out.flv");
        let player = rtmpdump_live(&format!("{scheme}://127.0.0.1:{port}/live/one"), &out);
        station.eos();
        // Its status says that a live stream has ended, which it takes for incomplete.
        player.wait(PATIENCE).unwrap_or_else(|e| panic!("{e}"));
        assert_same(&flvdump::read(&film), &flvdump::read(&out), Expect::MEDIA);
    }
}

/// librtmp's element, in a process of its own. It crashes now and then, so it gets three attempts.
#[track_caller]
fn librtmp(scheme: &str, options: &str, variables: &[(&str, &Path)]) {
    let film = media::h264_aac();
    let played = (0..3).any(|_| {
        let (dir, (station, port)) = (TempDir::new().unwrap(), station(&film, options));
        let out = in_folder(&dir, "out.flv");
        let pipeline = format!(
            "rtmpsrc location=\"{scheme}://127.0.0.1:{port}/live/one live=1\" ! \
             filesink location={}",
            out.display()
        );
        let ended = gst_launch_with(&pipeline, variables).wait(PATIENCE);
        let ended = ended.unwrap_or_else(|e| panic!("{e}"));
        // The end of a live stream is an error to it; what came before is what counts.
        if std::os::unix::process::ExitStatusExt::signal(&ended.status).is_some() {
            return false;
        }
        station.stop();
        assert_same(&flvdump::read(&film), &flvdump::read(&out), Expect::MEDIA);
        true
    });
    assert!(played, "{scheme}: it crashed each time");
}

#[test]
fn librtmp_in_every_wrapping() {
    for scheme in ["rtmpe", "rtmpt", "rtmpte"] {
        librtmp(scheme, "", &[]);
    }
}

#[test]
fn librtmp_over_tls() {
    let (trust, settings) = (Trust::new(), TempDir::new().unwrap());
    let (name, file) = tls_1_2(&settings);
    for scheme in ["rtmps", "rtmpts"] {
        let options = format!("scheme={scheme} {}", trust.server);
        librtmp(scheme, &options, &[]);
        librtmp(scheme, &options, &[(name, &file)]);
    }
}
