// SPDX-License-Identifier: MPL-2.0

//! The client's half: C0 C1, then C2 as soon as S1 is there, done when S2 was read.

use std::fmt;

use bytes::Bytes;

use super::{
    Answer, Form, HandshakeError, HandshakeInfo, Progress, Scheme, Style, VERSION,
    block::{Block, Filling, is_echo, new_block, time_ms, version},
    crypt::{self, Cipher, KEY_LEN, KeyPair},
    digest::{self, DIGEST_LEN, Side},
};
use crate::protocol::rtmp::transmit::Transmit;

/// A handshake as the side that connects.
pub struct ClientHandshake {
    style: Style,
    seed: [u8; 32],
    c1: Box<Block>,
    /// The digest in C1, which a server's signature answers.
    digest: Option<[u8; DIGEST_LEN]>,
    /// The keys of RTMPE until S1 is there.
    keys: Option<KeyPair>,
    /// What follows from them then.
    cipher: Option<Cipher>,
    /// The version of RTMPE that the server chose.
    chosen: Option<crypt::Version>,
    state: State,
}

enum State {
    S0,
    S1(Filling),
    S2 { met: Met, block: Filling },
    Done { met: Met },
    Failed(HandshakeError),
}

/// What S1 told.
#[derive(Clone, Copy)]
struct Met {
    info: HandshakeInfo,
    swf_key: [u8; 32],
}

impl ClientHandshake {
    /// Prepares C1.
    ///
    /// `time_ms` is the epoch that later message timestamps count from; any value is legal.
    /// `flash_version` is announced by [`Style::Digest`] (librtmp: 10, 0, 45, 2); all zeros would
    /// tell servers that there is no digest. [`Style::Plain`] sends zeros, as section 5.2.3 wants.
    /// `seed` must be random for each connection.
    pub fn new(style: Style, time_ms: u32, flash_version: [u8; 4], seed: [u8; 32]) -> Self {
        // What FFmpeg and librtmp send; every server is tested with it.
        let scheme = match style {
            Style::Encrypted(_) => Scheme::Second,
            Style::Plain | Style::Digest => Scheme::First,
        };
        Self::with_scheme(style, scheme, time_ms, flash_version, seed)
    }

    pub(super) fn with_scheme(
        style: Style,
        scheme: Scheme,
        time_ms: u32,
        flash_version: [u8; 4],
        seed: [u8; 32],
    ) -> Self {
        let keys = match style {
            Style::Encrypted(_) => Some(KeyPair::new(&seed, KEY)),
            Style::Plain | Style::Digest => None,
        };
        Self::with_keys(style, scheme, time_ms, flash_version, seed, keys)
    }

    pub(super) fn with_keys(
        style: Style,
        scheme: Scheme,
        time_ms: u32,
        flash_version: [u8; 4],
        seed: [u8; 32],
        keys: Option<KeyPair>,
    ) -> Self {
        let (c1, digest) = match style {
            Style::Plain => (new_block(time_ms, [0; 4], &seed, C1), None),
            Style::Digest | Style::Encrypted(_) => {
                let mut c1 = new_block(time_ms, flash_version, &seed, C1);
                if let Some(keys) = &keys {
                    put_key(&mut c1, scheme, keys.public());
                }
                let digest = digest::seal(&mut c1, Side::Client, scheme);
                (c1, Some(digest))
            }
        };
        ClientHandshake {
            style,
            seed,
            c1,
            digest,
            keys,
            cipher: None,
            chosen: None,
            state: State::S0,
        }
    }

    /// Queues C0 and C1, once, before anything else.
    ///
    /// They are one slice: MonaServer2 gives up on a C1 that does not arrive whole.
    pub fn start(&mut self, out: &mut Transmit) {
        out.push(Bytes::from(
            [&[self.style.version()][..], &self.c1[..]].concat(),
        ));
    }

