// SPDX-License-Identifier: MPL-2.0

use serde_json::json;

use super::*;
use crate::{protocol::wcs::message::Connection, testing::origin};

const ID: &str = "90e14ad0-fdb2-11e8-bce2-a3f72476fb49";

fn config() -> SessionConfig {
    SessionConfig {
        connection: Connection {
            app_key: "defaultApp".into(),
            ..Connection::default()
        },
        timeouts: Timeouts::default(),
        ping_interval: Duration::from_secs(5),
        ping_probes: 3,
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

struct Dialogue {
    session: ClientSession,
    now: Instant,
}

impl Dialogue {
    fn new() -> Self {
        let now = origin();
        Self {
            session: ClientSession::new(config(), now),
            now,
        }
    }

    fn established() -> Self {
        let mut dialogue = Self::new();
        assert_eq!(dialogue.sent(), ["connection"]);
        dialogue.hears(json!({"message": "getUserData",
            "data": [{"status": "ESTABLISHED", "authToken": "t"}]}));
        assert!(matches!(dialogue.events()[..], [Event::Established(_)]));
        dialogue
    }

    fn publishing() -> Self {
        let mut dialogue = Self::established();
        dialogue.publish();
        assert_eq!(dialogue.sent(), ["publishStream"]);
        dialogue.hears(json!({"message": "setRemoteSDP", "data": [ID, "v=0", true]}));
        dialogue.hears_status("PUBLISHING", None);
        assert!(matches!(
            dialogue.events()[..],
            [Event::Answer { .. }, Event::Status(_)]
        ));
        dialogue
    }

    fn publish(&mut self) {
        let request = PublishStream {
            media_session_id: ID.into(),
            name: "test".into(),
            ..PublishStream::default()
        };
        self.session.publish(self.now, request).unwrap();
    }

    fn hears(&mut self, message: Value) {
        self.session.handle_text(self.now, &message.to_string());
    }

    fn hears_status(&mut self, status: &str, info: Option<&str>) {
        self.hears(json!({"message": "notifyStreamStatusEvent",
            "data": [{"mediaSessionId": ID, "status": status, "info": info}]}));
    }

    fn passes(&mut self, span: Duration) {
        self.now += span;
        self.session.handle_timeout(self.now);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.session.poll_event()).collect()
    }

    /// Names of what was sent.
    fn sent(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.session.poll_transmit())
            .map(|transmit| match transmit {
                Transmit::Text(text) => ClientMessage::parse(&text).unwrap().name().to_owned(),
                Transmit::Ping => "PING".to_owned(),
            })
            .collect()
    }

    fn ended(&mut self) -> Result<Option<String>, CallError> {
        let mut ended = self.events().into_iter().filter_map(|event| match event {
            Event::Ended { id, result } => {
                assert_eq!(id, ID);
                Some(result)
            }
            _ => None,
        });
        let first = ended.next().expect("an end");
        assert_eq!(ended.next(), None);
        first
    }
}

#[test]
fn the_recorded_conversations_go_through() {
    for text in [
        include_str!("../../../../tests/data/wcs/play-stop.jsonl"),
        include_str!("../../../../tests/data/wcs/publish-unpublish.jsonl"),
    ] {
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let first = ClientMessage::parse(&lines[0]["json"].to_string()).unwrap();
        let ClientMessage::Connection(connection) = first else {
            panic!("{text}");
        };
        let begin = origin();
        let time = |line: &Value| {
            let since = line["t"].as_u64().unwrap() - lines[0]["t"].as_u64().unwrap();
            begin + Duration::from_millis(since)
        };
        let config = SessionConfig {
            connection,
            ..config()
        };
        let mut session = ClientSession::new(config, begin);
        let mut happened = Vec::new();
        for line in &lines {
            let now = time(line);
            session.handle_timeout(now);
            if line["dir"] == "server>client" {
                session.handle_text(now, &line["json"].to_string());
                happened.extend(std::iter::from_fn(|| session.poll_event()));
                continue;
            }
            // What the SDK was told to do by its page, we are told here; the rest we have to say too.
            match ClientMessage::parse(&line["json"].to_string()).unwrap() {
                ClientMessage::PublishStream(request) => session.publish(now, request).unwrap(),
                ClientMessage::PlayStream(request) => session.play(now, request).unwrap(),
                ClientMessage::UnPublishStream(end) | ClientMessage::StopStream(end) => {
                    session.end(now, &end.media_session_id).unwrap();
                }
                _ => {}
            }
            let Some(Transmit::Text(said)) = session.poll_transmit() else {
                panic!("nothing said where the SDK said {line}");
            };
            let said: Value = serde_json::from_str(&said).unwrap();
            assert_eq!(said, line["json"]);
        }
        assert_eq!(session.poll_transmit(), None);
        assert!(matches!(
            happened.last().unwrap(),
            Event::Ended { result: Ok(Some(info)), .. } if info.starts_with("Stopped by")
        ));
        assert!(happened.iter().any(|e| matches!(e, Event::Answer { .. })));
        assert_eq!(session.calls(), 0);
        let stats = session.stats();
        assert_eq!((stats.stray, stats.untold, stats.malformed), (0, 0, 0));
    }
}

