// SPDX-License-Identifier: MPL-2.0

//! The cases. Each has the number of its kind in the list of bad inputs.

mod amf;
mod chunks;
mod digest;
mod handshake;
mod messages;
mod session;
mod tls;
mod tunnel;

use std::io;

use super::{Case, Script, Stage, Target, Then, wire::Wire};

/// All there are.
pub fn all() -> Vec<Case> {
    let mut list = List::default();
    handshake::list(&mut list);
    chunks::list(&mut list);
    messages::list(&mut list);
    amf::list(&mut list);
    session::list(&mut list);
    tunnel::list(&mut list);
    tls::list(&mut list);
    list.0
}

#[derive(Default)]
struct List(Vec<Case>);

/// Sends bytes.
fn send(bytes: Vec<u8>) -> Script {
    script(move |wire| {
        wire.send(&bytes)?;
        Ok(Then::Judge)
    })
}

/// Sends bytes, and that they are all.
fn send_and_end(bytes: Vec<u8>) -> Script {
    script(move |wire| {
        wire.send(&bytes)?;
        wire.end();
        Ok(Then::Judge)
    })
}

fn script(script: impl Fn(&mut Wire) -> io::Result<Then> + Send + Sync + 'static) -> Script {
    Box::new(script)
}

impl List {
    fn server(&mut self, item: u8, stage: Stage, name: impl Into<String>, script: Script) {
        self.push(item, Target::Server, stage, name, script);
    }

    fn client(&mut self, item: u8, stage: Stage, name: impl Into<String>, script: Script) {
        self.push(item, Target::Client, stage, name, script);
    }

    /// Bytes for a server that a stream is published to, one that plays one, and a client.
    fn everybody(&mut self, item: u8, name: impl Into<String>, bytes: Vec<u8>) {
        let name = name.into();
        for stage in [Stage::Publishing, Stage::Playing] {
            self.server(item, stage, name.clone(), send(bytes.clone()));
        }
        self.client(item, Stage::Streaming, name, send(bytes));
    }

    fn push(
        &mut self,
        item: u8,
        target: Target,
        stage: Stage,
        name: impl Into<String>,
        script: Script,
    ) {
        self.0.push(Case {
            item,
            name: name.into(),
            target,
            stage,
            scheme: "rtmp",
            script,
        });
    }

    /// The last case is for a client of another scheme.
    fn scheme(&mut self, scheme: &'static str) {
        if let Some(case) = self.0.last_mut() {
            case.scheme = scheme;
        }
    }
}
