// SPDX-License-Identifier: MPL-2.0

//! The floor: bytes through a socket with a loop and nothing else, bare or over rustls.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use rustls::{ClientConnection, StreamOwned};

use crate::peer::tls;

const WRITE: usize = 64 * 1024;
const READ: usize = 256 * 1024;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// `read-loop PORT [CERTIFICATES]`
pub(super) fn read(args: &[String]) -> Result<(), String> {
    let sink = |stream: &mut dyn Read| -> io::Result<()> {
        let mut space = vec![0; READ];
        while stream.read(&mut space)? > 0 {}
        Ok(())
    };
    match args {
        [port] => connect(port).and_then(|mut s| sink(&mut s)),
        [port, dir] => connect_tls(port, dir.as_ref()).and_then(|mut s| sink(&mut s)),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
    .map_err(|e| format!("read-loop: {e}"))
}

/// `write-loop PORT FILE [CERTIFICATES]`
pub(super) fn write(args: &[String]) -> Result<(), String> {
    let pump = |stream: &mut dyn Write, path: &String| -> io::Result<()> {
        let mut file = File::open(path)?;
        let mut space = vec![0; WRITE];
        loop {
            match file.read(&mut space)? {
                0 => return Ok(()),
                n => stream.write_all(&space[..n])?,
            }
        }
    };
    let run = || match args {
        [port, path] => {
            let mut stream = connect(port)?;
            pump(&mut stream, path)
        }
        [port, path, dir] => {
            let mut stream = connect_tls(port, dir.as_ref())?;
            pump(&mut stream, path)?;
            stream.conn.send_close_notify();
            stream.flush()?;
            // The server's session tickets lie unread; a plain close would reset the connection.
            stream.sock.shutdown(Shutdown::Write)?;
            io::copy(&mut stream.sock, &mut io::sink()).map(drop)
        }
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    run().map_err(|e| format!("write-loop: {e}"))
}

fn connect(port: &str) -> io::Result<TcpStream> {
    TcpStream::connect(format!("127.0.0.1:{port}"))
}

fn connect_tls(port: &str, certificates: &Path) -> io::Result<Tls> {
    let config = tls::client(certificates).map_err(io::Error::other)?;
    let name = "localhost".try_into().map_err(io::Error::other)?;
    let connection = ClientConnection::new(config, name).map_err(io::Error::other)?;
    let stream = connect(port)?;
    stream.set_nodelay(true)?;
    Ok(StreamOwned::new(connection, stream))
}
