// SPDX-License-Identifier: MPL-2.0

//! One stream that comes twice, from the server that is left and from the next one, made one again: no
//! tag twice, none left out.
//!
//! The two are put side by side at a key picture that both have brought. Which of them is ahead does not
//! matter, nor does it matter when the next server begins, or with which timestamps. Where they share
//! nothing, because the next server encodes anew, the stream is cut at a key picture instead.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
};

use super::{Headers, Tag, TagKind};

/// Tags of the first stream to remember: a group of pictures of a minute, with its sound.
const REMEMBERED: usize = 8192;
/// What may wait of the second.
const WAITING_TAGS: usize = 4096;
const WAITING_BYTES: usize = 16 << 20;
/// Key pictures of the second stream that find no counterpart before that is given up.
const FRUITLESS: usize = 4;
/// The same for sound alone, in ms.
const FRUITLESS_SOUND: u32 = 5_000;

/// A tag by what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Print {
    kind: TagKind,
    time: u32,
    hash: u64,
}

impl Print {
    fn of(tag: &Tag) -> Self {
        let mut hasher = DefaultHasher::new();
        tag.body().hash(&mut hasher);
        Self {
            kind: tag.kind(),
            time: tag.timestamp(),
            hash: hasher.finish(),
        }
    }

    fn at(self, shift: u32) -> Self {
        let time = self.time.wrapping_add(shift);
        Self { time, ..self }
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Splice {
    /// Of the first stream, media only.
    delivered: VecDeque<Print>,
    /// Of these, where decoding can begin.
    keys: VecDeque<Print>,
    /// Either stream has pictures.
    pictures: bool,
    /// Of the second stream; headers too, which have no print.
    waiting: VecDeque<(Tag, Option<Print>)>,
    bytes: usize,
    /// There is a key picture that was not looked for yet.
    news: bool,
}

/// The second stream goes on from here.
#[derive(Debug)]
pub struct Joined {
    /// What comes next, with the second stream's timestamps.
    pub tags: Vec<Tag>,
    /// What to add to timestamps of the second stream to go on with those of the first; `None` where
    /// they share nothing.
    pub shift: Option<u32>,
    /// What the first stream has brought already of what is still to come.
    pub seen: Seen,
}

/// Tags that are not to come twice.
#[derive(Debug, Default)]
pub struct Seen {
    /// With the second stream's timestamps.
    prints: HashSet<Print>,
    last: Option<u32>,
}

impl Seen {
    /// Whether a tag of the second stream was brought by the first.
    pub fn has(&mut self, tag: &Tag) -> bool {
        let Some(last) = self.last else {
            return false;
        };
        // Sound and pictures may be out of step by so much.
        if (tag.timestamp().wrapping_sub(last) as i32) > 5_000 {
            *self = Self::default();
            return false;
        }
        is_media(tag) && self.prints.remove(&Print::of(tag))
    }
}

impl Splice {
    /// A tag of the first stream that was handed on.
    pub fn delivered(&mut self, tag: &Tag) {
        if !is_media(tag) {
            return;
        }
        self.pictures |= tag.kind() == TagKind::Video;
        let print = Print::of(tag);
        if self.is_key(tag) {
            self.keys.push_back(print);
            self.news = true;
        }
        self.delivered.push_back(print);
        if self.delivered.len() > REMEMBERED
            && let Some(oldest) = self.delivered.pop_front()
            && self.keys.front() == Some(&oldest)
        {
            self.keys.pop_front();
        }
    }

    /// A tag of the second stream, which waits.
    pub fn push(&mut self, tag: Tag) {
        self.pictures |= tag.kind() == TagKind::Video && is_media(&tag);
        self.bytes += tag.as_flv().len();
        self.news |= self.is_key(&tag);
        let print = is_media(&tag).then(|| Print::of(&tag));
        self.waiting.push_back((tag, print));
    }

    /// Whether the second stream can take over.
    pub fn join(&mut self) -> Option<Joined> {
        let found = std::mem::take(&mut self.news).then(|| self.find());
        match found.flatten() {
            Some((at, shift)) => Some(self.join_at(at, shift)),
            None if self.is_fruitless() => Some(self.cut()),
            None => None,
        }
    }

    /// The first stream has ended: the second takes over as well as it can.
    pub fn end(&mut self) -> Joined {
        match self.find() {
            Some((at, shift)) => self.join_at(at, shift),
            None => self.cut(),
        }
    }

    /// Where in what waits there is a key picture that was delivered, and how far the times are apart.
    fn find(&self) -> Option<(usize, u32)> {
        let keys = || {
            let all = self.waiting.iter().enumerate();
            all.filter(|(_, (tag, _))| self.is_key(tag))
                .filter_map(|(at, (_, print))| Some((at, (*print)?)))
        };
        let same = |one: &Print, other: &Print| (one.kind, one.hash) == (other.kind, other.hash);
        // Most servers leave timestamps as they are. Then a picture is the same one, and else, of a
        // camera that looks at nothing, it may be another that looks the same.
        let exact = keys().find(|(_, print)| self.keys.contains(print));
        if let Some((at, _)) = exact {
            return Some((at, 0));
        }
        if !self.pictures {
            return None;
        }
        keys().find_map(|(at, print)| {
            let twin = self.keys.iter().filter(|key| same(key, &print));
            let twins: Vec<_> = twin.collect();
            let alone = keys().filter(|(_, other)| same(other, &print)).count() == 1;
            match twins.as_slice() {
                [twin] if alone => Some((at, twin.time.wrapping_sub(print.time))),
                _ => None,
            }
        })
    }

    fn join_at(&mut self, at: usize, shift: u32) -> Joined {
        // With the second stream's timestamps from here on.
        let back = 0u32.wrapping_sub(shift);
        let own: Vec<Print> = self.delivered.iter().map(|print| print.at(back)).collect();
        let last = |kind| {
            let times = own.iter().filter(|print| print.kind == kind);
            times.map(|print| print.time).next_back()
        };
        let last_sound = last(TagKind::Audio);
        let mut seen = Seen {
            last: own.last().map(|print| print.time),
            prints: own.iter().copied().collect(),
        };
        let mut tags = Vec::new();
        for (index, (tag, print)) in self.waiting.drain(..).enumerate() {
            let comes = match print {
                // Those before the picture configured what runs already.
                None => index > at,
                Some(print) if seen.prints.remove(&print) => false,
                // Sound that goes with what came before this picture may be behind it on one side, and
                // before it on the other.
                Some(print) if index < at => {
                    print.kind == TagKind::Audio
                        && last_sound.is_some_and(|last| (print.time.wrapping_sub(last) as i32) > 0)
                }
                Some(_) => true,
            };
            if comes {
                tags.push(tag);
            }
        }
        self.bytes = 0;
        Joined {
            tags,
            shift: Some(shift),
            seen,
        }
    }

    fn is_fruitless(&self) -> bool {
        if self.waiting.len() > WAITING_TAGS || self.bytes > WAITING_BYTES {
            return true;
        }
        if self.pictures {
            let keys = self.waiting.iter().filter(|(tag, _)| self.is_key(tag));
            return keys.count() >= FRUITLESS;
        }
        let mut media = self.waiting.iter().filter_map(|(_, print)| *print);
        let (first, last) = (media.next(), media.next_back());
        first
            .zip(last)
            .is_some_and(|(first, last)| last.time.wrapping_sub(first.time) > FRUITLESS_SOUND)
    }

    /// From the newest key picture on, its headers before it.
    fn cut(&mut self) -> Joined {
        let at = self.waiting.iter().rposition(|(tag, _)| self.is_key(tag));
        let rest = self.waiting.split_off(at.unwrap_or(self.waiting.len()));
        let mut headers = Headers::default();
        for (tag, _) in &self.waiting {
            headers.keep(tag);
        }
        let time = rest.front().or(self.waiting.back());
        let time = time.map_or(0, |(tag, _)| tag.timestamp());
        let mut tags: Vec<Tag> = headers.at(time).collect();
        tags.extend(rest.into_iter().map(|(tag, _)| tag));
        self.waiting.clear();
        self.bytes = 0;
        Joined {
            tags,
            shift: None,
            seen: Seen::default(),
        }
    }

    fn is_key(&self, tag: &Tag) -> bool {
        match self.pictures {
            true => tag.is_keyframe(),
            false => tag.kind() == TagKind::Audio && is_media(tag),
        }
    }
}

fn is_media(tag: &Tag) -> bool {
    tag.is_droppable()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picture(time: u32, key: bool) -> Tag {
        let mut body = vec![if key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
        body.extend((time / 20 % 0xfff0).to_be_bytes());
        Tag::new(TagKind::Video, time, &body).unwrap()
    }

    fn sound(time: u32) -> Tag {
        // Silence sounds the same.
        Tag::new(TagKind::Audio, time, &[0xaf, 1, 7]).unwrap()
    }

    fn header() -> Tag {
        Tag::new(TagKind::Video, 0, &[0x17, 0, 0, 0, 0, 1]).unwrap()
    }

    /// Media of some groups of eight pictures, 40 ms apart, with sound in between.
    fn stream(groups: u32) -> Vec<Tag> {
        (0..groups * 8)
            .flat_map(|n| [picture(n * 40, n % 8 == 0), sound(n * 40 + 20)])
            .collect()
    }

    fn shifted(tags: &[Tag], by: u32) -> Vec<Tag> {
        let at = |tag: &Tag| tag.clone().at(tag.timestamp().wrapping_add(by));
        tags.iter().map(at).collect()
    }

    /// Plays both, the first up to the join, and returns what came out; `order` says whose turn it is.
    fn spliced(
        first: &[Tag],
        second: &[Tag],
        order: impl IntoIterator<Item = bool>,
    ) -> (Vec<Tag>, Option<u32>) {
        let (mut splice, mut out) = (Splice::default(), Vec::new());
        let (mut first, mut second) = (first.iter(), second.iter());
        for turn in order.into_iter().chain(std::iter::repeat(true)) {
            match turn {
                true => match second.next() {
                    Some(tag) => splice.push(tag.clone()),
                    None => break,
                },
                false => {
                    if let Some(tag) = first.next() {
                        splice.delivered(tag);
                        out.push(tag.clone());
                    }
                }
            }
            if let Some(mut joined) = splice.join() {
                let shift = joined.shift.unwrap_or(0);
                out.extend(shifted(&joined.tags, shift));
                let rest = second.filter(|tag| !joined.seen.has(tag)).cloned();
                out.extend(shifted(&rest.collect::<Vec<_>>(), shift));
                return (out, joined.shift);
            }
        }
        (out, None)
    }

    proptest! {
        /// Whoever is ahead, wherever the second begins, whatever its clock says.
        #[test]
        fn nothing_is_lost_or_doubled(
            order in proptest::collection::vec(any::<bool>(), 0..150),
            from in 0usize..8,
            shift in prop_oneof![Just(0u32), any::<u32>()],
        ) {
            let all = stream(12);
            // Servers begin at a key picture, behind the headers.
            let mut second = vec![header()];
            second.extend(all[from * 16..].iter().cloned());
            let second = shifted(&second, shift);
            // The first is ahead enough that the streams overlap.
            let order = std::iter::repeat_n(false, from * 16).chain(order);
            let (out, joined) = spliced(&all, &second, order);
            if let Some(found) = joined {
                prop_assert_eq!(found, 0u32.wrapping_sub(shift));
                prop_assert_eq!(out, all);
            } else {
                // They never met: the first gave nothing that the second has, too.
                prop_assert!(from * 16 > 0 || out.len() < 200);
            }
        }
    }

    #[test]
    fn sound_on_the_other_side_of_the_picture_is_neither_lost_nor_doubled() {
        let first = [
            picture(0, true),
            sound(10),
            picture(40, false),
            sound(70),
            picture(80, true),
            sound(90),
        ];
        // Another server sent what is at 70 behind the picture, and what is at 78 before it.
        let second = [sound(10), picture(40, false), sound(78), picture(80, true)];
        let second = [&second[..], &[sound(70), sound(90), sound(100)]].concat();
        let order = [vec![false; 5], vec![true; 4]].concat();
        let (out, shift) = spliced(&first, &second, order);
        assert_eq!(shift, Some(0));
        let mut times: Vec<_> = out.iter().map(Tag::timestamp).collect();
        times.sort_unstable();
        assert_eq!(times, [0, 10, 40, 70, 78, 80, 90, 100]);
    }

    #[test]
    fn streams_that_share_nothing_are_cut_at_a_key_picture() {
        let other: Vec<Tag> = stream(6)
            .iter()
            .map(|tag| {
                let mut body = tag.body().to_vec();
                body.push(9);
                Tag::new(tag.kind(), tag.timestamp(), &body).unwrap()
            })
            .collect();
        let first = stream(6);
        let second = [vec![header()], other].concat();
        let order = std::iter::repeat_n([false, true], 70).flatten();
        let (out, shift) = spliced(&first, &second, order);
        assert_eq!(shift, None);
        let cut = out
            .iter()
            .position(|tag| *tag == header().at(tag.timestamp()));
        let cut = cut.expect("its headers");
        assert_eq!(out[..cut], first[..cut]);
        assert!(out[cut + 1].is_keyframe());
        assert!(second.ends_with(&out[cut + 1..]));
    }

    #[test]
    fn pictures_that_look_the_same_are_not_taken_for_each_other() {
        let still = |time| Tag::new(TagKind::Video, time, &[0x17, 1, 0, 0, 0, 5]).unwrap();
        let mut splice = Splice::default();
        splice.delivered(&still(0));
        splice.delivered(&still(1000));
        splice.push(still(77));
        assert!(splice.join().is_none(), "which one?");
        splice.push(still(1000));
        assert_eq!(splice.join().unwrap().shift, Some(0));
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut splice = Splice::default();
        for time in 0..20_000 {
            splice.delivered(&picture(time * 40, false));
        }
        assert!(splice.delivered.len() <= REMEMBERED);
        splice.push(picture(5, true));
        let mut pushed = 0;
        while splice.join().is_none() {
            splice.push(sound(pushed));
            pushed += 1;
        }
        assert!(pushed as usize <= WAITING_TAGS);
    }

    #[test]
    fn sound_alone_is_joined_by_its_time() {
        let all: Vec<Tag> = (0..50).map(|n| sound(n * 20)).collect();
        let order = [vec![false; 20], vec![true; 30]].concat();
        let (out, shift) = spliced(&all, &all[10..], order);
        assert_eq!((out, shift), (all, Some(0)));
    }
}
