// SPDX-License-Identifier: MPL-2.0

//! ffmpeg reads what we write and we read what ffmpeg writes: 5.1 in classic FLV, and a current one in
//! Enhanced RTMP v2.

use std::{path::Path, process::Command, time::Duration};

use crate::{
    streams::{QUEUE, Stream, run, source},
    support::{current_ffmpeg::current, media, process::Process},
};

const PATIENCE: Duration = Duration::from_secs(120);

pub fn ffmpeg(program: &Path, arguments: &[&str]) {
    let mut command = Command::new(program);
    command
        .args(["-nostdin", "-loglevel", "error", "-y"])
        .args(arguments);
    Process::start(&mut command).succeed(PATIENCE);
}

/// Size and presentation time of each packet of a stream, as ffmpeg sees a file.
fn packets(program: &Path, file: &Path, map: &str) -> Vec<(i64, usize)> {
    let output = Command::new(program)
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(file)
        .args(["-map", map, "-c", "copy", "-copyts", "-f", "framecrc", "-"])
        .output()
        .expect("ffmpeg");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        (fields[2].parse().unwrap(), fields[4].parse().unwrap())
    })
    // As such ffmpeg shows what says where channels are.
    .filter(|(_, size)| *size > 0)
    .collect()
}

/// Decoded pictures or samples of a stream, as hashes: who decodes the same got the same.
pub fn decoded(program: &Path, file: &Path, map: &str) -> String {
    let output = Command::new(program)
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(file)
        .args(["-map", map, "-f", "md5", "-"])
        .output()
        .expect("ffmpeg");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub const PICTURES: &str = "testsrc2=size=160x120:rate=25:duration=2";
pub const SOUND: &str = "sine=frequency=440:sample_rate=48000:duration=2";

/// What an encoder of ffmpeg makes, through our demuxer and muxer, and back to ffmpeg.
fn there_and_back(program: &Path, kind: &str, encoder: &[&str], muxer: &str) -> Stream {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("t.flv"), dir.path().join("o.flv"));
    let input = if kind == "video" { PICTURES } else { SOUND };
    let theirs_name = theirs.to_str().unwrap();
    let mut arguments = vec!["-f", "lavfi", "-i", input];
    arguments.extend(encoder);
    arguments.extend(["-f", "flv", theirs_name]);
    ffmpeg(program, &arguments);
    let [got] = run(
        &format!(
            "{} ! flvdemuxbridge name=d d.{kind} ! tee name=t ! {QUEUE} ! appsink name=got \
             t. ! {QUEUE} ! m.{kind} {muxer} name=m ! filesink location={}",
            source(&theirs),
            ours.display()
        ),
        ["got"],
    );
    let map = if kind == "video" { "0:v:0" } else { "0:a:0" };
    let (sent, back) = (packets(program, &theirs, map), packets(program, &ours, map));
    assert!(sent.len() > 20, "{encoder:?}");
    let shift = |packets: &[(i64, usize)]| {
        let first = packets[0].0;
        packets
            .iter()
            .map(|(pts, size)| (pts - first, *size))
            .collect::<Vec<_>>()
    };
    assert_eq!(shift(&back), shift(&sent), "{encoder:?} {muxer}");
    assert_eq!(
        decoded(program, &ours, map),
        decoded(program, &theirs, map),
        "{encoder:?} {muxer}"
    );
    assert_eq!(got.packets.len(), sent.len(), "{encoder:?}");
    got
}

#[test]
fn a_film_of_5_1_goes_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let film = media::h264_aac();
    for streamable in [true, false] {
        let ours = dir.path().join("o.flv");
        run(
            &format!(
                "{} ! flvdemuxbridge name=d d.video ! {QUEUE} ! m.video d.audio ! {QUEUE} ! m.audio \
                 flvmuxbridge name=m streamable={streamable} ! tee name=t ! queue ! \
                 filesink location={} t. ! queue ! appsink name=out",
                source(&film),
                ours.display()
            ),
            ["out"],
        );
        let program = Path::new("ffmpeg");
        for map in ["0:v:0", "0:a:0"] {
            assert_eq!(packets(program, &ours, map), packets(program, &film, map));
            assert_eq!(decoded(program, &ours, map), decoded(program, &film, map));
        }
    }
}

