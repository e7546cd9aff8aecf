// SPDX-License-Identifier: MPL-2.0

//! A WebSocket client (RFC 6455) on a [`Stack`], never waiting.
//!
//! Framing and the opening handshake are tungstenite's; resolving, connecting and TLS are the
//! stack's. Whoever drives it owns the poll, hands events to [`WebSocket::on_ready`] and calls
//! [`WebSocket::turn`] until it gives nothing more, after each event, wake or
//! [`WebSocket::deadline`].

#[cfg(test)]
mod tests;
mod wire;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use mio::{Registry, Token, Waker};
use tungstenite::{
    HandshakeError, Message,
    client::IntoClientRequest,
    error::{CapacityError, Error, ProtocolError},
    handshake::{MidHandshake, client::ClientHandshake},
    http::{HeaderValue, Uri},
    protocol::WebSocketConfig,
};

use self::wire::Wire;
use super::{
    NetError,
    stack::{Establish, Stack, Target},
    stream::Ready,
};

/// Read at a time. Messages of a signalling server are short.
const READ_BUFFER: usize = 16 << 10;

/// Where a WebSocket is, in the words of its URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    uri: Uri,
    host: String,
}

impl Address {
    /// Reads `ws://` or `wss://`, host, and perhaps port, path and query.
    ///
    /// # Errors
    /// A sentence without its full stop.
    pub fn parse(text: &str) -> Result<Self, String> {
        let example = "write it as wss://host:8443 or ws://host:8080/path";
        let uri: Uri = text
            .parse()
            .map_err(|error| format!("the URI is none ({error}); {example}"))?;
        if !matches!(uri.scheme_str(), Some("ws" | "wss")) {
            return Err(format!("the URI is neither ws nor wss; {example}"));
        }
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err("the URI has a user name, which WebSocket does not know".into());
        }
        let host = uri.host().unwrap_or_default().to_owned();
        // A port that is none is not told by itself.
        let port = match authority.strip_prefix(&host).unwrap_or_default() {
            "" => Some(1),
            _ => uri.port_u16(),
        };
        if host.is_empty() || port.is_none_or(|port| port == 0) {
            return Err(format!("the URI names no host and port; {example}"));
        }
        Ok(Self { uri, host })
    }

    /// Whether it is `wss`.
    pub fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("wss")
    }

    /// Host name or IP address, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 80 or 443 where the URI has none.
    pub fn port(&self) -> u16 {
        let default = if self.is_tls() { 443 } else { 80 };
        self.uri.port_u16().unwrap_or(default)
    }
}

/// What to say in the opening handshake, and what to bear afterwards.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Whom to ask.
    pub address: Address,
    /// `Origin`, which some servers check; `None` for none.
    pub origin: Option<String>,
    /// `User-Agent`.
    pub user_agent: String,
    /// Time for the opening handshake, after TCP and TLS stand; zero for no limit.
    pub timeout: Duration,
    /// Longest message, in bytes.
    pub max_message: usize,
}

/// Why there is no WebSocket, or no longer one.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// Below.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The server answers with another HTTP status.
    #[error("the server answers {0} where a WebSocket was asked for{hint}", hint = hint(*.0))]
    Http(u16),
    /// It answers something that is no opening of a WebSocket.
    #[error("what listens there does not open a WebSocket: {0}; check host and port of the URI")]
    NotOpened(String),
    /// It does not answer.
    #[error("the server did not open the WebSocket within {0:?}")]
    Timeout(Duration),
    /// It breaks the rules.
    #[error("the server breaks the rules of WebSocket: {0}")]
    Protocol(String),
    /// A message is longer than is allowed.
    #[error("the server sent a message of more than {0} bytes")]
    TooLong(usize),
    /// It closed the connection.
    #[error("the server closed the connection{}", farewell(.code, .reason))]
    Closed {
        /// RFC 6455, section 7.4; `None` for a connection that was cut.
        code: Option<u16>,
        /// The server's words.
        reason: String,
    },
}

fn hint(status: u16) -> &'static str {
    match status {
        200..=299 => "; it is another server, check port and path of the URI",
        300..=399 => "; set the URI to the address that it points to",
        401 | 403 => "; it wants other credentials",
        404 => "; check the path of the URI",
        500..=599 => "; the server runs and its service does not",
        _ => "",
    }
}

