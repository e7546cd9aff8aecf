// SPDX-License-Identifier: MPL-2.0

use bytes::Bytes;

use super::*;
use crate::protocol::rtmp::{
    handshake::{
        Answer, ClientHandshake, Form, HandshakeError, Scheme, ServerHandshake, Style, block::Block,
    },
    transmit::Transmit,
};

/// What librtmp and FFmpeg name with RTMPE.
const VERSION: [u8; 4] = [128, 0, 3, 2];

fn drain(out: &mut Transmit) -> Vec<u8> {
    std::iter::from_fn(|| out.pop()).flatten().collect()
}

fn client(version: Version, scheme: Scheme, seed: u8, out: &mut Transmit) -> Rtmpe {
    let style = Style::Encrypted(version);
    let handshake = ClientHandshake::with_scheme(style, scheme, 0, VERSION, [seed; 32]);
    Rtmpe::client(handshake, out)
}

/// Feeds in pieces and gives what was meant.
fn feed(rtmpe: &mut Rtmpe, bytes: &[u8], size: usize, out: &mut Transmit) -> Vec<u8> {
    let mut meant = Vec::new();
    for piece in bytes.chunks(size) {
        let mut piece = piece.to_vec();
        meant.extend_from_slice(rtmpe.decrypt(&mut piece, out).unwrap());
    }
    meant
}

fn say(rtmpe: &mut Rtmpe, text: &[u8], out: &mut Transmit) {
    let mut meant = Transmit::default();
    for piece in text.chunks(3) {
        meant.push(Bytes::copy_from_slice(piece));
    }
    rtmpe.encrypt(&mut meant, out, usize::MAX);
    assert!(meant.is_empty());
}

#[test]
fn every_version_in_every_scheme() {
    for version in Version::ALL {
        for scheme in Scheme::ALL {
            for size in [1, 100, 1537, 9000] {
                let (mut up, mut down) = (Transmit::default(), Transmit::default());
                let mut client = client(version, scheme, 1, &mut up);
                let mut server = Rtmpe::server(ServerHandshake::encrypted(0, [2; 32]));
                let hello = drain(&mut up);
                assert_eq!(hello[0], version as u8);
                assert_eq!(feed(&mut server, &hello, size, &mut down), b"");
                // The server may speak behind S2 at once, though none does.
                say(&mut server, b"chunks of the server", &mut down);
                let reply = drain(&mut down);
                assert_eq!(reply[0], version as u8);
                let heard = feed(&mut client, &reply, size, &mut up);
                assert_eq!(heard, b"chunks of the server");
                say(&mut client, b"chunks of the client", &mut up);
                let answer = drain(&mut up);
                assert_ne!(&answer[BLOCK_LEN..], b"chunks of the client");
                let heard = feed(&mut server, &answer, size, &mut down);
                assert_eq!(heard, b"chunks of the client");
                for rtmpe in [&client, &server] {
                    assert_eq!(rtmpe.info().unwrap().answer, Some(Answer::Signed));
                }
                let key = reply[BLOCK_LEN - 31..=BLOCK_LEN].to_vec();
                assert_eq!(client.swf_key()[..], key);
            }
        }
    }
}

#[test]
fn more_than_a_piece_goes_through() {
    let (mut up, mut down) = (Transmit::default(), Transmit::default());
    let mut client = client(Version::Plain, Scheme::Second, 1, &mut up);
    let mut server = Rtmpe::server(ServerHandshake::encrypted(0, [2; 32]));
    feed(&mut server, &drain(&mut up), 4096, &mut down);
    feed(&mut client, &drain(&mut down), 4096, &mut up);
    feed(&mut server, &drain(&mut up), 4096, &mut down);
    let media: Vec<u8> = (0..200_000u32).map(|n| (n >> 3) as u8).collect();
    let mut meant = Transmit::default();
    meant.push(Bytes::from(media.clone()));
    client.encrypt(&mut meant, &mut up, 70_000);
    assert_eq!((meant.len(), up.len()), (130_000, 70_000));
    client.encrypt(&mut meant, &mut up, usize::MAX);
    assert_eq!(feed(&mut server, &drain(&mut up), 5000, &mut down), media);
}

