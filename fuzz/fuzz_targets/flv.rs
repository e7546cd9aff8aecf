// SPDX-License-Identifier: MPL-2.0

//! Any bytes as an FLV stream, which must give the same items however it is cut. The corpus is FLV.

#![no_main]

use bytes::Bytes;
use gstrtmp::protocol::flv::{AudioHead, FlvError, Item, Reader, VideoHead};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let whole = read(data, data.len().max(1));
    for size in [1, 2, 11, 1 + data.len() % 61] {
        assert_eq!(read(data, size), whole);
    }
    for item in &whole.0 {
        if let Item::Tag(tag) = item {
            let _ = (tag.is_keyframe(), tag.is_sequence_header());
            let _ = (tag.is_sequence_end(), tag.is_droppable());
        }
    }
    let video = VideoHead::parse(data).map(|head| head.payload);
    let audio = AudioHead::parse(data).map(|head| head.payload);
    assert!(video.max(audio).is_none_or(|payload| payload <= data.len()));
});

fn read(data: &[u8], size: usize) -> (Vec<Item>, Option<FlvError>) {
    let mut reader = Reader::default();
    let mut items = Vec::new();
    for piece in data.chunks(size) {
        reader.push(Bytes::copy_from_slice(piece));
        loop {
            match reader.next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error)),
            }
        }
    }
    assert!(reader.pending() <= data.len());
    (items, None)
}
