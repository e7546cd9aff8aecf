// SPDX-License-Identifier: MPL-2.0

//! The enumerations that properties of webmhttpsink take.

use crate::protocol::webm;

/// What the time codes of the stream are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstWebmHttpSinkTimecodes")]
pub enum Timecodes {
    /// Those of the muxer.
    #[enum_value(
        name = "Those of the muxer, as long as they go forward",
        nick = "source"
    )]
    Source = 0,
    /// Milliseconds since 1970.
    #[default]
    #[enum_value(
        name = "The time of day, which goes on over a restart of the whole process",
        nick = "wall-clock"
    )]
    WallClock = 1,
    /// On from where they were.
    #[enum_value(
        name = "Those of the muxer, and after a restart of the stream on from where they were",
        nick = "continuing"
    )]
    Continuing = 2,
}

impl From<Timecodes> for webm::Timecodes {
    fn from(timecodes: Timecodes) -> Self {
        match timecodes {
            Timecodes::Source => Self::Source,
            Timecodes::WallClock => Self::WallClock,
            Timecodes::Continuing => Self::Continuing,
        }
    }
}

/// What becomes of those who watch when the stream ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstWebmHttpSinkSourceLoss")]
pub enum SourceLoss {
    /// Players show that it is over.
    #[default]
    #[enum_value(name = "End the responses, as at the end of a file", nick = "close")]
    Close = 0,
    /// Players wait.
    #[enum_value(name = "Keep the connections for a stream to come", nick = "hold")]
    Hold = 1,
}

/// What becomes of those who watch when another stream begins that their players were not set up for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstWebmHttpSinkNewHeader")]
pub enum NewHeader {
    /// Players show that it is over; the page with the low-latency mode begins anew.
    #[default]
    #[enum_value(name = "End the responses", nick = "end")]
    End = 0,
    /// Players come again by themselves, for better or worse.
    #[enum_value(name = "Reset the connections", nick = "restart")]
    Restart = 1,
}
