// SPDX-License-Identifier: MPL-2.0

use crate::protocol::flv::{Tag, TagKind, tag};

/// The sub-messages of an aggregate message (RTMP 1.0, section 7.1.6): FLV tags one after another.
///
/// Sub-messages that are not sound, picture or data, a nested aggregate among them, are passed over:
/// nothing else may stand in an FLV, and nesting has no meaning but to exhaust a stack.
#[derive(Debug)]
pub struct Aggregate<'a> {
    rest: &'a [u8],
    timestamp: u32,
    first: Option<u32>,
}

/// The sub-messages do not fill the aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sub-message reaches past the end of its aggregate message")]
pub struct AggregateError;

impl<'a> Aggregate<'a> {
    /// The sub-messages of `body`, whose times are moved so that the first has the aggregate's.
    pub fn new(timestamp: u32, body: &'a [u8]) -> Self {
        Self {
            rest: body,
            timestamp,
            first: None,
        }
    }

    fn sub_message(&mut self) -> Result<Option<Tag>, AggregateError> {
        let &[type_id, s2, s1, s0, t2, t1, t0, t3, _, _, _, ref body @ ..] = self.rest else {
            return Err(AggregateError);
        };
        let size = u32::from_be_bytes([0, s2, s1, s0]) as usize;
        let time = u32::from_be_bytes([t3, t2, t1, t0]);
        let body = body.get(..size).ok_or(AggregateError)?;
        // The last back-pointer is missing in what some servers send.
        self.rest = self
            .rest
            .get(tag::HEAD + size + tag::TAIL..)
            .unwrap_or_default();
        let first = *self.first.get_or_insert(time);
        let timestamp = self.timestamp.wrapping_add(time.wrapping_sub(first));
        Ok(TagKind::from_number(type_id & 0x1f).and_then(|kind| Tag::new(kind, timestamp, body)))
    }
}

impl Iterator for Aggregate<'_> {
    type Item = Result<Tag, AggregateError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.rest.is_empty() {
            match self.sub_message() {
                Ok(Some(tag)) => return Some(Ok(tag)),
                Ok(None) => {}
                Err(error) => {
                    self.rest = &[];
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub(type_id: u8, time: u32, body: &[u8]) -> Vec<u8> {
        let mut tag = Tag::new(TagKind::Audio, time, body)
            .unwrap()
            .into_flv()
            .to_vec();
        tag[0] = type_id;
        tag
    }

    fn tags(bytes: &[u8]) -> Result<Vec<Tag>, AggregateError> {
        Aggregate::new(5000, bytes).collect()
    }

    #[test]
    fn times_start_at_the_aggregates() {
        let bytes = [sub(8, 100, &[1]), sub(9, 120, &[2, 2]), sub(18, 90, &[])].concat();
        let tags = tags(&bytes).unwrap();
        assert_eq!(
            tags.iter().map(Tag::timestamp).collect::<Vec<_>>(),
            [5000, 5020, 4990]
        );
        assert_eq!(tags[1].body(), [2, 2]);
        assert_eq!(
            super::tests::tags(&bytes[..bytes.len() - 4]).unwrap().len(),
            3
        );
    }

    #[test]
    fn other_types_are_passed_over() {
        let nested = sub(22, 0, &sub(22, 0, &sub(8, 0, &[1])));
        let bytes = [
            nested,
            sub(20, 0, b"cmd"),
            sub(1, 0, &[0; 4]),
            sub(8, 0, &[7]),
        ]
        .concat();
        let tags = tags(&bytes).unwrap();
        assert_eq!(tags.len(), 1);
        assert_eq!(tags[0].body(), [7]);
    }

    #[test]
    fn sizes_past_the_end_are_errors() {
        let whole = [sub(8, 0, &[1, 2]), sub(9, 0, &[3; 20])].concat();
        for len in 0..whole.len() {
            let cut = tags(&whole[..len]);
            // Whole sub-messages, with or without their back-pointer, are no error.
            let fine = len == 0 || (13..=17).contains(&len) || len >= 17 + 31;
            assert_eq!(cut.is_ok(), fine, "cut to {len}");
        }
        let mut huge = sub(8, 0, &[1]);
        huge[1..4].fill(0xff);
        assert_eq!(tags(&huge), Err(AggregateError));
    }
}
