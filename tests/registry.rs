// SPDX-License-Identifier: MPL-2.0

//! Whose `rtmpsrc` is it? Debian's librtmp plugin registers `rtmpsrc` and `rtmpsink` too. Each test asks
//! GStreamer's own tools, as children with a registry of their own.
//!
//! What decides (gst/gstregistry.c, gstpluginloader.c): of two files with one name only that in the
//! earlier folder is looked at, so ours has the name of librtmp's and comes first; ranks play a part
//! only where an element is sought by URL.

use std::{
    fs,
    path::{Path, PathBuf},
};

use support::{
    bad_server,
    gst_peer::{Registry, system_plugins},
    process::{PATIENCE, Process, wait_until},
};
use tempfile::TempDir;

mod support;

const FILE: &str = "libgstrtmp.so";
/// Names that ours and librtmp's plugin have in common.
const SHARED: [&str; 2] = ["rtmpsrc", "rtmpsink"];
const OWN: [&str; 2] = ["rsrtmpsrc", "rsrtmpsink"];

/// The library under test. cargo builds it along with this program, and beside it.
fn built() -> PathBuf {
    let program = std::env::current_exe().expect("this program");
    let library = program.with_file_name(FILE);
    assert!(library.exists(), "{} was not built", library.display());
    library
}

/// A folder with our library and nothing else.
fn install() -> TempDir {
    let folder = TempDir::with_prefix("plugins").expect("a folder");
    fs::copy(built(), folder.path().join(FILE)).expect("a copy");
    folder
}

/// librtmp's library, which tests/run.sh installs.
fn theirs() -> PathBuf {
    let library = system_plugins().join(FILE);
    assert!(
        library.exists(),
        "without {} there is nothing to test",
        library.display()
    );
    library
}

/// The file that an element comes from, if there is such an element.
fn source(registry: &Registry, element: &str, path: Option<&Path>) -> Option<PathBuf> {
    let inspect = registry.tool("gst-inspect-1.0", &[element], path);
    let ended = inspect.wait(PATIENCE).expect("an answer");
    let line = ended
        .said
        .lines()
        .find(|line| line.trim().starts_with("Filename "));
    assert_eq!(ended.status.success(), line.is_some(), "{}", ended.said);
    let file = line?.trim().strip_prefix("Filename ")?.trim();
    Some(PathBuf::from(file))
}

#[track_caller]
fn assert_source(registry: &Registry, path: Option<&Path>, file: &Path) {
    for element in SHARED {
        let from = source(registry, element, path);
        assert_eq!(from.as_deref(), Some(file), "{element}");
    }
}

#[test]
fn ours_wins_on_a_fresh_registry_and_stays() {
    theirs();
    let (registry, folder) = (Registry::new(), install());
    for _ in 0..3 {
        assert_source(&registry, Some(folder.path()), &folder.path().join(FILE));
    }
}

#[test]
fn ours_wins_where_the_system_plugin_was_known_first() {
    let (registry, folder) = (Registry::new(), install());
    assert_source(&registry, None, &theirs());
    for _ in 0..2 {
        assert_source(&registry, Some(folder.path()), &folder.path().join(FILE));
    }
}

#[test]
fn the_system_plugin_comes_back_when_ours_is_removed() {
    let (registry, folder) = (Registry::new(), install());
    let library = folder.path().join(FILE);
    assert_source(&registry, Some(folder.path()), &library);
    fs::remove_file(&library).expect("its removal");
    assert_source(&registry, Some(folder.path()), &theirs());
    assert_source(&registry, None, &theirs());
    // And ours again when it is installed again.
    fs::copy(built(), &library).expect("a copy");
    assert_source(&registry, Some(folder.path()), &library);
}

#[test]
fn the_system_plugin_stands_in_for_a_broken_file() {
    let (registry, folder) = (Registry::new(), install());
    let library = folder.path().join(FILE);
    // The linker refuses it. Of a file that is cut off, some pages are missing, and touching them kills
    // GStreamer's scanner, which then at times blames the plugin it was to look at next.
    let mut bytes = fs::read(&library).expect("the library");
    bytes[..4].fill(0);
    fs::write(&library, &bytes).expect("a file");
    assert_source(&registry, Some(folder.path()), &theirs());
}

