// SPDX-License-Identifier: MPL-2.0

//! Tags that wait for the network, bounded in bytes and in stream time.
//!
//! What a slow network costs is taken frame by frame, from what a player misses least: first pictures that
//! no other needs, then the rest of groups of pictures that newer ones follow, then all up to the next key
//! picture. Sound goes last, and only what is as old as the limits allow. Headers and metadata stay.

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

/// How full a queue is, in eighths of its limits, where it begins to do without ...
const EIGHTHS: u128 = 8;
/// ... pictures that no other needs,
const SHED_DISPOSABLE: u128 = 4;
/// ... and the rest of groups that others follow.
const SHED_INTER: u128 = 6;

/// What can be done without, and in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// No other picture needs it.
    Disposable,
    /// Others need it, up to the next key picture.
    Inter,
    /// Decoding can begin here.
    Key,
    /// Sound, and whatever else belongs to a moment.
    Sound,
    /// Without headers and metadata what follows cannot be decoded.
    Kept,
}

impl Class {
    fn of(tag: &Tag) -> Self {
        if tag.kind() == TagKind::Data || tag.is_sequence_header() {
            return Self::Kept;
        }
        match tag.kind() {
            TagKind::Video if tag.is_keyframe() => Self::Key,
            TagKind::Video if tag.is_disposable() => Self::Disposable,
            TagKind::Video => Self::Inter,
            _ => Self::Sound,
        }
    }

    fn is_picture(self) -> bool {
        matches!(self, Self::Disposable | Self::Inter | Self::Key)
    }
}

/// Tags dropped since the beginning, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Pictures that no other needs.
    pub disposable: u64,
    /// Pictures up to the next key picture.
    pub inter: u64,
    /// Key pictures.
    pub key: u64,
    /// Sound.
    pub sound: u64,
}

impl Dropped {
    /// All of them.
    pub fn sum(self) -> u64 {
        self.disposable + self.inter + self.key + self.sound
    }

    fn count(&mut self, class: Class) {
        match class {
            Class::Disposable => self.disposable += 1,
            Class::Inter => self.inter += 1,
            Class::Key => self.key += 1,
            Class::Sound | Class::Kept => self.sound += 1,
        }
    }
}

/// See the module's text.
#[derive(Debug)]
pub struct Queue {
    limits: QueueLimits,
    tags: VecDeque<(Tag, Class)>,
    bytes: usize,
    /// A group of pictures was cut: what refers to it must not be sent either.
    awaiting_keyframe: bool,
    dropped: Dropped,
    /// How many of the dropped were told of in a [`Loss`].
    reported: u64,
    /// It was told that pictures are left out, and it has not been empty since.
    thin: bool,
    /// Key pictures that were appended.
    keys: u64,
    /// What was left out since the queue was emptier.
    shed: Shed,
}

/// Looking through a long queue again for what was taken out of it would cost more than it frees.
#[derive(Clone, Copy, Debug, Default)]
struct Shed {
    disposable: bool,
    /// How many key pictures there had been.
    groups: Option<u64>,
}

