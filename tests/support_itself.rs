// SPDX-License-Identifier: MPL-2.0

//! Tests of the tests: the comparison finds what is wrong, and the bad servers are as bad as they
//! claim.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::process::ExitStatusExt,
    time::{Duration, Instant},
};

use support::{
    amf0::{self, Amf},
    bad_server::{self, BlackHole, Cut, End},
    flv_builder::{AUDIO, FlvBuilder, VIDEO, shift},
    flvdump::{self, Expect, Packet, Run, compare},
    media,
    peers::{Pace, ffmpeg_publish, rtmpdump_live},
    process::{PATIENCE, Process, words},
    rtmp_peer::Message,
};
use tempfile::tempdir;

mod support;

fn packets(file: &FlvBuilder) -> Vec<Packet> {
    flvdump::parse(file.bytes()).expect("a file")
}

fn film() -> FlvBuilder {
    let film = FlvBuilder::new().metadata(640.0).headers();
    film.second(0)
        .second(1000)
        .empty_sound(2000)
        .sequence_end(2000)
}

#[test]
fn a_file_is_read_as_it_was_built() {
    let file = FlvBuilder::new()
        .metadata(640.0)
        .headers()
        .picture(0x1_0000_0000u64.wrapping_sub(40) as u32, true, -80, 10)
        .picture(0x00ff_ffff, false, 40, 10)
        .empty_sound(0x0100_0000)
        .sequence_end(3);
    let packets = packets(&file);
    let seen: Vec<_> = packets
        .iter()
        .map(|p| (p.dts, p.cts, p.keyframe, p.config, p.is_mark(), p.size))
        .collect();
    assert_eq!(
        seen,
        [
            (0, None, false, false, false, 37),
            (0, None, true, true, false, 22),
            (0, None, false, true, false, 4),
            (0xffff_ffd8, Some(-80), true, false, false, 15),
            (0xff_ffff, Some(40), false, false, false, 15),
            (0x100_0000, None, false, false, true, 0),
            (3, None, true, false, true, 5),
        ]
    );
    assert_eq!(
        file.tags().map(<[u8]>::len).sum::<usize>() + 13,
        file.bytes().len()
    );
}

#[test]
fn ffprobe_reads_the_same() {
    let file = media::h264_aac();
    let (ours, theirs) = (flvdump::read(&file), flvdump::probe(&file));
    let ours: Vec<_> = ours.into_iter().filter(Packet::is_media).collect();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let head = if ours.kind == flvdump::Kind::Video {
            5
        } else {
            2
        };
        assert_eq!(ours.kind, theirs.kind);
        assert_eq!(Some(i64::from(ours.dts)), theirs.dts);
        assert_eq!(ours.size, theirs.size + head);
        let pts = i64::from(ours.dts) + i64::from(ours.cts.unwrap_or(0));
        assert_eq!(Some(pts), theirs.pts);
    }
}

#[test]
fn cut_files_are_read_up_to_the_cut() {
    let file = film();
    let whole = packets(&file);
    for cut in 13..file.bytes().len().min(3000) {
        let part = flvdump::parse(&file.bytes()[..cut]).expect("a part");
        assert_eq!(part, whole[..part.len()]);
    }
    assert!(flvdump::parse(b"RIFF, which is no FLV").is_err());
    let mut bytes = file.bytes().to_vec();
    bytes[13 + 11 + 37 + 3] ^= 1;
    assert!(flvdump::parse(&bytes).unwrap_err().contains("back-pointer"));
}

#[test]
fn the_same_is_the_same() {
    let sent = packets(&film());
    let whole = Run {
        skipped: 0,
        matched: 130,
        missing: 0,
        offset: 0,
    };
    assert_eq!(compare(&sent, &sent, Expect::ALL), Ok(whole));
    let moved = flvdump::parse(&shift(film().bytes(), u32::MAX - 500)).unwrap();
    assert_eq!(
        compare(&sent, &moved, Expect::MEDIA),
        Ok(Run {
            offset: u32::MAX - 500,
            ..whole
        })
    );
    let error = compare(&sent, &moved, Expect::ALL).unwrap_err();
    assert!(error.contains("timestamps moved by -501 ms"), "{error}");
}

#[test]
fn every_loss_is_found() {
    let sent = packets(&film());
    for lost in 0..sent.len() {
        let mut received = sent.clone();
        received.remove(lost);
        let error = compare(&sent, &received, Expect::ALL);
        assert!(error.is_err(), "without packet {lost}: {}", sent[lost]);
    }
}

