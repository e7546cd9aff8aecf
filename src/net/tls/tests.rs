// SPDX-License-Identifier: MPL-2.0

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Mutex,
    thread::{self, JoinHandle},
    time::Duration,
};

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::{CertifiedKey, SingleCertAndKey},
    version::{TLS12, TLS13},
};

use super::*;
use crate::{
    net::{
        Stage,
        stack::{Stack, Target},
        testing::{Driver, Identity, PATIENCE, Pki},
    },
    protocol::rtmp::limits,
};

type ServerStream = StreamOwned<ServerConnection, TcpStream>;

fn listen(serve: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        serve(socket);
    });
    (address, thread)
}

/// A plain rustls server on a blocking socket, not our own code at both ends.
fn tls_server(
    config: Arc<ServerConfig>,
    serve: impl FnOnce(&mut ServerStream) + Send + 'static,
) -> (SocketAddr, JoinHandle<()>) {
    listen(move |socket| {
        let connection = ServerConnection::new(config).unwrap();
        serve(&mut StreamOwned::new(connection, socket));
    })
}

fn target(address: SocketAddr, tls: ClientTls) -> Target {
    Target {
        tls: Some(tls),
        connect_timeout: PATIENCE,
        ..Target::new(address.ip().to_string(), address.port())
    }
}

fn open(driver: &mut Driver, target: Target) -> Result<Stack, NetError> {
    let mut stack = driver.connect(target);
    driver.establish(&mut stack)?;
    Ok(stack)
}

/// The outcome of connecting to a server that shows `identity`.
fn verdict(identity: &Identity, tls: ClientTls) -> Result<(), NetError> {
    let config = identity.server().server_config().unwrap();
    let (address, thread) = tls_server(config, |stream| {
        // Fails if the client does not like the certificate.
        let _ = stream.write_all(b"hello");
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    let mut driver = Driver::new();
    let result = open(&mut driver, target(address, tls)).map(|mut stack| {
        assert_eq!(driver.read_to_end(&mut stack).unwrap(), b"hello");
    });
    thread.join().unwrap();
    result
}

fn refusal(identity: &Identity, tls: ClientTls) -> (String, ValidationFlags) {
    match verdict(identity, tls) {
        Err(NetError::Tls { reason, flags }) => (reason, flags),
        other => panic!("not refused: {other:?}"),
    }
}

const HERE: &[&str] = &["127.0.0.1"];

#[test]
fn a_good_certificate_is_trusted() {
    let pki = Pki::new();
    verdict(&pki.issue(HERE), pki.client()).unwrap();
}

#[test]
fn the_system_does_not_know_our_authority() {
    let pki = Pki::new();
    let (reason, flags) = match verdict(&pki.issue(HERE), ClientTls::default()) {
        Err(NetError::Tls { reason, flags }) => (reason, flags),
        // On a system without authorities there is no such list to be missing from.
        Err(NetError::Settings { reason }) if reason.contains("ca-certificates") => return,
        other => panic!("not refused: {other:?}"),
    };
    assert_eq!(flags, ValidationFlags::UNKNOWN_CA);
    assert!(
        reason.contains("issued by an unknown authority"),
        "{reason}"
    );
}

#[test]
fn each_problem_has_its_flag_and_its_words() {
    let pki = Pki::new();
    let past = |params: &mut rcgen::CertificateParams| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    };
    let future = |params: &mut rcgen::CertificateParams| {
        params.not_before = date_time_ymd(4000, 1, 1);
    };
    let clients_only = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    };
    let authority = |params: &mut rcgen::CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    use ValidationFlags as F;
    for (identity, expected, words) in [
        (pki.self_signed(HERE), F::UNKNOWN_CA, "is self-signed"),
        (
            pki.self_signed_with(HERE, authority),
            F::UNKNOWN_CA,
            "is self-signed",
        ),
        (
            pki.issue(&["live.example", "*.cdn.example", "10.0.0.1"]),
            F::BAD_IDENTITY,
            "is for live.example, *.cdn.example, 10.0.0.1 and not for this host",
        ),
        (pki.issue(&[]), F::BAD_IDENTITY, "names no host"),
        (pki.issue_with(HERE, past), F::EXPIRED, "expired "),
        (
            pki.issue_with(HERE, future),
            F::NOT_ACTIVATED,
            "is not valid before ",
        ),
        (
            pki.issue_with(HERE, clients_only),
            F::GENERIC_ERROR | F::UNKNOWN_CA,
            "cannot be used",
        ),
        (
            pki.self_signed_with(&["live.example"], past),
            F::EXPIRED | F::UNKNOWN_CA | F::BAD_IDENTITY,
            "ago, and is self-signed, so no trusted authority vouches for it, and is for",
        ),
    ] {
        let (reason, flags) = refusal(&identity, pki.client());
        assert_eq!(flags, expected, "{reason}");
        assert!(
            reason.starts_with("the TLS certificate of 127.0.0.1 "),
            "{reason}"
        );
        assert!(reason.contains(words), "{reason}");

        // The very checks that failed have to be off, and no others.
        let tls = |flags| ClientTls {
            flags,
            ..pki.client()
        };
        verdict(&identity, tls(!expected)).unwrap();
        for bit in (0..7)
            .map(|bit| F::from_bits(1 << bit))
            .filter(|bit| expected.contains(*bit))
        {
            let (_, flags) = refusal(&identity, tls(bit));
            assert_eq!(flags, bit, "{reason}");
        }
    }
}

