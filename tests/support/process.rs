// SPDX-License-Identifier: MPL-2.0

//! Child processes that end with the test, and waiting that is bounded.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write as _},
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a helper waits for what takes milliseconds on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at something that tells nobody when it changes.
const LOOK: Duration = Duration::from_millis(5);

/// A child process. Dropping it kills it, by its id, and waits for its end.
#[derive(Debug)]
pub struct Process {
    child: Child,
    line: String,
    said: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// All it wrote to its standard output and error.
    pub said: String,
}

impl Process {
    /// Starts a process without a standard input; what it writes is kept for failure messages.
    pub fn start(command: &mut Command) -> Self {
        Self::spawn(command, Stdio::null())
    }

    /// The same with one, for [`Process::tell`].
    pub fn start_to_tell(command: &mut Command) -> Self {
        Self::spawn(command, Stdio::piped())
    }

    fn spawn(command: &mut Command, input: Stdio) -> Self {
        let mut line = command.get_program().to_string_lossy().into_owned();
        for argument in command.get_args() {
            let _ = write!(line, " {}", argument.to_string_lossy());
        }
        let (mut output, error) = std::io::pipe().expect("a pipe");
        let child = command
            .stdin(input)
            .stdout(error.try_clone().expect("another end"))
            .stderr(error)
            .spawn()
            .unwrap_or_else(|e| panic!("{line}: {e}; tests/run.sh installs what is needed"));
        // The command keeps its ends of the pipe until they are replaced; only then can it end.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let said = Arc::new(Mutex::new(Vec::new()));
        let reader = thread::spawn({
            let said = said.clone();
            move || {
                let mut part = [0; 4096];
                while let Ok(n @ 1..) = output.read(&mut part) {
                    said.lock().unwrap().extend_from_slice(&part[..n]);
                }
            }
        });
        Self {
            child,
            line,
            said,
            reader: Some(reader),
        }
    }

    /// What was started, for messages.
    pub fn line(&self) -> &str {
        &self.line
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What the process wrote so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the end, whatever the exit code.
    pub fn wait(mut self, deadline: Duration) -> Result<Ended, String> {
        let ended = poll(deadline, || self.child.try_wait().expect("own child"));
        let Some(status) = ended else {
            return Err(self.complain(&format!("still runs after {deadline:?}")));
        };
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reader");
        }
        Ok(Ended {
            status,
            said: self.said(),
        })
    }

    /// Waits for a successful end and returns what was written.
    #[track_caller]
    pub fn succeed(self, deadline: Duration) -> String {
        let line = self.line.clone();
        match self.wait(deadline) {
            Ok(Ended { status, said }) if status.success() => said,
            Ok(Ended { status, said }) => panic!("{line}\n{status}\n{said}"),
            Err(e) => panic!("{e}"),
        }
    }

    /// Writes to its standard input.
    #[track_caller]
    pub fn tell(&mut self, text: &str) {
        let input = self.child.stdin.as_mut().expect("an input");
        input.write_all(text.as_bytes()).expect("a reader");
    }

    /// Asks the process to end, as Ctrl+C does, so that it finishes its files.
    pub fn interrupt(&self) {
        // The shell's own: a bare machine has no other.
        self.signal("INT");
    }

    /// Lets it do nothing more, as if its machine had lost power.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &kill]).status();
        assert!(sent.expect("kill").success(), "{} is gone", self.line);
    }

    /// Waits until something listens on this port of 127.0.0.1. Does not connect: a server for one
    /// client would take the probe for it.
    pub fn listens(&mut self, port: u16) -> Result<(), String> {
        let up = poll(PATIENCE, || {
            let up = is_listening(port);
            (up || !self.runs()).then_some(up)
        });
        match up {
            Some(true) => Ok(()),
            Some(false) => Err(self.complain("ended before it listened")),
            None => Err(self.complain("does not listen")),
        }
    }

    fn complain(&self, what: &str) -> String {
        format!("{}\n{what}; it said:\n{}", self.line, self.said())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Splits at white space as a shell does, which `"` keeps together.
pub fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (number, part) in line.split('"').enumerate() {
        let mut pieces = if number % 2 == 0 {
            part.split(char::is_whitespace).collect()
        } else {
            vec![part]
        };
        let rest = pieces.split_off(1);
        words.last_mut().expect("a word").push_str(pieces[0]);
        words.extend(rest.into_iter().map(str::to_owned));
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Looks again and again until there is a value or the deadline is over.
pub fn poll<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    loop {
        if let Some(value) = look() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(LOOK);
    }
}

/// Waits for a condition; `what` completes the sentence "waited in vain until ...".
#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    if poll(PATIENCE, || condition().then_some(())).is_none() {
        panic!("waited in vain until {what}");
    }
}

/// A port of 127.0.0.1 that was free a moment ago. Another process may take it before the peer does:
/// whoever starts one tries again then.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// Starts a server on a free port and waits until it listens.
#[track_caller]
pub fn start_server(mut command: impl FnMut(u16) -> Command) -> (u16, Process) {
    let mut last = String::new();
    for _ in 0..3 {
        let port = free_port();
        let mut process = Process::start(&mut command(port));
        match process.listens(port) {
            Ok(()) => return (port, process),
            Err(e) => last = e,
        }
    }
    panic!("{last}");
}

/// Whether a socket of 127.0.0.1 or of any address listens on this port (proc_pid_net(5)).
pub fn is_listening(port: u16) -> bool {
    const LISTEN: &str = "0A";
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let table = fs::read_to_string(Path::new(table)).unwrap_or_default();
        table.lines().skip(1).any(|row| {
            let mut columns = row.split_whitespace().skip(1);
            let local = columns.next().and_then(|local| local.split(':').nth(1));
            let state = columns.nth(1);
            state == Some(LISTEN) && local == Some(&format!("{port:04X}"))
        })
    })
}
