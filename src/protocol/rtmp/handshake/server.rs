// SPDX-License-Identifier: MPL-2.0

//! The server's half: S0 S1 S2 in the form of C1, done when C2 was read.

use std::fmt;

use bytes::Bytes;

use super::{
    Answer, Form, HandshakeError, HandshakeInfo, Progress, Scheme, VERSION,
    block::{BLOCK_LEN, Block, Filling, is_echo, new_block, time_ms, version},
    client::{agree, put_key},
    crypt::{self, Cipher, KEY_LEN, KeyPair},
    digest::{self, DIGEST_LEN, Side},
};
use crate::protocol::rtmp::transmit::Transmit;

/// A handshake as the side that was connected to.
pub struct ServerHandshake {
    time_ms: u32,
    seed: [u8; 32],
    /// Takes RTMPE, and nothing else.
    encrypted: bool,
    /// The version of RTMPE that the client asked for.
    asked: Option<crypt::Version>,
    cipher: Option<Cipher>,
    state: State,
}

enum State {
    C0,
    C1(Filling),
    C2 { sent: Sent, block: Filling },
    Done { info: HandshakeInfo },
    Failed(HandshakeError),
}

/// What C2 is measured against.
struct Sent {
    info: HandshakeInfo,
    s1: Box<Block>,
    digest: Option<[u8; DIGEST_LEN]>,
}

impl ServerHandshake {
    /// Waits for C0.
    ///
    /// `time_ms` is the epoch that later message timestamps count from; `seed` must be random for
    /// each connection.
    pub fn new(time_ms: u32, seed: [u8; 32]) -> Self {
        ServerHandshake {
            time_ms,
            seed,
            encrypted: false,
            asked: None,
            cipher: None,
            state: State::C0,
        }
    }

    /// The same for RTMPE, in whichever version the client asks for.
    pub fn encrypted(time_ms: u32, seed: [u8; 32]) -> Self {
        Self {
            encrypted: true,
            ..Self::new(time_ms, seed)
        }
    }

    /// Takes bytes from the client and queues S0 S1 S2 when C1 is whole, not earlier: a stray
    /// connection gets nothing, and the form of S1 depends on C1.
    ///
    /// # Errors
    ///
    /// Only the first byte can be wrong, and with RTMPE the digest and the key of C1; then every later
    /// call fails alike. Section 5.2.2 would
    /// have a server answer an unknown version with 3, but what asks for one is no plain client, and
    /// FFmpeg's listener refuses it as well.
    pub fn input(&mut self, data: &[u8], out: &mut Transmit) -> Result<Progress, HandshakeError> {
        let mut rest = data;
        loop {
            match &mut self.state {
                State::C0 => {
                    let Some((&first, tail)) = rest.split_first() else {
                        break;
                    };
                    rest = tail;
                    if self.encrypted {
                        self.asked = crypt::Version::from_byte(first);
                    }
                    let expected = match self.encrypted {
                        true => self.asked.is_some(),
                        false => first == VERSION,
                    };
                    self.state = if expected {
                        State::C1(Filling::new())
                    } else {
                        State::Failed(HandshakeError::from_version(first))
                    };
                }
                State::C1(filling) => {
                    let Some(c1) = filling.fill(&mut rest) else {
                        break;
                    };
                    let replied = match self.asked {
                        None => Ok(reply(c1, self.time_ms, &self.seed)),
                        Some(version) => encrypted_reply(c1, self.time_ms, &self.seed, version)
                            .map(|(sent, s2, cipher)| {
                                self.cipher = Some(cipher);
                                (sent, s2)
                            }),
                    };
                    let (sent, s2) = match replied {
                        Ok(replied) => replied,
                        Err(error) => {
                            self.state = State::Failed(error);
                            continue;
                        }
                    };
                    let mut bytes = Vec::with_capacity(1 + 2 * BLOCK_LEN);
                    bytes.push(self.asked.map_or(VERSION, |version| version as u8));
                    bytes.extend_from_slice(&sent.s1[..]);
                    bytes.extend_from_slice(&s2[..]);
                    out.push(Bytes::from(bytes));
                    let block = Filling::new();
                    self.state = State::C2 { sent, block };
                }
                State::C2 { sent, block } => {
                    let Some(c2) = block.fill(&mut rest) else {
                        break;
                    };
                    let mut info = sent.info;
                    let asked = self.asked;
                    let signed = |digest| digest::is_signed(c2, Side::Client, &digest, asked);
                    info.answer = Some(if is_echo(c2, &sent.s1) {
                        Answer::Echo
                    } else if sent.digest.is_some_and(signed) {
                        Answer::Signed
                    } else {
                        Answer::Foreign
                    });
                    self.state = State::Done { info };
                }
                State::Done { .. } => break,
                State::Failed(error) => return Err(*error),
            }
        }
        Ok(Progress {
            consumed: data.len() - rest.len(),
            done: matches!(self.state, State::Done { .. }),
        })
    }

