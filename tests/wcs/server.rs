// SPDX-License-Identifier: MPL-2.0

//! A small Web Call Server, with habits good and bad. It reads and writes JSON by itself.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::{
    media::{Media, Seen, cut, in_the_servers_style},
    support::process::PATIENCE,
};

/// What it does when it is asked for something.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// As it should.
    Well,
    /// Not at all.
    Silence,
    /// Hangs up.
    Cut,
    /// Says these texts instead.
    Say(Vec<String>),
    /// Says that the stream failed, and why.
    Fail(&'static str),
}

type Mangle = Arc<dyn Fn(String) -> String + Send + Sync>;

/// Answers offers; whether they are to be received comes first.
type FarEnd = Arc<dyn Fn(bool, &str) -> String + Send + Sync>;

/// How a server behaves.
#[derive(Clone)]
pub struct Habits {
    /// To `connection`.
    pub greeting: Reply,
    /// To `publishStream` and `playStream`.
    pub answer: Reply,
    /// What becomes of the answer.
    pub mangle: Mangle,
    /// Once media are connected.
    pub start: Reply,
    /// To the end of a stream.
    pub end: Reply,
    /// Texts to go on saying once media are connected, as fast as they are taken.
    pub flood: Option<String>,
    /// Hangs up so long after media are connected.
    pub hang_up_after: Option<Duration>,
    /// Names of the codecs that it takes.
    pub codecs: &'static [&'static str],
    /// Loses one of so many packets of what is published.
    pub loses: Option<usize>,
    /// Says that the stream flows along with its answer.
    pub is_hasty: bool,
    /// Neither reads nor writes any more once media are connected.
    pub falls_silent: bool,
    /// Says that the stream plays, and sends none of it.
    pub sends_nothing: bool,
    /// It is reached at all addresses but loopback, which clients do not use by themselves.
    pub is_everywhere: bool,
    /// Who answers in its place; it does not wait for media then.
    pub far_end: Option<FarEnd>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            greeting: Reply::Well,
            answer: Reply::Well,
            mangle: Arc::new(|sdp| sdp),
            start: Reply::Well,
            end: Reply::Well,
            flood: None,
            hang_up_after: None,
            codecs: &["opus", "VP8"],
            loses: None,
            is_hasty: false,
            falls_silent: false,
            sends_nothing: false,
            is_everywhere: false,
            far_end: None,
        }
    }
}

/// See the module's text.
pub struct Server {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Value>>>,
    news: Mutex<mpsc::Receiver<()>>,
    seen: Seen,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    pub fn new(habits: Habits) -> Self {
        crate::support::pipeline::init();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let seen = Seen {
            is_everywhere: habits.is_everywhere,
            ..Seen::default()
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, news) = mpsc::channel();
        let shared = (heard.clone(), seen.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let (heard, seen, stop) = shared;
            let mut sessions = Vec::new();
            for socket in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let session = Session {
                    habits: habits.clone(),
                    heard: heard.clone(),
                    tell: tell.clone(),
                    seen: seen.clone(),
                    stop: stop.clone(),
                };
                sessions.push(thread::spawn(move || session.run(socket.unwrap())));
            }
            for session in sessions {
                session.join().expect("a session without a panic");
            }
        });
        Self {
            address,
            heard,
            news: Mutex::new(news),
            seen,
            stop,
            thread: Some(thread),
        }
    }

    pub fn uri(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Names of the messages that clients have sent until now.
    pub fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .map(|message| message["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The first message of this name, waited for.
    #[track_caller]
    pub fn wait_for(&self, name: &str) -> Value {
        self.wait_for_nth(name, 0)
    }

    #[track_caller]
    pub fn wait_for_nth(&self, name: &str, nth: usize) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let heard = self.heard.lock().unwrap();
            let found = heard.iter().filter(|message| message["message"] == name);
            if let Some(message) = found.clone().nth(nth) {
                return message["data"][0].clone();
            }
            drop(heard);
            let left = until.saturating_duration_since(Instant::now());
            let news = self.news.lock().unwrap().recv_timeout(left);
            assert!(news.is_ok(), "no {name} among {:?}", self.heard());
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            if !thread::panicking() {
                result.expect("a server without a panic");
            }
        }
    }
}

