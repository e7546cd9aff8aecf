// SPDX-License-Identifier: MPL-2.0

//! Pipelines that listen, and what is said on a socket by hand.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, channel},
    thread,
};

use gst::prelude::*;
use tempfile::TempDir;

use crate::support::{
    certificates::{Authority, For},
    flvdump::{self, Expect, assert_same},
    pipeline::Pipeline,
    process::PATIENCE,
};

/// A source that listens and writes what it gets into a file.
pub(crate) struct Ingest {
    pub(crate) pipeline: Pipeline,
    pub(crate) port: u16,
    dir: TempDir,
}

impl Ingest {
    pub(crate) fn new() -> Self {
        Self::with("location=rtmp://127.0.0.1/live/one")
    }

    pub(crate) fn with(options: &str) -> Self {
        let dir = TempDir::new().expect("a folder");
        let pipeline = Pipeline::launch(&format!(
            "rtmpsrc name=source mode=listener {options} port=0 ! filesink location={}",
            dir.path().join("received.flv").display(),
        ));
        pipeline.play();
        let port = port(&pipeline);
        Self {
            pipeline,
            port,
            dir,
        }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}/live/one", self.port)
    }

    /// Waits for the end and returns what came.
    #[track_caller]
    pub(crate) fn received(&self) -> Vec<flvdump::Packet> {
        self.pipeline.eos();
        assert_eq!(self.pipeline.errors_left("source").len(), 0);
        flvdump::read(&self.dir.path().join("received.flv"))
    }

    /// The same; it is this film.
    #[track_caller]
    pub(crate) fn assert_received(&self, film: &Path) {
        assert_same(&flvdump::read(film), &self.received(), Expect::MEDIA);
    }
}

impl Ingest {
    /// The same from ffmpeg through HTTP. It gathers ten packets for a request, and what it has gathered
    /// when it ends does not arrive: some packets less, seen with 5.1.
    #[track_caller]
    pub(crate) fn assert_received_from_ffmpeg(&self, film: &Path) {
        let expect = Expect {
            to_end: false,
            ..Expect::MEDIA
        };
        let run = assert_same(&flvdump::read(film), &self.received(), expect);
        assert!(run.missing < 10, "{run:?}");
    }
}

/// Where a pipeline listens.
#[track_caller]
pub(crate) fn port(pipeline: &Pipeline) -> u16 {
    let told = pipeline.notice("rtmp-listening");
    let port = told.get::<u32>("port").expect("a port");
    port.try_into().expect("a port")
}

/// A sink that listens, and plays a file in real time once somebody is there.
pub(crate) fn station(film: &Path, options: &str) -> (Pipeline, u16) {
    let pipeline = Pipeline::launch(&format!(
        "filesrc location={} ! rtmpsink name=out mode=listener wait-for-connection=true \
         location=rtmp://127.0.0.1/live/one port=0 {options}",
        film.display(),
    ));
    pipeline.play();
    let port = port(&pipeline);
    (pipeline, port)
}

/// Publishes a file with `element`, as fast as it goes.
pub(crate) fn publishing(film: &Path, element: &str, url: &str, options: &str) -> Pipeline {
    Pipeline::launch(&format!(
        "filesrc location={} ! {element} name=sink sync=false location={url} {options}",
        film.display(),
    ))
}

/// A certificate for this machine, and the properties that name it and its authority.
pub(crate) struct Trust {
    _authority: Authority,
    pub(crate) server: String,
    pub(crate) client: String,
}

impl Trust {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("Test authority");
        let issued = authority.issue(For::Server, &["localhost", "127.0.0.1"]);
        Self {
            server: format!(
                "tls-certificate={} tls-private-key={}",
                issued.certificate.display(),
                issued.key.display(),
            ),
            client: format!("tls-ca-file={}", authority.file().display()),
            _authority: authority,
        }
    }
}

