// SPDX-License-Identifier: MPL-2.0

//! What rtmpsrc and rtmpsink say of Enhanced RTMP when they connect, and what rtmpsink makes of a
//! server's answer: it follows from what is linked to them.

use std::process::Command;

use crate::{
    streams::{QUEUE, source, watch},
    support::{
        amf0::Amf,
        current_ffmpeg,
        flv_builder::{AUDIO, DATA, FlvBuilder, VIDEO},
        media,
        pipeline::Pipeline,
        process::{PATIENCE, Process},
        rtmp_peer::Server,
        taker::{Taken, taker_with},
    },
};

/// A muxer's pads, fed so that its caps are known before anything flows.
const HEVC: &str = "appsrc format=time is-live=true ! \
                    video/x-h265,stream-format=hvc1,alignment=au,codec_data=(buffer)01016000 ! m.video";
const AVC: &str = "videotestsrc num-buffers=50 ! video/x-raw,width=64,height=64 ! \
                   x264enc tune=zerolatency ! m.video";
const AVC_TOO: &str = "videotestsrc num-buffers=50 ! video/x-raw,width=64,height=64 ! \
                       x264enc tune=zerolatency ! m.video_1";
const VP9: &str = "videotestsrc num-buffers=50 ! video/x-raw,width=64,height=64 ! \
                   vp9enc deadline=1 cpu-used=8 ! m.video";
const OPUS: &str = "audiotestsrc num-buffers=50 ! opusenc ! m.audio";
const AAC: &str = "audiotestsrc num-buffers=50 ! avenc_aac ! m.audio";

fn publish(url: &str, settings: &str, muxer: &str, feeds: &[&str]) -> Pipeline {
    let feeds = feeds.join(" ");
    Pipeline::launch(&format!(
        "flvmuxbridge name=m streamable=true {muxer} ! queue ! \
         rtmpsink name=out {settings} location={url} {feeds}"
    ))
}

fn names(list: &Amf) -> Vec<&str> {
    let Amf::List(list) = list else {
        panic!("{list:?}")
    };
    list.iter().filter_map(Amf::as_str).collect()
}

/// A codec map as text, such as `hvc1=2`.
fn flags(object: &Amf, map: &str) -> String {
    let Some(Amf::Object(map)) = object.get(map) else {
        return String::new();
    };
    let flags = map.iter().map(|(name, flags)| {
        let flags = flags.as_number().expect("a number");
        format!("{name}={flags}")
    });
    flags.collect::<Vec<_>>().join(" ")
}

/// All that a connect command says of Enhanced RTMP.
fn said(connect: &Amf) -> (Vec<String>, String, String, Option<f64>) {
    let list = connect.get("fourCcList").map(names).unwrap_or_default();
    (
        list.into_iter().map(str::to_owned).collect(),
        flags(connect, "videoFourCcInfoMap"),
        flags(connect, "audioFourCcInfoMap"),
        connect.get("capsEx").and_then(Amf::as_number),
    )
}

#[track_caller]
fn assert_said(connect: &Amf, list: &[&str], video: &str, audio: &str, caps: Option<f64>) {
    let expected = list.iter().map(|name| (*name).to_owned()).collect();
    let expected = (expected, video.to_owned(), audio.to_owned(), caps);
    assert_eq!(said(connect), expected, "{connect:?}");
}

const ALL: [&str; 12] = [
    "av01", "vp09", "vp08", "hvc1", "avc1", "vvc1", "ac-3", "ec-3", "Opus", ".mp3", "fLaC", "mp4a",
];

/// The connect object of whatever publishes to a server until it has sent something.
fn connect_of(start: impl Fn(&str) -> Pipeline) -> Amf {
    let server = taker_with(Amf::Null);
    let pipeline = start(&server.url("live", "x"));
    pipeline.play();
    pipeline.progress("On the air");
    pipeline.stop();
    server.outcome().expect("a publisher").connect()
}

