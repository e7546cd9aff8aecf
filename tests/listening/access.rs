// SPDX-License-Identifier: MPL-2.0

//! Who may come in.

use std::{
    fs,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use gst::prelude::*;
use tempfile::TempDir;

use crate::{
    client::Client,
    station::{Live, Station},
    support::{
        amf0::Amf,
        certificates::{Authority, For},
        flvdump::{self, Expect, assert_same},
        gst_peer::gst_launch,
        media,
        peers::{Pace, ffmpeg_play, ffmpeg_publish, output},
        pipeline::Pipeline,
        process::{PATIENCE, Process},
    },
};

/// A source that takes a publisher, and writes what it gets into a file.
fn ingest(out: &std::path::Path, options: &str) -> (Pipeline, u16) {
    let pipeline = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1/live/one port=0 {options} ! \
         filesink location={}",
        out.display()
    ));
    pipeline.play();
    let port = pipeline.notice("rtmp-listening").get::<u32>("port");
    let port = port.expect("a port").try_into().expect("a port");
    (pipeline, port)
}

/// The dialogue of Adobe's authentication with the encoders that know it.
#[test]
fn publishers_show_a_password() {
    let file = media::h264_aac_unacknowledged();
    let sent = flvdump::read(&file);
    for encoder in ["ffmpeg", "rtmp2sink", "rtmpsink"] {
        let dir = TempDir::new().unwrap();
        let out = output(&dir, "out.flv");
        let (pipeline, port) = ingest(&out, "username=joe password=se&cret");
        let publish = |user: &str, password: &str| -> Process {
            let url = format!("rtmp://127.0.0.1:{port}/live/one");
            let line = format!("filesrc location={} !", file.display());
            match encoder {
                // It takes user and password as they stand in the URL.
                "ffmpeg" => ffmpeg_publish(
                    &file,
                    &format!("rtmp://{user}:{password}@127.0.0.1:{port}/live/one"),
                    Pace::Fast,
                ),
                "rtmp2sink" => gst_launch(&format!(
                    "{line} flvdemux name=d flvmux streamable=true name=m ! \
                     rtmp2sink location={url} username={user} password={password} d.video ! \
                     h264parse ! queue ! m.video d.audio ! queue ! m.audio"
                )),
                _ => {
                    let ours = format!(
                        "{line} rtmpsink name=out sync=false location={url} username={user} \
                         password={password}"
                    );
                    let pipeline = Pipeline::launch(&ours);
                    pipeline.play();
                    if password == "se&cret" {
                        pipeline.eos();
                    } else {
                        let failure = pipeline.error_of("out");
                        let kind = failure.error.kind::<gst::ResourceError>();
                        assert_eq!(kind, Some(gst::ResourceError::NotAuthorized));
                    }
                    pipeline.stop();
                    Process::start(&mut Command::new("true"))
                }
            }
        };
        let wrong = publish("joe", "secret").wait(PATIENCE).expect("an end");
        if encoder != "rtmpsink" {
            assert!(!wrong.status.success(), "{encoder} with a wrong password");
        }
        let rejected = pipeline.notice("rtmp-caller-rejected");
        assert_eq!(rejected.get::<&str>("user"), Ok("joe"), "{encoder}");
        publish("joe", "se&cret").wait(PATIENCE).expect("an end");
        let came = pipeline.notice("rtmp-caller-added");
        assert_eq!(came.get::<&str>("user"), Ok("joe"), "{encoder}");
        pipeline.eos();
        pipeline.stop();
        let received = flvdump::read(&out);
        if encoder == "rtmp2sink" {
            // flvmux makes tags of its own.
            let media = |p: &[flvdump::Packet]| p.iter().filter(|p| p.is_media()).count();
            assert_eq!(media(&received), media(&sent));
        } else {
            assert_same(&sent, &received, Expect::MEDIA);
        }
    }
}

/// A password for publishing keeps no player out, and the other way round.
#[test]
fn each_element_has_its_own_door() {
    let live = Live::start("");
    let dir = TempDir::new().unwrap();
    let out = output(&dir, "out.flv");
    let pipeline = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener location=rtmp://127.0.0.1:{}/live/one username=joe \
         password=x ! filesink location={}",
        live.station.port,
        out.display()
    ));
    pipeline.play();
    pipeline.notice("rtmp-listening");
    let mut player = Client::connected(live.station.port, "live");
    let stream = player.create_stream();
    player.play(stream, "one");
    // A publisher that comes as a player does is found out.
    let mut sly = Client::connected(live.station.port, "live");
    let stream = sly.create_stream();
    sly.say(
        stream,
        "publish",
        &[Amf::string("one"), Amf::string("live")],
    );
    let (_, text) = sly.status("NetStream.Publish.Denied");
    assert!(text.contains("password"), "{text}");
    // One that says what it is, is asked at once.
    let more = [("type", Amf::string("nonprivate"))];
    let mut honest = Client::connect(live.station.port, "live", &more).unwrap();
    let error = honest.command("_error").unwrap();
    let description = error
        .arguments
        .last()
        .and_then(|info| info.get("description"));
    let description = description.and_then(Amf::as_str).unwrap_or_default();
    assert!(
        description.contains("code=403 need auth; authmod=adobe"),
        "{description}"
    );
    pipeline.stop();
}

