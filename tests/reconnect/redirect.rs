// SPDX-License-Identifier: MPL-2.0

//! Servers that ask to be left (ReconnectRequest of Enhanced RTMP v2), and are: the next connection comes
//! first, the switch is at a key frame, no frame is lost or comes twice.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;

use crate::{
    film::{ask_to_go, assert_whole, connection, film, publishing},
    support::{
        amf0::Amf,
        flv_builder::{FlvBuilder, shift},
        flvdump::{self, Expect},
        pipeline::Pipeline,
        process::free_port,
        rtmp_peer::{Message, Peer, Server},
        taker::packets,
    },
};

/// Takes a stream to its end, and asks the client to go when so much has come.
fn take_and_ask(peer: &mut Peer, after: usize, tc_url: Option<&str>) -> io::Result<Vec<Message>> {
    peer.accept_publish()?;
    let mut messages = Vec::new();
    while let Ok(message) = peer.read_message() {
        messages.push(message);
        if messages.len() == after {
            ask_to_go(peer, tc_url)?;
        }
    }
    Ok(messages)
}

fn commands(messages: &[Message]) -> Vec<String> {
    let commands = messages.iter().filter_map(Message::command);
    commands.map(|command| command.name).collect()
}

#[test]
fn a_sink_goes_on_at_another_server() {
    let came = Arc::new(AtomicBool::new(false));
    let next = Server::start({
        let came = came.clone();
        move |peer, _| {
            peer.handshake()?;
            let connect = peer.accept_connect()?;
            peer.accept_create_stream()?;
            peer.expect("publish")?;
            peer.on_status("status", "NetStream.Publish.Start", "")?;
            came.store(true, Ordering::SeqCst);
            Ok((connect.arguments[0].clone(), peer.read_to_end()))
        }
    });
    let url = format!("rtmp://127.0.0.1:{}/other", next.port());
    let server = Server::start({
        let (url, came) = (url.clone(), came.clone());
        move |peer, _| {
            let messages = take_and_ask(peer, 70, Some(&url))?;
            Ok((messages, came.load(Ordering::SeqCst)))
        }
    });
    let film = film(5);
    let pipeline = publishing(&film, &server.url("live", "one"), "");
    let moving = connection(&pipeline, "moving");
    assert_eq!(moving.get::<&str>("url"), Ok(&*url));
    assert_eq!(
        moving.get::<&str>("description"),
        Ok("the server is updated")
    );
    assert_eq!(connection(&pipeline, "moved").get::<&str>("url"), Ok(&*url));
    pipeline.eos();
    let (first, next_was_there) = server.outcome().unwrap();
    let (connect, second) = next.outcome().unwrap();
    assert!(
        next_was_there,
        "the first was left before the second was there"
    );
    assert_eq!(connect.get("app").and_then(Amf::as_str), Some("other"));
    assert_eq!(connect.get("tcUrl").and_then(Amf::as_str), Some(&*url));
    let caps = connect.get("capsEx").and_then(Amf::as_number).unwrap();
    assert_eq!(caps as u32 & 1, 1, "it says that it can do this");
    assert_whole(&film, &[&packets(&first), &packets(&second)]);
    // The name is given back, behind all that was sent.
    let last: Vec<_> = first.iter().rev().take(2).collect();
    assert_eq!(
        commands(&[last[1].clone(), last[0].clone()]),
        ["FCUnpublish", "deleteStream"]
    );
    let stats = pipeline.element("sink").property::<gst::Structure>("stats");
    assert_eq!(stats.get::<u32>("reconnects"), Ok(1));
    assert_eq!(stats.get::<u64>("dropped-tags"), Ok(0));
    pipeline.stop();
}

