// SPDX-License-Identifier: MPL-2.0

//! Who decides: one thread for each element, to which everything that happens comes as a [`Task`], one
//! after another. So nothing here needs a lock, and neither the server's thread nor webrtcbin's waits
//! for what is done about it.
//!
//! A call is made anew for each attempt, with a webrtcbin of its own. The offer is made while the
//! session is still being connected, and sent as soon as both are there.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;
use serde_json::Value;

use super::{
    WcsWebrtcBin,
    codec::Kind,
    kinds::{SessionStatus, StreamStatus},
    peer::Peer,
    settings::{Settings, some},
    tell,
};
use crate::{
    elements::rtmp::sentence,
    net::{
        reconnect::Backoff,
        wcs::{Command, Failure, Member, Notice},
    },
    protocol::wcs::{
        self, StreamEventType,
        message::{PlayStream, PublishStream},
        sdp::{Answer, Offer, SdpError},
        session::{CallError, Event},
    },
};

/// Something that happened, or is to be done.
#[derive(Debug)]
pub(super) enum Task {
    /// From the session.
    Notice(Notice),
    /// The pipeline plays.
    Playing,
    /// Caps came on a sink pad, a pad came or went, a stream ended.
    Inlets,
    /// A stream is wanted, and no other.
    Begin { publish: bool, name: String },
    /// None is.
    End,
    /// The same, and downstream is not to wait until the server knows.
    Leave,
    /// Something that needs no more thought.
    Tell(Command),
    /// About the call that there is.
    TellCall(fn(String, Option<Value>) -> Command, Option<Value>),
    /// webrtcbin wants to make its offer.
    Negotiate(u64),
    /// It made it, or could not.
    Offer(u64, Result<String, String>),
    /// It took the answer, or did not.
    Answered(u64, Result<(), String>),
    /// Its connection has another state.
    Connection(u64, String),
    /// A part of it reports an error.
    Broken(u64, String),
    /// A webrtcbin that is stopped can be freed, as soon as that is safe.
    Bury(Arc<Peer>),
    /// The element goes to READY.
    Quit,
}

/// What is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Want {
    publish: bool,
    name: String,
    /// Kinds that the server does not take.
    without: Vec<Kind>,
}

struct Call {
    /// `mediaSessionId`.
    id: String,
    peer: Arc<Peer>,
    want: Want,
    /// Sink pads have been linked, or receivers added.
    linked: bool,
    negotiated: bool,
    offer: Option<Offer>,
    asked: bool,
    answer: Option<Answer>,
    connected: bool,
    since: Instant,
    /// The server says that media flow; by then they have to.
    media_by: Option<Instant>,
}

impl Call {
    /// Whether media flow, as far as can be told on this side.
    fn has_media(&self) -> bool {
        self.connected && (self.want.publish || self.peer.has_media())
    }
}

/// See the module's text.
pub(super) struct Control {
    element: glib::WeakRef<WcsWebrtcBin>,
    settings: Settings,
    tasks: Sender<Task>,
    member: Arc<Member>,
    established: bool,
    playing: bool,
    want: Option<Want>,
    call: Option<Call>,
    /// A call that is being ended, whose status is still to come.
    ending: Option<String>,
    backoff: Backoff,
    /// When the stream is to be tried again.
    retry: Option<Instant>,
    calls: u64,
    /// Upstream ended everything, and our end is to be told once the server knows.
    eos: bool,
    /// Stopped, and not to be freed yet.
    graves: Vec<Arc<Peer>>,
}

/// How often it is looked whether they can be.
const TIDY: Duration = Duration::from_millis(50);

/// And how often at most, after which something is wrong with the agent. Looking for addresses takes
/// less than a second; a server for STUN that does not answer, eight.
const TIDY_TIMES: u32 = 400;

/// Why a call is over, in a person's words, and whether it would be the same again.
struct Reason {
    sentence: String,
    is_final: bool,
}

