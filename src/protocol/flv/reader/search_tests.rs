// SPDX-License-Identifier: MPL-2.0

use proptest::prelude::*;

use super::*;

const HEADER: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";

fn tag(n: u8, len: usize) -> Tag {
    let kind = [TagKind::Audio, TagKind::Video, TagKind::Data][usize::from(n % 3)];
    Tag::new(kind, u32::from(n) * 40, &vec![n | 0x80; len]).unwrap()
}

fn read(reader: &mut Reader, bytes: &[u8], size: usize) -> Vec<Item> {
    let mut items = Vec::new();
    for piece in bytes.chunks(size) {
        reader.push(Bytes::copy_from_slice(piece));
        while let Some(item) = reader.next().unwrap() {
            items.push(item);
        }
    }
    reader.end();
    while let Some(item) = reader.next().unwrap() {
        items.push(item);
    }
    items
}

fn tags(items: &[Item]) -> Vec<Tag> {
    let tag = |item: &Item| match item {
        Item::Tag(tag) => Some(tag.clone()),
        _ => None,
    };
    items.iter().filter_map(tag).collect()
}

#[test]
fn what_is_encrypted_is_said_to_be() {
    let mut encrypted = tag(1, 50).as_flv().to_vec();
    encrypted[0] |= FILTER;
    let mut reader = Reader::searching();
    let bytes = [HEADER, tag(0, 50).as_flv(), &encrypted].concat();
    let mut result = Ok(None);
    for byte in &bytes {
        reader.push(Bytes::copy_from_slice(&[*byte]));
        result = reader.next();
        if result.is_err() {
            break;
        }
        while let Ok(Some(_)) = reader.next() {}
    }
    assert_eq!(result, Err(FlvError::Encrypted));
}

#[test]
fn junk_between_tags_is_skipped_and_counted() {
    for junk in [
        vec![0xff; 100],
        vec![9; 1000],
        // Claims four megabytes, and would swallow all that follows.
        b"\x09\x3f\xff\xff\0\0\0\0\0\0\0".to_vec(),
        b"FLW".to_vec(),
        // Looks encrypted.
        vec![0x20],
        vec![0x29],
        // An unknown type on no stream.
        b"\x07\0\0\x01\0\0\0\0\x01\x02\x03zzzzz".to_vec(),
    ] {
        let good: Vec<Tag> = (0..6).map(|n| tag(n, 50 + usize::from(n))).collect();
        let mut bytes = HEADER.to_vec();
        for (n, tag) in good.iter().enumerate() {
            bytes.extend_from_slice(tag.as_flv());
            if n == 2 {
                bytes.extend_from_slice(&junk);
            }
        }
        for size in [1, 7, 4096] {
            let mut reader = Reader::searching();
            let items = read(&mut reader, &bytes, size);
            let skipped = items.iter().find_map(|item| match item {
                Item::Skipped(bytes) => Some(*bytes),
                _ => None,
            });
            if junk.starts_with(&[9, 0x3f]) {
                // It is a tag until the stream ends.
                assert_eq!(tags(&items), good[..3], "{size}");
                continue;
            }
            assert_eq!(tags(&items), good, "{size} {junk:x?}");
            assert_eq!(skipped, Some(junk.len()), "{size}");
            assert_eq!(reader.position(), bytes.len() as u64);
        }
    }
}

#[test]
fn a_search_begins_anywhere() {
    let good: Vec<Tag> = (0..4).map(|n| tag(n, 30)).collect();
    let bytes: Vec<u8> = good.iter().flat_map(|tag| tag.as_flv().to_vec()).collect();
    for from in 0..bytes.len() {
        let mut reader = Reader::searching();
        reader.restart(from as u64);
        let items = read(&mut reader, &bytes[from..], 16);
        let first = from.div_ceil(45);
        assert_eq!(tags(&items), good[first..], "{from}");
        assert_eq!(reader.position(), bytes.len() as u64);
    }
}

#[test]
fn wrong_back_pointers_are_made_up_for_by_the_next_tag() {
    let mut bytes = HEADER.to_vec();
    bytes.extend_from_slice(tag(0, 20).as_flv());
    bytes.extend_from_slice(&[0xee; 10]);
    for n in 1..4 {
        let flv = tag(n, 20).into_flv();
        bytes.extend_from_slice(&flv[..flv.len() - 4]);
        bytes.extend_from_slice(&[0; 4]);
    }
    let items = read(&mut Reader::searching(), &bytes, 64);
    assert_eq!(tags(&items).len(), 4);
}

#[test]
fn an_incomplete_tag_can_be_read_again() {
    let flv = tag(1, 500).into_flv();
    let mut reader = Reader::searching();
    reader.push(Bytes::from_static(HEADER));
    reader.push(flv.slice(..200));
    assert!(matches!(reader.next(), Ok(Some(Item::Header { .. }))));
    assert_eq!(reader.next(), Ok(None));
    assert_eq!(reader.wanted(), Some(flv.len()));
    assert_eq!(reader.position(), HEADER.len() as u64);
    assert!(reader.unread());
    assert_eq!((reader.pending(), reader.wanted()), (0, None));
    reader.push(flv);
    assert_eq!(reader.next(), Ok(Some(Item::Tag(tag(1, 500)))));
}

#[test]
fn strangers_are_refused_all_the_same() {
    let mut reader = Reader::searching();
    reader.push(Bytes::from_static(b"GIF89a and more"));
    assert_eq!(reader.next(), Err(FlvError::NotFlv));
}

proptest! {
    #[test]
    fn tags_around_any_junk_are_found(
        junk in prop::collection::vec(any::<u8>(), 0..200),
        size in 1usize..64,
    ) {
        let mut bytes = HEADER.to_vec();
        bytes.extend_from_slice(tag(0, 40).as_flv());
        bytes.extend_from_slice(&junk);
        for n in 1..40 {
            bytes.extend_from_slice(tag(n, 40).as_flv());
        }
        let items = read(&mut Reader::searching(), &bytes, size);
        let found = tags(&items);
        prop_assert_eq!(found.first(), Some(&tag(0, 40)));
        // Junk that happens to be the head of a tag takes some with it, though not its neighbours
        // for ever.
        let covered: usize = items.iter().map(|item| match item {
            Item::Header { .. } => HEADER.len(),
            Item::Tag(tag) => tag.as_flv().len(),
            Item::Skipped(bytes) => *bytes,
            Item::Spanning(tag) => tag.flv_len(),
        }).sum();
        prop_assert!(covered <= bytes.len());
    }
}
