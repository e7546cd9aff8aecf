// SPDX-License-Identifier: MPL-2.0

//! Clients and one-shot servers from the packages: ffmpeg, rtmpdump.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::process::{Process, start_server, wait_until};

/// How fast ffmpeg reads its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As its timestamps say.
    RealTime,
    Fast,
}

/// ffmpeg publishes an FLV file without coding it anew.
pub fn ffmpeg_publish(file: &Path, url: &str, pace: Pace) -> Process {
    ffmpeg_publish_with(file, url, pace, &[])
}

/// The same with options of its RTMP protocol, such as `-rtmp_app`.
pub fn ffmpeg_publish_with(file: &Path, url: &str, pace: Pace, options: &[&str]) -> Process {
    let mut command = ffmpeg();
    if pace == Pace::RealTime {
        command.arg("-re");
    }
    command.arg("-i").arg(file).args(copy_to_flv());
    Process::start(command.args(options).arg(url))
}

/// ffmpeg plays into an FLV file without decoding; it ends when the server says so.
pub fn ffmpeg_play(url: &str, file: &Path) -> Process {
    ffmpeg_play_with(url, file, &[])
}

/// The same with options of its RTMP protocol, such as `-rtmp_live live`.
pub fn ffmpeg_play_with(url: &str, file: &Path, options: &[&str]) -> Process {
    let mut command = ffmpeg();
    command.args(options).args(["-i", url]).args(copy_to_flv());
    Process::start(command.arg(file))
}

/// A server that takes one publisher; ffmpeg writes what it gets into an FLV file and ends.
#[derive(Debug)]
pub struct FfmpegListener {
    pub url: String,
    pub process: Process,
}

/// Starts [`FfmpegListener`] for the stream `live/one`.
#[track_caller]
pub fn ffmpeg_listen(file: &Path) -> FfmpegListener {
    let url = |port| format!("rtmp://127.0.0.1:{port}/live/one");
    let (port, process) = start_server(|port| {
        let mut command = ffmpeg();
        command.args(["-listen", "1", "-i", &url(port)]);
        command.args(copy_to_flv()).arg(file);
        command
    });
    FfmpegListener {
        url: url(port),
        process,
    }
}

/// Starts a server that plays a file to one client, in real time, as the stream `live/one`, and ends.
#[track_caller]
pub fn ffmpeg_serve(file: &Path) -> FfmpegListener {
    let url = |port| format!("rtmp://127.0.0.1:{port}/live/one");
    let (port, process) = start_server(|port| {
        let mut command = ffmpeg();
        command.arg("-re").arg("-i").arg(file).args(copy_to_flv());
        command.args(["-listen", "1", &url(port)]);
        command
    });
    FfmpegListener {
        url: url(port),
        process,
    }
}

/// rtmpdump plays a live stream into an FLV file; it ends when the server says so.
pub fn rtmpdump_live(url: &str, file: &Path) -> Process {
    rtmpdump(url, file, &["--live"])
}

/// rtmpdump plays a recorded stream, with options such as `--start 2`.
pub fn rtmpdump(url: &str, file: &Path, options: &[&str]) -> Process {
    let mut command = Command::new("rtmpdump");
    command
        .args(["--verbose", "--rtmp", url, "--flv"])
        .arg(file);
    Process::start(command.args(options))
}

/// Waits until a file has this many bytes: the writer is at work.
#[track_caller]
pub fn wait_for_bytes(file: &Path, bytes: u64) {
    wait_until(&format!("{} has {bytes} bytes", file.display()), || {
        fs::metadata(file).is_ok_and(|file| file.len() >= bytes)
    });
}

/// A file of this name in a temporary folder of the test, not made yet.
pub fn output(dir: &tempfile::TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner", "-nostats", "-y"]);
    command
}

/// Copies the streams and keeps their timestamps. `no_duration_filesize`: otherwise ffmpeg wants to
/// go back to the header when it ends, and reports a failure where it cannot.
fn copy_to_flv() -> [&'static str; 6] {
    [
        "-c",
        "copy",
        "-flvflags",
        "no_duration_filesize",
        "-f",
        "flv",
    ]
}
