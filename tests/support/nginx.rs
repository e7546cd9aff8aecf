// SPDX-License-Identifier: MPL-2.0

//! nginx with its RTMP module as the server of a test, and as a TLS end in front of any server.
//!
//! The module calls a small HTTP server of ours at every turn (its `on_*` directives), so a test waits
//! for "the player is in" or "the recording is closed" instead of for a time.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    certificates::Certificate,
    process::{PATIENCE, Process, start_server},
};

/// Streams whose names begin so may be neither published nor played in the application `live`.
pub const REFUSED: &str = "refused";

/// An RTMP server with the applications
///
/// - `live`: anybody publishes and plays; every stream is recorded. Asks our hooks.
/// - `vod`: plays the files that [`Nginx::offer`] put there.
/// - `closed`: nobody may publish or play.
#[derive(Debug)]
pub struct Nginx {
    port: u16,
    /// None between [`Nginx::kill`] and [`Nginx::start_again`].
    process: Option<Process>,
    config: NginxConfig,
    hooks: Hooks,
    dir: TempDir,
}

#[derive(Clone, Debug)]
pub struct NginxConfig {
    /// Of what nginx sends, in bytes.
    pub chunk_size: u32,
    /// More directives of the server.
    pub server: String,
    /// More directives of the application `live`.
    pub live: String,
}

impl Default for NginxConfig {
    fn default() -> Self {
        Self {
            chunk_size: 4096,
            server: String::new(),
            live: String::new(),
        }
    }
}

/// What happened to a connection or a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `connect` and `disconnect` of any application; `publish`, `publish_done`, `play`,
    /// `play_done` and `record_done` of `live`.
    pub call: String,
    /// Name of the stream; empty for `connect` and `disconnect`.
    pub name: String,
    /// All fields as nginx sent them, undecoded.
    pub fields: Vec<(String, String)>,
}

impl Nginx {
    #[track_caller]
    pub fn start(config: NginxConfig) -> Self {
        let dir = TempDir::with_prefix("nginx").expect("a folder");
        for folder in ["record", "vod"] {
            fs::create_dir(dir.path().join(folder)).expect("a folder");
        }
        let hooks = Hooks::start();
        let (port, process) = start_server(|port| {
            let text = rtmp_config(&config, dir.path(), port, hooks.port);
            nginx(dir.path(), &["rtmp"], &text)
        });
        Self {
            port,
            process: Some(process),
            config,
            hooks,
            dir,
        }
    }

    /// Ends it as a crash does: nobody is told.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again at its port, with what it has recorded.
    #[track_caller]
    pub fn start_again(&mut self) {
        let text = rtmp_config(&self.config, self.dir.path(), self.port, self.hooks.port);
        let mut process = Process::start(&mut nginx(self.dir.path(), &["rtmp"], &text));
        process.listens(self.port).unwrap_or_else(|e| panic!("{e}"));
        self.process = Some(process);
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL of a stream in one of the applications.
    pub fn url(&self, app: &str, stream: &str) -> String {
        format!("rtmp://127.0.0.1:{}/{app}/{stream}", self.port)
    }

    /// Puts a file into `vod`, to be played by this name.
    pub fn offer(&self, file: &Path, name: &str) {
        fs::copy(file, self.dir.path().join("vod").join(name)).expect("a copy");
    }

    /// Waits for an event about a stream and takes it: asking again waits for the next one.
    #[track_caller]
    pub fn wait(&self, call: &str, name: &str) -> Event {
        self.hooks.wait(call, name).unwrap_or_else(|seen| {
            let said = self.said();
            panic!("no '{call}' of '{name}' within {PATIENCE:?}; seen: {seen:?}; nginx:\n{said}")
        })
    }

    /// Waits until the recording of a stream is closed; FLV.
    #[track_caller]
    pub fn recorded(&self, name: &str) -> PathBuf {
        self.wait("record_done", name);
        self.recording(name)
    }

    /// The recording of a stream, perhaps still being written.
    pub fn recording(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("record/{name}.flv"))
    }

    /// What nginx logged.
    pub fn said(&self) -> String {
        let process = self.process.as_ref();
        process.map(Process::said).unwrap_or_default()
    }

    /// Process id, for CPU and memory figures.
    pub fn id(&self) -> u32 {
        self.process.as_ref().map_or(0, Process::id)
    }
}

/// A TLS end on 127.0.0.1 in front of a server there.
#[derive(Debug)]
pub struct TlsFront {
    port: u16,
    process: Process,
    _dir: TempDir,
}

#[derive(Clone, Debug)]
pub struct TlsConfig {
    pub certificate: Certificate,
    /// Ask clients for a certificate of this authority and refuse those without.
    pub client_ca: Option<PathBuf>,
    /// As nginx names them.
    pub protocols: &'static str,
}

impl TlsConfig {
    pub fn new(certificate: Certificate) -> Self {
        Self {
            certificate,
            client_ca: None,
            protocols: "TLSv1.2 TLSv1.3",
        }
    }
}