/// One key in 256 begins with a zero, and so does one secret. These were searched for.
#[test]
fn leading_zeros_stay() {
    let theirs = KeyPair::new(&[200; 32], 0);
    let pair = |first: [u8; 2]| {
        let mut seed = [7; 32];
        seed[..2].copy_from_slice(&first);
        KeyPair::new(&seed, 5)
    };
    let (short_key, short_secret) = (pair([0, 7]), pair([1, 42]));
    assert_eq!(short_key.public()[0], 0);
    assert_eq!(short_secret.agree(theirs.public()).unwrap()[0], 0);
    for pair in [&short_key, &short_secret] {
        let secret = pair.agree(theirs.public()).unwrap();
        assert_eq!(secret, theirs.agree(pair.public()).unwrap());
    }

    // And the whole handshake with such a key at the client's end.
    for pair in [short_key, short_secret] {
        let (mut up, mut down) = (Transmit::default(), Transmit::default());
        let style = Style::Encrypted(Version::Plain);
        let handshake =
            ClientHandshake::with_keys(style, Scheme::Second, 0, VERSION, [1; 32], Some(pair));
        let mut client = Rtmpe::client(handshake, &mut up);
        let mut server = Rtmpe::server(ServerHandshake::encrypted(0, [2; 32]));
        feed(&mut server, &drain(&mut up), 4096, &mut down);
        feed(&mut client, &drain(&mut down), 4096, &mut up);
        say(&mut client, b"connect", &mut up);
        assert_eq!(
            feed(&mut server, &drain(&mut up), 4096, &mut down),
            b"connect"
        );
    }
}

/// Computed by Python's integers: pow(2, x, p) and pow(pow(2, y, p), x, p) for x and y of 128 bytes
/// 0x11 and 0x22, the first and the last four bytes.
#[test]
fn the_group_is_that_of_rfc_2409() {
    let pair = |byte| KeyPair::from_private_bytes(&[byte; KEY_LEN]);
    let (ours, theirs) = (pair(0x11), pair(0x22));
    let ends = |key: &[u8; KEY_LEN]| [&key[..4], &key[KEY_LEN - 4..]].concat();
    assert_eq!(ends(ours.public()), OURS);
    assert_eq!(ends(&ours.agree(theirs.public()).unwrap()), SECRET);
}

const OURS: [u8; 8] = [0x08, 0x01, 0x94, 0x3b, 0xf2, 0xa7, 0x6f, 0xc5];
const SECRET: [u8; 8] = [0x74, 0x83, 0x02, 0x1e, 0x86, 0xe8, 0xc7, 0x9c];

#[test]
fn keys_that_are_none_are_refused() {
    let pair = KeyPair::new(&[1; 32], 0);
    let mut prime = [0xff; KEY_LEN];
    prime[8..120].copy_from_slice(&PRIME_MIDDLE);
    let with_last = |last: u8| {
        let mut key = prime;
        key[KEY_LEN - 1] = last;
        key
    };
    let small = |last: u8| {
        let mut key = [0; KEY_LEN];
        key[KEY_LEN - 1] = last;
        key
    };
    for key in [small(0), small(1), with_last(0xfe), prime, [0xff; KEY_LEN]] {
        assert_eq!(pair.agree(&key), Err(BadKey));
    }
    for key in [small(2), with_last(0xfd)] {
        assert!(pair.agree(&key).is_ok());
    }
}