/// Has GnuTLS, and so librtmp, take TLS 1.2 at most, by a file of settings in `dir`.
pub(crate) fn tls_1_2(dir: &TempDir) -> (&'static str, PathBuf) {
    let file = in_folder(dir, "gnutls.conf");
    std::fs::write(&file, "[overrides]\ndisabled-version = tls1.3\n").expect("a file");
    ("GNUTLS_SYSTEM_PRIORITY_FILE", file)
}

/// A field of an element's statistics.
#[track_caller]
pub(crate) fn stats<T>(pipeline: &Pipeline, element: &str, field: &str) -> T
where
    T: for<'v> glib::value::FromValue<'v> + 'static,
{
    let stats = pipeline
        .element(element)
        .property::<gst::Structure>("stats");
    stats.get(field).unwrap_or_else(|e| panic!("{stats}: {e}"))
}

/// One message of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// The first line.
    pub(crate) line: String,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// One end of a connection that speaks HTTP by hand.
pub(crate) struct Wire(BufReader<TcpStream>);

impl Wire {
    pub(crate) fn new(socket: TcpStream) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("an option");
        socket.set_nodelay(true).expect("an option");
        Self(BufReader::new(socket))
    }

    pub(crate) fn call(port: u16) -> Self {
        Self::new(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a connection"))
    }

    /// Sends bytes; whether they arrive shows in what is read.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.get_mut().write_all(bytes);
    }

    /// Makes a request of a tunnel.
    pub(crate) fn post(&mut self, path: &str, body: &[u8]) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-fcs\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat());
    }

    /// Reads the next message, `None` when there will be none.
    pub(crate) fn read(&mut self) -> Option<Said> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if self.0.read_line(&mut head).ok()? == 0 {
                return None;
            }
            if &head[before..] == "\r\n" {
                break;
            }
        }
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse().ok())?
        });
        let mut body = vec![0; length.unwrap_or(0)];
        self.0.read_exact(&mut body).ok()?;
        Some(Said {
            line: head.lines().next()?.to_owned(),
            head,
            body,
        })
    }

    /// Reads a response; its status.
    #[track_caller]
    pub(crate) fn status(&mut self) -> (u16, Vec<u8>) {
        let said = self.read().expect("a response");
        let status = said.line.split(' ').nth(1).and_then(|s| s.parse().ok());
        (status.expect("a status"), said.body)
    }

    /// The socket itself; nothing that was read ahead is lost, for nothing was sent yet.
    pub(crate) fn socket(&self) -> TcpStream {
        self.0.get_ref().try_clone().expect("a descriptor")
    }

    /// Whether the other end has closed.
    pub(crate) fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0) | Err(_))
    }

    /// Waits until the other end closes; `false` when it does not in time.
    pub(crate) fn ends_well(&mut self) -> bool {
        matches!(self.0.read(&mut [0]), Ok(0))
    }

    pub(crate) fn close(self) {
        let _ = self.0.into_inner().shutdown(Shutdown::Both);
    }
}

/// A server that answers by hand, one connection after another, as long as `serve` is satisfied with
/// none; what it was asked comes out of the receiver.
pub(crate) fn server(
    mut serve: impl FnMut(&mut Wire, &Said) -> Answer + Send + 'static,
) -> (u16, Receiver<Said>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (asked, told) = channel();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let Ok(socket) = socket else { return };
            let mut wire = Wire::new(socket);
            while let Some(said) = wire.read() {
                // Not every test wants to know.
                let _ = asked.send(said.clone());
                match serve(&mut wire, &said) {
                    Answer::Say(bytes) => wire.send(&bytes),
                    Answer::Last(bytes) => {
                        wire.send(&bytes);
                        break;
                    }
                }
            }
            wire.close();
        }
    });
    (port, told)
}

/// What a hand-made server does with a request.
pub(crate) enum Answer {
    /// This, and the next one.
    Say(Vec<u8>),
    /// This, and the connection ends.
    Last(Vec<u8>),
}

/// A good response.
pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-fcs\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A file in a folder of the test.
pub(crate) fn in_folder(dir: &TempDir, name: &str) -> PathBuf {
    dir.path().join(name)
}
