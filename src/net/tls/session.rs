// SPDX-License-Identifier: MPL-2.0

//! One TLS connection over a [`Stream`].
//!
//! rustls reads from the socket itself, a record at a time: a larger buffer in between saves three
//! of four recv, and costs more in copying than they do.

use std::{
    io::{self, BufRead as _, IoSlice, Write as _},
    sync::Arc,
};

use rustls::{Connection, ServerConfig, ServerConnection};

use super::{
    Connector,
    sentence::{closed_in_handshake, first_bytes, sentence},
};
use crate::{
    net::{
        NetError, Stage,
        stack::{Read, SLICES, Write},
        stream::Stream,
    },
    protocol::rtmp::{limits, transmit::Transmit},
};

/// The head of a record tells TLS from all else.
const FIRST: usize = 5;

/// Bytes that are encrypted ahead of the socket, so that a slow peer does not have everything encrypted and
/// kept twice: nothing can be dropped there any more.
const AHEAD: usize = 64 * 1024;

/// The same where that many are to be sent: no live stream has as many, and a file goes with 5 % less work.
const AHEAD_OF_MANY: usize = 128 * 1024;

pub(in crate::net) struct Session {
    connection: Connection,
    connector: Option<Connector>,
    /// The first bytes came, and looked like TLS.
    started: bool,
    /// The peer has sent data, not only what belongs to TLS.
    heard: bool,
    truncated: bool,
    /// A failure behind bytes that were handed out first.
    failure: Option<NetError>,
}

enum Step {
    /// rustls got bytes, or learned of their end.
    Fed,
    Ended,
    Blocked,
}

impl Session {
    pub(in crate::net) fn client(connector: Connector) -> Result<Self, NetError> {
        let connection = connector.connection()?;
        Ok(Self::new(connection.into(), Some(connector)))
    }

    pub(in crate::net) fn server(config: Arc<ServerConfig>) -> Result<Self, NetError> {
        let connection =
            ServerConnection::new(config).map_err(|error| NetError::tls(error.to_string()))?;
        Ok(Self::new(connection.into(), None))
    }

    fn new(connection: Connection, connector: Option<Connector>) -> Self {
        Self {
            connection,
            connector,
            started: false,
            heard: false,
            truncated: false,
            failure: None,
        }
    }