/// The prime without its eight bytes of ones at either end.
const PRIME_MIDDLE: [u8; 112] = [
    0xc9, 0x0f, 0xda, 0xa2, 0x21, 0x68, 0xc2, 0x34, 0xc4, 0xc6, 0x62, 0x8b, 0x80, 0xdc, 0x1c, 0xd1,
    0x29, 0x02, 0x4e, 0x08, 0x8a, 0x67, 0xcc, 0x74, 0x02, 0x0b, 0xbe, 0xa6, 0x3b, 0x13, 0x9b, 0x22,
    0x51, 0x4a, 0x08, 0x79, 0x8e, 0x34, 0x04, 0xdd, 0xef, 0x95, 0x19, 0xb3, 0xcd, 0x3a, 0x43, 0x1b,
    0x30, 0x2b, 0x0a, 0x6d, 0xf2, 0x5f, 0x14, 0x37, 0x4f, 0xe1, 0x35, 0x6d, 0x6d, 0x51, 0xc2, 0x45,
    0xe4, 0x85, 0xb5, 0x76, 0x62, 0x5e, 0x7e, 0xc6, 0xf4, 0x4c, 0x42, 0xe9, 0xa6, 0x37, 0xed, 0x6b,
    0x0b, 0xff, 0x5c, 0xb6, 0xf4, 0x06, 0xb7, 0xed, 0xee, 0x38, 0x6b, 0xfb, 0x5a, 0x89, 0x9f, 0xa5,
    0xae, 0x9f, 0x24, 0x11, 0x7c, 0x4b, 0x1f, 0xe6, 0x49, 0x28, 0x66, 0x51, 0xec, 0xe6, 0x53, 0x81,
];

/// A client whose first block was changed and sealed again.
fn spoilt_hello(spoil: impl Fn(&mut [u8; BLOCK_LEN])) -> Vec<u8> {
    use crate::protocol::rtmp::handshake::{block::new_block, digest};
    let mut c1 = new_block(0, VERSION, &[3; 32], 1);
    spoil(&mut c1);
    digest::seal(&mut c1, digest::Side::Client, Scheme::Second);
    [&[6][..], &c1[..]].concat()
}

#[test]
fn what_a_server_does_not_take() {
    let refuse = |hello: &[u8], error: HandshakeError| {
        for size in [1, 2000] {
            let mut server = Rtmpe::server(ServerHandshake::encrypted(0, [2; 32]));
            let mut out = Transmit::default();
            let pieces = hello.chunks(size);
            let result =
                pieces.map(|piece| server.decrypt(&mut piece.to_vec(), &mut out).map(drop));
            let result = result.collect::<Result<(), _>>();
            assert_eq!(result, Err(error));
            assert!(out.is_empty() && !server.is_ready());
        }
    };
    // All-zero and all-ones keys, at whatever place the pointer names.
    for fill in [0, 0xff] {
        let bad = HandshakeError::BadKey(BadKey);
        refuse(&spoilt_hello(|c1| c1[8..768].fill(fill)), bad);
        // The pointer as far back as it goes.
        refuse(&spoilt_hello(|c1| c1[8..776].fill(fill)), bad);
    }
    let mut spoilt = spoilt_hello(|_| ());
    spoilt[1500] ^= 1;
    refuse(&spoilt, HandshakeError::NoDigest);
    refuse(&[3], HandshakeError::Version(3));
    for byte in (0..=255u8).filter(|byte| Version::from_byte(*byte).is_none()) {
        refuse(&[byte], HandshakeError::from_version(byte));
    }
    // The plain handshake does not fall into it either.
    for version in Version::ALL {
        let mut plain = ServerHandshake::new(0, [0; 32]);
        let result = plain.input(&[version as u8], &mut Transmit::default());
        assert_eq!(result, Err(HandshakeError::Encrypted(version as u8)));
    }
}

/// Pointers at their ends, and with the largest bytes: digest and key lie where they say.
#[test]
fn pointers_at_their_ends() {
    use crate::protocol::rtmp::handshake::{block::new_block, digest};
    for scheme in Scheme::ALL {
        // Four bytes are added up, of which the remainder by 728 and by 632 counts.
        for (to_digest, to_key) in [
            ([0; 4], [0; 4]),
            ([255, 255, 217, 0], [255, 255, 121, 0]),
            ([255; 4], [255; 4]),
        ] {
            let mut c1 = new_block(0, VERSION, &[3; 32], 1);
            let (digest_at, key_at) = match scheme {
                Scheme::First => (8, 1532),
                Scheme::Second => (772, 768),
            };
            c1[digest_at..digest_at + 4].copy_from_slice(&to_digest);
            c1[key_at..key_at + 4].copy_from_slice(&to_key);
            let key = scheme.key_offset(&c1);
            c1[key..key + KEY_LEN].copy_from_slice(KeyPair::new(&[9; 32], 0).public());
            digest::seal(&mut c1, digest::Side::Client, scheme);
            let hello = [&[6][..], &c1[..]].concat();
            for size in [1, 2000] {
                let mut out = Transmit::default();
                let mut server = Rtmpe::server(ServerHandshake::encrypted(0, [2; 32]));
                feed(&mut server, &hello, size, &mut out);
                assert!(server.is_ready());
                assert_eq!(out.len(), 1 + 2 * BLOCK_LEN);
            }
        }
    }
}