/// Tags that were dropped, told of when there is something to do about it: a group of pictures longer
/// than the queue would tell of each of its pictures otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Pictures that no other needs are left out from here on, this many so far.
    Thinned(u64),
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
            dropped: Dropped::default(),
            reported: 0,
            thin: false,
            keys: 0,
            shed: Shed::default(),
        }
    }

    /// Tags dropped since the beginning.
    pub fn dropped(&self) -> Dropped {
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
        let first = self.tags.iter().find(|(_, class)| *class != Class::Kept);
        let (Some((first, _)), Some((last, _))) = (first, self.tags.back()) else {
            return Duration::ZERO;
        };
        let ms = last.timestamp().wrapping_sub(first.timestamp()) as i32;
        Duration::from_millis(u64::from(ms.max(0) as u32))
    }

    /// Whether a limit is reached.
    pub fn is_full(&self) -> bool {
        self.fill() >= EIGHTHS
    }

    /// How full it is, in eighths.
    fn fill(&self) -> u128 {
        let bytes = self.bytes as u128 * EIGHTHS / self.limits.bytes.max(1) as u128;
        let time = match self.limits.time {
            Duration::ZERO => 0,
            limit => self.time().as_millis() * EIGHTHS / limit.as_millis().max(1),
        };
        bytes.max(time)
    }

    /// Whether it is empty enough for a writer that waited to go on: at half of the limits, so that
    /// it does not wait again at once.
    pub fn has_room(&self) -> bool {
        self.bytes <= self.limits.bytes / 2
            && (self.limits.time.is_zero() || self.time() <= self.limits.time / 2)
    }

    /// Appends a tag whatever the limits say; not a picture that nobody could decode.
    pub fn push(&mut self, tag: Tag) {
        let class = Class::of(&tag);
        self.awaiting_keyframe &= class != Class::Key;
        if class.is_picture() && self.awaiting_keyframe {
            self.dropped.count(class);
            return;
        }
        self.append(tag, class);
    }

    fn append(&mut self, tag: Tag, class: Class) {
        self.bytes += tag.as_flv().len();
        self.keys += u64::from(class == Class::Key);
        self.tags.push_back((tag, class));
    }

    /// Appends a tag, and drops what a player can do without. `flows` says that the network takes
    /// something: where it does not, there is nothing to be gained before a limit is reached. Returns a
    /// loss once per cut, and once more where the stream goes on.
    pub fn push_or_drop(&mut self, tag: Tag, flows: bool) -> Option<Loss> {
        let class = Class::of(&tag);
        let before = self.dropped.sum();
        let mut fill = self.fill();
        self.thin &= fill > 0;
        if fill < SHED_DISPOSABLE {
            self.shed = Shed::default();
        } else if flows && !std::mem::replace(&mut self.shed.disposable, true) {
            self.drop_first(self.tags.len(), |class| class == Class::Disposable);
            fill = self.fill();
        }
        let thinned = self.dropped.sum() - before;
        if flows && fill >= SHED_INTER && self.shed.groups.replace(self.keys) != Some(self.keys) {
            self.shed_groups();
            fill = self.fill();
        }
        if fill >= EIGHTHS {
            self.cut();
        }
        let cut = self.dropped.sum() - before > thinned;
        let resumed = self.awaiting_keyframe && class == Class::Key;
        self.awaiting_keyframe &= !resumed;
        let leave_out = flows && class == Class::Disposable && fill >= SHED_DISPOSABLE;
        if leave_out || (class.is_picture() && self.awaiting_keyframe) {
            self.dropped.count(class);
        } else {
            self.append(tag, class);
        }
        let count = self.dropped.sum() - self.reported;
        let newly_thin = (thinned > 0 || leave_out) && !std::mem::replace(&mut self.thin, true);
        let loss = match () {
            () if count == 0 => return None,
            () if cut => Loss::Cut(count),
            () if resumed => Loss::Resumed(count),
            () if newly_thin => Loss::Thinned(count),
            () => return None,
        };
        self.reported += count;
        Some(loss)
    }

    /// What was sent is lost: goes on at the first key frame that waits, or with the next one to come.
    /// Headers and metadata that wait stay. Returns how many tags that costs.
    pub fn resume_at_keyframe(&mut self, has_pictures: bool) -> u64 {
        if !has_pictures {
            return 0;
        }
        let first = self.first_key();
        let before = self.dropped.sum();
        self.awaiting_keyframe = first.is_none();
        self.drop_first(first.unwrap_or(self.tags.len()), |_| true);
        self.reported = self.dropped.sum();
        self.reported - before
    }

    /// Whether pictures are left out until a key picture comes.
    pub fn awaits_keyframe(&self) -> bool {
        self.awaiting_keyframe
    }

    /// The timestamp of the tag that has waited longest.
    pub fn timestamp(&self) -> Option<u32> {
        self.front().map(Tag::timestamp)
    }

    /// The tag that has waited longest.
    pub fn front(&self) -> Option<&Tag> {
        self.tags.front().map(|(tag, _)| tag)
    }

    /// Takes the tag that has waited longest.
    pub fn pop(&mut self) -> Option<Tag> {
        let (tag, _) = self.tags.pop_front()?;
        self.bytes -= tag.as_flv().len();
        Some(tag)
    }

    fn first_key(&self) -> Option<usize> {
        self.tags.iter().position(|(_, class)| *class == Class::Key)
    }

    fn last_key(&self) -> Option<usize> {
        self.tags
            .iter()
            .rposition(|(_, class)| *class == Class::Key)
    }

    /// Drops the other pictures of all groups but the newest; of that too, if it has no key picture here,
    /// which means that its beginning is sent.
    fn shed_groups(&mut self) {
        match self.last_key() {
            Some(key) => self.drop_first(key, |class| {
                matches!(class, Class::Inter | Class::Disposable)
            }),
            None => self.shed_to_keyframe(),
        }
    }

    /// Drops all pictures but key pictures, and those that refer to them.
    fn shed_to_keyframe(&mut self) {
        self.awaiting_keyframe |= self.tags.iter().any(|(_, class)| class.is_picture());
        self.drop_first(self.tags.len(), |class| {
            matches!(class, Class::Inter | Class::Disposable)
        });
    }

    /// Drops until it is not full any more.
    fn cut(&mut self) {
        if let Some(key) = self.last_key().filter(|at| *at > 0) {
            self.drop_first(key, Class::is_picture);
            // What sounded then is older than any picture.
            let key = self.first_key().unwrap_or(0);
            self.drop_first(key, |_| true);
        }
        if self.is_full() {
            // One long group of pictures, or no picture at all.
            let old = self.oldest_half();
            self.awaiting_keyframe |= self.tags.iter().any(|(_, class)| class.is_picture());
            self.drop_first(old, |_| true);
            self.shed_to_keyframe();
        }
    }

    /// How many tags have to go so that half of the limits is left.
    fn oldest_half(&self) -> usize {
        let last = self.tags.back().map_or(0, |(tag, _)| tag.timestamp());
        let (mut bytes, mut count) = (self.bytes, 0);
        for (index, (tag, class)) in self.tags.iter().enumerate() {
            let span = last.wrapping_sub(tag.timestamp()) as i32;
            let span = Duration::from_millis(u64::from(span.max(0) as u32));
            let in_time = self.limits.time.is_zero() || span <= self.limits.time / 2;
            if *class == Class::Kept {
                continue;
            }
            if in_time && bytes <= self.limits.bytes / 2 {
                break;
            }
            bytes -= tag.as_flv().len();
            count = index + 1;
        }
        count
    }

    /// Drops, of the first `count` tags, what is neither a header nor metadata and is one of these.
    fn drop_first(&mut self, count: usize, which: impl Fn(Class) -> bool) {
        let mut rest = self.tags.split_off(count);
        let (bytes, dropped) = (&mut self.bytes, &mut self.dropped);
        self.tags.retain(|(tag, class)| {
            let goes = *class != Class::Kept && which(*class);
            if goes {
                *bytes -= tag.as_flv().len();
                dropped.count(*class);
            }
            !goes
        });
        self.tags.append(&mut rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(time: u32, key: bool) -> Tag {
        let head = if key { 0x17 } else { 0x27 };
        Tag::new(TagKind::Video, time, &[head, 1, 0, 0, 0, 1]).unwrap()
    }

    /// What flvmux makes of a B picture: an inter frame by its head, with a slice that none refers to.
    fn disposable(time: u32) -> Tag {
        let body = [0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x01, 9];
        Tag::new(TagKind::Video, time, &body).unwrap()
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
    fn pictures_that_none_needs_go_first() {
        let mut queue = queue(400);
        let mut losses = Vec::new();
        for at in 0..12u32 {
            let tag = match at % 3 {
                _ if at == 0 => video(0, true),
                1 => disposable(at * 20),
                _ => video(at * 20, false),
            };
            losses.extend(queue.push_or_drop(tag, true));
            losses.extend(queue.push_or_drop(audio(at * 20 + 5), true));
        }
        // Half full at 200 ms.
        assert_eq!(losses, [Loss::Thinned(4)]);
        let dropped = queue.dropped();
        assert_eq!((dropped.disposable, dropped.sum()), (4, 4));
        let left = drain(&mut queue);
        assert_eq!(
            left.iter()
                .filter(|tag| tag.kind() == TagKind::Audio)
                .count(),
            12
        );
        assert!(
            left.iter()
                .all(|tag| !tag.is_disposable() || tag.kind() == TagKind::Audio)
        );
    }

    #[test]
    fn then_the_rest_of_older_groups_and_no_sound() {
        let mut queue = queue(400);
        let mut losses = Vec::new();
        for at in 0..16u32 {
            losses.extend(queue.push_or_drop(video(at * 20, at % 6 == 0), true));
            losses.extend(queue.push_or_drop(audio(at * 20 + 5), true));
        }
        // At 300 ms: key pictures at 0, 120 and 240.
        assert_eq!(losses, [Loss::Cut(10)]);
        let dropped = queue.dropped();
        assert_eq!((dropped.inter, dropped.sum()), (10, 10));
        let left = drain(&mut queue);
        let pictures = left.iter().filter(|tag| tag.kind() == TagKind::Video);
        let times: Vec<_> = pictures.map(Tag::timestamp).collect();
        assert_eq!(times, [0, 120, 240, 260, 280, 300]);
        assert_eq!(left.len(), 6 + 16);
    }

    #[test]
    fn a_group_whose_beginning_is_sent_goes_to_its_end() {
        let mut queue = queue(400);
        let mut losses = Vec::new();
        for at in 0..17u32 {
            losses.extend(queue.push_or_drop(video(at * 20, false), true));
            losses.extend(queue.push_or_drop(audio(at * 20 + 5), true));
        }
        assert_eq!(losses, [Loss::Cut(16)]);
        assert_eq!(queue.dropped().inter, 17, "the next one too");
        assert_eq!(
            queue.push_or_drop(video(340, true), true),
            Some(Loss::Resumed(1))
        );
        let left = drain(&mut queue);
        assert_eq!(
            left.iter()
                .filter(|tag| tag.kind() == TagKind::Video)
                .count(),
            1
        );
        assert_eq!(left.len(), 18);
    }

    #[test]
    fn nothing_goes_before_a_limit_while_nothing_flows() {
        let mut queue = queue(400);
        for at in 0..20u32 {
            let tag = if at % 2 == 0 {
                disposable(at * 20)
            } else {
                video(at * 20, at == 1)
            };
            assert_eq!(queue.push_or_drop(tag, false), None);
        }
        assert_eq!(queue.dropped().sum(), 0);
    }

    #[test]
    fn full_it_begins_at_the_last_key_picture_and_headers_stay() {
        let mut queue = queue(100);
        let mut losses = Vec::new();
        for tag in [
            header(),
            video(0, true),
            audio(10),
            video(40, false),
            video(80, true),
            audio(90),
            video(120, false),
            video(160, false),
        ] {
            losses.extend(queue.push_or_drop(tag, false));
        }
        assert_eq!((losses, queue.dropped().sum()), (vec![Loss::Cut(3)], 3));
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
            [0, 40, 80, 120, 160].map(|time| queue.push_or_drop(video(time, time == 0), false));
        // Its key picture too, which is older than anything may be.
        assert_eq!(losses, [None, None, None, None, Some(Loss::Cut(5))]);
        assert_eq!(queue.push_or_drop(audio(210), false), None);
        assert_eq!(queue.push_or_drop(video(220, false), false), None);
        assert_eq!(
            queue.push_or_drop(video(240, true), false),
            Some(Loss::Resumed(1))
        );
        assert_eq!(queue.push_or_drop(video(280, false), false), None);
        assert_eq!(drain(&mut queue).last(), Some(&video(280, false)));
    }

    #[test]
    fn a_cut_at_a_key_frame_is_one_loss() {
        let mut queue = queue(100);
        for time in [0, 40, 80, 120] {
            queue.push_or_drop(video(time, time == 0), false);
        }
        let loss = queue.push_or_drop(video(160, true), false);
        assert!(matches!(loss, Some(Loss::Cut(3 | 4))), "{loss:?}");
        assert_eq!(drain(&mut queue).last(), Some(&video(160, true)));
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
    fn sound_is_bounded_too() {
        for pictures in [false, true] {
            let mut queue = queue(100);
            for i in 0..100 {
                queue.push_or_drop(audio(i * 10), true);
                if pictures {
                    queue.push_or_drop(video(i * 10, i % 50 == 0), true);
                }
                assert!(queue.time() <= Duration::from_millis(110));
            }
            let sound = queue.tags.iter().rev().find(|(_, c)| *c == Class::Sound);
            assert_eq!(sound.map(|(tag, _)| tag.timestamp()), Some(990));
        }
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
