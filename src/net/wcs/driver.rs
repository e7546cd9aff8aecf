// SPDX-License-Identifier: MPL-2.0

//! The thread of a session: one connection after another, pauses between them, and those who share it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Poll, Registry, Token, Waker};

use super::{
    Command, Failure, Inbox, Notice, Notify, Request, Session, Settings, apply,
    live::{Live, SOCKET, Turn},
    lock,
};
use crate::{
    net::{reconnect::Backoff, stream::Ready},
    protocol::wcs::{
        limits,
        message::UserData,
        session::{ClientSession, Event, Stats},
    },
};

const WAKE: Token = Token(1);

/// How long a server may take to hear out what was said last.
const LINGER: Duration = Duration::from_secs(1);

/// Starts the thread. It ends once everybody who joined has left.
pub(super) fn start(settings: Settings) -> io::Result<Arc<Session>> {
    let poll = Poll::new()?;
    let session = Arc::new(Session {
        inbox: Inbox::default().into(),
        waker: Arc::new(Waker::new(poll.registry(), WAKE)?),
        stats: Stats::default().into(),
    });
    let driver = Driver {
        session: session.clone(),
        backoff: Backoff::new(settings.reconnect),
        settings,
        members: BTreeMap::new(),
        owners: HashMap::new(),
        questions: VecDeque::new(),
        phase: Phase::Idle,
        established: None,
        joined: false,
        before: Stats::default(),
    };
    thread::Builder::new()
        .name("wcs-io".to_owned())
        .spawn(move || driver.run(poll))?;
    Ok(session)
}

struct Driver {
    session: Arc<Session>,
    settings: Settings,
    backoff: Backoff,
    members: BTreeMap<u64, Notify>,
    /// Whose a call or a question is.
    owners: HashMap<String, u64>,
    questions: VecDeque<String>,
    phase: Phase,
    /// For those who join late.
    established: Option<UserData>,
    joined: bool,
    /// Counters of the sessions that were lost.
    before: Stats,
}

enum Phase {
    /// Nobody has joined yet, or it was given up.
    Idle,
    Live(Live),
    /// Until the next attempt.
    Pause(Instant),
    /// Everything is said; until the server has heard it, or for so long.
    Leaving(Live, Instant),
}

impl Phase {
    fn session(&mut self) -> Option<&mut ClientSession> {
        match self {
            Self::Live(live) => live.session(),
            _ => None,
        }
    }
}

impl Driver {
    fn run(mut self, mut poll: Poll) {
        let mut events = Events::with_capacity(8);
        let registry = match poll.registry().try_clone() {
            Ok(registry) => registry,
            Err(_) => return,
        };
        loop {
            let wait = match self.turn(&registry, Instant::now()) {
                Turn::End => return,
                Turn::More => Some(Duration::ZERO),
                // epoll counts in ms and rounds down: a timer must not spin through its last one.
                Turn::Wait(deadline) => deadline.map(|at| {
                    at.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
                }),
            };
            if poll.poll(&mut events, wait).is_err() {
                continue;
            }
            for event in &events {
                if event.token() == SOCKET
                    && let Phase::Live(live) | Phase::Leaving(live, _) = &mut self.phase
                {
                    live.on_ready(Ready::from(event));
                }
            }
        }
    }

    fn turn(&mut self, registry: &Registry, now: Instant) -> Turn {
        self.serve_members(now);
        if self.joined && self.members.is_empty() && self.farewell(now) {
            return Turn::End;
        }
        match &mut self.phase {
            Phase::Idle => Turn::Wait(None),
            Phase::Pause(until) if *until <= now => {
                self.connect();
                Turn::More
            }
            Phase::Pause(until) => Turn::Wait(Some(*until)),
            Phase::Leaving(live, until) => {
                let until = *until;
                let mut unheard = Vec::new();
                match live.turn(registry, now, &mut unheard) {
                    // The ends of calls may still come; the goodbye follows them.
                    Ok(turn) if now < until && !live.is_gone() => {
                        live.close();
                        match turn {
                            Turn::Wait(deadline) => {
                                Turn::Wait(Some(deadline.map_or(until, |at| at.min(until))))
                            }
                            turn => turn,
                        }
                    }
                    _ => Turn::End,
                }
            }
            Phase::Live(live) => {
                let mut notices = Vec::new();
                let turn = live.turn(registry, now, &mut notices);
                if let Some(stats) = live.stats() {
                    *lock(&self.session.stats) = sum(self.before, stats);
                }
                notices.into_iter().for_each(|notice| self.notify(notice));
                turn.unwrap_or_else(|failure| {
                    self.lost(failure, now);
                    Turn::More
                })
            }
        }
    }

