// SPDX-License-Identifier: MPL-2.0

//! Where tags are in time: the 32-bit milliseconds of the wire become a DTS that does not wrap, and
//! a segment says when that is in the pipeline. Knows neither element nor clock.
//!
//! The DTS has to be what flvdemux makes of the same tags, for it takes our segment and its own
//! timestamps: that of the wire, and after a step back, the one before the step.

use gst::ClockTime;

/// From this far back it is another time line rather than loose interleaving; flvdemux draws the
/// line at the same place (`RESYNC_THRESHOLD`).
const STEP_BACK: i64 = -2_000;
/// A live tag this far ahead of the clock that also leaves a gap of this length is from another time
/// line; without one of the two it is a burst, or a silence. In ms.
const STEP_AHEAD: i64 = 5_000;
/// What a live segment leaves before its first tag, for those of the other lane that are older. In ms.
const BACK: u64 = 500;

/// The same of a recording that begins in the middle, which waits that long. In ms.
const BACK_RECORDED: u64 = 100;

/// How long live tags are late by about the same before that is taken for the stream's new place:
/// who only makes up for a stall comes nearer meanwhile.
const BEHIND: ClockTime = ClockTime::from_seconds(2);
/// Lateness that falls by this much is being made up for, and less than this is none: arrivals vary.
const NEARER: ClockTime = ClockTime::from_mseconds(100);
/// How often a live stream's place is compared with the clock, in ms of its own time.
const COMPARE: u64 = 100;

/// Tags whose times belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Sound.
    Sound,
    /// Pictures.
    Picture,
    /// Metadata and decoder configuration, to which servers give any timestamp they like.
    Aside,
}

/// A new segment, which begins before the tag that it comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchor {
    /// Start and stream time.
    pub(super) start: ClockTime,
    /// Running time of `start`.
    pub(super) base: ClockTime,
}

/// Where a tag belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) dts: ClockTime,
    pub(super) anchor: Option<Anchor>,
}

/// See the module's text.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Whether tags are in time when they arrive; others are when the pipeline is ready for them.
    live: bool,
    /// How late live tags may be for the pipeline to show them in time.
    latency: ClockTime,
    /// Since when tags are late, and by how much they were then.
    late: Option<(ClockTime, ClockTime)>,
    /// DTS at the last comparison with the clock, ms.
    compared: u64,
    latest: Option<Point>,
    sound: Option<Point>,
    picture: Option<Point>,
    /// The next tag is the first of another stream.
    cut: bool,
    /// The next tag is somewhere around this position, and the segment is known.
    sought: Option<u64>,
    /// Of the segment, ms.
    start: u64,
    base: ClockTime,
    /// The greatest running time so far.
    furthest: ClockTime,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    wire: u32,
    /// In ms.
    dts: u64,
}

impl Point {
    fn delta(self, wire: u32) -> i64 {
        i64::from(wire.wrapping_sub(self.wire) as i32)
    }

    fn plus(self, delta: i64) -> u64 {
        self.dts.saturating_add_signed(delta)
    }
}

impl Timeline {
    /// `latency` is what the pipeline was told to make up for.
    pub(super) fn new(live: bool, latency: ClockTime) -> Self {
        Self {
            live,
            latency: latency.max(NEARER),
            ..Self::default()
        }
    }

    /// Whether no tag has said yet where the stream is.
    pub(super) fn is_open(&self) -> bool {
        self.latest.is_none() || self.cut || self.sought.is_some()
    }

    /// The timestamp that a stream which follows this one has to begin with, to be in time `now`
    /// and on the same time line; `None` where nothing has come yet.
    pub(super) fn resume(&self, now: ClockTime) -> Option<u32> {
        let points = [self.latest, self.sound, self.picture];
        let latest = points.into_iter().flatten().max_by_key(|point| point.dts)?;
        let gone = now.saturating_sub(self.running(latest.dts)).mseconds();
        Some(latest.wire.wrapping_add(gone as u32))
    }

    /// What follows is from a position that was sought, in a segment the element knows.
    pub(super) fn seek(&mut self, start: ClockTime, base: ClockTime) {
        self.start = start.mseconds();
        self.base = base;
        self.furthest = base;
        self.sought = Some(self.start);
        self.cut = false;
        self.late = None;
    }