struct Session {
    habits: Habits,
    heard: Arc<Mutex<Vec<Value>>>,
    tell: mpsc::Sender<()>,
    seen: Seen,
    stop: Arc<AtomicBool>,
}

/// A call, and whether it was asked to be published.
struct Call {
    id: String,
    name: String,
    published: bool,
    /// Dropped with the call.
    _media: Option<Media>,
}

type Socket = WebSocket<TcpStream>;

impl Session {
    fn run(self, socket: TcpStream) {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let Ok(mut socket) = tungstenite::accept(socket) else {
            return;
        };
        // So that it can see to other things in between.
        let glance = Some(Duration::from_millis(2));
        socket.get_ref().set_read_timeout(glance).unwrap();
        let (report, states) = mpsc::channel::<String>();
        let mut calls: Vec<Call> = Vec::new();
        let mut hang_up = None;
        let mut flood = false;
        while !self.stop.load(Ordering::SeqCst) {
            if hang_up.is_some_and(|at| at <= Instant::now()) {
                return;
            }
            for id in states.try_iter() {
                if let Some(call) = calls.iter().find(|call: &&Call| call.id == id) {
                    let status = if call.published {
                        "PUBLISHING"
                    } else {
                        "PLAYING"
                    };
                    if !self.reply(&mut socket, &self.habits.start, &id, || {
                        vec![state_of(call, status, None)]
                    }) {
                        return;
                    }
                    while self.habits.falls_silent && !self.stop.load(Ordering::SeqCst) {
                        thread::park_timeout(Duration::from_millis(5));
                    }
                    flood = self.habits.flood.is_some();
                    hang_up = self.habits.hang_up_after.map(|d| Instant::now() + d);
                }
            }
            if let (true, Some(text)) = (flood, &self.habits.flood) {
                let id = calls.first().map_or("", |call| &call.id);
                let text = text.replace("ID", id);
                for _ in 0..1000 {
                    if socket.write(Message::text(text.clone())).is_err() {
                        return;
                    }
                }
                let _ = socket.flush();
            }
            let text = match socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(Message::Close(_)) => {
                    let _ = socket.flush();
                    return;
                }
                Ok(_) => continue,
                Err(tungstenite::Error::Io(error))
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    continue;
                }
                Err(_) => return,
            };
            let message: Value = serde_json::from_str(&text).unwrap();
            self.heard.lock().unwrap().push(message.clone());
            let _ = self.tell.send(());
            let data = &message["data"][0];
            let id = data["mediaSessionId"].as_str().unwrap_or_default();
            let goes_on = match message["message"].as_str().unwrap() {
                "connection" => self.reply(&mut socket, &self.habits.greeting, "", || {
                    vec![
                        json!({"message": "getUserData", "data": [{"status": "ESTABLISHED",
                            "authToken": "/1/2", "mediaProviders": ["WebRTC"]}]}),
                        json!({"message": "getVersion", "data": ["5.2.0-test"]}),
                        json!({"message": "ping", "data": []}),
                    ]
                }),
                name @ ("publishStream" | "playStream") => {
                    let published = name == "publishStream";
                    self.reply(&mut socket, &self.habits.answer, id, || {
                        let offer = data["sdp"].as_str().unwrap();
                        assert!(!offer.contains("a=candidate"), "{offer}");
                        let (report, call_id) = (report.clone(), id.to_owned());
                        if self.habits.is_hasty || self.habits.far_end.is_some() {
                            let _ = report.send(call_id.clone());
                        }
                        let is_hasty = self.habits.is_hasty;
                        let connected = move |state: String| {
                            if state == "connected" && !is_hasty {
                                let _ = report.send(call_id.clone());
                            }
                        };
                        let (media, answer) = match &self.habits.far_end {
                            Some(far_end) => (None, far_end(published, offer)),
                            None => {
                                let offer = cut(offer, self.habits.codecs);
                                let media = match published {
                                    true => {
                                        Media::receive(&self.seen, connected, self.habits.loses)
                                    }
                                    false => {
                                        let nothing = self.habits.sends_nothing;
                                        Media::send(&self.seen, connected, &offer, nothing)
                                    }
                                };
                                let answer = media.answer(&offer);
                                (Some(media), answer)
                            }
                        };
                        let answer = in_the_servers_style(&answer);
                        calls.push(Call {
                            id: id.to_owned(),
                            name: data["name"].as_str().unwrap().to_owned(),
                            published,
                            _media: media,
                        });
                        let answer = (self.habits.mangle)(answer);
                        vec![json!({"message": "setRemoteSDP", "data": [id, answer, true]})]
                    })
                }
                "unPublishStream" | "stopStream" => {
                    let at = calls.iter().position(|call| call.id == id);
                    let call = at.map(|at| calls.remove(at));
                    self.reply(&mut socket, &self.habits.end, id, || match &call {
                        Some(call) if call.published => vec![state_of(
                            call,
                            "UNPUBLISHED",
                            Some("Stopped by publisher stop"),
                        )],
                        Some(call) => vec![state_of(call, "STOPPED", Some("Stopped by user"))],
                        None => Vec::new(),
                    })
                }
                "availableStream" => {
                    let name = data["name"].as_str().unwrap();
                    let there = calls.iter().any(|call| call.published && call.name == name);
                    let answer = json!({"message": "availableStream", "data": [
                        {"id": id, "status": there.to_string(), "info": "Stream not found"}]});
                    socket.send(Message::text(answer.to_string())).is_ok()
                }
                "sendData" => {
                    let answer = json!({"message": "DataStatusEvent", "data": [
                        {"operationId": data["operationId"], "status": "ACCEPTED"}]});
                    let event = json!({"message": "OnDataEvent", "data": [data["payload"]]});
                    socket.send(Message::text(answer.to_string())).is_ok()
                        && socket.send(Message::text(event.to_string())).is_ok()
                }
                "snapshot" => {
                    let event = json!({"message": "notifyStreamEvent", "data": [
                        {"mediaSessionId": id, "type": "snapshotCompleted", "payload": "a.png"}]});
                    socket.send(Message::text(event.to_string())).is_ok()
                }
                "sendStreamEvent" => {
                    let event = json!({"message": "notifyStreamEvent", "data": [data]});
                    socket.send(Message::text(event.to_string())).is_ok()
                }
                "ping" => {
                    let pong = json!({"message": "pong", "data": []});
                    socket.send(Message::text(pong.to_string())).is_ok()
                }
                _ => true,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Says what the habit has it say; `false` to hang up.
    fn reply(
        &self,
        socket: &mut Socket,
        habit: &Reply,
        id: &str,
        well: impl FnOnce() -> Vec<Value>,
    ) -> bool {
        let texts: Vec<String> = match habit {
            Reply::Well => well().iter().map(Value::to_string).collect(),
            Reply::Silence => Vec::new(),
            Reply::Cut => return false,
            Reply::Say(texts) => texts.iter().map(|text| text.replace("ID", id)).collect(),
            Reply::Fail(info) => vec![
                json!({"message": "notifyStreamStatusEvent", "data": [
                    {"mediaSessionId": id, "status": "FAILED", "info": info}]})
                .to_string(),
            ],
        };
        texts
            .into_iter()
            .all(|text| socket.send(Message::text(text)).is_ok())
    }
}

fn state_of(call: &Call, status: &str, info: Option<&str>) -> Value {
    json!({"message": "notifyStreamStatusEvent", "data": [{
        "mediaSessionId": call.id, "name": call.name, "published": call.published,
        "status": status, "info": info, "audioCodec": "opus", "videoCodec": "VP8"}]})
}
