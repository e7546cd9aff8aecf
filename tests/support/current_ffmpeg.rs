// SPDX-License-Identifier: MPL-2.0

//! A current ffmpeg beside the distribution's, for what 5.1 does not know: Enhanced RTMP v2.

use std::path::{Path, PathBuf};

/// The ffmpeg that tests/run.sh installs; `None` where it has not.
pub fn current() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.venv/lib");
    let names = [
        "python3",
        "site-packages",
        "imageio_ffmpeg",
        "binaries",
        "ffmpeg-",
    ];
    let found = glob(&root, &names);
    if found.is_none() {
        eprintln!("no current ffmpeg here, tests/run.sh installs it: skipped");
    }
    found
}

/// The file below `root` whose names begin so.
fn glob(root: &Path, names: &[&str]) -> Option<PathBuf> {
    let Some((name, rest)) = names.split_first() else {
        return Some(root.to_owned());
    };
    let entries = std::fs::read_dir(root).ok()?.flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(name))
        .find_map(|entry| glob(&entry.path(), rest))
}