    /// Takes bytes from the server and queues C2 when its turn has come.
    ///
    /// # Errors
    ///
    /// Only the first byte can be wrong, and with RTMPE the digest and the key of S1; then every later
    /// call fails alike.
    pub fn input(&mut self, data: &[u8], out: &mut Transmit) -> Result<Progress, HandshakeError> {
        let mut rest = data;
        loop {
            match &mut self.state {
                State::S0 => {
                    let Some((&first, tail)) = rest.split_first() else {
                        break;
                    };
                    rest = tail;
                    let chosen = crypt::Version::from_byte(first);
                    self.state = match self.style {
                        Style::Plain | Style::Digest if first == VERSION => {
                            State::S1(Filling::new())
                        }
                        Style::Encrypted(_) if chosen.is_some() => {
                            self.chosen = chosen;
                            State::S1(Filling::new())
                        }
                        Style::Encrypted(_) if first == VERSION => {
                            State::Failed(HandshakeError::NotEncrypted)
                        }
                        _ => State::Failed(HandshakeError::from_version(first)),
                    };
                }
                State::S1(filling) => {
                    let Some(s1) = filling.fill(&mut rest) else {
                        break;
                    };
                    let found = self.digest.and_then(|_| digest::find(s1, Side::Server));
                    if let Some(keys) = self.keys.take() {
                        match agree(&keys, s1, found) {
                            Ok(cipher) => self.cipher = Some(cipher),
                            Err(error) => {
                                self.state = State::Failed(error);
                                continue;
                            }
                        }
                    }
                    let (form, c2) = match found {
                        Some((scheme, digest)) => {
                            let mut c2 = new_block(time_ms(s1), version(s1), &self.seed, C2);
                            digest::sign(&mut c2, Side::Client, &digest, self.chosen);
                            (Form::Digest(scheme), Bytes::from(c2 as Box<[u8]>))
                        }
                        // A plain answer, or C1 sent back; what the server wants is an echo.
                        None => (Form::Plain, Bytes::copy_from_slice(s1)),
                    };
                    out.push(c2);
                    let met = Met {
                        info: HandshakeInfo {
                            form,
                            peer_time_ms: time_ms(s1),
                            peer_version: version(s1),
                            answer: None,
                        },
                        swf_key: swf_key(s1),
                    };
                    let block = Filling::new();
                    self.state = State::S2 { met, block };
                }
                State::S2 { met, block } => {
                    let Some(s2) = block.fill(&mut rest) else {
                        break;
                    };
                    let mut met = *met;
                    let chosen = self.chosen;
                    let signed = |digest| digest::is_signed(s2, Side::Server, &digest, chosen);
                    met.info.answer = Some(if is_echo(s2, &self.c1) {
                        Answer::Echo
                    } else if self.digest.is_some_and(signed) {
                        Answer::Signed
                    } else {
                        Answer::Foreign
                    });
                    self.state = State::Done { met };
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

    /// Whether chunks may be queued behind C2: S1 is there.
    ///
    /// Section 5.2.1 asks a client to wait for S2. A server that sends S0, S1 and S2 in one go cannot
    /// tell the difference; with one that waits for C2 it saves a round trip.
    pub fn may_send(&self) -> bool {
        self.met().is_some()
    }

    /// The key streams of RTMPE, once, when S1 was read.
    pub fn take_cipher(&mut self) -> Option<Cipher> {
        self.cipher.take()
    }

    /// The key of SWF verification, the last 32 bytes of S1; `None` before S1 was read.
    pub fn swf_key(&self) -> Option<[u8; 32]> {
        self.met().map(|met| met.swf_key)
    }

    /// What is known of the server; `None` before S1 was read.
    pub fn info(&self) -> Option<HandshakeInfo> {
        self.met().map(|met| met.info)
    }

    fn met(&self) -> Option<&Met> {
        match &self.state {
            State::S2 { met, .. } | State::Done { met } => Some(met),
            State::S0 | State::S1(_) | State::Failed(_) => None,
        }
    }

    /// A client that sent exactly this C1.
    #[cfg(test)]
    pub(super) fn replay(c1: &[u8]) -> Self {
        let c1 = Box::new(Block::try_from(c1).unwrap());
        ClientHandshake {
            style: Style::Digest,
            seed: [0; 32],
            digest: digest::find(&c1, Side::Client).map(|(_, digest)| digest),
            c1,
            keys: None,
            cipher: None,
            chosen: None,
            state: State::S0,
        }
    }
}

/// Leaves the blocks out: their ends are keys.
impl fmt::Debug for ClientHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHandshake")
            .field("style", &self.style)
            .field("info", &self.info())
            .finish_non_exhaustive()
    }
}

fn swf_key(s1: &Block) -> [u8; 32] {
    // A block is longer than 32 bytes.
    *s1.last_chunk().expect("the end of a block")
}

/// Puts a public key where `scheme` has it; the digest goes in afterwards.
pub(super) fn put_key(block: &mut Block, scheme: Scheme, key: &[u8; KEY_LEN]) {
    let offset = scheme.key_offset(block);
    block[offset..offset + KEY_LEN].copy_from_slice(key);
}

/// What follows from both keys, the peer's being where its digest was `found`.
pub(super) fn agree(
    keys: &KeyPair,
    theirs: &Block,
    found: Option<(Scheme, [u8; DIGEST_LEN])>,
) -> Result<Cipher, HandshakeError> {
    let (scheme, _) = found.ok_or(HandshakeError::NoDigest)?;
    let key = theirs[scheme.key_offset(theirs)..]
        .first_chunk()
        // Scheme::key_offset says why.
        .expect("a key within its half");
    let secret = keys.agree(key)?;
    Ok(Cipher::new(&secret, keys.public(), key))
}

/// Labels of the random bytes.
const C1: u8 = 1;
const C2: u8 = 2;
const KEY: u8 = 5;
