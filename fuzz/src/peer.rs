// SPDX-License-Identifier: MPL-2.0

//! A peer that says whatever the input makes it say, in sound chunks or not.

use bytes::{Bytes, BytesMut};
use gstrtmp::protocol::{
    flv::{Tag, TagKind},
    rtmp::{
        amf::{Object, Value, amf0},
        chunk::Encoder,
        message::{Command, Control, LimitType, UserControl, type_id},
        transmit::Transmit,
    },
};

use crate::{Steer, pour};

const NAMES: &[&str] = &[
    "_result",
    "_error",
    "onStatus",
    "connect",
    "createStream",
    "initStream",
    "publish",
    "play",
    "closeStream",
    "deleteStream",
    "FCPublish",
    "FCUnpublish",
    "FCSubscribe",
    "releaseStream",
    "getStreamLength",
    "_checkbw",
    "pause",
    "seek",
    "close",
    "onBWDone",
    "onBWCheck",
    "onFCPublish",
    "onMetaData",
    "onPlayStatus",
    "@setDataFrame",
    "nonsense",
    "",
];

const KEYS: &[&str] = &[
    "code",
    "level",
    "description",
    "app",
    "tcUrl",
    "objectEncoding",
    "secureToken",
    "details",
    "",
];

const TEXTS: &[&str] = &[
    "",
    "live",
    "cam",
    "error",
    "status",
    "warning",
    "rtmp://localhost/live",
    "NetConnection.Connect.Success",
    "NetConnection.Connect.Rejected",
    "NetConnection.Connect.Closed",
    "NetConnection.Connect.AppShutdown",
    "NetConnection.Connect.ReconnectRequest",
    "NetConnection.Connect.InvalidApp",
    "NetStream.Publish.Start",
    "NetStream.Publish.BadName",
    "NetStream.Play.Start",
    "NetStream.Play.Reset",
    "NetStream.Play.Stop",
    "NetStream.Play.Complete",
    "NetStream.Play.StreamNotFound",
    "NetStream.Play.UnpublishNotify",
    "NetStream.Play.Failed",
    "NetStream.Seek.Notify",
    "NetStream.Seek.Failed",
    "NetStream.Seek.InvalidTime",
    "NetStream.Record.NoAccess",
    "NetStream.Pause.Notify",
    "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ",
    "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=u&salt=a&challenge=b&opaque=c",
    "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed",
    "[ AccessManager.Reject ] : [ code=403 need auth; authmod=llnw ] : ",
    "[ AccessManager.Reject ] : [ authmod=llnw ] : ?reason=needauth&user=u&nonce=0123",
    "0123456789abcdef0123456789abcdef",
];

const NUMBERS: &[u32] = &[
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    63,
    64,
    100,
    128,
    4096,
    65_536,
    2_500_000,
    0xff_fffe,
    0xff_ffff,
    0x100_0000,
    0x7fff_ffff,
    0x8000_0000,
    u32::MAX,
];

const USER_EVENTS: &[fn(u32) -> UserControl] = &[
    UserControl::StreamBegin,
    UserControl::StreamEof,
    UserControl::StreamDry,
    |ms| UserControl::SetBufferLength { stream_id: 1, ms },
    UserControl::StreamIsRecorded,
    UserControl::PingRequest,
    UserControl::PingResponse,
    |method| UserControl::SwfVerifyRequest(method as u8),
    |_| UserControl::SwfVerifyResponse(Bytes::from_static(&[1; 42])),
    UserControl::BufferEmpty,
    UserControl::BufferReady,
    |event| UserControl::Unknown(event as u16),
];

/// The side that is not under test.
#[derive(Debug, Default)]
pub struct Peer {
    encoder: Encoder,
    /// What was said and not yet handed over.
    pub wire: Vec<u8>,
    last: Option<(u8, Bytes)>,
}

impl Peer {
    /// Says one thing.
    pub fn say(&mut self, steer: &mut Steer<'_>) {
        match steer.below(9) {
            0 => self.wire.extend(steer.bytes()),
            1 => {
                let command = command(steer);
                self.command(steer.below(4) as u32, &command);
            }
            2 => {
                let body = [&[0], command(steer).to_body().as_ref()].concat();
                self.message(steer, type_id::COMMAND_AMF3, body.into());
            }
            3 => self.control(steer),
            4 => {
                let event = steer.one_of(USER_EVENTS)(number(steer));
                self.message(steer, type_id::USER_CONTROL, event.to_body());
            }
            5 => {
                let kind = steer.one_of(&[8, 9, 15, 16, 18, 19, 22]);
                let body = Bytes::copy_from_slice(steer.bytes());
                self.message(steer, kind, body);
            }
            6 => {
                let mut body = BytesMut::new();
                for _ in 0..=steer.below(3) {
                    amf0::encode(&value(steer, 3), &mut body);
                }
                let kind = steer.one_of(&[type_id::DATA, type_id::DATA_AMF3]);
                let zero = kind == type_id::DATA_AMF3;
                let body = [&[0][..usize::from(zero)], &body].concat();
                self.message(steer, kind, body.into());
            }
            7 => self.aggregate(steer),
            _ => {
                let Some((kind, body)) = self.last.clone() else {
                    return;
                };
                for _ in 0..=steer.byte() / 4 {
                    self.send(2, 0, kind, 1, &body);
                }
            }
        }
    }

