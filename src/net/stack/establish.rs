// SPDX-License-Identifier: MPL-2.0

//! From a name to a connection: what each step hands to the next.

use std::{net::SocketAddr, time::Instant};

use mio::{Registry, Token};

use super::{
    super::{
        NetError, Stage,
        resolve::{Resolve, literal},
        stream::Stream,
        tls::{Connector, Session},
    },
    Plan, Stack, State,
    connect::Connecting,
    io,
    layer::Layer,
    proxy::Proxy,
    sealed::Sealed,
    tunnel::Tunnel,
};

impl State {
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Client(..) | Self::Resolving(..) => Stage::Resolve,
            Self::Connecting(..) => Stage::Connect,
            Self::Proxy(..) => Stage::Proxy,
            Self::Accepted(..) | Self::Tls(..) => Stage::Tls,
            Self::Layer(layer) => layer.stage(),
            Self::Open(..) | Self::Failed => Stage::Stream,
        }
    }

    /// One step; `true` if the next can follow at once.
    pub(super) fn advance(
        self,
        registry: &Registry,
        token: Token,
        now: Instant,
    ) -> Result<(Self, bool), NetError> {
        Ok(match self {
            Self::Client(mut target, waker) if target.rtmpe.is_some() || target.tunnel => {
                let rtmpe = target.rtmpe.take();
                let layer: Box<dyn Layer> = match rtmpe {
                    Some(version) if target.tunnel => {
                        let tunnel = Box::new(Tunnel::new(*target, waker, false, now));
                        Box::new(Sealed::client(Stack::over(tunnel), version)?)
                    }
                    Some(version) => {
                        Box::new(Sealed::client(Stack::connect(*target, waker), version)?)
                    }
                    None => Box::new(Tunnel::new(*target, waker, true, now)),
                };
                (Self::Layer(layer), true)
            }
            Self::Layer(mut layer) => {
                layer.drive(registry, token, now)?;
                (Self::Layer(layer), false)
            }
            Self::Client(target, waker) => {
                let connector = target
                    .tls
                    .as_ref()
                    .map(|tls| Connector::new(tls, &target.host))
                    .transpose()?;
                if let Some(address) = target.address {
                    let plan = Plan { target, connector };
                    let connecting = Connecting::new(plan.name(), vec![address], now);
                    return Ok((Self::Connecting(plan, connecting), true));
                }
                let (host, port) = target.first_hop();
                let resolve = Resolve::start(&target.resolver, host, port, &waker)?;
                (Self::Resolving(Plan { target, connector }, resolve), true)
            }
            Self::Resolving(plan, mut resolve) => match resolve.poll()? {
                Some(addresses) => {
                    let connecting = Connecting::new(plan.name(), addresses, now);
                    (Self::Connecting(plan, connecting), true)
                }
                None => (Self::Resolving(plan, resolve), false),
            },
            Self::Connecting(plan, mut connecting) => {
                match connecting.poll(registry, token, now)? {
                    Some(socket) => (plan.connected(socket)?, true),
                    None => (Self::Connecting(plan, connecting), false),
                }
            }
            Self::Proxy(plan, mut stream, mut proxy) => match proxy.ask(&mut stream)? {
                true => (plan.through(stream)?, true),
                false => (Self::Proxy(plan, stream, proxy), false),
            },
            Self::Accepted(socket, tls) => {
                let mut stream = Stream::new(socket).map_err(io)?;
                stream.register(registry, token).map_err(io)?;
                match tls {
                    Some(config) => (Self::Tls(stream, Box::new(Session::server(config)?)), true),
                    None => (Self::Open(stream, None), true),
                }
            }
            Self::Tls(mut stream, mut tls) => match tls.handshake(&mut stream)? {
                true => (Self::Open(stream, Some(tls)), true),
                false => (Self::Tls(stream, tls), false),
            },
            Self::Open(..) => (self, false),
            Self::Failed => {
                return Err(NetError::Closed {
                    stage: Stage::Stream,
                });
            }
        })
    }
}

impl Plan {
    /// Host and port of what is connected to first.
    fn name(&self) -> String {
        let (host, port) = self.target.first_hop();
        match literal(host) {
            Some(ip) => SocketAddr::new(ip, port).to_string(),
            None => format!("{host}:{port}"),
        }
    }

    fn connected(self, socket: mio::net::TcpStream) -> Result<State, NetError> {
        let stream =
            Stream::new(socket).map_err(|error| NetError::from_io(Stage::Connect, error))?;
        match Proxy::new(&self.target)? {
            Some(proxy) => Ok(State::Proxy(self, stream, proxy)),
            None => self.through(stream),
        }
    }

    fn through(self, stream: Stream) -> Result<State, NetError> {
        Ok(match self.connector {
            Some(connector) => State::Tls(stream, Box::new(Session::client(connector)?)),
            None => State::Open(stream, None),
        })
    }
}
