// SPDX-License-Identifier: MPL-2.0

//! Who takes what the demuxer gives, with nothing between: muxers of other containers, and decodebin3.

use std::{path::Path, process::Command};

use gst::prelude::*;

use crate::{
    ffmpeg::{PICTURES, SOUND, decoded, ffmpeg},
    streams::{QUEUE, run, source, watch},
    support::{current_ffmpeg::current, media, pipeline::Pipeline},
};

/// Size and checksum of each packet of a stream, as ffmpeg sees a file.
fn contents(program: &Path, file: &Path) -> Vec<(String, String)> {
    let output = Command::new(program)
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(file)
        .args([
            "-map",
            "0",
            "-c",
            "copy",
            "-copyinkf",
            "-f",
            "framecrc",
            "-",
        ])
        .output()
        .expect("ffmpeg");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && errors.is_empty(),
        "{}: {errors}",
        file.display()
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    let rows = rows.map(|line| {
        let fields: Vec<_> = line.split(',').map(str::trim).collect();
        (fields[4].to_owned(), fields[5].to_owned())
    });
    rows.filter(|(size, _)| size != "0").collect()
}

#[test]
fn muxers_of_other_containers_need_no_help() {
    let Some(program) = current() else { return };
    let x265 = "log-level=error:pools=1:frame-threads=1";
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film.flv");
    for (kind, encoder, muxers) in [
        (
            "video",
            &["libx264", "-bf", "2", "-preset", "ultrafast"][..],
            &["matroskamux", "mp4mux"][..],
        ),
        (
            "video",
            &["libx265", "-preset", "ultrafast", "-x265-params", x265],
            &["matroskamux", "mp4mux"],
        ),
        (
            "video",
            &["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"],
            &["matroskamux", "mp4mux"],
        ),
        (
            "video",
            &["libsvtav1", "-preset", "12"],
            &["matroskamux", "mp4mux"],
        ),
        ("audio", &["aac"], &["matroskamux", "mp4mux"]),
        ("audio", &["libmp3lame"], &["matroskamux", "mp4mux"]),
        ("audio", &["libopus"], &["matroskamux", "mp4mux"]),
        ("audio", &["flac"], &["matroskamux"]),
        ("audio", &["ac3"], &["matroskamux", "mp4mux"]),
        ("audio", &["eac3"], &["matroskamux"]),
    ] {
        let (input, option) = match kind {
            "video" => (PICTURES, ["-c:v", "-pix_fmt", "yuv420p"]),
            _ => (SOUND, ["-c:a", "-ar", "48000"]),
        };
        let mut arguments = vec!["-f", "lavfi", "-i", input, option[1], option[2], option[0]];
        arguments.extend(encoder);
        arguments.extend(["-f", "flv", film.to_str().unwrap()]);
        ffmpeg(&program, &arguments);
        let sent = contents(&program, &film);
        assert!(sent.len() > 20, "{encoder:?}");
        for muxer in muxers {
            let taken = dir.path().join("taken");
            run(
                &format!(
                    "{} ! flvdemuxbridge name=d d.{kind} ! {QUEUE} ! m.{kind}_0 {muxer} name=m ! tee name=t ! queue ! \
                     filesink location={} t. ! queue ! appsink name=out",
                    source(&film),
                    taken.display()
                ),
                ["out"],
            );
            let mut got = contents(&program, &taken);
            // FLV does not say how long the last frame is, and by MP4's edit list one without a length is
            // left out.
            if *muxer == "mp4mux" && got.len() + 1 == sent.len() {
                got.extend(sent.last().cloned());
            }
            assert_eq!(got, sent, "{encoder:?} in {muxer}");
            if kind == "video" {
                let pictures = decoded(&program, &taken, "0:v:0");
                // MP4 has an edit list, by which ffmpeg leaves out pictures, or shows one twice.
                if *muxer == "matroskamux" {
                    assert_eq!(pictures, decoded(&program, &film, "0:v:0"), "{encoder:?}");
                }
            }
        }
    }
}

/// Decodes a film and counts pictures and bytes of sound.
fn decode(film: &Path) -> (usize, usize) {
    let pipeline = Pipeline::launch(&format!(
        "{} ! decodebin3 name=d \
         d. ! video/x-raw ! {QUEUE} ! appsink name=v d. ! audio/x-raw ! {QUEUE} ! appsink name=a",
        source(film)
    ));
    let (pictures, sound) = (watch(&pipeline.element("v")), watch(&pipeline.element("a")));
    pipeline.play();
    pipeline.eos();
    let bin: gst::Bin = pipeline.element("d").downcast().unwrap();
    let demuxer = bin.iterate_recurse().into_iter().flatten().any(|element| {
        let factory = element.factory();
        factory.is_some_and(|factory| factory.name() == "flvdemuxbridge")
    });
    assert!(demuxer, "another demuxer was chosen");
    pipeline.stop();
    let (pictures, sound) = (pictures.lock().unwrap(), sound.lock().unwrap());
    let bytes = sound.packets.iter().map(|packet| packet.data.len()).sum();
    (pictures.packets.len(), bytes)
}

