// SPDX-License-Identifier: MPL-2.0

//! Items 1 to 10: handshakes.

use std::time::Duration;

use super::{List, Then, digest, script, send, send_and_end};
use crate::{
    suite::{Stage::*, bytes},
    support::rtmp_peer::client_hello,
};

const BLOCK: usize = 1536;

pub(super) fn list(list: &mut List) {
    versions(list);
    truncated(list);
    pipelined(list);
    digests(list);
    keys(list);
    servers(list);
    swf(list);
}

fn hello(version: u8, block: &[u8]) -> Vec<u8> {
    [&[version], block].concat()
}

fn versions(list: &mut List) {
    for version in [
        0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 31, 32, b'G', 0x16, 0x80, 0xff,
    ] {
        let name = format!("C0 is {version}");
        list.server(
            1,
            Socket,
            name,
            send_and_end(hello(version, &[0; 2 * BLOCK])),
        );
        let name = format!("C0 is {version}, and nothing else");
        list.server(1, Socket, name, send(vec![version]));
    }
    for (name, bytes) in [
        ("HTTP", &b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n"[..]),
        ("HTTP/0.9", b"GET /\r\n"),
        ("SSH", b"SSH-2.0-x\r\n"),
        ("RTSP", b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
        ("TLS", &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]),
    ] {
        list.server(1, Socket, name, send_and_end(bytes.to_vec()));
    }
}

fn truncated(list: &mut List) {
    let whole = [client_hello(), vec![0; BLOCK]].concat();
    for len in [
        0, 1, 2, 4, 5, 8, 9, 10, 500, 1535, 1536, 1537, 1538, 2000, 3071, 3072,
    ] {
        let name = format!("{len} bytes and an end");
        list.server(2, Socket, name, send_and_end(whole[..len].to_vec()));
    }
    for len in [0, 1, 700, 1536] {
        let name = format!("{len} bytes and silence");
        list.server(2, Socket, name, send(whole[..len].to_vec()));
    }
    let drip = whole.clone();
    let half = script(move |wire| {
        wire.send(&drip[..1537])?;
        wire.peer.read_exact(&mut [0; 1 + 2 * BLOCK])?;
        // The deadline is that of the whole handshake.
        wire.peer.socket().set_read_timeout(Some(wire.patience))?;
        wire.peer.read_exact(&mut [0]).map(|()| Then::Judge)
    });
    list.server(2, Socket, "no C2, and silence", half);
    let drip = whole.clone();
    list.server(
        2,
        Socket,
        "a byte at a time",
        script(move |w| w.drip(&drip)),
    );
    list.server(
        2,
        Greeted,
        "a handshake, and silence",
        script(|wire| wire.peer.read_exact(&mut [0]).map(|()| Then::Judge)),
    );
    list.server(
        2,
        Connected,
        "connected, and silence",
        // An open connection may be idle; it has to be alive at the end.
        script(|_| {
            std::thread::sleep(Duration::from_millis(500));
            Ok(Then::Judge)
        }),
    );
}

fn pipelined(list: &mut List) {
    let null = || bytes::NULL.to_vec();
    let app = bytes::object(&[
        ("app", bytes::text("live")),
        ("tcUrl", bytes::text("rtmp://localhost/live")),
    ]);
    let all = [
        client_hello(),
        vec![0; BLOCK],
        bytes::command(0, "connect", 1.0, &[app]),
        bytes::command(0, "createStream", 2.0, &[null()]),
    ]
    .concat();
    list.server(3, Socket, "everything in one go", send(all));
    for extra in [1, 1000, 100_000] {
        let name = format!("{extra} bytes of zeros behind it");
        let bytes = [client_hello(), vec![0; BLOCK + extra]].concat();
        list.server(3, Socket, name, send_and_end(bytes));
    }
    list.server(3, Greeted, "noise behind it", send(vec![0xff; 3000]));
    list.server(
        3,
        Greeted,
        "it all again",
        send([client_hello(), vec![0; BLOCK]].concat()),
    );
}

fn digests(list: &mut List) {
    // Sums of 727, 631 and 1020, which is what four bytes come to at most.
    for pointers in [[255, 255, 217, 0], [255, 255, 121, 0], [255; 4], [0; 4]] {
        for scheme in digest::Scheme::ALL {
            let mut block = digest::block(Some(pointers));
            digest::sign(&mut block, scheme);
            let item = if pointers == [255, 255, 121, 0] { 5 } else { 4 };
            let name = format!("pointers {pointers:?}, {scheme:?}");
            list.server(item, Socket, name, send(hello(3, &block)));
        }
    }
    let name = "a digest that is none";
    list.server(6, Socket, name, send(hello(3, &digest::block(None))));
    for scheme in digest::Scheme::ALL {
        let mut block = digest::block(None);
        digest::sign(&mut block, scheme);
        // Another bit is another digest.
        block[BLOCK / 2 + 200] ^= 1;
        let name = format!("a digest that is wrong by a bit, {scheme:?}");
        list.server(6, Socket, name, send(hello(3, &block)));
    }
}

fn keys(list: &mut List) {
    for (what, key) in digest::weak_keys() {
        for scheme in digest::Scheme::ALL {
            let mut block = digest::block(None);
            digest::put_key(&mut block, scheme, &key);
            digest::sign(&mut block, scheme);
            let name = format!("RTMPE, the key {what}, {scheme:?}");
            list.server(7, Socket, name, send_and_end(hello(6, &block)));
        }
    }
    for version in [8, 9] {
        for scheme in digest::Scheme::ALL {
            let mut block = digest::block(None);
            digest::sign(&mut block, scheme);
            let bytes = [hello(version, &block), vec![0x5a; BLOCK]].concat();
            let name = format!("RTMPE {version} with a wrong signature, {scheme:?}");
            list.server(8, Socket, name, send_and_end(bytes));
        }
    }
}

/// What a server says to a client.
fn servers(list: &mut List) {
    for version in [0, 1, 4, 6, 8, 9, 31, 32, b'H', 0x15, 0xff] {
        let answer = script(move |wire| {
            let mut answer = wire.peer.read_hello()?;
            answer[0] = version;
            wire.send(&answer)?;
            wire.end();
            Ok(Then::Judge)
        });
        list.client(8, Socket, format!("S0 is {version}"), answer);
    }
    for len in [0, 1, 9, 1535, 1537, 1538, 3072] {
        let cut = script(move |wire| {
            let answer = wire.peer.read_hello()?;
            wire.send(&answer[..len])?;
            wire.end();
            Ok(Then::Judge)
        });
        list.client(2, Socket, format!("{len} bytes of an answer"), cut);
    }
    for len in [0, 1, 1000, 2000] {
        let silent = script(move |wire| {
            let answer = wire.peer.read_hello()?;
            wire.send(&answer[..len])?;
            wire.peer.read_exact(&mut [0]).map(|()| Then::Judge)
        });
        list.client(
            2,
            Socket,
            format!("{len} bytes of an answer, and silence"),
            silent,
        );
    }
    let drip = script(|wire| {
        let answer = wire.peer.read_hello()?;
        wire.drip(&answer)
    });
    list.client(2, Socket, "an answer a byte at a time", drip);
    list.client(3, Socket, "an answer before the question", {
        let mut answer = client_hello();
        answer.extend([7; BLOCK]);
        send(answer)
    });
    for (name, from, to) in [("S2", 1 + BLOCK, 1 + 2 * BLOCK), ("S1", 9, 1 + BLOCK)] {
        let noise = script(move |wire| {
            let mut answer = wire.peer.read_hello()?;
            answer[from..to].fill(0xff);
            wire.send(&answer)?;
            Ok(Then::Judge)
        });
        list.client(9, Socket, format!("{name} is noise"), noise);
    }
    list.server(9, Socket, "C2 is noise", {
        let bytes = [client_hello(), vec![0xff; BLOCK]].concat();
        send(bytes)
    });
    list.client(6, Socket, "a version, and a digest that is none", {
        script(|wire| {
            let mut answer = wire.peer.read_hello()?;
            answer[5..9].copy_from_slice(&[5, 0, 3, 1]);
            wire.send(&answer)?;
            Ok(Then::Judge)
        })
    });
    for (name, bytes) in [
        ("HTTP", &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]),
        ("a TLS alert", &[0x15, 3, 1, 0, 2, 2, 10]),
        ("SSH", b"SSH-2.0-x\r\n"),
    ] {
        list.client(
            1,
            Socket,
            format!("answered by {name}"),
            send_and_end(bytes.to_vec()),
        );
    }
}

fn swf(list: &mut List) {
    for data in [&[][..], &[0], &[1], &[2], &[255], &[1; 41], &[0xff; 90]] {
        for event in [26, 27] {
            let name = format!("SWF event {event} with {} bytes", data.len());
            list.everybody(10, name, bytes::user_control(event, data));
        }
    }
}
