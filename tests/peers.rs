// SPDX-License-Identifier: MPL-2.0

//! Tests of the tests: today's tools talk to each other, so that a failure with our elements in the
//! chain is a failure of our elements.

use std::{path::Path, time::Duration};

use support::{
    certificates::{Authority, For},
    flvdump::{self, Expect, assert_same, assert_same_streams},
    gst_peer::gst_launch,
    media,
    nginx::{Nginx, NginxConfig, REFUSED, TlsConfig, TlsFront},
    peers::{
        Pace, ffmpeg_listen, ffmpeg_play, ffmpeg_play_with, ffmpeg_publish, ffmpeg_serve, rtmpdump,
        rtmpdump_live,
    },
    process::PATIENCE,
};
use tempfile::{TempDir, tempdir};

mod support;

fn folder() -> TempDir {
    tempdir().expect("a folder")
}

/// ffmpeg publishes, rtmpdump plays along and nginx records: all three hold the same.
fn goes_round(file: &Path) {
    let (nginx, dir) = (Nginx::start(NginxConfig::default()), folder());
    let received = dir.path().join("received.flv");
    let player = rtmpdump_live(&nginx.url("live", "one"), &received);
    nginx.wait("play", "one");
    ffmpeg_publish(file, &nginx.url("live", "one"), Pace::Fast).succeed(PATIENCE);
    let recorded = nginx.recorded("one");
    player.succeed(PATIENCE);

    let sent = flvdump::read(file);
    assert!(sent.iter().filter(|packet| packet.is_media()).count() > 15);
    assert_same(&sent, &flvdump::read(&recorded), Expect::MEDIA);
    assert_same(&sent, &flvdump::read(&received), Expect::MEDIA);
    assert_same_streams(file, &recorded);
}

#[test]
fn h264_and_aac_go_round() {
    goes_round(&media::h264_aac());
}

#[test]
fn flv1_and_mp3_go_round() {
    goes_round(&media::flv1_mp3());
}

#[test]
fn audio_alone_goes_round() {
    goes_round(&media::audio_only());
}

#[test]
fn video_alone_goes_round() {
    goes_round(&media::video_only());
}

#[test]
fn a_first_timestamp_that_is_not_0_goes_round() {
    goes_round(&media::h264_aac_from(100_000));
}

#[test]
fn large_keyframes_go_round() {
    let file = media::large_keyframes();
    let largest = flvdump::read(&file).iter().map(|packet| packet.size).max();
    assert!(largest > Some(1 << 20), "{largest:?}");
    goes_round(&file);
}

#[test]
fn a_fast_stream_goes_round() {
    let file = media::h264_50m();
    let bytes: usize = flvdump::read(&file).iter().map(|packet| packet.size).sum();
    assert!(bytes > 11_000_000, "{bytes}");
    goes_round(&file);
}

#[test]
fn a_recorded_stream_plays_from_the_middle() {
    let (nginx, dir) = (Nginx::start(NginxConfig::default()), folder());
    let file = media::h264_aac_indexed();
    nginx.offer(&file, "film.flv");
    let url = nginx.url("vod", "film.flv");
    let sent = flvdump::read(&file);

    // rtmpdump exits with 2, "may be incomplete", when the last bit lacks to the duration announced.
    let whole = dir.path().join("whole.flv");
    rtmpdump(&url, &whole, &[]).wait(PATIENCE).expect("an end");
    assert_same(&sent, &flvdump::read(&whole), Expect::MEDIA);

    // rtmpdump --start asks for it in `play`.
    let half = dir.path().join("half.flv");
    rtmpdump(&url, &half, &["--start", "3"])
        .wait(PATIENCE)
        .expect("an end");
    // nginx sends no sequence headers there.
    let expect = Expect {
        from_start: false,
        headers: false,
        ..Expect::MEDIA
    };
    let run = assert_same(&sent, &flvdump::read(&half), expect);
    assert!(run.skipped > 100, "{run:?}");
}

#[test]
fn a_player_joins_in_the_middle() {
    let (nginx, dir) = (Nginx::start(NginxConfig::default()), folder());
    let file = media::h264_aac();
    let url = nginx.url("live", "one");
    let publisher = ffmpeg_publish(&file, &url, Pace::RealTime);
    nginx.wait("publish", "one");
    support::peers::wait_for_bytes(&nginx.recording("one"), 200_000);
    let received = dir.path().join("received.flv");
    let player = rtmpdump_live(&url, &received);
    publisher.succeed(PATIENCE);
    player.succeed(PATIENCE);
    let run = assert_same(
        &flvdump::read(&file),
        &flvdump::read(&received),
        Expect::LIVE,
    );
    assert!(run.skipped > 10 && run.matched > 10, "{run:?}");
}

#[test]
fn rtmp2_elements_publish_and_play() {
    let (nginx, dir) = (Nginx::start(NginxConfig::default()), folder());
    let (file, url) = (media::h264_aac(), nginx.url("live", "one"));
    let received = dir.path().join("received.flv");
    let player = gst_launch(&format!(
        "rtmp2src location={url} ! filesink location={}",
        received.display()
    ));
    nginx.wait("play", "one");
    gst_launch(&format!(
        "filesrc location={} ! flvdemux name=d flvmux streamable=true name=m ! \
         rtmp2sink sync=false location={url} d.video ! h264parse ! queue ! m.video d.audio ! queue ! m.audio",
        file.display()
    ))
    .succeed(PATIENCE);
    let recorded = nginx.recorded("one");
    player.succeed(PATIENCE);
    // flvmux writes tags of its own; what it wrote must have come round.
    let recorded = flvdump::read(&recorded);
    // rtmp2src may forget the last tag when the end comes right behind it.
    let expect = Expect {
        to_end: false,
        ..Expect::MEDIA
    };
    let run = assert_same(&recorded, &flvdump::read(&received), expect);
    assert!(run.missing < 2, "{run:?}");
    let count = |packets: &[flvdump::Packet]| packets.iter().filter(|p| p.is_media()).count();
    assert_eq!(count(&recorded), count(&flvdump::read(&file)));
}

