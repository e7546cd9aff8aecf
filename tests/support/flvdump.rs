// SPDX-License-Identifier: MPL-2.0

//! Reads FLV files without the crate's own parser and tells whether what arrived is what was sent.

use std::{fmt, fmt::Write as _, fs, path::Path, process::Command};

use sha2::{Digest, Sha256};

use super::process::{PATIENCE, Process};

/// What a tag carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Audio,
    Video,
    Data,
    Other(u8),
}

/// One tag of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub kind: Kind,
    /// Timestamp of the tag in ms, as written; wraps at 2^32.
    pub dts: u32,
    /// Composition time in ms, of AVC pictures only.
    pub cts: Option<i32>,
    pub keyframe: bool,
    /// A sequence header (AVC or AAC), which servers repeat for late joiners.
    pub config: bool,
    /// Bytes of the body.
    pub size: usize,
    /// SHA-256 of the body.
    pub hash: [u8; 32],
}

impl Packet {
    fn new(kind: u8, dts: u32, body: &[u8]) -> Self {
        let kind = match kind & 0x1f {
            8 => Kind::Audio,
            9 => Kind::Video,
            18 => Kind::Data,
            other => Kind::Other(other),
        };
        let first = body.first().copied().unwrap_or(0);
        let second = body.get(1).copied();
        let avc = kind == Kind::Video && first & 0x8f == 7;
        let aac = kind == Kind::Audio && first >> 4 == 10;
        let cts = match body {
            [_, 1, c2, c1, c0, ..] if avc => Some(i32::from_be_bytes([*c2, *c1, *c0, 0]) >> 8),
            _ => None,
        };
        Self {
            kind,
            dts,
            cts,
            keyframe: kind == Kind::Video && first >> 4 & 7 == 1,
            config: (avc || aac) && second == Some(0),
            size: body.len(),
            hash: Sha256::digest(body).into(),
        }
    }

    /// A picture or a sound, in contrast to headers, metadata and marks without a payload.
    pub fn is_media(&self) -> bool {
        matches!(self.kind, Kind::Audio | Kind::Video) && !self.config && !self.is_mark()
    }

    /// Silence or the end of a sequence: nothing to decode.
    pub fn is_mark(&self) -> bool {
        self.size == 0 || self.kind == Kind::Video && self.size == 5 && self.cts.is_none()
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Audio => "audio".to_owned(),
            Kind::Video => "video".to_owned(),
            Kind::Data => "data".to_owned(),
            Kind::Other(number) => format!("type {number}"),
        };
        let [a, b, c, ..] = self.hash;
        let mark = match (self.config, self.keyframe) {
            (true, _) => 'H',
            (false, true) => 'K',
            (false, false) => ' ',
        };
        let (dts, size) = (self.dts, self.size);
        write!(f, "{kind:7}{mark} {dts:>10} ms")?;
        match self.cts {
            Some(cts) => write!(f, " {cts:>+5}")?,
            None => write!(f, "      ")?,
        }
        write!(f, " {size:>8} B {a:02x}{b:02x}{c:02x}")
    }
}

