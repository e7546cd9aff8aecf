// SPDX-License-Identifier: MPL-2.0

//! Tags that wait for the network, bounded in bytes and in stream time, shortened by whole groups of
//! pictures.

use std::{collections::VecDeque, time::Duration};

use crate::protocol::flv::{Tag, TagKind};

/// How much may wait.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Bytes of tags; `usize::MAX` for no limit.
    pub bytes: usize,
    /// Stream time between the first tag and the last; zero for no limit.
    pub time: Duration,
}

/// See the module's text.
#[derive(Debug)]
pub struct Queue {
    limits: QueueLimits,
    tags: VecDeque<Tag>,
    bytes: usize,
    /// A group of pictures was cut: what refers to it must not be sent either.
    awaiting_keyframe: bool,
    dropped: u64,
    /// How many of the dropped were told of in a [`Loss`].
    reported: u64,
}

/// Tags that were dropped, told of when there is something to do about it: a group of pictures longer
/// than the queue would tell of each of its pictures otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The queue was cut by this many tags: the network is slower than the stream.
    Cut(u64),
    /// The stream goes on at a key frame; this many more were dropped on the way to it.
    Resumed(u64),
}

impl Queue {
    /// An empty queue.
    pub fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            tags: VecDeque::new(),
            bytes: 0,
            awaiting_keyframe: false,
            dropped: 0,
            reported: 0,
        }
    }

    /// Tags dropped since the beginning.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Stream time that waits. Timestamps wrap, and tags need not be in order.
    pub fn time(&self) -> Duration {
        // Headers that outlived their group of pictures, or that say 0, tell no time.
        let first = self.tags.iter().find(|tag| !is_kept(tag));
        let (Some(first), Some(last)) = (first, self.tags.back()) else {
            return Duration::ZERO;
        };
        let ms = last.timestamp().wrapping_sub(first.timestamp()) as i32;
        Duration::from_millis(u64::from(ms.max(0) as u32))
    }

    /// Whether a limit is reached.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.limits.bytes
            || (!self.limits.time.is_zero() && self.time() >= self.limits.time)
    }

    /// Whether it is empty enough for a writer that waited to go on: at half of the limits, so that
    /// it does not wait again at once.
    pub fn has_room(&self) -> bool {
        self.bytes <= self.limits.bytes / 2
            && (self.limits.time.is_zero() || self.time() <= self.limits.time / 2)
    }

    /// Appends a tag whatever the limits say; not a picture that nobody could decode.
    pub fn push(&mut self, tag: Tag) {
        let picture = tag.kind() == TagKind::Video && !is_kept(&tag);
        self.awaiting_keyframe &= !(picture && tag.is_keyframe());
        if picture && self.awaiting_keyframe {
            self.dropped += 1;
            return;
        }
        self.append(tag);
    }

    fn append(&mut self, tag: Tag) {
        self.bytes += tag.as_flv().len();
        self.tags.push_back(tag);
    }

    /// Appends a tag; where a limit is reached, drops from the front what a player can do without:
    /// everything before the last key frame that waits, or everything up to the next one. Headers
    /// and metadata stay. Returns a loss once per cut, and once more where the stream goes on.
    pub fn push_or_drop(&mut self, tag: Tag) -> Option<Loss> {
        let cut = self.is_full() && self.cut();
        let picture = tag.kind() == TagKind::Video && !is_kept(&tag);
        let resumed = self.awaiting_keyframe && picture && tag.is_keyframe();
        self.awaiting_keyframe &= !resumed;
        if self.awaiting_keyframe && picture {
            self.dropped += 1;
        } else {
            self.append(tag);
        }
        match self.dropped - self.reported {
            0 => None,
            count if cut || resumed => {
                self.reported = self.dropped;
                Some(if cut {
                    Loss::Cut(count)
                } else {
                    Loss::Resumed(count)
                })
            }
            _ => None,
        }
    }

    /// What was sent is lost: goes on at the first key frame that waits, or with the next one to come.
    /// Headers and metadata that wait stay. Returns how many tags that costs.
    pub fn resume_at_keyframe(&mut self, has_pictures: bool) -> u64 {
        if !has_pictures {
            return 0;
        }
        let first = self
            .tags
            .iter()
            .position(|tag| tag.is_keyframe() && !is_kept(tag));
        let before = self.tags.len();
        self.awaiting_keyframe = first.is_none();
        self.drop_media(first.unwrap_or(before));
        let dropped = (before - self.tags.len()) as u64;
        self.dropped += dropped;
        self.reported = self.dropped;
        dropped
    }

    /// The timestamp of the tag that has waited longest.
    pub fn timestamp(&self) -> Option<u32> {
        self.tags.front().map(Tag::timestamp)
    }

    /// Takes the tag that has waited longest.
    pub fn pop(&mut self) -> Option<Tag> {
        let tag = self.tags.pop_front()?;
        self.bytes -= tag.as_flv().len();
        Some(tag)
    }

    /// Whether anything was dropped.
    fn cut(&mut self) -> bool {
        let last = self
            .tags
            .iter()
            .rposition(|tag| tag.is_keyframe() && !is_kept(tag));
        let before = self.tags.len();
        if let Some(keyframe) = last.filter(|at| *at > 0) {
            self.drop_media(keyframe);
        }
        if self.is_full() {
            // One long group of pictures, or no picture at all.
            self.awaiting_keyframe |= self.tags.iter().any(|tag| tag.kind() == TagKind::Video);
            self.drop_media(self.tags.len());
        }
        let dropped = before - self.tags.len();
        self.dropped += dropped as u64;
        dropped > 0
    }

    /// Drops the media among the first `count` tags.
    fn drop_media(&mut self, count: usize) {
        let rest = self.tags.split_off(count);
        self.tags.retain(is_kept);
        self.tags.extend(rest);
        self.bytes = self.tags.iter().map(|tag| tag.as_flv().len()).sum();
    }
}

