// SPDX-License-Identifier: MPL-2.0

//! From what the user set to what the lower storeys take.

use std::{sync::Arc, time::Duration};

use gio::TlsCertificateFlags;
use gst::prelude::*;

use super::{
    error::Failure,
    kinds::{Authmod, Enhanced, Handshake, Live, Redirects, StopCommands, Takeover},
    settings::{Role, Settings},
};
use crate::{
    net::{
        NetError,
        interrupt::Interrupt,
        porter::{self, Host, Wanted},
        resolve::{Resolver, look_up},
        socks::SocksProxy,
        stack::Target,
        swf_fetch::fetch_swf,
        tls::{CertificateProblem, ClientTls, ServerTls, ValidationFlags},
    },
    protocol::flv::Needs,
    protocol::rtmp::{
        auth::{AuthMod, Authenticator, Door},
        chunk::DecoderLimits,
        handshake::Style,
        limits,
        session::{self, Capabilities, ClientConfig, PlayRange, ServerConfig},
        swf::{SwfHash, hash_swf},
        url::{self, Secret, parse_conn},
    },
};

impl Settings {
    /// Where to connect to.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub(super) fn target(&self, element: &gst::Element) -> Result<Target, Failure> {
        self.check_location()?;
        if self.port() == 0 {
            return Err(Failure::settings(
                "There is no port 0 to connect to; only a listener can be given any free one.",
            ));
        }
        let proxy = self
            .socks_proxy
            .as_deref()
            .map(str::parse::<url::SocksProxy>)
            .transpose();
        let proxy = proxy.map_err(|_| {
            Failure::settings("The socks-proxy is not HOST:PORT, as in localhost:1080.")
        })?;
        let socks = proxy.map(|proxy| SocksProxy {
            host: proxy.host,
            port: proxy.port,
        });
        let http_proxy = match &self.http_proxy {
            None => None,
            Some(Ok(proxy)) => Some(proxy.clone()),
            Some(Err(_)) => {
                return Err(Failure::settings(
                    "The http-proxy is not [USER:PASSWORD@]HOST:PORT, as in proxy.example:3128.",
                ));
            }
        };
        if socks.is_some() && http_proxy.is_some() {
            return Err(Failure::settings(
                "There cannot be a socks-proxy and an http-proxy; unset one of them.",
            ));
        }
        let scheme = url::Scheme::from(*self.scheme);
        let tls = scheme.is_tls().then(|| self.client_tls(Some(element)));
        if let Some(tls) = &tls {
            let unusable = |error| Failure::settings(&sentence(&error));
            tls.check().map_err(unusable)?;
        }
        Ok(Target {
            tls,
            tunnel: scheme.is_tunnelled(),
            rtmpe: scheme.is_rtmpe().then(|| self.rtmpe_version.into()),
            socks,
            http_proxy,
            connect_timeout: *self.timeout,
            ..Target::new(self.host.as_str(), self.port())
        })
    }

    /// What was wrong with the location, if it could not be taken.
    pub(super) fn check_location(&self) -> Result<(), Failure> {
        match &self.location_refused {
            None => Ok(()),
            Some(reason) => Err(Failure::settings(&format!(
                "The location cannot be used: {reason}."
            ))),
        }
    }

    pub(super) fn client_tls(&self, element: Option<&gst::Element>) -> ClientTls {
        let key = self
            .tls_private_key
            .as_ref()
            .or(self.tls_certificate.as_ref());
        let element = element.map(|element| element.downgrade());
        ClientTls {
            ca_file: self.tls_ca_file.clone(),
            client_cert: self.tls_certificate.clone().zip(key.cloned()),
            flags: ValidationFlags::from_bits(self.tls_validation_flags.bits()),
            server_name: self.tls_server_name.clone(),
            accept: element.map(
                |element| -> Arc<dyn Fn(&CertificateProblem) -> bool + Send + Sync> {
                    Arc::new(move |problem| {
                        element
                            .upgrade()
                            .is_some_and(|element| accepts(&element, problem))
                    })
                },
            ),
        }
    }

    /// What to ask the server for.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub(super) fn client_config(
        &self,
        role: Role,
        swf: Option<SwfHash>,
        codecs: Option<&Needs>,
    ) -> Result<ClientConfig, Failure> {
        let text = self.extra_connect_args.as_deref().unwrap_or_default();
        let connect_arguments = parse_conn(text).map_err(|error| {
            Failure::settings(&format!("The extra-connect-args cannot be used: {error}."))
        })?;
        let secret = |secret: &Option<Secret>| secret.as_ref().map(|s| s.reveal().to_owned());
        let tc_url = match &*self.tc_url {
            Some(url) => url.clone(),
            None => self.url().tc_url(),
        };
        Ok(ClientConfig {
            app: (*self.application).clone(),
            tc_url,
            stream: (*self.stream).clone(),
            role: match role {
                Role::Source => self.play(),
                Role::Sink => session::Role::Publish {
                    stop: self.stop_commands(),
                },
            },
            flash_version: (*self.flash_version).clone(),
            page_url: (*self.page_url).clone(),
            swf_url: (*self.swf_url).clone(),
            swf,
            connect_arguments,
            capabilities: self
                .capabilities(role, codecs)
                .with_reconnect(self.redirects.contains(Redirects::FOLLOW)),
            handshake: match self.handshake {
                Handshake::Digest => Style::Digest,
                Handshake::Plain => Style::Plain,
            },
            secure_token: secret(&self.secure_token),
            usher_token: secret(&self.usher_token),
            authenticator: Authenticator::new(
                self.username.as_deref().unwrap_or_default(),
                self.password
                    .as_ref()
                    .map(Secret::reveal)
                    .unwrap_or_default(),
                match self.authmod {
                    Authmod::None => AuthMod::None,
                    Authmod::Auto => AuthMod::Auto,
                    Authmod::Adobe => AuthMod::Adobe,
                    Authmod::Llnw => AuthMod::Llnw,
                },
                &self.application,
            ),
            auth_query: None,
            chunk_size: self.chunk_size,
            limits: DecoderLimits::default(),
            timeout: *self.timeout,
        })
    }

    /// What to say of Enhanced RTMP, of what the element beside has said that it knows or writes.
    fn capabilities(&self, role: Role, codecs: Option<&Needs>) -> Capabilities {
        match (self.enhanced, codecs, role) {
            (Enhanced::Off, _, _) => Capabilities::default(),
            (_, None, _) => Capabilities::all(),
            (_, Some(codecs), Role::Sink) => Capabilities::sender(codecs),
            (_, Some(codecs), Role::Source) => {
                Capabilities::receiver(codecs.video.iter().chain(&codecs.audio).copied())
            }
        }
    }

    fn play(&self) -> session::Role {
        let start = millis(*self.start_time);
        let range = match *self.live {
            Live::Live => PlayRange::Live,
            Live::Recorded => PlayRange::Recorded(start),
            Live::Auto if start > 0 => PlayRange::Recorded(start),
            Live::Auto => PlayRange::Auto,
        };
        let stop = *self.stop_time;
        session::Role::Play {
            range,
            duration: (!stop.is_zero()).then(|| millis(stop.saturating_sub(*self.start_time))),
            buffer: millis(*self.buffer_time),
            subscribe: (*self.subscribe).clone(),
            playlist: *self.playlist,
        }
    }

    fn stop_commands(&self) -> session::StopCommands {
        let flags = self.stop_commands;
        session::StopCommands {
            fc_unpublish: flags.contains(StopCommands::FCUNPUBLISH),
            close_stream: flags.contains(StopCommands::CLOSESTREAM),
            delete_stream: flags.contains(StopCommands::DELETESTREAM),
        }
    }

    /// The SWF to name when the server asks, fetched from `swf-url`. Waits for the network.
    ///
    /// # Errors
    /// It cannot be had; `None` where the wait was interrupted.
    pub(super) fn swf(
        &self,
        role: Role,
        interrupt: &Interrupt,
    ) -> Result<Option<SwfHash>, Option<Failure>> {
        let Some(url) = self.swf_url.as_deref().filter(|_| *self.swf_verify) else {
            return Ok(None);
        };
        let tls = self.client_tls(None);
        let file = fetch_swf(url, &tls, interrupt, *self.timeout, limits::SWF_FETCH)
            .map_err(|error| Failure::net(role, &error).map(Failure::of_swf))?;
        let hash = hash_swf(&file).map_err(|error| {
            Failure::settings(&format!(
                "The file at swf-url cannot be verified with: {error}."
            ))
        })?;
        Ok(Some(hash))
    }

    /// What to listen for. Waits while a host name is looked up.
    ///
    /// # Errors
    /// A setting that makes no sense; `None` where the wait was interrupted.
    pub(super) fn wanted(
        &self,
        role: Role,
        codecs: Option<&Needs>,
        host: Box<dyn Host>,
        interrupt: &Interrupt,
    ) -> Result<Wanted, Option<Failure>> {
        self.check_location()?;
        let tls = self.server_tls()?;
        let found = look_up(&Resolver::default(), &self.host, self.port(), interrupt);
        let address = match found {
            Ok(found) => found.first().copied(),
            Err(NetError::Interrupted) => return Err(None),
            Err(_) => None,
        };
        let address = address.ok_or_else(|| {
            Failure::settings(&format!(
                "{} is no address of this machine; listen on 127.0.0.1 for this machine alone or \
                 on 0.0.0.0 for all.",
                *self.host
            ))
        })?;
        Ok(Wanted {
            address,
            app: (*self.application).clone(),
            stream: (*self.stream).clone(),
            session: ServerConfig {
                timeout: *self.timeout * 2,
                ..ServerConfig::default()
            },
            tls,
            door: self.door(),
            capabilities: self.capabilities(role, codecs),
            host,
            once: !self.keep_listening,
        })
    }

    /// What callers have to show.
    fn door(&self) -> Door {
        let secret = |secret: &Secret| secret.reveal().to_owned();
        let password = self.password.as_ref().map(secret);
        let user = (*self.username).clone().filter(|user| !user.is_empty());
        Door {
            user: user.zip(Some(password.unwrap_or_default())),
            secret: self
                .url_secret
                .as_ref()
                .map(secret)
                .filter(|secret| !secret.is_empty()),
        }
    }

    pub(super) fn takeover(&self) -> porter::Takeover {
        match self.takeover {
            Takeover::Reject => porter::Takeover::Reject,
            Takeover::Replace => porter::Takeover::Replace,
            Takeover::ReplaceSilent => porter::Takeover::ReplaceSilent(self.takeover_silence),
        }
    }

    /// What is wrong with the settings of a listener, as far as that shows before it listens.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub(super) fn check_listener(&self) -> Result<(), Failure> {
        self.check_location()?;
        let set = |text: Option<&str>| text.is_some_and(|text| !text.is_empty());
        let password = self.password.as_ref().map(Secret::reveal);
        if set(self.username.as_deref()) != set(password) {
            return Err(Failure::settings(
                "A listener that asks for a password needs both, username and password.",
            ));
        }
        self.server_tls().map(drop)
    }

    fn server_tls(&self) -> Result<Option<Arc<rustls::ServerConfig>>, Failure> {
        let scheme = url::Scheme::from(*self.scheme);
        if !scheme.is_tls() {
            return Ok(None);
        }
        let Some(cert) = &self.tls_certificate else {
            return Err(Failure::settings(&format!(
                "A listener for {scheme} needs tls-certificate, and tls-private-key if the key is \
                 in a file of its own."
            )));
        };
        let server = ServerTls {
            cert: cert.clone(),
            key: self.tls_private_key.as_ref().unwrap_or(cert).clone(),
            client_ca: self.tls_ca_file.clone(),
        };
        let config = server.server_config();
        config
            .map(Some)
            .map_err(|error| Failure::settings(&sentence(&error)))
    }
}

/// An error as one sentence, as people write them.
pub(in crate::elements) fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut chars = text.chars();
    let first = chars
        .next()
        .map(|first| first.to_uppercase().to_string())
        .unwrap_or_default();
    let rest = chars.as_str().trim_end_matches('.');
    let stop = if rest.ends_with(['?', '!']) { "" } else { "." };
    format!("{first}{rest}{stop}")
}

/// Asks the application about a certificate.
pub(in crate::elements) fn accepts(element: &gst::Element, problem: &CertificateProblem) -> bool {
    let pem = problem
        .chain
        .iter()
        .map(|der| {
            use base64::{Engine, engine::general_purpose::STANDARD};
            let text = STANDARD.encode(der);
            let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy);
            let body = lines.collect::<Vec<_>>().join("\n");
            format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
        })
        .collect::<String>();
    let flags = TlsCertificateFlags::from_bits_truncate(problem.flags.bits());
    element.emit_by_name::<bool>("accept-certificate", &[&pem, &flags])
}

fn millis(duration: Duration) -> u32 {
    duration.as_millis().try_into().unwrap_or(u32::MAX)
}
