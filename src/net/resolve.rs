// SPDX-License-Identifier: MPL-2.0

//! Host names to addresses, without blocking and without a resolver of our own.
//!
//! getaddrinfo cannot be cancelled, so it runs on a thread of its own that is left behind when
//! nobody wants the answer any more. It is used all the same, because it alone knows the system's
//! hosts file, mDNS, search domains and address order (RFC 6724).

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, mpsc},
    thread,
};

use mio::{Events, Poll, Token, Waker};

use super::{NetError, Stage, interrupt::Interrupt};

type Lookup = dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync;

/// Where addresses come from: the system, unless a test or an application knows better.
#[derive(Clone)]
pub struct Resolver(Arc<Lookup>);

impl Resolver {
    /// A resolver that calls `lookup` with host and port; it may block as long as it likes.
    pub fn new(
        lookup: impl Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(lookup))
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::new(|host, port| Ok((host, port).to_socket_addrs()?.collect()))
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Resolver").finish()
    }
}

/// A host that is being looked up. Dropping it abandons the question.
#[derive(Debug)]
pub struct Resolve {
    host: String,
    answer: Answer,
}

#[derive(Debug)]
enum Answer {
    Known(SocketAddr),
    Asked(mpsc::Receiver<io::Result<Vec<SocketAddr>>>),
}

impl Resolve {
    /// Starts looking up `host`, and wakes `waker` when there is an answer. An IP address, in
    /// brackets or not, is its own answer and needs no thread.
    ///
    /// # Errors
    /// [`NetError::Io`] when the system has no thread left.
    pub fn start(
        resolver: &Resolver,
        host: &str,
        port: u16,
        waker: &Arc<mio::Waker>,
    ) -> Result<Self, NetError> {
        let host = host.to_owned();
        if let Some(ip) = literal(&host) {
            return Ok(Self {
                host,
                answer: Answer::Known(SocketAddr::new(ip, port)),
            });
        }
        let (sender, receiver) = mpsc::channel();
        let (resolver, name, waker) = (resolver.clone(), host.clone(), waker.clone());
        thread::Builder::new()
            .name("rtmp-resolve".into())
            .spawn(move || {
                // The send fails when the question was abandoned, and then nobody needs waking.
                if sender.send((resolver.0)(&name, port)).is_ok() {
                    let _ = waker.wake();
                }
            })
            .map_err(|source| NetError::Io {
                stage: Stage::Resolve,
                source,
            })?;
        Ok(Self {
            host,
            answer: Answer::Asked(receiver),
        })
    }

    /// The addresses in the order in which the system prefers them, at least one; `None` while
    /// there is no answer.
    ///
    /// # Errors
    /// [`NetError::Resolve`] when the name has no address.
    pub fn poll(&mut self) -> Result<Option<Vec<SocketAddr>>, NetError> {
        let answer = match &self.answer {
            Answer::Known(address) => return Ok(Some(vec![*address])),
            Answer::Asked(receiver) => match receiver.try_recv() {
                Ok(answer) => answer,
                Err(mpsc::TryRecvError::Empty) => return Ok(None),
                Err(mpsc::TryRecvError::Disconnected) => Err(io::Error::other("resolver died")),
            },
        };
        let reason = match answer {
            Ok(addresses) if !addresses.is_empty() => return Ok(Some(addresses)),
            Ok(_) => "it has no address".to_owned(),
            Err(error) => reason(&error),
        };
        Err(NetError::Resolve {
            host: self.host.clone(),
            reason,
        })
    }
}

