// SPDX-License-Identifier: MPL-2.0

//! What the streaming thread of a sink holds: FLV cut into tags, and when each is due.

use bytes::Bytes;
use gst::ClockTime;

use crate::protocol::flv::{FlvError, Item, Needs, Reader, Tag, TagKind};

/// A step of the timestamps larger than this, in either direction, is taken for a new time line.
const JUMP_MS: i64 = 10_000;

/// Cuts buffers into tags and knows which headers are still to be sent.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    reader: Reader,
    /// Tags of the caps' `streamheader`.
    headers: Vec<Tag>,
    headers_due: bool,
    pace: Option<Pace>,
}

impl Outlet {
    /// Takes the headers that the caps carry, to be sent before the next media.
    pub(super) fn set_headers(&mut self, buffers: impl IntoIterator<Item = Bytes>) {
        let mut reader = Reader::default();
        buffers.into_iter().for_each(|bytes| reader.push(bytes));
        let mut headers = Vec::new();
        // What is no FLV in there will be none in the stream either, and is reported from there.
        while let Ok(Some(item)) = reader.next() {
            if let Item::Tag(tag) = item {
                headers.push(tag);
            }
        }
        self.headers_due = !headers.is_empty();
        self.headers = headers;
    }

    /// What the stream needs of a server, if it has said so in its caps.
    pub(super) fn needs(&self) -> Option<Needs> {
        let mut needs = Needs::default();
        for header in &self.headers {
            needs.learn(header);
        }
        (!self.headers.is_empty()).then_some(needs)
    }

    /// Takes the next bytes of the stream.
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.reader.push(bytes);
    }

    /// The next tag to send. The same header is not sent twice, from the caps and from the stream.
    ///
    /// # Errors
    /// The stream is no FLV.
    pub(super) fn next(&mut self) -> Result<Option<Tag>, FlvError> {
        loop {
            match self.reader.next()? {
                None => return Ok(None),
                Some(Item::Header { .. } | Item::Skipped(_) | Item::Spanning(_)) => {}
                // Muxers push their headers as well; those of the caps have gone out before.
                Some(Item::Tag(tag)) if self.headers.iter().any(|h| h.body() == tag.body()) => {}
                Some(Item::Tag(tag)) => return Ok(Some(tag)),
            }
        }
    }

    /// Bytes that are no whole tag.
    pub(super) fn pending(&self) -> usize {
        self.reader.pending()
    }

    /// Headers that have to go out before anything else.
    pub(super) fn due_headers(&mut self) -> Vec<Tag> {
        match std::mem::take(&mut self.headers_due) {
            true => self.headers.clone(),
            false => Vec::new(),
        }
    }

    /// Forgets where the stream was, after a flush.
    pub(super) fn reset(&mut self) {
        self.reader.reset();
        self.pace = None;
    }

    /// The running time at which a tag is due in a stream whose buffers tell no time, such as a
    /// file's: the first one now, the others as far behind it as their timestamps say.
    pub(super) fn due(&mut self, tag: &Tag, now: ClockTime) -> Option<ClockTime> {
        if tag.kind() == TagKind::Data || tag.is_sequence_header() {
            return None;
        }
        let pace = self.pace.get_or_insert(Pace {
            position: now,
            timestamp: tag.timestamp(),
        });
        // Wrapping: a stream that goes over 2^32 ms goes on.
        let step = i64::from(tag.timestamp().wrapping_sub(pace.timestamp) as i32);
        if step.abs() > JUMP_MS {
            *pace = Pace {
                position: now,
                timestamp: tag.timestamp(),
            };
            return None;
        }
        let step_time = ClockTime::from_mseconds(step.unsigned_abs());
        let due = match step >= 0 {
            true => pace.position + step_time,
            false => pace.position.saturating_sub(step_time),
        };
        if step > 0 {
            *pace = Pace {
                position: due,
                timestamp: tag.timestamp(),
            };
        }
        Some(due)
    }
}

/// A point where time stamps and running time are known to belong together.
#[derive(Clone, Copy, Debug)]
struct Pace {
    position: ClockTime,
    timestamp: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audio(time: u32) -> Tag {
        Tag::new(TagKind::Audio, time, &[0xaf, 1, time as u8]).unwrap()
    }

    #[test]
    fn tags_are_due_as_their_timestamps_say() {
        let mut outlet = Outlet::default();
        let now = ClockTime::from_seconds(5);
        let at = |ms: u64| Some(now + ClockTime::from_mseconds(ms));
        assert_eq!(outlet.due(&audio(u32::MAX - 9), now), at(0));
        assert_eq!(outlet.due(&audio(10), now), at(20));
        assert_eq!(
            outlet.due(&audio(5), now),
            at(15),
            "a step back is due earlier"
        );
        assert_eq!(outlet.due(&audio(30), now), at(40));
        let later = ClockTime::from_seconds(9);
        assert_eq!(
            outlet.due(&audio(60_000), later),
            None,
            "a jump starts anew"
        );
        assert_eq!(
            outlet.due(&audio(60_007), later),
            Some(later + ClockTime::from_mseconds(7))
        );
    }

    #[test]
    fn headers_of_the_caps_come_first_and_once() {
        let header = Tag::new(TagKind::Video, 0, &[0x17, 0, 0, 0, 0, 1]).unwrap();
        let mut outlet = Outlet::default();
        outlet.set_headers([
            Bytes::from_static(b"FLV\x01\x05\0\0\0\x09\0\0\0\0"),
            header.as_flv().clone(),
        ]);
        assert_eq!(outlet.due_headers(), std::slice::from_ref(&header));
        assert_eq!(outlet.due_headers(), []);
        outlet.push(Bytes::from_static(b"FLV\x01\x05\0\0\0\x09\0\0\0\0"));
        outlet.push(header.as_flv().clone());
        outlet.push(audio(1).into_flv());
        assert_eq!(outlet.next().unwrap(), Some(audio(1)));
        assert_eq!(outlet.next().unwrap(), None);
    }
}
