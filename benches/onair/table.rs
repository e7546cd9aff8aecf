// SPDX-License-Identifier: MPL-2.0

//! Markdown, ready for the README.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// One promise and what became of it.
#[derive(Debug)]
struct Target {
    what: String,
    limit: String,
    got: Option<(String, bool)>,
}

/// The tables as they come, and the targets for the end.
#[derive(Debug)]
pub(crate) struct Report {
    copy: Option<File>,
    targets: Vec<Target>,
}

impl Report {
    pub(crate) fn new(out: &Option<PathBuf>) -> Result<Self, String> {
        let open =
            |path: &PathBuf| File::create(path).map_err(|e| format!("{}: {e}", path.display()));
        Ok(Self {
            copy: out.as_ref().map(open).transpose()?,
            targets: Vec::new(),
        })
    }

    /// A paragraph.
    pub(crate) fn line(&mut self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// A table, unless it has no rows.
    pub(crate) fn table(&mut self, title: &str, head: &[&str], rows: &[Vec<String>]) {
        if rows.is_empty() {
            return;
        }
        let mut text = format!("**{title}**\n\n| {} |\n|", head.join(" | "));
        for (column, _) in head.iter().enumerate() {
            text.push_str(if column == 0 { "---|" } else { "---:|" });
        }
        for row in rows {
            text.push_str(&format!("\n| {} |", row.join(" | ")));
        }
        self.write(&(text + "\n"));
    }

    /// Notes a promise "at most `limit`"; `got` is `None` while there is nothing to measure.
    pub(crate) fn at_most(&mut self, what: impl Into<String>, limit: f64, got: Option<f64>) {
        self.target(
            what,
            format!("≤ {limit}"),
            got,
            got.is_some_and(|g| g <= limit),
        );
    }

    /// Notes a promise "below `limit`".
    pub(crate) fn below(&mut self, what: impl Into<String>, limit: f64, got: Option<f64>) {
        self.target(
            what,
            format!("< {limit}"),
            got,
            got.is_some_and(|g| g < limit),
        );
    }

    fn target(&mut self, what: impl Into<String>, limit: String, got: Option<f64>, kept: bool) {
        self.targets.push(Target {
            what: what.into(),
            limit,
            got: got.map(|got| match got.is_finite() {
                true => (format!("{got:.2}"), kept),
                false => ("failed".to_owned(), false),
            }),
        });
    }

    pub(crate) fn targets(&mut self) {
        let rows: Vec<_> = std::mem::take(&mut self.targets)
            .into_iter()
            .map(|t| {
                let (got, mark) = match t.got {
                    Some((got, true)) => (got, "✅"),
                    Some((got, false)) => (got, "❌"),
                    None => ("-".to_owned(), "not measured"),
                };
                vec![t.what, t.limit, got, mark.to_owned()]
            })
            .collect();
        if !rows.is_empty() {
            self.table("Targets", &["what", "target", "measured", ""], &rows);
        }
    }

    fn write(&mut self, text: &str) {
        println!("{text}");
        if let Some(copy) = &mut self.copy
            && let Err(error) = writeln!(copy, "{text}")
        {
            eprintln!("the copy of the report: {error}");
        }
    }
}

/// A cell for a figure that may be missing.
pub(crate) fn cell(value: Option<f64>, digits: usize) -> String {
    value.map_or("-".to_owned(), |v| format!("{v:.digits$}"))
}
