// SPDX-License-Identifier: MPL-2.0

//! Role `sink-server CERTIFICATES`: says yes to a publisher, then only reads.

use super::{Face, Stream, drain, listen, wire};

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let [certificates] = args else {
        return Err("sink-server CERTIFICATES".to_owned());
    };
    listen(certificates, |face, mut stream| {
        let stream: &mut dyn Stream = &mut *stream;
        let early = match face {
            Face::Rtmp => wire::negotiate(stream, 4096)?.1,
            Face::Raw => 0,
        };
        Ok(early + drain(stream))
    })
}