#[test]
fn nothing_can_be_asked_for_before_the_session_is_established() {
    let mut dialogue = Dialogue::new();
    let session = &mut dialogue.session;
    let refused = session.publish(dialogue.now, PublishStream::default());
    assert_eq!(refused, Err(AskError::NotEstablished));
    assert_eq!(
        session.ask_available("i", "n"),
        Err(AskError::NotEstablished)
    );
    assert_eq!(session.end(dialogue.now, "i"), Err(AskError::NoSuchCall));
    assert_eq!(session.snapshot("i"), Err(AskError::NoSuchCall));
}

#[test]
fn each_step_has_its_deadline() {
    let mut dialogue = Dialogue::new();
    dialogue.passes(at(11));
    let error = SessionError::NotEstablished(at(10));
    assert_eq!(dialogue.events(), [Event::Failed(error)]);
    assert_eq!(dialogue.session.poll_timeout(), None);

    let mut dialogue = Dialogue::established();
    dialogue.publish();
    dialogue.sent();
    dialogue.passes(at(11));
    assert_eq!(dialogue.ended(), Err(CallError::NoAnswer(at(10))));
    assert_eq!(dialogue.sent(), ["unPublishStream", "ping", "PING"]);

    let mut dialogue = Dialogue::established();
    dialogue.publish();
    dialogue.hears(json!({"message": "setRemoteSDP", "data": [ID, "v=0"]}));
    assert!(matches!(dialogue.events()[..], [Event::Answer { .. }]));
    dialogue.passes(at(21));
    assert_eq!(dialogue.ended(), Err(CallError::NotStarted(at(20))));

    let mut dialogue = Dialogue::publishing();
    dialogue.session.end(dialogue.now, ID).unwrap();
    dialogue.session.end(dialogue.now, ID).unwrap();
    assert_eq!(dialogue.sent(), ["unPublishStream"]);
    dialogue.passes(at(6));
    assert_eq!(dialogue.ended(), Ok(None));
    assert_eq!(dialogue.session.calls(), 0);
}

#[test]
fn a_call_that_runs_has_no_deadline() {
    let mut dialogue = Dialogue::publishing();
    for _ in 0..1000 {
        dialogue.passes(at(4));
        dialogue.hears(json!({"message": "ping", "data": []}));
        dialogue.sent();
    }
    assert_eq!(dialogue.events(), []);
    assert_eq!(dialogue.session.calls(), 1);
}

#[test]
fn the_server_ends_calls_at_every_step() {
    for step in 0..4 {
        for (status, info) in [
            ("FAILED", Some("Stream name is already in use")),
            ("FAILED", None),
            ("UNPUBLISHED", Some("Stopped by publisher stop")),
            ("STOPPED", None),
        ] {
            let mut dialogue = match step {
                0 | 1 => Dialogue::established(),
                _ => Dialogue::publishing(),
            };
            if step < 2 {
                dialogue.publish();
            }
            if step == 1 {
                dialogue.hears(json!({"message": "setRemoteSDP", "data": [ID, "v=0"]}));
            }
            if step == 3 {
                dialogue.session.end(dialogue.now, ID).unwrap();
            }
            dialogue.hears_status(status, info);
            let info = info.map(str::to_owned);
            let wanted = match status {
                "FAILED" => Err(CallError::Failed(info)),
                _ if step < 2 => Err(CallError::NeverBegan(info)),
                _ => Ok(info),
            };
            assert_eq!(dialogue.ended(), wanted, "{step} {status}");
            // And it is not a matter of talk any more.
            dialogue.hears_status("PUBLISHING", None);
            assert_eq!(dialogue.events(), []);
            assert_eq!(dialogue.session.stats().stray, 1);
            // The name is free again.
            dialogue.publish();
        }
    }
}

