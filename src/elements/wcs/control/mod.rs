// SPDX-License-Identifier: MPL-2.0

//! Who decides: one thread for each element, to which everything that happens comes as a [`Task`], one
//! after another. So nothing here needs a lock, and neither the server's thread nor webrtcbin's waits
//! for what is done about it.
//!
//! A call is made anew for each attempt, with a webrtcbin of its own. The offer is made while the
//! session is still being connected, and sent as soon as both are there.

mod call;
mod end;
mod session;

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender},
    },
    time::{Duration, Instant},
};

use gst::prelude::*;
use serde_json::Value;

pub(super) use self::call::media_session_id;
use super::{WcsWebrtcBin, codec::Kind, peer::Peer, settings::Settings};
use crate::{
    net::{
        reconnect::Backoff,
        wcs::{Command, Member, Notice},
    },
    protocol::wcs::{
        StreamEventType,
        sdp::{Answer, Offer},
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
}

/// For [`Task::TellCall`]: something happened in the stream.
pub(super) fn stream_event(kind: StreamEventType, id: String, payload: Option<Value>) -> Command {
    Command::SendStreamEvent { id, kind, payload }
}