/// A link that openssl signed.
#[test]
fn links_are_signed_and_expire() {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let sign = |path: &str, expires: u64| {
        let mut command = Command::new("sh");
        let text = format!("printf %s {path}:{expires} | openssl dgst -sha256 -hmac key");
        let said = Process::start(command.args(["-c", &text])).succeed(PATIENCE);
        let token = said
            .split_whitespace()
            .last()
            .unwrap_or_default()
            .to_owned();
        format!("?expires={expires}&token={token}")
    };
    let file = media::h264_aac();
    let dir = TempDir::new().unwrap();
    let out = output(&dir, "out.flv");
    let station = Station::of_file(&file, "url-secret=key");
    for query in [
        String::new(),
        sign("/live/two", now + 600),
        sign("/live/one", now - 1),
    ] {
        let mut client = Client::connected(station.port, "live");
        let stream = client.create_stream();
        let name = format!("one{query}");
        client.say(stream, "play", &[Amf::string(&name)]);
        let (_, text) = client.status("NetStream.Play.Failed");
        assert!(text.contains("link"), "{text}");
        let told = station.pipeline.notice("rtmp-caller-rejected");
        assert_eq!(told.get::<&str>("reason"), Ok(&*text));
    }
    let url = format!("{}{}", station.url(), sign("/live/one", now + 600));
    let player = ffmpeg_play(&url, &out);
    station.pipeline.eos();
    player.succeed(PATIENCE);
    assert_same(&flvdump::read(&file), &flvdump::read(&out), Expect::MEDIA);
    station.pipeline.stop();
}

#[test]
fn the_application_has_the_last_word() {
    let live = Live::start("");
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    live.station
        .sink()
        .connect("caller-connecting", false, move |values| {
            count.fetch_add(1, Ordering::SeqCst);
            let text = |index: usize| values[index].get::<Option<String>>().unwrap();
            assert!(text(1).unwrap().starts_with("127.0.0.1:"));
            assert_eq!(text(2).as_deref(), Some("live"));
            assert_eq!(text(3).as_deref(), Some("one"));
            assert_eq!(text(5), None);
            let welcome = text(4).as_deref() == Some("who=friend");
            if !welcome {
                let sink = values[0].get::<gst::Element>().unwrap();
                sink.set_property("reject-reason", "Come back with a friend.");
            }
            Some(welcome.to_value())
        });
    let rejected = Arc::new(AtomicU32::new(0));
    let count = rejected.clone();
    live.station
        .sink()
        .connect("caller-rejected", false, move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            None
        });
    let mut client = Client::connected(live.station.port, "live");
    let stream = client.create_stream();
    client.say(stream, "play", &[Amf::string("one")]);
    let (_, text) = client.status("NetStream.Play.Failed");
    assert_eq!(text, "Come back with a friend.");
    assert_eq!(rejected.load(Ordering::SeqCst), 1);
    let mut client = Client::connected(live.station.port, "live");
    let stream = client.create_stream();
    client.play(stream, "one?who=friend");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(rejected.load(Ordering::SeqCst), 1);
}

#[test]
fn there_is_room_for_so_many() {
    for limits in ["max-callers=2", "max-callers-per-address=2"] {
        let live = Live::start(limits);
        let come = || {
            let mut client = Client::connected(live.station.port, "live");
            let stream = client.create_stream();
            client.say(stream, "play", &[Amf::string("one")]);
            client
        };
        let (mut one, mut two) = (come(), come());
        one.status("NetStream.Play.Start");
        two.status("NetStream.Play.Start");
        let (_, text) = come().status("NetStream.Play.Failed");
        assert!(text.contains("Too many"), "{text}");
        drop(two);
        live.station.pipeline.notice("rtmp-caller-removed");
        come().status("NetStream.Play.Start");
    }
}

#[test]
fn callers_show_certificates() {
    let authority = Authority::new("callers");
    let server = authority.issue(For::Server, &["127.0.0.1"]);
    let client = authority.issue(For::Client, &["joe"]);
    let dir = TempDir::new().unwrap();
    let ca = authority.file();
    let live = Live::start(&format!(
        "scheme=rtmps tls-certificate={} tls-private-key={} tls-ca-file={}",
        server.certificate.display(),
        server.key.display(),
        ca.display()
    ));
    let url = live.station.url().replace("rtmp:", "rtmps:");
    let play = |options: &str, out: &str| {
        let pipeline = Pipeline::launch(&format!(
            "rtmpsrc name=in location={url} tls-ca-file={} {options} ! filesink location={}",
            ca.display(),
            output(&dir, out).display()
        ));
        pipeline.play();
        pipeline
    };
    let stranger = play("", "stranger.flv");
    stranger.error_of("in");
    stranger.stop();
    let friend = play(
        &format!(
            "tls-certificate={} tls-private-key={}",
            client.certificate.display(),
            client.key.display()
        ),
        "friend.flv",
    );
    crate::support::peers::wait_for_bytes(&output(&dir, "friend.flv"), 100_000);
    friend.stop();
    assert!(fs::metadata(output(&dir, "stranger.flv")).map_or(true, |f| f.len() == 0));
}
