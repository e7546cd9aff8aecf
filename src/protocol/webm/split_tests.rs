// SPDX-License-Identifier: MPL-2.0

use proptest::prelude::*;

use super::*;

/// An element with its head.
fn element(id: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    ebml::put_head(&mut out, id, content.len() as u64);
    out.extend(content);
    out
}

fn unknown(id: u32) -> Vec<u8> {
    let mut out = Vec::new();
    ebml::put_head(&mut out, id, 0);
    out.pop();
    out.extend(UNKNOWN);
    out
}

fn track(number: u8, kind: u8, codec: &str) -> Vec<u8> {
    let content = [
        element(id::TRACK_NUMBER, &[number]),
        element(id::TRACK_TYPE, &[kind]),
        element(id::CODEC_ID, format!("{codec}\0").as_bytes()),
    ];
    element(id::TRACK_ENTRY, &content.concat())
}

fn header_of(tracks: &[Vec<u8>]) -> Vec<u8> {
    [
        element(id::EBML, &element(id::DOC_TYPE, b"webm\0")),
        unknown(id::SEGMENT),
        element(id::SEEK_HEAD, &[1; 40]),
        element(id::VOID, &[0; 30]),
        element(
            id::INFO,
            &[
                element(id::TIMESTAMP_SCALE, &1_000_000_u32.to_be_bytes()),
                element(id::DURATION, &[0; 8]),
                element(0x4D80, b"muxer"),
            ]
            .concat(),
        ),
        element(id::TRACKS, &tracks.concat()),
    ]
    .concat()
}

fn header() -> Vec<u8> {
    header_of(&[track(1, 1, "V_VP8"), track(2, 2, "A_OPUS")])
}

fn cluster(time: u64) -> Vec<u8> {
    [
        unknown(id::CLUSTER),
        element(id::TIMESTAMP, &time.to_be_bytes()),
    ]
    .concat()
}

fn simple(track: u8, relative: i16, key: bool) -> Vec<u8> {
    let mut content = vec![0x80 | track];
    content.extend(relative.to_be_bytes());
    content.push(if key { KEY } else { 0 });
    content.extend([track, 0xAA, 0xBB]);
    element(id::SIMPLE_BLOCK, &content)
}

fn group(track: u8, relative: i16, refers: bool) -> Vec<u8> {
    let mut block = vec![0x80 | track];
    block.extend(relative.to_be_bytes());
    block.extend([0, track, 0xAA]);
    let mut content = element(id::BLOCK, &block);
    content.extend(element(0x9B, &[20]));
    if refers {
        content.extend(element(id::REFERENCE_BLOCK, &[0xFE]));
    }
    element(id::BLOCK_GROUP, &content)
}

/// What came out, readable: time, track, key flag or none, `|` where a Cluster begins, `J` where a player can
/// join.
fn describe(items: &[Item]) -> String {
    let mut out = Vec::new();
    let mut base = 0;
    for item in items {
        let Item::Block(block) = item else {
            out.push("H".to_owned());
            continue;
        };
        let mut text = String::new();
        let mut rest = &block.bytes[..];
        if let Parsed::Done(head) = ebml::element_head(rest)
            && head.id == id::CLUSTER
        {
            assert_eq!(head.size, None);
            base = u64::from_be_bytes(rest[14..22].try_into().unwrap());
            rest = &rest[CLUSTER_HEAD..];
            text.push('|');
        }
        let Parsed::Done(head) = ebml::element_head(rest) else {
            panic!()
        };
        assert_eq!(
            rest.len() as u64,
            head.length as u64 + head.size.unwrap(),
            "one block"
        );
        let found = Found::new(head, rest).unwrap();
        let time = base as i64 + i64::from(found.relative);
        assert_eq!(block.time as i64, time, "at 1 ms a tick");
        if block.join {
            text.push('J');
        }
        text += &format!("{time}/{}{}", found.track, if found.key { "k" } else { "" });
        out.push(text);
    }
    out.join(" ")
}

fn split_with(
    splitter: &mut Splitter,
    bytes: &[u8],
    pieces: usize,
) -> Result<Vec<Item>, WebmError> {
    let mut items = Vec::new();
    for piece in bytes.chunks(pieces.max(1)) {
        splitter.push(piece, WALL)?;
        items.extend(std::iter::from_fn(|| splitter.poll()));
    }
    Ok(items)
}