#[test]
fn connect_says_what_the_muxer_is_about_to_write() {
    let muxed = |settings: &str, muxer: &str, feeds: &[&str]| {
        connect_of(|url| publish(url, settings, muxer, feeds))
    };
    let connect = muxed("", "", &[VP9, OPUS]);
    assert_said(&connect, &["vp09", "Opus"], "vp09=2", "Opus=2", Some(1.0));
    let connect = muxed("", "", &[HEVC]);
    assert_said(&connect, &["hvc1"], "hvc1=2", "", Some(1.0));
    let connect = muxed("", "", &[HEVC, AAC]);
    assert_said(&connect, &["hvc1"], "hvc1=2", "", Some(1.0));
    let connect = muxed("", "prefer-enhanced=true", &[AVC, AAC]);
    assert_said(&connect, &["avc1", "mp4a"], "avc1=2", "mp4a=2", Some(1.0));
    let connect = muxed("", "", &[AVC, AVC_TOO, AAC]);
    assert_said(&connect, &["avc1"], "avc1=2", "", Some(3.0));
    let connect = muxed("", "timestamp-nano-offset=true", &[VP9]);
    assert_said(&connect, &["vp09"], "vp09=2", "", Some(13.0));
}

#[test]
fn of_classic_flv_connect_says_nothing() {
    for muxer in ["", "timestamp-nano-offset=true"] {
        let connect = connect_of(|url| publish(url, "", muxer, &[AVC, AAC]));
        assert_said(&connect, &[], "", "", None);
    }
    let connect = connect_of(|url| publish(url, "enhanced-rtmp=off", "", &[HEVC]));
    assert_said(&connect, &[], "", "", None);
}

#[test]
fn who_does_not_know_what_comes_says_that_all_may() {
    let film = source(&media::h264_aac());
    let connect =
        connect_of(|url| Pipeline::launch(&format!("{film} ! rtmpsink sync=false location={url}")));
    assert_said(&connect, &ALL, "*=4", "*=4", Some(15.0));
    // By the time of the first buffer flvmux has said in its caps what it writes.
    let connect = connect_of(|url| {
        Pipeline::launch(&format!(
            "flvmux name=m streamable=true ! rtmpsink async-connect=false location={url} {AVC} {AAC}"
        ))
    });
    assert_said(&connect, &[], "", "", None);
}

/// What a server says of itself.
fn properties(list: &[&str], extended: Option<f64>) -> Amf {
    let list = list.iter().map(|name| Amf::string(name)).collect();
    let mut properties = vec![("fourCcList", Amf::List(list))];
    properties.extend(extended.map(|flags| ("capsEx", Amf::Number(flags))));
    Amf::object(&properties)
}

/// Sound, pictures and metadata that reached a server.
fn media_of(taken: &Taken) -> usize {
    let media = |kind: u8| [AUDIO, VIDEO, DATA].contains(&kind);
    taken.messages.iter().filter(|m| media(m.kind)).count()
}

#[track_caller]
fn refuses(server: &Server<Taken>, pipeline: &Pipeline, words: &[&str]) -> Taken {
    pipeline.play();
    let failure = pipeline.error_of("out");
    failure.assert_sentence();
    for word in words {
        assert!(failure.error.message().contains(word), "{failure:?}");
    }
    assert!(failure.error.matches(gst::ResourceError::Settings));
    let details = failure.details.as_ref().expect("details");
    assert_eq!(details.get::<&str>("stage"), Ok("connect"));
    assert!(
        pipeline.errors_left("out").is_empty(),
        "one error is enough"
    );
    let taken = server.outcome().expect("a publisher");
    assert_eq!(media_of(&taken), 0, "{:?}", taken.messages);
    taken
}