#[test]
fn what_a_client_does_not_take() {
    let answer = |reply: &[u8]| {
        let mut out = Transmit::default();
        let mut client = client(Version::Plain, Scheme::Second, 1, &mut out);
        client.decrypt(&mut reply.to_vec(), &mut out).map(drop)
    };
    assert_eq!(answer(&[3]), Err(HandshakeError::NotEncrypted));
    assert_eq!(answer(b"HTTP"), Err(HandshakeError::Http));
    let reply = [&[6][..], &[0x5a; 2 * BLOCK_LEN]].concat();
    assert_eq!(answer(&reply), Err(HandshakeError::NoDigest));
}

/// rtmpsrv takes a client of version 128 for one of type 8, whatever its first byte says.
#[test]
fn a_server_may_choose_another_version() {
    for chosen in Version::ALL {
        let (mut up, mut down) = (Transmit::default(), Transmit::default());
        let mut client = client(Version::Plain, Scheme::Second, 1, &mut up);
        let mut server = Rtmpe::server(ServerHandshake::encrypted(0, [2; 32]));
        let mut hello = drain(&mut up);
        hello[0] = chosen as u8;
        feed(&mut server, &hello, 4096, &mut down);
        feed(&mut client, &drain(&mut down), 4096, &mut up);
        feed(&mut server, &drain(&mut up), 4096, &mut down);
        assert_eq!(client.info().unwrap().answer, Some(Answer::Signed));
        assert_eq!(server.info().unwrap().answer, Some(Answer::Signed));
    }
}

/// A second block that is signed wrongly is told of and does no harm: the keys do not depend on it.
#[test]
fn a_wrong_signature_is_only_reported() {
    for version in Version::ALL {
        let (mut up, mut down) = (Transmit::default(), Transmit::default());
        let mut client = client(version, Scheme::Second, 1, &mut up);
        let mut server = Rtmpe::server(ServerHandshake::encrypted(0, [2; 32]));
        feed(&mut server, &drain(&mut up), 4096, &mut down);
        let mut reply = drain(&mut down);
        reply[2 * BLOCK_LEN] ^= 1;
        feed(&mut client, &reply, 4096, &mut up);
        assert_eq!(client.info().unwrap().answer, Some(Answer::Foreign));
        say(&mut client, b"connect", &mut up);
        assert_eq!(
            feed(&mut server, &drain(&mut up), 4096, &mut down),
            b"connect"
        );
    }
}

#[test]
fn nothing_secret_is_shown() {
    let mut out = Transmit::default();
    let client = client(Version::Plain, Scheme::Second, 1, &mut out);
    let text = format!("{client:?}");
    assert!(text.len() < 300 && !text.contains('['), "{text}");
}

/// FFmpeg's publisher takes the key of S1 by the first scheme, whatever the digest's is.
#[test]
fn a_server_has_its_key_in_both_places() {
    for seed in 0..100 {
        for scheme in Scheme::ALL {
            let mut out = Transmit::default();
            let mut client = client(Version::Plain, scheme, seed, &mut out);
            let mut server = Rtmpe::server(ServerHandshake::encrypted(0, [seed; 32]));
            let hello = drain(&mut out);
            feed(&mut server, &hello, 9000, &mut out);
            let reply = drain(&mut out);
            let s1 = Block::try_from(&reply[1..=BLOCK_LEN]).unwrap();
            let [first, second] = Scheme::ALL.map(|scheme| scheme.key_offset(&s1));
            assert_eq!(s1[first..first + KEY_LEN], s1[second..second + KEY_LEN]);
            assert_ne!(first, second);
            feed(&mut client, &reply, 9000, &mut out);
            assert_eq!(client.info().unwrap().form, Form::Digest(scheme));
            assert_eq!(client.info().unwrap().answer, Some(Answer::Signed));
        }
    }
}