    /// What follows is not what was sought.
    pub(super) fn seek_failed(&mut self) {
        self.sought = None;
        self.cut = true;
    }

    /// Places the next tag; `now` is the running time, asked for only when it matters.
    pub(super) fn place(
        &mut self,
        lane: Lane,
        wire: u32,
        now: impl FnOnce() -> ClockTime,
    ) -> Place {
        if lane == Lane::Aside
            && let Some(latest) = self.latest
        {
            let delta = latest.delta(wire);
            let near = (STEP_BACK..=-STEP_BACK).contains(&delta);
            let dts = latest.plus(if near { delta } else { 0 });
            return Place {
                dts: ClockTime::from_mseconds(dts),
                anchor: None,
            };
        }
        if let Some(target) = self.sought.take() {
            let target = Point {
                wire: target as u32,
                dts: target,
            };
            (self.sound, self.picture) = (None, None);
            return self.put(lane, wire, target.plus(target.delta(wire)), None);
        }
        let cut = std::mem::take(&mut self.cut);
        let Some(latest) = self.latest else {
            let dts = u64::from(wire);
            let anchor = self.anchor(dts, now);
            return self.put(lane, wire, dts, Some(anchor));
        };
        let delta = latest.delta(wire);
        let dts = latest.plus(delta);
        let lane_before = match lane {
            Lane::Picture => self.picture,
            Lane::Sound | Lane::Aside => self.sound,
        };
        match lane_before {
            Some(before) if before.delta(wire) <= STEP_BACK => {
                // The other lane follows in its own time.
                (self.sound, self.picture) = (None, None);
                let anchor = self.anchor(before.dts, now);
                return self.put(lane, wire, before.dts, Some(anchor));
            }
            _ if cut => {
                let anchor = self.anchor(dts, now);
                return self.put(lane, wire, dts, Some(anchor));
            }
            _ if self.live && delta > STEP_AHEAD => {
                let now = now();
                if self.running(dts) > now + ClockTime::from_mseconds(STEP_AHEAD as u64) {
                    let anchor = self.anchor(dts, || now);
                    return self.put(lane, wire, dts, Some(anchor));
                }
            }
            _ if self.live && dts >= self.compared + COMPARE => {
                self.compared = dts;
                let now = now();
                if self.fell_behind(dts, now) {
                    let anchor = self.anchor(dts, || now);
                    return self.put(lane, wire, dts, Some(anchor));
                }
            }
            _ => {}
        }
        self.put(lane, wire, dts, None)
    }

    fn put(&mut self, lane: Lane, wire: u32, dts: u64, anchor: Option<Anchor>) -> Place {
        let point = Some(Point { wire, dts });
        self.latest = point;
        match lane {
            Lane::Sound => self.sound = point,
            Lane::Picture => self.picture = point,
            Lane::Aside => {}
        }
        self.furthest = self.furthest.max(self.running(dts));
        Place {
            dts: ClockTime::from_mseconds(dts),
            anchor,
        }
    }

    /// Whether live tags have come too late for so long that they always will: the publisher paused,
    /// or its clock is slower. Sinks would show nothing ever again.
    fn fell_behind(&mut self, dts: u64, now: ClockTime) -> bool {
        let lateness = now.saturating_sub(self.running(dts));
        if lateness <= self.latency {
            self.late = None;
            return false;
        }
        match self.late {
            Some((since, then)) if lateness + NEARER > then => now.saturating_sub(since) >= BEHIND,
            _ => {
                self.late = Some((now, lateness));
                false
            }
        }
    }

    fn anchor(&mut self, dts: u64, now: impl FnOnce() -> ClockTime) -> Anchor {
        let (back, at) = if self.live {
            let at = self.furthest.max(now());
            (BACK.min(dts).min(at.mseconds()), at)
        } else {
            // A recording begins with its first tag, or at 0 if that is near.
            let at = self.furthest;
            let first = self.latest.is_none() && dts <= BACK;
            (if first { dts } else { BACK_RECORDED.min(dts) }, at)
        };
        self.start = dts - back;
        self.late = None;
        self.compared = dts;
        self.base = if self.live {
            at - ClockTime::from_mseconds(back)
        } else {
            at
        };
        Anchor {
            start: ClockTime::from_mseconds(self.start),
            base: self.base,
        }
    }

