// SPDX-License-Identifier: MPL-2.0

//! Connections that are lost, and found again: servers that die and come back, that still hold our old
//! self, that never come back, and others that stand in for them.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::{
    film::{QUICK, film, publishing},
    support::{
        flv_builder::FlvBuilder,
        flvdump::{self, Expect, Kind, Packet},
        nginx::{Nginx, NginxConfig},
        pipeline::{AT_ONCE, Pipeline},
        process::{free_port, wait_until},
        rtmp_peer::{Message, Peer, Server},
        taker::packets,
    },
};

/// Takes a publication until so much media has come, or its end, and returns what came.
fn take(peer: &mut Peer, media: usize) -> io::Result<Vec<Message>> {
    peer.accept_publish()?;
    let mut messages = Vec::new();
    let mut seen = 0;
    while seen < media {
        match peer.read_message() {
            Ok(message) => {
                seen += usize::from(message.kind == 8 || message.kind == 9);
                messages.push(message);
            }
            Err(_) => break,
        }
    }
    Ok(messages)
}

fn media(packets: &[Packet]) -> Vec<&Packet> {
    packets.iter().filter(|packet| packet.is_media()).collect()
}

/// What came over two connections is the film with one gap, which ends at a key frame.
#[track_caller]
fn assert_one_gap(film: &FlvBuilder, first: &[Packet], second: &[Packet]) {
    let sent = flvdump::parse(film.bytes()).unwrap();
    let begun = Expect {
        to_end: false,
        ..Expect::MEDIA
    };
    let one = flvdump::assert_same(&sent, first, begun);
    // All that a decoder needs, and then a key frame.
    let kinds: Vec<_> = second
        .iter()
        .take_while(|packet| !packet.is_media())
        .map(|packet| (packet.kind, packet.config))
        .collect();
    for header in [
        (Kind::Data, false),
        (Kind::Video, true),
        (Kind::Audio, true),
    ] {
        assert!(kinds.contains(&header), "{header:?} in {kinds:?}");
    }
    let picture = media(second).into_iter().find(|p| p.kind == Kind::Video);
    assert!(
        picture.is_some_and(|picture| picture.keyframe),
        "{:?}",
        second
            .iter()
            .map(|p| format!("{p}"))
            .take(12)
            .collect::<Vec<_>>()
    );
    // Sound does not wait for it.
    let goes_on = Expect {
        to_end: true,
        absolute: true,
        ..Expect::LIVE
    };
    let two = flvdump::assert_same(&sent, second, goes_on);
    assert!(two.skipped >= one.matched, "{one:?} {two:?}");
}

#[test]
fn a_sink_goes_on_when_its_server_comes_back() {
    for reset in [false, true] {
        let film = film(4);
        let server = Server::start(move |peer, number| {
            let messages = take(peer, if number == 0 { 90 } else { usize::MAX })?;
            if number == 0 && reset {
                peer.reset()?;
            }
            Ok(messages)
        });
        let pipeline = publishing(&film, &server.url("live", "one"), "");
        let waiting = pipeline.notice("rtmp-connection");
        assert_eq!(waiting.get::<&str>("state"), Ok("waiting"));
        assert_eq!(waiting.get::<&str>("cause"), Ok("lost"));
        assert_eq!(waiting.get::<u32>("attempt"), Ok(1));
        let next = waiting.get::<gst::ClockTime>("next-try");
        assert_eq!(next, Ok(gst::ClockTime::from_mseconds(100)));
        let connected = pipeline.notice("rtmp-connection");
        assert_eq!(connected.get::<&str>("state"), Ok("connected"));
        pipeline.eos();
        let stats = pipeline.element("sink").property::<gst::Structure>("stats");
        assert_eq!(stats.get::<u32>("reconnects"), Ok(1));
        let first = packets(&server.outcome().unwrap());
        let second = packets(&server.outcome().unwrap());
        assert_one_gap(&film, &first, &second);
        pipeline.stop();
    }
}

