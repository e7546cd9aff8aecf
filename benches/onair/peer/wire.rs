// SPDX-License-Identifier: MPL-2.0

//! Handshake, chunks and the few commands, as far as a client needs them answered
//! (Adobe RTMP 1.0, sections 5.2, 5.3, 5.4 and 7.2).

use std::collections::HashMap;
use std::io;

use super::Stream;

pub(crate) const AUDIO: u8 = 8;
pub(crate) const VIDEO: u8 = 9;
pub(crate) const DATA: u8 = 18;
pub(crate) const SET_CHUNK_SIZE: u8 = 1;
const USER_CONTROL: u8 = 4;
const WINDOW_ACK_SIZE: u8 = 5;
const SET_PEER_BANDWIDTH: u8 = 6;
const COMMAND: u8 = 20;
const COMMAND_AMF3: u8 = 17;

const DEFAULT_CHUNK: usize = 128;
const STREAM_ID: u32 = 1;

/// What a client came for, with the stream's name.
#[derive(Debug)]
pub(crate) enum Wish {
    Publish,
    Play(String),
}

/// Shakes hands and answers commands until the client publishes or plays. The second value is the
/// number of bytes that were read beyond that command.
pub(crate) fn negotiate(stream: &mut dyn Stream, chunk: usize) -> io::Result<(Wish, u64)> {
    let mut input = Input::new(stream);
    input.handshake()?;
    loop {
        let message = input.message()?;
        let body = match message.kind {
            COMMAND => message.body.as_slice(),
            COMMAND_AMF3 => message.body.get(1..).unwrap_or_default(),
            _ => continue,
        };
        let Some((name, rest)) = amf_string(body) else {
            continue;
        };
        let transaction = rest
            .get(1..9)
            .and_then(|b| b.try_into().ok())
            .map_or(0.0, f64::from_be_bytes);
        let mut out = Vec::new();
        match name.as_str() {
            "connect" => {
                put(
                    &mut out,
                    2,
                    WINDOW_ACK_SIZE,
                    0,
                    &2_500_000_u32.to_be_bytes(),
                );
                put(
                    &mut out,
                    2,
                    SET_PEER_BANDWIDTH,
                    0,
                    &[0, 0x26, 0x25, 0xa0, 2],
                );
                if chunk != DEFAULT_CHUNK {
                    put(
                        &mut out,
                        2,
                        SET_CHUNK_SIZE,
                        0,
                        &(chunk as u32).to_be_bytes(),
                    );
                }
                let mut body = amf(&[Str("_result"), Num(transaction)]);
                object(
                    &mut body,
                    &[
                        ("fmsVer", Str("FMS/3,0,1,123")),
                        ("capabilities", Num(31.0)),
                    ],
                );
                object(
                    &mut body,
                    &[
                        ("level", Str("status")),
                        ("code", Str("NetConnection.Connect.Success")),
                        ("description", Str("Connection succeeded.")),
                        ("objectEncoding", Num(0.0)),
                    ],
                );
                put_chunked(&mut out, 3, 0, COMMAND, 0, &body, chunk);
            }
            "createStream" => {
                let body = amf(&[
                    Str("_result"),
                    Num(transaction),
                    Null,
                    Num(STREAM_ID.into()),
                ]);
                put_chunked(&mut out, 3, 0, COMMAND, 0, &body, chunk);
            }
            "getStreamLength" => {
                let body = amf(&[Str("_result"), Num(transaction), Null, Num(0.0)]);
                put_chunked(&mut out, 3, 0, COMMAND, 0, &body, chunk);
            }
            "publish" => {
                on_status(&mut out, "NetStream.Publish.Start", chunk);
                input.stream.write_all(&out)?;
                input.stream.flush()?;
                return Ok((Wish::Publish, input.left()));
            }
            "play" => {
                put(&mut out, 2, USER_CONTROL, 0, &[0, 0, 0, 0, 0, 1]);
                on_status(&mut out, "NetStream.Play.Reset", chunk);
                on_status(&mut out, "NetStream.Play.Start", chunk);
                input.stream.write_all(&out)?;
                input.stream.flush()?;
                let name = rest.get(10..).and_then(amf_string).map(|(name, _)| name);
                return Ok((Wish::Play(name.unwrap_or_default()), input.left()));
            }
            _ => {}
        }
        input.stream.write_all(&out)?;
        input.stream.flush()?;
    }
}

