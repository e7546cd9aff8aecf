// SPDX-License-Identifier: MPL-2.0

//! Clients that are tortured: we listen, they call.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    process::Child,
    time::{Duration, Instant},
};

use super::{
    Case, Options, Stage, Verdict,
    server::{ended, peak, start},
    wire::Wire,
};

/// One client at work.
pub trait Running {
    /// Waits for its end, now that its server is gone.
    ///
    /// # Errors
    /// It did not end well.
    fn end(&mut self, patience: Duration) -> Result<(), Verdict>;

    fn pid(&self) -> Option<u32> {
        None
    }
}

impl Running for Child {
    fn end(&mut self, patience: Duration) -> Result<(), Verdict> {
        ended(self, patience)
    }

    fn pid(&self) -> Option<u32> {
        Some(self.id())
    }
}

/// One that comes by itself, again and again.
struct Stranger;

impl Running for Stranger {
    fn end(&mut self, _: Duration) -> Result<(), Verdict> {
        Ok(())
    }
}

/// Makes a client call a URL.
pub type Call<'a> = Box<dyn Fn(&str) -> io::Result<Box<dyn Running>> + Sync + 'a>;

pub struct Clients<'a> {
    /// Where to listen: a port of 0 takes a free one for each case.
    pub address: SocketAddr,
    pub path: String,
    pub call: Call<'a>,
}

impl Clients<'_> {
    /// A command for each case; `{url}` in it is replaced.
    pub fn command(words: Vec<String>) -> Call<'static> {
        Box::new(move |url| Ok(Box::new(start(&words, url)?) as Box<dyn Running>))
    }

    /// Whoever calls, such as an encoder that connects again and again.
    pub fn strangers() -> Call<'static> {
        Box::new(|_| Ok(Box::new(Stranger) as Box<dyn Running>))
    }

    pub fn run(&self, case: &Case, options: &Options) -> Verdict {
        let result = self.try_run(case, options);
        result.unwrap_or_else(|error| Verdict::Unreached(error.to_string()))
    }

    fn try_run(&self, case: &Case, options: &Options) -> io::Result<Verdict> {
        let listener = TcpListener::bind(self.address)?;
        let address = listener.local_addr()?;
        let url = format!("{}://{address}/{}", case.scheme, self.path);
        let mut client = (self.call)(&url)?;
        let socket = accept(&listener, options.patience);
        let mut verdict = match socket {
            Ok(socket) => {
                let before = client.pid().and_then(peak);
                let verdict = {
                    let mut wire = Wire::new(socket, options.patience, options.cut, true)?;
                    match reach(&mut wire, case.stage) {
                        Ok(()) => {
                            let result = (case.script)(&mut wire);
                            wire.judge(result)
                        }
                        Err(error) => Verdict::Unreached(error.to_string()),
                    }
                };
                match (before, client.pid().and_then(peak)) {
                    (Some(before), Some(after))
                        if after.saturating_sub(before) > options.memory =>
                    {
                        Verdict::Swelled(format!("{} MiB more", (after - before) >> 10))
                    }
                    _ => verdict,
                }
            }
            Err(error) => Verdict::Unreached(format!("nobody called: {error}")),
        };
        // Whoever calls again is refused.
        drop(listener);
        if let Err(worse) = client.end(options.patience) {
            verdict = worse;
        }
        Ok(verdict)
    }
}

fn reach(wire: &mut Wire, stage: Stage) -> io::Result<()> {
    match stage {
        Stage::Socket => Ok(()),
        Stage::Greeted => wire.welcome().map(drop),
        _ => {
            let connect = wire.welcome()?;
            wire.grant(&connect)
        }
    }
}

fn accept(listener: &TcpListener, patience: Duration) -> io::Result<std::net::TcpStream> {
    listener.set_nonblocking(true)?;
    let begun = Instant::now();
    loop {
        match listener.accept() {
            Ok((socket, _)) => {
                socket.set_nonblocking(false)?;
                return Ok(socket);
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(error) if begun.elapsed() > patience => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}