fn split(bytes: &[u8]) -> Result<Vec<Item>, WebmError> {
    split_with(&mut Splitter::new(Timecodes::Source), bytes, usize::MAX)
}

const WALL: u64 = 1_790_000_000_000;

/// Two groups of pictures as webmmux writes them, Opus going back by up to 6 ms.
fn film() -> Vec<u8> {
    [
        header(),
        cluster(0),
        simple(2, 0, false),
        simple(1, 1, true),
        simple(2, 20, false),
        simple(2, 26, false),
        simple(1, 24, false),
        element(id::PREV_SIZE, &[9]),
        cluster(500),
        element(id::PREV_SIZE, &[9]),
        simple(1, 0, true),
        simple(2, -4, false),
        simple(1, 40, false),
        element(id::CUES, &[7; 100]),
        cluster(900),
        simple(1, 0, false),
    ]
    .concat()
}

#[test]
fn a_film_is_cut_where_it_can_be_joined() {
    let items = split(&film()).unwrap();
    assert_eq!(
        describe(&items),
        "H |0/2k |J1/1k 20/2k 26/2k 26/1 |J500/1k 500/2k 540/1 900/1"
    );
    let Item::Header(header) = &items[0] else {
        panic!()
    };
    assert_eq!(header.media_type(), "video/webm; codecs=\"vp8,opus\"");
    let sizes = |id: u32| {
        header
            .bytes
            .windows(4)
            .filter(|w| *w == id.to_be_bytes())
            .count()
    };
    assert_eq!(
        (sizes(id::SEGMENT), sizes(id::SEEK_HEAD), sizes(id::TRACKS)),
        (1, 0, 1)
    );
    assert!(
        !header.bytes.windows(2).any(|w| w == [0x44, 0x89]),
        "a duration"
    );
    assert!(header.bytes.windows(5).any(|w| w == b"muxer"));
}

#[test]
fn any_cut_gives_the_same() {
    let whole = describe(&split(&film()).unwrap());
    for pieces in 1..film().len() {
        let mut splitter = Splitter::new(Timecodes::Source);
        let items = split_with(&mut splitter, &film(), pieces).unwrap();
        assert_eq!(describe(&items), whole, "{pieces}");
    }
}

#[test]
fn key_frames_in_mid_cluster_and_in_groups_can_be_joined() {
    let film = [
        header(),
        cluster(0),
        group(1, 0, false),
        group(1, 40, true),
        group(2, 41, false),
        group(1, 80, false),
    ]
    .concat();
    assert_eq!(
        describe(&split(&film).unwrap()),
        "H |J0/1k 40/1 41/2k |J80/1k"
    );
}

#[test]
fn sound_alone_can_be_joined_twice_a_second() {
    let mut film = header_of(&[track(1, 2, "A_VORBIS")]);
    film.extend(cluster(100));
    film.extend((0..6).flat_map(|i| simple(1, i * 200, false)));
    assert_eq!(
        describe(&split(&film).unwrap()),
        "H |J100/1k 300/1k 500/1k |J700/1k 900/1k 1100/1k"
    );
}

#[test]
fn frames_that_are_shown_out_of_order_keep_their_times() {
    let mut film = header_of(&[track(1, 1, "V_MPEG4/ISO/AVC")]);
    film.extend(cluster(1000));
    for (at, key) in [(0, true), (120, false), (40, false), (80, false)] {
        film.extend(simple(1, at, key));
    }
    assert_eq!(
        describe(&split(&film).unwrap()),
        "H |J1000/1k 1120/1 1040/1 1080/1"
    );
}

#[test]
fn a_cluster_that_lasts_is_cut_before_its_time_codes_end() {
    let film = [header(), cluster(0), simple(1, 0, true)].concat();
    let mut all = film;
    for at in [20_000, 40_000, 60_000, 80_000] {
        all.extend(cluster(at));
        all.extend(simple(1, 0, false));
    }
    assert_eq!(
        describe(&split(&all).unwrap()),
        "H |J0/1k 20000/1 |40000/1 60000/1 |80000/1"
    );
}

