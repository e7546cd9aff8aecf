// SPDX-License-Identifier: MPL-2.0

//! Where a path is cut into application and stream.

/// A rule for cutting `application/stream`.
///
/// In every rule a `/` behind the first `?` is data of the query and does not cut, unless there is
/// no other `/`: then the query is the application's, as in `live?vhost=example.net/stream`. A `/`
/// written as `%2F` never cuts. Explicit properties and `app=`/`playpath=` beat every rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Split {
    /// What the path itself betrays, else the last `/`. In this order:
    ///
    /// 1. A location with a `key=value` tail was written for librtmp: [`Librtmp`](Self::Librtmp).
    /// 2. `app?…slist=name…` (Akamai) names its stream in the query: all of it is the application,
    ///    the value of `slist` is the stream. Not so if a `/` stands before the `?`.
    /// 3. `…/mp4:dir/name`, likewise `mp3:`, `flv:`, `f4v:`, `raw:`, `id3:`, `amlst:`, `smil:`,
    ///    `ngrp:`: the component with the prefix begins the stream (Adobe Media Server, Wowza).
    /// 4. `app/_definst_/dir/name`: `_definst_` ends the application (same servers).
    /// 5. `a1414/e3/dir/name`: Limelight's applications are `a` and digits, a letter and digits.
    /// 6. [`LastSlash`](Self::LastSlash).
    ///
    /// 2 to 5 differ from rtmp2src and rtmp2sink only where the last `/` names an application that
    /// those servers do not have.
    #[default]
    Auto,
    /// The application is one component, the stream all the rest: `live` and `a/b`.
    FirstSlash,
    /// The stream is one component, the application all before it: `live/a` and `b`. The rule of
    /// rtmp2src and rtmp2sink, of OBS and most servers' documentation.
    LastSlash,
    /// librtmp's (2.4), and thereby that of rtmpsrc and rtmpsink so far.
    ///
    /// The application is all components but the last, three at most; `ondemand` is always alone;
    /// with `slist=` in a query all is the application and its value the stream. From the stream `%hh` is decoded, the ending `.flv` cut, and `x.mp4`, `x.f4v`
    /// and `x.mp3` become `mp4:x` and `mp3:x`. One thing comes from FFmpeg: a component with a `:`
    /// begins the stream, for librtmp takes `vod/mp4:dir` for an application.
    Librtmp,
}

impl Split {
    /// The rule for a location that has a librtmp tail or has none.
    pub(super) fn resolve(self, has_tail: bool) -> Self {
        match self {
            Self::Auto if has_tail => Self::Librtmp,
            rule => rule,
        }
    }

    /// Cuts a path without its leading `/`.
    pub(super) fn apply(self, path: &str) -> (String, String) {
        if self == Self::Librtmp {
            return librtmp(path);
        }
        let at = match self {
            Self::FirstSlash => slashes(path).next(),
            Self::LastSlash => slashes(path).last(),
            Self::Auto | Self::Librtmp => {
                if let Some(stream) = slist(path).filter(|_| !before_query(path).contains('/')) {
                    return (path.to_owned(), stream.to_owned());
                }
                media_prefix(path)
                    .or_else(|| instance(path))
                    .or_else(|| limelight(path))
                    .or_else(|| slashes(path).last())
            }
        };
        let (application, stream) = cut(path, at);
        (application.to_owned(), stream.to_owned())
    }
}

/// The prefixes that name a kind of file or list; a `:` alone would hit stream keys.
const MEDIA_PREFIXES: [&str; 9] = [
    "mp4:", "mp3:", "flv:", "f4v:", "raw:", "id3:", "amlst:", "smil:", "ngrp:",
];

/// The `/` that can cut.
fn slashes(path: &str) -> impl Iterator<Item = usize> {
    let outside = before_query(path);
    let range = if outside.contains('/') { outside } else { path };
    range.match_indices('/').map(|(at, _)| at)
}

fn before_query(path: &str) -> &str {
    path.split('?').next().unwrap_or_default()
}

/// Both sides of the `/` at this place.
fn cut(path: &str, at: Option<usize>) -> (&str, &str) {
    match at.and_then(|at| path.split_at_checked(at)) {
        Some((application, stream)) => (application, stream.strip_prefix('/').unwrap_or(stream)),
        None => (path, ""),
    }
}

/// The value of `slist` in the query.
fn slist(path: &str) -> Option<&str> {
    let (_, query) = path.split_once('?')?;
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix("slist="))
        .filter(|value| !value.is_empty())
}

fn media_prefix(path: &str) -> Option<usize> {
    slashes(path).find(|&at| {
        let (_, stream) = cut(path, Some(at));
        MEDIA_PREFIXES
            .iter()
            .any(|prefix| stream.starts_with(prefix))
    })
}

fn instance(path: &str) -> Option<usize> {
    slashes(path).find(|&at| {
        cut(path, Some(at))
            .0
            .rsplit('/')
            .next()
            .is_some_and(|component| component == "_definst_")
    })
}

fn limelight(path: &str) -> Option<usize> {
    let at = slashes(path).nth(1)?;
    let (account, application) = cut(path, Some(at)).0.split_once('/')?;
    let numbered = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_letter = |c: char| c.is_ascii_lowercase();
    (account.strip_prefix('a').is_some_and(numbered)
        && application.strip_prefix(is_letter).is_some_and(numbered))
    .then_some(at)
}

fn librtmp(path: &str) -> (String, String) {
    if let Some(stream) = slist(path) {
        return (path.to_owned(), playpath(stream, false));
    }
    if let Some(stream) = path.strip_prefix("ondemand/") {
        return ("ondemand".to_owned(), playpath(stream, true));
    }
    let named = slashes(path).find(|&at| {
        let (_, rest) = cut(path, Some(at));
        let component = rest.split(['/', '?']).next().unwrap_or_default();
        component.contains(':')
    });
    let (application, stream) = cut(path, named.or_else(|| slashes(path).take(3).last()));
    (application.to_owned(), playpath(stream, true))
}

/// The name by which Flash Media Server knows a file.
fn playpath(stream: &str, strip_flv: bool) -> String {
    let (name, query) = stream.split_at(before_query(stream).len());
    let prefixed = |prefix: &str, name: &str| match stream.starts_with(prefix) {
        true => stream.to_owned(),
        false => format!("{prefix}{name}{query}"),
    };
    let playpath = match name.rsplit_once('.') {
        Some((name, "mp4" | "f4v")) => prefixed("mp4:", name),
        Some((name, "mp3")) => prefixed("mp3:", name),
        Some((name, "flv")) if strip_flv => format!("{name}{query}"),
        _ => stream.to_owned(),
    };
    // librtmp takes what follows a stray `%` for digits; the name as it stands is the better guess.
    super::escape::decode(&playpath, '%').unwrap_or(playpath)
}
