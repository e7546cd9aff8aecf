// SPDX-License-Identifier: MPL-2.0

//! Real players of a listening rtmpsink.

use std::path::Path;

use tempfile::TempDir;

use crate::{
    station::{Live, Station},
    support::{
        certificates::{Authority, For},
        flvdump::{self, Expect, Kind, assert_same},
        gst_peer::gst_launch,
        media,
        peers::{ffmpeg_play, output, rtmpdump_live, wait_for_bytes},
        pipeline::Pipeline,
        process::{PATIENCE, Process, wait_until},
    },
};

/// A player at work.
enum Player {
    Program(Process),
    Ours(Pipeline),
}

/// Has a player of this make write what it gets into a file.
fn play(make: &str, url: &str, file: &Path) -> Player {
    let out = file.display();
    let (source, options) = match make {
        "ffmpeg" => return Player::Program(ffmpeg_play(url, file)),
        "rtmpdump" => return Player::Program(rtmpdump_live(url, file)),
        "rtmpsrc" => {
            let pipeline =
                Pipeline::launch(&format!("rtmpsrc location={url} ! filesink location={out}"));
            pipeline.play();
            return Player::Ours(pipeline);
        }
        "librtmp" => ("rtmpsrc", " live=1"),
        other => (other, ""),
    };
    Player::Program(gst_launch(&format!(
        "{source} location=\"{url}{options}\" ! filesink location={out}"
    )))
}

impl Player {
    /// Waits for its end.
    #[track_caller]
    fn end(self) {
        match self {
            Self::Program(process) => {
                process.wait(PATIENCE).unwrap_or_else(|e| panic!("{e}"));
            }
            Self::Ours(pipeline) => {
                pipeline.eos();
                pipeline.stop();
            }
        }
    }
}

const PLAYERS: [&str; 5] = ["ffmpeg", "rtmpdump", "rtmp2src", "librtmp", "rtmpsrc"];

#[test]
fn a_player_gets_the_whole_stream_and_its_end() {
    for (player, file) in PLAYERS.into_iter().zip([
        media::h264_aac(),
        media::flv1_mp3(),
        media::h264_aac(),
        media::h264_aac_from(1000),
        media::video_only(),
    ]) {
        let dir = TempDir::new().unwrap();
        let out = output(&dir, "out.flv");
        let station = Station::of_file(&file, "");
        let playing = play(player, &station.url(), &out);
        station.pipeline.eos();
        playing.end();
        // rtmp2src may forget the last tag when the end comes right behind it.
        let expect = Expect {
            to_end: player != "rtmp2src",
            ..Expect::MEDIA
        };
        let run = flvdump::compare(&flvdump::read(&file), &flvdump::read(&out), expect);
        let run = run.unwrap_or_else(|e| panic!("{player}: {e}"));
        assert!(run.missing < 2, "{player}: {run:?}");
        station.pipeline.stop();
    }
}

#[test]
fn late_players_begin_with_headers_and_a_key_frame() {
    let mut live = Live::start("");
    let dir = TempDir::new().unwrap();
    // In the middle of a group of pictures, whichever.
    wait_until("two seconds are out", || {
        live.station.stats::<u64>("tags") > 2 * 65 + 20
    });
    let players: Vec<_> = PLAYERS
        .into_iter()
        .map(|kind| {
            let out = output(&dir, kind);
            (kind, play(kind, &live.station.url(), &out), out)
        })
        .collect();
    for (_, _, out) in &players {
        wait_for_bytes(out, 60_000);
    }
    live.end();
    live.station.pipeline.eos();
    for (kind, player, out) in players {
        player.end();
        let received = flvdump::read(&out);
        let expect = Expect {
            // librtmp and ffmpeg write an onMetaData of their own.
            timestamps: Some(1),
            ..Expect::LIVE
        };
        let run = flvdump::compare(&live.sent, &received, expect);
        let run = run.unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert!(run.skipped > 25, "{kind}: {run:?}");
        let picture = received
            .iter()
            .find(|packet| packet.kind == Kind::Video && packet.is_media());
        assert!(picture.is_some_and(|p| p.keyframe), "{kind}");
    }
    live.station.pipeline.stop();
}

#[test]
fn players_come_over_tls() {
    let authority = Authority::new("listening");
    let certificate = authority.issue(For::Server, &["localhost", "127.0.0.1"]);
    let file = media::h264_aac();
    let dir = TempDir::new().unwrap();
    let out = output(&dir, "out.flv");
    let station = Station::of_file(
        &file,
        &format!(
            "scheme=rtmps tls-certificate={} tls-private-key={}",
            certificate.certificate.display(),
            certificate.key.display()
        ),
    );
    let url = station.url().replace("rtmp:", "rtmps:");
    let player = Pipeline::launch(&format!(
        "rtmpsrc location={url} tls-ca-file={} ! filesink location={}",
        authority.file().display(),
        out.display()
    ));
    player.play();
    let ffmpeg_out = output(&dir, "ffmpeg.flv");
    let ffmpeg = ffmpeg_play(&url, &ffmpeg_out);
    station.pipeline.eos();
    player.eos();
    player.stop();
    ffmpeg.succeed(PATIENCE);
    assert_same(&flvdump::read(&file), &flvdump::read(&out), Expect::MEDIA);
    assert_same(
        &flvdump::read(&file),
        &flvdump::read(&ffmpeg_out),
        Expect::LIVE,
    );
    station.pipeline.stop();
}
