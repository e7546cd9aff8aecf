// SPDX-License-Identifier: MPL-2.0

//! The handshake (RTMP 1.0 section 5.2) in both roles, plain or with the digests of Flash Player 9.
//!
//! [`ClientHandshake`] and [`ServerHandshake`] take bytes cut anywhere and never take more than is
//! theirs: what follows the handshake in the same read stays with the caller. They know no clock,
//! so the deadline against a peer that sends a byte a second is the caller's.
//!
//! RTMPE is one more [`Style`]: the same blocks and the same [`Scheme`]s, plus what is in [`crypt`].

mod block;
mod client;
pub mod crypt;
mod digest;
mod server;

pub use block::BLOCK_LEN;
pub use client::ClientHandshake;
pub use digest::Scheme;
pub use server::ServerHandshake;

/// What a client offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Style {
    /// Version zero and random bytes, as the specification has it.
    Plain,
    /// C1 names a Flash version and carries a digest, which some servers want before they send
    /// H.264 or verify a SWF. Servers that do not know digests take it for a plain one.
    Digest,
    /// RTMPE: a digest, and everything behind the handshake is encrypted. The server may choose
    /// another version.
    Encrypted(crypt::Version),
}

impl Style {
    /// The first byte on the wire, C0.
    pub fn version(self) -> u8 {
        match self {
            Style::Plain | Style::Digest => VERSION,
            Style::Encrypted(version) => version as u8,
        }
    }
}

/// How far one call of `input` came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes taken from the front of the input; the rest belongs to the chunk layer once `done`.
    pub consumed: usize,
    /// Whether the handshake is over.
    pub done: bool,
}

/// What became of a handshake, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeInfo {
    /// The form that both sides speak.
    pub form: Form,
    /// The time field of the peer's first block, in milliseconds of its own epoch.
    pub peer_time_ms: u32,
    /// The four bytes behind it: zero, or the version of a Flash Player or Media Server.
    pub peer_version: [u8; 4],
    /// What the peer's second block was; `None` before it came.
    pub answer: Option<Answer>,
}

/// The form of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Random bytes and their echo.
    Plain,
    /// Digests, found by this scheme in the peer's first block.
    Digest(Scheme),
}

/// What the peer's second block had to do with our first one.
///
/// None of these ends a connection: real servers answer with bytes of their own choice
/// (datarhei/restreamer issue 966).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It repeats our block.
    Echo,
    /// It is signed with our digest.
    Signed,
    /// It is neither; the peer is sloppy or something between us changes bytes.
    Foreign,
}

/// Why a handshake ended. Every one of them is final for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The first byte starts an HTTP message.
    #[error("the peer speaks HTTP, not RTMP: check the port, or use RTMPT")]
    Http,
    /// The first byte starts a TLS record.
    #[error("the peer speaks TLS, not plain RTMP: use rtmps")]
    Tls,
    /// The first byte asks for RTMPE, which this handshake did not offer.
    #[error("the peer wants RTMPE (version {0}), which was not offered")]
    Encrypted(u8),
    /// RTMPE was asked for and the answer is plain RTMP.
    #[error("the server does not encrypt: use rtmp, or rtmps if it has that, instead of rtmpe")]
    NotEncrypted,
    /// RTMPE needs a digest in the first block, to find the key by.
    #[error("the peer asks for RTMPE and sends no valid digest")]
    NoDigest,
    /// The key in the first block is none.
    #[error(transparent)]
    BadKey(#[from] crypt::BadKey),
    /// The first byte is no version of RTMP that exists.
    #[error("the peer does not speak RTMP: its first byte is {0} instead of 3")]
    Version(u8),
}

impl HandshakeError {
    /// Tells from a first byte that is not 3 whom we met.
    fn from_version(version: u8) -> Self {
        match version {
            // ContentType alert and handshake, RFC 8446 section 5.1.
            0x15 | 0x16 => HandshakeError::Tls,
            // A reply, or GET, HEAD, POST, PUT, OPTIONS, DELETE. All are above 31, which the
            // specification forbids for the very purpose of telling RTMP from text.
            b'H' | b'G' | b'P' | b'O' | b'D' => HandshakeError::Http,
            6 | 8 | 9 => HandshakeError::Encrypted(version),
            _ => HandshakeError::Version(version),
        }
    }
}

