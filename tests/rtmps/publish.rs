// SPDX-License-Identifier: MPL-2.0

//! `rtmpsink` and servers with certificates of all kinds.

use std::{
    io::ErrorKind,
    sync::{Mutex, mpsc},
    time::Instant,
};

use gst::{ResourceError, prelude::*};

use crate::{
    house::{House, answer, assert_asked_once, assert_fails, ca, file},
    support::{
        bad_server,
        certificates::{Authority, Certificate, For},
        flvdump::{self, Expect, assert_same, assert_same_streams},
        media,
        nginx::{Nginx, NginxConfig, TlsConfig},
        pipeline::{Failure, Pipeline, quoted},
        process::PATIENCE,
        rtmp_peer::Server,
    },
};

fn publishing(location: &str, properties: &str) -> Pipeline {
    let file = media::h264_aac().display().to_string();
    Pipeline::launch(&format!(
        "filesrc location={} ! rtmpsink name=sink sync=false location={} {properties}",
        quoted(&file),
        quoted(location),
    ))
}

/// What is published there arrives.
#[track_caller]
fn arrives(house: &House, host: &str, properties: &str) {
    let pipeline = publishing(&house.url(host, "live", "one"), properties);
    pipeline.play();
    pipeline.eos();
    let (sent, recorded) = (media::h264_aac(), house.nginx.recorded("one"));
    assert_same(
        &flvdump::read(&sent),
        &flvdump::read(&recorded),
        Expect::MEDIA,
    );
    assert_same_streams(&sent, &recorded);
    assert_eq!(pipeline.errors_left("sink").len(), 0);
}

/// It fails with this code and one sentence that holds these words.
#[track_caller]
fn fails(location: &str, properties: &str, code: ResourceError, words: &[&str]) -> Failure {
    assert_fails(&publishing(location, properties), "sink", code, words)
}

#[test]
fn a_stream_arrives_by_name_and_by_address() {
    let house = House::new(|config, _| config);
    for host in ["localhost", "127.0.0.1"] {
        arrives(&house, host, &house.ca());
    }
}

#[test]
fn a_stream_arrives_over_either_version() {
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        let house = House::new(|config, _| TlsConfig {
            protocols,
            ..config
        });
        arrives(&house, "localhost", &house.ca());
    }
}

#[test]
fn a_server_of_no_known_authority_is_refused() {
    let house = House::new(|config, _| config);
    let url = house.url("localhost", "live", "one");
    let failure = fails(&url, "", ResourceError::NotAuthorized, &["certificate"]);
    let details = failure.details.expect("details");
    assert_eq!(details.get::<&str>("stage"), Ok("tls"));
    let other = Authority::new("Another authority");
    fails(
        &url,
        &ca(&other),
        ResourceError::NotAuthorized,
        &["certificate"],
    );
}

#[test]
fn a_server_of_another_name_is_refused() {
    let house = House::with(For::Server, &["other.example"], |config, _| config);
    for host in ["localhost", "127.0.0.1"] {
        fails(
            &house.url(host, "live", "one"),
            &house.ca(),
            ResourceError::NotAuthorized,
            &["certificate", host],
        );
    }
    // Unless that is the name one wants.
    let properties = format!("{} tls-server-name=other.example", house.ca());
    arrives(&house, "localhost", &properties);
}

#[test]
fn a_certificate_that_ended_is_refused() {
    let house = House::with(For::ExpiredServer, &["localhost"], |config, _| config);
    fails(
        &house.url("localhost", "live", "one"),
        &house.ca(),
        ResourceError::NotAuthorized,
        &["certificate", "expired"],
    );
}

#[test]
fn flags_choose_what_is_checked() {
    let house = House::with(For::ExpiredServer, &["other.example"], |config, _| config);
    arrives(&house, "localhost", "tls-validation-flags=0");
    let only = |flags| format!("{} tls-validation-flags={flags}", house.ca());
    arrives(&house, "localhost", &only("unknown-ca"));
    let (url, code) = (
        house.url("localhost", "live", "one"),
        ResourceError::NotAuthorized,
    );
    fails(&url, &only("bad-identity"), code, &["certificate"]);
    fails(&url, &only("expired"), code, &["expired"]);
    fails(
        &url,
        "tls-validation-flags=unknown-ca",
        code,
        &["certificate"],
    );
}