    /// The key streams of RTMPE, once, when C1 was read.
    pub fn take_cipher(&mut self) -> Option<Cipher> {
        self.cipher.take()
    }

    /// What is known of the client; `None` before C1 was read.
    pub fn info(&self) -> Option<HandshakeInfo> {
        match &self.state {
            State::C2 { sent, .. } => Some(sent.info),
            State::Done { info } => Some(*info),
            State::C0 | State::C1(_) | State::Failed(_) => None,
        }
    }
}

/// Leaves the seed and the blocks out.
impl fmt::Debug for ServerHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerHandshake")
            .field("info", &self.info())
            .finish_non_exhaustive()
    }
}

/// S1 (with what C2 will be measured against) and S2.
fn reply(c1: &Block, time: u32, seed: &[u8; 32]) -> (Sent, Box<Block>) {
    // Version zero is how a client says that it has no digest; nginx-rtmp does not look either.
    let found = (version(c1) != [0; 4])
        .then(|| digest::find(c1, Side::Client))
        .flatten();
    let (form, s1, digest, s2) = match found {
        Some((scheme, theirs)) => {
            let mut s1 = new_block(time, SERVER_VERSION, seed, S1);
            let ours = digest::seal(&mut s1, Side::Server, scheme);
            let mut s2 = new_block(time_ms(c1), version(c1), seed, S2);
            digest::sign(&mut s2, Side::Server, &theirs, None);
            (Form::Digest(scheme), s1, Some(ours), s2)
        }
        None => {
            let s1 = new_block(time, [0; 4], seed, S1);
            // To the byte, time fields included: that is what strict clients compare.
            (Form::Plain, s1, None, Box::new(*c1))
        }
    };
    let info = info(c1, form);
    (Sent { info, s1, digest }, s2)
}

/// The same for RTMPE: a digest must be there, a key in either block, the signature as the version has
/// it.
fn encrypted_reply(
    c1: &Block,
    time: u32,
    seed: &[u8; 32],
    asked: crypt::Version,
) -> Result<(Sent, Box<Block>, Cipher), HandshakeError> {
    let found = digest::find(c1, Side::Client);
    let keys = KeyPair::new(seed, KEY);
    let cipher = agree(&keys, c1, found)?;
    let (scheme, theirs) = found.ok_or(HandshakeError::NoDigest)?;
    let (s1, digest) = keyed_block(time, seed, scheme, keys.public());
    let digest = Some(digest);
    let mut s2 = new_block(time_ms(c1), version(c1), seed, S2);
    digest::sign(&mut s2, Side::Server, &theirs, Some(asked));
    let info = info(c1, Form::Digest(scheme));
    Ok((Sent { info, s1, digest }, s2, cipher))
}

/// S1 with the digest where the client had its own, and the key where either scheme looks for it.
///
/// FFmpeg has the digest of C1 in the second scheme and, when it publishes, takes the key of S1 from where
/// the first one has it, without a look at the digest (rtmpproto.c, `rtmp_handshake`). With a key in one
/// place it would agree with no server that answers in its own scheme.
fn keyed_block(
    time: u32,
    seed: &[u8; 32],
    scheme: Scheme,
    key: &[u8; KEY_LEN],
) -> (Box<Block>, [u8; DIGEST_LEN]) {
    let mut attempt = 0;
    loop {
        let mut s1 = new_block(time, SERVER_VERSION, seed, S1 + 16 * attempt);
        Scheme::ALL.iter().for_each(|s| put_key(&mut s1, *s, key));
        put_key(&mut s1, scheme, key);
        let digest = digest::seal(&mut s1, Side::Server, scheme);
        attempt += 1;
        // One time in four the digest lies on the second key, or on the bytes that point at it.
        let both = Scheme::ALL
            .iter()
            .all(|s| s1[s.key_offset(&s1)..].starts_with(key));
        if both || attempt == ATTEMPTS {
            return (s1, digest);
        }
    }
}

fn info(c1: &Block, form: Form) -> HandshakeInfo {
    HandshakeInfo {
        form,
        peer_time_ms: time_ms(c1),
        peer_version: version(c1),
        answer: None,
    }
}

/// Announced beside a digest. FFmpeg looks for one only from major version 3 on; 4.5 is the last
/// Flash Media Server of that name.
const SERVER_VERSION: [u8; 4] = [4, 5, 0, 1];

/// Blocks made until the key fits in twice; the last one has it where the client's scheme does.
const ATTEMPTS: u8 = 15;

/// Labels of the random bytes. S1 takes every sixteenth behind its own.
const S1: u8 = 3;
const S2: u8 = 4;
const KEY: u8 = 6;
