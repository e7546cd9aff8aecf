// SPDX-License-Identifier: MPL-2.0

//! What is sent: FLV files made by ffmpeg, once, kept in cargo's scratch folder, and cut into
//! one file a tag.
//!
//! Reading ready tags with `multifilesrc` is the cheapest feed that gives every sink one tag a
//! buffer, which rtmp2sink insists on; muxing in the pipeline would cost more than the sinks.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::child;

/// Megabytes of the short cut, for tools too slow for the whole file.
const SHORT_MB: u64 = 100;
const QUICK_MB: u64 = 200;
const QUICK_SHORT_MB: u64 = 40;

/// A stretch of the 50 Mb/s programme from its start.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    /// The stretch as one file.
    pub(crate) flv: PathBuf,
    /// `printf` pattern of the tag files; the first is the FLV header.
    pub(crate) pattern: PathBuf,
    /// How many tag files make up the stretch.
    pub(crate) tags: u64,
    pub(crate) bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Media {
    /// 2 Mb/s, ten seconds, to be played round and round.
    pub(crate) live: PathBuf,
    dir: PathBuf,
    quick: bool,
    /// The long and the short stretch. They take minutes to make, and not every table needs them.
    stretches: OnceLock<Result<[Feed; 2], String>>,
}

impl Media {
    pub(crate) fn prepare(quick: bool) -> Result<Self, String> {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onair");
        fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        let live = dir.join("live.flv");
        once(&live, |path| encode(path, "1280x720", 25, "2M"))?;
        Ok(Self {
            live,
            dir,
            quick,
            stretches: OnceLock::new(),
        })
    }

    pub(crate) fn long(&self) -> Result<&Feed, String> {
        self.stretches().map(|[long, _]| long)
    }

    pub(crate) fn short(&self) -> Result<&Feed, String> {
        self.stretches().map(|[_, short]| short)
    }

    fn stretches(&self) -> Result<&[Feed; 2], String> {
        let cut = || stretches(&self.dir, self.quick);
        let stretches = self.stretches.get_or_init(cut);
        stretches.as_ref().map_err(String::clone)
    }
}

fn stretches(dir: &Path, quick: bool) -> Result<[Feed; 2], String> {
    let loop_ = dir.join("ten-seconds.flv");
    once(&loop_, |path| encode(path, "1920x1080", 30, "50M"))?;
    let whole = dir.join("whole.flv");
    once(&whole, |path| {
        let mut command = Command::new("ffmpeg");
        command
            .args(["-y", "-nostdin", "-loglevel", "error"])
            .args(["-stream_loop", "9", "-i"])
            .arg(&loop_)
            .args(["-c", "copy", "-f", "flv"])
            .arg(path);
        finish(command)
    })?;
    // In a child: the memory that this process once held would count as its children's.
    let manifest = dir.join("manifest");
    once(&manifest, |path| {
        let (whole, dir) = (whole.to_string_lossy(), dir.to_string_lossy());
        let path = path.to_string_lossy();
        finish(child::role(&["cut-media", &whole, &dir, &path])?)
    })?;
    let feeds = fs::read_to_string(&manifest).map_err(|e| format!("manifest: {e}"))?;
    let feed = |mb: u64| {
        let wanted = if mb == 0 {
            "whole".to_owned()
        } else {
            format!("cut-{mb}")
        };
        let line = feeds.lines().find(|l| l.split(' ').next() == Some(&wanted));
        let mut numbers = line.into_iter().flat_map(|l| l.split(' ').skip(1));
        let mut number = || numbers.next().and_then(|n| n.parse().ok());
        Some(Feed {
            flv: dir.join(format!("{wanted}.flv")),
            pattern: dir.join("tags/%06d.tag"),
            tags: number()?,
            bytes: number()?,
        })
    };
    let (long, short) = if quick {
        (QUICK_MB, QUICK_SHORT_MB)
    } else {
        (0, SHORT_MB)
    };
    Ok([
        feed(long).ok_or("the manifest lacks the long cut")?,
        feed(short).ok_or("the manifest lacks the short cut")?,
    ])
}

