// SPDX-License-Identifier: MPL-2.0

use proptest::prelude::*;

use super::*;

const HEADER: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";

fn tag(kind: TagKind, timestamp: u32, body: &[u8]) -> Tag {
    Tag::new(kind, timestamp, body).unwrap()
}

fn read(pieces: impl IntoIterator<Item = Bytes>) -> Result<Vec<Item>, FlvError> {
    let mut reader = Reader::default();
    let mut items = Vec::new();
    for piece in pieces {
        reader.push(piece);
        while let Some(item) = reader.next()? {
            items.push(item);
        }
    }
    Ok(items)
}

fn whole(bytes: &[u8]) -> Result<Vec<Item>, FlvError> {
    let found = read([Bytes::copy_from_slice(bytes)]);
    let bytewise = read(bytes.iter().map(|&b| Bytes::copy_from_slice(&[b])));
    assert_eq!(found, bytewise);
    found
}

fn both() -> Item {
    Item::Header {
        audio: true,
        video: true,
    }
}

#[test]
fn a_tag_inside_one_piece_is_not_copied() {
    let tags = [
        tag(TagKind::Video, 1, &[1; 40]),
        tag(TagKind::Audio, 2, &[2; 30]),
    ];
    let piece = Bytes::from([tags[0].as_flv().as_ref(), tags[1].as_flv()].concat());
    let range = piece.as_ptr_range();
    let items = read([piece]).unwrap();
    assert_eq!(items.len(), 2);
    for (item, tag) in items.iter().zip(&tags) {
        let Item::Tag(found) = item else { panic!() };
        assert_eq!(found, tag);
        assert!(range.contains(&found.as_flv().as_ptr()));
    }
}

#[test]
fn sloppy_writers_are_read() {
    let one = tag(TagKind::Audio, 7, &[0xaf, 1, 9]);
    let flv = one.as_flv().as_ref();
    let expected = Item::Tag(one.clone());
    for (name, bytes) in [
        ("no first back-pointer", [&HEADER[..9], flv].concat()),
        (
            "wrong first back-pointer",
            [&HEADER[..9], &[0, 1, 2, 3], flv].concat(),
        ),
        (
            "offset 0",
            [b"FLV\x01\x05\0\0\0\0\0\0\0\0".as_slice(), flv].concat(),
        ),
        (
            "offset 13",
            [b"FLV\x01\x05\0\0\0\x0d\0\0\0\0".as_slice(), flv].concat(),
        ),
        (
            "offset 2^32-1",
            [b"FLV\x01\x05\xff\xff\xff\xff\0\0\0\0".as_slice(), flv].concat(),
        ),
        (
            "longer header",
            [b"FLV\x02\x05\0\0\0\x0cabc\0\0\0\0".as_slice(), flv].concat(),
        ),
    ] {
        assert_eq!(whole(&bytes), Ok(vec![both(), expected.clone()]), "{name}");
    }
    assert_eq!(whole(flv), Ok(vec![expected.clone()]), "no header");

    let mut back_pointer = flv.to_vec();
    back_pointer.splice(14.., [9, 9, 9, 9]);
    let mut stream_id = flv.to_vec();
    stream_id.splice(8..11, [0, 0, 1]);
    let bytes = [flv, &back_pointer, &stream_id, flv].concat();
    let items = whole(&bytes).unwrap();
    assert_eq!(items.len(), 4);
    assert_eq!(items[3], expected);

    let unknown = [&[4, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 13], flv].concat();
    let bytes = [flv, &unknown, HEADER, flv].concat();
    assert_eq!(
        whole(&bytes),
        Ok(vec![expected.clone(), expected.clone(), both(), expected])
    );
}

#[test]
fn the_timestamp_has_its_fourth_byte() {
    let late = tag(TagKind::DataAmf3, 0xfedc_ba98, &[]);
    assert_eq!(whole(late.as_flv()), Ok(vec![Item::Tag(late)]));
}

