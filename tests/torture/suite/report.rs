// SPDX-License-Identifier: MPL-2.0

//! What is printed.

use std::collections::BTreeMap;

use super::{Row, Verdict};

/// A line for a case.
pub fn line(row: &Row) -> String {
    let ms = row.took.as_millis();
    let reason = match row.verdict.reason() {
        "" => String::new(),
        reason => format!("  ({reason})"),
    };
    format!(
        "{:2}  {:10}  {:11}  {ms:6} ms  {}{reason}",
        row.item,
        row.stage,
        row.verdict.word(),
        row.name,
    )
}

/// How many were judged how, in words.
pub fn summary(rows: &[Row]) -> String {
    let count = |word: &str| rows.iter().filter(|r| r.verdict.word() == word).count();
    let words = [
        "answered",
        "closed",
        "not reached",
        "HUNG",
        "CRASHED",
        "SWELLED",
    ];
    let counts = words.map(|word| (count(word), word));
    let told = counts.iter().filter(|(count, _)| *count > 0);
    let told: Vec<_> = told
        .map(|(count, word)| format!("{count} {}", word.to_lowercase()))
        .collect();
    format!("{} cases: {}", rows.len(), told.join(", "))
}

/// A Markdown table with a row for each item of the list.
pub fn table(rows: &[Row]) -> String {
    let mut items: BTreeMap<u8, Vec<&Verdict>> = BTreeMap::new();
    for row in rows {
        items.entry(row.item).or_default().push(&row.verdict);
    }
    let mut table =
        String::from("| item | cases | answered | closed | hung | crashed | swelled |\n");
    table += "|---|---|---|---|---|---|---|\n";
    for (item, verdicts) in items {
        let count = |word| verdicts.iter().filter(|v| v.word() == word).count();
        table += &format!(
            "| {item} | {} | {} | {} | {} | {} | {} |\n",
            verdicts.len(),
            count("answered"),
            count("closed"),
            count("HUNG"),
            count("CRASHED"),
            count("SWELLED"),
        );
    }
    table
}