/// The addresses of a host, waited for.
///
/// # Errors
/// [`NetError::Resolve`] when the name has none, [`NetError::Interrupted`].
pub fn look_up(
    resolver: &Resolver,
    host: &str,
    port: u16,
    interrupt: &Interrupt,
) -> Result<Vec<SocketAddr>, NetError> {
    let failed = |source| NetError::Io {
        stage: Stage::Resolve,
        source,
    };
    let mut poll = Poll::new().map_err(failed)?;
    let waker = Arc::new(Waker::new(poll.registry(), Token(0)).map_err(failed)?);
    let mut resolve = Resolve::start(resolver, host, port, &waker)?;
    let before = interrupt.replace(Some(waker));
    let mut events = Events::with_capacity(1);
    let found = loop {
        if interrupt.is_set() {
            break Err(NetError::Interrupted);
        }
        match resolve.poll() {
            Ok(None) => {}
            Ok(Some(addresses)) => break Ok(addresses),
            Err(error) => break Err(error),
        }
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => break Err(failed(error)),
            _ => {}
        }
    };
    interrupt.replace(before);
    found
}

/// The address that `host` spells, with or without the brackets that URLs put around IPv6.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
        .parse()
        .ok()
}

/// std puts a sentence of its own in front of getaddrinfo's.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.strip_prefix("failed to lookup address information: ") {
        Some(reason) => reason.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    fn wait(poll: &mut Poll, resolve: &mut Resolve) -> Result<Vec<SocketAddr>, NetError> {
        let mut events = Events::with_capacity(4);
        loop {
            if let Some(addresses) = resolve.poll()? {
                return Ok(addresses);
            }
            poll.poll(&mut events, Some(Duration::from_secs(60)))
                .unwrap();
            assert!(!events.is_empty(), "no answer and no wake");
        }
    }

    fn poll() -> (Poll, Arc<mio::Waker>) {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(mio::Waker::new(poll.registry(), Token(0)).unwrap());
        (poll, waker)
    }

    #[test]
    fn literals_need_no_resolver() {
        let (_poll, waker) = poll();
        let never = Resolver::new(|_, _| unreachable!("asked for a literal"));
        for (host, address) in [
            ("127.0.0.1", "127.0.0.1:1935"),
            ("::1", "[::1]:1935"),
            ("[::1]", "[::1]:1935"),
        ] {
            let mut resolve = Resolve::start(&never, host, 1935, &waker).unwrap();
            assert_eq!(
                resolve.poll().unwrap(),
                Some(vec![address.parse().unwrap()])
            );
        }
    }

    #[test]
    fn localhost_resolves_and_wakes() {
        let (mut poll, waker) = poll();
        let mut resolve = Resolve::start(&Resolver::default(), "localhost", 80, &waker).unwrap();
        let addresses = wait(&mut poll, &mut resolve).unwrap();
        assert!(
            addresses
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 80)
        );
    }

    #[test]
    fn a_failure_names_the_host() {
        // A label of 64 bytes is refused before anything is asked on the network (RFC 1035 2.3.4).
        let host = format!("{}.invalid", "a".repeat(64));
        let (mut poll, waker) = poll();
        let mut resolve = Resolve::start(&Resolver::default(), &host, 80, &waker).unwrap();
        let error = wait(&mut poll, &mut resolve).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("host name {host} cannot be resolved: ")),
            "{text}"
        );
        assert!(!text.contains("failed to lookup"), "{text}");
    }

    #[test]
    fn an_empty_answer_is_a_failure() {
        let (mut poll, waker) = poll();
        let empty = Resolver::new(|_, _| Ok(Vec::new()));
        let mut resolve = Resolve::start(&empty, "empty.example", 80, &waker).unwrap();
        let error = wait(&mut poll, &mut resolve).unwrap_err();
        assert_eq!(
            error.to_string(),
            "host name empty.example cannot be resolved: it has no address"
        );
    }

    #[test]
    fn a_dropped_question_does_not_wait_for_its_answer() {
        let (_poll, waker) = poll();
        let (release, held) = mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        let (done, finished) = mpsc::channel();
        let slow = Resolver::new(move |_, _| {
            let _ = held.lock().unwrap().recv();
            done.send(()).unwrap();
            Ok(Vec::new())
        });
        let mut resolve = Resolve::start(&slow, "slow.example", 80, &waker).unwrap();
        assert_eq!(resolve.poll().unwrap(), None);
        drop(resolve);
        assert!(finished.try_recv().is_err());
        drop(release);
        finished.recv_timeout(Duration::from_secs(60)).unwrap();
    }
}