#[test]
fn a_fail_without_a_status_is_one() {
    let mut dialogue = Dialogue::publishing();
    dialogue.hears(json!({"message": "fail",
        "data": [{"apiMethod": "StreamStatusEvent", "id": ID, "info": "Stream failed"}]}));
    let wanted = Err(CallError::Failed(Some("Stream failed".into())));
    assert!(
        matches!(&dialogue.events()[..], [Event::Status(_), Event::Ended { result, .. }] if *result == wanted)
    );
}

#[test]
fn fail_is_a_status_or_a_warning() {
    let mut dialogue = Dialogue::publishing();
    dialogue.hears(json!({"message": "fail", "data": [{"apiMethod": "RestCall", "info": "no"}]}));
    assert!(matches!(dialogue.events()[..], [Event::Warning(_)]));
    dialogue.hears(
        json!({"message": "fail", "data": [{"apiMethod": "StreamStatusEvent", "id": ID,
        "status": "FAILED", "info": "Restricted access"}]}),
    );
    let error = CallError::Failed(Some("Restricted access".into()));
    assert_eq!(dialogue.ended(), Err(error));
}

#[test]
fn only_the_first_answer_counts_and_only_to_a_call() {
    let mut dialogue = Dialogue::publishing();
    dialogue.hears(json!({"message": "setRemoteSDP", "data": [ID, "v=1"]}));
    dialogue.hears(json!({"message": "setRemoteSDP", "data": ["another", "v=1"]}));
    dialogue.hears(json!({"message": "setRemoteSDP", "data": []}));
    assert_eq!(dialogue.events(), []);
    assert_eq!(dialogue.session.stats().stray, 2);
}

#[test]
fn a_status_may_come_before_the_answer() {
    let mut dialogue = Dialogue::established();
    dialogue.publish();
    dialogue.hears_status("PUBLISHING", None);
    dialogue.hears(json!({"message": "setRemoteSDP", "data": [ID, "v=0", true]}));
    assert!(matches!(
        dialogue.events()[..],
        [Event::Status(_), Event::Answer { .. }]
    ));
    dialogue.passes(at(19));
    dialogue.hears_status("PUBLISHING", None);
    dialogue.passes(at(2));
    assert!(
        !dialogue
            .events()
            .iter()
            .any(|event| matches!(event, Event::Ended { .. }))
    );
}

#[test]
fn a_stream_that_flows_is_told_through_a_flood() {
    let mut dialogue = Dialogue::established();
    dialogue.publish();
    dialogue.hears(json!({"message": "setRemoteSDP", "data": [ID, "v=0", true]}));
    for _ in 0..2 * limits::CHATTER {
        dialogue.hears(json!({"message": "inboundVideoRate", "data": [{"mediaSessionId": ID}]}));
    }
    dialogue.events();
    dialogue.hears_status("PUBLISHING", None);
    assert!(matches!(dialogue.events()[..], [Event::Status(_)]));
}

#[test]
fn a_refusal_tells_why() {
    for (data, why) in [
        (json!({"status": "FAILED", "info": "bad key"}), "bad key"),
        (json!({"status": "FAILED"}), "FAILED"),
        (json!({}), "it does not say why"),
    ] {
        let mut dialogue = Dialogue::new();
        dialogue.hears(json!({"message": "getUserData", "data": [data]}));
        let error = SessionError::Refused(why.into());
        assert_eq!(dialogue.events(), [Event::Failed(error)]);
        // Whatever it says then is not heard.
        dialogue.hears(json!({"message": "getUserData", "data": [{"status": "ESTABLISHED"}]}));
        assert_eq!(dialogue.events(), []);
    }
}

