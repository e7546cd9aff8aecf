// SPDX-License-Identifier: MPL-2.0

//! Listeners that ask their callers to go.

use gst::prelude::*;

use crate::{
    film::{connection, feed, film, publishing},
    support::{
        amf0::Amf,
        flvdump::{self, Expect},
        pipeline::Pipeline,
        process::{free_port, wait_until},
        rtmp_peer::Peer,
    },
};

/// Asks the callers of a listening element to go; returns how many were asked.
fn ask(element: &gst::Element, url: Option<&str>, id: u64) -> u32 {
    let arguments: [&dyn ToValue; 3] = [&url, &Some("back soon"), &id];
    element.emit_by_name::<u32>("request-reconnect", &arguments)
}

#[test]
fn a_publisher_goes_from_one_listener_to_another() {
    let out = tempfile::tempdir().unwrap();
    let file = |name: &str| out.path().join(name);
    let (one, two) = (free_port(), free_port());
    let listener = |port: u16, app: &str, name: &str| {
        let listener = Pipeline::launch(&format!(
            "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1:{port}/{app}/one \
             ! filesink location={}",
            file(name).display()
        ));
        listener.play();
        listener.notice("rtmp-listening");
        listener
    };
    let (first, second) = (
        listener(one, "live", "1.flv"),
        listener(two, "other", "2.flv"),
    );
    let source = first.element("in");
    assert_eq!(ask(&source, None, 0), 0, "nobody is there");
    let film = film(4);
    let location = format!("rtmp://127.0.0.1:{one}/live/one");
    let pipeline = publishing(&film, &location, "");
    let added = first.notice("rtmp-caller-added");
    let id = added.get::<u64>("id").unwrap();
    let url = format!("//127.0.0.1:{two}/other");
    assert_eq!(ask(&source, Some(&url), id + 1), 0, "that is another");
    assert_eq!(ask(&source, Some(&url), id), 1);
    let moving = connection(&pipeline, "moving");
    assert_eq!(moving.get::<&str>("description"), Ok("back soon"));
    connection(&pipeline, "moved");
    for pipeline in [&pipeline, &first, &second] {
        pipeline.eos();
        pipeline.stop();
    }
    let (mut came, rest) = (flvdump::read(&file("1.flv")), flvdump::read(&file("2.flv")));
    let mut rest = rest
        .into_iter()
        .filter(|packet| packet.is_media())
        .peekable();
    assert!(rest.peek().is_some_and(|packet| packet.keyframe));
    came.extend(rest);
    let sent = flvdump::parse(film.bytes()).unwrap();
    let expect = Expect {
        absolute: true,
        ..Expect::MEDIA
    };
    flvdump::assert_same(&sent, &came, expect);
}

#[test]
fn players_go_from_one_listener_to_another() {
    let (one, two) = (free_port(), free_port());
    let servers = Pipeline::launch(&format!(
        "appsrc name=in ! tee name=t \
         t. ! queue ! rtmpsink name=a mode=listener location=rtmp://127.0.0.1:{one}/live/one \
         t. ! queue ! rtmpsink name=b mode=listener location=rtmp://127.0.0.1:{two}/live/one"
    ));
    servers.play();
    for _ in 0..2 {
        servers.notice("rtmp-listening");
    }
    let film = film(6);
    feed(&servers, &film);
    let out = tempfile::tempdir().unwrap();
    let players: Vec<_> = (0..3)
        .map(|number| {
            let file = out.path().join(format!("{number}.flv"));
            let player = Pipeline::launch(&format!(
                "rtmpsrc location=rtmp://127.0.0.1:{one}/live/one reconnect=never \
                 ! filesink location={}",
                file.display()
            ));
            player.play();
            servers.notice("rtmp-caller-added");
            (player, file)
        })
        .collect();
    // One that does not say that it understands is left alone.
    let mut stranger = Peer::call(one).unwrap();
    let object = Amf::object(&[
        ("app", Amf::string("live")),
        (
            "tcUrl",
            Amf::string(&format!("rtmp://127.0.0.1:{one}/live")),
        ),
        ("capsEx", Amf::Number(14.0)),
    ]);
    let connect = [Amf::string("connect"), Amf::Number(1.0), object];
    stranger.send_command(0, &connect).unwrap();
    stranger.expect("_result").unwrap();
    let create = [Amf::string("createStream"), Amf::Number(2.0), Amf::Null];
    stranger.send_command(0, &create).unwrap();
    stranger.expect("_result").unwrap();
    let play = [Amf::string("play"), Amf::Number(0.0), Amf::Null];
    let play = [&play[..], &[Amf::string("one")]].concat();
    stranger.send_command(1, &play).unwrap();
    servers.notice("rtmp-caller-added");
    let sink = servers.element("a");
    let url = format!("rtmp://127.0.0.1:{two}/live");
    // One alone, then all; who has been asked already is asked again, and that changes nothing.
    assert_eq!(ask(&sink, Some(&url), 1), 1);
    connection(&players[0].0, "moving");
    connection(&players[0].0, "moved");
    assert_eq!(ask(&sink, Some(&url), 4), 0, "the stranger");
    wait_until("the first has gone", || {
        let stats = sink.property::<gst::Structure>("stats");
        stats.get::<gst::Array>("callers").unwrap().len() == 3
    });
    assert_eq!(ask(&sink, Some(&url), 0), 2);
    for (player, _) in &players[1..] {
        connection(player, "moving");
        connection(player, "moved");
    }
    let left = stranger.read_to_end();
    assert!(left.iter().all(|message| {
        message.command().is_none_or(|command| {
            let info = command.arguments.get(1).and_then(|info| info.get("code"));
            info.and_then(Amf::as_str) != Some("NetConnection.Connect.ReconnectRequest")
        })
    }));
    let sent = flvdump::parse(film.bytes()).unwrap();
    for (player, file) in &players {
        player.eos();
        player.stop();
        let expect = Expect {
            absolute: true,
            to_end: true,
            ..Expect::LIVE
        };
        let run = flvdump::assert_same(&sent, &flvdump::read(file), expect);
        assert_eq!(run.missing, 0);
    }
    servers.stop();
}