/// Without headers and metadata what follows cannot be decoded.
fn is_kept(tag: &Tag) -> bool {
    tag.kind() == TagKind::Data || tag.is_sequence_header()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(time: u32, key: bool) -> Tag {
        let head = if key { 0x17 } else { 0x27 };
        Tag::new(TagKind::Video, time, &[head, 1, 0, 0, 0, 1]).unwrap()
    }

    fn audio(time: u32) -> Tag {
        Tag::new(TagKind::Audio, time, &[0xaf, 1, 2]).unwrap()
    }

    fn header() -> Tag {
        Tag::new(TagKind::Video, 0, &[0x17, 0, 0, 0, 0, 1]).unwrap()
    }

    fn queue(ms: u64) -> Queue {
        Queue::new(QueueLimits {
            bytes: 1 << 20,
            time: Duration::from_millis(ms),
        })
    }

    fn drain(queue: &mut Queue) -> Vec<Tag> {
        let tags = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(queue.bytes(), 0);
        tags
    }

    #[test]
    fn whole_groups_are_dropped_and_headers_kept() {
        let mut queue = queue(100);
        let mut losses = Vec::new();
        let sent = [
            header(),
            video(0, true),
            audio(10),
            video(40, false),
            video(80, true),
            audio(90),
        ];
        for tag in sent
            .into_iter()
            .chain([video(120, false), video(160, false)])
        {
            losses.extend(queue.push_or_drop(tag));
        }
        assert_eq!((losses, queue.dropped()), (vec![Loss::Cut(3)], 3));
        let left = drain(&mut queue);
        assert_eq!(
            left,
            [
                header(),
                video(80, true),
                audio(90),
                video(120, false),
                video(160, false)
            ]
        );
    }

    #[test]
    fn a_group_longer_than_the_queue_is_dropped_to_its_end() {
        let mut queue = queue(100);
        let losses =
            [0, 40, 80, 120, 160, 200].map(|time| queue.push_or_drop(video(time, time == 0)));
        assert_eq!(losses, [None, None, None, None, Some(Loss::Cut(5)), None]);
        assert_eq!(drain(&mut queue), []);
        assert_eq!(queue.push_or_drop(audio(210)), None);
        assert_eq!(queue.push_or_drop(video(220, false)), None);
        assert_eq!(queue.dropped(), 7);
        assert_eq!(queue.push_or_drop(video(240, true)), Some(Loss::Resumed(2)));
        assert_eq!(queue.push_or_drop(video(280, false)), None);
        assert_eq!(queue.push_or_drop(video(320, true)), None);
        assert_eq!(
            drain(&mut queue),
            [
                audio(210),
                video(240, true),
                video(280, false),
                video(320, true)
            ]
        );
    }

    #[test]
    fn a_cut_at_a_key_frame_is_one_loss() {
        let mut queue = queue(100);
        for time in [0, 40, 80, 120] {
            queue.push_or_drop(video(time, time == 0));
        }
        assert_eq!(queue.push_or_drop(video(160, true)), Some(Loss::Cut(4)));
        assert_eq!(drain(&mut queue), [video(160, true)]);
    }

    #[test]
    fn after_a_loss_it_goes_on_at_a_key_frame() {
        let mut queue = queue(1000);
        for tag in [
            audio(10),
            video(40, false),
            header(),
            video(80, true),
            audio(90),
        ] {
            queue.push(tag);
        }
        assert_eq!(queue.resume_at_keyframe(true), 2);
        assert_eq!(drain(&mut queue), [header(), video(80, true), audio(90)]);
        queue.push(video(120, false));
        assert_eq!(queue.resume_at_keyframe(true), 1);
        queue.push(video(160, false));
        queue.push(audio(170));
        queue.push(video(200, true));
        queue.push(video(240, false));
        let left = [audio(170), video(200, true), video(240, false)];
        assert_eq!(drain(&mut queue), left);
        queue.push(audio(300));
        assert_eq!(queue.resume_at_keyframe(false), 0);
        assert_eq!(drain(&mut queue), [audio(300)]);
    }

    #[test]
    fn sound_alone_is_dropped_too() {
        let mut queue = queue(100);
        for i in 0..100 {
            queue.push_or_drop(audio(i * 10));
        }
        assert!(queue.time() <= Duration::from_millis(110));
        assert_eq!(queue.tags.back(), Some(&audio(990)));
    }

    #[test]
    fn time_wraps() {
        let mut queue = queue(100);
        queue.push(audio(u32::MAX - 9));
        queue.push(audio(40));
        assert_eq!(queue.time(), Duration::from_millis(50));
        queue.push(audio(u32::MAX - 100));
        assert_eq!(queue.time(), Duration::ZERO);
    }
}