#[test]
fn strangers_are_refused() {
    let flv = tag(TagKind::Audio, 7, &[0xaf, 1, 9]).into_flv();
    let mut filtered = flv.to_vec();
    filtered[0] |= 0x20;
    for (bytes, error) in [
        (b"\0\0\0\x20ftypisom".to_vec(), FlvError::NotFlv),
        (b"\x1a\x45\xdf\xa3\x01".to_vec(), FlvError::NotFlv),
        (b"\0\0\0\x01\x67\x42\0\x1e".to_vec(), FlvError::NotFlv),
        (b"\x47\x40\x11\x10".to_vec(), FlvError::NotFlv),
        (b"ID3\x04\0".to_vec(), FlvError::NotFlv),
        (b"FLAC".to_vec(), FlvError::NotFlv),
        (
            b"\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09\x09".to_vec(),
            FlvError::NotFlv,
        ),
        (filtered.clone(), FlvError::Encrypted),
        ([HEADER, &filtered].concat(), FlvError::Encrypted),
        ([HEADER, b"FLAC"].concat(), FlvError::Lost),
        ([&flv, b"junk".as_slice()].concat(), FlvError::Lost),
    ] {
        assert_eq!(whole(&bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn an_error_stays_until_reset() {
    let mut reader = Reader::default();
    reader.push(Bytes::from_static(b"junk"));
    assert_eq!(reader.next(), Err(FlvError::NotFlv));
    reader.push(Bytes::from_static(HEADER));
    assert_eq!(reader.next(), Err(FlvError::NotFlv));
    reader.reset();
    reader.push(Bytes::from_static(HEADER));
    assert_eq!(reader.next(), Ok(Some(both())));
}

#[test]
fn memory_follows_the_bytes_and_not_the_claim() {
    let mut reader = Reader::default();
    reader.push(Bytes::from_static(b"\x09\xff\xff\xff\0\0\0\0\0\0\0"));
    assert_eq!(reader.next(), Ok(None));
    for _ in 0..1000 {
        reader.push(Bytes::from_static(&[0]));
        assert_eq!(reader.next(), Ok(None));
    }
    assert_eq!(reader.pending(), 1011);
    assert!(reader.partial.capacity() < 4096);
    assert!(reader.pieces.is_empty());
}

fn streams() -> impl Strategy<Value = Vec<Item>> {
    let kind = prop::sample::select(vec![
        TagKind::Audio,
        TagKind::Video,
        TagKind::Data,
        TagKind::DataAmf3,
    ]);
    let tags = (
        kind,
        any::<u32>(),
        prop::collection::vec(any::<u8>(), 0..60),
    )
        .prop_map(|(kind, timestamp, body)| Item::Tag(tag(kind, timestamp, &body)));
    prop::collection::vec(prop_oneof![1 => Just(both()), 6 => tags], 0..12)
}

proptest! {
    #[test]
    fn every_split_gives_the_same(
        items in streams(),
        cuts in prop::collection::vec(1usize..40, 1..20),
        lazy in any::<bool>(),
    ) {
        let bytes = items.iter().fold(Vec::new(), |mut bytes, item| {
            match item {
                Item::Header { .. } => bytes.extend_from_slice(HEADER),
                Item::Tag(tag) => bytes.extend_from_slice(tag.as_flv()),
                Item::Skipped(_) | Item::Spanning(_) => unreachable!("not generated"),
            }
            bytes
        });
        let mut rest = Bytes::from(bytes);
        let mut pieces = Vec::new();
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            pieces.push(rest.split_to(cut.min(rest.len())));
        }
        if lazy {
            // All pushed before the first is asked for.
            let mut reader = Reader::default();
            pieces.into_iter().for_each(|piece| reader.push(piece));
            let found = std::iter::from_fn(|| reader.next().unwrap()).collect::<Vec<_>>();
            prop_assert_eq!(found, items);
            prop_assert_eq!(reader.pending(), 0);
        } else {
            prop_assert_eq!(read(pieces), Ok(items));
        }
    }

    #[test]
    fn any_bytes_give_the_same_however_cut(
        junk in prop::collection::vec(prop_oneof![Just(0u8), Just(8), Just(9), Just(b'F'), any::<u8>()], 0..80),
        flv in any::<bool>(),
    ) {
        let prefix = if flv { HEADER } else { &[] };
        let _ = whole(&[prefix, &junk].concat());
    }

    #[test]
    fn what_is_left_in_pieces_is_what_is_copied_together(
        sizes in prop::collection::vec(0usize..60_000, 1..8),
        cuts in prop::collection::vec(1usize..40_000, 1..8),
        searches in any::<bool>(),
    ) {
        let tags: Vec<_> = sizes
            .iter()
            .enumerate()
            .map(|(at, size)| {
                let kind = [TagKind::Video, TagKind::Audio][at % 2];
                let body: Vec<u8> = (0..*size).map(|byte| (byte * 7 + at) as u8).collect();
                tag(kind, at as u32, &body)
            })
            .collect();
        let flv = tags.iter().flat_map(|tag| tag.as_flv().to_vec());
        let mut rest = Bytes::from(flv.collect::<Vec<_>>());
        let mut reader = match searches {
            true => Reader::searching(),
            false => Reader::default(),
        }
        .spanning();
        let mut found = Vec::new();
        for cut in cuts.into_iter().cycle() {
            if rest.is_empty() {
                break;
            }
            reader.push(rest.split_to(cut.min(rest.len())));
            while let Some(item) = reader.next().unwrap() {
                found.push(match item {
                    Item::Tag(tag) => tag,
                    Item::Spanning(tag) => tag.join().unwrap(),
                    other => panic!("{other:?}"),
                });
            }
        }
        prop_assert_eq!(found, tags);
        prop_assert_eq!(reader.pending(), 0);
    }
}

#[test]
fn a_large_picture_in_two_pieces_is_not_copied() {
    let picture = tag(TagKind::Video, 1, &[1; 100_000]);
    let pieces = [
        picture.as_flv().slice(..65_536),
        picture.as_flv().slice(65_536..),
    ];
    let mut reader = Reader::default().spanning();
    pieces.iter().for_each(|piece| reader.push(piece.clone()));
    let Ok(Some(Item::Spanning(found))) = reader.next() else {
        panic!()
    };
    let parts = found.body_from(0);
    assert_eq!(parts.len(), 2);
    for (part, piece) in parts.iter().zip(&pieces) {
        assert!(piece.as_ptr_range().contains(&part.as_ptr()));
    }
}