#[test]
fn a_silent_server_is_asked_and_then_gone() {
    let mut dialogue = Dialogue::established();
    for _ in 0..3 {
        assert_eq!(dialogue.session.poll_timeout(), Some(dialogue.now + at(5)));
        dialogue.passes(at(5));
        assert_eq!(dialogue.sent(), ["ping", "PING"]);
    }
    // Any sign of life starts anew.
    dialogue.session.handle_sign_of_life(dialogue.now);
    for _ in 0..3 {
        dialogue.passes(at(5));
        assert_eq!(dialogue.sent(), ["ping", "PING"]);
    }
    dialogue.passes(at(5));
    let error = SessionError::Silent(at(20));
    assert_eq!(dialogue.events(), [Event::Failed(error)]);
}

#[test]
fn after_a_long_sleep_the_server_is_asked_first() {
    let mut dialogue = Dialogue::established();
    dialogue.passes(at(3600));
    dialogue.passes(at(0));
    assert_eq!(dialogue.sent(), ["ping", "PING"]);
    assert_eq!(dialogue.events(), []);
}

#[test]
fn a_flood_is_counted_and_not_told() {
    let mut dialogue = Dialogue::publishing();
    let rate = json!({"message": "inboundVideoRate", "data": [{"mediaSessionId": ID}]}).to_string();
    let ping = json!({"message": "ping", "data": []}).to_string();
    let mut told = 0;
    for _ in 0..100_000 {
        for text in [rate.as_str(), "garbage", ping.as_str()] {
            dialogue.session.handle_text(dialogue.now, text);
            while dialogue.session.poll_event().is_some() {
                told += 1;
            }
        }
    }
    assert!(told <= limits::CHATTER, "{told}");
    assert_eq!(dialogue.sent(), ["pong"]);
    let stats = dialogue.session.stats();
    assert_eq!(stats.malformed, 100_000);
    assert!(stats.untold > 199_000);
    // What matters is told all the same, and the flood is forgiven.
    dialogue.hears_status("FAILED", Some("why"));
    assert_eq!(dialogue.ended(), Err(CallError::Failed(Some("why".into()))));
    dialogue.now += at(1);
    dialogue.hears(json!({"message": "getVersion", "data": ["5.2"]}));
    assert_eq!(dialogue.events(), [Event::Version("5.2".into())]);
}

#[test]
fn questions_are_answered_once() {
    let mut dialogue = Dialogue::established();
    dialogue.session.ask_available("q", "name").unwrap();
    dialogue.session.send_data("o", json!({"a": 1})).unwrap();
    assert_eq!(dialogue.sent(), ["availableStream", "sendData"]);
    for _ in 0..2 {
        dialogue
            .session
            .handle_text(dialogue.now, r#"[{"id":"q","status":"true"}]"#);
        dialogue.hears(json!({"message": "DataStatusEvent",
            "data": [{"operationId": "o", "status": "ACCEPTED"}]}));
    }
    let events = dialogue.events();
    assert!(matches!(&events[..], [Event::Available(a), Event::DataStatus(_)] if a.status));
    assert_eq!(dialogue.session.stats().stray, 2);
    for i in 0..1000 {
        dialogue.session.ask_available(&i.to_string(), "n").unwrap();
    }
    assert_eq!(dialogue.session.questions.len(), limits::QUESTIONS);
}

#[test]
fn budgets_hold() {
    let mut dialogue = Dialogue::established();
    for i in 0..limits::CALLS {
        let request = PlayStream {
            media_session_id: i.to_string(),
            ..PlayStream::default()
        };
        dialogue.session.play(dialogue.now, request).unwrap();
    }
    let one_more = PlayStream::default();
    assert_eq!(
        dialogue.session.play(dialogue.now, one_more),
        Err(AskError::TooMany)
    );
    let again = PlayStream {
        media_session_id: "0".into(),
        ..PlayStream::default()
    };
    assert_eq!(
        dialogue.session.play(dialogue.now, again),
        Err(AskError::InUse)
    );
    dialogue.session.leave(dialogue.now);
    let sent = dialogue.sent();
    assert_eq!(
        sent.iter().filter(|name| *name == "stopStream").count(),
        limits::CALLS
    );
    // A server that reads nothing.
    for i in 0..=limits::OUTBOX {
        let _ = dialogue.session.ask_available(&i.to_string(), "n");
    }
    assert!(matches!(
        dialogue.events()[..],
        [Event::Failed(SessionError::Stuck(_))]
    ));
}
