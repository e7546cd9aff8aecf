// SPDX-License-Identifier: MPL-2.0

//! Who may watch, and what is written down about it.

use std::{
    fs,
    process::Command,
    sync::mpsc,
    time::{SystemTime, UNIX_EPOCH},
};

use gst::prelude::*;
use tempfile::TempDir;

use crate::{
    client::{Client, End},
    film::FILM,
    station::Station,
    support::{
        certificates::{Authority, For},
        pipeline::Pipeline,
        process::{PATIENCE, Process, wait_until},
    },
};

#[test]
fn limits_are_kept() {
    let station = Station::new("max-clients=2");
    let (one, _two) = (station.watch(), station.watch());
    let three = station.get("/live", "");
    assert_eq!((three.status, three.field("retry-after")), (503, Some("2")));
    assert!(three.text().contains("Too many"));
    drop(one);
    station.wait_for_clients(1);
    assert_eq!(station.watch().status, 200);

    let station = Station::new("max-clients-per-address=1");
    let _one = station.watch();
    assert_eq!(station.get("/live", "").status, 503);
    assert_eq!(station.stat::<u64>("refused"), 1);
}

#[test]
fn bandwidth_is_kept() {
    // The film has more than that in a second, as fast as it is pushed here.
    let station = Station::new("max-bitrate=1");
    assert_eq!(station.watch().status, 200);
    wait_until("the bitrate is known", || {
        station.push(&FILM);
        station.stat::<u64>("bitrate") > 1000
    });
    let more = station.get("/live", "");
    assert_eq!(more.status, 503);
    assert!(more.text().contains("bandwidth"));
}

#[test]
fn a_password_can_be_asked_for() {
    let station = Station::new("user=joe password=secret");
    station.push(&FILM);
    for path in ["/live", "/live/player"] {
        let nobody = station.get(path, "");
        assert_eq!(nobody.status, 401);
        assert!(
            nobody
                .field("www-authenticate")
                .is_some_and(|f| f.starts_with("Basic realm="))
        );
        // joe:wrong and joe:secret.
        let wrong = station.get(path, "Authorization: Basic am9lOndyb25n\r\n");
        assert_eq!(wrong.status, 401);
        let right = station.get(path, "Authorization: Basic am9lOnNlY3JldA==\r\n");
        assert_eq!(right.status, 200);
    }
    let read = station.sink.property_value("user").get::<String>();
    assert_eq!(read.as_deref(), Ok("joe"));
    let secret = station.sink.find_property("password").expect("a property");
    assert!(!secret.flags().contains(glib::ParamFlags::READABLE));
}