/// The server is gone for a while, and then it has not noticed that we were.
#[test]
fn a_sink_knocks_until_it_is_let_in() {
    let film = film(5);
    let server = Server::start(move |peer, number| match number {
        0 => take(peer, 90),
        // It still has us.
        1 | 2 => {
            peer.handshake()?;
            peer.accept_connect()?;
            peer.accept_create_stream()?;
            peer.expect("publish")?;
            peer.on_status("error", "NetStream.Publish.BadName", "in use")?;
            peer.read_to_end();
            Ok(Vec::new())
        }
        _ => take(peer, usize::MAX),
    });
    let pipeline = publishing(&film, &server.url("live", "one"), "");
    for (attempt, cause) in [(1, "lost"), (2, "busy"), (3, "busy")] {
        let waiting = pipeline.notice("rtmp-connection");
        assert_eq!(waiting.get::<u32>("attempt"), Ok(attempt));
        assert_eq!(waiting.get::<&str>("cause"), Ok(cause));
    }
    let connected = pipeline.notice("rtmp-connection");
    assert_eq!(connected.get::<u32>("attempt"), Ok(3));
    pipeline.eos();
    let outcomes: Vec<_> = (0..4).map(|_| server.outcome().unwrap()).collect();
    let came: Vec<_> = outcomes.iter().filter(|o| !o.is_empty()).collect();
    assert_one_gap(&film, &packets(came[0]), &packets(came[1]));
    pipeline.stop();
}

#[test]
fn nginx_crashes_and_comes_back() {
    let mut nginx = Nginx::start(NginxConfig::default());
    let film = film(6);
    let pipeline = publishing(&film, &nginx.url("live", "one"), "");
    nginx.wait("publish", "one");
    let recording = nginx.recording("one");
    wait_until("it has a second of it", || {
        std::fs::metadata(&recording).is_ok_and(|file| file.len() > 20_000)
    });
    nginx.kill();
    for cause in ["lost", "refused"] {
        let waiting = pipeline.notice("rtmp-connection");
        assert_eq!(waiting.get::<&str>("cause"), Ok(cause));
    }
    nginx.start_again();
    while pipeline.notice("rtmp-connection").get::<&str>("state") != Ok("connected") {}
    nginx.wait("publish", "one");
    pipeline.eos();
    // What it recorded before was written over.
    let came = flvdump::read(&nginx.recorded("one"));
    let sent = flvdump::parse(film.bytes()).unwrap();
    let to_end = Expect {
        to_end: true,
        ..Expect::LIVE
    };
    let run = flvdump::assert_same(&sent, &came, to_end);
    assert!(run.skipped > 0, "{run:?}");
    let picture = media(&came).into_iter().find(|p| p.kind == Kind::Video);
    assert!(picture.is_some_and(|picture| picture.keyframe));
    pipeline.stop();
}

#[test]
fn attempts_are_used_up_and_what_cannot_change_is_not_tried() {
    // Gone for good: as many attempts as were asked for, then one error.
    let server = Server::start(|peer, number| match number {
        0 => take(peer, 20),
        _ => Err(io::ErrorKind::ConnectionAborted.into()),
    });
    let pipeline = publishing(
        &film(20),
        &server.url("live", "one"),
        "reconnect-attempts=3",
    );
    for attempt in 1..=3 {
        let waiting = pipeline.notice("rtmp-connection");
        assert_eq!(waiting.get::<u32>("attempt"), Ok(attempt));
    }
    let failed = pipeline.notice("rtmp-connection");
    assert_eq!(failed.get::<&str>("state"), Ok("failed"));
    let failure = pipeline.error_of("sink");
    failure.assert_sentence();
    pipeline.stop();
    assert!(pipeline.errors_left("sink").is_empty());

    // Nobody there, a wrong name, a refusal: errors at once, whatever came before.
    let closed = format!("rtmp://127.0.0.1:{}/live/one", free_port());
    let pipeline = publishing(&film(2), &closed, "");
    pipeline.error_of("sink");
    pipeline.stop();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = calls.clone();
    let server = Server::start(move |peer, number| {
        count.fetch_add(1, Ordering::SeqCst);
        match number {
            0 => take(peer, 20),
            _ => {
                peer.handshake()?;
                peer.refuse_connect("NetConnection.Connect.InvalidApp", "gone")?;
                peer.read_to_end();
                Ok(Vec::new())
            }
        }
    });
    let pipeline = publishing(&film(20), &server.url("live", "one"), "");
    let failure = pipeline.error_of("sink");
    assert_eq!(
        failure.error.kind::<gst::ResourceError>(),
        Some(gst::ResourceError::NotFound)
    );
    assert_eq!(calls.load(Ordering::SeqCst), 2);
    pipeline.stop();
}

