// SPDX-License-Identifier: MPL-2.0

//! A server that is tortured.

use std::{
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    Case, Options, Stage, Verdict,
    wire::{Wire, is_timeout},
};
use crate::support::{household, process::poll};

/// Where it is, and what to ask it for.
#[derive(Clone, Debug)]
pub struct Server {
    pub host: String,
    pub port: u16,
    pub app: String,
    /// A stream to publish; `{job}` in it is replaced by a number, for servers with one publisher a stream.
    pub stream: String,
    /// A stream to play, `app/stream`, if the server has one.
    pub play: Option<String>,
    /// A process to watch.
    pub pid: Option<u32>,
    /// A command that serves one connection and ends, started anew for each case: `{url}` in it is replaced.
    pub spawn: Option<Vec<String>>,
}

impl Server {
    /// From `rtmp://host[:port]/app/stream`.
    ///
    /// # Errors
    /// It is none; the sentence says so.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = || format!("'{url}' is no address like rtmp://host:1935/app/stream.");
        let rest = url.strip_prefix("rtmp://").ok_or_else(wrong)?;
        let (authority, path) = rest.split_once('/').ok_or_else(wrong)?;
        let (app, stream) = path.split_once('/').unwrap_or((path, "torture-{job}"));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong())?)
            }
            _ => (authority, 1935),
        };
        if app.is_empty() || host.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port,
            app: app.to_owned(),
            stream: stream.to_owned(),
            play: None,
            pid: None,
            spawn: None,
        })
    }

    fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        Ok((&*self.host, self.port).to_socket_addrs()?.collect())
    }

    fn dial(&self, options: &Options) -> io::Result<Wire> {
        let mut last = io::Error::other("no address");
        for address in self.addresses()? {
            match TcpStream::connect_timeout(&address, options.patience) {
                Ok(socket) => return Wire::new(socket, options.patience, options.cut, false),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connect(&self, wire: &mut Wire, app: &str) -> io::Result<()> {
        wire.greet()?;
        let url = format!("rtmp://{}:{}/{app}", self.host, self.port);
        wire.connect(app, &url)
    }

    /// Goes as far as `stage`.
    fn reach(&self, wire: &mut Wire, stage: Stage, job: usize) -> io::Result<()> {
        match stage {
            Stage::Socket => Ok(()),
            Stage::Greeted => wire.greet(),
            Stage::Connected => self.connect(wire, &self.app),
            Stage::Publishing | Stage::Streaming => {
                self.connect(wire, &self.app)?;
                wire.create_stream()?;
                wire.ask_for("publish", &self.stream.replace("{job}", &job.to_string()))
            }
            Stage::Playing => {
                let play = self.play.as_deref().unwrap_or_default();
                let (app, stream) = play.split_once('/').unwrap_or((play, ""));
                self.connect(wire, app)?;
                wire.create_stream()?;
                wire.ask_for("play", stream)
            }
        }
    }

    /// Runs one case. A server that is started for it may have a port of its own.
    pub fn run(&self, case: &Case, job: usize, options: &Options) -> Verdict {
        if self.spawn.is_some() && self.port == 0 {
            let port = crate::support::process::free_port();
            return Self {
                port,
                ..self.clone()
            }
            .run(case, job, options);
        }
        let mut child = match self.spawn(options) {
            Ok(child) => child,
            Err(error) => return Verdict::Crashed(error.to_string()),
        };
        let pid = child.as_ref().map(|child| child.0.id()).or(self.pid);
        let before = pid.and_then(peak);
        let mut wire = match self.reached(case, job, options) {
            Ok(wire) => wire,
            Err(verdict) => return verdict,
        };
        let result = (case.script)(&mut wire);
        let mut verdict = wire.judge(result);
        if let (Some(before), Some(after)) = (before, pid.and_then(peak))
            && after.saturating_sub(before) > options.memory
        {
            verdict = Verdict::Swelled(format!("{} MiB more", (after - before) >> 10));
        }
        let healthy = match &mut child {
            // It may end now that we go.
            Some(child) => {
                drop(wire);
                ended(&mut child.0, options.patience)
            }
            // While the bad one is still there.
            None => self.serves(job, options),
        };
        match healthy {
            Ok(()) => verdict,
            Err(worse) => worse,
        }
    }

    /// A connection at this stage. The former one may not have been missed yet, so that the name is taken.
    fn reached(&self, case: &Case, job: usize, options: &Options) -> Result<Wire, Verdict> {
        let begun = Instant::now();
        loop {
            let reached = self.dial(options).and_then(|mut wire| {
                self.reach(&mut wire, case.stage, job)?;
                Ok(wire)
            });
            match reached {
                Ok(wire) => return Ok(wire),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    return Err(Verdict::Crashed("nobody listens".into()));
                }
                Err(error) if begun.elapsed() > options.patience || self.spawn.is_some() => {
                    return Err(match is_timeout(&error) {
                        true => Verdict::Hung("a sound connection is not served".into()),
                        false => Verdict::Unreached(error.to_string()),
                    });
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Whether somebody who behaves is served.
    fn serves(&self, job: usize, options: &Options) -> Result<(), Verdict> {
        let stage = match self.play {
            Some(_) => Stage::Playing,
            None => Stage::Connected,
        };
        let served = self.dial(options).and_then(|mut wire| {
            self.reach(&mut wire, stage, job)?;
            // Its own end is taken before ours is gone.
            Ok(())
        });
        served.map_err(|error| match error.kind() {
            io::ErrorKind::ConnectionRefused => Verdict::Crashed("nobody listens any more".into()),
            _ => Verdict::Hung(format!("the next connection was not served: {error}")),
        })
    }

    fn spawn(&self, options: &Options) -> io::Result<Option<Guarded>> {
        let Some(words) = &self.spawn else {
            return Ok(None);
        };
        let url = format!(
            "rtmp://{}:{}/{}/{}",
            self.host, self.port, self.app, self.stream
        );
        let child = Guarded(start(words, &url)?);
        let port = self.port;
        let up = poll(options.patience, || {
            crate::support::process::is_listening(port).then_some(())
        });
        up.ok_or_else(|| io::Error::other("it does not listen"))?;
        Ok(Some(child))
    }
}

/// A child that does not outlive its case.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a command with a URL in it.
///
/// # Errors
/// It cannot be started.
pub fn start(words: &[String], url: &str) -> io::Result<Child> {
    let mut words = words.iter().map(|word| word.replace("{url}", url));
    let program = words.next().unwrap_or_default();
    Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// Waits for the end of a process, which nobody talks to any more.
///
/// # Errors
/// It fell over, or does not end.
pub fn ended(child: &mut Child, patience: Duration) -> Result<(), Verdict> {
    use std::os::unix::process::ExitStatusExt;
    let status = poll(patience, || child.try_wait().ok().flatten());
    let Some(status) = status else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(Verdict::Hung("the process goes on without us".into()));
    };
    match (status.signal(), status.code()) {
        (Some(signal), _) => Err(Verdict::Crashed(format!("signal {signal}"))),
        // What Rust panics and shells' children end with.
        (_, Some(code @ (101 | 132..=139))) => Err(Verdict::Crashed(format!("exit status {code}"))),
        _ => Ok(()),
    }
}

/// Most memory that a process had so far, in KiB.
pub fn peak(pid: u32) -> Option<usize> {
    household::memory(&pid.to_string(), "VmHWM:")
}