/// librtmp's elements crash now and then, so they get three attempts.
#[test]
fn librtmp_elements_publish_and_play() {
    let (nginx, dir) = (Nginx::start(NginxConfig::default()), folder());
    let file = media::h264_aac();
    nginx.offer(&file, "film.flv");
    let received = dir.path().join("received.flv");
    // At the end of a recorded stream it starts over, for ever.
    let play = format!(
        "rtmpsrc num-buffers=200 location={} ! filesink location={}",
        nginx.url("vod", "film.flv"),
        received.display()
    );
    let publish = format!(
        "filesrc location={} ! flvdemux name=d flvmux streamable=true name=m ! \
         rtmpsink sync=false location={} d.video ! h264parse ! queue ! m.video d.audio ! queue ! m.audio",
        file.display(),
        nginx.url("live", "one"),
    );
    for pipeline in [play, publish] {
        let done = (0..3).any(|_| {
            let ended = gst_launch(&pipeline).wait(PATIENCE).expect("an end");
            ended.status.success()
        });
        assert!(done, "{pipeline}");
    }
    let expect = Expect {
        to_end: false,
        ..Expect::MEDIA
    };
    let run = assert_same(&flvdump::read(&file), &flvdump::read(&received), expect);
    assert!(run.matched > 100, "{run:?}");
    let packets = flvdump::read(&nginx.recorded("one"));
    assert!(packets.iter().filter(|packet| packet.is_media()).count() > 300);
}

#[test]
fn ffmpeg_listens_once() {
    let dir = folder();
    let (file, received) = (media::h264_aac(), dir.path().join("received.flv"));
    let server = ffmpeg_listen(&received);
    ffmpeg_publish(&file, &server.url, Pace::RealTime).succeed(PATIENCE);
    server.process.succeed(PATIENCE);
    // ffmpeg the publisher leaves with unread bytes, so its last words may be lost in the reset.
    let expect = Expect {
        to_end: false,
        ..Expect::MEDIA
    };
    let run = assert_same(&flvdump::read(&file), &flvdump::read(&received), expect);
    assert!(run.missing < 50, "{run:?}");
}

#[test]
fn ffmpeg_serves_once() {
    let dir = folder();
    let (file, received) = (media::h264_aac(), dir.path().join("received.flv"));
    let server = ffmpeg_serve(&file);
    let player = ffmpeg_play(&server.url, &received);
    // It reports a broken pipe to a player that leaves first; what counts is what arrived.
    server.process.wait(PATIENCE).expect("an end");
    player.succeed(PATIENCE);
    assert_same_streams(&file, &received);
}

#[test]
fn tls_ends_at_the_front() {
    let (nginx, dir) = (Nginx::start(NginxConfig::default()), folder());
    let authority = Authority::new("Test authority");
    let config = TlsConfig::new(authority.issue(For::Server, &["localhost", "127.0.0.1"]));
    let front = TlsFront::start(nginx.port(), &config);
    let (file, received) = (media::h264_aac(), dir.path().join("received.flv"));
    nginx.offer(&file, "film.flv");
    // ffmpeg's rtmps does not verify, so openssl has to say that the certificate is good.
    let mut verify = std::process::Command::new("openssl");
    verify.args([
        "s_client",
        "-verify_return_error",
        "-brief",
        "-servername",
        "localhost",
    ]);
    verify.args(["-verify_hostname", "localhost", "-connect"]);
    verify.arg(format!("127.0.0.1:{}", front.port()));
    verify.arg("-CAfile").arg(authority.file());
    let said = support::process::Process::start(&mut verify).succeed(PATIENCE);
    assert!(said.contains("Verification: OK"), "{said}");

    let url = front.url("localhost", "vod", "film.flv");
    ffmpeg_play_with(&url, &received, &["-rtmp_live", "recorded"]).succeed(PATIENCE);
    assert_same_streams(&file, &received);
}

#[test]
fn nginx_refuses() {
    let nginx = Nginx::start(NginxConfig::default());
    let file = media::audio_only();
    let refused = format!("{REFUSED}-stream");
    for (app, stream) in [("live", &*refused), ("closed", "one")] {
        let url = nginx.url(app, stream);
        // A quick one would be done before it heard of the refusal.
        let ended = ffmpeg_publish(&file, &url, Pace::RealTime).wait(PATIENCE);
        let ended = ended.expect("an end");
        assert!(!ended.status.success(), "{url}: {}", ended.said);
    }
    // The second publisher of a name.
    let url = nginx.url("live", "busy");
    let _first = ffmpeg_publish(&media::h264_aac(), &url, Pace::RealTime);
    nginx.wait("publish", "busy");
    let second = ffmpeg_publish(&file, &url, Pace::Fast).wait(PATIENCE);
    let second = second.expect("an end");
    assert!(
        second.said.contains("Already publishing"),
        "{}",
        second.said
    );
}

#[test]
fn waiting_is_bounded() {
    let mut command = std::process::Command::new("sleep");
    let process = support::process::Process::start(command.arg("60"));
    let error = process.wait(Duration::from_millis(20)).unwrap_err();
    assert!(error.starts_with("sleep 60\nstill runs"), "{error}");
}