    /// Goes on with the handshake; `true` once it is done.
    pub(in crate::net) fn handshake(&mut self, stream: &mut Stream) -> Result<bool, NetError> {
        loop {
            let flushed = match self.flush(stream) {
                // What the peer said before it hung up tells more than that it did.
                Err(NetError::Closed { .. }) => true,
                flushed => flushed?,
            };
            if !self.connection.is_handshaking() {
                return Ok(flushed);
            }
            match self.step(stream) {
                Ok(Step::Fed) => {}
                Ok(Step::Blocked) => return Ok(false),
                Ok(Step::Ended) | Err(NetError::Closed { .. }) => {
                    return Err(closed_in_handshake(
                        self.started,
                        self.certificate_missing(),
                    ));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands up to `room` bytes to `take`, in pieces as rustls has them.
    pub(in crate::net) fn read(
        &mut self,
        stream: &mut Stream,
        room: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<Read, NetError> {
        let read = self.read_records(stream, room, take);
        match read {
            Ok(Read::Data(_)) => self.heard = true,
            Ok(Read::Closed) if self.missed_certificate() => {
                return Err(closed_in_handshake(true, true));
            }
            _ => {}
        }
        read.map_err(|error| self.blame(error))
    }

    fn read_records(
        &mut self,
        stream: &mut Stream,
        room: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<Read, NetError> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut filled = 0;
        let mut fruitless = 0;
        let end = loop {
            let mut reader = self.connection.reader();
            match reader.fill_buf() {
                Ok([]) => break Ok(Read::Closed),
                Ok(bytes) => {
                    let n = bytes.len().min(room - filled);
                    take(&bytes[..n]);
                    reader.consume(n);
                    filled += n;
                    fruitless = 0;
                    if filled < room {
                        // rustls takes nothing in while it holds more than a record of plaintext.
                        continue;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => fruitless += 1,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    self.truncated = true;
                    break Ok(Read::Closed);
                }
                Err(error) => break Err(NetError::from_io(Stage::Stream, error)),
            }
            if filled == room {
                return Ok(Read::Data(filled));
            }
            if fruitless > limits::TLS_FRUITLESS_STEPS {
                break Err(NetError::tls(
                    "the peer floods the connection with empty TLS records",
                ));
            }
            match self.step(stream) {
                Ok(Step::Fed | Step::Ended) => {}
                Ok(Step::Blocked) => break Ok(Read::WouldBlock),
                Err(error) => break Err(error),
            }
        };
        if self.connection.wants_write() {
            // A key update wants an answer (RFC 8446 section 4.6.3). If the socket is full or
            // gone, the next write goes on or tells.
            let _ = self.flush(stream);
        }
        match end {
            end if filled == 0 => end,
            Ok(_) => Ok(Read::Data(filled)),
            Err(failure) => {
                self.failure = Some(failure);
                Ok(Read::Data(filled))
            }
        }
    }

    pub(in crate::net) fn write(
        &mut self,
        stream: &mut Stream,
        transmit: &mut Transmit,
    ) -> Result<Write, NetError> {
        loop {
            if !self.flush(stream).map_err(|error| self.blame(error))? {
                return Ok(Write::Blocked);
            }
            if transmit.is_empty() {
                return Ok(Write::Drained);
            }
            let ahead = match transmit.len() < AHEAD_OF_MANY {
                true => AHEAD,
                false => AHEAD_OF_MANY,
            };
            self.connection.set_buffer_limit(Some(ahead));
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = transmit.io_slices(&mut slices);
            match self.connection.writer().write_vectored(&slices[..filled]) {
                Ok(0) => {
                    let error = io::ErrorKind::WriteZero.into();
                    return Err(NetError::Io {
                        stage: Stage::Stream,
                        source: error,
                    });
                }
                Ok(n) => transmit.advance(n),
                Err(error) => return Err(NetError::from_io(Stage::Stream, error)),
            }
        }
    }

    /// Encrypts what there is room for; 0 while the socket is full.
    pub(in crate::net) fn offer(
        &mut self,
        stream: &mut Stream,
        slices: &[IoSlice<'_>],
    ) -> Result<usize, NetError> {
        let flushed = self.flush(stream).map_err(|error| self.blame(error))?;
        if !flushed || slices.is_empty() {
            return Ok(0);
        }
        let taken = self.connection.writer().write_vectored(slices);
        let taken = taken.map_err(|error| NetError::from_io(Stage::Stream, error))?;
        self.flush(stream).map_err(|error| self.blame(error))?;
        Ok(taken)
    }

    /// Whether bytes wait for the socket to take them.
    pub(in crate::net) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Whether the peer's direction ended without a close_notify.
    pub(in crate::net) fn truncated(&self) -> bool {
        self.truncated
    }

    /// Says that we will send no more, if the socket takes it now.
    pub(in crate::net) fn close(&mut self, stream: &mut Stream) {
        self.connection.send_close_notify();
        let _ = self.flush(stream);
    }

    /// Writes finished records; `false` if the socket did not take them all.
    fn flush(&mut self, stream: &mut Stream) -> Result<bool, NetError> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Sink(stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(NetError::from_io(self.stage(), error)),
            }
        }
        Ok(true)
    }

    /// Gives rustls what is there, or gets more of it.
    fn step(&mut self, stream: &mut Stream) -> Result<Step, NetError> {
        let fed = match self.started {
            true => self.connection.read_tls(&mut Source(stream)),
            false => self.feed_first(stream)?,
        };
        let ended = match fed {
            Ok(n) => n == 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Step::Blocked),
            Err(error) => return Err(NetError::from_io(self.stage(), error)),
        };
        if let Err(error) = self.connection.process_new_packets() {
            // The alert tells the peer's operator what ours hears from the error.
            let _ = self.flush(stream);
            return Err(sentence(&error, self.certificate_missing()));
        }
        Ok(if ended { Step::Ended } else { Step::Fed })
    }

    /// Looks at the first bytes before rustls does.
    fn feed_first(&mut self, stream: &mut Stream) -> Result<io::Result<usize>, NetError> {
        let mut first = [0; FIRST];
        let n = match stream.recv(&mut first) {
            Ok(n) => n,
            Err(error) => return Ok(Err(error)),
        };
        let mut bytes = first.get(..n).unwrap_or_default();
        if let Some(error) = first_bytes(bytes) {
            return Err(error);
        }
        self.started = n > 0;
        Ok(self.connection.read_tls(&mut bytes))
    }

    /// Whether the peer is one that asks for a certificate, and has not said a word since it got
    /// none. In TLS 1.3 that is where it would object, and nginx merely closes.
    fn missed_certificate(&self) -> bool {
        !self.heard && self.certificate_missing()
    }

    fn blame(&self, error: NetError) -> NetError {
        match error {
            NetError::Closed { .. } if self.missed_certificate() => closed_in_handshake(true, true),
            error => error,
        }
    }

    fn certificate_missing(&self) -> bool {
        self.connector
            .as_ref()
            .is_some_and(Connector::certificate_missing)
    }

    fn stage(&self) -> Stage {
        if self.connection.is_handshaking() {
            Stage::Tls
        } else {
            Stage::Stream
        }
    }
}

struct Source<'a>(&'a mut Stream);

impl io::Read for Source<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buf)
    }
}

struct Sink<'a>(&'a mut Stream);

impl io::Write for Sink<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.send(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.send(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
