// SPDX-License-Identifier: MPL-2.0

//! Role `blast-server CERTIFICATES CHUNK FLV LIVE`: plays from memory.
//!
//! The stream's name says what: `live` is the file LIVE round and round at its own pace, with a
//! stamp in every video frame, each tag for itself; `frames` is the same with the sound that belongs to
//! a frame in one write with it, as an encoder's muxer puts them out; `clip` is LIVE once, a number is that many megabytes of FLV, and any
//! other name all of FLV, as fast as the client takes it. The bare-byte ports send FLV itself.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::pacer::Pacer;
use super::wire::{self, Wish};
use super::{Face, Stream, drain, listen};
use crate::media;

/// Of the programme's 25 frames a second.
const FRAME: Duration = Duration::from_millis(40);

/// FLV cut into chunks, ready to be written.
struct Image {
    chunk: usize,
    flv: Vec<u8>,
    wire: Vec<u8>,
    /// Where each tag ends, on the wire and in the file.
    ends: Vec<(usize, usize)>,
}

impl Image {
    fn new(flv: Vec<u8>, chunk: usize) -> Self {
        let mut wire = Vec::with_capacity(flv.len() + flv.len() / chunk + (1 << 20));
        let mut ends = Vec::new();
        let mut end = media::FLV_HEAD;
        for tag in media::tags(&flv) {
            wire::put_tag(&mut wire, tag.kind, tag.time_ms, tag.body, chunk);
            end += tag.whole.len();
            ends.push((wire.len(), end));
        }
        Self {
            chunk,
            flv,
            wire,
            ends,
        }
    }

    /// Ends of the first stretch that has at least `megabytes` of FLV, or of all.
    fn cut(&self, megabytes: Option<usize>) -> (usize, usize) {
        let bytes = megabytes.map_or(usize::MAX, |mb| mb * 1_000_000);
        let tag = self.ends.partition_point(|(_, flv)| *flv < bytes);
        let tag = tag.min(self.ends.len().saturating_sub(1));
        self.ends.get(tag).copied().unwrap_or_default()
    }
}

pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let [certificates, chunk, flv, live] = args else {
        return Err("blast-server CERTIFICATES CHUNK FLV LIVE".to_owned());
    };
    let chunk: usize = chunk.parse().map_err(|_| "CHUNK is a number".to_owned())?;
    let read = |path: &String| std::fs::read(path).map_err(|e| format!("{path}: {e}"));
    let image = Arc::new(Image::new(read(flv)?, chunk));
    let live = read(live)?;
    let tags = Pacer::start(&live, chunk, Duration::ZERO);
    let frames = Pacer::start(&live, chunk, FRAME);
    let clip = Image::new(live, chunk);
    listen(certificates, move |face, mut stream| {
        let stream: &mut dyn Stream = &mut *stream;
        if face == Face::Raw {
            return blast(stream, &image.flv, image.flv.len());
        }
        match wire::negotiate(stream, image.chunk)?.0 {
            Wish::Play(name) if name == "live" || name == "frames" => {
                let pacer = if name == "live" { &tags } else { &frames };
                pacer.add(stream.tcp().try_clone()?);
                Ok(0)
            }
            Wish::Play(name) => {
                let image = if name == "clip" { &clip } else { &*image };
                let (wire, flv) = image.cut(name.parse().ok());
                stream.write_all(&image.wire[..wire])?;
                blast(stream, &wire::goodbye(image.chunk), flv)
            }
            Wish::Publish => Err(io::ErrorKind::Unsupported.into()),
        }
    })
}

/// Writes the last bytes and waits until the client has gone; closing with its acknowledgements
/// unread would reset the connection and lose what it has not read yet.
fn blast(stream: &mut dyn Stream, last: &[u8], flv: usize) -> io::Result<u64> {
    stream.write_all(last)?;
    stream.finish()?;
    stream
        .tcp()
        .set_read_timeout(Some(Duration::from_secs(10)))?;
    drain(stream);
    Ok(flv as u64)
}