#[test]
fn a_sink_may_be_started_before_its_server() {
    let port = free_port();
    let url = format!("rtmp://127.0.0.1:{port}/live/one");
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("out.flv");
    let film = film(2);
    let options = "reconnect=always reconnect-attempts=0";
    let pipeline = publishing(&film, &url, options);
    for _ in 0..2 {
        let waiting = pipeline.notice("rtmp-connection");
        assert_eq!(waiting.get::<&str>("cause"), Ok("refused"));
    }
    let server = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener location={url} ! filesink location={}",
        file.display()
    ));
    server.play();
    server.eos();
    pipeline.eos();
    // It waited with all it had.
    let sent = flvdump::parse(film.bytes()).unwrap();
    flvdump::assert_same(&sent, &flvdump::read(&file), Expect::MEDIA);
    server.stop();
    pipeline.stop();
}

#[test]
fn another_server_stands_in() {
    let film = film(4);
    let backup = Server::start(|peer, _| take(peer, usize::MAX));
    let server = Server::start(|peer, number| match number {
        0 => take(peer, 90),
        _ => Err(io::ErrorKind::ConnectionAborted.into()),
    });
    let options = format!("backup-locations={}", backup.url("live", "two"));
    let pipeline = publishing(&film, &server.url("live", "one"), &options);
    pipeline.eos();
    let first = packets(&server.outcome().unwrap());
    let second = packets(&backup.outcome().unwrap());
    assert_one_gap(&film, &first, &second);
    pipeline.stop();
}

/// What waits is bounded, and when the network is back the stream begins at a key frame.
#[test]
fn a_sink_keeps_what_its_queue_takes() {
    let film = film(6);
    let server = Server::start(|peer, number| {
        if number == 1 {
            // Back, but not yet ready to talk: two seconds and a half.
            peer.pause(Duration::from_millis(2500))?;
        }
        take(peer, if number == 0 { 70 } else { usize::MAX })
    });
    let options = "queue-policy=drop queue-time=1200";
    let pipeline = publishing(&film, &server.url("live", "one"), options);
    pipeline.notice("rtmp-connection");
    let sink = pipeline.element("sink");
    let mut most = 0;
    wait_until("it is connected again", || {
        let stats = sink.property::<gst::Structure>("stats");
        most = most.max(
            stats
                .get::<gst::ClockTime>("queue-level-time")
                .unwrap()
                .mseconds(),
        );
        stats.get::<u32>("reconnects") == Ok(1)
    });
    assert!((500..=1300).contains(&most), "{most} ms waited");
    pipeline.eos();
    let dropped = sink
        .property::<gst::Structure>("stats")
        .get::<u64>("dropped-tags");
    assert!(dropped.unwrap() > 20);
    let first = packets(&server.outcome().unwrap());
    let second = packets(&server.outcome().unwrap());
    assert_one_gap(&film, &first, &second);
    pipeline.stop();
}

/// Serves a film from a second on, as fast as it goes, and then cuts or ends.
fn serve(peer: &mut Peer, film: &FlvBuilder, end: bool) -> io::Result<()> {
    peer.accept_play()?;
    for tag in film.tags() {
        peer.send_tag(tag)?;
    }
    if end {
        peer.on_status("status", "NetStream.Play.UnpublishNotify", "over")?;
        peer.read_to_end();
    }
    Ok(())
}

