// SPDX-License-Identifier: MPL-2.0

//! Wakes whoever polls for bytes that do not come from a socket of their own: a pair of connected
//! sockets, one of which is rung and the other registered like any other.

use std::io::{self, Read, Write};

use mio::{Interest, Registry, Token};

#[cfg(unix)]
type End = mio::net::UnixStream;
#[cfg(not(unix))]
type End = mio::net::TcpStream;

/// The end that is rung.
#[derive(Debug)]
pub(super) struct Rope {
    end: End,
    rung: bool,
}

/// The end that is heard.
#[derive(Debug)]
pub(super) struct Bell(End);

/// Both ends.
pub(super) fn bell() -> io::Result<(Rope, Bell)> {
    let (one, other) = pair()?;
    let rope = Rope {
        end: one,
        rung: false,
    };
    Ok((rope, Bell(other)))
}

#[cfg(unix)]
fn pair() -> io::Result<(End, End)> {
    End::pair()
}

#[cfg(not(unix))]
fn pair() -> io::Result<(End, End)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let one = std::net::TcpStream::connect(listener.local_addr()?)?;
    let (other, _) = listener.accept()?;
    one.set_nonblocking(true)?;
    other.set_nonblocking(true)?;
    Ok((End::from_std(one), End::from_std(other)))
}

impl Rope {
    /// Rings, once until it was [`heard`](Self::heard).
    pub(super) fn ring(&mut self) {
        if !std::mem::replace(&mut self.rung, true) {
            // Whoever does not listen any more need not be woken.
            let _ = self.end.write(&[0]);
        }
    }

    /// Whoever listens looks now, and has to be rung for again.
    pub(super) fn heard(&mut self, bell: &mut Bell) {
        if std::mem::take(&mut self.rung) {
            let _ = bell.0.read(&mut [0; 8]);
        }
    }
}

impl Bell {
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.0, token, Interest::READABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(&mut self.0)
    }
}