/// Reads a file. A tag that is cut off at the end of the file is left out, as is its sign: a
/// recording may still be written to.
#[track_caller]
pub fn read(path: &Path) -> Vec<Packet> {
    let file = fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    parse(&file).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Reads the bytes of a file.
pub fn parse(file: &[u8]) -> Result<Vec<Packet>, String> {
    if file.is_empty() {
        return Ok(Vec::new());
    }
    let header = file
        .get(..13)
        .filter(|header| header.starts_with(b"FLV\x01"));
    let header = header.ok_or("no FLV header")?;
    if header[5..9] != [0, 0, 0, 9] || header[9..] != [0; 4] {
        return Err(format!("odd FLV header {header:02x?}"));
    }
    let mut packets = Vec::new();
    let mut rest = &file[13..];
    let mut at = 13;
    while let Some((&[kind, s2, s1, s0, t2, t1, t0, t3, stream @ ..], tail)) =
        rest.split_first_chunk::<11>()
    {
        let size = u32::from_be_bytes([0, s2, s1, s0]) as usize;
        let dts = u32::from_be_bytes([t3, t2, t1, t0]);
        if stream != [0; 3] {
            return Err(format!("tag at byte {at} has a stream id"));
        }
        let Some((body, tail)) = tail.split_at_checked(size) else {
            break;
        };
        let Some((back, tail)) = tail.split_first_chunk::<4>() else {
            break;
        };
        if u32::from_be_bytes(*back) as usize != size + 11 {
            return Err(format!("tag at byte {at} has the back-pointer {back:02x?}"));
        }
        packets.push(Packet::new(kind, dts, body));
        at += 11 + size + 4;
        rest = tail;
    }
    Ok(packets)
}

/// What has to agree beyond the media themselves.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    /// The first picture or sound that was sent must have arrived.
    pub from_start: bool,
    /// The last one must have arrived.
    pub to_end: bool,
    /// Pictures and sounds must be interleaved as they were sent; otherwise only each among
    /// themselves.
    pub interleaving: bool,
    /// How far, in ms, a timestamp may be from where the first one puts it. `None` does not look.
    pub timestamps: Option<u32>,
    /// The timestamps must be those that were sent, not moved by a constant.
    pub absolute: bool,
    /// Metadata must have arrived unchanged.
    pub metadata: bool,
    /// Sequence headers must have arrived, each at least once and before the first media.
    pub headers: bool,
    /// Empty audio and ends of sequences must have arrived, as many as were sent.
    pub marks: bool,
}

impl Expect {
    /// A relay that promises everything: what arrived is what was sent.
    pub const ALL: Self = Self {
        from_start: true,
        to_end: true,
        interleaving: true,
        timestamps: Some(0),
        absolute: true,
        metadata: true,
        headers: true,
        marks: true,
    };
    /// What any relay owes: the media from the start to the end, in order, with their headers.
    pub const MEDIA: Self = Self {
        absolute: false,
        metadata: false,
        marks: false,
        ..Self::ALL
    };
    /// A player that came and went in the middle of a live stream. It may get sound before the
    /// first keyframe lets it have pictures.
    pub const LIVE: Self = Self {
        from_start: false,
        to_end: false,
        interleaving: false,
        ..Self::MEDIA
    };
}

/// Where the received run lies in what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Packets sent before the first that arrived.
    pub skipped: usize,
    /// Packets that arrived.
    pub matched: usize,
    /// Packets sent after the last that arrived.
    pub missing: usize,
    /// Received minus sent timestamp of the first, in ms modulo 2^32.
    pub offset: u32,
}

/// Finds what was received as one contiguous run of what was sent.
///
/// The error shows where they part, the packets side by side.
pub fn compare(sent: &[Packet], received: &[Packet], expect: Expect) -> Result<Run, String> {
    let run = if expect.interleaving {
        find("media", &media(sent, None), &media(received, None), expect)?
    } else {
        let runs: Vec<Run> = [Kind::Audio, Kind::Video]
            .into_iter()
            .map(|kind| (kind, media(sent, Some(kind)), media(received, Some(kind))))
            .filter(|(_, sent, received)| !(sent.is_empty() && received.is_empty()))
            .map(|(kind, sent, received)| find(&format!("{kind:?}"), &sent, &received, expect))
            .collect::<Result<_, _>>()?;
        runs.into_iter()
            .reduce(|a, b| Run {
                skipped: a.skipped + b.skipped,
                matched: a.matched + b.matched,
                missing: a.missing + b.missing,
                offset: a.offset,
            })
            .ok_or("there are no media at all")?
    };
    if expect.headers {
        compare_headers(sent, received)?;
    }
    if expect.metadata {
        let data = |packets: &[Packet]| -> Vec<[u8; 32]> {
            let data = packets.iter().filter(|packet| packet.kind == Kind::Data);
            data.map(|packet| packet.hash).collect()
        };
        if let Some(lost) = data(sent)
            .iter()
            .find(|hash| !data(received).contains(hash))
        {
            let lost = sent.iter().find(|packet| packet.hash == *lost);
            return Err(format!("metadata did not arrive: {}", lost.unwrap()));
        }
    }
    if expect.marks {
        let marks = |packets: &[Packet]| packets.iter().filter(|p| p.is_mark()).count();
        let (sent, received) = (marks(sent), marks(received));
        if sent != received {
            return Err(format!("{sent} marks were sent, {received} arrived"));
        }
    }
    Ok(run)
}