#[test]
fn the_hook_decides_and_learns_everything() {
    let pki = Pki::new();
    let identity = pki.self_signed(&["live.example"]);
    for answer in [true, false] {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let accept: AcceptCertificate = Arc::new({
            let seen = seen.clone();
            move |problem| {
                seen.lock().unwrap().push(problem.clone());
                answer
            }
        });
        let tls = ClientTls {
            accept: Some(accept),
            ..pki.client()
        };
        assert_eq!(verdict(&identity, tls).is_ok(), answer);
        let seen = seen.lock().unwrap();
        let [problem] = seen.as_slice() else {
            panic!("asked {} times", seen.len())
        };
        assert_eq!(problem.chain, identity.chain);
        assert_eq!(problem.host, "127.0.0.1");
        assert_eq!(
            problem.flags,
            ValidationFlags::UNKNOWN_CA | ValidationFlags::BAD_IDENTITY
        );
    }
}

#[test]
fn the_hook_is_not_asked_about_good_certificates() {
    let pki = Pki::new();
    let accept: AcceptCertificate = Arc::new(|problem| panic!("asked: {problem:?}"));
    verdict(
        &pki.issue(HERE),
        ClientTls {
            accept: Some(accept),
            ..pki.client()
        },
    )
    .unwrap();
}

#[test]
fn a_certificate_in_the_ca_file_is_trusted_as_it_is() {
    let pki = Pki::new();
    let authority = |params: &mut rcgen::CertificateParams| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    };
    for identity in [pki.self_signed(HERE), pki.self_signed_with(HERE, authority)] {
        let tls = ClientTls {
            ca_file: Some(identity.cert.clone()),
            ..ClientTls::default()
        };
        verdict(&identity, tls.clone()).unwrap();
        // Another one of the same name is not.
        refusal(&pki.self_signed(HERE), tls);
    }
    let wrong = pki.self_signed(&["live.example"]);
    let tls = ClientTls {
        ca_file: Some(wrong.cert.clone()),
        ..ClientTls::default()
    };
    assert_eq!(refusal(&wrong, tls).1, ValidationFlags::BAD_IDENTITY);
}

/// The certificate as `openssl x509 -req` makes it without extensions: of version 1. The signature of
/// its issuer is spoilt by that.
fn of_version_1(identity: &Identity) -> Vec<u8> {
    fn wrapped(content: &[u8]) -> Vec<u8> {
        let length = (content.len() as u16).to_be_bytes();
        [&[0x30, 0x82][..], &length, content].concat()
    }
    let (_, certificate, _) = der::element(&identity.chain[0]).unwrap();
    let (_, tbs, signature) = der::element(certificate).unwrap();
    let (version, _, fields) = der::element(tbs).unwrap();
    assert_eq!(version, 0xa0);
    let mut rest = fields;
    for _ in 0..6 {
        rest = der::element(rest).unwrap().2;
    }
    let fields = &fields[..fields.len() - rest.len()];
    wrapped(&[&wrapped(fields)[..], signature].concat())
}

