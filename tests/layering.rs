// SPDX-License-Identifier: MPL-2.0

//! Dependencies point down only: `elements/` over `net/` over `protocol/`, and `protocol/` is pure.
//!
//! Reads the sources as tokens, so that comments and strings may name whatever they like. What is
//! behind `#[cfg(test)]` is exempt: a test has to take its first `Instant` from somewhere.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Paths that `protocol/` may not name, and why.
const NOT_IN_PROTOCOL: &[(&str, &str)] = &[
    ("gst", "knows nothing of GStreamer"),
    ("gst_base", "knows nothing of GStreamer"),
    ("glib", "knows nothing of GStreamer"),
    ("mio", "does no I/O"),
    ("socket2", "does no I/O"),
    ("rustls", "does no I/O"),
    ("std::net", "does no I/O"),
    ("std::fs", "does no I/O"),
    ("std::env", "does no I/O"),
    ("std::thread", "has no threads"),
    ("thread::spawn", "has no threads"),
    ("Instant::now", "takes the time as an argument"),
    ("SystemTime::now", "takes the time as an argument"),
    ("getrandom", "takes seeds as arguments"),
    ("RandomState", "takes seeds as arguments"),
    ("unsafe", "is safe"),
    ("crate::net", "is below net"),
    ("crate::elements", "is below elements"),
    ("super::net", "is below net"),
    ("super::elements", "is below elements"),
];

/// The same for `net/`.
const NOT_IN_NET: &[(&str, &str)] = &[
    ("crate::elements", "is below elements"),
    ("super::elements", "is below elements"),
    ("gst::Element", "names no element"),
    ("gst_base", "names no element"),
];

#[test]
fn protocol_is_pure() {
    assert_layer("protocol", NOT_IN_PROTOCOL);
}

#[test]
fn net_names_no_element() {
    assert_layer("net", NOT_IN_NET);
}

#[track_caller]
fn assert_layer(layer: &str, banned: &[(&str, &str)]) {
    let mut files = Vec::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("src")
            .join(layer),
        &mut files,
    );
    assert!(!files.is_empty(), "{layer} is gone");
    let mut offences = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).expect("a source");
        for offence in check(&source, banned) {
            offences.push(format!("{}:{offence}", file.display()));
        }
    }
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        // A module of tests in a file of its own.
        let tests = path.file_stem().is_some_and(|stem| stem == "tests");
        if path.is_dir() && !tests {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") && !tests {
            files.push(path);
        }
    }
}

/// Names every offence of a source as `line: path (reason)`.
fn check(source: &str, banned: &[(&str, &str)]) -> Vec<String> {
    let tokens = without_tests(&tokens(source));
    let mut offences = Vec::new();
    for (line, path) in paths(&tokens) {
        for (name, reason) in banned {
            if names(&path, name) {
                offences.push(format!(
                    "{line}: names {name} ({path}), but this layer {reason}"
                ));
            }
        }
    }
    offences
}

/// Whether a path has the segments of `name` one after another. A `name` of one segment is a
/// crate or a keyword and has to be the first.
fn names(path: &str, name: &str) -> bool {
    let path: Vec<&str> = path.split("::").collect();
    let name: Vec<&str> = name.split("::").collect();
    if name.len() == 1 {
        return path.first() == name.first() || path[0].is_empty() && path.get(1) == name.first();
    }
    path.windows(name.len()).any(|window| window == name)
}

type Token<'a> = (usize, &'a str);

/// Splits a source into words, `::` and single characters, without comments, strings and lifetimes.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let word = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = string(rest) {
            length
        } else if word > 0 {
            tokens.push((line, &rest[..word]));
            word
        } else if rest.starts_with("::") {
            tokens.push((line, "::"));
            2
        } else {
            if !first.is_whitespace() {
                tokens.push((line, &rest[..first.len_utf8()]));
            }
            first.len_utf8()
        };
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// The length of a string, character or lifetime at the beginning of `rest`.
fn string(rest: &str) -> Option<usize> {
    let prefix = rest.len() - rest.trim_start_matches(['b', 'r', 'c']).len();
    let body = rest.get(prefix..)?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    if rest[..prefix].contains('r') && body[hashes..].starts_with('"') {
        let close = format!("\"{}", "#".repeat(hashes));
        let inner = prefix + hashes + 1;
        return Some(
            rest[inner..]
                .find(&close)
                .map_or(rest.len(), |end| inner + end + close.len()),
        );
    }
    if body.starts_with('"') {
        return Some(prefix + quoted(body, '"'));
    }
    let body = body.strip_prefix('\'')?;
    let mut characters = body.chars();
    let (first, second) = (characters.next()?, characters.next());
    if first == '\\' || second == Some('\'') {
        return Some(prefix + quoted(&rest[prefix..], '\''));
    }
    let end = body.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some(prefix + 1 + end.unwrap_or(body.len()))
}

