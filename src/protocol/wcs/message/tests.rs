// SPDX-License-Identifier: MPL-2.0

use proptest::prelude::*;

use super::*;
use crate::protocol::wcs::{SessionStatus, StreamEventType, StreamStatus};

/// The recorded conversations: who spoke, and the text frame.
fn recorded() -> Vec<(bool, Value)> {
    let play = include_str!("../../../../tests/data/wcs/play-stop.jsonl");
    let publish = include_str!("../../../../tests/data/wcs/publish-unpublish.jsonl");
    let lines = play.lines().chain(publish.lines());
    lines
        .map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            (line["dir"] == "client>server", line["json"].take())
        })
        .collect()
}

#[test]
fn recorded_messages_are_known_and_written_as_they_came() {
    let recorded = recorded();
    assert!(recorded.len() > 20);
    for (from_client, frame) in recorded {
        let text = frame.to_string();
        let written = match from_client {
            true => {
                let message = ClientMessage::parse(&text).unwrap();
                assert!(!matches!(message, ClientMessage::Other(_)), "{text}");
                assert_eq!(frame["message"], message.name());
                message.to_json()
            }
            false => {
                let message = ServerMessage::parse(&text).unwrap();
                assert!(!matches!(message, ServerMessage::Other(_)), "{text}");
                assert_eq!(frame["message"], message.name());
                message.to_json()
            }
        };
        let written: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(written, frame);
    }
}

#[test]
fn fields_have_the_names_of_the_sdk() {
    let connection = ClientMessage::Connection(Connection {
        app_key: "defaultApp".into(),
        media_providers: vec!["WebRTC".into()],
        auth_token: Some("t".into()),
        keep_alive: Some(false),
        client_version: "2.0".into(),
        custom: Some(json!({"a": 1})),
        ..Connection::default()
    });
    let wanted = json!({"message": "connection", "data": [{
        "appKey": "defaultApp", "mediaProviders": ["WebRTC"], "keepAlive": false, "authToken": "t",
        "clientVersion": "2.0", "clientOSVersion": "", "clientBrowserVersion": "",
        "custom": {"a": 1}}]});
    let written: Value = serde_json::from_str(&connection.to_json()).unwrap();
    assert_eq!(written, wanted);
    for (message, wanted) in [
        (
            ClientMessage::Ping,
            json!({"message": "ping", "data": [null]}),
        ),
        (
            ClientMessage::SendStreamEvent(OutgoingEvent {
                media_session_id: "i".into(),
                kind: StreamEventType::AudioMuted,
                payload: None,
            }),
            json!({"message": "sendStreamEvent",
                "data": [{"mediaSessionId": "i", "type": "audioMuted"}]}),
        ),
        (
            ClientMessage::SendData(SendData {
                operation_id: "o".into(),
                payload: json!([1]),
            }),
            json!({"message": "sendData", "data": [{"operationId": "o", "payload": [1]}]}),
        ),
        (
            ClientMessage::AvailableStream(AvailableStream {
                media_session_id: "i".into(),
                name: "n".into(),
            }),
            json!({"message": "availableStream", "data": [{"mediaSessionId": "i", "name": "n"}]}),
        ),
        (
            ClientMessage::Snapshot(Snapshot {
                name: "n".into(),
                media_session_id: "i".into(),
            }),
            json!({"message": "snapshot", "data": [{"mediaSessionId": "i", "name": "n"}]}),
        ),
    ] {
        let written: Value = serde_json::from_str(&message.to_json()).unwrap();
        assert_eq!(written, wanted);
        assert_eq!(ClientMessage::parse(&message.to_json()).unwrap(), message);
    }
}