#[test]
fn a_certificate_of_version_1_is_for_who_wants_it() {
    let pki = Pki::new();
    let identity = pki.issue(HERE);
    let old = of_version_1(&identity);
    let other = pki.issue(HERE);
    let cases = [
        (&identity, ValidationFlags::all(), false),
        (&identity, ValidationFlags::EXPIRED, true),
        (&identity, ValidationFlags::empty(), true),
        // It does not own what it shows.
        (&other, ValidationFlags::empty(), false),
    ];
    let versions = [&TLS12, &TLS13].into_iter();
    for (version, (key, flags, trusted)) in versions.flat_map(|v| cases.map(|case| (v, case))) {
        let shown = CertificateDer::from(old.clone());
        let config = showing(shown, key, &[version]);
        let (address, thread) = tls_server(config, |stream| {
            let _ = stream.write_all(b"hello");
        });
        let tls = ClientTls {
            flags,
            ..pki.client()
        };
        let opened = open(&mut Driver::new(), target(address, tls));
        match opened {
            Ok(_) => assert!(trusted, "{flags:?}"),
            Err(NetError::Tls { reason, .. }) => {
                assert!(!trusted, "{reason}");
                let all = flags == ValidationFlags::all();
                assert_eq!(reason.contains("X.509 version 1"), all, "{reason}");
            }
            Err(error) => panic!("{error:?}"),
        }
        thread.join().unwrap();
    }
}

#[test]
fn the_server_name_replaces_the_host() {
    let pki = Pki::new();
    let identity = pki.issue(&["live.example"]);
    for name in ["live.example", "LIVE.example", "live.example."] {
        let tls = ClientTls {
            server_name: Some(name.into()),
            ..pki.client()
        };
        verdict(&identity, tls).unwrap();
    }
}

/// A server's configuration that our own code would not make.
fn odd_server(
    cert: &Identity,
    key: &Identity,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let shown = CertificateDer::from_pem_file(&cert.cert).unwrap();
    showing(shown, key, versions)
}

fn showing(
    certificate: CertificateDer<'static>,
    key: &Identity,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from_pem_file(&key.key).unwrap();
    let key = provider.key_provider.load_private_key(key).unwrap();
    let shown = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
    let builder = ServerConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(versions).unwrap();
    Arc::new(
        builder
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(shown)),
    )
}

/// A server that hands out tickets for ever keeps nobody busy for ever: rustls holds no such flight, and counts
/// empty records and updates of keys itself. Our own limit is for what it may let through one day.
#[test]
fn records_without_data_have_a_limit() {
    let pki = Pki::new();
    let identity = pki.issue(HERE);
    // Of some 100 bytes each, in portions of up to 4 KiB; a sound server sends two.
    let enough = limits::TLS_FRUITLESS_STEPS * 4096 / 100;
    for (tickets, floods) in [(2, false), (2 * enough, true)] {
        let mut config = (*odd_server(&identity, &identity, &[&TLS13])).clone();
        config.send_tls13_tickets = tickets;
        let (address, thread) = tls_server(Arc::new(config), |stream| {
            let _ = stream.write_all(b"hello");
            stream.conn.send_close_notify();
            let _ = stream.flush();
        });
        let mut driver = Driver::new();
        let mut stack = open(&mut driver, target(address, pki.client())).unwrap();
        let read = driver.read_to_end(&mut stack);
        match read {
            Ok(bytes) => assert!(!floods && bytes == b"hello", "{bytes:?}"),
            Err(error) => assert!(floods, "{error}"),
        }
        drop(stack);
        thread.join().unwrap();
    }
}