fn farewell(code: &Option<u16>, reason: &str) -> String {
    match (code, reason) {
        (None, _) => " without a farewell".to_owned(),
        (Some(code), "") => format!(" (code {code})"),
        (Some(code), words) => format!(" ({words}, code {code})"),
    }
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Messages can be exchanged.
    Open,
    /// A text message.
    Text(String),
    /// Anything else: a sign of life.
    Other,
    /// Both sides have said goodbye.
    Closed,
}

/// See the module's text.
#[derive(Debug)]
pub struct WebSocket {
    state: State,
    opening: Opening,
    /// Of the opening handshake.
    deadline: Option<Instant>,
    opened: bool,
    /// We said goodbye.
    closing: bool,
}

#[derive(Debug)]
enum State {
    Connecting(Box<Stack>),
    Opening(Box<MidHandshake<ClientHandshake<Wire>>>),
    Open(Box<tungstenite::WebSocket<Wire>>),
    Gone,
}

impl WebSocket {
    /// A WebSocket to be opened by [`turn`](Self::turn)s on the poll that `waker` wakes.
    pub fn connect(target: Target, opening: Opening, waker: Arc<Waker>) -> Self {
        Self {
            state: State::Connecting(Box::new(Stack::connect(target, waker))),
            opening,
            deadline: None,
            opened: false,
            closing: false,
        }
    }

    /// Takes in what the poll reported.
    pub fn on_ready(&mut self, ready: Ready) {
        match &mut self.state {
            State::Connecting(stack) => stack.on_ready(ready),
            State::Opening(opening) => opening.get_mut().get_mut().stack.on_ready(ready),
            State::Open(socket) => socket.get_mut().stack.on_ready(ready),
            State::Gone => {}
        }
    }

