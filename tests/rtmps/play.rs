// SPDX-License-Identifier: MPL-2.0

//! `rtmpsrc` and servers with certificates of all kinds.

use std::{path::Path, process::Command};

use gst::ResourceError;
use tempfile::tempdir;

use crate::{
    house::{House, answer, assert_asked_once, assert_fails, ca, file},
    support::{
        certificates::{Authority, Certificate, For},
        flvdump::{self, Expect, assert_same},
        media,
        nginx::TlsConfig,
        pipeline::{Failure, Pipeline, quoted},
        process::{Process, free_port, wait_until},
    },
};

/// The URL of a film in this house.
fn film(house: &House, host: &str) -> String {
    house.nginx.offer(&media::h264_aac(), "film.flv");
    house.url(host, "vod", "film.flv")
}

fn playing(location: &str, properties: &str, into: &Path) -> Pipeline {
    Pipeline::launch(&format!(
        "rtmpsrc name=source location={} {properties} ! filesink location={}",
        quoted(location),
        file(into),
    ))
}

/// Plays to the end; what came is the film.
#[track_caller]
fn assert_plays(pipeline: &Pipeline, into: &Path) {
    pipeline.play();
    pipeline.eos();
    assert_eq!(pipeline.errors_left("source").len(), 0);
    let sent = flvdump::read(&media::h264_aac());
    assert_same(&sent, &flvdump::read(into), Expect::MEDIA);
}

#[track_caller]
fn plays(location: &str, properties: &str) {
    let dir = tempdir().expect("a folder");
    let into = dir.path().join("played.flv");
    assert_plays(&playing(location, properties, &into), &into);
}

/// It is refused for its certificate, in a sentence that holds these words.
#[track_caller]
fn refused(location: &str, properties: &str, words: &[&str]) -> Failure {
    let pipeline = playing(location, properties, Path::new("/dev/null"));
    let code = ResourceError::NotAuthorized;
    let failure = assert_fails(&pipeline, "source", code, words);
    let details = failure.details.as_ref().expect("details");
    assert_eq!(details.get::<&str>("stage"), Ok("tls"));
    failure
}

#[test]
fn a_film_plays_by_name_and_by_address() {
    let house = House::new(|config, _| config);
    for host in ["localhost", "127.0.0.1"] {
        plays(&film(&house, host), &house.ca());
    }
}

#[test]
fn a_film_plays_over_either_version() {
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        let house = House::new(|config, _| TlsConfig {
            protocols,
            ..config
        });
        plays(&film(&house, "localhost"), &house.ca());
    }
}

#[test]
fn a_server_of_no_known_authority_is_refused() {
    let house = House::new(|config, _| config);
    let url = film(&house, "localhost");
    let words = &["certificate", "authority"];
    let failure = refused(&url, "", words);
    let details = failure.details.expect("details");
    assert_eq!(details.get::<&str>("host"), Ok("localhost"));
    refused(&url, &ca(&Authority::new("Another authority")), words);
}

#[test]
fn a_server_of_another_name_is_refused() {
    let house = House::with(For::Server, &["other.example"], |config, _| config);
    for host in ["localhost", "127.0.0.1"] {
        let words = &["certificate", host];
        refused(&film(&house, host), &house.ca(), words);
    }
    let properties = format!("{} tls-server-name=other.example", house.ca());
    plays(&film(&house, "localhost"), &properties);
}

#[test]
fn flags_choose_what_is_checked() {
    let house = House::with(For::ExpiredServer, &["other.example"], |config, _| config);
    let url = film(&house, "localhost");
    plays(&url, "tls-validation-flags=0");
    let only = |flags| format!("{} tls-validation-flags={flags}", house.ca());
    plays(&url, &only("unknown-ca"));
    refused(&url, &only("bad-identity"), &["certificate"]);
    refused(&url, &only("expired"), &["expired"]);
}

/// A server that wants to shake hands once more, as TLS 1.2 allows, and takes no for an error.
#[test]
fn a_server_that_renegotiates_is_left() {
    let authority = Authority::new("Test authority");
    let issued = authority.issue(For::Server, &["127.0.0.1"]);
    let (port, mut server) = s_server(&issued);
    let location = format!("rtmps://127.0.0.1:{port}/live/one");
    let options = format!("{} timeout=10 reconnect=never", ca(&authority));
    let pipeline = playing(&location, &options, Path::new("/dev/null"));
    pipeline.play();
    wait_until("the handshake of TLS is over", || {
        server.said().contains("Secure Renegotiation IS supported")
    });
    server.tell("R\n");
    pipeline.error_of("source").assert_sentence();
    wait_until("it was told no", || {
        server.said().contains("no renegotiation")
    });
    assert_eq!(pipeline.errors_left("source").len(), 0);
}

/// OpenSSL's server, which does as it is told.
fn s_server(of: &Certificate) -> (u16, Process) {
    let port = free_port();
    let mut server = Process::start_to_tell(
        Command::new("openssl")
            .args(["s_server", "-tls1_2", "-accept", &port.to_string()])
            .args([Path::new("-cert"), &of.certificate])
            .args([Path::new("-key"), &of.key]),
    );
    server.listens(port).unwrap_or_else(|e| panic!("{e}"));
    (port, server)
}

#[test]
fn an_application_may_accept_a_certificate() {
    let house = House::new(|config, _| config);
    let url = film(&house, "localhost");
    let dir = tempdir().expect("a folder");
    let into = dir.path().join("played.flv");
    let pipeline = playing(&url, "", &into);
    let asked = answer(&pipeline, "source", true);
    assert_plays(&pipeline, &into);
    assert_asked_once(&asked);

    let pipeline = playing(&url, "", &into);
    let asked = answer(&pipeline, "source", false);
    let words = &["certificate"];
    assert_fails(&pipeline, "source", ResourceError::NotAuthorized, words);
    assert_asked_once(&asked);

    // What is in order needs no question.
    let pipeline = playing(&url, &house.ca(), &into);
    let asked = answer(&pipeline, "source", false);
    assert_plays(&pipeline, &into);
    assert!(asked.lock().unwrap().is_empty());
}

#[test]
fn a_client_shows_its_certificate() {
    let house = House::new(|config, authority| TlsConfig {
        client_ca: Some(authority.file()),
        ..config
    });
    let Certificate { certificate, key } = house.authority.issue(For::Client, &["joe"]);
    let properties = format!(
        "{} tls-certificate={} tls-private-key={}",
        house.ca(),
        file(&certificate),
        file(&key),
    );
    let url = film(&house, "localhost");
    plays(&url, &properties);
    let pipeline = playing(&url, &house.ca(), Path::new("/dev/null"));
    assert_fails(&pipeline, "source", ResourceError::NotAuthorized, &[]);
}