/// All that a player says behind the handshake, without waiting for answers.
pub(crate) fn play(port: u16, stream: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut connect = amf(&[Str("connect"), Num(1.0)]);
    let url = format!("rtmp://127.0.0.1:{port}/live");
    connect.push(3);
    for (key, text) in [
        ("app", "live"),
        ("tcUrl", &*url),
        ("flashVer", "LNX 9,0,124,2"),
    ] {
        amf_key(&mut connect, key);
        connect.push(2);
        amf_key(&mut connect, text);
    }
    connect.extend_from_slice(&[0, 0, 9]);
    put(&mut out, 3, COMMAND, 0, &connect);
    let create = amf(&[Str("createStream"), Num(2.0), Null]);
    put(&mut out, 3, COMMAND, 0, &create);
    let mut play = amf(&[Str("play"), Num(0.0), Null]);
    play.push(2);
    amf_key(&mut play, stream);
    put(&mut out, 8, COMMAND, STREAM_ID, &play);
    out
}

/// The end of a recorded stream as servers announce it.
pub(crate) fn goodbye(chunk: usize) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 2, USER_CONTROL, 0, &[0, 1, 0, 0, 0, 1]);
    on_status(&mut out, "NetStream.Play.Stop", chunk);
    out
}

/// Appends an FLV tag as a message on the media stream.
pub(crate) fn put_tag(out: &mut Vec<u8>, kind: u8, time_ms: u32, body: &[u8], chunk: usize) {
    let csid = match kind {
        AUDIO => 4,
        VIDEO => 6,
        _ => 5,
    };
    put_chunked(out, csid, time_ms, kind, STREAM_ID, body, chunk);
}

/// Length of the head that [`put_tag`] starts with; the time is in its bytes 1 to 3.
pub(crate) const TAG_HEAD: usize = 12;

fn put(out: &mut Vec<u8>, csid: u8, kind: u8, stream_id: u32, body: &[u8]) {
    put_chunked(out, csid, 0, kind, stream_id, body, DEFAULT_CHUNK);
}

/// One message: a full head, then heads of one byte. Times must stay below 2^24 - 1 ms.
fn put_chunked(
    out: &mut Vec<u8>,
    csid: u8,
    time_ms: u32,
    kind: u8,
    stream_id: u32,
    body: &[u8],
    chunk: usize,
) {
    out.push(csid);
    out.extend_from_slice(&time_ms.to_be_bytes()[1..]);
    out.extend_from_slice(&(body.len() as u32).to_be_bytes()[1..]);
    out.push(kind);
    out.extend_from_slice(&stream_id.to_le_bytes());
    for (index, piece) in body.chunks(chunk).enumerate() {
        if index > 0 {
            out.push(0xc0 | csid);
        }
        out.extend_from_slice(piece);
    }
}

fn on_status(out: &mut Vec<u8>, code: &'static str, chunk: usize) {
    let mut body = amf(&[Str("onStatus"), Num(0.0), Null]);
    object(
        &mut body,
        &[
            ("level", Str("status")),
            ("code", Str(code)),
            ("description", Str("bench")),
        ],
    );
    put_chunked(out, 5, 0, COMMAND, STREAM_ID, &body, chunk);
}

enum Amf {
    Str(&'static str),
    Num(f64),
    Null,
}
use Amf::{Null, Num, Str};

fn amf(values: &[Amf]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        amf_value(&mut out, value);
    }
    out
}