#[test]
fn odd_fields_are_taken_for_what_they_mean() {
    let parse = |text: &str| ServerMessage::parse(text).unwrap();
    for status in [r#""true""#, "true", "1", r#""TRUE""#] {
        let text =
            format!(r#"{{"message":"availableStream","data":[{{"id":7,"status":{status}}}]}}"#);
        let ServerMessage::AvailableStream(answer) = parse(&text) else {
            panic!("{text}");
        };
        assert!(answer.status && answer.id == "7" && answer.info.is_none());
    }
    // As the page shows it.
    let bare = r#"[{"status":"false","info":"Restricted access","id":"2f693140"}]"#;
    let ServerMessage::AvailableStream(answer) = parse(bare) else {
        panic!();
    };
    assert!(!answer.status);
    assert_eq!(answer.info.as_deref(), Some("Restricted access"));
    let rate = r#"{"message":"inboundVideoRate","data":[{"videoRate":"704856","fps":30.4,
        "lostPackets":-2,"nack":-1,"width":1e300,"height":null,"more":[1]}]}"#;
    let ServerMessage::InboundVideoRate(rate) = parse(rate) else {
        panic!();
    };
    assert_eq!(
        (rate.video_rate, rate.fps, rate.lost_packets),
        (704_856, 30, -2)
    );
    assert_eq!(
        (rate.nack, rate.width, rate.height),
        (0, i64::MAX as u64, 0)
    );
    assert_eq!(rate.rest["more"], json!([1]));
    // An envelope without data, with one that is no array, with data that are no object.
    assert_eq!(parse(r#"{"message":"ping"}"#), ServerMessage::Ping);
    assert_eq!(
        parse(r#"{"message":"getUserData","data":{"status":"ESTABLISHED"}}"#),
        ServerMessage::GetUserData(UserData {
            status: SessionStatus::Established,
            ..UserData::default()
        })
    );
    assert_eq!(
        parse(r#"{"message":"notifyStreamStatusEvent","data":[3]}"#),
        ServerMessage::NotifyStreamStatusEvent(StreamState::default())
    );
    assert_eq!(
        parse(r#"{"message":"setRemoteSDP","data":[null,{}]}"#),
        ServerMessage::SetRemoteSdp {
            media_session_id: String::new(),
            sdp: String::new()
        }
    );
}

#[test]
fn unknown_words_and_messages_are_kept() {
    let text = r#"{"message":"notifyStreamStatusEvent","data":[{"mediaSessionId":"i","status":"DANCING"}]}"#;
    let ServerMessage::NotifyStreamStatusEvent(state) = ServerMessage::parse(text).unwrap() else {
        panic!();
    };
    assert_eq!(state.status, StreamStatus::Other("DANCING".into()));
    assert!(!state.status.is_end());
    let text = r#"{"data":[1,{"a":"b"}],"message":"brandNew"}"#;
    let message = ServerMessage::parse(text).unwrap();
    assert_eq!(
        message,
        ServerMessage::Other(Other {
            message: "brandNew".into(),
            data: vec![json!(1), json!({"a": "b"})],
        })
    );
    assert_eq!(message.to_json(), text);
    assert_eq!(ClientMessage::parse(text).unwrap().to_json(), text);
}

/// Found by fuzzing.
#[test]
fn a_number_that_is_too_large_stays_the_same() {
    let width = "9".repeat(53) + "320";
    let text = format!(r#"{{"message":"brandNew","data":[{{"width":{width}}}]}}"#);
    let message = ServerMessage::parse(&text).unwrap();
    let again = ServerMessage::parse(&message.to_json()).unwrap();
    assert_eq!(again, message);
}

#[test]
fn what_is_no_message_is_an_error() {
    let deep = format!("{{\"message\":\"x\",\"data\":{}", "[".repeat(100_000));
    for text in [
        "",
        "{",
        "null",
        "7",
        "[]",
        "[1]",
        "{}",
        r#"{"message":1}"#,
        r#"{"data":[]}"#,
        "{\"message\":\"ping\"}x",
        deep.as_str(),
    ] {
        assert!(ServerMessage::parse(text).is_err(), "{text:.40}");
        assert!(ClientMessage::parse(text).is_err(), "{text:.40}");
    }
    let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(limits::MESSAGE));
    assert_eq!(
        ServerMessage::parse(&long),
        Err(MessageError::TooLong(long.len()))
    );
}

proptest! {
    /// Whatever is understood is understood in the same way when it was written again.
    #[test]
    fn what_is_understood_is_written(name in 0usize..18, data in "[\\[\\]{}:,\"a-z0-9. ]{0,60}") {
        let names = ["getUserData", "getVersion", "ping", "pong", "setRemoteSDP",
            "notifyStreamStatusEvent", "notifyAudioCodec", "notifyVideoFormat", "inboundVideoRate",
            "outboundVideoRate", "availableStream", "notifyStreamEvent", "fail", "DataStatusEvent",
            "OnDataEvent", "publishStream", "playStream", "connection"];
        let text = format!(r#"{{"message":"{}","data":[{{"status":{data}}}]}}"#, names[name]);
        if let Ok(message) = ServerMessage::parse(&text) {
            let again = ServerMessage::parse(&message.to_json()).unwrap();
            prop_assert_eq!(again, message);
        }
        if let Ok(message) = ClientMessage::parse(&text) {
            let again = ClientMessage::parse(&message.to_json()).unwrap();
            prop_assert_eq!(again, message);
        }
    }
}
