// SPDX-License-Identifier: MPL-2.0

//! Arbitrary bytes in arbitrary pieces, to both ends of a handshake.
//!
//! The first byte picks the role and the style, the second one the size of the pieces. What comes
//! out for the pieces must be what comes out for the whole.

#![no_main]

use gstrtmp::protocol::rtmp::{
    handshake::{ClientHandshake, HandshakeError, Progress, ServerHandshake, Style},
    transmit::Transmit,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [pick, size, wire @ ..] = data else {
        return;
    };
    let size = usize::from(*size) * 8 + 1;
    let style = if pick & 2 == 0 { Style::Plain } else { Style::Digest };
    let [whole, pieces] = [wire.len().max(1), size].map(|size| {
        let mut out = Transmit::default();
        let outcome = if pick & 1 == 0 {
            let mut server = ServerHandshake::new(7, [1; 32]);
            feed(wire, size, |data| server.input(data, &mut out)).map(|end| (end, server.info()))
        } else {
            let mut client = ClientHandshake::new(style, 7, [9, 0, 124, 2], [1; 32]);
            client.start(&mut out);
            let end = feed(wire, size, |data| client.input(data, &mut out));
            assert_eq!(client.swf_key().is_some(), client.may_send());
            end.map(|end| (end, client.info()))
        };
        let sent: Vec<u8> = std::iter::from_fn(|| out.pop()).flatten().collect();
        (outcome, sent)
    });
    assert_eq!(whole, pieces);
});

/// Returns how much was taken and whether the handshake is done.
fn feed(
    wire: &[u8],
    size: usize,
    mut input: impl FnMut(&[u8]) -> Result<Progress, HandshakeError>,
) -> Result<(usize, bool), HandshakeError> {
    let mut taken = 0;
    for piece in wire.chunks(size) {
        let progress = input(piece)?;
        assert!(progress.consumed <= piece.len());
        taken += progress.consumed;
        if progress.done {
            return Ok((taken, true));
        }
        assert_eq!(progress.consumed, piece.len());
    }
    Ok((taken, false))
}
