// SPDX-License-Identifier: MPL-2.0

//! RTMPE as a layer under a session: it shakes hands by itself and then turns bytes into bytes, so the
//! session above begins with the handshake behind it.

use bytes::BytesMut;

use super::Cipher;
use crate::protocol::rtmp::{
    handshake::{ClientHandshake, HandshakeError, HandshakeInfo, Progress, ServerHandshake},
    transmit::Transmit,
};

/// Bytes that are encrypted at a time: what a copy and RC4 find in the processor's first cache.
const PIECE: usize = 16 * 1024;

/// See the module's text.
pub struct Rtmpe {
    handshake: Option<Handshake>,
    cipher: Option<Cipher>,
    info: Option<HandshakeInfo>,
    swf_key: [u8; 32],
}

/// Leaves the keys out.
impl std::fmt::Debug for Rtmpe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rtmpe")
            .field("ready", &self.is_ready())
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

enum Handshake {
    Client(Box<ClientHandshake>),
    Server(Box<ServerHandshake>),
}

impl Handshake {
    fn input(&mut self, data: &[u8], out: &mut Transmit) -> Result<Progress, HandshakeError> {
        match self {
            Self::Client(handshake) => handshake.input(data, out),
            Self::Server(handshake) => handshake.input(data, out),
        }
    }
}

impl Rtmpe {
    /// The side that connects; queues C0 and C1.
    pub fn client(mut handshake: ClientHandshake, out: &mut Transmit) -> Self {
        handshake.start(out);
        Self::new(Handshake::Client(Box::new(handshake)))
    }

    /// The side that was connected to.
    pub fn server(handshake: ServerHandshake) -> Self {
        Self::new(Handshake::Server(Box::new(handshake)))
    }

    fn new(handshake: Handshake) -> Self {
        Self {
            handshake: Some(handshake),
            cipher: None,
            info: None,
            swf_key: [0; 32],
        }
    }

    /// Whether what is sent can be encrypted: the peer's first block is there. Of its second, nothing
    /// depends.
    pub fn is_ready(&self) -> bool {
        self.cipher.is_some()
    }

    /// What is known of the peer.
    pub fn info(&self) -> Option<HandshakeInfo> {
        self.info
    }

    /// The key of SWF verification; zeros at the server's end.
    pub fn swf_key(&self) -> [u8; 32] {
        self.swf_key
    }

    /// Takes what came and gives what was meant, which is nothing until the handshake is over. What the
    /// handshake answers is put into `out`.
    ///
    /// # Errors
    /// [`HandshakeError`]; the connection is of no further use.
    pub fn decrypt<'a>(
        &mut self,
        bytes: &'a mut [u8],
        out: &mut Transmit,
    ) -> Result<&'a [u8], HandshakeError> {
        let mut rest = bytes;
        if let Some(handshake) = &mut self.handshake {
            let progress = handshake.input(rest, out)?;
            rest = rest.get_mut(progress.consumed..).unwrap_or_default();
            let (cipher, info) = match handshake {
                Handshake::Client(client) => {
                    self.swf_key = client.swf_key().unwrap_or_default();
                    (client.take_cipher(), client.info())
                }
                Handshake::Server(server) => (server.take_cipher(), server.info()),
            };
            self.info = info;
            self.cipher = self.cipher.take().or(cipher);
            if !progress.done {
                return Ok(&[]);
            }
            self.handshake = None;
        }
        if let Some(cipher) = &mut self.cipher {
            cipher.decrypt(rest);
        }
        Ok(rest)
    }

    /// Moves at most `limit` bytes from `meant` to `out`, encrypted, in one copy; none before
    /// [`is_ready`](Self::is_ready).
    pub fn encrypt(&mut self, meant: &mut Transmit, out: &mut Transmit, limit: usize) {
        let Some(cipher) = &mut self.cipher else {
            return;
        };
        let mut left = limit.min(meant.len());
        while left > 0 {
            let mut piece = BytesMut::with_capacity(left.min(PIECE));
            while piece.len() < PIECE && left > 0 {
                let Some(slice) = meant.front() else { break };
                let n = slice.len().min(PIECE - piece.len()).min(left);
                piece.extend_from_slice(&slice[..n]);
                meant.advance(n);
                left -= n;
            }
            cipher.encrypt(&mut piece);
            out.push(piece.freeze());
        }
    }
}
