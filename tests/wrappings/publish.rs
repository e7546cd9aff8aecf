// SPDX-License-Identifier: MPL-2.0

//! Publishers of every kind, at a listener that was not told what to expect.

use std::path::Path;

use gst::prelude::*;
use tempfile::TempDir;

use crate::{
    house::{Ingest, Trust, publishing, stats, tls_1_2},
    support::{
        flvdump,
        gst_peer::gst_launch_with,
        media,
        peers::{Pace, ffmpeg_publish},
        process::PATIENCE,
    },
};

#[test]
fn ours_in_every_wrapping() {
    let film = media::h264_aac();
    for (scheme, element, options) in [
        ("rtmpe", "rtmpsink", ""),
        ("rtmpe", "rtmpsink", "rtmpe-version=xtea"),
        ("rtmpe", "rtmpsink", "rtmpe-version=blowfish"),
        ("rtmpt", "rtmptsink", ""),
        ("rtmpt", "rtmpsink", ""),
        ("rtmpte", "rtmptsink", "rtmpe-version=blowfish"),
    ] {
        let ingest = Ingest::new();
        let publisher = publishing(&film, element, &ingest.url(scheme), options);
        publisher.play();
        publisher.eos();
        assert_eq!(publisher.errors_left("sink").len(), 0);
        ingest.assert_received(&film);
    }
}

#[test]
fn ours_over_https() {
    let (film, trust) = (media::h264_aac(), Trust::new());
    let options = format!("location=rtmpts://127.0.0.1/live/one {}", trust.server);
    let ingest = Ingest::with(&options);
    // Without TLS there is nobody.
    let stranger = publishing(&film, "rtmptsink", &ingest.url("rtmpt"), "timeout=5");
    stranger.play();
    stranger.error_of("sink").assert_sentence();
    stranger.stop();
    let publisher = publishing(&film, "rtmptsink", &ingest.url("rtmpts"), &trust.client);
    publisher.play();
    publisher.eos();
    assert_eq!(publisher.errors_left("sink").len(), 0);
    ingest.assert_received(&film);
}

/// A live stream of 2 Mb/s costs a few percent more than without a tunnel.
#[test]
fn a_tunnel_is_told_of_in_the_statistics() {
    let (film, ingest) = (media::h264_aac(), Ingest::new());
    let publisher = publishing(&film, "rtmptsink", &ingest.url("rtmpt"), "");
    publisher.element("sink").set_property("sync", true);
    publisher.play();
    publisher.eos();
    let requests: u64 = stats(&publisher, "sink", "requests");
    let empty: u64 = stats(&publisher, "sink", "empty-replies");
    let interval: gst::ClockTime = stats(&publisher, "sink", "polling-interval");
    let ratio: f64 = stats(&publisher, "sink", "overhead-ratio");
    println!("{requests} requests, {empty} empty replies, {interval}, {ratio:.4}");
    assert!(requests > 20 && empty > 0, "{requests} {empty}");
    assert!(interval <= gst::ClockTime::from_mseconds(520), "{interval}");
    assert!(ratio > 1.0 && ratio < 1.1, "{ratio}");
    ingest.assert_received(&film);
}

#[test]
fn ffmpeg_through_http() {
    let (film, ingest) = (media::h264_aac(), Ingest::new());
    ffmpeg_publish(&film, &ingest.url("rtmpt"), Pace::Fast).succeed(PATIENCE);
    ingest.assert_received_from_ffmpeg(&film);
}

#[test]
fn ffmpeg_through_https() {
    let (film, trust) = (media::h264_aac(), Trust::new());
    let options = format!("location=rtmpts://127.0.0.1/live/one {}", trust.server);
    let ingest = Ingest::with(&options);
    ffmpeg_publish(&film, &ingest.url("rtmpts"), Pace::Fast).succeed(PATIENCE);
    ingest.assert_received_from_ffmpeg(&film);
}

/// librtmp's elements crash now and then, so they get three attempts. In real time: through HTTP they
/// leave answers unread and so take back what the network has not had when they end.
#[track_caller]
fn librtmp(scheme: &str, options: &str, variables: &[(&str, &Path)]) {
    let film = media::h264_aac();
    let sent = flvdump::read(&film);
    let count = |packets: &[flvdump::Packet]| packets.iter().filter(|p| p.is_media()).count();
    let received = (0..3).find_map(|_| {
        let ingest = Ingest::with(&format!("location={scheme}://127.0.0.1/live/one {options}"));
        let pipeline = format!(
            "filesrc location={} ! flvdemux name=d flvmux streamable=true name=m ! \
             rtmpsink location={} d.video ! h264parse ! queue ! m.video \
             d.audio ! queue ! m.audio",
            film.display(),
            ingest.url(scheme),
        );
        let ended = gst_launch_with(&pipeline, variables).wait(PATIENCE);
        let ended = ended.expect("an end");
        ended.status.success().then(|| ingest.received())
    });
    let (received, sent) = (count(&received.expect("one that ends well")), count(&sent));
    // flvmux may take the last of either with it.
    assert!(
        received + 2 >= sent && received <= sent,
        "{received} of {sent}"
    );
}

#[test]
fn librtmp_encrypted() {
    librtmp("rtmpe", "", &[]);
}

#[test]
fn librtmp_through_http() {
    librtmp("rtmpt", "", &[]);
}

#[test]
fn librtmp_encrypted_through_http() {
    librtmp("rtmpte", "", &[]);
}

/// Key frames are longer than a record of TLS, which spoils what librtmp says in HTTP.
#[test]
fn librtmp_over_https() {
    let (trust, dir) = (Trust::new(), TempDir::new().expect("a folder"));
    let (name, file) = tls_1_2(&dir);
    for scheme in ["rtmps", "rtmpts"] {
        librtmp(scheme, &trust.server, &[]);
        librtmp(scheme, &trust.server, &[(name, &file)]);
    }
}