#[test]
fn a_certificate_without_its_key_is_refused_whatever_the_flags() {
    let pki = Pki::new();
    let (shown, signs) = (pki.issue(HERE), pki.issue(HERE));
    for version in [&TLS12, &TLS13] {
        let (address, thread) = tls_server(odd_server(&shown, &signs, &[version]), |stream| {
            assert!(
                stream
                    .write_all(b"hello")
                    .and_then(|()| stream.read(&mut [0]))
                    .is_err()
            );
        });
        let accept: AcceptCertificate = Arc::new(|_| true);
        let flags = ValidationFlags::empty();
        let tls = ClientTls {
            accept: Some(accept),
            flags,
            ..pki.client()
        };
        let error = open(&mut Driver::new(), target(address, tls)).unwrap_err();
        assert!(matches!(error, NetError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains("cannot be used"), "{error}");
        thread.join().unwrap();
    }
}

#[test]
fn a_key_that_does_not_fit_is_named() {
    let pki = Pki::new();
    let (one, other) = (pki.issue(HERE), pki.issue(HERE));
    let mismatch = ServerTls {
        cert: one.cert,
        key: other.key,
        client_ca: None,
    };
    let error = mismatch.server_config().unwrap_err().to_string();
    assert!(error.contains("is not the key of"), "{error}");
}

#[test]
fn tls_1_2_only() {
    let pki = Pki::new();
    let identity = pki.issue(HERE);
    let (address, thread) = tls_server(odd_server(&identity, &identity, &[&TLS12]), |stream| {
        stream.write_all(b"hello").unwrap();
        assert_eq!(
            stream.conn.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_2)
        );
    });
    let mut driver = Driver::new();
    let mut stack = open(&mut driver, target(address, pki.client())).unwrap();
    assert_eq!(driver.read_to_end(&mut stack).unwrap(), b"hello");
    assert!(stack.truncated(), "the server did not say goodbye");
    thread.join().unwrap();
}

