// SPDX-License-Identifier: MPL-2.0

//! Client processes and what they cost, and the servers that this program starts of itself.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What one finished process cost, as the kernel charged it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) user: f64,
    pub(crate) system: f64,
    pub(crate) max_rss_kb: i64,
}

/// A process that has ended, well or not.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) cost: Cost,
    pub(crate) status: ExitStatus,
    pub(crate) timed_out: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Why the process did not do its job, in a few words, or `None` if it did.
    pub(crate) fn complaint(&self) -> Option<String> {
        if self.timed_out {
            return Some("timed out".to_owned());
        }
        if let Some(signal) = self.status.signal() {
            return Some(format!("killed by signal {signal}"));
        }
        if self.status.success() {
            return None;
        }
        let lines = || self.stderr.lines().filter(|l| !l.trim().is_empty());
        // gst-launch's error line says more than the lines that follow it.
        let said = lines()
            .find(|l| l.contains("ERROR"))
            .or(lines().next_back());
        Some(format!("{}: {}", self.status, said.unwrap_or("no word")))
    }
}

/// Runs `command` to its end, or kills it after `deadline`.
///
/// The output goes to unnamed files: a pipe that nobody empties would stall a talkative client.
pub(crate) fn run(command: &mut Command, deadline: Duration) -> Result<Ended, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    run_inner(command, deadline).map_err(|e| format!("{name}: {e}"))
}

fn run_inner(command: &mut Command, deadline: Duration) -> io::Result<Ended> {
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    command
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?);
    let started = Instant::now();
    let child = command.spawn()?;
    let pid = child.id() as libc::pid_t;
    let mut timed_out = false;
    let (status, usage) = loop {
        if let Some(ended) = wait4(pid, libc::WNOHANG)? {
            break ended;
        }
        if started.elapsed() > deadline {
            timed_out = true;
            // SAFETY: the pid is our own child's, and it has not been waited for yet.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            if let Some(ended) = wait4(pid, 0)? {
                break ended;
            }
        }
        std::thread::sleep(Duration::from_micros(500));
    };
    let cost = Cost {
        wall: started.elapsed(),
        user: seconds(usage.ru_utime),
        system: seconds(usage.ru_stime),
        max_rss_kb: usage.ru_maxrss,
    };
    let text = |file: &mut std::fs::File| -> io::Result<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.take(1 << 20).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Ended {
        cost,
        status: ExitStatus::from_raw(status),
        timed_out,
        stdout: text(&mut out)?,
        stderr: text(&mut err)?,
    })
}

fn wait4(pid: libc::pid_t, flags: libc::c_int) -> io::Result<Option<(i32, libc::rusage)>> {
    let mut status = 0;
    // SAFETY: rusage is plain data for which all zeroes is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live locals.
    match unsafe { libc::wait4(pid, &mut status, flags, &mut usage) } {
        0 => Ok(None),
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(Some((status, usage))),
    }
}

pub(crate) fn seconds(time: libc::timeval) -> f64 {
    time.tv_sec as f64 + time.tv_usec as f64 / 1e6
}

/// This program, to be started again in the role named first in `args`.
pub(crate) fn role(args: &[&str]) -> Result<Command, String> {
    let own = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
    let mut command = Command::new(own);
    command.arg("--role").args(args);
    Ok(command)
}

/// A server role in the background. It says `ports name=number ...` once it listens and
/// `done BYTES` for every connection that has ended.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    ports: HashMap<String, u16>,
    lines: Receiver<String>,
}

impl Server {
    pub(crate) fn start(args: &[&str]) -> Result<Self, String> {
        Self::start_as(role(args)?, args[0])
    }

    /// Starts `command`, which is such a role.
    pub(crate) fn start_as(mut command: Command, name: &str) -> Result<Self, String> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{name}: {e}"))?;
        let stdout = child.stdout.take().ok_or("no pipe from the server")?;
        let (tx, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if tx.send(line).is_err() {
                    break;
                }
            }
        });
        let mut server = Self {
            child,
            ports: HashMap::new(),
            lines,
        };
        // Cutting 600 MB into chunks takes a while on a busy machine.
        let first = server
            .lines
            .recv_timeout(Duration::from_secs(120))
            .map_err(|_| format!("{name} did not start"))?;
        server.ports = first
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .filter_map(|(name, port)| Some((name.to_owned(), port.parse().ok()?)))
            .collect();
        Ok(server)
    }

    /// The loopback port of one of the server's faces: `rtmp`, `rtmps`, `raw` or `rawtls`.
    pub(crate) fn port(&self, face: &str) -> u16 {
        self.ports.get(face).copied().unwrap_or(0)
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Forgets connections that ended before now.
    pub(crate) fn forget(&self) {
        while self.lines.try_recv().is_ok() {}
    }

    /// Bytes of the connection that ended well next; waits for it a while.
    pub(crate) fn done(&self) -> Option<u64> {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(5)).ok()?;
            match line.strip_prefix("done ") {
                Some(bytes) => return bytes.parse().ok(),
                None => eprintln!("  server: {line}"),
            }
        }
    }

    /// Bytes of the connection that ended last, once none has ended for a while.
    pub(crate) fn last_done(&self) -> Option<u64> {
        let mut last = None;
        let mut patience = Duration::from_secs(5);
        while let Ok(line) = self.lines.recv_timeout(patience) {
            last = line
                .strip_prefix("done ")
                .and_then(|n| n.parse().ok())
                .or(last);
            patience = Duration::from_millis(500);
        }
        last
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a running process has used, to the nanosecond: in ticks of 10 ms, as the times of the process itself
/// are, a few seconds of a live stream are nothing.
pub(crate) struct Spent {
    pub(crate) at: Instant,
    /// Seconds, user and system, of all threads that are there.
    pub(crate) seconds: f64,
    /// Of the first thread.
    pub(crate) lead: f64,
}

impl Spent {
    pub(crate) fn now(pid: u32) -> Result<Self, String> {
        let wrong = |e: std::io::Error| format!("/proc/{pid}: {e}");
        let (mut seconds, mut lead) = (0.0, 0.0);
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).map_err(wrong)? {
            let task = task.map_err(wrong)?;
            // A thread may end between the two.
            let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            let on_cpu = stat.split_whitespace().next();
            let on_cpu = on_cpu.and_then(|ns| ns.parse().ok()).unwrap_or(0.0) / 1e9;
            seconds += on_cpu;
            if task.file_name() == *pid.to_string() {
                lead = on_cpu;
            }
        }
        Ok(Self {
            at: Instant::now(),
            seconds,
            lead,
        })
    }

    /// In percent of a core.
    pub(crate) fn since(&self, before: &Self) -> f64 {
        let time = (self.at - before.at).as_secs_f64();
        (self.seconds - before.seconds) / time * 100.0
    }
}
