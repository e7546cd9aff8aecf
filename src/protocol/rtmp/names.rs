// SPDX-License-Identifier: MPL-2.0

//! Which applications and streams a listener's names stand for.

/// Whether a listener's name covers the one that a caller gives, query and all.
///
/// An empty one covers every name. `*` stands for any letters, none included. Without a query it covers
/// the name with every query; with one, exactly that.
pub fn covers(pattern: &str, name: &str) -> bool {
    pattern.is_empty()
        || pattern == name
        || (!pattern.contains('?') && matches(pattern, without_query(name)))
}

/// Whether it covers more than one name, queries aside.
pub fn is_pattern(pattern: &str) -> bool {
    pattern.is_empty() || pattern.contains('*')
}

/// Whether there may be names that both cover.
pub fn overlap(one: &str, other: &str) -> bool {
    match (is_pattern(one), is_pattern(other)) {
        (false, _) => covers(other, one) || one == other,
        (_, false) => covers(one, other),
        // Two patterns: the same letters before the first and behind the last star allow for a
        // common name, and it does not matter if what is between them does not.
        (true, true) => {
            let ends = |pattern: &str| {
                let (head, tail) = (pattern.split('*').next(), pattern.rsplit('*').next());
                (
                    head.unwrap_or_default().to_owned(),
                    tail.unwrap_or_default().to_owned(),
                )
            };
            let ((head, tail), (other_head, other_tail)) = (ends(one), ends(other));
            let same_start = head.starts_with(&other_head) || other_head.starts_with(&head);
            let same_end = tail.ends_with(&other_tail) || other_tail.ends_with(&tail);
            one.is_empty() || other.is_empty() || (same_start && same_end)
        }
    }
}

/// The name alone.
pub fn without_query(name: &str) -> &str {
    name.split('?').next().unwrap_or_default()
}

/// What follows the question mark, if anything does.
pub fn query(name: &str) -> &str {
    name.split_once('?').map_or("", |(_, query)| query)
}

/// The value of a field of a query.
pub fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query
        .split('&')
        .filter_map(|field| field.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// Each star takes as little as it can; a later one may take more, so there is nothing to go back for.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        // No star at all.
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_covered() {
        for (pattern, name, covered) in [
            ("", "anything?x=1", true),
            ("live", "live", true),
            ("live", "live?x=1", true),
            ("live", "live2", false),
            ("live?x=1", "live?x=1", true),
            ("live?x=1", "live?x=2", false),
            ("live?x=1", "live", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("cam*", "cam", true),
            ("cam*", "cam12?token=*", true),
            ("cam*", "came", true),
            ("cam*", "ca", false),
            ("*cam", "webcam", true),
            ("*cam", "webcam2", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "axxbxbxc", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("**", "x", true),
            ("é*", "éa", true),
        ] {
            assert_eq!(covers(pattern, name), covered, "{pattern} {name}");
        }
    }

    #[test]
    fn claims_that_meet_are_seen() {
        for (one, other, meet) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "", true),
            ("", "", true),
            ("a*", "abc", true),
            ("a*", "b", false),
            ("a*", "ab*", true),
            ("a*", "b*", false),
            ("*x", "a*", true),
            ("*x", "*y", false),
            ("*", "*", true),
        ] {
            assert_eq!(overlap(one, other), meet, "{one} {other}");
            assert_eq!(overlap(other, one), meet, "{other} {one}");
        }
    }

    #[test]
    fn queries_are_taken_apart() {
        assert_eq!(without_query("x?y?z"), "x");
        assert_eq!(query("x?y=1?z"), "y=1?z");
        assert_eq!(query("x"), "");
        assert_eq!(parameter("a=1&b=&c&a=2", "a"), Some("1"));
        assert_eq!(parameter("a=1&b=&c", "b"), Some(""));
        assert_eq!(parameter("a=1&b=&c", "c"), None);
    }
}