#[test]
fn peers_that_do_not_speak_tls() {
    let pki = Pki::new();
    for (answer, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "but plain HTTP"),
        (b"\x03\0\0\0\0\0\0\0\0", "but plain RTMP"),
        (b"220 ready\r\n", "but something else"),
        (
            b"\x16garbage after a plausible byte",
            "does not speak TLS on this port",
        ),
        (b"", "does it speak TLS on this port?"),
    ] {
        let (address, thread) = listen(move |mut socket| {
            let mut hello = [0; 5];
            socket.read_exact(&mut hello).unwrap();
            let mut rest = vec![0; usize::from(u16::from_be_bytes([hello[3], hello[4]]))];
            socket.read_exact(&mut rest).unwrap();
            socket.write_all(answer).unwrap();
        });
        let error = open(&mut Driver::new(), target(address, pki.client())).unwrap_err();
        assert!(matches!(error, NetError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(error.stage(), Some(Stage::Tls));
        thread.join().unwrap();
    }
}

#[test]
fn a_server_that_says_nothing_times_out() {
    let pki = Pki::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = Target {
        connect_timeout: Duration::from_millis(50),
        ..target(listener.local_addr().unwrap(), pki.client())
    };
    let error = open(&mut Driver::new(), target).unwrap_err();
    assert!(
        matches!(
            error,
            NetError::Timeout {
                stage: Stage::Tls,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_client_certificate_is_asked_for() {
    let pki = Pki::new();
    let server = pki.issue(HERE);
    let config = ServerTls {
        client_ca: Some(pki.ca_file()),
        ..server.server()
    };
    let config = config.server_config().unwrap();
    let own = pki.issue(&["client"]);
    let with = ClientTls {
        client_cert: Some((own.cert, own.key)),
        ..pki.client()
    };
    for (tls, welcome) in [(with, true), (pki.client(), false)] {
        let (address, thread) = tls_server(config.clone(), move |stream| {
            assert_eq!(stream.write_all(b"hello").is_ok(), welcome);
            let _ = stream.read(&mut [0; 1]);
        });
        let mut driver = Driver::new();
        let result = open(&mut driver, target(address, tls)).and_then(|mut stack| {
            let mut bytes = Vec::new();
            driver.read_some(&mut stack, &mut bytes)?;
            Ok(bytes)
        });
        match result {
            Ok(bytes) => assert!(welcome && bytes == b"hello"),
            Err(error) => {
                assert!(!welcome, "{error}");
                assert!(
                    error.to_string().contains("wants a client certificate"),
                    "{error}"
                );
            }
        }
        thread.join().unwrap();
    }
}

#[test]
fn files_that_are_wrong_are_named() {
    let pki = Pki::new();
    let missing = pki.folder().join("missing.pem");
    let empty = pki.folder().join("empty.pem");
    std::fs::write(&empty, "no certificate in here").unwrap();
    let own = pki.issue(HERE);
    for tls in [
        ClientTls {
            ca_file: Some(missing.clone()),
            ..ClientTls::default()
        },
        ClientTls {
            ca_file: Some(empty.clone()),
            ..ClientTls::default()
        },
        ClientTls {
            client_cert: Some((own.cert.clone(), missing)),
            ..pki.client()
        },
        ClientTls {
            client_cert: Some((own.cert, empty)),
            ..pki.client()
        },
    ] {
        let error = Connector::new(&tls, "localhost").unwrap_err();
        assert!(matches!(error, NetError::Settings { .. }));
        assert!(error.to_string().contains(".pem"), "{error}");
    }
    let error = Connector::new(&pki.client(), "no host").unwrap_err();
    assert!(matches!(error, NetError::Settings { .. }));
}

/// Hands bytes on one at a time.
fn trickle(address: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    listen(move |mut client| {
        let mut server = TcpStream::connect(address).unwrap();
        server.set_nodelay(true).unwrap();
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let up = thread::spawn(move || {
            let mut byte = [0];
            while from.read(&mut byte).unwrap() == 1 && to.write_all(&byte).is_ok() {}
        });
        let mut byte = [0];
        while server.read(&mut byte).unwrap() == 1 {
            client.write_all(&byte).unwrap();
        }
        client.shutdown(std::net::Shutdown::Write).unwrap();
        up.join().unwrap();
    })
}

#[test]
fn trickled_bytes_arrive() {
    let pki = Pki::new();
    let config = pki.issue(HERE).server().server_config().unwrap();
    let (address, server) = tls_server(config, |stream| {
        let mut bytes = [0; 3000];
        stream.read_exact(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        let _ = stream.sock.shutdown(std::net::Shutdown::Both);
    });
    let (address, relay) = trickle(address);
    let mut driver = Driver::new();
    let mut stack = open(&mut driver, target(address, pki.client())).unwrap();
    driver.write_all(&mut stack, &[7; 3000]).unwrap();
    assert_eq!(driver.read_to_end(&mut stack).unwrap(), [7; 3000]);
    assert!(!stack.truncated());
    drop(stack);
    server.join().unwrap();
    relay.join().unwrap();
}

/// Many records come with one recv, and rustls holds no more than 16 KiB of them.
#[test]
fn many_small_records_arrive() {
    let pki = Pki::new();
    let config = pki.issue(HERE).server().server_config().unwrap();
    let (address, server) = tls_server(config, |stream| {
        for n in 0..1000 {
            stream.write_all(&[n as u8; 100]).unwrap();
        }
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    });
    let mut driver = Driver::new();
    let mut stack = open(&mut driver, target(address, pki.client())).unwrap();
    // With all of it there, nothing but what is held limits a step.
    server.join().unwrap();
    let received = driver.read_to_end(&mut stack).unwrap();
    let sent = (0..1000).flat_map(|n| [n as u8; 100]).collect::<Vec<_>>();
    assert!(received == sent, "{} bytes", received.len());
}

#[test]
fn both_ends_of_ours_carry_megabytes_both_ways() {
    let pki = Pki::new();
    let config = pki.issue(HERE).server().server_config().unwrap();
    let (address, thread) = listen(move |socket| {
        socket.set_nonblocking(true).unwrap();
        let mut driver = Driver::new();
        let mut stack = Stack::accepted(mio::net::TcpStream::from_std(socket), Some(config));
        driver.establish(&mut stack).unwrap();
        let bytes = driver.read_to_end(&mut stack).unwrap();
        assert!(!stack.truncated());
        driver.write_all(&mut stack, &bytes).unwrap();
        stack.shutdown();
        // Closing while bytes of the client are unread would reset the connection.
        assert!(driver.read_to_end(&mut stack).unwrap().is_empty());
    });
    let mut driver = Driver::new();
    let mut stack = open(&mut driver, target(address, pki.client())).unwrap();
    let bytes = (0..3_000_000u32)
        .map(|n| (n % 251) as u8)
        .collect::<Vec<_>>();
    driver.write_all(&mut stack, &bytes).unwrap();
    stack.shutdown();
    assert!(driver.read_to_end(&mut stack).unwrap() == bytes);
    assert!(!stack.truncated());
    thread.join().unwrap();
}