fn quoted(body: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in body.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    body.len()
}

/// Leaves out each item behind `#[cfg(test)]`.
fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let here = tokens[at..].iter().map(|(_, token)| *token);
        if !here.take(MARK.len()).eq(MARK) {
            kept.push(tokens[at]);
            at += 1;
            continue;
        }
        let mut depth = 0;
        for (_, token) in &tokens[at..] {
            at += 1;
            match *token {
                "{" => depth += 1,
                "}" if depth == 1 => break,
                "}" => depth -= 1,
                ";" if depth == 0 => break,
                _ => {}
            }
        }
    }
    kept
}

/// Every path with its line; each branch of a `use` in full.
fn paths(tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    let mut at = 0;
    while let Some(&(line, token)) = tokens.get(at) {
        at += 1;
        if token == "use" {
            at = use_tree(tokens, at, "", &mut paths);
        } else if token == "." {
            // A field or a method, whatever its name.
            at += usize::from(tokens.get(at).is_some_and(|(_, next)| is_word(next)));
        } else if token == "::" || is_word(token) {
            let mut path = token.to_owned();
            while let Some(&(_, next)) = tokens.get(at)
                && (next == "::" || path.ends_with("::") && is_word(next))
            {
                path.push_str(next);
                at += 1;
            }
            paths.push((line, path));
        }
    }
    paths
}

/// Reads a branch of a `use` that begins at this token and returns where it ends.
fn use_tree(
    tokens: &[Token<'_>],
    mut at: usize,
    prefix: &str,
    paths: &mut Vec<(usize, String)>,
) -> usize {
    let mut path = prefix.to_owned();
    while let Some(&(line, token)) = tokens.get(at) {
        match token {
            "," | ";" | "}" => {
                paths.push((line, path));
                return at;
            }
            "{" => {
                while tokens
                    .get(at)
                    .is_some_and(|(_, token)| ["{", ","].contains(token))
                {
                    at = use_tree(tokens, at + 1, &path, paths);
                }
                return at + 1;
            }
            "as" => at += 1,
            _ => path.push_str(token),
        }
        at += 1;
    }
    at
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAD: &str = r##"
        use std::{collections::HashMap, net::{IpAddr, TcpStream}};
        use bytes::Bytes;
        fn now() { std::time::Instant::now(); }
        fn unsafely() { unsafe { } }
        fn log() { gst::debug!(CAT, "x"); }
        fn seed() { getrandom::fill(&mut []); }
        fn up() { crate::net::driver::run() }
        use crate::{net::driver, protocol::flv};
        use ::glib::Value;
    "##;

    const GOOD: &str = r##"
        #![forbid(unsafe_code)]
        //! gst, std::net, Instant::now() and unsafe are words. /* unsafe */
        /* gst::Buffer /* nested: mio */ unsafe */
        use std::{collections::HashMap, time::Instant};
        use crate::protocol::{flv, rtmp::{chunk, message}};
        fn f<'gst>(now: Instant, gst_url: &'gst str) -> char {
            let _ = ("unsafe \" gst::x", r#"mio::Poll " std::net::TcpStream"#, b"glib::x", b'"');
            let _ = url.gst; '"'
        }
        #[cfg(test)]
        mod tests {
            fn now() -> std::time::Instant { if true { Instant::now() } else { unsafe { x } } }
        }
        #[cfg(test)]
        use std::net::TcpStream;
        fn last() {}
    "##;

    #[test]
    fn offences_are_found() {
        let lines: Vec<_> = check(BAD, NOT_IN_PROTOCOL)
            .iter()
            .map(|offence| {
                let (line, rest) = offence.split_once(": names ").unwrap();
                let (name, _) = rest.split_once(' ').unwrap();
                (line.parse().unwrap(), name.to_owned())
            })
            .collect();
        let wanted = [
            (2, "std::net"),
            (2, "std::net"),
            (4, "Instant::now"),
            (5, "unsafe"),
            (6, "gst"),
            (7, "getrandom"),
            (8, "crate::net"),
            (9, "crate::net"),
            (10, "glib"),
        ];
        let lines: Vec<(usize, &str)> = lines.iter().map(|(l, name)| (*l, &**name)).collect();
        assert_eq!(lines, wanted);
        let net = "use crate::{elements::rtmp::RtmpSrc, protocol};";
        assert_eq!(check(net, NOT_IN_NET).len(), 1);
    }

    #[test]
    fn innocence_is_seen() {
        assert_eq!(check(GOOD, NOT_IN_PROTOCOL), [] as [&str; 0]);
        // What follows a test module is looked at again.
        let more = format!("{GOOD} fn g() {{ mio::Poll::new() }}");
        assert_eq!(check(&more, NOT_IN_PROTOCOL).len(), 1);
    }
}
