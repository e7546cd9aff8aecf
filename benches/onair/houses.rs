// SPDX-License-Identifier: MPL-2.0

//! Whose plugins a client process sees.
//!
//! The system's librtmp plugin has our file name and our element names. So clients of today's
//! elements get a registry of their own and no path of ours, and clients of our elements get a
//! folder that holds our library and nothing else.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::child;

/// The set of plugins that a client is to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum House {
    System,
    Ours,
}

#[derive(Debug)]
pub(crate) struct Houses {
    scratch: tempfile::TempDir,
    ours: PathBuf,
}

impl Houses {
    pub(crate) fn prepare() -> Result<Self, String> {
        let scratch = tempfile::tempdir().map_err(|e| format!("scratch folder: {e}"))?;
        let plugins = scratch.path().join("plugins");
        std::fs::create_dir(&plugins).map_err(|e| format!("plugin folder: {e}"))?;
        let library = library()?;
        std::fs::copy(&library, plugins.join("libgstrtmp.so"))
            .map_err(|e| format!("{}: {e}", library.display()))?;
        Ok(Self {
            scratch,
            ours: plugins,
        })
    }

    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    pub(crate) fn enter(&self, house: House, command: &mut Command) {
        let registry = match house {
            House::System => "system.registry",
            House::Ours => "ours.registry",
        };
        for name in [
            "GST_PLUGIN_PATH",
            "GST_PLUGIN_PATH_1_0",
            "GST_REGISTRY_1_0",
            "GST_DEBUG",
        ] {
            command.env_remove(name);
        }
        command
            .env("GST_REGISTRY", self.scratch.path().join(registry))
            // The user's own plugin folder may hold an installed copy of ours.
            .env("XDG_DATA_HOME", self.scratch.path().join("nobody"));
        if house == House::Ours {
            command.env("GST_PLUGIN_PATH", &self.ours);
        }
    }

    /// The file that `element` comes from in this house, or `None` if it has none, or if it has
    /// only the other house's.
    pub(crate) fn plugin_of(&self, house: House, element: &str) -> Option<PathBuf> {
        let mut command = child::role(&["whose", element]).ok()?;
        self.enter(house, &mut command);
        let ended = child::run(&mut command, Duration::from_secs(60)).ok()?;
        let file = PathBuf::from(ended.stdout.trim());
        let in_ours = file.starts_with(&self.ours);
        let wanted = ended.complaint().is_none() && in_ours == (house == House::Ours);
        wanted.then_some(file)
    }
}

/// Our library as cargo made it for this run: it lies beside the bench. Built on the spot if it
/// does not, as when the bench was copied elsewhere.
fn library() -> Result<PathBuf, String> {
    let own = std::env::current_exe().map_err(|e| format!("own path: {e}"))?;
    let beside = own.with_file_name("libgstrtmp.so");
    if beside.exists() {
        return Ok(beside);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new(option_env!("CARGO").unwrap_or("cargo"))
        .args(["build", "--release", "--lib"])
        .current_dir(root)
        .status()
        .map_err(|e| format!("cargo build: {e}"))?;
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("release");
    let library = target.join("libgstrtmp.so");
    match built.success() && library.exists() {
        true => Ok(library),
        false => Err("cargo build --release made no libgstrtmp.so".to_owned()),
    }
}