    /// Does what members asked for.
    fn serve_members(&mut self, now: Instant) {
        let commands = std::mem::take(&mut lock(&self.session.inbox).commands);
        for (member, request) in commands {
            match request {
                Request::Join(notify) => {
                    self.members.insert(member, notify.clone());
                    self.joined = true;
                    match (&self.phase, &self.established) {
                        (Phase::Idle, _) => self.connect(),
                        (Phase::Live(_), Some(data)) => {
                            notify(Notice::Connected);
                            notify(Notice::Session(Event::Established(data.clone())));
                        }
                        _ => {}
                    }
                }
                Request::Tell(command) => self.serve(member, *command, now),
                Request::Leave => {
                    self.members.remove(&member);
                    let calls: Vec<_> = self
                        .owners
                        .extract_if(|_, owner| *owner == member)
                        .map(|(id, _)| id)
                        .collect();
                    if let Some(session) = self.phase.session() {
                        for id in calls {
                            // Whatever is no call needs no end.
                            let _ = session.end(now, &id);
                        }
                    }
                }
            }
        }
    }

    fn serve(&mut self, member: u64, command: Command, now: Instant) {
        match &command {
            Command::Publish(request) => {
                self.owners.insert(request.media_session_id.clone(), member);
            }
            Command::Play(request) => {
                self.owners.insert(request.media_session_id.clone(), member);
            }
            Command::AskAvailable { id, .. } | Command::SendData { id, .. } => {
                self.owners.insert(id.clone(), member);
                self.questions.push_back(id.clone());
                // Nobody need answer them.
                if self.questions.len() > limits::QUESTIONS
                    && let Some(oldest) = self.questions.pop_front()
                {
                    self.owners.remove(&oldest);
                }
            }
            _ => {}
        }
        let Some(session) = self.phase.session() else {
            // It was lost meanwhile, which has been told.
            return;
        };
        if let Err((id, error)) = apply(session, now, command) {
            self.notify(Notice::Refused { id, error });
        }
    }

    fn connect(&mut self) {
        self.notify(Notice::Connecting(self.backoff.tried()));
        self.phase = Phase::Live(Live::connect(&self.settings, self.session.waker.clone()));
    }

    fn lost(&mut self, failure: Failure, now: Instant) {
        if let Phase::Live(live) = &self.phase
            && let Some(stats) = live.stats()
        {
            self.before = sum(self.before, stats);
        }
        self.established = None;
        self.owners.clear();
        let again = match failure.is_final() {
            true => None,
            false => self.backoff.next(random()),
        };
        self.phase = match again.and_then(|pause| now.checked_add(pause)) {
            Some(until) => Phase::Pause(until),
            None => Phase::Idle,
        };
        let failure = Arc::new(failure);
        self.notify(Notice::Lost { failure, again });
    }

    /// Ends all calls and says goodbye; whether nobody is there to hear it.
    fn farewell(&mut self, now: Instant) -> bool {
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Live(mut live) => {
                let Some(session) = live.session() else {
                    return true;
                };
                session.leave(now);
                self.phase = Phase::Leaving(live, now + LINGER);
                false
            }
            Phase::Leaving(live, until) => {
                self.phase = Phase::Leaving(live, until);
                false
            }
            Phase::Idle | Phase::Pause(_) => true,
        }
    }

    /// Tells whom it concerns.
    fn notify(&mut self, notice: Notice) {
        if let Notice::Session(Event::Established(data)) = &notice {
            self.backoff.succeeded();
            self.established = Some(data.clone());
        }
        match concerns(&notice) {
            Some(id) => {
                let member = self
                    .owners
                    .get(id)
                    .and_then(|owner| self.members.get(owner));
                let member = member.cloned();
                if is_last(&notice) {
                    self.owners.remove(id);
                }
                if let Some(notify) = member {
                    notify(notice);
                }
            }
            None => {
                for notify in self.members.values() {
                    notify(notice.clone());
                }
            }
        }
    }
}

/// The call or question that a notice is about.
fn concerns(notice: &Notice) -> Option<&str> {
    Some(match notice {
        Notice::Refused { id, .. } => id,
        Notice::Session(event) => match event {
            Event::Answer { id, .. } | Event::Ended { id, .. } | Event::AudioCodec { id, .. } => id,
            Event::Status(state) => &state.media_session_id,
            Event::VideoFormat(format) => &format.media_session_id,
            Event::InboundVideoRate(rate) | Event::OutboundVideoRate(rate) => {
                &rate.media_session_id
            }
            Event::StreamEvent(event) => &event.media_session_id,
            Event::Available(answer) => &answer.id,
            Event::DataStatus(answer) => &answer.operation_id,
            _ => return None,
        },
        _ => return None,
    })
}

/// Whether nothing follows about the same.
fn is_last(notice: &Notice) -> bool {
    matches!(
        notice,
        Notice::Refused { .. }
            | Notice::Session(Event::Ended { .. } | Event::Available(_) | Event::DataStatus(_))
    )
}

fn sum(one: Stats, other: Stats) -> Stats {
    Stats {
        received: one.received + other.received,
        sent: one.sent + other.sent,
        stray: one.stray + other.stray,
        untold: one.untold + other.untold,
        malformed: one.malformed + other.malformed,
    }
}

/// For pauses only: where there is none, all come back at the same time.
fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}