/// RTMP without encryption.
const VERSION: u8 = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::rtmp::transmit::Transmit;

    const FLASH: [u8; 4] = [9, 0, 124, 2];

    fn drain(out: &mut Transmit) -> Vec<u8> {
        std::iter::from_fn(|| out.pop()).flatten().collect()
    }

    /// Feeds `input` in pieces of the given sizes, repeated, and returns what came out and how much
    /// was taken.
    fn feed(
        sizes: &[usize],
        input: &[u8],
        mut step: impl FnMut(&[u8], &mut Transmit) -> Result<Progress, HandshakeError>,
    ) -> Result<(Vec<u8>, usize, bool), HandshakeError> {
        let mut out = Transmit::default();
        let mut taken = 0;
        let mut done = false;
        for size in sizes.iter().cycle() {
            let end = input.len().min(taken + size.max(&1));
            let progress = step(&input[taken..end], &mut out)?;
            taken += progress.consumed;
            done = progress.done;
            if done || end == input.len() {
                break;
            }
            assert_eq!(taken, end, "an unfinished handshake takes all it gets");
        }
        Ok((drain(&mut out), taken, done))
    }

    fn converse(style: Style, scheme: Scheme, sizes: &[usize]) -> (HandshakeInfo, HandshakeInfo) {
        let mut client = ClientHandshake::with_scheme(style, scheme, 1000, FLASH, [1; 32]);
        let mut server = ServerHandshake::new(2000, [2; 32]);

        let mut out = Transmit::default();
        client.start(&mut out);
        let hello = drain(&mut out);
        assert_eq!(hello.len(), 1 + BLOCK_LEN);
        assert_eq!(client.info(), None);

        let (reply, taken, done) =
            feed(sizes, &hello, |data, out| server.input(data, out)).unwrap();
        assert_eq!(
            (reply.len(), taken, done),
            (1 + 2 * BLOCK_LEN, hello.len(), false)
        );

        // Chunks follow S2 in the same read and must stay where they are.
        let mut wire = reply.clone();
        wire.extend(b"chunk");
        let (answer, taken, done) =
            feed(sizes, &wire, |data, out| client.input(data, out)).unwrap();
        assert_eq!((answer.len(), taken, done), (BLOCK_LEN, reply.len(), true));

        let mut wire = answer.clone();
        wire.extend(b"chunk");
        let (silence, taken, done) =
            feed(sizes, &wire, |data, out| server.input(data, out)).unwrap();
        assert_eq!((silence.len(), taken, done), (0, answer.len(), true));

        assert_eq!(
            client.swf_key().unwrap()[..],
            reply[BLOCK_LEN - 31..=BLOCK_LEN]
        );
        for after in [
            client.input(b"chunk", &mut out).unwrap(),
            server.input(b"chunk", &mut out).unwrap(),
        ] {
            assert_eq!(
                after,
                Progress {
                    consumed: 0,
                    done: true
                }
            );
        }
        assert!(out.is_empty());
        (client.info().unwrap(), server.info().unwrap())
    }

    #[test]
    fn plain_meets_plain() {
        for sizes in [&[1][..], &[1537], &[4096], &[1536, 1], &[7, 1530, 2]] {
            let (client, server) = converse(Style::Plain, Scheme::First, sizes);
            assert_eq!((client.form, server.form), (Form::Plain, Form::Plain));
            assert_eq!(
                (client.answer, server.answer),
                (Some(Answer::Echo), Some(Answer::Echo))
            );
            assert_eq!((client.peer_time_ms, server.peer_time_ms), (2000, 1000));
            assert_eq!((client.peer_version, server.peer_version), ([0; 4], [0; 4]));
        }
    }

    #[test]
    fn digest_meets_digest_in_the_clients_scheme() {
        for scheme in [Scheme::First, Scheme::Second] {
            for sizes in [&[1][..], &[1537], &[4096], &[1536, 1], &[7, 1530, 2]] {
                let (client, server) = converse(Style::Digest, scheme, sizes);
                let form = Form::Digest(scheme);
                assert_eq!((client.form, server.form), (form, form));
                let signed = Some(Answer::Signed);
                assert_eq!((client.answer, server.answer), (signed, signed));
                assert_eq!(server.peer_version, FLASH);
            }
        }
    }

    #[test]
    fn every_cut_gives_the_same_bytes() {
        for style in [Style::Plain, Style::Digest] {
            for cut in 1..=2 * BLOCK_LEN + 5 {
                let whole = [cut, 2 * BLOCK_LEN + 6];
                let (client, server) = converse(style, Scheme::First, &whole);
                assert_ne!(client.answer, Some(Answer::Foreign));
                assert_ne!(server.answer, Some(Answer::Foreign));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_cuts_give_the_same_bytes(
            sizes in proptest::collection::vec(1usize..2000, 1..20),
            digest in any::<bool>(),
        ) {
            let style = if digest { Style::Digest } else { Style::Plain };
            let (client, _) = converse(style, Scheme::First, &sizes);
            prop_assert_ne!(client.answer, Some(Answer::Foreign));
        }

        #[test]
        fn any_bytes_are_taken_or_refused(
            mut data in proptest::collection::vec(any::<u8>(), 0..4000),
            valid in any::<bool>(),
        ) {
            if let (true, Some(first)) = (valid, data.first_mut()) {
                *first = 3;
            }
            let mut out = Transmit::default();
            let mut client = ClientHandshake::new(Style::Digest, 0, FLASH, [3; 32]);
            let mut server = ServerHandshake::new(0, [4; 32]);
            for result in [client.input(&data, &mut out), server.input(&data, &mut out)] {
                match result {
                    Ok(progress) => prop_assert!(progress.consumed <= data.len()),
                    Err(_) => prop_assert_ne!(data[0], 3),
                }
            }
        }
    }

    #[test]
    fn a_first_byte_tells_who_is_there() {
        for byte in (0..=255u8).filter(|byte| *byte != 3) {
            let expected = match byte {
                b'G' | b'H' | b'P' | b'O' | b'D' => HandshakeError::Http,
                0x15 | 0x16 => HandshakeError::Tls,
                6 | 8 | 9 => HandshakeError::Encrypted(byte),
                _ => HandshakeError::Version(byte),
            };
            let mut out = Transmit::default();
            let mut client = ClientHandshake::new(Style::Plain, 0, [0; 4], [0; 32]);
            let mut server = ServerHandshake::new(0, [0; 32]);
            // An error stays one, whatever comes after it.
            for data in [&[byte][..], &[3; 4000]] {
                assert_eq!(client.input(data, &mut out), Err(expected));
                assert_eq!(server.input(data, &mut out), Err(expected));
            }
            assert!(out.is_empty(), "nothing is sent to a peer that is not RTMP");
        }
        assert!(HandshakeError::Http.to_string().contains("HTTP"));
        assert!(HandshakeError::Tls.to_string().contains("rtmps"));
        assert!(
            HandshakeError::Version(0)
                .to_string()
                .contains("first byte is 0")
        );
    }

    #[test]
    fn a_spoilt_second_block_is_only_reported() {
        for style in [Style::Plain, Style::Digest] {
            for spoilt in [8, 700, BLOCK_LEN - 1] {
                let mut out = Transmit::default();
                let mut client = ClientHandshake::new(style, 0, FLASH, [1; 32]);
                let mut server = ServerHandshake::new(0, [2; 32]);
                client.start(&mut out);
                let hello = drain(&mut out);
                assert!(!server.input(&hello, &mut out).unwrap().done);
                let mut reply = drain(&mut out);
                reply[1 + BLOCK_LEN + spoilt] ^= 1;
                assert!(client.input(&reply, &mut out).unwrap().done);
                let mut answer = drain(&mut out);
                answer[spoilt] ^= 1;
                assert!(server.input(&answer, &mut out).unwrap().done);
                assert_eq!(client.info().unwrap().answer, Some(Answer::Foreign));
                assert_eq!(server.info().unwrap().answer, Some(Answer::Foreign));
            }
        }
    }

    #[test]
    fn an_echo_may_carry_its_own_time() {
        let mut out = Transmit::default();
        let mut server = ServerHandshake::new(0, [2; 32]);
        server
            .input(&[&[3][..], &[0; BLOCK_LEN]].concat(), &mut out)
            .unwrap();
        let mut answer = drain(&mut out)[1..=BLOCK_LEN].to_vec();
        answer[4..8].copy_from_slice(&[0, 0, 1, 2]);
        assert!(server.input(&answer, &mut out).unwrap().done);
        assert_eq!(server.info().unwrap().answer, Some(Answer::Echo));
    }

    /// C0 C1 C2 and S0 S1 S2 as real programs sent them; tests/data/handshake/README.md.
    macro_rules! recorded {
        ($name:literal, $suffix:literal) => {
            *include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/data/handshake/",
                $name,
                ".",
                $suffix
            ))
        };
    }

    struct Recording {
        name: &'static str,
        client: [u8; 1 + 2 * BLOCK_LEN],
        server: [u8; 1 + 2 * BLOCK_LEN],
        form: Form,
        flash_version: [u8; 4],
    }

    macro_rules! recording {
        ($name:literal, $form:expr, $flash_version:expr) => {
            Recording {
                name: $name,
                client: recorded!($name, "client"),
                server: recorded!($name, "server"),
                form: $form,
                flash_version: $flash_version,
            }
        };
    }

    fn recordings() -> [Recording; 4] {
        let digest = Form::Digest(Scheme::First);
        [
            recording!("ffmpeg-publish", digest, [9, 0, 124, 2]),
            recording!("ffmpeg-play", digest, [9, 0, 124, 2]),
            recording!("rtmpdump-swf", digest, [10, 0, 45, 2]),
            recording!("rtmpdump-plain", Form::Plain, [0; 4]),
        ]
    }

    #[test]
    fn recorded_clients_get_their_form() {
        for recording in recordings() {
            let Recording {
                name, client, form, ..
            } = recording;
            let mut server = ServerHandshake::new(0, [5; 32]);
            let mut out = Transmit::default();
            let progress = server.input(&client, &mut out).unwrap();
            assert_eq!(
                progress,
                Progress {
                    consumed: client.len(),
                    done: true
                }
            );
            let info = server.info().unwrap();
            assert_eq!(
                (info.form, info.peer_version),
                (form, recording.flash_version),
                "{name}"
            );
            // Their C2 answers another S1.
            assert_eq!(info.answer, Some(Answer::Foreign));
            let reply = drain(&mut out);
            assert_eq!(
                reply[1 + BLOCK_LEN..] == client[1..=BLOCK_LEN],
                form == Form::Plain
            );
        }
    }

    #[test]
    fn recorded_servers_are_recognised() {
        for Recording {
            name,
            client,
            server,
            form,
            ..
        } in recordings()
        {
            let mut out = Transmit::default();
            let mut replay = ClientHandshake::replay(&client[1..=BLOCK_LEN]);
            assert!(replay.input(&server, &mut out).unwrap().done);
            let info = replay.info().unwrap();
            let answer = if form == Form::Plain {
                Answer::Echo
            } else {
                Answer::Signed
            };
            assert_eq!((info.form, info.answer), (form, Some(answer)), "{name}");
            if form == Form::Plain {
                assert_eq!(drain(&mut out), client[1 + BLOCK_LEN..]);
            }
        }
    }

    #[test]
    fn recorded_clients_sign_like_ours() {
        let block = |bytes: &[u8]| *bytes.first_chunk::<BLOCK_LEN>().unwrap();
        for recording in recordings() {
            let s1 = block(&recording.server[1..]);
            let c2 = block(&recording.client[1 + BLOCK_LEN..]);
            let signed = digest::find(&s1, digest::Side::Server).is_some_and(|(_, digest)| {
                digest::is_signed(&c2, digest::Side::Client, &digest, None)
            });
            // ffmpeg looks at digests only when it plays.
            let expected = matches!(recording.name, "ffmpeg-play" | "rtmpdump-swf");
            assert_eq!(signed, expected, "{}", recording.name);
        }
    }

    #[test]
    fn a_server_without_digests_gets_its_block_back() {
        // One that draws random bytes, one with a version but no digest, and one that sends C1
        // back (Node-Media-Server): only then is S1 a valid digest, but a client's.
        let mut out = Transmit::default();
        let mut client = ClientHandshake::new(Style::Digest, 0, FLASH, [1; 32]);
        client.start(&mut out);
        let hello = drain(&mut out);
        let mut versioned = vec![0xa5; 1 + BLOCK_LEN];
        versioned[0] = 3;
        let mut random = versioned.clone();
        random[5..9].fill(0);
        for s0s1 in [random, versioned, hello] {
            let mut client = ClientHandshake::new(Style::Digest, 0, FLASH, [1; 32]);
            assert!(!client.may_send());
            let progress = client.input(&s0s1, &mut out).unwrap();
            assert_eq!(
                progress,
                Progress {
                    consumed: s0s1.len(),
                    done: false
                }
            );
            assert!(client.may_send());
            assert_eq!(drain(&mut out), s0s1[1..]);
            assert_eq!(client.info().unwrap().form, Form::Plain);
            assert_eq!(client.info().unwrap().answer, None);
        }
    }

    #[test]
    fn a_version_without_a_digest_gets_a_plain_reply() {
        let mut out = Transmit::default();
        for fill in [0x00, 0x5a, 0xff] {
            let mut hello = vec![fill; 1 + BLOCK_LEN];
            hello[0] = 3;
            hello[5..9].copy_from_slice(&FLASH);
            let mut server = ServerHandshake::new(0, [6; 32]);
            server.input(&hello, &mut out).unwrap();
            let reply = drain(&mut out);
            assert_eq!(server.info().unwrap().form, Form::Plain);
            assert_eq!(reply[5..9], [0; 4]);
            assert_eq!(reply[1 + BLOCK_LEN..], hello[1..]);
        }
    }
}