#[test]
fn a_server_that_lacks_the_codec_is_told_on_before_anything_is_sent() {
    for (server, feeds, words) in [
        (
            properties(&["av01", "vp09"], None),
            &[HEVC, AAC][..],
            ["hvc1", "av01, vp09"],
        ),
        (
            properties(&["vp09", "fLaC"], None),
            &[VP9, OPUS],
            ["Opus", "fLaC"],
        ),
        (
            properties(&["avc1", "hvc1"], Some(1.0)),
            &[AVC, AVC_TOO],
            ["tracks", "enhanced-rtmp"],
        ),
    ] {
        let server = taker_with(server);
        let url = server.url("live", "x");
        let taken = refuses(&server, &publish(&url, "", "", feeds), &words);
        let commands = taken.commands();
        assert!(
            commands.iter().all(|command| command.name != "publish"),
            "{commands:?}"
        );
        // Another attempt would end the same.
        let settings = "reconnect=always reconnect-delay=1";
        let pipeline = publish(&url, settings, "", feeds);
        refuses(&server, &pipeline, &words);
    }
}

#[test]
fn what_a_file_holds_is_seen_before_it_is_sent() {
    let film = FlvBuilder::new()
        .metadata(64.0)
        .tag(VIDEO, 0, b"\x90hvc1\x01\x01\x60")
        .tag(VIDEO, 0, b"\x91hvc1\0\0\0\0\0\0\x01\x26")
        .tag(VIDEO, 40, b"\xa1hvc1\0\0\0\0\0\0\x01\x02");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), film.bytes()).unwrap();
    let start = |url: &str, settings: &str| {
        let file = source(file.path());
        Pipeline::launch(&format!(
            "{file} ! rtmpsink name=out {settings} location={url}"
        ))
    };
    let server = taker_with(properties(&["av01"], None));
    let url = server.url("live", "x");
    let pipeline = start(&url, "");
    pipeline.play();
    let failure = pipeline.error_of("out");
    assert!(failure.error.message().contains("hvc1"), "{failure:?}");
    pipeline.stop();
    let taken = server.outcome().unwrap();
    let kinds: Vec<_> = taken.messages.iter().map(|m| m.kind).collect();
    assert!(!kinds.contains(&VIDEO), "{kinds:?}");
    // The same goes through where it is wanted to.
    let pipeline = start(&url, "enhanced-rtmp=off sync=false");
    pipeline.play();
    pipeline.eos();
    pipeline.stop();
    let taken = server.outcome().unwrap();
    let pictures: Vec<_> = taken.messages.iter().filter(|m| m.kind == VIDEO).collect();
    let sent: Vec<_> = film.tags().filter(|tag| tag[0] == VIDEO).collect();
    assert_eq!(pictures.len(), 3);
    for (picture, tag) in pictures.iter().zip(sent) {
        assert_eq!(picture.body, tag[11..11 + picture.body.len()]);
    }
}

#[test]
fn a_server_that_says_nothing_gets_it_unless_consent_is_required() {
    let server = taker_with(Amf::Null);
    let url = server.url("live", "x");
    let pipeline = publish(&url, "", "", &[VP9, OPUS]);
    pipeline.play();
    pipeline.eos();
    pipeline.stop();
    let taken = server.outcome().unwrap();
    let bodies = |kind: u8, start: &[u8]| {
        let mut messages = taken.messages.iter();
        messages.any(|m| m.kind == kind && m.body.starts_with(start))
    };
    assert!(bodies(VIDEO, b"\x91vp09") && bodies(AUDIO, b"\x91Opus"));
    let require = "enhanced-rtmp=require";
    let pipeline = publish(&url, require, "", &[VP9, OPUS]);
    refuses(&server, &pipeline, &["vp09", "enhanced-rtmp=auto"]);
    // What is classic needs nobody's consent.
    let pipeline = publish(&url, require, "", &[AVC, AAC]);
    pipeline.play();
    pipeline.eos();
    pipeline.stop();
    assert!(media_of(&server.outcome().unwrap()) > 50);
}

