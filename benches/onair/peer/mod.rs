// SPDX-License-Identifier: MPL-2.0

//! The other end: the smallest RTMP server that today's clients accept, written from the
//! specification alone. It shares nothing with the crate's protocol code.
//!
//! It is not a server: it takes one stream a connection, checks nothing and answers with fixed
//! bytes. After that it only reads, or only writes from memory, so that the client is what limits.

pub(crate) mod blast;
mod pacer;
pub(crate) mod sink;
pub(crate) mod tls;
pub(crate) mod wire;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A connection of either kind.
pub(crate) trait Stream: Read + Write + Send {
    /// Says that nothing more will be written.
    fn finish(&mut self) -> io::Result<()>;
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn finish(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn finish(&mut self) -> io::Result<()> {
        self.conn.send_close_notify();
        self.flush()?;
        self.sock.shutdown(Shutdown::Write)
    }

    fn tcp(&self) -> &TcpStream {
        &self.sock
    }
}

/// The faces of a server process, each on a port of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Face {
    Rtmp,
    Raw,
}

/// Listens on four free ports (RTMP and bare bytes, each plain and over TLS), says which, and
/// hands every connection to `serve` in a thread of its own. Never returns.
fn listen(
    certificates: &str,
    serve: impl Fn(Face, Box<dyn Stream>) -> io::Result<u64> + Send + Sync + 'static,
) -> Result<(), String> {
    roles_die_with_parent();
    let config = tls::server(certificates.as_ref())?;
    let serve = Arc::new(serve);
    let mut said = "ports".to_owned();
    let faces = [
        ("rtmp", Face::Rtmp, false),
        ("raw", Face::Raw, false),
        ("rtmps", Face::Rtmp, true),
        ("rawtls", Face::Raw, true),
    ];
    for (name, face, tls) in faces {
        let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|e| format!("bind: {e}"))?;
        let port = listener.local_addr().map_err(|e| e.to_string())?.port();
        said.push_str(&format!(" {name}={port}"));
        let (serve, config) = (Arc::clone(&serve), tls.then(|| Arc::clone(&config)));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (serve, config) = (Arc::clone(&serve), config.clone());
                std::thread::spawn(move || {
                    let done = wrap(stream, config).and_then(|stream| serve(face, stream));
                    match done {
                        Ok(bytes) => println!("done {bytes}"),
                        Err(error) => println!("failed {error}"),
                    }
                });
            }
        });
    }
    println!("{said}");
    loop {
        std::thread::park();
    }
}

fn wrap(stream: TcpStream, config: Option<Arc<ServerConfig>>) -> io::Result<Box<dyn Stream>> {
    stream.set_nodelay(true)?;
    Ok(match config {
        None => Box::new(stream),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(connection, stream))
        }
    })
}

/// A bench that is interrupted leaves no servers behind.
pub(crate) fn roles_die_with_parent() {
    // SAFETY: prctl with this option only notes a signal number.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Reads until the other side is done and returns how much there was. Missing goodbyes are no
/// error: many clients simply close.
fn drain(stream: &mut dyn Stream) -> u64 {
    let mut space = vec![0; 256 * 1024];
    let mut total = 0;
    loop {
        match stream.read(&mut space) {
            Ok(0) | Err(_) => return total,
            Ok(n) => total += n as u64,
        }
    }
}
