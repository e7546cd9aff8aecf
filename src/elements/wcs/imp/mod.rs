// SPDX-License-Identifier: MPL-2.0

//! The class behind [`WcsWebrtcBin`], and what its thread uses of it.

mod element;

use std::{
    sync::{
        Arc, LazyLock, Mutex,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use glib::subclass::{Signal, prelude::*};
use gst::{prelude::*, subclass::prelude::*};

use super::{
    codec::{Kind, TEMPLATES},
    control::{Control, Task},
    inlet::Inlet,
    kinds::{Action, SessionStatus, StreamStatus},
    lock,
    outlet::Outlet,
    peer::{self, Peer},
    properties::{SPECS, TABLE},
    settings::Settings,
    signals::SIGNALS,
};
use crate::{
    elements::{AUTHOR, property},
    net::wcs::Member,
};

/// How long a reader of `stats` waits for webrtcbin.
const STATS: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub struct WcsWebrtcBin {
    settings: Mutex<Settings>,
    inlets: Mutex<Vec<Arc<Inlet>>>,
    outlets: Mutex<Vec<Outlet>>,
    /// Between READY and PAUSED it comes and goes.
    running: Mutex<Option<Running>>,
    status: Mutex<Status>,
}

#[derive(Debug)]
struct Running {
    tasks: Sender<Task>,
    member: Arc<Member>,
    peer: Option<Arc<Peer>>,
}

#[derive(Debug, Default)]
struct Status {
    session: SessionStatus,
    stream: StreamStatus,
    info: Option<String>,
    rate: Option<gst::Structure>,
    starts: u32,
    start_time: Option<Duration>,
    pads: u32,
    /// Source pads have numbers of their own: two streams may come at the same time.
    source_pads: usize,
}

impl WcsWebrtcBin {
    /// Begins a session on the way to PAUSED. Nothing here waits for the network.
    fn begin(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let element = self.obj();
        let wrong = |sentence: &str| gst::error_msg!(gst::ResourceError::Settings, ("{sentence}"));
        let net = settings
            .net(element.upcast_ref())
            .map_err(|sentence| wrong(&sentence))?;
        if settings.action != Action::None && settings.stream_name.is_none() {
            return Err(wrong(
                "There is no stream-name; set the name of the stream to publish or play.",
            ));
        }
        if gst::ElementFactory::find("webrtcbin").is_none() {
            super::missing(element.upcast_ref(), "webrtcbin");
            return Err(gst::error_msg!(
                gst::CoreError::MissingPlugin,
                ("The element webrtcbin is missing.")
            ));
        }
        let (tasks, inbox) = channel();
        let notices = tasks.clone();
        let member = Arc::new(
            Member::join(settings.session.as_deref(), net, move |notice| {
                let _ = notices.send(Task::Notice(notice));
            })
            .map_err(|error| {
                gst::error_msg!(
                    gst::ResourceError::NoSpaceLeft,
                    ("There are no resources left for a session: {error}.")
                )
            })?,
        );
        *lock(&self.status) = Status::default();
        if let (Action::Publish | Action::Play, Some(name)) =
            (settings.action, settings.stream_name.clone())
        {
            let _ = tasks.send(Task::Begin {
                publish: settings.action == Action::Publish,
                name,
            });
        }
        let control = Control::new(&element, settings, tasks.clone(), member.clone());
        // Before the thread can look for it.
        *lock(&self.running) = Some(Running {
            tasks,
            member,
            peer: None,
        });
        let started = thread::Builder::new()
            .name("wcs-control".to_owned())
            .spawn(move || control.run(&inbox));
        if let Err(error) = started {
            lock(&self.running).take();
            return Err(gst::error_msg!(
                gst::ResourceError::NoSpaceLeft,
                ("There are no resources left for a session: {error}.")
            ));
        }
        Ok(())
    }

    /// Leaves the session on the way to READY; the server is told by threads that nobody waits for.
    fn end(&self) {
        let running = lock(&self.running).take();
        let Some(Running { tasks, peer, .. }) = running else {
            return;
        };
        if let Some(peer) = peer {
            self.take_away(&peer);
            let _ = tasks.send(Task::Bury(peer));
        }
        let _ = tasks.send(Task::Quit);
        let outlets = std::mem::take(&mut *lock(&self.outlets));
        for mut outlet in outlets {
            outlet.disconnect(self.obj().upcast_ref());
            for pad in outlet.pads() {
                let _ = pad.set_active(false);
                let _ = self.obj().remove_pad(pad);
            }
        }
        self.obj().set_session(SessionStatus::Disconnected, None);
    }

    fn take_away(&self, peer: &Peer) {
        let element = self.obj();
        for inlet in self.inlets() {
            inlet.unlink();
        }
        for outlet in &mut *lock(&self.outlets) {
            outlet.disconnect(element.upcast_ref());
        }
        // What it has to say about its own end is of no interest.
        let _ = element.remove(&peer.webrtc);
        let _ = peer.webrtc.set_state(gst::State::Null);
    }

    fn inlets(&self) -> Vec<Arc<Inlet>> {
        lock(&self.inlets).clone()
    }

    fn send(&self, task: Task) -> bool {
        let running = lock(&self.running);
        running
            .as_ref()
            .is_some_and(|running| running.tasks.send(task).is_ok())
    }

    /// A pad of webrtcbin has come.
    fn source_added(&self, peer: &Peer, source: &gst::Pad) {
        if source.direction() != gst::PadDirection::Src {
            return;
        }
        let element = self.obj();
        let Some(caps) = source
            .current_caps()
            .or_else(|| Some(source.query_caps(None)))
        else {
            return;
        };
        peer.guard(source);
        let mut outlets = lock(&self.outlets);
        let waiting = outlets.iter().position(|outlet| outlet.takes(&caps));
        let (mut outlet, is_new) = match waiting {
            Some(at) => (outlets.swap_remove(at), false),
            None => {
                let output = lock(&self.settings).output;
                let mut status = lock(&self.status);
                let number = status.source_pads;
                status.source_pads += 1;
                drop(status);
                match Outlet::new(source, &caps, output, number) {
                    Some(outlet) => (outlet, true),
                    None => return,
                }
            }
        };
        drop(outlets);
        if let Err(error) = outlet.connect(element.upcast_ref(), source) {
            gst::warning!(super::CAT, imp = self, "A stream cannot be taken: {error}");
        }
        let pads: Vec<_> = outlet.pads().cloned().collect();
        lock(&self.outlets).push(outlet);
        if is_new {
            for pad in pads {
                let _ = pad.set_active(true);
                let _ = element.add_pad(&pad);
            }
        }
    }

    /// The webrtcbin of ours, be it on its way out, that this is, or a part of.
    fn webrtcbin_of(&self, object: &gst::Object) -> Option<gst::Element> {
        let mut object = object.clone();
        while let Some(parent) = object.parent() {
            if parent == *self.obj().upcast_ref::<gst::Object>() {
                let element = object.downcast::<gst::Element>().ok()?;
                let factory = element.factory()?;
                return (factory.name() == "webrtcbin").then_some(element);
            }
            object = parent;
        }
        None
    }

    fn stats(&self) -> gst::Structure {
        let peer = lock(&self.running)
            .as_ref()
            .and_then(|running| running.peer.clone());
        let messages = lock(&self.running)
            .as_ref()
            .map(|running| running.member.stats())
            .unwrap_or_default();
        let webrtc = peer.and_then(|peer| peer.stats(STATS));
        let status = lock(&self.status);
        let nick = |value: glib::Value| {
            glib::EnumValue::from_value(&value)
                .map_or_else(String::new, |(_, value)| value.nick().to_owned())
        };
        gst::Structure::builder("wcs-stats")
            .field("session-status", nick(status.session.to_value()))
            .field("stream-status", nick(status.stream.to_value()))
            .field("messages-received", messages.received)
            .field("messages-sent", messages.sent)
            .field("messages-stray", messages.stray)
            .field("messages-untold", messages.untold)
            .field("messages-malformed", messages.malformed)
            .field("starts", status.starts)
            .field_if_some("start-time", status.start_time.map(|t| t.as_nanos() as u64))
            .field_if_some("server", status.rate.clone())
            .field_if_some("webrtc", webrtc)
            .build()
    }
}

#[glib::object_subclass]
impl ObjectSubclass for WcsWebrtcBin {
    const NAME: &'static str = "GstWcsWebrtcBin";
    type Type = super::WcsWebrtcBin;
    type ParentType = gst::Bin;
}

impl ObjectImpl for WcsWebrtcBin {
    fn properties() -> &'static [glib::ParamSpec] {
        &SPECS
    }

    fn signals() -> &'static [Signal] {
        &SIGNALS
    }

    fn constructed(&self) {
        self.parent_constructed();
        // What the pads make of it, whatever webrtcbin has inside.
        let element = self.obj();
        element.set_suppressed_flags(gst::ElementFlags::SOURCE | gst::ElementFlags::SINK);
        // Bins take it over when the element is added, before it has pads.
        element.set_element_flags(gst::ElementFlags::SINK);
    }

    fn property(&self, id: usize, spec: &glib::ParamSpec) -> glib::Value {
        if let Some(value) = property::get(&TABLE, &lock(&self.settings), id) {
            return value;
        }
        match spec.name() {
            "session-status" => lock(&self.status).session.to_value(),
            "stream-status" => lock(&self.status).stream.to_value(),
            "info" => lock(&self.status).info.to_value(),
            _ => self.stats().to_value(),
        }
    }

    fn set_property(&self, id: usize, value: &glib::Value, spec: &glib::ParamSpec) {
        property::set(&TABLE, &mut lock(&self.settings), id, value);
        if spec.name() == "action" {
            let action = lock(&self.settings).action;
            let (is, is_not) = match action {
                Action::Play => (gst::ElementFlags::SOURCE, gst::ElementFlags::SINK),
                _ => (gst::ElementFlags::SINK, gst::ElementFlags::SOURCE),
            };
            self.obj().set_element_flags(is);
            self.obj().unset_element_flags(is_not);
        }
    }
}

