// SPDX-License-Identifier: MPL-2.0

//! What clients may ask of the server's end of a tunnel, in any order.
//!
//! Steps of two bytes: what is done, and with which number. Bytes of the stream come out in the order of
//! their numbers, each request's once; answers carry what was sent in one piece, once, and the same number
//! is answered alike.

#![no_main]

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gstrtmp::protocol::{
    rtmp::transmit::Transmit,
    rtmpt::{Exchange, Target, Verb, server::Answer},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(Target::Session { id, .. }) = Target::parse(text)
    {
        assert!(!id.is_empty() && !id.contains(['/', '.']) || id.contains('.'));
    }
    let mut now = Instant::now();
    let mut exchange = Exchange::new(now);
    // Bytes are the number of their request, and on the way back a counter.
    let (mut heard, mut sent, mut answered) = (Vec::new(), 0u8, 0u8);
    let mut answers: HashMap<u64, Bytes> = HashMap::new();
    for step in data.chunks_exact(2) {
        let (what, number) = (step[0], u64::from(step[1]));
        match what % 8 {
            0 | 1 => {
                let body = Bytes::from(vec![step[1]; usize::from(what >> 4)]);
                let _ = exchange.take(now, Verb::Send, number, body);
            }
            2 => {
                let _ = exchange.take(now, Verb::Idle, number, Bytes::from_static(&[0]));
            }
            3 | 4 => {
                if let Ok(Answer::Body(pieces)) = exchange.answer(now, number) {
                    let body = Bytes::from(pieces.concat());
                    match answers.get(&number) {
                        Some(known) => assert_eq!(*known, body, "an answer changes"),
                        None => {
                            for byte in body.iter().skip(1) {
                                assert_eq!(*byte, answered, "an answer lacks something");
                                answered = answered.wrapping_add(1);
                            }
                            answers.insert(number, body);
                        }
                    }
                }
            }
            5 => {
                let bytes: Vec<u8> = (0..what >> 3).map(|n| sent.wrapping_add(n)).collect();
                sent = sent.wrapping_add(what >> 3);
                let mut meant = Transmit::default();
                meant.push(bytes.into());
                assert!(exchange.send(now, &mut meant));
            }
            6 => now += Duration::from_millis(number * 4),
            _ if what >> 3 == 31 => {
                let _ = exchange.take(now, Verb::Close, number, Bytes::from_static(&[0]));
            }
            _ if what >> 3 == 30 => exchange.end(),
            _ => {
                while let Some(bytes) = exchange.poll_received(usize::from(what >> 3) + 1) {
                    heard.extend_from_slice(&bytes);
                }
            }
        }
    }
    assert!(heard.is_sorted(), "bytes out of their order");
    for run in heard.chunk_by(|a, b| a == b) {
        assert!(run.len() <= 15, "bytes twice");
    }
});