#[test]
fn every_exchange_is_found() {
    let sent = packets(&film());
    let media: Vec<usize> = (0..sent.len()).filter(|&i| sent[i].is_media()).collect();
    for pair in media.windows(2) {
        let mut received = sent.clone();
        received.swap(pair[0], pair[1]);
        assert!(
            compare(&sent, &received, Expect::MEDIA).is_err(),
            "{pair:?}"
        );
        let mut received = sent.clone();
        received[pair[1]].dts += 1;
        let error = compare(&sent, &received, Expect::MEDIA).unwrap_err();
        assert!(error.contains("a timestamp is wrong"), "{error}");
        let tolerant = Expect {
            timestamps: Some(1),
            ..Expect::MEDIA
        };
        compare(&sent, &received, tolerant).unwrap();
        let mut received = sent.clone();
        received[pair[1]].hash[31] ^= 1;
        let error = compare(&sent, &received, Expect::MEDIA).unwrap_err();
        assert!(error.contains("another packet arrived"), "{error}");
    }
}

#[test]
fn a_run_in_the_middle_is_found() {
    let sent = packets(&film());
    let (headers, media) = (&sent[1..3], &sent[43..93]);
    let received = [headers, media].concat();
    let run = compare(&sent, &received, Expect::LIVE).unwrap();
    assert_eq!((run.skipped, run.matched, run.missing), (40, 50, 40));
    // Headers have to come, and first.
    assert!(compare(&sent, media, Expect::LIVE).is_err());
    assert!(compare(&sent, &[media, headers].concat(), Expect::LIVE).is_err());
    // A hole is not a run.
    let hole = [headers, &sent[43..60], &sent[62..93]].concat();
    assert!(compare(&sent, &hole, Expect::LIVE).is_err());
    // Nothing at all is no success either.
    assert!(compare(&sent, headers, Expect::LIVE).is_err());
}