#[test]
fn time_codes_go_on_when_a_source_starts_again() {
    let first = [header(), cluster(5000), simple(1, 0, true)].concat();
    let again = [
        header(),
        cluster(0),
        simple(1, 0, true),
        simple(1, 40, false),
    ]
    .concat();
    let run = |timecodes| {
        let mut splitter = Splitter::new(timecodes);
        let mut items = split_with(&mut splitter, &first, usize::MAX).unwrap();
        items.extend(split_with(&mut splitter, &again, usize::MAX).unwrap());
        splitter.restart();
        items.extend(split_with(&mut splitter, &again, usize::MAX).unwrap());
        describe(&items)
    };
    let on = "H |J5000/1k H |J5020/1k 5060/1 H |J5080/1k 5120/1";
    assert_eq!(run(Timecodes::Continuing), on);
    assert_eq!(run(Timecodes::Source), on);
    let (at, step) = (WALL, WALL + 20);
    let (then, last) = (step + 40, step + 60);
    assert_eq!(
        run(Timecodes::WallClock),
        format!(
            "H |J{at}/1k H |J{step}/1k {then}/1 H |J{last}/1k {}/1",
            last + 40
        )
    );
}

#[test]
fn at_the_end_of_time_what_was_written_is_read_as_the_same() {
    // Found by fuzzing: behind the latest time code that was taken, later ones were still written.
    let late = [
        header(),
        cluster(u64::MAX),
        simple(1, 0, true),
        simple(1, 1, true),
    ]
    .concat();
    for timecodes in [
        Timecodes::Source,
        Timecodes::WallClock,
        Timecodes::Continuing,
    ] {
        let mut splitter = Splitter::new(timecodes);
        split_with(&mut splitter, &late, usize::MAX).unwrap();
        let written = split_with(&mut splitter, &late, usize::MAX).unwrap();
        let bytes: Vec<u8> = written
            .iter()
            .flat_map(|item| match item {
                Item::Header(header) => header.bytes.to_vec(),
                Item::Block(block) => block.bytes.to_vec(),
            })
            .collect();
        assert_eq!(describe(&split(&bytes).unwrap()), describe(&written));
    }
}

#[test]
fn time_codes_that_go_back_in_mid_stream_are_those_of_a_new_start() {
    let film = [
        header(),
        cluster(90_000),
        simple(1, 0, true),
        cluster(10),
        simple(1, 0, true),
        simple(1, 40, false),
    ]
    .concat();
    assert_eq!(
        describe(&split(&film).unwrap()),
        "H |J90000/1k |J90020/1k 90060/1"
    );
}

#[test]
fn more_tracks_than_anybody_has_are_not_known() {
    let most = crate::protocol::webm::TRACKS;
    let tracks: Vec<_> = (1..=most as u8 + 2)
        .map(|number| track(number, 1, "V_VP9"))
        .collect();
    let film = [header_of(&tracks), cluster(0), simple(1, 0, true)].concat();
    let items = split(&film).unwrap();
    let Some(Item::Header(header)) = items.first() else {
        panic!()
    };
    assert_eq!(header.tracks.len(), most);
}

#[test]
fn another_scale_is_another_tick() {
    let info = element(
        id::INFO,
        &element(id::TIMESTAMP_SCALE, &[0x0F, 0x42, 0x40, 0]),
    );
    let film = [
        element(id::EBML, &[]),
        unknown(id::SEGMENT),
        info,
        element(id::TRACKS, &track(1, 1, "V_VP9")),
        cluster(10),
        simple(1, 1, true),
    ]
    .concat();
    let items = split(&film).unwrap();
    let Item::Header(header) = &items[0] else {
        panic!()
    };
    assert_eq!(header.scale, 256_000_000);
    assert_eq!(header.content_type(), "video/x-matroska");
    let Item::Block(block) = &items[1] else {
        panic!()
    };
    assert_eq!(block.time, 11 * 256);
}

#[test]
fn headers_are_compared_by_what_matters() {
    let header = |bytes: &[u8]| {
        let items = split(&[bytes, &cluster(0)].concat()).unwrap();
        let Some(Item::Header(header)) = items.into_iter().next() else {
            panic!()
        };
        header
    };
    let one = header(&header_of(&[track(1, 1, "V_VP8")]));
    assert!(one.fits(&one));
    assert!(!one.fits(&header(&header_of(&[track(1, 1, "V_VP9")]))));
}

