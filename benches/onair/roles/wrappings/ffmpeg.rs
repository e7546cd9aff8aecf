// SPDX-License-Identifier: MPL-2.0

//! ffmpeg as a live client, watched as our elements are: what it costs once it runs, and how old the
//! stream is when it has gone through.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::child::Spent;
use crate::media::FLV_HEAD;
use crate::peer::wire;
use crate::roles::many::lags;
use crate::roles::players::film::Film;
use crate::roles::stamp;

/// It looks at a stream for a while before it passes it on.
const SETTLE: Duration = Duration::from_secs(4);

/// `ffmpeg-play URL SECONDS`: prints what many-plays prints.
pub(crate) fn play(args: &[String]) -> Result<(), String> {
    let (url, window) = parse(args)?;
    crate::peer::roles_die_with_parent();
    let mut child = ffmpeg(&["-fflags", "nobuffer", "-i", url])
        .args(["-c", "copy", "-f", "flv", "-flush_packets", "1", "pipe:1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("ffmpeg: {e}"))?;
    let mut out = child.stdout.take().ok_or("no pipe")?;
    let (mut space, mut bytes) = (vec![0; 64 << 10], 0u64);
    let (mut ages, mut sounds) = (Vec::new(), Vec::new());
    let started = Instant::now();
    let mut before = None;
    let core = loop {
        let n = out.read(&mut space).map_err(|e| e.to_string())?;
        if n == 0 {
            return Err("ffmpeg ended".to_owned());
        }
        match &before {
            None if started.elapsed() >= SETTLE => before = Some(Spent::now(child.id())?),
            None => {}
            Some(before) => {
                bytes += n as u64;
                match stamp::age(&space[..n]) {
                    Some((wire::AUDIO, age)) => sounds.push(age),
                    Some((_, age)) => ages.push(age),
                    None => {}
                }
                if before.at.elapsed() >= window {
                    break Spent::now(child.id())?.since(before);
                }
            }
        }
    };
    println!(
        "cpu={core} mbps={}{}{}",
        bytes as f64 * 8.0 / window.as_secs_f64() / 1e6,
        lags("", &mut ages),
        lags("sound_", &mut sounds),
    );
    let _ = child.kill();
    let _ = child.wait();
    Ok(())
}

/// `ffmpeg-publish URL SECONDS FILE`: the file round and round, each tag stamped when it is due.
pub(crate) fn publish(args: &[String]) -> Result<(), String> {
    let (url, window) = parse(args)?;
    let file = args.get(2).ok_or("ffmpeg-publish URL SECONDS FILE")?;
    crate::peer::roles_die_with_parent();
    let film = Film::read(file)?;
    let flv = std::fs::read(file).map_err(|e| e.to_string())?;
    let mut child = ffmpeg(&["-fflags", "nobuffer", "-f", "flv", "-i", "pipe:0"])
        .args(["-c", "copy", "-f", "flv", url])
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|e| format!("ffmpeg: {e}"))?;
    let mut input = child.stdin.take().ok_or("no pipe")?;
    let head = input.write_all(&flv[..FLV_HEAD]);
    head.map_err(|e| e.to_string())?;
    let started = Instant::now();
    let (mut before, mut core) = (None, None);
    let played = film.play(
        |tag, time| {
            let mut bytes = tag.flv(time);
            if !tag.head {
                stamp::write_tag(&mut bytes);
            }
            input.write_all(&bytes).map_err(|e| e.to_string())
        },
        |wait| {
            std::thread::sleep(wait);
            match &before {
                None if started.elapsed() >= SETTLE => before = Some(Spent::now(child.id())?),
                Some(before) if before.at.elapsed() >= window => {
                    core = Some(Spent::now(child.id())?.since(before));
                    return Err("enough".to_owned());
                }
                _ => {}
            }
            Ok(())
        },
    );
    let core = core.ok_or_else(|| played.err().unwrap_or_default())?;
    println!("cpu={core}");
    let _ = child.kill();
    let _ = child.wait();
    Ok(())
}

fn parse(args: &[String]) -> Result<(&str, Duration), String> {
    let window = args.get(1).and_then(|seconds| seconds.parse().ok());
    let parsed = args.first().zip(window);
    let (url, window) = parsed.ok_or("URL SECONDS")?;
    Ok((url, Duration::from_secs(window)))
}

fn ffmpeg(args: &[&str]) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-loglevel", "quiet"]).args(args);
    command
}