impl TlsFront {
    /// Starts a front for the server on this port.
    #[track_caller]
    pub fn start(upstream: u16, config: &TlsConfig) -> Self {
        let dir = TempDir::with_prefix("tls").expect("a folder");
        let (port, process) = start_server(|port| {
            let text = tls_config(config, port, upstream);
            nginx(dir.path(), &["stream"], &text)
        });
        Self {
            port,
            process,
            _dir: dir,
        }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// URL of a stream; `host` is a name of the certificate that leads to 127.0.0.1.
    pub fn url(&self, host: &str, app: &str, stream: &str) -> String {
        format!("rtmps://{host}:{}/{app}/{stream}", self.port)
    }

    /// What nginx logged, refused handshakes included.
    pub fn said(&self) -> String {
        self.process.said()
    }
}

fn nginx(dir: &Path, modules: &[&str], config: &str) -> Command {
    let mut text = String::new();
    for module in modules {
        text += &format!("load_module /usr/lib/nginx/modules/ngx_{module}_module.so;\n");
    }
    text += "daemon off; master_process off; pid nginx.pid; error_log stderr info;\n";
    text += "events { worker_connections 4096; }\n";
    text += config;
    fs::write(dir.join("nginx.conf"), text).expect("a writable folder");
    // Debian keeps it where only root's PATH leads.
    let mut command = Command::new("/usr/sbin/nginx");
    command.args(["-e", "stderr", "-p"]).arg(dir);
    command.args(["-c", "nginx.conf"]);
    command
}

fn rtmp_config(config: &NginxConfig, dir: &Path, port: u16, hooks: u16) -> String {
    let dir = dir.display();
    let NginxConfig {
        chunk_size,
        server,
        live,
    } = config;
    let hook = |call| format!("on_{call} http://127.0.0.1:{hooks}/{call};\n");
    let of_server: String = ["connect", "disconnect"].map(hook).concat();
    let of_live: String = [
        "publish",
        "publish_done",
        "play",
        "play_done",
        "record_done",
    ]
    .map(hook)
    .concat();
    // out_queue: nginx drops what a player has not taken, and tests publish faster than real time.
    // publish_notify: without it a player is not told that the publisher left.
    format!(
        "rtmp {{ server {{
            listen 127.0.0.1:{port};
            chunk_size {chunk_size}; max_message 64M; out_queue 65536; out_cork 8;
            {of_server}
            {server}
            application live {{
                live on; publish_notify on; play_restart off;
                record all; record_path {dir}/record; record_unique off;
                {of_live}
                {live}
            }}
            application vod {{ play {dir}/vod; }}
            application closed {{ live on; deny publish all; deny play all; }}
        }} }}\n"
    )
}

fn tls_config(config: &TlsConfig, port: u16, upstream: u16) -> String {
    let Certificate { certificate, key } = &config.certificate;
    let verify = config.client_ca.as_ref().map_or_else(String::new, |ca| {
        format!(
            "ssl_verify_client on; ssl_client_certificate {};",
            ca.display()
        )
    });
    format!(
        "stream {{ server {{
            listen 127.0.0.1:{port} ssl;
            ssl_certificate {}; ssl_certificate_key {};
            ssl_protocols {};
            {verify}
            proxy_pass 127.0.0.1:{upstream};
        }} }}\n",
        certificate.display(),
        key.display(),
        config.protocols,
    )
}

/// The HTTP server that nginx calls.
#[derive(Debug)]
struct Hooks {
    port: u16,
    events: Arc<(Mutex<Vec<Event>>, Condvar)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hooks {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let events = Arc::new((Mutex::new(Vec::new()), Condvar::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let (events, stop) = (events.clone(), stop.clone());
            move || {
                for stream in listener.incoming() {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    // A call that cannot be read is missing among the events; tests name those.
                    if let Some(event) = stream.ok().and_then(answer) {
                        events.0.lock().unwrap().push(event);
                        events.1.notify_all();
                    }
                }
            }
        });
        Self {
            port,
            events,
            stop,
            thread: Some(thread),
        }
    }

    fn wait(&self, call: &str, name: &str) -> Result<Event, Vec<Event>> {
        let end = Instant::now() + PATIENCE;
        let (events, more) = &*self.events;
        let mut events = events.lock().unwrap();
        loop {
            let wanted = |event: &Event| event.call == call && event.name == name;
            if let Some(at) = events.iter().position(wanted) {
                return Ok(events.remove(at));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(events.clone());
            }
            events = more.wait_timeout(events, left).unwrap().0;
        }
    }
}

impl Drop for Hooks {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // accept() has to return once more.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads one call (a form posted as HTTP/1.0), answers it and returns it.
fn answer(stream: TcpStream) -> Option<Event> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((key, value)) = line.split_once(':')
            && key.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form).ok()?;
    let form = String::from_utf8(form).ok()?;
    let pairs = form.split('&').filter_map(|pair| pair.split_once('='));
    let fields: Vec<_> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let field = |name: &str| {
        let found = fields.iter().find(|(key, _)| key == name);
        found.map_or_else(String::new, |(_, value)| value.clone())
    };
    let event = Event {
        call: field("call"),
        name: field("name"),
        fields: fields.clone(),
    };
    let refused = event.name.starts_with(REFUSED);
    let status = if refused { "403 Forbidden" } else { "200 OK" };
    let head = format!("HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n");
    reader.get_mut().write_all(head.as_bytes()).ok()?;
    Some(event)
}