/// A relative URL, an empty one and none, and a server that does not give the name to two at once: it has
/// it back before the next connection asks for it again.
#[test]
fn a_sink_comes_back_to_a_server_that_knows_one_of_it() {
    for (reference, app) in [
        (None, "live"),
        (Some(""), "live"),
        (Some("/new?x=1"), "new?x=1"),
    ] {
        let taken = Arc::new(AtomicBool::new(false));
        let server = Server::start({
            let taken = taken.clone();
            move |peer, number| {
                peer.handshake()?;
                let connect = peer.accept_connect()?;
                let object = connect.arguments[0].clone();
                peer.accept_create_stream()?;
                peer.expect("publish")?;
                if taken.swap(true, Ordering::SeqCst) {
                    peer.on_status("error", "NetStream.Publish.BadName", "in use")?;
                    peer.read_to_end();
                    return Ok((object, Vec::new()));
                }
                peer.on_status("status", "NetStream.Publish.Start", "")?;
                let mut messages = Vec::new();
                while let Ok(message) = peer.read_message() {
                    let command = message.command().map(|command| command.name);
                    messages.push(message);
                    if messages.len() == 70 && number == 0 {
                        ask_to_go(peer, reference)?;
                    }
                    if command.as_deref() == Some("deleteStream") {
                        taken.store(false, Ordering::SeqCst);
                    }
                }
                Ok((object, messages))
            }
        });
        let film = film(4);
        let pipeline = publishing(&film, &server.url("live", "one"), "");
        connection(&pipeline, "moving");
        pipeline.eos();
        let outcomes: Vec<_> = (0..3).map(|_| server.outcome().unwrap()).collect();
        let mut pieces: Vec<_> = outcomes.iter().filter(|(_, m)| !m.is_empty()).collect();
        pieces.sort_by_key(|(_, messages)| packets(messages)[3].dts);
        let object = &pieces[1].0;
        assert_eq!(object.get("app").and_then(Amf::as_str), Some(app));
        assert_whole(&film, &[&packets(&pieces[0].1), &packets(&pieces[1].1)]);
        pipeline.stop();
    }
}

/// The old server dies before the next one has answered: that is the loss it announced, no error, and the
/// stream goes on where it was sent.
#[test]
fn a_sink_whose_server_dies_at_once_goes_where_it_was_sent() {
    let next = Server::start(|peer, _| {
        peer.pause(Duration::from_millis(700))?;
        peer.accept_publish()?;
        Ok(peer.read_to_end())
    });
    let server = Server::start({
        let url = format!("rtmp://127.0.0.1:{}/live", next.port());
        move |peer, _| {
            peer.accept_publish()?;
            for _ in 0..70 {
                peer.read_message()?;
            }
            ask_to_go(peer, Some(&url))?;
            peer.reset()
        }
    });
    let film = film(4);
    let options = "reconnect=never";
    let pipeline = publishing(&film, &server.url("live", "one"), options);
    connection(&pipeline, "moving");
    connection(&pipeline, "moved");
    pipeline.eos();
    let second = packets(&next.outcome().unwrap());
    let sent = flvdump::parse(film.bytes()).unwrap();
    let goes_on = Expect {
        to_end: true,
        absolute: true,
        ..Expect::LIVE
    };
    flvdump::assert_same(&sent, &second, goes_on);
    pipeline.stop();
}

/// A stream that two servers have, at its own pace.
struct Live {
    film: FlvBuilder,
    begun: Mutex<Option<Instant>>,
}

impl Live {
    /// How many tags have been.
    fn position(&self) -> usize {
        let mut begun = self.begun.lock().unwrap();
        let begun = begun.get_or_insert_with(Instant::now);
        (begun.elapsed().as_millis() / 2) as usize
    }

