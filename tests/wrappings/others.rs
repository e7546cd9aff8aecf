// SPDX-License-Identifier: MPL-2.0

//! Servers of other people's making, and Wireshark's reading of what we say.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    house::{Ingest, in_folder, publishing, station},
    support::{
        flvdump::{self, Expect, Kind, assert_same},
        media,
        pipeline::Pipeline,
        process::{PATIENCE, Process, start_server, wait_until},
    },
    tape::Tape,
};

/// The Python that tests/run.sh installs pyrtmp for; `None` where it has not.
fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("tests/.venv/bin/python");
    let found = Command::new(&python)
        .args(["-c", "import pyrtmp, quart"])
        .output();
    if found.is_ok_and(|found| found.status.success()) {
        return Some(python);
    }
    eprintln!("no pyrtmp here, tests/run.sh installs it: skipped");
    None
}

/// pyrtmp takes a publication through HTTP. It keeps the polling byte at 0 and above as it likes, has no
/// /fcs/ident2 and speaks on message stream 0.
#[test]
fn pyrtmp_records() {
    let Some(python) = python() else { return };
    let (film, dir) = (media::h264_aac(), TempDir::new().unwrap());
    let (port, _server) = start_server(|port| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/pyrtmp_tunnel.py");
        let mut command = Command::new(&python);
        command.arg(script).arg(port.to_string()).arg(dir.path());
        command
    });
    for name in ["one", "again"] {
        let url = format!("rtmpt://127.0.0.1:{port}/live/{name}");
        let publisher = publishing(&film, "rtmptsink", &url, "");
        publisher.play();
        publisher.eos();
        assert_eq!(publisher.errors_left("sink").len(), 0);
        publisher.stop();
        let recorded = in_folder(&dir, &format!("{name}.flv"));
        wait_until("the session is over", || recorded.exists());
        assert_same(
            &flvdump::read(&film),
            &flvdump::read(&recorded),
            Expect::MEDIA,
        );
    }
}

/// What tshark finds: fields of the packets that pass the filter.
#[track_caller]
fn tshark(capture: &Path, filter: &str, field: &str) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(capture).args(["-2", "-Y", filter]);
    command.args(["-T", "fields", "-e", field]);
    // It loses its way in messages that are longer, which are 32 KiB unless told.
    command.args(["-o", "rtmpt.max_packet_size:16777215"]);
    let said = Process::start(&mut command).succeed(PATIENCE);
    let lines = said.lines().filter(|line| !line.starts_with("Running as"));
    let fields = lines.flat_map(|line| line.split(','));
    fields.map(str::to_owned).collect()
}

/// Every message of the film is there, and nothing is malformed.
#[track_caller]
fn assert_reads(tape: &Tape, film: &Path, dir: &TempDir) {
    let capture = in_folder(dir, "capture.pcap");
    // Wireshark takes port 80 for HTTP.
    tape.write(&capture, 80);
    let bad = tshark(
        &capture,
        "_ws.malformed || _ws.expert.severity == error",
        "frame.number",
    );
    assert_eq!(bad, Vec::<String>::new());
    let types = tshark(&capture, "rtmpt", "rtmpt.header.typeid");
    let sent = flvdump::read(film);
    for (number, kind) in [("0x08", Kind::Audio), ("0x09", Kind::Video)] {
        let found = types.iter().filter(|t| *t == number).count();
        let there = sent.iter().filter(|packet| packet.kind == kind).count();
        // A player is also told that a stream ends, and gets its headers once more.
        assert!(
            (there..there + 3).contains(&found),
            "{kind:?}: {found} of {there}"
        );
    }
    assert!(types.iter().any(|t| t == "0x14"), "no command: {types:?}");
}

#[test]
fn wireshark_reads_a_publication() {
    let (film, dir, ingest) = (media::h264_aac(), TempDir::new().unwrap(), Ingest::new());
    let (port, tape) = Tape::to(ingest.port);
    let url = format!("rtmpt://127.0.0.1:{port}/live/one");
    let publisher = publishing(&film, "rtmptsink", &url, "");
    publisher.play();
    publisher.eos();
    ingest.assert_received(&film);
    publisher.stop();
    assert_reads(&tape, &film, &dir);
}

#[test]
fn wireshark_reads_what_is_played() {
    let (film, dir) = (media::h264_aac(), TempDir::new().unwrap());
    let (station, port) = station(&film, "");
    let (port, tape) = Tape::to(port);
    let player = Pipeline::launch(&format!(
        "rtmptsrc location=rtmpt://127.0.0.1:{port}/live/one ! fakesink"
    ));
    player.play();
    player.eos();
    station.eos();
    player.stop();
    assert_reads(&tape, &film, &dir);
}