#[test]
fn pipelines_are_split_as_a_shell_does() {
    assert_eq!(
        words(r#"a  location="rtmp://x live=1" ! b "#),
        ["a", "location=rtmp://x live=1", "!", "b"]
    );
}

#[test]
fn messages_survive_chunks_of_every_size() {
    let server = support::rtmp_peer::Server::start(|peer, _| {
        let mut messages = Vec::new();
        while let Ok(message) = peer.read_message() {
            messages.push(message);
        }
        Ok(messages)
    });
    let (mut sent, mut before) = (Vec::new(), 128);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    for (chunk_size, csid) in [(1, 3), (128, 64), (4096, 319), (65536, 65599)] {
        let size = Message {
            csid: 2,
            kind: 1,
            stream: 0,
            timestamp: 0,
            body: u32::to_be_bytes(chunk_size).to_vec(),
        };
        stream.write_all(&size.chunks(before)).unwrap();
        before = chunk_size as usize;
        sent.push(size);
        for timestamp in [0, 0xff_fffe, 0xff_ffff, 0x100_0000, u32::MAX] {
            let message = Message {
                csid,
                kind: 9,
                stream: 1,
                timestamp,
                body: (0..5000).map(|i| i as u8).collect(),
            };
            stream.write_all(&message.chunks(before)).unwrap();
            sent.push(message);
        }
    }
    drop(stream);
    assert_eq!(server.outcome().unwrap(), sent);
}

#[test]
fn amf_survives() {
    let values = [
        Amf::string("connect"),
        Amf::Number(1.0),
        Amf::object(&[
            ("app", Amf::string("live")),
            ("deep", Amf::object(&[("yes", Amf::Boolean(true))])),
        ]),
        Amf::Null,
        Amf::Undefined,
        Amf::Array(vec![("n".to_owned(), Amf::Number(2.0))]),
    ];
    let bytes = amf0::encode(&values);
    assert_eq!(amf0::decode(&bytes).unwrap(), values);
    // Between two values is the only place where a cut leaves something whole.
    let whole = (0..bytes.len()).filter(|&cut| amf0::decode(&bytes[..cut]).is_some());
    assert_eq!(whole.count(), values.len());
}

#[test]
fn ffmpeg_and_rtmpdump_take_the_scripted_server_for_real() {
    let dir = tempdir().expect("a folder");
    let file = media::h264_aac();
    let server = bad_server::good_publish();
    ffmpeg_publish(&file, &server.url("live", "one"), Pace::Fast).succeed(PATIENCE);
    let messages = server.outcome().unwrap();
    let media = messages
        .iter()
        .filter(|message| [AUDIO, VIDEO].contains(&message.kind));
    let bytes: usize = media.map(|message| message.body.len()).sum();
    let sent = flvdump::read(&file);
    let sent = sent
        .iter()
        .filter(|packet| packet.kind != flvdump::Kind::Data);
    assert_eq!(bytes, sent.map(|packet| packet.size).sum::<usize>());
    let commands: Vec<_> = messages.iter().filter_map(Message::command).collect();
    let names: Vec<&str> = commands.iter().map(|command| &*command.name).collect();
    assert_eq!(names, ["FCUnpublish", "deleteStream"]);

    for (chunk_size, end) in [
        (128, End::UnpublishNotify),
        (4096, End::PlayStop),
        (60_000, End::Close),
    ] {
        let server = bad_server::good_play(film(), chunk_size, end);
        let received = dir.path().join(format!("{chunk_size}.flv"));
        let player = rtmpdump_live(&server.url("live", "one"), &received);
        player.wait(PATIENCE).unwrap();
        let received = flvdump::read(&received);
        support::flvdump::assert_same(&packets(&film()), &received, Expect::MEDIA);
    }
}

#[test]
fn refusals_reach_the_client() {
    let file = media::h264_aac();
    let refused = |url: String| {
        let publisher = ffmpeg_publish(&file, &url, Pace::RealTime);
        let ended = publisher.wait(PATIENCE).unwrap();
        assert!(!ended.status.success(), "{}", ended.said);
        ended.said
    };
    let server = bad_server::refuse_connect("NetConnection.Connect.InvalidApp", "no such app");
    assert!(refused(server.url("none", "one")).contains("no such app"));
    assert_eq!(server.outcome().unwrap().name, "connect");

    let server = bad_server::refuse_stream("NetStream.Publish.BadName");
    assert!(refused(server.url("live", "one")).contains("Server error: no"));
    assert_eq!(server.outcome().unwrap().arguments[1], Amf::string("one"));

    for server in [bad_server::http(), bad_server::tls()] {
        refused(server.url("live", "one"));
    }
    for bytes in [0, 1, 1000, 1537, 3000] {
        refused(bad_server::cut_in_handshake(bytes).url("live", "one"));
    }
    refused(bad_server::cut_in_publish(5, false).url("live", "one"));
    refused(bad_server::cut_in_publish(5, true).url("live", "one"));
}

#[test]
fn cuts_are_where_they_claim() {
    let dir = tempdir().expect("a folder");
    for cut in [
        Cut::BeforeConnect,
        Cut::InHeader,
        Cut::InTag,
        Cut::BetweenTags,
    ] {
        for reset in [false, true] {
            let server = bad_server::cut_in_play(cut, reset);
            let received = dir.path().join("received.flv");
            let player = rtmpdump_live(&server.url("live", "one"), &received);
            player.wait(PATIENCE).unwrap();
            server.outcome().unwrap();
            if !reset && cut != Cut::BeforeConnect {
                let sent = packets(&FlvBuilder::new().headers().second(0));
                let received = flvdump::read(&received);
                flvdump::assert_same(&sent, &received, Expect::MEDIA);
            }
        }
    }
}

#[test]
fn the_silent_say_nothing() {
    let wait = Duration::from_millis(50);
    let server = bad_server::silent();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(wait)).unwrap();
    stream.write_all(&[3; 1537]).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut
    ));
    // Dropping the server ends the connection at once.
    drop(server);
    let begun = Instant::now();
    assert!(matches!(stream.read(&mut [0]), Ok(0)) || begun.elapsed() < wait);

    let server = bad_server::slow_handshake(wait);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(&[3; 1537]).unwrap();
    let begun = Instant::now();
    stream.read_exact(&mut [0; 4]).unwrap();
    assert!(begun.elapsed() >= 3 * wait);
}

#[test]
fn who_never_reads_blocks_the_writer() {
    let server = bad_server::never_reads();
    let publisher = ffmpeg_publish(&media::h264_50m(), &server.url("live", "one"), Pace::Fast);
    let error = publisher.wait(Duration::from_secs(2)).unwrap_err();
    assert!(error.contains("still runs"), "{error}");
}

#[test]
fn a_black_hole_never_connects() {
    let hole = BlackHole::new().unwrap();
    let port = hole
        .url()
        .split([':', '/'])
        .nth(4)
        .unwrap()
        .parse()
        .unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let error = TcpStream::connect_timeout(&address, Duration::from_millis(300)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn children_end_with_the_test() {
    let process = Process::start(std::process::Command::new("sleep").arg("60"));
    let proc = format!("/proc/{}", process.id());
    assert!(std::path::Path::new(&proc).exists());
    drop(process);
    assert!(!std::path::Path::new(&proc).exists());

    let process = Process::start(std::process::Command::new("sleep").arg("60"));
    process.interrupt();
    let ended = process.wait(PATIENCE).unwrap();
    assert_eq!(ended.status.signal(), Some(2));
}
