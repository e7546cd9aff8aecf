// SPDX-License-Identifier: MPL-2.0

//! examples/edge as it stands there, but for names, ports and folders: one origin, two edges, players on
//! the edges.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tempfile::TempDir;

use crate::{
    client::Client,
    film::{FILM, packets, read_packets},
    station::Station,
    support::{
        certificates::{Authority, For},
        pipeline::Pipeline,
        process::{Process, free_port, start_server, wait_until},
    },
};

const ICECAST: &str = include_str!("../../examples/edge/icecast.xml");
const NGINX: &str = include_str!("../../examples/edge/nginx.conf");

/// Where nginx keeps what it has to keep: its usual places are root's.
const SCRATCH: &str = "access_log live.log; client_body_temp_path body; proxy_temp_path proxy; \
                       fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;";

/// Icecast behind nginx.
struct Edge {
    port: u16,
    _icecast: Process,
    _nginx: Process,
    _dir: TempDir,
    _authority: Authority,
}

impl Edge {
    #[track_caller]
    fn start(origin: u16) -> Self {
        let dir = TempDir::with_prefix("edge").expect("a folder");
        // Started by root, Icecast is somebody else soon.
        fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).expect("a mode");
        let folder = |place: &str| format!("<{place}>{}</{place}>", dir.path().display());
        let (icecast_port, icecast) = start_server(|port| {
            let text = altered(
                ICECAST,
                &[
                    ("origin.example.org", "127.0.0.1"),
                    ("<port>8080", &format!("<port>{origin}")),
                    ("<port>8000", &format!("<port>{port}")),
                    ("<logdir>/var/log/icecast2</logdir>", &folder("logdir")),
                    (
                        "<chroot>0</chroot>",
                        "<chroot>0</chroot><changeowner><user>nobody</user><group>nogroup</group></changeowner>",
                    ),
                ],
            );
            let file = write(dir.path(), "icecast.xml", &text);
            let mut command = Command::new("icecast2");
            command.arg("-c").arg(file);
            command
        });
        let authority = Authority::new("edge");
        let certificate = authority.issue(For::Server, &["localhost"]);
        let (pem, key) = (certificate.certificate.display(), certificate.key.display());
        let (port, nginx) = start_server(|port| {
            let text = altered(
                NGINX,
                &[
                    ("listen 80;", &format!("listen 127.0.0.1:{port};")),
                    ("listen 443", &format!("listen 127.0.0.1:{}", free_port())),
                    ("/etc/ssl/edge.example.org.pem", &pem.to_string()),
                    ("/etc/ssl/edge.example.org.key", &key.to_string()),
                    ("access_log /var/log/nginx/live.log;", SCRATCH),
                    ("127.0.0.1:8000", &format!("127.0.0.1:{icecast_port}")),
                    ("origin.example.org:8080", &format!("127.0.0.1:{origin}")),
                    // The tests run where the limit of open files is low.
                    ("worker_connections 20000", "worker_connections 200"),
                ],
            );
            let text = format!("daemon off; master_process off; pid nginx.pid;\n{text}");
            let file = write(dir.path(), "nginx.conf", &text);
            let mut command = Command::new("nginx");
            command
                .arg("-p")
                .arg(dir.path())
                .args(["-e", "stderr", "-c"])
                .arg(file);
            command
        });
        Self {
            port,
            _icecast: icecast,
            _nginx: nginx,
            _dir: dir,
            _authority: authority,
        }
    }
}

#[track_caller]
fn altered(text: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in the example");
        text.replace(from, to)
    })
}

fn write(dir: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let file = dir.join(name);
    fs::write(&file, text).expect("a file");
    file
}

fn get(port: u16, path: &str, fields: &str) -> Client {
    Client::ask(
        port,
        &format!("GET {path} HTTP/1.1\r\nHost: edge\r\n{fields}\r\n"),
    )
}

