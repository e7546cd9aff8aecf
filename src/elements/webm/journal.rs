// SPDX-License-Identifier: MPL-2.0

//! The access log: Apache's combined format, and the seconds that the request took behind it, as
//! Flumotion and Icecast write it.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::Path,
};

/// What there is to say of a request that has ended.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    pub(super) address: &'a str,
    pub(super) user: Option<&'a str>,
    /// When it came, in seconds since 1970.
    pub(super) at: i64,
    pub(super) request: &'a str,
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) referer: Option<&'a str>,
    pub(super) agent: Option<&'a str>,
    pub(super) seconds: u64,
}

impl Line<'_> {
    /// Appends the line. The file is opened each time: a client is a rare event, and whoever rotates logs
    /// need not tell us.
    pub(super) fn append(&self, file: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(file)?;
        // In one piece, so that several elements can share a file.
        file.write_all(self.text().as_bytes())
    }

    fn text(&self) -> String {
        let date = glib::DateTime::from_unix_utc(self.at)
            .and_then(|date| date.format("%d/%b/%Y:%H:%M:%S +0000"))
            .unwrap_or_else(|_| "-".into());
        format!(
            "{} - {} [{date}] \"{}\" {} {} \"{}\" \"{}\" {}\n",
            self.address,
            self.user.map_or_else(|| "-".to_owned(), quoted),
            quoted(self.request),
            self.status,
            self.bytes,
            quoted(self.referer.unwrap_or("-")),
            quoted(self.agent.unwrap_or("-")),
            self.seconds,
        )
    }
}

/// So that nobody writes lines of his own into the log.
fn quoted(text: &str) -> String {
    let letter = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_as_apaches() {
        let line = Line {
            address: "192.0.2.7",
            user: Some("joe"),
            at: 971_211_336,
            request: "GET /live HTTP/1.1",
            status: 200,
            bytes: 2326,
            referer: None,
            agent: Some("evil\"\r\nagent"),
            seconds: 61,
        };
        assert_eq!(
            line.text(),
            "192.0.2.7 - joe [10/Oct/2000:20:55:36 +0000] \"GET /live HTTP/1.1\" 200 2326 \"-\" \
             \"evil\\\"\\r\\nagent\" 61\n"
        );
    }
}