/// [`compare`] that fails the test.
#[track_caller]
pub fn assert_same(sent: &[Packet], received: &[Packet], expect: Expect) -> Run {
    compare(sent, received, expect).unwrap_or_else(|e| panic!("{e}"))
}

fn media(packets: &[Packet], kind: Option<Kind>) -> Vec<&Packet> {
    let media = packets.iter().filter(|packet| packet.is_media());
    media
        .filter(|packet| kind.is_none_or(|kind| packet.kind == kind))
        .collect()
}

fn find(what: &str, sent: &[&Packet], received: &[&Packet], expect: Expect) -> Result<Run, String> {
    let (Some(first), Some(_)) = (received.first(), sent.first()) else {
        let (sent, received) = (sent.len(), received.len());
        return Err(format!("{what}: {sent} packets sent, {received} received"));
    };
    let starts = sent.iter().enumerate();
    let starts = starts.filter(|(_, packet)| same(packet, first, 0, None));
    let mut best: Option<Run> = None;
    for (skipped, start) in starts {
        if expect.from_start && skipped > 0 {
            break;
        }
        let offset = first.dts.wrapping_sub(start.dts);
        let pairs = sent[skipped..].iter().zip(received);
        let matched = pairs
            .take_while(|(sent, received)| same(sent, received, offset, expect.timestamps))
            .count();
        if best.is_none_or(|best| matched > best.matched) {
            best = Some(Run {
                skipped,
                matched,
                missing: sent.len() - skipped - matched,
                offset,
            });
        }
    }
    let Some(run) = best else {
        let why = "what arrived first is not what was sent";
        return Err(report(what, why, sent, 0, received, 0));
    };
    let (here, there) = (run.skipped + run.matched, run.matched);
    if run.matched < received.len() {
        let why = match sent.get(here) {
            None => "more arrived than was sent",
            Some(sent) if same(sent, received[there], 0, None) => "a timestamp is wrong",
            Some(_) => "another packet arrived",
        };
        return Err(report(what, why, sent, here, received, there));
    }
    if expect.to_end && run.missing > 0 {
        return Err(report(
            what,
            "the end is missing",
            sent,
            here,
            received,
            there,
        ));
    }
    if expect.absolute && run.offset != 0 {
        let why = format!("timestamps moved by {} ms", run.offset as i32);
        return Err(report(what, &why, sent, run.skipped, received, 0));
    }
    Ok(run)
}

fn same(sent: &Packet, received: &Packet, offset: u32, tolerance: Option<u32>) -> bool {
    let late = received.dts.wrapping_sub(sent.dts.wrapping_add(offset)) as i32;
    sent.kind == received.kind
        && sent.size == received.size
        && sent.hash == received.hash
        && tolerance.is_none_or(|tolerance| late.unsigned_abs() <= tolerance)
}

fn compare_headers(sent: &[Packet], received: &[Packet]) -> Result<(), String> {
    for kind in [Kind::Audio, Kind::Video] {
        let first = |packets: &[Packet]| {
            let mut packets = packets.iter().filter(|packet| packet.kind == kind);
            packets.find(|packet| packet.config).cloned()
        };
        match (first(sent), first(received)) {
            (None, None) => {}
            (Some(sent), Some(received)) if sent.hash == received.hash => {}
            (sent, received) => {
                let show = |packet: Option<Packet>| {
                    packet.map_or_else(|| "none".to_owned(), |packet| packet.to_string())
                };
                return Err(format!(
                    "{kind:?} header: sent {}, received {}",
                    show(sent),
                    show(received)
                ));
            }
        }
        let mut of_kind = received.iter().filter(|packet| packet.kind == kind);
        let early = of_kind.find(|packet| packet.config || packet.is_media());
        if let Some(early) = early.filter(|packet| first(sent).is_some() && !packet.config) {
            return Err(format!("before its header arrived: {early}"));
        }
    }
    Ok(())
}