#[test]
fn a_player_says_what_its_demuxer_reads() {
    let played = |settings: &str, behind: &str| {
        let server = Server::start(|peer, _| {
            peer.handshake()?;
            let connect = peer.accept_connect()?;
            peer.accept_create_stream()?;
            peer.expect("play")?;
            Ok(connect.arguments[0].clone())
        });
        let url = server.url("live", "x");
        let pipeline = Pipeline::launch(&format!("rtmpsrc {settings} location={url} ! {behind}"));
        pipeline.play();
        let connect = server.outcome().expect("a player");
        pipeline.stop();
        connect
    };
    let video = "av01=4 vp09=4 vp08=4 hvc1=4 avc1=4 vvc1=4";
    let audio = "ac-3=4 ec-3=4 Opus=4 .mp3=4 fLaC=4 mp4a=4";
    // decodebin has found it by then.
    for behind in ["queue ! flvdemuxbridge", "decodebin"] {
        assert_said(&played("", behind), &ALL, video, audio, Some(15.0));
    }
    for behind in ["fakesink", "tee ! queue ! fakesink"] {
        assert_said(&played("", behind), &ALL, "*=4", "*=4", Some(15.0));
    }
    let connect = played("enhanced-rtmp=off", "flvdemuxbridge");
    assert_said(&connect, &[], "", "", None);
}

#[test]
fn a_listener_answers_and_its_answer_is_enough_for_who_requires_one() {
    let ingest = Pipeline::launch(&format!(
        "rtmpsrc name=in mode=listener host=127.0.0.1 port=0 application=live stream=x ! \
         flvdemuxbridge name=d d.video ! {QUEUE} ! appsink name=v d.audio ! {QUEUE} ! appsink name=a"
    ));
    let pictures = watch(&ingest.element("v"));
    let sound = watch(&ingest.element("a"));
    ingest.play();
    let port = ingest.notice("rtmp-listening").get::<u32>("port").unwrap();
    let url = format!("rtmp://127.0.0.1:{port}/live/x");
    let pipeline = publish(&url, "enhanced-rtmp=require", "", &[VP9, OPUS]);
    pipeline.play();
    pipeline.eos();
    pipeline.stop();
    ingest.eos();
    assert_eq!(pictures.lock().unwrap().packets.len(), 50);
    assert!(sound.lock().unwrap().packets.len() >= 50);
}

#[test]
fn a_current_ffmpeg_says_nothing_and_takes_it_and_is_heard_when_it_speaks() {
    let Some(program) = current_ffmpeg::current() else {
        return;
    };
    // As a server it records what comes.
    let dir = tempfile::tempdir().unwrap();
    let film = dir.path().join("taken.flv");
    let port = crate::support::process::free_port();
    let url = format!("rtmp://127.0.0.1:{port}/live/x");
    let mut command = Command::new(&program);
    command
        .args(["-nostdin", "-loglevel", "error", "-y", "-listen", "1", "-i"])
        .args([&url, "-c", "copy", "-f", "flv"])
        .arg(&film);
    let mut ffmpeg = Process::start(&mut command);
    ffmpeg.listens(port).unwrap();
    let pipeline = publish(&url, "", "", &[VP9, OPUS]);
    pipeline.play();
    pipeline.eos();
    pipeline.stop();
    ffmpeg.succeed(PATIENCE);
    let taken = std::fs::read(&film).unwrap();
    let count = |head: &[u8]| taken.windows(head.len()).filter(|w| *w == head).count();
    let sent = count(b"\x91vp09") + count(b"\xa1vp09");
    assert!(sent >= 50, "{sent}");
    assert!(count(b"\x91Opus") > 40);

    // As a publisher it names what we take.
    let ingest = Pipeline::launch(
        "rtmpsrc name=in mode=listener host=127.0.0.1 port=0 application=live stream=x ! \
         flvdemuxbridge name=d d.video ! queue ! appsink name=v",
    );
    let pictures = watch(&ingest.element("v"));
    ingest.play();
    let port = ingest.notice("rtmp-listening").get::<u32>("port").unwrap();
    let url = format!("rtmp://127.0.0.1:{port}/live/x");
    let mut command = Command::new(&program);
    command
        .args(["-nostdin", "-loglevel", "error", "-i"])
        .arg(&film)
        .args(["-map", "0:v", "-c", "copy", "-rtmp_enhanced_codecs", "vp09"])
        .args(["-f", "flv", &url]);
    Process::start(&mut command).succeed(PATIENCE);
    ingest.eos();
    assert_eq!(pictures.lock().unwrap().packets.len(), sent);
}