fn amf_value(out: &mut Vec<u8>, value: &Amf) {
    match value {
        Str(text) => {
            out.push(2);
            amf_key(out, text);
        }
        Num(number) => {
            out.push(0);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Null => out.push(5),
    }
}

fn amf_key(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn object(out: &mut Vec<u8>, pairs: &[(&str, Amf)]) {
    out.push(3);
    for (key, value) in pairs {
        amf_key(out, key);
        amf_value(out, value);
    }
    out.extend_from_slice(&[0, 0, 9]);
}

/// A leading AMF0 string and what follows it.
fn amf_string(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<3>()?;
    if head[0] != 2 {
        return None;
    }
    let (text, rest) = rest.split_at_checked(u16::from_be_bytes([head[1], head[2]]).into())?;
    Some((String::from_utf8_lossy(text).into_owned(), rest))
}

#[derive(Debug, Default)]
struct Message {
    kind: u8,
    body: Vec<u8>,
}

/// The state of one chunk stream of the client's.
#[derive(Debug, Default)]
struct Partial {
    kind: u8,
    length: usize,
    extended: bool,
    body: Vec<u8>,
}

struct Input<'a> {
    stream: &'a mut dyn Stream,
    space: Vec<u8>,
    start: usize,
    chunk: usize,
    partial: HashMap<u32, Partial>,
}

impl<'a> Input<'a> {
    fn new(stream: &'a mut dyn Stream) -> Self {
        Self {
            stream,
            space: Vec::new(),
            start: 0,
            chunk: DEFAULT_CHUNK,
            partial: HashMap::new(),
        }
    }

    /// Plain handshake. A zero version field in S1 tells clients that there is no digest.
    fn handshake(&mut self) -> io::Result<()> {
        let c0c1 = self.take(1537)?;
        let mut reply = vec![3];
        reply.extend_from_slice(&[0; 8]);
        reply.extend((0..1528_u32).map(|i| (i * 31) as u8));
        reply.extend_from_slice(&c0c1[1..]);
        self.stream.write_all(&reply)?;
        self.stream.flush()?;
        self.take(1536)?;
        Ok(())
    }

    fn message(&mut self) -> io::Result<Message> {
        loop {
            let first = self.take(1)?[0];
            let csid = match first & 0x3f {
                0 => 64 + u32::from(self.take(1)?[0]),
                1 => {
                    let more = self.take(2)?;
                    64 + u32::from(more[0]) + 256 * u32::from(more[1])
                }
                short => short.into(),
            };
            let head = self.take([11, 7, 3, 0][usize::from(first >> 6)])?;
            let partial = self.partial.entry(csid).or_default();
            if head.len() >= 7 {
                partial.length = u32::from_be_bytes([0, head[3], head[4], head[5]]) as usize;
                partial.kind = head[6];
            }
            if head.len() >= 3 {
                partial.extended = head[..3] == [0xff; 3];
            }
            let extended = partial.extended;
            let wanted = (partial.length - partial.body.len()).min(self.chunk);
            if extended {
                self.take(4)?;
            }
            let piece = self.take(wanted)?;
            let Some(partial) = self.partial.get_mut(&csid) else {
                continue;
            };
            partial.body.extend_from_slice(&piece);
            if partial.body.len() < partial.length {
                continue;
            }
            let message = Message {
                kind: partial.kind,
                body: std::mem::take(&mut partial.body),
            };
            if message.kind == SET_CHUNK_SIZE
                && let Some(size) = message.body.first_chunk()
            {
                self.chunk = u32::from_be_bytes(*size).max(1) as usize;
            }
            return Ok(message);
        }
    }

    fn take(&mut self, n: usize) -> io::Result<Vec<u8>> {
        while self.space.len() - self.start < n {
            let mut more = [0; 8192];
            let got = self.stream.read(&mut more)?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.space.extend_from_slice(&more[..got]);
        }
        let taken = self.space[self.start..self.start + n].to_vec();
        self.start += n;
        Ok(taken)
    }

    fn left(&self) -> u64 {
        (self.space.len() - self.start) as u64
    }
}