/// A minute of live WebM as GStreamer muxes it: VP8 and Opus, 2 Mb/s, a key frame each second.
pub(crate) fn webm() -> Result<String, String> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("onair");
    fs::create_dir_all(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let path = dir.join("live.webm");
    once(&path, |path| {
        let mut command = Command::new("gst-launch-1.0");
        let line = "-q webmmux name=mux streamable=true \
            videotestsrc num-buffers=1500 pattern=zone-plate kx2=20 ky2=20 kt=1 ! \
            video/x-raw,width=320,height=180,framerate=25/1 ! videoscale ! \
            video/x-raw,width=640,height=360 ! vp8enc deadline=1 cpu-used=12 threads=2 \
            target-bitrate=2100000 end-usage=cbr keyframe-max-dist=25 ! queue ! mux. \
            audiotestsrc num-buffers=2812 samplesperbuffer=1024 ! opusenc bitrate=96000 ! queue ! mux. \
            mux. ! filesink";
        command.args(line.split_whitespace());
        command.arg(format!("location={}", path.display()));
        finish(command)
    })?;
    Ok(path.to_string_lossy().into_owned())
}

/// Makes `path` unless an earlier run did; half a file never gets the name.
fn once(path: &Path, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<(), String> {
    if path.exists() {
        return Ok(());
    }
    eprintln!("making {}", path.display());
    let part = path.with_extension("part");
    make(&part)?;
    fs::rename(&part, path).map_err(|e| format!("{}: {e}", path.display()))
}

fn encode(path: &Path, size: &str, rate: u32, bits: &str) -> Result<(), String> {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-y", "-nostdin", "-loglevel", "error", "-f", "lavfi", "-i"])
        .arg(format!("testsrc2=size={size}:rate={rate}"))
        .args(["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=44100"])
        .args(["-vf", "noise=alls=40:allf=t", "-pix_fmt", "yuv420p"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-b:v", bits])
        .args(["-minrate", bits, "-maxrate", bits, "-bufsize", bits])
        .args(["-g", &rate.to_string(), "-sc_threshold", "0"])
        .args(["-x264-params", "nal-hrd=cbr"])
        .args([
            "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-t", "10", "-f", "flv",
        ])
        .arg(path);
    finish(command)
}

fn finish(mut command: Command) -> Result<(), String> {
    let ended = child::run(&mut command, Duration::from_secs(900))?;
    match ended.complaint() {
        None => Ok(()),
        Some(complaint) => Err(format!(
            "{}: {complaint}",
            command.get_program().to_string_lossy()
        )),
    }
}

/// The FLV header with the first PreviousTagSize.
pub(crate) const FLV_HEAD: usize = 13;

/// One tag of an FLV file in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FlvTag<'a> {
    pub(crate) kind: u8,
    pub(crate) time_ms: u32,
    pub(crate) body: &'a [u8],
    /// Head, body and PreviousTagSize.
    pub(crate) whole: &'a [u8],
}

/// Walks the tags of a file that ffmpeg wrote; stops where it ends or is cut.
pub(crate) fn tags(flv: &[u8]) -> impl Iterator<Item = FlvTag<'_>> {
    let mut rest = flv.get(FLV_HEAD..).unwrap_or_default();
    std::iter::from_fn(move || {
        let head: &[u8; 11] = rest.first_chunk()?;
        let size = u32::from_be_bytes([0, head[1], head[2], head[3]]) as usize;
        let whole = rest.get(..11 + size + 4)?;
        rest = &rest[whole.len()..];
        Some(FlvTag {
            kind: head[0],
            time_ms: u32::from_be_bytes([head[7], head[4], head[5], head[6]]),
            body: &whole[11..11 + size],
            whole,
        })
    })
}

/// Role `cut-media WHOLE DIR MANIFEST`.
pub(crate) fn cut(args: &[String]) -> Result<(), String> {
    let [whole, dir, manifest] = args else {
        return Err("cut-media WHOLE DIR MANIFEST".to_owned());
    };
    cut_inner(whole.as_ref(), dir.as_ref(), manifest.as_ref()).map_err(|e| format!("cutting: {e}"))
}

fn cut_inner(whole: &Path, dir: &Path, manifest: &Path) -> std::io::Result<()> {
    let flv = fs::read(whole)?;
    let folder = dir.join("tags");
    fs::create_dir_all(&folder)?;
    let mut manifest = fs::File::create(manifest)?;
    let mut cuts = vec![QUICK_SHORT_MB, SHORT_MB, QUICK_MB];
    cuts.reverse();
    let mut number = 0;
    let mut end = FLV_HEAD;
    fs::write(folder.join("000000.tag"), &flv[..FLV_HEAD])?;
    for tag in tags(&flv) {
        number += 1;
        end += tag.whole.len();
        fs::write(folder.join(format!("{number:06}.tag")), tag.whole)?;
        while let Some(mb) = cuts.pop_if(|mb| *mb * 1_000_000 <= end as u64) {
            fs::write(dir.join(format!("cut-{mb}.flv")), &flv[..end])?;
            writeln!(manifest, "cut-{mb} {} {end}", number + 1)?;
        }
    }
    writeln!(manifest, "whole {} {end}", number + 1)
}
