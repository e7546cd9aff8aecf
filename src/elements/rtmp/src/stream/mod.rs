// SPDX-License-Identifier: MPL-2.0

//! What flows: one connection, or one publisher after another, turned into buffers. Lives on the
//! streaming thread; an interrupted wait goes on where it was.

mod call;
mod ends;
mod media;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use gst::{ClockTime, ProgressType, prelude::*};
use gst_base::prelude::*;

use super::{RtmpSrc, announce::Progress, board::Board, imp::CAT, timeline::Timeline};
use crate::{
    elements::rtmp::{
        attempts, callers,
        error::Failure,
        kinds::Mode,
        settings::{Role, Settings},
        stats::{CallerStats, State},
    },
    net::{
        connection::ConnectionError,
        interrupt::Interrupt,
        porter::{Caller, Mail},
        receiver::{ReceiveError, Received, Receiver},
        reconnect::Reconnect,
        redirect::{self, Redirects},
    },
    protocol::{
        flv::{Tag, TagKind},
        rtmp::session::Stage,
    },
};

/// How long metadata and decoder configuration wait for the tag that says where the stream is in
/// time. It follows at once unless the publisher has nothing to send.
const HOLD: Duration = Duration::from_millis(200);
/// As many tags of these. A stream of nothing but data is not held up.
const HELD: usize = 16;
/// How often the kernel is asked for its estimate of the round trip.
const ROUND_TRIP: Duration = Duration::from_secs(1);

/// Why there is no next buffer.
enum Halt {
    /// The wait was interrupted.
    Interrupted,
    /// The stream is over.
    Ended,
    /// It failed.
    Failed(Failure),
}

