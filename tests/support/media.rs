// SPDX-License-Identifier: MPL-2.0

//! Test media, encoded by ffmpeg once and kept in the target folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use super::{flv_builder, process::Process};
use std::time::Duration;

/// Encoding the largest takes a few seconds on an idle core.
const ENCODING: Duration = Duration::from_secs(240);

const SINE: &str = "sine=frequency=440:beep_factor=4:sample_rate=44100";

/// H.264 (main, two B-frames, 1 s GOP) and AAC, 2 Mb/s, 640x360 at 25 frames a second, 5 s.
pub fn h264_aac() -> PathBuf {
    h264_aac_of(5)
}

/// The same, 4 s of it, for an ffmpeg that publishes as fast as it can: less than a server acknowledges at
/// once (1.25 MB here). ffmpeg reads between packets only; when an acknowledgement comes after the last, its
/// closing resets the connection, and its kernel forgets what was not sent yet.
pub fn h264_aac_unacknowledged() -> PathBuf {
    h264_aac_of(4)
}

/// The same, this many seconds long.
pub fn h264_aac_of(seconds: u32) -> PathBuf {
    let picture = "testsrc2=size=640x360:rate=25,noise=alls=12:allf=t";
    let mut arguments = inputs(&[picture, SINE], seconds);
    arguments.push(&[
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-profile:v",
        "main",
        "-bf",
        "2",
        "-b_strategy",
        "0",
        "-g",
        "25",
        "-keyint_min",
        "25",
        "-sc_threshold",
        "0",
        "-b:v",
        "1900k",
        "-maxrate",
        "2000k",
        "-bufsize",
        "1000k",
        "-pix_fmt",
        "yuv420p",
        "-threads",
        "1",
        "-c:a",
        "aac",
        "-b:a",
        "96k",
    ]);
    arguments.encode("h264_aac")
}

/// H.264 and AAC at a constant 50 Mb/s, 1280x720 at 50 frames a second, 1 s GOP, 2 s.
pub fn h264_50m() -> PathBuf {
    let picture = "testsrc2=size=1280x720:rate=50,noise=alls=60:allf=t";
    let mut arguments = inputs(&[picture, SINE], 2);
    arguments.push(&[
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "50",
        "-keyint_min",
        "50",
        "-b:v",
        "50M",
        "-minrate",
        "50M",
        "-maxrate",
        "50M",
        "-bufsize",
        "25M",
        "-x264-params",
        "nal-hrd=cbr",
        "-pix_fmt",
        "yuv420p",
        "-threads",
        "1",
        "-c:a",
        "aac",
        "-b:a",
        "128k",
    ]);
    arguments.encode("h264_50m")
}

/// H.264 alone whose keyframes are larger than 1 MB each: noise at the finest quantiser, 2 s.
pub fn large_keyframes() -> PathBuf {
    let mut arguments = inputs(
        &["nullsrc=size=1920x1080:rate=10,geq=random(1)*255:128:128"],
        2,
    );
    arguments.push(&[
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-qp",
        "12",
        "-g",
        "5",
        "-pix_fmt",
        "yuv420p",
        "-threads",
        "1",
    ]);
    arguments.encode("large_keyframes")
}

/// Sorenson H.263 and MP3, the pair of Flash Player 6, 5 s.
pub fn flv1_mp3() -> PathBuf {
    let mut arguments = inputs(&["testsrc2=size=320x240:rate=25", SINE], 5);
    arguments.push(&[
        "-c:v",
        "flv1",
        "-b:v",
        "600k",
        "-g",
        "25",
        "-c:a",
        "libmp3lame",
        "-b:a",
        "64k",
    ]);
    arguments.encode("flv1_mp3")
}

/// AAC alone, 5 s.
pub fn audio_only() -> PathBuf {
    let mut arguments = inputs(&[SINE], 5);
    arguments.push(&["-c:a", "aac", "-b:a", "96k"]);
    arguments.encode("audio_only")
}

/// H.264 alone, 5 s.
pub fn video_only() -> PathBuf {
    let mut arguments = inputs(&["testsrc2=size=640x360:rate=25"], 5);
    arguments.push(&[
        "-c:v", "libx264", "-preset", "veryfast", "-g", "25", "-b:v", "800k", "-pix_fmt",
        "yuv420p", "-threads", "1",
    ]);
    arguments.encode("video_only")
}

/// [`h264_aac`] with every timestamp moved by `ms`, modulo 2^32.
pub fn h264_aac_from(ms: u32) -> PathBuf {
    let source = fs::read(h264_aac()).expect("media");
    let path = cache().join(format!("h264_aac_from_{ms}.flv"));
    keep(&path, |path| {
        fs::write(path, flv_builder::shift(&source, ms)).expect("a writable target folder");
    });
    path
}

/// [`h264_aac`] with an index of keyframes in its metadata, without which nginx does not seek.
pub fn h264_aac_indexed() -> PathBuf {
    let source = h264_aac();
    let mut arguments = Encoding(Vec::new());
    arguments.push(&["-i", &source.to_string_lossy(), "-c", "copy"]);
    arguments.push(&["-flvflags", "add_keyframe_index"]);
    arguments.encode("h264_aac_indexed")
}

/// Where everything that can be made again is kept.
pub fn cache() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("media");
    fs::create_dir_all(&path).expect("a writable target folder");
    path
}

/// The arguments of an encoder.
struct Encoding(Vec<String>);

fn inputs(sources: &[&str], seconds: u32) -> Encoding {
    let mut arguments = Encoding(Vec::new());
    for source in sources {
        arguments.push(&["-f", "lavfi", "-t", &seconds.to_string(), "-i", source]);
    }
    arguments
}

impl Encoding {
    fn push(&mut self, arguments: &[&str]) {
        self.0
            .extend(arguments.iter().map(|&argument| argument.to_owned()));
    }

    /// Encodes, unless a file that was made with these very arguments is there.
    fn encode(self, name: &str) -> PathBuf {
        let [a, b, c, d, ..]: [u8; 32] = Sha256::digest(self.0.join("\n")).into();
        let path = cache().join(format!("{name}_{a:02x}{b:02x}{c:02x}{d:02x}.flv"));
        keep(&path, |path| {
            let mut command = Command::new("ffmpeg");
            command.args(["-nostdin", "-loglevel", "error", "-y"]);
            command.args(&self.0).args(["-f", "flv"]).arg(path);
            Process::start(&mut command).succeed(ENCODING);
        });
        path
    }
}

/// Makes a file unless it is there. Test programs run side by side, so it gets its name when whole.
fn keep(path: &Path, make: impl FnOnce(&Path)) {
    if path.exists() {
        return;
    }
    let part = tempfile::Builder::new()
        .suffix(".part")
        .tempfile_in(cache())
        .expect("a writable target folder");
    make(part.path());
    part.persist(path).expect("the same folder");
}
