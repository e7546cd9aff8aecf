// SPDX-License-Identifier: MPL-2.0

//! Where tags are in time: the 32-bit milliseconds of the wire become a time that does not wrap.
//!
//! A step back of [`STEP_BACK`] or more is another time line, as when files were concatenated or a
//! publisher came back, and goes on where the old one was. flvdemux does the same, and rtmpsrc counts
//! on it.

/// In ms; flvdemux's `RESYNC_THRESHOLD`.
const STEP_BACK: i64 = -2_000;

/// The time of one kind of tags, pictures or sound.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lane {
    last: Option<Point>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    wire: u32,
    /// In ms.
    time: i64,
}

/// When a tag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// In ms; below 0 only around the beginning of a stream whose clock wraps there.
    pub(super) time: i64,
    /// It does not follow on the tag before.
    pub(super) step: bool,
}

impl Lane {
    /// Places the next tag. `other` is the lane beside, by which the first is placed.
    pub(super) fn place(&mut self, wire: u32, other: Self) -> Place {
        let place = match (self.last, other.last) {
            (Some(last), _) => {
                let delta = i64::from(wire.wrapping_sub(last.wire) as i32);
                let step = delta <= STEP_BACK;
                Place {
                    time: last.time + if step { 0 } else { delta },
                    step,
                }
            }
            (None, Some(other)) => Place {
                time: other.time + i64::from(wire.wrapping_sub(other.wire) as i32),
                step: false,
            },
            (None, None) => Place {
                time: wire.into(),
                step: false,
            },
        };
        self.last = Some(Point {
            wire,
            time: place.time,
        });
        place
    }

    /// Forgets where it was: after a seek the next tag says where it is.
    pub(super) fn reset(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(wires: &[u32]) -> Vec<i64> {
        let mut lane = Lane::default();
        let other = Lane::default();
        let place = |wire: &u32| lane.place(*wire, other).time;
        wires.iter().map(place).collect()
    }

    #[test]
    fn the_clock_wraps() {
        assert_eq!(times(&[0, 40, 80]), [0, 40, 80]);
        assert_eq!(
            times(&[u32::MAX - 39, 0, 40]),
            [i64::from(u32::MAX) - 39, 1 << 32, (1 << 32) + 40]
        );
        assert_eq!(
            times(&[0x7fff_fff0, 0x8000_0010]),
            [0x7fff_fff0, 0x8000_0010]
        );
    }

    #[test]
    fn sixty_days_are_sixty_days() {
        let mut lane = Lane::default();
        let day = 24 * 3600 * 1000u64;
        for ms in (0..60 * day).step_by(10_000) {
            let place = lane.place(ms as u32, Lane::default());
            assert_eq!((place.time, place.step), (ms as i64, false));
        }
    }

    #[test]
    fn steps_back_go_on() {
        let mut lane = Lane::default();
        let other = Lane::default();
        for (wire, time, step) in [
            (10_000, 10_000, false),
            (8_001, 8_001, false),
            (6_001, 8_001, true),
            (6_041, 8_041, false),
        ] {
            assert_eq!(lane.place(wire, other), Place { time, step });
        }
    }

    #[test]
    fn a_lane_begins_beside_the_other() {
        let mut sound = Lane::default();
        let mut picture = Lane::default();
        sound.place(5, Lane::default());
        // A B-frame's first DTS, before 0.
        assert_eq!(picture.place(u32::MAX - 34, sound).time, -35);
        assert_eq!(picture.place(5, sound).time, 5);
    }
}
