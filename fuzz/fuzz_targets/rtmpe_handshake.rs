// SPDX-License-Identifier: MPL-2.0

//! Arbitrary bytes in arbitrary pieces, to both ends of RTMPE.
//!
//! The first byte picks the role, the version and whether the peer's block is made valid, the second one
//! the size of the pieces. What comes out for the pieces must be what comes out for the whole; what a
//! block made valid agrees on must be what its maker agreed on.

#![no_main]

use bytes::Bytes;
use gstrtmp::protocol::rtmp::{
    handshake::{
        ClientHandshake, HandshakeError, ServerHandshake, Style,
        crypt::{Rtmpe, Version},
    },
    transmit::Transmit,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [pick, size, wire @ ..] = data else {
        return;
    };
    let size = usize::from(*size) * 8 + 1;
    let version = Version::ALL[usize::from(pick >> 3) % Version::ALL.len()];
    if pick & 2 != 0 {
        return talk(version, pick & 4 != 0, size, wire);
    }
    let [whole, pieces] =
        [wire.len().max(1), size].map(|size| hear(pick & 1 == 0, version, wire, size));
    assert_eq!(whole, pieces);
});

/// Both ends with each other, cut anywhere; `text` goes both ways, and one of its bytes may be spoilt on
/// the way in the handshake.
fn talk(version: Version, spoil: bool, size: usize, text: &[u8]) {
    let (mut up, mut down) = (Transmit::default(), Transmit::default());
    let seed = text.first().copied().unwrap_or_default();
    let mut client = client(version, seed, &mut up);
    let mut server = Rtmpe::server(ServerHandshake::encrypted(7, [2; 32]));
    let mut hello = drain(&mut up);
    if let (true, [a, b, value, ..]) = (spoil, text) {
        let at = usize::from(u16::from_be_bytes([*a, *b])) % hello.len();
        hello[at] ^= value;
    }
    if feed(&mut server, &hello, size, &mut down).is_err() {
        return;
    }
    let reply = drain(&mut down);
    let refused = feed(&mut client, &reply, size, &mut up).is_err();
    if refused || spoil {
        return;
    }
    let answer = drain(&mut up);
    assert_eq!(feed(&mut server, &answer, size, &mut down), Ok(Vec::new()));
    let mut meant = Transmit::default();
    meant.push(Bytes::copy_from_slice(text));
    client.encrypt(&mut meant, &mut up, usize::MAX);
    let sealed = drain(&mut up);
    assert_eq!(feed(&mut server, &sealed, size, &mut down).as_deref(), Ok(text));
    meant.push(Bytes::copy_from_slice(text));
    server.encrypt(&mut meant, &mut down, usize::MAX);
    let sealed = drain(&mut down);
    assert_eq!(feed(&mut client, &sealed, size, &mut up).as_deref(), Ok(text));
}

fn client(version: Version, seed: u8, out: &mut Transmit) -> Rtmpe {
    let style = Style::Encrypted(version);
    Rtmpe::client(ClientHandshake::new(style, 7, [128, 0, 3, 2], [seed; 32]), out)
}

fn drain(out: &mut Transmit) -> Vec<u8> {
    std::iter::from_fn(|| out.pop()).flatten().collect()
}

fn feed(
    rtmpe: &mut Rtmpe,
    wire: &[u8],
    size: usize,
    out: &mut Transmit,
) -> Result<Vec<u8>, HandshakeError> {
    let mut meant = Vec::new();
    for piece in wire.chunks(size) {
        meant.extend_from_slice(rtmpe.decrypt(&mut piece.to_vec(), out)?);
    }
    Ok(meant)
}

/// What was meant, what was sent and whether it can go on.
fn hear(
    server: bool,
    version: Version,
    wire: &[u8],
    size: usize,
) -> (Result<Vec<u8>, HandshakeError>, Vec<u8>, bool) {
    let mut out = Transmit::default();
    let mut rtmpe = match server {
        true => Rtmpe::server(ServerHandshake::encrypted(7, [1; 32])),
        false => client(version, 1, &mut out),
    };
    let meant = feed(&mut rtmpe, wire, size, &mut out);
    (meant, drain(&mut out), rtmpe.is_ready())
}