impl From<Option<Failure>> for Halt {
    fn from(failure: Option<Failure>) -> Self {
        failure.map_or(Self::Interrupted, Self::Failed)
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct Stream {
    settings: Settings,
    interrupt: Arc<Interrupt>,
    board: Arc<Board>,
    mail: Arc<Mail>,
    receiver: Option<Receiver>,
    /// Media may come.
    running: bool,
    /// Nothing will come any more, unless it is sought.
    over: bool,
    guest: Option<Caller>,
    guests: u32,
    progress: Progress,
    timeline: Timeline,
    held: Vec<Tag>,
    /// The next tag with a time is the first of another publisher.
    follows: bool,
    /// What the timestamps of the present publisher are moved by. Left as they are, every demuxer
    /// would have to find out for itself, one lane after the other, that time began anew, and
    /// flvdemux loses sound and picture from each other over it.
    shift: u32,
    /// The next buffer does not continue the last.
    discont: bool,
    out: VecDeque<gst::Buffer>,
    /// The file header was sent.
    began: bool,
    /// It has gone downstream, and a segment before it.
    flows: bool,
    /// To be sent when it has.
    tags: Option<gst::TagList>,
    /// A position to ask the server for, ms.
    seek: Option<u32>,
    round_trip_due: Option<Instant>,
    reconnect: Reconnect,
    /// When to connect again, and which attempt that is.
    retry: Option<(Instant, u32)>,
    redirects: Redirects,
    /// Where the connection leads.
    present: Option<redirect::Place>,
    /// Where it is to lead next.
    next_place: Option<redirect::Place>,
    /// Where a server sent us, to be tried before all others.
    redirect: Option<redirect::Place>,
    /// Connections tried since then, which says whose turn it is.
    tried: usize,
    /// What was lost was closed in good order, only without an end of the stream.
    clean: bool,
}

impl Stream {
    pub(super) fn new(
        settings: Settings,
        interrupt: Arc<Interrupt>,
        board: Arc<Board>,
        mail: Arc<Mail>,
        live: bool,
    ) -> Self {
        let latency = settings.latency.try_into().unwrap_or_default();
        let policy = settings.reconnect_policy();
        Self {
            settings,
            interrupt,
            board,
            mail,
            receiver: None,
            running: false,
            over: false,
            guest: None,
            guests: 0,
            progress: Progress::default(),
            timeline: Timeline::new(live, latency),
            held: Vec::new(),
            follows: false,
            shift: 0,
            discont: false,
            out: VecDeque::new(),
            began: false,
            flows: false,
            tags: None,
            seek: None,
            round_trip_due: None,
            reconnect: Reconnect::new(policy),
            retry: None,
            redirects: Redirects::default(),
            present: None,
            next_place: None,
            redirect: None,
            tried: 0,
            clean: false,
        }
    }

    /// Waits for the next buffer.
    ///
    /// # Errors
    /// `Flushing` when interrupted; `Eos` when the stream is over, which includes failures: these
    /// have then been posted, and any other answer would make the base class post a second error.
    pub(super) fn next(&mut self, element: &RtmpSrc) -> Result<gst::Buffer, gst::FlowError> {
        loop {
            if self.flows
                && let Some(tags) = self.tags.take()
            {
                element.src_pad().push_event(gst::event::Tag::new(tags));
            }
            if let Some(buffer) = self.out.pop_front() {
                self.flows = true;
                return Ok(buffer);
            }
            if self.over {
                // flvdemux takes an end before the header for an error and posts that one too.
                return Err(if self.began {
                    gst::FlowError::Eos
                } else {
                    gst::FlowError::Flushing
                });
            }
            match self.step(element) {
                Ok(()) => {}
                Err(Halt::Interrupted) => return Err(gst::FlowError::Flushing),
                Err(Halt::Ended) => {
                    gst::info!(CAT, obj = element, "The stream has ended");
                    self.release(element);
                    self.finish();
                    if self.settings.mode == Mode::Listener {
                        // Nobody else is to come, and others may listen for this now.
                        self.close();
                    }
                    if !self.began {
                        self.begin(ClockTime::ZERO);
                    }
                }
                Err(Halt::Failed(failure)) => {
                    self.finish();
                    self.close();
                    let text = "The connection failed";
                    self.progress
                        .end(element.upcast_ref(), ProgressType::Error, text);
                    failure.post(element.upcast_ref(), &self.settings);
                }
            }
        }
    }

    /// Forgets what is on its way and asks for this position next; `segment` is the element's.
    pub(super) fn seek(&mut self, segment: &gst::FormattedSegment<ClockTime>) {
        let start = segment.start().unwrap_or_default();
        self.out.clear();
        self.held.clear();
        self.timeline
            .seek(start, segment.base().unwrap_or_default());
        self.seek = Some(start.mseconds().try_into().unwrap_or(u32::MAX));
        self.over = false;
    }

    /// Whether a position can be asked for: the connection is there.
    pub(super) fn is_open(&self) -> bool {
        self.receiver.is_some()
    }

    /// Takes leave without waiting.
    pub(super) fn stop(mut self, element: &RtmpSrc) {
        if let Some(guest) = self.guest.take() {
            let id = u64::from(self.guests);
            callers::removed(element.upcast_ref(), id, &guest, "ended");
        }
        let text = "Stopped while connecting";
        self.progress
            .end(element.upcast_ref(), ProgressType::Canceled, text);
        self.close();
    }

    fn close(&mut self) {
        if let Some(receiver) = self.receiver.take() {
            receiver.close();
        }
    }

    fn finish(&mut self) {
        self.over = true;
        self.running = false;
        self.board.notes().stats.state = State::Idle;
    }

    fn step(&mut self, element: &RtmpSrc) -> Result<(), Halt> {
        let patience = self.patience();
        let Some(receiver) = &mut self.receiver else {
            return self.open(element);
        };
        if self.seek.is_some()
            && let Some(connection) = receiver.connection()
            && connection.stage() == Stage::Running
            && let Some(session) = connection.session()
            && let Some(position) = self.seek.take()
        {
            gst::debug!(CAT, obj = element, "Seeking to {position} ms");
            session.seek(Instant::now(), position);
            self.running = true;
            self.board.notes().stats.state = State::Streaming;
        }
        match receiver.next(patience) {
            Ok(Received::Media(tag)) if self.is_past_stop(&tag) => Err(Halt::Ended),
            Ok(Received::Media(tag)) => {
                self.note(&tag);
                self.media(element, tag);
                Ok(())
            }
            Ok(received) => self.happened(element, received),
            Err(ReceiveError::Interrupted) => Err(Halt::Interrupted),
            Err(ReceiveError::Claim(error)) => Err(Failure::claim(Role::Source, &error).into()),
            Err(ReceiveError::Connection(error)) => self.lost(element, &error),
        }
    }

    /// Whether a recording has come to where it is to end: nginx-rtmp 1.2 is told, and plays on.
    fn is_past_stop(&self, tag: &Tag) -> bool {
        let stop = *self.settings.stop_time;
        !stop.is_zero()
            && matches!(tag.kind(), TagKind::Audio | TagKind::Video)
            && Duration::from_millis(tag.timestamp().into()) > stop
            && self.board.notes().recorded
    }

    fn patience(&self) -> Option<Duration> {
        if !self.held.is_empty() {
            return Some(HOLD);
        }
        let idle = self.settings.idle_timeout;
        (self.running && !idle.is_zero()).then_some(idle)
    }

    fn happened(&mut self, element: &RtmpSrc, received: Received) -> Result<(), Halt> {
        match received {
            Received::Media(tag) => self.media(element, tag),
            Received::Stage(stage) => self.entered(element, stage),
            Received::StreamIsRecorded => {
                gst::debug!(CAT, obj = element, "The stream is a recording");
                self.recorded(element, None);
            }
            Received::Status(status) if status.is_error() || status.level == "warning" => {
                gst::warning!(CAT, obj = element, "{status:?}");
            }
            Received::Status(status) => gst::debug!(CAT, obj = element, "{status:?}"),
            Received::SeekDone => gst::debug!(CAT, obj = element, "Seek done"),
            Received::SeekFailed(status) => {
                gst::element_warning!(
                    element,
                    gst::ResourceError::Seek,
                    ("The server does not seek; the stream goes on where it was."),
                    ["{status:?}"]
                );
                self.timeline.seek_failed();
            }
            Received::Arrived(guest) => self.arrived(element, guest),
            Received::Replaced => self.gone(element, "replaced"),
            Received::End(reason) => return self.ended(element, reason),
            Received::ReconnectRequest {
                tc_url,
                description,
            } => self.asked_to_go(element, tc_url.as_deref(), &description),
            Received::Moved(shift) => self.moved(element, shift),
            Received::Stayed(error) => {
                let place = self.next_place.take();
                let url = place.map(|place| place.config.tc_url);
                let why = error.to_string();
                attempts::staying(element.upcast_ref(), url.as_deref(), "", &why);
            }
            Received::Idle if !self.held.is_empty() => self.release(element),
            Received::Idle => {
                let idle = self.settings.idle_timeout;
                gst::info!(CAT, obj = element, "Nothing came for {idle:?}");
                if self.settings.mode == Mode::Caller {
                    return self.lost(element, &ConnectionError::Silent { after: idle });
                }
                if let Some(receiver) = &mut self.receiver {
                    receiver.dismiss("Nothing was heard of you for too long.");
                }
                return self.left(element, "idle");
            }
        }
        Ok(())
    }

    fn entered(&mut self, element: &RtmpSrc, stage: Stage) {
        gst::debug!(CAT, obj = element, "Stage: {stage}");
        if stage != Stage::Running {
            let text = format!("Waiting for the server: {stage}");
            self.progress.go_on(element.upcast_ref(), &text);
            return;
        }
        self.running = true;
        let connection = self.receiver.as_mut().and_then(Receiver::connection);
        let connect_time = connection.and_then(|connection| connection.connect_time());
        gst::info!(CAT, obj = element, "Playing after {connect_time:?}");
        self.reconnect.running(Instant::now());
        if let Some((_, attempt)) = self.retry.take() {
            self.follows = self.began;
            attempts::connected(element.upcast_ref(), attempt);
        }
        let stats = &mut self.board.notes().stats;
        stats.state = State::Streaming;
        stats.reconnects = self.reconnect.replaced();
        stats.connect_time = connect_time;
        self.progress
            .end(element.upcast_ref(), ProgressType::Complete, "Playing");
    }

    fn arrived(&mut self, element: &RtmpSrc, guest: Caller) {
        gst::info!(CAT, obj = element, "A publisher came: {guest:?}");
        self.running = true;
        {
            let stats = &mut self.board.notes().stats;
            stats.state = State::Streaming;
            stats.reconnects = self.guests;
        }
        self.follows = self.guests > 0;
        self.guests += 1;
        let text = "A publisher came";
        self.progress
            .end(element.upcast_ref(), ProgressType::Complete, text);
        let id = u64::from(self.guests);
        self.board.notes().stats.callers = vec![CallerStats {
            id,
            caller: guest.clone(),
            role: "publisher",
            since: Instant::now(),
            bytes: 0,
            queue_bytes: 0,
            queue_time: Duration::ZERO,
            dropped: 0,
            round_trip: None,
        }];
        callers::added(element.upcast_ref(), id, &guest);
        self.guest = Some(guest);
    }
}