#[test]
fn the_folder_of_the_user_needs_no_environment() {
    let home = TempDir::with_prefix("home").expect("a folder");
    let plugins = home.path().join(".local/share/gstreamer-1.0/plugins");
    fs::create_dir_all(&plugins).expect("a folder");
    fs::copy(built(), plugins.join(FILE)).expect("a copy");
    let registry = Registry::of_user(home.path());
    for _ in 0..2 {
        assert_source(&registry, None, &plugins.join(FILE));
    }
}

#[test]
fn the_long_names_are_ours_alone() {
    let (registry, folder) = (Registry::new(), install());
    let library = folder.path().join(FILE);
    for element in OWN {
        let from = source(&registry, element, Some(folder.path()));
        assert_eq!(from, Some(library.clone()), "{element}");
        assert_eq!(source(&registry, element, None), None, "{element}");
    }
}

/// Starts a pipeline that connects to a server which says nothing, and returns what GStreamer's
/// core logs about elements and plugins once an element for RTMP was made.
fn made(registry: &Registry, path: &Path, pipeline: impl Fn(&str) -> String) -> String {
    let server = bad_server::silent();
    let url = server.url("live", "one");
    let pipeline = pipeline(&url);
    let debug = "--gst-debug=GST_ELEMENT_FACTORY:4,GST_PLUGIN_LOADING:4";
    let mut arguments = vec![debug, "--gst-debug-no-color"];
    arguments.extend(pipeline.split_whitespace());
    let process: Process = registry.tool("gst-launch-1.0", &arguments, Some(path));
    let made = |said: &str| {
        let mut lines = said.lines().map(str::to_owned);
        lines.find(|line| line.contains("creating element") && line.contains("rtmp"))
    };
    wait_until("an element for RTMP is made", || {
        made(&process.said()).is_some()
    });
    process.said()
}

/// Whether the plugin was loaded from our file, and not from the system's.
#[track_caller]
fn assert_loaded(said: &str, library: &Path) {
    let loaded: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("loaded plugin file") || line.contains("plugin \""))
        .filter(|line| line.contains(FILE))
        .collect();
    let ours = library.display().to_string();
    assert!(loaded.iter().any(|line| line.contains(&ours)), "{said}");
    assert!(
        loaded.iter().all(|line| line.contains(&ours)),
        "{loaded:#?}"
    );
}

#[test]
fn pipelines_get_ours_by_name() {
    theirs();
    let (registry, folder) = (Registry::new(), install());
    let library = folder.path().join(FILE);
    for element in ["rtmpsrc", "rsrtmpsrc"] {
        let said = made(&registry, folder.path(), |url| {
            format!("{element} location={url} ! fakesink")
        });
        assert!(
            said.contains(&format!("creating element \"{element}\"")),
            "{said}"
        );
        assert_loaded(&said, &library);
    }
}

/// A test of the two around it: without ours, they would see that.
#[test]
fn without_ours_pipelines_get_the_systems() {
    let (registry, folder) = (Registry::new(), TempDir::new().expect("a folder"));
    let said = made(&registry, folder.path(), |url| {
        format!("rtmpsrc location={url} ! fakesink")
    });
    assert_loaded(&said, &theirs());
    let said = made(&registry, folder.path(), |url| {
        format!("uridecodebin3 uri={url} ! fakesink")
    });
    assert!(said.contains("creating element \"rtmp2src\""), "{said}");
}

#[test]
fn urls_are_played_with_ours() {
    theirs();
    let (registry, folder) = (Registry::new(), install());
    let library = folder.path().join(FILE);
    for pipeline in ["uridecodebin3 uri=", "playbin3 uri=", "uridecodebin uri="] {
        let said = made(&registry, folder.path(), |url| {
            let rest = if pipeline.starts_with("playbin3") {
                "video-sink=fakesink audio-sink=fakesink"
            } else {
                "! fakesink"
            };
            format!("{pipeline}{url} {rest}")
        });
        let line = said
            .lines()
            .find(|line| line.contains("creating element \"r"));
        let line = line.unwrap_or_default();
        assert!(
            SHARED
                .iter()
                .chain(&OWN)
                .any(|name| line.contains(&format!("\"{name}\""))),
            "{line}"
        );
        assert_loaded(&said, &library);
    }
}
