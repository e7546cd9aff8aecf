// SPDX-License-Identifier: MPL-2.0

//! `rtmpsrc` as the server that others publish to over TLS.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use gst::ResourceError;
use tempfile::{TempDir, tempdir};

use crate::{
    house::{assert_fails, ca, file},
    support::{
        certificates::{Authority, Certificate, For},
        flvdump::{self, Expect, assert_same},
        media,
        peers::{Pace, ffmpeg_publish},
        pipeline::{Pipeline, quoted},
        process::{PATIENCE, Process},
    },
};

/// A listener with a certificate for this machine's names.
struct Listener {
    pipeline: Pipeline,
    authority: Authority,
    port: u32,
    dir: TempDir,
}

impl Listener {
    fn new(properties: impl FnOnce(&Authority) -> String) -> Self {
        let authority = Authority::new("Test authority");
        let identity = identity(&authority.issue(For::Server, &["localhost", "127.0.0.1"]));
        let dir = tempdir().expect("a folder");
        let properties = properties(&authority);
        let pipeline = Pipeline::launch(&format!(
            "rtmpsrc name=source mode=listener location=rtmps://127.0.0.1/live/one port=0 \
             {identity} {properties} ! filesink location={}",
            file(&dir.path().join("received.flv")),
        ));
        pipeline.play();
        let told = pipeline.notice("rtmp-listening");
        let port = told.get::<u32>("port").expect("a port");
        Self {
            pipeline,
            authority,
            port,
            dir,
        }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/live/one", self.port)
    }

    fn received(&self) -> PathBuf {
        self.dir.path().join("received.flv")
    }

    /// Waits for the end; what came is this film.
    #[track_caller]
    fn assert_received(&self, film: &Path) {
        self.pipeline.eos();
        assert_eq!(self.pipeline.errors_left("source").len(), 0);
        let received = flvdump::read(&self.received());
        assert_same(&flvdump::read(film), &received, Expect::MEDIA);
    }
}

/// The properties that make a certificate known.
fn identity(of: &Certificate) -> String {
    format!(
        "tls-certificate={} tls-private-key={}",
        file(&of.certificate),
        file(&of.key),
    )
}

fn publishing(location: &str, properties: &str) -> Pipeline {
    Pipeline::launch(&format!(
        "filesrc location={} ! rtmpsink name=sink sync=false location={} {properties}",
        file(&media::h264_aac()),
        quoted(location),
    ))
}

#[test]
fn rtmpsink_publishes() {
    let listener = Listener::new(|_| String::new());
    let publisher = publishing(&listener.url("rtmps"), &ca(&listener.authority));
    publisher.play();
    publisher.eos();
    listener.assert_received(&media::h264_aac());
    assert_eq!(publisher.errors_left("sink").len(), 0);
}

#[test]
fn ffmpeg_publishes() {
    let listener = Listener::new(|_| String::new());
    let film = media::h264_aac_unacknowledged();
    let publisher = ffmpeg_publish(&film, &listener.url("rtmps"), Pace::Fast);
    listener.assert_received(&film);
    publisher.succeed(PATIENCE);
}

/// Who cannot be let in does not keep others out.
#[test]
fn strangers_are_no_harm() {
    let listener = Listener::new(|_| String::new());
    let stranger = publishing(&listener.url("rtmps"), "");
    let words = &["certificate"];
    assert_fails(&stranger, "sink", ResourceError::NotAuthorized, words);
    let plain = publishing(&listener.url("rtmp"), "timeout=1");
    plain.play();
    let failure = plain.error_of("sink");
    failure.assert_sentence();
    assert_eq!(failure.error.kind(), Some(ResourceError::OpenWrite));
    assert_eq!(plain.errors_left("sink").len(), 0);

    let publisher = publishing(&listener.url("rtmps"), &ca(&listener.authority));
    publisher.play();
    publisher.eos();
    listener.assert_received(&media::h264_aac());
}

/// A handshake without the name of a host, and one in the middle of a connection, which TLS 1.2 knows.
#[test]
fn odd_handshakes_are_no_harm() {
    let listener = Listener::new(|_| String::new());
    let address = format!("127.0.0.1:{}", listener.port);
    let options = ["s_client", "-noservername", "-tls1_2", "-connect", &address];
    let mut stranger = Process::start_to_tell(Command::new("openssl").args(options));
    // The letter alone on a line asks for it; the other end says no, which is the end for s_client.
    stranger.tell("R\n");
    let said = stranger.wait(PATIENCE).expect("an end").said;
    assert!(said.contains("Protocol  : TLSv1.2"), "{said}");
    assert!(said.contains("no renegotiation"), "{said}");

    let publisher = publishing(&listener.url("rtmps"), &ca(&listener.authority));
    publisher.play();
    publisher.eos();
    listener.assert_received(&media::h264_aac());
}

#[test]
fn publishers_may_have_to_show_a_certificate() {
    let listener = Listener::new(ca);
    let url = listener.url("rtmps");
    let known = ca(&listener.authority);
    let code = ResourceError::NotAuthorized;
    assert_fails(&publishing(&url, &known), "sink", code, &["certificate"]);
    let joe = identity(&listener.authority.issue(For::Client, &["joe"]));
    let publisher = publishing(&url, &format!("{known} {joe}"));
    publisher.play();
    publisher.eos();
    listener.assert_received(&media::h264_aac());
}

#[test]
fn without_a_certificate_there_is_nothing_to_listen_with() {
    for (properties, word) in [
        ("", "tls-certificate"),
        ("tls-certificate=/nowhere/certificate.pem", "/nowhere/"),
    ] {
        let pipeline = Pipeline::launch(&format!(
            "rtmpsrc name=source mode=listener location=rtmps://127.0.0.1/live/one port=0 \
             {properties} ! fakesink"
        ));
        let code = ResourceError::Settings;
        assert_fails(&pipeline, "source", code, &[word]);
    }
}
