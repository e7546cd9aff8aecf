// SPDX-License-Identifier: MPL-2.0

//! For tests: certificates of every kind, and a loop that drives a [`Stack`].

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mio::{Events, Poll, Token, Waker};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{
    NetError, Stage,
    interrupt::Interrupt,
    stack::{Establish, Read, Stack, Target, Write},
    tls::{ClientTls, ServerTls},
};
use crate::protocol::rtmp::{
    auth::{AuthMod, Authenticator},
    chunk::DecoderLimits,
    handshake::Style,
    session::{Capabilities, ClientConfig, Role, StopCommands},
    transmit::Transmit,
};

/// Long enough for any machine; a test that needs it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate authority in a temporary folder.
pub(crate) struct Pki {
    folder: TempDir,
    authority: Issuer<'static, KeyPair>,
    files: AtomicUsize,
}

/// A certificate with its key, also as files.
pub(crate) struct Identity {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Identity {
    pub(crate) fn server(&self) -> ServerTls {
        ServerTls {
            cert: self.cert.clone(),
            key: self.key.clone(),
            client_ca: None,
        }
    }
}

impl Pki {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "Test Authority");
        let folder = tempfile::tempdir().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            folder,
            authority: Issuer::new(params, key),
            files: AtomicUsize::new(0),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Settings of a client that trusts this authority.
    pub(crate) fn client(&self) -> ClientTls {
        ClientTls {
            ca_file: Some(self.ca_file()),
            ..ClientTls::default()
        }
    }

    pub(crate) fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        self.identity(&certificate, &key)
    }

    pub(crate) fn self_signed(&self, names: &[&str]) -> Identity {
        self.self_signed_with(names, |_| {})
    }

    pub(crate) fn self_signed_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = params(names);
        change(&mut params);
        let certificate = params.self_signed(&key).unwrap();
        self.identity(&certificate, &key)
    }

    fn identity(&self, certificate: &rcgen::Certificate, key: &KeyPair) -> Identity {
        let n = self.files.fetch_add(1, Ordering::Relaxed);
        let file = |ending| self.folder.path().join(format!("{n}.{ending}"));
        let identity = Identity {
            chain: vec![certificate.der().to_vec()],
            cert: file("crt"),
            key: file("key"),
        };
        fs::write(&identity.cert, certificate.pem()).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names = names
        .iter()
        .map(|&name| name.to_owned())
        .collect::<Vec<_>>();
    CertificateParams::new(names).unwrap()
}

/// A poll and what belongs to it.
pub(crate) struct Driver {
    pub(crate) poll: Poll,
    pub(crate) waker: Arc<Waker>,
    pub(crate) interrupt: Arc<Interrupt>,
    events: Events,
}

pub(crate) const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

impl Driver {
    pub(crate) fn new() -> Self {
        let poll = Poll::new().unwrap();
        let interrupt = Arc::new(Interrupt::new());
        let waker = interrupt.attach(poll.registry(), WAKER).unwrap();
        Self {
            poll,
            waker,
            interrupt,
            events: Events::with_capacity(16),
        }
    }

    pub(crate) fn connect(&self, target: Target) -> Stack {
        Stack::connect(target, self.waker.clone())
    }

    pub(crate) fn establish(&mut self, stack: &mut Stack) -> Result<(), NetError> {
        self.establish_and(stack, |_| {})
    }

    /// Calls `stage` before each wait.
    pub(crate) fn establish_and(
        &mut self,
        stack: &mut Stack,
        mut stage: impl FnMut(Stage),
    ) -> Result<(), NetError> {
        loop {
            if self.interrupt.is_set() {
                return Err(NetError::Interrupted);
            }
            match stack.establish(self.poll.registry(), SOCKET, Instant::now())? {
                Establish::Ready => return Ok(()),
                Establish::Pending(at) => stage(at),
            }
            self.wait(stack)?;
        }
    }

    pub(crate) fn wait(&mut self, stack: &mut Stack) -> Result<(), NetError> {
        let now = Instant::now();
        let next = stack
            .deadline()
            .map(|next| next.saturating_duration_since(now));
        self.poll
            .poll(&mut self.events, Some(next.unwrap_or(PATIENCE)))
            .unwrap();
        assert!(
            next.is_some() || !self.events.is_empty(),
            "nothing happened"
        );
        for event in &self.events {
            if event.token() == SOCKET {
                stack.on_ready(event.into());
            }
        }
        if self.interrupt.is_set() {
            Err(NetError::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Reads until the peer ends or cuts the connection.
    pub(crate) fn read_to_end(&mut self, stack: &mut Stack) -> Result<Vec<u8>, NetError> {
        let mut bytes = Vec::new();
        while self.read_some(stack, &mut bytes)? {}
        Ok(bytes)
    }

    /// Appends at least one byte; `false` at the end.
    pub(crate) fn read_some(
        &mut self,
        stack: &mut Stack,
        bytes: &mut Vec<u8>,
    ) -> Result<bool, NetError> {
        let mut buf = vec![0; 20_000];
        loop {
            match stack.read(&mut buf)? {
                Read::Data(n) => {
                    assert!(n > 0);
                    bytes.extend(&buf[..n]);
                    return Ok(true);
                }
                Read::WouldBlock => self.wait(stack)?,
                Read::Closed => return Ok(false),
            }
        }
    }

    pub(crate) fn write_all(&mut self, stack: &mut Stack, bytes: &[u8]) -> Result<(), NetError> {
        let mut transmit = Transmit::default();
        for part in bytes.chunks(1000) {
            transmit.push(part.to_vec().into());
        }
        while stack.write(&mut transmit)? == Write::Blocked {
            self.wait(stack)?;
        }
        assert!(transmit.is_empty());
        Ok(())
    }
}

/// A publisher of a stream, without credentials or a limit of time.
pub(crate) fn client_config(app: &str, stream: &str) -> ClientConfig {
    ClientConfig {
        app: app.into(),
        tc_url: format!("rtmp://127.0.0.1/{app}"),
        stream: stream.into(),
        role: Role::Publish {
            stop: StopCommands::default(),
        },
        flash_version: None,
        page_url: None,
        swf_url: None,
        swf: None,
        connect_arguments: Vec::new(),
        capabilities: Capabilities::all(),
        handshake: Style::Digest,
        secure_token: None,
        usher_token: None,
        authenticator: Authenticator::new("", "", AuthMod::Auto, app),
        auth_query: None,
        chunk_size: 65536,
        limits: DecoderLimits::default(),
        timeout: Duration::from_secs(5),
    }
}
