// SPDX-License-Identifier: MPL-2.0

//! Any bytes as the head of a request, as that of a response, and as the body behind it. The corpus is both.

#![no_main]

use std::time::SystemTime;

use gstrtmp::protocol::http::{
    HEAD, Head, Range, Request, access,
    reply::{Body, Part, Reply},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    request(data);
    reply(data);
});

fn request(data: &[u8]) {
    let parsed = Request::parse(data);
    let Ok(Some((request, length))) = parsed else {
        return;
    };
    assert!(length <= data.len().min(HEAD));
    // It is not there before its last byte, and what follows is nothing to it.
    for cut in [0, length / 2, length - 1] {
        assert!(matches!(Request::parse(&data[..cut]), Ok(None)), "{cut}");
    }
    let (again, _) = Request::parse(&data[..length]).unwrap().unwrap();
    assert_eq!(format!("{again:?}"), format!("{request:?}"));
    assert!(request.path == "*" || request.path.starts_with('/'));
    assert!(!request.path.split('/').any(|s| s == "." || s == ".."));
    assert!(!request.path.chars().any(char::is_control));
    match request.range() {
        Range::From(first) => assert!(first > 0),
        Range::Part { length, .. } => assert!(length > 0),
        Range::Whole | Range::Unsatisfiable => {}
    }
    let _ = access::password(&request, "user", "password");
    let _ = access::signature(&request, "secret", "/live", 1_700_000_000);
    // What is repeated of it begins no field of ours.
    let mut head = Head::new(request.version, 404, SystemTime::UNIX_EPOCH);
    for (_, value) in request.fields() {
        head = head.field("X", value);
    }
    let head = head.field("Y", &request.path).field("Z", &request.line).finish();
    let lines = head.split(|byte| *byte == b'\n').count();
    assert_eq!(lines, 3 + request.fields().count() + 2 + 2);
}

fn reply(data: &[u8]) {
    let Ok(Some((reply, length))) = Reply::parse(data) else {
        return;
    };
    assert!(length <= data.len().min(HEAD));
    for cut in [0, length / 2, length - 1] {
        assert!(matches!(Reply::parse(&data[..cut]), Ok(None)), "{cut}");
    }
    let body = &data[length..];
    let whole = read(&reply, body, body.len().max(1));
    assert!(whole.0.len() <= body.len());
    for size in [1, 2, 1 + body.len() % 13] {
        assert_eq!(read(&reply, body, size), whole);
    }
}

/// The bytes of the body, and how it stands: over, or broken.
fn read(reply: &Reply, wire: &[u8], size: usize) -> (Vec<u8>, bool, bool) {
    let mut body = Body::new(reply.framing);
    let mut bytes = Vec::new();
    for mut piece in wire.chunks(size) {
        loop {
            match body.take(&mut piece) {
                Ok(Part::Data(data)) => bytes.extend(data),
                Ok(Part::More) => break,
                Ok(Part::End) => return (bytes, true, false),
                Err(_) => return (bytes, false, true),
            }
        }
        assert!(piece.is_empty());
    }
    (bytes, false, false)
}
