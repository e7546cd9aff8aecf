// SPDX-License-Identifier: MPL-2.0

//! Who a caller is, and whether it may have what it asks for.

use std::{
    net::SocketAddr,
    sync::{Arc, LazyLock},
    time::{Instant, SystemTime},
};

use super::{
    entry::{Entry, Names},
    port::Port,
};
use crate::{
    net::connection::seed,
    protocol::rtmp::{
        amf::Object,
        auth::{AdobeGate, Verdict},
        names,
        session::{Capabilities, can_reconnect},
    },
};

/// Somebody who publishes or plays, or wants to.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Where from.
    pub address: Option<SocketAddr>,
    /// The application it named, without its query.
    pub app: String,
    /// The stream it named, without its query.
    pub stream: String,
    /// The queries of both, the stream's first, as the URL had them.
    pub query: String,
    /// Who it proved to be.
    pub user: Option<String>,
    /// `flashVer` of its connect command: the name of the program.
    pub encoder: String,
    /// It said that it follows a `ReconnectRequest`.
    pub can_reconnect: bool,
}

/// What an element says to callers. Runs on the thread that serves all ports, so it must not wait.
pub trait Host: Send + Sync {
    /// Lets a caller in whom the door lets pass.
    ///
    /// # Errors
    /// What it is told.
    fn admit(&self, caller: &Caller) -> Result<(), String>;

    /// A caller was turned away for this reason, be it by [`admit`](Self::admit).
    fn rejected(&self, caller: &Caller, reason: &str);
}

/// Everybody is welcome.
#[cfg(test)]
pub(crate) struct OpenHouse;

#[cfg(test)]
impl Host for OpenHouse {
    fn admit(&self, _: &Caller) -> Result<(), String> {
        Ok(())
    }

    fn rejected(&self, _: &Caller, _: &str) {}
}

/// A connection that has said which application it is for.
#[derive(Debug)]
pub(super) struct Visit {
    port: Arc<Port>,
    secure: bool,
    address: Option<SocketAddr>,
    /// Query included.
    app: String,
    encoder: String,
    can_reconnect: bool,
    user: Option<String>,
}

/// Why a caller does not get what it asks for.
#[derive(Debug)]
pub(super) struct Refusal {
    /// A status code such as `NetStream.Publish.BadName`.
    pub(super) code: &'static str,
    pub(super) text: String,
}

impl Refusal {
    fn new(code: &'static str, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }
}

impl Visit {
    /// Judges a connect command.
    pub(super) fn connect(
        port: &Arc<Port>,
        secure: bool,
        address: Option<SocketAddr>,
        app: &str,
        object: &Object,
    ) -> Result<Self, Refusal> {
        let known = port.find_all(secure, |e| e.knows(app));
        if known.is_empty() {
            return Err(if port.find_all(true, |e| e.knows(app)).is_empty() {
                let text = format!(
                    "There is no application {} here.",
                    names::without_query(app)
                );
                Refusal::new("NetConnection.Connect.InvalidApp", text)
            } else {
                let text = format!(
                    "{} is to be reached by rtmps only.",
                    names::without_query(app)
                );
                Refusal::new("NetConnection.Connect.Rejected", text)
            });
        }
        let encoder = object.string("flashVer").unwrap_or_default().to_owned();
        // Encoders of every kind say so; players say nothing.
        let publishes = object.string("type") == Some("nonprivate") || encoder.starts_with("FMLE");
        let user = prove(&known, publishes, names::query(app), address)?;
        Ok(Self {
            port: port.clone(),
            secure,
            address,
            app: app.to_owned(),
            encoder,
            can_reconnect: can_reconnect(object),
            user,
        })
    }

    /// Where a publisher of this stream is let in.
    pub(super) fn publish(
        &self,
        name: &str,
        now: Instant,
    ) -> Result<(Arc<Entry>, Caller), Refusal> {
        const DENIED: &str = "NetStream.Publish.Denied";
        let caller = self.caller(name);
        let found = self
            .port
            .find_all(self.secure, |e| e.takes(&self.app, name));
        // Whoever has this very stream, else who waits for it by name, else one that waits for any.
        let rank = |e: &Arc<Entry>| match e.is_taken_by(&caller.app, &caller.stream) {
            true => (false, false),
            false => (e.is_pattern(), e.is_taken()),
        };
        let Some(entry) = found.into_iter().min_by_key(rank) else {
            let text = format!("Nobody here waits for {}.", caller.stream);
            return Err(Refusal::new(DENIED, text));
        };
        let Some(names) = entry.names() else {
            return Err(Refusal::new(DENIED, "This is not for publishing."));
        };
        self.knock(names, &caller, DENIED)?;
        if let Err(text) = entry.has_room(&caller.app, &caller.stream, now) {
            names.host.rejected(&caller, &text);
            return Err(Refusal::new("NetStream.Publish.BadName", text));
        }
        self.ask(names, &caller, DENIED)?;
        Ok((entry, caller))
    }

