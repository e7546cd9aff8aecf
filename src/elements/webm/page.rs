// SPDX-License-Identifier: MPL-2.0

//! The page with the player.

use super::settings::Settings;

const PLAYER: &str = include_str!("player.html");

/// The page for these settings.
pub(super) fn render(settings: &Settings) -> String {
    let title = settings.title.as_deref().unwrap_or(&settings.path);
    PLAYER
        .replace("{{TITLE}}", &escaped(title))
        .replace("{{PATH}}", &escaped(&encoded(&settings.path)))
}

/// A path as a URL has it.
fn encoded(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/-._~!$'()*+,;=:@&".contains(&b);
    let byte = |b: u8| {
        if plain(b) {
            char::from(b).to_string()
        } else {
            format!("%{b:02X}")
        }
    };
    path.bytes().map(byte).collect()
}

/// Text as HTML shows it, in attributes too.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place() {
        let settings = Settings {
            path: "/a b\"/ü".to_owned(),
            title: Some("<script>".to_owned()),
            ..Settings::default()
        };
        let page = render(&settings);
        assert!(page.contains("<title>&lt;script></title>"), "{page}");
        assert!(page.contains("/a%20b%22/%C3%BC"), "{page}");
        assert!(!page.contains("{{"), "{page}");
    }
}
