// SPDX-License-Identifier: MPL-2.0

//! Bytes as a peer sends them, put together by hand so that they can be wrong.

/// Bytes of payload per chunk as long as nobody says otherwise.
const CHUNK: usize = 128;

pub(super) const NULL: &[u8] = &[5];

/// A type 0 chunk: any header over any body.
pub(super) fn chunk(
    csid: u8,
    time: u32,
    length: u32,
    type_id: u8,
    stream_id: u32,
    body: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![csid];
    bytes.extend(&time.min(0xff_ffff).to_be_bytes()[1..]);
    bytes.extend(&length.to_be_bytes()[1..]);
    bytes.push(type_id);
    bytes.extend(stream_id.to_le_bytes());
    if time >= 0xff_ffff {
        bytes.extend(time.to_be_bytes());
    }
    bytes.extend(body);
    bytes
}

/// A whole message at time 0, in as many chunks as it takes.
pub(super) fn message(csid: u8, type_id: u8, stream_id: u32, body: &[u8]) -> Vec<u8> {
    let (first, rest) = body.split_at(body.len().min(CHUNK));
    let mut bytes = chunk(csid, 0, body.len() as u32, type_id, stream_id, first);
    for piece in rest.chunks(CHUNK) {
        bytes.push(0xc0 | csid);
        bytes.extend(piece);
    }
    bytes
}

/// A command from its name, its transaction id and values that are encoded already.
pub(super) fn command(stream_id: u32, name: &str, transaction: f64, values: &[Vec<u8>]) -> Vec<u8> {
    let body = [text(name), number(transaction), values.concat()].concat();
    message(3, 20, stream_id, &body)
}

pub(super) fn number(value: f64) -> Vec<u8> {
    [&[0], value.to_be_bytes().as_slice()].concat()
}

/// A string, short or long.
pub(super) fn text(text: &str) -> Vec<u8> {
    match u16::try_from(text.len()) {
        Ok(len) => [&[2], len.to_be_bytes().as_slice(), text.as_bytes()].concat(),
        Err(_) => {
            let len = text.len() as u32;
            [&[12], len.to_be_bytes().as_slice(), text.as_bytes()].concat()
        }
    }
}

pub(super) fn object(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![3];
    for (key, value) in pairs {
        bytes.extend(&text(key)[1..]);
        bytes.extend(value);
    }
    bytes.extend([0, 0, 9]);
    bytes
}

/// `onStatus` with this code on message stream 1.
pub(super) fn on_status(level: &str, code: &str) -> Vec<u8> {
    let info = object(&[("level", text(level)), ("code", text(code))]);
    command(1, "onStatus", 0.0, &[NULL.to_vec(), info])
}

/// A user control message.
pub(super) fn user_control(event: u16, data: &[u8]) -> Vec<u8> {
    message(2, 4, 0, &[&event.to_be_bytes(), data].concat())
}

/// A sub-message of an aggregate, with its size and back-pointer as told.
pub(super) fn sub_message(type_id: u8, size: u32, time: u32, body: &[u8], back: u32) -> Vec<u8> {
    let [t3, t2, t1, t0] = time.to_be_bytes();
    let mut bytes = vec![type_id];
    bytes.extend(&size.to_be_bytes()[1..]);
    bytes.extend([t2, t1, t0, t3, 0, 0, 0]);
    bytes.extend(body);
    bytes.extend(back.to_be_bytes());
    bytes
}
