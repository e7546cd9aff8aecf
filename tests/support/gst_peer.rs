// SPDX-License-Identifier: MPL-2.0

//! GStreamer's tools as peers: a child with a registry of its own, which sees the plugins of the
//! distribution and those of one more folder at the most.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use tempfile::TempDir;

use super::{
    media,
    process::{PATIENCE, Process, words},
};

/// A pipeline of the distribution's elements alone, ours not among them: here `rtmpsrc` and
/// `rtmpsink` are librtmp's. Ends with the stream, and on SIGINT sends an end first.
pub fn gst_launch(pipeline: &str) -> Process {
    gst_launch_with(pipeline, &[])
}

/// The same with these variables set.
pub fn gst_launch_with(pipeline: &str, variables: &[(&str, &Path)]) -> Process {
    // Scanning the plugins takes seconds, so all pipelines share a registry, this run and the next.
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| {
        let registry = Registry {
            file: media::cache().join("distribution.registry"),
            home: None,
            _dir: None,
        };
        registry
            .tool("gst-inspect-1.0", &[], None)
            .succeed(PATIENCE);
        registry
    });
    let words = words(pipeline);
    let words = words.iter().map(String::as_str);
    let arguments: Vec<&str> = ["-e", "-q"].into_iter().chain(words).collect();
    Process::start(
        registry
            .command("gst-launch-1.0", &arguments)
            .envs(variables.iter().copied()),
    )
}

/// A registry file that starts out empty and goes with this value.
#[derive(Debug)]
pub struct Registry {
    file: PathBuf,
    home: Option<PathBuf>,
    _dir: Option<TempDir>,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    pub fn new() -> Self {
        let dir = TempDir::with_prefix("registry").expect("a folder");
        Self {
            file: dir.path().join("registry.bin"),
            home: None,
            _dir: Some(dir),
        }
    }

    /// One that also sees the plugins of a user with this home, as without any variable set.
    pub fn of_user(home: &Path) -> Self {
        Self {
            home: Some(home.to_owned()),
            ..Self::new()
        }
    }

    /// Starts one of GStreamer's tools with this registry and the plugins of the distribution, which
    /// those in `path` precede.
    pub fn tool(&self, tool: &str, arguments: &[&str], path: Option<&Path>) -> Process {
        let mut command = self.command(tool, arguments);
        if let Some(path) = path {
            command.env("GST_PLUGIN_PATH", path);
        }
        Process::start(&mut command)
    }

    fn command(&self, tool: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(tool);
        for (key, _) in std::env::vars_os().filter(|(key, _)| is_gst(key)) {
            command.env_remove(key);
        }
        command.env("GST_REGISTRY", &self.file);
        match &self.home {
            Some(home) => command.env("HOME", home).env_remove("XDG_DATA_HOME"),
            // Without this, the folder of the user comes first.
            None => command.env("GST_PLUGIN_SYSTEM_PATH", system_plugins()),
        };
        command.env("LC_ALL", "C").args(arguments);
        command
    }
}

fn is_gst(key: &OsString) -> bool {
    key.to_string_lossy().starts_with("GST_")
}

/// Where the distribution keeps its plugins.
pub fn system_plugins() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let mut command = Command::new("pkg-config");
        command.args(["--variable=pluginsdir", "gstreamer-1.0"]);
        PathBuf::from(Process::start(&mut command).succeed(PATIENCE).trim())
    })
}