/// An origin that counts who comes.
fn origin() -> (Station, Arc<AtomicUsize>) {
    let station = Station::prepare("timecodes=continuing");
    let came = Arc::new(AtomicUsize::new(0));
    let count = came.clone();
    gst::prelude::ObjectExt::connect(&station.sink, "client-added", false, move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        None
    });
    (station.start(), came)
}

/// What `port` gives to three who ask, while the origin sends: each gets the packets that were sent, from a
/// key frame on and without a gap.
#[track_caller]
fn watch_together(origin: &Station, ports: &[u16]) {
    let mut clients = Vec::new();
    for port in ports.iter().cycle().take(3 * ports.len()) {
        let mut client = get(*port, "/live", "Range: bytes=0-\r\n");
        assert_eq!(client.status, 200);
        assert_eq!(client.field("content-type"), Some("video/webm"));
        clients.push(thread::spawn(move || {
            let mut body = Vec::new();
            client.at_least(&mut body, FILM.len());
            body
        }));
    }
    // Whatever they begin with, two more are enough for all.
    origin.push(&FILM);
    origin.push(&FILM);
    let film: Vec<String> = packets(&FILM).into_iter().map(|p| p.hash).collect();
    let sent: Vec<&String> = film.iter().cycle().take(4 * film.len()).collect();
    for client in clients {
        let body = client.join().expect("a client");
        let (got, _) = read_packets(&body);
        assert!(got[0].key && got[0].track == 0, "{:?}", got[0]);
        // The last may be cut.
        let got = &got[..got.len() - 1];
        let hashes: Vec<&String> = got.iter().map(|p| &p.hash).collect();
        let found = sent.windows(got.len()).any(|sent| sent == hashes);
        assert!(found, "{} packets are not those that were sent", got.len());
        for track in 0..2 {
            let times = got.iter().filter(|p| p.track == track).map(|p| p.pts);
            assert!(times.is_sorted(), "time goes back");
        }
    }
}

#[test]
fn the_origin_sees_one_client_an_edge() {
    let (origin, came) = origin();
    origin.push(&FILM);
    let edges = [Edge::start(origin.port), Edge::start(origin.port)];
    origin.wait_for_clients(2);
    // A relay has a mount when it has seen the header and something behind it.
    origin.push(&FILM);
    let ports = edges.each_ref().map(|edge| edge.port);
    for port in ports {
        wait_until("the relay has the stream", || {
            get(port, "/live", "").status == 200
        });
    }
    watch_together(&origin, &ports);
    assert_eq!(origin.stat::<u32>("clients"), 2);
    assert_eq!(came.load(Ordering::SeqCst), 2);
    // What was broken off cannot be gone on with here, and says so.
    assert_eq!(get(ports[0], "/live", "Range: bytes=1000-\r\n").status, 416);
    let page = get(ports[0], "/live/player", "Connection: close\r\n");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<video"));
}

/// The other edge that README names: the element itself.
#[test]
fn an_edge_can_be_a_pipeline() {
    let (origin, came) = origin();
    origin.push(&FILM);
    let edges: Vec<(Pipeline, u16)> = (0..2)
        .map(|_| {
            let pipeline = Pipeline::launch(&format!(
                "souphttpsrc location=http://127.0.0.1:{}/live is-live=true \
                 ! webmhttpsink address=127.0.0.1 port=0 sync=false timecodes=source",
                origin.port
            ));
            pipeline.play();
            let port = pipeline.notice("webm-listening").get::<i32>("port");
            (pipeline, port.expect("a port") as u16)
        })
        .collect();
    origin.wait_for_clients(2);
    origin.push(&FILM);
    let ports: Vec<u16> = edges.iter().map(|(_, port)| *port).collect();
    watch_together(&origin, &ports);
    assert_eq!(origin.stat::<u32>("clients"), 2);
    assert_eq!(came.load(Ordering::SeqCst), 2);
}
