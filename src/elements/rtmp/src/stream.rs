// SPDX-License-Identifier: MPL-2.0

//! What flows: one connection, or one publisher after another, turned into buffers. Lives on the
//! streaming thread; an interrupted wait goes on where it was.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use gst::{ClockTime, ProgressType, prelude::*};
use gst_base::prelude::*;

use super::{
    RtmpSrc,
    announce::Progress,
    board::Board,
    imp::CAT,
    metadata, tags,
    timeline::{Lane, Place, Timeline},
};
use crate::{
    elements::codecs,
    elements::rtmp::{
        attempts, callers,
        connect::sentence,
        error::Failure,
        kinds::{Live, Mode},
        settings::{Role, Settings},
        stats::{CallerStats, State},
    },
    net::{
        NetError,
        connection::ConnectionError,
        interrupt::Interrupt,
        porter::{Caller, Mail},
        receiver::{ReceiveError, Received, Receiver},
        reconnect::{Cause, Reconnect},
        redirect::{self, Redirects, Refused},
    },
    protocol::{
        flv::{Tag, TagKind},
        rtmp::{
            amf::Object,
            session::{EndReason, Stage},
        },
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

    fn open(&mut self, element: &RtmpSrc) -> Result<(), Halt> {
        if self.interrupt.is_set() {
            return Err(Halt::Interrupted);
        }
        let receiver = match self.settings.mode {
            Mode::Caller => self.call(element)?,
            Mode::Listener => self.listen(element)?,
        };
        self.receiver = Some(receiver);
        Ok(())
    }

    fn call(&mut self, element: &RtmpSrc) -> Result<Receiver, Halt> {
        if let Some((at, _)) = self.retry {
            let wait = at.saturating_duration_since(Instant::now());
            if !self.interrupt.sleep(wait) {
                return Err(Halt::Interrupted);
            }
        }
        let place = self.whose_turn(element)?;
        self.present = Some(place.clone());
        Receiver::call(place, self.interrupt.clone()).map_err(no_receiver)
    }

    /// Whose turn it is.
    fn whose_turn(&mut self, element: &RtmpSrc) -> Result<redirect::Place, Halt> {
        let mut places = self.settings.places()?;
        if self.tried == 0 && self.redirect.is_none() {
            self.redirects = Redirects::new(self.settings.redirect_rules(element.upcast_ref())?);
        }
        let redirects = usize::from(self.redirect.is_some());
        let turn = self.tried % (redirects + places.len());
        self.tried += 1;
        let redirect = self.redirect.clone().filter(|_| turn == 0);
        let settings = places.swap_remove(turn.saturating_sub(redirects));
        let (location, host) = match &redirect {
            Some(place) => (place.config.tc_url.clone(), place.target.host.clone()),
            None => (settings.location(), (*settings.host).clone()),
        };
        gst::info!(CAT, obj = element, "Connecting to {location}");
        let text = format!("Connecting to {host}");
        self.progress.begin(element.upcast_ref(), &text);
        self.board.notes().stats.state = State::Connecting;
        match redirect {
            Some(place) => Ok(place),
            None => {
                let swf = settings.swf(Role::Source, &self.interrupt)?;
                let codecs = codecs::ask(element.src_pad());
                let role = Role::Source;
                Ok(settings.place(role, element.upcast_ref(), swf, codecs.as_ref())?)
            }
        }
    }

    /// The server asks to be left.
    fn asked_to_go(&mut self, element: &RtmpSrc, tc_url: Option<&str>, description: &str) {
        let recorded = self.board.notes().recorded;
        let (Some(present), Some(receiver)) = (&self.present, &mut self.receiver) else {
            return;
        };
        let answer = match recorded {
            true => Err("a recording is played from where it began".to_owned()),
            false => match self.redirects.follow(present, tc_url, Instant::now()) {
                Err(Refused::Again) => return,
                answer => answer.map_err(|why| why.to_string()),
            },
        };
        gst::info!(CAT, obj = element, "Asked to go to {tc_url:?}");
        let element = element.upcast_ref();
        match answer {
            Ok(place) => {
                attempts::moving(element, &place.config.tc_url, description);
                // One that is on the way there already is left to come.
                let url = |place: &redirect::Place| place.config.tc_url.clone();
                if self.next_place.as_ref().map(url) != Some(url(&place)) {
                    receiver.move_to(place.clone());
                    self.next_place = Some(place);
                }
            }
            Err(why) => attempts::staying(element, tc_url, description, &why),
        }
    }

    /// Another server has taken over.
    fn moved(&mut self, element: &RtmpSrc, shift: Option<u32>) {
        let Some(place) = self.next_place.take() else {
            return;
        };
        gst::info!(
            CAT,
            obj = element,
            "Goes on at {}, {shift:?}",
            place.config.tc_url
        );
        self.release(element);
        match shift {
            Some(shift) => self.shift = self.shift.wrapping_add(shift),
            None => self.follows = self.began,
        }
        attempts::moved(element.upcast_ref(), &place.config.tc_url);
        self.reconnect.running(Instant::now());
        self.board.notes().stats.reconnects = self.reconnect.replaced();
        (self.present, self.redirect, self.tried) = (Some(place.clone()), Some(place), 0);
    }

    fn listen(&mut self, element: &RtmpSrc) -> Result<Receiver, Halt> {
        let host = Box::new(callers::Reception(
            element.upcast_ref::<gst::Element>().downgrade(),
        ));
        let codecs = codecs::ask(element.src_pad());
        let wanted = self
            .settings
            .wanted(Role::Source, codecs.as_ref(), host, &self.interrupt)?;
        let takeover = self.settings.takeover();
        let interrupt = self.interrupt.clone();
        let mail = self.mail.clone();
        let receiver = Receiver::listen(
            wanted,
            takeover,
            interrupt,
            mail,
            self.settings.ping_interval,
        )
        .map_err(no_receiver)?;
        if let Some(address) = receiver.local_addr() {
            gst::info!(CAT, obj = element, "Listening on {address}");
            let text = format!("Waiting for a publisher on {address}");
            self.progress.begin(element.upcast_ref(), &text);
            callers::listening(element.upcast_ref(), address);
        }
        self.board.notes().stats.state = State::Listening;
        Ok(receiver)
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

    fn ended(&mut self, element: &RtmpSrc, reason: EndReason) -> Result<(), Halt> {
        gst::info!(CAT, obj = element, "End: {reason:?}");
        match self.settings.mode {
            Mode::Caller => Err(Halt::Ended),
            Mode::Listener => self.left(element, "left"),
        }
    }

    /// A publisher is gone.
    fn gone(&mut self, element: &RtmpSrc, reason: &str) {
        self.release(element);
        self.running = false;
        self.board.notes().stats.callers.clear();
        if let Some(guest) = self.guest.take() {
            let id = u64::from(self.guests);
            callers::removed(element.upcast_ref(), id, &guest, reason);
        }
    }

    /// A publisher is gone, and maybe the stream with it.
    fn left(&mut self, element: &RtmpSrc, reason: &str) -> Result<(), Halt> {
        self.gone(element, reason);
        if !self.settings.keep_listening {
            return Err(Halt::Ended);
        }
        self.board.notes().stats.state = State::Listening;
        Ok(())
    }

    /// The connection ended without an end of the stream.
    fn lost(&mut self, element: &RtmpSrc, error: &ConnectionError) -> Result<(), Halt> {
        let failure = || Halt::from(Failure::connection(Role::Source, error));
        let strict = self.settings.no_eof_is_error;
        if self.settings.mode == Mode::Listener {
            // Publishers that crash or lose their network are a listener's everyday life.
            let cut = matches!(
                error,
                ConnectionError::Closed { .. } | ConnectionError::Net(_)
            );
            if self.settings.keep_listening || (cut && !strict) {
                gst::warning!(CAT, obj = element, "The publisher was lost: {error}");
                return self.left(element, "failed");
            }
            return Err(failure());
        }
        let dismissed = matches!(error, ConnectionError::Dismissed { status, .. }
            if self.running && !strict && !status.is_error());
        if !dismissed && self.try_again(element, error) {
            return Ok(());
        }
        if self.retry.take().is_some() {
            attempts::failed(element.upcast_ref(), &sentence(error));
            if self.clean {
                // The server just closed or fell silent, and has not come back: that was the end.
                self.close();
                return Err(Halt::Ended);
            }
        }
        match error {
            ConnectionError::Closed {
                stage: Stage::Running,
                truncated: false,
            } if self.running && !strict => {
                gst::info!(CAT, obj = element, "The server closed the connection");
                self.close();
                Err(Halt::Ended)
            }
            ConnectionError::Silent { .. } if !strict => {
                self.close();
                Err(Halt::Ended)
            }
            ConnectionError::Dismissed { status, .. }
                if self.running && !strict && !status.is_error() =>
            {
                gst::info!(CAT, obj = element, "Closed by the server: {status:?}");
                self.close();
                Err(Halt::Ended)
            }
            _ => Err(failure()),
        }
    }

    /// Makes the connection of a live stream again, if that is wanted and may do better.
    fn try_again(&mut self, element: &RtmpSrc, error: &ConnectionError) -> bool {
        if self.board.notes().recorded {
            return false;
        }
        let (cause, now) = (Cause::of(error), Instant::now());
        let chance = glib::random_int();
        let Some(retry) = self.reconnect.failed(cause, now, chance) else {
            return false;
        };
        gst::warning!(CAT, obj = element, "{retry:?} after: {error}");
        if self.retry.is_none() {
            let strict = self.settings.no_eof_is_error;
            self.clean = !strict
                && matches!(
                    error,
                    ConnectionError::Closed {
                        stage: Stage::Running,
                        truncated: false
                    } | ConnectionError::Silent { .. }
                );
        }
        self.release(element);
        self.close();
        (self.running, self.next_place) = (false, None);
        self.retry = Some((now + retry.after, retry.attempt));
        self.board.notes().stats.state = State::Connecting;
        attempts::waiting(element.upcast_ref(), &retry, &sentence(error));
        true
    }

    /// Learns that the stream is a recording.
    fn recorded(&mut self, element: &RtmpSrc, duration: Option<ClockTime>) {
        let changed = {
            let notes = &mut *self.board.notes();
            notes.recorded = true;
            duration.is_some() && std::mem::replace(&mut notes.duration, duration) != duration
        };
        if changed {
            let message = gst::message::DurationChanged::builder()
                .src(element)
                .build();
            let _ = element.post_message(message);
        }
    }

    /// Counts a tag.
    fn note(&mut self, tag: &Tag) {
        let Some(receiver) = &mut self.receiver else {
            return;
        };
        let now = Instant::now();
        let round_trip = self.round_trip_due.is_none_or(|due| now >= due).then(|| {
            self.round_trip_due = Some(now + ROUND_TRIP);
            receiver.round_trip()
        });
        let stats = &mut self.board.notes().stats;
        stats.set_link(receiver.stats());
        stats.tunnel = receiver.tunnel_stats();
        stats.tags += 1;
        stats.media_timestamp = Some(Duration::from_millis(tag.timestamp().into()));
        if let Some(round_trip) = round_trip {
            stats.round_trip_time = round_trip;
        }
        if let Some(caller) = stats.callers.first_mut() {
            caller.bytes = stats.in_bytes_total;
            caller.round_trip = stats.round_trip_time;
        }
    }

    /// Takes note of what the publisher says of its stream.
    fn learn(&mut self, element: &RtmpSrc, metadata: &Object) {
        if self.settings.mode == Mode::Caller
            && *self.settings.live != Live::Live
            && let Some(duration) = metadata::duration(metadata)
        {
            self.recorded(element, Some(duration));
        }
        callers::tell(element.upcast_ref(), metadata::message(metadata));
        self.tags = metadata::tags(metadata);
    }

    fn media(&mut self, element: &RtmpSrc, tag: Tag) {
        gst::log!(
            CAT,
            obj = element,
            "{:?} at {}, {} bytes",
            tag.kind(),
            tag.timestamp(),
            tag.body().len()
        );
        if let Some(metadata) = metadata::parse(&tag) {
            self.learn(element, &metadata);
        }
        let face = tags::Face::of(&tag);
        if face.lane == Lane::Aside && (self.follows || self.timeline.is_open()) {
            self.held.push(tag);
            if self.held.len() >= HELD {
                self.release(element);
            }
            return;
        }
        self.follow(element, tag.timestamp());
        let wire = tag.timestamp().wrapping_add(self.shift);
        let place = self.place(element, face.lane, wire);
        self.held.push(tag);
        self.send(place, wire);
    }

    /// Puts another publisher's time behind that of the one before.
    fn follow(&mut self, element: &RtmpSrc, wire: u32) {
        if std::mem::take(&mut self.follows) {
            let now = element.current_running_time().unwrap_or_default();
            if let Some(first) = self.timeline.resume(now) {
                self.shift = first.wrapping_sub(wire);
                self.discont = true;
                gst::debug!(CAT, obj = element, "Timestamps go on at {first}");
            }
        }
    }

    /// Lets go of tags that waited in vain for one with a time.
    fn release(&mut self, element: &RtmpSrc) {
        let Some(last) = self.held.last() else {
            return;
        };
        let wire = last.timestamp();
        self.follow(element, wire);
        let wire = wire.wrapping_add(self.shift);
        let place = self.place(element, Lane::Aside, wire);
        self.send(place, wire);
    }

    /// Hands on what was held, and the tag whose place this is. A segment has been set, if there is
    /// a new one.
    fn send(&mut self, place: Place, wire: u32) {
        // The base class marks the first buffer of all.
        let mut discont =
            std::mem::take(&mut self.discont) || (self.began && place.anchor.is_some());
        if !self.began {
            self.begin(place.dts);
        }
        for tag in self.held.drain(..) {
            // Headers and metadata say 0, or anything: where time was moved, they come along.
            let tag = if self.shift == 0 { tag } else { tag.at(wire) };
            let mut buffer = tags::Face::of(&tag).buffer(tag, place.dts);
            if std::mem::take(&mut discont) {
                buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
            }
            self.out.push_back(buffer);
        }
    }

    /// When a tag is, in a segment that the element has been given.
    fn place(&mut self, element: &RtmpSrc, lane: Lane, wire: u32) -> Place {
        let now = || element.current_running_time().unwrap_or_default();
        let place = self.timeline.place(lane, wire, now);
        if let Some(anchor) = place.anchor {
            gst::debug!(CAT, obj = element, "At {}: {anchor:?}", place.dts);
            let mut segment = gst::FormattedSegment::<ClockTime>::new();
            segment.set_start(anchor.start);
            segment.set_time(anchor.start);
            segment.set_position(anchor.start);
            segment.set_base(anchor.base);
            segment.set_duration(self.board.notes().duration);
            if let Err(error) = element.new_segment(segment.upcast_ref()) {
                gst::error!(CAT, obj = element, "{error}");
            }
        }
        place
    }

    fn begin(&mut self, dts: ClockTime) {
        self.began = true;
        self.out.push_back(tags::file_header(dts));
    }
}

fn no_receiver(error: ReceiveError) -> Halt {
    match error {
        ReceiveError::Interrupted => Halt::Interrupted,
        ReceiveError::Claim(error) => Failure::claim(Role::Source, &error).into(),
        ReceiveError::Connection(ConnectionError::Net(NetError::Io { source, .. })) => {
            Failure::settings(&format!("There are no resources left: {source}.")).into()
        }
        ReceiveError::Connection(error) => Failure::connection(Role::Source, &error).into(),
    }
}
