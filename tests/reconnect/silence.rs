// SPDX-License-Identifier: MPL-2.0

//! Links that are half dead: nobody closed them, and nothing comes or goes.

use gst::prelude::*;

use crate::{
    film::{QUICK, connection, film, publishing},
    support::{
        amf0::Amf,
        pipeline::Pipeline,
        process::free_port,
        rtmp_peer::{Peer, Server, USER_CONTROL},
        taker::packets,
    },
};

/// A server that goes on answering, but has nothing more to send: it is asked again.
#[test]
fn a_source_asks_a_silent_server_again() {
    let server = Server::start(|peer, number| {
        peer.accept_play()?;
        for tag in film(1).tags() {
            peer.send_tag(tag)?;
        }
        match number {
            0 => peer.stall(),
            _ => peer.on_status("status", "NetStream.Play.UnpublishNotify", "over"),
        }
    });
    let pipeline = Pipeline::launch(&format!(
        "rtmpsrc name=in location={} idle-timeout=1 {QUICK} ! fakesink sync=false",
        server.url("live", "one")
    ));
    pipeline.play();
    let waiting = connection(&pipeline, "waiting");
    assert_eq!(waiting.get::<&str>("cause"), Ok("stalled"));
    connection(&pipeline, "connected");
    pipeline.eos();
    pipeline.stop();
}

/// One that has stopped for good has ended the stream.
#[test]
fn a_source_whose_server_stays_silent_ends() {
    let server = Server::start(|peer, number| match number {
        0 => {
            peer.accept_play()?;
            for tag in film(1).tags() {
                peer.send_tag(tag)?;
            }
            peer.stall()
        }
        // Connects and then says nothing.
        _ => peer.stall(),
    });
    let pipeline = Pipeline::launch(&format!(
        "rtmpsrc name=in location={} idle-timeout=1 timeout=1 reconnect-attempts=1 {QUICK} \
         ! fakesink sync=false",
        server.url("live", "one")
    ));
    pipeline.play();
    connection(&pipeline, "waiting");
    connection(&pipeline, "failed");
    pipeline.eos();
    pipeline.stop();
    assert!(pipeline.errors_left("in").is_empty());
}

/// A server that stops reading is left, and the stream goes on with another connection.
#[test]
fn a_sink_leaves_a_server_that_stops_reading() {
    let server = Server::start(|peer, number| {
        peer.accept_publish()?;
        match number {
            0 => {
                socket2::SockRef::from(peer.socket()).set_recv_buffer_size(4096)?;
                for _ in 0..10 {
                    peer.read_message()?;
                }
                peer.stall()?;
                Ok(Vec::new())
            }
            _ => Ok(peer.read_to_end()),
        }
    });
    let mut large = film(1);
    for n in 0..200 {
        large = large.picture(1000 + n * 40, n % 10 == 0, 0, 60_000);
    }
    let options = "stall-timeout=1 queue-policy=drop";
    let pipeline = publishing(&large, &server.url("live", "one"), options);
    let waiting = connection(&pipeline, "waiting");
    let cause = waiting.get::<String>("cause").unwrap();
    // The kernel may have lost its patience first.
    assert!(["stalled", "lost"].contains(&&*cause), "{cause}");
    connection(&pipeline, "connected");
    pipeline.eos();
    let came = packets(&server.outcome().unwrap());
    let last = came.last().map(|packet| packet.dts);
    assert_eq!(last, Some(1000 + 199 * 40));
    pipeline.stop();
}

fn call(port: u16, what: &str) -> Peer {
    let mut peer = Peer::call(port).unwrap();
    let object = Amf::object(&[("app", Amf::string("live")), ("tcUrl", Amf::string("x"))]);
    let connect = [Amf::string("connect"), Amf::Number(1.0), object];
    peer.send_command(0, &connect).unwrap();
    peer.expect("_result").unwrap();
    let create = [Amf::string("createStream"), Amf::Number(2.0), Amf::Null];
    peer.send_command(0, &create).unwrap();
    peer.expect("_result").unwrap();
    let name = Amf::string("one");
    peer.send_command(1, &[Amf::string(what), Amf::Number(3.0), Amf::Null, name])
        .unwrap();
    peer.expect("onStatus").unwrap();
    peer
}

/// Reads to the next ping and returns its body.
fn ping(peer: &mut Peer) -> std::io::Result<Vec<u8>> {
    loop {
        let message = peer.read_message()?;
        if message.kind == USER_CONTROL && message.body.starts_with(&[0, 6]) {
            return Ok(message.body);
        }
    }
}

/// As publisher and as player: answers are as good as media; without one the place is free again.
#[test]
fn a_listener_asks_silent_callers_for_a_sign_of_life() {
    for (what, line) in [
        (
            "publish",
            "rtmpsrc mode=listener keep-listening=true ping-interval=1",
        ),
        ("play", "rtmpsink mode=listener ping-interval=1"),
    ] {
        let port = free_port();
        let location = format!("location=rtmp://127.0.0.1:{port}/live/one");
        let line = match what {
            "publish" => format!("{line} {location} ! fakesink"),
            // Upstream says nothing at all.
            _ => format!("appsrc ! {line} {location}"),
        };
        let listener = Pipeline::launch(&line);
        listener.play();
        listener.notice("rtmp-listening");
        let mut peer = call(port, what);
        listener.notice("rtmp-caller-added");
        for _ in 0..2 {
            let mut answer = ping(&mut peer).unwrap();
            answer[1] = 7;
            peer.send(&crate::support::rtmp_peer::Message {
                csid: 2,
                kind: USER_CONTROL,
                stream: 0,
                timestamp: 0,
                body: answer,
            })
            .unwrap();
        }
        ping(&mut peer).unwrap();
        let removed = listener.notice("rtmp-caller-removed");
        let reason = removed.get::<String>("reason").unwrap();
        assert!(
            ["failed", "stalled"].contains(&&*reason),
            "{what}: {reason}"
        );
        let mut next = call(port, what);
        listener.notice("rtmp-caller-added");
        drop(next.send_bytes(&[]));
        listener.stop();
    }
}

/// A source answers LATENCY whatever its connection does.
#[test]
fn a_source_answers_latency_throughout() {
    let location = format!("rtmp://127.0.0.1:{}/live/one", free_port());
    let pipeline = Pipeline::launch(&format!(
        "rtmpsrc name=in location={location} latency=250 reconnect=always reconnect-attempts=0 {QUICK} \
         ! fakesink sync=false"
    ));
    let ask = || {
        let mut query = gst::query::Latency::new();
        assert!(pipeline.element("in").query(&mut query));
        query.result()
    };
    pipeline.play();
    let latency = gst::ClockTime::from_mseconds(250);
    for _ in 0..2 {
        connection(&pipeline, "waiting");
        assert_eq!(ask(), (true, latency, None));
    }
    pipeline.stop();
}