#[test]
fn every_codec_of_a_current_ffmpeg_goes_there_and_back() {
    let Some(program) = current() else { return };
    for (kind, encoder, name) in [
        (
            "video",
            &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                "log-level=error:pools=1:frame-threads=1",
                "-pix_fmt",
                "yuv420p",
            ][..],
            "video/x-h265",
        ),
        (
            "video",
            &[
                "-c:v",
                "libvpx-vp9",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
            ],
            "video/x-vp9",
        ),
        (
            "video",
            &[
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-bf",
                "2",
                "-pix_fmt",
                "yuv420p",
            ],
            "video/x-h264",
        ),
        (
            "video",
            &["-c:v", "libsvtav1", "-preset", "12"],
            "video/x-av1",
        ),
        ("audio", &["-c:a", "libopus"], "audio/x-opus"),
        ("audio", &["-c:a", "flac"], "audio/x-flac"),
        ("audio", &["-c:a", "ac3"], "audio/x-ac3"),
        ("audio", &["-c:a", "eac3"], "audio/x-eac3"),
        ("audio", &["-c:a", "aac"], "audio/mpeg"),
        ("audio", &["-c:a", "libmp3lame"], "audio/mpeg"),
    ] {
        for muxer in [
            "flvmuxbridge streamable=true",
            "flvmuxbridge prefer-enhanced=true",
        ] {
            let got = there_and_back(&program, kind, encoder, muxer);
            assert_eq!(got.one_caps().structure(0).unwrap().name(), name);
        }
    }
}

#[test]
fn surround_of_a_current_ffmpeg_has_its_channels() {
    let Some(program) = current() else { return };
    for (encoder, mask) in [("ac3", 0x3f), ("eac3", 0x3f), ("flac", 0x3f)] {
        let filter = ["-af", "pan=5.1|FL=c0|FR=c0|FC=c0|LFE=c0|BL=c0|BR=c0"];
        let encoder = [&["-c:a", encoder][..], &filter].concat();
        let got = there_and_back(&program, "audio", &encoder, "flvmuxbridge streamable=true");
        let caps = got.caps.last().unwrap().structure(0).unwrap();
        assert_eq!(caps.get::<i32>("channels"), Ok(6), "{encoder:?}");
        if let Ok(found) = caps.get::<gst::Bitmask>("channel-mask") {
            assert!(found.0 == mask || found.0 == 0xc0f, "{encoder:?} {found:?}");
        }
    }
}

#[test]
fn colours_of_a_current_ffmpeg_are_in_the_caps() {
    let Some(program) = current() else { return };
    let encoder = [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p10le",
        "-vf",
        "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc",
        "-x265-params",
        "log-level=error:pools=1:frame-threads=1:hdr10=1:repeat-headers=0:\
         master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400",
    ];
    let got = there_and_back(&program, "video", &encoder, "flvmuxbridge streamable=true");
    let caps = got.caps.last().unwrap().structure(0).unwrap();
    assert_eq!(caps.get::<&str>("colorimetry"), Ok("bt2100-pq"));
}

#[test]
fn tracks_of_a_current_ffmpeg_are_pads_and_ours_are_its_streams() {
    let Some(program) = current() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (theirs, ours) = (dir.path().join("t.flv"), dir.path().join("o.flv"));
    let arguments = [
        "-f",
        "lavfi",
        "-i",
        PICTURES,
        "-f",
        "lavfi",
        "-i",
        SOUND,
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=880:sample_rate=48000:duration=2",
        "-map",
        "0:v",
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-map",
        "2:a",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-f",
        "flv",
        theirs.to_str().unwrap(),
    ];
    ffmpeg(&program, &arguments);
    for kind in ["one-track", "many-tracks", "many-tracks-many-codecs"] {
        run(
            &format!(
                "{} ! flvdemuxbridge name=d \
                 d.video ! {QUEUE} ! m.video d.video_1 ! {QUEUE} ! m.video_1 \
                 d.audio ! {QUEUE} ! m.audio d.audio_1 ! {QUEUE} ! m.audio_1 \
                 flvmuxbridge name=m multitrack-type={kind} ! tee name=t ! queue ! \
                 filesink location={} t. ! queue ! appsink name=out",
                source(&theirs),
                ours.display()
            ),
            ["out"],
        );
        for map in ["0:v:0", "0:v:1", "0:a:0", "0:a:1"] {
            assert_eq!(
                decoded(&program, &ours, map),
                decoded(&program, &theirs, map),
                "{kind} {map}"
            );
        }
    }
}