    /// Says a command on a message stream.
    pub fn command(&mut self, stream_id: u32, command: &Command) {
        let body = command.to_body();
        self.last = Some((type_id::COMMAND, body.clone()));
        self.send(3, 0, type_id::COMMAND, stream_id, &body);
    }

    fn control(&mut self, steer: &mut Steer<'_>) {
        let kind = steer.below(5);
        let number = number(steer);
        let control = match kind {
            0 => Control::SetChunkSize(number),
            1 => Control::Abort(number),
            2 => Control::Acknowledgement(number),
            3 => Control::WindowAckSize(number),
            _ => Control::SetPeerBandwidth {
                window: number,
                limit: match steer.byte() {
                    0 => LimitType::Hard,
                    1 => LimitType::Soft,
                    2 => LimitType::Dynamic,
                    other => LimitType::Unknown(other),
                },
            },
        };
        let (kind, body) = control.to_message();
        self.send(2, 0, kind, 0, &body);
        if let Control::SetChunkSize(size @ 64..0x8000_0000) = control {
            self.encoder.set_chunk_size(size as usize);
        }
    }

    fn aggregate(&mut self, steer: &mut Steer<'_>) {
        let mut body = Vec::new();
        for _ in 0..steer.below(8) {
            let kind = steer.one_of(&[TagKind::Audio, TagKind::Video, TagKind::Data]);
            let time = number(steer);
            body.extend(
                Tag::new(kind, time, steer.bytes())
                    .expect("it is short")
                    .into_flv(),
            );
        }
        // Something may be missing.
        body.truncate(body.len().saturating_sub(steer.below(6)));
        self.message(steer, type_id::AGGREGATE, body.into());
    }

    fn message(&mut self, steer: &mut Steer<'_>, kind: u8, body: Bytes) {
        let csid = steer.one_of(&[2, 3, 4, 6, 64, 320]);
        let timestamp = number(steer);
        let stream_id = steer.below(4) as u32;
        self.last = Some((kind, body.clone()));
        self.send(csid, timestamp, kind, stream_id, &body);
    }

    fn send(&mut self, csid: u32, timestamp: u32, kind: u8, stream_id: u32, body: &Bytes) {
        let mut out = Transmit::default();
        self.encoder
            .encode(csid, timestamp, kind, stream_id, body, &mut out);
        pour(&mut out, &mut self.wire);
    }
}

fn command(steer: &mut Steer<'_>) -> Command {
    let name = steer.one_of(NAMES);
    let transaction = match steer.below(12) {
        11 => f64::from_bits(u64::from(steer.u32()) << 32),
        small => small as f64,
    };
    Command {
        name: name.to_owned(),
        transaction,
        object: value(steer, 3),
        arguments: (0..steer.below(4)).map(|_| value(steer, 3)).collect(),
    }
}

fn number(steer: &mut Steer<'_>) -> u32 {
    match steer.below(NUMBERS.len() + 1) {
        own if own == NUMBERS.len() => steer.u32(),
        usual => NUMBERS[usual],
    }
}

fn text(steer: &mut Steer<'_>) -> String {
    match steer.below(TEXTS.len() + 2) {
        own if own == TEXTS.len() => String::from_utf8_lossy(steer.bytes()).into_owned(),
        own if own > TEXTS.len() => "n".repeat(40 * usize::from(steer.byte())),
        usual => TEXTS[usual].to_owned(),
    }
}

fn value(steer: &mut Steer<'_>, depth: usize) -> Value {
    match steer.below(if depth > 0 { 9 } else { 6 }) {
        0 => Value::Null,
        1 => Value::String(text(steer)),
        2 => Value::Number(number(steer).into()),
        3 => Value::Number(f64::from_bits(u64::from(steer.u32()) << 32)),
        4 => Value::Boolean(steer.byte() & 1 == 1),
        5 => Value::String(steer.one_of(NAMES).to_owned()),
        6 => Value::EcmaArray(object(steer, depth - 1)),
        7 => Value::StrictArray(
            (0..steer.below(8))
                .map(|_| value(steer, depth - 1))
                .collect(),
        ),
        _ => Value::Object(object(steer, depth - 1)),
    }
}

fn object(steer: &mut Steer<'_>, depth: usize) -> Object {
    let mut object = Object::default();
    for _ in 0..steer.below(6) {
        let key = steer.one_of(KEYS);
        object.push(key, value(steer, depth));
    }
    object
}