#[test]
fn links_can_be_signed() {
    let station = Station::new("url-secret=SECRET");
    station.push(&FILM);
    let sign = |seconds: u64| {
        // As the property's text has it.
        let line = format!("printf %s /live:{seconds} | openssl dgst -sha256 -hmac SECRET");
        let said = Process::start(Command::new("sh").args(["-c", &line])).succeed(PATIENCE);
        let token = said.trim().rsplit(' ').next().expect("a token").to_owned();
        format!("expires={seconds}&token={token}")
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time")
        .as_secs();
    let good = sign(now + 3600);
    assert_eq!(station.get(&format!("/live?{good}"), "").status, 200);
    assert_eq!(station.get(&format!("/live/player?{good}"), "").status, 200);
    let expired = station.get(&format!("/live?{}", sign(now - 1)), "");
    assert_eq!(expired.status, 410);
    assert!(expired.text().contains("expired"));
    for query in ["", "?expires=9999999999&token=00", &format!("?{good}0")] {
        assert_eq!(
            station.get(&format!("/live{query}"), "").status,
            403,
            "{query}"
        );
    }
}

#[test]
fn the_application_decides() {
    let station = Station::prepare("");
    let (tell, told) = mpsc::channel();
    station
        .sink
        .connect("client-connecting", false, move |values| {
            let text = |at: usize| values[at].get::<String>().expect("text");
            let headers: gst::Structure = values[4].get().expect("headers");
            let agent = headers.get::<String>("user-agent").unwrap_or_default();
            let _ = tell.send((text(1), text(2), text(3), agent));
            Some(if text(3) == "no" { 402_u32 } else { 0 }.to_value())
        });
    let (tell, came) = mpsc::channel();
    station.sink.connect("client-added", false, move |values| {
        let _ = tell.send((
            values[1].get::<u64>().expect("id"),
            values[3].get::<String>().ok(),
        ));
        None
    });
    let (tell, left) = mpsc::channel();
    station
        .sink
        .connect("client-removed", false, move |values| {
            let id: u64 = values[1].get().expect("an id");
            let reason: String = values[3].get().expect("a reason");
            let bytes: u64 = values[4].get().expect("bytes");
            let seconds: f64 = values[5].get().expect("seconds");
            let _ = tell.send((id, reason, bytes, seconds));
            None
        });
    let station = station.start();
    station.push(&FILM);
    assert_eq!(station.get("/live?no", "").status, 402);
    let (address, path, query, agent) = told.recv_timeout(PATIENCE).expect("a question");
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    assert_eq!((&*path, &*query, &*agent), ("/live", "no", ""));
    let mut client = station.get("/live?yes", "User-Agent: test/1\r\n");
    assert_eq!(client.status, 200);
    assert_eq!(told.recv_timeout(PATIENCE).expect("a question").3, "test/1");
    let (id, agent) = came.recv_timeout(PATIENCE).expect("a client");
    assert_eq!(agent.as_deref(), Some("test/1"));
    let mut body = Vec::new();
    client.at_least(&mut body, 1000);
    let entry = || {
        let stats = station.stats();
        let per_client = stats.get::<gst::Array>("per-client").expect("an array");
        per_client[0].get::<gst::Structure>().expect("a structure")
    };
    assert_eq!(entry().get::<u64>("id"), Ok(id));
    assert_eq!(entry().get::<String>("user-agent").as_deref(), Ok("test/1"));
    wait_until("the bytes are counted", || {
        entry()
            .get::<u64>("bytes-sent")
            .is_ok_and(|bytes| bytes >= 1000)
    });
    drop(client);
    let (gone, reason, bytes, seconds) = left.recv_timeout(PATIENCE).expect("a departure");
    assert_eq!(gone, id);
    assert!(["left", "failed"].contains(&&*reason), "{reason}");
    assert!(bytes >= 1000 && seconds > 0.0);
}

#[test]
fn requests_are_written_down() {
    let dir = TempDir::with_prefix("log").expect("a folder");
    let log = dir.path().join("access.log");
    let station = Station::new(&format!(
        "user=joe password=secret access-log={}",
        log.display()
    ));
    station.push(&FILM);
    assert_eq!(station.get("/live", "User-Agent: nosy\r\n").status, 401);
    let watching =
        "Authorization: Basic am9lOnNlY3JldA==\r\nReferer: http://a/b\r\nUser-Agent: test/1\r\n";
    let client = station.get("/live", watching);
    assert_eq!(client.status, 200);
    drop(client);
    let read = || fs::read_to_string(&log).unwrap_or_default();
    wait_until("there are two lines", || read().lines().count() == 2);
    let text = read();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{text}");
    assert!(
        lines[0].ends_with("\"GET /live HTTP/1.1\" 401 0 \"-\" \"nosy\" 0"),
        "{text}"
    );
    assert!(lines[1].starts_with("127.0.0.1 - joe ["), "{text}");
    assert!(lines[1].contains("\"GET /live HTTP/1.1\" 200 "), "{text}");
    assert!(lines[1].contains("\"http://a/b\" \"test/1\" "), "{text}");
    assert!(!text.contains("secret"));
    // Whoever rotates the log need not tell us.
    fs::rename(&log, dir.path().join("access.log.1")).expect("a move");
    drop(station.get("/live", ""));
    wait_until("there is a new file", || read().lines().count() == 1);
}

#[test]
fn a_log_that_cannot_be_written_is_a_warning() {
    let station = Station::new("access-log=/dev/full");
    station.push(&FILM);
    drop(station.get("/live", ""));
    let message = station.pipeline.message(&[gst::MessageType::Warning]);
    let gst::MessageView::Warning(warning) = message.view() else {
        unreachable!()
    };
    let error = warning.error();
    assert!(error.matches(gst::ResourceError::NoSpaceLeft), "{error}");
    assert!(error.message().contains("/dev/full"), "{error}");
    assert_eq!(station.get("/live", "").status, 200);
}

#[test]
fn https_is_served_and_http_refused() {
    let authority = Authority::new("Test Authority");
    let server = authority.issue(For::Server, &["localhost"]);
    let station = Station::new(&format!(
        "tls-certificate={} tls-private-key={}",
        server.certificate.display(),
        server.key.display()
    ));
    station.push(&FILM);
    let plain = Client::ask(station.port, "GET /live HTTP/1.1\r\n\r\n");
    assert_eq!(plain.status, 403);
    let (text, end) = plain.body();
    assert_eq!(end, End::Proper);
    assert!(String::from_utf8_lossy(&text).contains("https"));
    let url = format!("https://localhost:{}/live", station.port);
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "30", "--range", "0-3", "--cacert"]);
    curl.arg(authority.file()).args(["--output", "-", &url]);
    let said = Process::start(&mut curl).succeed(PATIENCE);
    assert!(said.starts_with("\u{1a}E"), "{said:?}");
}

#[test]
fn settings_that_cannot_be_are_told_at_once() {
    for (properties, code, words) in [
        ("path=live", gst::ResourceError::Settings, "slash"),
        ("path=/a?b", gst::ResourceError::Settings, "path"),
        ("metrics-path=/live", gst::ResourceError::Settings, "twice"),
        (
            "address=example.org",
            gst::ResourceError::Settings,
            "IP address",
        ),
        (
            "address=192.0.2.1",
            gst::ResourceError::OpenReadWrite,
            "cannot listen",
        ),
        (
            "tls-private-key=/k.pem",
            gst::ResourceError::Settings,
            "tls-certificate",
        ),
        (
            "tls-certificate=/nowhere.pem",
            gst::ResourceError::Settings,
            "/nowhere.pem",
        ),
    ] {
        let line = format!("fakesrc ! video/webm ! webmhttpsink name=sink port=0 {properties}");
        let pipeline = Pipeline::launch(&line);
        pipeline.play();
        let failure = pipeline.error_of("sink");
        failure.assert_sentence();
        assert!(failure.error.matches(code), "{properties}: {failure:?}");
        assert!(
            failure.error.message().contains(words),
            "{properties}: {failure:?}"
        );
        pipeline.stop_at_once(properties);
        assert_eq!(pipeline.errors_left("sink").len(), 0);
    }
}
