// SPDX-License-Identifier: MPL-2.0

//! Chromium without a window, steered through its DevTools pipe: JSON with a zero byte behind each
//! message, on descriptors 3 and 4.

use std::{
    io::{BufRead as _, BufReader, Read, Write as _},
    net::{Ipv4Addr, TcpListener},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::process::poll;

/// For a browser on a machine that has other work as well.
pub const LONG: Duration = Duration::from_secs(90);

/// Looks at the page's video: its picture and its sound, what it says of itself and what happened to it.
const LOOK: &str = include_str!("look.js");

/// One at a time: two browsers on two cores have no time for the video.
static TURN: Mutex<()> = Mutex::new(());

/// A browser with an empty profile. Dropping it ends it.
pub struct Chromium {
    child: Child,
    input: ChildStdin,
    output: Receiver<Value>,
    next: u64,
    _profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// One of its tabs.
#[derive(Clone, Debug)]
pub struct Tab(String);

/// What can be seen of a tab's video.
#[derive(Clone, Debug)]
pub struct Look(pub Value);

impl Chromium {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = TempDir::with_prefix("chromium").expect("a folder");
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "sh"])
            .args(["chromium", "--headless", "--no-sandbox", "--disable-gpu"])
            .args([
                "--disable-dev-shm-usage",
                "--disable-quic",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .args([
                "--disable-sync",
                "--autoplay-policy=no-user-gesture-required",
            ])
            .args([
                "--disable-renderer-backgrounding",
                "--disable-background-timer-throttling",
            ])
            .args([
                "--disable-backgrounding-occluded-windows",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(arguments)
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It complains of a missing bus, and more, however well it is.
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("a shell");
        let input = child.stdin.take().expect("a pipe");
        let messages = BufReader::new(child.stdout.take().expect("a pipe"));
        let (tell, output) = channel();
        thread::spawn(move || {
            for message in messages.split(0).map_while(Result::ok) {
                let message = serde_json::from_slice(&message).expect("JSON");
                if tell.send(message).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            input,
            output,
            next: 0,
            _profile: profile,
            _turn: turn,
        }
    }

    /// Calls a method and waits for its result.
    #[track_caller]
    fn call(&mut self, session: Option<&Tab>, method: &str, params: Value) -> Value {
        self.next += 1;
        let mut message = json!({"id": self.next, "method": method, "params": params});
        if let Some(Tab(session)) = session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let sent = self.input.write_all(&bytes);
        sent.expect("a running chromium; tests/run.sh installs it");
        let until = Instant::now() + LONG;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let message = self.output.recv_timeout(left);
            let message = message.unwrap_or_else(|e| panic!("{method}: no answer, {e}"));
            if message["id"] == self.next {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].clone();
            }
        }
    }

    /// Opens a page that has a video.
    #[track_caller]
    pub fn open(&mut self, url: &str) -> Tab {
        let tab = self.visit(url, "!!document.querySelector('video')");
        self.eval(&tab, LOOK);
        tab
    }

    /// Opens a page of this server and puts a video element with this path into it, and nothing else. Its
    /// pixels are the page's own, whatever connections they came over.
    #[track_caller]
    pub fn open_at_home(&mut self, port: u16, path: &str) -> Tab {
        let url = format!("http://127.0.0.1:{port}/");
        let there = format!("location.href == '{url}' && document.readyState == 'complete'");
        let tab = self.visit(&url, &there);
        let video = format!("document.body.innerHTML = '<video src={path} autoplay></video>'");
        self.eval(&tab, &video);
        self.eval(&tab, LOOK);
        tab
    }

    /// Opens a page and waits until this is so there.
    #[track_caller]
    pub fn visit(&mut self, url: &str, so: &str) -> Tab {
        let target = self.call(None, "Target.createTarget", json!({"url": url}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call(None, "Target.attachToTarget", target);
        let session = session["sessionId"].as_str().expect("a session");
        let tab = Tab(session.to_owned());
        let there = poll(LONG, || (self.eval(&tab, so) == true).then_some(()));
        there.unwrap_or_else(|| panic!("{url} is not there"));
        tab
    }

    /// What an expression is in a tab.
    #[track_caller]
    pub fn eval(&mut self, tab: &Tab, expression: &str) -> Value {
        let params = json!({
            "expression": expression,
            "returnByValue": true,
            "awaitPromise": true,
            "userGesture": true,
        });
        let result = self.call(Some(tab), "Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{result}");
        result["result"]["value"].clone()
    }

    pub fn look(&mut self, tab: &Tab) -> Look {
        Look(self.eval(tab, "look()"))
    }

    /// Looks again and again until this is so.
    #[track_caller]
    pub fn see(&mut self, tab: &Tab, what: &str, mut so: impl FnMut(&Look) -> bool) -> Look {
        let mut last = None;
        let found = poll(LONG, || {
            let look = self.look(tab);
            let found = so(&look).then(|| look.clone());
            last = Some(look);
            found
        });
        found.unwrap_or_else(|| panic!("{what} was not to be seen, but {last:?}"))
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // So that its helpers are gone when its profile is.
        let _ = self
            .input
            .write_all(b"{\"id\":0,\"method\":\"Browser.close\"}\0");
        let ended = poll(Duration::from_secs(10), || self.child.try_wait().ok()?);
        if ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Look {
    /// The colours along a line through the picture, from left to right.
    pub fn colours(&self) -> Vec<[u8; 3]> {
        let colours = serde_json::from_value(self.0["colours"].clone());
        colours.expect("colours")
    }

    /// The picture has this colour everywhere.
    pub fn is(&self, colour: [u8; 3]) -> bool {
        let colours = self.colours();
        !colours.is_empty() && colours.iter().all(|seen| alike(*seen, colour))
    }

    /// The loudest frequency in Hz is this one.
    pub fn sounds(&self, hertz: f64) -> bool {
        self.number("level") > 0.05 && (self.number("hertz") - hertz).abs() < 20.0
    }

    pub fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or(f64::NAN)
    }

    /// What happened to the video since, of `error`, `ended`, `emptied`.
    pub fn events(&self) -> Vec<&str> {
        let events = self.0["events"].as_array().expect("events");
        events.iter().filter_map(Value::as_str).collect()
    }
}

/// Lossy coding and the way to YUV and back change a little.
pub fn alike(one: [u8; 3], other: [u8; 3]) -> bool {
    one.iter().zip(other).all(|(a, b)| a.abs_diff(b) < 48)
}

/// Serves one page at its own origin for as long as it lives, and returns its address.
pub fn page(html: String) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let html = html.clone();
            // A browser connects ahead of what it will ask, and may say nothing there.
            thread::spawn(move || {
                let _ = socket.set_read_timeout(Some(LONG));
                let _ = socket.read(&mut [0; 4096]);
                let length = html.len();
                let _ = write!(
                    socket,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n{html}"
                );
            });
        }
    });
    format!("http://127.0.0.1:{port}/")
}
