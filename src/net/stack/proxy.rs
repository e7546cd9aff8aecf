// SPDX-License-Identifier: MPL-2.0

//! The dialogue with a SOCKS4 or HTTP proxy, until the way through it is open.

use std::io;

use super::{Target, Write, write_plain};
use crate::{
    net::{NetError, Stage, resolve::literal, socks, stream::Stream},
    protocol::{http::reply::Reply, rtmp::transmit::Transmit},
};

pub(super) struct Proxy {
    request: Transmit,
    reply: Awaited,
}

enum Awaited {
    Socks([u8; socks::REPLY_LEN], usize),
    Http(Vec<u8>),
}

impl Proxy {
    /// Asks the proxy that `target` names, if it names one.
    pub(super) fn new(target: &Target) -> Result<Option<Self>, NetError> {
        let (request, reply) = match (&target.socks, &target.http_proxy) {
            (Some(_), _) => (
                socks::request(&target.host, target.port)?,
                Awaited::Socks([0; socks::REPLY_LEN], 0),
            ),
            (None, Some(proxy)) => (
                proxy.connect_request(&target.authority(true)).into_bytes(),
                Awaited::Http(Vec::new()),
            ),
            (None, None) => return Ok(None),
        };
        let mut transmit = Transmit::default();
        transmit.push(request.into());
        Ok(Some(Self {
            request: transmit,
            reply,
        }))
    }

    /// Sends the request and gathers the reply; `true` once the way is open.
    pub(super) fn ask(&mut self, stream: &mut Stream) -> Result<bool, NetError> {
        if write_plain(stream, &mut self.request, Stage::Proxy)? == Write::Blocked {
            return Ok(false);
        }
        match &mut self.reply {
            Awaited::Socks(reply, received) => {
                while let Some(rest) = reply.get_mut(*received..).filter(|rest| !rest.is_empty()) {
                    match receive(stream, rest)? {
                        Some(n) => *received += n,
                        None => return Ok(false),
                    }
                }
                socks::parse_reply(reply)?;
                Ok(true)
            }
            Awaited::Http(head) => loop {
                // One at a time: what is behind the head is not the proxy's. Servers keep silent until
                // they are spoken to, and a head is short.
                let mut byte = [0];
                if receive(stream, &mut byte)?.is_none() {
                    return Ok(false);
                }
                head.extend(byte);
                let reply = Reply::parse(head)
                    .map_err(|error| NetError::proxy(format!("no answer of a proxy: {error}")))?;
                if let Some((reply, _)) = reply {
                    return verdict(&reply);
                }
            },
        }
    }
}

fn receive(stream: &mut Stream, buf: &mut [u8]) -> Result<Option<usize>, NetError> {
    match stream.recv(buf) {
        Ok(0) => Err(NetError::proxy_failed("the proxy closed the connection")),
        Ok(n) => Ok(Some(n)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(NetError::from_io(Stage::Proxy, error)),
    }
}

fn verdict(reply: &Reply) -> Result<bool, NetError> {
    let reason = match reply.status {
        200..300 => return Ok(true),
        407 => {
            "the HTTP proxy asks for a user name and a password (407); put them into http-proxy, \
             as in user:password@host:port"
        }
        403 | 405 => {
            "the HTTP proxy does not let anybody through to that port; use rtmpt without a tunnel, or \
             ask who runs the proxy"
        }
        status => {
            let reason = format!("the HTTP proxy cannot reach the server (status {status})");
            return Err(NetError::proxy_failed(reason));
        }
    };
    Err(NetError::proxy(reason))
}

impl Target {
    /// Host and port as HTTP names them, the port where it is not the scheme's, or `always`.
    pub(super) fn authority(&self, always: bool) -> String {
        let host = match literal(&self.host) {
            Some(std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => self.host.clone(),
        };
        let usual = if self.tls.is_some() { 443 } else { 80 };
        match self.port == usual && !always {
            true => host,
            false => format!("{host}:{}", self.port),
        }
    }

    /// Whom to connect to first.
    pub(super) fn first_hop(&self) -> (&str, u16) {
        match (&self.socks, &self.http_proxy) {
            (Some(proxy), _) => (&proxy.host, proxy.port),
            (None, Some(proxy)) => (&proxy.host, proxy.port),
            (None, None) => (&self.host, self.port),
        }
    }
}
