// SPDX-License-Identifier: MPL-2.0

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
};

use tungstenite::Message;

use super::*;
use crate::{
    net::{reconnect::When, testing::PATIENCE, websocket::Address},
    protocol::wcs::{
        SessionStatus,
        message::{ClientMessage, Connection, ServerMessage, StreamState, UserData},
        session::Timeouts,
    },
};

type Socket = tungstenite::WebSocket<TcpStream>;

/// Accepts connections one after another and lets `serve` have each, with its number. Ends with the last.
fn server(
    connections: usize,
    serve: impl Fn(usize, Socket) + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        for number in 0..connections {
            let (socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            serve(number, tungstenite::accept(socket).unwrap());
        }
    });
    (address, thread)
}

fn hear(socket: &mut Socket) -> Option<ClientMessage> {
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => return Some(ClientMessage::parse(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

fn say(socket: &mut Socket, message: &ServerMessage) {
    socket.send(Message::text(message.to_json())).unwrap();
}

fn greet(socket: &mut Socket) {
    assert!(matches!(hear(socket), Some(ClientMessage::Connection(_))));
    let data = UserData {
        status: SessionStatus::Established,
        ..UserData::default()
    };
    say(socket, &ServerMessage::GetUserData(data));
}

fn settings(address: SocketAddr, attempts: u32) -> Settings {
    Settings {
        target: Target {
            connect_timeout: PATIENCE,
            ..Target::new(address.ip().to_string(), address.port())
        },
        opening: Opening {
            address: Address::parse(&format!("ws://{address}")).unwrap(),
            origin: None,
            user_agent: "test".into(),
            timeout: PATIENCE,
            max_message: 1 << 20,
        },
        session: SessionConfig {
            connection: Connection::default(),
            timeouts: Timeouts::default(),
            ping_interval: Duration::from_secs(5),
            ping_probes: 10,
        },
        reconnect: Policy {
            when: match attempts {
                0 => When::Never,
                _ => When::Always,
            },
            attempts,
            first: Duration::from_millis(10),
            largest: Duration::from_millis(10),
            jitter: 0,
        },
    }
}

struct Listener {
    member: Member,
    notices: mpsc::Receiver<Notice>,
}

impl Listener {
    fn join(name: Option<&str>, settings: Settings) -> Self {
        let (tell, notices) = mpsc::channel();
        let member = Member::join(name, settings, move |notice| {
            let _ = tell.send(notice);
        });
        Self {
            member: member.unwrap(),
            notices,
        }
    }

    fn until<T>(&self, wanted: impl Fn(&Notice) -> Option<T>) -> T {
        loop {
            let notice = self.notices.recv_timeout(PATIENCE).expect("a notice");
            if let Some(found) = wanted(&notice) {
                return found;
            }
        }
    }

    fn established(&self) {
        self.until(|notice| matches!(notice, Notice::Session(Event::Established(_))).then_some(()));
    }

    fn publish(&self, id: &str) {
        self.member.tell(Command::Publish(PublishStream {
            media_session_id: id.into(),
            ..PublishStream::default()
        }));
    }
}

#[test]
fn the_last_to_leave_ends_all_calls_and_says_goodbye() {
    let (address, thread) = server(1, |_, mut socket| {
        greet(&mut socket);
        let Some(ClientMessage::PublishStream(request)) = hear(&mut socket) else {
            panic!();
        };
        let id = request.media_session_id;
        say(
            &mut socket,
            &ServerMessage::SetRemoteSdp {
                media_session_id: id.clone(),
                sdp: "v=0".into(),
            },
        );
        let Some(ClientMessage::UnPublishStream(end)) = hear(&mut socket) else {
            panic!();
        };
        assert_eq!(end.media_session_id, id);
        say(
            &mut socket,
            &ServerMessage::NotifyStreamStatusEvent(StreamState {
                media_session_id: id,
                status: "UNPUBLISHED".into(),
                ..StreamState::default()
            }),
        );
        // The close frame, and not a cut connection.
        loop {
            match socket.read() {
                Ok(Message::Close(_)) => break,
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
        while socket.read().is_ok() {}
    });
    let listener = Listener::join(None, settings(address, 0));
    listener.established();
    listener.publish("a");
    listener.until(|notice| matches!(notice, Notice::Session(Event::Answer { .. })).then_some(()));
    drop(listener);
    thread.join().unwrap();
}

#[test]
fn a_lost_session_comes_back_until_the_attempts_are_used_up() {
    let (address, thread) = server(3, |number, mut socket| {
        if number < 2 {
            greet(&mut socket);
        }
        // And is gone.
    });
    let listener = Listener::join(None, settings(address, 1));
    for again in [true, true, false] {
        if again {
            listener.established();
        }
        let (failure, pause) = listener.until(|notice| match notice {
            Notice::Lost { failure, again } => Some((failure.clone(), *again)),
            _ => None,
        });
        assert_eq!(pause.is_some(), again, "{failure}");
        assert!(!failure.is_final());
    }
    thread.join().unwrap();
}

#[test]
fn a_refusal_is_final() {
    let (address, thread) = server(1, |_, mut socket| {
        hear(&mut socket);
        let data = UserData {
            status: SessionStatus::Failed,
            ..UserData::default()
        };
        say(&mut socket, &ServerMessage::GetUserData(data));
        while socket.read().is_ok() {}
    });
    let listener = Listener::join(None, settings(address, 5));
    listener.until(|notice| match notice {
        Notice::Lost { failure, again } => {
            assert!(failure.is_final() && again.is_none());
            Some(())
        }
        _ => None,
    });
    thread.join().unwrap();
}

#[test]
fn sessions_are_shared_by_name_and_members_hear_of_their_own() {
    let (address, thread) = server(1, |_, mut socket| {
        greet(&mut socket);
        let mut ends = 0;
        while let Some(message) = hear(&mut socket) {
            match message {
                ClientMessage::PublishStream(request) => say(
                    &mut socket,
                    &ServerMessage::SetRemoteSdp {
                        media_session_id: request.media_session_id,
                        sdp: "v=0".into(),
                    },
                ),
                ClientMessage::UnPublishStream(end) => {
                    ends += 1;
                    say(
                        &mut socket,
                        &ServerMessage::NotifyStreamStatusEvent(StreamState {
                            media_session_id: end.media_session_id,
                            status: "UNPUBLISHED".into(),
                            ..StreamState::default()
                        }),
                    );
                }
                message => panic!("{message:?}"),
            }
        }
        assert_eq!(ends, 2);
    });
    let one = Listener::join(Some("house"), settings(address, 0));
    one.established();
    let two = Listener::join(Some("house"), settings(address, 0));
    two.established();
    for (listener, id) in [(&one, "one"), (&two, "two")] {
        listener.publish(id);
        let answered = listener.until(|notice| match notice {
            Notice::Session(Event::Answer { id, .. }) => Some(id.clone()),
            _ => None,
        });
        assert_eq!(answered, id);
    }
    // A second call by the same name is nobody's fault but the asker's.
    two.publish("two");
    two.until(|notice| matches!(notice, Notice::Refused { .. }).then_some(()));
    assert!(one.notices.try_recv().is_err());
    drop(one);
    drop(two);
    thread.join().unwrap();
}

#[test]
fn nobody_waits_for_a_server_that_does_not_listen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let joined = Listener::join(None, settings(address, 0));
    let (mut socket, _) = listener.accept().unwrap();
    drop(joined);
    // The thread hangs up by itself.
    use std::io::Read as _;
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = socket.read_to_end(&mut Vec::new());
}
