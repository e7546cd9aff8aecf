// SPDX-License-Identifier: MPL-2.0

//! Two hexadecimal digits behind a mark: `%20` in URLs, `\20` in the librtmp tail.

/// Decodes every escape, or returns `None` where a mark has no two digits or the result is not UTF-8.
pub(super) fn decode(text: &str, mark: char) -> Option<String> {
    if !text.contains(mark) {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == mark as u8 {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push((high << 4 | low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Writes a value of the tail: what would end it, and what no log should have, is escaped.
pub(super) fn tail(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        if c == ' ' || c == '\\' || c.is_control() {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                text += &format!("\\{byte:02x}");
            }
        } else {
            text.push(c);
        }
    }
    text
}
