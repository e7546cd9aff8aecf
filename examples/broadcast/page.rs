// SPDX-License-Identifier: MPL-2.0

//! A page to look at: three files in a folder, which a browser may open as they are, and a server
//! on loopback that hands out these three and nothing else.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    time::Duration,
};

/// The page, the latest picture and the latest figures.
const FILES: [(&str, &str); 3] = [
    ("index.html", "text/html; charset=utf-8"),
    ("frame.png", "image/png"),
    ("figures.js", "text/javascript; charset=utf-8"),
];
/// Longest request head. Browsers send less than one kilobyte.
const HEAD: u64 = 8192;
/// A browser on this machine answers at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// Makes the folder with the page in it.
pub(crate) fn make(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, _) in FILES {
        let _ = std::fs::remove_file(folder.join(name));
    }
    replace(folder, "index.html", include_bytes!("page.html"))
}

/// Replaces a file at once, so that nobody reads half of it.
pub(crate) fn replace(folder: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let half = folder.join(format!(".{name}"));
    std::fs::write(&half, content)?;
    std::fs::rename(half, folder.join(name))
}

/// Serves the folder from a thread that lasts as long as the program, and returns the address.
pub(crate) fn serve(folder: PathBuf) -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}/", listener.local_addr()?);
    std::thread::spawn(move || {
        for visitor in listener.incoming() {
            // One after the other; one that fails is gone.
            let _ = visitor.and_then(|stream| answer(stream, &folder));
        }
    });
    Ok(url)
}

fn answer(mut stream: TcpStream, folder: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut bytes = io::BufReader::new(stream.try_clone()?.take(HEAD));
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        bytes.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let mut words = head.split_ascii_whitespace();
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let path = target
        .split('?')
        .next()
        .unwrap_or("")
        .trim_start_matches('/');
    let wanted = if path.is_empty() { "index.html" } else { path };
    let known = FILES.iter().find(|(name, _)| *name == wanted);
    let content = known.and_then(|(name, _)| std::fs::read(folder.join(name)).ok());
    let (status, kind, body) = match (method, known, content) {
        ("GET", Some((_, kind)), Some(content)) => ("200 OK", *kind, content),
        ("GET", ..) => ("404 Not Found", "text/plain", b"Not here.\n".to_vec()),
        _ => (
            "405 Method Not Allowed",
            "text/plain",
            b"GET only.\n".to_vec(),
        ),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)
}
