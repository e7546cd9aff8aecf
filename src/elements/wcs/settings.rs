// SPDX-License-Identifier: MPL-2.0

//! What the user set.

use std::{path::PathBuf, sync::Arc, time::Duration};

use gio::TlsCertificateFlags;
use gst::prelude::*;
use serde_json::Value;

use super::{
    json,
    kinds::{Action, OnFailure, Output, Transport},
};
use crate::{
    elements::rtmp::accepts,
    net::{
        self,
        reconnect::{Policy, When},
        stack::Target,
        tls::{CertificateProblem, ClientTls, ValidationFlags},
        websocket::{Address, Opening},
    },
    protocol::{
        rtmp::url::Secret,
        wcs::{
            limits,
            message::Connection,
            session::{SessionConfig, Timeouts},
        },
    },
};

/// See the properties.
/// The part of each pause, in percent, that is left to chance.
const JITTER: u32 = 25;

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) uri: Option<String>,
    pub(super) app_key: String,
    pub(super) auth_token: Secret,
    pub(super) custom: Option<gst::Structure>,
    pub(super) session: Option<String>,
    pub(super) origin: Option<String>,
    pub(super) stream_name: Option<String>,
    pub(super) action: Action,
    pub(super) record: bool,
    pub(super) rtmp_url: Secret,
    pub(super) bitrate: u32,
    pub(super) min_bitrate: u32,
    pub(super) max_bitrate: u32,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) quality: u32,
    pub(super) transport: Transport,
    pub(super) audio: bool,
    pub(super) video: bool,
    pub(super) output: Output,
    pub(super) stun_server: Option<String>,
    pub(super) turn_server: Secret,
    pub(super) local_address: Option<String>,
    pub(super) latency: u32,
    pub(super) connect_timeout: Duration,
    pub(super) session_timeout: Duration,
    pub(super) answer_timeout: Duration,
    pub(super) start_timeout: Duration,
    pub(super) end_timeout: Duration,
    pub(super) ping_interval: Duration,
    pub(super) ping_probes: u32,
    pub(super) reconnect: bool,
    pub(super) reconnect_attempts: u32,
    pub(super) reconnect_delay: Duration,
    pub(super) reconnect_max_delay: Duration,
    pub(super) on_failure: OnFailure,
    pub(super) tls_ca_file: Option<PathBuf>,
    pub(super) tls_certificate: Option<PathBuf>,
    pub(super) tls_private_key: Option<PathBuf>,
    pub(super) tls_server_name: Option<String>,
    pub(super) tls_validation_flags: TlsCertificateFlags,
}

impl Default for Settings {
    fn default() -> Self {
        let timeouts = Timeouts::default();
        Self {
            uri: None,
            app_key: "defaultApp".to_owned(),
            auth_token: Secret::default(),
            custom: None,
            session: None,
            origin: None,
            stream_name: None,
            action: Action::default(),
            record: false,
            rtmp_url: Secret::default(),
            bitrate: 0,
            min_bitrate: 0,
            max_bitrate: 0,
            width: 0,
            height: 0,
            quality: 0,
            transport: Transport::default(),
            audio: true,
            video: true,
            output: Output::default(),
            stun_server: None,
            turn_server: Secret::default(),
            local_address: None,
            latency: 200,
            connect_timeout: Duration::from_secs(10),
            session_timeout: timeouts.session,
            answer_timeout: timeouts.answer,
            start_timeout: timeouts.start,
            end_timeout: timeouts.end,
            ping_interval: Duration::from_secs(5),
            ping_probes: 5,
            reconnect: true,
            reconnect_attempts: 0,
            reconnect_delay: Duration::from_secs(1),
            reconnect_max_delay: Duration::from_secs(30),
            on_failure: OnFailure::default(),
            tls_ca_file: None,
            tls_certificate: None,
            tls_private_key: None,
            tls_server_name: None,
            tls_validation_flags: TlsCertificateFlags::VALIDATE_ALL,
        }
    }
}

impl Settings {
    /// Where and how to reach the server. Errs with a whole sentence.
    pub(super) fn net(&self, element: &gst::Element) -> Result<net::wcs::Settings, String> {
        let uri = self
            .uri
            .as_deref()
            .ok_or("There is no uri; set the server's WebSocket address, as in wss://host:8443.")?;
        let address =
            Address::parse(uri).map_err(|reason| format!("The uri cannot be used: {reason}."))?;
        let version = env!("CARGO_PKG_VERSION");
        Ok(net::wcs::Settings {
            target: Target {
                tls: address.is_tls().then(|| self.client_tls(element)),
                connect_timeout: self.connect_timeout,
                ..Target::new(address.host(), address.port())
            },
            opening: Opening {
                address,
                origin: self.origin.clone(),
                user_agent: format!("gst-plugin-rtmp/{version}"),
                timeout: self.connect_timeout,
                max_message: limits::MESSAGE,
            },
            session: SessionConfig {
                connection: Connection {
                    app_key: self.app_key.clone(),
                    media_providers: vec!["WebRTC".to_owned()],
                    auth_token: some(self.auth_token.reveal()),
                    // Of the SDK whose messages these are; servers decide by it what they may send.
                    client_version: "2.0".to_owned(),
                    client_os_version: std::env::consts::OS.to_owned(),
                    client_browser_version: format!("gst-plugin-rtmp/{version}"),
                    custom: self.custom(),
                    ..Connection::default()
                },
                timeouts: Timeouts {
                    session: self.session_timeout,
                    answer: self.answer_timeout,
                    start: self.start_timeout,
                    end: self.end_timeout,
                },
                ping_interval: self.ping_interval,
                ping_probes: self.ping_probes,
            },
            reconnect: self.policy(),
        })
    }

    pub(super) fn policy(&self) -> Policy {
        Policy {
            when: match self.reconnect {
                true => When::Always,
                false => When::Never,
            },
            attempts: self.reconnect_attempts,
            first: self.reconnect_delay,
            largest: self.reconnect_max_delay,
            jitter: JITTER,
        }
    }

    pub(super) fn custom(&self) -> Option<Value> {
        self.custom.as_ref().map(|s| json::from_structure(s))
    }

    pub(super) fn transport(&self) -> Option<String> {
        match self.transport {
            Transport::Auto => None,
            Transport::Udp => Some("UDP".to_owned()),
            Transport::Tcp => Some("TCP".to_owned()),
        }
    }

    fn client_tls(&self, element: &gst::Element) -> ClientTls {
        let key = self
            .tls_private_key
            .as_ref()
            .or(self.tls_certificate.as_ref());
        let element = element.downgrade();
        ClientTls {
            ca_file: self.tls_ca_file.clone(),
            client_cert: self.tls_certificate.clone().zip(key.cloned()),
            flags: ValidationFlags::from_bits(self.tls_validation_flags.bits()),
            server_name: self.tls_server_name.clone(),
            accept: Some(Arc::new(move |problem: &CertificateProblem| {
                element
                    .upgrade()
                    .is_some_and(|element| accepts(&element, problem))
            })),
        }
    }
}

pub(super) fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
