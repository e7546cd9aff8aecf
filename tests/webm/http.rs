// SPDX-License-Identifier: MPL-2.0

//! Requests and what they are answered.

use crate::{
    client::{Client, End},
    film::{FILM, OTHER, SOUND},
    station::Station,
};

#[test]
fn a_stream_is_answered_as_browsers_like_it() {
    let station = Station::new("timecodes=source");
    station.push(&FILM);
    for fields in [
        "",
        "Range: bytes=0-\r\n",
        "Range: bytes=0-<\r\n",
        "Connection: close\r\n",
    ] {
        let client = station.get("/live", fields);
        assert_eq!(
            (client.status, client.version.as_str()),
            (200, "HTTP/1.1"),
            "{fields}"
        );
        assert_eq!(client.field("content-type"), Some("video/webm"));
        assert_eq!(client.field("transfer-encoding"), Some("chunked"));
        assert_eq!(client.field("cache-control"), Some("no-store"));
        assert_eq!(client.field("access-control-allow-origin"), Some("*"));
        assert_eq!(client.field("content-length"), None);
        let stays = if fields.contains("close") {
            "close"
        } else {
            "keep-alive"
        };
        assert_eq!(client.field("connection"), Some(stays), "{fields}");
        assert!(client.field("date").is_some() && client.field("server").is_some());
    }
    let old = Client::ask(station.port, "GET /live HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 200);
    assert_eq!(old.field("transfer-encoding"), None);
    assert_eq!(old.field("connection"), Some("close"));
}

#[test]
fn the_rest_of_a_stream_begins_at_a_key_frame() {
    let station = Station::new("timecodes=source");
    let half = FILM.len() / 2;
    station.push(&FILM[..half]);
    let mut resumed = station.get("/live", "Range: bytes=123456-\r\n");
    assert_eq!(resumed.status, 206);
    assert_eq!(
        resumed.field("content-range"),
        Some("bytes 123456-1000000123456/*")
    );
    station.wait_for_clients(1);
    station.push(&FILM[half..]);
    let mut body = Vec::new();
    resumed.at_least(&mut body, 1000);
    // A Cluster, and no header before it.
    assert_eq!(body[..4], [0x1F, 0x43, 0xB6, 0x75]);
    // Cluster head, and a SimpleBlock of the first track with the key flag.
    assert_eq!(body[22], 0xA3);
    let track = body[23..30]
        .iter()
        .position(|b| *b == 0x81)
        .expect("track 1");
    assert_eq!(body[23 + track + 3] & 0x80, 0x80);
}

#[test]
fn parts_are_cut_out() {
    let station = Station::new("");
    station.push(&FILM);
    // What Safari asks before it asks.
    let two = station.get("/live", "Range: bytes=0-1\r\n");
    assert_eq!(two.status, 206);
    assert_eq!(two.field("content-range"), Some("bytes 0-1/*"));
    assert_eq!(two.field("content-length"), Some("2"));
    assert_eq!(two.body(), (vec![0x1A, 0x45], End::Proper));
    let more = station.get("/live?burst=9", "Range: bytes=0-19999\r\n");
    let (body, end) = more.body();
    assert_eq!((body.len(), end), (20_000, End::Proper));
    assert_eq!(body[..4], [0x1A, 0x45, 0xDF, 0xA3]);
    let last = station.get("/live", "Range: bytes=-500\r\n");
    assert_eq!(last.status, 416);
    // Everything else is no range.
    for odd in ["bytes=5-1", "bytes=x", "bytes=0-1,4-5", "lines=0-1"] {
        let whole = station.get("/live", &format!("Range: {odd}\r\n"));
        assert_eq!(whole.status, 200, "{odd}");
    }
}

#[test]
fn other_methods_and_paths_are_told() {
    let station = Station::new("");
    station.push(&FILM);
    let ask = |line: &str| Client::ask(station.port, &format!("{line}\r\n\r\n"));
    let head = ask("HEAD /live HTTP/1.1");
    assert_eq!(
        (head.status, head.field("content-type")),
        (200, Some("video/webm"))
    );
    assert_eq!(head.field("connection"), Some("close"));
    let options = ask("OPTIONS /live HTTP/1.1");
    assert_eq!(options.status, 204);
    let methods = options.field("access-control-allow-methods");
    assert_eq!(methods, Some("GET, HEAD, OPTIONS"));
    let post = ask("POST /live HTTP/1.1");
    assert_eq!(
        (post.status, post.field("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    // The head says how long the reason would be, and no reason follows.
    for (line, status) in [
        ("HEAD /dead HTTP/1.1", 404),
        ("HEAD /live HTTP/1.1\r\nRange: bytes=-1", 416),
    ] {
        let head = ask(line);
        assert_eq!(head.status, status, "{line}");
        assert_ne!(head.field("content-length"), Some("0"));
        assert_eq!(head.body().0, b"", "{line}");
    }
    let nothing = ask("GET /dead HTTP/1.1");
    assert_eq!(nothing.status, 404);
    assert!(nothing.text().contains("no stream of this name"));
    assert_eq!(ask("GET /live/../../etc/passwd HTTP/1.1").status, 404);
    assert_eq!(ask("GET http://elsewhere/live HTTP/1.1").status, 200);
    station.wait_for_clients(0);
}

#[test]
fn pages_and_figures_have_their_paths() {
    let station = Station::new("metrics-path=/metrics status-path=/status.json title=Test");
    station.push(&FILM);
    let page = station.get("/live/player", "");
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    let page = page.text();
    assert!(page.contains("<title>Test</title>") && page.contains("'/live'"));
    let index = station.get("/", "").text();
    assert!(
        index.contains("href=\"/live\"") && index.contains("on the air"),
        "{index}"
    );
    let metrics = station.get("/metrics", "").text();
    let received = format!(
        "webmhttpsink_received_bytes_total{{path=\"/live\"}} {}",
        FILM.len()
    );
    assert!(metrics.contains(&received), "{metrics}");
    let status = station.get("/status.json", "");
    assert_eq!(status.field("content-type"), Some("application/json"));
    let status = status.text();
    assert!(
        status.contains("\"media_type\":\"video/webm; codecs=\\\"vp8,opus\\\"\""),
        "{status}"
    );

    let plain = Station::new("player=false");
    for path in ["/live/player", "/metrics", "/status.json"] {
        assert_eq!(plain.get(path, "").status, 404, "{path}");
    }
}

#[test]
fn sound_alone_is_audio() {
    let station = Station::new("");
    station.push(&SOUND);
    let client = station.get("/live", "");
    assert_eq!(client.field("content-type"), Some("audio/webm"));
}

/// Before there is a stream, those who ask wait for it; behind its end they are sent away.
#[test]
fn a_stream_can_be_waited_for() {
    let station = Station::new("");
    let mut early = station.watch();
    station.push(&OTHER);
    let mut body = Vec::new();
    early.at_least(&mut body, OTHER.len() / 2);
    station.end();
    assert_eq!(early.body().1, End::Proper);
    station.pipeline.eos();
    let late = station.get("/live", "");
    assert_eq!(late.status, 503);
    assert!(late.field("retry-after").is_some());
    assert!(late.text().contains("over"));
}

#[test]
fn several_share_a_port() {
    let one = Station::new("path=/one");
    let two = crate::support::pipeline::Pipeline::launch(&format!(
        "fakesrc num-buffers=0 ! video/webm ! webmhttpsink name=sink address=127.0.0.1 port={} path=/two",
        one.port
    ));
    two.play();
    two.notice("webm-listening");
    let index = one.get("/", "").text();
    assert!(index.contains("/one") && index.contains("/two"), "{index}");
    let three = crate::support::pipeline::Pipeline::launch(&format!(
        "fakesrc ! video/webm ! webmhttpsink name=sink address=127.0.0.1 port={} path=/two",
        one.port
    ));
    three.play();
    let failure = three.error_of("sink");
    failure.assert_sentence();
    assert!(
        failure.error.matches(gst::ResourceError::Busy),
        "{failure:?}"
    );
    two.stop();
    assert_eq!(one.get("/two", "").status, 404);
}
