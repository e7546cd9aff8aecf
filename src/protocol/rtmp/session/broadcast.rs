// SPDX-License-Identifier: MPL-2.0

//! Messages for many players at once: chunked one time, and good for whoever joins or leaves out some.
//!
//! Each begins with a whole header (type 0, RTMP 1.0 section 5.3.1.2.1), so that it does not matter what
//! a player was sent before. All are on message stream 1, the first that a client is given; the few that
//! play on another one have theirs [readdressed](readdress).

use bytes::{BufMut, Bytes, BytesMut};

use super::{link::csid_of, server::information};
use crate::protocol::{
    flv::Tag,
    rtmp::message::{Command, type_id},
};

/// The message stream that everything here is on.
pub const STREAM_ID: u32 = 1;

/// Chunk stream of what is said of the stream, not of the media's.
const CSID_STATUS: u32 = 9;
/// A 24-bit timestamp field with this value says that 32 bits follow.
const EXTENDED: u32 = 0xff_ffff;
/// Basic header of one byte and message header of type 0.
const HEAD: usize = 12;

/// A tag as a message, in chunks of this size, appended to `out`.
pub fn tag(tag: &Tag, chunk_size: usize, out: &mut BytesMut) {
    let kind = tag.kind();
    message(
        csid_of(kind) as u8,
        kind as u8,
        tag.timestamp(),
        tag.body(),
        chunk_size,
        out,
    );
}

/// An `onStatus` such as `NetStream.Play.UnpublishNotify`, appended to `out`.
pub fn status(code: &str, description: &str, chunk_size: usize, out: &mut BytesMut) {
    let info = information(code, description);
    let body = Command::new("onStatus", 0.0, vec![info.into()]).to_body();
    message(
        CSID_STATUS as u8,
        type_id::COMMAND,
        0,
        &body,
        chunk_size,
        out,
    );
}

fn message(
    csid: u8,
    type_id: u8,
    timestamp: u32,
    body: &[u8],
    chunk_size: usize,
    out: &mut BytesMut,
) {
    let chunk_size = chunk_size.max(1);
    let chunks = body.len().div_ceil(chunk_size);
    out.reserve(HEAD + body.len() + chunks * 5);
    let extension = (timestamp >= EXTENDED).then_some(timestamp);
    out.put_u8(csid);
    out.put_uint(u64::from(timestamp.min(EXTENDED)), 3);
    out.put_uint(body.len() as u64, 3);
    out.put_u8(type_id);
    out.put_u32_le(STREAM_ID);
    out.extend(extension.into_iter().flat_map(u32::to_be_bytes));
    for (number, chunk) in body.chunks(chunk_size).enumerate() {
        if number > 0 {
            out.put_u8(0xc0 | csid);
            out.extend(extension.into_iter().flat_map(u32::to_be_bytes));
        }
        out.extend_from_slice(chunk);
    }
}

/// The same messages, whole ones made here in chunks of this size, on another message stream.
pub fn readdress(messages: &[u8], chunk_size: usize, stream_id: u32) -> Bytes {
    let mut out = BytesMut::from(messages);
    let chunk_size = chunk_size.max(1);
    let mut at = 0;
    while let Some(head) = out.get_mut(at..at + HEAD) {
        let be24 = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | *byte as usize);
        let extended = be24(&head[1..4]) as u32 == EXTENDED;
        let length = be24(&head[4..7]);
        head[8..12].copy_from_slice(&stream_id.to_le_bytes());
        let extension = if extended { 4 } else { 0 };
        let continued = length.div_ceil(chunk_size).saturating_sub(1);
        at += HEAD + extension + length + continued * (1 + extension);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{
        flv::TagKind,
        rtmp::chunk::{Decoder, DecoderLimits},
    };

    #[test]
    fn any_message_can_be_the_first() {
        for chunk_size in [128, 4096, 65536] {
            for time in [0, 7, 0xff_fffe, 0xff_ffff, 0x8000_0001] {
                let sizes = [0, 1, 127, 128, 129, 70_000];
                let tags =
                    sizes.map(|size| Tag::new(TagKind::Video, time, &vec![7; size]).unwrap());
                let mut bytes = BytesMut::new();
                tags.iter().for_each(|t| tag(t, chunk_size, &mut bytes));
                status(
                    "NetStream.Play.PublishNotify",
                    "x is back.",
                    chunk_size,
                    &mut bytes,
                );
                for stream_id in [1, 3] {
                    let bytes = match stream_id {
                        1 => bytes.clone().freeze(),
                        other => readdress(&bytes, chunk_size, other),
                    };
                    let mut decoder = Decoder::new(DecoderLimits::default());
                    decoder.set_chunk_size(chunk_size as u32).unwrap();
                    let mut input = bytes.as_ref();
                    for tag in &tags {
                        let message = decoder.decode(&mut input).unwrap().unwrap();
                        assert_eq!(message.stream_id, stream_id);
                        assert_eq!(message.into_tag().as_ref(), Some(tag));
                    }
                    let message = decoder.decode(&mut input).unwrap().unwrap();
                    let command = Command::parse(message.type_id, message.payload()).unwrap();
                    assert_eq!((message.stream_id, &*command.name), (stream_id, "onStatus"));
                    assert!(input.is_empty());
                }
            }
        }
    }
}
