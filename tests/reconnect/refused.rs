// SPDX-License-Identifier: MPL-2.0

//! Requests to go elsewhere that are not followed, and a warning that says why.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use gst::prelude::*;

use crate::{
    film::{ask_to_go, assert_whole, connection, film, publishing},
    support::{
        certificates::{Authority, For},
        pipeline::Pipeline,
        process::free_port,
        rtmp_peer::Server,
        taker::packets,
    },
};

/// Waits for a warning of the sink and returns its sentence.
#[track_caller]
fn warning(pipeline: &Pipeline) -> String {
    let message = pipeline.message(&[gst::MessageType::Warning, gst::MessageType::Error]);
    let gst::MessageView::Warning(warning) = message.view() else {
        panic!("{message:?}");
    };
    let text = warning.error().message().to_owned();
    assert!(text.ends_with('.') && !text.contains('\n'), "{text:?}");
    text
}

/// Publishes to a server that asks this, and returns the warning. All of the film arrives there.
#[track_caller]
fn refused(url: &str, options: &str) -> String {
    let server = Server::start({
        let url = url.to_owned();
        move |peer, number| {
            assert_eq!(number, 0, "it came again");
            peer.accept_publish()?;
            ask_to_go(peer, Some(&url))?;
            Ok(peer.read_to_end())
        }
    });
    let film = film(1);
    let pipeline = publishing(&film, &server.url("live", "one"), options);
    let staying = connection(&pipeline, "staying");
    assert_eq!(
        staying.get::<&str>("description"),
        Ok("the server is updated")
    );
    let why = staying.get::<String>("error").unwrap();
    let text = warning(&pipeline);
    assert!(text.contains(&why), "{text} {why}");
    pipeline.eos();
    assert_whole(&film, &[&packets(&server.outcome().unwrap())]);
    pipeline.stop();
    text
}

#[test]
fn hops_to_other_hosts() {
    let nobody = Server::start(|_, _| -> std::io::Result<()> { panic!("somebody came") });
    let url = format!("rtmp://localhost:{}/live", nobody.port());
    let text = refused(&url, "");
    assert!(text.contains("localhost is another host"), "{text}");
    assert!(text.contains("redirects"), "{text}");
    // Names that the user gave are no others.
    for options in [
        "redirects=follow+other-host".to_owned(),
        format!("backup-locations=rtmp://localhost:{}/x/y", free_port()),
    ] {
        let next = Server::start(|peer, _| {
            peer.accept_publish()?;
            Ok(peer.read_to_end())
        });
        let url = format!("rtmp://localhost:{}/live", next.port());
        let server = Server::start(move |peer, _| {
            peer.accept_publish()?;
            ask_to_go(peer, Some(&url))?;
            Ok(peer.read_to_end())
        });
        let film = film(3);
        let pipeline = publishing(&film, &server.url("live", "one"), &options);
        connection(&pipeline, "moving");
        connection(&pipeline, "moved");
        pipeline.eos();
        let (first, second) = (server.outcome().unwrap(), next.outcome().unwrap());
        assert_whole(&film, &[&packets(&first), &packets(&second)]);
        pipeline.stop();
    }
}

#[test]
fn what_is_no_place_or_not_wanted() {
    for (url, options, words) in [
        ("http://127.0.0.1/live", "", "scheme \"http\""),
        ("rtmp://127.0.0.1:99999/live", "", "port"),
        ("/live swfUrl=http://127.0.0.1/x", "", "space"),
        ("/other", "redirects=none", "property redirects"),
    ] {
        let text = refused(url, options);
        assert!(text.contains(words), "{text}");
    }
}

/// Two servers that send a client to and fro.
#[test]
fn loops() {
    let calls = Arc::new(AtomicUsize::new(0));
    let server = Server::start({
        let calls = calls.clone();
        move |peer, _| {
            calls.fetch_add(1, Ordering::SeqCst);
            peer.accept_publish()?;
            ask_to_go(peer, None)?;
            Ok(peer.read_to_end())
        }
    });
    let film = film(5);
    let options = "max-redirects=2";
    let pipeline = publishing(&film, &server.url("live", "one"), options);
    for state in ["moving", "moved", "moving", "moved", "staying"] {
        connection(&pipeline, state);
    }
    let text = warning(&pipeline);
    assert!(text.contains("more than 2 within a minute"), "{text}");
    pipeline.eos();
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let mut pieces: Vec<_> = (0..3)
        .map(|_| packets(&server.outcome().unwrap()))
        .collect();
    pieces.sort_by_key(|piece| piece[3].dts);
    let pieces: Vec<_> = pieces.iter().map(Vec::as_slice).collect();
    assert_whole(&film, &pieces);
    pipeline.stop();
}

/// A server with TLS that asks for less.
#[test]
fn from_tls_to_none() {
    let authority = Authority::new("Ours");
    let certificate = authority.issue(For::Server, &["127.0.0.1"]);
    let port = free_port();
    let out = tempfile::tempdir().unwrap();
    let file = |name: &str| out.path().join(name);
    let listener = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener location=rtmps://127.0.0.1:{port}/live/one \
         tls-certificate={} tls-private-key={} ! filesink location={}",
        certificate.certificate.display(),
        certificate.key.display(),
        file("one.flv").display()
    ));
    listener.play();
    listener.notice("rtmp-listening");
    let film = film(2);
    let location = format!("rtmps://127.0.0.1:{port}/live/one");
    let options = format!("tls-ca-file={}", authority.file().display());
    let pipeline = publishing(&film, &location, &options);
    let added = listener.notice("rtmp-caller-added");
    let id = added.get::<u64>("id").unwrap();
    let url = format!("rtmp://127.0.0.1:{port}/live");
    let source = listener.element("in");
    let ask = |url: &str| {
        let arguments: [&dyn ToValue; 3] = [&url, &None::<&str>, &id];
        source.emit_by_name::<u32>("request-reconnect", &arguments)
    };
    assert_eq!(ask("http://127.0.0.1/live"), 0, "that is no place");
    assert_eq!(ask(&url), 1);
    let text = warning(&pipeline);
    assert!(text.contains("TLS"), "{text}");
    pipeline.eos();
    listener.eos();
    let sent = crate::support::flvdump::parse(film.bytes()).unwrap();
    let came = crate::support::flvdump::read(&file("one.flv"));
    crate::support::flvdump::assert_same(&sent, &came, crate::support::flvdump::Expect::MEDIA);
    pipeline.stop();
    listener.stop();
}