    /// When [`turn`](Self::turn) has to be called although nothing happened.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Connecting(stack) => stack.deadline(),
            _ => self.deadline,
        }
    }

    /// Goes on as far as it goes without waiting, until something came. `None` is the time to wait.
    ///
    /// # Errors
    /// The WebSocket is of no further use then.
    pub fn turn(
        &mut self,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> Result<Option<Event>, WebSocketError> {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Connecting(mut stack) => {
                if stack.establish(registry, token, now)? != Establish::Ready {
                    self.state = State::Connecting(stack);
                    return Ok(None);
                }
                if !self.opening.timeout.is_zero() {
                    self.deadline = now.checked_add(self.opening.timeout);
                }
                let request = self.request()?;
                let config = WebSocketConfig::default()
                    .read_buffer_size(READ_BUFFER)
                    .write_buffer_size(0)
                    // What waits to be written is bounded by who writes; see `is_blocked`.
                    .max_message_size(Some(self.opening.max_message))
                    .max_frame_size(Some(self.opening.max_message));
                let opening = ClientHandshake::start(Wire::new(*stack), request, Some(config))
                    .map_err(|error| self.failed(error))?;
                self.open(opening, now)
            }
            State::Opening(opening) => self.open(*opening, now),
            State::Open(mut socket) => {
                let read = socket.read();
                self.state = State::Open(socket);
                self.take(read)
            }
            State::Gone => Ok(None),
        }
    }

    fn request(&self) -> Result<tungstenite::handshake::client::Request, WebSocketError> {
        let settings = |reason: String| NetError::Settings { reason };
        let mut request = (&self.opening.address.uri)
            .into_client_request()
            .map_err(|error| settings(format!("the URI cannot be asked for: {error}")))?;
        let headers = request.headers_mut();
        let value = |name: &str, text: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| settings(format!("the {name} cannot be sent in a header")))
        };
        headers.insert("User-Agent", value("user agent", &self.opening.user_agent)?);
        if let Some(origin) = &self.opening.origin {
            headers.insert("Origin", value("origin", origin)?);
        }
        Ok(request)
    }

    fn open(
        &mut self,
        opening: MidHandshake<ClientHandshake<Wire>>,
        now: Instant,
    ) -> Result<Option<Event>, WebSocketError> {
        match opening.handshake() {
            Ok((socket, _)) => {
                self.state = State::Open(Box::new(socket));
                self.deadline = None;
                self.opened = true;
                Ok(Some(Event::Open))
            }
            Err(HandshakeError::Interrupted(opening)) => {
                if self.deadline.is_some_and(|deadline| deadline <= now) {
                    return Err(WebSocketError::Timeout(self.opening.timeout));
                }
                self.state = State::Opening(Box::new(opening));
                Ok(None)
            }
            Err(HandshakeError::Failure(error)) => Err(self.failed(error)),
        }
    }

    fn take(&mut self, read: Result<Message, Error>) -> Result<Option<Event>, WebSocketError> {
        match read {
            Ok(Message::Text(text)) => Ok(Some(Event::Text(text.as_str().to_owned()))),
            Ok(Message::Close(_)) if self.closing => {
                self.state = State::Gone;
                Ok(Some(Event::Closed))
            }
            Ok(Message::Close(frame)) => {
                // The answer goes out if the socket takes it.
                if let State::Open(mut socket) = std::mem::replace(&mut self.state, State::Gone) {
                    let _ = socket.flush();
                }
                let (code, reason) = match frame {
                    Some(frame) => (frame.code.into(), frame.reason.as_str().to_owned()),
                    // RFC 6455, 7.4.1: no code was there.
                    None => (1005, String::new()),
                };
                Err(WebSocketError::Closed {
                    code: Some(code),
                    reason,
                })
            }
            Ok(_) => Ok(Some(Event::Other)),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(_) if self.closing => {
                self.state = State::Gone;
                Ok(Some(Event::Closed))
            }
            Err(error) => {
                self.state = State::Gone;
                Err(self.failed(error))
            }
        }
    }

    /// Sends a text message. What the socket does not take is kept, and
    /// [`is_blocked`](Self::is_blocked) until it is.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn send(&mut self, text: String) -> Result<(), WebSocketError> {
        self.write(Message::text(text))
    }

    /// Sends a ping, which any server answers.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn ping(&mut self) -> Result<(), WebSocketError> {
        self.write(Message::Ping(bytes::Bytes::new()))
    }

    /// Says goodbye. The server's is [`Event::Closed`]; before the opening there is nothing to say.
    pub fn close(&mut self) {
        self.closing = true;
        match &mut self.state {
            State::Open(socket) => {
                // Where it cannot be sent there is nobody to hear it.
                let _ = socket.close(None);
                let _ = socket.flush();
            }
            state => *state = State::Gone,
        }
    }

    /// Whether there is nothing left of it.
    pub fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// Writes on what was kept; whether some of it still is.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub fn is_blocked(&mut self) -> Result<bool, WebSocketError> {
        let State::Open(socket) = &mut self.state else {
            return Ok(false);
        };
        match socket.flush() {
            Ok(()) => Ok(false),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(_) if self.closing => Ok(false),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn write(&mut self, message: Message) -> Result<(), WebSocketError> {
        let State::Open(socket) = &mut self.state else {
            return Ok(());
        };
        match socket.write(message) {
            Ok(()) => Ok(()),
            Err(_) if self.closing => Ok(()),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }

    fn failed(&self, error: Error) -> WebSocketError {
        let opened = self.opened;
        let cut = || WebSocketError::Closed {
            code: None,
            reason: String::new(),
        };
        let not_opened = || WebSocketError::NotOpened("it closes the connection".to_owned());
        match error {
            Error::Io(error) => match error.downcast::<NetError>() {
                Ok(NetError::Closed { .. }) if opened => cut(),
                Ok(NetError::Closed { .. }) => not_opened(),
                Ok(error) => error.into(),
                Err(error) => NetError::from_io(super::Stage::Stream, error).into(),
            },
            Error::Http(response) => WebSocketError::Http(response.status().as_u16()),
            Error::Protocol(ProtocolError::HandshakeIncomplete) => not_opened(),
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                WebSocketError::TooLong(self.opening.max_message)
            }
            Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => cut(),
            error if opened => WebSocketError::Protocol(error.to_string()),
            error => WebSocketError::NotOpened(error.to_string()),
        }
    }
}