    /// Serves it from the key frame before or behind the present position on, this many tags late; `each` is
    /// called before each tag.
    fn serve(
        &self,
        peer: &mut Peer,
        how: How,
        mut each: impl FnMut(&mut Peer, usize) -> io::Result<()>,
    ) -> io::Result<()> {
        peer.accept_play()?;
        let file = shift(self.film.bytes(), how.shift);
        let tags: Vec<&[u8]> = self.film.tags().collect();
        // The same cuts in the shifted file.
        let mut at = 13;
        let tags: Vec<&[u8]> = tags
            .iter()
            .map(|tag| {
                let from = at;
                at += tag.len();
                &file[from..at]
            })
            .collect();
        let is_key = |index: &usize| tags[*index][0] == 9 && tags[*index][11..13] == [0x17, 1];
        let now = self.position().saturating_sub(how.late).min(tags.len() - 1);
        let start = match how.burst {
            true => (0..=now).rev().find(is_key).unwrap_or(3),
            false => (now..tags.len()).find(is_key).unwrap_or(now),
        };
        for header in &tags[..3] {
            peer.send_tag(header)?;
        }
        for (index, tag) in tags.iter().enumerate().skip(start.max(3)) {
            while self.position() < index + how.late {
                peer.pause(Duration::from_millis(1))?;
            }
            each(peer, index)?;
            peer.send_tag(tag)?;
        }
        peer.on_status("status", "NetStream.Play.UnpublishNotify", "over")?;
        peer.read_to_end();
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct How {
    /// Tags behind.
    late: usize,
    /// Begins at the key frame before, not at the next.
    burst: bool,
    /// Of timestamps.
    shift: u32,
}

#[test]
fn a_source_goes_on_at_another_server() {
    let plain = How::default();
    for (old, new) in [
        (plain, plain),
        (
            plain,
            How {
                burst: true,
                ..plain
            },
        ),
        (plain, How { late: 40, ..plain }),
        (
            How { late: 40, ..plain },
            How {
                burst: true,
                ..plain
            },
        ),
        (
            plain,
            How {
                shift: 77_000,
                burst: true,
                ..plain
            },
        ),
        (
            plain,
            How {
                shift: u32::MAX - 2_500,
                late: 30,
                ..plain
            },
        ),
    ] {
        let live = Arc::new(Live {
            film: film(8),
            begun: Mutex::default(),
        });
        let next = Server::start({
            let live = live.clone();
            move |peer, _| live.serve(peer, new, |_, _| Ok(()))
        });
        let url = format!("rtmp://127.0.0.1:{}/other", next.port());
        let last = Arc::new(AtomicUsize::new(0));
        let server = Server::start({
            let (live, last, url) = (live.clone(), last.clone(), url.clone());
            move |peer, _| {
                live.serve(peer, old, |peer, index| {
                    last.store(index, Ordering::SeqCst);
                    match index {
                        100 => ask_to_go(peer, Some(&url)),
                        _ => Ok(()),
                    }
                })
            }
        });
        let out = tempfile::tempdir().unwrap();
        let file = out.path().join("out.flv");
        let pipeline = Pipeline::launch(&format!(
            "rtmpsrc name=in location={} reconnect=never ! filesink location={}",
            server.url("live", "one"),
            file.display()
        ));
        pipeline.play();
        assert_eq!(
            connection(&pipeline, "moving").get::<&str>("url"),
            Ok(&*url)
        );
        connection(&pipeline, "moved");
        pipeline.eos();
        pipeline.stop();
        let what = format!("{old:?} {new:?}");
        assert!(
            last.load(Ordering::SeqCst) < 500,
            "{what}: it stayed to the end"
        );
        // It begins with the first key frame, before which there is one sound.
        let expect = Expect {
            absolute: true,
            from_start: false,
            ..Expect::MEDIA
        };
        let sent = flvdump::parse(live.film.bytes()).unwrap();
        let run = flvdump::compare(&sent, &flvdump::read(&file), expect);
        let run = run.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(run.skipped, 1, "{what}");
    }
}

/// A server that encodes anew has other frames: the stream is cut once, at a key frame, and goes on in time.
#[test]
fn a_source_is_cut_where_the_servers_have_nothing_in_common() {
    fn live(size: usize) -> Live {
        let mut film = FlvBuilder::new().metadata(640.0).headers();
        for n in 0..200 {
            film = film.picture(n * 40, n % 10 == 0, 0, size);
        }
        Live {
            film,
            begun: Mutex::default(),
        }
    }
    let next = Server::start(|peer, _| live(500).serve(peer, How::default(), |_, _| Ok(())));
    let url = format!("rtmp://127.0.0.1:{}/live", next.port());
    let server = Server::start(move |peer, _| {
        live(400).serve(peer, How::default(), |peer, index| match index {
            40 => ask_to_go(peer, Some(&url)),
            _ => Ok(()),
        })
    });
    let out = tempfile::tempdir().unwrap();
    let file = out.path().join("out.flv");
    let pipeline = Pipeline::launch(&format!(
        "rtmpsrc name=in location={} reconnect=never ! filesink location={}",
        server.url("live", "one"),
        file.display()
    ));
    pipeline.play();
    connection(&pipeline, "moving");
    connection(&pipeline, "moved");
    pipeline.eos();
    pipeline.stop();
    let packets = flvdump::read(&file);
    let media: Vec<_> = packets.iter().filter(|p| p.is_media()).collect();
    let cuts: Vec<usize> = (1..media.len())
        .filter(|&at| media[at].size != media[at - 1].size)
        .collect();
    let [cut] = cuts[..] else {
        panic!("cut at {cuts:?}");
    };
    assert!(media[cut].keyframe);
    let times: Vec<_> = media.iter().map(|packet| packet.dts).collect();
    assert!(times.is_sorted(), "{times:?}");
}

/// Nobody is there: it stays, says so, and nothing is lost.
#[test]
fn a_server_that_cannot_be_had_is_no_loss() {
    let url = format!("rtmp://127.0.0.1:{}/live", free_port());
    let server = Server::start({
        let url = url.clone();
        move |peer, _| take_and_ask(peer, 70, Some(&url))
    });
    let film = film(3);
    let pipeline = publishing(&film, &server.url("live", "one"), "");
    connection(&pipeline, "moving");
    let staying = connection(&pipeline, "staying");
    assert_eq!(staying.get::<&str>("url"), Ok(&*url));
    pipeline.eos();
    assert_whole(&film, &[&packets(&server.outcome().unwrap())]);
    pipeline.stop();
}