    /// Where a player of this stream is let in.
    ///
    /// Who plays from `present` already has its place there.
    pub(super) fn play(
        &self,
        name: &str,
        present: Option<&Arc<Entry>>,
    ) -> Result<(Arc<Entry>, Caller), Refusal> {
        const DENIED: &str = "NetStream.Play.Failed";
        let caller = self.caller(name);
        let found = self
            .port
            .find_all(self.secure, |e| e.plays(&self.app, name));
        let Some(entry) = found.into_iter().min_by_key(|e| e.is_pattern()) else {
            let text = format!("There is no stream {} here.", caller.stream);
            return Err(Refusal::new("NetStream.Play.StreamNotFound", text));
        };
        let Some(names) = entry.names() else {
            return Err(Refusal::new(DENIED, "This is not for playing."));
        };
        self.knock(names, &caller, DENIED)?;
        if present.is_none_or(|present| !Arc::ptr_eq(present, &entry)) {
            self.ask(names, &caller, DENIED)?;
        }
        Ok((entry, caller))
    }

    /// What there is of Enhanced RTMP behind the application's door.
    pub(super) fn capabilities(&self) -> Capabilities {
        let known = self.port.find_all(self.secure, |e| e.knows(&self.app));
        let mut all = Capabilities::default();
        for one in known.iter().filter_map(|entry| entry.capabilities()) {
            all.merge(one);
        }
        all
    }

    fn caller(&self, name: &str) -> Caller {
        let queries = [names::query(name), names::query(&self.app)];
        let queries = queries.iter().filter(|query| !query.is_empty());
        Caller {
            address: self.address,
            app: names::without_query(&self.app).to_owned(),
            stream: names::without_query(name).to_owned(),
            query: queries.copied().collect::<Vec<_>>().join("&"),
            user: self.user.clone(),
            encoder: self.encoder.clone(),
            can_reconnect: self.can_reconnect,
        }
    }

    fn knock(&self, names: &Names, caller: &Caller, code: &'static str) -> Result<(), Refusal> {
        let Caller {
            user,
            app,
            stream,
            query,
            ..
        } = caller;
        let now = unix_time().as_secs();
        let admitted = names.door.admit(user.as_deref(), app, stream, query, now);
        admitted.map_err(|text| {
            names.host.rejected(caller, text);
            Refusal::new(code, text)
        })
    }

    fn ask(&self, names: &Names, caller: &Caller, code: &'static str) -> Result<(), Refusal> {
        names.host.admit(caller).map_err(|text| {
            names.host.rejected(caller, &text);
            Refusal::new(code, text)
        })
    }
}

/// Who the caller is, if it says so and has to.
///
/// Which stream it wants, and with that which claim it is for, comes later than this. So it is asked for
/// a name if a claim of its kind on this application wants one, and any user of the application will do
/// for now.
fn prove(
    known: &[Arc<Entry>],
    publishes: bool,
    query: &str,
    address: Option<SocketAddr>,
) -> Result<Option<String>, Refusal> {
    static GATE: LazyLock<AdobeGate> = LazyLock::new(|| {
        // Without randomness no peer can be greeted in the first place.
        AdobeGate::new(seed().unwrap_or_default())
    });
    let doors = || known.iter().filter_map(|e| Some(&e.names()?.door));
    let asked = known
        .iter()
        .filter(|e| e.is_publish() == publishes)
        .filter_map(|e| e.names())
        .any(|names| names.door.asks_user());
    let offers = names::parameter(query, "authmod").is_some() && doors().any(|d| d.asks_user());
    if !asked && !offers {
        return Ok(None);
    }
    let peer = address.map_or_else(String::new, |a| a.ip().to_canonical().to_string());
    let now = unix_time().as_millis() as u64;
    let mut verdict = GATE.judge(query, &peer, now, |_| None);
    for door in doors().filter(|door| door.asks_user()) {
        verdict = GATE.judge(query, &peer, now, |user| door.password(user));
        if matches!(verdict, Verdict::Admit { .. }) {
            break;
        }
    }
    match verdict {
        Verdict::Admit { user } => Ok(Some(user)),
        Verdict::Reject { description } => {
            if description.contains("authfailed") {
                let caller = Caller {
                    address,
                    user: names::parameter(query, "user").map(str::to_owned),
                    ..Caller::default()
                };
                let asking = known.iter().filter_map(|e| e.names());
                for names in asking.filter(|names| names.door.asks_user()) {
                    names.host.rejected(&caller, "Wrong user name or password.");
                }
            }
            let code = "NetConnection.Connect.Rejected";
            Err(Refusal::new(code, description))
        }
    }
}

fn unix_time() -> std::time::Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}
