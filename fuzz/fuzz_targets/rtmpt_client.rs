// SPDX-License-Identifier: MPL-2.0

//! What an HTTP server may say to the client's end of a tunnel.
//!
//! The first byte picks whether requests are repeated, the second one the size of the pieces; then come
//! steps: a byte that says what happens behind it, a length, and as many bytes from the server. Any cut
//! gives the same bytes of the stream and the same end; nothing is asked twice at a time; what was heard is
//! no more than what was said.

#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use gstrtmp::protocol::{
    rtmp::transmit::Transmit,
    rtmpt::{TunnelClient, TunnelConfig, client::POLLING},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [pick, size, steps @ ..] = data else {
        return;
    };
    let start = Instant::now();
    let size = usize::from(*size) + 1;
    let whole = run(start, pick & 1 == 0, usize::MAX, steps);
    let pieces = run(start, pick & 1 == 0, size, steps);
    assert_eq!(whole, pieces);
});

/// What was heard, what was sent, and how many steps it took until it failed.
fn run(start: Instant, repeats: bool, size: usize, mut steps: &[u8]) -> (Vec<u8>, Vec<u8>, usize) {
    let mut now = start;
    let config = TunnelConfig {
        authority: "host".to_owned(),
        prefix: String::new(),
        proxy_authorization: None,
        repeats,
        polling: POLLING,
        timeout: Duration::from_secs(5),
    };
    let mut client = TunnelClient::new(config, now);
    client.connected(now);
    let (mut heard, mut sent, mut said, mut taken) = (Vec::new(), Vec::new(), 0, 0);
    while let [what, length, rest @ ..] = steps {
        let (reply, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        steps = rest;
        taken += 1;
        said += reply.len();
        let failed = reply
            .chunks(size.min(reply.len().max(1)))
            .any(|piece| client.handle_input(now, piece).is_err());
        while let Some(bytes) = client.poll_received() {
            heard.extend_from_slice(&bytes);
        }
        if failed {
            break;
        }
        if what & 1 != 0 && client.disconnected(now).is_err() {
            break;
        }
        if what & 2 != 0 {
            let mut meant = Transmit::default();
            meant.push(Bytes::copy_from_slice(reply));
            client.send(now, &mut meant);
        }
        if what & 4 != 0 {
            now += Duration::from_millis(u64::from(what >> 4) * 50);
        }
        if what & 8 != 0 && what & 0xf0 == 0xf0 {
            client.close(now);
        }
        if client.handle_timeout(now).is_err() {
            break;
        }
        if client.wants_connection(now) {
            client.connected(now);
        }
        while let Some(bytes) = client.poll_transmit().pop() {
            sent.extend_from_slice(&bytes);
        }
    }
    assert!(heard.len() <= said);
    (heard, sent, taken)
}
