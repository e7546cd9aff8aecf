// SPDX-License-Identifier: MPL-2.0

//! Item 50: TLS that goes wrong before there is a session, and certificates that prove nothing.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig, ServerConnection,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use super::{List, Then, script, send, send_and_end};
use crate::suite::Stage::*;

pub(super) fn list(list: &mut List) {
    let hello = [
        &[0x16, 3, 1, 0, 60, 1, 0, 0, 56, 3, 3][..],
        &[7; 32],
        &[0, 0, 2, 0x13, 1, 1, 0],
    ]
    .concat();
    for (what, bytes) in [
        ("a ClientHello cut off", hello[..20].to_vec()),
        ("a ClientHello of half its length", hello.clone()),
        (
            "a record of 65,535 bytes",
            [&[0x16, 3, 1, 0xff, 0xff][..], &[1; 65_535]].concat(),
        ),
        (
            "an empty record, a thousand times",
            [0x16, 3, 1, 0, 0].repeat(1000),
        ),
        ("an alert first", vec![0x15, 3, 1, 0, 2, 1, 0]),
        (
            "data first",
            [&[0x17, 3, 3, 0, 100][..], &[9; 100]].concat(),
        ),
        ("SSL 2", vec![0x80, 0x2e, 1, 0, 2, 0, 21, 0, 0, 0, 16]),
        ("version 9", [&[0x16, 9, 9, 0, 10][..], &[1; 10]].concat()),
    ] {
        list.server(
            50,
            Socket,
            format!("TLS: {what}"),
            send_and_end(bytes.clone()),
        );
        list.server(50, Socket, format!("TLS: {what}, and silence"), send(bytes));
    }
    for (what, bytes) in [
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
        ("RTMP", vec![3; 3073]),
        ("an alert", vec![0x15, 3, 3, 0, 2, 2, 40]),
        (
            "a record of 65,535 bytes",
            [&[0x16, 3, 3, 0xff, 0xff][..], &[2; 65_535]].concat(),
        ),
        (
            "an empty record, a thousand times",
            [0x16, 3, 3, 0, 0].repeat(1000),
        ),
        (
            "a ServerHello of noise",
            [&[0x16, 3, 3, 0, 40, 2, 0, 0, 36][..], &[9; 36]].concat(),
        ),
        ("a close", vec![]),
    ] {
        list.client(
            50,
            Socket,
            format!("TLS: answered by {what}"),
            send_and_end(bytes),
        );
        list.scheme("rtmps");
    }
    for (what, name, year) in [
        ("a certificate of its own", "localhost", 2100),
        ("a certificate that has ended", "localhost", 2020),
        ("a certificate of another host", "example.org", 2100),
    ] {
        // A client that goes on with such a server says something.
        let serve = script(move |wire| {
            let config = config(name, year).map_err(io::Error::other)?;
            let mut tls = ServerConnection::new(Arc::new(config)).map_err(io::Error::other)?;
            let mut socket = wire.peer.socket().try_clone()?;
            let mut stream = rustls::Stream::new(&mut tls, &mut socket);
            match stream.read(&mut [0; 1537]) {
                Ok(1..) => {
                    let _ = stream.write_all(&[3; 3073]);
                    // No close_notify: cut.
                    wire.end();
                    Ok(Then::Judge)
                }
                Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
                Err(error) if crate::suite::wire::is_timeout(&error) => Err(error),
                Err(_) => Err(io::ErrorKind::ConnectionAborted.into()),
            }
        });
        list.client(50, Socket, format!("TLS: {what}"), serve);
        list.scheme("rtmps");
    }
}

fn config(
    name: &str,
    until: i32,
) -> Result<ServerConfig, Box<dyn std::error::Error + Send + Sync>> {
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?)
}