#[test]
fn decodebin3_finds_the_demuxer_and_decodes() {
    let (pictures, sound) = decode(&media::h264_aac());
    assert_eq!(pictures, 125);
    assert!(sound > 100_000, "{sound}");
    let Some(program) = current() else { return };
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("film.flv");
    for (video, audio) in [
        ("libx265", "libopus"),
        ("libvpx-vp9", "flac"),
        ("libsvtav1", "ac3"),
    ] {
        ffmpeg(
            &program,
            &[
                "-f",
                "lavfi",
                "-i",
                PICTURES,
                "-f",
                "lavfi",
                "-i",
                SOUND,
                "-pix_fmt",
                "yuv420p",
                "-c:v",
                video,
                "-c:a",
                audio,
                "-ar",
                "48000",
                "-f",
                "flv",
                film.to_str().unwrap(),
            ],
        );
        let (pictures, sound) = decode(&film);
        assert_eq!(pictures, 50, "{video}");
        assert!(sound > 100_000, "{audio}: {sound}");
    }
}

/// Colours of HDR in our caps are beside ffmpeg's pictures, and those in its packets in our caps.
#[test]
fn colours_of_hdr_are_those_of_a_current_ffmpeg() {
    let Some(program) = current() else { return };
    let dir = tempfile::tempdir().unwrap();
    let [plain, ours, matroska, theirs] =
        ["plain.flv", "ours.flv", "film.mkv", "theirs.flv"].map(|name| dir.path().join(name));
    ffmpeg(
        &program,
        &[
            "-f",
            "lavfi",
            "-i",
            PICTURES,
            "-pix_fmt",
            "yuv420p10le",
            "-c:v",
            "libx265",
            "-preset",
            "ultrafast",
            "-x265-params",
            "log-level=error:pools=1:frame-threads=1",
            "-f",
            "flv",
            plain.to_str().unwrap(),
        ],
    );
    let display = "34000:16000:13250:34500:7500:3000:15635:16450:10000000:50";
    let hdr = format!(
        "colorimetry=(string)bt2100-pq, mastering-display-info=(string){display}, \
         content-light-level=(string)1000:400"
    );
    for (muxer, file) in [
        ("flvmuxbridge streamable=true", &ours),
        ("matroskamux", &matroska),
    ] {
        run(
            &format!(
                "{} ! flvdemuxbridge name=d d.video ! {QUEUE} ! capssetter caps=\"video/x-h265, {hdr}\" ! \
                 {muxer} ! tee name=t ! queue ! filesink location={} t. ! queue ! appsink name=out",
                source(&plain),
                file.display()
            ),
            ["out"],
        );
    }
    let output = Command::new(&program)
        .args(["-nostdin", "-hide_banner", "-i"])
        .arg(&ours)
        .args(["-vf", "showinfo", "-frames:v", "1", "-f", "null", "-"])
        .output()
        .expect("ffmpeg");
    let seen = String::from_utf8_lossy(&output.stderr).into_owned();
    for says in [
        "Mastering display metadata",
        "Content light level",
        "colorPrimaries  : 9",
        "transferCharacteristics: 16",
    ] {
        assert!(seen.contains(says), "no {says} in {seen}");
    }
    let copied = [
        "-i",
        matroska.to_str().unwrap(),
        "-c",
        "copy",
        "-f",
        "flv",
        theirs.to_str().unwrap(),
    ];
    ffmpeg(&program, &copied);
    let [got] = run(
        &format!(
            "{} ! flvdemuxbridge name=d d.video ! {QUEUE} ! appsink name=got",
            source(&theirs)
        ),
        ["got"],
    );
    let caps = got.caps.last().unwrap().structure(0).unwrap();
    // matroskamux 1.22 writes a fifth of the luminance.
    let hdr = hdr.replace("10000000:50", "2000000:10");
    let wanted: gst::Caps = format!("video/x-h265, {hdr}").parse().unwrap();
    for (field, value) in wanted.structure(0).unwrap().iter() {
        let back = caps
            .value(field)
            .unwrap_or_else(|_| panic!("no {field} in {caps}"));
        assert_eq!(
            format!("{:?}", back.serialize()),
            format!("{:?}", value.serialize()),
            "{field}"
        );
    }
}
