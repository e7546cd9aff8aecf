// SPDX-License-Identifier: MPL-2.0

//! What a `Range` field (RFC 9110 section 14) asks of a stream that has neither an end nor a past.

/// The part of the stream that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// All of it: no range, `bytes=0-`, several ranges, another unit, or none that makes sense; RFC 9110
    /// lets a server take all these for no range.
    Whole,
    /// From this byte of the body on, at least 1: a player that lost its connection goes on.
    From(u64),
    /// Some bytes: a player that looks before it asks (Safari wants two).
    Part {
        /// The first.
        first: u64,
        /// How many, at least 1.
        length: u64,
    },
    /// The last bytes of something endless.
    Unsatisfiable,
}

impl Range {
    /// Reads the field's value.
    pub fn parse(value: &str) -> Self {
        let Some((unit, set)) = value.split_once('=') else {
            return Self::Whole;
        };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Self::Whole;
        }
        let Some((first, last)) = set.trim().split_once('-') else {
            return Self::Whole;
        };
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let (first, last) = (first.trim(), last.trim());
        match (number(first), number(last)) {
            (Some(0), None) if last.is_empty() => Self::Whole,
            (Some(first), None) if last.is_empty() => Self::From(first),
            (Some(first), Some(last)) if first <= last => Self::Part {
                first,
                length: (last - first).saturating_add(1),
            },
            (None, Some(_)) if first.is_empty() => Self::Unsatisfiable,
            _ => Self::Whole,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_every_form() {
        let part = |first, length| Range::Part { first, length };
        for (value, range) in [
            ("bytes=0-", Range::Whole),
            ("Bytes = 0-", Range::Whole),
            ("bytes=00-", Range::Whole),
            ("bytes=1-", Range::From(1)),
            ("bytes=1500000-", Range::From(1_500_000)),
            ("bytes= 7 - ", Range::From(7)),
            ("bytes=99999999999999999999999-", Range::From(u64::MAX)),
            ("bytes=0-1", part(0, 2)),
            ("bytes=0-0", part(0, 1)),
            ("bytes=5-9", part(5, 5)),
            ("bytes=0-18446744073709551615", part(0, u64::MAX)),
            ("bytes=9-5", Range::Whole),
            ("bytes=-500", Range::Unsatisfiable),
            ("bytes=-0", Range::Unsatisfiable),
            ("bytes=-", Range::Whole),
            ("bytes=", Range::Whole),
            ("bytes", Range::Whole),
            ("", Range::Whole),
            ("bytes=0-1,5-9", Range::Whole),
            ("bytes=5-,9-", Range::Whole),
            ("bytes=a-b", Range::Whole),
            ("bytes=+1-", Range::Whole),
            ("bytes=--1", Range::Whole),
            ("bytes=0x1-", Range::Whole),
            ("seconds=5-", Range::Whole),
            ("bytes=5-<", Range::Whole),
        ] {
            assert_eq!(Range::parse(value), range, "{value:?}");
        }
    }
}