impl Control {
    pub(super) fn new(
        element: &WcsWebrtcBin,
        settings: Settings,
        tasks: Sender<Task>,
        member: Arc<Member>,
    ) -> Self {
        Self {
            element: element.downgrade(),
            backoff: Backoff::new(settings.policy()),
            settings,
            tasks,
            member,
            established: false,
            playing: false,
            want: None,
            call: None,
            ending: None,
            retry: None,
            calls: 0,
            eos: false,
            graves: Vec::new(),
        }
    }

    /// Works until the element goes to READY.
    pub(super) fn run(mut self, tasks: &Receiver<Task>) {
        loop {
            let tidy = (!self.graves.is_empty()).then(|| Instant::now() + TIDY);
            let media = self.call.as_ref().and_then(|call| call.media_by);
            let task = match [self.retry, tidy, media].into_iter().flatten().min() {
                None => tasks.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => tasks.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            let Some(element) = self.element.upgrade() else {
                break;
            };
            match task {
                Ok(Task::Quit) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(task) => self.handle(&element, task),
                Err(RecvTimeoutError::Timeout) => self.tidy(),
            }
            if self.retry.is_some_and(|at| at <= Instant::now()) {
                self.retry = None;
                self.begin_call(&element);
            }
            self.look_for_media(&element);
        }
        // Tells the server.
        drop(self.member);
        let mut graves = self.graves;
        for _ in 0..TIDY_TIMES {
            graves.retain(|peer| peer.is_gathering());
            if graves.is_empty() {
                break;
            }
            std::thread::park_timeout(TIDY);
        }
        // Nothing was found out for so long: rather a leak than a crash.
        std::mem::forget(graves);
    }

    /// A server may say that media flow which do not.
    fn look_for_media(&mut self, element: &WcsWebrtcBin) {
        let Some(call) = &mut self.call else {
            return;
        };
        if call.media_by.is_none_or(|at| at > Instant::now()) {
            return;
        }
        call.media_by = None;
        if call.has_media() {
            return;
        }
        let (connected, patience) = (call.connected, self.settings.start_timeout);
        let sentence = match connected {
            true => format!(
                "The server says that the stream plays, and sent none of it within {patience:?}."
            ),
            false => format!(
                "The server says that the stream flows, and no way for media was found within \
                 {patience:?}; check firewalls, and stun-server or turn-server."
            ),
        };
        self.call_failed(
            element,
            Reason {
                sentence,
                is_final: false,
            },
        );
    }

    fn handle(&mut self, element: &WcsWebrtcBin, task: Task) {
        if let Task::Inlets | Task::Negotiate(_) | Task::Begin { .. } | Task::Playing = &task {
            gst::debug!(super::CAT, obj = element, "{task:?}");
        }
        match task {
            Task::Notice(notice) => self.noticed(element, notice),
            Task::Playing => {
                self.playing = true;
                self.ask(element);
            }
            Task::Inlets => self.inlets_changed(element),
            Task::Begin { publish, name } => {
                let want = Want {
                    publish,
                    name,
                    without: Vec::new(),
                };
                if self.want.as_ref() != Some(&want) {
                    self.end_call(element);
                    self.want = Some(want);
                    self.backoff.succeeded();
                    self.retry = None;
                    self.begin_call(element);
                }
            }
            Task::End => {
                self.want = None;
                self.retry = None;
                self.end_call(element);
            }
            Task::Leave => {
                self.want = None;
                self.retry = None;
                self.end_call(element);
                element.end_outlets();
            }
            Task::Tell(command) => self.member.tell(command),
            Task::TellCall(command, payload) => {
                if let Some(call) = self.call.as_ref().filter(|call| call.asked) {
                    self.member.tell(command(call.id.clone(), payload));
                }
            }
            Task::Negotiate(number) => {
                if let Some(call) = self.call_of(number)
                    && call.linked
                    && !call.negotiated
                    && call.peer.knows_caps()
                {
                    call.negotiated = true;
                    call.peer.negotiate();
                }
            }
            Task::Offer(number, offer) => {
                let Some(call) = self.call_of(number) else {
                    return;
                };
                let offer = offer.and_then(|text| {
                    gst::debug!(super::CAT, obj = element, "Our offer:\n{text}");
                    Offer::new(&text).map_err(|error| error.to_string())
                });
                match offer {
                    Ok(offer) => {
                        call.offer = Some(offer);
                        self.ask(element);
                    }
                    Err(error) => self.call_failed(
                        element,
                        Reason {
                            sentence: format!("webrtcbin could not make an offer: {error}."),
                            is_final: true,
                        },
                    ),
                }
            }
            Task::Answered(number, result) => {
                let Some(call) = self.call_of(number) else {
                    return;
                };
                match (result, &call.answer) {
                    (Ok(()), Some(answer)) => call.peer.expect(answer),
                    (Ok(()), None) => {}
                    (Err(error), _) => self.call_failed(
                        element,
                        Reason {
                            sentence: format!("The server's answer cannot be used: {error}."),
                            is_final: false,
                        },
                    ),
                }
            }
            Task::Connection(number, state) => self.connection_changed(element, number, &state),
            Task::Broken(number, error) => {
                if self.call_of(number).is_some() {
                    let sentence = format!("The media connection broke: {error}");
                    self.call_failed(
                        element,
                        Reason {
                            sentence,
                            is_final: false,
                        },
                    );
                }
            }
            Task::Bury(peer) => self.graves.push(peer),
            Task::Quit => {}
        }
    }

    /// Frees webrtcbins that can be.
    fn tidy(&mut self) {
        self.graves.retain(|peer| peer.is_gathering());
    }

    fn call_of(&mut self, number: u64) -> Option<&mut Call> {
        self.call.as_mut().filter(|call| call.peer.number == number)
    }

    fn noticed(&mut self, element: &WcsWebrtcBin, notice: Notice) {
        match notice {
            Notice::Connecting(_) => element.set_session(SessionStatus::Pending, None),
            Notice::Connected => element.set_session(SessionStatus::Connected, None),
            Notice::Session(event) => self.happened(element, event),
            Notice::Refused { id, error } => {
                if self.call.as_ref().is_some_and(|call| call.id == id) {
                    let reason = Reason {
                        sentence: sentence(&error),
                        is_final: false,
                    };
                    self.call_failed(element, reason);
                }
            }
            Notice::Lost { failure, again } => self.lost(element, &failure, again),
        }
    }

    fn happened(&mut self, element: &WcsWebrtcBin, event: Event) {
        match event {
            Event::Established(_) => {
                self.established = true;
                element.set_session(SessionStatus::Established, None);
                match self.call {
                    Some(_) => self.ask(element),
                    None if self.retry.is_none() => self.begin_call(element),
                    None => {}
                }
            }
            Event::Answer { id, sdp } => self.answered(element, &id, &sdp),
            Event::Status(state) => {
                tell::stream_status(element, &state);
                let is_ours = self.is_ours(&state.media_session_id);
                let runs = matches!(
                    state.status,
                    wcs::StreamStatus::Publishing | wcs::StreamStatus::Playing
                );
                if let (true, true, Some(call)) = (is_ours, runs, &mut self.call) {
                    self.backoff.succeeded();
                    element.stream_runs(call.since.elapsed());
                    if !self.settings.start_timeout.is_zero() && !call.has_media() {
                        call.media_by = Instant::now().checked_add(self.settings.start_timeout);
                    }
                    // Whoever plays it now has not heard of it.
                    for kind in element.muted() {
                        let command = stream_event(kind, call.id.clone(), None);
                        self.member.tell(command);
                    }
                }
                if let (true, Some(status)) = (is_ours, StreamStatus::of(&state.status)) {
                    element.set_stream(status, state.info.as_deref());
                }
            }
            Event::Ended { id, result } => self.ended(element, &id, result),
            event => tell::event(element, event),
        }
    }

    fn is_ours(&self, id: &str) -> bool {
        let call = self.call.as_ref().map(|call| call.id.as_str());
        call == Some(id) || call.is_none() && self.ending.as_deref() == Some(id)
    }

    fn lost(&mut self, element: &WcsWebrtcBin, failure: &Failure, again: Option<Duration>) {
        self.established = false;
        self.ending = None;
        let words = sentence(failure);
        // An offer that was not sent is as good as new.
        if self.call.as_ref().is_some_and(|call| call.asked) {
            self.drop_call(element);
            element.set_stream(StreamStatus::Failed, Some(&words));
        }
        match again {
            Some(pause) => {
                element.set_session(SessionStatus::Pending, Some(&words));
                tell::retry(element, "session", &words, pause);
            }
            None => {
                self.drop_call(element);
                self.want = None;
                self.retry = None;
                element.set_session(SessionStatus::Failed, Some(&words));
                if element.stream_status() != StreamStatus::New {
                    element.set_stream(StreamStatus::Failed, Some(&words));
                }
                tell::failure(element, &self.settings, failure, &words);
                element.end_outlets();
            }
        }
        self.finish_eos(element);
    }

    /// Makes a call, as far as there is what it needs.
    fn begin_call(&mut self, element: &WcsWebrtcBin) {
        let Some(want) = self.want.clone() else {
            return;
        };
        if self.call.is_some() {
            return;
        }
        self.calls += 1;
        let made = Peer::new(self.calls, &self.settings, self.tasks.clone());
        let peer = match made {
            Ok(peer) => peer,
            Err(_) => {
                super::missing(element.upcast_ref(), "webrtcbin");
                self.want = None;
                return;
            }
        };
        let Ok(id) = media_session_id() else {
            return;
        };
        if !element.attach(&peer) {
            gst::debug!(super::CAT, obj = element, "Not running any more");
            return;
        }
        self.call = Some(Call {
            id,
            peer,
            want,
            linked: false,
            negotiated: false,
            offer: None,
            asked: false,
            answer: None,
            connected: false,
            since: Instant::now(),
            media_by: None,
        });
        self.link(element);
    }

    /// Links what is to be sent, once all of it is known, or adds receivers.
    fn link(&mut self, element: &WcsWebrtcBin) {
        let Some(call) = self.call.as_mut().filter(|call| !call.linked) else {
            return;
        };
        let kept = |kind: Kind| !call.want.without.contains(&kind);
        if !call.want.publish {
            let kinds = [
                (Kind::Audio, self.settings.audio),
                (Kind::Video, self.settings.video),
            ];
            let kinds: Vec<_> = kinds
                .into_iter()
                .filter(|(kind, wanted)| *wanted && kept(*kind))
                .map(|(kind, _)| kind)
                .collect();
            call.linked = true;
            call.peer.receive(&kinds);
            return;
        }
        let inlets = element.inlets();
        if inlets.is_empty() || inlets.iter().any(|inlet| inlet.kind().is_none()) {
            gst::debug!(
                super::CAT,
                obj = element,
                "Waiting for caps of all sink pads"
            );
            return;
        }
        let inlets: Vec<_> = inlets
            .into_iter()
            .filter(|inlet| inlet.kind().is_some_and(kept))
            .collect();
        call.linked = true;
        call.since = Instant::now();
        gst::debug!(
            super::CAT,
            obj = element,
            "Linking {} streams",
            inlets.len()
        );
        if !call.peer.send(&inlets) {
            self.call_failed(
                element,
                Reason {
                    sentence: "A stream cannot be given to webrtcbin; check its caps.".into(),
                    is_final: true,
                },
            );
        }
    }

    fn inlets_changed(&mut self, element: &WcsWebrtcBin) {
        let inlets = element.inlets();
        if !inlets.is_empty() && inlets.iter().all(|inlet| inlet.has_ended()) {
            self.eos = true;
            self.want = None;
            self.retry = None;
            self.end_call(element);
            return self.finish_eos(element);
        }
        match &self.call {
            Some(call) if !call.linked => self.link(element),
            // A stream that came late: the server has to be told of all of them at once.
            Some(call)
                if call.want.publish
                    && element.has_unlinked_inlet(&call.want.without)
                    && inlets.iter().all(|inlet| inlet.kind().is_some()) =>
            {
                gst::info!(super::CAT, obj = element, "A stream came; publishing anew");
                self.end_call(element);
                self.begin_call(element);
            }
            _ => {}
        }
    }

    /// Sends the offer, where session and offer are there.
    fn ask(&mut self, element: &WcsWebrtcBin) {
        let Some(call) = &mut self.call else {
            return;
        };
        let Some(offer) = &call.offer else {
            return;
        };
        if call.asked || !self.established || !(self.playing || call.want.publish) {
            return;
        }
        call.asked = true;
        let (settings, id, name) = (&self.settings, call.id.clone(), call.want.name.clone());
        let command = match call.want.publish {
            true => Command::Publish(PublishStream {
                media_session_id: id,
                name,
                published: true,
                has_video: offer.has("video"),
                has_audio: offer.has("audio"),
                status: wcs::StreamStatus::Pending,
                record: settings.record,
                media_provider: "WebRTC".into(),
                sdp: offer.as_str().into(),
                bitrate: settings.bitrate.into(),
                min_bitrate: settings.min_bitrate.into(),
                max_bitrate: settings.max_bitrate.into(),
                rtmp_url: some(settings.rtmp_url.reveal()),
                transport: settings.transport(),
                custom: settings.custom(),
                ..PublishStream::default()
            }),
            false => Command::Play(PlayStream {
                media_session_id: id,
                name,
                published: false,
                has_video: true,
                has_audio: true,
                status: wcs::StreamStatus::Pending,
                width: settings.width.into(),
                height: settings.height.into(),
                media_provider: "WebRTC".into(),
                sdp: offer.as_str().into(),
                bitrate: settings.bitrate.into(),
                min_bitrate: settings.min_bitrate.into(),
                max_bitrate: settings.max_bitrate.into(),
                quality: settings.quality.into(),
                transport: settings.transport(),
                custom: settings.custom(),
                ..PlayStream::default()
            }),
        };
        element.set_stream(StreamStatus::Pending, None);
        self.member.tell(command);
    }

    fn answered(&mut self, element: &WcsWebrtcBin, id: &str, sdp: &str) {
        let Some(call) = self.call.as_mut().filter(|call| call.id == id) else {
            return;
        };
        gst::debug!(super::CAT, obj = element, "The server's answer:\n{sdp}");
        let Some(offer) = &call.offer else {
            return;
        };
        let failed = match Answer::new(sdp, offer) {
            Ok(answer) => {
                let taken = call.peer.answer(&answer);
                call.answer = Some(answer);
                match taken {
                    Ok(()) => return,
                    Err(error) => Reason {
                        sentence: format!("The server's answer cannot be used: {error}."),
                        is_final: true,
                    },
                }
            }
            Err(SdpError::Rejected(kinds)) => {
                return self.offer_less(element, &kinds);
            }
            Err(error) => Reason {
                sentence: match error {
                    SdpError::NoCommonCodecs => {
                        "No common codecs: the server takes none of what is offered.".into()
                    }
                    error => format!("The server's answer cannot be used: {error}."),
                },
                is_final: true,
            },
        };
        self.call_failed(element, failed);
    }

    /// Calls again without what the server does not take.
    fn offer_less(&mut self, element: &WcsWebrtcBin, kinds: &[String]) {
        let words = format!("The server does not take {}.", kinds.join(" and "));
        tell::warning(element, &words);
        self.end_call(element);
        if let Some(want) = &mut self.want {
            for kind in [Kind::Audio, Kind::Video] {
                if kinds.iter().any(|name| name == kind.name()) && !want.without.contains(&kind) {
                    want.without.push(kind);
                }
            }
        }
        self.begin_call(element);
    }

    fn connection_changed(&mut self, element: &WcsWebrtcBin, number: u64, state: &str) {
        let Some(call) = self.call_of(number) else {
            return;
        };
        gst::info!(super::CAT, obj = element, "The media connection is {state}");
        match (state, &call.answer) {
            ("connected", Some(answer)) if !call.connected => match call.peer.verify(answer) {
                Ok(()) => {
                    call.connected = true;
                    match call.want.publish {
                        true => element.inlets().iter().for_each(|inlet| inlet.open()),
                        false => element.outlets_connected(),
                    }
                }
                Err(words) => self.call_failed(
                    element,
                    Reason {
                        sentence: format!("{}.", sentence(&words).trim_end_matches('.')),
                        is_final: true,
                    },
                ),
            },
            ("failed", _) => self.call_failed(
                element,
                Reason {
                    sentence: "No way for media to the server was found, or it was lost (ICE or \
                               DTLS failed); check firewalls, and stun-server or turn-server."
                        .into(),
                    is_final: false,
                },
            ),
            _ => {}
        }
    }

    /// Ends the call as asked for. What the server says to it comes later.
    fn end_call(&mut self, element: &WcsWebrtcBin) {
        let asked = self.call.as_ref().filter(|call| call.asked);
        if let Some(id) = asked.map(|call| call.id.clone()) {
            self.member.tell(Command::End(id.clone()));
            self.ending = Some(id);
        }
        self.drop_call(element);
    }

    fn drop_call(&mut self, element: &WcsWebrtcBin) {
        if let Some(call) = self.call.take() {
            element.detach(&call.peer);
        }
    }

    fn ended(
        &mut self,
        element: &WcsWebrtcBin,
        id: &str,
        result: Result<Option<String>, CallError>,
    ) {
        if self.ending.as_deref() == Some(id) {
            self.ending = None;
            if self.call.is_none() {
                let status = match element.stream_status() {
                    status @ (StreamStatus::Unpublished | StreamStatus::Failed) => status,
                    _ => StreamStatus::Stopped,
                };
                element.set_stream(status, None);
                if self.want.is_none() {
                    element.end_outlets();
                }
            }
            return self.finish_eos(element);
        }
        if self.call.as_ref().is_none_or(|call| call.id != id) {
            return;
        }
        match result {
            Ok(info) => {
                // The server's operator, or the publisher, has ended it: that is no failure.
                let publish = self.call.as_ref().is_some_and(|call| call.want.publish);
                self.drop_call(element);
                self.want = None;
                let what = if publish { "Publishing" } else { "The stream" };
                let why = info.as_deref().unwrap_or("the server does not say why");
                gst::info!(super::CAT, obj = element, "{what} ended: {why}");
                element.end_outlets();
            }
            Err(error) => {
                let is_final = match &error {
                    CallError::Failed(Some(info)) => FINAL.contains(&info.as_str()),
                    _ => false,
                };
                // The session has forgotten the call, there is nothing to end.
                let reason = Reason {
                    sentence: sentence(&error),
                    is_final,
                };
                if let Some(call) = &mut self.call {
                    call.asked = false;
                }
                self.call_failed(element, reason);
            }
        }
    }

    fn call_failed(&mut self, element: &WcsWebrtcBin, reason: Reason) {
        if let Some(call) = self.call.as_ref().filter(|call| call.asked) {
            self.member.tell(Command::Abandon(call.id.clone()));
        }
        self.drop_call(element);
        element.set_stream(StreamStatus::Failed, Some(&reason.sentence));
        let again = match reason.is_final || self.want.is_none() {
            true => None,
            false => self.backoff.next(getrandom::u32().unwrap_or(u32::MAX / 2)),
        };
        match again {
            Some(pause) => {
                self.retry = Instant::now().checked_add(pause);
                tell::retry(element, "stream", &reason.sentence, pause);
            }
            None => {
                self.want = None;
                tell::given_up(element, &self.settings, &reason.sentence);
                element.end_outlets();
            }
        }
    }

    /// Tells the pipeline that we are through, once the server knows.
    fn finish_eos(&mut self, element: &WcsWebrtcBin) {
        if self.eos && self.ending.is_none() && self.call.is_none() {
            self.eos = false;
            let _ = element.post_message(gst::message::Eos::builder().src(element).build());
        }
    }
}

/// What servers say to a request that would fail again.
const FINAL: &[&str] = &[
    "No common codecs",
    "Restricted access",
    "Bad URI",
    "File has wrong format",
    "Rtsp has wrong format",
    "Transcoding required, but disabled",
    "Failed by DTLS fingerprint error",
];

/// A name for a call, as the SDK makes them: a UUID (RFC 9562, version 4).
pub(super) fn media_session_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    Ok(text)
}

/// For [`Task::TellCall`]: something happened in the stream.
pub(super) fn stream_event(kind: StreamEventType, id: String, payload: Option<Value>) -> Command {
    Command::SendStreamEvent { id, kind, payload }
}