impl GstObjectImpl for WcsWebrtcBin {}

impl ElementImpl for WcsWebrtcBin {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Web Call Server client",
                "Source/Sink/Network/WebRTC",
                "Publishes to a Web Call Server and plays from it, by WebRTC",
                AUTHOR,
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        let encoded = match template.name_template() {
            "audio_%u" => Some(Kind::Audio),
            "video_%u" => Some(Kind::Video),
            _ => None,
        };
        let name = match name.filter(|name| !name.contains('%')) {
            Some(name) => name.to_owned(),
            None => {
                let prefix = template.name_template().trim_end_matches("%u");
                let mut status = lock(&self.status);
                loop {
                    let name = format!("{prefix}{}", status.pads);
                    status.pads += 1;
                    if self.obj().static_pad(&name).is_none() {
                        break name;
                    }
                }
            }
        };
        let element = self.obj().downgrade();
        let inlet = Inlet::new(template, &name, encoded, move |_| {
            if let Some(element) = element.upgrade() {
                element.tell(Task::Inlets);
            }
        });
        let ghost = inlet.ghost.clone();
        let _ = ghost.set_active(true);
        self.obj().add_pad(&ghost).ok()?;
        lock(&self.inlets).push(inlet);
        self.obj().set_element_flags(gst::ElementFlags::SINK);
        Some(ghost.upcast())
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let mut inlets = lock(&self.inlets);
        let at = inlets.iter().position(|inlet| inlet.ghost == *pad);
        let inlet = at.map(|at| inlets.remove(at));
        drop(inlets);
        if let Some(inlet) = inlet {
            let _ = pad.set_active(false);
            inlet.dismantle(self.obj().upcast_ref());
            let _ = self.obj().remove_pad(pad);
        }
        self.send(Task::Inlets);
    }

    /// An end of stream that an application sends, as gst-launch-1.0 -e does, ends what is played. A bin would
    /// hand it to parts of webrtcbin, and none would come out.
    fn send_event(&self, event: gst::Event) -> bool {
        let is_end = event.type_() == gst::EventType::Eos;
        let plays = lock(&self.settings).action == Action::Play || !lock(&self.outlets).is_empty();
        match is_end && plays {
            true => self.send(Task::Leave),
            false => self.parent_send_event(event),
        }
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => peer::warm_up(),
            gst::StateChange::ReadyToPaused => {
                if let Err(error) = self.begin() {
                    self.post_error_message(error);
                    return Err(gst::StateChangeError);
                }
            }
            gst::StateChange::PausedToReady => self.end(),
            _ => {}
        }
        let success = self.parent_change_state(transition)?;
        let is_source = lock(&self.settings).action == Action::Play;
        match transition {
            gst::StateChange::PausedToPlaying => {
                self.send(Task::Playing);
            }
            gst::StateChange::ReadyToPaused | gst::StateChange::PlayingToPaused if is_source => {
                return Ok(gst::StateChangeSuccess::NoPreroll);
            }
            _ => {}
        }
        Ok(success)
    }
}

impl BinImpl for WcsWebrtcBin {
    /// A peer that breaks is no reason for the pipeline to stop.
    fn handle_message(&self, message: gst::Message) {
        if let gst::MessageView::Error(error) = message.view()
            && let Some(webrtc) = message.src().and_then(|src| self.webrtcbin_of(src))
        {
            let text = error.error().message().to_owned();
            gst::warning!(super::CAT, imp = self, "webrtcbin: {text}");
            let running = lock(&self.running);
            let peer = running.as_ref().and_then(|running| running.peer.as_ref());
            let number = peer
                .filter(|peer| peer.webrtc == webrtc)
                .map(|peer| peer.number);
            drop(running);
            if let Some(number) = number {
                self.send(Task::Broken(number, text));
            }
            return;
        }
        self.parent_handle_message(message);
    }
}
