// SPDX-License-Identifier: MPL-2.0

//! Any text as a message, and any texts as what a Web Call Server says, one a line: what is understood is
//! understood in the same way when it was written again, and neither events nor answers outgrow what
//! came.

#![no_main]

use std::time::{Duration, Instant};

use gstrtmp::protocol::wcs::{
    limits,
    message::{ClientMessage, Connection, PublishStream, ServerMessage},
    session::{ClientSession, SessionConfig, Timeouts},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let now = Instant::now();
    let config = SessionConfig {
        connection: Connection::default(),
        timeouts: Timeouts::default(),
        ping_interval: Duration::from_secs(5),
        ping_probes: 3,
    };
    let mut session = ClientSession::new(config, now);
    let established = r#"{"message":"getUserData","data":[{"status":"ESTABLISHED"}]}"#;
    session.handle_text(now, established);
    let call = PublishStream {
        media_session_id: "a".to_owned(),
        ..PublishStream::default()
    };
    session.publish(now, call).expect("an established session");
    let (mut events, mut answers) = (0, 0);
    for (number, line) in text.lines().enumerate() {
        if let Ok(message) = ServerMessage::parse(line) {
            let again = ServerMessage::parse(&message.to_json()).expect("a written message");
            assert_eq!(again, message);
        }
        if let Ok(message) = ClientMessage::parse(line) {
            let again = ClientMessage::parse(&message.to_json()).expect("a written message");
            assert_eq!(again, message);
        }
        session.handle_text(now, line);
        events += std::iter::from_fn(|| session.poll_event()).count();
        answers += std::iter::from_fn(|| session.poll_transmit()).count();
        assert!(events <= 2 * (number + 2) && answers <= number + 8);
    }
    assert!(events <= limits::CHATTER as usize + 8);
    assert!(session.calls() <= 1);
});
