// SPDX-License-Identifier: MPL-2.0

//! The command line.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

const USAGE: &str = "\
A broadcast on this machine: one pipeline publishes with rtmpsink, another takes it in with a
listening rtmpsrc, and prints once a second what arrives.

Usage: broadcast [OPTIONS]

  --seconds N            how long to run; 20 unless --listen is given, which runs until Ctrl-C
  --listen [ADDR:PORT]   publish nothing: wait for OBS, ffmpeg or another encoder to publish to
                         this address; 127.0.0.1:1935 unless given, 0.0.0.0:1935 lets others in
  --latency MS           how much jitter of the network the receiver makes up for; 40 unless given
  --interrupt            take the publisher off the air for a moment, halfway
  --folder PATH          where the page and the latest picture go; target/broadcast unless given
  --help                 this text

The run without --listen succeeds (exit code 0) if every picture that arrived carried the time at
which it was taken, in order, and the sound arrived too.

Latency is from glass to glass: the time is drawn into each picture when the camera delivers it, and
read from the decoded picture at the moment a screen would show it.";

/// What to do.
#[derive(Debug)]
pub(crate) struct Options {
    /// For ever without.
    pub(crate) duration: Option<Duration>,
    /// Where to wait for somebody else's stream.
    pub(crate) listen: Option<SocketAddr>,
    /// What the receiver holds pictures back for, in milliseconds.
    pub(crate) latency: u32,
    pub(crate) interrupt: bool,
    pub(crate) folder: PathBuf,
}

/// What is to be said instead of running.
pub(crate) enum Instead {
    /// It was asked for.
    Usage(&'static str),
    /// The command line is wrong.
    Mistake(String),
}

impl Options {
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, Instead> {
        let mut arguments = arguments.peekable();
        let (mut seconds, mut listen, mut interrupt) = (None, None, false);
        let mut latency = 40;
        let mut folder = PathBuf::from("target/broadcast");
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Err(Instead::Usage(USAGE)),
                "--seconds" => {
                    let number = arguments.next().and_then(|value| value.parse().ok());
                    let number = number.filter(|number| (2..=86_400).contains(number));
                    seconds = Some(number.ok_or_else(|| {
                        Instead::Mistake("--seconds takes a number from 2 to 86400.".into())
                    })?);
                }
                "--listen" => {
                    let given = arguments.next_if(|next| !next.starts_with('-'));
                    let given = given.as_deref().unwrap_or("127.0.0.1:1935");
                    listen = Some(given.parse().map_err(|_| {
                        Instead::Mistake(format!(
                            "'{given}' is no address and port, like 0.0.0.0:1935."
                        ))
                    })?);
                }
                "--latency" => {
                    let number = arguments.next().and_then(|value| value.parse().ok());
                    latency = number.filter(|number| *number <= 10_000).ok_or_else(|| {
                        Instead::Mistake("--latency takes a number up to 10000.".into())
                    })?;
                }
                "--interrupt" => interrupt = true,
                "--folder" => {
                    let given = arguments.next();
                    let given = given.ok_or_else(|| {
                        Instead::Mistake("--folder takes the path of a folder.".into())
                    })?;
                    folder = given.into();
                }
                other => {
                    return Err(Instead::Mistake(format!(
                        "What is '{other}'? --help lists the options."
                    )));
                }
            }
        }
        let seconds = seconds.or(listen.is_none().then_some(20));
        Ok(Self {
            duration: seconds.map(Duration::from_secs),
            listen,
            latency,
            interrupt: interrupt && listen.is_none(),
            folder,
        })
    }
}