/// Shows both lists from a little before the place where they part.
fn report(
    what: &str,
    why: &str,
    sent: &[&Packet],
    here: usize,
    received: &[&Packet],
    there: usize,
) -> String {
    const BEFORE: usize = 3;
    const AFTER: usize = 4;
    let mut text = format!(
        "{what}: {why}, at packet {here} of {} sent, {there} of {} received",
        sent.len(),
        received.len()
    );
    let width = 54;
    let _ = write!(text, "\n      {:width$}received", "sent");
    let back = BEFORE.min(here).min(there);
    for step in 0..back + AFTER {
        let row = |packets: &[&Packet], at: usize| {
            let packet = packets.get(at - back + step);
            packet.map_or_else(String::new, |packet| packet.to_string())
        };
        let (left, right) = (row(sent, here), row(received, there));
        let arrow = if step == back { "-->" } else { "   " };
        let _ = write!(text, "\n  {arrow} {left:width$}{right}");
    }
    text
}

/// One packet as ffprobe sees it, free of the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbedPacket {
    pub kind: Kind,
    /// In ms for FLV, else in the units of the stream.
    pub pts: Option<i64>,
    pub dts: Option<i64>,
    pub size: usize,
    /// `SHA256:` and the hash of the elementary stream's bytes.
    pub hash: String,
}

/// Reads any media file through ffprobe.
#[track_caller]
pub fn probe(path: &Path) -> Vec<ProbedPacket> {
    let mut command = Command::new("ffprobe");
    command.args(["-loglevel", "error", "-show_packets"]);
    command.args(["-show_data_hash", "sha256", "-of", "flat"]);
    let said = Process::start(command.arg(path)).succeed(PATIENCE);
    // packets.packet.NUMBER.FIELD=VALUE, texts in quotes
    let mut packets = Vec::<ProbedPacket>::new();
    for line in said.lines() {
        let field = line.strip_prefix("packets.packet.");
        let field = field.and_then(|line| line.split_once('.'));
        let Some((key, value)) = field.and_then(|(_, field)| field.split_once('=')) else {
            continue;
        };
        let value = value.trim_matches('"');
        if key == "codec_type" {
            packets.push(ProbedPacket {
                kind: match value {
                    "audio" => Kind::Audio,
                    "video" => Kind::Video,
                    _ => Kind::Data,
                },
                pts: None,
                dts: None,
                size: 0,
                hash: String::new(),
            });
        } else if let Some(packet) = packets.last_mut() {
            match key {
                "pts" => packet.pts = value.parse().ok(),
                "dts" => packet.dts = value.parse().ok(),
                "size" => packet.size = value.parse().unwrap_or(0),
                "data_hash" => packet.hash = value.to_owned(),
                _ => {}
            }
        }
    }
    packets
}

/// Checks that two files hold the same elementary streams, packet by packet, whatever their
/// containers; returns how many packets there are.
#[track_caller]
pub fn assert_same_streams(sent: &Path, received: &Path) -> usize {
    let (sent, received) = (probe(sent), probe(received));
    for kind in [Kind::Audio, Kind::Video] {
        let of = |packets: &[ProbedPacket]| -> Vec<(usize, String)> {
            let packets = packets.iter().filter(|packet| packet.kind == kind);
            packets.map(|p| (p.size, p.hash.clone())).collect()
        };
        let (sent, received) = (of(&sent), of(&received));
        let pairs = sent.iter().zip(&received);
        if let Some(at) = pairs.clone().position(|(sent, received)| sent != received) {
            panic!(
                "{kind:?} packet {at}: {:?} became {:?}",
                sent[at], received[at]
            );
        }
        assert_eq!(sent.len(), received.len(), "{kind:?} packets");
    }
    sent.len()
}