#[test]
fn what_is_no_webm_is_said_to_be_none() {
    for bytes in [
        &b"FLV\x01\x05"[..],
        b"RIFF....WEBP",
        b"GET / HTTP/1.1\r\n",
        &[0; 8],
        &[0xFF; 8],
    ] {
        assert_eq!(split(bytes).unwrap_err(), WebmError::NotWebm, "{bytes:x?}");
    }
    let no_tracks = [element(id::EBML, &[]), unknown(id::SEGMENT), cluster(0)].concat();
    assert_eq!(split(&no_tracks).unwrap_err(), WebmError::NoTracks);
    let broken = [header(), cluster(0), vec![0; 8]].concat();
    assert_eq!(split(&broken).unwrap_err(), WebmError::Broken);
}

#[test]
fn claims_cost_nothing() {
    let claims = |id: u32, size: u64| {
        let mut bytes = Vec::new();
        ebml::put_head(&mut bytes, id, size);
        bytes
    };
    // A Cluster may claim anything: it ends where the next begins.
    let film = [
        header(),
        claims(id::CLUSTER, (1 << 56) - 2),
        simple(1, 0, true),
    ]
    .concat();
    assert_eq!(describe(&split(&film).unwrap()), "H |J0/1k");
    for (bytes, size) in [
        (claims(id::EBML, 1 << 40), 1 << 40),
        ([header(), claims(id::TAGS, 1 << 30)].concat(), 1 << 30),
        (
            [header(), cluster(0), claims(id::SIMPLE_BLOCK, 1 << 50)].concat(),
            1 << 50,
        ),
        ([header(), cluster(0), claims(id::TIMESTAMP, 9)].concat(), 9),
    ] {
        assert_eq!(split(&bytes).unwrap_err(), WebmError::TooLarge(size));
    }
    // What is skipped is not kept.
    let mut splitter = Splitter::new(Timecodes::Source);
    splitter
        .push(&[header(), claims(id::VOID, 1 << 50)].concat(), 0)
        .unwrap();
    for _ in 0..100 {
        splitter.push(&[0; 65536], 0).unwrap();
    }
    assert!(splitter.input.capacity() < 1 << 20);
}

#[test]
fn blocks_that_are_none_are_left_out() {
    for content in [&[][..], &[0x81], &[0x81, 0, 0], &[0, 0, 0, 0]] {
        for id in [id::SIMPLE_BLOCK, id::BLOCK_GROUP] {
            let film = [
                header(),
                cluster(0),
                element(id, content),
                simple(1, 0, true),
            ]
            .concat();
            assert_eq!(describe(&split(&film).unwrap()), "H |J0/1k", "{content:x?}");
        }
    }
}

#[test]
fn blocks_before_a_cluster_wait_for_one() {
    // A sink that was linked to a running muxer gets the header from caps and goes on anywhere.
    let film = [header(), simple(1, 0, true), cluster(7), simple(1, 0, true)].concat();
    assert_eq!(describe(&split(&film).unwrap()), "H |J7/1k");
}

proptest! {
    #[test]
    fn no_bytes_upset_it(mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
                         at in 0_usize..600, pieces in 1_usize..64) {
        let mut film = film();
        let at = at.min(film.len());
        bytes.truncate(300);
        film.splice(at..at, bytes);
        let sizes = |items: Vec<Item>| -> Vec<usize> {
            let size = |item: &Item| match item {
                Item::Header(header) => header.bytes.len(),
                Item::Block(block) => block.bytes.len(),
            };
            items.iter().map(size).collect()
        };
        let whole = split(&film).map(sizes);
        let mut splitter = Splitter::new(Timecodes::Source);
        let cut = split_with(&mut splitter, &film, pieces).map(sizes);
        prop_assert_eq!(whole, cut);
    }

    #[test]
    fn time_codes_never_go_back(times in proptest::collection::vec((any::<u64>(), any::<i16>()), 1..20),
                                wall in any::<u64>(), which in 0_usize..3) {
        let timecodes = [Timecodes::Source, Timecodes::WallClock, Timecodes::Continuing][which];
        let mut splitter = Splitter::new(timecodes);
        splitter.push(&header(), wall).unwrap();
        let mut last = 0;
        for (time, relative) in times {
            splitter.push(&[cluster(time), simple(1, relative, true)].concat(), wall).unwrap();
            while let Some(item) = splitter.poll() {
                if let Item::Block(block) = item {
                    prop_assert!(block.time >= last);
                    last = block.time;
                }
            }
        }
    }
}