    fn running(&self, dts: u64) -> ClockTime {
        self.base + ClockTime::from_mseconds(dts.saturating_sub(self.start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> ClockTime {
        ClockTime::from_mseconds(ms)
    }

    /// Places pictures and returns their DTS in ms; anchors only where `anchors` says.
    fn dts(timeline: &mut Timeline, tags: &[(u32, bool)]) -> Vec<u64> {
        tags.iter()
            .map(|&(wire, anchored)| {
                let place = timeline.place(Lane::Picture, wire, || ms(0));
                assert_eq!(place.anchor.is_some(), anchored, "{wire}");
                place.dts.mseconds()
            })
            .collect()
    }

    #[test]
    fn the_wire_wraps_and_the_dts_does_not() {
        let mut timeline = Timeline::new(false, ms(100));
        let wires = [
            (0x7fff_ffff, true),
            (0x8000_0001, false),
            (0xffff_fff0, false),
            (4, false),
            (0xffff_fffe, false),
            (40, false),
        ];
        let expected = [
            0x7fff_ffff,
            0x8000_0001,
            0xffff_fff0,
            0x1_0000_0004,
            0xffff_fffe,
            0x1_0000_0028,
        ];
        assert_eq!(dts(&mut timeline, &wires), expected);
    }

    #[test]
    fn loose_interleaving_is_no_step() {
        let mut timeline = Timeline::new(true, ms(100));
        for (lane, wire) in [
            (Lane::Sound, 10_000),
            (Lane::Picture, 7_000),
            (Lane::Sound, 10_020),
            (Lane::Picture, 7_040),
            (Lane::Picture, 6_000),
        ] {
            let place = timeline.place(lane, wire, || ms(0));
            assert_eq!(place.dts, ms(wire.into()));
            assert_eq!(place.anchor.is_some(), wire == 10_000);
        }
    }

    #[test]
    fn a_step_back_goes_on_where_it_was_and_when_it_is() {
        let mut timeline = Timeline::new(true, ms(100));
        let place = timeline.place(Lane::Picture, 60_000, || ms(100));
        let anchor = place.anchor.unwrap();
        assert_eq!((anchor.start, anchor.base), (ms(59_900), ms(0)));
        timeline.place(Lane::Sound, 60_010, || unreachable!());
        let place = timeline.place(Lane::Picture, 0, || ms(20_000));
        assert_eq!(place.dts, ms(60_000));
        let anchor = place.anchor.unwrap();
        assert_eq!((anchor.start, anchor.base), (ms(59_500), ms(19_500)));
        let place = timeline.place(Lane::Sound, 5, || unreachable!());
        assert_eq!((place.dts, place.anchor), (ms(60_005), None));
    }

    #[test]
    fn running_time_never_goes_back() {
        let mut timeline = Timeline::new(true, ms(100));
        timeline.place(Lane::Picture, 0, || ms(0));
        timeline.place(Lane::Picture, 3_000, || ms(0));
        let anchor = timeline
            .place(Lane::Picture, 0, || ms(1_000))
            .anchor
            .unwrap();
        assert_eq!(anchor.base + ms(500), ms(3_000));
    }

    #[test]
    fn a_gap_is_a_step_only_when_it_is_ahead_of_the_clock() {
        let mut timeline = Timeline::new(true, ms(100));
        timeline.place(Lane::Picture, 0, || ms(0));
        let silence = timeline.place(Lane::Picture, 60_000, || ms(60_000));
        assert_eq!(silence.anchor, None);
        let step = timeline.place(Lane::Picture, 600_000, || ms(60_040));
        assert_eq!(step.anchor.unwrap().base + ms(500), ms(60_040));
        // A burst: faster than real time, but without a gap.
        for wire in (600_040..700_000).step_by(40) {
            let place = timeline.place(Lane::Picture, wire, || ms(60_040));
            assert_eq!(place.anchor, None);
        }
    }

    /// Places pictures 40 ms apart, each this much after its time, and counts anchors.
    fn late(
        timeline: &mut Timeline,
        wires: std::ops::Range<u32>,
        by: impl Fn(u32) -> u64,
    ) -> usize {
        wires
            .step_by(40)
            .map(|wire| timeline.place(Lane::Picture, wire, || ms(u64::from(wire) + by(wire))))
            .filter(|place| place.anchor.is_some())
            .count()
    }

    #[test]
    fn a_stream_that_fell_behind_is_anchored_anew() {
        let mut timeline = Timeline::new(true, ms(100));
        assert_eq!(late(&mut timeline, 0..10_000, |_| 0), 1);
        assert_eq!(late(&mut timeline, 10_000..12_000, |_| 3_000), 0, "not yet");
        assert_eq!(late(&mut timeline, 12_000..20_000, |_| 3_000), 1);
        let place = timeline.place(Lane::Picture, 20_000, || ms(23_000));
        assert_eq!(timeline.running(place.dts.mseconds()), ms(23_000));
    }

    #[test]
    fn a_stream_that_makes_up_for_a_stall_is_left_alone() {
        let mut timeline = Timeline::new(true, ms(100));
        late(&mut timeline, 0..10_000, |_| 0);
        // Ten seconds, made up for at twice the speed.
        let lag = |wire: u32| u64::from(20_000u32.saturating_sub(wire / 2 + 5_000).min(10_000));
        assert_eq!(late(&mut timeline, 10_000..40_000, lag), 0);
        // Jitter within the latency.
        assert_eq!(late(&mut timeline, 40_000..60_000, |_| 90), 0);
    }

    #[test]
    fn what_goes_aside_moves_nothing() {
        let mut timeline = Timeline::new(true, ms(100));
        timeline.place(Lane::Picture, 90_000, || ms(0));
        assert_eq!(timeline.place(Lane::Aside, 0, || ms(0)).dts, ms(90_000));
        assert_eq!(
            timeline.place(Lane::Aside, 90_030, || ms(0)).dts,
            ms(90_030)
        );
        let next = timeline.place(Lane::Picture, 90_040, || ms(0));
        assert_eq!((next.dts, next.anchor), (ms(90_040), None));
    }

    #[test]
    fn another_stream_goes_on_behind_the_first() {
        let mut timeline = Timeline::new(true, ms(100));
        assert_eq!(timeline.resume(ms(0)), None);
        timeline.place(Lane::Picture, u32::MAX - 999, || ms(100));
        timeline.place(Lane::Picture, 0, || ms(1_100));
        // 8 s after the last tag, which was due at 1.1 s; and not before it, if it came early.
        assert_eq!(timeline.resume(ms(9_100)), Some(8_000));
        assert_eq!(timeline.resume(ms(500)), Some(0));
        let place = timeline.place(Lane::Sound, 8_000, || ms(9_100));
        assert_eq!(place.anchor, None);
        assert_eq!(timeline.running(place.dts.mseconds()), ms(9_100));
    }

    #[test]
    fn a_seek_keeps_the_segment_it_was_given() {
        let mut timeline = Timeline::new(false, ms(100));
        timeline.place(Lane::Picture, 0, || ms(0));
        timeline.place(Lane::Picture, 9_000, || ms(0));
        timeline.seek(ms(3_000), ms(0));
        let place = timeline.place(Lane::Picture, 2_000, || ms(0));
        assert_eq!((place.dts, place.anchor), (ms(2_000), None));
        timeline.seek_failed();
        let place = timeline.place(Lane::Picture, 2_040, || ms(0));
        assert_eq!(place.anchor.unwrap().start, ms(1_940));
    }

    #[test]
    fn a_recording_begins_with_its_first_tag() {
        for (wire, start) in [(0, 0), (23, 0), (7_000, 6_900)] {
            let mut timeline = Timeline::new(false, ms(100));
            let place = timeline.place(Lane::Picture, wire, || unreachable!());
            let anchor = place.anchor.unwrap();
            assert_eq!((anchor.start, anchor.base), (ms(start), ms(0)));
        }
    }
}