#[test]
fn an_application_may_accept_a_certificate() {
    let house = House::new(|config, _| config);
    let url = house.url("localhost", "live", "one");
    for accept in [true, false] {
        let pipeline = publishing(&url, "");
        let asked = answer(&pipeline, "sink", accept);
        pipeline.play();
        match accept {
            true => {
                pipeline.eos();
                house.nginx.recorded("one");
            }
            false => {
                let failure = pipeline.error_of("sink");
                let code = failure.error.kind::<ResourceError>();
                assert_eq!(code, Some(ResourceError::NotAuthorized));
            }
        }
        assert_eq!(pipeline.errors_left("sink").len(), 0);
        assert_asked_once(&asked);
    }
    // What is in order needs no question.
    let pipeline = publishing(&url, &house.ca());
    pipeline
        .element("sink")
        .connect("accept-certificate", false, |_| {
            panic!("asked about a good certificate")
        });
    pipeline.play();
    pipeline.eos();
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
    arrives(&house, "localhost", &properties);

    // Without one, nginx ends the connection; TLS 1.3 tells only after the handshake.
    let pipeline = publishing(&house.url("localhost", "live", "one"), &house.ca());
    pipeline.play();
    let failure = pipeline.error_of("sink");
    failure.assert_sentence();
    let code = failure.error.kind::<ResourceError>();
    assert_eq!(code, Some(ResourceError::NotAuthorized), "{failure:?}");
    assert_eq!(pipeline.errors_left("sink").len(), 0);
}

#[test]
fn files_that_are_not_there_are_settings() {
    let house = House::new(|config, _| config);
    let url = house.url("localhost", "live", "one");
    for properties in [
        "tls-ca-file=/nowhere/ca.pem",
        "tls-certificate=/nowhere/certificate.pem",
    ] {
        let words = &["/nowhere/"];
        fails(&url, properties, ResourceError::Settings, words);
    }
}

#[test]
fn a_server_without_tls_is_named() {
    let nginx = Nginx::start(NginxConfig::default());
    let url = format!("rtmps://127.0.0.1:{}/live/one", nginx.port());
    let pipeline = publishing(&url, "timeout=1");
    pipeline.play();
    let failure = pipeline.error_of("sink");
    failure.assert_sentence();
    assert_eq!(pipeline.errors_left("sink").len(), 0);

    let server = bad_server::http();
    let url = format!("rtmps://127.0.0.1:{}/live/one", server.port());
    fails(
        &url,
        "timeout=1",
        ResourceError::OpenWrite,
        &["tls", "http"],
    );
}

#[test]
fn a_handshake_that_is_cut_or_never_ends() {
    let cut = Server::start(|peer, _| peer.read_exact(&mut [0; 50]));
    let url = |server: &Server<()>| format!("rtmps://127.0.0.1:{}/live/one", server.port());
    let begun = Instant::now();
    fails(&url(&cut), "", ResourceError::OpenWrite, &["tls"]);
    assert!(begun.elapsed() < PATIENCE);
    let silent = bad_server::silent();
    let words = &["no answer within", "tls"];
    fails(&url(&silent), "timeout=1", ResourceError::OpenWrite, words);

    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let stalled = Server::start(move |peer, _| {
        peer.read_exact(&mut [0; 50])?;
        let told = tell.lock().unwrap().send(());
        told.map_err(|_| std::io::Error::from(ErrorKind::Interrupted))?;
        peer.stall()
    });
    let pipeline = publishing(&url(&stalled), "");
    pipeline.play();
    told.recv_timeout(PATIENCE).expect("a ClientHello");
    pipeline.stop_at_once("in the TLS handshake");
    assert_eq!(pipeline.errors_left("sink").len(), 0);
}