#[test]
fn a_source_goes_on_on_its_time_line() {
    let server = Server::start(|peer, number| {
        // The second time its clock begins anew.
        serve(peer, &film(2), number == 1)
    });
    let pipeline = Pipeline::launch(&format!(
        "rtmpsrc name=in location={} {QUICK} ! fakesink name=out sync=false",
        server.url("live", "one")
    ));
    let seen = Arc::new(std::sync::Mutex::new(Vec::<gst::Buffer>::new()));
    let notes = seen.clone();
    let pad = pipeline.element("in").static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        notes.lock().unwrap().extend(info.buffer().cloned());
        gst::PadProbeReturn::Ok
    });
    pipeline.play();
    for state in ["waiting", "connected"] {
        let notice = pipeline.notice("rtmp-connection");
        assert_eq!(notice.get::<&str>("state"), Ok(state));
    }
    pipeline.eos();
    let buffers = seen.lock().unwrap();
    let discont = gst::BufferFlags::DISCONT;
    let marks: Vec<usize> = buffers
        .iter()
        .enumerate()
        .filter(|(_, buffer)| buffer.flags().contains(discont))
        .map(|(index, _)| index)
        .collect();
    assert_eq!(marks.len(), 2, "at the beginning and at the cut");
    let bytes: Vec<u8> = buffers
        .iter()
        .flat_map(|buffer| buffer.map_readable().unwrap().to_vec())
        .collect();
    let packets = flvdump::parse(&bytes).unwrap();
    for kind in [Kind::Audio, Kind::Video] {
        let lane = packets.iter().filter(|p| p.kind == kind && p.is_media());
        let times: Vec<_> = lane.map(|packet| packet.dts).collect();
        assert!(times.is_sorted(), "{times:?}");
    }
    let sent = flvdump::parse(film(2).bytes()).unwrap();
    assert_eq!(media(&packets).len(), 2 * media(&sent).len());
    let stats = pipeline.element("in").property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u32>("reconnects"), Ok(1));
    drop(buffers);
    pipeline.stop();
}

/// A link that died without a word is noticed by its silence.
#[test]
fn a_source_leaves_a_server_that_says_nothing() {
    let server = Server::start(|peer, number| {
        serve(peer, &film(1), number == 1)?;
        match number {
            0 => peer.stall(),
            _ => Ok(()),
        }
    });
    let pipeline = Pipeline::launch(&format!(
        "rtmpsrc name=in location={} idle-timeout=1 {QUICK} ! fakesink sync=false",
        server.url("live", "one")
    ));
    pipeline.play();
    let waiting = pipeline.notice("rtmp-connection");
    assert_eq!(waiting.get::<&str>("state"), Ok("waiting"));
    assert_eq!(waiting.get::<&str>("cause"), Ok("stalled"));
    let connected = pipeline.notice("rtmp-connection");
    assert_eq!(connected.get::<&str>("state"), Ok("connected"));
    pipeline.eos();
    pipeline.stop();
    assert!(pipeline.errors_left("in").is_empty());
}

/// A server that just closes and does not come back has ended the stream.
#[test]
fn a_source_whose_server_is_gone_ends() {
    let server = Server::start(|peer, number| match number {
        0 => serve(peer, &film(1), false),
        _ => Err(io::ErrorKind::ConnectionAborted.into()),
    });
    let pipeline = Pipeline::launch(&format!(
        "rtmpsrc name=in location={} {QUICK} reconnect-attempts=2 ! fakesink sync=false",
        server.url("live", "one")
    ));
    pipeline.play();
    pipeline.eos();
    pipeline.stop();
    assert!(pipeline.errors_left("in").is_empty());
}

#[test]
fn a_wait_for_the_next_attempt_ends_at_once() {
    let slow = "reconnect=always reconnect-delay=20000 reconnect-jitter=0";
    let closed = format!("rtmp://127.0.0.1:{}/live/one", free_port());
    for line in [
        format!("rtmpsrc location={closed} {slow} ! fakesink"),
        format!("fakesrc filltype=zero ! rtmpsink location={closed} {slow} async=false"),
    ] {
        let pipeline = Pipeline::launch(&line);
        pipeline.play();
        pipeline.notice("rtmp-connection");
        // Into the wait, most likely.
        thread::sleep(Duration::from_millis(20));
        let begun = Instant::now();
        pipeline.pipeline.set_state(gst::State::Null).unwrap();
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    }
}
